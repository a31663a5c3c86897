"""Forward and backward of our losses beside every installed peer with the same form: time and peak memory.

Both sides run in one process and take turns, so that a machine whose speed drifts slows both; each round gives
a ratio, and the ratios a 95 % interval. A side's peak is that of a process of its own, made for one batch, with
a limit on its memory: a peer that runs out of it is a row, not a failure.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from losscope import __version__, foreign
from losscope.errors import LosscopeError, unknown
from losscope.losses import module
from losscope.losses.foreign import ForeignLoss
from losscope.pairs import Relation, normalise, reduce

SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)
CLASSES, DIMENSION = 10, 64
ROUNDS, FEW, PATIENCE = (5, 40), 3, 30.0
"""Fewest and most rounds of one size; fewest where more would take longer than so many seconds."""
ROUND = 0.03
"""Seconds that one side takes in a round at least: quick steps are repeated."""
LONG, HOPELESS = 10.0, 30.0
"""Seconds of one step after which a side's larger batches are not tried, and after which it takes no turns."""
SAME = 1e-3
"""Relative difference of values up to which two sides compute the same."""

Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Side:
    """One implementation: whose, as it is named, and what its value is a multiple of ours by."""

    name: str
    loss: str
    factor: float = 1.0
    other: str = ""
    """How its form differs from ours, where it does: then there is no fair ratio, and it stands for context."""


@dataclass(frozen=True)
class Work:
    """One loss on batches of one kind: ``labels`` (B rows, 10 classes), or ``views`` (B anchors, B partners)."""

    name: str
    batch: str
    sides: tuple[Side, ...]


OURS, PML, ST = "losscope", "pytorch-metric-learning", "sentence-transformers"
DEGREES = math.degrees(0.5)

WORKS = (
    Work("all triplets, margin 0.1", "labels", (
        Side(OURS, "triplet(margin=0.1, reduction=active_mean)"),
        Side(OURS, "contrastive(margin=0.5)", other="all-pairs contrastive, for scale"),
        Side(PML, "pml:TripletMarginLoss(margin=0.1)"),
        Side(ST, "sentence_transformers:BatchAllTripletLoss(margin=0.1)"),
    )),
    Work("contrastive, all pairs, margin 0.5", "labels", (
        Side(OURS, "contrastive(margin=0.5)"),
        Side(ST, "sentence_transformers:ContrastiveLoss(margin=0.5, distance_metric='EUCLIDEAN')", 0.5),
        Side(PML, "pml:ContrastiveLoss(neg_margin=0.5, reducer=MeanReducer())", other="a linear hinge"),
    )),
    Work("info_nce, labels, temperature 0.1", "labels", (
        Side(OURS, "info_nce(temperature=0.1)"),
        Side(PML, "pml:NTXentLoss(temperature=0.1)"),
    )),
    Work("info_nce, pairs of views, temperature 0.1", "views", (
        Side(OURS, "info_nce(temperature=0.1)"),
        Side(PML, "pml:NTXentLoss(temperature=0.1)"),
        Side(ST, "sentence_transformers:MultipleNegativesRankingLoss(scale=10.0)"),
    )),
    Work("sup_con, temperature 0.1", "labels", (
        Side(OURS, "sup_con(temperature=0.1)"),
        Side(PML, "pml:SupConLoss(temperature=0.1)"),
    )),
    Work("arcface, margin 0.5 rad, scale 64", "labels", (
        Side(OURS, "arcface(margin=0.5, scale=64.0)"),
        Side(PML, f"pml:ArcFaceLoss(margin={DEGREES!r}, scale=64)"),
    )),
)  # fmt: skip
"""What is measured. Sizes count anchors."""


def work_named(name: str) -> Work:
    """A work by its name or the first words of it, ``contrastive`` for one.

    Raises:
        LosscopeError: no such work.
    """
    found = [work for work in WORKS if work.name == name] or [
        work for work in WORKS if work.name.startswith(name)
    ]
    if not found:
        raise unknown("benchmark", name, [work.name for work in WORKS])
    return found[0]


def version(side: Side) -> str | None:
    """The installed version of a side's library; None if it is not installed."""
    if side.name == OURS:
        return __version__
    try:
        return foreign.version(foreign.parse(side.loss).where)
    except LosscopeError:
        return None


