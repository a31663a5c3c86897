"""The test and the interval that inverts it, exactly, for paired and for unpaired runs.

Both tests have one shape. Every rearrangement r of the data (a flip of signs, a shuffle of labels) is at
least as extreme as the data themselves under a true difference θ exactly for θ in a closed interval
[low_r, high_r], and all of these contain the observed difference. So with ``fixed`` rearrangements that are
always as extreme (no change, a change of all),

    p(θ) = (fixed + #{r : low_r ≤ θ ≤ high_r}) / total

rises to 1 at the observed difference and falls to both sides; p(0) is the test, and the θ that the test
keeps form one interval whose ends are order statistics of ``low`` and ``high``. Nothing is searched or
approximated, and the test and the interval cannot contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np

EXACT_PAIRS = 20
"""Up to so many pairs all 2ⁿ flips are enumerated."""
EXACT_SHUFFLES = math.comb(20, 10)
"""Up to so many ways to deal the runs to two groups all are enumerated."""
DRAWS = 99_999
"""Seeded rearrangements beyond that."""

_SNAP = 1e-10  # ends nearer to 0 than this share of Σ|d| are ties at 0, apart only by rounding
_CHUNK = 8192


@dataclass(frozen=True)
class Null:
    """All rearrangements of a sample as intervals of the true difference under which they are as extreme.

    ``low``, ``high``: (R,); ``fixed``: rearrangements that always are; ``total``: the number of all, in the
    same count (of halves where a rearrangement and its mirror image are one).
    """

    low: np.ndarray
    high: np.ndarray
    fixed: int
    total: int

    @property
    def smallest(self) -> float:
        """The smallest p that data of this size can reach."""
        return self.fixed / self.total

    def p(self, theta: float = 0.0) -> float:
        """Two-sided p of the hypothesis that the true difference is ``theta``."""
        inside = np.count_nonzero((self.low <= theta) & (theta <= self.high))
        return (self.fixed + int(inside)) / self.total

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """The differences that the test at ``alpha`` keeps, {θ : p(θ) > alpha}, ends included.

        None where no p can fall to ``alpha``, so that the test keeps every difference.
        """
        wanted = math.floor(alpha * self.total) + 1  # the least count whose p is above alpha ...
        while (wanted - 1) / self.total > alpha:  # ... by the same division as in p
            wanted -= 1
        while wanted / self.total <= alpha:
            wanted += 1
        rank = wanted - self.fixed
        if rank <= 0:
            return None
        low = np.partition(self.low, rank - 1)[rank - 1]
        high = np.partition(self.high, len(self.high) - rank)[len(self.high) - rank]
        return float(low), float(high)


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
    near = _SNAP * np.abs(d).sum()
    if n <= EXACT_PAIRS:
        # every subset without the last element stands for itself and its complement
        low, high = _between(_subset_sums(d[:-1])[1:], _subset_sums(np.ones(n - 1))[1:], d.sum(), n, near)
        return Null(low, high, fixed=1, total=2 ** (n - 1))
    mask = _sign_draws(n)
    sizes = mask.sum(axis=1, dtype=np.int64)
    proper = (sizes > 0) & (sizes < n)
    low, high = _between(_product(mask, d)[proper], sizes[proper], d.sum(), n, near)
    fixed = 1 + int(np.count_nonzero(~proper))
    return Null(low, high, fixed=fixed, total=DRAWS + 1)


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


def _product(mask: np.ndarray, x: np.ndarray) -> np.ndarray:
    """mask @ x for a mask of bytes, in chunks: the whole mask as floats would be eight times its size."""
    chunks = range(0, len(mask), _CHUNK)
    return np.concatenate([mask[start : start + _CHUNK].astype(np.float64) @ x for start in chunks])


@lru_cache(maxsize=2)
def _sign_draws(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 2, size=(DRAWS, n), dtype=np.int8)


def label_shuffles(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Null:
    """The shuffles of group labels of two unpaired samples (n_a,), (n_b,), for |mean a − mean b|.

    All ways to deal the runs to groups of these sizes where they are at most C(20, 10) = 184,756, else
    99,999 seeded draws and the data themselves. Under a true shift θ of ``a``, exchanging k members of
    each group turns the difference D − θ into P − cθ, c = 1 − k (1/n_a + 1/n_b), which is at least as large
    exactly between (D − P)/(1 − c) and (D + P)/(1 + c). Exchangeability, and so the level, supposes that the
    groups differ by a shift alone.

    >>> label_shuffles([3.0, 4.0, 5.0], [0.0, 1.0, 2.0]).p()
    0.1
    """
    x = np.concatenate([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    size_a, size_b = len(a), len(x) - len(a)
    if min(size_a, size_b) == 0 or not np.isfinite(x).all():
        raise ValueError("label_shuffles wants two groups with finite values")
    exact = math.comb(len(x), size_a) <= EXACT_SHUFFLES
    observed = x[:size_a].mean() - x[size_a:].mean()
    near = _SNAP * np.abs(x - x.mean()).sum() + 8 * np.finfo(float).eps * np.abs(x).sum()
    mask = _deals(size_a, len(x), exact)
    sums = _product(mask, x)
    moved = sums / size_a - (x.sum() - sums) / size_b
    exchanged = mask[:, size_a:].sum(axis=1, dtype=np.int64)
    always = (exchanged == 0) | ((exchanged == size_a) & (size_a == size_b))
    share = (exchanged * (1 / size_a + 1 / size_b))[~always]
    ends = np.stack([(observed - moved[~always]) / share, (observed + moved[~always]) / (2 - share)])
    ends[np.abs(ends) <= near] = 0.0
    fixed, total = int(np.count_nonzero(always)), len(mask)
    if not exact:  # the data themselves are one rearrangement more than were drawn
        fixed, total = fixed + 1, total + 1
    return Null(ends.min(axis=0), ends.max(axis=0), fixed=fixed, total=total)


@lru_cache(maxsize=2)
def _deals(size: int, of: int, exact: bool) -> np.ndarray:
    """Which runs are dealt to the first group (deals, of), as bytes: all deals, or seeded draws."""
    if exact:
        members = np.fromiter(chain.from_iterable(combinations(range(of), size)), dtype=np.int64)
        members = members.reshape(-1, size)
    else:
        random = np.random.default_rng([size, of])
        chunks = (random.random((min(_CHUNK, DRAWS - start), of)) for start in range(0, DRAWS, _CHUNK))
        members = np.concatenate([chunk.argsort(axis=1)[:, :size] for chunk in chunks])
    mask = np.zeros((len(members), of), dtype=np.int8)
    np.put_along_axis(mask, members, 1, axis=1)
    return mask


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
