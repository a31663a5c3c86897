"""A result as a row of the atlas: every goal that it has a measure for, tested or described. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from losscope.core.loss_spec import RAW, UNTRAINED
from losscope.core.quantities import GOALS, quantity
from losscope.core.results import (
    AtlasEntry,
    AtlasGoal,
    AtlasSide,
    BaselineResult,
    DataSketch,
    Result,
    SideResult,
)
from losscope.core.results.atlases import SideKind
from losscope.core.wording import listing


def entry_of(
    result: Result, sketch: DataSketch, *, name: str, family: str, command: str
) -> AtlasEntry | None:
    """The row of the atlas that a result gives; None where no loss has a value for any goal.

    ``sketch`` is what is known of the data before training, ``command`` what makes the result again.
    """
    goals = tuple(goals_of(result))
    if not goals:
        return None
    return AtlasEntry(
        name=name,
        family=family,
        described=result.data.described,
        sketch=sketch,
        seeds=len(result.seeds),
        tuned=all(own.tuned for own in result.settings),
        goals=goals,
        command=command,
        digest=result.data.digest,
        seconds=result.provenance.seconds,
        machine=_told(result.provenance.machine),
    )


def _told(machine: str | tuple[str, ...] | None) -> str:
    return machine if isinstance(machine, str) else listing(machine or ())


def goals_of(result: Result) -> Iterator[AtlasGoal]:
    """The goals that a result has a measure for, by the first measure of each that its losses have."""
    for goal, measures in GOALS.items():
        measure = next(
            (name for name in measures if any(own.kind == "loss" for own in _sides(result, name))), None
        )
        found = None if measure is None else _goal(result, goal, measure)
        if found is not None:
            yield found


def _goal(result: Result, goal: str, measure: str) -> AtlasGoal | None:
    sides = tuple(_sides(result, measure))
    means = {side.name: side.mean for side in sides if side.kind == "loss"}
    if not means:
        return None
    group = result.group
    members = () if group is None else tuple(name for name in group.members if name in means)
    if group is not None and group.measure == measure and group.able and members:
        answer = result.recommendation.loss
        return AtlasGoal(
            goal=goal,
            measure=measure,
            tested=True,
            sides=sides,
            best=members[0],
            members=members,
            answer=answer,
        )
    known = quantity(measure)
    sign = -1.0 if known.better == "lower" else 1.0
    best = max(means, key=lambda name: sign * means[name])
    near = [name for name in means if _behind(means[best], means[name], known.scale, sign) <= known.delta]
    near.sort(key=lambda name: -sign * means[name])
    return AtlasGoal(
        goal=goal, measure=measure, tested=False, sides=sides, best=best, members=tuple(near), answer=None
    )


def _behind(best: float, own: float, scale: str, sign: float) -> float:
    """How far a mean is behind the best one, on the scale of its measure's indifference."""
    if scale == "difference" or min(best, own) <= 0:
        return sign * (best - own)
    return sign * math.log(best / own)


def _sides(result: Result, measure: str) -> tuple[AtlasSide, ...]:
    """The losses, closed forms and raw inputs that have a mean of a measure over all seeds.

    A mean over the seeds that did not fail would stand beside means over all of them.
    """
    beside = [side for side in result.baselines if not side.described and side.name != UNTRAINED]
    made = []
    for side in (*result.losses, *beside):
        mean = side.mean(measure)
        if mean is not None and not side.failed:
            low, high = side.interval(measure)
            made.append(AtlasSide(name=side.name, kind=_kind(side), mean=mean, low=low, high=high))
    return tuple(made)


def _kind(side: SideResult) -> SideKind:
    if not isinstance(side, BaselineResult):
        return "loss"
    return "raw" if side.name == RAW else "closed form"
