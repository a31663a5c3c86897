"""Intervals by the t distribution: of a mean over seeds, of one further run, of data like these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, stdtrit

FEW_CLASSES = 20
"""Below so many test classes the jackknife leaves out queries within classes, not classes."""


def t_half(level: float, freedom: float) -> float:
    """Half the width of a t interval of this level, in standard errors.

    >>> round(t_half(0.95, 9), 3)
    2.262
    """
    return float(stdtrit(freedom, 0.5 + level / 2))


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
    """The t interval of a mean over seeds (n,), mean ± t·s/√n; None with fewer than two.

    >>> tuple(round(end, 3) for end in mean_interval([0.97, 0.98, 0.99]))
    (0.955, 1.005)
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return None
    half = t_half(level, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return float(x.mean() - half), float(x.mean() + half)


def share_interval(count: float, total: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, ``count`` of ``total`` trials (Clopper and Pearson 1934).

    >>> tuple(round(end, 3) for end in share_interval(8, 200))
    (0.017, 0.077)
    """
    low = 0.0 if count <= 0 else float(betaincinv(count, total - count + 1, 0.025))
    high = 1.0 if count >= total else float(betaincinv(count + 1, total - count, 0.975))
    return low, high


def prediction_interval(
    values: Sequence[float] | np.ndarray, level: float = 0.95
) -> tuple[float, float] | None:
    """Where one further run's value lies, mean ± t·s·√(1 + 1/n), of n runs (n,); None with fewer than two.

    >>> tuple(round(end, 2) for end in prediction_interval([1.0, 2.0, 3.0]))
    (-2.97, 6.97)
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return None
    half = t_half(level, len(x) - 1) * x.std(ddof=1) * math.sqrt(1 + 1 / len(x))
    return float(x.mean() - half), float(x.mean() + half)


class Published(NamedTuple):
    """A published single value beside our runs: their mean, and where one further run would lie.

    ``low``, ``high``: the 95 % prediction interval. ``outside_by``: the signed distance of the published
    value to the nearer end, 0 inside. The interval and what follows from it are None below two runs.
    """

    published: float
    mean: float | None
    low: float | None
    high: float | None
    inside: bool | None
    outside_by: float | None


def published_value(values: Sequence[float | None], published: float) -> Published:
    """Is a published single value one further run of ours? By the 95 % prediction interval of the runs.

    >>> published_value([1.0, 1.1, 1.2], 2.0).inside
    False
    """
    x = [value for value in values if value is not None and math.isfinite(value)]
    ends = prediction_interval(x)
    mean = float(np.mean(x)) if x else None
    if ends is None:
        return Published(published, mean, None, None, None, None)
    low, high = ends
    miss = min(0.0, published - low) + max(0.0, published - high)
    return Published(published, mean, low, high, miss == 0, miss)


def deletion_variance(without: np.ndarray) -> float:
    """(G−1)/G Σ_g (θ_(−g) − θ̄)², from the values (G,) without each of G classes or groups.

    >>> deletion_variance(np.array([1.0, 2.0, 3.0]))
    1.3333333333333333
    """
    groups = len(without)
    return float((groups - 1) / groups * np.square(without - without.mean()).sum())


def jackknife_variance(query_differences: np.ndarray, labels: np.ndarray) -> tuple[float, str] | None:
    """The variance of a mean over queries that other classes, or other queries, would bring.

    ``query_differences`` (Q,): per-query differences, averaged over seeds; NaN (a query of a lone class) is
    left out. ``labels`` (Q,). From 20 classes on, delete one class: v = (C−1)/C Σ_c (θ_(−c) − θ̄)². Below,
    within class: one query deleted at a time, the classes' weights w_c = n_c/Q kept, which is exactly
    v = Σ_c w_c²·s_c²/n_c (a class of one query adds nothing). The gallery is fixed. Returns v and
    "classes" or "queries"; None without queries to delete. (Shao and Tu 1995, The Jackknife and Bootstrap.)

    >>> jackknife_variance(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 1]))
    (0.125, 'queries')
    """
    d, y = np.asarray(query_differences, dtype=np.float64), np.asarray(labels)
    kept = np.isfinite(d)
    d, y = d[kept], y[kept]
    if len(d) < 2:
        return None
    _, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    classes = len(counts)
    sums = np.bincount(place, weights=d, minlength=classes)
    if classes >= FEW_CLASSES:
        without = (d.sum() - sums) / (len(d) - counts)
        return deletion_variance(without), "classes"
    if counts.max() < 2:
        return None
    squares = np.bincount(place, weights=np.square(d - (sums / counts)[place]), minlength=classes)
    variance = squares / np.maximum(counts - 1, 1)
    return float((np.square(counts / len(d)) * variance / counts).sum()), "queries"


def data_like_these(differences: Sequence[float] | np.ndarray, v: float) -> tuple[float, float] | None:
    """mean ± t(.975, S−1)·√(s²/S + v): seeds and data both redrawn. ``differences`` (S,); None if S < 2.

    >>> tuple(round(end, 3) for end in data_like_these([0.01, 0.02, 0.03], 0.0001))
    (-0.03, 0.07)
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2:
        return None
    half = float(stdtrit(len(d) - 1, 0.975)) * math.sqrt(d.var(ddof=1) / len(d) + v)
    return float(d.mean() - half), float(d.mean() + half)


def data_like_these_unpaired(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, v: float
) -> tuple[float, float] | None:
    """The same for unpaired runs: s²/S of each group, degrees of freedom by Welch. None below two runs.

    >>> data_like_these_unpaired([1.0, 1.0], [0.0, 0.0], 0.0)
    (1.0, 1.0)
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if min(len(x), len(y)) < 2:
        return None
    share = np.array([x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)])
    spread = np.square(share).dot([1 / (len(x) - 1), 1 / (len(y) - 1)])
    freedom = float(share.sum() ** 2 / spread) if spread > 0 else len(x) + len(y) - 2
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(share.sum() + v)
    return float(x.mean() - y.mean() - half), float(x.mean() - y.mean() + half)
