"""Curves over one number of a loss: naive readings of stored runs, a margin that matters, mistakes."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope import stats
from losscope.comparing import curving, halving
from losscope.comparing.foreseeing import ready
from losscope.comparing.planning import plan
from losscope.comparing.spending import Outlook
from losscope.comparing.stored import StoredStudy
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import LossSpec
from losscope.core.results import Curve, CurvePoint, LossResult, Tuned
from losscope.core.spec import Study
from losscope.run.store import Store
from losscope.run.upkeep import StudyRuns, check

SET = "learning_rate=0.001, weight_decay=10"
SMALL = {"seeds": 2, "epochs": 6, "batch_size": 32, "engine": "here", "closed_forms": False}
ASKED = {
    **SMALL,
    "losses": [f"contrastive({SET})", f"triplet({SET})"],
    "options": {"limit": 200},
    "space": ["margin=0.001,0.3,0.5"],
    "curves": "margin,learning_rate,embedding_size",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curves") / "runs"
    return losscope.compare("digits", **ASKED, out=str(folder)), Store(folder)


def curve_of(result, loss, number) -> Curve:
    side = next(side for side in result.losses if side.name.startswith(loss))
    return next(curve for curve in side.curves if curve.number == number)


def naive_values(runs, measure, second):
    """Each seed's value at the epoch of the best smoothed mean, by loops."""
    curves = []
    for run in runs:
        kept = {}
        for row in pd.read_parquet(run.path / "trace.parquet").itertuples():
            if row.split == "validation" and row.name in (measure, second):
                kept[row.epoch, row.name] = row.value
        curves.append(kept)
    epochs = sorted({epoch for epoch, _ in curves[0]})

    def smooth(kept, place, name):
        around = [place] if place == 0 else [p for p in (place - 1, place, place + 1) if 0 <= p < len(epochs)]
        return sum(kept[epochs[p], name] for p in around) / len(around)

    def mean(place, name):
        return sum(smooth(kept, place, name) for kept in curves) / len(curves)

    places = range(len(epochs))
    top = max(mean(place, measure) for place in places)
    near = [place for place in places if top - mean(place, measure) < halving.TIE]
    best = max(near, key=lambda place: (round(mean(place, second), 12), -place))
    return epochs[best], [smooth(kept, best, measure) for kept in curves]


def test_every_point_is_what_a_naive_reading_of_its_runs_says(found):
    result, store = found
    curves = [curve for side in result.losses for curve in side.curves]
    assert len(curves) == 6
    for curve in curves:
        assert curve.seeds == halving.SEEDS and curve.measure == "recall_at_1"
        assert [point.value for point in curve.points] == sorted({point.value for point in curve.points})
        means = {}
        for point in curve.points:
            runs = [store.get(run_id) for run_id in point.runs]
            assert [run.run.seed for run in runs] == [*halving.SEEDS]
            assert all(run.run.purpose == "trial" and "test" not in run.measures for run in runs)
            for run in runs:
                loss, shape = run.run.loss, run.run.protocol
                held = {
                    "margin": loss.hyperparameters["margin"],
                    "learning_rate": loss.learning_rate,
                    "embedding_size": shape.embedding_size,
                }
                assert held[curve.number] == point.value
            epoch, values = naive_values(runs, "recall_at_1", "map_at_r")
            assert (point.epoch, point.by_seed) == (epoch, pytest.approx(values, abs=1e-12))
            means[point.value] = sum(values) / len(values)
            assert point.mean == pytest.approx(means[point.value], abs=1e-12)
        top = max(means.values())
        best = next(value for value, mean in means.items() if mean >= top - 1e-12)
        assert curve.flat.best == best
        for point in curve.points:
            lost = [a - b for a, b in zip(curve.at(best).by_seed, point.by_seed, strict=True)]
            assert point.cost == pytest.approx(sum(lost) / 4, abs=1e-12)
            if point.value != best:
                half = 3.182446305 * np.std(lost, ddof=1) / 2
                assert point.cost_low == pytest.approx(point.cost - half, abs=1e-8)
                assert point.cost_high == pytest.approx(point.cost + half, abs=1e-8)
        inside = [best]
        values = [*means]
        for step in (-1, 1):
            place = values.index(best) + step
            while 0 <= place < len(values) and top - means[values[place]] <= 0.01 + 1e-12:
                inside.append(values[place])
                place += step
        assert (curve.flat.low, curve.flat.high, curve.flat.tried) == (min(inside), max(inside), len(inside))


