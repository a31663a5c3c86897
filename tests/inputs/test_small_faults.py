"""Small faults of reading: each of these was wrong once, silently."""

from __future__ import annotations

import dataclasses
import os
import posixpath
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from losscope.core.spec import Study
from losscope.data import load, loading
from losscope.data.base import Draft, Part, Table
from losscope.data.health import Health
from losscope.data.listing import listed_again
from losscope.measures.ranking import quality_fast
from losscope.train import Population


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Health(rows=150, tests=45, repeated=1), "1 of 150 rows equals another"),
        (Health(rows=150, tests=45, repeated=2), "2 of 150 rows equal another"),
        (Health(rows=150, tests=45, again=(3,)), "1 of 45 test items equals another"),
        (Health(rows=150, tests=45, seen=(3,)), "1 of 45 test items stands in training too"),
        (Health(rows=150, tests=1, seen=(3,)), "1 of 1 test item stands in training too"),
        (Health(rows=150, tests=45, near=(3,)), "1 of 45 test items has a near copy in training"),
        (Health(rows=150, tests=45, zeros=1), "1 of 150 inputs is a zero vector, which is equally near"),
    ],
)
def test_the_noun_counts_all_and_the_verb_those_found(found, said):
    assert said in found.said


def pairs(tmp_path: Path) -> Table:
    """Four classes in two modalities that lie apart; within a modality a class is one point, across not."""
    draw, labels = np.random.default_rng(0), np.arange(96) % 4
    np.savez(
        tmp_path / "p.npz",
        image=np.eye(4)[labels] + 0.01 * draw.normal(size=(96, 4)),
        text=draw.normal(size=(96, 4)),
        labels=labels,
    )
    found = load(str(tmp_path / "p.npz"))
    assert isinstance(found, Table)
    return found


def test_the_quality_curve_of_labelled_pairs_ranks_across_modalities_both_ways(tmp_path):
    source = pairs(tmp_path)
    study = Study.of(data=str(tmp_path / "p.npz"), losses=["contrastive"], seeds=1, epochs=1, batch_size=16)
    runs = [run for run in study.expand("pair") if not run.loss.baseline]
    made = Population(runs, [source.splits(0)], torch.device("cpu"))
    (validation,) = made.validation
    view = made.embed(validation.inputs)
    made.instruments.look(0, made.view())
    curve = [row for row in made.curves.rows if row[0] == "validation" and row[2] == "map_at_r"]
    # The oracle: each half asks the other, by plain loops.
    rows, labels = view[0].double().numpy(), validation.labels[0].numpy()
    half, scores = len(rows) // 2, []
    for mine, others in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
        of_way = []
        for query, label in zip(rows[mine], labels[mine], strict=True):
            order = np.argsort(((rows[others] - query) ** 2).sum(1))
            right = labels[others][order] == label
            count = int(right.sum())
            top = right[:count]
            of_way.append(float((top * np.cumsum(top) / np.arange(1, count + 1)).sum() / count))
        scores.append(np.mean(of_way))
    together = float(quality_fast(view, validation.labels)["map_at_r"][0])
    assert curve[-1][3][0] == pytest.approx(np.mean(scores), abs=1e-9)
    assert abs(together - np.mean(scores)) > 0.01  # what the curve was before


def gallery(tmp_path: Path, **options: object) -> Table:
    """Classes -1, 1 and 2, queries and a gallery with distractors."""
    row = np.arange(120)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 4)), columns=list("wxyz"))
    frame["label"] = np.array([-1, 1, 2])[row % 3]
    rules = [row < 60, row % 4 == 0, row % 10 == 1]
    frame["role"] = np.select(rules, ["train", "query", "distractor"], "gallery")
    frame.to_csv(tmp_path / "g.csv", index=False)
    found = load(str(tmp_path / "g.csv"), **options)
    assert isinstance(found, Table)
    return found


def test_a_class_named_minus_one_stays_one_beside_distractors(tmp_path):
    distractors = sum(1 for row in range(60, 120) if row % 4 and row % 10 == 1)
    as_class = gallery(tmp_path, ignore_label="none")
    assert as_class.facts.classes == 3 and "-1" in as_class.facts.class_names
    assert int((as_class.pool.labels < 0).sum()) == distractors
    as_background = gallery(tmp_path)
    assert as_background.facts.classes == 2
    others = sum(1 for row in range(60, 120) if row % 4 and row % 10 == 1 and row % 3)
    assert int((as_background.pool.labels < 0).sum()) == 40 + others
    assert as_background.facts.background[0].said == f"{40 + others} rows of label -1"


