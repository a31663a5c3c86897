"""Retrieval measures as their expectation over all orders of equally near items, in closed form.

The order of tied items is arbitrary, so a measure is its mean over all of their orders, each equally likely
(McSherry and Najork 2008, "Computing Information Retrieval Performance Measures Efficiently in the Presence
of Tied Scores"). In a tied group of n items, r of them relevant, that begins after H relevant ones:

- each place of the group is relevant with probability r/n;
- if the place with j places of the group before it is, H + 1 + j (r-1)/(n-1) relevant items stand up to and
  with it in the mean;
- none of the group's first m places is relevant with probability C(n-r, m) / C(n, m).

A group without relevant items or without others is the same in every order, so only mixed groups are treated;
where there are none, the measures are those of the one ranking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Beyond = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From row numbers (T,) to sizes (T,) and relevant items (T,) of the whole group at the last place."""


@dataclass(frozen=True)
class Ranking:
    """Which places of each query's ranking are relevant, and the mixed groups of tied items among them.

    ``hits`` (Q, K) for one of the possible orders; ``so_far`` (Q, K) relevant items up to and with each
    place. Of each mixed group: ``row`` its query, ``start`` how many places are before it, ``size`` n,
    ``relevant`` r, ``before`` H. A group may end beyond the K places.
    """

    hits: np.ndarray
    so_far: np.ndarray
    row: np.ndarray
    start: np.ndarray
    size: np.ndarray
    relevant: np.ndarray
    before: np.ndarray

    @classmethod
    def of(cls, hits: np.ndarray, tied: np.ndarray, beyond: Beyond | None = None) -> Ranking:
        """Find the mixed groups.

        Args:
            hits: (Q, K) whether the item at each place is relevant.
            tied: (Q, K) whether it ties with the next one, which may be the first beyond the K.
            beyond: counts the group at the last place of rows where that is tied with an item beyond it; not
                needed where the K are all there are.
        """
        so_far = np.cumsum(hits, axis=1, dtype=np.int32)
        depth = hits.shape[1]
        linked = np.flatnonzero(tied)
        if not len(linked):
            return cls(hits, so_far, *(np.zeros(0, np.int64) for _ in range(5)))
        first = np.concatenate([[True], (np.diff(linked) > 1) | (linked[1:] % depth == 0)])
        row, start = np.divmod(linked[first], depth)
        links = np.diff(np.append(np.flatnonzero(first), len(linked)))
        stop = np.minimum(start + links + 1, depth)
        size, before = stop - start, so_far[row, start] - hits[row, start].astype(np.int64)
        relevant = so_far[row, stop - 1] - before
        cut = np.flatnonzero(start + links == depth)
        if len(cut) and beyond is not None:
            size[cut], relevant[cut] = beyond(row[cut])
        mixed = (relevant > 0) & (relevant < size)
        return cls(hits, so_far, *(part[mixed] for part in (row, start, size, relevant, before)))


def recall(ranking: Ranking, k: int) -> np.ndarray:
    """(Q,) the chance of a relevant item among the k nearest.

    >>> two_of_three = Ranking.of(np.array([[True, False]]), np.array([[True, True]]), lambda rows: (3, 1))
    >>> recall(two_of_three, 1).round(3), recall(two_of_three, 2).round(3)
    (array([0.333]), array([0.667]))
    """
    found = np.asarray(ranking.hits[:, :k].any(1), np.float64)
    across = np.flatnonzero((ranking.start < k) & (ranking.start + ranking.size > k))
    size, relevant = ranking.size[across], ranking.relevant[across]
    none = np.where(ranking.before[across] > 0, 0.0, 1.0)
    for drawn in range(k):
        share = np.maximum(size - relevant - drawn, 0) / np.maximum(size - drawn, 1)
        none *= np.where(ranking.start[across] + drawn < k, share, 1.0)
    found[ranking.row[across]] = 1.0 - none
    return found


def precision_at_r(ranking: Ranking, total: np.ndarray) -> np.ndarray:
    """(Q,) the mean share of relevant items among the R nearest, 0 where R is 0; ``total`` (Q,) is R ≤ K."""
    found = ranking.so_far[np.arange(len(total)), total - 1].astype(np.float64)
    found[total == 0] = 0.0
    limit = total[ranking.row]
    across = (ranking.start < limit) & (ranking.start + ranking.size > limit)
    row, inside = ranking.row[across], (limit - ranking.start)[across]
    found[row] = ranking.before[across] + inside * ranking.relevant[across] / ranking.size[across]
    return found / np.maximum(total, 1)


