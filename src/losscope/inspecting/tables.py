"""Distances of a few queries to the items of a gallery that may be near, in float64.

A small gallery is looked at whole. In a large one float32 finds, for each query, all items that can be among
its nearest, rounding and ties allowed for, and float64 measures these alone: what is found is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from losscope.inspecting.relevance import Question
from losscope.measures.near import error_bound
from losscope.measures.neighbours import (
    BEYOND,
    CHUNK_PAIRS,
    DUPLICATE,
    STEP,
    Gallery,
    nearest_places,
    rows_of,
    tied_with,
    unit,
)

LARGE = 50_000
"""Items of a gallery from which float32 looks first."""
AT_ONCE = 64
"""Queries that it looks for at once."""
CONVERTED = 16_384
"""Rows that are made unit rows in float64 at once."""
CROWDED = 2**24
"""Pairs that are measured at once where nearly all items are equally near."""


@dataclass(frozen=True, eq=False)
class Table:
    """Queries at ``part`` of all, with items (q, M) in ascending order that hold all that is near.

    ``squared`` (q, M) float64; BEYOND where the query may not find the item.
    """

    question: Question
    part: slice
    items: np.ndarray
    squared: Tensor

    @cached_property
    def right(self) -> np.ndarray:
        """(q, M) which items are right."""
        return self.question.right(self.question.queries[self.part], _once(self.items))

    @cached_property
    def there(self) -> np.ndarray:
        """(q, M) which items the query may find."""
        return (self.squared < BEYOND).numpy()

    def reached(self, columns: np.ndarray) -> np.ndarray:
        """(q, K) which of the columns (q, K) hold items that the query may find."""
        return (self.squared.gather(1, torch.from_numpy(columns)) < BEYOND).numpy()

    def distances(self, columns: np.ndarray) -> np.ndarray:
        """(q, K) distances of the items in the columns (q, K)."""
        return self.squared.gather(1, torch.from_numpy(np.ascontiguousarray(columns))).sqrt().numpy()

    def tied_with(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(T, M) which items tie, for the rows (T,), with the one in the column (T,)."""
        return tied_with(self.squared[torch.from_numpy(rows)], np.ascontiguousarray(columns))


def tables(question: Question, depth: int) -> Iterator[Table]:
    """The tables of all queries, with every item that may be among the ``depth`` nearest or tie with it."""
    if len(question.gallery) < LARGE or 8 * depth > len(question.gallery):
        return _whole(question)
    return _foreseen(question, depth)


def _whole(question: Question) -> Iterator[Table]:
    queries, items = question.queries, question.gallery
    rows = unit(torch.from_numpy(question.rows.vectors))
    asked = rows if len(items) == len(rows) else rows[torch.from_numpy(items)]
    gallery = Gallery.of(asked)
    for part in gallery.parts(len(queries)):
        squared = gallery.squared_distances(rows[torch.from_numpy(queries[part])])
        yield _table(question, part, np.broadcast_to(items, squared.shape), squared)


def _once(items: np.ndarray) -> np.ndarray:
    """Items (q, M), or (M,) where they were broadcast: the same ones for all queries."""
    return items[0] if items.strides[0] == 0 else items


def _table(question: Question, part: slice, items: np.ndarray, squared: Tensor) -> Table:
    barred = question.barred(question.queries[part], _once(items))
    return Table(question, part, items, squared.masked_fill_(torch.from_numpy(barred), BEYOND))


def _foreseen(question: Question, depth: int) -> Iterator[Table]:
    vectors, items, queries = question.rows.vectors, question.gallery, question.queries
    near = _Nearby.of(vectors, items)
    # What is computed may be off for each of two that are compared, and a bucket holds ties.
    margin = 2 * error_bound(vectors.shape[1]) + 2 * STEP
    for start in range(0, len(queries), AT_ONCE):
        part = slice(start, min(len(queries), start + AT_ONCE))
        own = queries[part]
        table = near.squared(vectors[own])
        for row, query in enumerate(own.tolist()):
            _bar(question, query, table[row])
        candidates = _candidates(table, depth + 1, margin)
        most = max(map(len, candidates))
        if most * len(own) > CHUNK_PAIRS:  # nearly all items are equally near
            yield from _crowded(question, part)
            continue
        yield _measured(question, part, candidates)


