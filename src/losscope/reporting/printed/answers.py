"""The answer and the tested pairs, drawn for print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from losscope.core import wording
from losscope.core.results import Comparison, Result
from losscope.core.wording import parts
from losscope.reporting.answer import Rows
from losscope.reporting.columns import tested
from losscope.reporting.printed.manner import BAND, INK, PAGE, SOFT, blank, name_of, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


PAIRS = 34
"""Tested pairs of one figure; more are several."""
TALL = 9.0
"""Inches of a page."""
LONG = 16
"""Letters of a name that leaves little room for the axis."""


def answer_drawing(found: Rows) -> Drawing:
    """Every side on the goal's axis, the best at the top, the band shaded."""
    rows = found.rows
    drawing, axes = blank(min(0.55 + 0.19 * len(rows), TALL))
    if found.band is not None:
        axes.axvspan(*found.band, color=BAND, linewidth=0)
    for place, row in enumerate(rows):
        if row.low is not None and row.high is not None:
            axes.plot(
                [row.low, row.high], [place, place], color=row.look.hex, linewidth=2, solid_capstyle="butt"
            )
        axes.plot([row.value], [place], marker="o", markersize=4.5, color=row.look.hex, linestyle="none")
    names = [name_of(row.name) for row in rows]
    _rows(axes, names, [row.chosen for row in rows])
    long = max(map(len, names)) > LONG  # beside long names the axis is short, and its label wider
    axes.set_xlabel(name_of(found.label, 60), loc="right" if long else "center")
    return drawing


def forests(result: Result) -> Iterator[tuple[str, Drawing]]:
    """For each measure that was tested, its pairs with both intervals, what does not matter, and verdicts."""
    rows = tested(result)
    measures = list(dict.fromkeys(row.measure for row in rows))
    for measure in measures:
        own = [row for row in rows if row.measure == measure and row.difference is not None]
        name = "tested-pairs" if len(measures) == 1 else f"tested-pairs-{slug(measure)}"
        for first in range(0, len(own), PAIRS):
            yield name, _forest(measure, own[first : first + PAIRS])


def _forest(measure: str, rows: Sequence[Comparison]) -> Drawing:
    drawing, axes = blank(0.6 + 0.24 * len(rows), PAGE)
    delta = rows[0].delta
    axes.axvspan(-delta, delta, color=BAND, linewidth=0)
    axes.axvline(0, color=SOFT, linewidth=0.6)
    for place, row in enumerate(rows):
        for low, high, width in ((row.low_data, row.high_data, 0.8), (row.low, row.high, 2.2)):
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=INK, linewidth=width, solid_capstyle="butt")
        axes.plot([row.difference], [place], marker="o", markersize=4.5, color=INK, linestyle="none")
        said = f"{parts.size(row).middle}   p {parts.corrected_p(row)}   {wording.verdict_word(row)}"
        axes.annotate(
            name_of(said, 60),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
        )
    names = [" ".join((name_of(row.a, 20), parts.pair(row)[1], name_of(row.b, 20))) for row in rows]
    _rows(axes, names, [False] * len(names))
    kind = "difference" if rows[0].scale == "difference" else "ratio"
    axes.set_xlabel(f"{kind} in {wording.label(measure)}; shaded: too small to matter")
    if kind == "ratio":
        axes.xaxis.set_major_formatter(lambda value, _: f"×{wording.ratio(value):.3g}")
    return drawing


def _rows(axes: Axes, names: Sequence[str], bold: Sequence[bool]) -> None:
    """Names down the left, the first at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=5)
    for label, strong in zip(axes.get_yticklabels(), bold, strict=True):
        label.set_fontweight("bold" if strong else "normal")
