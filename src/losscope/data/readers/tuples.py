"""Explicit pairs and triplets from a file, and the classes they imply where there are no labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.data.readers.files import Arrays, read_npy, read_npz, read_table

PAIR = ("i", "j", "same")
TRIPLET = ("anchor", "positive", "negative")


def read_tuples(path: Path, form: str, names: np.ndarray | None, rows: int) -> np.ndarray:
    """Explicit pairs (P, 3) = (i, j, same) or triplets (P, 3) = (anchor, positive, negative), int64.

    ``form`` is "pairs" or "triplets". The file is a CSV or parquet table, an npz, or an npy array (P, 3);
    columns named i, j, same or anchor, positive, negative are found by name, others taken in order. Rows
    are given by position from 0, or by name where the data have ``names``. Pairs without a third column
    are all positive.

    Raises LosscopeError for too few columns, unknown names, positions outside of the data, and a third
    column that is not 0 or 1.
    """
    titles = PAIR if form == "pairs" else TRIPLET
    columns = _columns(path, titles)
    wanted = f"columns {', '.join(titles)}"
    require(
        len(columns) >= (2 if form == "pairs" else 3),
        f"{str(path)!r} has {len(columns)} columns; wanted: {wanted}",
    )
    count = 2 if form == "pairs" else 3
    found = [_positions(column, names, rows, path) for column in columns[:count]]
    if form == "pairs":
        same = columns[2] if len(columns) > 2 else np.ones(len(columns[0]), np.int64)
        try:
            numbers = np.asarray(same).astype(np.float64)
        except ValueError:
            numbers = np.full(len(same), np.nan)
        require(
            bool(np.isin(numbers, (0, 1)).all()),
            f"{str(path)!r}: the third column must be 1 (same) or 0 (different) in every row",
        )
        found.append(numbers.astype(np.int64))
    require(len(found[0]) > 0, f"{str(path)!r} has no {form}")
    return np.stack(found, 1)


def _columns(path: Path, titles: tuple[str, ...]) -> list[np.ndarray]:
    if path.suffix in (".csv", ".tsv", ".parquet"):
        frame = read_table(path)
        named: Arrays = {str(name).lower(): frame[name].to_numpy() for name in frame.columns}
    elif path.suffix == ".npz":
        named = read_npz(path)
        if len(named) == 1:
            named = _unstacked(named[next(iter(named))], path)
    elif path.suffix == ".npy":
        named = _unstacked(read_npy(path), path)
    else:
        raise LosscopeError(f"cannot read {str(path)!r}; wanted: .csv, .tsv, .parquet, .npz or .npy")
    present = [named[title] for title in titles if title in named]
    return present if len(present) >= 2 else [named[title] for title in list(named)[:3]]


def _unstacked(array: np.ndarray, path: Path) -> dict[str, np.ndarray]:
    require(array.ndim == 2, f"{str(path)!r} is of shape {array.shape}; wanted: (tuples, 3)")
    return {str(place): np.asarray(array[:, place]) for place in range(array.shape[1])}


def _positions(column: np.ndarray, names: np.ndarray | None, rows: int, path: Path) -> np.ndarray:
    if column.dtype.kind in "iu":
        outside = (column < 0) | (column >= rows)
        require(
            not outside.any(),
            f"{str(path)!r} names {int(outside.sum()):,} rows outside of 0…{rows - 1:,} "
            f"(such as {column[outside][:1]})",
        )
        return column.astype(np.int64)
    require(
        names is not None,
        f"{str(path)!r} gives rows by name, but the data have no names; wanted: positions from 0",
    )
    assert names is not None
    order = np.argsort(names.astype(str))
    known, text = names.astype(str)[order], column.astype(str)
    place = np.minimum(np.searchsorted(known, text), len(known) - 1)
    missing = known[place] != text
    require(
        not missing.any(),
        f"{str(path)!r} names {int(missing.sum()):,} rows that the data do not have (such as "
        f"{text[missing][:1]})",
    )
    return order[place].astype(np.int64)


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
    """Classes for data without labels: rows joined by positive pairs are one class; and notes for users."""
    positive, negative = [], []
    if pairs is not None:
        positive.append(pairs[pairs[:, 2] == 1, :2])
        negative.append(pairs[pairs[:, 2] == 0, :2])
    if triplets is not None:
        positive.append(triplets[:, :2])
        negative.append(triplets[:, [0, 2]])
    labels = components(np.concatenate(positive), rows)
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