def test_the_band_is_that_of_cousineau_and_morey_by_loops(found):
    curve = curve_of(found[0], "triplet", "learning_rate")
    table = [point.by_seed for point in curve.points]
    values, seeds = len(table), len(table[0])
    grand = sum(map(sum, table)) / values / seeds
    for row, point in zip(table, curve.points, strict=True):
        freed = [
            row[seed] - sum(table[other][seed] for other in range(values)) / values + grand
            for seed in range(seeds)
        ]
        mean = sum(freed) / seeds
        variance = sum((value - mean) ** 2 for value in freed) / (seeds - 1) * values / (values - 1)
        half = 3.182446305 * math.sqrt(variance / seeds)
        assert point.low == pytest.approx(point.mean - half, abs=1e-8)
        assert point.high == pytest.approx(point.mean + half, abs=1e-8)


def test_a_margin_that_matters_is_found(found):
    """A contrastive loss at margin 0.001 pushes nothing apart, so that its embeddings end near one point."""
    curve = curve_of(found[0], "contrastive", "margin")
    assert curve.at(0.001).cost > 0.02 and curve.flat.low > 0.001
    assert f"any margin from {curve.flat.low:g}" in wording.curve(curve) or curve.flat.tried == 1


def test_the_point_at_the_tuned_value_is_the_trial_that_tuning_chose(found):
    for side in found[0].losses:
        own = max((trial for trial in side.trials if len(trial.by_seed) == 4), key=lambda each: each.score)
        for number in ("margin", "learning_rate", "embedding_size"):
            curve = next(curve for curve in side.curves if curve.number == number)
            value = curve.default if curve.tuned is None else curve.tuned
            assert curve.at(value).mean == side.tuned.score and curve.at(value).epoch == side.tuned.checkpoint
            assert curve.at(value).runs in {trial.runs for trial in side.trials}
        assert own.score >= side.tuned.score - halving.TIE


def test_tuning_chose_no_number_that_was_given_by_hand(found):
    for side in found[0].losses:
        given = curve_of(found[0], side.name, "learning_rate")
        assert given.tuned is None and given.default == 0.001
        assert "tuning chose" not in wording.curve(given)
        assert curve_of(found[0], side.name, "margin").tuned == side.tuned.hyperparameters["margin"]


def test_a_point_is_what_a_comparison_at_that_value_is_tuned_to(found):
    result, store = found
    point = curve_of(result, "triplet", "margin").at(0.5)
    loss = f"triplet(margin=0.5, reduction='valid_mean', {SET})"
    asked = {**ASKED, "losses": [loss], "curves": [], "space": []}
    made = ready(Study.of(data="digits", **asked, out=str(store.root)), dry=True)
    assert all(map(store.has, point.runs))
    last = made.trial_stages[-1]
    assert {run_id for group in last for run_id in group.ids} <= set(point.runs) or not last
    (side,) = made.tuned(train=False).choices
    assert side.tuned.score == point.mean and side.trials[-1].runs == point.runs


def test_nothing_is_trained_twice_and_everything_is_named(found):
    result, store = found
    study = Study.of(data="digits", **ASKED, out=str(store.root))
    before = {path.name: path.stat().st_mtime_ns for path in (store.root / "runs").iterdir()}
    again = losscope.compare("digits", **ASKED, out=str(store.root))
    assert {path.name: path.stat().st_mtime_ns for path in (store.root / "runs").iterdir()} == before
    assert [side.curves for side in again.losses] == [side.curves for side in result.losses]
    dry = losscope.comparing.foresee(study)
    assert dry.curve_runs == dry.curve_stored > 0 and dry.seconds == 0
    assert f"{dry.curve_runs} runs of curves ({dry.curve_runs} stored)" in wording.study_plan(dry)
    name = result.study
    kept = StoredStudy.read(store, name)
    assert set(StudyRuns.read(store, name).trials) == set(kept.trials)
    points = {
        run for side in result.losses for curve in side.curves for own in curve.points for run in own.runs
    }
    assert points <= set(kept.trials) and not check(store.root).problems


def test_a_study_without_curves_is_the_same_study(found):
    result, store = found
    plain = plan(Study.of(data="digits", **{**ASKED, "curves": []}, out=str(store.root)))
    asked = plan(Study.of(data="digits", **ASKED, out=str(store.root)))
    assert plain.name == asked.name == result.study
    assert plain.ids == asked.ids and not plain.curve_groups
    assert [group.ids for group in plain.trial_groups] == [group.ids for group in asked.trial_groups]
    given = {**ASKED, "budget": 1e5}
    names = {
        plan(Study.of(data="digits", **{**given, "curves": own}, out=str(store.root))).name
        for own in ([], "margin")
    }
    assert len(names) == 2, "what a budget leaves is chosen with the curves"
    text = json.dumps(store.read_json(f"studies/{result.study}/study.json"))
    old = json.loads(text)
    del old["study"]["curves"]
    for loss in old["losses"]:
        del loss["curves"]
    assert StoredStudy.from_json(json.dumps(old), "an older file").losses[0].curves == ()


