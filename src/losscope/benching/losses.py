"""Forward and backward of our losses beside every installed peer with the same form: time and peak memory.

Both sides run in one process and take turns, so that a machine whose speed drifts slows both. Each round
gives a ratio, and the ratios give a 95 % interval. A side's peak is that of a process of its own, made for
one batch and limited in its memory: a peer that runs out of memory is a row, not a failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from losscope.benching.process import Measurement, in_process
from losscope.benching.works import WORKS, Side, Step, Work, clock_of, step_of, version, wait_for, work_named
from losscope.core.errors import LosscopeError
from losscope.core.results import BenchGrowth, BenchRow

SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)
ROUNDS, FEW, PATIENCE = (5, 40), 3, 30.0
"""Fewest and most rounds of one size; fewest where more would take longer than so many seconds."""
ROUND = 0.03
"""Seconds that one side takes in a round at least: quick steps are repeated."""
HOPELESS = 30.0
"""Seconds of one step after which a side takes no turns."""
SAME = 1e-3
"""Relative difference of values up to which two sides compute the same."""


def losses(
    sizes: Sequence[int] = SIZES,
    *,
    works: Sequence[str] | None = None,
    seconds: float = 4.0,
    memory: float | None = None,
    threads: int = 1,
    device: str = "cpu",
    say: Callable[[str], None] | None = None,
) -> list[BenchRow]:
    """Rows of the benchmark, one per work, size and side.

    Args:
        sizes: anchors of the batches.
        works: which losses, by the whole name of a work or its first words; all of them otherwise.
        seconds: that the rounds of a work and size may take; more if the fewest rounds need more.
        memory: bytes that a side's process may take; half of what is free otherwise.
        threads: of torch, on both sides.
        device: ``cpu`` or ``cuda``.
        say: called with each row in words.

    Raises:
        LosscopeError: an unknown work, or sizes below 16.
    """
    if min(sizes, default=0) < 16:
        raise LosscopeError(
            f"the sizes are {', '.join(map(str, sizes)) or 'none'}; numbers from 16 on are wanted"
        )
    limit = int(memory or _free(device) / 2)
    rows: list[BenchRow] = []
    chosen = WORKS if works is None else [work_named(name) for name in works]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for work in chosen:
            sides = [side for side in work.sides if version(side) is not None]
            alone = [in_process(side, work.batch, sorted(sizes), limit, threads, device) for side in sides]
            for place, size in enumerate(sorted(sizes)):
                made = _size(work, size, sides, [by_size[place] for by_size in alone], seconds, device)
                rows += made
                if say:
                    for row in made:
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
    work: Work, size: int, sides: Sequence[Side], alone: Sequence[Measurement], seconds: float, device: str
) -> list[BenchRow]:
    """All sides of one work at one size: those that could take a step alone take turns here."""
    able = [place for place, measured in enumerate(alone) if (measured.seconds or math.inf) <= HOPELESS]
    times = _rounds([step_of(sides[place], work.batch, size, device) for place in able], seconds, device)
    taken = dict(zip(able, times.T, strict=True))
    rows = []
    for place, (side, measured) in enumerate(zip(sides, alone, strict=True)):
        own, ours = taken.get(place), taken.get(0)
        ratio = Ratio()
        if place and own is not None and ours is not None:
            ratio = _ratio(own, ours)
        elif own is None and measured.seconds and ours is not None:
            # Too slow to take turns: the one step of its own process, without an interval.
            ratio = Ratio(measured.seconds / float(np.median(ours)))
        rows.append(
            BenchRow(
                work=work.name,
                size=size,
                side=side.name,
                loss=side.loss,
                version=version(side),
                seconds=measured.seconds if own is None else float(np.median(own)),
                peak_bytes=measured.peak_bytes,
                step_bytes=measured.step_bytes,
                ratio=ratio.mean,
                ratio_low=ratio.low,
                ratio_high=ratio.high,
                rounds=None if own is None else len(own),
                same=_same(side, measured, alone[0]),
                form=side.other or "the same",
                status=measured.status,
            )
        )
    return rows


def _same(side: Side, theirs: Measurement, ours: Measurement) -> bool | None:
    if side.other or theirs.value is None or ours.value is None:
        return None
    return abs(theirs.value - side.factor * ours.value) <= SAME * abs(theirs.value)


@dataclass(frozen=True)
class Ratio:
    """A side's time over ours, with a 95 % interval where there are rounds."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None


def _ratio(theirs: np.ndarray, ours: np.ndarray) -> Ratio:
    """The geometric mean of the rounds' ratios and its 95 % t interval, which needs three rounds."""
    logs = np.log(theirs / ours)
    mean = float(logs.mean())
    half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


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
    wait_for(device)
    start = clock()
    for _ in range(repeats):
        step()
    wait_for(device)
    return (clock() - start) / repeats


def growth(rows: Sequence[BenchRow]) -> list[BenchGrowth]:
    """The exponent of time in the batch size for each work and side, over its sizes from 512 on."""
    found = []
    for work, loss in dict.fromkeys((row.work, row.loss) for row in rows):
        own = [row for row in rows if (row.work, row.loss) == (work, loss) and row.seconds]
        own = [row for row in own if row.size >= 512] or own
        exponent = None
        if len(own) > 1:
            sizes, seconds = np.log([row.size for row in own]), np.log([row.seconds or 0 for row in own])
            exponent = float(np.polyfit(sizes, seconds, 1)[0])
        found.append(BenchGrowth(work=work, side=own[0].side if own else None, loss=loss, exponent=exponent))
    return found


def sentence(row: BenchRow) -> str:
    """A row in words."""
    begin = f"{row.work}, B = {row.size}: {row.side}"
    if not row.measured or row.seconds is None:
        return f"{begin}: {row.status}"
    peak = "" if row.peak_bytes is None else f", peak {row.peak_bytes / 2**20:.0f} MiB"
    ratio = "" if row.ratio is None else f", {row.ratio:.2f} times ours"
    if row.ratio_low is not None:
        ratio += f" ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
    other = "" if row.form == "the same" else f" [{row.form}]"
    return f"{begin}{other}: {row.seconds * 1e3:.2f} ms{peak}{ratio}"
