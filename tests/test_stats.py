"""The test, the interval, the correction and the power, against independent oracles."""

from __future__ import annotations

import doctest
import importlib
import itertools
import math
import pkgutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as oracle

import losscope.stats
from losscope.core.errors import LosscopeError
from losscope.stats import (
    alpha_of,
    attainable_p,
    correlations,
    data_like_these,
    data_like_these_unpaired,
    family_size,
    holm,
    jackknife_variance,
    label_shuffles,
    mean_interval,
    midranks,
    minimal_seeds,
    plan,
    power,
    prediction_interval,
    published_value,
    seeds_needed,
    sign_flips,
    sign_test,
    smallest_p,
)
from losscope.stats.closed import over_items

thousandths = st.integers(-60, 60).map(lambda value: value / 1000)
"""Values as measures have them: steps of queries, so that exact ties occur and do not in binary."""


def every_flip_p(d: list[float]) -> float:
    """Sign flips in exact integers of thousandths, one by one."""
    whole = [round(1000 * value) for value in d]
    flips = list(itertools.product((1, -1), repeat=len(d)))
    extreme = sum(
        abs(sum(sign * value for sign, value in zip(flip, whole))) >= abs(sum(whole)) for flip in flips
    )
    return extreme / len(flips)


def every_shuffle_p(a: list[float], b: list[float]) -> float:
    """Label shuffles one by one, by the square of Welch's t with its sign, in exact fractions."""
    whole = [round(1000 * value) for value in (*a, *b)]

    def spread(group: list[int]) -> Fraction:
        mean = Fraction(sum(group), len(group))
        return sum((value - mean) ** 2 for value in group) / (len(group) * (len(group) - 1))

    def statistic(chosen: tuple[int, ...]) -> Fraction | float:
        inside = [whole[place] for place in chosen]
        outside = [whole[place] for place in set(range(len(whole))) - set(chosen)]
        mean = Fraction(sum(inside), len(inside)) - Fraction(sum(outside), len(outside))
        error = spread(inside) + spread(outside)
        return mean * abs(mean) / error if error else math.copysign(math.inf, mean) if mean else Fraction(0)

    found = [statistic(deal) for deal in itertools.combinations(range(len(whole)), len(a))]
    tails = sum(other >= found[0] for other in found), sum(other <= found[0] for other in found)
    return min(1.0, 2 * min(tails) / len(found))


def shuffles(a, b):
    """The label shuffles alone, without the t test that p must not fall below."""
    return replace(label_shuffles(a, b), bound=None)


@given(st.lists(thousandths, min_size=1, max_size=9))
def test_sign_flip_p_is_exact_with_ties(d):
    assert sign_flips(d).p() == every_flip_p(d)


groups = st.lists(thousandths, min_size=3, max_size=5)


@given(groups, groups)
def test_label_shuffle_p_is_exact_with_ties(a, b):
    assert shuffles(a, b).p() == pytest.approx(every_shuffle_p(a, b), abs=1e-15)


@given(st.lists(thousandths, min_size=2, max_size=2), st.lists(thousandths, min_size=2, max_size=6))
def test_shuffles_of_a_group_of_two_never_have_too_small_a_p(a, b):
    """Their p is not monotone in the difference, and what lies inside of an end is kept."""
    assert shuffles(a, b).p() >= every_shuffle_p(a, b) - 1e-15


@pytest.mark.parametrize("n", [2, 3, 6, 10, 13])
def test_sign_flips_agree_with_scipy(n):
    d = np.random.default_rng(n).normal(0.4, 1, n)
    theirs = oracle.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flips(d).p() == pytest.approx(theirs.pvalue, abs=1e-12)


@pytest.mark.parametrize(("m", "n"), [(3, 5), (5, 5), (4, 7)])
def test_label_shuffles_agree_with_scipy(m, n):
    random = np.random.default_rng(m * n)
    a, b = random.normal(0.8, 1, m), random.normal(0, 1, n)
    theirs = oracle.permutation_test(
        (a, b), lambda x, y: oracle.ttest_ind(x, y, equal_var=False).statistic, n_resamples=np.inf
    )
    assert shuffles(a, b).p() == pytest.approx(theirs.pvalue, abs=1e-12)


