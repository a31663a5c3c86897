"""Runs groups of runs: here, in processes, or on Dask. A group is trained as one population.

Groups follow from the study, never from what is missing, so that a population is the same however often
it is interrupted. A group that raises is kept as failed runs with the reason; the next command tries it
again. A group whose process dies is tried again in a new one, and failed where that happens thrice.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json

from losscope.core.errors import LosscopeError
from losscope.core.spec import Run
from losscope.losses.foreign.sources import trust
from losscope.run import devices, on_dask
from losscope.run.agreed import check_code, check_data, load_plugins
from losscope.run.arithmetic import fixed_arithmetic
from losscope.run.code import code_digest
from losscope.run.origin import origin
from losscope.run.spawning import begin
from losscope.run.store import Record, Store

SEED_BLOCK = 10
"""Seeds of one group: blocks of this size, counted from seed 0."""
PATIENCE = 30
"""Seconds that a process has to keep its unfinished state after Ctrl-C."""
LONG = 500
"""Members × epochs from which starting processes is worth its seconds."""
ALONE = 25
"""An epoch of a convolutional net takes as long as so many of a net of linear layers, at least."""
MOST_MEMBERS = 12
"""Members of one group, at most: more are no faster, and groups are what processes share out."""
MOST_BASELINES = 5
"""And of a baseline's, which is measured a member at a time."""
MEMORY_BUDGET = 2**26
"""Members × rows² of one group, at most."""
MOST_DEATHS = 3
"""Processes that one group may end before its runs are failed."""
ACTIVITY = Callable[["Group", int, int], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Where:
    """Where runs are kept and computed.

    The store's folder, the folder of data sets, the device, what of a run is kept besides its numbers
    (``none``, ``last``, ``all``), the plugins that a worker loads first, with their texts' checksums, the
    checksum of losscope's own code, and the data's digest where it is known.
    """

    store: str
    data_root: str | None
    device: str
    keep: str
    plugins: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    code: str = field(default_factory=code_digest)
    data: str | None = None


@dataclass(frozen=True)
class Group:
    """Runs that train together, and all that a worker needs to know."""

    runs: tuple[Run, ...]
    ids: tuple[str, ...]
    where: Where

    @property
    def name(self) -> str:
        """A name from the members' ids, for the checkpoint."""
        return hashlib.sha256("".join(self.ids).encode()).hexdigest()[:20]

    @property
    def stacks(self) -> bool:
        """Whether the group is one stacked model (vectors and heads), or alone (convolutions, backbones)."""
        return self.runs[0].protocol.stacks


def group(runs: Sequence[Run], ids: Sequence[str], where: Where) -> list[Group]:
    """Put runs of one family into groups: blocks of seeds, capped by memory, seed by seed.

    Runs of one seed stand side by side, since they share their batches. Convolutions on a CPU are faster one
    after the other, and so are groups of one.
    """
    families: dict[tuple[str, int], list[tuple[Run, str]]] = defaultdict(list)
    for run, run_id in zip(runs, ids, strict=True):
        families[run.family(), run.seed // SEED_BLOCK].append((run, run_id))
    groups = []
    for members in families.values():
        members.sort(key=lambda member: member[0].seed)
        first = members[0][0]
        alone = not first.protocol.stacks
        if first.loss.baseline:
            # Closed forms of a seed stay together: they share its covariances.
            most = MOST_BASELINES * len({run.loss.name for run, _ in members})
        elif alone and (where.device == "cpu" or first.protocol.finetunes):
            most = 1
        else:
            most = max(1, min(MOST_MEMBERS, MEMORY_BUDGET // (3 * first.protocol.batch_size) ** 2))
        # Parts as equal as can be and even in number, so that two processes end together.
        parts = math.ceil(len(members) / most)
        parts += parts % 2 if parts > 1 else 0
        size = math.ceil(len(members) / parts)
        for start in range(0, len(members), size):
            chunk = members[start : start + size]
            groups.append(Group(tuple(run for run, _ in chunk), tuple(i for _, i in chunk), where))
    return groups


def run_group(group: Group, progress: Callable[[int, int], None] | None = None) -> int:
    """Train one group and store its records; returns how many of its runs are stored afterwards.

    A mistake of the user's, or a full disk (LosscopeError), is raised; anything else, such as a lack of
    memory, is kept as the failure of the runs.
    """
    store = Store(group.where.store)
    if all(store.has(run_id) for run_id in group.ids):
        return len(group.ids)
    _prepare(group)
    started = time.time()
    try:
        told = None if group.runs[0].loss.baseline else lambda: TypeAdapter(Group).dump_json(group)
        with devices.at_work(told):
            _keep(group, _records(group, store.checkpoint(group.name), progress), started)
    except LosscopeError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        trace = {"traceback": traceback.format_exc()}
        failed = [Record(run, status="failed", reason=reason, provenance=trace) for run in group.runs]
        _keep(group, failed, started)
    return len(group.ids)


def follow(job: bytes) -> None:
    """Train this process's part of a group, as text, whose records process 0 of several keeps."""
    where = TypeAdapter(Where).validate_python(from_json(job)["where"])
    load_plugins(where.plugins, where.digests)  # whose names the runs may have
    group = TypeAdapter(Group).validate_json(job)
    _prepare(group)
    _records(group, None, None)


def _prepare(group: Group) -> None:
    """Load what the group needs and the process that planned it had; LosscopeError where it is another."""
    load_plugins(group.where.plugins, group.where.digests)
    check_code(group.where.code)
    # A group is only ever made of a study whose losses were permitted, perhaps in another process.
    trust(run.loss.name for run in group.runs if run.loss.foreign)


def _keep(group: Group, records: Sequence[Record], started: float) -> None:
    store, common = Store(group.where.store), origin(group.where.device, group.ids, started)
    for run_id, record in zip(group.ids, records, strict=True):
        record.provenance = {**common, **record.provenance}
        store.add(run_id, record)


def _records(
    group: Group, checkpoint: Path | None, progress: Callable[[int, int], None] | None
) -> list[Record]:
    from losscope.data.trials import for_trials
    from losscope.features import load
    from losscope.train import train

    first, where = group.runs[0], group.where
    source = load(first.data.name, root=where.data_root, device=where.device, **first.data.options)
    check_data(first.data.name, group.where.data, source.digest)
    source = for_trials(source, first.protocol.name) if first.purpose == "trial" else source
    with fixed_arithmetic():
        drawn = {seed: source.splits(seed) for seed in dict.fromkeys(run.split_seed for run in group.runs)}
        return train(
            group.runs,
            [drawn[run.split_seed] for run in group.runs],
            device=group.where.device,
            keep=group.where.keep,
            checkpoint=checkpoint,
            progress=progress,
            team=devices.team(),
        )


def execute(
    groups: Sequence[Group],
    engine: str,
    activity: ACTIVITY | None = None,
    say: Say | None = None,
    whole: Collection[str] = (),
) -> None:
    """Run all groups on an engine: ``here``, ``processes``, ``dask``, or ``auto``.

    ``auto`` is processes for long work on the CPU where there are cores, else here.
    ``activity(group, epochs done, epochs)`` is called as they go on, ``say`` with what was found damaged in
    the store, which is run again; ``whole``: runs whose files the caller has just read and found whole.
    Ctrl-C keeps what is stored. The numbers are the same on every engine.
    """
    todo = _todo(groups, say, whole)
    engine = engine_of(todo, engine)
    if engine == "here" or len(todo) <= 1:
        for group in todo:
            run_group(group, _reporter(group, activity))
    elif engine == "processes":
        _in_processes(todo, activity)
    else:
        _on_dask(todo, activity)


def engine_of(groups: Sequence[Group], engine: str) -> str:
    """The engine that ``auto`` means for the groups that are to be trained; any other as it is."""
    if engine != "auto":
        return engine
    epochs = (
        len(group.runs) * group.runs[0].protocol.epochs * (1 if group.stacks else ALONE) for group in groups
    )
    long = sum(epochs) >= LONG
    return "processes" if long and (os.cpu_count() or 1) > 1 and groups[0].where.device == "cpu" else "here"


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


def _worker(link: Any) -> None:
    """Run the groups that come through ``link`` until None or the end of the driver."""
    os.setpgrp()  # Ctrl-C reaches the driver, which passes it on once

    def tell(kind: str, content: Any = None) -> None:
        try:
            link.send((kind, content))
        except OSError:
            sys.exit(1)  # the driver is gone, and with it whoever wants to know

    try:
        while (group := link.recv()) is not None:
            if not isinstance(group, Group):
                function, *given = group
                tell("answer", function(*given))
                continue
            try:
                run_group(group, lambda done, total: tell("epoch", (done, total)))
                tell("done")
            except LosscopeError as error:
                tell("mistake", str(error))
    except (EOFError, ConnectionResetError):
        return
    except KeyboardInterrupt:
        sys.exit(130)


@dataclass
class _Process:
    """A worker process, the driver's end of its link, and the group in its hands."""

    process: Any
    link: Any
    group: Group | None = None


def _start(context: Any) -> _Process:
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker, args=(theirs,), daemon=False)
    begin(process)
    theirs.close()  # so that the end of the process is the end of the link
    return _Process(process, ours)


_crew: list[_Process] | None = None
"""Worker processes that are kept for the next call of ``execute``; None where none are kept."""


@contextlib.contextmanager
def crew() -> Iterator[None]:
    """Keep worker processes, and the data that they have loaded, between the calls of ``execute`` inside."""
    global _crew
    if _crew is not None:
        return (yield)
    _crew = []
    try:
        yield
    finally:
        workers, _crew = _crew, None
        _dismiss(workers)


def ask(function: Callable[..., Any], *given: Any) -> Any:
    """What a function returns that needs torch: in a worker of the crew, which has it, or here if this has.

    None where neither has, as where nothing was left to train, and where the worker died of it: what ended
    one process is asked of no other, this one least of all.
    """
    if not _crew:
        return function(*given) if "torch" in sys.modules else None
    worker = next((worker for worker in _crew if worker.process.is_alive()), _crew[0])
    try:
        worker.link.send((function, *given))
        return worker.link.recv()[1]
    except (OSError, EOFError):
        worker.process.join()
        return None


def _dismiss(workers: Sequence[_Process]) -> None:
    for worker in workers:  # all are told before one is waited for: an end takes its time, with torch
        worker.link.close()
        if worker.group:
            worker.process.terminate()
    for worker in workers:
        worker.process.join()


def _in_processes(groups: Sequence[Group], activity: ACTIVITY | None) -> None:
    with crew():
        assert _crew is not None
        _share_out(list(groups), _crew, activity)


def _share_out(waiting: list[Group], workers: list[_Process], activity: ACTIVITY | None) -> None:
    """Hand groups to idle workers, started as they are needed, until all are done.

    The group of a worker that dies goes to another one: the death may be no fault of the group's, such as
    where the system ends processes for memory.
    """
    context = multiprocessing.get_context("spawn")
    mistake: str | None = None
    deaths: Counter[str] = Counter()
    for worker in workers:
        _hand(worker, waiting)
    try:
        while waiting or any(worker.group for worker in workers):
            while waiting and len(workers) < (os.cpu_count() or 1):
                workers.append(_start(context))
                _hand(workers[-1], waiting)
            busy = [worker for worker in workers if worker.group]
            ready = multiprocessing.connection.wait([worker.link for worker in busy])
            for worker in (worker for worker in busy if worker.link in ready):
                assert worker.group is not None
                try:
                    kind, content = worker.link.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    workers.remove(worker)
                    deaths[worker.group.name] += 1
                    if mistake is not None:
                        continue
                    if deaths[worker.group.name] < MOST_DEATHS:
                        waiting.append(worker.group)
                    else:
                        _fail(
                            worker.group,
                            f"it ended {MOST_DEATHS} processes: {_end(worker.process.exitcode or 0)}",
                        )
                    continue
                if kind == "epoch":
                    if activity:
                        activity(worker.group, *content)
                    continue
                if kind == "mistake":
                    mistake, waiting = mistake or content, []
                _hand(worker, waiting)
    except KeyboardInterrupt:
        for worker in workers:
            if worker.group and worker.process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGINT)
        for worker in workers:
            worker.process.join(PATIENCE if worker.group else 0)
        raise
    if mistake is not None:
        raise LosscopeError(mistake)


def _hand(worker: _Process, waiting: list[Group]) -> None:
    """Give an idle worker its next group, if one waits."""
    worker.group = waiting.pop(0) if waiting else None
    if worker.group is not None:
        with contextlib.suppress(OSError):  # a process that has died is noticed when it is listened to
            worker.link.send(worker.group)


def _end(code: int) -> str:
    """How a process ended."""
    names = {-number: f"by {number.name}" for number in signal.Signals}
    return f"the last {names.get(code, f'with exit code {code}')}"


def _fail(group: Group, reason: str) -> None:
    store = Store(group.where.store)
    for run, run_id in zip(group.runs, group.ids, strict=True):
        store.add(run_id, Record(run, status="failed", reason=reason))


def _on_dask(groups: Sequence[Group], activity: ACTIVITY | None) -> None:
    def done(group: Group) -> None:
        if activity:
            activity(group, group.runs[0].protocol.epochs, group.runs[0].protocol.epochs)

    on_dask.share_out({group.name: group for group in groups}, run_group, done, _fail, MOST_DEATHS)


def work_left(groups: Sequence[Group]) -> tuple[int, int]:
    """(epochs to run, runs stored already) of groups, for the progress bar and ``--dry-run``."""
    epochs = stored = 0
    for group in groups:
        store = Store(group.where.store, create=False, absent=True)
        have = sum(store.has(run_id) for run_id in group.ids)
        stored += have
        if have < len(group.ids):
            epochs += 1 if group.runs[0].loss.baseline else group.runs[0].protocol.epochs
    return epochs, stored
