"""The store: atomic, resumable, and clear about what it cannot do."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from losscope.core.errors import LosscopeError
from losscope.core.spec import DataSpec, LossSpec, Run, protocol
from losscope.run.looks import Look
from losscope.run.store import Record, Store


def record(seed: int = 0) -> Record:
    loss = LossSpec.parse("triplet").resolved("matched")
    run = Run(data=DataSpec(name="digits"), loss=loss, protocol=protocol("matched", "vectors"), seed=seed)
    return Record(
        run,
        measures={"test": {"recall_at_1": 0.5, "eer": math.nan}},
        trace=[("train", 1, "loss", 0.25), ("train", 2, "loss", 0.125)],
        arrays={"per_class/intra_variance": np.arange(3.0), "per_class/label": np.arange(3)},
        weights={"0.weight": np.ones((2, 3), np.float32)},
        embeddings={"embeddings": np.eye(3, dtype=np.float32), "labels": np.arange(3)},
        provenance={"torch": "x"},
    )


def test_a_record_comes_back_as_it_went_in(tmp_path):
    store = Store(tmp_path)
    store.add("abc", record())
    back = Store(tmp_path, create=False).get("abc")
    assert back.run == record().run
    assert back.failed is None
    assert back.measures == {"test": {"recall_at_1": 0.5, "eer": None}}
    assert back.trace()["value"].tolist() == [0.25, 0.125]
    assert back.arrays()["per_class/intra_variance"].tolist() == [0, 1, 2]
    assert back.embeddings()["labels"].tolist() == [0, 1, 2]
    assert (back.path / "model.safetensors").exists()
    assert [one.id for one in store.runs()] == ["abc"]


def test_a_failed_run_keeps_its_reason(tmp_path):
    store = Store(tmp_path)
    failed = record()
    failed.status, failed.reason = "diverged", "the gradient was not finite in epoch 3"
    store.add("abc", failed)
    assert store.get("abc").failed == "the gradient was not finite in epoch 3"


def test_a_run_that_is_there_is_kept_and_two_writers_do_no_harm(tmp_path):
    store = Store(tmp_path)
    store.add("abc", record(0))
    before = (tmp_path / "runs" / "abc" / "run.json").read_text()
    store.add("abc", record(1))
    assert (tmp_path / "runs" / "abc" / "run.json").read_text() == before
    assert [path.name for path in (tmp_path / "runs").glob("[!.]*")] == ["abc"]
    assert not list((tmp_path / "runs").glob("*.part"))


def test_a_half_written_run_is_absent(tmp_path):
    store = Store(tmp_path)
    half = tmp_path / "runs" / ".abc-xyz"
    half.mkdir()
    (half / "run.json").write_text("{")
    assert not store.has("abc")
    assert list(store.runs()) == []


def test_a_newer_store_is_refused(tmp_path):
    (tmp_path / "store.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(LosscopeError, match="schema 99.*upgrade losscope"):
        Store(tmp_path)


def test_a_folder_that_is_no_store_is_refused_when_read(tmp_path):
    with pytest.raises(LosscopeError, match="holds no losscope runs"):
        Store(tmp_path, create=False)


def test_a_place_that_cannot_be_a_folder_is_one_sentence(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(LosscopeError, match="cannot be written.*--out"):
        Store(file)
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        with pytest.raises(LosscopeError, match="cannot be written"):
            Store(locked / "inside")


def test_a_full_disk_is_one_sentence_and_leaves_no_half_run(tmp_path):
    store = Store(tmp_path)

    def no_space(*_args, **_words):
        raise OSError(28, os.strerror(28))

    original = np.savez_compressed
    np.savez_compressed = no_space
    try:
        with pytest.raises(LosscopeError, match="disk is full"):
            store.add("abc", record())
    finally:
        np.savez_compressed = original
    assert not store.has("abc")
    assert list((tmp_path / "runs").iterdir()) == []
    store.add("abc", record())
    assert store.has("abc")


def test_a_broken_run_file_is_one_sentence(tmp_path):
    store = Store(tmp_path)
    store.add("abc", record())
    (tmp_path / "runs" / "abc" / "run.json").write_text("{")
    with pytest.raises(LosscopeError, match="is damaged"):
        store.get("abc")


def test_looks_count_what_was_not_tested_before(tmp_path):
    store, first = Store(tmp_path), Look((0, 1), "a")
    assert store.look("data", first) == 1
    assert store.look("data", first) == 1
    assert store.look("data", Look((0, 1, 2), "b")) == 2
    assert store.look("data", Look((0, 1), "c")) == 3
    assert store.look("data", first) == 1, "nothing new was tested"
    assert store.look("other", Look((0,))) == 1


def test_looks_that_were_counted_by_study_are_carried_over(tmp_path):
    store = Store(tmp_path)
    store.look("study", Look((0, 1))), store.look("study", Look((0, 1, 2)))
    assert store.look("data", Look((0, 1, 2), "a", study="study")) == 2, "the seeds of a study say the test"
    assert store.look("data", Look((0, 1, 2, 3), "b", study="study")) == 3
    assert store.look("data", Look((0, 1, 2), "c", study="another")) == 4


def test_the_store_never_imports_torch():
    code = "import sys, losscope.run.store; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