@pytest.mark.parametrize("theta", [-0.7, 0.0, 0.4])
def test_equal_groups_have_at_least_the_p_of_welchs_t(theta):
    random = np.random.default_rng(8)
    for size in (3, 6, 9):
        a, b = random.normal(0.8, 3, size), random.normal(0, 1, size)
        welch, null = oracle.ttest_ind(a - theta, b, equal_var=False), label_shuffles(a, b)
        own = min(1.0, 2 * min(null.bound.above(theta), null.bound.below(theta)))
        assert own == pytest.approx(welch.pvalue, rel=1e-9)
        ends = welch.confidence_interval(0.96)
        assert null.bound.interval(0.04) == pytest.approx((ends.low + theta, ends.high + theta))
        assert null.p(theta) == pytest.approx(max(own, shuffles(a, b).p(theta)))


@pytest.mark.parametrize(("m", "n"), [(3, 5), (4, 10), (9, 7)])
def test_unequal_groups_have_at_least_the_p_of_cochran_and_cox(m, n):
    """t at that p is the mean of the two groups' quantiles, weighted by their share of the variance."""
    random = np.random.default_rng(m)
    a, b = random.normal(0.8, 3, m), random.normal(0, 1, n)
    bound, shares = label_shuffles(a, b).bound, (a.var(ddof=1) / m, b.var(ddof=1) / n)
    for theta in (-2.0, 0.3, 5.0):
        tail = min(bound.above(theta), bound.below(theta))
        quantile = np.average(oracle.t.isf(tail, [m - 1, n - 1]), weights=shares)
        assert quantile == pytest.approx(abs(a.mean() - b.mean() - theta) / math.sqrt(sum(shares)))
    low, high = bound.interval(0.04)
    assert bound.above(high) == pytest.approx(0.02) == bound.below(low)


@given(st.lists(thousandths, min_size=2, max_size=9), st.sampled_from([0.001, 0.01, 0.03]))
def test_sign_flips_outside_a_width_are_two_one_sided_tests(d, delta):
    whole, width = [round(1000 * value) for value in d], round(1000 * delta)
    flips = list(itertools.product((1, -1), repeat=len(d)))

    def one_sided(values):
        return sum(sum(s * v for s, v in zip(flip, values)) <= sum(values) for flip in flips) / len(flips)

    by_hand = max(one_sided([v - width for v in whole]), one_sided([-v - width for v in whole]))
    assert sign_flips(d).outside(delta) == pytest.approx(min(0.5, by_hand), abs=1e-15)


def test_a_width_is_left_exactly_where_the_interval_leaves_it():
    random = np.random.default_rng(12)
    for _ in range(60):
        x, y = random.normal(0, 1, 9), random.normal(0, 2, 6)
        for null in (sign_flips(x), label_shuffles(x[:6], y), label_shuffles(x, y)):
            low, high = null.interval(0.04)
            for delta in (0.3, 1.0, 2.0, 3.0):
                assert (null.outside(delta) <= 0.02) == (-delta < low and high < delta)


def test_drawn_sign_flips_are_repeatable_and_near_the_exact_p():
    d = np.random.default_rng(4).normal(0.45, 1, 25)
    sums = np.zeros(1)
    for value in d[:-1]:
        sums = np.concatenate([sums + value, sums - value])
    exact = np.mean(np.abs(sums + d[-1]) >= abs(d.sum()) - 1e-9)
    drawn = sign_flips(d)
    assert drawn.total == 100_000
    assert drawn.p() == sign_flips(d).p()
    assert abs(drawn.p() - exact) < 5 * math.sqrt(exact * (1 - exact) / 99_999) + 1e-5
    assert sign_flips(np.full(25, 0.1)).p() == 1 / 100_000  # (b + 1)/(m + 1), nothing drawn as extreme


def test_drawn_label_shuffles_are_near_the_t_test():
    random = np.random.default_rng(7)
    a, b = random.normal(0.6, 1, 20), random.normal(0, 1, 20)
    assert label_shuffles(a, b).total == 100_000
    assert label_shuffles(a, b).p() == pytest.approx(oracle.ttest_ind(a, b).pvalue, rel=0.15)
    unequal = label_shuffles(a, b[:15])
    assert unequal.total == 100_000
    welch = oracle.ttest_ind(a, b[:15], equal_var=False).pvalue
    assert replace(unequal, bound=None).p() == pytest.approx(welch, rel=0.3)


