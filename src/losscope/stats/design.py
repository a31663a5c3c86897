"""What a number of seeds can show: looks, attainable p, power."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtri, nctdtr, ndtr, ndtri, stdtrit

from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.results import DesignPlan
from losscope.stats.resample import DRAWS, EXACT_PAIRS, EXACT_SHUFFLES

POWER = 0.8


def alpha_of(look: int) -> float:
    """The level of a look at the data, counted from 1: .04/5^(k−1), so that all looks together spend .05.

    >>> alpha_of(1), alpha_of(2)
    (0.04, 0.008)
    """
    if look != int(look) or look < 1:
        raise LosscopeError(f"look is {look}; looks are counted from 1")
    return 0.04 / 5.0 ** (int(look) - 1)


def smallest_p(seeds: int, *, paired: bool = True) -> float:
    """The smallest p of the sign-flip test of n paired seeds: 2/2ⁿ, beyond 20 seeds 1/100,000.

    Unpaired, n runs of each: 2/C(2n, n) of the label shuffles, beyond 10 runs 1/100,000.

    >>> smallest_p(5), smallest_p(2, paired=False)
    (0.0625, 0.3333333333333333)
    """
    if seeds < 1:
        return 1.0
    exact = _rearrangements(seeds, paired)
    return 1 / exact if exact else 1 / (DRAWS + 1)


def _rearrangements(seeds: int, paired: bool) -> int:
    """How many rearrangements are enumerated, mirror images being one; 0 where they are drawn."""
    if paired:
        return 2 ** (seeds - 1) if seeds <= EXACT_PAIRS else 0
    ways = math.comb(2 * seeds, seeds)
    return ways // 2 if ways <= EXACT_SHUFFLES else 0


def attainable_p(seeds: int, tests: int, *, paired: bool = True) -> float:
    """The smallest p corrected by Holm that a family of so many tests can reach with so many seeds.

    >>> attainable_p(10, 5)
    0.009765625
    """
    return min(1.0, tests * smallest_p(seeds, paired=paired))


def family_size(losses: int, baselines: int, *, closed_form: bool = False, raw: bool = True) -> int:
    """Tests where validation ranks nothing: each loss against the reference loss, and against every baseline.

    With a closed form also each loss against it, and it against the raw inputs, where ``raw`` is a baseline.
    Where validation names a candidate the family is another: ``family_bound``.

    >>> family_size(2, 2), family_size(2, 2, closed_form=True), family_size(2, 1, closed_form=True, raw=False)
    (5, 8, 5)
    """
    return max(0, losses - 1) + losses * baselines + (losses + raw if closed_form else 0)


def minimal_seeds(tests: int, look: int = 1, *, paired: bool = True) -> int | None:
    """The fewest seeds whose attainable p reaches the look's level; None if no number does.

    >>> [minimal_seeds(tests) for tests in (1, 3, 10, 17)]
    [6, 8, 9, 10]
    """
    level = alpha_of(look)
    for seeds in range(1, EXACT_PAIRS + 2):  # beyond 20 the draws bound p, whatever the number
        if attainable_p(seeds, tests, paired=paired) <= level:
            return seeds
    return None


def power(seeds: int, sd: float, delta: float, level: float, *, paired: bool = True) -> float:
    """Power of the two-sided test at a true difference ``delta``, differences normal with ``sd``.

    The t test's, by the non-central t distribution, at the level that the sign-flip test of so many pairs
    really attains (its p are multiples of 2/2ⁿ): 0 where it attains none. Unpaired: n runs per group, ``sd``
    the root of the sum of both variances.
    """
    steps = _rearrangements(seeds, paired) or DRAWS + 1
    attained = math.floor(level * steps) / steps
    if attained <= 0 or seeds < 2:
        return 0.0
    if sd == 0:
        return 1.0 if delta > 0 else 0.0
    freedom = (seeds - 1) * (1 if paired else 2)
    critical = stdtrit(freedom, 1 - attained / 2)
    shift = delta * math.sqrt(seeds) / sd
    other = float(
        nctdtr(freedom, shift, -critical)
    )  # in the wrong direction: below 1e-4 where it has no value
    return _exceeds(freedom, shift, float(critical)) + (0.0 if math.isnan(other) else other)


def _exceeds(freedom: int, shift: float, critical: float) -> float:
    """The chance that a non-central t exceeds a value; the mean over its scale where nctdtr has no value."""
    found = 1 - float(nctdtr(freedom, shift, critical))
    if not math.isnan(found):
        return found
    scale = np.sqrt(chdtri(freedom, (np.arange(2000) + 0.5) / 2000) / freedom)
    return float(ndtr(shift - critical * scale).mean())


def seeds_needed(
    sd: float | None, delta: float, *, tests: int = 1, look: int = 1, paired: bool = True
) -> int | None:
    """The seeds that give power .8 at a true difference of ``delta``, for the observed ``sd`` of differences.

    Not at the observed difference: that would promise what was seen. Under Holm's strictest step, level
    α_k/tests. Without an ``sd`` (fewer than two seeds) the fewest that can reach the level at all. None if
    no number is enough. Above 200 seeds by the normal approximation n = (z_(1−α/2) + z_.8)²·sd²/δ² + z²/2.

    >>> seeds_needed(0.02, 0.01), seeds_needed(None, 0.01)
    (36, 6)
    """
    least = minimal_seeds(tests, look, paired=paired)
    if least is None or delta <= 0:
        return None
    if sd is None or sd == 0:
        return least
    level = alpha_of(look) / tests
    for seeds in range(least, 201):
        if power(seeds, sd, delta, level, paired=paired) >= POWER:
            return seeds
    if level < 1 / (DRAWS + 1):
        return None
    z = -float(ndtri(level / 2))
    return math.ceil((z + float(ndtri(POWER))) ** 2 * float(np.square(sd / delta)) + z**2 / 2)


def plan(
    seeds: int,
    losses: int = 2,
    baselines: int = 2,
    *,
    closed_form: bool = False,
    raw: bool = True,
    tests: int | None = None,
    look: int = 1,
) -> DesignPlan:
    """What ``--dry-run`` prints of the statistics: the family and the smallest corrected p it can reach.

    ``tests`` overrides the sides. ``minimal_seeds`` is None if no number is enough.

    >>> print(plan(5).sentence)
    5 paired seeds are too few for 5 tests at look 1: the smallest corrected p that they can reach is 0.31, \
above 0.04; at least 8 are needed.
    """
    family = family_size(losses, baselines, closed_form=closed_form, raw=raw) if tests is None else tests
    reach = attainable_p(seeds, family)
    made = DesignPlan(
        tests_in_family=family,
        look=look,
        alpha=alpha_of(look),
        seeds=seeds,
        p_attainable=reach,
        minimal_seeds=minimal_seeds(family, look),
        enough=reach <= alpha_of(look),
        sentence="",
    )
    return made.model_copy(update={"sentence": wording.design(made)})
