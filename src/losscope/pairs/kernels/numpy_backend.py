"""The kernels' inner loops on a block of anchors in NumPy, for the CPU: its SIMD sort, gathers and counts.

The functions are those of ``backend.Backend``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from losscope.pairs.kernels.aligned import ACTIVE_DISTANCE
from losscope.pairs.kernels.aligned import bare as array

__all__ = [
    "CELLS",
    "array",
    "circle",
    "contrastive",
    "multi_similarity",
    "own_against_all",
    "positive_against_negatives",
    "positives_among_all",
    "triplets",
]

Array = Any

CELLS = 1 << 16
"""So few that the scratch of a block stays in the processor's cache."""

CELLS_PER_LIMIT = 4
"""Cells of the look-up grid of ``_ranks`` for each sorted positive: more cells, fewer steps inside one."""

FEW = 32
"""Up to so many positives an anchor, comparing with each is quicker than looking up."""

ROUNDS = 3
"""Steps to the right of the looked-up place before the few that are left are searched for."""


def contrastive(
    start: int,
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
    """See ``Backend.contrastive``."""
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
    _no_force_at_zero(start, distance, close)
    np.divide(gap, distance, out=matrix)
    np.subtract(positive, matrix, out=matrix)


def _sums(array: Array) -> Array:
    return torch.from_numpy(array).sum(-1).numpy()


def _no_force_at_zero(start: int, distance: Array, close: bool) -> None:
    """Two points in one place have no direction: make dividing by their distance harmless."""
    if close:
        distance[distance == 0] = np.inf
        return
    rows, columns = distance.shape
    distance[np.arange(rows), (start + np.arange(rows)) % columns] = 1


def triplets(
    start: int,
    reach: Array,
    positive: Array,
    negative: Array,
    margin: Array,
    value: Array,
    active: Array,
    by_length: bool,
    close: bool,
) -> None:
    """See ``Backend.triplets``."""
    rows = len(reach)
    outside, chosen, anchor = _cells(positive, negative)
    count = np.bincount(anchor, minlength=rows)
    most = int(count.max(initial=0))
    if most == 0:
        value[:], active[:], reach[:] = 0, 0, 0
        return
    width = 1 << most.bit_length()
    before = np.cumsum(count) - count
    # The place of each row's positives in a table of ``width`` columns, sorted and padded with infinity.
    places = np.arange(anchor.size) + np.repeat(np.arange(rows) * width - before, count)
    limit = np.full((rows, width), np.inf, reach.dtype)
    own = reach.reshape(-1)[chosen] + np.repeat(margin, count)
    limit.reshape(-1)[places] = own
    limit.sort(-1)
    low = np.where(count > 0, limit[:, 0], 0)
    limit -= low[:, None]
    x = reach - low[:, None]
    flat = x.reshape(-1)
    flat[outside] = np.finfo(x.dtype).max
    flat[chosen] = own - np.repeat(low, count)
    if most <= FEW:
        rank = _counted(limit, x, most)
    else:
        rank = _ranks(limit, x, count, places)
        _step_over(limit.reshape(-1), flat, rank.reshape(-1), width)
    mine = rank.reshape(-1)[chosen]
    # Negatives below each limit: what the positive that it belongs to violates.
    number = np.bincount(rank.reshape(-1), minlength=rows * width)
    number -= np.bincount(mine, minlength=rows * width)
    violated = number.reshape(rows, width).cumsum(-1).reshape(-1)[mine - 1]
    rank -= (np.arange(rows) * width + count).astype(np.int32)[:, None]
    slope = rank.astype(reach.dtype)
    slope.reshape(-1)[chosen] = violated
    upto = np.concatenate(([0], np.cumsum(violated)))
    active[:] = upto[before + count] - upto[before]
    # A row's slopes sum to 0, so any constant may be taken off its reaches.
    value[:] = np.einsum("ij,ij->i", slope, x)
    if by_length:
        _no_force_at_zero(start, reach, close)
        np.divide(slope, reach, out=reach)
    else:
        reach[:] = slope


def _counted(limit: Array, x: Array, most: int) -> Array:
    """row · width + the number of the row's sorted limits ≤ x, int32."""
    rows, width = limit.shape
    number, below = np.zeros(x.shape, np.uint8), np.empty(x.shape, np.bool_)
    for place in range(most):
        np.less_equal(limit[:, place, None], x, out=below)
        number += below.view(np.uint8)
    return number + (np.arange(rows, dtype=np.int32) * width)[:, None]


def _ranks(limit: Array, x: Array, count: Array, places: Array) -> Array:
    """row · width + the number of the row's sorted limits that lie in cells before the cell of x, int32.

    The cell of x is a monotone function of x, so that limits in cells before it are smaller.
    """
    rows, width = limit.shape
    cells = CELLS_PER_LIMIT * width
    span = limit[np.arange(rows), np.maximum(count - 1, 0)]
    scale = np.where(span > 0, np.minimum(cells / span, np.finfo(x.dtype).max / 4), 0).astype(x.dtype)
    start = np.arange(rows, dtype=np.int32) * (cells + 1)
    own = limit.reshape(-1)[places] * np.repeat(scale, count)
    own = np.clip(own, 0, cells).astype(np.int32) + np.repeat(start, count)
    table = np.bincount(own, minlength=rows * (cells + 1)).astype(np.int32)
    table = (table.cumsum(dtype=np.int32) - table).reshape(rows, cells + 1)
    table += (np.arange(rows) * width - (np.cumsum(count) - count)).astype(np.int32)[:, None]
    where = np.clip(x * scale[:, None], 0, cells).astype(np.int32)
    where += start[:, None]
    return table.reshape(-1).take(where, mode="clip")


def _step_over(limit: Array, x: Array, rank: Array, width: int) -> None:
    """Raise ranks, in place, over the limits ≤ x in the cell of x itself.

    What is left after a few steps (many limits in one cell) is searched for, so that no distribution is slow.
    """
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
    start: int, matrix: Array, positive: Array, negative: Array, value: Array
) -> None:
    """See ``Backend.positive_against_negatives``."""
    rows = len(matrix)
    flat = matrix.reshape(-1)
    outside, chosen, anchor = _cells(positive, negative)
    own = flat[chosen]
    flat[outside] = -np.inf
    total, highest = _exponentials(matrix)
    behind = (highest + np.log(total))[anchor] - own
    share = _sigmoid(behind)
    value[:] = np.bincount(anchor, _softplus(behind), rows)
    pushed = np.bincount(anchor, share, rows)
    matrix *= np.where(total > 0, pushed / total, 0).astype(matrix.dtype)[:, None]
    flat[chosen] = -share


