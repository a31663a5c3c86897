"""From runs to statistics: losses, baselines, pairs with verdicts, a recommendation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from losscope.core import wording
from losscope.core.errors import LosscopeError, unknown
from losscope.core.loss_spec import CLOSED_FORM, RAW
from losscope.core.quantities import GOALS
from losscope.core.results import (
    BaselineResult,
    Comparison,
    Failure,
    LossResult,
    MeasureValue,
    NotComparable,
    PairVerdict,
    Recommendation,
    Settings,
    Unit,
)
from losscope.stats.closed import over_items
from losscope.stats.closed import tested as best_form
from losscope.stats.comparison import CENSORED, Difference, compare, declared, summary
from losscope.stats.design import alpha_of, minimal_seeds
from losscope.stats.intervals import data_like_these, data_like_these_unpaired, jackknife_variance
from losscope.stats.recommendation import recommend
from losscope.stats.resample import holm
from losscope.stats.sides import Measured, Side, check_seeds, plain, sides_of
from losscope.stats.verdicts import barred, more_seeds, pair_verdict, undecided


@dataclass(frozen=True)
class Analysis:
    """What the runs say: each side's measures, the comparisons of pairs, and what follows for the goal.

    ``losses``: ``spec``, ``tuned``, ``trials`` and ``runs`` are for the caller to fill. ``paired``: first
    the family of the primary measure, Holm within: each loss against the reference, against each baseline and
    against the closed form that leads on validation, and that form against the raw inputs; then every other
    measure of each loss against the reference, described without p or verdict.
    """

    losses: tuple[LossResult, ...]
    baselines: tuple[BaselineResult, ...]
    paired: tuple[Comparison, ...]
    recommendation: Recommendation


@dataclass(frozen=True)
class _Frame:
    """What every row of one analysis shares."""

    generated: bool
    look: int
    alpha: float
    paired: bool
    settings: tuple[Settings, ...]
    folds: int = 0


@dataclass(frozen=True)
class _Row:
    """A pair of sides on a measure: what the runs say, why that is no comparison, and what is decided."""

    a: str
    b: str
    found: Difference
    bar: NotComparable | None
    data: tuple[float, float] | None
    verdict: PairVerdict | None = None
    unit: Unit = "seed"
    p_corrected: float | None = None
    tests: int | None = None
    seeds_needed: int | None = None


def analyse(
    runs: Iterable[Measured],
    *,
    goal: str | None = None,
    reference: str | None = None,
    measure: str | None = None,
    settings: Sequence[Settings] = (),
    generated: bool = False,
    looks: int = 1,
    unpaired: bool = False,
    folds: int = 0,
) -> Analysis:
    """The statistics of a comparison (docs/definitions.md, "Inference").

    ``goal``: retrieval, verification, classification, detail, compactness or cross-modal, whose measure is
    primary; without one, the first goal whose measure the runs have. ``measure``: another primary measure.
    ``reference``: the loss that the others are tested against, by default contrastive, else the first.
    ``settings``: the numbers of the losses that every sentence names, and whether they were tuned.
    ``generated``: the data are redrawn with each seed. ``looks``: how many times the data have been looked
    at, this time included. ``unpaired``: seeds of different losses have nothing in common. ``folds``: how
    many folds of one data set the seeds test; folds share training rows, so that nothing is tested.

    >>> runs = [Measured(loss, seed, {"recall_at_1": base + seed / 1000})
    ...         for loss, base in (("contrastive", 0.90), ("triplet", 0.93)) for seed in range(6)]
    >>> row = analyse(runs).paired[0]
    >>> row.a, row.verdict, row.b, row.p_holm
    ('triplet', 'higher', 'contrastive', 0.03125)

    Raises
    ------
    LosscopeError
        No runs, a run given twice, unpaired seeds, an unknown goal, measure, reference or look, or a primary
        measure that the runs do not have.
    """
    sides = sides_of(runs)
    losses = [side for side in sides if side.runs[0].family == "loss"]
    baselines = [side for side in sides if side.runs[0].family == "baseline"]
    closed = [side for side in sides if side.runs[0].family == CLOSED_FORM]
    if not losses:
        raise LosscopeError("no runs of a loss; give the runs of at least one")
    if not unpaired:
        check_seeds(sides)
    measures = _measures(sides)
    primary, family = _primary(goal, measure, losses, measures)
    anchor = _reference(losses, reference)
    frame = _Frame(generated, looks, alpha_of(looks), not unpaired, tuple(settings), folds)

    rest = [side for side in losses if side is not anchor]
    held = [base for base in baselines if base.has(primary) or any(base.failed)]
    best = _best_closed(closed, primary)
    against = held if best is None else [*held, best]
    pairs = [(side, anchor) for side in rest] + [(side, base) for side in losses for base in against]
    rows = [_row(frame, a, b, primary) for a, b in pairs]
    if best is not None:
        rows += [row for base in held if base.name == RAW and (row := _untrained(frame, best, base, primary))]
    tested = [_comparison(frame, row, family) for row in _tested(frame, rows)]
    described = [
        _comparison(frame, _row(frame, side, anchor, name), None)
        for name in measures
        if name != primary
        for side in rest
        if _describable(side, anchor, name)
    ]
    found = [LossResult(**_side(side, measures)) for side in losses]
    bases = [BaselineResult(**_side(side, measures)) for side in baselines]
    forms = [
        BaselineResult(**_side(side, measures), family=CLOSED_FORM, described=side.runs[0].described)
        for side in closed
    ]
    advice = recommend(
        goal=family,
        measure=primary,
        losses=found,
        reference=anchor.name,
        baselines=[base for base, side in zip(bases, baselines, strict=True) if side in held],
        closed=next((form for form in forms if best is not None and form.name == best.name), None),
        rows=tested,
        settings=settings,
    )
    return Analysis(tuple(found), (*bases, *forms), (*tested, *described), advice)


def _best_closed(closed: Sequence[Side], primary: str) -> Side | None:
    """The closed form that is tested: the best on validation of those at the study's embedding size."""
    able = {side.name: side for side in closed if not side.runs[0].described and side.has(primary)}
    name = best_form({name: [run.validation for run in side.runs] for name, side in able.items()}, primary)
    return None if name is None else able[name]


