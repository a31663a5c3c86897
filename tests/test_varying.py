"""A multiverse: its design, what each axis changes of a run, its runs, and what is read of them."""

from __future__ import annotations

import importlib
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from losscope import cli, stats
from losscope.comparing import planning
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.core.wording import varying as wording
from losscope.papers import planning as reproducing
from losscope.papers.paper import AllOf, Cell, Claim, Compared, Paper, PublishedNumber, paper
from losscope.run import launch
from losscope.run.store import Record, Store
from losscope.varying import declared, matching, own, reading, running
from losscope.varying.design import BLOCK, EACH, design
from losscope.varying.planning import MOST_MEMBERS, SEEDS, Member, prepare, within
from losscope.varying.space import Setting
from losscope.varying.worlds import worlds

PAIR = ("contrastive", "triplet")
WIDER = Compared("triplet", "higher", "contrastive", {"synthetic": 2.4})
LATE = Compared("triplet", "lower", "contrastive", during=(0.5, 1.0))
BETTER = Compared("contrastive", "higher", "triplet")
SMALL = Paper(
    name="zeng2025",
    losses=PAIR,
    cells=(Cell("synthetic", "paper", PAIR, options={"classes": 4, "points": 40, "dimensions": 16}),),
    claims=(
        Claim("wider", "wider", "made up", "intra_variance", WIDER),
        Claim("decay", "later", "made up", "epochs_to_90", Compared("triplet", "higher", "contrastive")),
        Claim("late", "less hard", "made up", "hard_share", LATE),
        Claim("both", "better", "made up", "recall_at_1", AllOf((BETTER,))),
    ),
    stated=(
        PublishedNumber("synthetic", "triplet", "gradient_norm", 0.27, "text"),
        PublishedNumber("synthetic", "triplet", "intra_variance", 2.4, "text", over="contrastive"),
    ),
)
"""The paper on small data: its space is the declared one."""
SPACES = pytest.mark.parametrize("space", declared.SPACES, ids=lambda space: space.kind)


# The design


@SPACES
def test_every_block_is_balanced_and_cells_share_their_levels(space):
    settings = design(space, 3 * BLOCK * EACH)[1:]
    for place, axis in enumerate(space.axes):
        for block in range(3):
            own = settings[block * BLOCK * EACH : (block + 1) * BLOCK * EACH]
            values = [setting.values[place] for setting in own]
            if axis.stacks:
                low, high = axis.numbers.low, axis.numbers.high
                assert all(low <= value <= high for value in values)
                even = np.log if axis.numbers.logarithmic else np.asarray
                shares = (even(np.array(values)) - even(low)) / (even(high) - even(low))
                # A stratum for each; values are rounded to three digits, which may move one to the next.
                strata = np.sort(shares) * len(own) - np.arange(len(own))
                assert strata.min() > -0.5 and strata.max() < 1.5
            else:
                counts = Counter(values)
                assert set(counts) == {level.name for level in axis.levels}
                assert max(counts.values()) - min(counts.values()) <= EACH
                for start in range(0, len(own), EACH):
                    assert len({setting.cell for setting in own[start : start + EACH]}) == 1
                    assert len(set(values[start : start + EACH])) == 1


@SPACES
def test_more_settings_add_to_the_first_and_the_seed_decides(space):
    few = design(space, 20)
    assert design(space, 100)[:21] == few
    assert design(space, 20) == few
    other = design(space, 20, seed=1)
    assert other[0] == few[0] and other[1:] != few[1:]
    assert few[0] == Setting(0, 0, space.own()) and few[0].id == "paper"
    assert [setting.number for setting in few] == list(range(21))


def test_axes_are_hardly_correlated():
    space = declared.space_of("zeng2025", "vectors", "synthetic")
    columns = []
    for place, axis in enumerate(space.axes):
        values = [setting.values[place] for setting in design(space, 240)[1:]]
        names = [level.name for level in axis.levels]
        columns.append(values if axis.stacks else [names.index(value) for value in values])
    among = np.corrcoef(np.array(columns, dtype=float))
    assert np.abs(among[~np.eye(len(among), dtype=bool)]).max() < 0.25


# What a setting changes of a run


def base_of(space):
    return reproducing.Study.of(losses=list(PAIR), protocol="paper").resolve(space.kind).protocol


