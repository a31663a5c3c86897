"""``judge`` on what trackers and MTEB write: made here by the packages themselves, or in their formats."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope.comparing.judging.names import run_named
from losscope.core.errors import LosscopeError

SEEDS = range(8)
LOSSES = {"triplet": 0.71, "contrastive": 0.68}


def value(loss: str, seed: int, step: int = 10) -> float:
    return LOSSES[loss] + 0.001 * seed + 0.01 * (step - 10)


def refusal(runs: object, **options: object) -> str:
    with pytest.raises(LosscopeError) as caught:
        losscope.judge(runs, **options)  # type: ignore[arg-type]
    return str(caught.value)


def agrees(runs: object, **options: object) -> losscope.Result:
    """The result, which has to be that of the numbers that were logged."""
    result = losscope.judge(runs, **options)  # type: ignore[arg-type]
    row = result.verdicts()[0]
    assert (row.a, row.b, row.verdict, row.n) == ("triplet", "contrastive", "higher", 8)
    assert row.difference == pytest.approx(0.03, abs=1e-6)
    assert row.p == 2 / 2**8
    return result


# --- Weights & Biases --------------------------------------------------------------------------------


def wandb_runs(**changed: object) -> pd.DataFrame:
    rows = [
        {
            "Name": f"{loss}-seed{seed}",
            "State": "finished",
            "Notes": "-",
            "User": "someone",
            "Tags": "",
            "Created": "2026-01-01T00:00:00.000Z",
            "Runtime": "120",
            "Sweep": "",
            "method": loss,
            "seed": seed,
            "loss": 0.1 + seed / 1000 + 0.0001,
            "test/recall_at_1": value(loss, seed),
        }
        for loss in LOSSES
        for seed in SEEDS
    ]
    return pd.DataFrame(rows).assign(**changed)


def test_a_table_of_runs_of_weights_and_biases_is_read(tmp_path):
    wandb_runs().to_csv(tmp_path / "runs.csv", index=False)
    result = agrees(str(tmp_path / "runs.csv"))
    assert "The column 'loss' holds values of a loss, not its name, and is not read." in result.notes


def test_the_names_of_runs_say_loss_and_seed_where_no_column_does(tmp_path):
    wandb_runs().drop(columns=["method", "seed"]).to_csv(tmp_path / "runs.csv", index=False)
    agrees(str(tmp_path / "runs.csv"))
    wandb_runs(Name="final").drop(columns=["method", "seed"]).to_csv(tmp_path / "other.csv", index=False)
    assert "the run 'final' says no loss and no seed" in refusal(str(tmp_path / "other.csv"))


def test_runs_that_crashed_are_counted_and_leave_their_pairs_without_a_partner(tmp_path):
    frame = wandb_runs()
    frame.loc[3, "State"] = "crashed"
    frame.to_csv(tmp_path / "runs.csv", index=False)
    assert "'triplet' lacks the seed 3 that others have" in refusal(str(tmp_path / "runs.csv"))
    frame = pd.concat([wandb_runs(), frame.iloc[[3]]])
    frame.to_csv(tmp_path / "again.csv", index=False)
    notes = agrees(str(tmp_path / "again.csv")).notes
    assert "1 of 17 runs did not end (crashed) and is left out." in notes


def panel(grouped: bool = False, last: int = 10) -> pd.DataFrame:
    made = {"Step": list(range(11))}
    for loss in LOSSES:
        for seed in SEEDS:
            own = [value(loss, seed, step) if step <= last or seed else "" for step in range(11)]
            name = f"{loss}-seed{seed} - val/recall_at_1"
            made[name] = own
            made[f"{name}__MIN"] = [own[0] if grouped else cell for cell in own]
            made[f"{name}__MAX"] = own
    return pd.DataFrame(made)


def test_a_panel_of_weights_and_biases_is_read_at_its_last_step(tmp_path):
    panel().to_csv(tmp_path / "panel.csv", index=False)
    result = losscope.judge(str(tmp_path / "panel.csv"), measure="val/recall_at_1")
    row = result.verdicts()[0]
    assert row.difference == pytest.approx(0.03) and row.mean_a == pytest.approx(0.71 + 0.0035)
    early = losscope.judge(str(tmp_path / "panel.csv"), measure="val/recall_at_1", only=["step=4"])
    assert early.verdicts()[0].mean_a == pytest.approx(0.71 + 0.0035 - 0.06)


def test_panels_of_groups_and_of_runs_that_end_apart_are_refused(tmp_path):
    panel(grouped=True).to_csv(tmp_path / "grouped.csv", index=False)
    assert "is a group of runs, of which a panel holds the mean" in refusal(str(tmp_path / "grouped.csv"))
    panel(last=7).to_csv(tmp_path / "cut.csv", index=False)
    assert "ends at different steps (7 for triplet and 10 for triplet)" in refusal(str(tmp_path / "cut.csv"))


# --- MLflow -------------------------------------------------------------------------------------------


def test_runs_that_mlflow_searched_are_read(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is an extra: pip install losscope[mlflow]")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    mlflow.set_experiment("losses")
    for loss in LOSSES:
        for seed in SEEDS:
            with mlflow.start_run(run_name=f"{loss}-{seed}"):
                mlflow.log_params({"loss": loss, "seed": seed, "margin": 0.1 if loss == "triplet" else 0.5})
                mlflow.log_metrics({"test_recall_at_1": value(loss, seed), "loss": 0.2})
    frame = mlflow.search_runs(experiment_names=["losses"])
    mlflow.set_tracking_uri(None)
    assert {"metrics.test_recall_at_1", "params.loss", "tags.mlflow.runName", "status"} <= set(frame.columns)
    frame.to_csv(tmp_path / "runs.csv", index=False)
    agrees(str(tmp_path / "runs.csv"))
    frame.drop(columns=["params.loss", "params.seed"]).to_csv(tmp_path / "named.csv", index=False)
    agrees(str(tmp_path / "named.csv"))


# --- TensorBoard --------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", ["torch.utils.tensorboard", "tensorboardX"])
def test_event_files_of_tensorboard_are_read(writer, tmp_path):
    pytest.importorskip("tensorboard", reason="event files are read by the package tensorboard")
    made = pytest.importorskip(writer, reason=f"{writer} is an extra")
    for loss in LOSSES:
        for seed in SEEDS:
            with made.SummaryWriter(str(tmp_path / "logs" / loss / str(seed))) as log:
                for step in range(11):
                    log.add_scalar("test/recall_at_1", value(loss, seed, step), step)
                    log.add_scalar("train/other", 1.0, step)
    result = agrees(str(tmp_path / "logs"))
    assert "Not read: train/other." in result.notes


def test_scalars_downloaded_from_tensorboard_are_read(tmp_path):
    for loss in LOSSES:
        for seed in SEEDS:
            frame = pd.DataFrame({"Wall time": 1.7e9, "Step": range(11)})
            frame["Value"] = [value(loss, seed, step) for step in range(11)]
            frame.to_csv(tmp_path / f"run-{loss}_{seed}-tag-test_recall_at_1.csv", index=False)
    agrees(str(tmp_path))
    frame.rename(columns={"Value": "v"}).to_csv(tmp_path / "run-triplet_9-tag-recall_at_1.csv", index=False)
    assert "wanted: Wall time, Step, Value" in refusal(str(tmp_path))


# --- MTEB ---------------------------------------------------------------------------------------------

TASKS = (
    "ArguAna",
    "ArxivClusteringP2P.v2",
    "ArxivClusteringS2S.v2",
    "BIOSSES",
    "Banking77Classification",
    "EmotionClassification",
    "FiQA2018",
    "NFCorpus",
    "STS12",
    "STS13",
    "SciDocsRR",
    "TwitterURLCorpus",
)
UP = {"org/small": 0.0, "org/large": 0.03}


def score(model: str, task: str) -> float:
    place = TASKS.index(task)
    return 0.5 + 0.02 * place + UP[model] + 0.001 * (place % 3) * (model == "org/large")


def entry(main: float, subset: str = "default") -> dict[str, object]:
    return {"hf_subset": subset, "languages": ["eng-Latn"], "main_score": main, "accuracy": main / 2}


def mteb(root: Path, model: str, task: str, scores: object, revision: str = "0123456789abcdef") -> Path:
    folder = root / model.replace("/", "__") / revision
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_meta.json").write_text(json.dumps({"name": model, "revision": revision}))
    document = {"dataset_revision": "1", "mteb_version": "2.1.0", "scores": scores, "task_name": task}
    path = folder / f"{task}.json"
    path.write_text(json.dumps({**document, "evaluation_time": 1.5, "kg_co2_emissions": None}))
    return path


@pytest.fixture
def results(tmp_path) -> Path:
    root = tmp_path / "results"
    for model in UP:
        for task in TASKS:
            mteb(root, model, task, {"test": [entry(score(model, task))]})
    return root


def naive_flips(differences: list[float]) -> float:
    """The two-sided p of all sign flips of |mean|, one by one."""
    seen = abs(sum(differences))
    count = len(differences)
    as_far = 0
    for signs in range(2**count):
        flipped = sum(d if signs >> place & 1 else -d for place, d in enumerate(differences))
        as_far += abs(flipped) >= seen - 1e-12
    return as_far / 2**count


def test_results_of_mteb_are_paired_by_task_and_families_count_once(results):
    result = losscope.judge(results, reference="org/small")
    row = result.verdicts()[0]
    assert (row.a, row.verdict, row.scope) == ("org/large", "higher", "these_models")
    assert (row.n, row.paired_by) == (10, "task family")
    own = {task: score("org/large", task) - score("org/small", task) for task in TASKS}
    pairs = [("ArxivClusteringP2P.v2", "ArxivClusteringS2S.v2"), ("STS12", "STS13")]
    lone = [task for task in TASKS if not any(task in pair for pair in pairs)]
    families = [own[task] for task in lone] + [(own[a] + own[b]) / 2 for a, b in pairs]
    assert row.difference == pytest.approx(np.mean(families))
    assert row.p == naive_flips([d / row.delta for d in families]) == 2 / 2**10
    assert "these two models on task families like these" in row.sentence
    assert "12 tasks are of 10 families" in result.notes[0]


def test_subsets_and_splits_are_averaged_over_those_that_all_models_have(results):
    many = {"test": [entry(0.2, "en"), entry(0.4, "de")], "dev": [entry(0.9, "en")]}
    mteb(results, "org/small", "BIOSSES", many)
    mteb(results, "org/large", "BIOSSES", {"test": [entry(0.4, "de"), entry(0.6, "en"), entry(0.1, "fr")]})
    result = losscope.judge(results)
    small, large = (result.side(name).measures["main_score"].values for name in UP)
    place = result.units.index("BIOSSES")
    assert (small[place], large[place]) == (pytest.approx(0.3), pytest.approx(0.5))
    assert any("those that all have are averaged" in note for note in result.notes)


def test_a_task_that_one_model_lacks_is_left_out_and_counted(results):
    (results / "org__large" / "0123456789abcdef" / "NFCorpus.json").unlink()
    result = losscope.judge(results)
    assert "NFCorpus" not in result.units
    assert "1 task of 12 that not every model has are left out (NFCorpus)." in result.notes


def test_of_several_revisions_one_is_read_and_said(results):
    mteb(results, "org/small", "ArguAna", {"test": [entry(0.01)]}, "external")
    result = losscope.judge(results)
    said = "Of org/small the revision 0123456789ab (12 tasks) is read, not external (1)"
    assert any(note.startswith(said) for note in result.notes)
    chosen = losscope.judge(results, only=["revision=external"])
    assert chosen.units == ("ArguAna",)
    assert "has no revision 'none'" in refusal(results, only=["revision=none"])


def moved(scores: dict, up: float) -> dict:
    return {name: moved(own, up) if isinstance(own, dict) else own + up for name, own in scores.items()}


def test_the_layouts_before_revisions_and_before_mteb_1_11_are_read(tmp_path):
    for model, up in (("small", 0.0), ("large", 0.03)):
        (tmp_path / model).mkdir()
        for place, (task, own) in enumerate(
            {
                "NFCorpus": {"ndcg_at_10": 0.3, "map_at_10": 0.9},
                "STSBenchmark": {"cos_sim": {"spearman": 0.3, "pearson": 0.9}},
                "TwitterURLCorpus": {"cos_sim": {"ap": 0.1}, "max": {"ap": 0.3}},
                "RedditClustering": {"v_measure": 0.3},
                "SciDocsRR": {"map": 0.3, "mrr": 0.9},
                "EmotionClassification": {"accuracy": 0.3, "f1": 0.9},
                "AmazonReviewsClassification": {"en": {"accuracy": 0.2}, "de": {"accuracy": 0.4}},
            }.items()
        ):
            raised = moved(own, up + place / 1e4)
            made = {"mteb_version": "1.1.1", "dataset_revision": None, "mteb_dataset_name": task}
            (tmp_path / model / f"{task}.json").write_text(json.dumps({**made, "test": raised}))
    result = losscope.judge(tmp_path)
    values = result.side("small").measures["main_score"].values
    assert sorted(v for v in values if v) == pytest.approx([0.3 + place / 1e4 for place in range(7)])
    assert result.verdicts()[0].n == 7
    assert any("layout before MTEB 1.11" in note for note in result.notes)


def test_broken_results_are_one_sentence(results, tmp_path):
    assert "one --measure" in refusal(results, measure=["main_score", "accuracy"])
    assert losscope.judge(results, measure="accuracy").verdicts()[0].measure == "accuracy"
    path = mteb(results, "org/small", "ArguAna", {"test": [entry(0.5)]})
    path.write_text("{")
    assert "wanted: a result of MTEB" in refusal(results)
    path.write_text(json.dumps({"scores": {"test": [{"main_score": "high"}]}, "task_name": "ArguAna"}))
    assert "has a score 'high'; wanted: a finite number" in refusal(results)
    lone = tmp_path / "lone"
    mteb(lone, "org/small", "ArguAna", {"test": [entry(0.5)]})
    assert "holds 1 model (org/small)" in refusal(lone)


def test_tensorboard_is_asked_for_where_it_is_needed(tmp_path, monkeypatch):
    (tmp_path / "a" / "0").mkdir(parents=True)
    (tmp_path / "a" / "0" / "events.out.tfevents.1").write_bytes(b"")

    class Gone:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "tensorboard":
                raise ImportError(name)

    monkeypatch.setattr(sys, "meta_path", [Gone(), *sys.meta_path])
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    assert "needs the package tensorboard: pip install tensorboard" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["triplet_0.2", "triplet-margin0.2", "triplet_lr1e-3", "triplet-1.e-4"])
def test_the_decimals_of_a_number_are_no_seed(name):
    assert run_named(name) is None
    assert run_named(f"{name}-seed3") == (name, "3") == run_named(f"{name}/3")


def test_a_main_score_may_be_declared_and_a_result_must_be_one(results):
    plain, declared = (losscope.judge(results, declare=own) for own in ((), ("main_score:higher",)))
    assert [row.difference for row in plain.verdicts()] == [row.difference for row in declared.verdicts()]
    mteb(results, "org/small", "ArguAna", {"test": [0.5]})
    assert "the scores of test are no list of subsets" in refusal(results)


def test_a_column_without_numbers_has_no_last_value():
    frame = pd.DataFrame({"loss": ["a", "b"], "seed": 0, "note": ["x", "y"], "Recall@1": [0.5, 0.6]})
    assert "note=last wants numbers" in refusal(frame, only=["note=last"])


@pytest.mark.parametrize("seeds", [1, 6])
def test_items_without_a_value_in_one_side_alone_are_refused(seeds):
    rows = [
        (loss, seed, f"q{item}", item % 2) for loss in "ab" for seed in range(seeds) for item in range(40)
    ]
    frame = pd.DataFrame(rows, columns=["loss", "seed", "query", "Recall@1"]).astype({"Recall@1": float})
    hard = frame["Recall@1"] == 0
    alike = losscope.judge(frame.assign(**{"Recall@1": frame["Recall@1"].mask(hard)}), unit="query")
    assert alike.verdicts()[0].difference == 0  # without the hard items on both sides
    frame.loc[hard & (frame["loss"] == "a"), "Recall@1"] = np.nan
    assert "'q0' is there for one of b and a alone" in refusal(frame, unit="query")


def test_the_frame_names_no_seed_that_is_not_a_run_s():
    rows = [(loss, first + run, 0.5 + run / 100) for loss, first in (("a", 0), ("b", 5)) for run in range(5)]
    frame = pd.DataFrame(rows, columns=["loss", "seed", "Recall@1"])
    assert losscope.judge(frame, unpaired=True).frame()["unit"].isna().all()  # not 0 to 4 for b too
