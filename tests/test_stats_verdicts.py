"""Comparisons, the verdicts of pairs and of claims, and the whole analysis."""

from __future__ import annotations

import math

import numpy as np
import pytest

from losscope.core.errors import LosscopeError
from losscope.core.quantities import quantity
from losscope.core.results import NotComparable
from losscope.stats import (
    Claim,
    ClaimJudgement,
    Traits,
    alpha_of,
    association,
    barred,
    compare,
    judge_claims,
    more_seeds,
    over_data,
    pair_verdict,
    sign_flips,
    sign_test,
    summary,
)

SHIFTS = np.array([0.3, -0.8, 0.5, 1.2, -0.4, 0.9, -1.1, -0.2, 0.1, -0.5])


def shifted(mean: float, sd: float = 0.01, n: int = 10) -> list[float]:
    """Values about 0.9 whose differences from 0.9 have exactly this mean and standard deviation."""
    d = SHIFTS[:n] - SHIFTS[:n].mean()
    return (0.9 + mean + sd * d / d.std(ddof=1)).tolist()


def judged(a, b, measure="recall_at_1", *, tests=1, look=1, reason=None, **options):
    row = compare(a, b, measure, alpha=alpha_of(look), **options)
    p = None if row.p is None else min(1.0, tests * row.p)
    return pair_verdict(row, p_corrected=p, tests=tests, reason=reason)


FLAT = [0.9] * 10
UNLIKE = NotComparable(why="form", names=("squared hinge", "linear hinge"))


def test_every_verdict_of_a_pair_is_reached():
    assert judged(shifted(0.03), FLAT) == "higher"
    assert judged(FLAT, shifted(0.03)) == "lower"
    assert judged(shifted(0.002, 0.02), FLAT) == "unresolved"
    assert judged(shifted(0.002, 0.005), FLAT) == "equivalent"
    assert judged(shifted(0.03, n=5), FLAT[:5]) == "too_few_seeds"
    assert judged(shifted(0.03), FLAT, tests=100) == "too_few_seeds"
    assert judged(shifted(0.03), FLAT, reason=UNLIKE) == "not_comparable"
    assert judged(shifted(0.03), FLAT, failed=([True] + [False] * 9, [False] * 10)) == "failed"
    assert judged([None, *shifted(0.03)[1:]], FLAT) == "failed"


def test_verdicts_come_in_their_order():
    """The first that applies: failed before not_comparable before too_few_seeds before equivalent."""
    lost = ([True] + [False] * 4, [False] * 5)
    assert judged(shifted(0.0, n=5), FLAT[:5], failed=lost, reason=UNLIKE) == "failed"
    assert judged(shifted(0.0, n=5), FLAT[:5], reason=UNLIKE) == "not_comparable"
    assert judged(FLAT[:5], FLAT[:5]) == "too_few_seeds"
    row = compare(shifted(0.005, 0.001), FLAT, "recall_at_1", alpha=0.04)
    assert row.p < 0.04
    assert pair_verdict(row, p_corrected=row.p, tests=1) == "equivalent"


def test_five_seeds_never_suffice_whatever_the_difference():
    assert judged([0.9] * 5, [0.1] * 5) == "too_few_seeds"
    assert judged([0.9] * 6, [0.1] * 6) == "higher"


@pytest.mark.parametrize("values", [FLAT, [0.0] * 10, [1.0] * 10])
def test_equal_losses_are_equivalent(values):
    assert judged(values, values) == "equivalent"
    row = compare(values, values, "recall_at_1", alpha=0.04)
    assert (row.difference, row.low, row.high, row.p) == (0.0, 0.0, 0.0, 1.0)


def test_equivalence_is_strictly_inside_the_indifference():
    quarter = [0.75 + 0.0078125] * 10  # exact in binary
    row = compare(quarter, [0.75] * 10, "recall_at_1", alpha=0.04, delta=0.0078125)
    assert pair_verdict(row, p_corrected=row.p, tests=1) == "higher"
    assert pair_verdict(row.against(0.0079), p_corrected=row.p, tests=1) == "equivalent"