def run_at(space, values, loss, base):
    setting = Setting(1, 1, tuple(values))
    data = declared_data(space, setting)
    return space.run_of(setting, loss, 0, base, data)


def declared_data(space, setting):
    from losscope.core.spec import DataSpec

    return DataSpec(name="synthetic", options=space.options_of(setting))


def differing(a, b):
    """The paths at which two specifications differ."""
    a, b = a.model_dump(mode="json"), b.model_dump(mode="json")
    flat = [
        {f"{part}.{key}": value for part in ("data", "loss", "protocol") for key, value in run[part].items()}
        for run in (a, b)
    ]
    return {key for key in flat[0] if flat[0][key] != flat[1][key]}


@SPACES
def test_each_axis_reaches_the_run_as_it_is_declared(space):
    base = base_of(space)
    own = list(space.own())
    where = {"protocol": "protocol.{}", "data": "data.options", "loss": "loss.hyperparameters"}
    for place, axis in enumerate(space.axes):
        values = [axis.numbers.at(0.1)] if axis.stacks else [level.name for level in axis.levels]
        for value in values:
            changed = [*own[:place], value, *own[place + 1 :]]
            for loss in space.losses:
                before, after = run_at(space, own, loss, base), run_at(space, changed, loss, base)
                concerned = axis.loss in (None, loss)
                if value == axis.paper or not concerned:
                    assert before == after
                    continue
                fields = dict(axis.fields(value))
                wanted = {
                    "loss.reduction" if name == "reduction" else where[axis.part].format(name)
                    for name, field in fields.items()
                    if field != dict(axis.fields(axis.paper)).get(name)
                }
                assert differing(before, after) and differing(before, after) <= wanted | {
                    f"protocol.{name}" for name in fields if axis.part == "protocol"
                }
                assert (before.family() == after.family()) == axis.stacks


def test_the_papers_own_setting_is_the_run_of_its_reproduction(tmp_path):
    planned = prepare("zeng2025", settings=1, seeds=2, out=tmp_path, dry=True)
    reproduced = reproducing.prepare("zeng2025", only=["synthetic"], seeds=2, out=tmp_path, dry=True)
    known = set(reproduced.pieces[0].plan.ids)
    for loss in PAIR:
        assert set(planned.laid[0].runs[Member(0, loss)]) <= known


def test_members_of_a_population_are_one_family_and_share_no_seed(tmp_path):
    planned = prepare(SMALL, settings=9, seeds=2, out=tmp_path, dry=True)
    for each in planned.populations:
        assert len({run.family() for run in each.group.runs}) == 1
        assert len(each.group.runs) <= MOST_MEMBERS
    groups = [each.group for each in planned.populations]
    runs = {run_id: run for group in groups for run_id, run in zip(group.ids, group.runs)}
    assert len(runs) == len(planned.ids) == 10 * 3 * 2
    for loss in PAIR:
        seeds = [run.seed for run in runs.values() if run.loss.name == loss]
        assert len(set(seeds)) == len(seeds)
    (laid,) = planned.laid
    for number in range(10):
        first, other, twin = (
            [runs[run_id] for run_id in laid.runs[member]]
            for member in (Member(number, PAIR[0]), Member(number, PAIR[1]), Member(number, PAIR[0], True))
        )
        assert [run.seed for run in first] == [run.seed for run in other] == [run.split_seed for run in twin]
        assert not {run.seed for run in first} & {run.seed for run in twin}
        assert [run.loss for run in first] == [run.loss for run in twin]


def test_levels_that_the_data_cannot_have_are_left_out():
    space = within(declared.space_of("zeng2025", "vectors", "synthetic"), 40, 150, 10)
    own = {axis.name: axis for axis in space.axes}
    assert [level.name for level in own["embedding_size"].levels] == [16, 32]
    assert [level.name for level in own["batch_size"].levels] == [32, 64] and own["batch_size"].paper == 64
    assert {axis.name: axis.paper for axis in within(space, 40, 80, 10).axes}["batch_size"] == 32
    assert [level.name for level in own["batch"].levels] == ["shuffled", "4 classes", "8 classes"]
    few = {axis.name: axis for axis in within(space, 40, 150, 5).axes}["batch"]
    assert [level.name for level in few.levels] == ["shuffled", "4 classes"] and few.paper == "shuffled"
    with pytest.raises(LosscopeError, match="batch_size 32 at least, which wants 64"):
        within(space, 40, 40, 10)


