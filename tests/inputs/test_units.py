"""``judge`` where something else than a seed pairs the runs, on several measures and data sets, in Python."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from scipy.stats import t as student

import losscope
from cli_fixture import typed
from losscope import stats
from losscope.cli.output import terminal
from losscope.core.errors import LosscopeError

DATA = ("birds", "cars", "cub", "inshop", "mnist", "sop", "speech")
LOSSES = {"triplet": 0.03, "contrastive": 0.0, "sup_con": 0.029}


def flips(differences: list[float]) -> float:
    """The two-sided p of all sign flips of the mean, one by one."""
    seen = abs(math.fsum(differences)) - 1e-12
    signs = itertools.product((1, -1), repeat=len(differences))
    found = [abs(math.fsum(s * d for s, d in zip(own, differences))) >= seen for own in signs]
    return sum(found) / len(found)


def holm(ps: list[float]) -> list[float]:
    made, largest = [0.0] * len(ps), 0.0
    for step, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - step) * ps[place]))
        made[place] = largest
    return made


def refusal(runs: object, labels: object = None, **options: object) -> str:
    with pytest.raises(LosscopeError) as caught:
        losscope.judge(runs, labels, **options)
    return str(caught.value)


def scores(data: tuple[str, ...] = DATA, seeds: int = 8) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    rows = [
        (loss, name, seed, 0.6 + up + 0.02 * place + draw.normal(0, 0.004), 0.3 + up + draw.normal(0, 0.01))
        for loss, up in LOSSES.items()
        for place, name in enumerate(data)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["loss", "dataset", "seed", "Recall@1", "mAP@10"])


def means(frame: pd.DataFrame, loss: str, measure: str) -> list[float]:
    own = frame[frame["loss"] == loss]
    return [float(own[own["dataset"] == name][measure].mean()) for name in sorted(set(frame["dataset"]))]


# --- several data sets and several measures --------------------------------------------------------


def test_several_data_sets_are_judged_each_and_together():
    frame = scores()
    result = losscope.judge(frame)
    assert (result.paired_by, result.units) == ("data set", DATA)
    rows = result.verdicts()
    naive = []
    for row in rows:
        mine, other = (means(frame, side, "Recall@1") for side in (row.a, row.b))
        differences = [x - y for x, y in zip(mine, other)]
        naive.append(flips([d / row.delta for d in differences]))
        assert row.p == pytest.approx(naive[-1])
        assert row.difference == pytest.approx(np.mean(differences))
        assert (row.scope, row.n) == ("units_like_these", 7)
    assert [row.p_holm for row in rows] == pytest.approx(holm(naive))
    assert [row.verdict for row in rows] == ["higher", "higher"]
    assert [own.name for own in result.by_data] == list(DATA)
    for own in result.by_data:
        part = frame[frame["dataset"] == own.name]
        alone = losscope.judge(part.drop(columns="dataset")).verdicts()
        assert [row.p_holm for row in own.rows] == [row.p_holm for row in alone]
        assert [row.sentence for row in own.rows] == [row.sentence for row in alone]
    assert len(result.on_each) == 2 and "better on 7 of 7" in result.on_each[0]


def test_a_family_of_data_sets_counts_once():
    frame = scores()
    family = {"birds": "animals", "cub": "animals"}
    frame["family"] = [family.get(name, name) for name in frame["dataset"]]
    result = losscope.judge(frame)
    row = result.verdicts()[0]
    mine, other = (dict(zip(sorted(DATA), means(frame, side, "Recall@1"))) for side in (row.a, row.b))
    own = [mine[name] - other[name] for name in DATA if name not in family]
    own.append((mine["birds"] - other["birds"] + mine["cub"] - other["cub"]) / 2)
    assert (row.n, row.paired_by) == (6, "data set family")
    assert row.p == pytest.approx(flips(own)) and row.difference == pytest.approx(np.mean(own))


def test_by_ratio_a_family_is_the_mean_of_its_log_ratios():
    rows = [
        (loss, name, name[0], value)
        for loss, up in (("a", 1.5), ("b", 1.0))
        for name, value in (("x1", up), ("x2", 4 * up**2), ("y", 2 * up), ("z", up))
    ]
    frame = pd.DataFrame(rows, columns=["loss", "dataset", "family", "intra_variance"])
    row = losscope.judge(frame, measure="intra_variance").verdicts()[0]
    log = math.log(1.5)
    assert row.a == "b" and row.scale == "log_ratio"
    assert row.difference == pytest.approx(-((log + 2 * log) / 2 + log + log) / 3)


def test_fewer_than_six_families_decide_nothing_together():
    result = losscope.judge(scores(DATA[:5]), reference="contrastive")
    assert {row.verdict for row in result.verdicts()} == {"too_few_seeds"}
    assert "5 data sets cannot be tested together: that wants at least 6 families." in result.notes
    assert "5 data sets are too few" in result.recommendation.sentences[0]
    assert {row.verdict for own in result.by_data for row in own.rows} == {"higher"}


def test_an_empty_family_is_a_data_set_of_its_own():
    frame = scores(DATA[:6], seeds=2).assign(family="")
    assert losscope.judge(frame).verdicts()[0].n == 6


def test_folds_of_several_data_sets_are_described_on_each_and_tested_together():
    frame = scores(DATA, seeds=5).rename(columns={"seed": "fold"})
    result = losscope.judge(frame)
    assert {row.verdict for row in result.verdicts()} == {"higher"}
    assert {row.scope for own in result.by_data for row in own.rows} == {"these_folds"}
    assert "described on 7 of 7" in result.on_each[0]


def test_data_sets_without_seeds_have_no_verdict_of_their_own():
    result = losscope.judge(scores(seeds=1).drop(columns="seed"))
    assert result.by_data == ()
    assert result.verdicts()[0].scope == "these_models"


def test_several_measures_are_one_family():
    frame = scores(DATA[:1], seeds=8).drop(columns="dataset")
    result = losscope.judge(frame, measure=["mAP@10", "Recall@1"])
    rows = result.verdicts()
    assert [(row.measure, row.a) for row in rows] == [
        ("mAP@10", "triplet"),
        ("mAP@10", "sup_con"),
        ("recall_at_1", "triplet"),
        ("recall_at_1", "sup_con"),
    ]
    naive = []
    for row in rows:
        column = "Recall@1" if row.measure == "recall_at_1" else row.measure
        x, y = (frame[frame["loss"] == side][column].to_numpy() for side in (row.a, row.b))
        naive.append(flips(list(x - y)))
    assert [row.p_holm for row in rows] == pytest.approx(holm(naive))
    assert {row.tests_in_family for row in rows} == {4}
    assert result.recommendation.measure == "mAP@10"
    assert "mAP@10" in result.page() and "mAP@10" in result.table("md")
    assert losscope.judge(frame, measure="mAP@10").verdicts()[0].tests_in_family == 2


def test_an_indifference_is_held_against_the_measure_that_decides():
    frame = scores(DATA[:1], seeds=8).drop(columns="dataset").assign(intra_variance=lambda own: own["mAP@10"])
    result = losscope.judge(frame, measure="intra_variance", indifference=0.6)
    assert {row.delta for row in result.verdicts()} == {0.6}
    said = refusal(frame, measure="mAP@10", indifference=0.6)
    assert said == "the indifference is 0.6; wanted: below 0.5, since mAP@10 lies between 0 and 1"


# --- the group of the best and the matrix ------------------------------------------------------------


def test_the_group_of_the_best_is_what_no_corrected_test_puts_out():
    frame = scores(DATA[:1], seeds=8).drop(columns="dataset")
    result = losscope.judge(frame)
    group = result.group
    values = {name: own["Recall@1"].to_numpy() for name, own in frame.groupby("loss")}
    best = max(values, key=lambda name: values[name].mean())
    out = [
        name
        for name in values
        if name != best and 2 * flips(list(values[best] - values[name])) <= group.alpha
    ]
    assert (group.best, group.out, group.tests) == (best, tuple(out), 2)
    assert set(group.members) == set(values) - set(out) and out == ["contrastive"]
    assert "shown worse than" in result.table("text")
    pairs = {(pair.a, pair.b): pair for pair in result.matrix}
    assert len(pairs) == 3
    for (a, b), pair in pairs.items():
        assert pair.difference == pytest.approx((values[a] - values[b]).mean())
        assert pair.tested == ("contrastive" in (a, b))


def test_what_is_equivalent_to_the_best_is_in_its_group():
    """A difference of .002 that every seed shows, where .01 does not matter: one word for it everywhere."""
    draw = np.random.default_rng(0)
    base = {"best": 0.9, "near": 0.898, "far": 0.85}
    rows = [
        (name, seed, mean + 0.002 * draw.normal() * (name == "far") + 0.01 * (seed % 3))
        for name, mean in base.items()
        for seed in range(10)
    ]
    result = losscope.judge(pd.DataFrame(rows, columns=["loss", "seed", "Recall@1"]), reference="best")
    verdicts = {row.a if row.b == "best" else row.b: row.verdict for row in result.verdicts()}
    assert verdicts["near"] == "equivalent"
    assert (result.group.members, result.group.out) == (("best", "near"), ("far",))
    assert "best and near; shown worse than best: far" in result.page()
    assert result.group.tests == 2 and all(
        measure.split is None for side in result.losses for measure in side.measures.values()
    )
    assert " on test" not in result.page() and "(test)" not in result.page()


def test_too_few_runs_put_nobody_out():
    group = losscope.judge(scores(DATA[:1], seeds=3).drop(columns="dataset")).group
    assert (group.able, len(group.members), group.out) == (False, 3, ())


# --- units of any kind ---------------------------------------------------------------------------------


def speakers(seeds: int = 1) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    rows = [
        (model, f"s{place}", seed, 0.1 + up + 0.01 * place + draw.normal(0, 0.002))
        for model, up in (("a", 0.0), ("b", 0.03))
        for place in range(10)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["model", "speaker", "seed", "eer"])


def test_speakers_pair_one_model_a_side():
    result = losscope.judge(speakers().drop(columns="seed"), measure="EER")
    row = result.verdicts()[0]
    assert (row.verdict, row.better, row.n, row.paired_by) == ("higher", "b", 10, "speaker")
    assert row.scope == "these_models"
    assert row.sentence.endswith("10 paired speakers, these two models on speakers like these).")
    assert "Runs are paired by the column 'speaker'; --unit names another." in result.notes


def test_seeds_of_a_unit_are_averaged_and_said():
    frame = speakers(seeds=3)
    result = losscope.judge(frame, measure="EER", unit="Speaker")
    row = result.verdicts()[0]
    mean = frame.groupby(["model", "speaker"])["eer"].mean()
    differences = [mean["b", f"s{place}"] - mean["a", f"s{place}"] for place in range(10)]
    assert row.difference == pytest.approx(np.mean(differences))
    assert (row.n, row.scope) == (10, "units_like_these")
    assert "Each value is the mean over the runs of a speaker." in result.notes


def test_a_unit_of_any_name_is_called_by_it():
    frame = speakers().rename(columns={"speaker": "recording_site"}).drop(columns="seed")
    row = losscope.judge(frame, measure="EER", unit="recording_site").verdicts()[0]
    assert "10 paired recording sites" in row.sentence


def test_folds_that_are_named_as_the_unit_are_described():
    frame = speakers().rename(columns={"speaker": "fold"}).drop(columns="seed")
    result = losscope.judge(frame, measure="EER", unit="fold")
    assert {row.verdict for row in result.verdicts()} == {"not_comparable"}
    assert result.verdicts()[0].scope == "these_folds"


LACKING = speakers(seeds=2).drop(index=3)
REFUSED = {
    "a column that is not there": (speakers(), {"unit": "speakers"}, "unknown column of the data frame"),
    "two units": (
        speakers().assign(query=range(20)).drop(columns="seed"),
        {},
        "speaker and query may each be what pairs the runs; name one with --unit",
    ),
    "a unit that one model lacks": (
        speakers().drop(columns="seed").iloc[:-1],
        {"measure": "EER"},
        "'b' lacks the speaker 's9' that others have",
    ),
    "a seed of a unit that one model lacks": (
        LACKING,
        {"measure": "EER", "unit": "speaker"},
        "'a' lacks seed 1 of the speaker 's1' that others have",
    ),
    "a unit twice": (
        pd.concat([speakers(), speakers()]).drop(columns="seed"),
        {"measure": "EER"},
        "has eer of a, s0, more than once",
    ),
    "the values as the unit": (speakers(), {"unit": "model"}, "names the runs or their values"),
    "a family of speakers": (
        speakers().drop(columns="seed"),
        {"family": "speaker"},
        "a speaker has no family of data sets",
    ),
    "a measure that no run has": (
        speakers().drop(columns="seed"),
        {"measure": ["EER", "Recall@1"]},
        "no run has the measure 'recall_at_1'; they have eer",
    ),
    "families where seeds pair": (
        scores(DATA[:1]),
        {"family": "dataset"},
        "goes with data sets, and seeds pair",
    ),
    "units that are unpaired": (
        speakers().drop(columns="seed"),
        {"measure": "EER", "unpaired": True},
        "the runs are paired by speaker; leave out --unpaired",
    ),
    "tasks and data sets": (
        scores(DATA[:2]).assign(task=lambda own: own["dataset"]),
        {},
        "or pair the runs by it with --unit",
    ),
    "no rows": (speakers().iloc[:0], {}, "the data frame has no rows"),
    "no table": (3, {}, "cannot judge a int; wanted: a data frame"),
    "columns of two lengths": ({"loss": ["a"], "seed": [0, 1]}, {}, "the dict holds loss (1,), seed (2,)"),
    "several measures, one unknown": (
        speakers().drop(columns="seed"),
        {"measure": ["EER", "magic"]},
        "unknown measure 'magic'",
    ),
    "seeds that repeat for each speaker": (speakers(), {}, "or --unit speaker to pair the runs by it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_does_not_pair_is_refused(name):
    frame, options, words = REFUSED[name]
    assert words in refusal(frame, **options)


@pytest.mark.parametrize("options", ["--unit speakers", "--family speaker", "--measure magic --measure eer"])
def test_on_the_command_line_it_is_one_sentence_and_code_2(options, tmp_path, capsys):
    speakers().drop(columns="seed").to_csv(tmp_path / "eer.csv", index=False)
    code, said = typed(f"judge {tmp_path / 'eer.csv'} {options}", capsys)
    assert code == 2 and said.startswith("losscope: ") and said.count("\n") == 1


# --- one run a side ------------------------------------------------------------------------------------


def queries(classes: int = 30, each: int = 10) -> pd.DataFrame:
    draw = np.random.default_rng(7)
    hard = draw.normal(0, 0.1, classes)
    rows = [
        (model, f"q{row}", row // each, float(draw.random() < share + hard[row // each]))
        for model, share in (("a", 0.7), ("b", 0.5))
        for row in range(classes * each)
    ]
    return pd.DataFrame(rows, columns=["model", "query", "class", "recall_at_1"])


@pytest.mark.parametrize(("classes", "each"), [(30, 10), (20, 7), (12, 20), (2, 60)])
def test_one_run_a_side_is_held_over_classes_or_items(classes, each):
    frame = queries(classes, each)
    row = losscope.judge(frame, reference="a").verdicts()[0]
    a, b = (frame[frame["model"] == name]["recall_at_1"].to_numpy() for name in "ab")
    d, label = b - a, np.arange(classes * each) // each
    if classes >= 20:
        without = [d[label != own].mean() for own in range(classes)]
        v = (classes - 1) / classes * sum((x - np.mean(without)) ** 2 for x in without)
        freedom, scope, unit = classes - 1, "these_models", "class"
    else:
        v = sum((each / len(d)) ** 2 * d[label == own].var(ddof=1) / each for own in range(classes))
        freedom, scope, unit = len(d) - classes, "these_classes", "item"
    half = student.ppf(0.975, freedom) * math.sqrt(v)
    assert (row.scope, row.unit) == (scope, unit)
    assert row.difference == pytest.approx(d.mean())
    assert (row.low_data, row.high_data) == pytest.approx((d.mean() - half, d.mean() + half))
    wider = student.ppf(1 - row.alpha / 2, freedom) * math.sqrt(v)
    assert (row.low, row.high) == pytest.approx((d.mean() - wider, d.mean() + wider))
    assert row.p == pytest.approx(2 * student.sf(abs(d.mean()) / math.sqrt(v), freedom))
    item = student.ppf(0.975, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    assert (row.low_items, row.high_items) == pytest.approx((d.mean() - item, d.mean() + item))
    assert (row.a, row.verdict, row.better) == ("b", "lower", "b")
    assert "these two models" in row.sentence


def test_items_without_a_class_stand_alone():
    row = losscope.judge(queries().drop(columns="class")).verdicts()[0]
    assert (row.unit, row.n, row.scope) == ("item", 300, "these_models")


def test_few_items_that_differ_decide_nothing():
    frame = queries(2, 3)
    frame["recall_at_1"] = [1.0] * 6 + [1.0] * 5 + [0.0]
    row = losscope.judge(frame).verdicts()[0]
    assert row.p == 1.0 and row.verdict == "unresolved"
    alike = queries(3, 20)
    alike["recall_at_1"] = 1.0
    assert losscope.judge(alike).verdicts()[0].verdict in ("unresolved", "too_few_seeds")
    many = queries(60, 20)
    many["recall_at_1"] = 1.0
    assert losscope.judge(many).verdicts()[0].verdict == "equivalent"


def test_several_models_are_corrected_together_and_items_must_agree():
    frame = queries()
    third = frame[frame["model"] == "b"].assign(model="c")
    rows = losscope.judge(pd.concat([frame, third]), reference="c").verdicts()
    assert [row.tests_in_family for row in rows] == [2, 2]
    assert rows[0].p_holm == pytest.approx(2 * rows[0].p)
    assert rows[1].difference == 0 and rows[1].p == 1
    assert "recall_at_1 of b has 299 of 300 items" in refusal(frame.iloc[:-1])


def test_saved_embeddings_of_one_run_a_side_are_two_models(tmp_path):
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(25), 8)
    centres = draw.normal(size=(25, 8))
    noise = draw.normal(size=(200, 8))
    made = {"a": 2 * centres[labels] + noise, "b": centres[labels] + noise}
    for name, points in made.items():
        np.savez(tmp_path / f"{name}-0.npz", embeddings=points.astype("f4"), labels=labels)
    row = losscope.judge(f"{tmp_path}/{{loss}}-{{seed}}.npz").verdicts()[0]
    assert (row.scope, row.unit, row.verdict) == ("these_models", "class", "lower")
    given = losscope.judge({name: points.astype("f4") for name, points in made.items()}, labels)
    assert given.verdicts()[0].sentence == row.sentence
    pair = losscope.inspect(made["a"], labels, against=made["b"]).change("recall_at_1")
    assert (row.low_data, row.high_data) == pytest.approx((pair.class_low, pair.class_high), abs=1e-6)


# --- Python --------------------------------------------------------------------------------------------


def test_frames_of_every_library_give_the_same_answer(tmp_path):
    frame = scores(DATA[:2])
    frame.to_csv(tmp_path / "scores.csv", index=False)
    wanted = losscope.judge(tmp_path / "scores.csv")
    others = {
        "pandas": frame,
        "polars": polars.from_pandas(frame),
        "lazy": polars.from_pandas(frame).lazy(),
        "pyarrow": pyarrow.Table.from_pandas(frame),
        "dict": frame.to_dict("list"),
        "arrays": {name: column.to_numpy() for name, column in frame.items()},
    }
    for name, given in others.items():
        found = losscope.judge(given)
        assert found.paired == wanted.paired and found.by_data == wanted.by_data, name


def test_embeddings_in_python_are_those_of_files():
    draw = np.random.default_rng(1)
    labels = [f"class {k}" for k in np.repeat(np.arange(5), 12)]
    centres = np.repeat(draw.normal(size=(5, 6)), 12, axis=0)
    a = np.stack([2 * centres + draw.normal(size=(60, 6)) for _ in range(6)])
    b = [centres + draw.normal(size=(60, 6)) for _ in range(6)]
    row = losscope.judge({"a": a, "b": b}, labels).verdicts()[0]
    assert (row.n, row.verdict, row.better) == (6, "lower", "b")
    one = losscope.retrieval(a[2], np.unique(labels, return_inverse=True)[1])["recall_at_1"]
    result = losscope.judge({"a": a, "b": b}, labels)
    assert result.side("a").measures["recall_at_1"].values[2] == pytest.approx(one)
    assert "have shape (6,)" in refusal({"a": np.zeros(6), "b": np.zeros(6)}, labels)
    assert "for 60 embeddings" in refusal({"a": a, "b": b}, labels[:-1])
    assert "labels come with a dict of embeddings" in refusal(a, labels)


def test_the_frame_of_a_result_is_tidy():
    frame = scores(DATA[:2])
    result = losscope.judge(frame, measure=["Recall@1", "mAP@10"])
    values = result.frame()
    assert list(values.columns) == ["on", "loss", "kind", "measure", "split", "unit", "value"]
    assert len(values) == 3 * 2 * 2 and set(values["unit"]) == set(DATA[:2])
    own = values[(values["loss"] == "triplet") & (values["measure"] == "recall_at_1")]
    assert own["value"].tolist() == pytest.approx(means(frame, "triplet", "Recall@1"))
    rows = result.frame("verdicts")
    assert len(rows) == len(result.paired) + 4 and {"a", "b", "p_holm", "verdict", "on"} <= set(rows.columns)
    with pytest.raises(LosscopeError, match="unknown kind of frame 'all'"):
        result.frame("all")


def test_what_a_mean_of_a_unit_is():
    assert stats.mean_on_scale([0.2, 0.4, 0.6], "recall_at_1") == pytest.approx(0.4)
    assert stats.mean_on_scale([1.0, 0.0], "intra_variance") is None
    assert stats.mean_on_scale([], "recall_at_1") is None


# --- values that tell nothing ----------------------------------------------------------------------


def of_seeds() -> pd.DataFrame:
    return scores(("birds",)).drop(columns=["dataset", "mAP@10"])


def test_a_value_that_is_missing_is_named():
    frame = of_seeds()
    frame.loc[(frame["loss"] == "triplet") & (frame["seed"] == 2), "Recall@1"] = np.nan
    result = losscope.judge(frame)
    assert [row.verdict for row in result.verdicts() if "triplet" in (row.a, row.b)] == ["failed"]
    assert any("recall_at_1 has no value for triplet, seed 2" in note for note in result.notes)
    assert not any("no value" in note for note in losscope.judge(of_seeds()).notes)


def test_seeds_that_repeat_one_value_are_said():
    frame = of_seeds()
    frame.loc[frame["loss"] == "triplet", "Recall@1"] = 0.7
    (note,) = [note for note in losscope.judge(frame).notes if "the same in all" in note]
    assert note.startswith("recall_at_1 of triplet is the same in all 8 seeds")
    frame.loc[frame["loss"] == "triplet", "Recall@1"] = 1.0
    assert not [note for note in losscope.judge(frame).notes if "the same in all" in note]


def test_items_have_one_class_and_those_without_a_value_are_counted():
    draw = np.random.default_rng(0)
    rows = [(model, f"q{row}", row // 4, float(draw.random() < 0.6)) for model in "ab" for row in range(80)]
    frame = pd.DataFrame(rows, columns=["model", "query", "class", "recall_at_1"])
    frame.loc[3, "recall_at_1"] = np.nan
    assert "recall_at_1 of 'q3' is there for one of b and a alone" in refusal(frame)
    frame.loc[83, "recall_at_1"] = np.nan
    notes = losscope.judge(frame).notes
    assert any("no value for 1 item of a, which are left out" in note for note in notes)
    frame.loc[80, "class"] = 7
    assert "the item 'q0' is of the class '0' for a and of '7' for b" in refusal(frame)


@pytest.mark.parametrize("words", range(12, 21))
def test_marks_of_control_characters_cut_no_word_off(capsys, words):
    terminal().print("\x1b[31m" + " ".join(f"w{place:03}" for place in range(words)))
    assert capsys.readouterr().out.split()[-1] == f"w{words - 1:03}"
