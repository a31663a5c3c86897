"""Distances of all pairs in chunks, and exact nearest neighbours in one defined order.

The order is by distance, equal distances by row index. Every measure that ranks uses this file, so that
ties are broken the same way everywhere. Distances are computed in float64 from L2-normalised rows, which
leaves an error near 1e-16 where float32 leaves 1e-7 and would shuffle the neighbours of collapsed
embeddings. What is equal is defined, not left to rounding:

- bitwise equal gallery rows are at bitwise equal distances of every query;
- squared distances below 1e-13 (distances below 3e-7, five units in the last place of float32 inputs) are 0;
- squared distances are compared to 32 bits of mantissa (relative 2e-10).

The order is made by sorting one int64 per pair: the bits of the squared distance (which order as the
non-negative number does) with the lowest 20 replaced by the row index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

DUPLICATE = 1e-13
"""Squared distances up to this are 0."""

CHUNK_PAIRS = 2_000_000
"""Pairs held at once: 16 MB for each float64 copy."""

FEW = 256
"""Sorting up to so many columns is quicker than first parting off the nearest."""

INDEX_BITS = 20
LARGEST = np.iinfo(np.int64).max


def unit(embeddings: Tensor) -> Tensor:
    """L2-normalised rows in float64; a zero row stays zero.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = embeddings.detach().to(torch.float64)
    norms = rows.norm(dim=-1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)


@dataclass(frozen=True)
class Gallery:
    """Unit rows (G, D) prepared for search: squared norms, and which rows repeat an earlier one."""

    rows: Tensor
    squares: Tensor
    repeats: Tensor
    originals: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Gallery:
        """Prepare the unit rows (G, D)."""
        repeats, originals = _repeated(rows)
        return cls(rows, (rows * rows).sum(-1), repeats, originals)

    def squared_distances(self, queries: Tensor) -> Tensor:
        """(Q, G) squared Euclidean distances of unit queries (Q, D), exact at 0."""
        table = torch.addmm(self.squares, queries, self.rows.T, alpha=-2.0)
        table += (queries * queries).sum(-1)[:, None]
        torch.threshold_(table, DUPLICATE, 0.0)
        if len(self.repeats):
            table[:, self.repeats] = table[:, self.originals]
        return table

    def tables(self, queries: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Slices of the queries (Q, D) and their squared distances, at most ``CHUNK_PAIRS`` pairs at once."""
        step = max(1, CHUNK_PAIRS // max(1, len(self.rows)))
        for start in range(0, len(queries), step):
            part = slice(start, min(len(queries), start + step))
            yield part, self.squared_distances(queries[part])


def _repeated(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the rows equal to an earlier row, and of the earliest row that each equals."""
    bits = (rows + 0.0).cpu().numpy().view(np.int64)
    # Integer sums wrap and are exact whatever their order: equal rows have equal hashes.
    hashes = bits @ _odd(bits.shape[1])
    ascending = np.sort(hashes)
    if (ascending[1:] != ascending[:-1]).all():
        none = torch.empty(0, dtype=torch.int64, device=rows.device)
        return none, none
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    earliest = first[group]
    later = np.flatnonzero(earliest != np.arange(len(bits)))
    later = later[(bits[later] == bits[earliest[later]]).all(1)]
    return torch.from_numpy(later).to(rows.device), torch.from_numpy(earliest[later]).to(rows.device)


@cache
def _odd(count: int) -> np.ndarray:
    """Random odd numbers, always the same."""
    return np.random.default_rng(0).integers(-(2**62), 2**62, count) * 2 + 1


def ordered(squared: Tensor, count: int, index: Tensor, own: Tensor | None = None) -> Tensor:
    """The ``count`` nearest gallery rows of each query, nearest first, equally near ones by index.

    Args:
        squared: (Q, G) squared distances ≥ 0 in float64.
        count: how many, at most G, or G - 1 with ``own``.
        index: (G,) the index of each column: unique, in 0..G-1, and what is returned.
        own: (Q,) the column of each query itself, which is left out.

    Returns:
        (Q, count) int64 indices.
    """
    low = (1 << max(INDEX_BITS, (squared.shape[1] - 1).bit_length())) - 1
    keys = squared.view(torch.int64) & ~low
    keys |= index
    if own is not None:
        keys.scatter_(1, own[:, None], LARGEST)
    if keys.device.type != "cpu":
        return keys.topk(count, dim=1, largest=False, sorted=True).values & low
    table = keys.numpy()
    if table.shape[1] > FEW:
        table = _nearest(table, count)
    return torch.from_numpy(np.sort(table, axis=1)[:, :count] & low)


def _nearest(keys: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` smallest keys of each row (Q, G), in any order, then ``LARGEST`` or further keys.

    The ``count`` smallest minima of many blocks of columns are that many keys, so no key above the largest of
    them is needed: two passes over the table leave about ``count`` keys per row. Blocks are strided, since
    neighbouring columns are of one class and near each other.
    """
    rows, columns = keys.shape
    blocks = 1 << (2 * count - 1).bit_length()
    depth = columns // blocks
    if depth < 2:
        if count < columns // 2:
            keys.partition(count - 1, axis=1)
            return keys[:, :count]
        return keys
    least = keys[:, : blocks * depth].reshape(rows, depth, blocks).min(axis=1)
    least.partition(count - 1, axis=1)
    places = np.flatnonzero(keys <= least[:, count - 1, None])
    row = places // columns
    found = np.bincount(row, minlength=rows)
    kept = np.full((rows, int(found.max())), LARGEST)
    kept[row, np.arange(len(places)) - np.repeat(np.cumsum(found) - found, found)] = keys.reshape(-1)[places]
    return kept