# Claims and data


def test_claims_about_detail_have_data_of_their_own():
    found = paper("zeng2025")
    (plain,) = worlds(found)
    assert plain.label == "synthetic" and "retrieval" in {claim.id for claim in plain.claims}
    assert not any(claim.measure.startswith("fine") for claim in plain.claims)
    birds = worlds(found, ["cub200"], ["retrieval", "recommend-detail"])
    assert [(world.label, dict(world.options)) for world in birds] == [
        ("cub200", {}),
        ("cub200, coarse labels", {"train_labels": "coarse"}),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"settings": 0}, "0 settings are asked for; wanted: a whole number from 1"),
        ({"settings": 10**9}, "settings are asked for; wanted"),
        ({"seeds": 101}, "101 seeds are asked for; wanted: a whole number from 1 to 100"),
        ({"only": ["sintetic"]}, "did you mean 'synthetic'"),
        ({"claims": ["retreival"]}, "did you mean 'retrieval'"),
        ({"claims": ["variance-is-detail"]}, "is no comparison of two losses"),
        ({"paper": "zeng2026"}, "unknown paper with declared settings 'zeng2026'"),
        ({"paper": "zeng"}, "unknown paper with declared settings 'zeng'; did you mean 'zeng2025'"),
        (
            {"only": ["digits"]},
            "declares no settings for digits, whose data are vectors; choices: synthetic, data of features",
        ),
        ({"only": ["mnist"]}, "declares no settings for mnist, whose data are images"),
        ({"claims": ["retrieval", "audio-to-visual"]}, "synthetic cannot show audio-to-visual"),
        ({"settings": 5, "quick": True}, "give --settings or --quick"),
        ({"match": "everything"}, "choices: published"),
        (
            {"match": "published", "claims": ["recommend-detail"]},
            "states no numbers on synthetic, sub-clusters",
        ),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_trains(given, said, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "run_group", lambda *_: pytest.fail("something was trained"))
    monkeypatch.setattr(running, "price", lambda *_, **__: pytest.fail("something was tried"))
    with pytest.raises(LosscopeError, match=said):
        running.multiverse(**{"paper": "zeng2025", "out": tmp_path / "store", **given})


# A small multiverse, trained


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("store")
    said = []
    found = running.multiverse(
        SMALL, settings=4, seeds=2, engine="here", match="published", out=out, say=said.append
    )
    return found, out, said


def again(out, settings=4, **more):
    return prepare(SMALL, settings=settings, seeds=2, engine="here", out=out, **more)


def naive(store, laid, member, measure):
    """A measure of a loss at a setting by seed, from the files of its runs."""
    values = []
    for run_id in laid.runs[member]:
        head = json.loads((store.root / "runs" / run_id / "run.json").read_text())
        values.append({**head["measures"]["test"], **head["measures"]["train"]}[measure])
    return values


def test_universes_are_loops_over_the_stored_runs(done):
    _, out, _ = done
    planned = again(out)
    (laid,) = planned.laid
    found = reading.table(laid, planned.store, reading.asked_of(laid.world.claims))
    wider, decay, late, both = reading.universes(laid, found)
    for place, setting in enumerate(laid.settings):
        triplet, contrastive = Member(setting.number, "triplet"), Member(setting.number, "contrastive")
        twin = Member(setting.number, "contrastive", True)
        for seed in range(2):
            a, b, luck = (
                naive(planned.store, laid, member, "intra_variance")[seed]
                for member in (triplet, contrastive, twin)
            )
            assert wider.effects[place, seed] == pytest.approx(math.log(a / b))
            assert wider.null[place, seed] == pytest.approx(math.log(b / luck))
            a, b = (
                naive(planned.store, laid, member, "recall_at_1")[seed] for member in (triplet, contrastive)
            )
            assert both.effects[place, seed] == pytest.approx(b - a)
            late_means = []
            for member in (triplet, contrastive):
                folder = planned.store.root / "runs" / laid.runs[member][seed]
                rows = pd.read_parquet(folder / "trace.parquet")
                rows = rows[(rows["name"] == "hard_share") & (rows["epoch"] > laid.epochs[place] / 2)]
                late_means.append(rows["value"].mean())
            assert late.effects[place, seed] == pytest.approx(late_means[0] - late_means[1])
            a, b = (
                naive(planned.store, laid, member, "epochs_to_90")[seed] for member in (triplet, contrastive)
            )
            a, b = (laid.epochs[place] + 1 if value is None else value for value in (a, b))
            assert decay.effects[place, seed] == pytest.approx(math.log(a / b))
    assert (wider.delta, both.delta) == (pytest.approx(min(math.log(1.1), math.log(2.4) / 4)), 0.01)
    assert (wider.direction, late.direction, both.pair) == (1, -1, ("contrastive", "triplet"))
    assert wider.paper == 0 and wider.settings[0] == "paper" and wider.cells.tolist() == [0, 1, 1, 1, 2]
    for place, axis in enumerate(laid.space.axes):
        kept = [setting.values[place] for setting in laid.settings]
        shown = wider.choices[axis.name]
        assert shown.tolist() == (kept if shown.dtype.kind == "f" else list(map(wording.named, kept)))


