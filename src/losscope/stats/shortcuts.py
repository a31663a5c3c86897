"""What shortcuts do to values by seed: chosen epochs, reversed orders, and signs at a few seeds.

Differences are (S, P): seeds × pairs of losses. Every interval is over seeds, with losses and data fixed: the
pairs of a seed share its runs and count together. It is that of the t distribution, with the variance of the
jackknife over seeds where a number is no mean over them.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np

from losscope.stats.intervals import deletion_variance, mean_interval, share_interval, t_half
from losscope.stats.resample import sign_flips

LEVEL = 0.05
DRAWS = 2000
SUBSETS = 5000
"""Subsets of seeds that are looked at, drawn where there are more."""


class Estimate(NamedTuple):
    """A number with the ends of its 95 % interval, None where there is none."""

    value: float
    low: float | None
    high: float | None


def mean_over_seeds(values: np.ndarray) -> Estimate:
    """The mean of values (S,) with its t interval.

    >>> mean_over_seeds(np.array([1.0, 1.0])), mean_over_seeds(np.array([0.5]))
    (Estimate(value=1.0, low=1.0, high=1.0), Estimate(value=0.5, low=None, high=None))
    """
    return Estimate(float(np.mean(values)), *(mean_interval(values) or (None, None)))


def share_over_seeds(shares: np.ndarray) -> Estimate:
    """The mean of a share (S,) of each seed, with its t interval within 0 and 1.

    Where all seeds have the same share no variance is seen: the interval is that of Clopper and Pearson for
    as many trials as there are seeds, the widest that shares can have.

    >>> [round(number, 3) for number in share_over_seeds(np.array([0.0, 0.5, 0.1, 0.2]))]
    [0.2, 0.0, 0.544]
    >>> [round(number, 3) for number in share_over_seeds(np.zeros(10))]
    [0.0, 0.0, 0.308]
    """
    return _share(float(np.mean(shares)), float(np.var(shares, ddof=1)) / len(shares), len(shares))


def _share(value: float, variance: float, seeds: int) -> Estimate:
    if variance <= 1e-18:
        return Estimate(value, *share_interval(value * seeds, seeds))
    half = t_half(0.95, seeds - 1) * math.sqrt(variance)
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def at_validated(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The test value (S,) of each seed at its best epoch on validation, the first of several; (S, E) both.

    >>> at_validated(np.array([[0.1, 0.3, 0.3]]), np.array([[0.5, 0.6, 0.7]])).tolist()
    [0.6]
    """
    best = validation.argmax(axis=1)
    return np.asarray(test[np.arange(len(test)), best])


def reversals(shown: np.ndarray, proper: np.ndarray) -> np.ndarray:
    """Where two arrays of differences have opposite signs; a tie, in either, is no reversal."""
    return np.asarray(_signs(shown) * _signs(proper) < 0)


def _signs(differences: np.ndarray) -> np.ndarray:
    """1, 0 or −1; a tie of two means may differ from 0 by the rounding of their sums."""
    return np.asarray(np.sign(np.round(differences, 12)))


def told_apart(differences: np.ndarray) -> np.ndarray:
    """Which pairs (P,) all seeds tell apart, by sign flips of the differences (S, P) at 5 %, each alone.

    >>> told_apart(np.array([[1.0, 1.0], [2.0, -1.0], [1.0, 2.0], [3.0, -2.0], [1.0, 1.0], [1.0, -1.0]]))
    array([ True, False])
    """
    return np.array([sign_flips(pair).p() <= LEVEL for pair in differences.T], dtype=bool)


def reversed_means(shown: np.ndarray, proper: np.ndarray, seed: int = 0) -> Estimate:
    """The share of pairs whose mean differences (S, P) have opposite signs; percentiles of drawn seeds.

    The seeds of both are drawn together, with replacement. Where the middle 95 % of draws agree, the interval
    is as in ``share_over_seeds``: a few other draws make it no surer than none.

    >>> d = np.array([[1.0, 1.0], [2.0, 1.5]])
    >>> [round(number, 3) for number in reversed_means(d, d * [1.0, -1.0])]
    [0.5, 0.013, 0.987]
    """
    seeds = len(shown)
    weights = np.random.default_rng(seed).multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
    value = float(reversals(shown.mean(axis=0), proper.mean(axis=0)).mean())
    drawn = reversals(weights @ shown, weights @ proper).mean(axis=1)
    low, high = np.quantile(drawn, (LEVEL / 2, 1 - LEVEL / 2))
    if low == value == high:
        return Estimate(value, *share_interval(value * seeds, seeds))
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def subsets(seeds: int, size: int) -> np.ndarray:
    """Subsets of so many seeds, (C, size): all, or seeded draws where there are more than ``SUBSETS``.

    >>> subsets(3, 2).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    if math.comb(seeds, size) <= SUBSETS:
        return np.array(list(combinations(range(seeds), size)))
    draw = np.random.default_rng(seeds).random((SUBSETS, seeds))
    return np.argpartition(draw, size, axis=1)[:, :size]


def wrong_signs(differences: np.ndarray, size: int) -> Estimate:
    """The share of comparisons at ``size`` seeds whose sign is not that of all seeds; a tie is half of one.

    Over all subsets of the seeds and all pairs of ``differences`` (S, P); the interval by the jackknife: each
    seed in turn is in no subset, the sign of all seeds kept.

    >>> wrong_signs(np.array([[1.0], [2.0], [-1.0], [1.0]]), 1).value
    0.25
    """
    seeds = len(differences)
    chosen = subsets(seeds, size)
    at = differences[chosen].mean(axis=1)
    wrong = ((1 - _signs(at) * _signs(differences.mean(axis=0))) / 2).mean(axis=1)
    inside = np.zeros((len(chosen), seeds), dtype=bool)
    np.put_along_axis(inside, chosen, True, axis=1)
    outside = ~inside
    if not outside.any(axis=0).all():
        return Estimate(float(wrong.mean()), None, None)
    without = (wrong @ outside) / outside.sum(axis=0)
    return _share(float(wrong.mean()), deletion_variance(without), seeds)
