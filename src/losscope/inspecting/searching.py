"""The nearest items of the rows that ask, and how well each finds what is right: exact, over the gallery.

Up to 20,000 rows all ask. Of more, a systematic sample asks, drawn from the rows in the order of their
classes, so that each class has its share and each row the same chance (Cochran 1977, chapter 8); the gallery
is always whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from losscope.core.errors import require
from losscope.inspecting.reading import Rows
from losscope.inspecting.relevance import Question
from losscope.inspecting.tables import Table, tables
from losscope.measures.neighbours import Ranked, ranked
from losscope.measures.ranking import fill
from losscope.measures.ties import Ranking

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

WHOLE = 20_000
"""Rows up to which all ask, and of which all pairs are measured."""
FEWEST = 5_000
"""Rows that ask at least, of any number."""
NEIGHBOURS = 10
MANY_TIED = 10
"""A tied group of more than so many times the neighbours tells nothing of a row."""
PER_QUERY = ("recall_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Found:
    """What Q rows of N found.

    ``queries`` int64 (Q,) rows that asked; ``nearest`` int64 (Q, K) their nearest rows, nearest first, and
    ``distances`` (Q, K) of the unit vectors; -1 and NaN where a query may find fewer. ``right`` (Q,) counts
    the right items of each, where they are known; then ``scores`` by measure (Q,), NaN for a row without any.
    With labels: ``shares`` (Q, C): of the nearest K the share of each class, tied items evenly, empty where
    they tie with too many. ``occurrences`` (N,): how often each row is among the nearest.
    """

    queries: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray
    right: np.ndarray
    scores: dict[str, np.ndarray]
    shares: csr_matrix | None
    occurrences: np.ndarray

    @property
    def decided(self) -> np.ndarray:
        """(Q,) the rows whose neighbours tell something of their class; with labels."""
        assert self.shares is not None
        return np.asarray(self.shares.sum(axis=1)).ravel() > 0.5


def sample(labels: np.ndarray | None, count: int, size: int, seed: int = 0) -> np.ndarray:
    """Rows (n,), ascending, so that each class has its share of them and each row the same chance.

    >>> sample(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 8, 4).shape
    (4,)
    """
    if size >= count:
        return np.arange(count)
    draw = np.random.default_rng(seed)
    order = draw.permutation(count)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    places = np.floor((np.arange(size) + draw.random()) * count / size).astype(np.int64)
    return np.sort(order[np.minimum(places, count - 1)])


def able(rows: Rows) -> np.ndarray:
    """The rows that may ask: all, or the queries; without a class a query of classes asks nothing."""
    if rows.roles is None:
        return np.arange(len(rows))
    asks = (
        rows.roles.query
        if rows.labels is None or rows.matches is not None
        else (rows.roles.query & (rows.labels >= 0))
    )
    return np.flatnonzero(asks)


def asking(rows: Rows, exact: bool, queries: int | None, seed: int) -> np.ndarray:
    """The rows that ask: all, or a sample whose pairs with the gallery take about as long as 20,000 rows."""
    may = able(rows)
    count = len(rows) if rows.roles is None else int(rows.roles.gallery.sum())
    size = len(may) if exact else queries or max(FEWEST, WHOLE * WHOLE // count)
    labels = None if rows.labels is None else rows.labels[may]
    return may[sample(labels, len(may), size, seed)]


def search(rows: Rows, queries: np.ndarray, progress: Progress | None = None) -> Found:
    """Search the gallery for each query, itself left out; ties as in all measures of retrieval."""
    question = Question(rows, queries)
    right = question.counts if rows.answerable else np.zeros(len(queries), np.int64)
    require(
        rows.roles is None or not rows.answerable or bool(right.any()),
        f"{rows.name}: no query that asks has a right answer in the gallery of {len(question.gallery):,}; "
        "wanted: labels of one naming in both, or --relevance",
    )
    most = min(NEIGHBOURS, question.most)
    depth = min(question.most, max(most, int(right.max(initial=0))))
    nearest, distances = np.full((len(queries), most), -1), np.full((len(queries), most), np.nan)
    scores = {name: np.full(len(queries), np.nan) for name in PER_QUERY if rows.answerable}
    votes = None if rows.labels is None else _Votes(rows.labels, most)
    occurring = np.zeros(len(rows))
    for table in tables(question, depth):
        part, found = table.part, ranked(table.squared, depth)
        there = table.reached(found.columns)
        close = found.columns[:, :most]
        nearest[part] = np.where(there[:, :most], np.take_along_axis(table.items, close, axis=1), -1)
        distances[part] = np.where(there[:, :most], table.distances(close), np.nan)
        occurring += _occurrences(table, found, there, most, len(rows))
        if rows.answerable:
            hits = np.take_along_axis(table.right, found.columns, axis=1) & there

            def beyond(at: np.ndarray, table: Table = table, found: Ranked = found) -> tuple[np.ndarray, ...]:
                group = table.tied_with(at, found.columns[at, -1])
                return group.sum(1), (group & table.right[at] & table.there[at]).sum(1)

            ranking = Ranking.of(hits, found.tied, beyond)  # type: ignore[arg-type]
            fill(scores, part, ranking, right[part], deep=True)
        if votes is not None:
            votes.add(table, close, found.tied, there[:, :most])
        if progress is not None:
            progress(part.stop, len(queries))
    for values in scores.values():
        values[right == 0] = np.nan
    shares = None if votes is None else votes.shares(len(rows.classes))
    return Found(queries, nearest, distances, right, scores, shares, occurring)


def _occurrences(table: Table, found: Ranked, there: np.ndarray, most: int, count: int) -> np.ndarray:
    """(N,) how often each row is among the ``most`` nearest; items tied at the last place share it."""
    columns, there = found.columns[:, :most], there[:, :most]
    items = np.take_along_axis(table.items, columns, axis=1)
    counts = np.bincount(items[there], minlength=count).astype(float)
    across = np.flatnonzero(found.tied[:, most - 1] & there[:, -1])
    for row in across.tolist():
        group = table.tied_with(np.array([row]), columns[row, -1:])[0]
        inside = group[columns[row]]
        counts[items[row, inside]] -= 1
        np.add.at(counts, table.items[row, group], int(inside.sum()) / int(group.sum()))
    return counts


class _Votes:
    """The share of each class among the nearest rows of each query, in the making."""

    def __init__(self, codes: np.ndarray, most: int) -> None:
        self.codes, self.most = codes, most
        self.rows: list[np.ndarray] = []
        self.classes: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.count = 0

    def add(self, table: Table, columns: np.ndarray, tied: np.ndarray, there: np.ndarray) -> None:
        """Queries of a table with their nearest columns (q, K), which tie with the next (q, ...)."""
        weights = there / self.most
        for row in np.flatnonzero(tied[:, self.most - 1] & there[:, -1]).tolist():
            self._share(table, row, columns[row], weights[row])
        where = np.repeat(np.arange(self.count, self.count + len(columns)), self.most)
        items = np.take_along_axis(table.items, columns, axis=1)
        self._put(where, self.codes[items].ravel(), weights.ravel())
        self.count += len(columns)

    def _put(self, rows: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> None:
        self.rows.append(rows)
        self.classes.append(classes)
        self.weights.append(weights)

    def _share(self, table: Table, row: int, columns: np.ndarray, weights: np.ndarray) -> None:
        """The items tied at the last place share the places that are left to them."""
        group = table.tied_with(np.array([row]), columns[-1:])[0]
        inside = group[columns]
        members = table.items[row, group]
        if len(members) > MANY_TIED * self.most:
            weights[:] = 0.0
            return
        weights[inside] = 0.0
        each = int(inside.sum()) / self.most / len(members)
        self._put(np.full(len(members), self.count + row), self.codes[members], np.full(len(members), each))

    def shares(self, classes: int) -> csr_matrix:
        """(Q, C), the shares of a row: they add to 1, to less beside distractors, or are none."""
        from scipy.sparse import coo_matrix

        weights, rows = np.concatenate(self.weights), np.concatenate(self.rows)
        codes = np.concatenate(self.classes)
        kept = (weights > 0) & (codes >= 0)
        return coo_matrix((weights[kept], (rows[kept], codes[kept])), shape=(self.count, classes)).tocsr()
