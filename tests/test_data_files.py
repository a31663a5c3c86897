"""The user's own files: arrays, tables, folders, manifests, tuples, two modalities; and broken ones."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pandas as pd
import pytest

from losscope.core.errors import LosscopeError
from losscope.data import load

ROWS, CLASSES = 40, 4
Y = np.arange(ROWS) % CLASSES
X = np.random.default_rng(0).normal(size=(ROWS, 6)).astype(np.float32)


def picture(path, value, size=12):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(path)


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
    with pytest.raises(LosscopeError, match="column 'label' is empty in 1 of 40 rows"):
        load(tmp_path / "h.csv")
    (tmp_path / "e.csv").write_text("a,label\n")
    with pytest.raises(LosscopeError, match="a header but no rows"):
        load(tmp_path / "e.csv")
    pd.DataFrame({"text": ["a"] * 4, "label": [0, 1, 0, 1]}).to_csv(tmp_path / "w.csv", index=False)
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
    assert [len(one) for one in (draws.train, draws.validation, draws.test)] == [8, 8, 8]
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
    assert not any("9.jpg" in one for one in source.pool.names)


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


# Explicit pairs and triplets


def test_pairs_and_triplets_follow_their_rows_into_the_parts(tmp_path):
    # Ten islands of four rows: pairs only inside an island, so that no split need tear one.
    rng = np.random.default_rng(0)
    island = np.arange(ROWS) // 4
    i = rng.integers(0, ROWS, 60)
    j = island[i] * 4 + rng.integers(0, 4, 60)
    np.savez(tmp_path / "f.npz", features=X, labels=Y)
    pd.DataFrame({"i": i, "j": j, "same": (Y[i] == Y[j]).astype(int)}).to_csv(tmp_path / "p.csv", index=False)
    source = load(tmp_path / "f.npz", pairs=str(tmp_path / "p.csv"))
    draws = source.splits(0)
    parts = (draws.train, draws.validation, draws.test)
    assert sum(len(part.pairs) for part in parts) == 60
    for part in parts:
        a, b, same = part.pairs.T
        assert np.array_equal(part.labels[a] == part.labels[b], same.astype(bool))
    np.save(tmp_path / "t.npy", np.stack([i, j, (i // 4) * 4], 1))
    with_triplets = load(tmp_path / "f.npz", triplets=str(tmp_path / "t.npy")).splits(0)
    assert with_triplets.train.triplets.shape[1] == 3
    assert with_triplets.train.pairs is None


def test_pairs_make_classes_where_there_are_no_labels(tmp_path):
    np.savez(tmp_path / "f.npz", features=X, names=np.array([f"n{i}" for i in range(ROWS)]))
    islands = [(f"n{4 * k}", f"n{4 * k + d}", 1) for k in range(10) for d in (1, 2, 3)]
    apart = [(f"n{4 * k}", f"n{4 * k + 4}", 0) for k in range(9)] + [("n1", "n2", 0)]
    pd.DataFrame(islands + apart, columns=["a", "b", "same"]).to_csv(tmp_path / "p.csv", index=False)
    source = load(tmp_path / "f.npz", pairs=str(tmp_path / "p.csv"))
    assert source.facts.classes == 10
    assert np.array_equal(source.pool.labels, np.arange(ROWS) // 4)
    said = " ".join(source.facts.notes)
    assert "there are no labels" in said
    assert "1 of 10 negative pairs lie inside such a class" in said
    # All rows hang together here, so some tuples are torn, and counted.
    assert "explicit tuples fall away" in said


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("i,j,same\n0,40,1\n", "names 1 rows outside of 0…39"),
        ("i,j,same\n0,1,2\n", "third column must be 1"),
        ("i,j,same\na,b,1\n", "the data have no names"),
        ("i\n0\n", "has 1 columns; wanted: columns i, j, same"),
        ("i,j,same\n", "a header but no rows"),
    ],
)
def test_bad_pairs(tmp_path, table, sentence):
    np.savez(tmp_path / "f.npz", features=X, labels=Y)
    (tmp_path / "p.csv").write_text(table)
    with pytest.raises(LosscopeError, match=sentence):
        load(tmp_path / "f.npz", pairs=str(tmp_path / "p.csv"))


def test_missing_pairs_file(tmp_path):
    np.savez(tmp_path / "f.npz", features=X, labels=Y)
    with pytest.raises(LosscopeError, match="no file"):
        load(tmp_path / "f.npz", pairs=str(tmp_path / "gone.csv"))


# Two modalities


def test_two_modalities_as_in_the_literature(tmp_path):
    rng = np.random.default_rng(0)
    audio, visual = rng.normal(size=(ROWS, 128)), rng.normal(size=(ROWS, 1024))
    np.savez(tmp_path / "ave.npz", audio=audio, visual=visual, labels=Y)
    source = load(tmp_path / "ave.npz")
    assert source.facts.kind == "pair"
    assert source.facts.modalities == ("audio", "visual")
    assert (source.facts.shape, source.facts.second_shape) == ((128,), (1024,))
    part = source.splits(0).train
    assert np.array_equal(part.inputs, audio[part.rows].astype(np.float32))
    assert np.array_equal(part.second, visual[part.rows].astype(np.float32))
    assert "pairs of audio 128 and visual 1024" in source.describe()


def test_segments_and_places_are_averaged_and_said(tmp_path):
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    audio, video = rng.normal(size=(ROWS, 10, 8)), rng.normal(size=(ROWS, 10, 2, 2, 5))
    with h5py.File(tmp_path / "seg.h5", "w") as file:
        file["visual_features"], file["audio_features"], file["labels"] = video, audio, Y
    source = load(tmp_path / "seg.h5")
    np.testing.assert_allclose(source.pool.inputs, audio.mean(1), atol=1e-6)
    np.testing.assert_allclose(source.pool.second, video.mean((1, 2, 3)), atol=1e-6)
    assert sum("averaged" in one for one in source.facts.notes) == 2


def test_modalities_are_joined_by_ids(tmp_path):
    rng = np.random.default_rng(0)
    order = rng.permutation(ROWS)
    audio, visual = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 4))
    lacking = order[order != 7]  # row 7 has no picture
    np.savez(
        tmp_path / "f.npz",
        audio=audio,
        visual=visual[lacking],
        labels=Y,
        audio_ids=np.arange(ROWS) + 100,
        visual_ids=lacking + 100,
    )
    source = load(tmp_path / "f.npz")
    keep = np.arange(ROWS) != 7
    np.testing.assert_allclose(source.pool.inputs, audio[keep].astype(np.float32))
    np.testing.assert_allclose(source.pool.second, visual[keep].astype(np.float32))
    assert (
        source.facts.notes[0]
        == "1 of 40 rows lack a modality (0 without audio and 1 without visual); left out"
    )


def test_a_modality_missing_for_a_class_or_of_another_length(tmp_path):
    rng = np.random.default_rng(0)
    audio, visual = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 4))
    np.savez(tmp_path / "f.npz", audio=audio, visual=visual[:-1], labels=Y)
    with pytest.raises(LosscopeError, match=r"40 rows of audio but 39 of visual; wanted: .*audio_ids"):
        load(tmp_path / "f.npz")
    visual[Y == 2] = np.nan
    np.savez(tmp_path / "g.npz", audio=audio, visual=visual, labels=np.array(["dog", "cat", "owl", "cow"])[Y])
    with pytest.raises(LosscopeError, match="class 'owl' has no visual at all"):
        load(tmp_path / "g.npz")


def test_incomplete_pairs_without_labels(tmp_path):
    visual = X.copy()
    visual[3] = np.nan
    np.savez(tmp_path / "f.npz", audio=X, visual=visual)
    pd.DataFrame({"i": [0, 1], "j": [4, 5], "same": [1, 0]}).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(LosscopeError, match="1 of 40 rows lack a modality; wanted: complete pairs"):
        load(tmp_path / "f.npz", pairs=str(tmp_path / "p.csv"))


def test_pictures_as_a_modality_keep_their_bytes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (ROWS, 5, 5, 3)).astype(np.uint8)
    np.savez(tmp_path / "f.npz", audio=X, image=pixels, labels=Y)
    source = load(tmp_path / "f.npz")
    assert source.facts.modalities == ("audio", "image")
    assert source.pool.second.dtype == np.uint8
    train = source.role == 0
    np.testing.assert_allclose(source.facts.second_mean, pixels[train].mean((0, 1, 2)) / 255, atol=1e-9)
    assert source.facts.mean == ()


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


def test_the_hub_out_of_reach_is_said_at_once(monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setattr("losscope.data.readers.hub.reachable", lambda url: False)
    with pytest.raises(LosscopeError, match="hub cannot be reached"):
        load("hf:nobody/nothing-here")
    with pytest.raises(LosscopeError, match="is not hf:owner/name"):
        load("hf:nothing")
