"""What one run yields, and the files that it is kept in. Nothing here imports torch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from losscope.core.spec import Run
from losscope.run.trace import written

Status = Literal["complete", "diverged", "failed"]


@dataclass
class Record:
    """What one run yields.

    ``status``: ``complete``; ``diverged``, where the numbers of the training left the finite ones;
    ``failed``, where the machine or the code stopped it. ``measures``: split -> name -> number, NaN where a
    value does not exist. ``trace``: rows (split, epoch, name, value). ``arrays``: name -> array, one entry
    per class, query or epoch.
    ``weights``: the trained parameters, ``epochs`` those after every epoch, (E, *shape). ``course``: where
    some test embeddings were at some epochs (``losscope.train.course``).
    """

    run: Run
    status: Status = "complete"
    reason: str | None = None
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    trace: list[tuple[str, int, str, float]] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, np.ndarray] | None = None
    epochs: dict[str, np.ndarray] | None = None
    embeddings: dict[str, np.ndarray] | None = None
    course: dict[str, np.ndarray] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


def contents(record: Record) -> Iterator[tuple[str, bytes]]:
    """The files of a record, each with its bytes."""
    if record.trace:
        yield "trace.parquet", written(record.trace)
    if record.arrays:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **record.arrays)  # type: ignore[arg-type]
        yield "arrays.npz", buffer.getvalue()
    for name, arrays in (("test", record.embeddings), ("course", record.course)):
        if arrays is not None:
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)  # type: ignore[arg-type]
            yield f"{name}.npz", buffer.getvalue()
    for name, tensors in (("model", record.weights), ("epochs", record.epochs)):
        if tensors is not None:
            from safetensors.numpy import save

            yield f"{name}.safetensors", save(tensors)