def test_classes_that_are_left_after_skipping_decide_how_many_are_held_out():
    labels = np.repeat(np.arange(10), 3)
    role = np.where(labels > 7, 2, 0).astype(np.int8)
    draft = load("digits")
    assert isinstance(draft, Table)
    pool = Part(np.zeros((30, 2), np.float32), labels)
    table = dataclasses.replace(draft, pool=pool, role=role, whole=labels, classwise=True, _test={})
    assert len(np.unique(labels[table.rows(0)[1]])) == 2
    left = np.flatnonzero((labels < 5) | (labels > 7))  # five training classes: one held out decides nothing
    fewer = dataclasses.replace(table, pool=pool.take(left), role=role[left], whole=labels[left], _test={})
    assert len(np.unique(labels[left][fewer.rows(0)[1]])) == 2
    grouped = dataclasses.replace(fewer, classwise=False)
    assert len(np.unique(labels[left][grouped.rows(0)[1]])) == 1


def slowly(draft: Draft, pool: Part, items: np.ndarray) -> list[int]:
    """The rows that list a file again, by a loop over all."""
    first: dict[tuple[object, ...], int] = {}
    columns = [array for array in (items, pool.labels, pool.fine_labels, pool.groups) if array is not None]
    assert draft.names is not None
    return [
        row
        for row, name in enumerate(draft.names)
        if first.setdefault((posixpath.normpath(str(name)), *(int(a[row]) for a in columns)), row) != row
    ]


@pytest.mark.parametrize("seed", range(20))
def test_files_listed_again_are_found_as_by_a_loop(seed):
    draw = np.random.default_rng(seed)
    written = ["a/b.png", "a//b.png", "./a/b.png", "a/./b.png", "a/../a/b.png", "b.png", "b.png/", "c", "c/."]
    names = np.array([*written, ""])[draw.integers(0, len(written) + 1, 60)]
    labels, items = draw.integers(0, 2, 60), draw.integers(0, 3, 60)
    groups = draw.integers(0, 2, 60) if seed % 2 else None
    pool = Part(np.zeros((60, 1), np.float32), labels, groups=groups)
    draft = Draft("d", "d", "features", pool.inputs, labels, names=names)
    found = listed_again(draft, pool, items)
    assert found.tolist() == slowly(draft, pool, items) and len(found)


def test_many_rows_are_looked_through_at_once():
    count = 200_000
    names = np.char.add("folder/file", np.arange(count).astype(str))
    names[-1] = names[0]
    pool = Part(np.zeros((count, 1), np.float32), np.zeros(count, np.int64))
    draft = Draft("d", "d", "features", pool.inputs, pool.labels, names=names)
    start = time.process_time()
    assert listed_again(draft, pool, np.zeros(count, np.int64)).tolist() == [count - 1]
    assert time.process_time() - start < 10


def pictures(folder: Path) -> Path:
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for place in range(12):
            pixels = np.random.default_rng([place, ord(name)]).integers(0, 255, (4, 4, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{place}.png")
    return folder


def test_a_file_changed_inside_a_folder_is_read_again(tmp_path):
    home = pictures(tmp_path / "data")
    before = load(str(home))
    assert load(str(home)) is before
    state = home.stat()
    Image.fromarray(np.full((4, 4, 3), 200, np.uint8)).save(home / "a" / "0.png")
    os.utime(home, ns=(state.st_atime_ns, state.st_mtime_ns))  # the folder's own time tells nothing
    after = load(str(home))
    assert after is not before and after.digest != before.digest


def test_the_look_at_a_folder_is_bounded_and_takes_links_in_circles(tmp_path, monkeypatch):
    home = pictures(tmp_path / "data")
    (home / "a" / "back").symlink_to(home, target_is_directory=True)
    (home / "a" / "nowhere").symlink_to(home / "absent")
    count, _ = loading._stamps_inside(home)
    assert 28 <= count < 100
    monkeypatch.setattr(loading, "STAMPED", 5)
    assert loading._stamps_inside(home)[0] == 5
