"""What a worker of a Dask cluster does with a group, and how its driver has it stop."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from losscope.core.errors import LosscopeError
from losscope.run.deaths import MOST_DEATHS
from losscope.run.groups import Group
from losscope.run.limits import OVER, PATIENCE, interrupt
from losscope.run.working import run_group

TOLD_EVERY = 0.2
"""Seconds between two epochs that a worker tells: all that many workers tell goes through one scheduler."""


@dataclass(frozen=True)
class Ended:
    """How a worker's work on a group ended; ``said``: the mistake of the user's."""

    how: Literal["done", "interrupted", "deaths", "over", "mistake"]
    said: str = ""


def dask_setup(worker: object) -> None:
    """Called by Dask in each worker that was started here: Ctrl-C reaches the driver, which passes it on."""
    os.setpgrp()


def tries(folder: Path, group: Group) -> list[str]:
    """What became of a group under a command so far: ``begun`` for each attempt, ``over`` for its limit."""
    try:
        return (folder / group.name).read_text().split()
    except OSError:
        return []


def _note(folder: Path, group: Group, word: str) -> None:
    with open(folder / group.name, "a") as file:
        file.write(f"{word}\n")


_working = threading.Lock()
"""Held by the thread that works on a group: arithmetic and the working folder are the process's."""


def work(group: Group, command: str, name: str, home: str) -> Ended:
    """What a worker does with a group, in a thread of its own; one group at a time, whatever its threads.

    A mistake is told and not raised: Dask shows the traceback of what is raised.

    Args:
        group: what is trained.
        command: the folder of the command that counts attempts.
        name: the topic that epochs are told under, and what the work is interrupted by.
        home: the working folder of the driver, from which names of files count.
    """
    with _working:
        return _work(group, command, name, home)


def _work(group: Group, command: str, name: str, home: str) -> Ended:
    from distributed import get_worker

    worker, folder = get_worker(), Path(command)
    key, me = worker.get_current_task(), f"the worker {worker.address} on {socket.gethostname()}"
    for path in (home, command):
        if not Path(path).is_dir():
            return Ended(
                "mistake",
                f"{me} does not see the folder {path!r}; workers need the disk of the driver under the same "
                "path, and --out on it",
            )
    known = tries(folder, group)
    if "over" in known:
        return Ended("over")
    if known.count("begun") >= MOST_DEATHS:
        return Ended("deaths")
    _note(folder, group, "begun")

    def end() -> None:
        try:
            _note(folder, group, "over")
        finally:
            os._exit(OVER)

    last = -TOLD_EVERY

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= TOLD_EVERY:
            last = time.monotonic()
            worker.log_event(name, (key, done, total))

    attempt = len(known) + 1
    try:
        with contextlib.chdir(home):
            run_group(group, progress, engine="dask", attempt=attempt, name=name, end=end)
    except KeyboardInterrupt:
        return Ended("interrupted")
    except LosscopeError as error:
        return Ended("mistake", f"{me}: {error}")
    return Ended("done")


async def stop(name: str) -> None:
    """Interrupt the work of a command in a worker, and wait until it has kept its state."""
    import asyncio

    waited = 0.0
    while interrupt(name) and waited < PATIENCE:
        await asyncio.sleep(0.1)
        waited += 0.1
