"""What is recommended on planted results: advice that was once given wrongly, and each rule of the answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import losscope
from losscope.comparing import foreseeing
from losscope.core import wording
from losscope.core.results import Fault, Price, Settings
from losscope.core.spec import Study
from losscope.run.store import Store
from losscope.stats import Analysis, Measured, Standing, analyse, family_bound
from losscope.stats.sides import sides_of
from losscope.stats.standing import by_errors, family, ranking_measure

SHIFTS = np.array([0.3, -0.8, 0.5, 1.2, -0.4, 0.9, -1.1, -0.2, 0.1, -0.5])
CLOSED = ("whitened", "pca")


def kind_of(name: str) -> str:
    return "baseline" if name in ("raw", "untrained") else "closed form" if name in CLOSED else "loss"


def side(
    name: str, recall: float, map_at_r: float | None = None, sd: float = 0.004, **more: Any
) -> list[Measured]:
    """Ten runs whose mean Recall@1 and MAP@R are exactly these; raw has the same value each time."""
    spread = 0.0 if name == "raw" else sd
    draws = np.random.default_rng(sum(map(ord, name))).permutation(SHIFTS)
    noise = spread * (draws - draws.mean()) / draws.std(ddof=1)
    classes, each = more.pop("classes", 25), more.pop("each", 8)
    labels = np.repeat(np.arange(classes), each)
    between = np.random.default_rng(len(name)).normal(0, more.pop("between", 0.0), classes)
    made = []
    for seed in range(more.pop("n", 10)):
        values = {"recall_at_1": recall + noise[seed]}
        if map_at_r is not None:
            values["map_at_r"] = map_at_r + noise[seed]
        per_query = {
            f"per_query/{measure}": value + np.repeat(between - between.mean(), each)
            for measure, value in values.items()
        }
        detail = {"per_query/label": labels, **per_query}
        made.append(Measured(name, seed, values, family=kind_of(name), detail=detail, **more))  # type: ignore[arg-type]
    return made


def study(
    sides: dict[str, tuple[float, ...]],
    validation: dict[str, float],
    options: dict[str, Any] | None = None,
    **each: Any,
) -> Analysis:
    """An analysis of sides by their means (Recall@1, MAP@R, standard deviation), as validation ranks them."""
    runs = [run for name, numbers in sides.items() for run in side(name, *numbers, **each)]
    stood = [
        Standing(name, {"recall_at_1": score}, Price(seconds=1.5, parameters=1000))
        for name, score in validation.items()
    ]
    settings = [
        Settings(loss=name, name=name, hyperparameters={"margin": 0.1}, tuned=True)
        for name in sides
        if kind_of(name) == "loss"
    ]
    return analyse(runs, **{"standings": stood, "settings": settings, "goal": "retrieval", **(options or {})})


def pairs_of(found: Analysis) -> list[tuple[str, str]]:
    return [(row.a, row.b) for row in found.paired if row.primary]


# --- a loss at its start ------------------------------------------------------------------------------------


def started(name: str, *, stopped: bool = False, **more: Any) -> Settings:
    own = {"hyperparameters": {"margin": 0.1}, "tuned": True, "start": "whitened", **more}
    return Settings(loss=name, name=name, stopped=stopped, **own)


def test_a_loss_that_stopped_at_its_start_is_named_by_it_in_the_answer_and_beside_it() -> None:
    sides = {"triplet": (0.6, 0.33), "contrastive": (0.5, 0.3), "whitened": (0.5, 0.3), "raw": (0.4, 0.2)}
    options = {"settings": [started("triplet", stopped=True), started("contrastive")]}
    found = study(sides, {name: own[0] for name, own in sides.items()}, options)
    first, second, _ = found.recommendation.sentences
    assert first.startswith("Use triplet, stopped at its start, whitened (1,000 parameters")
    assert "triplet stopped at its start, whitened: training adds nothing" in second
    assert "contrastive stopped" not in second
    trained = study(sides, {name: own[0] for name, own in sides.items()}, {"settings": [started("triplet")]})
    assert "start" not in "".join(trained.recommendation.sentences)


@pytest.mark.parametrize(("recall", "said"), [(0.6, True), (0.63, False)])
def test_training_adds_nothing_where_the_loss_is_equivalent_to_its_start_on_the_test(recall, said) -> None:
    sides = {"triplet": (recall, 0.33, 0.002), "whitened": (0.6, 0.33, 0.002), "raw": (0.4, 0.2)}
    options = {"settings": [started("triplet")]}
    found = study(sides, {"triplet": 0.66, "whitened": 0.6, "raw": 0.4}, options)
    second = found.recommendation.sentences[1]
    assert ("triplet is equivalent to its start, whitened: training adds nothing" in second) is said
    elsewhere = study(
        sides, {"triplet": 0.66, "whitened": 0.6, "raw": 0.4}, {"settings": [started("triplet", start="pca")]}
    )
    assert "training adds nothing" not in elsewhere.recommendation.sentences[1], "pca is not in the study"


def test_an_unsettled_loss_that_stopped_is_called_by_its_numbers() -> None:
    sides = {"triplet": (0.6, 0.33), "whitened": (0.5, 0.3), "raw": (0.4, 0.2)}
    options = {"settings": [started("triplet", stopped=True, unsettled=True, start="random")]}
    found = study(sides, {name: own[0] for name, own in sides.items()}, options)
    first, second, _ = found.recommendation.sentences
    assert first.startswith("Use triplet at margin 0.1, stopped at its random start (")
    assert "triplet at margin 0.1 stopped at its random start: training adds nothing" in second


# --- the family ---------------------------------------------------------------------------------------------

THREE = {"contrastive": (0.55, 0.3), "triplet": (0.6, 0.33), "sup_con": (0.58, 0.31), "raw": (0.5, 0.2)}


def test_the_leader_on_validation_is_tested_against_the_others_and_nothing_else_is():
    sides = {**THREE, "untrained": (0.4, 0.1), "whitened": (0.57, 0.3), "pca": (0.5, 0.2)}
    scores = {"contrastive": 0.5, "triplet": 0.7, "sup_con": 0.6, "whitened": 0.65, "pca": 0.4}
    found = study(sides, scores)
    assert pairs_of(found) == [("triplet", other) for other in ("contrastive", "sup_con", "raw", "whitened")]
    assert {row.tests_in_family for row in found.paired if row.primary} == {4}  # L + 1 of 3 losses
    rows = [row for row in found.paired if not row.primary]
    assert all(row.p is None and row.verdict is None and row.tests_in_family is None for row in rows)
    assert ("sup_con", "untrained") in {(row.a, row.b) for row in rows}
    assert found.recommendation.candidate == "triplet"
    assert found.recommendation.candidate_by == "recall_at_1"


def test_a_closed_form_that_leads_is_tested_against_every_loss_raw_and_the_next_best_form():
    sides = {**THREE, "whitened": (0.7, 0.4), "pca": (0.5, 0.2)}
    scores = {"contrastive": 0.5, "triplet": 0.6, "sup_con": 0.6, "whitened": 0.8, "pca": 0.4}
    found = study(sides, scores)
    assert pairs_of(found) == [
        ("whitened", other) for other in ("contrastive", "triplet", "sup_con", "raw", "pca")
    ]
    assert len(pairs_of(found)) == family_bound(3, raw=True, closed_forms=2)


def test_a_reference_that_is_asked_for_adds_its_tests():
    scores = {"contrastive": 0.5, "triplet": 0.7, "sup_con": 0.6}
    found = study(THREE, scores, {"reference": "contrastive"})
    assert pairs_of(found)[-1] == ("sup_con", "contrastive")
    assert len(pairs_of(found)) == 4 == family_bound(3, raw=True, closed_forms=0, reference=True)


@pytest.mark.parametrize("leader", ["contrastive", "triplet", "whitened", "pca"])
@pytest.mark.parametrize("forms", [(), ("whitened",), ("whitened", "pca")])
@pytest.mark.parametrize("raw", [True, False])
def test_a_plan_counts_no_fewer_tests_than_there_are(leader, forms, raw):
    names = ["contrastive", "triplet", *forms, *(["raw"] if raw else [])]
    scores = {name: 0.9 if name == leader else 0.5 for name in names if name != "raw"}
    found = study(dict.fromkeys(names, (0.5, 0.2)), scores)
    bound = family_bound(2, raw=raw, closed_forms=len(forms))
    led_by_loss = leader not in CLOSED or leader not in names
    assert len(pairs_of(found)) == (2 - 1 + raw + bool(forms) if led_by_loss else bound)
    assert len(pairs_of(found)) <= bound <= 2 + 2


def test_the_candidate_is_named_without_a_look_at_the_test_split():
    scores = {"contrastive": 0.5, "triplet": 0.7, "sup_con": 0.6}
    for shift in (-0.3, 0.0, 0.3):
        sides = {name: (min(0.95, numbers[0] + shift), 0.3) for name, numbers in THREE.items()}
        sides["triplet"] = (0.3, 0.1)
        assert study(sides, scores).recommendation.candidate == "triplet"


def test_where_validation_does_not_rank_the_losses_they_are_tested_against_the_reference_and_it_is_said():
    for scores in ({}, {"whitened": 0.7}):
        found = study({**THREE, "whitened": (0.6, 0.3)}, scores)
        assert found.recommendation.candidate is None
        assert ("triplet", "contrastive") in pairs_of(found)
        assert "named before the test" in wording.unranked(found.recommendation)[0]
    known = study(THREE, dict.fromkeys(("contrastive", "triplet", "sup_con"), 0.5))
    assert wording.unranked(known.recommendation) == []


def test_sides_are_ranked_by_one_measure_that_all_of_them_have():
    both, one = Standing("a", {"recall_at_1": 0.5, "map_at_r": 0.3}), Standing("b", {"map_at_r": 0.4})
    assert ranking_measure([both, both], "recall_at_1") == "recall_at_1"
    assert ranking_measure([both, one], "recall_at_1") == "map_at_r"
    assert ranking_measure([Standing("a", {"recall_at_1": 0.5}), one], "recall_at_1") is None
    assert ranking_measure([Standing("a"), both], "recall_at_1") == "recall_at_1"
    runs = [Measured(name, seed, {"eer": 0.1}) for name in "ab" for seed in range(8)]
    led = family(sides_of(runs), [Standing("a", {"eer": 0.2}), Standing("b", {"eer": 0.1})], "eer")
    assert led.candidate is not None and led.candidate.name == "b"  # of an error less is better


STUDIES = 150

# --- the answer ---------------------------------------------------------------------------------------------

SCORES = {"contrastive": 0.5, "triplet": 0.7, "whitened": 0.6}


def answer(
    contrastive: tuple[float, ...],
    triplet: tuple[float, ...],
    raw: tuple[float, ...],
    whitened: tuple[float, ...],
    scores: dict[str, float] | None = None,
    **each: Any,
):
    sides = {"contrastive": contrastive, "triplet": triplet, "raw": raw, "whitened": whitened}
    found = study(sides, scores or SCORES, **each)
    assert len(found.recommendation.sentences) == 3
    return found.recommendation


def test_one_side_that_is_left_is_recommended_with_its_price():
    made = answer((0.55, 0.3), (0.7, 0.4), (0.5, 0.2), (0.6, 0.3))
    assert (made.loss, made.ground, made.members) == ("triplet", "leads", ("triplet",))
    assert made.sentences[0].startswith(
        "Use triplet (1,000 parameters, 1.5 s to train): its Recall@1 is higher than that of whitened, 0.700 "
        "against 0.600, +0.100 ("
    )
    assert "and than that of contrastive and the raw inputs" in made.sentences[0]
    assert "triplet led on validation (Recall@1 0.700)" in made.sentences[1]


def test_of_several_that_are_equivalent_the_cheapest_is_used_and_all_are_named():
    made = answer((0.5, 0.2), (0.6, 0.3, 0.001), (0.4, 0.1), (0.6, 0.3, 0.001))
    assert (made.loss, made.ground, set(made.members)) == ("whitened", "closed_form", {"whitened", "triplet"})
    assert "triplet and whitened are equivalent in Recall@1" in made.sentences[0]
    same = (0.6, 0.3, 0.001)
    made = answer(same, same, (0.6, 0.3), same)
    assert (made.loss, made.ground) == ("raw", "train_nothing")
    assert all(name in made.sentences[0] for name in ("triplet", "contrastive", "whitened", "the raw inputs"))
    made = answer(same, same, (0.4, 0.1), (0.5, 0.2))
    assert (made.loss, made.ground) == ("triplet", "leads")  # of two losses the one that led


def test_two_that_are_not_told_apart_are_undecided():
    made = answer((0.5, 0.2), (0.6, 0.3, 0.03), (0.4, 0.1), (0.605, 0.3, 0.03))
    assert (made.loss, made.ground, made.members) == (None, "undecided", ("triplet", "whitened"))
    assert made.sentences[0].startswith(
        "Undecided between triplet and whitened: no difference found in Recall@1"
    )
    assert made.sentences[2].startswith("What would decide it: ")


def test_where_the_candidate_is_beaten_what_lies_clearly_below_the_better_side_is_no_answer():
    # contrastive is not told apart from the candidate, triplet, and .1 below the side that beat both.
    made = answer((0.6, 0.3, 0.02), (0.6, 0.3), (0.4, 0.1), (0.7, 0.4))
    assert (made.loss, made.members) == ("whitened", ("whitened",))
    # Not told apart from either: it stays.
    near = answer((0.65, 0.3, 0.1), (0.6, 0.3), (0.4, 0.1), (0.7, 0.4))
    assert near.loss is None and set(near.members) == {"contrastive", "whitened"}
    # Two that are better: the one that lies below is out, as they were tested on the same runs.
    two = answer((0.65, 0.3), (0.6, 0.3), (0.4, 0.1), (0.7, 0.4))
    assert two.members == ("whitened",)


def test_a_side_as_good_as_the_one_that_beat_the_candidate_is_seldom_left_out():
    draw, wrong = np.random.default_rng(0), 0
    for _ in range(STUDIES):
        runs = [
            Measured(name, seed, {"recall_at_1": base + spread * draw.normal()}, family=kind_of(name))
            for name, base, spread in (
                ("triplet", 0.6, 0.01),
                ("contrastive", 0.63, 0.02),
                ("arcface", 0.63, 0.02),
            )
            for seed in range(8)
        ]
        scores = {"triplet": 0.7, "contrastive": 0.6, "arcface": 0.6}
        found = analyse(
            runs, standings=[Standing(name, {"recall_at_1": own}) for name, own in scores.items()]
        )
        members = set(found.recommendation.members)
        wrong += members in ({"contrastive"}, {"arcface"})
    assert wrong <= 0.05 * STUDIES


def test_a_candidate_that_is_shown_worse_is_not_recommended():
    made = answer((0.5, 0.2), (0.6, 0.3), (0.4, 0.1), (0.7, 0.4))
    assert (made.loss, made.ground, made.members) == ("whitened", "closed_form", ("whitened",))
    assert made.sentences[0].startswith(
        "Use whitened, training nothing (1,000 parameters, 1.5 s to train): its Recall@1"
    )
    assert "0.700 against 0.600" in made.sentences[0] and "triplet had led on validation" in made.sentences[0]
    made = answer((0.42, 0.2), (0.41, 0.2), (0.5, 0.3), (0.42, 0.2))
    assert (made.loss, made.ground) == ("raw", "train_nothing") or made.members != ("triplet",)
    two = answer((0.68, 0.3, 0.02), (0.6, 0.3), (0.4, 0.1), (0.7, 0.4))
    assert two.loss is None and set(two.members) == {"contrastive", "whitened"}
    assert "which had led on validation, 0.700 against 0.600, +0.100" in two.sentences[0]
    assert "a study of these alone, since they were not tested against each other" in two.sentences[2]


def test_what_is_equivalent_to_a_candidate_that_is_shown_worse_is_out_with_it():
    made = answer((0.45, 0.2, 0.001), (0.45, 0.2, 0.001), (0.5, 0.3), (0.4, 0.2))
    assert (made.loss, made.ground, made.members) == ("raw", "train_nothing", ("raw",))
    assert made.sentences[0].startswith(
        "Train nothing: the Recall@1 of the raw inputs is higher than that of triplet, 0.500 against 0.450"
    )
    assert "other data like these, where it is 0.0" in made.sentences[2]  # told from the same side


# --- the faults that were seen ------------------------------------------------------------------------------


def test_train_nothing_is_not_said_on_an_unresolved_comparison():
    """Seen: p = .11 between a loss and raw, and "train nothing" all the same."""
    sides = {"triplet": (0.5, 0.369, 0.05), "contrastive": (0.47, 0.35, 0.05), "raw": (0.475, 0.246)}
    found = study(sides, {"triplet": 0.6, "contrastive": 0.5})
    row = next(row for row in found.paired if row.b == "raw")
    assert row.verdict == "unresolved" and row.p > 0.04
    assert found.recommendation.loss is None and "raw" in found.recommendation.members
    without = study(sides, {}).recommendation  # and without validation
    assert (without.loss, without.ground) == (None, "open")


def test_train_nothing_is_not_said_where_map_at_r_speaks_against_it():
    """Seen: MAP@R .246 against .369 beside "train nothing"."""
    same = 0.001
    made = answer((0.6, 0.3, same), (0.6, 0.369, same), (0.6, 0.246), (0.6, 0.3, same))
    assert made.loss != "raw" and made.second_on is not None and made.second_on[1] == "raw"
    # a side outside the set of answers that is better in MAP@R leaves it undecided
    made = answer((0.55, 0.369), (0.6, 0.246, same), (0.6, 0.246), (0.5, 0.2))
    assert (made.loss, made.ground, made.open_by) == (None, "undecided", "measures")
    assert made.members == ("raw", "contrastive")
    assert "Recall@1 and MAP@R disagree" in made.sentences[0]
    assert "in MAP@R contrastive is better than the raw inputs, 0.369 against 0.246" in made.sentences[0]
    fine = answer((0.55, 0.25), (0.6, 0.25, same), (0.6, 0.246), (0.5, 0.2))
    assert fine.loss == "raw"  # .004 better is no more than δ
    fallback = study(
        {"contrastive": (0.6, 0.369, same), "triplet": (0.6, 0.3, same), "raw": (0.6, 0.246)}, {}
    )
    assert fallback.recommendation.loss is None and fallback.recommendation.open_by == "measures"
    assert "in MAP@R contrastive is better" in fallback.recommendation.sentences[0]


def test_both_measures_are_said_where_they_disagree():
    """Seen on cars: triplet .02 below contrastive in one, .02 above in the other."""
    made = answer((0.58, 0.35), (0.6, 0.33), (0.5, 0.2), (0.55, 0.3))
    assert (made.loss, made.second_on) == ("triplet", ("contrastive", "triplet"))
    assert (
        "; in MAP@R contrastive is better than triplet, 0.350 against 0.330, +0.020 (95 % interval"
        in made.sentences[0]
    )
    found = study({"contrastive": (0.58, 0.35), "triplet": (0.6, 0.33)}, {"contrastive": 0.5, "triplet": 0.7})
    row = next(
        row for row in found.paired if (row.a, row.b, row.measure) == ("contrastive", "triplet", "map_at_r")
    )
    assert row.p is None and row.verdict is None and not row.primary
    agree = answer((0.58, 0.32), (0.6, 0.33), (0.5, 0.2), (0.55, 0.3))
    assert agree.second_on is None and "MAP@R" not in agree.sentences[0]


NUMBERS = re.compile(r"(\d\.\d+) against (\d\.\d+)")


@pytest.mark.parametrize("lead", ["contrastive", "triplet", "whitened"])
@pytest.mark.parametrize("ranked", [True, False])
@pytest.mark.parametrize("best", ["contrastive", "triplet", "whitened", "raw"])
@pytest.mark.parametrize("measure", ["recall_at_1", "eer"])
def test_the_first_number_belongs_to_the_first_name(lead, ranked, best, measure):
    """Seen: "lower than that of triplet: 0.0640 against 0.0364", whenever the reference won."""
    values = {"contrastive": 0.31, "triplet": 0.36, "whitened": 0.41, "raw": 0.46}
    values[best] = 0.61 if measure == "recall_at_1" else 0.11
    runs = [
        Measured(name, seed, {measure: value + 0.001 * SHIFTS[seed] * (name != "raw")}, family=kind_of(name))  # type: ignore[arg-type]
        for name, value in values.items()
        for seed in range(10)
    ]
    scores = {name: (0.9 if name == lead else 0.5) for name in values if name != "raw"}
    if measure == "eer":
        scores = {name: 1 - score for name, score in scores.items()}
    stood = [Standing(name, {measure: score}) for name, score in scores.items()] if ranked else []
    found = analyse(runs, measure=measure, standings=stood, generated=True)
    spoken = [*found.recommendation.sentences[:1], *(row.sentence for row in found.paired)]
    told = 0
    for sentence in spoken:
        said = NUMBERS.search(sentence)
        if said is None:
            continue
        told += 1
        named = re.findall(r"raw inputs|raw|contrastive|triplet|whitened", sentence[: said.start()])
        names = [name.removesuffix(" inputs") for name in named]
        first = min((abs(float(said[1]) - values[name]), name) for name in values)[1]
        second = min((abs(float(said[2]) - values[name]), name) for name in values)[1]
        order = list(dict.fromkeys(names))
        if first in order and second in order:
            assert names.index(first) < len(names) - 1 - names[::-1].index(second), sentence
        else:
            assert sentence.index(said[0]) < sentence.index(second, said.start()), sentence
    assert told >= len(found.paired)


def test_judge_puts_the_first_number_to_the_first_name(tmp_path):
    for better, worse in (("contrastive", "triplet"), ("triplet", "contrastive")):
        rows = [
            f"{name},{seed},eer,{(0.0364 if name == better else 0.0640) + 0.0001 * SHIFTS[seed]}"
            for name in (better, worse)
            for seed in range(10)
        ]
        table = tmp_path / f"{better}.csv"
        table.write_text("loss,seed,measure,value\n" + "\n".join(rows))
        first = losscope.judge(str(table), goal="verification").recommendation.sentences[0]
        assert first.startswith(f"Use {better}: its EER is lower than that of {worse}, 0.0364 against 0.0640")


def test_seeds_are_said_for_the_difference_that_was_seen_too():
    """Seen: 65 and 152 seeds asked for, where 12 suffice for the difference seen."""
    made = answer((0.4, 0.2), (0.615, 0.3, 0.03), (0.3, 0.1), (0.6, 0.3, 0.03))
    found = study(
        {
            "contrastive": (0.4, 0.2),
            "triplet": (0.615, 0.3, 0.03),
            "raw": (0.3, 0.1),
            "whitened": (0.6, 0.3, 0.03),
        },
        SCORES,
    )
    row = next(row for row in found.paired if (row.a, row.b) == ("triplet", "whitened"))
    assert row.verdict == "unresolved" and made.open_by == row.limit == "seeds"
    assert row.seeds_seen is not None and row.seeds_needed is not None
    assert 10 < row.seeds_seen < row.seeds_needed / 2
    assert f"{row.seeds_seen} seeds in all if the difference is the one seen" in made.sentences[2]
    assert f"{row.seeds_needed} for a difference of 0.01" in made.sentences[2]
    assert f"{row.seeds_seen} one as large as the one seen" in row.sentence


def test_test_data_are_named_where_they_are_the_limit():
    """Seen: more seeds asked for where 71 test images are the limit."""
    made = answer(
        (0.4, 0.2), (0.605, 0.3, 0.012), (0.3, 0.1), (0.6, 0.3, 0.012), classes=71, each=1, between=0.2
    )
    assert (made.loss, made.open_by) == (None, "data")
    assert (
        "more test data: with 71 test items of 71 classes, other items would move it more than seeds do"
        in made.sentences[2]
    )


def test_everything_at_the_ceiling_is_saturated_or_the_cheapest():
    """Seen: "no answer yet" where everything is 1.00."""
    perfect = dict.fromkeys(("contrastive", "triplet", "raw", "whitened"), (1.0, 1.0, 0.0))
    stood = {"contrastive": 1.0, "triplet": 1.0, "whitened": 1.0}
    made = study(perfect, stood, each=40).recommendation
    assert (made.loss, made.ground) == ("raw", "train_nothing")
    items = study(perfect, stood).recommendation
    assert (items.loss, items.open_by) == (None, "saturated"), "so few items show no equivalence"
    few = study(perfect, {"contrastive": 1.0, "triplet": 1.0, "whitened": 1.0}, n=3).recommendation
    assert (few.loss, few.open_by) == (None, "saturated")
    assert "Recall@1 is saturated, all within 0.01 of the best there is" in few.sentences[0]
    assert few.sentences[2].startswith("What would decide it: harder data")


def test_near_the_ceiling_errors_are_compared_by_their_ratio():
    sides = {"contrastive": (0.970, 0.9, 0.001), "triplet": (0.985, 0.9, 0.001), "raw": (0.96, 0.9)}
    near = study(sides, {"contrastive": 0.97, "triplet": 0.98})
    row = next(row for row in near.paired if (row.a, row.b) == ("triplet", "contrastive"))
    assert (row.scale, round(float(np.exp(row.delta)), 6)) == ("log_error_ratio", 1.25)
    assert row.difference == pytest.approx(np.log(0.030 / 0.015), abs=0.01) and row.better == "a"
    assert re.search(r"0\.985 against 0\.970, 0\.49\d|0\.50\d times the errors", row.sentence)
    assert near.recommendation.loss == "triplet"
    far = study(sides, {"contrastive": 0.97, "triplet": 0.94})
    assert {row.scale for row in far.paired} == {"difference"}
    own = study(sides, {"contrastive": 0.97, "triplet": 0.98}, {"indifference": 0.02})
    assert {(row.scale, row.delta) for row in own.paired if row.primary} == {("difference", 0.02)}
    assert own.recommendation.loss != "triplet" or set(own.recommendation.members) >= {
        "triplet",
        "contrastive",
    }


def test_equal_error_rates_are_compared_by_their_ratio():
    runs = [
        Measured(name, seed, {"eer": value * (1 + 0.02 * SHIFTS[seed])})
        for name, value in (("contrastive", 0.02), ("triplet", 0.01))
        for seed in range(10)
    ]
    stood = [Standing("contrastive", {"eer": 0.02}), Standing("triplet", {"eer": 0.01})]
    found = analyse(runs, goal="verification", standings=stood)
    row = found.paired[0]
    assert (row.scale, row.verdict, row.better) == ("log_ratio", "lower", "a")
    assert found.recommendation.loss == "triplet"
    zero = [Measured("raw", seed, {"eer": 0.0}, family="baseline") for seed in range(10)]
    assert not by_errors(sides_of([*runs, *zero]), stood, "eer")  # no error has no ratio


def test_runs_that_learned_nothing_are_named():
    """Seen: a collapsed or dead run like any other."""
    runs = [run for name, value in (("contrastive", 0.5), ("triplet", 0.6)) for run in side(name, value)]
    faults = (
        Fault(side="contrastive", kind="collapsed", runs=3, of=10, apart=0.01),
        Fault(side="contrastive", kind="stuck", runs=2, of=10),
    )
    stood = [
        Standing("contrastive", {"recall_at_1": 0.5}, faults=faults),
        Standing("triplet", {"recall_at_1": 0.6}),
    ]
    for standings in (stood, [Standing("contrastive", faults=faults)]):
        found = analyse(runs, standings=standings)
        assert "contrastive collapsed in 3 of 10 runs" in found.recommendation.sentences[1]
        assert "contrastive gave no gradient in 2 of 10 runs" in found.recommendation.sentences[1]
        assert found.losses[0].faults == faults


def test_a_side_with_failed_runs_does_not_keep_the_others_from_an_answer():
    runs = [*side("triplet", 0.6), *side("contrastive", 0.5), *side("raw", 0.4)]
    lost = [
        Measured("sup_con", seed, {"recall_at_1": 0.55}, failed="diverged" if seed == 3 else None)
        for seed in range(10)
    ]
    stood = [Standing("triplet", {"recall_at_1": 0.6}), Standing("contrastive", {"recall_at_1": 0.5})]
    made = analyse([*runs, *lost], standings=stood).recommendation
    assert (made.loss, made.members) == ("triplet", ("triplet",))
    assert "1 run of sup_con failed" in made.sentences[1]
    gone = [Measured(run.loss, run.seed, {}, failed="diverged") for run in side("triplet", 0.6)]
    made = analyse([*gone, *side("contrastive", 0.5), *side("raw", 0.4)], standings=stood).recommendation
    assert (made.loss, made.open_by) == (None, "failed")
    assert made.sentences[0].startswith("No answer: triplet, which led on validation, has no verdict")


def test_too_few_seeds_stay_undecided():
    made = answer((0.5, 0.2), (0.7, 0.4), (0.4, 0.1), (0.6, 0.3), n=4)
    assert (made.loss, made.ground) == (None, "undecided")
    assert "too few seeds to tell in Recall@1" in made.sentences[0] and "seeds in all" in made.sentences[2]


def test_sentences_name_the_numbers_of_a_loss_whose_choice_other_validation_would_change():
    runs = [*side("triplet", 0.7), *side("contrastive", 0.5), *side("raw", 0.4)]
    stood = [Standing("triplet", {"recall_at_1": 0.6}), Standing("contrastive", {"recall_at_1": 0.5})]
    settings = [
        Settings(loss="triplet", name="triplet", hyperparameters={"margin": 0.1}, tuned=True, unsettled=True),
        Settings(loss="contrastive", name="contrastive", hyperparameters={"margin": 0.5}, tuned=True),
    ]
    found = analyse(runs, standings=stood, settings=settings)
    assert found.recommendation.loss == "triplet"  # the names in fields stay
    assert found.recommendation.sentences[0].startswith("Use triplet at margin 0.1: its Recall@1 is higher")
    assert "triplet at margin 0.1 led on validation" in found.recommendation.sentences[1]
    for row in found.paired:
        assert ("triplet at margin 0.1 " in row.sentence) == ("triplet" in (row.a, row.b))


def test_a_choice_is_unsettled_above_a_fifth_of_draws():
    assert Standing("a", changes=0.21).unsettled and not Standing("a", changes=0.2).unsettled
    assert not Standing("a").unsettled


# --- closed forms against raw -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "unit", "scope"), [(25, "class", "these_data"), (10, "block", "these_classes")]
)
def test_sides_that_no_seed_redraws_are_compared_over_test_items_with_the_range_over_seeds(
    classes, unit, scope
):
    sides = {"triplet": (0.4, 0.2), "raw": (0.5, 0.2), "whitened": (0.6, 0.3), "pca": (0.55, 0.3)}
    found = study(sides, {"triplet": 0.4, "whitened": 0.6, "pca": 0.5}, classes=classes)
    for other in ("raw", "pca"):
        row = next(row for row in found.paired if (row.a, row.b) == ("whitened", other))
        assert (row.unit, row.scope, row.primary) == (unit, scope, True)
        low, high = row.by_seed
        assert low < row.difference < high
        assert f"single seeds {wording.change_interval(low, high, 'difference')}" in row.sentence
    seeds = next(row for row in found.paired if (row.a, row.b) == ("whitened", "triplet"))
    assert (seeds.unit, seeds.by_seed) == ("seed", None)


def test_the_answer_and_its_rows_survive_json():
    found = study(
        {"contrastive": (0.58, 0.35), "triplet": (0.6, 0.33), "raw": (0.5, 0.2), "whitened": (0.6, 0.3)},
        SCORES,
    )
    for value in (*found.losses, *found.baselines, *found.paired, found.recommendation):
        assert type(value).model_validate_json(value.json_text()) == value
    assert found.losses[0].validation == {"recall_at_1": 0.5} and found.losses[0].price.parameters == 1000


def test_many_that_are_left_are_named_in_the_second_sentence():
    names = [f"loss_{letter}" for letter in "abcdefg"]
    sides = {name: (0.6 + 0.001 * place, 0.3, 0.03) for place, name in enumerate(names)}
    made = study(sides, {name: 0.5 + 0.01 * place for place, name in enumerate(names)}).recommendation
    assert made.loss is None and len(made.members) == 7
    assert " and 3 others: " in made.sentences[0] and "7" not in made.sentences[0].split(":")[0]
    assert all(name in made.sentences[1] for name in names)


def test_a_side_that_was_not_tested_may_speak_against_training_nothing_too():
    same = 0.001
    sides = {"triplet": (0.6, 0.246, same), "raw": (0.6, 0.246), "whitened": (0.5, 0.2), "pca": (0.5, 0.4)}
    found = study(sides, {"triplet": 0.7, "whitened": 0.6, "pca": 0.5})
    assert ("triplet", "pca") not in pairs_of(found)
    assert (found.recommendation.loss, found.recommendation.second_on) == (None, ("pca", "raw"))


def test_the_row_of_the_second_measure_says_what_it_is_over_and_names_the_settings():
    labels, own = np.repeat(np.arange(30), 4), np.random.default_rng(0).random(120)

    def of(loss, recall, precise):
        detail = {"per_query/map_at_r": precise * own, "per_query/label": labels}
        values = {"recall_at_1": recall, "map_at_r": precise * own.mean()}
        return [Measured(loss, seed, values, detail=detail, family=kind_of(loss)) for seed in range(8)]

    runs = [*of("triplet", 0.5, 0.3), *of("raw", 0.9, 0.3), *of("pca", 0.9, 0.6)]
    stood = [Standing("triplet", {"recall_at_1": 0.8}), Standing("pca", {"recall_at_1": 0.7})]
    settings = [Settings(loss="triplet", name="triplet", hyperparameters={"margin": 0.1}, tuned=True)]
    found = analyse(runs, standings=stood, settings=settings)
    row = next(row for row in found.paired if (row.a, row.b) == found.recommendation.second_on)
    assert (row.a, row.b, row.measure, row.unit, row.n) == ("pca", "raw", "map_at_r", "class", 30)
    assert row.sentence.endswith("30 test classes, these data), at the tuned values triplet 0.1.")


def test_data_that_cannot_vary_are_no_range_of_other_data():
    """Seen: "other data like these, where it is 0.000 to 0.000, which includes no difference"."""
    detail = {"per_query/recall_at_1": np.ones(120), "per_query/label": np.repeat(np.arange(30), 4)}
    runs = [
        Measured(loss, seed, {"recall_at_1": 1.0}, detail=detail) for loss in ("a", "b") for seed in range(8)
    ]
    third = analyse(runs, standings=[Standing(loss, {"recall_at_1": 1.0}) for loss in "ab"])
    assert third.recommendation.sentences[2].endswith("; or other data, since only the seeds varied here.")


# --- how often it is wrong ----------------------------------------------------------------------------------


def test_sides_that_are_all_the_same_are_rarely_told_apart():
    """600 studies of four sides, a drawn candidate: at most 48, the 99.9 % point of 5 %; 4 % are spent."""
    random, told, wrong = np.random.default_rng(13), 0, 0
    for _ in range(600):
        common = random.normal(0, 0.02, 10)
        runs = [
            Measured(
                name, seed, {"recall_at_1": 0.6 + common[seed] + random.normal(0, 0.01)}, family=kind_of(name)
            )  # type: ignore[arg-type]
            for name in ("contrastive", "triplet", "sup_con", "raw")
            for seed in range(10)
        ]
        stood = [
            Standing(name, {"recall_at_1": random.normal()}) for name in ("contrastive", "triplet", "sup_con")
        ]
        found = analyse(runs, standings=stood, generated=True)
        told += any(row.better is not None for row in found.paired if row.primary)
        wrong += len(found.recommendation.members) == 1
    assert 0 < told <= 48
    assert wrong <= told


# --- what is stored -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[losscope.Result, list[str]]:
    said: list[str] = []
    result = losscope.compare(
        "digits",
        seeds=2,
        epochs=2,
        tune=False,
        engine="here",
        out=str(tmp_path_factory.mktemp("small")),
        say=said.append,
    )
    return result, said


def test_a_study_says_before_it_trains_that_its_seeds_cannot_decide(small):
    """Seen: a study of 3 minutes that started without a word, though its dry run knew."""
    result, said = small
    assert any(sentence.startswith("2 paired seeds are too few for 4 tests at look 1") for sentence in said)
    enough: list[str] = []
    foreseeing.ready(
        Study.of(data="digits", tune=False, epochs=1, out=f"{result.store}-other"), enough.append
    )
    assert enough and not any("too few" in sentence for sentence in enough)


def test_scores_on_validation_and_prices_are_read_from_the_runs(small):
    result, _ = small
    store = Store(Path(result.store), create=False)
    for side in result.sides:
        runs = store.many(side.runs)
        if side in result.losses:
            curves = [run.trace().query("split == 'validation' and name == 'map_at_r'") for run in runs]
            last = [curve.loc[curve["epoch"] == 2, "value"].item() for curve in curves]
            assert side.validation["map_at_r"] == pytest.approx(np.mean(last))
        elif side.family == "closed form":
            for name in ("recall_at_1", "map_at_r"):
                kept = [run.measures["validation"][name] for run in runs]
                assert side.validation[name] == pytest.approx(np.mean(kept))
        else:
            assert side.validation == {} and side.price is None
            continue
        assert side.price.seconds == pytest.approx(np.mean([run.provenance["train_seconds"] for run in runs]))
    assert result.side("triplet").price.parameters == 64 * 256 + 256 + 256 * 64 + 64
    assert result.side("lda").price.parameters == 64 + 64 * 9
    ranked = {side.name: side.validation["recall_at_1"] for side in result.sides if side.validation}
    assert ranked[result.recommendation.candidate] == max(ranked.values())
    assert result.recommendation.candidate_by == "recall_at_1"
    bound = foreseeing.foresee(Study.of(data="digits", seeds=2, epochs=2, tune=False, out=result.store))
    assert len(result.verdicts()) <= bound.tests_in_family == 4


def test_judge_reads_a_stored_study_as_it_was(small):
    result, _ = small
    again = losscope.judge(result.store)
    assert pairs_of(again) == pairs_of(result)
    assert again.recommendation == result.recommendation


def test_an_indifference_of_ones_own_makes_another_study_and_no_indifference_keeps_its_name(tmp_path):
    options = {
        "seeds": 1,
        "epochs": 1,
        "tune": False,
        "engine": "here",
        "closed_forms": False,
        "out": str(tmp_path),
    }
    plain = losscope.compare("digits", **options)
    own = losscope.compare("digits", indifference=0.05, **options)
    assert plain.study != own.study
    assert {row.delta for row in own.verdicts()} == {0.05} and {row.delta for row in plain.verdicts()} == {
        0.01
    }
    for mistake in (-1, 0, float("nan"), float("inf")):
        with pytest.raises(losscope.LosscopeError, match="indifference"):
            losscope.compare("digits", indifference=mistake, **options)
        with pytest.raises(losscope.LosscopeError, match="indifference"):
            losscope.judge(str(tmp_path), indifference=mistake)
