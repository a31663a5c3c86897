"""What is wrong with data though they can be read: items in two parts or under two labels, zeros, scale.

Rows are told apart by a 64-bit sum of their bytes, and rows of one sum are compared. Near copies are found by
a grid over a few random directions, so that time grows with the rows and not with their pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from losscope.core.errors import LosscopeError

BLOCK = 2**25
"""Bytes that are looked at at once."""
NEAR_WIDTH = 8
"""Values of a row from which near copies are looked for: in fewer, rows are near each other by chance."""
NEAR_VALUES = 512
"""Values of a row, evenly taken, that near copies are looked for by."""
NEAR_ROWS = 500_000
"""Rows above which near copies are not looked for."""
NEAR = 0.1
"""A near copy lies within this share of the median distance to the fifth neighbour."""
DIRECTIONS, GRIDS, BESIDE = 32, 6, 3
LARGE, SMALL = 1e15, 1e-15
"""Squares of values outside of these do not add up in float32."""
FLOAT32 = float(np.finfo(np.float32).max)


class Rows(Protocol):
    """A pool of rows as a data set has them."""

    @property
    def inputs(self) -> np.ndarray: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def second(self) -> np.ndarray | None: ...
    @property
    def pairs(self) -> np.ndarray | None: ...
    @property
    def triplets(self) -> np.ndarray | None: ...


@dataclass(frozen=True)
class Health:
    """What was found among N rows, T of them test rows.

    ``seen``: positions of the test rows of which an equal row stands outside of the test part, ``near``:
    those of which only a near one does, ``again``: those that equal an earlier test row. ``two_labels``:
    items whose equal rows have different labels. ``repeated``: rows that equal an earlier one. ``zeros``:
    rows of zeros. ``scale``: phrases on the values' size.

    >>> Health(rows=240, tests=72, zeros=5).said
    'data health: 5 of 240 inputs are zero vectors, which are equally near to all'
    >>> Health(rows=240, tests=72).said
    ''
    """

    rows: int
    tests: int
    seen: tuple[int, ...] = ()
    near: tuple[int, ...] = ()
    again: tuple[int, ...] = ()
    two_labels: int = 0
    repeated: int = 0
    zeros: int = 0
    scale: tuple[str, ...] = ()

    @property
    def not_new(self) -> tuple[int, ...]:
        """Positions of the test rows that stand in training too, equal or near, or that stand twice."""
        return tuple(sorted({*self.seen, *self.near, *self.again}))

    @property
    def said(self) -> str:
        """All of it in one line; empty where nothing was found."""
        found = []
        if self.seen:
            seen = _of(len(self.seen), self.tests, "test item", "stands", "stand")
            found.append(f"{seen} in training too")
        if self.near:
            near = _of(len(self.near), self.tests, "test item", "has", "have")
            found.append(f"{near} a near copy in training")
        if self.again:
            found.append(f"{_of(len(self.again), self.tests, 'test item', 'equals', 'equal')} another")
        if self.two_labels:
            many = self.two_labels > 1
            found.append(
                f"{self.two_labels:,} item{'s stand' if many else ' stands'} under more than one label"
            )
        if self.repeated and not (self.seen or self.again or self.two_labels):
            found.append(f"{_of(self.repeated, self.rows, 'row', 'equals', 'equal')} another")
        if self.zeros:
            zeros = _of(self.zeros, self.rows, "input", "is a zero vector", "are zero vectors")
            found.append(f"{zeros}, which {'is' if self.zeros == 1 else 'are'} equally near to all")
        found += self.scale
        return f"data health: {'; '.join(found)}" if found else ""


def _of(count: int, total: int, noun: str, does: str, do: str) -> str:
    """``1 of 150 rows equals``, ``2 of 150 rows equal``: the noun counts all, the verb the found ones."""
    return f"{count:,} of {total:,} {noun}{'' if total == 1 else 's'} {does if count == 1 else do}"


def examine(
    inputs: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    *,
    items: np.ndarray,
    zero: np.ndarray,
    labelled: bool,
    scale: tuple[str, ...] = (),
) -> Health:
    """The health of rows (N, ...) with labels (N,), of which ``test`` (N,) says those of the test part.

    ``items`` (N,) number equal rows alike, as ``identities`` gives; ``zero`` (N,) says rows of zeros.
    ``labelled``: the labels are given, not made of explicit tuples.

    >>> rows = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    >>> test = np.array([False, False, False, True])
    >>> zero, items = np.zeros(4, bool), np.array([0, 1, 2, 0])
    >>> found = examine(rows, np.arange(4), test, items=items, zero=zero, labelled=True)
    >>> found.seen, found.two_labels
    ((3,), 1)
    """
    seen = test & np.isin(items, items[~test])
    found = np.stack([items, labels], axis=1)[labels >= 0]
    of_item = np.unique(found, axis=0)[:, 0] if _repeats(items) else np.zeros(0, np.int64)
    two = int((np.unique(of_item, return_counts=True)[1] > 1).sum()) if labelled else 0
    tests = np.flatnonzero(test)
    later = np.ones(len(tests), bool)
    later[np.unique(items[tests], return_index=True)[1]] = False
    near = near_copies(inputs, test) & ~seen & ~zero
    return Health(
        rows=len(labels),
        tests=int(test.sum()),
        seen=tuple(np.flatnonzero(seen).tolist()),
        near=tuple(np.flatnonzero(near).tolist()),
        again=tuple(tests[later].tolist()),
        two_labels=two,
        repeated=_repeats(items),
        zeros=int(zero.sum()),
        scale=scale,
    )


def of(pool: Rows, test: np.ndarray, items: np.ndarray, zero: np.ndarray, scale: tuple[str, ...]) -> Health:
    """The health of a pool of rows; ``test``, ``items``, ``zero`` as ``examine`` takes them."""
    if len(items) > 1 and (zero.all() or _repeats(items) == len(items) - 1):
        equal = f"all {len(items):,} inputs are equal, so that no measure tells anything of them"
        return Health(rows=len(items), tests=int(test.sum()), scale=(equal, *scale))
    labelled = pool.pairs is None and pool.triplets is None
    # Of two modalities near copies of the first may belong to different items of the second.
    inputs = pool.inputs if pool.second is None else pool.inputs[:, :0]
    return examine(inputs, pool.labels, test, items=items, zero=zero, labelled=labelled, scale=scale)


def unknown(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """What ``identities`` gives of rows that are not looked at: each is an item of its own, none is zero."""
    return np.arange(rows), np.zeros(rows, bool)


def _repeats(items: np.ndarray) -> int:
    return len(items) - len(np.unique(items))


def identities(inputs: np.ndarray, second: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (N,) that equal rows have in common, and which rows are zero; each zero row is its own item.

    >>> identities(np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]))[1].tolist()
    [False, True, False, True]
    """
    count = len(inputs)
    sums, zero = np.zeros(count, np.uint64), np.ones(count, bool)
    parts = [array for array in (inputs, second) if array is not None]
    for part, array in enumerate(parts):
        for rows, block in _blocks(array):
            words = _words(block)
            weights = np.random.default_rng(part).integers(0, 2**64, words.shape[1], np.uint64) | np.uint64(1)
            zero[rows] &= ~block.reshape(len(block), -1).any(axis=1)
            sums[rows] += words.astype(np.uint64, copy=False) @ weights
    _, first, inverse = np.unique(sums, return_index=True, return_inverse=True)
    items = first[inverse.reshape(-1)]
    later = np.flatnonzero((items != np.arange(count)) | zero)
    step = max(1, BLOCK // max(1, sum(array[:1].nbytes for array in parts)))
    for start in range(0, len(later), step):
        own = later[start : start + step]
        same = ~zero[own]
        for array in parts:
            axes = tuple(range(1, array.ndim))
            same &= (array[own] == array[items[own]]).all(axis=axes)
        items[own[~same]] = own[~same]
    return items, zero


def _blocks(array: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    step = max(1, BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        rows = slice(start, min(start + step, len(array)))
        yield rows, np.ascontiguousarray(array[rows])


def _words(block: np.ndarray) -> np.ndarray:
    """Rows of bytes as rows of the longest whole numbers that fit them."""
    flat = block.reshape(len(block), -1)
    size = next(size for size in (8, 4, 2, 1) if (flat.shape[1] * flat.itemsize) % size == 0)
    return flat.view(np.uint8).view(f"u{size}")


def near_copies(inputs: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Which test rows (N,) have a row outside of the test part within a tenth of the usual distance.

    Rows of few values and very many rows are not looked at. A pair is missed now and then, and none is said
    that is not near: what the grids of random directions find is measured.
    """
    found = np.zeros(len(test), bool)
    width = int(np.prod(inputs.shape[1:]))
    if width < NEAR_WIDTH or not 16 <= len(test) <= NEAR_ROWS or test.all() or not test.any():
        return found
    rows = _some_values(inputs)
    generator = np.random.default_rng(0)
    turned = rows @ generator.standard_normal((rows.shape[1], DIRECTIONS), np.float32)
    # In k directions a distance d comes out as d·√k; the sample tells what distance is usual.
    usual = _usual_distance(turned, generator) / np.sqrt(DIRECTIONS)
    if not usual > 0:
        return found
    limit, cell = NEAR * usual, 8 * NEAR * usual
    for grid in range(GRIDS):
        part = turned[:, 4 * grid : 4 * grid + 4].astype(np.float64) / cell + generator.random(4)
        cells = np.floor(part).astype(np.int64) @ generator.integers(1, 2**62, 4)
        order = np.argsort(cells, kind="stable")
        for step in range(1, BESIDE + 1):
            a, b = order[:-step], order[step:]
            both = np.flatnonzero((cells[a] == cells[b]) & (test[a] != test[b]))
            a, b = a[both], b[both]
            close = np.linalg.norm(turned[a] - turned[b], axis=1) < 2 * limit * np.sqrt(DIRECTIONS)
            a, b = a[close], b[close]
            near = np.linalg.norm(rows[a] - rows[b], axis=1) <= limit
            found[a[near]] = found[b[near]] = True
    return found & test


def _some_values(inputs: np.ndarray) -> np.ndarray:
    """Rows as float32, evenly thinned to so many values as are looked at."""
    flat = inputs.reshape(len(inputs), -1)
    step = max(1, flat.shape[1] // NEAR_VALUES)
    return np.asarray(flat[:, ::step], np.float32)


def _usual_distance(rows: np.ndarray, generator: np.random.Generator) -> float:
    """The median distance of a sample of rows to the fifth neighbour, which a few copies do not change."""
    sample = rows[generator.permutation(len(rows))[:128]]
    square = np.einsum("ij,ij->i", rows, rows)
    distance = square + np.einsum("ij,ij->i", sample, sample)[:, None] - 2 * sample @ rows.T
    fifth = np.partition(distance, 5, axis=1)[:, 5]  # the row itself is the nearest
    return float(np.sqrt(np.median(np.maximum(fifth, 0))))


def scaled(name: str, what: str, array: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers in a range where their squares add up in float32, and phrases on their size.

    Very large and very small values are multiplied by a power of two, which changes no cosine.

    Raises:
        LosscopeError: rows that are different, and equal in float32.

    >>> rows, said = scaled("tiny.npz", "inputs", np.full((2, 2), 1e-30))
    >>> float(rows.max()), said
    (0.6338253021240234, ('the inputs, at most 1e-30, are multiplied by 2^99',))
    """
    if array.dtype.kind not in "fiu" or array.dtype == np.uint8 or isinstance(array, np.memmap):
        return array, ()
    highest = max(float(array.max()), -float(array.min()))
    said = _by_columns(name, what, array) if array.ndim == 2 else ()
    if highest == 0 or SMALL <= highest <= LARGE:
        return array, said
    power = -int(np.frexp(highest)[1])
    moved = np.ldexp(array.astype(np.float64, copy=False), power).astype(np.float32)
    change = f"multiplied by 2^{power}" if power > 0 else f"divided by 2^{-power}"
    return moved, (f"the {what}, at most {highest:.2g}, are {change}", *said)


def _by_columns(name: str, what: str, array: np.ndarray) -> tuple[str, ...]:
    """Columns that float32 cannot tell apart, and one that outweighs all others."""
    width = array.shape[1]
    if width < 2 or len(array) < 2:
        return ()
    said = []
    if array.dtype.itemsize == 8:
        low, high = array.min(axis=0).astype(np.float64), array.max(axis=0).astype(np.float64)
        top = np.maximum(np.abs(low), np.abs(high))
        with np.errstate(over="ignore"):
            step = np.spacing(top.astype(np.float32)).astype(np.float64)
        lost = np.flatnonzero((high > low) & (high - low < 64 * step))
        if len(lost):
            first = int(lost[0])
            which = f"column {first}" if len(lost) == 1 else f"{len(lost):,} of {width:,} columns"
            why = f"float32 has steps of {step[first]:.3g} at {top[first]:.3g}"
            if len(lost) == np.count_nonzero(high > low):
                raise LosscopeError(
                    f"{name}: the {what} vary by less than float32 can tell in all {len(lost):,} columns "
                    f"that vary ({why}); subtract each column's mean first"
                )
            said.append(f"{which} of the {what} varies by less than float32 can tell ({why})")
    with np.errstate(over="ignore", under="ignore"):
        weight = np.einsum("ij,ij->j", array, array, dtype=np.float64, casting="unsafe")
    total = weight.sum()
    if np.isfinite(total) and total > 0 and width >= 4:
        heavy = int(weight.argmax())
        share = weight[heavy] / total
        if share > 0.99:
            size = np.sqrt(weight[heavy] / len(array))
            said.append(
                f"column {heavy} of the {what} (about {size:.2g}) is {share:.2%} of their squared length, so "
                "that cosines see little else: standardise it or leave it out"
            )
    return tuple(said)
