"""Runs groups of runs on an engine: here, in processes, or on Dask. A group is trained as one population.

A group that raises is kept as failed runs with the reason; the next command tries it again. What follows
where a process ends is said in ``deaths``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from losscope.run import on_dask, processes
from losscope.run.groups import ACTIVITY, MEMORY_BUDGET, Group, Where, group
from losscope.run.processes import ask
from losscope.run.store import Store
from losscope.run.working import run_group

LONG = 500
"""Members × epochs from which starting processes is worth its seconds."""
ALONE = 25
"""An epoch of a convolutional net takes as long as so many of a net of linear layers, at least."""
Say = Callable[[str], None]


def execute(
    groups: Sequence[Group],
    engine: str,
    activity: ACTIVITY | None = None,
    say: Say | None = None,
    whole: Collection[str] = (),
) -> None:
    """Run all groups on an engine: ``here``, ``processes``, ``dask``, or ``auto``.

    ``auto`` is Dask where the groups have the address of a cluster, else processes for long work on the CPU
    where there are cores, else here.
    ``activity(group, epochs done, epochs)`` is called as they go on, ``say`` with what was found damaged in
    the store, which is run again; ``whole``: runs whose files the caller has just read and found whole.
    Ctrl-C keeps what is stored. The numbers are the same on every engine.
    """
    todo = _todo(groups, say, whole)
    engine = engine_of(todo, engine)
    if engine == "dask" and todo:
        on_dask.share_out(todo, activity, say)
    elif engine == "processes" and todo:
        processes.share_out(todo, activity)
    else:
        for group in todo:
            run_group(group, _reporter(group, activity))


def engine_of(groups: Sequence[Group], engine: str) -> str:
    """The engine that ``auto`` means for the groups that are to be trained; any other as it is."""
    if engine != "auto":
        return engine
    if groups and groups[0].where.address is not None:
        return "dask"
    epochs = (
        len(group.runs) * group.runs[0].protocol.epochs * (1 if group.stacks else ALONE) for group in groups
    )
    long = sum(epochs) >= LONG
    return "processes" if long and (os.cpu_count() or 1) > 1 and groups[0].where.device == "cpu" else "here"


def far(engine: str, address: str | None) -> bool:
    """Whether runs train on a cluster that is there, whose machines may have other devices than this one."""
    return address is not None or (engine == "dask" and on_dask.of_environment() is not None)


@contextmanager
def crew(engine: str = "here", address: str | None = None) -> Iterator[None]:
    """Keep workers, and the data that they have loaded, between the calls of ``execute`` inside.

    A Dask cluster with an ``address`` is connected to at once, so that a wrong one shows before any work.

    Raises:
        LosscopeError: the cluster cannot be reached.
    """
    with processes.crew(), on_dask.kept():
        if engine == "dask" or address is not None:
            on_dask.reach(address)
        yield


def _todo(groups: Sequence[Group], say: Say | None, whole: Collection[str]) -> list[Group]:
    """The groups that lack a run. Litter of ended processes is swept, damaged runs are set aside first."""
    stores = {group.where.store: Store(group.where.store) for group in groups}
    for place, store in stores.items():
        store.sweep()
        mine = [group for group in groups if group.where.store == place]
        runs = {run_id: run for group in mine for run_id, run in zip(group.ids, group.runs, strict=True)}
        for sentence in store.set_damaged_aside(runs, whole):
            if say:
                say(sentence)
    todo = [
        group for group in groups if not all(stores[group.where.store].has(run_id) for run_id in group.ids)
    ]
    names = {group.name for group in groups} - {group.name for group in todo}
    for store in stores.values():
        for path in (store.root / "checkpoints").glob("*.pt"):
            if path.stem.partition("-")[0] in names:  # another driver ended these runs
                path.unlink(missing_ok=True)
    return todo


def _reporter(group: Group, activity: ACTIVITY | None) -> Callable[[int, int], None] | None:
    return (lambda done, total: activity(group, done, total)) if activity else None


def work_left(groups: Sequence[Group]) -> tuple[int, int]:
    """(epochs to run, runs stored already) of groups, for the progress bar and ``--dry-run``."""
    epochs = stored = 0
    for each in groups:
        store = Store(each.where.store, create=False, absent=True)
        have = sum(store.has(run_id) for run_id in each.ids)
        stored += have
        if have < len(each.ids):
            epochs += 1 if each.runs[0].loss.baseline else each.runs[0].protocol.epochs
    return epochs, stored


__all__ = [
    "ACTIVITY",
    "MEMORY_BUDGET",
    "Group",
    "Where",
    "ask",
    "crew",
    "engine_of",
    "execute",
    "far",
    "group",
    "run_group",
    "work_left",
]
