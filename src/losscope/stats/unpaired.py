"""The test of two unpaired groups: label shuffles, studentised, and never below Welch's t test.

A shuffle of labels is exact where the groups differ by a shift alone. Where sizes and variances differ too,
the difference of means is rejected too often. So the statistic is studentised (Janssen 1997); since that
keeps the level only in the limit of many runs, p is also at least that of a t test for unequal variances. The
levels are measured by tests/test_levels.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
from scipy.special import stdtr, stdtrit

from losscope.stats.resample import CHUNK, DRAWS, EXACT_SHUFFLES, SNAP, Null, product

_REAL = 1e-7  # the imaginary part, in standard errors, up to which a root is real


@dataclass(frozen=True)
class WelchTest:
    """The t test of a difference of means with unequal variances: a tail of t = (estimate − θ)/error.

    ``shares``: what each group contributes to error², s²/n. Groups of equal size: Satterthwaite's degrees of
    freedom (Welch 1947). Of unequal size those reject too often where the small group varies most, and the
    quantile is the mean of the groups' own quantiles, at n − 1 degrees of freedom each, weighted by shares
    (Cochran and Cox 1950).
    """

    estimate: float
    shares: tuple[float, float]
    sizes: tuple[int, int]

    @property
    def error(self) -> float:
        """The standard error of the difference."""
        return math.sqrt(sum(self.shares))

    def above(self, theta: float) -> float:
        """One-sided p of the hypothesis that the true difference is at least ``theta``."""
        return self._tail(theta - self.estimate)

    def below(self, theta: float) -> float:
        """One-sided p of the hypothesis that the true difference is at most ``theta``."""
        return self._tail(self.estimate - theta)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The differences that the two-sided test at ``alpha`` keeps."""
        half = self.error * self._quantile(alpha / 2)
        return self.estimate - half, self.estimate + half

    def _tail(self, distance: float) -> float:
        """The chance that t lies as many standard errors above 0 as ``distance`` has; ½ where it has none."""
        if distance <= 0:
            return 0.5
        if self.error == 0:
            return 0.0
        t = distance / self.error
        if self.sizes[0] == self.sizes[1]:
            return float(stdtr(self._freedom, -t))
        low, high = -700.0, math.log(0.5)  # of log p, whose quantile falls as p rises
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._quantile(math.exp(middle)) > t else (low, middle)
        return math.exp(high)

    def _quantile(self, tail: float) -> float:
        """The t above which this share lies."""
        if self.sizes[0] == self.sizes[1]:
            return -float(stdtrit(self._freedom, tail))
        own = [-float(stdtrit(size - 1, tail)) for size in self.sizes]
        return sum(share * t for share, t in zip(self.shares, own, strict=True)) / (sum(self.shares) or 1.0)

    @property
    def _freedom(self) -> float:
        n = self.sizes[0] - 1
        whole = sum(self.shares)
        return n / sum((share / whole) ** 2 for share in self.shares) if whole > 0 else 2.0 * n


