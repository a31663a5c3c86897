"""One side in a process of its own: its peak memory, and an end without harm where it has none left."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from losscope.benching.works import Side, clock_of, step_of

LONG = 10.0
"""Seconds of one step after which a side's larger batches are not tried."""


@dataclass(frozen=True)
class Measurement:
    """What a step took in a process of its own; ``status``: ``measured``, or why there is no number."""

    status: str
    seconds: float | None = None
    peak_bytes: int | None = None
    step_bytes: int | None = None
    value: float | None = None

    @property
    def measured(self) -> bool:
        """Whether the step ended."""
        return self.status == "measured"


@dataclass(frozen=True)
class Task:
    """What a process is to measure: a side on batches of a kind, with at most ``limit`` bytes."""

    side: Side
    kind: str
    limit: int
    threads: int
    device: str


def in_process(
    side: Side, kind: str, sizes: Sequence[int], limit: int, threads: int, device: str
) -> list[Measurement]:
    """What one step takes in a process of its own, for each size.

    One process imports the library and is forked for each size (on CUDA it is not, and the device's memory is
    counted instead). Once a size fails or takes long, the larger ones are not measured.
    """
    task = {**asdict(Task(side, kind, limit, threads, device)), "sizes": list(sizes)}
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    ran = subprocess.run(
        [sys.executable, "-m", "losscope.benching.process"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    found = [
        Measurement(**json.loads(line[len(MARK) :]))
        for line in ran.stdout.splitlines()
        if line.startswith(MARK)
    ]
    if len(found) == len(sizes):
        return found
    if ran.returncode:
        reason = f"its process ended with exit code {ran.returncode}"
    elif found[-1].measured:
        reason = f"not tried: B = {sizes[len(found) - 1]} took {found[-1].seconds:.0f} s"
    else:
        reason = f"not tried: B = {sizes[len(found) - 1]} was too large"
    return found + [Measurement(reason)] * (len(sizes) - len(found))


MARK = "losscope-row "


def _child() -> None:
    """The process of one side: reads its task from standard input and prints one measurement per size."""
    given = json.load(sys.stdin)
    sizes = given.pop("sizes")
    task = Task(**{**given, "side": Side(**given["side"])})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # Imports and first calls are not the step's memory.
    step_of(task.side, task.kind, 16, task.device)()
    for size in sizes:
        if task.device.startswith("cuda") or not hasattr(os, "fork"):
            found = _measure(task, size)
        else:
            found = _forked(task, size)
        print(MARK + json.dumps(asdict(found)), flush=True)
        if not found.measured or (found.seconds or 0) > LONG:
            return


def _forked(task: Task, size: int) -> Measurement:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            out.write(json.dumps(asdict(_measure(task, size))))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        return Measurement("out of memory: the system ended its process")
    return Measurement(**json.loads(text))


def _measure(task: Task, size: int) -> Measurement:
    device, limit = task.device, task.limit
    torch.set_num_threads(task.threads)
    try:
        _limit(limit, device)
        step = step_of(task.side, task.kind, size, device)
        held = _held(device, reset=True)
        clock = clock_of(device)
        start = clock()
        value = float(step())
        seconds = clock() - start
        peak = _peak(device)
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "memory" in text or "allocate" in text:
            return Measurement(f"out of memory at {limit / 2**30:.1f} GiB")
        return Measurement(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return Measurement(
        "measured",
        seconds,
        peak,
        None if peak is None or held is None else max(0, peak - held),
        value if math.isfinite(value) else None,
    )


def _limit(size: int, device: str) -> None:
    """Forbid this process more than ``size`` bytes (on CUDA of the device) beyond what it has mapped."""
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
