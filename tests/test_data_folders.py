"""The user's own pictures: class folders, manifests, and data sets of the hub."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from data_fixture import ROWS, X, Y, picture
from losscope.core.errors import LosscopeError
from losscope.data import load

# Folders and manifests


def test_class_folders(tmp_path):
    for c in "abc":
        for i in range(6):
            picture(tmp_path / c / f"{i}.png", 40 * i + ord(c) - 97)
    source = load(tmp_path)
    assert source.facts.kind == "images"
    assert source.facts.shape == (3, 12, 12)  # one small size is kept
    assert source.facts.class_names == ("a", "b", "c")
    assert source.pool.names[0] == os.path.join("a", "0.png")
    assert source.pool.inputs[7, 0, 0, 0] == 41
    assert load(tmp_path, size=8).facts.shape == (3, 8, 8)


def test_class_folders_with_given_splits(tmp_path):
    for part in ("train", "val", "test"):
        for c in "ab":
            for i in range(4):
                picture(tmp_path / part / c / f"{i}.png", 10 * i)
    draws = load(tmp_path).splits(0)
    assert [len(part) for part in (draws.train, draws.validation, draws.test)] == [8, 8, 8]
    assert all(name.startswith("test") for name in draws.test.names)


def test_unreadable_images_are_counted_named_and_skipped_only_on_request(tmp_path):
    for c in "ab":
        for i in range(6):
            picture(tmp_path / c / f"{i}.png", 10 * i)
    (tmp_path / "b" / "2.png").write_bytes((tmp_path / "b" / "1.png").read_bytes()[:40])
    (tmp_path / "a" / "9.jpg").write_text("no picture")
    with pytest.raises(
        LosscopeError, match=r"2 of 13 images cannot be read: 9\.jpg \(.*\), 2\.png .*--skip-bad"
    ):
        load(tmp_path)
    source = load(tmp_path, skip_bad=True)
    assert len(source.pool) == 11
    assert "2 of 13 images cannot be read" in source.facts.notes[0]
    assert source.facts.notes[0].endswith("left out")
    assert not any("9.jpg" in name for name in source.pool.names)


def test_images_of_other_sizes_are_scaled_and_the_middle_cut_out(tmp_path):
    from PIL import Image

    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255  # the middle square is white
    for c in "ab":
        for i in range(8):
            (tmp_path / c).mkdir(exist_ok=True)
            Image.fromarray(wide).save(tmp_path / c / f"{i}.png")
    pixels = load(tmp_path, size=10).pool.inputs
    assert pixels.shape == (16, 3, 10, 10)
    assert pixels[:, :, :, 2:8].min() > 250


def test_manifest_of_images(tmp_path):
    rows = []
    for i in range(24):
        picture(tmp_path / "pictures" / f"{i}.png", 10 * i)
        part = "test" if i >= 16 else "train"
        rows.append((f"pictures/{i}.png", "ab"[i % 2], part, f"site {i // 2}", i % 4))
    frame = pd.DataFrame(rows, columns=["path", "label", "split", "group", "fine_label"])
    frame.to_csv(tmp_path / "m.csv", index=False)
    source = load(tmp_path / "m.csv")
    assert source.facts.kind == "images"
    assert len(source.splits(0).test) == 8
    assert np.array_equal(source.pool.fine_labels % 2, source.pool.labels)
    assert source.splits(0).test.inputs[0, 0, 0, 0] == 160
    twice = pd.concat([frame, frame.iloc[:1].assign(split="test")])
    twice.to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(LosscopeError, match=r"leaks: 1 file \(pictures/0\.png\)"):
        load(tmp_path / "twice.csv")
    frame.drop(columns="label").to_csv(tmp_path / "none.csv", index=False)
    with pytest.raises(LosscopeError, match="has no label column"):
        load(tmp_path / "none.csv")
    frame.assign(path=frame.path.str.replace("/3.", "/gone.")).to_csv(tmp_path / "gone.csv", index=False)
    with pytest.raises(LosscopeError, match=r"1 of 24 images cannot be read: gone\.png \(no such file\)"):
        load(tmp_path / "gone.csv")
    kept = load(tmp_path / "gone.csv", skip_bad=True)
    assert len(kept.splits(0).test) == 8
    assert len(kept.pool) == 23


# The hub


def test_hub_columns_are_found(monkeypatch):
    datasets = pytest.importorskip("datasets")
    labels = datasets.ClassLabel(names=["a", "b", "c", "d"])

    def part(rows):
        features = datasets.Features(
            {"vector": datasets.Sequence(datasets.Value("float32")), "label": labels}
        )
        return datasets.Dataset.from_dict(
            {"vector": X[rows].tolist(), "label": Y[rows].tolist()}, features=features
        )

    monkeypatch.setattr("losscope.data.readers.hub.reachable", lambda url: True)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *a, **k: {"train": part(slice(0, 28)), "test": part(slice(28, ROWS))}
    )
    source = load("hf:owner/vectors")
    np.testing.assert_allclose(source.pool.inputs, X, rtol=1e-6)
    assert source.facts.class_names == ("a", "b", "c", "d")
    assert len(source.splits(0).test) == 12
    with pytest.raises(LosscopeError, match="unknown column in hf:owner/vectors 'lable'"):
        load("hf:owner/vectors", labels="lable")


def test_hub_pictures(monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets")
    for i in range(ROWS):
        picture(tmp_path / f"{i}.png", 6 * i, size=10)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list("abcd"))}
    )
    data = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / f"{i}.png") for i in range(ROWS)], "label": Y.tolist()}, features=features
    )
    monkeypatch.setattr("losscope.data.readers.hub.reachable", lambda url: True)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: {"train": data})
    source = load("hf:owner/pictures", size=8)
    assert source.facts.shape == (3, 8, 8)
    assert source.pool.inputs[:, 0, 4, 4].tolist() == [6 * i for i in range(ROWS)]


def test_splits_of_the_hub_that_are_no_part_are_counted(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def part(rows):
        return datasets.Dataset.from_dict(
            {"vector": X[rows].tolist(), "label": Y[rows].tolist()},
            features=datasets.Features(
                {
                    "vector": datasets.Sequence(datasets.Value("float32")),
                    "label": datasets.ClassLabel(names=list("abcd")),
                }
            ),
        )

    parts = {
        "train": part(slice(0, 24)),
        "test2017": part(slice(24, 36)),
        "unsupervised": part(slice(36, ROWS)),
    }
    monkeypatch.setattr("losscope.data.readers.hub.reachable", lambda url: True)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: parts)
    source = load("hf:owner/parts")
    assert len(source.splits(0).test) == 12
    assert source.describe().endswith("left out: 4 rows of the split unsupervised")


def test_the_hub_out_of_reach_is_said_at_once(monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setattr("losscope.data.readers.hub.reachable", lambda url: False)
    with pytest.raises(LosscopeError, match="hub cannot be reached"):
        load("hf:nobody/nothing-here")
    with pytest.raises(LosscopeError, match="names no data set of the hub; wanted: hf:owner/name"):
        load("hf:nothing")