def test_runs_of_one_shape_are_one_population_and_are_foreseen(tmp_path):
    study = Study.of(data="digits", **{**ASKED, "losses": ["triplet"], "space": []}, out=str(tmp_path))
    made = ready(study, dry=True)
    shapes = {}
    for group in made.curve_groups:
        for run in group.runs:
            shapes.setdefault(run.protocol.embedding_size, set()).add(run.canonical())
        assert len({run.family() for run in group.runs}) == 1
    assert set(shapes) == {8, 16, 32, 64, 128, 256, 512}
    usual = made.study.protocol.embedding_size
    assert len(shapes[usual]) == 4 * (8 + 7 - 1), "margins and learning rates, the usual run once"
    bare = ready(study.model_copy(update={"curves": []}), dry=True)
    waiting = {run_id for group in made.waiting for run_id in group.ids}
    assert waiting > {run_id for group in bare.waiting for run_id in group.ids}
    assert Outlook().of(made).steps > Outlook().of(bare).steps > 0


@pytest.mark.parametrize(
    ("loss", "asked", "numbers"),
    [
        ("triplet", "all", ["margin", "learning_rate", "embedding_size"]),
        ("info_nce", "own", ["temperature"]),
        ("arcface", "scale,own", ["margin", "scale"]),
        ("n_pair", ["own", "learning_rate"], ["l2_weight", "learning_rate"]),
        ("triplet(margin=0.3)", "margin", ["margin"]),
    ],
)
def test_what_is_varied_is_one_number_around_the_usual(tmp_path, loss, asked, numbers):
    study = Study.of(data="digits", losses=[loss], curves=asked, tune=False, out=str(tmp_path))
    made = plan(study, create=False)
    found = curving.varied(made.study, made.choices, made.largest)
    assert [own.number for own in found] == numbers
    assert [own.given for own in found] == ["margin=0.3" in loss] * len(found)
    for own in found:
        assert own.tuned is None and own.default in [value for value, _ in own.points]
        usual = next(candidate for value, candidate in own.points if value == own.default)
        assert usual.spec == made.choices[0].spec
        for value, candidate in own.points:
            other = candidate.spec.model_dump(), candidate.protocol.model_dump()
            base = usual.spec.model_dump(), usual.protocol.model_dump()
            changed = [
                (key, inner)
                for mine, theirs in zip(other, base, strict=True)
                for key in mine
                for inner in (mine[key] if isinstance(mine[key], dict) else [None])
                if (mine[key] if inner is None else mine[key][inner])
                != (theirs[key] if inner is None else theirs[key][inner])
            ]
            assert len(changed) == (value != own.default), changed


def test_no_embedding_is_larger_than_what_a_head_starts_from(tmp_path):
    values = np.random.default_rng(0).normal(size=(80, 20)).astype(np.float32)
    np.savez(tmp_path / "own.npz", features=values, labels=np.repeat(np.arange(8), 10))
    study = Study.of(
        data=str(tmp_path / "own.npz"), losses="triplet", curves="embedding_size", out=str(tmp_path)
    )
    made = plan(study, create=False)
    (own,) = curving.varied(made.study, made.choices, made.largest)
    assert [value for value, _ in own.points] == [8, 16, 20]