samples = st.lists(thousandths, min_size=1, max_size=12)
levels = st.sampled_from([0.5, 0.0625, 0.05, 0.04, 0.03125, 0.008, 0.0016, 1e-6])


@given(samples, levels)
def test_zero_is_inside_the_interval_exactly_if_the_test_keeps_it(d, alpha):
    null = sign_flips(d)
    ends = null.interval(alpha)
    assert (ends is None) == (2 / 2 ** len(d) > alpha)
    if ends is not None:
        assert (ends[0] <= 0 <= ends[1]) == (null.p() > alpha)
        assert ends[0] <= np.mean(d) + 1e-12
        assert ends[1] >= np.mean(d) - 1e-12


@given(samples, samples, levels)
def test_duality_holds_for_unpaired_runs(a, b, alpha):
    if math.comb(len(a) + len(b), len(a)) > 20_000:
        a, b = a[:6], b[:6]
    null = label_shuffles(a, b)
    ends = null.interval(alpha)
    assert (ends is None) == (null.smallest > alpha)
    if ends is not None:
        assert (ends[0] <= 0 <= ends[1]) == (null.p() > alpha)


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=10), st.floats(-1.5, 1.5))
def test_interval_inverts_the_test_of_shifted_data(d, theta):
    ends = sign_flips(d).interval(0.04)
    if ends is None or min(abs(theta - end) for end in ends) < 1e-6:
        return
    kept = sign_flips(np.array(d) - theta).p() > 0.04
    assert kept == (ends[0] < theta < ends[1])


def test_unpaired_interval_inverts_the_test_of_shifted_data():
    random = np.random.default_rng(3)
    for sizes in ((5, 5), (4, 7), (8, 6)):
        a, b = random.normal(0.5, 1, sizes[0]), random.normal(0, 1, sizes[1])
        low, high = label_shuffles(a, b).interval(0.04)
        for theta in np.linspace(low - 1, high + 1, 41):
            assert (label_shuffles(a - theta, b).p() > 0.04) == (low <= theta <= high)
        ends = shuffles(a, b).interval(0.04)
        for theta in np.linspace(ends[0] - 1, ends[1] + 1, 41):
            assert (shuffles(a - theta, b).p() > 0.04) == (ends[0] <= theta <= ends[1])


def test_drawn_intervals_keep_duality():
    random = np.random.default_rng(5)
    for shift in (0.0, 0.2, 0.45, 0.6):
        null = sign_flips(random.normal(shift, 1, 22))
        low, high = null.interval(0.04)
        assert (low <= 0 <= high) == (null.p() > 0.04)


def test_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(11)
    intervals = [sign_flips(random.normal(0.3, 1, 9)).interval(0.04) for _ in range(1500)]
    covered = np.mean([low <= 0.3 <= high for low, high in intervals])
    exact = 1 - math.floor(0.04 * 2**8) / 2**8  # the discrete test's level
    assert abs(covered - exact) < 3.3 * math.sqrt(exact * (1 - exact) / 1500)


def test_degenerate_samples():
    zeros = sign_flips([0.0] * 8)
    assert zeros.p() == 1.0
    assert zeros.interval(0.04) == (0.0, 0.0)
    same = sign_flips([0.02] * 8)
    assert same.p() == 2 / 2**8
    assert same.interval(0.04) == pytest.approx((0.02, 0.02))
    one = sign_flips([0.5])
    assert one.p() == 1.0
    assert one.interval(0.04) is None
    assert label_shuffles([1.0], [0.0]).p() == 1.0
    assert label_shuffles([1.0], [0.0] * 60).p() == 1.0  # the variance of one run is not known
    apart = label_shuffles([1.0] * 4, [0.0] * 9)
    assert (apart.p(), apart.interval(0.04)) == (2 / math.comb(13, 4), (1.0, 1.0))
    assert label_shuffles([0.3] * 5, [0.3] * 5).interval(0.04) == (0.0, 0.0)
    for bad in ([], [math.nan]):
        with pytest.raises(ValueError, match="finite"):
            sign_flips(bad)
    with pytest.raises(ValueError, match="finite"):
        label_shuffles([1.0], [])