def label_shuffles(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Null:
    """The shuffles of group labels of two unpaired samples (n_a,), (n_b,), for Welch's t.

    All ways to deal the runs to groups of these sizes where they are at most C(20, 10) = 184,756, else
    99,999 seeded draws and the data themselves; p is twice the smaller of the one-sided p, and never below
    that of ``WelchTest``. For groups of equal size the order of Welch's t is that of the difference of
    means, which is taken then. A group of one run has no variance, and no p falls below 1.

    >>> label_shuffles([3.0, 4.0, 5.0], [0.0, 1.0, 2.0]).p()
    0.1
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if min(len(x), len(y)) == 0 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("label_shuffles wants two groups with finite values")
    if min(len(x), len(y)) == 1:
        return Null(np.empty(0), np.empty(0), fixed=1, total=1)
    both = np.concatenate([x, y])
    near = SNAP * np.abs(both - both.mean()).sum() + 8 * np.finfo(float).eps * np.abs(both).sum()
    exact = math.comb(len(both), len(x)) <= EXACT_SHUFFLES
    mask = _deals(len(x), len(both), exact)
    stayed = mask[:, : len(x)].sum(axis=1, dtype=np.int64)
    bound = WelchTest(
        estimate=float(x.mean() - y.mean()),
        shares=(float(x.var(ddof=1)) / len(x), float(y.var(ddof=1)) / len(y)),
        sizes=(len(x), len(y)),
    )
    if len(x) == len(y):
        same = (stayed == 0) | (stayed == len(x))  # no exchange, or an exchange of the names
        low, high = _plain_ends(both, mask[~same], stayed[~same], bound.estimate, near)
        fixed, each = int(np.count_nonzero(same)), 1
    else:
        same = stayed == len(x)
        low, high = _studentised_ends(x, y, mask[~same], stayed[~same], bound, near)
        fixed, each = 2 * int(np.count_nonzero(same)), 2
    total = len(mask)
    if not exact:  # the data themselves are one rearrangement more than were drawn
        fixed, total = fixed + each, total + 1
    return Null(low, high, fixed=fixed, total=total, each=each, near=near, bound=bound)


def _plain_ends(
    x: np.ndarray, mask: np.ndarray, stayed: np.ndarray, observed: float, near: float
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of deals to two groups of one size, for the difference of means.

    Under a true shift θ of the first group, exchanging k of each group's n runs turns the difference D − θ
    into P − cθ, c = 1 − 2k/n; a deal and its mirror image are as far to the two sides at (D − P)/(1 − c) and
    (D + P)/(1 + c), one on each side of D.
    """
    n = len(x) // 2
    sums = product(mask, x)
    moved = (2 * sums - x.sum()) / n
    share = 2 * (n - stayed) / n
    ends = np.stack([(observed - moved) / share, (observed + moved) / (2 - share)])
    ends[np.abs(ends) <= near] = 0.0
    return ends.min(axis=0), ends.max(axis=0)


def _studentised_ends(
    a: np.ndarray, b: np.ndarray, mask: np.ndarray, stayed: np.ndarray, observed: WelchTest, near: float
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of deals to groups of unequal size, for Welch's t.

    At a true shift θ = D + t·s, s the standard error of the data, their own t is −t. That of a deal is
    (q − c·t)/√V(t), V a quadratic, so that the two are equal at roots of a polynomial of degree 4. The
    outermost root on a side is the end: what is a gap inside of it counts as kept.
    """
    if observed.error <= near:
        return (np.full(len(mask), observed.estimate),) * 2
    residuals = np.concatenate([a - a.mean(), b - b.mean()]) / observed.error
    q, c, v = _parts(residuals, len(a), mask, stayed)
    q[np.abs(q) <= SNAP] = 0.0
    roots = _roots(np.stack([v[2], v[1], v[0] - c**2, 2 * q * c, -(q**2)], axis=1))
    moved = q[:, None] - c[:, None] * roots
    # a deal whose t at D lies on the other side has no end on this one
    right = np.where((roots > 0) & (moved <= 0), roots, -np.inf).max(axis=1)
    left = np.where((roots < 0) & (moved >= 0), roots, np.inf).min(axis=1)
    right[(q <= 0) & (right < 0)] = 0.0
    left[(q >= 0) & (left > 0)] = 0.0
    zero = -observed.estimate / observed.error  # where θ is 0: a tie there is made exact
    scale = np.sqrt(np.maximum(0.0, v[0] + v[1] * zero + v[2] * zero**2))
    tied = (q - c * zero + zero * scale) * np.sign(zero) <= 1e-9 * (1 + abs(zero)) * (1 + scale)
    if zero > 0:
        right[tied] = np.maximum(right[tied], zero)
    elif zero < 0:
        left[tied] = np.minimum(left[tied], zero)
    ends = [observed.estimate + observed.error * side[np.isfinite(side)] for side in (left, right)]
    for side in ends:
        side[np.abs(side) <= near] = 0.0
    return ends[0], ends[1]


def _parts(
    residuals: np.ndarray, size: int, mask: np.ndarray, stayed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """q, c and the coefficients of V of each deal, where the first group is shifted by −t: all (deals,)."""
    other = len(residuals) - size
    first, gone = 1 / (size * (size - 1)), 1 / (other * (other - 1))
    left = size - stayed
    sums, squares = product(mask, residuals), product(mask, residuals**2)
    own = product(mask[:, :size], residuals[:size])
    rest = float((residuals**2).sum()) - squares
    q = sums * (1 / size + 1 / other)
    c = stayed / size - left / other
    constant = (squares - sums**2 / size) * first + (rest - sums**2 / other) * gone
    linear = 2 * (sums * stayed / size - own) * first + 2 * (own - sums * left / other) * gone
    quadratic = (stayed - stayed**2 / size) * first + (left - left**2 / other) * gone
    return q, c, (constant, linear, quadratic)


def _roots(polynomials: np.ndarray) -> np.ndarray:
    """The real roots (deals, 4) of polynomials (deals, 5), highest power first; NaN where one is complex."""
    found = np.empty((len(polynomials), 4))
    for start in range(0, len(polynomials), CHUNK):
        own = polynomials[start : start + CHUNK]
        companion = np.zeros((len(own), 4, 4))
        companion[:, 0] = -own[:, 1:] / own[:, :1]
        companion[:, [1, 2, 3], [0, 1, 2]] = 1
        roots = np.linalg.eigvals(companion)
        real = np.abs(roots.imag) <= _REAL * (1 + np.abs(roots.real))
        found[start : start + CHUNK] = np.where(real, roots.real, np.nan)
    return found


@lru_cache(maxsize=2)
def _deals(size: int, of: int, exact: bool) -> np.ndarray:
    """Which runs are dealt to the first group (deals, of), as bytes: all deals, or seeded draws."""
    if exact:
        members = np.fromiter(chain.from_iterable(combinations(range(of), size)), dtype=np.int64)
        members = members.reshape(-1, size)
    else:
        random = np.random.default_rng([size, of])
        chunks = (random.random((min(CHUNK, DRAWS - start), of)) for start in range(0, DRAWS, CHUNK))
        members = np.concatenate([chunk.argsort(axis=1)[:, :size] for chunk in chunks])
    mask = np.zeros((len(members), of), dtype=np.int8)
    np.put_along_axis(mask, members, 1, axis=1)
    return mask
