"""One side in a process of its own: its peak memory, and an end without harm where it has none left."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from losscope.benching.works import Side, clock_of, step_of

LONG = 10.0
"""Seconds of one step after which a side's larger batches are not tried."""


def in_process(
    side: Side, kind: str, sizes: Sequence[int], limit: int, threads: int, device: str
) -> list[dict[str, Any]]:
    """What one step takes in a process of its own, for each size.

    One process imports the library, and is forked for each size (on CUDA it counts the device's memory instead).
    After a size that fails or takes long, larger ones are rows without a measurement.
    """
    task = {
        "side": asdict(side),
        "kind": kind,
        "sizes": list(sizes),
        "limit": limit,
        "threads": threads,
        "device": device,
    }
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    ran = subprocess.run(
        [sys.executable, "-m", "losscope.benching.process"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    found = [json.loads(line[len(MARK) :]) for line in ran.stdout.splitlines() if line.startswith(MARK)]
    if len(found) == len(sizes):
        return found
    if ran.returncode:
        reason = f"its process ended with exit code {ran.returncode}"
    elif found[-1]["status"] == "measured":
        reason = f"not tried: B = {sizes[len(found) - 1]} took {found[-1]['seconds']:.0f} s"
    else:
        reason = f"not tried: B = {sizes[len(found) - 1]} was too large"
    return found + [_unmeasured(reason) for _ in range(len(sizes) - len(found))]


MARK = "losscope-row "


def _unmeasured(status: str) -> dict[str, Any]:
    return {"status": status, "seconds": None, "peak_bytes": None, "step_bytes": None, "value": None}


def _child() -> None:
    """The process of one side: reads its task from standard input and prints a row a size."""
    task = json.load(sys.stdin)
    side, device = Side(**task["side"]), task["device"]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # Imports and first calls are not the step's memory.
    step_of(side, task["kind"], 16, device)()
    for size in task["sizes"]:
        if device.startswith("cuda") or not hasattr(os, "fork"):
            row = _measure(side, task, size)
        else:
            row = _forked(side, task, size)
        print(MARK + json.dumps(row), flush=True)
        if row["status"] != "measured" or row["seconds"] > LONG:
            return


def _forked(side: Side, task: dict[str, Any], size: int) -> dict[str, Any]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            out.write(json.dumps(_measure(side, task, size)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else _unmeasured("out of memory: the system ended its process")


def _measure(side: Side, task: dict[str, Any], size: int) -> dict[str, Any]:
    device, limit = task["device"], task["limit"]
    torch.set_num_threads(task["threads"])
    try:
        _limit(limit, device)
        step = step_of(side, task["kind"], size, device)
        held = _held(device, reset=True)
        clock = clock_of(device)
        start = clock()
        value = float(step())
        seconds = clock() - start
        peak = _peak(device)
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "memory" in text or "allocate" in text:
            return _unmeasured(f"out of memory at {limit / 2**30:.1f} GiB")
        return _unmeasured(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return {
        "status": "measured",
        "seconds": seconds,
        "peak_bytes": peak,
        "step_bytes": None if peak is None or held is None else max(0, peak - held),
        "value": value if math.isfinite(value) else None,
    }


def _limit(size: int, device: str) -> None:
    """Forbid this process to take more than ``size`` bytes beyond what it has mapped by now; of the device on CUDA."""
    if device.startswith("cuda"):
        # The driver maps far more than it uses: a limit on addresses would forbid it.
        torch.cuda.set_per_process_memory_fraction(min(1.0, size / torch.cuda.mem_get_info()[1]))
        return
    try:
        import resource
    except ImportError:
        return
    mapped = _status("VmSize")
    if mapped is not None:
        resource.setrlimit(resource.RLIMIT_AS, (mapped + size, mapped + size))


def _status(key: str) -> int | None:
    try:
        with open("/proc/self/status") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), None)
    except OSError:
        return None


def _held(device: str, reset: bool) -> int | None:
    if device.startswith("cuda"):
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    if reset:
        try:
            with open("/proc/self/clear_refs", "w") as clear:
                clear.write("5")
        except OSError:
            return None
    return _status("VmRSS")


def _peak(device: str) -> int | None:
    """The most this process held at once; of the device on CUDA."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    high = _status("VmHWM")
    if high is not None:
        return high
    try:
        import resource
    except ImportError:
        return None
    # Kilobytes, but bytes on a Mac.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    _child()
