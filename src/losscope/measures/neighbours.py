"""Distances of all pairs in chunks, exact nearest neighbours, and which of them are equally near.

Every measure that ranks uses this file, so that what is tied is the same everywhere. Distances are computed
in float64 from L2-normalised rows, which leaves an error near 1e-15 where float32 leaves 1e-7. What is equal
is defined, not left to rounding:

- two items tie for a query if their squared distances fall into one bucket: they are rounded to the nearest
  multiple of 4·2⁻²⁰ (3.8e-6), so that exact values such as 0, 1 and 2 lie in the middle of a bucket;
- bitwise equal gallery rows are at bitwise equal distances of every query;
- squared distances below 1e-13 (distances below 3e-7, five units in the last place of float32 inputs) are 0;
- a squared distance within 2⁻⁴⁰ (9e-13) of a bucket's edge could fall on either side on another processor;
  such distances are counted.

The order is made by sorting one int64 per pair: the squared distance in fixed point, its bucket in the
highest bits, with the number of the column in the lowest 20.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from losscope.core.queries import BACKGROUND

DUPLICATE = 1e-13
"""Squared distances up to this are 0."""

CHUNK_PAIRS = 2_000_000
"""Pairs held at once: 16 MB for each float64 copy."""

FEW = 256
"""Sorting up to so many columns is quicker than first parting off the nearest."""

TIE_BITS = 20
"""Squared distances, 4 at most, are rounded to so many bits below 4."""

STEP = 4.0 / 2**TIE_BITS
"""Width of a bucket of equal squared distances."""

BUCKET = 62 - TIE_BITS
"""The bit of a key at which the number of its bucket begins."""

BEYOND = 6.0
"""A squared distance farther than any, 4 at most."""

SPARSE = 40
"""Of so many times as many columns as are wanted most blocks need no second look."""

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

    def parts(self, queries: int) -> Iterator[slice]:
        """Slices of so many queries, at most ``CHUNK_PAIRS`` pairs each."""
        step = max(1, CHUNK_PAIRS // max(1, len(self.rows)))
        for start in range(0, queries, step):
            yield slice(start, min(queries, start + step))

    def tables(self, queries: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Slices of the queries (Q, D) and their squared distances, at most ``CHUNK_PAIRS`` pairs at once."""
        for part in self.parts(len(queries)):
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


