"""A table of the user's own: a manifest of files, or features by columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.bounds import bounded_text, inside
from losscope.core.errors import require, unknown
from losscope.data.base import Draft
from losscope.data.readers.arrays import FINE, GROUPS, LABELS, SPLITS
from losscope.data.readers.files import read_table
from losscope.data.readers.folders import from_files, positions
from losscope.data.roles import set_role

PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "audio", "audio_path")
NOT_FEATURES = ("id", "index", "unnamed: 0", "name", "row")


def table(
    path: Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    split: str | None = None,
    size: int | None = None,
    skip_bad: bool = False,
    rate: int = 16000,
) -> Draft:
    """A CSV or parquet table: a manifest of files (a path column), or features (numbers, or lists of them).

    Columns are found by usual names, or by the option of that name: ``labels``, ``fine`` (finer labels),
    ``group`` (splits tear none apart), ``split`` (train, validation, test), ``inputs`` (the path column, or
    a column of lists). Paths are relative to the table's folder, and may not lead out of it, or absolute.
    Without ``inputs`` all other columns of numbers are the features.
    """
    frame = read_table(path)
    columns = list(frame.columns)
    chosen: dict[str, str | None] = {
        what: _column(columns, given, usual, path)
        for what, given, usual in (
            ("labels", labels, LABELS),
            ("fine", fine, FINE),
            ("group", group, GROUPS),
            ("split", split, SPLITS),
            ("inputs", inputs, (*PATHS, "embedding", "embeddings", "features", "vector")),
        )
    }
    column = chosen["inputs"]
    used = {what: _values(frame, chosen[what]) for what in ("labels", "fine", "group")}
    if column is not None and isinstance(frame[column].iloc[0], str):
        names = _text(frame[column].to_numpy(), f"the paths of {str(path)!r}")
        files = [inside(path.parent, name) for name in names]
        draft = from_files(path, files, size, skip_bad, rate, names, used)
    else:
        taken = [column for column in chosen.values() if column is not None]
        values, which = _numbers(frame, column, taken, path)
        draft = Draft(
            path.name,
            f"features of {path.name}",
            "features",
            values,
            used["labels"],
            fine_labels=used["fine"],
            groups=used["group"],
            origin=str(path),
            notes=[which] if which else [],
        )
    draft.by_group = group is not None
    draft.no_labels = (
        f"{str(path)!r} has no label column; wanted: a column named label, or option labels, or --pairs or "
        f"--triplets; it has {', '.join(columns[:8])}{', …' if len(columns) > 8 else ''}"
    )
    if chosen["split"] is not None:
        every = frame[chosen["split"]].to_numpy()
        set_role(draft, every if draft.names is None else every[positions(names, draft.names)])
    return draft


def _column(columns: list[str], given: str | None, usual: tuple[str, ...], path: Path) -> str | None:
    if given is not None:
        if given not in columns:
            raise unknown(f"column in {str(path)!r}", given, columns)
        return given
    lower = {name.lower(): name for name in columns}
    return next((lower[word] for word in usual if word in lower), None)


def _values(frame: Any, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    series = frame[column]
    empty = int(series.isna().sum())
    require(
        not empty, f"column {column!r} is empty in {empty:,} of {len(series):,} rows; wanted: a value in each"
    )
    values = series.to_numpy()
    return values if values.dtype.kind in "iufb" else _text(values, f"the values of column {column!r}")


def _text(values: np.ndarray, what: str) -> np.ndarray:
    """A column as an array of text, where that takes no more memory than it should."""
    bounded_text(map(str, values.tolist()), what)
    return values.astype(str)


def _numbers(frame: Any, column: str | None, taken: list[str], path: Path) -> tuple[np.ndarray, str]:
    """Features (N, D) from a column of lists, or from all columns of numbers; and which they are."""
    if column is not None:
        try:
            values = np.array([np.asarray(row, np.float32) for row in frame[column]])
        except (ValueError, TypeError):
            values = np.empty(0)
        require(
            values.ndim == 2,
            f"column {column!r} of {str(path)!r} does not hold lists of one length; wanted: as many numbers "
            "in every row",
        )
        return values, ""
    numeric = frame.select_dtypes("number")
    keep = [
        column for column in numeric.columns if column not in taken and column.lower() not in NOT_FEATURES
    ]
    require(
        bool(keep),
        f"{str(path)!r} has neither a path column ({', '.join(PATHS[:4])}) nor columns of numbers; "
        f"it has {', '.join(map(str, frame.columns[:8]))}",
    )
    which = f"the features are {len(keep):,} columns, {keep[0]}" + (f" … {keep[-1]}" if len(keep) > 1 else "")
    return numeric[keep].to_numpy(np.float32), which
