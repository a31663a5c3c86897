"""What a planned study will take: its gradient steps, which follow from its plan, and its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from losscope.run import cost, launch

if TYPE_CHECKING:
    from losscope.comparing.planning import Plan
    from losscope.run.store import Store

READING = 2.0
"""Seconds in which a study is read, tested and its page written, and ..."""
READING_EACH = 0.02
"""... for each of its final runs: guesses that are rather too long than too short. After `losscope compare
digits`, 90 final runs, `losscope report losscope-runs` took 2.1 s on a machine of one core."""


@dataclass(frozen=True)
class Spending:
    """``steps``: gradient steps of all members. ``core_seconds``: processor time. ``seconds``: until the end.

    What is stored is not counted; all are 0 where nothing is left to train.
    """

    steps: int
    core_seconds: float
    seconds: float


@dataclass
class Outlook:
    """What plans of one study will take: a kind of run is timed once for all of them, a stored run read once.

    ``say``: is told that something is timed. Nothing is kept in the store before ``keep`` is called.
    """

    say: Callable[[str], None] | None = None
    _known: dict[str, cost.Speed] = field(default_factory=dict)
    _whole: frozenset[str] = frozenset()

    def speeds(self, made: Plan) -> dict[str, cost.Speed]:
        """The speed of each kind of run that is left, measured unless it is known."""
        pairs = [(group, made.source) for group in _every(made)]
        found = cost.speeds(pairs, made.store, self._stored(made), self.say, known=self._known, keep=False)
        self._known |= found
        return found

    def keep(self, store: Store) -> None:
        """Keep what was timed in the store, so that the same work is not timed again."""
        if self._known:
            cost.keep_speeds(store, self._known)

    def of(self, made: Plan) -> Spending:
        """What is left of a study, stage by stage: a stage waits for the one before."""
        known, stored = self.speeds(made), self._stored(made)
        steps, total, wall, processes = 0, 0.0, 0.0, False
        for groups in (*made.trial_stages, made.curve_groups, made.groups):
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

    def _stored(self, made: Plan) -> frozenset[str]:
        """Those of a plan's runs that are stored and whole."""
        ids = frozenset(run_id for group in _every(made) for run_id in group.ids)
        self._whole |= cost.whole(made.store, ids - self._whole)
        return ids & self._whole


def _every(made: Plan) -> tuple[launch.Group, ...]:
    """The populations of tuning, of curves and of the final runs."""
    return (*made.trial_groups, *made.curve_groups, *made.groups)
