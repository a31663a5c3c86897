"""A loss on several processes: they are started, each has its rows, and what each saw comes back."""

from __future__ import annotations

import os
import pickle
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from losscope.auditing.splits import Batch, Seen, batches, looked_at, seen
from losscope.auditing.subjects import Parameters, Subject, subject
from losscope.core import registry
from losscope.core.errors import LosscopeError, require
from losscope.core.spec import LossSpec
from losscope.losses.distributed import gather

PATIENCE = 600.0
"""Seconds that the processes may take in all, their start included, which is long on a busy machine."""
WAIT = 60.0
"""Seconds without anything new after which it is taken that the processes wait for each other."""
ECHOED = 15.0
"""Seconds that are left to the others when a process has ended."""
START = "start"
"""What a process leaves when it has made the loss."""
ECHO = (
    "Connection closed",
    "Connection reset",
    "Timed out",
    "timed out",
    "Broken pipe",
    "Application timeout",
)
"""What a process says when another has ended, or never came."""


@dataclass(frozen=True)
class Asked:
    """What each process is told."""

    loss: bytes
    protocol: str
    trust: bool
    plugins: tuple[str, ...]
    world: int
    folder: str


@dataclass(frozen=True)
class Split:
    """A batch as the processes had it: what each saw, or why they did not come back with it."""

    batch: Batch
    gathered: bool
    found: tuple[Seen, ...] = ()
    failed: str = ""


