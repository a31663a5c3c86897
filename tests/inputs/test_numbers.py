"""Numbers with which nothing can be meant: refused with the unit, or brought into range and said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope.core.errors import LosscopeError
from losscope.core.spec import LossSpec
from losscope.data import load

ACCEPTED = "accepted without a word"
HYPERPARAMETERS = (
    (
        "arcface(margin=28.6)",
        ACCEPTED,
        "28.6 radians; at most 3.1416 is wanted: 28.6 degrees are 0.499 radians",
    ),
    ("center_contrastive(margin=-5)", ACCEPTED, "at least 0 is wanted: it is taken off the own cosine"),
    ("triplet(margin=45)", ACCEPTED, "at most 2 is wanted: distances of unit vectors differ by no more"),
    ("contrastive(margin=50)", ACCEPTED, "at most 2 is wanted: no distance of unit vectors is above 2"),
    ("contrastive(margin=1e30)", ACCEPTED, "at most 2 is wanted"),
    ("contrastive(learning_rate=1e6)", ACCEPTED, "the learning rate of contrastive is 1e.06; at most 10"),
    ("center_contrastive(margin=20)", ACCEPTED, "at most 2 is wanted: cosines lie between -1 and 1"),
    ("triplet(margin=5, squared=True)", ACCEPTED, "at most 4 is wanted: squared distances of unit vectors"),
    ("contrastive_label_blind(margin=90)", ACCEPTED, "at most 2 is wanted"),
    ("info_nce(temperature=20)", ACCEPTED, "where a scale is given, the temperature is 1 / scale"),
    ("sup_con(temperature=1e-6)", ACCEPTED, "at least 0.001 is wanted"),
    ("arcface(scale=1e30)", ACCEPTED, "scale of arcface is 1e.30; at most 1000"),
    ("n_pair(l2_weight=-1)", "accepted by the dry run, refused by the run", "at least 0 is wanted"),
    ("n_pair(l2_weight='heavy')", ACCEPTED, "it must be a finite number"),
    ("n_pair(l2_weight=1e999)", ACCEPTED, "it must be a finite number"),
    ("triplet(squared=2)", ACCEPTED, "it must be True or False"),
    ("info_nce(in_batch='no')", ACCEPTED, "it must be True or False"),
)


@pytest.mark.parametrize(("loss", "now"), [(name, now) for name, _, now in HYPERPARAMETERS])
def test_a_hyperparameter_without_meaning_is_refused(loss: str, now: str) -> None:
    with pytest.raises(LosscopeError, match=now):
        LossSpec.parse(loss)


MEANT = (
    "arcface(margin=3.1)",
    "contrastive(margin=2)",
    "triplet(margin=4, squared=True)",
    "triplet(margin=2)",
    "info_nce(temperature=0.01)",
    "contrastive(learning_rate=3.0)",
    "n_pair(l2_weight=0)",
)


@pytest.mark.parametrize("loss", MEANT)
def test_what_can_be_meant_is_taken(loss: str) -> None:
    assert LossSpec.parse(loss).label


def test_a_loss_called_in_code_and_an_audit_are_refused_alike() -> None:
    with pytest.raises(LosscopeError, match="28.6 degrees"):
        losscope.loss("arcface", margin=28.6, num_classes=3, embedding_size=4)
    with pytest.raises(LosscopeError, match="28.6 degrees"):
        losscope.audit("arcface(margin=28.6)")


def blobs() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 40)
    return 1.5 * generator.normal(size=(6, 16))[labels] + generator.normal(size=(240, 16)), labels


def saved(folder: Path, values: np.ndarray, labels: np.ndarray) -> str:
    path = folder / "scale.npz"
    np.savez(path, features=values, labels=labels)
    return str(path)


def stamped(values: np.ndarray) -> np.ndarray:
    return np.c_[values, 1.7e9 + np.arange(len(values))]


SCALES = (
    ("x 1e-30", lambda x: x * 1e-30, "raw Recall@1 at chance", "are multiplied by 2.96"),
    (
        "x 1e-25, float32",
        lambda x: (x * 1e-25).astype("f4"),
        "raw Recall@1 at chance",
        r"are multiplied by 2.\d",
    ),
    ("x 1e25", lambda x: x * 1e25, "raw Recall@1 at chance", r"are divided by 2.\d"),
    ("a column x 1e6", lambda x: x * np.r_[[1e4] * 3, 1e6, [1e4] * 12], "no note", "column 3 of the inputs"),
    ("a timestamp", stamped, "raw at chance, no note", "column 16 of the inputs .*cosines see little else"),
    ("a long id", lambda x: np.c_[x, 2.0**55 + np.arange(240)], "no note", "by less than float32 can tell"),
    ("plain", lambda x: x, "no note", ""),
)


@pytest.mark.parametrize(("change", "now"), [row[1::2] for row in SCALES], ids=[row[0] for row in SCALES])
def test_scale_is_said_and_mended(change, now: str, tmp_path: Path) -> None:
    values, labels = blobs()
    facts = load(saved(tmp_path, change(values), labels)).facts
    assert facts.health is not None
    found = facts.health.said
    assert re.search(now, found) if now else found == ""


def test_very_small_and_large_inputs_keep_every_cosine(tmp_path: Path) -> None:
    values, labels = blobs()
    plain = load(saved(tmp_path, values, labels)).splits(0).test.inputs
    unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    for factor in (1e-30, 1e30):
        moved = load(saved(tmp_path, values * factor, labels)).splits(0).test.inputs
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        assert np.isfinite(length).all() and (length > 0).all()
        np.testing.assert_allclose(moved / length, unit, rtol=1e-5, atol=1e-6)


REFUSED = (
    ("x 1e39", lambda x: x * 1e39, "said to be NaN or infinite", "above float32's 3.4e.38.*divide"),
    (
        "+ 1e9",
        lambda x: x + 1e9,
        "raw Recall@1 at chance",
        "in all 16 columns that vary .*subtract each column",
    ),
)


@pytest.mark.parametrize(("change", "now"), [row[1::2] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_numbers_beyond_float32_are_refused(change, now: str, tmp_path: Path) -> None:
    values, labels = blobs()
    with pytest.raises(LosscopeError, match=now):
        load(saved(tmp_path, change(values), labels))


def test_zero_vectors_are_counted_in_data_and_in_judge(tmp_path: Path) -> None:
    values, labels = blobs()
    zero = np.random.default_rng(5).random(240) < 0.3
    values[zero] = 0
    found = load(saved(tmp_path, values, labels)).facts.health
    assert found is not None and f"{zero.sum()} of 240 inputs are zero vectors" in found.said
    assert not found.seen and not found.two_labels
    for seed in range(8):
        order = np.random.default_rng(99 + seed).permutation(240)
        for name, rows in (("sorted", np.arange(240)), ("shuffled", order)):
            (tmp_path / name).mkdir(exist_ok=True)
            noisy = values + 0.05 * np.random.default_rng(seed).normal(size=values.shape)
            noisy[zero] = 0
            np.savez(tmp_path / name / f"{seed}.npz", embeddings=noisy[rows], labels=labels[rows])
    result = losscope.judge(str(tmp_path / "{loss}/{seed}.npz"), measure="map_at_r")
    assert abs(result.verdicts()[0].difference or 0.0) < 1e-9
    assert any(f"{zero.sum()} of 240 embeddings are zero, so that they tie" in note for note in result.notes)


def test_a_column_of_a_table_that_outweighs_the_rest_is_said(tmp_path: Path) -> None:
    values, labels = blobs()
    frame = pd.DataFrame(values, columns=[f"f{place}" for place in range(16)])
    frame.assign(label=labels, income=1.7e9 + 1e6 * values[:, 0]).to_csv(tmp_path / "wide.csv", index=False)
    found = load(str(tmp_path / "wide.csv")).facts.health
    assert found is not None and "cosines see little else" in found.said