def test_competent_settings_are_near_the_best_of_each_loss_on_the_same_data(done, monkeypatch):
    _, out, _ = done
    planned = again(out)
    (laid,) = planned.laid
    found = reading.table(laid, planned.store, reading.asked_of(laid.world.claims))
    means = {}
    for loss in PAIR:
        means[loss] = []
        for setting in laid.settings:
            last = []
            for run_id in laid.runs[Member(setting.number, loss)]:
                rows = pd.read_parquet(planned.store.root / "runs" / run_id / "trace.parquet")
                rows = rows[(rows["split"] == "validation") & (rows["name"] == "recall_at_1")]
                last.append(rows.sort_values("epoch")["value"].iloc[-1])
            means[loss].append(np.mean(last))
    assert found.competent(PAIR) is None, "five settings are too few to know how far a loss can get"
    (outliers,) = [place for place, axis in enumerate(laid.space.axes) if axis.name == "outliers"]
    (noise,) = [place for place, axis in enumerate(laid.space.axes) if axis.name == "label_noise"]
    data = [(setting.values[noise], setting.values[outliers]) for setting in laid.settings]
    assert len(set(data)) > 1 and max(map(data.count, data)) >= 3
    monkeypatch.setattr(reading, "LIKE", 3)
    wanted = []
    for place, chosen in enumerate(data):
        alike = [other for other in range(len(data)) if data[other] == chosen]
        best = {loss: max(means[loss][other] for other in alike) for loss in PAIR}
        near = all(means[loss][place] >= best[loss] - 0.01 for loss in PAIR)
        wanted.append(near and len(alike) >= 3)
    assert found.competent(PAIR).tolist() == wanted


def test_a_loss_that_is_at_its_best_under_more_noise_is_competent():
    """Ten settings on clean labels reach .9 at best, ten on noisy ones .6, nine on others are not judged."""
    means = np.array([0.9] * 5 + [0.5] * 5 + [0.6] * 4 + [0.59] * 2 + [0.4] * 3 + [np.nan] + [0.9] * 9)
    data = ((0.0,),) * 10 + ((0.2,),) * 10 + ((0.1,),) * 9
    found = reading.Table({}, {"a": means[:, None], "b": np.full((29, 1), 0.7)}, np.full(29, 20), data)
    near = [True] * 5 + [False] * 5 + [True] * 6 + [False] * 13
    assert found.competent(("a", "b")).tolist() == near


def test_the_result_is_the_claims_and_the_match(done):
    result, out, said = done
    assert [claim.claim for claim in result.claims] == ["wider", "decay", "late", "both"]
    assert (result.settings, result.cells, result.seeds_each) == (4, 2, 2)
    assert any("30 runs in" in sentence and "0 stored" in sentence for sentence in said)
    (found,) = result.matches
    assert found.data == "synthetic" and len(found.numbers) == 2 and found.summary
    assert "None of 5 settings" in found.summary[0] or found.together
    assert {axis.name for axis in result.space} == {axis.name for axis in declared.ON_VECTORS}
    kept = Store(out, create=False).read_json("multiverses/zeng2025-synthetic/result.json")
    assert kept == result.model_dump(mode="json")
    assert (out / "multiverses/zeng2025-synthetic/report.html").is_file()


