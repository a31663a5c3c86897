"""Features are computed once, resumed, told apart by their key, and compared on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import losscope
from embed_fixture import copied, features_of, picture, run
from losscope.core.results import Embedding
from losscope.features import passes
from losscope.features.digests import digests
from losscope.features.embedding import embed as embed_command
from losscope.features.shards import Origin, Shards
from losscope.features.source import forget

pytestmark = pytest.mark.usefixtures("cache")


# The cache


def test_the_second_time_nothing_is_computed(photos, weights, monkeypatch):
    first = run(photos, weights)
    assert not first.cached
    assert first.table.pool.inputs.shape == (48, 1280)
    monkeypatch.setattr(passes, "compute", None)
    monkeypatch.setattr("losscope.features.made.compute", None)
    start = time.perf_counter()
    second = run(photos, weights)
    assert time.perf_counter() - start < 1.0
    assert second.cached
    assert isinstance(second.table.pool.inputs, np.memmap)
    assert second.table.pool.inputs.dtype == np.float16
    assert not second.table.pool.inputs.flags.writeable
    np.testing.assert_array_equal(first.table.pool.inputs, second.table.pool.inputs)
    assert first.table.digest == second.table.digest


def test_features_stand_beside_their_images(photos, weights):
    made = run(photos, weights).table
    row = 17
    with Image.open(photos / made.pool.names[row]) as opened:
        image = np.asarray(opened.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(
        made.pool.inputs[row], features_of(weights, [image], size=32)[0], rtol=2e-3, atol=2e-3
    )
    assert made.facts.class_names[made.pool.labels[row]] == Path(made.pool.names[row]).parent.name
    assert made.facts.kind == "features"
    assert "features of mobile.npz" in made.describe()


def test_a_pass_from_the_cache_imports_no_torch(photos, weights):
    run(photos, weights)
    code = (
        "import sys; from losscope.cli import main\n"
        "main(sys.argv[1:])\n"
        "assert not {'torch', 'transformers', 'PIL'} & set(sys.modules), 'heavy'"
    )
    words = ["embed", str(photos), "--backbone", str(weights), "--preprocess", "size=32", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["cached"]
    assert said["seconds"] < 1.0


KILLED = """
import os, signal, sys, torch
torch.set_num_threads(1)  # as the tests do: sums of convolutions depend on it
from losscope import features as embed
from losscope.core.results import Embedding
from losscope.features import passes
passes.SHARD = 8
def progress(done, total):
    if done >= 20:
        os.kill(os.getpid(), signal.SIGKILL)