def test_one_seed_and_no_seed():
    one = compare([0.9], [0.8], "recall_at_1", alpha=0.04)
    assert (one.n, one.p, one.low, one.sd) == (1, 1.0, None, None)
    assert one.difference == pytest.approx(0.1)
    assert judged([0.9], [0.8]) == "too_few_seeds"
    assert judged([], []) == "not_comparable"
    gone = compare([None], [0.8], "recall_at_1", alpha=0.04, failed=([True], [False]))
    assert (gone.n, gone.difference, gone.p) == (0, None, None)
    assert judged([None], [0.8], failed=([True], [False])) == "failed"


def test_log_ratio_scale():
    a, b = np.exp(SHIFTS / 10) * 0.03, np.full(10, 0.0125)
    row = compare(a.tolist(), b.tolist(), "intra_variance", alpha=0.04)
    d = np.log(a / b)
    assert row.scale == "log_ratio"
    assert row.difference == pytest.approx(d.mean())
    assert (row.low, row.high) == pytest.approx(sign_flips(d).interval(0.04))
    assert row.mean_a == pytest.approx(a.mean())


@pytest.mark.parametrize("bad", [0.0, -0.1])
@pytest.mark.parametrize("paired", [True, False])
def test_values_without_a_log_ratio_are_not_comparable(bad, paired):
    row = compare([bad, *FLAT[1:]], FLAT, "intra_variance", alpha=0.04, paired=paired)
    assert (row.difference, row.low, row.p) == (None, None, None)
    assert row.reason == NotComparable(why="not_positive")
    assert pair_verdict(row, p_corrected=None, tests=1) == "not_comparable"


def test_nan_is_null():
    with_none = compare([None, *FLAT[1:]], FLAT, "recall_at_1", alpha=0.04)
    assert compare([math.nan, *FLAT[1:]], FLAT, "recall_at_1", alpha=0.04) == with_none
    assert compare([math.inf, *FLAT[1:]], FLAT, "recall_at_1", alpha=0.04) == with_none
    assert (with_none.n, with_none.missing, with_none.p) == (9, 1, None)
    assert with_none.difference == 0.0  # what the others show stays


def test_unreached_epochs_are_ordered_last():
    a = [30, 40, None, 35, 50, None, 60, 33]
    b = [20, 30, 25, 30, 40, None, None, 20]
    row = compare(a, b, "epochs_to_90", alpha=0.04)
    assert row.order == (6, 1, 1)
    assert row.p == sign_test(6, 1)
    assert (row.difference, row.low, row.n, row.missing) == (None, None, 8, 0)
    assert judged([None] * 6, [20] * 6, "epochs_to_90") == "higher"
    assert judged([20] * 6, [None] * 6, "epochs_to_90") == "lower"
    assert judged([None] * 6, [None] * 6, "epochs_to_90") == "unresolved"
    assert judged([None] * 5, [20] * 5, "epochs_to_90") == "too_few_seeds"
    assert judged([None] * 6, [20] * 6, "epochs_to_90_quality") == "not_comparable"  # undefined, not late
    unpaired = compare([None] * 6, [20] * 6, "epochs_to_90", alpha=0.04, paired=False)
    assert pair_verdict(unpaired, p_corrected=unpaired.p, tests=1) == "higher"
    assert more_seeds(row, tests=1, look=1) is None
    failed = compare(a, b, "epochs_to_90", alpha=0.04, failed=([True] + [False] * 7, [False] * 8))
    assert failed.p is None
    assert pair_verdict(failed, p_corrected=None, tests=1) == "failed"


def test_reached_epochs_are_compared_by_ratio():
    row = compare([44.0] * 8, [40.0] * 8, "epochs_to_90", alpha=0.04)
    assert row.order is None
    assert row.difference == pytest.approx(math.log(1.1))


