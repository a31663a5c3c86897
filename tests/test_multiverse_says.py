"""What a multiverse says, held against naive loops, peers and closed forms, and against what was planted."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as peer

import multiverse_fixture as fixture
from losscope.core.results import Branch, Condition, MultiverseClaim
from losscope.core.wording import multiverses as wording
from losscope.stats.multiverses import FEWEST, Universe, analyse
from losscope.stats.multiverses.axes import axes_of, axis_of, columns
from losscope.stats.multiverses.claims import paper_setting
from losscope.stats.multiverses.deciding import decompose, surface
from losscope.stats.multiverses.draws import drawn_cells, weighted_medians
from losscope.stats.multiverses.joint import EXACT_CELLS, joint_test
from losscope.stats.multiverses.rules import applies, balanced_accuracy, rule_of
from losscope.stats.multiverses.shares import OUTCOMES, median_effect, outcomes, shares

RANDOM_MULTIVERSES = 200


def plain(effects: np.ndarray, cells: np.ndarray | None = None, **more: object) -> Universe:
    """A universe of given effects (S, n), each setting a cell of its own, with a choice that does nothing."""
    count = len(effects)
    given = {
        "claim": "c",
        "statement": "a is more",
        "data": "digits",
        "pair": ("a", "b"),
        "delta": 0.01,
        "direction": 1,
        "settings": tuple(f"s{place}" for place in range(count)),
        "cells": np.arange(count) if cells is None else cells,
        "choices": {"margin": np.linspace(0, 1, count)},
        "effects": effects,
        "competent": np.ones(count, bool),
        "null": None,
        "paper": None,
    }
    return Universe(**{**given, **more})


# --- shares ----------------------------------------------------------------------------------------


def counted_by_hand(universe: Universe) -> dict[str, int]:
    """In how many settings each outcome was seen, setting by setting."""
    found = dict.fromkeys(OUTCOMES, 0)
    for row in universe.effects.tolist():
        if any(math.isnan(value) for value in row):
            found["failed"] += 1
            continue
        mean = universe.direction * sum(row) / len(row)
        found["holds" if mean > universe.delta else "reversed" if mean < -universe.delta else "neither"] += 1
    return found


@pytest.mark.parametrize("direction", [1, -1])
def test_shares_are_those_of_a_loop_over_settings(direction):
    made = fixture.universe(fixture.mixed, settings=90, cells=25, failed=7)
    made = replace(made, direction=direction)
    found = shares(made, made.sampled, seed=0)
    by_hand = counted_by_hand(made)
    assert {name: getattr(found, name).count for name in OUTCOMES} == by_hand
    assert all(math.isclose(getattr(found, name).share, by_hand[name] / 90) for name in OUTCOMES)
    assert min(by_hand.values()) > 0


def test_a_setting_at_the_indifference_itself_does_neither():
    means = np.array([0.25, -0.25, np.nextafter(0.25, 1), np.nextafter(-0.25, -1)])
    names = [OUTCOMES[place] for place in outcomes(means, 0.25, 1)]
    assert names == ["neither", "neither", "holds", "reversed"]


def test_intervals_are_those_of_a_loop_that_draws_cells():
    made = fixture.universe(fixture.mixed, settings=100, cells=24)
    found = shares(made, made.sampled, seed=0).holds
    holds = made.means > made.delta
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(2000):
        chosen = [holds[made.cells == cell] for cell in rng.integers(0, 24, 24)]
        drawn.append(np.concatenate(chosen).mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert abs(found.low - low) < 0.02 and abs(found.high - high) < 0.02
    assert found.low < found.share < found.high


def test_intervals_hold_the_true_share_where_settings_of_a_cell_are_alike():
    rng = np.random.default_rng(0)
    cells, each, held = 40, 6, 0
    for trial in range(150):
        of_cell = rng.normal(size=cells)
        effects = (0.7 * np.repeat(of_cell, each) + 0.7 * rng.normal(size=cells * each))[:, None]
        made = plain(effects, np.repeat(np.arange(cells), each), delta=0.5)
        found = shares(made, made.sampled, seed=trial).holds
        held += found.low <= peer.norm.sf(0.5 / math.hypot(0.7, 0.7)) <= found.high
    assert held >= 0.9 * 150


def test_none_of_many_settings_does_not_mean_that_there_are_none():
    effects = np.full((60, 1), 0.05)
    found = shares(plain(effects, np.arange(60) // 2), np.ones(60, bool), seed=0)
    exact = peer.binomtest(0, 30).proportion_ci(0.95)
    assert (found.holds.share, found.holds.high) == (1.0, 1.0)
    assert math.isclose(found.reversed.high, exact.high) and found.reversed.low == 0
    assert math.isclose(found.holds.low, 1 - exact.high)


def test_below_twenty_cells_there_is_no_interval_and_the_reason_is_a_field():
    for cells, reason in ((FEWEST - 1, "few_cells"), (FEWEST, None)):
        made = fixture.universe(settings=60, cells=cells)
        (found,) = analyse([made])
        assert found.everywhere.no_interval == found.median.no_interval == reason
        assert (found.everywhere.holds.low is None) == (reason is not None)
        assert found.decomposition.reason == reason and found.rule.reason == reason
        assert found.joint is not None and found.everywhere.holds.share > 0.5


def test_shares_of_competent_settings_and_of_one_loss_twice():
    made = fixture.universe(fixture.mixed, settings=80, cells=40)
    (found,) = analyse([made])
    some = replace(
        made,
        settings=tuple(np.array(made.settings)[made.competent]),
        cells=made.cells[made.competent],
        choices={name: values[made.competent] for name, values in made.choices.items()},
        effects=made.effects[made.competent],
        null=made.null[made.competent],
        competent=np.ones(int(made.competent.sum()), bool),
    )
    assert found.competent == shares(some, some.sampled, seed=0)
    assert found.null_competent == shares(some, some.sampled, seed=0, null=True)
    assert found.null == shares(replace(made, effects=made.null), made.sampled, seed=0)
    assert found.null.holds.share < found.everywhere.holds.share


def test_medians_of_draws_are_those_of_repeated_values():
    rng = np.random.default_rng(1)
    values = rng.normal(size=9)
    weights = rng.integers(0, 3, (50, 9))
    wanted = [np.median(np.repeat(values, row)) for row in weights]
    assert np.allclose(weighted_medians(values, weights), wanted)
    made = fixture.universe(fixture.mixed, settings=70, cells=35, failed=3)
    found = median_effect(made, seed=0)
    assert math.isclose(found.value, np.nanmedian(made.means)) and found.low < found.value < found.high
    assert drawn_cells(35, 0).sum(axis=1).tolist() == [35] * 2000


# --- the joint test --------------------------------------------------------------------------------


def test_the_joint_test_is_that_of_a_loop_over_all_ways_to_swap():
    rng = np.random.default_rng(2)
    effects = rng.normal(0.01, 0.02, (14, 3))
    cells = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5])
    made = plain(effects, cells)
    seen = abs(np.median(effects.mean(1))) / 0.01
    as_far = [
        abs(np.median(np.array(signs)[cells] * effects.mean(1))) / 0.01 >= seen - 1e-12
        for signs in itertools.product((1, -1), repeat=6)
    ]
    found = joint_test(made)
    assert found.exact and found.cells == 6 and found.smallest == 1 / 32
    assert math.isclose(found.p, np.mean(as_far)) and math.isclose(found.statistic, seen)


def test_the_joint_test_is_scipys_where_each_cell_is_a_setting():
    effects = np.random.default_rng(3).normal(0.006, 0.02, (11, 1))
    wanted = peer.permutation_test(
        (effects[:, 0], np.zeros(11)),
        lambda x, y, axis: np.abs(np.median(x - y, axis=axis)),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
    )
    assert math.isclose(joint_test(plain(effects)).p, wanted.pvalue)


def test_of_200_multiverses_of_one_loss_under_two_names_at_most_17_are_told_apart():
    """The chance of 18 or more at a level of .05 is 0.01; half of what an effect varies by is of its cell."""
    rng = np.random.default_rng(4)
    cells, each = 12, 5
    below = 0
    for _ in range(RANDOM_MULTIVERSES):
        of_cell = rng.standard_t(3, cells)
        effects = 0.01 * (np.repeat(of_cell, each)[:, None] + rng.normal(size=(cells * each, 3)))
        made = plain(effects, np.repeat(np.arange(cells), each))
        below += joint_test(made).p < 0.05
    print(f"below .05 in {below} of {RANDOM_MULTIVERSES}")
    assert 1 <= below <= 17


@pytest.mark.slow
def test_the_same_where_the_ways_to_swap_are_drawn():
    rng = np.random.default_rng(5)
    below = 0
    for seed in range(RANDOM_MULTIVERSES):
        effects = 0.01 * (np.repeat(rng.normal(size=30), 3)[:, None] + rng.normal(size=(90, 3)))
        found = joint_test(plain(effects, np.repeat(np.arange(30), 3)), seed=seed)
        assert not found.exact and found.cells > EXACT_CELLS
        below += found.p < 0.05
    print(f"below .05 in {below} of {RANDOM_MULTIVERSES}")
    assert 1 <= below <= 17


def test_an_effect_in_most_settings_is_seen_and_drawn_ways_agree_with_all(monkeypatch):
    made = fixture.universe(settings=60, cells=13)
    assert joint_test(made).p == joint_test(made).smallest * 2 or joint_test(made).p < 0.01
    weak = plain(np.random.default_rng(6).normal(0.006, 0.02, (13, 1)))
    exact = joint_test(weak).p
    monkeypatch.setattr("losscope.stats.multiverses.joint.EXACT_CELLS", 5)
    assert abs(joint_test(weak).p - exact) < 0.02
    assert joint_test(plain(np.zeros((30, 2)))).p == 1.0


# --- what decides ----------------------------------------------------------------------------------


class Known:
    """A function whose shares are known, as if it had been learnt."""

    def __init__(self, function):
        self.function = function

    def predict(self, values: np.ndarray) -> np.ndarray:
        return self.function(values)


def ishigami(values: np.ndarray) -> np.ndarray:
    x, y, z = (2 * values[:, :3].T - 1) * np.pi
    return np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)


def ishigami_shares() -> tuple[list[float], list[float]]:
    """First and total shares in closed form (Ishigami and Homma 1990), a = 7 and b = 0.1."""
    b, pi = 0.1, np.pi
    first = [0.5 * (1 + b * pi**4 / 5) ** 2, 7**2 / 8, 0.0]
    both = b**2 * pi**8 * (1 / 18 - 1 / 50)
    whole = sum(first) + both
    return [value / whole for value in first], [(first[0] + both) / whole, first[1] / whole, both / whole]


def even(count: int, dimensions: int) -> np.ndarray:
    from scipy.stats import qmc

    return qmc.Sobol(dimensions, rng=np.random.default_rng(0)).random(count)


def of_function(function, values: np.ndarray, noise: float, cells: int = 32, seeds: int = 3) -> Universe:
    rng = np.random.default_rng(7)
    effects = function(values)[:, None] + rng.normal(0, noise, (len(values), seeds))
    choices = {f"x{place}": column for place, column in enumerate(values.T)}
    return plain(effects, np.arange(len(values)) % cells, choices=choices)


def test_shares_of_a_known_surface_are_those_of_the_closed_form():
    made = columns(axes_of(of_function(ishigami, even(4096, 3), 0.0)), np.ones(4096, bool))
    found = surface(Known(ishigami), made, seed=0, points=4096)
    first, total = ishigami_shares()
    assert np.allclose(found.first, first, atol=0.02) and np.allclose(found.total, total, atol=0.02)


def test_shares_of_levels_and_numbers_together_are_those_of_the_closed_form():
    rng = np.random.default_rng(8)
    level = np.array(["a", "b", "c"])[np.arange(999) % 3]
    made = columns((axis_of("level", level), axis_of("x", rng.permutation(999) / 998)), np.ones(999, bool))
    assert made.level == ("a", "b", "c", None) and made.axis.tolist() == [0, 0, 0, 1]
    # f = 1[a] · x: E = 1/6; of the level ½² · 2/9, of x (1/3)² / 12, together E[1[a] x²] − E²
    found = surface(Known(lambda values: values[:, 0] * values[:, 3]), made, seed=1, points=4096)
    whole = 1 / 9 - 1 / 36
    first = np.array([1 / 4 * 2 / 9, 1 / 9 / 12]) / whole
    assert np.allclose(found.first, first, atol=0.02)
    assert np.allclose(found.total, 1 - first[::-1], atol=0.02)


def test_what_is_learnt_from_settings_has_the_shares_that_were_planted():
    made = of_function(lambda x: 2 * x[:, 0] + x[:, 1], even(256, 6), noise=0.3)
    found = decompose(made)
    assert [share.name for share in found.choices[:2]] == ["x0", "x1"]
    # of the variance 5/12, seeds add 0.09 / 3
    assert abs(found.seeds - 0.03 / (5 / 12 + 0.03)) < 0.02
    assert found.explained > 0.9 and found.r2 < found.explained
    for share, wanted in zip(found.choices, (0.8, 0.2, 0, 0, 0, 0), strict=True):
        assert abs(share.total - wanted) < 0.06
        assert share.total_low <= share.total <= share.total_high
        assert share.first <= share.total and share.total_high - share.total_low < 0.2


@pytest.mark.slow
def test_a_hard_surface_is_learnt_and_what_is_not_learnt_is_nobodys():
    found = decompose(of_function(ishigami, even(512, 8), noise=0.5))
    shares_of = {share.name: share for share in found.choices}
    first, total = ishigami_shares()
    for place in range(3):
        assert abs(shares_of[f"x{place}"].first - first[place] * found.explained) < 0.08
        assert abs(shares_of[f"x{place}"].total - total[place] * found.explained) < 0.1
    assert found.explained > 0.8 and all(shares_of[f"x{place}"].total < 0.02 for place in range(3, 8))


def test_there_are_no_shares_without_a_reason():
    rng = np.random.default_rng(9)
    noise = rng.normal(0, 0.02, (80, 3))
    assert decompose(fixture.universe(fixture.nothing, settings=80, cells=40)).reason == "poor_fit"
    assert decompose(fixture.universe(settings=80, cells=40, seeds=1)).reason == "one_seed"
    between = rng.normal(0, 0.02, (80, 1))
    constant = plain(noise + between, choices={"margin": np.full(80, 0.4), "kind": np.array(["a"] * 80)})
    assert decompose(constant).reason == "no_choices"
    assert rule_of(constant).reason == "no_choices"
    spread = noise - noise.mean(axis=1, keepdims=True)
    assert decompose(plain(spread)).reason == "no_variance"
    assert decompose(plain(np.zeros((80, 3)))).reason == "no_variance"


# --- the rule --------------------------------------------------------------------------------------


def test_the_planted_margin_is_found_and_its_rule_is_right_on_settings_kept_out():
    (found,) = analyse([fixture.universe(fixture.margin_rule, settings=150, cells=50)])
    (branch,) = found.rule.branches
    (condition,) = branch.conditions
    assert (condition.name, condition.word) == ("triplet.margin", "above")
    assert 0.36 < condition.number < 0.44
    assert found.rule.accuracy > 0.95 and found.rule.balanced > 0.95 > found.rule.majority
    assert found.rule.fitted + found.rule.checked == 150 and found.rule.fitted == 105
    assert found.decomposition.choices[0].name == "triplet.margin"
    said = wording.rule(found.rule)
    assert said.startswith("It holds where triplet's margin is above 0.") and "(15 cells) kept out" in said


def test_a_rule_of_two_conditions_is_found_and_a_second_level_is_not_made_without_need():
    def both(choices, rng):
        return np.where((choices["triplet.margin"] > 0.6) & (choices["reduction"] != "balanced"), 0.05, 0.0)

    rule = rule_of(fixture.universe(both, settings=240, cells=60))
    (branch,) = rule.branches
    said = {condition.name: condition for condition in branch.conditions}
    assert set(said) == {"triplet.margin", "reduction"} and rule.balanced > 0.95
    assert (said["reduction"].word, said["reduction"].text) == ("is_not", "balanced")
    assert abs(said["triplet.margin"].number - 0.6) < 0.04
    alone = rule_of(fixture.universe(fixture.margin_rule, settings=240, cells=60))
    assert [len(branch.conditions) for branch in alone.branches] == [1]


def test_a_choice_of_two_names_is_said_by_the_name_that_was_chosen():
    def start(choices, rng):
        return np.where(choices["start"] == "pca", 0.05, 0.0)

    rule = rule_of(fixture.universe(start, settings=120, cells=60))
    assert rule.branches == (Branch(conditions=(Condition(name="start", word="is", text="pca"),)),)
    assert wording.where(rule) == "the start is pca"


def test_effects_that_no_choice_decides_have_no_simple_rule():
    reasons = [
        rule_of(fixture.universe(fixture.nothing, settings=300, cells=60, seed=seed)).reason
        for seed in range(10)
    ]
    assert reasons.count("no_simple_rule") >= 9
    found = rule_of(fixture.universe(fixture.nothing, settings=300, cells=60))
    assert found.branches == () and found.balanced < 0.6
    assert wording.rule(found).startswith("No simple rule says where it holds (the best one is right in ")


@pytest.mark.slow
def test_the_more_cells_are_kept_out_the_fewer_rules_are_found_by_luck():
    found = {}
    for settings, cells in ((60, 20), (120, 40), (500, 165)):
        made = (fixture.universe(fixture.nothing, settings=settings, cells=cells, seed=k) for k in range(40))
        found[settings] = [rule_of(each).reason for each in made].count(None)
    print(f"claims with a rule, of 40 that no choice decides, by settings: {found}")
    assert found[500] <= 2 and found[120] <= 8 and found[60] <= 12


def test_a_claim_that_holds_everywhere_has_no_rule():
    everywhere = rule_of(plain(np.full((60, 2), 0.05)))
    assert (everywhere.reason, everywhere.fitted, everywhere.checked) == ("one_outcome", 42, 18)


def test_conditions_and_balanced_accuracy_are_those_of_a_loop():
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(10)
    axes = (axis_of("m", rng.random(40)), axis_of("t", rng.choice(np.array(["x", "y", "z"]), 40)))
    branches = (
        Branch(
            conditions=(
                Condition(name="m", word="above", number=0.3),
                Condition(name="t", word="is_not", text="x"),
            )
        ),
        Branch(conditions=(Condition(name="m", word="at_most", number=0.1),)),
    )
    wanted = [(m > 0.3 and t != "x") or m <= 0.1 for m, t in zip(axes[0].numbers, axes[1].texts, strict=True)]
    assert applies(branches, axes).tolist() == wanted
    truth, said = rng.random(40) < 0.3, rng.random(40) < 0.5
    assert math.isclose(balanced_accuracy(said, truth), balanced_accuracy_score(truth, said))


# --- the paper's own, and odd inputs ---------------------------------------------------------------


@pytest.mark.parametrize("direction", [1, -1])
def test_the_papers_own_setting_counts_in_no_share_and_has_its_quantile(direction):
    made = replace(fixture.universe(fixture.mixed, settings=61, cells=30, paper=4), direction=direction)
    found = paper_setting(made)
    others = np.delete(direction * made.means, 4)
    wanted = peer.percentileofscore(others, direction * made.means[4], kind="mean") / 100
    assert math.isclose(found.quantile, wanted) and found.typical == (0.05 <= wanted <= 0.95)
    shifted = made.effects.copy()
    shifted[4] += 1000
    far = replace(made, effects=shifted)
    for what in (median_effect, joint_test, rule_of, *([decompose] if direction == 1 else [])):
        assert what(made, seed=0) == what(far, seed=0)
    assert shares(made, made.sampled, seed=0) == shares(far, far.sampled, seed=0)
    (claim,) = analyse([replace(made, cells=np.zeros(61, int))])
    assert claim.everywhere.settings == 60 and len(claim.settings) == 61 and claim.paper == found
    assert claim.competent.settings == np.delete(made.competent, 4).sum() == claim.null_competent.settings


def odd() -> dict[str, Universe]:
    rng = np.random.default_rng(11)
    usual = rng.normal(0.02, 0.02, (40, 3))
    holes = usual.copy()
    holes[::2] = np.nan
    return {
        "all failed": plain(np.full((40, 3), np.nan)),
        "one setting": plain(np.array([[0.02, 0.03]])),
        "one setting that failed": plain(np.array([[np.nan]]), paper=0),
        "one seed": plain(usual[:, :1]),
        "one cell": plain(usual, np.zeros(40, int)),
        "half failed": plain(holes),
        "infinite": plain(np.where(np.isnan(holes), np.inf, holes)),
        "no differences": plain(np.zeros((40, 3))),
        "who is competent is not known": plain(usual, competent=None, null=usual),
        "nobody competent": plain(usual, competent=np.zeros(40, bool), null=usual),
        "constant axes": plain(usual, choices={"m": np.ones(40), "t": np.array(["only"] * 40)}),
        "no axes": plain(usual, choices={}),
        "axes with holes": plain(usual, choices={"m": np.array([np.nan] * 20 + [0.5] * 20)}),
        "axes of mixed kinds": plain(usual, choices={"m": np.array([None, 1, "a", True] * 10, dtype=object)}),
        "huge": plain(usual * 1e200),
        "tiny": plain(usual * 1e-200),
        "paper alone has a value": plain(
            np.where(np.arange(40)[:, None] == 3, 0.5, np.full((40, 2), np.nan)), paper=3
        ),
        "cells by any number": plain(usual, np.arange(40) * 7 - 100),
        "texts that steer": plain(usual, choices={"a\x1b[31m.<b>": np.array(["</svg>", "\u202eb"] * 20)}),
    }


def test_the_head_says_what_most_settings_do_and_what_luck_gives():
    up, down, flat, mixed = (np.full((20, 2), value) for value in (0.02, -0.02, 0.0, 0.02))
    mixed[:10] = -0.02
    claims = analyse([plain(effects, null=flat) for effects in (up, down, flat, mixed)])
    assert wording.headline(claims) == (
        "1 of 4 claims hold in most settings, 1 is reversed in most, 1 shows no difference in most, "
        "1 depends on the setting"
    )
    small = np.where(np.arange(20)[:, None] < 12, 0.02, -0.02) * np.ones((20, 2))
    (just,) = analyse([plain(small)])
    assert just.everywhere.holds.share == 0.6 and just.everywhere.holds.low < 0.5, "which is not most"
    assert wording.headline([just] * 2) == "0 of 2 claims hold in most settings, 2 depend on the setting"
    (few,) = analyse([plain(up, np.arange(20) % 4)])
    assert wording.headline([few] * 2) == "2 of 2 claims hold in most of the settings tried"
    told = wording.whole(fixture.document(plain(up, null=down)))[0]
    assert f"{wording.headline(claims[:1])}." == wording.whole(fixture.document(plain(up, null=flat)))[0]
    assert told.startswith(f"{claims[0].statement}: holds in 100 % of 20 settings")
    assert told.endswith("(by luck alone 0 % and 100 %).")


def test_effects_that_cancel_in_the_median_are_not_called_none():
    """The joint test is of the median: half of the settings up and half down do not move it."""
    halves = np.where(np.arange(40)[:, None] % 2, 0.05, -0.05) * np.ones((40, 2))
    luck = np.random.default_rng(3).normal(0, 0.001, (40, 2))
    (mixed,) = analyse([plain(halves, null=luck)])
    assert mixed.joint.p > 0.05
    said = " ".join(mixed.summary)
    assert "Effects of both signs are more frequent than by luck; in the median they cancel (p = " in said
    assert "no setting has any effect" not in said
    (calm,) = analyse([plain(luck, null=luck)])
    assert "The median effect does not rule out that no setting has any effect (p = " in " ".join(
        calm.summary
    )


@pytest.mark.parametrize("name", odd())
def test_odd_multiverses_are_said_and_kept_as_json(name):
    (found,) = analyse([odd()[name]])
    assert MultiverseClaim.model_validate_json(found.json_text()) == found
    assert found.summary and all(text.endswith(".") for text in found.summary)
    assert not any(word in " ".join(found.summary) for word in ("nan", "None", "inf "))


def test_texts_of_choices_that_steer_are_shown_and_do_not():
    text = fixture.document(odd()["texts that steer"]).page()
    inside = text.split("<main")[1]
    assert "\x1b" not in text and "<b>" not in inside and "\u202e" not in inside
    assert inside.count("&lt;b&gt;") >= 2 and "&lt;/svg&gt;" in inside


def test_analysis_is_the_same_each_time_and_of_each_data_set_by_itself():
    here, there = (fixture.universe(fixture.mixed, settings=40, cells=15, seed=seed) for seed in (1, 2))
    together = analyse([here, replace(there, data="digits")])
    assert together == analyse([here]) + analyse([replace(there, data="digits")])
    assert [found.data for found in together] == ["synthetic", "digits"]
    made = fixture.universe(fixture.mixed, settings=44, cells=22)
    assert decompose(made) == decompose(made) and decompose(made).choices


def test_wrong_shapes_are_refused():
    made = plain(np.zeros((4, 2)))
    for wrong in (
        {"cells": np.arange(3)},
        {"effects": np.zeros(4)},
        {"effects": np.zeros((4, 0))},
        {"null": np.zeros((3, 2))},
        {"choices": {"m": np.zeros(5)}},
        {"direction": 0},
        {"delta": 0.0},
        {"delta": math.nan},
        {"paper": 4},
    ):
        with pytest.raises(ValueError, match="wanted: "):
            replace(made, **wrong)