@contextmanager
def alone() -> Iterator[None]:
    """Within it this process is a group of its own, for losses that gather without asking how many there are.

    Raises:
        LosscopeError: this process already is one of several, or torch has no collectives.
    """
    require(
        distributed.is_available() and distributed.is_gloo_available(),
        "this torch was built without gloo, by which the processes of an audit meet; wanted: another build",
    )
    if distributed.is_initialized():
        require(
            distributed.get_world_size() == 1,
            f"this is one of {distributed.get_world_size()} processes already, and an audit starts its own; "
            "wanted: the audit outside of torchrun",
        )
        yield
        return
    distributed.init_process_group("gloo", store=_store("HashStore"), rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _store(kind: str, *given: Any) -> Any:
    """A store of torch's, whose stubs do not name them."""
    return getattr(distributed, kind)(*given)


def on_processes(
    loss: str | LossSpec | Callable[..., Any], audited: Subject, world: int, *, protocol: str, trust: bool
) -> list[Split]:
    """The batches of the audit, each split over so many processes.

    Raises:
        LosscopeError: a Python object that other processes cannot load; processes that do not start.
    """
    from losscope.run.spawning import begin

    with tempfile.TemporaryDirectory(prefix="losscope-audit-") as folder:
        plugins = tuple(str(path) for path in registry.plugin_files())
        asked = Asked(_packed(loss), protocol, trust, plugins, world, folder)
        workers = [
            torch.multiprocessing.get_context("spawn").Process(target=_work, args=(asked, rank), daemon=True)
            for rank in range(world)
        ]
        try:
            for worker in workers:
                begin(worker)
            _watch(workers, Path(folder))
        finally:
            for worker in workers:
                if worker.is_alive():
                    worker.kill()
        return collected(audited, world, Path(folder))


def _watch(workers: Sequence[BaseProcess], folder: Path) -> None:
    """Wait until all have ended, or for as long as something new comes from those that have begun."""
    began = changed = time.monotonic()
    kept = 0
    while any(worker.is_alive() for worker in workers):
        now, found = time.monotonic(), len(list(folder.glob("*.pt")))
        if found != kept:
            kept, changed = found, now
        # The first files come when the loss was imported and made, which may take its time.
        wait = ECHOED if not all(worker.is_alive() for worker in workers) else WAIT
        started = kept >= len(workers) or wait == ECHOED
        if now - began > PATIENCE or (started and now - changed > wait):
            return
        time.sleep(0.02)


def _packed(loss: Any) -> bytes:
    try:
        packed = pickle.dumps(loss)
    except Exception as error:
        raise LosscopeError(
            f"the loss was given as a Python object that other processes cannot load ({error}); "
            "wanted: its text, such as 'path/file.py:name'"
        ) from None
    require(
        b"__main__" not in packed,
        "the loss was defined in the running program, which other processes do not have; wanted: its text, "
        "such as 'path/file.py:name', or a loss of an imported module",
    )
    return packed


def collected(audited: Subject, world: int, folder: Path) -> list[Split]:
    """What the processes left, batch by batch, as far as they came."""
    first = _read(folder, START, world)
    if isinstance(first, str):
        raise LosscopeError(f"the loss cannot be made on {world} processes: {first}")
    splits = []
    for gathered in (False, True):
        for batch in batches(audited, world):
            name = _name(batch, gathered)
            if gathered and not any((folder / f"{name}-{rank}.pt").exists() for rank in range(world)):
                continue
            found = _read(folder, name, world)
            if isinstance(found, str):
                splits.append(Split(batch, gathered, failed=found))
                break
            splits.append(Split(batch, gathered, tuple(Seen(**part) for part in found)))
    return splits


def _read(folder: Path, name: str, world: int) -> list[dict[str, Any]] | str:
    """What each process wrote under a name, or the first reason for which one did not."""
    files = [folder / f"{name}-{rank}.pt" for rank in range(world)]
    if all(path.exists() for path in files):
        return [torch.load(path, weights_only=True) for path in files]
    said = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"), key=_written)]
    own = [text for text in said if not any(echo in text for echo in ECHO)]
    ended = [_last_words(path) for path in sorted(folder.glob("*.err"))]
    if own or any(ended):
        return next(text for text in (*own, *ended) if text)
    if said:
        return f"the processes wait for each other: {said[0]}"
    return f"the processes wait for each other in a collective: nothing came for {WAIT:.0f} s"


def _last_words(path: Path) -> str:
    """What torch wrote when it ended a process."""
    found = re.search(
        r"what\(\):\s*(?:\[[^\]]*\]\s*)?(.*)", path.read_text(encoding="utf-8", errors="replace")
    )
    return f"process {path.stem} was ended: {found[1].strip()}" if found else ""


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def _name(batch: Batch, gathered: bool) -> str:
    return f"{batch.kind}-{'gathered' if gathered else 'plain'}"


def _work(asked: Asked, rank: int) -> None:
    """One process: make the loss, call it on its rows of each batch, and leave what was seen in files."""
    import warnings

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folder = Path(asked.folder)
    with (folder / f"{rank}.err").open("wb") as file:
        for stream in (1, 2):  # what a loss prints is no part of the answer
            os.dup2(file.fileno(), stream)
    try:
        for plugin in asked.plugins:
            registry.load_plugin(plugin)
        meeting = _store("FileStore", str(folder / "meeting"), asked.world)
        distributed.init_process_group(
            "gloo", store=meeting, rank=rank, world_size=asked.world, timeout=timedelta(seconds=PATIENCE)
        )
        own = subject(pickle.loads(asked.loss), protocol=asked.protocol, trust=asked.trust)
        keep(folder, START, rank, {})
        look(own, rank, asked.world, folder)
        distributed.destroy_process_group()
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else "no message"
        (folder / f"{rank}.txt").write_text(
            f"process {rank} raised {type(error).__name__}: {first}", encoding="utf-8"
        )


def look(own: Subject, rank: int, world: int, folder: Path, *, uneven: bool = True) -> None:
    """All batches; where a loss sees its own rows only, once more inside ``losscope.Distributed``.

    A gather of unequal shapes may end the process; without ``uneven`` such a batch is left out.
    """
    plain = {batch.kind: batch for batch in batches(own, world)}
    last = plain.pop("uneven")
    for batch in plain.values():
        found = _looked(own, batch, rank)
        keep(folder, _name(batch, False), rank, vars(found))
        # A process that skipped a collective here would meet the others' in the next batch.
        _meet(folder, _name(batch, False), world)
        elsewhere = torch.arange(world) != rank
        if batch.kind == "shared" and not _any((found.moved[:, 0] != found.moved[:, 1])[elsewhere].any()):
            for again in (*plain.values(), last):
                keep(folder, _name(again, True), rank, vars(_looked(_gathered(own), again, rank)))
    if uneven:
        keep(folder, _name(last, False), rank, vars(_looked(own, last, rank)))
        _meet(folder, _name(last, False), world)


def _any(mine: Tensor) -> bool:
    """Whether it is so in any process."""
    flag = mine.double()
    distributed.all_reduce(flag)
    return bool(flag)


def _meet(folder: Path, name: str, world: int) -> None:
    """Wait until all processes have left what they saw of a batch."""
    until = time.monotonic() + WAIT
    while not all((folder / f"{name}-{rank}.pt").exists() for rank in range(world)):
        if time.monotonic() > until:
            raise TimeoutError("timed out: another process waits in a collective that this one did not enter")
        time.sleep(0.005)


def _looked(own: Subject, batch: Batch, rank: int) -> Seen:
    rows, labels = batch.rows[batch.part(rank)], batch.labels[batch.part(rank)]
    found = seen(own, rows, labels)

    def call(rows: Tensor, labels: Tensor) -> float:
        with torch.no_grad():
            return float(own.value(rows, labels))

    looked = looked_at(own, batch, rank, call)
    return replace(found, moved=looked.moved, renamed=looked.renamed)


def _gathered(own: Subject) -> Subject:
    """A loss as it is inside ``losscope.Distributed``."""

    def function(z: Tensor, labels: Tensor, parameters: Parameters) -> Tensor:
        rows, known = gather(z, labels)
        return own.function(rows, known, parameters)

    return replace(own, function=function)


def keep(folder: Path, name: str, rank: int, found: dict[str, Any]) -> None:
    """Write under another name and rename, so that a file is whole or not there."""
    half = folder / f"{name}-{rank}.half"
    torch.save(found, half)
    half.rename(folder / f"{name}-{rank}.pt")


__all__ = ["Split", "alone", "on_processes"]
