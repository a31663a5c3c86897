"""The engine ``processes``: one worker process per core, kept for a whole command."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from losscope.core.errors import LosscopeError
from losscope.run.deaths import Deaths, fail
from losscope.run.groups import ACTIVITY, Group
from losscope.run.limits import OVER, PATIENCE
from losscope.run.spawning import begin, by_signal
from losscope.run.working import over_limit, run_group


def _worker(link: Any) -> None:
    """Run the groups that come through ``link``, each with its attempt, until the driver ends."""
    os.setpgrp()  # Ctrl-C reaches the driver, which passes it on once

    def tell(kind: str, content: Any = None) -> None:
        try:
            link.send((kind, content))
        except OSError:
            sys.exit(1)  # the driver is gone, and with it whoever wants to know

    def progress(done: int, total: int) -> None:
        tell("epoch", (done, total))

    try:
        while (asked := link.recv()) is not None:
            function, *given = asked
            if not isinstance(function, Group):
                tell("answer", function(*given))
                continue
            try:
                run_group(
                    function, progress, engine="processes", attempt=given[0], end=lambda: os._exit(OVER)
                )
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


def share_out(groups: Sequence[Group], activity: ACTIVITY | None) -> None:
    """Train groups in the crew's processes, or in some that are started for this call.

    Raises:
        LosscopeError: a group's own; what was being trained then is finished first.
    """
    with crew():
        assert _crew is not None
        _Sharing(list(groups), _crew, activity).run()


class _Sharing:
    """Groups that wait, workers, and what became of those that ended.

    The group of a worker that dies goes to another one: the death may be no fault of the group's, such as
    where the system ends processes for memory.
    """

    def __init__(self, waiting: list[Group], workers: list[_Process], activity: ACTIVITY | None) -> None:
        self.waiting, self.workers, self.activity = waiting, workers, activity
        self.deaths = Deaths(activity)
        self.mistake: str | None = None

    def run(self) -> None:
        """Hand groups to idle workers, started as they are needed, until all are done."""
        context = multiprocessing.get_context("spawn")
        for worker in self.workers:
            self.hand(worker)
        try:
            while self.waiting or any(worker.group for worker in self.workers):
                while self.waiting and len(self.workers) < (os.cpu_count() or 1):
                    self.workers.append(_start(context))
                    self.hand(self.workers[-1])
                busy = [worker for worker in self.workers if worker.group]
                ready = multiprocessing.connection.wait([worker.link for worker in busy])
                for worker in (worker for worker in busy if worker.link in ready):
                    self.hear(worker)
        except KeyboardInterrupt:
            self.interrupt()
            raise
        if self.mistake is not None:
            raise LosscopeError(self.mistake)

    def hand(self, worker: _Process) -> None:
        """Give an idle worker its next group, if one waits."""
        worker.group = self.waiting.pop(0) if self.waiting else None
        if worker.group is not None:
            with contextlib.suppress(OSError):  # a process that has died is noticed when it is listened to
                worker.link.send((worker.group, self.deaths.attempt(worker.group)))

    def hear(self, worker: _Process) -> None:
        """Take what a busy worker says, or its end."""
        assert worker.group is not None
        try:
            kind, content = worker.link.recv()
        except (EOFError, OSError):
            worker.process.join()
            self.workers.remove(worker)
            if self.mistake is None:
                self.lost(worker.group, worker.process.exitcode or 0)
            return
        if kind == "epoch":
            if self.activity:
                self.activity(worker.group, *content)
            return
        if kind == "mistake":
            self.mistake, self.waiting = self.mistake or content, []
        self.hand(worker)

    def lost(self, group: Group, code: int) -> None:
        """Decide what becomes of a group whose process ended."""
        if code == OVER and group.limit is not None:
            fail(group, over_limit(group))
            return
        self.waiting += self.deaths.after(group, end_of(code))

    def interrupt(self) -> None:
        """Pass Ctrl-C on, and wait until unfinished states are kept."""
        for worker in self.workers:
            if worker.group and worker.process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGINT)
        for worker in self.workers:
            worker.process.join(PATIENCE if worker.group else 0)


def end_of(code: int) -> str:
    """How a process ended.

    >>> end_of(-9), end_of(3)
    ('by SIGKILL', 'with exit code 3')
    """
    return by_signal(code) or f"with exit code {code}"
