"""The nearest items of the rows that ask, and how well each finds its class: one exact pass over the gallery.

Up to 20,000 rows all ask. Of more, a systematic sample asks, drawn from the rows in the order of their
classes, so that each class has its share and each row the same chance (Cochran 1977, chapter 8); the gallery
is always whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope.inspecting.reading import Rows

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
    ``distances`` (Q, K) of the unit vectors. With labels: ``scores`` by measure (Q,), NaN for a row that is
    alone in its class; ``shares`` (Q, C): of the nearest K the share of each class, tied items evenly, empty
    where they tie with too many; ``occurrences`` (N,): how often each row is among the nearest.
    """

    queries: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray
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


def asking(rows: Rows, exact: bool, queries: int | None, seed: int) -> np.ndarray:
    """The rows that ask: all, or a sample whose pairs with the gallery take about as long as 20,000 rows."""
    count = len(rows)
    size = count if exact else queries or max(FEWEST, WHOLE * WHOLE // count)
    return sample(rows.labels, count, size, seed)


def search(rows: Rows, queries: np.ndarray, progress: Progress | None = None) -> Found:
    """Search the whole gallery for each query, itself left out; ties as in all measures of retrieval."""
    import torch

    from losscope.core.queries import Roles
    from losscope.measures.neighbours import ranked
    from losscope.measures.ranking import fill
    from losscope.measures.searching import Search, occurrences

    count = len(rows)
    labelled = rows.labels is not None
    codes = np.zeros(count, np.int64) if rows.labels is None else rows.labels
    asks = np.zeros(count, bool)
    asks[queries] = True
    roles = Roles(asks, np.ones(count, bool))
    searching = Search.of(torch.from_numpy(rows.vectors), codes, roles, exclude=False)
    right = searching.relevant(codes)
    most = min(NEIGHBOURS, count - 1)
    depth = min(count - 1, max(most, int(right.max()) if labelled else 0))
    nearest = np.empty((len(queries), most), np.int64)
    distances = np.empty((len(queries), most))
    scores = {name: np.full(len(queries), np.nan) for name in PER_QUERY if labelled}
    votes, occurring = _Votes(codes, most), np.zeros(count)
    for part, squared in searching.tables():
        found = ranked(squared, depth)
        columns = np.ascontiguousarray(found.columns[:, :most])
        nearest[part] = columns
        distances[part] = squared.gather(1, torch.from_numpy(columns)).sqrt().numpy()
        occurring += occurrences(squared, found, most)
        if labelled:
            fill(scores, part, searching.ranking(part, squared, found, codes), right[part], deep=True)
            votes.add(columns, found.tied, squared)
        if progress is not None:
            progress(part.stop, len(queries))
    for values in scores.values():
        values[right == 0] = np.nan
    shares = votes.shares(len(rows.classes)) if labelled else None
    return Found(queries, nearest, distances, scores, shares, occurring)


class _Votes:
    """The share of each class among the nearest rows of each query, in the making."""

    def __init__(self, codes: np.ndarray, most: int) -> None:
        self.codes, self.most = codes, most
        self.rows: list[np.ndarray] = []
        self.classes: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.count = 0

    def add(self, columns: np.ndarray, tied: np.ndarray, squared: Any) -> None:
        """Queries with their nearest rows (q, K), which tie with the next (q, ...), and distances (q, N)."""
        weights = np.full(columns.shape, 1 / self.most)
        for row in np.flatnonzero(tied[:, self.most - 1]).tolist():
            self._share(row, columns[row], weights[row], squared)
        where = np.repeat(np.arange(self.count, self.count + len(columns)), self.most)
        self._put(where, self.codes[columns].ravel(), weights.ravel())
        self.count += len(columns)

    def _put(self, rows: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> None:
        self.rows.append(rows)
        self.classes.append(classes)
        self.weights.append(weights)

    def _share(self, row: int, columns: np.ndarray, weights: np.ndarray, squared: Any) -> None:
        """The items tied at the last place share the places that are left to them."""
        import torch

        from losscope.measures.neighbours import tied_with

        group = tied_with(squared[torch.tensor([row])], columns[-1:])[0]
        inside = group[columns]
        members = np.flatnonzero(group)
        if len(members) > MANY_TIED * self.most:
            weights[:] = 0.0
            return
        weights[inside] = 0.0
        each = int(inside.sum()) / self.most / len(members)
        self._put(np.full(len(members), self.count + row), self.codes[members], np.full(len(members), each))

    def shares(self, classes: int) -> csr_matrix:
        """(Q, C), the shares of a row adding to 1, or to 0 where its neighbours tell nothing."""
        from scipy.sparse import coo_matrix

        weights, rows = np.concatenate(self.weights), np.concatenate(self.rows)
        kept = weights > 0
        at = rows[kept], np.concatenate(self.classes)[kept]
        return coo_matrix((weights[kept], at), shape=(self.count, classes)).tocsr()
