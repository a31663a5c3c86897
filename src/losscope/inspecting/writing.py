"""The rows and what was found of them as a parquet table, which embedding-atlas, DuckDB and polars open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.inspecting.single import Looked, unit, unit_blocks
from losscope.run.files import temporary


def write(looked: Looked, path: Path) -> Path:
    """Write one row for each item.

    Columns: ``id``, ``row`` (its place in the file), ``label`` (null without labels), ``split`` where there
    is one, ``embedding`` (list of float32), ``x`` and ``y`` (the first two principal components of the unit
    vectors), ``neighbors`` (a struct of ``ids``, places in this table, and ``distances``; null for rows that
    did not ask), and ``suggested_label``, ``wrong_label_probability`` where labels were judged.

    Raises:
        LosscopeError: a file that cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, count = looked.rows, len(looked.rows)
    ids = [str(place) for place in rows.places] if rows.ids is None else rows.ids.tolist()
    columns: dict[str, Any] = {"id": pa.array(ids, pa.string()), "row": pa.array(rows.places)}
    if rows.labels is None:
        columns["label"] = pa.nulls(count, pa.string())
    else:
        labels = pa.array(rows.labels.astype(np.int32))
        columns["label"] = pa.DictionaryArray.from_arrays(labels, pa.array(rows.classes)).cast(pa.string())
    if rows.test is not None:
        columns["split"] = pa.array(np.where(rows.test, "test", "other"))
    columns["embedding"] = _lists(rows.vectors)
    for name, axis in zip(("x", "y"), _axes(rows.vectors), strict=True):
        columns[name] = pa.array(axis)
    columns["neighbors"] = _neighbours(looked)
    if looked.judged is not None:
        columns |= _suggestions(looked)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = temporary(path)
        try:
            pq.write_table(pa.table(columns), part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise LosscopeError(
            f"cannot write {str(path)!r}: {error.strerror or error}; give another file"
        ) from None
    return path


def _lists(values: np.ndarray) -> Any:
    import pyarrow as pa

    starts = np.arange(0, values.size + 1, values.shape[1])
    kind = pa.int64() if values.size >= 2**31 else pa.int32()
    made = pa.LargeListArray if values.size >= 2**31 else pa.ListArray
    return made.from_arrays(pa.array(starts, kind), pa.array(np.ascontiguousarray(values).reshape(-1)))


def _axes(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows along the first two principal axes of the unit vectors, float32 (N,) each.

    The sign of an axis is that of its largest entry, so that a file gives one picture.
    """
    width = vectors.shape[1]
    total, gram = np.zeros(width), np.zeros((width, width))
    for part in unit_blocks(vectors):
        block = unit(vectors[part])
        total += block.sum(axis=0)
        gram += block.T @ block
    mean = total / len(vectors)
    _, directions = np.linalg.eigh(gram - len(vectors) * np.outer(mean, mean))
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    if width == 1:
        axes = np.hstack([axes, np.zeros((1, 1))])
    placed = [(unit(vectors[part]) - mean) @ axes for part in unit_blocks(vectors)]
    both = np.concatenate(placed).astype(np.float32)
    return both[:, 0], both[:, 1]


def _neighbours(looked: Looked) -> Any:
    import pyarrow as pa

    found, count = looked.found, len(looked.rows)
    asked = np.zeros(count, bool)
    asked[found.queries] = True
    most = found.nearest.shape[1]
    lengths = np.where(asked, most, 0)
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    parts = [
        pa.ListArray.from_arrays(starts, pa.array(values.reshape(-1)))
        for values in (found.nearest, found.distances.astype(np.float32))
    ]
    return pa.StructArray.from_arrays(parts, ["ids", "distances"], mask=pa.array(~asked))


def _suggestions(looked: Looked) -> dict[str, Any]:
    import pyarrow as pa

    judged, count = looked.judged, len(looked.rows)
    assert judged is not None
    names: list[str | None] = [None] * count
    chances: list[float | None] = [None] * count
    for row, place in enumerate(looked.found.queries.tolist()):
        if judged.judged[row]:
            chances[place] = float(judged.probability[row])
            if judged.likely[row]:
                names[place] = looked.rows.classes[judged.suggested[row]]
    return {
        "suggested_label": pa.array(names, pa.string()),
        "wrong_label_probability": pa.array(chances, pa.float64()),
    }
