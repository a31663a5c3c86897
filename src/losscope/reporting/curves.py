"""Curves over epochs: a traced measure's mean over seeds, in a band from the smallest to the largest seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from losscope.core import wording
from losscope.core.results import Columns
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


def course(rows: Columns, relative: bool = False) -> Course | None:
    """The course of one loss from its trace rows [seed, epoch, value]; ``relative`` to the first epoch."""
    seed, epoch, value = (np.asarray(rows[name], dtype=float) for name in ("seed", "epoch", "value"))
    known = np.isfinite(value)
    if not known.any():
        return None
    epochs, at = np.unique(epoch[known], return_inverse=True)
    seeds, of = np.unique(seed[known], return_inverse=True)
    sums, counts = np.zeros((2, len(seeds), len(epochs)))
    np.add.at(sums, (of, at), value[known])
    np.add.at(counts, (of, at), 1)
    wide = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    if relative:
        first = wide[np.arange(len(seeds)), (counts > 0).argmax(axis=1)]
        seeds, wide = seeds[first > 0], wide[first > 0] / first[first > 0, None]
        if not len(wide):
            return None
    there = np.isfinite(wide)
    last = len(epochs) - 1 - there[:, ::-1].argmax(axis=1)
    done = last == last.max()
    stopped = [
        (int(name), epochs[own], line[own])
        for name, own, line in zip(seeds[~done], there[~done], wide[~done], strict=True)
    ]
    some = there[done].any(axis=0)
    whole = wide[done][:, some]
    ends = np.nanmin(whole, axis=0), np.nanmax(whole, axis=0)
    return Course(epochs[some], np.nanmean(whole, axis=0), *ends, int(done.sum()), stopped)


def courses(
    traces: Columns,
    name: str,
    palette: Palette,
    splits: Sequence[str] = ("train", "probe"),
    relative: bool = False,
) -> dict[str, Course]:
    """The course of a traced measure for every loss that has it, on the first split that there is."""
    named = np.asarray(traces["name"]) == name
    split = np.asarray(traces["split"])[named]
    wanted = next((wanted for wanted in splits if (split == wanted).any()), None)
    if wanted is None:
        return {}
    columns = ("loss", "seed", "epoch", "value")
    rows = {column: np.asarray(traces[column])[named][split == wanted] for column in columns}
    found = {}
    for loss in palette.ordered(dict.fromkeys(rows["loss"].tolist())):
        mine = rows["loss"] == loss
        own = course({column: values[mine] for column, values in rows.items()}, relative)
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
