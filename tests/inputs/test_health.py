"""Items that stand in two parts or under two labels, near copies, and what the verdict is without them."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import losscope
from embed_fixture import run
from losscope import stats
from losscope.core.loss_spec import CLOSED_FORM, RAW, LossSpec
from losscope.core.spec import DataSpec, Run, protocol
from losscope.data import Splits, health, load
from losscope.data.health import Health
from losscope.measures import evaluate
from losscope.pairs import normalise
from losscope.run.store import Record
from losscope.train.measuring import measure

Rows = dict[str, np.ndarray]


def noise(rows: int = 60, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)


def twice() -> Rows:
    """Pure noise, each row twice under its label."""
    return {"features": np.r_[noise(), noise()], "labels": np.r_[np.arange(60) % 4, np.arange(60) % 4]}


def two_labels() -> Rows:
    return {"features": np.r_[noise(), noise()], "labels": np.r_[np.arange(60) % 4, (np.arange(60) + 1) % 4]}


def in_both_parts() -> Rows:
    values = noise(80)
    values[70:] = values[:10]
    return {
        "features": values,
        "labels": np.arange(80) % 4,
        "split": np.array(["train"] * 60 + ["test"] * 20),
    }


def half_precision() -> Rows:
    rows = in_both_parts()
    return {**rows, "features": rows["features"].astype(np.float16)}


def near(factor: float) -> Callable[[], Rows]:
    def made() -> Rows:
        rows = in_both_parts()
        rows["features"][70:] += factor * np.random.default_rng(1).normal(size=(10, 16)).astype(np.float32)
        return rows

    return made


def pictures() -> Rows:
    rows = in_both_parts()
    whole = np.random.default_rng(0).integers(0, 256, (80, 16, 16, 3), dtype=np.uint8)
    whole[70:] = whole[:10]
    return {**rows, "features": whole}


def recompressed() -> Rows:
    rows = pictures()
    values = rows["features"].astype(np.int16)
    values[70:] += np.random.default_rng(1).integers(-2, 3, values[70:].shape, dtype=np.int16)
    return {**rows, "features": values.clip(0, 255).astype(np.uint8)}


def twice_in_test() -> Rows:
    values = noise(80)
    values[70:] = values[60:70]
    return {**in_both_parts(), "features": values}


def zeros() -> Rows:
    values = noise(80)
    values[::8] = 0
    return {**in_both_parts(), "features": values}


def scaled_twice() -> Rows:
    rows = in_both_parts()
    return {**rows, "features": rows["features"] * np.float32(1e-30)}


def constant() -> Rows:
    return {"features": np.ones((240, 16), np.float32), "labels": np.repeat(np.arange(6), 40)}


def tidy() -> Rows:
    return {"features": noise(80), "labels": np.arange(80) % 4}


SILENT = "no word"
CASES = (
    ("each row twice", twice, SILENT, "26 of 36 test items stand in training too"),
    ("each row under two labels", two_labels, SILENT, "60 items stand under more than one label"),
    ("rows in a given test part", in_both_parts, SILENT, "10 of 20 test items stand in training too"),
    ("float16 rows in both parts", half_precision, SILENT, "10 of 20 test items stand in training too"),
    ("near rows", near(0.001), SILENT, "10 of 20 test items have a near copy in training"),
    ("nearer rows", near(1e-6), SILENT, "10 of 20 test items have a near copy in training"),
    ("pictures in both parts", pictures, SILENT, "10 of 20 test items stand in training too"),
    ("recompressed pictures", recompressed, SILENT, "10 of 20 test items have a near copy in training"),
    ("rows twice in the test part", twice_in_test, SILENT, "10 of 20 test items equal another"),
    ("zero rows", zeros, SILENT, "10 of 80 inputs are zero vectors, which are equally near to all"),
    ("tiny rows in both parts", scaled_twice, SILENT, "10 of 20 test items stand in training too"),
    ("all inputs equal", constant, SILENT, "all 240 inputs are equal"),
)


@pytest.mark.parametrize(("make", "now"), [row[1::2] for row in CASES], ids=[row[0] for row in CASES])
def test_what_is_wrong_is_one_line(make: Callable[[], Rows], now: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **make())
    facts = load(str(tmp_path / "data.npz")).facts
    assert facts.health is not None and now in facts.health.said
    assert facts.notes.count(facts.health.said) == 1
    assert facts.health.said.startswith("data health: ") and "\n" not in facts.health.said


def test_nothing_is_said_of_data_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **tidy())
    for name in (str(tmp_path / "data.npz"), "digits"):
        facts = load(name).facts
        assert facts.health is not None and facts.health.said == ""
        assert not any("data health" in note for note in facts.notes)


def test_equal_rows_are_found_as_the_naive_loop_finds_them() -> None:
    generator = np.random.default_rng(3)
    for shape, kind in (((200, 3), "f4"), ((200, 2), "f8"), ((200, 3, 3), "u1"), ((200, 5), "f2")):
        values = generator.integers(0, 3, shape).astype(kind)
        items, zero = health.identities(values)
        flat = [row.tobytes() for row in values]
        for row, content in enumerate(flat):
            assert zero[row] == (not values[row].any())
            assert items[row] == (row if zero[row] else flat.index(content))


def test_rows_of_one_sum_are_compared() -> None:
    """Differences of 2⁶³ in two words cancel in a sum of odd multiples."""
    values = np.zeros((2, 2), np.uint64)
    values[0], values[1] = (1, 1), (1 + 2**63, 1 + 2**63)
    items, _ = health.identities(values)
    assert items.tolist() == [0, 1]


def test_near_rows_are_found_and_no_other() -> None:
    values = noise(2000, 32)
    test = np.arange(2000) >= 1500
    assert not health.near_copies(values, test).any()
    values[1500:1600] = values[:100] * 1.001
    assert health.near_copies(values, test)[1500:1600].mean() > 0.95
    assert not health.near_copies(values, test)[1600:].any()


def test_a_large_table_is_looked_at_in_less_than_a_second() -> None:
    values = noise(50_000, 512)
    test = np.arange(len(values)) % 3 == 0
    labels = np.arange(len(values)) % 10
    start = time.process_time()
    items, zero = health.identities(values)
    found = health.examine(values, labels, test, items=items, zero=zero, labelled=True)
    assert time.process_time() - start < 1.0
    assert found == Health(rows=50_000, tests=int(test.sum()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("listed")
    generator = np.random.default_rng(0)
    for place in range(60):
        image = Image.fromarray(generator.integers(0, 256, (32, 32, 3)).astype(np.uint8))
        image.save(made / f"{place:02d}.png")
        shutil.copy(made / f"{place:02d}.png", made / f"copy{place:02d}.png")
    once = [(f"{place:02d}.png", "abcd"[place % 4]) for place in range(60)]
    other = dict(zip("abcd", "bcda", strict=True))
    lists = {
        "same": once,
        "dot": [(f"./{path}", label) for path, label in once],
        "copies": [(f"copy{path}", label) for path, label in once],
        "twolabels": [(path, other[label]) for path, label in once],
    }
    for name, again in lists.items():
        pd.DataFrame(once + again, columns=["path", "label"]).to_csv(made / f"{name}.csv", index=False)
    return made


LISTED = (
    ("same", "19 test files are training files too, no word", "60 rows that list a file again"),
    ("dot", "test files are training files too, no word", "60 rows that list a file again"),
    ("copies", SILENT, "test items stand in training too"),
    ("twolabels", SILENT, "60 items stand under more than one label"),
)


@pytest.mark.parametrize(("name", "now"), [row[::2] for row in LISTED], ids=[row[0] for row in LISTED])
def test_a_file_listed_twice_is_said(name: str, now: str, folder: Path) -> None:
    source = load(str(folder / f"{name}.csv"))
    assert now in " ".join((source.describe(), *source.facts.notes))
    if name in ("same", "dot"):
        parts = source.splits(0)
        files = [{Path(str(file)).name for file in part.names} for part in (parts.train, parts.test)]
        assert not files[0] & files[1] and source.facts.rows == 60


def test_the_answer_is_given_again_without_what_is_not_new(tmp_path: Path) -> None:
    np.savez(tmp_path / "noise.npz", **twice())
    result = losscope.compare(
        str(tmp_path / "noise.npz"), seeds=2, epochs=1, tune=False, engine="here", out=str(tmp_path / "out")
    )
    assert result.data.not_new == 31
    again = [
        note for note in result.notes if note.startswith("Without the 31 test items that stand in training")
    ]
    assert len(again) == 1
    raw = next(side for side in result.baselines if side.name == "raw")
    assert (raw.mean("recall_at_1") or 0) > 0.25


def measured(splits: Splits) -> dict[str, dict[str, float]]:
    """The measures of the inputs themselves."""
    shape = protocol("matched", splits.facts.kind)
    record = Record(Run(data=DataSpec(name="digits"), loss=LossSpec(name=RAW), protocol=shape, seed=0))

    def embed(rows: torch.Tensor) -> torch.Tensor:
        return normalise(torch.cat(rows.chunk(2, dim=1)) if splits.test.second is not None else rows)

    measure(record, splits, embed, torch.device("cpu"), "none")
    return record.measures


def cameras(path: Path, *, answers: bool = True) -> Splits:
    """People of two cameras, of which a gallery row of the first, or all but those, stand in training."""
    y, place = np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30)
    values = np.eye(30, dtype=np.float32)[y] + 0.5 * noise(300, 30)
    queries = (y >= 15) & (place < 2)
    copied = np.flatnonzero(y >= 15)[5:6] if answers else np.flatnonzero((y >= 15) & ~queries)
    values[copied] = values[: len(copied)]
    role = np.where(y < 15, "train", np.where(queries, "query", "gallery"))
    camera = np.array([0, 0, 0, 0, 1, 1, 0, 0, 1, 1])[place]
    same = np.array("junk")
    np.savez(path, features=values, labels=y, role=role, camera=camera, same_camera=same)
    return load(str(path)).splits(0)


def test_without_what_is_not_new_queries_still_search_the_gallery(tmp_path: Path) -> None:
    splits = cameras(tmp_path / "people.npz")
    gone = splits.facts.health.not_new if splits.facts.health else ()
    assert len(gone) == 1
    test = splits.test.take(np.flatnonzero(~np.isin(splits.test.rows, gone)))
    rows, labels = normalise(torch.from_numpy(test.inputs)), torch.from_numpy(test.labels)
    right, _ = evaluate(rows, labels, roles=test.retrieval)
    found = measured(splits)
    assert found["unseen"].keys() == found["test"].keys()
    for name in ("recall_at_1", "mean_average_precision"):
        assert found["unseen"][name] == pytest.approx(float(right[name]))
    finer = dataclasses.replace(splits.test, fine_labels=2 * splits.test.labels + splits.test.rows % 2)
    found = measured(dataclasses.replace(splits, test=finer))
    assert found["unseen"].keys() == found["test"].keys() > measured(splits)["test"].keys()


def test_where_no_query_is_left_an_answer_nothing_is_measured_again(tmp_path: Path) -> None:
    found = measured(cameras(tmp_path / "people.npz", answers=False))
    assert found["test"]["recall_at_1"] >= 0 and "unseen" not in found


def test_without_captions_that_are_not_new_each_item_is_still_one_row(tmp_path: Path) -> None:
    image, text = noise(80, 12), noise(400, 12)
    text[1::5] = text[::5]  # the second caption of each image is the first again
    ids = {"image_ids": np.arange(80), "text_ids": np.repeat(np.arange(80), 5)}
    np.savez(tmp_path / "captions.npz", image=image, text=text, **ids)
    splits = load(str(tmp_path / "captions.npz")).splits(0)
    found = measured(splits)
    assert splits.facts.health and splits.test.rows is not None and splits.test.second is not None
    kept = splits.test.take(np.flatnonzero(~np.isin(splits.test.rows, splits.facts.health.not_new)))
    assert len(kept) == len(splits.test) * 4 // 5 and kept.second is not None
    own = kept.inputs[::4] / np.linalg.norm(kept.inputs[::4], axis=1, keepdims=True)
    hits = (np.argmax(kept.second @ own.T, axis=1) == np.arange(len(kept)) // 4).mean()
    assert found["unseen"]["recall_at_1_visual_to_audio"] == pytest.approx(float(hits))
    assert found["unseen"].keys() == found["test"].keys()


@pytest.mark.usefixtures("cache")
def test_rows_that_cannot_be_read_move_no_other_and_are_not_counted(weights: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    split = np.repeat(["train", "query", "gallery"], [24, 6, 12])
    names = [f"{place:02d}.png" for place in range(len(split))]
    for name in names:
        whole = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(whole).resize((32, 32)).save(tmp_path / name)
    for name in (names[0], names[1], names[24], names[30]):
        (tmp_path / name).write_bytes(b"nothing")
    shutil.copy(tmp_path / names[3], tmp_path / names[35])
    listed = {"path": names, "label": np.arange(len(split)) % 3, "split": split}
    pd.DataFrame(listed).to_csv(tmp_path / "list.csv", index=False)
    table = run(tmp_path / "list.csv", weights, skip_bad=True).table
    assert table.facts.searched is not None and table.facts.health is not None
    assert (table.facts.searched.queries, table.facts.searched.gallery) == (5, 11)
    test = table.splits(0).test
    gone = test.names[np.isin(test.rows, table.facts.health.not_new)]
    assert [Path(str(name)).name for name in gone] == [names[35]]


@pytest.mark.parametrize("raw", [True, False])
def test_a_plan_counts_the_tests_of_a_closed_form_that_are_made(raw: bool) -> None:
    sides = {"contrastive": "", "triplet": "", "untrained": "baseline", "pca": CLOSED_FORM}
    sides |= {RAW: "baseline"} if raw else {}
    runs = []
    for place, (name, family) in enumerate(sides.items()):
        for seed in range(8):
            value = {"recall_at_1": 0.9 - 0.1 * place + seed / 1000}
            detail = {"label": np.repeat(np.arange(20), 4), "recall_at_1": np.full(80, value["recall_at_1"])}
            detail = {f"per_query/{what}": array for what, array in detail.items()}
            more = {"family": family} if family else {}
            runs.append(stats.Measured(name, seed, value, detail=detail, validation=value, **more))
    tests = {row.tests_in_family for row in stats.analyse(runs).paired if row.primary}
    assert tests == {stats.family_size(2, 1 + raw, closed_form=True, raw=raw)}
    assert tests == {stats.plan(8, 2, 1 + raw, closed_form=True, raw=raw).tests_in_family}


COLLAPSE = "triplet(margin=1.0,tuples=hard,learning_rate=3.0)"


def test_a_collapse_and_a_loss_without_a_gradient_are_named(tmp_path: Path) -> None:
    dead = tmp_path / "dead.py"
    dead.write_text("def zero(embeddings, labels):\n    return (embeddings * 0).sum()\n")
    result = losscope.compare(
        "digits",
        losses=[COLLAPSE, f"{dead}:zero", "contrastive"],
        trust=True,
        seeds=2,
        epochs=5,
        tune=False,
        engine="here",
        out=str(tmp_path / "out"),
    )
    said = " ".join(result.notes)
    assert "collapsed in 2 of 2 runs: its classes lie at most" in said
    assert "zero gave no gradient in 2 of 2 runs" in said
    assert "contrastive collapsed" not in said and "contrastive gave" not in said