def test_sign_test_is_the_binomial():
    for more, less in itertools.product(range(8), repeat=2):
        if more + less:
            assert sign_test(more, less) == pytest.approx(oracle.binomtest(more, more + less).pvalue)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(ps):
    """A hypothesis is rejected if every set of hypotheses that holds it is, by the smallest p of the set."""
    places = range(len(ps))
    sets = [some for size in range(1, len(ps) + 1) for some in itertools.combinations(places, size)]
    by_set = {some: min(1.0, len(some) * min(ps[place] for place in some)) for some in sets}
    closed = [max(by_set[some] for some in sets if place in some) for place in places]
    assert holm(ps) == pytest.approx(closed)


def test_holm_counts_a_failed_test_as_one():
    assert holm([0.01, None, 0.02]) == pytest.approx([0.03, None, 0.04])
    assert holm([0.01], tests=5) == [0.05]
    assert holm([None]) == [None]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9))
def test_midranks_agree_with_scipy(values):
    assert midranks(values).tolist() == oracle.rankdata(values).tolist()
    assert midranks([math.inf, 1.0, math.inf]).tolist() == [2.5, 1.0, 2.5]


def test_correlations_agree_with_scipy():
    random = np.random.default_rng(2)
    x, y = random.integers(0, 5, (6, 8)).astype(float), random.normal(size=(6, 8))
    expected = [oracle.spearmanr(row_x, row_y).statistic for row_x, row_y in zip(x, y)]
    assert correlations(x, y) == pytest.approx(expected)
    x[0, 3] = math.nan
    kept = np.delete(np.arange(8), 3)
    assert correlations(x, y)[0] == pytest.approx(oracle.spearmanr(x[0, kept], y[0, kept]).statistic)
    assert correlations(np.ones((1, 4)), y[:1, :4]) == [None]
    assert correlations(x[:1, :2], y[:1, :2]) == [None]


def test_looks_spend_five_per_cent_together():
    assert [alpha_of(look) for look in (1, 2, 3)] == pytest.approx([0.04, 0.008, 0.0016])
    assert sum(alpha_of(look) for look in range(1, 30)) == pytest.approx(0.05)
    with pytest.raises(LosscopeError, match="counted from 1"):
        alpha_of(0)


def test_seeds_that_holm_needs_at_the_first_look():
    assert [minimal_seeds(tests) for tests in (1, 3, 10, 17)] == [6, 8, 9, 10]
    for tests in range(1, 40):
        seeds = minimal_seeds(tests)
        assert attainable_p(seeds, tests) <= 0.04 < attainable_p(seeds - 1, tests)
    assert minimal_seeds(1, look=20) is None
    assert smallest_p(5) == 0.0625
    assert smallest_p(0) == 1.0
    for n in (1, 2, 5, 10):
        assert smallest_p(n, paired=False) == pytest.approx(
            label_shuffles(np.arange(n) + 100.0, np.arange(n) * 1.0).p()
        )


def test_plan_says_what_seeds_can_show():
    enough, short, hopeless = plan(10), plan(1, tests=1), plan(30, tests=5, look=12)
    assert (enough.tests_in_family, enough.p_attainable, enough.enough) == (5, 5 / 512, True)
    assert (short.enough, short.minimal_seeds) == (False, 6)
    assert "1 paired seed is too few for 1 test " in short.sentence
    assert "no number of seeds" in hopeless.sentence
    assert family_size(7, 2) == 20
    assert family_size(1, 0) == 0


@pytest.mark.parametrize(("sd", "delta", "tests"), [(0.01, 0.01, 1), (0.02, 0.015, 1), (0.01, 0.008, 3)])
def test_seeds_needed_give_the_power_they_promise(sd, delta, tests):
    seeds = seeds_needed(sd, delta, tests=tests)
    random = np.random.default_rng(seeds)
    level = alpha_of(1) / tests
    found = np.mean([sign_flips(random.normal(delta, sd, seeds)).p() <= level for _ in range(300)])
    assert 0.8 - 3.5 * math.sqrt(0.16 / 300) < found < 0.93