def test_unpaired_runs():
    a, b = shifted(0.03), shifted(0.0)[:8]
    assert judged(a, b, paired=False) == "higher"
    row = compare(a, b, "recall_at_1", alpha=0.04, paired=False)
    assert row.n == 8
    assert row.sd == pytest.approx(math.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1)))
    assert row.low < 0.03 < row.high
    assert judged([0.9, 0.9, 0.9], [0.8, 0.8, 0.8], paired=False) == "too_few_seeds"
    assert judged(FLAT, FLAT, paired=False) == "equivalent"
    with pytest.raises(LosscopeError, match="one value per seed"):
        compare(a, b, "recall_at_1", alpha=0.04)


def test_seeds_needed_are_for_the_next_look_and_not_for_what_was_seen():
    near, far = (compare(shifted(m, 0.05), FLAT, "recall_at_1", alpha=0.04) for m in (0.001, 0.03))
    assert more_seeds(near, tests=2, look=1) == more_seeds(far, tests=2, look=1)
    assert more_seeds(near, tests=2, look=2) > more_seeds(near, tests=2, look=1)


def test_limits_of_comparison():
    hinge, soft = Traits("linear hinge", True, False), Traits("softmax", False, True)
    assert barred(quantity("intra_variance"), hinge, soft) == NotComparable(
        why="form", names=("linear hinge", "softmax")
    )
    assert barred(quantity("active_ratio"), hinge, soft) == NotComparable(why="hinge")
    assert barred(quantity("epochs_to_90"), hinge, soft) == NotComparable(why="floor")
    for name in ("intra_variance", "active_ratio", "epochs_to_90", "recall_at_1"):
        assert barred(quantity(name), hinge, hinge) is None
        assert barred(quantity(name), hinge, Traits()) is None
    assert barred(quantity("recall_at_1"), hinge, soft) is None


def test_summary_of_one_loss():
    assert summary([0.98], "recall_at_1") == (0.98, None, None)
    assert summary([None, math.nan], "recall_at_1") == (None, None, None)
    assert summary([0.5, 1.0, 0.9], "recall_at_1").high == 1.0
    assert summary([0.1, 2.0], "intra_variance").low == 0.0
    assert summary([-1.0, -3.0], "uniformity").low < -3
    assert summary([30, 40, None], "epochs_to_90").mean is None


def claim(a, b, measure="recall_at_1", look=1, **options):
    row = compare(a, b, measure, alpha=alpha_of(look))
    return judge_claims([Claim(row, options.pop("direction", "higher"), **options)], look=look)[0]


def test_every_verdict_of_a_claim_is_reached():
    assert claim(shifted(0.03), FLAT).verdict == "reproduced"
    assert claim(FLAT, shifted(0.03)).verdict == "contradicted"
    assert claim(shifted(0.001, 0.004), FLAT).verdict == "contradicted"  # equivalent
    assert claim(shifted(0.01, 0.03), FLAT).verdict == "inconclusive"
    assert claim(shifted(0.03, n=5), FLAT[:5]).verdict == "inconclusive"
    assert claim(shifted(0.03), FLAT, value=0.1).verdict == "direction_only"
    assert claim(shifted(0.03, 0.012), FLAT, value=0.03).verdict == "size_unresolved"
    assert claim(shifted(0.03, 0.002), FLAT, value=0.031).verdict == "reproduced"
    assert claim(shifted(0.03), FLAT, value=0.1, size=False).verdict == "reproduced"
    assert claim(shifted(0.03), FLAT, reason="MNIST is reduced").verdict == "not_testable"
    assert claim([None, *FLAT[1:]], FLAT).verdict == "not_testable"
    assert judge_claims([Claim(None, "higher")])[0].verdict == "not_testable"
    assert claim(FLAT, shifted(0.03), direction="lower").verdict == "reproduced"


def test_a_claims_indifference_is_a_quarter_of_its_value():
    a = shifted(0.005, 0.001)
    assert claim(a, FLAT).verdict == "contradicted"  # within 0.01: equivalent
    small = claim(a, FLAT, value=0.006)
    assert small.delta == pytest.approx(0.0015)
    assert small.verdict != "contradicted"
    assert claim(a, FLAT, value=0.4).delta == 0.01


