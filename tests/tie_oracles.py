"""Tied rankings by brute force: distances one by one, and every order of the tied items."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

STEP = 2.0**-18
"""The width of a bucket of equal squared distances: 20 bits below 4."""


def unit(points: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(norms > 0, norms, 1.0)


def tied_groups(queries: np.ndarray, gallery: np.ndarray, leave_out: bool = False) -> list[list[list[int]]]:
    """Of each query the rows of the gallery, nearest first, those in one bucket as one group."""
    found = []
    rows = unit(gallery)
    for query, row in enumerate(unit(queries)):
        buckets = [math.floor(float(np.sum((row - other) ** 2)) / STEP + 0.5) for other in rows]
        kept = [j for j in range(len(rows)) if not (leave_out and j == query)]
        kept.sort(key=lambda j: buckets[j])
        found.append([list(group) for _, group in itertools.groupby(kept, key=lambda j: buckets[j])])
    return found


def arrangements(hits: list[bool]) -> Iterator[list[bool]]:
    """Where the relevant items of a tied group can stand, each case as likely as another."""
    for places in itertools.combinations(range(len(hits)), sum(hits)):
        yield [place in places for place in range(len(hits))]


def orders(groups: list[list[bool]]) -> Iterator[list[bool]]:
    """Every ranking: one arrangement of each group."""
    for parts in itertools.product(*(list(arrangements(group)) for group in groups)):
        yield [hit for part in parts for hit in part]


class Recall:
    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, hits: list[bool]) -> float:
        return float(any(hits[: self.k]))


class Precision:
    """Relevant items among the first places."""

    def __init__(self, places: int) -> None:
        self.k = places

    def __call__(self, hits: list[bool]) -> float:
        return float(sum(hits[: self.k]))


class AveragePrecision:
    """Σ of the precision at the relevant ones of the first places."""

    def __init__(self, places: int) -> None:
        self.k = places

    def __call__(self, hits: list[bool]) -> float:
        return sum(sum(hits[: j + 1]) / (j + 1) for j in range(min(self.k, len(hits))) if hits[j])


class FirstRank:
    """The place of the first relevant item, 0 where there is none."""

    def __call__(self, hits: list[bool]) -> float:
        return float(hits.index(True) + 1) if any(hits) else 0.0


class FirstReciprocal:
    """1 / the place of the first relevant item, 0 where there is none."""

    def __call__(self, hits: list[bool]) -> float:
        return 1 / (hits.index(True) + 1) if any(hits) else 0.0


def expected(groups: list[list[bool]], measure: Callable[[list[bool]], float]) -> float:
    """The mean over all orders of the tied items, of a measure that adds up over groups or needs only one.

    Groups are gone through one at a time, in all of their arrangements, with the others in any order: what a
    place adds depends on its own group's order and on how many relevant items are before the group. Recall
    depends on the order of the one group that holds its last place.
    """
    start, total = 0, 0.0
    flat = [hit for group in groups for hit in group]
    for group in groups:
        stop = start + len(group)
        if isinstance(measure, Recall):
            if start < measure.k <= stop or (stop == len(flat) and measure.k > stop):
                rankings = [[*flat[:start], *middle] for middle in arrangements(group)]
                total = float(np.mean([measure(ranking) for ranking in rankings]))
        elif start < getattr(measure, "k", start + 1):
            rankings = [[*flat[:start], *middle] for middle in arrangements(group)]
            total += float(np.mean([measure(ranking) for ranking in rankings])) - measure(flat[:start])
        start = stop
    return total


def mean_over_all_orders(groups: list[list[bool]], measure: Callable[[list[bool]], float]) -> float:
    """The definition itself, for few items."""
    return float(np.mean([measure(ranking) for ranking in orders(groups)]))
