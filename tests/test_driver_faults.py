"""Commands under fault: killed, without memory, on a full disk, two at once. The next one ends well."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kills
from disks import Disk
from losscope.comparing import load, running
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.run import upkeep
from losscope.run.store import Store

HERE = Path(__file__).parent
DATA = {"classes": 3, "points": 12}
FLAKY = '''
import os
from pathlib import Path
from losscope.core.registry import register
from losscope.losses.tuples import triplet
from losscope.pairs import Terms


@register("loss", "flaky", hinge=True, normalised=True, takes="triplets", form="linear hinge")
def flaky(embeddings, relation, *, margin: float = 0.1):
    """Does what the file says."""
    file = Path(os.environ["FLAKY"])
    what = file.read_text()
    if what == "memory":
        raise MemoryError
    if what.startswith("die"):
        left = int(what.split()[1])
        file.write_text(f"die {left - 1}" if left > 1 else "")
        os._exit(9)
    terms = triplet(embeddings, relation, margin=margin)
    if what == "diverge":
        return Terms(terms.value * float("nan"), terms.active, terms.valid)
    return terms
'''


@pytest.fixture
def flaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "plugin.py").write_text(FLAKY)
    monkeypatch.setenv("FLAKY", str(tmp_path / "flaky.txt"))
    (tmp_path / "flaky.txt").write_text("")
    with registry.forgetting():
        yield tmp_path / "flaky.txt"


def study(out: Path, **more: Any) -> Study:
    words = {"losses": ["contrastive", "triplet"], "seeds": 2, "epochs": 2, "tune": False, **more}
    words = {"engine": "here", "batch_size": 16, "protocol": "paper", **words}
    return Study.of(data="synthetic", options=DATA, out=str(out), **words)


def words(out: Path, *more: str) -> list[str]:
    options = [part for key, value in DATA.items() for part in ("--option", f"{key}={value}")]
    fixed = ["--protocol", "paper", "--seeds", "2", "--epochs", "2", "--batch-size", "16", "--no-tune"]
    return ["compare", "synthetic", *options, *fixed, "--engine", "here", "--out", str(out), *more]


def command(arguments: list[str]) -> tuple[int, str]:
    """A command's exit code and what it said aside, in this process."""
    import contextlib
    import io

    from losscope.cli import main

    aside = io.StringIO()
    with contextlib.redirect_stderr(aside), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as end:
            return int(end.code or 0), aside.getvalue()
    return 0, aside.getvalue()


def numbers(out: Path) -> dict[str, Any]:
    found = {}
    for run in Store(out, create=False).runs():
        run.check()
        found[run.id] = run.status, repr(run.measures), {k: v.tobytes() for k, v in run.arrays().items()}
    return found


