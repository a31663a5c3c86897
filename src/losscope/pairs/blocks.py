"""The inner loops of ``kernels`` on a block of anchors, in NumPy: its SIMD sort, gathers and counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from losscope.pairs.explicit import ACTIVE_DISTANCE

Array = Any

CELLS_PER_LIMIT = 4
"""Cells of the look-up grid for each sorted positive; measured, see ``_ranks``."""

ROUNDS = 3
"""Steps to the right of the looked-up place before the few that are left are searched for."""


def contrastive(
    diagonal: int,
    matrix: Array,
    positive: Array,
    negative: Array,
    margin: Array,
    pulls: Array,
    pushes: Array,
    pulling: Array,
    pushing: Array,
    close: bool,
) -> None:
    """Fill values and active counts of R anchors; squared distances (R, B) become 1 at a positive and
    −max(0, m − d)/d at a negative, half the derivative of the terms by them.
    """
    scratch = np.multiply(matrix, positive)
    pulls[:] = _sums(scratch)
    distance = np.sqrt(matrix, out=matrix)
    if close:
        pulling[:] = _sums((distance > ACTIVE_DISTANCE) & positive)
    gap = np.subtract(margin[:, None], distance, out=scratch)
    live = gap > 0
    live &= negative
    gap *= live
    pushes[:] = np.einsum("ij,ij->i", gap, gap)
    pushing[:] = _sums(live)
    _no_force_at_zero(diagonal, distance, close)
    np.divide(gap, distance, out=matrix)
    np.subtract(positive, matrix, out=matrix)


def _sums(array: Array) -> Array:
    return torch.from_numpy(array).sum(-1).numpy()


def _no_force_at_zero(diagonal: int, distance: Array, close: bool) -> None:
    """Two points in one place have no direction: make dividing by their distance harmless."""
    if close:
        distance[distance == 0] = np.inf
        return
    rows, columns = distance.shape
    distance[np.arange(rows), (diagonal + np.arange(rows)) % columns] = 1


def triplets(
    diagonal: int,
    reach: Array,
    positive: Array,
    negative: Array,
    margin: Array,
    value: Array,
    active: Array,
    by_length: bool,
    close: bool,
) -> None:
    """See ``kernels.triplet_slopes``, for R anchors."""
    rows, columns = reach.shape
    outside = np.flatnonzero(~negative)
    chosen = outside[positive.reshape(-1)[outside]]
    anchor = chosen // columns
    count = np.bincount(anchor, minlength=rows)
    most = int(count.max(initial=0))
    if most == 0:
        value[:], active[:], reach[:] = 0, 0, 0
        return
    width = 1 << most.bit_length()
    limit = np.full((rows, width), np.inf, reach.dtype)
    place = np.arange(anchor.size) - (np.cumsum(count) - count)[anchor]
    own = reach.reshape(-1)[chosen] + margin[anchor]
    limit[anchor, place] = own
    limit.sort(-1)
    x = reach.copy()
    x.reshape(-1)[outside] = np.finfo(x.dtype).max
    x.reshape(-1)[chosen] = own
    rank = _ranks(limit, x, count)
    flat = rank.reshape(-1)
    number = np.bincount(flat, minlength=rows * width)
    mine = flat[chosen]
    number -= np.bincount(mine, minlength=rows * width)
    number = number.reshape(rows, width).cumsum(-1)
    violated = number.reshape(-1)[mine - 1]
    slope = np.empty_like(reach)
    rank -= (np.arange(rows) * width + count).astype(rank.dtype)[:, None]
    np.copyto(slope, rank, casting="same_kind")
    slope.reshape(-1)[chosen] = violated
    active[:] = np.bincount(anchor, weights=violated, minlength=rows)
    value[:] = np.multiply(slope, x, dtype=np.float64).sum(-1)
    if by_length:
        _no_force_at_zero(diagonal, reach, close)
        np.divide(slope, reach, out=reach)
    else:
        reach[:] = slope


def _ranks(limit: Array, x: Array, count: Array) -> Array:
    """row · width + the number of the row's sorted limits that are ≤ x, int32, (R, B).

    A grid over each row's limits holds how many lie in the cells before; the cell of x is a monotone
    function of x, so that only limits of its own cell remain, and these are stepped over. What is left after
    a few steps (many limits in one cell) is searched for, so that no distribution is slow.
    """
    rows, width = limit.shape
    cells = CELLS_PER_LIMIT * width
    low = np.where(count > 0, limit[:, 0], 0)
    span = limit[np.arange(rows), np.maximum(count - 1, 0)] - low
    scale = np.where(count > 0, np.minimum(cells / span, np.finfo(x.dtype).max / 4), 0).astype(x.dtype)
    start = np.arange(rows, dtype=np.int32) * (cells + 1)
    own = _cells(limit, low, scale, cells)
    exists = np.arange(width) < count[:, None]
    table = np.bincount((own + start[:, None])[exists], minlength=rows * (cells + 1))
    table = table.cumsum() - table
    table += np.repeat(np.arange(rows) * width - (np.cumsum(count) - count), cells + 1)
    where = _cells(x, low, scale, cells)
    where += start[:, None]
    rank = table.astype(np.int32).take(where, mode="clip")
    _step_over(limit.reshape(-1), x.reshape(-1), rank.reshape(-1), width)
    return rank


def _cells(x: Array, low: Array, scale: Array, cells: int) -> Array:
    at = np.subtract(x, low[:, None])
    at *= scale[:, None]
    np.clip(at, 0, cells, out=at)
    return at.astype(np.int32)


def _step_over(limit: Array, x: Array, rank: Array, width: int) -> None:
    todo = np.flatnonzero(limit.take(rank, mode="clip") <= x)
    for _ in range(ROUNDS):
        if not todo.size:
            return
        after = rank[todo] + 1
        rank[todo] = after
        todo = todo[limit.take(after, mode="clip") <= x[todo]]
    place = rank[todo] // width * width
    step = width // 2
    while step:
        place += step * (limit[step - 1 :].take(place, mode="clip") <= x[todo])
        step //= 2
    rank[todo] = place


def positive_against_negatives(
    diagonal: int, matrix: Array, positive: Array, negative: Array, value: Array
) -> None:
    """Fill Σ_p log(1 + Σ_n exp(s_n − s_p)) of R anchors; similarities (R, C) become its derivatives by them."""
    rows, columns = matrix.shape
    flat = matrix.reshape(-1)
    outside = np.flatnonzero(~negative)
    chosen = outside[positive.reshape(-1)[outside]]
    anchor = chosen // columns
    own = flat[chosen]
    flat[outside] = -np.inf
    total, highest = _exponentials(matrix)
    behind = (highest + np.log(total))[anchor] - own
    share = 1 / (1 + np.exp(-behind))
    term = np.maximum(behind, 0) + np.log1p(np.exp(-np.abs(behind)))
    value[:] = np.bincount(anchor, term, rows)
    pushed = np.bincount(anchor, share, rows)
    matrix *= np.where(total > 0, pushed / total, 0).astype(matrix.dtype)[:, None]
    flat[chosen] = -share


def positives_among_all(diagonal: int, matrix: Array, positive: Array, negative: Array, value: Array) -> None:
    """Fill the mean over positives of −log softmax over all others; similarities become its derivatives."""
    scratch = np.multiply(matrix, positive)
    count = _sums(positive)
    some = count > 0
    each = np.where(some, 1 / count, 0).astype(matrix.dtype)
    mean = _sums(scratch) * each
    matrix.reshape(-1)[np.flatnonzero(~(positive | negative))] = -np.inf
    total, highest = _exponentials(matrix)
    value[:] = np.where(some, highest + np.log(total) - mean, 0)
    matrix *= np.where(some, 1 / total, 0)[:, None]
    matrix -= np.multiply(positive, each[:, None], out=scratch)


def _exponentials(matrix: Array) -> tuple[Array, Array]:
    """Replace rows by exp(row − its maximum); their sums and maxima. A row of −inf becomes 0."""
    highest = torch.from_numpy(matrix).amax(-1).numpy()
    highest = np.where(np.isneginf(highest), 0, highest).astype(matrix.dtype)
    matrix -= highest[:, None]
    np.exp(matrix, out=matrix)
    return _sums(matrix), highest