def test_untuned_losses_are_varied_at_their_usual_numbers(tmp_path):
    asked = {**SMALL, "losses": "contrastive", "curves": "learning_rate", "tune": False, "epochs": 2}
    result = losscope.compare("digits", **asked, options={"limit": 100}, out=str(tmp_path))
    (curve,) = result.losses[0].curves
    assert curve.tuned is None and curve.default == 1e-3 and len(curve.points) == 7
    assert all(len(point.by_seed) == 4 for point in curve.points)
    assert result.losses[0].tuned is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"curves": "marign"}, r"unknown number of contrastive, triplet: 'marign'.*margin"),
        ({"curves": "temperature"}, r"temperature"),
        ({"curves": "margin,margin"}, "name a number twice"),
        ({"curves": "reduction"}, "reduction"),
        ({"curves": [3]}, "curves"),
        ({"curves": "squared"}, "squared"),
        ({"curves": "m", "losses": "pml:CircleLoss"}, "no values of the number 'm' are known"),
        (
            {"curves": "m", "losses": "pml:CircleLoss", "tune": False},
            "--tune and values by --space",
        ),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_trains(tmp_path, asked, said):
    if "pml" in str(asked):
        pytest.importorskip("pytorch_metric_learning")
    with pytest.raises(LosscopeError, match=said) as error:
        plan(Study.of(data="digits", **asked, out=str(tmp_path / "runs")), create=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_the_command_wants_a_number(tmp_path):
    from losscope.cli.options import Question
    from losscope.cli.studies import asked

    for given in ([], [" ,"]):
        with pytest.raises(LosscopeError, match="--curves names no number; wanted"):
            asked("digits", question=Question(curves=given), out=tmp_path / "runs")
    assert asked("digits", question=Question(curves=["margin", "own"])).curves == ["margin", "own"]


@pytest.mark.parametrize(
    ("losses", "asked", "said"),
    [
        ("triplet,info_nce", {"curves": "margin"}, "info_nce is without a curve of margin"),
        (
            "triplet",
            {"curves": "learning_rate", "space": "learning_rate=0.001"},
            "triplet is without a curve of learning rate",
        ),
        (
            "pml:CircleLoss,triplet",
            {"curves": "own"},
            "pml:CircleLoss is without a curve of numbers of its own",
        ),
    ],
)
def test_a_loss_without_the_curve_is_said(tmp_path, losses, asked, said):
    study = Study.of(data="digits", losses=losses, **asked, out=str(tmp_path))
    assert said in plan(study, create=False).notes
    assert not any("curve" in note for note in plan(Study.of(out=str(tmp_path)), create=False).notes)


def test_a_foreign_loss_is_varied_over_the_space_that_is_given(tmp_path):
    pytest.importorskip("pytorch_metric_learning")
    text = "pml:TripletMarginLoss"
    given = {"losses": text, "space": f"{text}:margin=0.05,0.2", "curves": "all", "out": str(tmp_path)}
    made = plan(Study.of(data="digits", **given), create=False)
    found = curving.varied(made.study, made.choices, made.largest)
    assert [own.number for own in found] == ["margin", "learning_rate", "embedding_size"]
    specs = [candidate.spec.name for _, candidate in found[0].points]
    assert specs == [f"{text}(margin=0.05)", f"{text}(margin=0.2)"] and found[0].default is None


# --- the flat region and the words -----------------------------------------------------------------


def made_curve(table, default=1.0, tuned=0.1, within=0.01):
    points = tuple(
        CurvePoint(
            value=value,
            mean=None if row is None else float(np.mean(row)),
            by_seed=row or (),
            failed=4 if row is None else 0,
        )
        for value, row in table.items()
    )
    curve = Curve(
        loss="triplet",
        number="margin",
        measure="recall_at_1",
        points=points,
        seeds=halving.SEEDS,
        default=default,
        tuned=tuned,
    )
    return stats.with_costs(curve, within)


def test_a_usual_value_outside_of_the_flat_region_is_said_in_the_answer():
    level = (0.5, 0.6, 0.7, 0.8)
    curve = made_curve(
        {
            m: tuple(x - lost for x in level)
            for m, lost in ((0.05, 0.005), (0.1, 0.0), (0.3, 0.01), (1.0, 0.04))
        }
    )
    assert (curve.flat.low, curve.flat.high, curve.flat.best) == (0.05, 0.3, 0.1)
    assert wording.curve(curve) == (
        "any margin from 0.05 to 0.3 is within 0.01 of the best (0.1, Recall@1 0.650 on validation); "
        "no smaller one was tried; the 95 % interval says so of 2 of 2 other values; tuning chose 0.1; "
        "the usual 1 costs 0.040"
    )
    side = LossResult(name="triplet", tuned=Tuned(hyperparameters={}), curves=(curve,))
    assert wording.outside([side]) == [
        "On validation, the other numbers as tuned: triplet's usual margin 1 costs 0.040 of Recall@1 (any "
        "margin from 0.05 to 0.3 is within 0.01 of the best)."
    ]
    level_taken_out = curve.points[0].high - curve.points[0].low
    assert level_taken_out == pytest.approx(0, abs=1e-9), (
        "seeds that differ alike at every value make no band"
    )


def test_a_region_that_is_flat_because_nothing_was_learnt_is_said():
    """A learning rate at which every epoch is worse than the start is as good as the start, and no better."""
    curve = made_curve({0.1: (0.7,) * 4, 1.0: (0.7,) * 4, 3.0: (0.5,) * 4})
    at = (0, 0, 5)
    points = [p.model_copy(update={"epoch": e}) for p, e in zip(curve.points, at, strict=True)]
    said = wording.curve(curve.model_copy(update={"points": tuple(points)}))
    assert "; at 2 of these 2 values training adds nothing: epoch 0, the start, is the best; " in said
    assert "training adds nothing" not in wording.curve(curve)


def test_a_number_that_was_given_by_hand_is_not_called_usual(found):
    """In the sentence, in the answer, on the page and in its title, which names the numbers."""
    curve = made_curve({8.0: (0.5,) * 4, 64.0: (0.7,) * 4}, default=8.0, tuned=None)
    size = curve.model_copy(update={"given": True, "number": "embedding_size"})
    assert "the given 8 costs 0.200" in wording.curve(size) and "usual" not in wording.curve(size)
    first, second = (each.model_copy(update={"curves": ()}) for each in found[0].losses)
    side = first.model_copy(update={"curves": (size,)})
    assert "triplet's given embedding size 8 costs 0.200" in wording.outside([side])[0]
    page = found[0].model_copy(update={"losses": (side, second)}).page()
    assert ">Which embedding size<" in page and "Which margin" not in page and "given 8" in page


def test_a_tuned_loss_is_as_tuned_where_tuning_had_no_choice_of_the_number(found):
    curve = made_curve({8.0: (0.5,) * 4, 64.0: (0.7,) * 4}, default=8.0, tuned=None)
    first, second = (each.model_copy(update={"curves": ()}) for each in found[0].losses)
    side = first.model_copy(update={"curves": (curve,)})
    assert wording.outside([side])[0].startswith("On validation, the other numbers as tuned: ")
    untuned = side.model_copy(update={"tuned": None})
    assert wording.outside([untuned])[0].startswith("On validation, the other numbers at the usual values: ")
    page = found[0].model_copy(update={"losses": (side, second)}).page()
    assert "each loss as it was tuned but for the number" in page


def test_a_usual_value_that_diverged_ends_the_region_and_has_no_cost():
    curve = made_curve({0.1: (0.7,) * 4, 0.3: None, 1.0: (0.7,) * 4}, default=0.3)
    assert (curve.flat.low, curve.flat.high) == (0.1, 0.1) and curve.default_costs
    assert "the usual 0.3 has no value: 4 of 4 seeds diverged or failed" in wording.curve(curve)
    assert (
        "triplet's usual margin 0.3 has no value"
        in wording.outside([LossResult(name="t", curves=(curve,))])[0]
    )


@pytest.mark.parametrize("table", [{}, {0.1: (0.7,) * 4}, {0.1: (0.7,) * 4, 0.3: None}])
def test_too_few_values_have_no_region(table):
    curve = made_curve(table)
    assert curve.flat is None and not curve.default_costs and "fewer than two values" in wording.curve(curve)


def test_the_indifference_that_is_given_is_the_regions(tmp_path):
    study = Study.of(indifference=0.03).resolve("vectors")
    assert curving.within(study) == 0.03 and curving.within(Study.of().resolve("vectors")) == 0.01
    other = Study.of(goal="verification", indifference=0.03).resolve("vectors")
    assert curving.within(other) != 0.03, "that of another measure says nothing of this one"


# --- where it is shown -----------------------------------------------------------------------------


def test_the_table_has_every_point(found):
    frame = found[0].frame("curves")
    points = [point for side in found[0].losses for curve in side.curves for point in curve.points]
    assert len(frame) == len(points) and frame["mean"].tolist() == [point.mean for point in points]
    assert frame["default"].sum() >= 4 and (frame["seeds"] == 4).all()


def test_terminal_page_and_files_say_it(found, tmp_path, capsys):
    from losscope.cli.output import print_result

    result = found[0]
    print_result(result, json=False, verbose=True)
    printed = " ".join(capsys.readouterr().out.split())
    page = result.page()
    for side in result.losses:
        for curve in side.curves:
            assert f"{side.name}: {wording.curve(curve)}" in printed
    assert "Which margin, which learning rate" in page and "within 0.01 of the best" in page
    print_result(result, json=False)
    plain = " ".join(capsys.readouterr().out.split())
    for sentence in wording.outside(result.losses):
        assert f"Numbers: {sentence}" in plain and sentence in str(result)


def test_the_command_says_the_curves_again():
    from losscope.core import commands

    study = Study.of(curves=["margin", "learning_rate"])
    assert "--curves margin,learning_rate" in commands.said(commands.arguments(study, "runs"))
    assert LossSpec.parse("triplet").label == "triplet"
    assert Study.of(**{"curves": "all"}).toml().count('curves = ["all"]') == 1
