"""The sign-flip test and the interval that inverts it, exactly; corrections for several tests.

Every rearrangement r of the data (a flip of signs, a shuffle of labels) is at least as far to one side as the
data themselves under a true difference θ up to an end high_r above the observed difference, or from an end
low_r below it. So with ``fixed`` rearrangements that always are (no change), the two one-sided p

    above(θ) = (fixed + #{r : θ ≤ high_r}) / total        below(θ) = (fixed + #{r : low_r ≤ θ}) / total

fall to both sides of the observed difference; twice the smaller is the test of θ, and the θ that the test
keeps form one interval whose ends are order statistics of ``low`` and ``high``. Nothing is searched or
approximated, and the test and the interval cannot contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

EXACT_PAIRS = 20
"""Up to so many pairs all 2ⁿ flips are enumerated."""
EXACT_SHUFFLES = math.comb(20, 10)
"""Up to so many ways to deal the runs to two groups all are enumerated."""
DRAWS = 99_999
"""Seeded rearrangements beyond that."""

SNAP = 1e-10  # ends nearer to 0 than this share of Σ|d| are ties at 0, apart only by rounding
CHUNK = 8192


class Bound(Protocol):
    """A second test of the same hypotheses, whose p the rearrangements' p may not fall below."""

    def above(self, theta: float) -> float:
        """One-sided p of the hypothesis that the true difference is at least ``theta``."""

    def below(self, theta: float) -> float:
        """One-sided p of the hypothesis that the true difference is at most ``theta``."""

    def interval(self, alpha: float) -> tuple[float, float]:
        """The differences that its two-sided test at ``alpha`` keeps."""


@dataclass(frozen=True)
class Null:
    """All rearrangements of a sample, by the true differences up to which they are as far to a side.

    ``high``: (H,), ``low``: (L,), the ends described above; each stands for ``each`` rearrangements.
    ``fixed``: rearrangements that always are as far; ``total``: the number of all. The counts are two-sided:
    ``fixed/total`` is the smallest two-sided p. ``near``: the rounding of the ends. ``bound``: a test that
    must agree, if any.
    """

    low: np.ndarray
    high: np.ndarray
    fixed: int
    total: int
    each: int = 1
    near: float = 0.0
    bound: Bound | None = None

    @property
    def smallest(self) -> float:
        """The smallest two-sided p that data of this size can reach."""
        return self.fixed / self.total

    def above(self, theta: float) -> float:
        """One-sided p of the hypothesis that the true difference is at least ``theta``; ½ is ½ or more."""
        p = self._one_sided(int(np.count_nonzero(self.high >= theta)))
        return p if self.bound is None else max(p, self.bound.above(theta))

    def below(self, theta: float) -> float:
        """One-sided p of the hypothesis that the true difference is at most ``theta``; ½ is ½ or more."""
        p = self._one_sided(int(np.count_nonzero(self.low <= theta)))
        return p if self.bound is None else max(p, self.bound.below(theta))

    def _one_sided(self, as_far: int) -> float:
        return min(0.5, (self.fixed + self.each * as_far) / self.total / 2)

    def p(self, theta: float = 0.0) -> float:
        """Two-sided p of the hypothesis that the true difference is ``theta``."""
        return min(1.0, 2 * min(self.above(theta), self.below(theta)))

    def outside(self, delta: float) -> float:
        """p of the hypothesis that the true difference lies outside ±``delta``, the test of equivalence.

        The greater of two one-sided p (two one-sided tests; Schuirmann 1987). It is at most α/2 exactly where
        the interval at level 1 − α lies inside ±delta.
        """
        return max(self.above(delta - self.near), self.below(self.near - delta))

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """The differences that the test at ``alpha`` keeps, {θ : p(θ) > alpha}, ends included.

        None where no p can fall to ``alpha``, so that the test keeps every difference.
        """
        wanted = math.floor(alpha * self.total) + 1  # the least count whose p is above alpha ...
        while (wanted - 1) / self.total > alpha:  # ... by the same division as in p
            wanted -= 1
        while wanted / self.total <= alpha:
            wanted += 1
        rank = math.ceil((wanted - self.fixed) / self.each)
        if rank <= 0:
            return None
        low, high = _nth(self.low, rank), -_nth(-self.high, rank)
        if self.bound is not None:
            ends = self.bound.interval(alpha)
            low, high = min(low, ends[0]), max(high, ends[1])
        return low, high


