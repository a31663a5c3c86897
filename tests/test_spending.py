"""What is foreseen is what is taken: steps are counted, and seconds follow from a clock of the tests' own."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from losscope import comparing
from losscope.comparing import budget, foreseeing, spending
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.run import cost, launch
from losscope.run.store import Stored
from losscope.train import Population


def features(folder):
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 24)
    rows = draw.normal(size=(8, 6))[labels] + draw.normal(size=(192, 6))
    split = np.where(np.arange(192) % 24 < 16, "train", "test")
    np.savez(folder / "f.npz", features=rows.astype(np.float32), labels=labels, split=split)
    return str(folder / "f.npz")


CASES = {
    "untuned": {"tune": False},
    "the paper's protocol": {
        "data": "synthetic",
        "options": {"classes": 4, "points": 30},
        "protocol": "paper",
    },
    "tuned": {},
    "tuned, nothing to widen": {
        "losses": ["triplet(learning_rate=1e-3,weight_decay=10)", "contrastive(learning_rate=1e-3)"],
        "space": ["margin=0.1,0.2,0.4,0.8"],
    },
    "tuned, one epoch": {"epochs": 1},
    "tuned, a start that is given": {"start": "pca", "losses": ["triplet", "arcface"]},
}


def study(folder, **words):
    given = {"seeds": 2, "epochs": 5, "engine": "here", "out": str(folder / "out"), **words}
    return Study.of(**{"data": given.pop("data", None) or features(folder), **given})


@pytest.fixture
def ticking(monkeypatch):
    """A clock that only steps move: by 1 and ½ for each member."""
    ticks = {"seconds": 0.0, "steps": 0}
    real = Population.step

    def step(self, *batch):
        ticks["seconds"] += 1 + 0.5 * self.members
        ticks["steps"] += self.members
        return real(self, *batch)

    monkeypatch.setattr(Population, "step", step)
    monkeypatch.setattr(cost, "_clock", lambda device: lambda: ticks["seconds"])
    return ticks


@pytest.mark.parametrize("words", CASES.values(), ids=list(CASES))
def test_the_steps_and_seconds_foreseen_are_those_taken(words, tmp_path, ticking):
    asked = study(tmp_path, **words)
    plan = comparing.foresee(asked)
    foreseeing.ready(asked)
    ticking.update(seconds=0.0, steps=0)
    made = comparing.plan(asked)
    made = made.tuned()
    launch.execute(made.groups, "here")
    widened = any(choice.tuned is not None and choice.tuned.widened for choice in made.choices)
    if made.tunes and not widened and "space" not in words:
        assert ticking["steps"] < plan.steps, "foreseen is the widest search"
    else:
        assert plan.steps == ticking["steps"]
        reading = spending.READING + spending.READING_EACH * len(made.runs)
        # Members of other reductions and of the last stage are populations of other sizes than foreseen.
        assert plan.core_seconds - reading == pytest.approx(ticking["seconds"], rel=0.1)
    left = comparing.foresee(asked)
    assert (left.steps, left.core_seconds, left.seconds) == (0, 0, 0)


def test_a_pilot_measures_what_a_step_costs_and_what_each_member_adds(tmp_path, ticking):
    made = comparing.plan(study(tmp_path))
    speeds = spending.Outlook().speeds(made)
    trained = [speed for speed in speeds.values() if speed.steps]
    assert len(trained) >= 4
    for speed in trained:
        assert speed.step == pytest.approx((1.0, 0.5))
        assert speed.look == speed.once == speed.finish == 0


def test_a_pilot_trains_together_only_seeds_whose_training_parts_are_of_one_size(tmp_path, ticking):
    sizes = np.array([12, 30] * 5)  # whole classes are held out for validation: others at each seed
    labels = np.repeat(np.arange(10), sizes)
    rows = np.random.default_rng(0).normal(size=(len(labels), 6)).astype(np.float32)
    np.savez(tmp_path / "unlike.npz", features=rows, labels=labels, is_test_class=labels >= 6)
    asked = study(tmp_path, data=str(tmp_path / "unlike.npz"), protocol="paper", tune=False, seeds=12)
    made = comparing.plan(asked)
    (group, *_) = (own for own in made.groups if not own.runs[0].loss.baseline)
    by_size: dict[int, list] = {}
    for run in group.runs:
        by_size.setdefault(len(made.source.splits(run.split_seed).train), []).append(run)
    (first, *most), (unlike, *_), *_ = sorted(by_size.values(), key=len, reverse=True)
    assert len(most) >= 3
    turned = replace(group, runs=(first, unlike, *most))
    assert cost._pilot(turned, len(turned.runs), made.source).steps > 0


def test_kept_speeds_of_another_version_are_measured_again(tmp_path):
    made = comparing.plan(study(tmp_path, tune=False))
    pairs = [(group, made.source) for group in made.groups]
    found = cost.speeds(pairs, made.store, frozenset())
    made.store.write_json(cost.SPEEDS, {kind: [1.0, 2.0] for kind in found})
    again = cost.speeds(pairs, made.store, frozenset())
    assert set(again) == set(found) and all(isinstance(speed, cost.Speed) for speed in again.values())
    assert cost.speeds(pairs, made.store, frozenset()) == again, "what is kept is read"


def test_a_stored_run_is_read_once_for_all_plans_of_a_study(tmp_path, monkeypatch):
    made = comparing.plan(study(tmp_path, tune=False))
    launch.execute(made.groups, "here")
    read = []
    real = Stored.check
    monkeypatch.setattr(Stored, "check", lambda run: read.append(run.id) or real(run))
    outlook = spending.Outlook()
    assert outlook.of(made) == outlook.of(made) == spending.Spending(0, 0.0, 0.0)
    assert sorted(read) == sorted(set(made.ids))


# --- a budget ---------------------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch):
    """Speeds at which a step of a member takes 1,000 s: a budget is long beside the time of the test."""
    monkeypatch.setattr(
        spending.Outlook,
        "speeds",
        lambda _, made: {
            cost.kind_of(group.runs[0]): cost.Speed(
                steps=0 if group.runs[0].loss.baseline else 2, step=(0.0, 1000.0)
            )
            for group in (*made.trial_groups, *made.groups)
        },
    )


def fit(folder, seconds, **words):
    return foreseeing.ready(study(folder, epochs=60, seeds=10, budget=seconds, **words), dry=True)


def test_each_rung_of_a_budget_says_what_it_cuts_and_costs_less(tmp_path, slow):
    whole = spending.Outlook().of(fit(tmp_path, 1e9)).seconds
    said, expected = [], []
    for share in (2, 0.9, 0.6, 0.4, 0.2, 0.1, 0.06):
        made = fit(tmp_path, whole * share)
        said.append(made.notes[-1])
        expected.append(spending.Outlook().of(made).seconds)
        assert expected[-1] <= budget.RESERVE * whole * share
    assert "nothing is cut" in said[0] and expected == sorted(expected, reverse=True)
    assert "30 of 60 epochs" in said[1] and "settings" not in said[1]
    assert any("9 of 18 settings of each loss" in sentence for sentence in said)
    assert "no tuning" in said[-1] and all(sentence.count("Budget") == 1 for sentence in said)


def test_a_budget_cuts_seeds_at_last_and_never_below_those_that_can_decide(tmp_path, slow):
    # Of 2 losses, 3 epochs of 2 steps of 1,000 s: 120,000 s over 10 seeds, 96,000 s over 8.
    made = fit(tmp_path, 150_000)
    assert "3 of 60 epochs for every loss, 8 of 10 seeds, no tuning" in made.notes[-1]
    assert len(made.study.seeds) == 8
    with pytest.raises(LosscopeError, match=r"too small for any verdict: 3 epochs over 8 seeds, untuned"):
        fit(tmp_path, 80_000)


def test_a_budget_too_small_for_any_verdict_is_refused_before_anything_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "run_group", lambda *_: pytest.fail("something was trained"))
    for run in (comparing.run, comparing.foresee):
        with pytest.raises(LosscopeError, match=r"0\.01 s is too small .*give --budget \d+s or more"):
            run(study(tmp_path, budget=0.01))
    assert not list((tmp_path / "out").glob("studies/*/budget.json"))


def test_an_untuned_study_is_not_told_that_tuning_was_cut(tmp_path, slow):
    made = fit(tmp_path, 500_000.0, tune=False)
    assert "tuning" not in made.notes[-1] and "of 60 epochs" in made.notes[-1]


def test_the_plan_as_json_has_steps_and_processor_seconds(tmp_path):
    plan = json.loads(comparing.foresee(study(tmp_path, tune=False)).json_text())
    assert plan["steps"] == 2 * 2 * 5 * 3 and 0 < plan["core_seconds"] <= plan["seconds"]
