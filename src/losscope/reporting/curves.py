"""Curves over epochs: a traced measure's mean over seeds, in a band from the smallest to the largest seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from losscope.core import wording
from losscope.reporting.figure import (
    RULE,
    SOFT,
    Drawn,
    Figure,
    Look,
    Palette,
    axis,
    faded,
    layout,
    plain,
    rounded,
    shown_unit,
    span,
)


@dataclass(frozen=True)
class Course:
    """A measure over epochs for one loss: mean, smallest and largest over the seeds that finished.

    ``stopped`` are the curves of the seeds that ended before the others, shown but not averaged.
    """

    epochs: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int
    stopped: list[tuple[int, np.ndarray, np.ndarray]]


def course(rows: pd.DataFrame, relative: bool = False) -> Course | None:
    """The course of one loss from its trace rows [seed, epoch, value]; ``relative`` to the first epoch."""
    rows = rows[np.isfinite(pd.to_numeric(rows["value"], errors="coerce").to_numpy(dtype=float))]
    if rows.empty:
        return None
    wide = rows.pivot_table(index="epoch", columns="seed", values="value", aggfunc="mean").sort_index()
    if relative:
        first = wide.bfill().iloc[0]
        wide = wide.loc[:, first > 0] / first[first > 0]
        if wide.empty:
            return None
    last = {seed: wide[seed].last_valid_index() for seed in wide.columns}
    end = max(last.values())
    done = [seed for seed in wide.columns if last[seed] == end]
    stopped = [
        (int(seed), (line := wide[seed].dropna()).index.to_numpy(dtype=float), line.to_numpy(dtype=float))
        for seed in wide.columns
        if last[seed] != end
    ]
    whole = wide[done].dropna(how="all")
    return Course(
        whole.index.to_numpy(dtype=float),
        whole.mean(axis=1).to_numpy(),
        whole.min(axis=1).to_numpy(),
        whole.max(axis=1).to_numpy(),
        len(done),
        stopped,
    )


def courses(
    traces: pd.DataFrame,
    name: str,
    palette: Palette,
    splits: Sequence[str] = ("train", "probe"),
    relative: bool = False,
) -> dict[str, Course]:
    """The course of a traced measure for every loss that has it, on the first split that there is."""
    if traces.empty:
        return {}
    rows = traces[traces["name"] == name]
    have = set(rows["split"].dropna().unique())
    split = next((wanted for wanted in splits if wanted in have), None)
    if split is None:
        return {}
    rows = rows[rows["split"] == split]
    found = {}
    for loss in palette.ordered(rows["loss"].unique()):
        own = course(rows[rows["loss"] == loss], relative)
        if own is not None:
            found[str(loss)] = own
    return found


def curves(
    found: Mapping[str, Course],
    title: str,
    palette: Palette,
    unit: str = "",
    *,
    share: bool = False,
    log: bool = False,
    from_zero: bool = True,
    target: tuple[float, str] | None = None,
) -> Figure | None:
    """Curves over epochs: the line is the mean over seeds, the band their smallest and largest value.

    Args:
        found: the course of each loss.
        share: the values are shares: the axis is 0 to 1 where they fill most of it.
        log: offer a switch to a logarithmic axis.
        from_zero: let the axis begin at 0.
        target: a level to mark, and its name.
    """
    if not found:
        return None
    data: list[Drawn] = []
    for name, course in found.items():
        data += band(course, palette.look(name), 0.16 if len(found) <= 4 else 0.08)
    for name, course in found.items():
        data += line(name, course, palette.look(name))
    x = axis(
        "epoch",
        showgrid=False,
        ticks="outside",
        ticklen=4,
        tickcolor=RULE,
        showline=True,
        linecolor=RULE,
        rangemode="tozero",
        unifiedhovertitle={"text": "epoch %{x}"},
    )
    ends = [
        float(end) for course in found.values() for end in (np.nanmin(course.low), np.nanmax(course.high))
    ]
    if share and max(ends) > 0.6:
        y = axis(range=[0, 1.02], dtick=0.25, tickformat=".2f")
    else:
        y = axis(**span(ends, zero=from_zero))
    final = wording.listing(
        f"{name} {wording.number(course.mean[-1])}" for name, course in list(found.items())[:6]
    )
    last = int(max(course.epochs[-1] for course in found.values()))
    alt = f"{title} by epoch. At epoch {last}: {final}."
    shape = layout(x, y, hovermode="x unified", **(_level(*target) if target else {}))
    return Figure(data, shape, title, alt, unit=shown_unit(title, unit), log=log, series=tuple(found))


def _level(value: float, name: str) -> Drawn:
    """A dotted level across the figure, with its name at the right."""
    return {
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": value,
                "y1": value,
                "layer": "below",
                "line": {"color": SOFT, "width": 1, "dash": "dot"},
            }
        ],
        "annotations": [
            {
                "xref": "paper",
                "x": 1,
                "xanchor": "right",
                "yanchor": "bottom",
                "y": value,
                "text": plain(name),
                "showarrow": False,
                "font": {"size": 11, "color": SOFT},
            }
        ],
    }


def band(course: Course, look: Look, opacity: float = 0.16) -> list[Drawn]:
    """The area between the smallest and the largest seed; nothing for one seed."""
    if course.seeds < 2:
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": rounded([*course.epochs, *course.epochs[::-1]]),
            "y": rounded([*course.high, *course.low[::-1]]),
            "fill": "toself",
            "fillcolor": faded(look.colour, opacity),
            "line": {"width": 0},
            "hoverinfo": "skip",
            "legendgroup": look.slug,
        }
    ]


def line(name: str, course: Course, look: Look) -> list[Drawn]:
    """The mean over seeds, and a thin line for each seed that stopped before the others."""
    alone = len(course.epochs) == 1
    spread = "" if course.seeds < 2 else " (%{customdata[0]:.3~g} – %{customdata[1]:.3~g})"
    lines: list[Drawn] = [
        {
            "type": "scatter",
            "mode": "markers" if alone else "lines",
            "name": plain(wording.shorten(name, 32)),
            "x": rounded(course.epochs),
            "y": rounded(course.mean),
            "customdata": [list(pair) for pair in zip(rounded(course.low), rounded(course.high))],
            "line": {"color": look.colour, "width": 2, "dash": look.dash},
            "marker": {"color": look.colour, "symbol": look.symbol, "size": 7},
            "hovertemplate": f"%{{y:.3~g}}{spread}",
            "legendgroup": look.slug,
        }
    ]
    for seed, epochs, values in course.stopped:
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(f"{wording.shorten(name, 24)}, seed {seed} (stopped)"),
                "x": rounded(epochs),
                "y": rounded(values),
                "line": {"color": look.colour, "width": 1, "dash": "dot"},
                "opacity": 0.7,
                "hoverinfo": "skip",
                "legendgroup": look.slug,
            }
        )
    return lines


def series_of(figures: Sequence[Figure]) -> list[str]:
    """The losses that any of the figures draws."""
    return list(dict.fromkeys(name for figure in figures for name in figure.series))