def _nth(values: np.ndarray, rank: int) -> float:
    """The rank-th smallest of values (n,), or the largest where there are fewer."""
    place = min(rank, len(values)) - 1
    return float(np.partition(values, place)[place])


def sign_flips(differences: Sequence[float] | np.ndarray) -> Null:
    """The sign flips of paired differences (n,), for the statistic |mean|: all 2ⁿ to n = 20, else drawn.

    Flipping the signs of a subset N under a true difference θ leaves a |mean| at least as large exactly when
    θ lies between the mean of N and the mean of its complement (from (Σ d − nθ)² − (Σ ±(d − θ))² =
    4 Σ_N (d − θ) Σ_N̄ (d − θ)); a subset and its complement are one. Beyond n = 20: 99,999 seeded draws, the
    data themselves counted as one more, p = (b + 1)/(m + 1).

    >>> null = sign_flips([0.01, 0.02, 0.03, 0.01, 0.04, 0.02, 0.03])
    >>> null.p(), tuple(round(end, 4) for end in null.interval(0.05))
    (0.015625, (0.01, 0.035))
    """
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n == 0 or not np.isfinite(d).all():
        raise ValueError("sign_flips wants at least one difference, all of them finite")
    near = SNAP * np.abs(d).sum()
    if n <= EXACT_PAIRS:
        # every subset without the last element stands for itself and its complement
        low, high = _between(_subset_sums(d[:-1])[1:], _subset_sums(np.ones(n - 1))[1:], d.sum(), n, near)
        return Null(low, high, fixed=1, total=2 ** (n - 1), near=near)
    mask = _sign_draws(n)
    sizes = mask.sum(axis=1, dtype=np.int64)
    proper = (sizes > 0) & (sizes < n)
    low, high = _between(product(mask, d)[proper], sizes[proper], d.sum(), n, near)
    fixed = 1 + int(np.count_nonzero(~proper))
    return Null(low, high, fixed=fixed, total=DRAWS + 1, near=near)


def _subset_sums(values: np.ndarray) -> np.ndarray:
    """The sums of all 2ⁿ subsets of values (n,), the empty one first."""
    sums = np.zeros(2 ** len(values))
    for place, value in enumerate(values):
        half = 2**place
        np.add(sums[:half], value, out=sums[half : 2 * half])
    return sums


def _between(
    sums: np.ndarray, sizes: np.ndarray, total: float, n: int, near: float
) -> tuple[np.ndarray, np.ndarray]:
    """The ordered means of subsets and of their complements; what is a tie at 0 is made exactly 0."""
    rest = total - sums
    sums[np.abs(sums) <= near] = 0.0
    rest[np.abs(rest) <= near] = 0.0
    inside, outside = sums / sizes, rest / (n - sizes)
    return np.minimum(inside, outside), np.maximum(inside, outside)


def product(mask: np.ndarray, x: np.ndarray) -> np.ndarray:
    """mask @ x for a mask of bytes, in chunks: the whole mask as floats would be eight times its size."""
    chunks = range(0, len(mask), CHUNK)
    return np.concatenate([mask[start : start + CHUNK].astype(np.float64) @ x for start in chunks])


@lru_cache(maxsize=2)
def _sign_draws(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 2, size=(DRAWS, n), dtype=np.int8)


def sign_test(more: int, less: int) -> float:
    """Two-sided p of ``more`` pairs ordered one way and ``less`` the other, ties left out: the binomial at ½.

    >>> sign_test(6, 0), sign_test(0, 0)
    (0.03125, 1.0)
    """
    n = more + less
    ways: int = 2**n
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(more, less) + 1)) / ways)


def holm(ps: Sequence[float | None], tests: int | None = None) -> list[float | None]:
    """Holm's corrected p values in the given order; None (a test that could not be made) stays None.

    ``tests`` is the size of the family, at least the length of ``ps`` by default: a test that failed still
    counts, as p = 1, so that no failure makes another result stronger.

    >>> holm([0.01, None, 0.02])
    [0.03, None, 0.04]
    """
    family = len(ps) if tests is None else tests
    order = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for step, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (family - step) * p))
        corrected[place] = largest
    return corrected


def midranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing their mean rank; infinity is a value like others.

    >>> midranks([3.0, 1.0, 3.0]).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, counts = np.unique(
        np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True
    )
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[place]
