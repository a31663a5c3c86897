"""Processes of one gloo group on this machine, which meet by a file and need no port."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

PATIENCE = 120
"""Seconds that a group may take before it is ended."""


def begin(rank: int, world: int, folder: str, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """Join the group, and keep what the work gives in a file."""
    torch.set_num_threads(1)
    meeting = torch.distributed.FileStore(f"{folder}/store{world}", world)
    torch.distributed.init_process_group(
        "gloo", store=meeting, rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    found = work(rank, world, *given)
    torch.save(found, f"{folder}/{world}-{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def on_processes(world: int, folder: Path, work: Callable[..., Any], *given: Any) -> list[Any]:
    """What ``work(rank, world, *given)`` gives on each of so many processes."""
    how = "fork" if torch.get_num_threads() == 1 else "spawn"
    start = multiprocessing.get_context(how).Process
    processes = [
        start(target=begin, args=(rank, world, str(folder), work, given), daemon=True)
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * world, codes
    return [torch.load(folder / f"{world}-{rank}.pt", weights_only=False) for rank in range(world)]
