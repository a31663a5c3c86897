"""What a planned study will take: its gradient steps, which follow from its plan, and its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from losscope.run import cost, launch

if TYPE_CHECKING:
    from losscope.comparing.planning import Plan

READING = 2.0
"""Seconds in which a study is read, tested and its page written, and ..."""
READING_EACH = 0.02
"""... for each of its final runs: `losscope report` of 27 runs took 2.4 s, of 90 runs 3.6 s."""


@dataclass(frozen=True)
class Spending:
    """``steps``: gradient steps of all members. ``core_seconds``: processor time. ``seconds``: until the end.

    What is stored is not counted; all are 0 where nothing is left to train.
    """

    steps: int
    core_seconds: float
    seconds: float


def speeds(
    made: Plan, known: Mapping[str, cost.Speed] | None = None, say: Callable[[str], None] | None = None
) -> dict[str, cost.Speed]:
    """The speed of each kind of run that is left, measured unless it is ``known``; nothing is kept."""
    groups = [*made.trial_groups, *made.groups]
    pairs = [(group, made.source) for group in groups]
    return cost.speeds(pairs, made.store, _stored(made), say, known=known, keep=False)


def spending(made: Plan, known: Mapping[str, cost.Speed]) -> Spending:
    """What is left of a study, stage by stage: a stage waits for the one before."""
    stored, steps, total, wall = _stored(made), 0, 0.0, 0.0
    processes = False
    for groups in (*made.trial_stages, made.groups):
        left = [group for group in groups if not stored.issuperset(group.ids)]
        costs = cost.seconds(left, known, stored)
        engine = launch.engine_of(left, made.study.given.engine)
        processes = processes or (engine != "here" and len(left) > 1)
        steps += sum(known[cost.kind_of(group.runs[0])].steps_of(group) for group in left)
        total += sum(costs.values())
        wall += cost.wall(list(costs.values()), engine)
    if not total:
        return Spending(0, 0.0, 0.0)
    reading = READING + READING_EACH * len(made.runs)
    starts = cost.cores(made.study.given.engine) * cost.START if processes else 0.0
    return Spending(steps, total + starts + reading, wall + (cost.START if processes else 0.0) + reading)


def _stored(made: Plan) -> frozenset[str]:
    ids = (run_id for group in (*made.trial_groups, *made.groups) for run_id in group.ids)
    return cost.whole(made.store, ids)