def _bar(question: Question, query: int, squared: np.ndarray) -> None:
    """What a query may not find lies beyond all else in its row (G,)."""
    if question.roles.camera is None or question.roles.same_camera == "keep":
        place = int(np.searchsorted(question.gallery, query))
        if place < len(squared) and question.gallery[place] == query:
            squared[place] = BEYOND
    else:
        squared[question.barred(np.array([query]), question.gallery)[0]] = BEYOND


@dataclass(frozen=True, eq=False)
class _Nearby:
    """A gallery as unit rows in float32 (G, D), and their squared lengths (G,): 1, or 0 for a zero row."""

    rows: Tensor
    squares: Tensor

    @classmethod
    def of(cls, vectors: np.ndarray, items: np.ndarray) -> _Nearby:
        rows = torch.empty(len(items), vectors.shape[1], dtype=torch.float32)
        whole = len(items) == len(vectors)
        for start in range(0, len(items), CONVERTED):
            part = slice(start, start + CONVERTED)
            rows[part] = unit(torch.from_numpy(vectors[part] if whole else vectors[items[part]])).float()
        return cls(rows, rows.square().sum(1))

    def squared(self, queries: np.ndarray) -> np.ndarray:
        """(q, G) squared distances in float32 of the queries (q, D)."""
        own = unit(torch.from_numpy(queries)).float()
        table = torch.addmm(self.squares, own, self.rows.T, alpha=-2.0)
        table += own.square().sum(1)[:, None]
        found: np.ndarray = table.numpy()
        return found


def _candidates(table: np.ndarray, count: int, margin: float) -> list[np.ndarray]:
    """For each row of distances (q, G) the columns of all that may be among its ``count`` nearest."""
    places, _ = nearest_places(torch.from_numpy(table), count, margin)
    starts, columns = rows_of(places, table.shape)
    return np.split(columns, starts[1:-1])


def _measured(question: Question, part: slice, candidates: list[np.ndarray]) -> Table:
    """The candidates (columns of the gallery) of each query, measured in float64."""
    own, items = question.queries[part], question.gallery
    most = max(map(len, candidates))
    # Where a query has fewer candidates, the rest are the query itself or any item, which it may not find.
    columns = np.full((len(own), most), len(items) - 1)
    lacking = np.ones((len(own), most), bool)
    for row, found in enumerate(candidates):
        columns[row, : len(found)] = found
        lacking[row, : len(found)] = False
    squared = torch.empty(len(own), most, dtype=torch.float64)
    asking = unit(torch.from_numpy(question.rows.vectors[own]))
    for row in range(len(own)):
        near = unit(torch.from_numpy(question.rows.vectors[items[columns[row]]]))
        # Row by row the products are added in one order, so that equal rows are equally far.
        products = torch.from_numpy(np.einsum("ij,j->i", near.numpy(), asking[row].numpy()))
        squared[row] = near.square().sum(1) + asking[row].square().sum() - 2 * products
    torch.threshold_(squared, DUPLICATE, 0.0)
    squared.masked_fill_(torch.from_numpy(lacking), BEYOND)
    return _table(question, part, items[columns], squared)


def _crowded(question: Question, part: slice) -> Iterator[Table]:
    """The queries of a slice with all items, a few queries at a time."""
    vectors, items = question.rows.vectors, question.gallery
    step = max(1, CROWDED // len(items))
    for start in range(part.start, part.stop, step):
        few = slice(start, min(part.stop, start + step))
        asking = unit(torch.from_numpy(vectors[question.queries[few]]))
        squared = torch.empty(len(asking), len(items), dtype=torch.float64)
        for at in range(0, len(items), CONVERTED):
            near = unit(torch.from_numpy(vectors[items[at : at + CONVERTED]]))
            squared[:, at : at + CONVERTED] = torch.addmm(
                near.square().sum(1), asking, near.T, alpha=-2.0
            ) + asking.square().sum(1, keepdim=True)
        torch.threshold_(squared, DUPLICATE, 0.0)
        yield _table(question, few, np.broadcast_to(items, squared.shape), squared)
