"""A run and its dry run say and refuse the same, and small data have a batch that fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope import comparing
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study

Words = dict[str, object]
BLIND = "dry run: exit 0"


def table(folder: Path, *, classes: int = 3, each: int = 50, groups: int = 0) -> str:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), each)
    values = generator.normal(size=(len(labels), 4)) + 3 * generator.normal(size=(classes, 4))[labels]
    columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    frame = pd.DataFrame(values, columns=columns).assign(label=[f"c{label}" for label in labels])
    if groups:
        frame["site"] = generator.integers(0, groups, len(frame))
    path = folder / "small.csv"
    frame.to_csv(path, index=False)
    return str(path)


def pairs(folder: Path) -> str:
    path = folder / "pairs.csv"
    path.write_text("i,j,same\n0,1,1\n0,60,0\n5,9,1\n70,75,1\n")
    return str(path)


def study(folder: Path, **words: object) -> Study:
    given = {"seeds": 2, "epochs": 1, "tune": False, "engine": "here", "out": str(folder / "out"), **words}
    return Study.of(**{"data": table(folder) if "data" not in words else words["data"], **given})


def many_classes(folder: Path) -> Words:
    data = table(folder, classes=60, each=5)
    return {"data": data, "protocol": "paper", "tuples": "all", "batch_size": 4}


def a_file(folder: Path) -> Words:
    (folder / "taken").write_text("text")
    return {"out": str(folder / "taken")}


REFUSED: tuple[tuple[str, Callable[[Path], Words], str, str], ...] = (
    ("a batch that was asked for", lambda d: {"batch_size": 90}, BLIND, "there are 84 training rows"),
    (
        "rows of a class too few for the batch asked for",
        lambda d: {"data": table(d, classes=40, each=10), "batch_size": 32},
        BLIND,
        "so no pair; give --batch-size at least 64",
    ),
    ("pairs with triplet", lambda d: {"options": {"pairs": pairs(d)}}, BLIND, "'triplet' wants triplets"),
    (
        "pairs with class vectors",
        lambda d: {"options": {"pairs": pairs(d)}, "losses": ["arcface", "contrastive"]},
        "trained on the tuples' numbers as classes",
        "'arcface' has one vector per class and the data give explicit tuples",
    ),
    ("batches without a pair", many_classes, BLIND, "have no positive or no negative pair"),
    ("a file for the runs", a_file, "dry run: exit 2 too", "taken"),
    ("a negative weight", lambda d: {"losses": ["triplet", "n_pair(l2_weight=-1)"]}, BLIND, "at least 0"),
    ("degrees", lambda d: {"losses": ["arcface(margin=28.6)", "triplet"]}, BLIND, "28.6 degrees are 0.499"),
)


@pytest.mark.parametrize(("words", "now"), [row[1::2] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_run_and_its_dry_run_refuse_the_same(
    words: Callable[[Path], Words], now: str, tmp_path: Path
) -> None:
    said = []
    for command in (comparing.foresee, comparing.run):
        with pytest.raises(LosscopeError, match=now) as error:
            command(study(tmp_path, **words(tmp_path)))
        said.append(str(error.value))
    assert said[0] == said[1]
    assert not list((tmp_path / "out").glob("runs/*"))


def segments(folder: Path) -> Words:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 40)
    values = generator.normal(size=(240, 16)).astype(np.float32) + labels[:, None]
    np.savez(folder / "segments.npz", features=np.repeat(values[:, None], 10, 1), labels=labels)
    return {"data": str(folder / "segments.npz")}


def lone(folder: Path) -> Words:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 40)
    values = generator.normal(size=(240, 16)).astype(np.float32) + labels[:, None]
    np.savez(
        folder / "lone.npz", features=np.r_[values, values[:5] + 9], labels=np.r_[labels, 100 + np.arange(5)]
    )
    return {"data": str(folder / "lone.npz")}


def repeated(folder: Path) -> Words:
    rows = np.random.default_rng(0).normal(size=(80, 16))
    np.savez(
        folder / "twice.npz", features=np.r_[rows, rows], labels=np.r_[np.arange(80) % 4, np.arange(80) % 4]
    )
    return {"data": str(folder / "twice.npz")}


SAID: tuple[tuple[str, Callable[[Path], Words], str, str], ...] = (
    ("segments", segments, "no note", "is averaged over its 10 segments"),
    ("columns", lambda d: {}, "no note", "the features are 4 columns"),
    ("lone classes", lone, "no note", "5 of 11 training classes have a single member"),
    ("data health", repeated, "no note", "test items stand in training too"),
    (
        "a batch that fits",
        lambda d: {},
        BLIND,
        "the batch is 32 rows, of 3 classes each, because a training part of 84",
    ),
    ("a budget", lambda d: {"budget": 600.0, "tune": None}, "no note", "Budget 600 s: "),
    (
        "fewer tuples than a batch",
        lambda d: {"options": {"pairs": pairs(d)}, "losses": ["contrastive", "info_nce"]},
        "no note",
        "explicit tuples, fewer than the batch of 128",
    ),
)


@pytest.mark.parametrize(("words", "now"), [row[1::2] for row in SAID], ids=[row[0] for row in SAID])
def test_a_dry_run_says_what_the_run_says(words: Callable[[Path], Words], now: str, tmp_path: Path) -> None:
    asked = study(tmp_path, **words(tmp_path))
    planned = comparing.foresee(asked)
    assert not (tmp_path / "out").exists()
    assert any(now in note for note in planned.notes), planned.notes
    if asked.budget is None:
        said: list[str] = []
        comparing.run(asked, say=said.append)
        assert set(planned.notes) <= set(said)


SMALL = (
    ("Iris", {"classes": 3, "each": 50}, "matched", (32, 3), "refused: the batch size is 128"),
    ("Iris, the paper's protocol", {"classes": 3, "each": 30}, "paper", (16, None), "refused"),
    ("many small classes", {"classes": 20, "each": 8}, "matched", (32, 16), "refused"),
    ("twelve rows", {"classes": 2, "each": 12}, "matched", (4, 2), "refused"),
    ("groups", {"classes": 3, "each": 50, "groups": 9}, "matched", (32, 3), "refused"),
)


@pytest.mark.parametrize(
    ("shape", "protocol", "batch"), [row[1:4] for row in SMALL], ids=[row[0] for row in SMALL]
)
def test_a_batch_fits_small_data_and_is_part_of_the_id(
    shape: dict[str, int], protocol: str, batch: tuple[int, int | None], tmp_path: Path
) -> None:
    options = {"group": "site"} if "groups" in shape else {}
    asked = study(tmp_path, data=table(tmp_path, **shape), protocol=protocol, options=options)
    result = comparing.run(asked)
    assert result.protocol is not None and result.protocol.batch_size == batch[0]
    assert batch[1] is None or result.protocol.classes_per_batch == batch[1]
    assert sum(note.startswith("the batch is ") for note in result.notes) == 1
    kept = losscope.load(tmp_path / "out")
    assert kept.protocol is not None and kept.protocol.batch_size == batch[0]


def test_an_ordinary_batch_stays(tmp_path: Path) -> None:
    made = comparing.plan(study(tmp_path, data="digits"), create=False)
    assert made.notes == () and made.study.protocol.batch_size == 128


def test_a_dry_run_tells_minutes_what_is_stored_and_the_look(tmp_path: Path) -> None:
    asked = study(tmp_path, tune=None)
    before = comparing.foresee(asked)
    assert (before.stored, before.tuning_stored, before.look) == (0, 0, 1)
    assert before.seconds is not None and before.seconds > 0
    comparing.run(asked)
    files = sorted((tmp_path / "out").rglob("*"))
    after = comparing.foresee(asked)
    assert (after.stored, after.tuning_stored) == (after.runs, after.tuning_runs)
    assert (after.seconds, after.epochs_left, after.look) == (0, 0, 1)
    more = comparing.foresee(asked.model_copy(update={"seeds": 3}))
    # Where tuning chose a transform, its row stands beside the others from then on.
    assert (more.stored, more.look) == (after.runs, 2) and after.runs - before.runs in (0, 2)
    assert more.alpha < before.alpha
    assert sorted((tmp_path / "out").rglob("*")) in (
        files,
        sorted([*files, tmp_path / "out" / "speeds.json"]),
    )
