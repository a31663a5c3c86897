"""How a loss's time and memory grow with the batch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Literal

from losscope.auditing.lines import flaw, line
from losscope.auditing.memory import footprint
from losscope.auditing.subjects import CLASSES, Subject, cloud
from losscope.core.results import AuditLine, Exponents, Growth, StepCost

START, MOST = 64, 1024
"""Batch sizes of the growth: doubled from the first until a step is slow or large, at most to the second."""
LOOPS, SMALL = 0.02, 16
"""Seconds of a step of 24 rows that tell of a loop in Python, whose growth begins with so few rows."""
ORDINARY = 128
"""Batches up to this size are ordinary: a step of theirs beyond ``SLOW`` is slow, however it grows."""
SLOW, LARGE = 0.15, 2**29
"""Seconds of a step after which, and bytes of the next before which, no larger batch is tried."""
SQUARE = 2.5
"""A measured exponent above this is no longer B²."""


def growth(subject: Subject) -> tuple[list[AuditLine], Growth]:
    """Exponents of time and memory in the batch size, over its last two doublings.

    Time is steep only if the numbers written are so too: seconds alone also tell of caches and neighbours.
    """
    rows: list[StepCost] = []
    size = SMALL if loops(subject) else START
    while size <= MOST:
        try:
            rows.append(step_cost(subject, size))
        except Exception:
            # A loss may have a largest batch (a queue's size) or run out of memory: what was measured counts.
            if not rows:
                raise
            break
        slow = rows[-1].seconds > (SLOW if len(rows) > 1 else 10 * SLOW)
        if slow or _next(rows, "bytes") > LARGE:
            break
        size *= 2
    last = rows[-3:]
    exponents = Exponents(
        seconds=_exponent(last, "seconds"),
        bytes=_exponent(last, "bytes"),
        written=_exponent(last, "written"),
    )
    written, end = exponents.written or 0.0, last[-1]
    lines = []
    for name, exponent, shown in (
        ("time growth", exponents.seconds, f"{end.seconds:.3g} s"),
        ("memory growth", exponents.bytes, f"{end.bytes / 2**20:.0f} MiB"),
    ):
        if exponent is None:
            said = f"one step of {rows[0].size} rows is already slow or large"
            lines.append(flaw("slow", name, said, "only small batches are affordable"))
            continue
        said = f"B^{exponent:.1f} from B = {last[0].size} to {end.size}, where a step takes {shown}"
        steep = exponent > SQUARE and (name == "memory growth" or written > SQUARE)
        if name == "time growth" and end.seconds > SLOW and end.size <= ORDINARY:
            lines.append(flaw("slow", name, said, "training waits for this loss: a loop over rows or pairs"))
        elif steep:
            lines.append(flaw("slow", name, said, "twice the batch costs about eight times as much"))
        else:
            lines.append(line(name, True, said, "large batches are affordable"))
    return lines, Growth(rows=tuple(rows), exponents=exponents)


def loops(subject: Subject) -> bool:
    """Whether a step of 24 rows is as slow as a loop over pairs in Python."""
    z, labels = cloud(subject, 6, 4)
    subject.gradient(z, labels)
    start = time.perf_counter()
    subject.gradient(z, labels)
    return time.perf_counter() - start > LOOPS


def step_cost(subject: Subject, size: int) -> StepCost:
    """Seconds, peak bytes and numbers written of a step, forward and backward in float32, of 8 classes."""
    # Of one size each, as some losses want.
    classes = min(subject.classes or CLASSES, CLASSES)
    z, labels = cloud(subject, classes, -(-size // classes))
    z, labels = z[:size].float(), labels[:size]
    peak, written = footprint(lambda: subject.gradient(z, labels))
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        subject.gradient(z, labels)
        best = min(best, time.perf_counter() - start)
        if best > SLOW:
            break
    return StepCost(size=size, seconds=best, bytes=peak, written=written)


Cost = Literal["seconds", "bytes", "written"]


def _next(rows: Sequence[StepCost], cost: Cost) -> float:
    """What twice the last batch will need, grown as the last doubling did."""
    last = getattr(rows[-1], cost)
    return last * (last / getattr(rows[-2], cost) if len(rows) > 1 else 16)


def _exponent(rows: Sequence[StepCost], cost: Cost) -> float | None:
    if len(rows) < 2:
        return None
    return math.log(getattr(rows[-1], cost) / getattr(rows[0], cost)) / math.log(rows[-1].size / rows[0].size)