@pytest.mark.parametrize("paired", [True, False])
def test_power_has_a_value_at_every_shift(paired):
    """Against the integral over the scale of t; scipy's own has none at many shifts from 4 on."""
    for seeds, level, shift in itertools.product(
        (9, 20, 60, 200), (0.04, 0.0004), (0.5, 2.0, 4.4, 7.0, 9.0, 40.0)
    ):
        freedom = (seeds - 1) * (1 if paired else 2)
        steps = 2 ** (seeds - 1) if seeds <= 20 else 100_000
        if not paired:
            steps = math.comb(18, 9) // 2 if seeds == 9 else 100_000
        critical = oracle.t.isf(math.floor(level * steps) / steps / 2, freedom)
        scale = np.sqrt(oracle.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, freedom) / freedom)
        expected = oracle.norm.cdf(shift - critical * scale) + oracle.norm.cdf(-shift - critical * scale)
        found = power(seeds, 1.0, shift / math.sqrt(seeds), level, paired=paired)
        assert found == pytest.approx(expected.mean(), abs=1e-4), (seeds, level, shift)


def test_fewer_seeds_than_needed_have_too_little_power():
    for ratio, tests, look in itertools.product((0.4, 0.7, 1.0, 1.4, 2.0, 3.0), (1, 5, 8, 17), (1, 2, 3)):
        needed = seeds_needed(ratio, 1.0, tests=tests, look=look)
        level = alpha_of(look) / tests
        if needed > 200:  # by the normal approximation
            continue
        assert power(needed, ratio, 1.0, level) >= 0.8
        if needed > minimal_seeds(tests, look):
            assert power(needed - 1, ratio, 1.0, level) < 0.8


def test_seeds_needed_at_the_edges():
    assert seeds_needed(0.0, 0.01) == seeds_needed(None, 0.01) == 6
    assert seeds_needed(0.01, 0.0) is None
    assert seeds_needed(0.01, 0.01, look=20) is None
    assert seeds_needed(0.01, 0.01, tests=5) > seeds_needed(0.01, 0.01)
    far, near = seeds_needed(1.0, 0.19), seeds_needed(1.0, 0.21)
    assert near <= 240 <= far + 30  # the exact and the normal branch meet
    assert power(far, 1.0, 0.19, 0.04) == pytest.approx(0.8, abs=0.01)
    unpaired = seeds_needed(math.sqrt(2) * 0.01, 0.01, paired=False)
    assert power(unpaired, math.sqrt(2) * 0.01, 0.01, 0.04, paired=False) >= 0.8
    assert power(4, 0.0, 0.01, 0.04) == 0.0
    assert power(8, 0.0, 0.01, 0.04) == 1.0
    assert power(11, 1e-17, 0.01, 0.04) == 1.0  # equal differences up to rounding
    assert seeds_needed(1e-17, 0.01, tests=5, look=2) == minimal_seeds(5, 2) == 11


def test_intervals_by_hand():
    x = np.array([0.1, 0.4, 0.3, 0.2])
    t, s = 3.182446305284263, math.sqrt(0.05 / 3)
    assert mean_interval(x) == pytest.approx((0.25 - t * s / 2, 0.25 + t * s / 2))
    wide = t * s * math.sqrt(1.25)
    assert prediction_interval(x) == pytest.approx((0.25 - wide, 0.25 + wide))
    root = t * math.sqrt(s**2 / 4 + 0.02)
    assert data_like_these(x, 0.02) == pytest.approx((0.25 - root, 0.25 + root))
    assert mean_interval([0.3]) is prediction_interval([0.3]) is data_like_these([0.3], 0.1) is None
    y = np.array([0.1, 0.0, 0.4])
    welch = oracle.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert data_like_these_unpaired(x, y, 0.0) == pytest.approx((welch.low, welch.high))
    assert data_like_these_unpaired([0.1], [0.2, 0.3], 0.0) is None


