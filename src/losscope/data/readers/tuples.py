"""Explicit pairs and triplets from a file, and the classes they imply where there are no labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.data.readers.files import Arrays, is_table, open_table, read_npy, read_npz
from losscope.data.readers.tuple_columns import pair_columns, told_same, triplet_columns


class ReadTuples(NamedTuple):
    """Explicit tuples (P, 3) as positions, int64, and sentences on how their file was understood."""

    values: np.ndarray
    notes: list[str]


def read_tuples(path: Path, form: str, names: np.ndarray | None, rows: int) -> ReadTuples:
    """Explicit pairs (P, 3) = (i, j, same) or triplets (P, 3) = (anchor, positive, negative), int64.

    ``form`` is "pairs" or "triplets". The file is a table (with a header row or without), an npz, or an npy
    array (P, 3). Columns are found by their names, others are taken in order; both is said in the notes.
    Rows are given by position from 0, or by name where the data have ``names``: names made of digits are
    names where every cell is one, and the notes say so where it could be a position too. The third column
    of pairs says same (1) or different (0) whatever its name; pairs without one are all positive.

    Raises LosscopeError for too few columns, columns that leave open what they are, unknown names,
    positions outside of the data, a third column that is not 0 or 1, and pairs that are same and different.
    """
    where = repr(str(path))
    columns, notes = _columns(path)
    found = pair_columns(columns, where) if form == "pairs" else triplet_columns(columns, where)
    notes += found.notes
    values, more = _located(path, columns, found.rows, names, rows)
    notes += more
    require(len(values[0]) > 0, f"{where} has no {form}")
    if form == "pairs":
        same = np.ones(len(values[0]), np.int64)
        if found.same is not None:
            same, more = told_same(columns[found.same], found.inverted, found.same, where)
            notes += more
        values.append(same)
    tuples = np.stack(values, 1)
    notes += checked_pairs(tuples, where) if form == "pairs" else checked_triplets(tuples, where)
    return ReadTuples(tuples, notes)


def _columns(path: Path) -> tuple[Arrays, list[str]]:
    """The columns of a file by name in lower case, and how it was read."""
    suffix = path.suffix.lower()
    if is_table(path):
        opened = open_table(path)
        return {str(name).lower(): opened.frame[name].to_numpy() for name in opened.frame.columns}, [
            *opened.notes
        ]
    if suffix == ".npz":
        arrays = read_npz(path)
        if len(arrays) == 1:
            return _unstacked(arrays[next(iter(arrays))], path), []
        return {name.lower(): array for name, array in arrays.items()}, []
    if suffix == ".npy":
        return _unstacked(read_npy(path), path), []
    raise LosscopeError(f"cannot read {str(path)!r}; wanted: .csv, .tsv, .jsonl, .parquet, .npz or .npy")


def _unstacked(array: np.ndarray, path: Path) -> dict[str, np.ndarray]:
    if array.dtype.names and array.ndim == 1:
        return {name.lower(): array[name] for name in array.dtype.names}
    require(array.ndim == 2, f"{str(path)!r} is of shape {array.shape}; wanted: (tuples, 3)")
    return {str(place): np.asarray(array[:, place]) for place in range(array.shape[1])}


def _located(
    path: Path, columns: Arrays, chosen: tuple[str, ...], names: np.ndarray | None, rows: int
) -> tuple[list[np.ndarray], list[str]]:
    """The rows that the chosen columns give, by name where every cell is one; and notes."""
    where, given = repr(str(path)), [columns[name] for name in chosen]
    numbers = [column.dtype.kind in "iuf" for column in given]
    if names is None or not any(numbers):
        return [_positions(column, names, rows, where) for column in given], []
    written = _as_written(path, columns, chosen)
    cells = np.concatenate(written)
    known = np.isin(cells, names.astype(str))
    if known.all() or not all(numbers):
        values = [_positions(text, names, rows, where) for text in written]
        if not all(numbers):
            return values, []
        numbered = np.concatenate([column.astype(np.int64) for column in given])
        either = bool(np.all((numbered >= 0) & (numbered < rows)))
        if either and not np.array_equal(numbered, np.concatenate(values)):
            return values, [f"{where}: its numbers are taken as names of the data, not as positions"]
        return values, []
    padded = ~known & np.array([len(cell) > 1 and cell[0] == "0" and cell.isdigit() for cell in cells], bool)
    require(
        not padded.any(),
        f"{where} names {int(padded.sum()):,} rows that the data do not have (such as {cells[padded][:1]})",
    )
    values = [_positions(column, names, rows, where) for column in given]
    if known.any() and not np.array_equal(names.astype(str)[np.concatenate(values)], cells):
        return values, [
            f"{where}: its numbers are taken as positions from 0, not as names of the data: "
            f"{int((~known).sum()):,} of {len(cells):,} (such as {str(cells[~known][0])!r}) are no name"
        ]
    return values, []


def _as_written(path: Path, columns: Arrays, chosen: tuple[str, ...]) -> list[np.ndarray]:
    """The chosen columns as text, as a table has them: "000123" is not 123."""
    if is_table(path):
        frame = open_table(path, chosen).frame
        columns = {str(name).lower(): frame[name].to_numpy() for name in frame.columns}
    texts = []
    for column in (columns[name] for name in chosen):
        if column.dtype.kind == "f" and np.all(np.isfinite(column) & (column == np.round(column))):
            column = column.astype(np.int64)
        texts.append(column.astype(str))
    return texts


def _positions(column: np.ndarray, names: np.ndarray | None, rows: int, where: str) -> np.ndarray:
    if column.dtype.kind == "f":
        whole = np.isfinite(column) & (column == np.round(column))
        require(
            bool(whole.all()),
            f"{where}: {int((~whole).sum()):,} of {len(column):,} rows are no whole number or empty; wanted: "
            "positions from 0",
        )
        column = column.astype(np.int64)
    if column.dtype.kind in "iu":
        outside = (column < 0) | (column >= rows)
        from_one = outside.any() and column.min() == 1 and column.max() == rows
        require(
            not outside.any(),
            f"{where} names {int(outside.sum()):,} rows outside of 0…{rows - 1:,} (such as "
            f"{column[outside][:1]})"
            + ("; they seem to be counted from 1; wanted: positions from 0" if from_one else ""),
        )
        return column.astype(np.int64)
    require(
        names is not None,
        f"{where} gives rows by name, but the data have no names; wanted: positions from 0",
    )
    assert names is not None
    order = np.argsort(names.astype(str))
    known, text = names.astype(str)[order], column.astype(str)
    place = np.minimum(np.searchsorted(known, text), len(known) - 1)
    missing = known[place] != text
    require(
        not missing.any(),
        f"{where} names {int(missing.sum()):,} rows that the data do not have (such as {text[missing][:1]})",
    )
    twice = np.isin(text, known[1:][known[1:] == known[:-1]])
    require(
        not twice.any(),
        f"{where} names {int(twice.sum()):,} rows by a name that several rows of the data have (such as "
        f"{text[twice][:1]}); wanted: positions from 0",
    )
    return order[place].astype(np.int64)


def checked_pairs(pairs: np.ndarray, where: str) -> list[str]:
    """Raise for pairs that are said to be same and different; say how many are repeated or of one row."""
    ends = np.sort(pairs[:, :2], 1)
    both = len(np.unique(np.column_stack([ends, pairs[:, 2]]), axis=0)) - len(np.unique(ends, axis=0))
    require(
        both == 0,
        f"{where} gives {both:,} pairs both as same and as different; wanted: one answer for each pair",
    )
    itself = ends[:, 0] == ends[:, 1]
    unlike = int((itself & (pairs[:, 2] == 0)).sum())
    require(
        unlike == 0, f"{where} says of {unlike:,} rows that they differ from themselves; wanted: two rows"
    )
    notes = [f"{where}: {int(itself.sum()):,} pairs join a row with itself"] if itself.any() else []
    repeated = len(ends) - len(np.unique(ends, axis=0))
    return notes + ([f"{where}: {repeated:,} pairs are repeated, and count as often"] if repeated else [])


def checked_triplets(triplets: np.ndarray, where: str) -> list[str]:
    """How many triplets are repeated, or name a row twice."""
    anchor, positive, negative = triplets.T
    wrong = int(((negative == anchor) | (negative == positive)).sum())
    itself = int((anchor == positive).sum())
    notes = [f"{where}: {itself:,} triplets have their anchor as positive"] if itself else []
    if wrong:
        notes.append(f"{where}: {wrong:,} triplets have their own anchor or positive as negative")
    repeated = len(triplets) - len(np.unique(triplets, axis=0))
    return notes + ([f"{where}: {repeated:,} triplets are repeated, and count as often"] if repeated else [])


def components(links: np.ndarray, rows: int) -> np.ndarray:
    """A number (rows,) for each row, equal for rows joined by a chain of links (L, 2).

    >>> components(np.array([[0, 1], [1, 3]]), 4).tolist()
    [0, 0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(rows, rows))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def implied_labels(
    pairs: np.ndarray | None, triplets: np.ndarray | None, rows: int
) -> tuple[np.ndarray, list[str]]:
    """Classes for data without labels: rows joined by positive pairs are one class; and notes for users.

    Raises LosscopeError where no pair of two rows is positive.
    """
    positive, negative = [], []
    if pairs is not None:
        positive.append(pairs[pairs[:, 2] == 1, :2])
        negative.append(pairs[pairs[:, 2] == 0, :2])
    if triplets is not None:
        positive.append(triplets[:, :2])
        negative.append(triplets[:, [0, 2]])
    links = np.concatenate(positive)
    require(
        bool((links[:, 0] != links[:, 1]).any()),
        f"none of the {sum(len(own) for own in (pairs, triplets) if own is not None):,} explicit tuples "
        "joins two rows that belong together; wanted: positive pairs (same 1), or labels",
    )
    labels = components(links, rows)
    against = np.concatenate(negative)
    wrong = int((labels[against[:, 0]] == labels[against[:, 1]]).sum())
    notes = [
        "there are no labels: rows joined by positive pairs count as one class where a measure needs classes"
    ]
    if wrong:
        notes.append(
            f"{wrong:,} of {len(against):,} negative pairs lie inside such a class, joined by a chain of "
            "positives"
        )
    return labels, notes


def holding_units(pairs: np.ndarray | None, triplets: np.ndarray | None, rows: int) -> np.ndarray | None:
    """Groups that tear no tuple apart, for splitting; None where nearly all rows hang together."""
    links = [] if pairs is None else [pairs[:, :2]]
    if triplets is not None:
        links += [triplets[:, :2], triplets[:, [0, 2]]]
    units = components(np.concatenate(links), rows)
    counts = np.bincount(units)
    return units if len(counts) >= 5 and counts.max() < rows / 2 else None
