"""What was found as files: a parquet table, which embedding-atlas, DuckDB and polars open, and a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.core.results import EmbeddingMap, InspectedPair, Inspection
from losscope.inspecting.searching import sample
from losscope.inspecting.single import Looked
from losscope.inspecting.vectors import unit, unit_blocks
from losscope.run.files import temporary

MAPPED = 1500
"""Points on a map of the page, at most."""


def write(looked: Looked, path: Path) -> Path:
    """Write one row for each item.

    Columns: ``id``, ``row`` (its place in the file), ``label`` (null without labels), ``split`` and ``role``
    where there is one, ``embedding`` (list of float32), ``x`` and ``y`` (the first two principal components
    of the unit vectors), ``neighbors`` (a struct of ``ids``, places in this table, and ``distances``; null
    for rows that did not ask), and ``suggested_label``, ``wrong_label_probability`` where labels were judged.

    Raises:
        LosscopeError: a file that cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, count = looked.rows, len(looked.rows)
    ids = [str(place) for place in rows.places] if rows.ids is None else rows.ids.tolist()
    columns: dict[str, Any] = {"id": pa.array(ids, pa.string()), "row": pa.array(rows.places)}
    if rows.tags is not None:
        columns["label"] = pa.array([rows.item(row).label for row in range(count)], pa.string())
    elif rows.labels is None:
        columns["label"] = pa.nulls(count, pa.string())
    else:
        labels = pa.array(rows.labels.astype(np.int32), mask=rows.labels < 0)
        columns["label"] = pa.DictionaryArray.from_arrays(labels, pa.array(rows.classes)).cast(pa.string())
    if rows.roles is not None:
        asks, asked = rows.roles.query, rows.roles.gallery
        columns["role"] = pa.array(
            np.select([asks & asked, asks, asked], ["both", "query", "gallery"], "neither").tolist()
        )
    if rows.test is not None:
        columns["split"] = pa.array(np.where(rows.test, "test", "other"))
    columns["embedding"] = _lists(rows.vectors)
    flat, _ = principal(rows.vectors)
    columns |= {name: pa.array(flat[:, axis]) for axis, name in enumerate("xy")}
    columns["neighbors"] = _neighbours(looked)
    if looked.judged is not None:
        columns |= _suggestions(looked)
    with _placed(path) as part:
        pq.write_table(pa.table(columns), part)
    return path


@contextmanager
def _placed(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` once it is whole.

    Raises:
        LosscopeError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = temporary(path)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise LosscopeError(
            f"cannot write {str(path)!r}: {error.strerror or error}; give another file"
        ) from None


T = TypeVar("T", Inspection, InspectedPair)


def write_page(told: T, looked: Sequence[Looked], path: Path) -> T:
    """Write the page of what was found in one file or two, and say where it is.

    Raises:
        LosscopeError: a file that cannot be written.
    """
    from losscope.reporting.inspections import page

    maps = {}
    for side in looked:
        xy, explained = principal(side.rows.vectors)
        kept = sample(side.rows.labels, len(xy), min(len(xy), MAPPED))
        labels = np.zeros(len(xy), np.int64) if side.rows.labels is None else side.rows.labels
        maps[side.rows.name] = EmbeddingMap(xy[kept], labels[kept], explained)
    rows = looked[0].rows
    text = page(told, maps, rows.classes if rows.labels is not None else ("of all",))
    with _placed(path) as part:
        part.write_text(text, encoding="utf-8")
    return told.model_copy(update={"page": str(path)})


def _lists(values: np.ndarray) -> Any:
    import pyarrow as pa

    starts = np.arange(0, values.size + 1, values.shape[1])
    kind = pa.int64() if values.size >= 2**31 else pa.int32()
    made = pa.LargeListArray if values.size >= 2**31 else pa.ListArray
    return made.from_arrays(pa.array(starts, kind), pa.array(np.ascontiguousarray(values).reshape(-1)))


def principal(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows (N, D) along the first two principal axes of their unit vectors, float32 (N, 2).

    Also the share of the variance on each axis (2,). The sign of an axis is that of its largest entry, so
    that a file gives one picture.
    """
    width = vectors.shape[1]
    total, gram = np.zeros(width), np.zeros((width, width))
    for part in unit_blocks(vectors):
        block = unit(vectors[part])
        total += block.sum(axis=0)
        gram += block.T @ block
    mean = total / len(vectors)
    strengths, directions = np.linalg.eigh(gram - len(vectors) * np.outer(mean, mean))
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    if width == 1:
        axes = np.hstack([axes, np.zeros((1, 1))])
    placed = [(unit(vectors[part]) - mean) @ axes for part in unit_blocks(vectors)]
    shares = np.maximum(np.append(strengths[::-1], 0.0)[:2], 0.0)
    return np.concatenate(placed).astype(np.float32), shares / max(float(strengths.sum()), 1e-300)


def _neighbours(looked: Looked) -> Any:
    import pyarrow as pa

    found, count = looked.found, len(looked.rows)
    asked = np.zeros(count, bool)
    asked[found.queries] = True
    there = found.nearest >= 0
    lengths = np.zeros(count, np.int64)
    lengths[found.queries] = there.sum(axis=1)
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    parts = [
        pa.ListArray.from_arrays(starts, pa.array(values[there]))
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