def test_prediction_interval_holds_one_further_run():
    random = np.random.default_rng(0)
    runs = random.normal(size=(2000, 6))
    inside = [low <= run[5] <= high for run in runs for low, high in [prediction_interval(run[:5])]]
    assert abs(np.mean(inside) - 0.95) < 0.017


def test_published_value():
    ends = prediction_interval([1.0, 1.1, 1.2])
    above = published_value([1.0, None, 1.1, 1.2], 2.0)
    assert above.outside_by == pytest.approx(2.0 - ends[1])
    assert published_value([1.0, 1.1, 1.2], 0.0).outside_by == pytest.approx(-ends[0])
    assert published_value([1.0, 1.1, 1.2], 1.15).inside is True
    assert published_value([1.0], 1.0).inside is None
    assert published_value([None], 1.0).mean is None


def test_jackknife_over_classes_is_delete_one_class():
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(23), random.integers(1, 9, 23))
    d = random.normal(size=len(labels)) + labels / 10
    without = [d[labels != label].mean() for label in range(23)]
    centre = sum(without) / 23
    by_hand = 22 / 23 * sum((value - centre) ** 2 for value in without)
    v, over = jackknife_variance(d, labels)
    assert over == "classes"
    assert v == pytest.approx(by_hand)


def test_jackknife_within_classes_is_delete_one_query():
    labels, d = np.array([0, 0, 0, 1, 1, 2]), np.array([0.1, 0.5, 0.3, -0.2, 0.2, 0.9])
    weights = {label: np.mean(labels == label) for label in range(3)}
    by_hand = 0.0
    for label in (0, 1):  # the class of one query adds nothing
        own = d[labels == label]
        rest = sum(weights[c] * d[labels == c].mean() for c in range(3) if c != label)
        without = [rest + weights[label] * np.delete(own, i).mean() for i in range(len(own))]
        by_hand += (len(own) - 1) / len(own) * sum((value - np.mean(without)) ** 2 for value in without)
    v, over = jackknife_variance(d, labels)
    assert over == "queries"
    assert v == pytest.approx(by_hand)


def test_jackknife_leaves_out_queries_without_a_value():
    labels, d = np.array([0, 0, 1, 1, 2]), np.array([0.0, 1.0, 0.0, 1.0, math.nan])
    assert jackknife_variance(d, labels) == jackknife_variance(d[:4], labels[:4])
    assert jackknife_variance(np.array([1.0, 2.0]), np.array([0, 1])) is None
    assert jackknife_variance(np.array([math.nan]), np.array([0])) is None


@pytest.mark.parametrize(
    "module", [f"losscope.stats.{m.name}" for m in pkgutil.iter_modules(losscope.stats.__path__)]
)
def test_docstring_examples(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0
    assert result.attempted > 0


def test_statistics_import_no_torch():
    code = "import sys, losscope.stats; sys.exit('torch' in sys.modules or 'scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_values_that_differ_by_rounding_alone_are_equal():
    values = [0.818 + seed / 1000 for seed in range(8)]
    near = [value - 3e-16 for value in values]
    row = losscope.stats.comparison.compare(values, near, "recall_at_1", alpha=0.04)
    assert (row.difference, row.p) == (0.0, 1.0)
    far = [value - 1e-12 for value in values]
    assert losscope.stats.comparison.compare(values, far, "recall_at_1", alpha=0.04).p < 0.01


@pytest.mark.parametrize(
    ("items", "apart", "equal"), [(18, 0, False), (54, 1, False), (600, 0, True), (600, 2, False)]
)
def test_test_items_of_which_few_differ_are_equivalent_only_where_they_are_many(items, apart, equal):
    """No item that differs has a chance of .99 to the number of items at a true difference of .01."""
    a, labels = np.ones(items), np.arange(items) % 3
    b = a.copy()
    b[:apart] = 0.0
    runs = [[{"per_query/recall_at_1": values, "per_query/label": labels}] for values in (a, b)]
    found, unit = over_items(*runs, "recall_at_1", alpha=0.04)
    assert unit == "block" and found.discordant == (apart, items)
    chance = sum(math.comb(items, k) * 0.01**k * 0.99 ** (items - k) for k in range(apart + 1))
    assert found.p_outside >= chance * (1 - 1e-9)
    assert (found.p_outside <= 0.02) is equal