def own_against_all(start: int, matrix: Array, value: Array, anchors: int) -> None:
    """See ``Backend.own_against_all``."""
    rows = np.arange(len(matrix))
    cells = rows, (start + rows) % anchors
    own = matrix[cells]
    matrix[cells] = -np.inf
    total, highest = _exponentials(matrix)
    behind = highest + np.log(total) - own
    share = _sigmoid(behind)
    value[:] = _softplus(behind)
    matrix *= np.where(total > 0, share / total, 0)[:, None]
    matrix[cells] = -share


def positives_among_all(start: int, matrix: Array, positive: Array, negative: Array, value: Array) -> None:
    """See ``Backend.positives_among_all``."""
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


def multi_similarity(
    start: int,
    matrix: Array,
    positive: Array,
    negative: Array,
    alpha: Array,
    beta: Array,
    base: Array,
    value: Array,
) -> None:
    """See ``Backend.multi_similarity``."""
    rows = len(matrix)
    flat = matrix.reshape(-1)
    outside, chosen, anchor = _cells(positive, negative)
    # The 1 beside the positives' sum is a further exponential, of 0.
    share, total, highest = _exponentials_of_few(
        anchor, alpha[anchor] * (base[anchor] - flat[chosen]), rows, 0
    )
    total += np.exp(-highest)
    pulled = highest + np.log(total)
    matrix *= beta[:, None]
    flat[outside] = -np.inf
    sums, most = _exponentials(matrix)
    behind = most - beta * base + np.log(sums)
    value[:] = pulled / alpha + _softplus(behind) / beta
    matrix *= np.where(sums == 0, 0, _sigmoid(behind) / sums)[:, None]
    flat[chosen] = -share / total[anchor]


def circle(
    start: int, matrix: Array, positive: Array, negative: Array, margin: Array, scale: Array, value: Array
) -> None:
    """See ``Backend.circle``."""
    rows = len(matrix)
    flat = matrix.reshape(-1)
    outside, chosen, anchor = _cells(positive, negative)
    own, slack = flat[chosen], margin[anchor]
    pull = scale[anchor] * np.maximum(1 + slack - own, 0)
    share, total, highest = _exponentials_of_few(anchor, pull * (1 - slack - own), rows, -np.inf)
    push = matrix + margin[:, None]
    np.maximum(push, 0, out=push)
    push *= scale[:, None]
    matrix -= margin[:, None]
    matrix *= push
    flat[outside] = -np.inf
    sums, most = _exponentials(matrix)
    behind = highest + np.log(total) + most + np.log(sums)
    force = _sigmoid(behind)
    value[:] = _softplus(behind)
    matrix *= np.where(sums == 0, 0, force / sums).astype(matrix.dtype)[:, None]
    matrix *= push
    flat[chosen] = -pull * share * (force / total)[anchor]


def _cells(positive: Array, negative: Array) -> tuple[Array, Array, Array]:
    """The cells of a block in one line: those of no negative, of these the positives, and their anchors."""
    outside = np.flatnonzero(~negative)
    chosen = outside[positive.reshape(-1)[outside]]
    return outside, chosen, chosen // negative.shape[1]


def _softplus(x: Array) -> Array:
    """log(1 + exp(x)); 0 at −inf."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _exponentials_of_few(anchor: Array, x: Array, rows: int, least: float) -> tuple[Array, Array, Array]:
    """exp(x − the row's maximum) of cells in the order of their rows; the rows' sums and maxima.

    A maximum is at least ``least``, and is ``least`` in a row without a cell.
    """
    highest = np.full(rows, least, x.dtype)
    count = np.bincount(anchor, minlength=rows)
    some = count > 0
    if x.size:
        highest[some] = np.maximum(np.maximum.reduceat(x, (np.cumsum(count) - count)[some]), least)
    shares = np.exp(x - highest[anchor])
    # The counts of nothing are whole numbers, whatever the weights.
    return shares, np.bincount(anchor, shares, rows).astype(np.float64, copy=False), highest


def _exponentials(matrix: Array) -> tuple[Array, Array]:
    """Replace rows by exp(row − its maximum); their sums and maxima. A row of −inf becomes 0."""
    highest = torch.from_numpy(matrix).amax(-1).numpy()
    highest = np.where(np.isneginf(highest), 0, highest).astype(matrix.dtype)
    matrix -= highest[:, None]
    np.exp(matrix, out=matrix)
    return _sums(matrix), highest
