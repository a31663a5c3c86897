"""Rows with several labels each: judged by what shares a label; where that has no meaning, a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope.comparing.judging.embedded import load_embeddings
from losscope.core.errors import LosscopeError
from losscope.data import load
from losscope.data.base import Table
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
    pattern = str(tmp_path / "{loss}" / "{seed}.npz")
    without = losscope.judge(pattern, skip_unlabelled=True)
    assert any("4 rows have no label and are left out" in note for note in without.notes)
    assert not any("background" in note for note in without.notes)
    assert without.paired[0].difference == result.paired[0].difference
    assert len(load_embeddings(tmp_path / "triplet" / "0.npz", skip_unlabelled=True).labels) == N - 4


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


ROWS, C = 120, 5


def drawn(share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Features that follow their labels, and labels of which each row has one at least."""
    draw = np.random.default_rng(0)
    tags = draw.random((ROWS, C)) < share
    tags[:, 0] |= ~tags.any(1)
    return (tags @ draw.normal(size=(C, 8)) + draw.normal(size=(ROWS, 8))).astype(np.float32), tags


def file(folder: Path, tags: np.ndarray | None = None, **more: np.ndarray) -> str:
    points, own = drawn()
    np.savez(folder / "m.npz", features=points, labels=(own if tags is None else tags).astype(int), **more)
    return str(folder / "m.npz")


def opened(path: str, **options: Any) -> Table:
    found = load(path, **options)
    assert isinstance(found, Table)
    return found


def test_a_table_of_0_and_1_is_read_as_several_labels(tmp_path):
    tags = drawn()[1]
    source = opened(file(tmp_path))
    np.testing.assert_array_equal(source.pool.tags, tags)
    assert f"with labels of {C} (" in source.describe() and "several in a row" in source.describe()
    assert any("right is what shares one" in note for note in source.facts.notes)
    # Each row stands under its rarest label.
    counts = tags.sum(0)
    for row, label in enumerate(source.pool.labels):
        assert tags[row, label] and counts[label] == counts[tags[row]].min()
    splits = source.splits(3)
    for part in (splits.train, splits.validation, splits.test):
        np.testing.assert_array_equal(part.tags, tags[part.rows])


def written(row: np.ndarray) -> list[str]:
    return [f"t{label}" for label in np.flatnonzero(row)]


@pytest.mark.parametrize("name", ["m.parquet", "m.jsonl"])
def test_lists_of_labels_are_read_as_the_same(tmp_path, name):
    points, tags = drawn()
    frame = pd.DataFrame({"embedding": points.tolist(), "labels": [written(row) for row in tags]})
    if name.endswith("parquet"):
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_json(tmp_path / name, orient="records", lines=True)
    source = opened(str(tmp_path / name))
    np.testing.assert_array_equal(source.pool.tags, tags)
    assert source.facts.class_names == tuple(f"t{label}" for label in range(C))


def test_labels_that_are_to_be_ignored_and_rows_left_without_any(tmp_path):
    tags = drawn()[1]
    lone = ~tags[:, 1:].any(1)
    with pytest.raises(LosscopeError, match=f"{lone.sum()} of {ROWS} labels of m.npz are missing"):
        opened(file(tmp_path), ignore_label="0")
    source = opened(file(tmp_path), ignore_label="0", skip_unlabelled=True)
    np.testing.assert_array_equal(source.pool.tags, tags[~lone][:, 1:])


def test_folds_limits_and_content_of_several_labels(tmp_path):
    source = opened(file(tmp_path), folds=4)
    assert source.facts.folds == 4 and source.splits(1).test.tags is not None
    small = opened(file(tmp_path), limit=40)
    assert small.pool.tags is not None and len(small.pool.tags) == len(small.pool.labels)
    tags = drawn()[1]
    first = opened(file(tmp_path)).digest
    tags[0, tags[0].argmin()] = True
    assert opened(file(tmp_path, tags)).digest != first


@pytest.mark.parametrize(
    ("tags", "more", "options", "said"),
    [
        (None, {"fine_labels": np.arange(ROWS) % 9}, {}, "several labels in a row, and finer labels too"),
        (None, {}, {"label_noise": 0.1}, "several labels in a row, and label_noise too"),
        (np.c_[np.ones(ROWS), drawn()[1]], {}, {}, "every two rows share one"),
        (None, {"class_names": np.array(["a"])}, {}, "have 5 columns, and there are 1 class names"),
    ],
)
def test_what_several_labels_leave_no_meaning_is_refused(tmp_path, tags, more, options, said):
    with pytest.raises(LosscopeError, match=said):
        opened(file(tmp_path, tags, **more), **options)


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"losses": ["arcface"]}, "the loss 'arcface' wants one class for each row"),
        ({"losses": ["triplet", "pml:ContrastiveLoss"]}, "wants one class for each row"),
        ({"goal": "verification"}, "the goal 'verification' wants one class for each row"),
        ({"start": "whitened"}, "the start 'whitened' wants one class for each row"),
    ],
)
def test_what_wants_one_class_is_refused_before_training(tmp_path, study, said):
    with pytest.raises(LosscopeError, match=said):
        losscope.compare(file(tmp_path), **study, out=str(tmp_path / "runs"))


@pytest.mark.parametrize("protocol", ["matched", "paper"])
def test_a_study_trains_and_measures_by_overlap(tmp_path, protocol):
    result = losscope.compare(
        file(tmp_path),
        losses=["contrastive", "triplet", "info_nce"],
        seeds=2,
        epochs=2,
        batch_size=20,
        tune=False,
        protocol=protocol,
        out=str(tmp_path / "runs"),
    )
    measured = set(result.losses[0].measures)
    assert {"recall_at_1", "map_at_r", "mean_average_precision"} <= measured
    assert not measured & {"intra_variance", "knn_accuracy", "nmi", "eer"}
    assert {side.name for side in result.baselines} == {"raw", "untrained"}
    assert all(row.low_data is None for row in result.paired)
    kept = sorted((tmp_path / "runs").glob("runs/*/test.npz"))
    assert len(kept) == 10
    scores = {value for side in result.sides for value in side.measures["map_at_r"].values}
    for path in kept:
        found = load_embeddings(path)
        assert found.tags is not None
        again = losscope.retrieval(found.embeddings, found.tags)["map_at_r"]
        assert min(abs(again - score) for score in scores) < 1e-6


def test_tuning_ranks_by_overlap_too(tmp_path):
    result = losscope.compare(
        file(tmp_path),
        losses=["contrastive", "triplet"],
        seeds=2,
        epochs=2,
        batch_size=20,
        out=str(tmp_path / "runs"),
    )
    for side in result.losses:
        assert {"recall_at_1", "map_at_r"} <= set(side.validation)
    assert result.recommendation.candidate in {"contrastive", "triplet"}


def test_pairs_of_modalities_with_several_labels(tmp_path):
    points, tags = drawn()
    other = (tags @ np.random.default_rng(1).normal(size=(C, 6))).astype(np.float32)
    np.savez(tmp_path / "p.npz", image=points, text=other, labels=tags.astype(int))
    study: dict[str, Any] = {"seeds": 1, "epochs": 3, "batch_size": 20, "tune": False}
    result = losscope.compare(
        str(tmp_path / "p.npz"), losses=["contrastive", "info_nce"], out=str(tmp_path / "runs"), **study
    )
    assert "map_audio_to_visual" in result.losses[0].measures
    assert "intra_variance_audio" not in result.losses[0].measures
