"""The rows of a comparison: two sides on a measure, what the runs say, and why that is no comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from losscope.core.results import Limit, NotComparable, PairVerdict, Settings, Unit
from losscope.stats.closed import as_errors, on_errors, over_items
from losscope.stats.comparison import Difference, compare, declared
from losscope.stats.intervals import data_like_these, data_like_these_unpaired, jackknife_variance
from losscope.stats.sides import Side, draws_nothing
from losscope.stats.verdicts import barred


@dataclass(frozen=True)
class Frame:
    """What every row of one analysis shares."""

    generated: bool
    look: int
    alpha: float
    paired: bool
    settings: tuple[Settings, ...]
    primary: str
    errors: bool = False
    delta: float | None = None
    folds: int = 0


@dataclass(frozen=True)
class Row:
    """A pair of sides on a measure: what the runs say, why that is no comparison, and what is decided."""

    a: str
    b: str
    found: Difference
    bar: NotComparable | None
    data: tuple[float, float] | None
    verdict: PairVerdict | None = None
    unit: Unit = "seed"
    p_corrected: float | None = None
    p_outside: float | None = None
    tests: int | None = None
    seeds_needed: int | None = None
    seeds_seen: int | None = None
    limit: Limit | None = None
    by_seed: tuple[float, float] | None = None
    asked: tuple[int, int] | None = None


def pair_row(frame: Frame, a: Side, b: Side, measure: str) -> Row:
    """A pair of the family. Two sides that no seed changes but by the split are compared over the test items.

    Data that are redrawn with each seed are other items each time, and there seeds are replicates.
    """
    row = row_of(frame, a, b, measure)
    row = replace(row, asked=_asked(a, measure))
    if not (draws_nothing(a) and draws_nothing(b)) or frame.generated or not frame.paired:
        return row
    if any(row.found.failed) or row.bar is not None:
        return row
    made = over_items(
        [run.detail for run in a.runs], [run.detail for run in b.runs], measure, alpha=frame.alpha
    )
    if made is None:
        return row
    found, unit = made
    if frame.delta is not None:
        found = found.against(frame.delta)
    if frame.errors:
        found = as_errors(found)
    seeds = row.found.differences
    return replace(row, found=found, unit=unit, by_seed=(min(seeds), max(seeds)) if seeds else None)


def _asked(side: Side, measure: str) -> tuple[int, int] | None:
    """The test items that ask for a measure, and their classes; None where the runs do not keep them."""
    key, label = f"per_query/{measure}", "per_query/label"
    for run in side.runs:
        if key in run.detail and label in run.detail:
            kept = np.isfinite(np.asarray(run.detail[key], dtype=np.float64))
            return int(kept.sum()), len(np.unique(np.asarray(run.detail[label])[kept]))
    return None


def row_of(frame: Frame, a: Side, b: Side, measure: str) -> Row:
    """What the runs say of side a against side b on a measure.

    >>> from losscope.stats.sides import Measured, sides_of
    >>> runs = [Measured(name, 0, {"eer": eer}) for name, eer in (("a", 0.2), ("b", 0.1))]
    >>> row_of(Frame(False, 1, 0.04, True, (), "eer"), *sides_of(runs), "eer").found.difference
    0.1
    """
    found = compare(
        a.values(measure),
        b.values(measure),
        measure,
        alpha=frame.alpha,
        failed=(a.failed, b.failed),
        paired=frame.paired,
        errors=frame.errors and measure == frame.primary,
        delta=frame.delta if measure == frame.primary else None,
    )
    bar = barred(declared(measure), a.traits, b.traits)
    splits = a.split(measure), b.split(measure)
    if bar is None and found.n == 0 and not any(found.failed):
        lacking = tuple(side.name for side in (a, b) if not side.has(measure))
        bar = NotComparable(why="no_value" if lacking else "no_pair", names=lacking)
        few = _few_pairs([side for side in (a, b) if side.name in lacking], measure)
        bar = bar if few is None else NotComparable(why="few_pairs", names=lacking, count=few)
    if bar is None and splits[0] is not None and splits[1] is not None and splits[0] != splits[1]:
        bar = NotComparable(why="splits", names=(splits[0], splits[1]))
    if bar is None and frame.folds:
        bar = NotComparable(why="folds", count=frame.folds)
    return Row(
        a=a.name,
        b=b.name,
        found=found if bar is None else replace(found, p=None),
        bar=bar,
        data=None if frame.generated or frame.folds else _data_interval(a, b, measure, found),
    )


def _few_pairs(sides: Sequence[Side], measure: str) -> int | None:
    """The most pairs of different classes that a run without a value has, if they are too few for one."""
    least = declared(measure).negative_pairs
    counts = [
        int(np.max(run.detail["count/negative_pairs"]))
        for side in sides
        for run in side.runs
        if "count/negative_pairs" in run.detail
    ]
    return max(counts) if least is not None and counts and max(counts) < least else None


def _data_interval(a: Side, b: Side, measure: str, found: Difference) -> tuple[float, float] | None:
    """The interval for data like these, where the runs keep per-query values of the same queries."""
    if found.difference is None or declared(measure).scale != "difference":
        return None
    if found.scale != "difference":
        plainly = compare(
            a.values(measure),
            b.values(measure),
            measure,
            alpha=found.alpha,
            failed=(a.failed, b.failed),
            paired=found.paired,
        )
        ends = _data_interval(a, b, measure, plainly)
        if ends is None:
            return None
        low, high = (on_errors(plainly, end) for end in ends)
        return None if low is None or high is None else (low, high)
    lost = zip(a.failed, b.failed, strict=True) if found.paired else None
    kept = [not (i or j) for i, j in lost] if lost is not None else None
    sides = []
    for side in (a, b):
        live = kept if kept is not None else [not gone for gone in side.failed]
        sides.append([run.detail for run, alive in zip(side.runs, live, strict=True) if alive])
    everyone = sides[0] + sides[1]
    key, label = f"per_query/{measure}", "per_query/label"
    if found.missing or any(key not in detail or label not in detail for detail in everyone):
        return None
    labels = np.asarray(everyone[0][label])
    if any(not np.array_equal(labels, detail[label]) for detail in everyone[1:]):
        return None
    means = [
        np.mean([np.asarray(detail[key], dtype=np.float64) for detail in side], axis=0) for side in sides
    ]
    v = jackknife_variance(means[0] - means[1], labels)
    if v is None:
        return None
    if found.paired:
        return data_like_these(found.differences, v[0])
    x, y = ([value for value in side.values(measure) if value is not None] for side in (a, b))
    return data_like_these_unpaired(x, y, v[0])
