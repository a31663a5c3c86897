"""The command line as a user meets it: answers, refusals in one sentence, interruption."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cli_fixture import call
from kills import untimed

QUICK = ["--seeds", "2", "--epochs", "2", "--no-tune"]


def refused(capsys, *arguments: str) -> str:
    """The one sentence a mistake gets, exit code 2, nothing on standard output."""
    assert call(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A small comparison, made once: its folder and its JSON."""
    out = tmp_path_factory.mktemp("store")
    command = [sys.executable, "-m", "losscope", "compare", "--out", str(out), "--json", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return out, json.loads(done.stdout)


def test_json_has_the_declared_schema(compared):
    _, result = compared
    assert result["schema"] == 2
    assert {
        "data",
        "protocol",
        "seeds",
        "losses",
        "baselines",
        "paired",
        "recommendation",
        "store",
        "report",
        "provenance",
    } <= set(result)
    assert [loss["name"] for loss in result["losses"]] == ["contrastive", "triplet"]
    for loss in result["losses"]:
        assert loss["spec"]["hyperparameters"]["margin"] == {"contrastive": 0.5, "triplet": 0.1}[loss["name"]]
        measure = loss["measures"]["recall_at_1"]
        assert set(measure) >= {"mean", "low", "high", "values", "split", "unit"}
        assert len(measure["values"]) == 2
        assert measure["split"] == "test"
        assert len(loss["runs"]) == 2
    assert [one["name"] for one in result["baselines"]] == ["raw", "untrained", "pca", "whitened", "lda"]
    primary = [row for row in result["paired"] if row["primary"]]
    assert {row["verdict"] for row in primary if row["unit"] == "seed"} == {"too_few_seeds"}
    led = result["recommendation"]["candidate"]
    assert {row["a"] for row in primary} == {led}
    assert {row["tests_in_family"] for row in primary} == {3 if led in ("contrastive", "triplet") else 4}
    assert all("untuned" in row["sentence"] for row in primary)
    assert len(result["recommendation"]["sentences"]) == 3
    assert Path(result["report"]).exists()


def test_report_makes_the_same_page_again_and_other_formats(compared, capsys):
    out, result = compared
    page = Path(result["report"])
    before = page.read_text(encoding="utf-8")
    page.unlink()
    assert call("report", out, "--json") == 0
    assert json.loads(capsys.readouterr().out) == result
    assert page.read_text(encoding="utf-8") == before
    for kind, mark in (("md", "|"), ("latex", "tabular"), ("csv", "recall_at_1")):
        assert call("report", out, "--format", kind) == 0
        assert mark in capsys.readouterr().out
    assert "unknown study 'nothing'" in refused(capsys, "report", out, "--study", "nothing")


def test_a_second_call_trains_nothing(compared, capsys):
    out, result = compared
    files = sorted((out / "runs").glob("*/run.json"))
    times = [file.stat().st_mtime_ns for file in files]
    assert call("compare", "--out", out, "--json", *QUICK) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == result
    assert [file.stat().st_mtime_ns for file in files] == times


def test_dry_run_says_what_it_would_cost_and_could_show(tmp_path, capsys):
    assert call("compare", "--out", tmp_path / "new", "--dry-run", "--seeds", "5") == 0
    said = capsys.readouterr().out
    assert "45 runs (0 stored)" in said
    assert "5 paired seeds are too few for 4 tests" in said
    assert "look 1 at these data" in said and "on this machine" in said
    assert not (tmp_path / "new").exists()


def test_run_reads_a_study_file(tmp_path, compared, capsys):
    out, result = compared
    file = tmp_path / "study.toml"
    file.write_text("seeds = 2\nepochs = 2\ntune = false\n")
    assert call("run", file, "--out", out, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["losses"][0]["measures"] == result["losses"][0]["measures"]


def test_python_mirrors_the_command(compared):
    import losscope

    out, result = compared
    same = losscope.compare(
        "digits", losses=["contrastive", "triplet"], seeds=2, epochs=2, tune=False, out=str(out)
    )
    assert json.loads(same.json())["paired"] == result["paired"]
    assert same.verdicts()[0].verdict == "too_few_seeds"
    assert "Recall@1" in same.table("md")


def test_load_gives_the_stored_result_and_writes_nothing(compared):
    import losscope

    out, result = compared
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    loaded = losscope.load(out)
    assert json.loads(loaded.json()) == result
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert losscope.load(out / "studies" / result["study"]).json() == loaded.json()
    assert (
        loaded.side("triplet").mean("recall_at_1") == result["losses"][1]["measures"]["recall_at_1"]["mean"]
    )
    assert loaded.settings[0].tuned is False
    with pytest.raises(losscope.LosscopeError, match="unknown study 'nothing'"):
        losscope.load(out, "nothing")


def test_a_study_of_schema_1_is_read(compared, tmp_path):
    """Schema 1 wrote the edges of the search as texts and had no checksum."""
    import losscope
    from losscope.core.results import Edge

    out, result = compared
    copy = tmp_path / "old"
    shutil.copytree(out, copy)
    file = copy / "studies" / result["study"] / "study.json"
    study = json.loads(file.read_text(encoding="utf-8"))
    study.pop("sha256")
    study["schema"] = 1
    numbers = {key: result["losses"][1]["spec"][key] for key in ("hyperparameters", "reduction")}
    study["losses"][1]["tuned"] = {
        **numbers,
        "learning_rate": 0.001,
        "checkpoint": 2,
        "score": 0.5,
        "trials": 12,
        "diverged": 0,
        "edge": ["margin 0.1", "epoch 2"],
    }
    file.write_text(json.dumps(study), encoding="utf-8")
    loaded = losscope.load(copy)
    assert loaded.losses[0].tuned is None
    assert loaded.losses[1].tuned.edge == (Edge(name="margin", value=0.1), Edge(name="epoch", value=2))
    assert loaded.losses[1].measures["recall_at_1"].values == tuple(
        result["losses"][1]["measures"]["recall_at_1"]["values"]
    )
    study["losses"][1]["tuned"]["edge"] = ["margin"]
    file.write_text(json.dumps(study), encoding="utf-8")
    with pytest.raises(losscope.LosscopeError, match="not a study of schema 1 that can be read"):
        losscope.load(copy)
    file.write_text(json.dumps({**study, "schema": 3}), encoding="utf-8")
    with pytest.raises(losscope.LosscopeError, match="JSON schema 3; this losscope reads schema 2"):
        losscope.load(copy)


def test_two_losses_tuned_to_the_same_numbers_both_stand_in_the_result(tmp_path):
    from losscope.comparing import plan
    from losscope.comparing.running import conclude
    from losscope.core.spec import Study
    from losscope.run import launch

    names = ["triplet(margin=0.2)", "triplet(margin=0.4)"]
    made = plan(Study.of(data="digits", losses=names, seeds=2, epochs=1, tune=False, out=str(tmp_path)))
    same = tuple(choice.model_copy(update={"spec": made.choices[0].spec}) for choice in made.choices)
    made = dataclasses.replace(made, choices=same)
    launch.execute(made.groups, "here")
    first, second = conclude(made).losses
    assert [first.name, second.name] == names
    assert first.runs == second.runs
    assert first.measures == second.measures


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "digts"], "did you mean 'digits'"),
        (["compare", "--losses", "tripet"], "did you mean 'triplet'"),
        (["compare", "--losses", "triplet(margin=-1)"], "greater than 0"),
        (["compare", "--losses", "triplet,triplet(margin=0.1)"], "are the same at the numbers"),
        (["compare", "--protocol", "papr"], "did you mean 'paper'"),
        (["compare", "--goal", "retreival"], "did you mean 'retrieval'"),
        (["compare", "--seeds", "0"], "seeds is 0"),
        (["compare", "--epochs", "-3"], "epochs is -3"),
        (["compare", "--batch-size", "0"], "batch_size is 0"),
        (["compare", "--batch-size", "100000"], "batch size is 100000"),
        (["compare", "--device", "gpu"], "unknown device"),
        (["compare", "absent.npz"], "absent.npz"),
        (["compare", ""], "unknown data set ''"),
        (["compare", "-o", "nonsense"], "key=value"),
        (["judge", "absent.csv"], "absent.csv"),
        (["report", "absent"], "no losscope runs"),
        (["run", "absent.toml"], "absent.toml"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *arguments, *(["--no-tune"] if arguments[0] == "compare" else []))


