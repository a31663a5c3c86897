"""One answer over several data sets: the sign-flip test over families, in units of each indifference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as peer

from losscope.stats.across import OneData, PairOnData, across_data
from losscope.stats.design import alpha_of

ALPHA = alpha_of(1)


def pair(differences, families=None, deltas=None, a="a", b="b") -> PairOnData:
    families = families or [f"f{place}" for place in range(len(differences))]
    deltas = deltas or [0.01] * len(differences)
    rows = zip(differences, families, deltas, strict=True)
    on = (OneData(f"d{place}", row[1], row[0], row[2]) for place, row in enumerate(rows))
    return PairOnData(a, b, tuple(on))


def test_it_is_scipys_permutation_test_of_differences_in_units_of_their_indifference():
    rng = np.random.default_rng(0)
    differences, deltas = rng.normal(0.01, 0.02, 9), rng.choice([0.01, math.log(1.25), 0.05], 9)
    (found,) = across_data([pair(differences.tolist(), deltas=deltas.tolist())], alpha=ALPHA)
    own = differences / deltas
    wanted = peer.permutation_test(
        (own, np.zeros(9)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert math.isclose(found.p, wanted.pvalue) and math.isclose(found.mean, own.mean())
    assert found.low < found.mean < found.high


def test_data_sets_of_one_family_count_once_by_their_mean():
    values = [0.01, 0.03, 0.02, 0.01, 0.02, 0.04, 0.03, 0.02]
    families = ["a", "a", "b", "c", "d", "e", "f", "f"]
    (found,) = across_data([pair(values, families)], alpha=ALPHA)
    assert found.families == ("a", "b", "c", "d", "e", "f")
    assert found.values == pytest.approx([2, 2, 1, 2, 4, 2.5])
    assert (found.p, found.verdict) == (1 / 32, "higher")


def test_five_families_and_data_sets_that_failed_have_no_verdict():
    five, failed, many = across_data(
        [pair([0.02] * 5), pair([0.02] * 6 + [None]), pair([0.02] * 7)], alpha=ALPHA
    )
    assert (five.verdict, five.reason, five.p) == (None, "few_families", None)
    assert (failed.verdict, failed.reason, failed.p) == (None, "failed", None)
    # each of three tests counts, those that could not be made too: 3 · 2/2⁷ is above the level
    assert (many.tests, many.verdict, many.reason, many.p) == (3, None, "few_families", 1 / 64)
    assert across_data([pair([0.02] * 7)], alpha=ALPHA)[0].verdict == "higher"
    assert across_data([pair([-0.02] * 7)], alpha=ALPHA)[0].verdict == "lower"
    assert across_data([pair([])], alpha=ALPHA)[0].reason == "few_families"


def test_differences_well_inside_the_indifference_are_equivalent():
    values = [0.001, -0.002, 0.0015, -0.001, 0.002, 0.0005, -0.0015, 0.001]
    (found,) = across_data([pair(values)], alpha=ALPHA)
    assert found.verdict == "equivalent" and found.p_outside <= ALPHA / 2
    (open_,) = across_data([pair([10 * value for value in values])], alpha=ALPHA)
    assert open_.verdict == "unresolved" and open_.p > ALPHA


def test_two_losses_that_are_one_are_told_apart_no_more_often_than_the_level_says():
    """300 collections of 8 families; scales and spreads differ between data sets, as they do."""
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(300):
        spreads = rng.choice([0.5, 1.0, 4.0], 12)
        deltas = rng.choice([0.01, 0.2], 12)
        differences = spreads * deltas * rng.standard_t(3, 12)
        families = [f"f{place % 8}" for place in range(12)]
        (found,) = across_data([pair(differences.tolist(), families, deltas.tolist())], alpha=ALPHA)
        told += found.verdict in ("higher", "lower")
    assert told <= 300 * ALPHA + 3 * math.sqrt(300 * ALPHA * (1 - ALPHA))


def test_several_pairs_are_corrected_together():
    strong, weak = [0.02 + place / 1000 for place in range(8)], [0.03, 0.02, -0.001] + [0.02] * 5
    one, two = across_data([pair(strong), pair(weak, b="c")], alpha=ALPHA)
    assert (one.p, one.p_holm) == (2 / 256, 4 / 256)
    assert two.p_holm == max(two.p, one.p_holm) and (one.tests, two.b) == (2, "c")
