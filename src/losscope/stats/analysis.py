"""From runs to statistics: losses, baselines, pairs with verdicts, a recommendation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from losscope.core.errors import LosscopeError, unknown
from losscope.core.loss_spec import CLOSED_FORM, RAW
from losscope.core.quantities import GOALS
from losscope.core.results import (
    BaselineResult,
    BestGroup,
    Comparison,
    Failure,
    LossResult,
    MeasureValue,
    PairSize,
    Recommendation,
    Settings,
)
from losscope.stats.closed import tested as best_form
from losscope.stats.comparison import CENSORED, declared, summary
from losscope.stats.deciding import decide
from losscope.stats.design import alpha_of
from losscope.stats.grouping import best_group, every_pair
from losscope.stats.limits import limit_of, seeds_for_what_was_seen
from losscope.stats.recommendation import recommend
from losscope.stats.rows import Frame, Row, comparison, pair_row, row_of
from losscope.stats.second import second_of
from losscope.stats.sides import Measured, Side, check_seeds, sides_of
from losscope.stats.standing import Family, Standing, by_errors, family
from losscope.stats.verdicts import corrected, more_seeds, pair_verdict


@dataclass(frozen=True)
class Analysis:
    """What the runs say: each side's measures, the comparisons of pairs, and what follows for the goal.

    ``losses``: ``spec``, ``tuned``, ``trials`` and ``runs`` are for the caller to fill. ``paired``: first
    the family of the primary measure, Holm within: the side that leads on validation against each other loss,
    the raw inputs and the best other closed form. Without validation: each loss against the reference, each
    baseline and the closed form that leads on validation, and that form against the raw inputs.
    Then, described without p or verdict, each loss against the baselines that it was not tested against, and
    every other measure of each loss against the reference. ``group`` and ``matrix``: the losses that cannot
    be told from the best, and all pairs of losses, where they were asked for.
    """

    losses: tuple[LossResult, ...]
    baselines: tuple[BaselineResult, ...]
    paired: tuple[Comparison, ...]
    recommendation: Recommendation
    group: BestGroup | None = None
    matrix: tuple[PairSize, ...] = ()


def analyse(
    runs: Iterable[Measured],
    *,
    goal: str | None = None,
    reference: str | None = None,
    measure: str | None = None,
    also: Sequence[str] = (),
    settings: Sequence[Settings] = (),
    generated: bool = False,
    looks: int = 1,
    unpaired: bool = False,
    folds: int = 0,
    standings: Sequence[Standing] = (),
    indifference: float | None = None,
    by_item: bool = False,
    unit: str = "seed",
    averaged: bool = False,
    pairs: bool = False,
) -> Analysis:
    """The statistics of a comparison (docs/definitions.md, "Inference").

    ``goal``: retrieval, verification, classification, detail, compactness or cross-modal, whose measure is
    primary; without one, the first goal whose measure the runs have. ``measure``: another primary measure.
    ``reference``: the loss that the others are tested against, by default contrastive, else the first.
    ``settings``: the numbers of the losses that every sentence names, and whether they were tuned.
    ``generated``: the data are redrawn with each seed. ``looks``: how many times the data have been looked
    at, this time included. ``unpaired``: seeds of different losses have nothing in common. ``folds``: how
    many folds of one data set the seeds test; folds share training rows, so that nothing is tested and no
    candidate is named. ``standings``: how the sides stood on validation, which names the candidate; without
    any, losses are tested against the reference. ``indifference``: the difference that does not matter,
    instead of the primary measure's. ``by_item``: the data have no classes, and labels number items.
    ``also``: measures that are tested beside the primary one, all corrected together. ``unit``: what pairs
    the runs, whose number is their seed; ``averaged``: their values are means over runs. ``pairs``: ``group``
    and ``matrix`` are wanted.

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
    primary, goal = _primary(goal, measure, losses, measures)
    for name in also:
        if not any(side.has(name) for side in losses):
            raise LosscopeError(f"no run has the measure {name!r}; they have {', '.join(measures)}")
    anchor = _reference(losses, reference)
    found = Family() if folds else family(sides, standings, primary, reference)
    errors = (
        indifference is None
        and bool(found.pairs)
        and by_errors([side for side in sides if not side.runs[0].described], standings, primary)
    )
    frame = Frame(
        generated,
        looks,
        alpha_of(looks),
        not unpaired,
        tuple(settings),
        primary,
        errors,
        indifference,
        folds,
        by_item,
        unit,
        averaged,
    )
    held = [
        base for base in baselines if not base.runs[0].described and (base.has(primary) or any(base.failed))
    ]
    best = _best_closed(closed, primary)
    against = found.pairs or _without_validation(losses, anchor, held, best)
    judged = tested(
        frame,
        [pair_row(frame, a, b, name) for name in (primary, *also) for a, b in _able(against, name, primary)],
    )
    every = [comparison(frame, row, goal) for row in judged]
    rows = [row for row in every if row.measure == primary]
    table = {standing.side: standing for standing in standings}
    shown = [LossResult(**_side(side, measures, table)) for side in losses]
    bases = [
        BaselineResult(**_side(side, measures, table), described=side.runs[0].described) for side in baselines
    ]
    forms = [
        BaselineResult(**_side(side, measures, table), family=CLOSED_FORM, described=side.runs[0].described)
        for side in closed
    ]
    beside = second_of(sides, frame)
    if found.candidate is not None and found.pairs:
        advice = decide(
            goal=goal,
            measure=primary,
            family=found,
            sides=(*shown, *bases, *forms),
            reference=anchor.name,
            rows=rows,
            second=beside,
            settings=settings,
        )
    else:
        advice = recommend(
            goal=goal,
            measure=primary,
            losses=shown,
            reference=anchor.name,
            baselines=[base for base, side in zip(bases, baselines, strict=True) if side in held],
            closed=next((form for form in forms if best is not None and form.name == best.name), None),
            rows=rows,
            second=beside,
            settings=settings,
        )
    others = [name for name in measures if name not in also]
    described = _described(frame, found, losses, held, anchor, others, beside.row(advice))
    return Analysis(
        tuple(shown),
        (*bases, *forms),
        (*every, *described),
        advice,
        best_group(frame, losses, primary) if pairs else None,
        every_pair(frame, losses, primary, judged) if pairs else (),
    )


