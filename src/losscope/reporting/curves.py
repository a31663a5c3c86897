"""Curves over epochs: a traced measure's mean over seeds, in a band from the smallest to the largest seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from losscope.core import wording
from losscope.reporting import axes
from losscope.reporting.figure import Figure, Level, Line, Mark, Palette, numbers, shown_unit


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
        title: of the figure.
        unit: beside the title.
        share: the values are shares: the axis is 0 to 1 where they fill most of it.
        log: offer a switch to a logarithmic axis.
        from_zero: let the axis begin at 0.
        target: a level to mark, and its name.
    """
    if not found:
        return None
    marks: list[Mark] = [] if target is None else [Level(*target)]
    for name, own in found.items():
        marks += lines(name, own)
    ends = [float(end) for own in found.values() for end in (np.nanmin(own.low), np.nanmax(own.high))]
    logged = None
    if log:
        means = [float(value) for own in found.values() for value in own.mean]
        logged = axes.logarithmic([*means, *([] if target is None else [target[0]])])
    final = wording.listing(f"{name} {wording.number(own.mean[-1])}" for name, own in [*found.items()][:6])
    last = float(max(own.epochs[-1] for own in found.values()))
    return Figure(
        axes.counted(last, "epoch"),
        axes.shares() if share and max(ends) > 0.6 else axes.linear(ends, zero=from_zero),
        marks,
        title,
        f"{title} by epoch. At epoch {last:g}: {final}.",
        shown_unit(title, unit),
        log=logged,
        cursor="epoch",
        series=tuple(found),
    )


def lines(series: str, own: Course, name: str = "") -> list[Mark]:
    """The mean over seeds in its band, and a thin line for each seed that stopped before the others."""
    spread = own.seeds > 1
    mean, low, high = numbers(own.mean), numbers(own.low), numbers(own.high)
    texts = [
        f"{wording.number(value)} ({wording.number(small)} to {wording.number(large)})"
        if spread
        else wording.number(value)
        for value, small, large in zip(mean, low, high, strict=True)
    ]
    band = (low, high) if spread else ((), ())
    made: list[Mark] = [Line(series, numbers(own.epochs), mean, *band, texts, name)]
    for _, epochs, values in own.stopped:
        made.append(Line(series, numbers(epochs), numbers(values), dash="dot", width=1.0))
    return made


def series_of(figures: Sequence[Figure]) -> list[str]:
    """The losses that any of the figures draws."""
    return list(dict.fromkeys(name for figure in figures for name in figure.series))
