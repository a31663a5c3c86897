"""The user's own arrays and tables, and broken files."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pandas as pd
import pytest

from data_fixture import ROWS, X, Y
from losscope.core.errors import LosscopeError
from losscope.data import load

# Arrays


@pytest.mark.parametrize("key", ["labels", "y", "target", "Label"])
def test_npz_arrays_are_found_by_usual_names(tmp_path, key):
    np.savez(tmp_path / "f.npz", embeddings=X, **{key: Y})
    source = load(tmp_path / "f.npz")
    pool = source.pool
    assert np.array_equal(pool.inputs, X)  # as they are: not normalised
    assert np.array_equal(pool.labels, Y)
    assert source.facts.kind == "features"


def test_npz_arrays_by_given_names_one_hot_labels_split_and_names(tmp_path):
    y = np.arange(ROWS) % 8
    split = np.where(y % 2, "test", "train")
    np.savez(
        tmp_path / "f.npz",
        a=X,
        b=np.eye(8)[y],
        part=split,
        names=np.array([f"n{i}" for i in range(ROWS)]),
    )
    source = load(tmp_path / "f.npz", inputs="a", labels="b", split="part")
    assert source.facts.disjoint  # no class of the test rows is trained on
    assert set(source.splits(0).test.labels) == {1, 3, 5, 7}
    assert source.splits(0).test.names[0] == "n1"
    with pytest.raises(LosscopeError, match=r"unknown array in .*'lables'; did you mean"):
        load(tmp_path / "f.npz", inputs="a", labels="lables")


def test_uint8_arrays_are_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (ROWS, 5, 5, 3)).astype(np.uint8)
    np.savez(tmp_path / "f.npz", images=pixels, labels=Y)
    source = load(tmp_path / "f.npz")
    assert source.facts.kind == "images"
    assert source.facts.shape == (3, 5, 5)
    train = source.role == 0
    np.testing.assert_allclose(source.facts.mean, pixels[train].mean((0, 1, 2)) / 255, atol=1e-9)
    np.testing.assert_allclose(source.facts.std, pixels[train].std((0, 1, 2)) / 255, atol=1e-9)


def test_npy_with_labels_beside_or_given(tmp_path):
    np.save(tmp_path / "e.npy", X.astype(np.float16))
    with pytest.raises(LosscopeError, match="has no labels; wanted"):
        load(tmp_path / "e.npy")
    np.save(tmp_path / "classes.npy", Y)
    assert np.array_equal(load(tmp_path / "e.npy", labels=str(tmp_path / "classes.npy")).pool.labels, Y)
    np.save(tmp_path / "e_labels.npy", Y)
    source = load(tmp_path / "e.npy", group=None)
    assert source.pool.inputs.dtype == np.float32


def test_hdf5_with_text_labels(tmp_path):
    h5py = pytest.importorskip("h5py")
    words = np.array(["a", "b", "c", "d"])[Y]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["features"] = X
        file["labels"] = words.astype("S1")
        file.create_dataset("group", data=[f"g{i // 4}" for i in range(ROWS)], dtype=h5py.string_dtype())
    source = load(tmp_path / "f.h5", group="group")
    assert source.facts.class_names == ("a", "b", "c", "d")
    assert source.facts.group_names[0] == "g0"
    draws = source.splits(0)
    assert not set(draws.train.groups) & set(draws.test.groups)


# Broken files


def broken(path):
    good = path.with_name("good.npz")
    np.savez_compressed(good, features=X, labels=Y)
    return good.read_bytes()


def test_broken_files_are_one_sentence(tmp_path):
    path = tmp_path / "f.npz"
    raw = broken(path)
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(LosscopeError, match="is truncated or damaged"):
        load(path)
    damaged = bytearray(raw)
    damaged[200:400] = b"\xff" * 200
    path.write_bytes(bytes(damaged))
    with pytest.raises(LosscopeError, match=r"is truncated or damaged|cannot be read"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(LosscopeError, match=r"f\.npz"):
        load(path)
    np.savez(path, features=np.array([{"a": 1}, None] * 20, dtype=object), labels=Y)
    with pytest.raises(LosscopeError, match="pickled Python objects, which are never run"):
        load(path)
    np.save(tmp_path / "e.npy", X)
    (tmp_path / "e.npz").write_bytes((tmp_path / "e.npy").read_bytes())
    with pytest.raises(LosscopeError, match="one array without names"):
        load(tmp_path / "e.npz")
    for suffix in (".parquet", ".h5", ".npy"):
        (tmp_path / f"junk{suffix}").write_bytes(b"PAR1 and no more")
        with pytest.raises(LosscopeError, match=rf"junk\{suffix}"):
            load(tmp_path / f"junk{suffix}")


def test_pickles_are_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    for name in ("f.npz", "f.npy"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(LosscopeError):
            load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_missing_and_foreign_paths(tmp_path):
    with pytest.raises(LosscopeError, match="no file or folder of that name"):
        load(tmp_path / "nothing.npz")
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(LosscopeError, match="wanted: a folder of class folders, or a file"):
        load(tmp_path / "a.doc")
    with pytest.raises(LosscopeError, match="no class folders"):
        load(tmp_path)


def test_a_changed_file_is_read_again(tmp_path):
    np.savez(tmp_path / "f.npz", features=X, labels=Y)
    first = load(tmp_path / "f.npz")
    np.savez(tmp_path / "f.npz", features=np.concatenate([X, X]), labels=np.concatenate([Y, Y]))
    assert len(load(tmp_path / "f.npz").pool) == 2 * len(first.pool)


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_nan_in_a_file(tmp_path, suffix):
    bad = X.copy()
    bad[5, 2] = np.nan
    if suffix == "npz":
        np.savez(tmp_path / "f.npz", features=bad, labels=Y)
    else:
        pd.DataFrame(bad).assign(label=Y).to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(LosscopeError, match=r"1 values that are NaN or infinite, in 1 of 40 rows \(rows 5,"):
        load(tmp_path / f"f.{suffix}")


# Tables


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".tsv"])
def test_tables_of_numbers(tmp_path, suffix):
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(6)]).assign(
        id=np.arange(ROWS),
        label=[f"c{y}" for y in Y],
        speaker=Y * 0 + np.arange(ROWS) // 4,
        fine_label=np.arange(ROWS) % 8,
    )
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    source = load(path, group="speaker")
    assert source.facts.shape == (6,)  # neither id, label, fine label nor the group is a feature
    assert source.facts.notes[0] == "the features are 6 columns, f0 … f5"
    np.testing.assert_allclose(source.pool.inputs, X, rtol=1e-6)
    assert source.facts.class_names == ("c0", "c1", "c2", "c3")
    assert np.array_equal(source.pool.fine_labels % 4, source.pool.labels)
    draws = source.splits(0)
    assert not set(draws.train.groups) & (set(draws.test.groups) | set(draws.validation.groups))
    with pytest.raises(LosscopeError, match="unknown column in"):
        load(path, labels="klass")


def test_a_parquet_column_of_lists(tmp_path):
    pd.DataFrame({"embedding": list(X), "label": Y}).to_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(load(tmp_path / "t.parquet").pool.inputs, X)
    pd.DataFrame({"embedding": [x[: 3 + i % 2] for i, x in enumerate(X)], "label": Y}).to_parquet(
        tmp_path / "r.parquet"
    )
    with pytest.raises(LosscopeError, match="as many numbers in every row"):
        load(tmp_path / "r.parquet")


def test_tables_without_labels_or_with_holes(tmp_path):
    pd.DataFrame(X, columns=list("abcdef")).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(LosscopeError, match=r"has no label column; wanted: .* it has a, b, c"):
        load(tmp_path / "t.csv")
    words = [f"c{y}" for y in Y]
    words[3] = None
    pd.DataFrame(X).assign(label=words).to_csv(tmp_path / "h.csv", index=False)
    with pytest.raises(LosscopeError, match="1 of 40 labels of h.csv is missing"):
        load(tmp_path / "h.csv")
    (tmp_path / "e.csv").write_text("a,label\n")
    with pytest.raises(LosscopeError, match="a header but no rows"):
        load(tmp_path / "e.csv")
    pd.DataFrame({"text": ["a"] * 4, "label": [0, 1, 0, 1]}).to_csv(tmp_path / "w.csv", index=False)
    with pytest.raises(LosscopeError, match="holds texts .*--backbone with a text model"):
        load(tmp_path / "w.csv")
    pd.DataFrame({"colour": ["a"] * 4, "label": [0, 1, 0, 1]}).to_csv(tmp_path / "w.csv", index=False)
    with pytest.raises(LosscopeError, match="neither a path column"):
        load(tmp_path / "w.csv")


def test_unknown_words_in_a_split_and_a_leak(tmp_path):
    frame = pd.DataFrame(X).assign(label=Y, split=np.where(np.arange(ROWS) < 20, "train", "later"))
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(LosscopeError, match="unknown split 'later'; choices: train, validation, test"):
        load(tmp_path / "t.csv")
    # Ten test classes of which one is trained on too: class-disjoint, but for a leak.
    labels = np.concatenate([np.arange(20) // 2, np.arange(20) // 2 + 9])
    frame.assign(label=labels, split=np.repeat(["train", "test"], 20)).to_csv(tmp_path / "l.csv", index=False)
    with pytest.raises(LosscopeError, match=r"leaks: 1 class \(9\) in the test split and outside of it"):
        load(tmp_path / "l.csv")
