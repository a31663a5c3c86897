"""The processes that train one run together: how they are started or met, told what to do, and ended.

Process 0 is the one that plans, keeps the store and prints. It starts the others itself (``--devices N``), or
``torchrun`` started all of them and says by the environment which one this is. The others wait for a job, do
their part of it, and wait for the next; a job is a text of losscope's own, and nothing is unpickled of what
came over the network. What one of them raises, all get to know; if all raised, the job has failed and the
next one follows, and if one is missing, all end with one sentence.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.core.device import Seat
from losscope.core.errors import LosscopeError, require
from losscope.run.spawning import begin, by_signal

if TYPE_CHECKING:
    from losscope.train.together import Team

Follow = Callable[[bytes], None]
"""Does a process's part of a job that process 0 tells."""

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others in the middle of a step."""
WAITING = timedelta(days=30)
"""How long it waits between jobs, and while another one loads data or measures."""
STARTED = 300.0
"""Seconds in which a process has to start."""
ECHO = 10.0
"""Seconds in which all raise, where all do."""
GOES_ON = "what is finished is kept, the same command goes on from here"


class Broken(LosscopeError):
    """Not all processes are there any more."""


@dataclass
class _Joined:
    """What a process knows of the others while it is one of several."""

    team: Team
    notes: Any
    """A store of torch's, in which each process leaves how a job ended."""
    others: list[Any] = field(default_factory=list)
    """The processes that this one started."""
    jobs: int = 0

    def leave(self, note: str) -> None:
        self.notes.set(f"{self.jobs}/{self.team.rank}", note)

    def left(self) -> list[str]:
        """What each of the processes has left of this job so far; empty where it has left nothing."""
        keys = [f"{self.jobs}/{rank}" for rank in range(self.team.size)]
        return [self.notes.get(key).decode() if self.notes.check([key]) else "" for key in keys]

    def all_ended(self) -> bool:
        """Whether all processes came to an end of the job, and none for want of another; waits a little."""
        until = time.monotonic() + ECHO
        while time.monotonic() < until:
            found = self.left()
            if _LOST in found:
                return False
            if all(found):
                return True
            time.sleep(0.02)
        return False

    def why(self, echo: str) -> str:
        """Which process stopped, as far as it is known."""
        size = self.team.size
        for rank, note in enumerate(self.left()):
            if note not in ("", _LOST, _DONE):
                return f"process {rank} of {size} stopped: {note}; {GOES_ON}"
        for process in self.others:
            process.join(1.0)
        for rank, process in enumerate(self.others, 1):
            if code := process.exitcode:
                how = by_signal(code) or f"with code {code}"
                return f"process {rank} of {size} was ended {how}; {GOES_ON}"
        return f"one of {size} processes ended or did not answer ({echo}); {GOES_ON}"


_LOST, _DONE = "lost", "done"
_joined: _Joined | None = None


def team() -> Team:
    """The processes that this one is one of; a team of one where it is alone."""
    from losscope.train.together import ALONE

    return ALONE if _joined is None else _joined.team


@contextlib.contextmanager
def at_work(job: Callable[[], bytes] | None = None) -> Iterator[None]:
    """All processes work on a job: process 0 tells it, and what one of them raises, all get to know.

    ``job``: of process 0, gives what the others hear; None where it is for this process alone.

    Raises:
        Broken: another process ended, or this one raised and the others did not.
    """
    from losscope.train.together import Lost

    if _joined is None or (job is None and _joined.team.leads):
        yield
        return
    joined = _joined
    joined.jobs += 1
    try:
        if job is not None:
            joined.team.tell(job())
        yield
    except Lost as error:
        joined.leave(_LOST)
        raise Broken(joined.why(str(error))) from error
    except Exception as error:
        said = str(error).partition("\n")[0]
        note = said if isinstance(error, LosscopeError) else f"{type(error).__name__}: {said}"
        joined.leave(note)
        if joined.all_ended():
            raise
        raise Broken(
            f"process {joined.team.rank} of {joined.team.size} stopped: {note}; {GOES_ON}"
        ) from error
    else:
        joined.leave(_DONE)