def test_a_second_call_trains_nothing_and_more_settings_train_only_those(done, monkeypatch):
    result, out, _ = done
    trained = []
    monkeypatch.setattr(launch, "run_group", lambda group, *_: trained.append(group))
    same = running.run(again(out), match=True)
    assert not trained and same.claims == result.claims and same.matches == result.matches
    plan, _ = running.foresee(again(out, settings=7), dry=True)
    assert (plan.runs, plan.runs_left) == (8 * 6, 3 * 6) and plan.seconds > 0
    stored = again(out).ids
    assert set(stored) <= set(again(out, settings=7).ids)


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    out = tmp_path / "store"
    plan, _ = running.foresee(prepare(SMALL, settings=2, seeds=1, out=out, dry=True), dry=True)
    assert not out.exists() and plan.runs == plan.runs_left == 9 and plan.seconds > 0
    assert "9 runs in" in plan.said


def test_a_run_that_failed_is_no_value_and_not_a_late_epoch(done, tmp_path):
    _, out, _ = done
    planned = again(out)
    (laid,) = planned.laid
    member = Member(1, "triplet")
    store = Store(tmp_path / "copy")
    for each in planned.populations:
        for run_id, run in zip(each.group.ids, each.group.runs):
            kept = planned.store.get(run_id)
            record = Record(run, measures={k: dict(v) for k, v in kept.measures.items()})
            if run_id == laid.runs[member][0]:
                record = Record(run, status="diverged", reason="planted")
            if run_id == laid.runs[member][1]:
                record.measures["train"]["epochs_to_90"] = math.nan
            if run_id == laid.runs[Member(1, "contrastive")][1]:
                record.measures["train"]["epochs_to_90"] = 3.0
            store.add(run_id, record)
    found = reading.table(laid, store, [reading.Asked("epochs_to_90"), reading.Asked("knn_accuracy")])
    assert np.isnan(found.of("triplet", "epochs_to_90")[1, 0])
    assert np.isposinf(found.of("triplet", "epochs_to_90")[1, 1])
    effects = found.effects("triplet", "contrastive", reading.Asked("epochs_to_90"))
    assert np.isnan(effects[1, 0]) and effects[1, 1] > 0


# The match with published numbers


def planted(rows):
    """A table of one loss's gradient norm and a ratio of variances, (S, n) each."""
    norm, ratio = (np.array(own, dtype=float) for own in rows)
    values = {
        reading.Column("triplet", False, "gradient_norm"): norm,
        reading.Column("triplet", False, "intra_variance"): ratio,
        reading.Column("contrastive", False, "intra_variance"): np.ones_like(ratio),
    }
    return reading.Table(values, {}, np.full(len(norm), 100), ((),) * len(norm))


def test_a_match_is_a_prediction_interval_that_is_narrow_enough(done):
    _, out, _ = done
    (laid,) = again(out, settings=3).laid
    norm = [[0.26, 0.27, 0.28], [0.2, 0.27, 0.35], [0.5, 0.51, 0.52], [0.25, 0.26, np.nan]]
    ratio = [[2.3, 2.4, 2.5], [2.3, 2.4, 2.5], [2.39, 2.4, 2.41], [1.0, 1.01, 1.02]]
    found = matching.match(laid, planted((norm, ratio)), SMALL.stated)
    for number, rows, value in (
        (found.numbers[0], norm, 0.27),
        (found.numbers[1], np.log(ratio), math.log(2.4)),
    ):
        held = [stats.published_value(row, value) for row in rows if np.isfinite(row).all()]
        assert number.inside == sum(own.inside for own in held)
        assert number.matches == sum(
            own.inside and (own.high - own.low) / 2 <= abs(value) / 4 for own in held
        )
    assert (found.numbers[0].inside, found.numbers[0].matches, found.together) == (2, 1, 1)
    assert found.chance == pytest.approx(4 * (found.numbers[0].matches / 4) * (found.numbers[1].matches / 4))
    assert [near.id for near in found.nearest] == ["paper", "0001", "0002"]
    assert found.nearest[2].off == pytest.approx(0.51 / 0.27) and found.nearest[2].worst == 0
    assert "gives all 2" in found.summary[0] or "give all 2" in found.summary[0]


