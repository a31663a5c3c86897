"""The rows that are inspected: a file by the readers of all data, or arrays in Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.results import Item
from losscope.data import health
from losscope.data.base import TEST, Draft
from losscope.data.labels import understood
from losscope.data.loading import undecoded
from losscope.data.plain import column, plain_values
from losscope.data.readers.arrays import NAMES, read_arrays
from losscope.data.readers.files import found, is_table, open_table
from losscope.data.readers.paths import ARRAYS
from losscope.data.roles import set_role

IDS = ("ids", "id", *NAMES)
"""Arrays and columns that tell the items apart, the first of them that there is."""


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows that have a finite vector, and a class where there are labels.

    ``vectors`` float32 (N, D); ``labels`` int64 (N,), positions in ``classes``, None without labels; ``ids``
    (N,) text, ``every_id`` those of the whole file; ``test`` (N,) which rows are the test part of a split;
    ``places`` (N,) where the rows stand in the file, counted from 0. ``not_finite``, ``unlabelled``: rows of
    the file that are not among them.
    """

    name: str
    vectors: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    places: np.ndarray
    ids: np.ndarray | None = None
    every_id: frozenset[str] = frozenset()
    test: np.ndarray | None = None
    not_finite: int = 0
    unlabelled: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def total(self) -> int:
        """The rows of the file."""
        return len(self) + self.not_finite + self.unlabelled

    def item(self, row: int) -> Item:
        """What a person is told of a row."""
        return Item(
            row=int(self.places[row]),
            id=None if self.ids is None else str(self.ids[row]),
            label=None if self.labels is None else self.classes[self.labels[row]],
        )

    def take(self, rows: np.ndarray) -> Rows:
        """The given rows in that order."""
        return replace(
            self,
            vectors=self.vectors[rows],
            labels=None if self.labels is None else self.labels[rows],
            places=self.places[rows],
            ids=None if self.ids is None else self.ids[rows],
            test=None if self.test is None else self.test[rows],
        )


def read_file(path: str | Path, labels: str | None = None, ids: str | None = None, **options: Any) -> Rows:
    """The rows of a file, or of a data set's features by name; labels are not needed.

    Args:
        path: what ``losscope.read`` takes, of vectors.
        labels, ids: the column or array of each, found by the usual names otherwise.
        **options: further options of the reader.

    Raises:
        LosscopeError: a file that cannot be read, or that holds no vectors.
    """
    draft, _ = undecoded(path, labels=labels, **options)
    require(
        draft.second is None,
        f"{str(path)!r} holds two modalities; wanted: one vector for each item, chosen by --option inputs=",
    )
    own = _ids(Path(path).expanduser(), ids, len(draft.inputs))
    return _checked(draft, str(path), own)


def read_arrays_given(
    vectors: Any, labels: Any = None, ids: Any = None, split: Any = None, name: str = "the embeddings"
) -> Rows:
    """The rows of arrays in Python: NumPy arrays, tensors, nested lists, columns of a data frame.

    Raises:
        LosscopeError: arrays of other shapes, lengths that do not agree.
    """
    matrix = _array(vectors)
    require(matrix.dtype.kind in "fiub", f"{name} are of type {matrix.dtype}; wanted: numbers (N, D)")
    draft = Draft(name, name, "features", matrix, None if labels is None else _array(labels))
    count = len(matrix)
    for what, given in (("labels", labels), ("ids", ids), ("split", split)):
        if given is not None and len(given) != count:
            raise LosscopeError(f"there are {len(given):,} {what} for {count:,} embeddings; wanted: as many")
    if split is not None:
        set_role(draft, _array(split))
    return _checked(draft, name, None if ids is None else _array(ids).astype(str))


def _array(given: Any) -> np.ndarray:
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        if str(given.dtype) == "torch.bfloat16":
            given = given.float()
    return np.asarray(given)


def _checked(draft: Draft, name: str, ids: np.ndarray | None) -> Rows:
    vectors = np.asarray(draft.inputs)
    shape = vectors.shape
    require(
        draft.kind != "images" and vectors.ndim == 2 and shape[1] > 0 and shape[0] > 1,
        f"{name} holds {'images' if draft.kind == 'images' else 'values'} of shape {shape}; wanted: "
        "embeddings "
        "(rows, dimensions), two rows at least",
    )
    finite = np.isfinite(vectors).all(axis=1)
    require(bool(finite.sum() > 1), f"{name}: {int(finite.sum())} of {len(finite):,} rows are finite")
    notes, kept = list(draft.notes), finite
    classes: tuple[str, ...] = ()
    numbers: np.ndarray | None = None
    if draft.labels is not None:
        require(draft.tags is None, f"{name} has several labels in a row; wanted: one label for each row")
        labels = understood(draft.labels, f"labels of {name}", names=draft.class_names)
        numbers, classes = labels.numbers, labels.names
        notes += labels.notes
        kept = finite & (numbers >= 0)
        require(bool(kept.sum() > 1), f"{name}: {int(kept.sum())} rows have a label and a finite vector")
        notes += [f"{part.said} left out as background" for part in labels.background]
    places = np.flatnonzero(kept)
    own, said = health.scaled(name, "embeddings", vectors[places])
    with np.errstate(under="ignore", over="ignore"):
        rows = np.ascontiguousarray(own, np.float32)
    if numbers is not None:
        present, inverse = np.unique(numbers[places], return_inverse=True)
        classes, numbers = tuple(classes[k] for k in present), inverse.astype(np.int64)
    test = None if draft.role is None else (np.asarray(draft.role) == TEST)[places]
    return Rows(
        name=name,
        vectors=rows,
        labels=numbers,
        classes=classes,
        places=places,
        ids=None if ids is None else ids[places],
        every_id=frozenset(() if ids is None else ids.tolist()),
        test=test,
        not_finite=int((~finite).sum()),
        unlabelled=int((finite & ~kept).sum()),
        notes=tuple(dict.fromkeys((*notes, *said))),
    )


def _ids(path: Path, name: str | None, count: int) -> np.ndarray | None:
    """The ids of a file's rows as text, None where there are none."""
    if path.is_file() and path.suffix.lower() in ARRAYS:
        arrays = read_arrays(path)
        chosen = name or found(arrays, IDS)
        values = None if chosen is None or chosen not in arrays else arrays[chosen]
        known = list(arrays)
    elif path.is_file() and is_table(path):
        frame = open_table(path, IDS).frame
        known = [str(column) for column in frame.columns]
        lower = {column.lower(): column for column in known}
        chosen = name or next((lower[title] for title in IDS if title in lower), None)
        values = None if chosen is None or chosen not in known else frame[chosen].to_numpy()
    else:
        values, known = None, []
    if name is not None and values is None:
        raise LosscopeError(f"{str(path)!r} has no ids {name!r}; choices: {', '.join(known[:20])}")
    if values is None or len(values) != count:
        return None
    plain = plain_values(column(values, "ids"), "ids")
    return None if plain.missing.any() else plain.values.astype(str)