def batch(size: int, kind: str, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Unit vectors with some class structure, (size, 64), or (2 · size, 64) of ``views``, and their labels."""
    generator = torch.Generator().manual_seed(size)
    rows, classes = (size, CLASSES) if kind == "labels" else (2 * size, size)
    labels = torch.arange(rows) % classes
    centre = torch.randn(classes, DIMENSION, generator=generator)
    z = normalise(centre[labels] + 1.5 * torch.randn(rows, DIMENSION, generator=generator))
    return z.to(device), labels.to(device)


def step_of(side: Side, kind: str, size: int, device: str = "cpu") -> Step:
    """Forward and backward of one side on one batch; what a user prepares once is prepared here."""
    z, labels = batch(size, kind, device)
    z.requires_grad_()
    value, own = (_our_value if side.name == OURS else _their_value)(side, kind, z, labels)
    leaves = [z, *own]

    def step() -> Tensor:
        loss = value()
        torch.autograd.grad(loss, leaves, allow_unused=True)
        return loss.detach()

    return step


def _our_value(side: Side, kind: str, z: Tensor, labels: Tensor) -> tuple[Step, list[Tensor]]:
    loss = module(side.loss, num_classes=CLASSES, embedding_size=DIMENSION).to(z.device)
    own: list[Tensor] = [*loss.parameters()]
    if kind == "labels":
        return lambda: loss(z, labels), own
    views = Relation.from_partners(torch.ones(len(z) // 2, dtype=torch.bool, device=z.device))
    return lambda: reduce(loss.terms(z, views), "valid_mean"), own


def _their_value(side: Side, kind: str, z: Tensor, labels: Tensor) -> tuple[Step, list[Tensor]]:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = ForeignLoss(side.loss, classes=CLASSES, embedding_size=DIMENSION).to(z.device)
    own: list[Tensor] = [*loss.parameters()]
    if own:
        # Class vectors as ours, so that the values can be compared.
        ours = module("arcface", num_classes=CLASSES, embedding_size=DIMENSION).class_vectors
        own[0].data = ours.data.T.clone().to(z.device)
    half, inner = len(z) // 2, loss.loss
    if side.name == PML and kind == "views":
        # Two tensors of labels: one and the same would mean that the references are the batch itself.
        first, second = labels[:half], labels[half:].clone()
        return lambda: inner(z[:half], first, ref_emb=z[half:], ref_labels=second), own
    if side.name == ST and kind == "views":
        return lambda: inner.compute_loss_from_embeddings([z[:half], z[half:]], None), own
    if side.name == ST and "ContrastiveLoss" in side.loss:
        i, j = torch.triu_indices(len(z), len(z), 1, device=z.device)
        same = (labels[i] == labels[j]).float()
        return lambda: inner.compute_loss_from_embeddings([z[i], z[j]], same), own
    return lambda: loss(z, labels), own


def losses(
    sizes: Sequence[int] = SIZES,
    *,
    works: Sequence[str] | None = None,
    seconds: float = 4.0,
    memory: float | None = None,
    threads: int = 1,
    device: str = "cpu",
    say: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Rows of the benchmark, one a work, size and side.

    Args:
        sizes: anchors of the batches.
        works: names of what is measured, or the first words of them; all otherwise.
        seconds: of rounds a work and size, at most, if the fewest rounds take less.
        memory: bytes that a side's process may take; half of what is free otherwise.
        threads: of torch, on both sides.
        device: ``cpu`` or ``cuda``.
        say: called with each row in words.

    Returns:
        Rows with ``work``, ``size``, ``side``, ``loss``, ``version``, ``seconds`` (median of a step),
        ``peak_bytes`` (of its process), ``step_bytes`` (of it, beyond what was held before the step),
        ``ratio`` (its time over ours, with ``ratio_low`` and ``ratio_high``, a 95 % interval over rounds), ``same``
        (whether its value is ours) and ``status`` (``measured``, or why not).

    Raises:
        LosscopeError: an unknown work, or sizes below 16.
    """
    if min(sizes, default=0) < 16:
        raise LosscopeError(
            f"sizes are {', '.join(map(str, sizes)) or 'none'}; numbers from 16 on are wanted"
        )
    limit = int(memory or _free(device) / 2)
    rows = []
    chosen = WORKS if works is None else [work_named(name) for name in works]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for work in chosen:
            sides = [side for side in work.sides if version(side) is not None]
            alone = [in_process(side, work.batch, sorted(sizes), limit, threads, device) for side in sides]
            for place, size in enumerate(sorted(sizes)):
                made = _size(work, size, sides, [one[place] for one in alone], seconds, device)
                rows += made
                for row in made if say else ():
                    assert say is not None
                    say(sentence(row))
    finally:
        torch.set_num_threads(before)
    return rows


def _free(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info()[0]
    import psutil

    return int(psutil.virtual_memory().available)


def _size(
    work: Work, size: int, sides: Sequence[Side], alone: Sequence[dict[str, Any]], seconds: float, device: str
) -> list[dict[str, Any]]:
    """All sides of one work at one size: those that could take a step alone take turns here."""
    able = [place for place, one in enumerate(alone) if (one["seconds"] or math.inf) <= HOPELESS]
    times = _rounds([step_of(sides[place], work.batch, size, device) for place in able], seconds, device)
    taken = dict(zip(able, times.T, strict=True))
    rows = []
    for place, (side, one) in enumerate(zip(sides, alone, strict=True)):
        row = {
            "work": work.name,
            "size": size,
            "side": side.name,
            "loss": side.loss,
            "version": version(side),
            "seconds": one["seconds"],
            "peak_bytes": one["peak_bytes"],
            "step_bytes": one["step_bytes"],
            "ratio": None,
            "ratio_low": None,
            "ratio_high": None,
            "rounds": None,
            "same": _same(side, one, alone[0]),
            "form": side.other or "the same",
            "status": one["status"],
        }
        if place in taken:
            row |= {"seconds": float(np.median(taken[place])), "rounds": len(taken[place])}
            if place and 0 in taken:
                row |= _ratio(taken[place], taken[0])
        elif one["seconds"] and 0 in taken:
            # Too slow to take turns: the one step of its own process, without an interval.
            row["ratio"] = one["seconds"] / float(np.median(taken[0]))
        rows.append(row)
    return rows


def _same(side: Side, one: dict[str, Any], ours: dict[str, Any]) -> bool | None:
    if side.other or one["value"] is None or ours["value"] is None:
        return None
    return abs(one["value"] - side.factor * ours["value"]) <= SAME * abs(one["value"])


def _ratio(theirs: np.ndarray, ours: np.ndarray) -> dict[str, float]:
    """The geometric mean of the rounds' ratios and its 95 % t interval, which needs three rounds."""
    logs = np.log(theirs / ours)
    mean = float(logs.mean())
    half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    return {"ratio": math.exp(mean), "ratio_low": math.exp(mean - half), "ratio_high": math.exp(mean + half)}


def _rounds(steps: Sequence[Step], seconds: float, device: str) -> np.ndarray:
    """Seconds of one step, (rounds, sides): every round runs all sides, each time in another order."""
    if not steps:
        return np.empty((0, 0))
    repeats, total = [], 0.0
    for step in steps:
        once = _seconds(step, 1, device)
        if once < 1:
            # The first call warms up.
            once = _seconds(step, 1, device)
        repeats.append(max(1, round(ROUND / max(once, 1e-6))))
        total += once * repeats[-1]
    fewest = ROUNDS[0] if ROUNDS[0] * total <= PATIENCE else FEW
    rounds = int(min(max(seconds / total, fewest), ROUNDS[1]))
    times = np.empty((rounds, len(steps)))
    for round_ in range(rounds):
        for turn in range(len(steps)):
            place = (turn + round_) % len(steps)
            if repeats[place] > 1:
                # What the side before left in the caches is not this side's time.
                steps[place]()
            times[round_, place] = _seconds(steps[place], repeats[place], device)
    return times


def _seconds(step: Step, repeats: int, device: str) -> float:
    clock = clock_of(device)
    _wait(device)
    start = clock()
    for _ in range(repeats):
        step()
    _wait(device)
    return (clock() - start) / repeats


def clock_of(device: str) -> Callable[[], float]:
    """The processor's time on one thread, so that neighbours do not count; the wall's otherwise."""
    alone = torch.get_num_threads() == 1 and not device.startswith("cuda")
    return time.process_time if alone else time.perf_counter


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def in_process(
    side: Side, kind: str, sizes: Sequence[int], limit: int, threads: int, device: str
) -> list[dict[str, Any]]:
    """What one step takes in a process of its own, for each size.

    One process imports the library, and is forked for each size (on CUDA it counts the device's memory instead).
    After a size that fails or takes long, larger ones are rows without a measurement.
    """
    task = {
        "side": asdict(side), "kind": kind, "sizes": list(sizes), "limit": limit, "threads": threads, "device": device
    }  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    ran = subprocess.run(
        [sys.executable, "-m", "losscope.benchmarks.losses"],
        input=json.dumps(task), capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
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


def growth(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The exponent of time in the batch size for each work and side, over its sizes from 512 on."""
    found = []
    for work, loss in dict.fromkeys((row["work"], row["loss"]) for row in rows):
        own = [row for row in rows if (row["work"], row["loss"]) == (work, loss) and row["seconds"]]
        own = [row for row in own if row["size"] >= 512] or own
        exponent = None
        if len(own) > 1:
            sizes, seconds = (np.log([row[key] for row in own]) for key in ("size", "seconds"))
            exponent = float(np.polyfit(sizes, seconds, 1)[0])
        found.append(
            {"work": work, "side": own[0]["side"] if own else None, "loss": loss, "exponent": exponent}
        )
    return found


def sentence(row: dict[str, Any]) -> str:
    """A row in words."""
    if row["status"] != "measured":
        return f"{row['work']}, B = {row['size']}: {row['side']}: {row['status']}"
    peak = "" if row["peak_bytes"] is None else f", peak {row['peak_bytes'] / 2**20:.0f} MiB"
    ratio = "" if row["ratio"] is None else f", {row['ratio']:.2f} times ours"
    if row["ratio_low"] is not None:
        ratio += f" ({row['ratio_low']:.2f}–{row['ratio_high']:.2f})"
    other = "" if row["form"] == "the same" else f" [{row['form']}]"
    return (
        f"{row['work']}, B = {row['size']}: {row['side']}{other}: {row['seconds'] * 1e3:.2f} ms{peak}{ratio}"
    )


if __name__ == "__main__":
    _child()
