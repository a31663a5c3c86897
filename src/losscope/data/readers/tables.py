"""A table of the user's own: a manifest of files, or features by columns."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.bounds import bounded_text, inside
from losscope.core.errors import LosscopeError, require
from losscope.data.base import Draft
from losscope.data.labels import column, listed
from losscope.data.plain import plain_values
from losscope.data.readers.arrays import FINE, GROUPS, LABELS, SPLITS
from losscope.data.readers.cells import as_numbers, as_vectors, restored
from losscope.data.readers.columns import MAYBE_SPLITS, PATHS, Columns, decide
from losscope.data.readers.files import OpenTable, open_table
from losscope.data.readers.folders import from_files, positions
from losscope.data.readers.gallery import Asked, marks_of, set_marks
from losscope.data.readers.modalities import add_second
from losscope.data.readers.pictures import UNREAD
from losscope.data.readers.text_columns import refuse_texts
from losscope.data.roles import set_role
from losscope.data.tags import several


@dataclass(frozen=True)
class Framed:
    """A data frame of a Python program, as pandas has it, in the place of a file."""

    name: str
    frame: Any

    def __str__(self) -> str:
        return self.name


def table(
    path: Path | Framed,
    *,
    inputs: str | None = None,
    second: str | None = None,
    labels: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    split: str | None = None,
    fold: str | None = None,
    encoding: str | None = None,
    size: int | None = None,
    skip_bad: bool = False,
    rate: int = 16000,
    role: str | None = None,
    query: str | None = None,
    gallery: str | None = None,
    camera: str | None = None,
    same_camera: str | None = None,
) -> Draft:
    """A CSV, JSON lines or parquet table: a manifest of files (a path column), or features.

    Columns are found by usual names, types and content, or by the option of that name: ``labels``, ``fine``
    (finer labels), ``group`` (splits tear none apart), ``split`` (train, validation, test), ``fold`` (a
    seed's test part is one fold), ``inputs`` (the path column, a column of vectors, or columns of numbers:
    ``f0,f1`` or ``f*``), ``second`` (vectors of the other modality). Paths are relative to the table's
    folder, and may not lead out of it, or absolute. Without ``inputs`` a column of vectors is the features,
    two are a pair of modalities of these names, else all columns of numbers that are no id, index, fold or
    copy of the label. ``encoding`` is that of a text table. The notes say what each column was taken for,
    ``left_out`` what was not taken.
    ``role`` (words query, gallery), ``query`` and ``gallery`` (true or false) give the test rows' roles, with
    ``camera`` and the rule ``same_camera`` (keep, junk, skip).
    """
    given = [name.lower() for name in (labels, fine, group, split, fold) if name is not None]
    as_text = {*LABELS, *FINE, *GROUPS, *SPLITS, *MAYBE_SPLITS, *PATHS, *given}
    opened = OpenTable(path.frame) if isinstance(path, Framed) else open_table(path, as_text, encoding)
    frame, where = _with_index(opened.frame), repr(str(path))
    for name in frame.columns:
        if name.lower() in as_text:
            frame[name] = restored(frame[name])
    marks = marks_of(
        list(frame.columns),
        lambda name: frame[name].to_numpy(),
        Asked(role, query, gallery, camera, same_camera),
        len(frame),
        positions=False,
    )
    columns = decide(
        frame,
        where,
        marks=marks.columns,
        inputs=inputs,
        second=second,
        labels=labels,
        fine=fine,
        group=group,
        split=split,
        fold=fold,
        header=opened.header,
    )
    used = {
        what: _values(frame, name)
        for what, name in (("labels", columns.label), ("fine", columns.fine), ("group", columns.group))
    }
    folds = _values(frame, fold)
    names = None
    if columns.kind == "path":
        if isinstance(path, Framed):
            raise LosscopeError(f"{where} has a column of paths; wanted: embeddings")
        names = _text(frame[columns.inputs[0]].to_numpy(), f"the paths of {where}")
        files = [inside(path.parent, name) for name in names]
        draft = from_files(path, files, size, skip_bad, rate, names, used)
        draft.notes += [*opened.notes, *columns.notes[1:]]
    else:
        if columns.kind == "numbers" and inputs is None:
            refuse_texts(frame, where, columns.inputs, size == UNREAD)
        sides, how = _sides(frame, columns, where) if columns.kind == "pair" else (None, [])
        values, more = (next(iter(sides.values())), []) if sides else _features(frame, columns, where)
        how += more
        draft = Draft(
            path.name,
            f"features of {path.name}",
            "features",
            values,
            used["labels"],
            fine_labels=used["fine"],
            groups=used["group"],
            origin=str(path),
            notes=[*(columns.notes if columns.kind == "numbers" else columns.notes[1:]), *how, *opened.notes],
        )
    read = None if names is None else positions(names, draft.names)
    if used["labels"] is not None and (tags := several(used["labels"], f"labels of {where}")) is not None:
        draft.tags = tags if read is None else tags.take(read)
        draft.labels = draft.tags.sets[0]
    draft.fold = folds if folds is None or read is None else folds[read]
    draft.left_out += columns.left_out
    draft.by_group = group is not None
    if columns.group is not None and group is None:
        draft.notes.append(
            f"column {columns.group!r} names groups, but is not used for the split, which may tear them: "
            f"--group {shlex.quote(columns.group)} (or -o {shlex.quote(f'group={columns.group}')}) splits by "
            "whole groups"
        )
    draft.no_labels = (
        f"{where} has no label column; wanted: a column named label, or option labels, or --pairs or "
        f"--triplets; it has {', '.join(frame.columns[:8])}{', …' if len(frame.columns) > 8 else ''}"
    )
    words = None
    if columns.split is not None:
        every = frame[columns.split]
        empty = int(every.isna().sum())
        require(
            not empty,
            f"column {columns.split!r} is empty in {empty:,} of {len(every):,} rows; wanted: "
            "train, validation or test in each",
        )
        words = every.to_numpy() if read is None else every.to_numpy()[read]
    if columns.kind == "pair":
        assert sides is not None
        require(
            not marks.columns,
            f"{where} has two modalities, each of which searches the other, and queries and a gallery too; "
            "wanted: one of the two",
        )
        draft.labels = _as_text(draft.labels, f"labels of {where}", draft.notes)
        first, other = columns.inputs
        words = add_second(draft, sides, first, other, (None, None), words)
    if words is not None:
        set_role(draft, words, columns.split or "")
    set_marks(draft, marks if read is None else marks.take(read))
    return draft


def _with_index(frame: Any) -> Any:
    """A frame whose index has names has it as columns: parquet keeps what pandas had as its index."""
    named = [name for name in frame.index.names if name is not None and str(name) not in frame.columns]
    if not named:
        return frame.reset_index(drop=True)
    frame = frame.reset_index()
    frame.columns = [str(name) for name in frame.columns]
    return frame


def _values(frame: Any, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    return listed(frame[column].tolist())


def _text(values: np.ndarray, what: str) -> np.ndarray:
    """A column as an array of text, where that takes no more memory than it should."""
    bounded_text(map(str, values.tolist()), what)
    return values.astype(str)


def _as_text(labels: np.ndarray | None, what: str, notes: list[str]) -> np.ndarray | None:
    """Labels of a column that can be sorted though cells of it may be empty; an empty text where one is."""
    if labels is None or labels.dtype != object:
        return labels
    plain = plain_values(column(labels, what), what)
    notes += plain.notes
    return np.where(plain.missing, "", plain.values.astype(str))


def _sides(frame: Any, columns: Columns, where: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """The vectors (N, D), float32, of two modalities by column, NaN where a cell is empty; and notes."""
    found: dict[str, np.ndarray] = {}
    notes = []
    for name in columns.inputs:
        filled = frame[name].notna()
        some, how = as_vectors(frame[name][filled], name, where)
        found[name] = np.full((len(frame), some.shape[1]), np.nan, np.float32)
        found[name][filled.to_numpy()] = some
        if how:
            notes.append(f"column {name}: {how}")
    return found, notes


def _features(frame: Any, columns: Columns, where: str) -> tuple[np.ndarray, list[str]]:
    """Features (N, D), float32, from a column of vectors, or from all columns of numbers; and notes."""
    if columns.kind == "vectors":
        name = columns.inputs[0]
        values, how = as_vectors(frame[name], name, where)
        return values, [f"the features are column {name}{f': {how}' if how else ''}"]
    require(
        bool(columns.inputs),
        f"{where} has neither a path column ({', '.join(PATHS[:4])}) nor columns of numbers; "
        f"it has {', '.join(map(str, frame.columns[:8]))}"
        + "".join(f"; left out: {part.said}" for part in columns.left_out),
    )
    with np.errstate(over="ignore"):
        made = [np.asarray(as_numbers(frame[name]).values, np.float32) for name in columns.inputs]
    return np.stack(made, 1), []