def _measures(sides: Sequence[Side]) -> list[str]:
    names = dict.fromkeys(name for side in sides for run in side.runs for name in run.values)
    for name in names:
        declared(name)
    if not names:
        raise LosscopeError("no run has a measure; every run failed or is empty")
    return list(names)


def _primary(
    goal: str | None, measure: str | None, losses: Sequence[Side], measures: Sequence[str]
) -> tuple[str, str]:
    """The primary measure and the name of its family."""
    if goal is not None and goal not in GOALS:
        raise unknown("goal", goal, GOALS)
    held = [name for name in measures if any(side.has(name) for side in losses)] or list(measures)
    if measure is not None:
        declared(measure)
        if measure not in measures:
            raise LosscopeError(f"no run has the measure {measure!r}; they have {', '.join(measures)}")
        return measure, goal or measure
    for name in [goal] if goal is not None else list(GOALS):
        for candidate in GOALS[name]:
            if candidate in held:
                return candidate, name
    if goal is None:
        return held[0], held[0]
    wanted = " or ".join(GOALS[goal])
    raise LosscopeError(
        f"the goal {goal!r} is decided by {wanted}, which no run has; they have {', '.join(held)}"
    )


def _reference(losses: Sequence[Side], reference: str | None) -> Side:
    names = [side.name for side in losses]
    if reference is not None:
        if reference not in names:
            raise unknown("reference loss", reference, names)
        return losses[names.index(reference)]
    usual = [side for side in losses if side.name.partition("(")[0].strip() == "contrastive"]
    return (usual or list(losses))[0]


def _ended(side: Side, measure: str) -> list[float | None]:
    return [value for value, lost in zip(side.values(measure), side.failed, strict=True) if not lost]


def _side(side: Side, measures: Sequence[str]) -> dict[str, Any]:
    """The fields that a loss and a baseline share."""
    return {
        "name": side.name,
        "measures": {
            name: _measured(side, name) for name in measures if any(name in run.values for run in side.runs)
        },
        "failed": sum(side.failed),
        "failures": tuple(Failure(seed=run.seed, reason=run.failed) for run in side.runs if run.failed),
    }


def _measured(side: Side, measure: str) -> MeasureValue:
    mean, low, high = summary(_ended(side, measure), measure)
    return MeasureValue(
        mean=mean,
        low=low,
        high=high,
        values=tuple(side.values(measure)),
        split=side.split(measure),
        unit=declared(measure).unit,
    )


def _describable(a: Side, b: Side, measure: str) -> bool:
    """Whether a described row has anything to say: values on both sides, or an order of epochs."""
    if measure in CENSORED and True not in (a.traits.floor, b.traits.floor):
        return a.has(measure) or b.has(measure)
    return a.has(measure) and b.has(measure)


def _tested(frame: _Frame, rows: Sequence[_Row]) -> list[_Row]:
    """The family of the primary measure: what can be compared at all is in it, also if its runs failed."""
    inside = [row for row in rows if row.bar is None]
    tests = len(inside)
    corrected = iter(holm([row.found.p for row in inside]))
    done = []
    for row in rows:
        p = next(corrected) if row.bar is None else None
        verdict = pair_verdict(row.found, p_corrected=p, tests=max(1, tests), reason=row.bar)
        judged = replace(row, verdict=verdict, p_corrected=p, tests=tests if row.bar is None else None)
        if verdict in ("too_few_seeds", "unresolved") and row.unit == "seed":
            judged = replace(judged, seeds_needed=more_seeds(row.found, tests=tests, look=frame.look))
        done.append(judged)
    return done


def _untrained(frame: _Frame, a: Side, b: Side, measure: str) -> _Row | None:
    """Two sides that no seed changes but by the split: compared over the test items.

    Data that are redrawn with each seed are other items each time, and there seeds are replicates.
    """
    row = _row(frame, a, b, measure)
    if frame.generated or frame.folds or not frame.paired or any(row.found.failed):
        return row
    made = over_items(
        [run.detail for run in a.runs], [run.detail for run in b.runs], measure, alpha=frame.alpha
    )
    return None if made is None else replace(row, found=made[0], unit=made[1])


def _row(frame: _Frame, a: Side, b: Side, measure: str) -> _Row:
    found = compare(
        a.values(measure),
        b.values(measure),
        measure,
        alpha=frame.alpha,
        failed=(a.failed, b.failed),
        paired=frame.paired,
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
    return _Row(
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
    if found.difference is None or found.scale != "difference":
        return None
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


def _comparison(frame: _Frame, row: _Row, family: str | None) -> Comparison:
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
        p_attainable=min(1.0, tests * found.smallest) if tests and found.n else None,
        tests_in_family=tests,
        look=frame.look,
        alpha=found.alpha,
        delta=found.delta,
        verdict=row.verdict,
        better=better,
        scope="these_folds" if frame.folds else "data_like_these" if frame.generated else "these_data",
        seeds_needed=row.seeds_needed,
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