def test_a_mistake_of_the_parser_is_not_a_traceback():
    for arguments in (["compare", "--sedes", "3"], ["compare", "--seeds", "many"], ["nothing"]):
        done = subprocess.run([sys.executable, "-m", "losscope", *arguments], capture_output=True, text=True)
        assert done.returncode not in (0,)
        assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": np.ones((10, 3)), "labels": np.arange(9) % 3}, "9 labels"),
        ({"features": np.full((12, 3), np.nan), "labels": np.arange(12) % 3}, "NaN"),
        ({"features": np.ones((12, 3)), "labels": np.zeros(12, int)}, "class"),
        ({"features": np.random.default_rng(0).normal(size=(12, 3)), "labels": np.arange(12)}, "two"),
        ({"features": np.array([{}, {}], dtype=object), "labels": np.arange(2)}, "pickle"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(tmp_path, monkeypatch, capsys, arrays, said):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", **arrays)
    assert said.lower() in refused(capsys, "compare", "mine.npz", "--no-tune").lower()


def test_features_of_ones_own_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 60)
    centres = generator.normal(size=(6, 20))
    np.savez("mine.npz", features=centres[labels] + generator.normal(size=(360, 20)), labels=labels)
    assert call("compare", "mine.npz", "--json", *QUICK) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["data"]["kind"] == "features"
    assert 0 < result["losses"][0]["measures"]["recall_at_1"]["mean"] <= 1


