"""The checks of a loss on several processes and in micro-batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from losscope.auditing.lines import flaw, line
from losscope.auditing.processes import Split, on_processes
from losscope.auditing.splits import Seen, batches, judged, seen
from losscope.auditing.subjects import Subject, cloud
from losscope.core.errors import require
from losscope.core.results import AuditLine, SplitBatch
from losscope.core.spec import LossSpec
from losscope.core.wording.splits import split_lines

MOST = 16
"""Processes that an audit starts at most; each imports torch."""
MOST_PARTS = 64


def check_parts(distributed: int | None, accumulate: int | None) -> None:
    """Raise LosscopeError for numbers of processes or micro-batches that cannot be tried."""
    for name, parts, most in (("distributed", distributed, MOST), ("accumulate", accumulate, MOST_PARTS)):
        whole = isinstance(parts, int) and not isinstance(parts, bool)
        require(
            parts is None or (whole and 2 <= parts <= most),
            f"{name} is {parts!r}; a number from 2 to {most} is wanted",
        )


def over_processes(
    loss: str | LossSpec | Callable[..., Any], audited: Subject, world: int, *, protocol: str, trust: bool
) -> tuple[list[AuditLine], list[SplitBatch]]:
    """Is the gradient on several processes, averaged, that of one process with the whole batch?"""
    unfit = _unfit(audited)
    if unfit:
        return [line(f"{world} processes", None, *unfit)], []
    return told(audited, on_processes(loss, audited, world, protocol=protocol, trust=trust))


def told(audited: Subject, done: Sequence[Split]) -> tuple[list[AuditLine], list[SplitBatch]]:
    """The lines on what the processes saw, and what was split."""
    splits: list[SplitBatch] = []
    stopped: list[AuditLine] = []
    for split in done:
        broken = split.failed or _broken(split.found)
        # A small batch is a check of its own; here it is asked of losses that share rows.
        alone = split.batch.kind == "uneven" and any(each.cause == "own rows" for each in splits)
        if broken and not alone:
            stopped.append(_stopped(split, broken))
        elif not broken:
            splits.append(judged(audited, split.batch, split.found, "processes", split.gathered))
    return [*split_lines(splits), *stopped], splits


def over_micro_batches(audited: Subject, parts: int) -> tuple[list[AuditLine], list[SplitBatch]]:
    """Is the mean gradient of micro-batches that of the whole batch?"""
    unfit = _unfit(audited)
    if unfit:
        return [line(f"{parts} micro-batches", None, *unfit)], []
    splits: list[SplitBatch] = []
    for batch in batches(audited, parts):
        if batch.kind not in ("shared", "uneven"):
            continue
        try:
            found = [
                seen(audited, batch.rows[batch.part(part)], batch.labels[batch.part(part)])
                for part in range(parts)
            ]
            broken = _broken(found)
        except Exception as error:
            broken = f"raised {type(error).__name__}: {error}"
        if broken:
            said = f"micro-batches of {batch.sizes[0]} and {batch.sizes[-1]} rows: {broken}"
            return [*split_lines(splits), flaw("unsafe", f"{parts} micro-batches", said, _STOPS)], splits
        splits.append(judged(audited, batch, found, "micro-batches"))
    return split_lines(splits), splits


_STOPS = "a batch like this one stops training"


def _unfit(audited: Subject) -> tuple[str, str] | None:
    """Why a loss cannot be laid beside itself: it has no gradient, or draws at random."""
    z, labels = cloud(audited, 6, 4)
    value, gradient = audited.gradient(z, labels)
    if not gradient.isfinite().all() or not gradient.any():
        return "not judged: no finite gradient on an ordinary batch", "nothing can be compared"
    if float(audited.value(z, labels, seed=1)) != float(value):
        return "not judged: it draws at random, so that two calls on one batch differ", "see order"
    return None


def _broken(found: Sequence[Seen]) -> str:
    """Which part has a value or a gradient that is not finite; empty if none has."""
    bad = [
        part
        for part, own in enumerate(found)
        if not (
            math.isfinite(own.value) and own.gradient.isfinite().all() and own.parameters.isfinite().all()
        )
    ]
    return f"value or gradient of part {bad[0]} is not finite" if bad else ""


def _stopped(split: Split, broken: str) -> AuditLine:
    rows, name = split.batch.sizes, f"{len(split.batch.sizes)} processes"
    if split.batch.kind == "uneven":
        said = f"{', '.join(map(str, rows[:-1]))} and {rows[-1]} rows: {broken}"
        return flaw(
            "unsafe", f"{name}, uneven rows", said, "a last batch of another size stops training: drop it"
        )
    return flaw("unsafe", f"{name}, {split.batch.kind} batch", broken, _STOPS)