def test_chance_takes_the_number_of_another_setting(done):
    _, out, _ = done
    (laid,) = again(out, settings=3).laid
    norm = [[0.26, 0.27, 0.28], [0.27, 0.275, 0.28], [0.5, 0.51, 0.52], [0.26, 0.2605, 0.261]]
    found = matching.match(laid, planted((norm, norm)), SMALL.stated[:1])
    hits = []
    for other, row in enumerate(norm):
        value = np.mean(row)
        own = [stats.published_value(each, value) for place, each in enumerate(norm) if place != other]
        hits.append(sum(each.inside and (each.high - each.low) / 2 <= value / 4 for each in own))
    assert sum(hits) > 0
    assert found.numbers[0].chance == pytest.approx(np.mean(hits) * 4 / 3)


def test_the_command_prints_its_price(tmp_path, capsys):
    asked = ["multiverse", "--settings", "1", "--seeds", "1", "--claim", "retrieval", "--dry-run", "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*asked, "--out", str(tmp_path / "store")])
    assert ended.value.code == 0
    plan = json.loads(capsys.readouterr().out)
    assert running.settings_of(None, quick=True) == 60
    assert plan["runs"] == 2 * 3 and plan["worlds"][0]["claims"] == ["retrieval"]
    assert not (tmp_path / "store").exists()


def test_the_docs_have_the_space_as_it_is_declared(monkeypatch):
    docs = Path(__file__).parents[1] / "docs"
    monkeypatch.syspath_prepend(str(docs))
    tables = importlib.import_module("making.settings").tables()
    assert tables in (docs / "multiverse.md").read_text(encoding="utf-8")
    assert all(axis.name in tables for space in declared.SPACES for axis in space.axes)


# A comparison of one's own


def test_a_studys_own_seeds_are_not_those_of_each_setting_and_this_is_said(tmp_path):
    made = own.prepare(study(tmp_path, seeds=7), settings=1, seeds=None, dry=True)
    assert made.seeds == SEEDS == 3
    (note,) = made.notes
    assert note.startswith("the 7 seeds of the study are not used: each setting has 3")
    assert not own.prepare(study(tmp_path, seeds=3), settings=1, seeds=None, dry=True).notes
    assert not own.prepare(study(tmp_path), settings=1, seeds=None, dry=True).notes  # it says none
    given = own.prepare(study(tmp_path, seeds=7), settings=1, seeds=4, dry=True)
    assert given.seeds == 4 and not given.notes


def study(out, **more):
    given = {"data": "digits", "losses": "contrastive,triplet(margin=0.2)", "epochs": 4, "engine": "here"}
    return Study.of(**{**given, "out": str(out), **more})


def test_the_settings_around_a_study_are_its_own_and_what_its_losses_declare(tmp_path):
    given = study(tmp_path / "store")
    (laid,) = own.prepare(given, settings=3, seeds=1, dry=True).laid
    axes = {axis.name: axis for axis in laid.space.axes}
    assert "contrastive.margin" in axes and "contrastive.reduction" in axes
    assert "triplet.margin" not in axes  # it was given
    runs = planning.plan(given.model_copy(update={"tune": False}), create=False).study.runs()
    for loss in PAIR:
        wanted = next(run for run in runs if run.loss.name == loss and run.seed == 0)
        base = planning.plan(given, create=False).study.protocol
        found = laid.space.run_of(laid.settings[0], loss, 0, base, wanted.data)
        assert found == wanted
        assert all(
            laid.space.loss_of(setting, "triplet").hyperparameters["margin"] == 0.2
            for setting in laid.settings
        )


def test_a_study_as_a_multiverse_says_which_loss_is_better(tmp_path):
    found = running.multiverse(study(tmp_path), settings=1, seeds=2)
    (claim,) = found.claims
    assert (claim.a, claim.b, claim.measure, claim.data) == (*PAIR, "recall_at_1", "digits")
    assert found.paper is None and " --seeds 2 " in found.provenance.command
    assert found.provenance.command.endswith("--multiverse 1")
    assert len(list((tmp_path / "multiverses").glob("*/report.html"))) == 1


@pytest.mark.parametrize(("given", "seeds"), [([], 3), (["--seeds", "2"], 2)])
def test_compare_hands_its_seeds_to_a_multiverse(given, seeds, tmp_path, capsys):
    words = [
        "compare",
        "digits",
        "--losses",
        "contrastive,triplet",
        "--multiverse",
        "1",
        "--dry-run",
        "--json",
    ]
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, *given, "--epochs", "1", "--out", str(tmp_path / "store")])
    assert (ended.value.code, json.loads(capsys.readouterr().out)["seeds"]) == (0, seeds)