embed.embed(
    sys.argv[1], backbone=sys.argv[2], preprocess=["size=32"], batch_size=4, device="cpu", progress=progress
)
"""


def test_killed_in_its_middle_it_goes_on_from_the_last_whole_shard(photos, weights, cache, monkeypatch):
    died = subprocess.run([sys.executable, "-c", KILLED, str(photos), str(weights)], capture_output=True)
    assert died.returncode == -9, died.stderr
    (parts,) = cache.glob("features/*/parts")
    assert sorted(part.name for part in parts.glob("*.npy")) == [
        "000000000-000000008.npy",
        "000000008-000000016.npy",
    ]
    monkeypatch.setattr(passes, "SHARD", 8)
    seen: list[int] = []
    resumed = run(photos, weights, batch_size=4, progress=lambda done, total: seen.append(done))
    assert seen[0] == 16
    assert seen[-1] == 48
    assert not parts.exists()
    monkeypatch.setenv("LOSSCOPE_CACHE", str(cache) + "-other")
    whole = run(photos, weights, batch_size=4)
    assert whole.folder != resumed.folder
    np.testing.assert_array_equal(
        np.asarray(whole.table.pool.inputs).view(np.uint16),
        np.asarray(resumed.table.pool.inputs).view(np.uint16),
    )


def test_the_key_changes_with_preprocessing_weights_and_images_only(photos, weights, tmp_path):
    mine = copied(photos, tmp_path / "mine")
    base = run(mine, weights, compute=False)
    assert run(mine, weights, compute=False, preprocess=["size=33"]).key != base.key
    assert run(mine, weights, compute=False, preprocess=["size=32", "fit=crop"]).key != base.key
    assert run(photos, weights, compute=False).key == base.key

    with np.load(weights) as arrays:
        changed = {name: arrays[name] for name in arrays}
    changed["Conv_1_weights"] = changed["Conv_1_weights"] * np.float32(1.5)
    np.savez(tmp_path / "mobile.npz", **changed)
    assert run(mine, tmp_path / "mobile.npz", compute=False).key != base.key

    (mine / "class0").rename(mine / "class0b")
    renamed = run(mine, weights, compute=False)
    assert renamed.key == base.key
    target = next((mine / "class1").iterdir())
    Image.fromarray(picture(np.random.default_rng(9))).save(target)
    assert run(mine, weights, compute=False).key != base.key


def test_moved_labels_keep_the_features_and_change_the_runs(photos, weights, tmp_path):
    lines = ["path,label"] + [
        f"{path.relative_to(photos)},{path.parent.name}" for path in sorted(photos.rglob("*.png"))
    ]
    first, second = photos / "first.csv", photos / "second.csv"
    try:
        first.write_text("\n".join(lines))
        second.write_text("\n".join(lines).replace("00.png,class0", "00.png,class1"))
        before, after = (run(path, weights, compute=False) for path in (first, second))
    finally:
        first.unlink(missing_ok=True)
        second.unlink(missing_ok=True)
    assert before.key == after.key
    assert before.table.digest != after.table.digest


def test_a_plan_computes_nothing(photos, weights, cache):
    made = run(photos, weights, compute=False)
    assert not made.complete
    assert not list(cache.glob("features/*"))
    assert any("48 of 48 images" in note for note in made.table.facts.notes)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_shards_count_the_unbroken_line_from_the_start(tmp_path_factory, sizes, data):
    rows = sum(sizes)
    shards = Shards(tmp_path_factory.mktemp("shards"), rows)
    values = np.arange(rows * 2, dtype=np.float16).reshape(rows, 2)
    starts = np.cumsum([0, *sizes])
    present = [data.draw(st.booleans()) for _ in sizes]
    for start, size, here in zip(starts, sizes, present, strict=False):
        if here:
            shards.add(int(start), values[start : start + size])
    unbroken = present.index(False) if False in present else len(sizes)
    assert shards.done() == starts[unbroken]
    for start, size in zip(starts, sizes, strict=False):
        shards.add(int(start), values[start : start + size])
    shards.join(Origin(1, "b", {}, ""))
    np.testing.assert_array_equal(shards.open(), values)
    assert shards.unreadable() == []


def test_a_broken_shard_ends_the_line(tmp_path):
    shards = Shards(tmp_path / "one", 6)
    for start in (0, 2, 4):
        shards.add(start, np.ones((2, 3), np.float16))
    path = shards.parts / "000000002-000000004.npy"
    path.write_bytes(path.read_bytes()[:-3])
    assert shards.done() == 2


def test_digests_are_read_once_and_see_every_change(tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("a", "b", "none")]
    files[0].write_bytes(b"one")
    files[1].write_bytes(b"two")
    for path in files[:2]:
        os.utime(path, (1_600_000_000, 1_600_000_000))
    first = digests(files, tmp_path / "memory")
    assert first[2] == "missing"
    assert len(set(first)) == 3
    read: list[str] = []
    real = __import__("losscope.features.digests", fromlist=["_"])._digest
    monkeypatch.setattr("losscope.features.digests._digest", lambda path: read.append(path) or real(path))
    assert digests(files, tmp_path / "memory") == first
    assert read == [str(files[2])]
    files[1].write_bytes(b"too")
    os.utime(files[1], (1_600_000_000, 1_600_000_001))
    again = digests(files, tmp_path / "memory")
    assert again[0] == first[0]
    assert again[1] != first[1]


def test_a_file_just_written_is_not_remembered(tmp_path):
    """Its clock may not have ticked when it is written again."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = digests([path], tmp_path / "memory")
    stamp = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digests([path], tmp_path / "memory") != first


# Into compare


def test_the_written_file_can_be_compared(photos, weights, tmp_path):
    import losscope.data

    done = embed_command(
        str(photos), str(weights), out=tmp_path / "f.npz", preprocess=["size=32"], device="cpu", batch_size=8
    )
    assert done.rows == 48
    assert done.width == 1280
    assert Embedding.from_json(done.json_text()) == done
    with np.load(tmp_path / "f.npz") as file:
        assert file["features"].dtype == np.float16
        assert set(file["split"]) == {"train", "test"}
        assert set(file["class_names"]) == {"class0", "class1", "class2"}
    assert "features of mobile.npz" in losscope.data.load(str(tmp_path / "f.npz")).describe()
    result = losscope.compare(
        str(tmp_path / "f.npz"),
        losses="triplet",
        seeds=2,
        epochs=1,
        batch_size=12,
        device="cpu",
        out=str(tmp_path / "runs"),
        tune=False,
    )
    assert {"raw", "untrained", "pca", "whitened"} <= {side.name for side in result.baselines}


def test_compare_trains_on_a_vits_features_as_one_population(photos, vit, tmp_path, monkeypatch):
    from losscope.comparing import dry_run, plan
    from losscope.core.spec import Study

    words = {
        "data": str(photos),
        "backbone": str(vit),
        "losses": ["triplet", "contrastive"],
        "seeds": 3,
        "epochs": 1,
        "batch_size": 12,
        "device": "cpu",
        "out": str(tmp_path / "runs"),
        "tune": False,
    }
    planned = dry_run(plan(Study.of(**words), compute=False))
    assert "features of" in planned.data
    assert planned.populations == 5
    said: list[str] = []
    result = losscope.compare(**words, say=said.append)
    assert any("computing features of 48 images" in sentence for sentence in said)
    assert result.protocol.model == "mlp"
    assert result.protocol.hidden == ()
    features = run(photos, vit, preprocess=None).table
    assert result.data.digest == features.digest
    monkeypatch.setattr("losscope.features.made.compute", None)
    forget()
    again = losscope.compare(**words)
    before, after = (
        [loss.measures["recall_at_1"].values for loss in found.losses] for found in (result, again)
    )
    assert after == before
