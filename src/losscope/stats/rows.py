"""The rows of a comparison: two sides on a measure, what the runs say, and why that is no comparison.

``comparison`` is a row as a result, with its sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from losscope.core import wording
from losscope.core.results import Comparison, Limit, NotComparable, PairVerdict, Scope, Settings, Unit
from losscope.stats.closed import as_errors, on_errors, over_items, queries_of
from losscope.stats.comparison import Difference, declared
from losscope.stats.design import minimal_seeds
from losscope.stats.intervals import (
    FEW_CLASSES,
    data_like_these,
    data_like_these_unpaired,
    jackknife_variance,
)
from losscope.stats.models import of_two_models
from losscope.stats.sides import Side, compared, draws_nothing, plain
from losscope.stats.verdicts import barred, undecided


@dataclass(frozen=True)
class Frame:
    """What every row of one analysis shares.

    ``unit``: what pairs the runs, in the singular. ``averaged``: each value is a mean over runs; it matters
    where the unit is no seed.
    """

    generated: bool
    look: int
    alpha: float
    paired: bool
    settings: tuple[Settings, ...]
    primary: str
    errors: bool = False
    delta: float | None = None
    folds: int = 0
    by_item: bool = False
    unit: str = "seed"
    averaged: bool = False


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
    items: tuple[float, float] | None = None
    asked: tuple[int, int | None] | None = None


def pair_row(frame: Frame, a: Side, b: Side, measure: str) -> Row:
    """A pair of the family, over test items where no seed changes the sides but by the split."""
    row = replace(row_of(frame, a, b, measure), asked=_asked(a, measure, frame.by_item))
    if _one_run_each(frame, a, b) and row.bar is None and not any(row.found.failed):
        return _of_models(frame, row, a, b)
    if not seedless(frame, a, b) or any(row.found.failed) or row.bar is not None:
        return row
    made = over_items(a.details, b.details, measure, alpha=frame.alpha)
    if made is None:
        return row
    found, unit = made
    if frame.delta is not None:
        found = found.against(frame.delta)
    if frame.errors:
        found = as_errors(found)
    seeds = row.found.differences
    unit = "item" if frame.by_item else unit
    return replace(row, found=found, unit=unit, by_seed=(min(seeds), max(seeds)) if seeds else None)


def _one_run_each(frame: Frame, a: Side, b: Side) -> bool:
    """Whether each side is one trained model, of which seeds say nothing and test items something."""
    return frame.unit == "seed" and len(a.runs) == len(b.runs) == 1 and not (frame.generated or frame.folds)


def _of_models(frame: Frame, row: Row, a: Side, b: Side) -> Row:
    """The row over the classes or items that both models were asked for, where the runs keep them."""
    made = of_two_models(a.details[0], b.details[0], row.found.measure, alpha=frame.alpha)
    if made is None or row.found.scale != "difference":
        return row
    found = made.found if frame.delta is None else made.found.against(frame.delta)
    unit = "item" if frame.by_item else made.unit
    return replace(row, found=found, unit=unit, data=made.classes, items=made.items)


def seedless(frame: Frame, a: Side, b: Side) -> bool:
    """Whether no seed changes two sides but by the split, so that test items are compared.

    Data that are redrawn with each seed are other items each time, and there seeds are replicates.
    """
    return draws_nothing(a) and draws_nothing(b) and frame.paired and not frame.generated


def _asked(side: Side, measure: str, by_item: bool) -> tuple[int, int | None] | None:
    """The test items that ask for a measure, and their classes; None where the runs do not keep them.

    ``by_item``: there are no classes, and the items are counted, each once whichever way it asks.
    """
    key, label = f"per_query/{measure}", "per_query/label"
    for run in side.runs:
        if key in run.detail and label in run.detail:
            kept = np.isfinite(np.asarray(run.detail[key], dtype=np.float64))
            different = len(np.unique(np.asarray(run.detail[label])[kept]))
            return (different, None) if by_item else (int(kept.sum()), different)
    return None


def row_of(frame: Frame, a: Side, b: Side, measure: str) -> Row:
    """What the runs say of side a against side b on a measure.

    >>> from losscope.stats.sides import Measured, sides_of
    >>> runs = [Measured(name, 0, {"eer": eer}) for name, eer in (("a", 0.2), ("b", 0.1))]
    >>> row_of(Frame(False, 1, 0.04, True, (), "eer"), *sides_of(runs), "eer").found.difference
    0.1
    """
    found = compared(
        a,
        b,
        measure,
        alpha=frame.alpha,
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
        data=None
        if frame.generated or frame.folds or frame.unit != "seed"
        else _data_interval(a, b, measure, found),
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
        plainly = compared(a, b, measure, alpha=found.alpha, paired=found.paired)
        ends = _data_interval(a, b, measure, plainly)
        if ends is None:
            return None
        low, high = (on_errors(plainly, end) for end in ends)
        return None if low is None or high is None else (low, high)
    if found.missing:
        return None
    both = [i or j for i, j in zip(a.failed, b.failed, strict=True)] if found.paired else None
    ended = [
        [detail for detail, lost in zip(side.details, both or side.failed, strict=True) if not lost]
        for side in (a, b)
    ]
    queries = queries_of(ended[0], ended[1], measure)
    if queries is None:
        return None
    labels, means = queries
    v = jackknife_variance(means[0] - means[1], labels)
    if v is None:
        return None
    if found.paired:
        return data_like_these(found.differences, v[0])
    x, y = ([value for value in side.values(measure) if value is not None] for side in (a, b))
    return data_like_these_unpaired(x, y, v[0])


def _scope(frame: Frame, row: Row) -> Scope:
    if frame.folds:
        return "these_folds"
    if frame.generated:
        return "data_like_these"
    if row.items is not None:  # one run a side
        few = row.asked is not None and row.asked[1] is not None and row.asked[1] < FEW_CLASSES
        return "these_classes" if few else "these_models"
    if frame.unit != "seed":
        return "units_like_these" if frame.averaged else "these_models"
    return "these_classes" if row.unit == "block" else "these_data"


def comparison(frame: Frame, row: Row, family: str | None) -> Comparison:
    """The row as a result, with its sentence. ``family``: None for a described row."""
    found, primary = row.found, family is not None
    better: Literal["a", "b"] | None = None
    if row.verdict in ("higher", "lower") and declared(found.measure).better != "neither":
        better = "a" if declared(found.measure).better == row.verdict else "b"
    tests = row.tests if primary else None
    low, high = row.data or (None, None)
    few = row.verdict == "too_few_seeds" and row.unit == "seed"
    made = Comparison(
        a=row.a,
        b=row.b,
        measure=found.measure,
        scale=found.scale,
        primary=primary,
        family=family,
        n=found.n,
        difference=plain(found.difference),
        low=plain(found.low),
        high=plain(found.high),
        low_data=plain(low),
        high_data=plain(high),
        p=plain(found.p) if primary else None,
        p_holm=plain(row.p_corrected),
        p_outside=plain(row.p_outside),
        p_attainable=min(1.0, tests * found.smallest) if tests and found.n else None,
        tests_in_family=tests,
        look=frame.look,
        alpha=found.alpha,
        delta=found.delta,
        verdict=row.verdict,
        better=better,
        scope=_scope(frame, row),
        seeds_needed=row.seeds_needed,
        seeds_seen=row.seeds_seen,
        limit=row.limit,
        queries=None if row.asked is None else row.asked[0],
        classes=None if row.asked is None else row.asked[1],
        low_items=None if row.items is None else plain(row.items[0]),
        high_items=None if row.items is None else plain(row.items[1]),
        by_seed=row.by_seed,
        paired_by=frame.unit,
        paired=found.paired,
        runs=found.runs,
        failed=found.failed,
        missing=found.missing,
        mean_a=plain(found.mean_a),
        mean_b=plain(found.mean_b),
        sd=plain(found.sd),
        smallest_p=found.smallest,
        order=found.order,
        unit=row.unit,
        seeds_testable=minimal_seeds(tests or 1, frame.look + 1, paired=found.paired) if few else None,
        reason=row.bar or found.reason,
        no_difference=found.reason,
        undecided=undecided(found) if row.verdict == "unresolved" else None,
    )
    return made.model_copy(update={"sentence": wording.sentence(made, frame.settings)})
