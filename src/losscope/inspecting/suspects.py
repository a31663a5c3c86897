"""Copies among the rows of a file, and classes that are found badly or confused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from losscope.core.results import ClassFound, Confused, Duplicates, Twins
from losscope.data import health
from losscope.inspecting.reading import Rows
from losscope.inspecting.searching import Found

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LISTED_PAIRS, LISTED = 50, 10
TOGETHER = 0.02
"""Classes with a smaller share of each other's neighbours are not said to be confused."""


def worst_classes(rows: Rows, found: Found) -> tuple[ClassFound, ...]:
    """The classes that are found worst, by MAP@R; where rows have several labels, of each label."""
    count = len(rows.classes)
    members = _members(rows)
    asked = np.isfinite(found.scores["map_at_r"])
    own = members[found.queries[asked]]
    each, sizes = (np.asarray(part.sum(axis=0)).ravel() for part in (own, members))
    means = {
        name: own.T @ found.scores[name][asked] / np.maximum(each, 1) for name in ("map_at_r", "recall_at_1")
    }
    order = np.lexsort((np.arange(count), means["recall_at_1"], means["map_at_r"]))
    return tuple(
        ClassFound(
            label=rows.classes[k],
            items=int(sizes[k]),
            asked=int(each[k]),
            recall_at_1=float(means["recall_at_1"][k]),
            map_at_r=float(means["map_at_r"][k]),
        )
        for k in order[each[order] > 0][:LISTED]
    )


def _members(rows: Rows) -> csr_matrix:
    """(N, C) 1 where a row is of a class, or has a label."""
    from scipy.sparse import csr_matrix

    if rows.tags is not None:
        return rows.tags.astype(np.float64)
    assert rows.labels is not None
    kept = np.flatnonzero(rows.labels >= 0)
    return csr_matrix((np.ones(len(kept)), (kept, rows.labels[kept])), shape=(len(rows), len(rows.classes)))


def confusion(rows: Rows, found: Found) -> csr_matrix:
    """(C, C) sparse: of a row's class, the mean share of each other class among the nearest items."""
    from scipy.sparse import coo_matrix

    assert rows.labels is not None and found.shares is not None
    own, count = rows.labels[found.queries], len(rows.classes)
    at = np.flatnonzero(found.decided & (own >= 0))
    each = np.maximum(np.bincount(own[at], minlength=count), 1)
    sums = coo_matrix((1.0 / each[own[at]], (own[at], at)), shape=(count, len(own)))
    table = (sums.tocsr() @ found.shares).tolil()
    table.setdiag(0.0)
    return table.tocsr()


def confused_pairs(rows: Rows, found: Found) -> tuple[Confused, ...]:
    """The pairs of classes with the most of each other among their nearest items."""
    table = confusion(rows, found)
    both = (table + table.T).tocoo()
    upper = both.row < both.col
    first, second, share = both.row[upper], both.col[upper], both.data[upper] / 2
    order = np.lexsort((second, first, -share))
    return tuple(
        Confused(
            a=rows.classes[first[k]],
            b=rows.classes[second[k]],
            a_to_b=float(table[first[k], second[k]]),
            b_to_a=float(table[second[k], first[k]]),
        )
        for k in order[:LISTED]
        if share[k] >= TOGETHER
    )


def duplicates(rows: Rows, found: Found) -> tuple[Duplicates, int]:
    """Rows that are the same item, and how many are zero.

    Equal rows are found among all, by their bytes. Near ones are found among the nearest items of the rows
    that asked: nearer than a tenth of the median distance to the fifth neighbour, as in the health of data.
    """
    items, zero = health.identities(rows.vectors)
    count = len(rows)
    labels = np.zeros(count, np.int64) if rows.labels is None else rows.labels
    test = np.zeros(count, bool) if rows.test is None else rows.test
    looked = health.examine(
        rows.vectors, labels, test, items=items, zero=zero, labelled=rows.labels is not None
    )
    near, limit = _near(rows, found, items, zero)
    later = np.flatnonzero(items != np.arange(count))
    pairs = [(int(items[row]), int(row), 0.0) for row in later[:1000]] + near
    other = {pair: labels[pair[0]] != labels[pair[1]] for pair in pairs}
    across = {pair: test[pair[0]] != test[pair[1]] for pair in pairs}
    pairs.sort(key=lambda pair: (not other[pair], not across[pair], pair[2]))
    split = rows.test is not None
    across_near = len(looked.near)
    if count > health.NEAR_ROWS:  # there they were looked for among the nearest items of those that asked
        across_near = len({a if test[a] else b for a, b, d in near if across[a, b, d]} - set(looked.seen))
    return Duplicates(
        equal=len(later),
        two_labels=looked.two_labels,
        near=None if limit is None else len(near),
        near_two_labels=None if limit is None else sum(bool(other[pair]) for pair in near),
        limit=limit,
        across_equal=len(looked.seen) if split else None,
        across_near=across_near if split else None,
        tests=int(test.sum()) if split else None,
        pairs=tuple(
            Twins(a=rows.item(a), b=rows.item(b), distance=distance)
            for a, b, distance in pairs[:LISTED_PAIRS]
        ),
    ), int(zero.sum())


def _near(
    rows: Rows, found: Found, items: np.ndarray, zero: np.ndarray
) -> tuple[list[tuple[int, int, float]], float | None]:
    """Pairs of rows that are near and not equal, and the distance below which; None in few dimensions."""
    if rows.vectors.shape[1] < health.NEAR_WIDTH or found.distances.shape[1] < 5 or len(rows) < 16:
        return [], None
    limit = health.NEAR * float(np.nanmedian(found.distances[:, 4]))
    if not limit > 0:
        return [], None
    place, rank = np.nonzero(found.distances <= limit)
    a, b, distance = found.queries[place], found.nearest[place, rank], found.distances[place, rank]
    kept = (items[a] != items[b]) & ~zero[a] & ~zero[b]
    first, second = np.minimum(a, b)[kept], np.maximum(a, b)[kept]
    pairs = {(int(i), int(j)): float(d) for i, j, d in zip(first, second, distance[kept], strict=True)}
    return sorted(((i, j, d) for (i, j), d in pairs.items()), key=lambda pair: (pair[2], pair)), limit
