"""Parts of the data that can decide nothing are refused before training; background is no class anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from losscope import compare
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.data import load
from losscope.data.splits import undecidable
from losscope.train import Population
from losscope.train.samplers import balanced

N = 240
Y = np.repeat(np.arange(6), 40)
I = np.arange(N)
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(6, 16))[Y] + RNG.normal(size=(N, 16))).astype(np.float32)
TEST = np.where(I % 3 == 0, "test", "train")


class Case(NamedTuple):
    """``now`` is what stands in the described data or the refusal; ``files`` the labels and the split."""

    id: str
    before: str
    now: str
    files: Callable[[], tuple[Any, ...]]
    form: str = "npz"
    options: Any = None
    maker: bool = False


def held(sizes: list[int], test: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Classes of these many training rows, and two test rows of each."""
    labels = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.repeat(np.arange(len(sizes)), test)])
    return labels, np.where(np.arange(len(labels)) < sum(sizes), "train", "test")


def tail(values: Any, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Five classes of 28 training rows, and 100 rows of a part with these labels."""
    return np.r_[np.repeat(np.arange(5), 28), values], np.where(I < 140, "train", part)


def three(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """As ``tail``, of a validation part, with test rows beside."""
    labels, split = tail(values, "val")
    return labels, np.where(I % 5 == 0, np.where(I < 140, "test", split), split)


CASES = (
    Case(
        "all test labels -1",
        "5 classes, nothing said",
        "the test part has no row with a label (all 100 are background)",
        lambda: tail(np.full(100, -1)),
        maker=True,
    ),
    Case(
        "all test labels -100",
        "6 classes, nothing said",
        "the test part has one class only ('-100', 100 of 100 rows)",
        lambda: tail(np.full(100, -100)),
        maker=True,
    ),
    Case(
        "all test labels -100, named",
        "refused: unknown option of /data.npz 'ignore_label'",
        "the test part has no row with a label (all 100 are background)",
        lambda: tail(np.full(100, -100)),
        options={"ignore_label": [-100]},
        maker=True,
    ),
    Case(
        "all test labels 255",
        "6 classes, nothing said",
        "the test part has one class only ('255', 100 of 100 rows)",
        lambda: tail(np.full(100, 255)),
        maker=True,
    ),
    Case(
        "all test labels unknown",
        "6 classes, nothing said",
        "the test part has one class only ('unknown', 100 of 100 rows)",
        lambda: tail(np.full(100, "unknown")),
        maker=True,
    ),
    Case(
        "half of the test labels -1",
        "5 classes, nothing said",
        "50 of 100 test rows are background",
        lambda: tail(np.where(I[:100] % 2, I[:100] % 5, -1)),
        maker=True,
    ),
    Case(
        "test labels NaN",
        "refused: 100 labels are missing, and others may have a fraction",
        "100 of 240 labels of data.npz are missing",
        lambda: tail(np.full(100, np.nan)),
        maker=True,
    ),
    Case(
        "validation labels all -1",
        "5 classes, nothing said",
        "the validation part has no row with a label (all 100 are background)",
        lambda: three(np.full(100, -1)),
        maker=True,
    ),
    Case(
        "a test part of one class",
        "6 classes, nothing said",
        "the test part has one class only ('0', 20 of 20 rows)",
        lambda: (Y, np.where((Y == 0) & (I % 2 == 0), "test", "train")),
        maker=True,
    ),
    Case(
        "one test row of each class",
        "6 classes, nothing said",
        "the test part has 6 rows in 6 classes, no two of one class",
        lambda: (Y, np.where(I % 40 == 0, "test", "train")),
        maker=True,
    ),
    Case(
        "a validation part of one class",
        "6 classes, nothing said",
        "the validation part has one class only ('0', 13 of 13 rows)",
        lambda: (Y, np.where(I % 3 == 0, "test", np.where((Y == 0) & (I % 3 == 1), "val", "train"))),
        maker=True,
    ),
    Case(
        "one test class and two rows alone",
        "6 classes, nothing said",
        "one class of two rows or more ('0', 40 of 42 rows), the others alone",
        lambda: (Y, np.where((Y == 0) | (I == 50) | (I == 90), "test", "train")),
    ),
    Case(
        "a validation part of rows alone",
        "6 classes, nothing said",
        "the validation part has 6 rows in 6 classes",
        lambda: (Y, np.where(I % 40 == 0, "val", TEST)),
    ),
    Case(
        "a drawn test part of one class",
        "4 classes, nothing said",
        "the test part has one class only ('0', 12 of 12 rows)",
        lambda: (np.r_[np.zeros(40, int), [1, 1, 1, 2, 2, 2, 3, 3, 3]],),
    ),
    Case(
        "one class beside background in the test part",
        "6 classes, nothing said",
        "one class only ('2', 20 of 40 rows; 20 are background)",
        lambda: (np.where((Y == 2) & (I % 2 == 1), -1, Y), np.where(Y == 2, "test", "train")),
    ),
    Case(
        "a disjoint test part of one class",
        "6 classes, nothing said",
        "the test part has one class only ('5', 40 of 40 rows)",
        lambda: (Y, np.where(Y == 5, "test", "train")),
    ),
)


def read(case: Case, folder: Any) -> str:
    """All that is said of a file of the case, or its refusal."""
    labels, *split = case.files()
    path = folder / "data.npz"
    rows = np.resize(X, (len(labels), 16))
    np.savez(path, features=rows, labels=labels, **({"split": split[0]} if split else {}))
    try:
        source = load(path, **(case.options or {}))
    except LosscopeError as refused:
        return f"refused: {refused}"
    return f"{source.describe()} {source.facts.class_names} {' '.join(source.facts.notes)}"


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_parts_that_can_decide_nothing_are_refused_with_counts(case, tmp_path):
    assert case.now in read(case, tmp_path)


@pytest.mark.parametrize(
    ("labels", "paired", "why"),
    [
        ([], False, "no rows"),
        ([-1, -1], False, "no row with a label (all 2 are background)"),
        ([4, 4, 4], False, "one class only (3 of 3 rows)"),
        ([0, 1, 2], False, "3 rows in 3 classes, no two of one class"),
        ([0, 1, 2], True, None),
        ([0] * 30 + [1], False, "one class of two rows or more (30 of 31 rows), the others alone"),
        ([0, 0, 1], False, None),
        ([0, 0, 1, 2], False, None),
        ([0, 0, 1, 1, -1], False, None),
    ],
)
def test_what_can_decide(labels, paired, why):
    assert undecidable(np.array(labels, np.int64), paired=paired) == why


def saved(folder: Any, labels: np.ndarray, split: np.ndarray) -> str:
    path = folder / "data.npz"
    np.savez(path, features=np.resize(X, (len(labels), 16)), labels=labels, split=split)
    return str(path)


def test_a_validation_part_of_one_class_never_tunes(tmp_path):
    where = saved(tmp_path, *held([12, 3, 3, 3]))
    study = {"losses": ("contrastive", "triplet"), "epochs": 1, "seeds": 2, "batch_size": 8, "engine": "here"}
    with pytest.raises(LosscopeError, match="tuned on the validation part, which has one class only"):
        compare(where, tune=True, out=tmp_path / "out", **study)
    assert not list(tmp_path.glob("out/**/*.npz"))


def test_of_few_disjoint_classes_two_are_held_out_for_validation(tmp_path):
    source = load(saved(tmp_path, Y, np.where(Y > 3, "test", "train")))
    for seed in range(4):
        parts = source.splits(seed)
        assert len(np.unique(parts.validation.labels)) == len(np.unique(parts.train.labels)) == 2


def test_background_is_never_held_out_as_a_class(tmp_path):
    labels = np.where(I % 40 < 5, -1, Y)
    source = load(saved(tmp_path, labels, np.where(Y > 3, "test", "train")))
    for seed in range(4):
        assert (source.splits(seed).validation.labels >= 0).all()


def test_left_out_rows_take_their_pairs_with_them(tmp_path):
    words = np.array(list("abcdef"))[Y]
    words[:3] = ""
    where = tmp_path / "data.npz"
    np.savez(where, features=X, labels=words)
    np.savez(tmp_path / "pairs.npz", i=I[:-1], j=I[1:], same=(Y[:-1] == Y[1:]).astype(int))
    source = load(where, pairs=str(tmp_path / "pairs.npz"), skip_unlabelled=True)
    assert "left out: 3 rows without a label, 3 explicit pairs with such a row" in source.describe()
    pool = source.pool
    assert ((pool.labels[pool.pairs[:, 0]] == pool.labels[pool.pairs[:, 1]]) == pool.pairs[:, 2]).all()
    assert (pool.inputs == X[3:]).all()


@pytest.mark.parametrize(
    "labels",
    [
        np.r_[np.repeat(np.arange(20), 20), 20 + np.arange(100)],
        np.repeat(np.arange(200), 3),
        np.repeat(np.arange(64), 2),
        np.r_[np.zeros(100, int), 1 + np.arange(28)],
    ],
    ids=["100 rows alone", "classes of 3", "as many rows as a batch", "one large class"],
)
def test_no_row_stands_twice_in_a_batch(labels):
    per_batch = min(32, len(np.unique(labels)))
    each = 128 // per_batch
    for batch in balanced(labels, 20, per_batch, each, np.random.default_rng(0)).reshape(20, -1):
        assert len(set(batch.tolist())) == len(batch) == per_batch * each


def test_classes_of_k_rows_or_more_are_drawn_as_before():
    labels = np.repeat(np.arange(8), [4, 5, 9, 30, 4, 7, 8, 12])
    sizes, drawn = np.bincount(labels), np.random.default_rng(5)
    rows = balanced(labels, 10, 4, 4, np.random.default_rng(5)).reshape(10, 4, 4)
    order = np.lexsort([drawn.random(len(labels)), labels])
    chosen = np.argsort(drawn.random((10, 8)), axis=1)[:, :4]
    seen = np.zeros(8, int)
    for step, classes in enumerate(chosen):
        for place, label in enumerate(classes):
            first = np.cumsum(sizes)[label] - sizes[label]
            assert rows[step, place].tolist() == [
                order[first + (seen[label] * 4 + k) % sizes[label]] for k in range(4)
            ]
            seen[label] += 1


@pytest.mark.parametrize(("protocol", "kept"), [("matched", False), ("paper", True)])
def test_the_validation_curve_treats_background_as_the_protocol_does(tmp_path, protocol, kept):
    source = load(saved(tmp_path, *three(np.where(I[:100] % 2, I[:100] % 5, -1))))
    study = Study.of(data="digits", losses=["triplet"], seeds=1, protocol=protocol, epochs=1, batch_size=32)
    run = next(run for run in study.expand("vectors") if not run.loss.baseline)
    parts = source.splits(0)
    (shown,) = Population([run], [parts], torch.device("cpu")).validation
    asked = shown.labels[0].numpy()
    wanted = parts.validation.labels if kept else parts.validation.labels[parts.validation.labels >= 0]
    assert len(parts.validation.labels) == 100
    assert sorted(asked.tolist()) == sorted(wanted.tolist())


def with_fine(folder: Any, fine: np.ndarray, split: np.ndarray, **options: Any) -> Any:
    path = folder / "fine.npz"
    rows = np.resize(X, (len(fine), 16))
    np.savez(path, features=rows, labels=fine % 4, fine_labels=fine, split=split)
    return load(path, **options)


@pytest.mark.parametrize("level", ["coarse", "fine"])
def test_finer_classes_that_training_lacks_make_a_split_disjoint(tmp_path, level):
    fine = np.repeat(np.arange(40), 6)
    source = with_fine(tmp_path, fine, np.where(fine < 20, "train", "test"), train_labels=level)
    parts = source.splits(0)
    seen = [part.labels if level == "fine" else part.fine_labels for part in (parts.train, parts.validation)]
    assert len(np.unique(seen[1])) == 4
    assert not set(seen[0]) & set(seen[1])
    assert ("the split is by fine classes" in " ".join(source.facts.notes)) == (level == "coarse")


@pytest.mark.parametrize("level", ["coarse", "fine"])
def test_a_finer_class_on_both_sides_of_a_disjoint_split_is_refused(tmp_path, level):
    fine = np.repeat(np.arange(40), 6)
    split = np.where((fine < 20) | ((fine == 20) & (np.arange(240) % 2 == 0)), "train", "test")
    with pytest.raises(LosscopeError, match=r"leaks: 1 class \(20\)"):
        with_fine(tmp_path, fine, split, train_labels=level)


def test_limits_draw_small_classes_whole(tmp_path):
    labels = np.repeat(np.arange(200), 3)
    where = saved(tmp_path, labels, np.where(labels < 100, "train", "test"))
    for option, places in (("limit", (0, 1)), ("limit_test", (2,))):
        source = load(where, **{option: 150})
        sizes = source.sizes()
        assert sum(sizes[place] for place in places) == 150
        assert min(sizes) > 0
        assert "50 of 100 classes fell away" in " ".join(source.facts.notes)
    with pytest.raises(LosscopeError, match="fewer than two classes"):
        load(where, limit=6).splits(0)


def test_limits_draw_large_classes_by_rows_and_small_ones_whole(tmp_path):
    labels = np.r_[
        np.repeat(np.arange(100), 3), np.repeat(np.arange(100, 110), 20), 110 + np.arange(240) // 6
    ]
    source = load(saved(tmp_path, labels, np.where(labels < 110, "test", "train")), limit_test=250)
    counts = np.bincount(source.splits(0).test.labels, minlength=110)
    assert counts[:110].tolist().count(3) == 50
    assert (counts[100:] == 10).all()


def test_classes_that_a_limit_makes_small_are_held_out_whole(tmp_path):
    source = load(saved(tmp_path, Y, np.where(I % 2, "test", "train")), limit=18)
    parts = source.splits(0)
    assert min(source.sizes()) > 0
    assert not set(parts.train.labels) & set(parts.validation.labels)