@pytest.mark.parametrize(
    ("engine", "victim", "times"),
    [
        ("here", "driver", 4),
        ("processes", "driver", 1),
        pytest.param("here", "driver", 100, marks=pytest.mark.slow),
        pytest.param("processes", "driver", 100, marks=pytest.mark.slow),
        pytest.param("processes", "worker", 30, marks=pytest.mark.slow),
    ],
)
def test_a_driver_killed_at_any_moment_loses_and_alters_nothing(engine: str, victim: str, times: int) -> None:
    call = ["--engine", engine, "--victim", victim, "--times", str(times), "--seed", "7"]
    done = subprocess.run(
        [sys.executable, str(HERE / "kills.py"), *call],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"killed {times} times" in done.stdout


@pytest.mark.parametrize("step", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_a_driver_killed_before_any_event_of_the_file_system_loses_and_alters_nothing(step: int) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "kills.py"), "--engine", "here", "--events", str(step)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "some runs stored" in done.stdout and "no runs stored" in done.stdout


@pytest.mark.parametrize("cuts", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_a_study_goes_on_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: int
) -> None:
    whole = tmp_path / "whole"
    disk = Disk(whole, monkeypatch)
    running.run(kills.study(whole, "here"))
    monkeypatch.undo()
    expected, draw = kills.contents(whole), random.Random(cuts)
    moved = [place for place, event in enumerate(disk.events) if event[0] == "rename"]
    stored = {event[2].name: place for place, event in enumerate(disk.events) if event[0] == "rename"}
    assert len(moved) > 10
    for number, cut in enumerate(draw.sample(range(1, len(disk.events)), cuts)):
        root = tmp_path / str(number)
        (root / "runs").mkdir(parents=True)
        disk.after(cut, draw, root)
        again = Store(root)
        synced = [place for place, event in enumerate(disk.events[:cut]) if event[0] == "sync"]
        for run in Store(whole, create=False).runs():
            if any(place > stored[run.id] for place in synced if disk.events[place][1] == run.path.parent):
                assert again.has(run.id), f"{run.id} was stored before event {cut} and is lost"
        running.run(kills.study(root, "here"))
        found = kills.contents(root)
        assert found.keys() == expected.keys()
        assert [key for key in expected if repr(found[key]) != repr(expected[key])] == []
        shutil.rmtree(root)


def test_a_run_that_the_machine_stopped_is_said_and_tried_again(tmp_path: Path, flaky: Path) -> None:
    more = ["--losses", "flaky,triplet", "--plugin", str(tmp_path / "plugin.py")]
    flaky.write_text("memory")
    code, said = command(words(tmp_path / "a", *more))
    assert code == 1
    assert "2 of 8 runs failed: MemoryError; the same command tries them again" in said
    result = load(tmp_path / "a")
    assert {(failure.kind, failure.reason) for failure in result.losses[0].failures} == {
        ("failed", "MemoryError")
    }
    assert result.unfinished is not None and result.unfinished.failed == 2
    flaky.write_text("")
    code, said = command(words(tmp_path / "a", *more))
    assert (code, "failed" in said) == (0, False)
    assert load(tmp_path / "a").unfinished is None
    assert command(words(tmp_path / "b", *more))[0] == 0
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")


def test_tuning_chooses_nothing_without_the_trials_that_the_machine_stopped(
    tmp_path: Path, flaky: Path
) -> None:
    own = {"losses": ["flaky"], "plugins": [str(tmp_path / "plugin.py")], "tune": True, "trust": True}
    flaky.write_text("memory")
    with pytest.raises(LosscopeError, match="tuning stopped before a choice: 36 of 36 runs failed"):
        running.run(study(tmp_path / "a", **own))
    assert not list((tmp_path / "a" / "studies").glob("*/study.json"))
    flaky.write_text("")
    assert running.run(study(tmp_path / "a", **own)).unfinished is None
    flaky.write_text("diverge")
    assert running.run(study(tmp_path / "b", **own)).unfinished is None


def test_a_run_that_diverged_is_final_and_no_fault_of_the_machine(tmp_path: Path, flaky: Path) -> None:
    more = ["--losses", "flaky,triplet", "--plugin", str(tmp_path / "plugin.py")]
    flaky.write_text("diverge")
    assert command(words(tmp_path / "a", *more))[0] == 0
    failures = load(tmp_path / "a").losses[0].failures
    assert [failure.kind for failure in failures] == ["diverged", "diverged"]
    flaky.write_text("memory")
    assert command(words(tmp_path / "a", *more))[0] == 0, "it is not trained again"


@pytest.mark.parametrize(("deaths", "code"), [(2, 0), (12, 1)])
def test_a_group_that_ends_its_process_is_tried_again_in_another(
    tmp_path: Path, flaky: Path, deaths: int, code: int
) -> None:
    flaky.write_text(f"die {deaths}")
    made = study(
        tmp_path / "a",
        losses=["flaky", "triplet"],
        plugins=[str(tmp_path / "plugin.py")],
        engine="processes",
    )
    result = running.run(made)
    assert (result.unfinished is not None) == bool(code)
    if result.unfinished is not None:
        assert result.unfinished.reasons == ("it ended 3 processes: the last with exit code 9",)
        # Three processes for the group, and as many for each of its two runs alone; no more.
        assert flaky.read_text() == "die 3"


def test_a_damaged_run_is_said_set_aside_and_trained_again(tmp_path: Path) -> None:
    running.run(study(tmp_path / "a"))
    before = numbers(tmp_path / "a")
    victim = next((tmp_path / "a" / "runs").glob("*/arrays.npz"))
    victim.write_bytes(victim.read_bytes()[:-1])
    said: list[str] = []
    running.run(study(tmp_path / "a"), say=said.append)
    assert sum("set aside and is run again" in sentence for sentence in said) == 1
    assert numbers(tmp_path / "a") == before
    assert [problem.remedy for problem in upkeep.check(tmp_path / "a").problems] == [
        "losscope store gc --yes"
    ]


@pytest.mark.parametrize("name", ["study.json", "result.json"])
def test_a_damaged_file_of_a_study_is_written_again(tmp_path: Path, name: str) -> None:
    running.run(study(tmp_path / "a"))
    file = next((tmp_path / "a" / "studies").glob(f"*/{name}"))
    file.write_bytes(file.read_bytes()[:100])
    assert [problem.place for problem in upkeep.check(tmp_path / "a").problems] == [str(file)]
    running.run(study(tmp_path / "a"))
    assert upkeep.check(tmp_path / "a").problems == ()


def test_a_damaged_look_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    running.run(study(tmp_path / "a"))
    (history,) = (tmp_path / "a" / "looks").glob("[!.]*.json")
    shutil.rmtree(tmp_path / "a" / "runs")
    history.write_text("{")
    with pytest.raises(LosscopeError, match="is damaged"):
        running.run(study(tmp_path / "a"))
    assert list((tmp_path / "a" / "runs").iterdir()) == []


def test_a_damaged_study_is_passed_over_unless_it_is_the_one_asked_for(tmp_path: Path) -> None:
    result = running.run(study(tmp_path / "a"))
    other = tmp_path / "a" / "studies" / "other"
    other.mkdir()
    (other / "study.json").write_text("{")
    found = load(tmp_path / "a")
    assert found.study == result.study and any("passed over" in note for note in found.notes)
    with pytest.raises(LosscopeError, match="is damaged"):
        load(tmp_path / "a", "other")
    shutil.rmtree(tmp_path / "a" / "studies" / str(result.study))
    with pytest.raises(LosscopeError, match="is damaged"):
        load(tmp_path / "a")


def test_a_budget_of_another_version_is_chosen_again(tmp_path: Path) -> None:
    result = running.run(study(tmp_path / "a", budget=60.0))
    store, name = Store(tmp_path / "a"), f"studies/{result.study}/budget.json"
    store.write_json(name, {"schema": 2, "epochs": 2, "rungs": []})
    running.run(study(tmp_path / "a", budget=60.0))
    assert set(store.read_json(name)) == {"epochs", "trials", "seeds", "expected", "sentence"}


def test_a_study_with_fewer_seeds_forgets_no_run(tmp_path: Path) -> None:
    wide = running.run(study(tmp_path / "a", seeds=3))
    narrow = running.run(study(tmp_path / "a", seeds=2))
    assert (wide.seeds, narrow.seeds) == ((0, 1, 2), (0, 1))
    assert narrow.study == wide.study
    kept = Store(tmp_path / "a").read_json(f"studies/{wide.study}/study.json")
    assert len(kept["runs"]) == 8 and len(kept["earlier"]) == 4
    assert upkeep.export_runs(tmp_path / "a", tmp_path / "a.zip", [str(wide.study)]) == 12
    shutil.rmtree(tmp_path / "a" / "runs" / kept["earlier"][0])
    assert "1 of 4 runs of earlier commands" in upkeep.check(tmp_path / "a").problems[0].what
    again = running.run(study(tmp_path / "a", seeds=3))
    assert [loss.measures for loss in again.losses] == [loss.measures for loss in wide.losses]
    assert Store(tmp_path / "a").read_json(f"studies/{wide.study}/study.json")["earlier"] == []


@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_a_study_that_grows_has_the_numbers_of_one_that_did_not(tmp_path: Path, model: str) -> None:
    more: dict[str, Any] = {}
    if model == "convnet":
        import numpy as np

        draw = np.random.default_rng(0)
        images, labels = draw.integers(0, 255, (120, 16, 16), dtype=np.uint8), np.arange(120) % 3
        np.savez(tmp_path / "pictures.npz", images=images, labels=labels)
        more = {"data": str(tmp_path / "pictures.npz")}

    def grown(out: Path, seeds: int) -> None:
        made = study(out, seeds=seeds).model_dump(exclude={"options"} if more else set())
        running.run(Study.of(**{**made, "protocol": "matched", "tune": False, "closed_forms": False, **more}))

    for seeds in (4, 6):
        grown(tmp_path / "grown", seeds)
    grown(tmp_path / "once", 6)
    assert len(numbers(tmp_path / "once")) == 24
    assert numbers(tmp_path / "grown") == numbers(tmp_path / "once")


def test_two_drivers_at_once_make_one_store(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "losscope", *words(tmp_path / "a", "--json")]
    both = [subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [json.loads(driver.communicate(timeout=120)[0]) for driver in both]
    assert [driver.returncode for driver in both] == [0, 0]
    assert said[0]["losses"] == said[1]["losses"] and said[0]["recommendation"] == said[1]["recommendation"]
    running.run(study(tmp_path / "b"))
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")
    assert upkeep.check(tmp_path / "a").problems == ()
    assert not [*(tmp_path / "a").rglob("*.pt"), *(tmp_path / "a").rglob("*.part")]


def test_a_study_whose_runs_are_gone_says_which_command_makes_them(tmp_path: Path) -> None:
    result = running.run(study(tmp_path))
    shutil.rmtree(tmp_path / "runs" / result.losses[0].runs[0])
    with pytest.raises(LosscopeError, match=r"1 of \d+ runs .* are not in .*; run losscope run .*study.toml"):
        load(tmp_path)


def test_a_damaged_run_that_was_set_aside_is_called_so(tmp_path: Path) -> None:
    result = running.run(study(tmp_path))
    (tmp_path / "runs" / result.losses[0].runs[0] / "arrays.npz").write_bytes(b"")
    running.run(study(tmp_path))
    (problem,) = upkeep.check(tmp_path).problems
    assert "damaged run that was set aside" in problem.what


def test_a_moved_store_goes_on(tmp_path: Path) -> None:
    running.run(study(tmp_path / "a"))
    before = numbers(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert load(tmp_path / "b").report_file == str(next((tmp_path / "b").glob("studies/*/report.html")))
    running.run(study(tmp_path / "b", seeds=3))
    after = numbers(tmp_path / "b")
    assert len(after) == 12 and {key: after[key] for key in before} == before


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    running.run(study(tmp_path))
    Store(tmp_path).write_json("store.json", {"schema": 3})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for call in (words(tmp_path), ["report", str(tmp_path)], ["store", "check", str(tmp_path)]):
        code, said = command(call)
        assert code == 2 and "upgrade losscope" in said
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True)
    if made.returncode:
        pytest.skip("a disk of a few MB can be mounted by root only")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_one_sentence_and_the_same_command_completes(tmp_path: Path, tmpfs: Path) -> None:
    for size in (24_900_000, 24_500_000, 23_300_000):
        (tmpfs / "ballast").write_bytes(b"\0" * size)
        code, said = command(words(tmpfs / "a"))
        assert code == 2 and "the disk is full" in said, said
        assert all(store_problem.remedy for store_problem in problems(tmpfs / "a"))
        assert not list((tmpfs / "a").rglob("*.part"))
    (tmpfs / "ballast").unlink()
    assert command(words(tmpfs / "a"))[0] == 0
    running.run(study(tmp_path / "b"))
    assert numbers(tmpfs / "a") == numbers(tmp_path / "b")
    assert upkeep.check(tmpfs / "a").problems == ()


def problems(out: Path) -> tuple[Any, ...]:
    """What is wrong with a store; nothing where the disk was full before there was one."""
    return upkeep.check(out).problems if (out / "store.json").is_file() else ()


def test_a_store_that_can_only_be_read_is_reported(tmp_path: Path, tmpfs: Path) -> None:
    running.run(study(tmpfs / "a", keep="none"))
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
    assert command(["report", str(tmpfs / "a"), "--format", "md"]) == (0, "")
    assert upkeep.check(tmpfs / "a").problems == ()
    code, said = command(words(tmpfs / "a"))
    assert code == 2 and "cannot be written" in said