def test_inconclusive_claims_name_seeds_and_reason():
    few = claim(shifted(0.03, n=5), FLAT[:5])
    assert (few.why.why, few.reason, few.seeds_needed) == ("too_few_seeds", "too few seeds", 16)
    wide = claim(shifted(0.01, 0.03), FLAT)
    assert wide.seeds_needed > 16
    assert wide.why.why == "both_directions"
    assert "both directions" in wide.reason


def test_planted_claims_on_synthetic_like_runs():
    """True with ten seeds, false with ten seeds, undecided with five."""
    random = np.random.default_rng(0)
    triplet, contrastive = random.normal(0.033, 0.001, 10), random.normal(0.0137, 0.0005, 10)
    options = {"measure": "intra_variance", "value": math.log(2.4)}
    assert claim(triplet, contrastive, **options).verdict == "reproduced"
    assert claim(contrastive, triplet, **options).verdict == "contradicted"
    assert claim(triplet[:5], contrastive[:5], **options).verdict == "inconclusive"


def test_claims_are_corrected_together():
    strong = compare(shifted(0.03), FLAT, "recall_at_1", alpha=0.04)
    weak = compare(shifted(0.01, 0.0125), FLAT, "recall_at_1", alpha=0.04)
    assert judge_claims([Claim(weak, "higher")])[0].verdict == "reproduced"
    both = judge_claims([Claim(weak, "higher"), *[Claim(weak, "higher")] * 2, Claim(None, "higher")])
    assert both[0].verdict == "inconclusive"
    assert both[0].p_corrected == pytest.approx(3 * weak.p)
    assert both[0].why.why == "corrected_p"
    assert "other tests" in both[0].reason
    assert judge_claims([Claim(strong, "higher")] * 17)[0].verdict == "reproduced"  # 10 seeds do for 17
    with pytest.raises(LosscopeError, match="other sign"):
        Claim(strong, "higher", value=-0.1)
    with pytest.raises(LosscopeError, match="look 2 wants"):
        judge_claims([Claim(strong, "higher")], look=2)


def test_censored_claims_have_a_direction_but_no_size():
    found = claim([None] * 8, [20] * 8, "epochs_to_90", value=math.log(43 / 27))
    assert found.verdict == "size_unresolved"
    assert (found.why.why, found.why.bar.why) == ("no_size", "unreached")
    assert "not reached" in found.reason
    assert claim([None] * 8, [20] * 8, "epochs_to_90").verdict == "reproduced"
    assert claim([20] * 8, [None] * 8, "epochs_to_90").verdict == "contradicted"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["reproduced", "reproduced"], "reproduced"),
        (["reproduced", "contradicted", "not_testable"], "contradicted"),
        (["reproduced", "inconclusive", "not_testable"], "inconclusive"),
        (["reproduced", "not_testable"], "not_testable"),
        (["reproduced", "direction_only", "size_unresolved"], "direction_only"),
        (["reproduced", "size_unresolved"], "size_unresolved"),
        ([], "not_testable"),
    ],
)
def test_a_claim_over_data_sets_holds_only_on_each(words, expected):
    verdicts = {f"set{i}": ClaimJudgement(word, seeds_needed=10 + i) for i, word in enumerate(words)}
    found = over_data(verdicts)
    assert found.verdict == expected
    if expected == "inconclusive":
        assert found.seeds_needed == 11
        assert found.deciding == ("set1",)
        assert "set1" in found.reason


def test_association_claims():
    random = np.random.default_rng(3)
    x = random.normal(size=(8, 6))
    rising = association(x, x + 0.1 * random.normal(size=(8, 6)), alpha=0.04)
    assert judge_claims([Claim(rising, "higher")])[0].verdict == "reproduced"
    falling = association(x, -x, alpha=0.04)
    assert falling.difference == -1.0
    assert judge_claims([Claim(falling, "higher")])[0].verdict == "contradicted"
    none = association(np.ones((8, 6)), x, alpha=0.04)
    assert judge_claims([Claim(none, "higher")])[0].verdict == "not_testable"
    x[0, :4] = math.nan
    assert association(x, x, alpha=0.04).p is None