def _able(pairs: Sequence[tuple[Side, Side]], measure: str, primary: str) -> list[tuple[Side, Side]]:
    """The pairs that are tested on a measure: of one beside the primary, those that both have."""
    return [(a, b) for a, b in pairs if measure == primary or (a.has(measure) and b.has(measure))]


def _without_validation(
    losses: Sequence[Side], anchor: Side, held: Sequence[Side], best: Side | None
) -> list[tuple[Side, Side]]:
    """The pairs that are tested where no side was named beforehand."""
    against = list(held) if best is None else [*held, best]
    pairs = [(side, anchor) for side in losses if side is not anchor]
    pairs += [(side, base) for side in losses for base in against]
    return pairs + [(best, base) for base in held if best is not None and base.name == RAW]


def _described(
    frame: Frame,
    found: Family,
    losses: Sequence[Side],
    held: Sequence[Side],
    anchor: Side,
    measures: Sequence[str],
    second: Comparison | None,
) -> list[Comparison]:
    """What is shown without p or verdict, ``second`` first: the second measure where it disagrees."""
    rows = [] if second is None else [second]
    if found.pairs:
        tested = {(a.name, b.name) for a, b in found.pairs}
        rows += [
            comparison(frame, row_of(frame, side, base, frame.primary), None)
            for side in losses
            for base in held
            if (side.name, base.name) not in tested and side.has(frame.primary) and base.has(frame.primary)
        ]
    rows += [
        comparison(frame, row_of(frame, side, anchor, name), None)
        for name in measures
        if name != frame.primary
        for side in losses
        if side is not anchor and _describable(side, anchor, name)
    ]
    known = {(second.a, second.b, second.measure)} if second is not None else set()
    return rows[: len(known)] + [
        row for row in rows[len(known) :] if (row.a, row.b, row.measure) not in known
    ]


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


def _side(side: Side, measures: Sequence[str], standings: Mapping[str, Standing]) -> dict[str, Any]:
    """The fields that a loss and a baseline share."""
    stood = standings.get(side.name, Standing(side.name))
    return {
        "name": side.name,
        "validation": {name: float(value) for name, value in stood.validation.items()},
        "price": stood.price,
        "faults": stood.faults,
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


def tested(frame: Frame, rows: Sequence[Row]) -> list[Row]:
    """The family of the tests: what can be compared at all is in it, also if its runs failed."""
    inside = [row for row in rows if row.bar is None]
    tests = len(inside)
    ps = iter(corrected([row.found for row in inside]))
    done = []
    for row in rows:
        p, outside = next(ps) if row.bar is None else (None, None)
        verdict = pair_verdict(
            row.found, p_corrected=p, p_outside=outside, tests=max(1, tests), reason=row.bar
        )
        judged = replace(
            row, verdict=verdict, p_corrected=p, p_outside=outside, tests=tests if row.bar is None else None
        )
        if verdict in ("too_few_seeds", "unresolved") and row.unit == "seed":
            judged = replace(
                judged,
                seeds_needed=more_seeds(row.found, tests=tests, look=frame.look),
                seeds_seen=seeds_for_what_was_seen(row.found, tests=tests, look=frame.look),
            )
        if verdict in ("too_few_seeds", "unresolved"):
            limit = limit_of(row.found, row.data, unit=row.unit, generated=frame.generated)
            judged = replace(judged, limit=limit)
        done.append(judged)
    return done
