"""Figures for papers: at the width of a column, with embedded fonts, and the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from losscope.core import wording
from losscope.core.results import Comparison, Reproduction, Result
from losscope.core.wording import parts
from losscope.reporting.answer import Dots, answer
from losscope.reporting.columns import tested

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

COLUMN, PAGE = 3.3, 6.9
"""Widths in inches: of one column, and of two."""
POINTS = 8
"""The size of text, in points."""
DPI = 300
INK, SOFT, RULE, BAND = "#1d1c1a", "#66625b", "#d9d4c9", "#ece7dc"
LETTERS = 28
"""Letters of a name before it is shortened."""
FONTS = (
    "DejaVu Sans",
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Hebrew"),
    *("Noto Sans Devanagari", "Noto Sans", "Noto Emoji"),
)
"""The font that comes with matplotlib, then those that have the letters that it lacks, where there are any."""
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def drawn(document: Result | Reproduction, kind: str) -> Iterator[tuple[str, bytes]]:
    """Every figure of a document as (name, content): the answer, the tested pairs, then the page's figures."""
    with style():
        if isinstance(document, Result):
            if (dots := answer(document)) is not None:
                yield "answer", saved(answer_drawing(dots), kind)
            for name, drawing in forests(document):
                yield name, saved(drawing, kind)


@contextmanager
def style() -> Iterator[None]:
    """The manner of all figures: small text, thin lines, fonts embedded as outlines that stay text."""
    import matplotlib
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    manner = {
        "font.family": [name for name in FONTS if name in installed] or ["sans-serif"],
        "font.size": POINTS,
        "axes.titlesize": POINTS,
        "axes.labelsize": POINTS,
        "xtick.labelsize": POINTS,
        "ytick.labelsize": POINTS,
        "legend.fontsize": POINTS,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "text.usetex": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": SOFT,
        "axes.linewidth": 0.6,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": RULE,
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.2,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "axes.axisbelow": True,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "losscope",
        "figure.dpi": 100,
        "savefig.facecolor": "white",
        "path.simplify": True,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(manner)
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def saved(drawing: Drawing, kind: str) -> bytes:
    """A figure as the bytes of a file, without a date or a version in them."""
    out = io.BytesIO()
    drawing.savefig(out, format=kind, dpi=DPI, metadata=_METADATA[kind])
    return out.getvalue()


def blank(height: float, width: float = COLUMN, **grid: Any) -> tuple[Drawing, Any]:
    """A figure of a height in inches and its axes."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    drawing.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr, call-arg]
    return drawing, drawing.subplots(**grid)


def name_of(text: str, length: int = LETTERS) -> str:
    """A name as a figure shows it: in one line, short, without marks that steer."""
    return wording.shorten(" ".join(wording.printable(text).split()), length)


def slug(text: str) -> str:
    """A text as part of a file's name.

    >>> slug("Recall@1 of «é»"), slug("…")
    ('recall-1-of', 'figure')
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "figure"


# --- the answer and the tested pairs ---------------------------------------------------------------


def answer_drawing(dots: Dots) -> Drawing:
    """Every side on the goal's axis, the best at the top, the band shaded."""
    rows = dots.rows
    drawing, axes = blank(0.55 + 0.19 * len(rows))
    if dots.band is not None:
        axes.axvspan(*dots.band, color=BAND, linewidth=0)
    for place, row in enumerate(rows):
        if row.low is not None and row.high is not None:
            axes.plot(
                [row.low, row.high], [place, place], color=row.colour, linewidth=2, solid_capstyle="butt"
            )
        axes.plot([row.value], [place], marker="o", markersize=4.5, color=row.colour, linestyle="none")
    _rows(axes, [name_of(row.name) for row in rows], [row.chosen for row in rows])
    axes.set_xlabel(name_of(dots.label, 60))
    return drawing


def forests(result: Result) -> Iterator[tuple[str, Drawing]]:
    """For each measure that was tested, its pairs with both intervals, the band of indifference and verdicts."""
    rows = tested(result)
    measures = list(dict.fromkeys(row.measure for row in rows))
    for measure in measures:
        own = [row for row in rows if row.measure == measure and row.difference is not None]
        if own:
            name = "tested-pairs" if len(measures) == 1 else f"tested-pairs-{slug(measure)}"
            yield name, _forest(measure, own)


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
