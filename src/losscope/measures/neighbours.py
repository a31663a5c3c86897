"""Exact nearest neighbours, in one defined order: by distance, equal distances by row index.

Every measure that ranks uses this file, so that ties are broken the same way everywhere. Distances are
computed in float64 from L2-normalised rows, which leaves an error near 1e-16 where float32 leaves 1e-7 and
would shuffle the neighbours of collapsed embeddings. What is equal is defined, not left to rounding:

- bitwise equal gallery rows are at bitwise equal distances of every query;
- squared distances below 1e-13 (distances below 3e-7, five units in the last place of float32 inputs) are 0;
- squared distances are compared to 32 bits of mantissa (relative 2e-10).

The order is made by sorting one int64 a pair: the bits of the squared distance (which order as the
non-negative number does) with the lowest 20 replaced by the row index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DUPLICATE = 1e-13
"""Squared distances below this are 0."""

CHUNK_PAIRS = 4_000_000
"""Pairs held at once, 32 MB a float64 copy."""

INDEX_BITS = 20
FAR = np.iinfo(np.int64).max


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
        squares = (queries * queries).sum(-1)
        table = torch.addmm(self.squares, queries, self.rows.T, alpha=-2.0)
        table += squares[:, None]
        table.masked_fill_(table < DUPLICATE, 0.0)
        if len(self.repeats):
            table[:, self.repeats] = table[:, self.originals]
        return table


def _repeated(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the rows equal to an earlier row, and of the earliest row that each equals."""
    bits = (rows + 0.0).cpu().numpy().view(np.int64)
    odd = np.random.default_rng(0).integers(-(2**62), 2**62, bits.shape[1]) * 2 + 1
    with np.errstate(over="ignore"):
        # Integer sums are exact whatever their order: equal rows have equal hashes.
        hashes = (bits * odd).sum(1)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    earliest = first[group]
    later = np.flatnonzero(earliest != np.arange(len(bits)))
    later = later[(bits[later] == bits[earliest[later]]).all(1)]
    return torch.from_numpy(later).to(rows.device), torch.from_numpy(earliest[later]).to(rows.device)


def ordered(squared: Tensor, count: int, self_columns: Tensor | None = None) -> Tensor:
    """The columns of the ``count`` nearest of each row, nearest first, equal ones by column.

    Args:
        squared: (Q, G) squared distances ≥ 0 in float64, overwritten.
        self_columns: (Q,) the column of each query itself, which then comes last.

    Returns:
        (Q, count) int64 columns.
    """
    bits = max(INDEX_BITS, (squared.shape[1] - 1).bit_length())
    low = (1 << bits) - 1
    keys = squared.view(torch.int64)
    keys &= ~low
    keys |= torch.arange(squared.shape[1], device=keys.device)
    if self_columns is not None:
        keys[torch.arange(len(keys), device=keys.device), self_columns] = FAR ^ low | self_columns
    if keys.device.type != "cpu":
        return keys.topk(count, dim=1, largest=False, sorted=True).values & low
    table = keys.numpy()
    if 4 * count < 3 * table.shape[1] and table.shape[1] > 512:
        table.partition(count - 1, axis=1)
        table = table[:, :count]
    return torch.from_numpy(np.sort(table, axis=1)[:, :count] & low)


def chunks(queries: int, gallery: int) -> Iterator[slice]:
    """Slices of the queries such that a chunk's table holds at most ``CHUNK_PAIRS`` pairs."""
    step = max(1, CHUNK_PAIRS // max(1, gallery))
    for start in range(0, queries, step):
        yield slice(start, min(queries, start + step))
