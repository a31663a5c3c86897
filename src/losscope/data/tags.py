"""Several labels in a row: a table of 0 and 1, or lists. Right is then what shares a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require, shown
from losscope.data.plain import SINGLE, asked_labels, entries_of, listed, plain_values

SHARED = (
    "{what} are several in a row: right is what shares one with the query. What needs one class for each row "
    "(variance within classes, k-NN accuracy, clusters, verification) is not measured"
)
BLOCK = 2**24
"""Pairs of label sets that are compared at once."""


@dataclass(frozen=True, eq=False)
class Tags:
    """The labels of N rows that have several each: ``table`` boolean (N, C), and what the C are called."""

    table: np.ndarray
    names: tuple[str, ...]

    @cached_property
    def _sets(self) -> tuple[np.ndarray, np.ndarray]:
        sets, number = np.unique(self.table, axis=0, return_inverse=True)
        return sets, number.reshape(-1)

    @property
    def sets(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """int64 (N,) the number of each row's set of labels, -1 for none; and what the sets are called.

        >>> Tags(np.array([[1, 1], [0, 0], [0, 1]], bool), ("cat", "dog")).sets
        (array([ 1, -1,  0]), ('dog', 'cat + dog'))
        """
        sets, number = self._sets
        said = [" + ".join(self.names[place] for place in np.flatnonzero(own)) for own in sets]
        empty = int(len(sets) > 0 and not sets[0].any())  # sorted, the empty set stands first
        return np.where(number < empty, -1, number - empty), tuple(said[empty:])

    @property
    def kin(self) -> np.ndarray:
        """int64 (N,) a number for each row, equal for rows joined by a chain of labels; -1 for none."""
        from losscope.data.readers.tuples import components

        rows, labels = np.nonzero(self.table)
        links = np.stack([rows, len(self.table) + labels], 1)
        found = components(links, len(self.table) + self.table.shape[1])[: len(self.table)]
        return np.where(self.table.any(1), found, -1)

    def take(self, rows: np.ndarray) -> Tags:
        """The given rows: positions, or a boolean mask."""
        return Tags(self.table[rows], self.names)

    def without(self, ignore: Any) -> Tags:
        """These without the labels that ``ignore`` names, one or several."""
        away = set(asked_labels(ignore))
        kept = [place for place, name in enumerate(self.names) if name not in away]
        return Tags(self.table[:, kept], tuple(self.names[place] for place in kept))

    def ignored(self, ignore: Any) -> list[str]:
        """A sentence on what ``without`` takes away, and one on names that no label has.

        >>> Tags(np.array([[True, True], [True, False]]), ("owl", "blurred")).ignored(["blurred", "x"])
        ["'blurred' is left out of the labels of 1 of 2 rows", "no label is 'x', which --ignore-label names"]
        """
        asked = asked_labels(ignore)
        lost = self.table[:, [name in asked for name in self.names]]
        found, absent = ([name for name in asked if (name in self.names) is here] for here in (True, False))
        said = []
        if found:
            only = int((lost.any(1) & (lost.sum(1) == self.table.sum(1))).sum())
            rest = f"; {only:,} of them have no other label" if only else ""
            names, verb = ", ".join(map(shown, found)), "is" if len(found) == 1 else "are"
            rows = f"{int(lost.any(1).sum()):,} of {len(lost):,} rows"
            said.append(f"{names} {verb} left out of the labels of {rows}{rest}")
        if absent:
            said.append(f"no label is {', '.join(map(shown, absent))}, which --ignore-label names")
        return said

    def undecidable(self) -> str | None:
        """What the rows have, if retrieval among them has one possible result; else None."""
        if not (self.table.sum(0) > 1).any():
            return "no two rows that share a label"
        sets = self._sets[0]
        sets = sets[sets.any(1)].astype(np.float32)
        step = max(1, BLOCK // max(1, len(sets)))
        if all(bool((sets[at : at + step] @ sets.T > 0).all()) for at in range(0, len(sets), step)):
            return "labels of which every two rows share one"
        return None


def several(values: Any, what: str, names: Sequence[str] = ()) -> Tags | None:
    """Labels of which rows have several: (N, C) of 0 and 1, or lists. None where each row has one at most.

    In lists -1, None and empty text are no label.

    Raises:
        LosscopeError: more or fewer names than columns; in lists, what is no label (``plain_values``).

    >>> several(np.array([[1, 1], [0, 1]]), "labels").names
    ('0', '1')
    >>> several(np.eye(2), "labels") is None
    True
    """
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1:
        return _listed(values, what)
    given = np.asarray(values)
    if given.ndim != 2 or given.shape[1] < 2 or given.dtype.kind not in "biuf":
        return None
    if not np.isin(given, (0, 1)).all() or (given.sum(1) < 2).all():
        return None
    if names and len(names) != given.shape[1]:
        raise LosscopeError(
            f"{what} have {given.shape[1]} columns, and there are {len(names)} class names; wanted: one for "
            "each"
        )
    return Tags(given.astype(bool), tuple(names) or tuple(map(str, range(given.shape[1]))))


def _listed(values: np.ndarray, what: str) -> Tags | None:
    lists = [entries_of(cell) if isinstance(cell, SINGLE) else None for cell in values.tolist()]
    if not any(entries is not None and len(entries) > 1 for entries in lists):
        return None
    cells = [
        [cell] if entries is None else entries for entries, cell in zip(lists, values.tolist(), strict=True)
    ]
    rows = np.repeat(np.arange(len(cells)), list(map(len, cells)))
    plain = plain_values(listed([entry for own in cells for entry in own]), what)
    text = plain.values.astype(str)
    kept = ~plain.missing & (text != "-1")
    order = plain.values[kept] if plain.whole else text[kept]
    names, place = np.unique(order, return_inverse=True)
    table = np.zeros((len(cells), len(names)), bool)
    table[rows[kept], place.reshape(-1)] = True
    return Tags(table, tuple(map(str, names))) if (table.sum(1) > 1).any() else None


def decided(tags: Tags, where: str) -> None:
    """Raise where retrieval by these labels has one possible result."""
    why = tags.undecidable()
    require(
        why is None, f"{where} has {why}, which decides nothing; wanted: rows that share labels, and others"
    )
