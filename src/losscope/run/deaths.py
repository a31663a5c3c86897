"""What follows where the process of a group ends: the rule of three for each run, on every engine.

The group is tried again, as the end may be no fault of its: systems end processes for memory. At the third
end its members are trained alone, which gives the same numbers, and a run that then ends three processes by
itself is recorded as failed.
"""

from __future__ import annotations

from collections import Counter

from losscope.core import wording
from losscope.run import logs
from losscope.run.groups import ACTIVITY, Group
from losscope.run.record import Record
from losscope.run.store import Store

MOST_DEATHS = 3
"""Processes that a group may end before its members are trained alone, and a run before it is failed."""


class Deaths:
    """How many processes each group of a command has ended; ``activity`` hears of those that are split."""

    def __init__(self, activity: ACTIVITY | None = None) -> None:
        self._ended: Counter[str] = Counter()
        self._activity = activity

    def attempt(self, group: Group) -> int:
        """Which attempt the next one of a group is, counted from 1."""
        return self._ended[group.name] + 1

    def after(self, group: Group, how: str = "", ended: int = 0) -> list[Group]:
        """What is to be trained after a group ended its process; nothing where it is recorded as failed.

        Args:
            group: what was in the hands of the process.
            how: how the process ended, in words, where that is known.
            ended: processes that the group has ended at least, where somebody else counts too.
        """
        self._ended[group.name] = max(self._ended[group.name] + 1, ended)
        many = self._ended[group.name]
        logs.write(group, "lost", wording.process_lost(many, how))
        if many < MOST_DEATHS:
            return [group]
        if len(group.runs) > 1:
            store = Store(group.where.store)
            left = [single for single in group.alone() if not store.has(single.ids[0])]
            for single in left:
                logs.write(single, "split", "its group ended too many processes: it is trained alone")
            if self._activity and left:
                self._activity(group, 0, group.runs[0].protocol.epochs)  # its members are counted from here
            return left
        fail(group, wording.ended_processes(MOST_DEATHS, how))
        return []


def fail(group: Group, reason: str) -> None:
    """Record a group's runs as failed; those that are done stay so."""
    from losscope import __version__

    store, told = Store(group.where.store), {"losscope": __version__}
    for run, run_id in zip(group.runs, group.ids, strict=True):
        store.add(run_id, Record(run, status="failed", reason=reason, provenance=told))
    logs.write(group, "failed", reason)
