"""Explicit pairs and triplets, and data of two modalities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_fixture import ROWS, X, Y
from losscope.core.errors import LosscopeError
from losscope.data import load

# Explicit pairs and triplets


def test_pairs_and_triplets_follow_their_rows_into_the_parts(tmp_path):
    # Ten islands of four rows: pairs only inside an island, so that no split need tear any.
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
    assert sum("averaged" in note for note in source.facts.notes) == 2


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
    assert [part.said for part in source.facts.left_out] == ["1 rows of audio without a row of visual"]


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
    left_out = load(tmp_path / "f.npz").facts.left_out
    assert [part.said for part in left_out] == ["1 pair without visual (all NaN)"]
    with pytest.raises(LosscopeError, match="has two modalities, whose rows are joined in the file"):
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