@contextlib.contextmanager
def started(count: int, device: str, follow: Follow) -> Iterator[None]:
    """Within it so many processes train together, of which this is process 0; they are started and ended.

    Nothing happens where they are together already, by torchrun, or where one is asked for.

    Args:
        count: how many.
        device: ``cpu``, or ``cuda`` for one GPU each.
        follow: what the others do with a job; a function that they can import.

    Raises:
        LosscopeError: more than there are GPUs; a process that does not start.
    """
    if count == 1 or _joined is not None:
        yield
        return
    from torch import distributed

    require(
        distributed.is_available() and distributed.is_gloo_available(),
        "this torch was built without gloo, by which processes meet; wanted: another build, or --devices 1",
    )
    require(
        not distributed.is_initialized(),
        f"this process is one of a group of torch's already, and devices={count} starts its own; wanted: "
        "devices=1, or a process that has not called init_process_group",
    )
    enough(count, device)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="losscope-devices-") as folder:
        meeting = str(Path(folder) / "meeting")
        seats = [Seat(rank, count, rank, count) for rank in range(count)]
        others = [
            context.Process(target=_other, args=(seat, device, meeting, follow), daemon=True)
            for seat in seats[1:]
        ]
        try:
            for process in others:
                begin(process)
            with joined(seats[0], device, _store("FileStore", meeting, count), others):
                yield
            for process in others:
                process.join(ECHO)
        finally:
            for process in others:
                if process.pid is not None and process.is_alive():
                    process.kill()
                    process.join()


@contextlib.contextmanager
def joined(seat: Seat, device: str, notes: Any = None, others: list[Any] | None = None) -> Iterator[None]:
    """Within it this process is one of several; those that process 0 leads are let go at its end.

    Args:
        seat: which one it is.
        device: ``cpu`` (gloo), or ``cuda`` (NCCL) for one GPU each.
        notes: the store in which the processes meet; torchrun's where it is None.
        others: the processes that this one started.

    Raises:
        LosscopeError: a process that does not start, or with other versions.
    """
    global _joined
    import torch
    from torch import distributed

    from losscope.train.together import Lost, Team

    if notes is None:
        from torch.distributed.rendezvous import rendezvous

        notes = _store("PrefixStore", "losscope", next(rendezvous("env://"))[0])
    if device.startswith("cuda"):
        enough(seat.local_size, device)
        torch.cuda.set_device(seat.local)
    _present(seat, notes, others or [])
    backend = "nccl" if device.startswith("cuda") else "gloo"
    group = {"store": notes, "rank": seat.rank, "world_size": seat.size, "timeout": PATIENCE}
    distributed.init_process_group(backend, **group)
    try:
        waiting = distributed.new_group(backend="gloo", timeout=WAITING)
        _joined = _Joined(Team(seat.rank, seat.size, waiting), notes, others or [])
        yield
        if seat.rank == 0:
            with contextlib.suppress(Lost):  # all is done, and whoever ended before is not missed
                _joined.team.tell(b"")
    finally:
        _joined = None
        distributed.destroy_process_group()


def serve(follow: Follow) -> None:
    """Do this process's part of each job until process 0, which says what failed, lets it go or is gone."""
    from losscope.train.together import Lost

    assert _joined is not None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for process 0, at whose end this one ends
    try:
        while job := _joined.team.hear():
            try:
                with at_work():
                    follow(job)
            except Broken:
                return
            except Exception:
                continue  # all have raised: process 0 says it, and goes on
    except Lost:
        return


def enough(count: int, device: str) -> None:
    """Raise LosscopeError where there are fewer GPUs on this machine than processes that want one each."""
    if not device.startswith("cuda"):
        return
    import torch

    found = torch.cuda.device_count()
    require(
        count <= found,
        f"{count} devices were asked for and torch sees {found} "
        f"{'GPU' if found == 1 else 'GPUs'} on this machine; wanted: --devices {found}, or --device cpu",
    )


def _other(seat: Seat, device: str, meeting: str, follow: Follow) -> None:
    """A process that another one started."""
    os.setpgrp()  # Ctrl-C reaches process 0, which ends the others
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # its end is the process's
    with joined(seat, device, _store("FileStore", meeting, seat.size)):
        serve(follow)


def _store(kind: str, *given: Any) -> Any:
    """A store of torch's, whose stubs do not name them; one in a file needs no port."""
    from torch import distributed

    return getattr(distributed, kind)(*given)


def _present(seat: Seat, notes: Any, others: list[Any]) -> None:
    """Wait until all are here, and see that they compute by the same libraries."""
    import numpy
    import torch

    mine = f"torch {torch.__version__} and NumPy {numpy.__version__}"
    notes.set(f"here/{seat.rank}", mine)
    until = time.monotonic() + STARTED
    for rank in range(seat.size):
        while not notes.check([f"here/{rank}"]):
            gone = bool(others and rank and others[rank - 1].exitcode is not None)
            require(
                not gone and time.monotonic() < until,
                f"process {rank} of {seat.size} did not start"
                + (f" (exit code {others[rank - 1].exitcode})" if gone else f" within {STARTED:.0f} s"),
            )
            time.sleep(0.02)
        its = notes.get(f"here/{rank}").decode()
        require(
            its == mine,
            f"process {rank} has {its}, process {seat.rank} {mine}; the same versions are wanted, since all "
            "draw the same batches",
        )
