"""Rows with several labels each: judged by what shares a label; where that has no meaning, a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import losscope
from losscope.core.errors import LosscopeError
from losscope.data.tags import Tags, several

N = 40


def runs(folder: Path, tags: np.ndarray | None = None, **more: np.ndarray) -> str:
    """Six paired seeds of two losses; triplet's embeddings follow the labels, contrastive's do so less."""
    draw = np.random.default_rng(0)
    tags = draw.random((N, 5)) < 0.3 if tags is None else tags
    for loss, noise in (("contrastive", 1.0), ("triplet", 0.2)):
        (folder / loss).mkdir(parents=True)
        for seed in range(6):
            points = tags @ np.eye(tags.shape[1], 8) + noise * draw.normal(size=(N, 8))
            np.savez(folder / loss / f"{seed}.npz", embeddings=points, labels=tags.astype(np.int64), **more)
    return str(folder / "{loss}" / "{seed}.npz")


def test_saved_embeddings_are_judged_by_overlap(tmp_path):
    pattern = runs(tmp_path)
    result = losscope.judge(pattern)
    row = result.paired[0]
    assert (row.a, row.measure, row.verdict) == ("triplet", "recall_at_1", "higher")
    file = np.load(tmp_path / "triplet" / "0.npz")
    wanted = losscope.retrieval(file["embeddings"].astype(np.float32), file["labels"])
    assert result.losses[1].measures["map_at_r"].values[0] == pytest.approx(wanted["map_at_r"], abs=1e-12)
    measured = set(result.losses[1].measures)
    assert "mean_average_precision" in measured
    assert not measured & {"intra_variance", "knn_accuracy", "nmi", "eer", "silhouette"}
    assert any("right is what shares one" in note and "is not measured" in note for note in result.notes)
    # Label sets overlap, so that they are no units to leave out one by one.
    assert row.low_data is None


def test_labels_named_and_rows_without_any(tmp_path):
    draw = np.random.default_rng(1)
    tags = draw.random((N, 3)) < 0.4
    tags[:, 0] |= ~tags.any(1)
    tags[:4] = False
    result = losscope.judge(runs(tmp_path, tags, class_names=np.array(["cat", "dog", "owl"])))
    assert any("4 of 40 rows are background (-1) and left out" in note for note in result.notes)


def test_two_modalities_by_overlap(tmp_path):
    result = losscope.judge(runs(tmp_path, modality=np.repeat(["image", "text"], N // 2)))
    assert "map_audio_to_visual" in result.losses[0].measures
    assert "intra_variance_audio" not in result.losses[0].measures


def test_queries_and_distractors_by_overlap(tmp_path):
    role = np.array(["query", "gallery", "gallery", "distractor"])[np.arange(N) % 4]
    result = losscope.judge(runs(tmp_path, role=role))
    file = np.load(tmp_path / "triplet" / "0.npz")
    tags = file["labels"].astype(bool) & (role != "distractor")[:, None]
    wanted = losscope.retrieval(
        file["embeddings"].astype(np.float32), tags, query=role == "query", gallery=role != "query"
    )
    assert result.losses[1].measures["recall_at_5"].values[0] == pytest.approx(wanted["recall_at_5"])


def test_runs_of_other_labels_have_no_verdict(tmp_path):
    pattern = runs(tmp_path)
    file = dict(np.load(tmp_path / "triplet" / "0.npz"))
    file["labels"][0] = 1 - file["labels"][0]
    np.savez(tmp_path / "triplet" / "0.npz", **file)
    with pytest.raises(LosscopeError, match="measured on different items"):
        losscope.judge(pattern)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (np.concatenate([np.ones((N, 1)), np.eye(N)], 1), "every two rows share one"),
        (np.kron(np.eye(N), [1, 1]), "no two rows that share a label"),
    ],
)
def test_labels_that_decide_nothing_are_refused(tmp_path, tags, said):
    with pytest.raises(LosscopeError, match=said):
        losscope.judge(runs(tmp_path, tags))


def test_class_names_are_one_for_each_column(tmp_path):
    with pytest.raises(LosscopeError, match="have 5 columns, and there are 2 class names"):
        losscope.judge(runs(tmp_path, class_names=np.array(["a", "b"])))


@pytest.mark.parametrize("values", [np.eye(4), np.arange(6), np.full((4, 3), 2), np.array([["a", "b"]] * 3)])
def test_one_label_each_is_no_table_of_several(values):
    assert several(values, "labels") is None


@pytest.mark.parametrize("seed", range(10))
def test_sets_and_kin_are_those_of_plain_loops(seed):
    table = np.random.default_rng(seed).random((30, 8)) < 0.12
    tags = Tags(table, tuple("abcdefgh"))
    numbers, names = tags.sets
    for row, number in enumerate(numbers):
        own = " + ".join(name for name, has in zip("abcdefgh", table[row]) if has)
        assert (names[number] == own) if own else number == -1
    kin = tags.kin
    groups: list[set[int]] = []
    for row in range(30):
        mine = {row, *(other for other in range(30) if (table[row] & table[other]).any())}
        joined = [group for group in groups if group & mine]
        groups = [group for group in groups if not group & mine] + [mine.union(*joined)]
    for group in groups:
        labelled = [row for row in group if table[row].any()]
        assert len({kin[row] for row in labelled}) <= 1
    assert ((kin == -1) == ~table.any(1)).all()
    assert len(set(kin[table.any(1)].tolist())) == sum(
        any(table[row].any() for row in group) for group in groups
    )