def without_torch(words: list[str]) -> str:
    """Code that runs a command and fails if it imported torch."""
    run = f"try: c.main({words!r})\nexcept SystemExit: pass\n"
    return f"import sys, losscope.cli as c\n{run}assert 'torch' not in sys.modules"


def test_help_is_quick_and_never_imports_torch():
    done = subprocess.run(
        [sys.executable, "-c", without_torch(["--help"])], capture_output=True, text=True, check=True
    )
    assert "compare" in done.stdout
    best = min(_seconds([sys.executable, "-m", "losscope", "--help"]) for _ in range(5))
    assert best < 0.8, "twice the promise of 0.4 s, for a machine that is shared"


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["report", "STORE"], ["judge", "CSV"]])
def test_commands_that_need_no_torch_do_not_import_it(compared, tmp_path, arguments):
    scores = tmp_path / "scores.csv"
    rows = [f"{loss},{seed},recall_at_1,{0.5 + 0.01 * seed}" for loss in "ab" for seed in range(3)]
    scores.write_text("loss,seed,measure,value\n" + "\n".join(rows))
    words = [{"STORE": str(compared[0]), "CSV": str(scores)}.get(word, word) for word in arguments]
    subprocess.run([sys.executable, "-c", without_torch(words)], check=True, capture_output=True)


def test_a_killed_comparison_goes_on_to_the_same_table(tmp_path):
    """kill -9 in the middle, the same command again: the numbers of an uninterrupted run."""

    def command(out):
        words = ["compare", "--out", str(out), "--seeds", "2", "--epochs", "40", "--no-tune", "--json"]
        return [sys.executable, "-m", "losscope", *words]

    whole = json.loads(subprocess.run(command(tmp_path / "whole"), capture_output=True, check=True).stdout)
    victim = subprocess.Popen(
        command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    runs = tmp_path / "killed" / "runs"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(runs.glob("[!.]*/run.json")):
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    stored = len(list(runs.glob("[!.]*/run.json")))
    assert 0 < stored < 8, "killed in its middle"
    again = json.loads(subprocess.run(command(tmp_path / "killed"), capture_output=True, check=True).stdout)
    for key in ("losses", "baselines", "paired", "recommendation"):
        assert untimed(again[key]) == untimed(whole[key])


def test_ctrl_c_keeps_what_is_done_and_says_so(tmp_path):
    words = ["compare", "--out", str(tmp_path), "--seeds", "2", "--epochs", "3000", "--no-tune"]
    running = subprocess.Popen(
        [sys.executable, "-m", "losscope", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "checkpoints").exists():
        time.sleep(0.05)
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=180)
    assert running.returncode == 130
    assert "goes on from here" in said.decode()
    assert list((tmp_path / "checkpoints").glob("*.pt")), "the unfinished population is kept"