@dataclass(frozen=True, eq=False)
class Near:
    """Of a table of squared distances (Q, G) only the entries that hold the nearest items of each query.

    ``places`` (P,) of the flat table, ascending; those of query q from ``starts[q]`` to ``starts[q + 1]``;
    ``squared`` (P,) float64 on the CPU. All that is missing is farther than all that is there.
    """

    shape: tuple[int, int]
    starts: np.ndarray
    places: np.ndarray
    squared: Tensor

    @property
    def device(self) -> torch.device:
        """Where the distances are."""
        return self.squared.device

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(T, G) the distances of some queries (T,) to all items, ``BEYOND`` where these are not near."""
        columns = self.shape[1]
        table = torch.full((len(rows), columns), BEYOND, dtype=torch.float64)
        for row, query in enumerate(rows.tolist()):
            part = slice(self.starts[query], self.starts[query + 1])
            table[row, torch.from_numpy(self.places[part] - query * columns)] = self.squared[part]
        return table


@dataclass(frozen=True)
class Ranked:
    """The K nearest columns of each query, nearest first.

    ``columns`` (Q, K); ``tied`` (Q, K) whether the item at a place ties with the next one, which may be the
    first beyond the K; ``edges``: how many of the K·Q distances lie within rounding error of a bucket's edge.
    """

    columns: np.ndarray
    tied: np.ndarray
    edges: int


def ranked(squared: Tensor | Near, count: int, own: Tensor | None = None) -> Ranked:
    """Rank the ``count`` nearest gallery rows of each query.

    Args:
        squared: (Q, G) squared distances, 0 to 4, in float64; or what is near alone, then with one item more
            than ``count`` for each query, and with the query itself.
        count: how many, at most G, or G - 1 with ``own``.
        own: (Q,) the column of each query itself, which is left out.
    """
    columns = squared.shape[1]
    shift = _index_bits(columns)
    # One more than wanted, to see whether the last wanted one is tied.
    further = min(count + 1, columns - (own is not None))
    if isinstance(squared, Near):
        table = _padded_keys(squared.starts, squared.places, squared.squared, columns, shift, own)
        table.sort(axis=1)
        table = table[:, :further]
    elif squared.device.type != "cpu":
        keys = _keys(squared, shift, own)
        table = keys.topk(further, dim=1, largest=False, sorted=True).values.cpu().numpy()
    else:
        near = _nearest_keys(squared, further, shift, own)
        table = np.sort(near, axis=1)[:, :further]
    tied = np.zeros((len(table), count), bool)
    np.less(table[:, 1:] ^ table[:, :-1], 1 << BUCKET, out=tied[:, : further - 1])
    table = table[:, :count]
    # The first and the last step of a bucket are next to its edges.
    edges = int(np.count_nonzero((table + (1 << shift)) & ((1 << BUCKET) - 1) < 2 << shift))
    return Ranked(table & ((1 << shift) - 1), tied, edges)


def nearest_labels(nearest: Ranked, labels: np.ndarray) -> np.ndarray:
    """(Q,) the label of each query's nearest item, of labels (G,); -1 where several items are equally near.

    The order of the rows never matters, so it does not choose among these.
    """
    return np.where(nearest.tied[:, 0], BACKGROUND, labels[nearest.columns[:, 0]]).astype(np.int64)


def tied_with(squared: Tensor, columns: np.ndarray, own: Tensor | None = None) -> np.ndarray:
    """(Q, G) which items tie with the one in column ``columns`` (Q,), itself among them, ``own`` (Q,) not."""
    shift = _index_bits(squared.shape[1])
    buckets = _fixed_point(squared, shift) >> BUCKET
    same = buckets == buckets.gather(1, torch.from_numpy(columns).to(buckets.device)[:, None])
    if own is not None:
        same.scatter_(1, own[:, None], False)
    return same.cpu().numpy()


def _index_bits(columns: int) -> int:
    return max(INDEX_BITS, (columns - 1).bit_length())


def _fixed_point(squared: Tensor, shift: int) -> Tensor:
    """(Q, G) int64: squared distance plus half a bucket, in units of 2^(shift - 60), then ``shift`` zeros.

    Adding a power of two whose last bit has that weight rounds to it and leaves the digits as the mantissa;
    the exponent is shifted out.
    """
    return (squared + (2.0 ** (shift - 8) + STEP / 2)).view(torch.int64).bitwise_left_shift_(shift)


def _keys(squared: Tensor, shift: int, own: Tensor | None) -> Tensor:
    """(Q, G) int64: fixed-point distance above the number of the column; ``LARGEST`` for the query itself."""
    keys = _fixed_point(squared, shift)
    keys |= torch.arange(squared.shape[1], device=keys.device)
    if own is not None:
        keys.scatter_(1, own[:, None], LARGEST)
    return keys


def _nearest_keys(squared: Tensor, count: int, shift: int, own: Tensor | None) -> np.ndarray:
    """The ``count`` smallest keys of each row (Q, G), in any order, among further keys or ``LARGEST``."""
    rows, columns = squared.shape
    wanted = count + (own is not None)
    if columns <= FEW or 4 * wanted > columns:
        keys = _keys(squared, shift, own).numpy()
        if columns > FEW and count < columns // 2:
            keys.partition(count - 1, axis=1)
            return keys[:, :count]
        return keys
    # Beyond the last digit of the fixed point, so that what has the same key but for its column is there too.
    places, near = nearest_places(squared, wanted, 2.0 ** (shift - 58))
    starts, _ = rows_of(places, (rows, columns))
    return _padded_keys(starts, places, torch.from_numpy(near), columns, shift, own)


def _padded_keys(
    starts: np.ndarray, places: np.ndarray, near: Tensor, columns: int, shift: int, own: Tensor | None
) -> np.ndarray:
    """(Q, M) the keys of the items at ``places`` of a table of so many columns, ``LARGEST`` where none is.

    ``near`` (P,) are their squared distances; those of query q stand from ``starts[q]`` to ``starts[q + 1]``.
    """
    rows, found = len(starts) - 1, np.diff(starts)
    first = np.arange(rows) * columns
    keys = _fixed_point(near, shift).numpy()
    keys |= places - np.repeat(first, found)
    if own is not None:
        mine = first + own.numpy()
        at = np.searchsorted(places, mine).clip(max=len(places) - 1)
        keys[at[places[at] == mine]] = LARGEST
    kept = np.full((rows, int(found.max())), LARGEST)
    kept[np.arange(kept.shape[1]) < found[:, None]] = keys
    return kept


def nearest_places(table: Tensor, count: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Where in a flat table (Q, G) each row's ``count`` smallest entries are, and all ``margin`` beyond them.

    The ``count`` smallest minima of many blocks of columns are that many entries, so that nothing above the
    largest of them by more than the margin is needed. Blocks are strided, since neighbouring columns are of
    one class and near each other. Where few are wanted, only blocks whose minimum is near are looked into.

    Returns:
        places: (P,) ascending, a few more than Q·count.
        values: (P,) the entries there.

    >>> places, values = nearest_places(torch.tensor([[3.0, 1.0, 2.0, 9.0]]), 2, 0.5)
    >>> places.tolist(), values.tolist()
    ([1, 2], [1.0, 2.0])
    """
    columns = table.shape[1]
    few = SPARSE * count <= columns
    deep = max(1, min(24, math.isqrt(columns // count)) if few else min(4, columns // (2 * count)))
    blocks = columns // deep
    least = table[:, : blocks * deep].unflatten(1, (deep, blocks)).amin(1).numpy()
    bound = np.partition(least, count - 1, axis=1)[:, count - 1, None] + least.dtype.type(margin)
    flat = table.reshape(-1).numpy()
    if not few:
        places = np.flatnonzero(table.numpy() <= bound)
        return places, flat.take(places)
    row, block = np.nonzero(least <= bound)
    inside = (row * columns + block) + (np.arange(deep) * blocks)[:, None]
    places = inside[flat.take(inside) <= bound[row, 0]]
    if blocks * deep < columns:
        row, rest = np.nonzero(table[:, blocks * deep :].numpy() <= bound)
        places = np.concatenate([places, row * columns + rest + blocks * deep])
    places.sort()
    return places, flat.take(places)


def rows_of(places: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where each row's places of a flat table begin, and all of their columns.

    >>> [found.tolist() for found in rows_of(np.array([1, 2, 6]), (2, 4))]
    [[0, 2, 3], [1, 2, 2]]
    """
    rows, count = shape
    starts = np.searchsorted(places, np.arange(rows + 1) * count)
    return starts, places - np.repeat(np.arange(rows) * count, np.diff(starts))
