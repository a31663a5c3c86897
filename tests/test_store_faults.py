"""The store under fault: altered bytes, power cuts, ended processes, hostile archives; nothing wrong read."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from disks import Disk
from losscope.core.errors import LosscopeError
from losscope.run import files, upkeep
from losscope.run import store as store_module
from losscope.run.looks import Look
from losscope.run.store import Damaged, Store
from test_store import record

PARTS = ("run.json", "trace.parquet", "arrays.npz", "test.npz", "model.safetensors")


def read_all(store: Store, run_id: str = "abc") -> None:
    run = store.get(run_id)
    run.check()
    run.trace(), run.arrays(), run.embeddings()


def not_noticed(store: Store) -> bool:
    try:
        read_all(store)
    except Damaged:
        return False
    return True


def faults(content: bytes) -> dict[str, bytes | None]:
    """A file flipped in one bit at many places, cut, emptied, and gone."""
    found: dict[str, bytes | None] = {"cut": content[: len(content) // 2], "emptied": b"", "gone": None}
    places = random.Random(0).sample(range(len(content)), min(60, len(content)))
    for place in [0, len(content) - 1, *places]:
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        found[f"bit of byte {place}"] = bytes(flipped)
    return found


@pytest.mark.parametrize("name", PARTS)
def test_every_altered_file_is_noticed(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    store.add("abc", record())
    path = tmp_path / "runs" / "abc" / name
    content = path.read_bytes()
    for what, altered in faults(content).items():
        path.unlink() if altered is None else path.write_bytes(altered)
        assert not_noticed(store) is False, f"{name}, {what}: read as if nothing had happened"
        path.write_bytes(content)
    read_all(store)


@pytest.mark.parametrize("name", PARTS)
def test_a_damaged_run_is_set_aside_and_run_again(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    store.add("abc", record())
    store.add("def", record(1))
    path = tmp_path / "runs" / "abc" / name
    path.write_bytes(path.read_bytes()[:-3])
    said = store.set_damaged_aside(dict.fromkeys(("abc", "def", "not there")))
    assert len(said) == 1 and "set aside and is run again" in said[0]
    assert not store.has("abc") and store.has("def")
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    store.add("abc", record())
    read_all(store)


def test_a_run_of_another_specification_is_never_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add("abc", record(0))
    mine = record(0).run
    assert store.set_damaged_aside({"abc": mine}) == []
    assert store.has("abc")
    (said,) = store.set_damaged_aside({"abc": mine.model_copy(update={"seed": 5})})
    assert "another specification" in said
    assert not store.has("abc")
    assert len(list((tmp_path / "damaged").iterdir())) == 1


def test_the_key_of_the_checksum_is_refused() -> None:
    with pytest.raises(ValueError, match="sha256"):
        files.sealed({"sha256": "mine"})


def test_an_altered_study_or_look_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_json("studies/one/study.json", {"schema": 2, "margin": 0.25})
    path = tmp_path / "studies" / "one" / "study.json"
    path.write_text(path.read_text().replace("0.25", "0.35"))
    with pytest.raises(Damaged, match="altered"):
        store.read_json("studies/one/study.json")


def test_a_diverged_run_is_final_and_a_failed_one_is_tried_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    failed, diverged = record(0), record(1)
    failed.status, failed.reason = "failed", "MemoryError"
    diverged.status, diverged.reason = "diverged", "not finite"
    store.add("f", failed)
    store.add("d", diverged)
    assert not store.has("f") and store.has("d")
    assert store.get("f").failed == "MemoryError"
    store.add("f", record(0))
    assert store.has("f") and store.get("f").failed is None
    assert not (tmp_path / "damaged").exists()


def test_a_failed_run_that_another_driver_writes_in_between_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = record()
    failed.status, failed.reason = "failed", "MemoryError"
    sync = store_module.sync_folder

    def quicker(folder: Path) -> None:
        sync(folder)
        if folder.name.endswith(".part"):
            monkeypatch.undo()
            Store(tmp_path).add("abc", failed)

    monkeypatch.setattr(store_module, "sync_folder", quicker)
    store = Store(tmp_path)
    store.add("abc", record())
    assert store.get("abc").status == "complete"


def test_the_first_stores_are_still_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add("abc", record())
    head = tmp_path / "runs" / "abc" / "run.json"
    old = json.loads(head.read_text())
    old["schema"] = 1
    del old["files"], old["sha256"]
    head.write_text(json.dumps(old))
    (tmp_path / "store.json").write_text('{"schema": 1}')
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "study.json").write_text('[{"seeds": [0, 1], "time": ""}]')
    store = Store(tmp_path)
    read_all(store)
    assert store.get("abc").trace()["value"].tolist() == [0.25, 0.125]
    assert store.look("study", Look((0, 1))) == 1 and store.look("study", Look((0, 1, 2))) == 2
    assert upkeep.check(tmp_path).statuses["without checksums"] == 1


def test_an_emptied_store_mark_is_made_again(tmp_path: Path) -> None:
    Store(tmp_path).add("abc", record())
    (tmp_path / "store.json").write_text("")
    assert Store(tmp_path).has("abc")
    assert json.loads((tmp_path / "store.json").read_text())["schema"] == store_module.SCHEMA


def test_folders_have_ordinary_permissions(tmp_path: Path) -> None:
    umask = os.umask(0o002)
    try:
        Store(tmp_path).add("abc", record())
    finally:
        os.umask(umask)
    mode = stat.S_IMODE((tmp_path / "runs" / "abc").stat().st_mode)
    assert mode == 0o775
    assert stat.S_IMODE((tmp_path / "runs" / "abc" / "run.json").stat().st_mode) == 0o664


def test_what_ended_processes_left_is_swept_and_what_others_write_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    elsewhere = "0000" if files._MACHINE != "0000" else "0001"
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    gone = tmp_path / "runs" / f".abc.{ended.stdout.strip()}-{files._MACHINE}abcd.part"
    mine = tmp_path / "runs" / f".abc.{os.getpid()}-{files._MACHINE}abcd.part"
    other = tmp_path / "runs" / f".abc.{ended.stdout.strip()}-{elsewhere}0000.part"
    gone.mkdir(), mine.mkdir(), other.mkdir()
    (gone / "run.json").write_text("{")
    folders = [tmp_path / name / "s" for name in ("studies", "reproductions", "across", "multiverses")]
    pages = [folder / gone.name.replace(".abc.", ".report.html.") for folder in folders]
    for page in pages:
        page.parent.mkdir(parents=True)
        page.write_text("{")
    assert upkeep.gc(tmp_path) == [gone, *pages] and gone.exists()
    store.sweep()
    assert not gone.exists() and not any(page.exists() for page in pages) and mine.exists()
    assert other.exists(), "it may be written at this moment by a process of another machine"
    os.utime(other, (0, 0))
    store.sweep()
    assert not other.exists()


def test_an_old_checkpoint_is_a_leftover_and_a_new_one_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = store.checkpoint("old"), store.checkpoint("new")
    old.write_bytes(b"x"), new.write_bytes(b"x")
    os.utime(old, (0, 0))
    assert upkeep.gc(tmp_path, yes=True) == [old]
    assert new.exists() and not old.exists()


def test_a_power_cut_loses_no_complete_run_and_leaves_none_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    disk = Disk(root, monkeypatch)
    store = Store(root)
    done: dict[str, int] = {}
    for seed in range(4):
        store.add(f"run{seed}", record(seed))
        done[f"run{seed}"] = len(disk.events)
        store.write_json("studies/s/study.json", {"schema": 2, "runs": sorted(done)})
    events = len(disk.events)
    monkeypatch.undo()
    draw = random.Random(1)
    cuts = [draw.randrange(1, events + 1) for _ in range(60)]
    for number, cut in enumerate(cuts):
        target = tmp_path / f"cut{number}"
        (target / "runs").mkdir(parents=True)
        disk.after(cut, draw, target)
        again = Store(target)
        for seed in range(4):
            run_id = f"run{seed}"
            if done[run_id] <= cut:
                assert again.has(run_id), f"{run_id} was stored before event {cut} and is lost"
            if (target / "runs" / run_id).exists() and again.has(run_id):
                read_all(again, run_id)
            again.set_damaged_aside({run_id: None})
            again.add(run_id, record(seed))
            read_all(again, run_id)
        shutil.rmtree(target)


@pytest.mark.parametrize("whole", range(len(PARTS)))
def test_a_full_disk_at_any_write_leaves_no_half_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    store = Store(tmp_path)
    written: list[Path] = []
    real = files.write_bytes

    def write(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) > whole:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(28, os.strerror(28))
        real(path, content)

    monkeypatch.setattr(store_module, "write_bytes", write)
    with pytest.raises(LosscopeError, match="disk is full.*same command again"):
        store.add("abc", record())
    assert not store.has("abc") and list((tmp_path / "runs").iterdir()) == []
    monkeypatch.undo()
    store.add("abc", record())
    read_all(store)
    assert upkeep.check(tmp_path).problems == ()


def test_check_says_what_is_wrong_and_what_mends_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        store.add(f"run{seed}", record(seed))
    store.write_json("studies/s/study.json", {"schema": 2, "runs": ["run0", "run1", "run2"], "losses": []})
    assert upkeep.check(tmp_path).problems == ()
    (tmp_path / "runs" / "run1" / "arrays.npz").write_bytes(b"")
    shutil.rmtree(tmp_path / "runs" / "run2")
    found = upkeep.check(tmp_path)
    assert [Path(problem.place).name for problem in found.problems] == ["run1", "s"]
    assert "1 of 3 runs" in found.problems[1].what and "losscope run" in found.problems[1].remedy


@pytest.mark.parametrize(
    "name", ["looks/s.json", "studies/s/budget.json", "speeds.json", "reproductions/p/result.json"]
)
def test_check_reads_the_files_beside_runs_and_studies(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    store.write_json(name, {"schema": 2, "looks": []})
    assert upkeep.check(tmp_path).problems == ()
    (tmp_path / name).write_text("{")
    assert [problem.place for problem in upkeep.check(tmp_path).problems] == [str(tmp_path / name)]


def test_runs_go_to_another_store_and_come_back_equal(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    for seed in range(3):
        store.add(f"run{seed}", record(seed))
    loss = {"trials": [{"runs": ["run2"]}]}
    store.write_json("studies/s/study.json", {"schema": 2, "runs": ["run0"], "losses": [loss]})
    assert upkeep.export_runs(tmp_path / "a", tmp_path / "all.zip") == 3
    assert upkeep.export_runs(tmp_path / "a", tmp_path / "s.zip", ["s"]) == 2
    assert upkeep.import_runs(tmp_path / "b", tmp_path / "s.zip") == (2, 0)
    assert upkeep.import_runs(tmp_path / "b", tmp_path / "all.zip") == (1, 2)
    other = Store(tmp_path / "b", create=False)
    for seed in range(3):
        read_all(other, f"run{seed}")
        assert np.array_equal(other.get(f"run{seed}").arrays()["per_class/label"], np.arange(3))
    assert other.read_json("studies/s/study.json")["runs"] == ["run0"]
    with pytest.raises(LosscopeError, match="unknown study 'x'"):
        upkeep.export_runs(tmp_path / "a", tmp_path / "x.zip", ["x"])
    with pytest.raises(LosscopeError, match="there already"):
        upkeep.export_runs(tmp_path / "a", tmp_path / "all.zip")


def test_looks_go_with_an_archive_and_the_longer_history_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    store.add("abc", record())
    store.write_json("studies/s/study.json", {"schema": 2, "runs": ["abc"], "losses": []})
    store.write_text("studies/s/report.html", "<script>")
    store.look("s", Look((0,))), store.look("s", Look((0, 1)))
    upkeep.export_runs(tmp_path / "a", tmp_path / "two.zip", ["s"])
    upkeep.import_runs(tmp_path / "b", tmp_path / "two.zip")
    other = Store(tmp_path / "b")
    assert [path.name for path in (tmp_path / "b" / "studies" / "s").iterdir()] == ["study.json"]
    assert other.look("s", Look((0, 1, 2))) == 3
    upkeep.import_runs(tmp_path / "b", tmp_path / "two.zip")
    assert other.look("s", Look((0, 1, 2))) == 3
    assert upkeep.check(tmp_path / "b").problems == ()


def test_heads_and_studies_that_no_store_writes_are_refused(tmp_path: Path) -> None:
    for number, (name, content) in enumerate(
        {
            "runs/x/run.json": '{"id": "x", "status": "complete"}',
            "studies/s/study.json": "{",
            "studies/t/study.json": '{"runs": 3}',
            "looks/s.json": '{"looks": 3}',
        }.items()
    ):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as file:
            file.writestr("store.json", '{"schema": 1}')
            file.writestr(name, content)
        with pytest.raises(LosscopeError, match="is damaged"):
            upkeep.import_runs(tmp_path / "b", tmp_path / f"{number}.zip")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["runs", "store.json"]


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "runs/../../evil", "runs/a/.hidden", "other/a/b", "runs\\a\\b"]
)
def test_an_archive_with_names_that_lead_elsewhere_changes_nothing(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(LosscopeError, match="does not write"):
        upkeep.import_runs(tmp_path / "store", tmp_path / "evil.zip")
    assert not (tmp_path / "evil").exists()
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["runs", "store.json"]


def test_a_damaged_archive_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    store.add("abc", record())
    upkeep.export_runs(tmp_path / "a", tmp_path / "all.zip")
    content = bytearray((tmp_path / "all.zip").read_bytes())
    content[content.index(b"recall_at_1")] ^= 1
    (tmp_path / "all.zip").write_bytes(bytes(content))
    with pytest.raises(LosscopeError, match="damaged|cannot read"):
        upkeep.import_runs(tmp_path / "b", tmp_path / "all.zip")
    assert list((tmp_path / "b" / "runs").iterdir()) == []
    (tmp_path / "no.zip").write_text("no archive")
    with pytest.raises(LosscopeError, match="cannot read"):
        upkeep.import_runs(tmp_path / "b", tmp_path / "no.zip")


def losscope(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "losscope", *words], capture_output=True, text=True)


def test_the_store_commands(tmp_path: Path) -> None:
    Store(tmp_path / "a").add("abc", record())
    (tmp_path / "a" / "runs" / f".abc.999999999-{files._MACHINE}abcd.part").mkdir()
    found = losscope("store", "check", str(tmp_path / "a"))
    assert (
        found.returncode == 1 and "1 run: 1 complete." in found.stdout and "losscope store gc" in found.stdout
    )
    assert "1 leftover; add --yes" in losscope("store", "gc", str(tmp_path / "a")).stdout
    assert "1 leftover removed" in losscope("store", "gc", str(tmp_path / "a"), "--yes").stdout
    found = losscope("store", "check", str(tmp_path / "a"), "--json")
    assert found.returncode == 0 and json.loads(found.stdout)["problems"] == []
    assert "1 run in" in losscope("store", "export", str(tmp_path / "a"), str(tmp_path / "a.zip")).stdout
    assert (
        "1 run taken, 0 there"
        in losscope("store", "import", str(tmp_path / "b"), str(tmp_path / "a.zip")).stdout
    )
    found = losscope("store", "check", str(tmp_path / "nothing"))
    assert found.returncode == 2 and "holds no losscope runs" in found.stderr