def average_precision(ranking: Ranking, total: np.ndarray, limit: np.ndarray | None = None) -> np.ndarray:
    """(Q,) the mean of Σ over relevant places of the precision there, over ``total``; 0 where that is 0.

    Args:
        ranking: the ranking of Q queries.
        total: (Q,) relevant items of each query.
        limit: (Q,) the places that count, all K without it.
    """
    depth = ranking.hits.shape[1] if limit is None else int(limit.max(initial=0))
    ranks = np.arange(1, depth + 1)
    counted = ranking.hits[:, :depth]
    if limit is not None:
        counted = counted & (ranks <= limit[:, None])
    precisions = ranking.so_far[:, :depth] * counted / ranks
    last = np.full(len(total), depth) if limit is None else limit
    stop = np.minimum(ranking.start + ranking.size, last[ranking.row])
    kept = np.flatnonzero(stop > ranking.start)
    if not len(kept):
        return precisions.sum(1) / np.maximum(total, 1)
    row, start, stop = ranking.row[kept], ranking.start[kept], stop[kept]
    precisions.reshape(-1)[_places(row * depth + start, stop - start)] = 0.0
    size, relevant = ranking.size[kept], ranking.relevant[kept]
    # Σ over places P of (H + 1 + j (r-1)/(n-1)) / P with j = P - start - 1: all of it from Σ 1/P.
    reciprocals = np.concatenate([[0.0], np.cumsum(1.0 / ranks)])
    inverse = reciprocals[stop] - reciprocals[start]
    slope = (relevant - 1) / (size - 1)
    later = (stop - start) - (start + 1) * inverse
    expected = relevant / size * ((ranking.before[kept] + 1) * inverse + slope * later)
    sums = precisions.sum(1) + np.bincount(row, expected, minlength=len(total))
    return sums / np.maximum(total, 1)


def first_ranks(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """The expected rank of each query's first relevant item, and its expected reciprocal; both (Q,).

    Of a first relevant group of n tied items, r of them relevant, after p others: the first relevant item has
    j items of the group before it with probability C(n-j-1, r-1) / C(n, r), so its mean rank is
    p + (n+1)/(r+1). NaN for a query without a relevant item among the K places.

    >>> two_of_three = Ranking.of(np.array([[True, False, True]]), np.array([[True, True, False]]))
    >>> [found.round(4).tolist() for found in first_ranks(two_of_three)]
    [[1.3333], [0.8333]]
    """
    place = ranking.hits.argmax(1) if ranking.hits.shape[1] else np.zeros(len(ranking.hits), np.int64)
    rank = np.where(ranking.hits.any(1), place + 1.0, np.nan)
    reciprocal = 1.0 / rank
    first = np.flatnonzero(ranking.before == 0)
    row, start = ranking.row[first], ranking.start[first]
    size, relevant = ranking.size[first].astype(np.float64), ranking.relevant[first].astype(np.float64)
    rank[row] = start + (size + 1) / (relevant + 1)
    chance, expected = relevant / size, np.zeros(len(first))
    for drawn in range(int((size - relevant).max(initial=-1)) + 1):
        expected += chance / (start + drawn + 1)
        chance *= np.maximum(size - drawn - relevant, 0) / np.maximum(size - drawn - 1, 1)
    reciprocal[row] = expected
    return rank, reciprocal


def reciprocal_rank(ranking: Ranking) -> np.ndarray:
    """(Q,) the mean of 1 / rank of the first relevant item, 0 where there is none among the K places.

    >>> first_of_three = Ranking.of(np.array([[True, False, False]]), np.array([[True, True, False]]))
    >>> reciprocal_rank(first_of_three).round(3)
    array([0.611])
    """
    return np.nan_to_num(first_ranks(ranking)[1])


QUALITY = ("map_at_r", "recall_at_1")
"""What a quality curve is made of."""


def qualities(ranking: Ranking, relevant: np.ndarray) -> tuple[float, float]:
    """MAP@R and Recall@1 over the queries that have a right answer; ``relevant`` (Q,) counts these."""
    asked = relevant > 0
    if not asked.any():
        return np.nan, np.nan
    precision = average_precision(ranking, relevant, relevant)
    return float(precision[asked].mean()), float(recall(ranking, 1)[asked].mean())


def _places(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers first, first + 1, ... of each run, one run after the other.

    >>> _places(np.array([3, 10]), np.array([2, 3])).tolist()
    [3, 4, 10, 11, 12]
    """
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) + np.repeat(first - (ends - lengths), lengths)