def test_an_option_that_a_multiverse_has_not_is_refused(tmp_path, capsys):
    words = ["compare", "digits", "--losses", "contrastive,triplet", "--multiverse", "1", "--budget", "60s"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--out", str(tmp_path / "store")])
    assert ended.value.code == 2 and "a multiverse has no --budget" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_each_axis_names_its_data_where_spaces_differ(done):
    _, out, _ = done
    (laid,) = again(out).laid
    assert {axis.data for axis in running.space_of([laid])} == {()}
    birds = replace(laid, space=declared.SPACES[1], world=replace(laid.world, label="birds"))
    made = list(running.space_of([laid, birds]))
    of = {(axis.name, axis.data): axis.values for axis in made}
    assert of["outliers", ("synthetic",)] and of["embedding_size", ("birds",)][-1] == "256"
    assert of["tuples", ()] and ("tuples", ("birds",)) not in of
    names = [axis.name for axis in made]
    assert names == sorted(names, key=names.index), "what is called alike stands together"


def test_a_claim_without_a_value_is_named(done):
    result, out, _ = done
    planned = again(out)
    assert not any("No setting has a value" in note for note in result.notes)
    assert (
        list(running._notes(planned, result.claims[1:]))[-1]
        == "No setting has a value for wider on synthetic."
    )


def test_folders_of_long_names_differ_and_the_order_of_claims_is_no_name(done):
    _, out, _ = done
    named = [
        running.name_of(again(out, claims=claims)) for claims in (["wider", "decay"], ["decay", "wider"])
    ]
    assert named == ["zeng2025-synthetic-wider-decay"] * 2
    planned = again(out)
    long = [replace(planned.laid[0].world, label=f"{'data ' * 30}{end}") for end in "ab"]
    names = {running.name_of(replace(planned, laid=(replace(planned.laid[0], world=w),))) for w in long}
    assert len(names) == 2 and max(map(len, names)) < 120


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"losses": "triplet"}, "triplet is the only loss given"),
        ({"losses": "triplet(margin=0.1),triplet(margin=0.2)"}, "the loss triplet is given twice"),
        ({"losses": "triplet,raw"}, "'raw' is no loss: raw and untrained stand beside"),
        ({"model": "convnet"}, "trained by convnet; a multiverse is of vectors or features"),
    ],
)
def test_a_study_that_cannot_be_varied_is_refused(given, said, tmp_path):
    with pytest.raises(LosscopeError, match=said):
        own.prepare(study(tmp_path / "store", **given), settings=2, seeds=1, dry=True)
    assert not (tmp_path / "store").exists()


def test_an_address_that_is_none_is_refused_before_any_population_is_tried(tmp_path):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    given, said = study(tmp_path, engine="dask", address="nowhere"), []
    with pytest.raises(LosscopeError, match="'nowhere' is no address of a Dask scheduler"):
        running.multiverse(given, settings=1, seeds=1, say=said.append)
    assert not said and not list(tmp_path.glob("runs/*"))


def test_a_run_may_have_the_data_of_another_seed(tmp_path):
    made = planning.plan(
        Study.of(data="synthetic", protocol="paper", options=dict(SMALL.cells[0].options), out=str(tmp_path))
    )
    (first,) = (run for run in made.runs if run.loss.name == "raw" and run.seed == 0)
    assert "data_seed" not in first.canonical()
    runs = [first, *(first.model_copy(update={"seed": 5, "data_seed": seed}) for seed in (None, 0))]
    ids = [made.identify(run) for run in runs]
    assert len(set(ids)) == 3
    for run, run_id in zip(runs, ids):
        launch.run_group(launch.Group((run,), (run_id,), made.where))
    own, other, same = (made.store.get(run_id).measures["test"]["recall_at_1"] for run_id in ids)
    assert own == same != other
