"""What ``judge`` is given: tables as people write them, runs that may not be compared, files that are broken.

``before`` is what version 0.1.0 of the package did with the input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope.comparing.judging.embedded import Embedded, load_embeddings
from losscope.core.errors import LosscopeError
from losscope.core.measure_names import meant
from losscope.core.wording import number

SEEDS = range(8)
Rows = list[tuple[object, ...]]


class Case(NamedTuple):
    """An input by its name; what was made of it before; what is now: a sentence's words, or a refusal's."""

    id: str
    before: str
    now: str


def high(seed: int) -> float:
    return 0.71 + 0.001 * seed


def low(seed: int) -> float:
    return 0.68 + 0.0012 * seed


def rows(
    measure: str = "recall_at_1",
    a: Callable[[int], object] = high,
    b: Callable[[int], object] = low,
    names: tuple[str, str] = ("triplet", "contrastive"),
) -> Rows:
    return [(loss, s, measure, of(s)) for loss, of in zip(names, (a, b), strict=True) for s in SEEDS]


def table(path: Path, lines: Rows, head: str = "loss,seed,measure,value", separator: str = ",") -> str:
    text = [head.replace(",", separator), *(separator.join(map(str, line)) for line in lines)]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return str(path)


def said(runs: str, **options: object) -> str:
    """The verdict's sentence and the notes, or the refusal."""
    try:
        result = losscope.judge(runs, **options)  # type: ignore[arg-type]
    except LosscopeError as error:
        return f"refused: {error}"
    return " ".join([result.verdicts()[0].sentence, *result.notes])


HIGHER = "triplet has a higher Recall@1 than contrastive (better): 0.713 against 0.684, +0.029"
SAME = "equivalent in Recall@1, within ±0.01: 0.711 against 0.710, +0.0005"


def per_cent(seed: int) -> float:
    return 71.05 + 0.3 * float(np.sin(seed))


def near(seed: int) -> float:
    return per_cent(seed) - 0.05 + 0.004 * float(np.cos(seed))


TABLES: tuple[tuple[Case, Rows, dict[str, object]], ...] = (
    (Case("Recall@1", "unknown measure", HIGHER), rows("Recall@1"), {}),
    (
        Case("Recall@1 declared", "unknown measure 'Recall'", HIGHER),
        rows("Recall@1"),
        {"declare": ["Recall@1:higher"]},
    ),
    (Case("mAP@10", "unknown measure", "higher mAP@10"), rows("mAP@10"), {}),
    (
        Case("mAP@10 declared", "unknown measure 'mAP'", "higher mAP@10"),
        rows("mAP@10"),
        {"declare": ["mAP@10:higher"]},
    ),
    (Case("TAR@FAR=1e-4", "unknown measure", "higher TAR@FAR=0.0001"), rows("TAR@FAR=1e-4"), {}),
    (Case("TAR@FAR=1e-3 is ours", "unknown measure", "read as tar_at_far_1e3"), rows("TAR@FAR=1e-3"), {}),
    (Case("P@1", "unknown measure", HIGHER), rows("P@1"), {}),
    (Case("acc@1", "unknown measure", "higher accuracy@1"), rows("acc@1"), {}),
    (
        Case("a colon in the name", "cannot read the declared measure", "higher acc:top1"),
        rows("acc:top1"),
        {"declare": ["acc:top1:higher"]},
    ),
    (
        Case(
            "err@5 beside err", "borrowed err's direction: b better", "higher err@5 than contrastive (better)"
        ),
        rows("err") + rows("err@5"),
        {"declare": ["err:lower", "err@5:higher"], "measure": "err@5"},
    ),
    (
        Case("loss@5", "borrowed loss's direction and scale", "higher loss@5 than contrastive (better)"),
        rows("loss@5"),
        {"declare": ["loss@5:higher"], "measure": "loss@5"},
    ),
    (Case("Recall_at_1", "unknown measure", HIGHER), rows("Recall_at_1"), {}),
    (Case("blank before the measure", "unknown measure ' recall_at_1'", HIGHER), rows(" recall_at_1"), {}),
    (Case("recall-at-1", "unknown measure", HIGHER), rows("recall-at-1"), {}),
    (Case("R@1", "unknown measure", HIGHER), rows("R@1"), {}),
    (Case("test/recall@1", "unknown measure", HIGHER), rows("test/recall@1"), {}),
    (Case("Recall@1 (%)", "unknown measure", "divided by 100"), rows("Recall@1 (%)", per_cent, near), {}),
    (Case("percent", "higher by 0.05, interval 71–1", SAME), rows(a=per_cent, b=near), {}),
    (
        Case("percent is said", "said nothing", "Recall@1 is given in percent; it is divided by 100."),
        rows(a=per_cent, b=near),
        {},
    ),
    (
        Case("percent signs", "refused without naming the sign", SAME),
        rows(a=lambda s: f"{per_cent(s):.4f}%", b=lambda s: f"{near(s):.4f} %"),
        {},
    ),
    (
        Case("one loss in percent", "higher by 69", "a percentage and a share cannot be told apart"),
        rows(a=lambda s: 70 + s, b=lambda s: 0.75),
        {},
    ),
    (
        Case(
            "percent signs in half the rows",
            "refused without naming the sign",
            "8 values of recall_at_1 are percentages and 8 are not",
        ),
        rows(a=lambda s: "71%", b=lambda s: 0.7),
        {},
    ),
    (
        Case("below 0", "lower, as if it could be", "recall_at_1 of triplet, seed 0 is -0.2"),
        rows(a=lambda s: -0.2),
        {},
    ),
    (Case("above 100", "higher by 150", "is 150; wanted: from 0 to 1"), rows(a=lambda s: 150 + s), {}),
    (
        Case("EER in percent", "worse by 0.05, interval to 1", "EER, within ±0.01"),
        rows("eer", per_cent, near),
        {"measure": "eer"},
    ),
    (
        Case("silhouette of 3", "higher by 2.5", "silhouette of triplet, seed 0 is 3; wanted: from -1 to 1"),
        rows("silhouette", lambda s: 3, high),
        {"measure": "silhouette"},
    ),
    (
        Case("effective rank of -5", "no log ratio", "is -5; wanted: at least 0"),
        rows("effective_rank", lambda s: -5, lambda s: 6),
        {"measure": "effective_rank"},
    ),
    (
        Case("infinite", "no value in 1 of 8 seeds", "is inf; wanted: a finite number"),
        rows(a=lambda s: "inf" if s == 3 else 0.7),
        {},
    ),
    (
        Case("blank in the name of a loss", "seeds that do not pair", HIGHER),
        [(f" {loss} " if s % 2 else loss, s, m, v) for loss, s, m, v in rows()],
        {},
    ),
    (
        Case("losses 1e3 and 1000", "one loss, given twice", "1e3 has a higher Recall@1 than 1000"),
        rows(names=("1e3", "1000")),
        {"reference": "1000"},
    ),
    (
        Case("losses 1 and 01", "one loss, given twice", "01 has a lower Recall@1 than 1"),
        rows(names=("1", "01")),
        {},
    ),
    (
        Case("losses NA and None", "16 rows without a loss", "NA has a higher Recall@1 than None"),
        rows(names=("NA", "None")),
        {"reference": "None"},
    ),
    (
        Case("two rows of a run", "refused", "more than once; wanted: one row each"),
        [*rows(), ("triplet", 0, "R@1", 0.7)],
        {},
    ),
    (
        Case("values of n/a", "the same", "No verdict on the Recall@1"),
        rows(a=lambda s: "n/a" if s == 3 else 0.7),
        {},
    ),
    (
        Case("mean ± deviation", "refused: unable to parse", "one value of one run"),
        rows(a=lambda s: "0.71 ± 0.02"),
        {},
    ),
)


@pytest.mark.parametrize(("case", "lines", "options"), TABLES, ids=[case.id for case, _, _ in TABLES])
def test_a_table_of_scores_is_read_right_or_refused(case, lines, options, tmp_path):
    assert case.now in said(table(tmp_path / "scores.csv", lines), **options)


SHAPES: tuple[tuple[Case, Callable[[Path], str]], ...] = ()


def shape(id: str, before: str, now: str):
    """Register a maker of a table of another form."""

    def register(maker: Callable[[Path], str]) -> Callable[[Path], str]:
        global SHAPES
        SHAPES += ((Case(id, before, now), maker),)
        return maker

    return register


@shape("blanks in the header and the rows", "no column seed, measure, value", HIGHER)
def _(folder):
    return table(folder / "t.csv", rows(), separator=", ")


@shape("capital columns", "no column", HIGHER)
def _(folder):
    return table(folder / "t.csv", rows(), "Loss,Seed,Measure,Value")


@shape("semicolons", "no column", HIGHER)
def _(folder):
    return table(folder / "t.csv", rows(), separator=";")


@shape("a suffix in capitals", "no column", HIGHER)
def _(folder):
    frame = pd.DataFrame(rows(), columns=["loss", "seed", "measure", "value"])
    frame.to_parquet(folder / "UP.PARQUET")
    return str(folder / "UP.PARQUET")


@shape("method, run, metric, score", "no column", HIGHER)
def _(folder):
    return table(folder / "t.csv", rows(), "method,run,metric,score")


@shape("method or algorithm", "no column", "method and algorithm may each be the loss")
def _(folder):
    return table(folder / "t.csv", [(*row, "x") for row in rows()], "method,seed,measure,value,algorithm")


@shape("pandas' column of row numbers", "the same", HIGHER)
def _(folder):
    pd.DataFrame(rows(), columns=["loss", "seed", "measure", "value"]).to_csv(folder / "t.csv")
    return str(folder / "t.csv")


@shape("a column for each measure", "no column measure, value", HIGHER)
def _(folder):
    lines = [(loss, s, value, value - 0.3) for loss, s, _, value in rows()]
    return table(folder / "t.csv", lines, "loss,seed,Recall@1,mAP@R")


@shape("a column for each measure, one in percent", "no column measure, value", "divided by 100")
def _(folder):
    lines = [(loss, s, 100 * value, value - 0.3) for loss, s, _, value in rows()]
    return table(folder / "t.csv", lines, "loss,seed,R@1 (%),mAP@R")


@shape("a column that is not read", "said nothing", "Not read: the column host.")
def _(folder):
    return table(folder / "t.csv", [(*row, f"h{row[1]}") for row in rows()], "loss,seed,measure,value,host")


@shape("ten epochs", "more than once", "column 'epoch' has 10 values")
def _(folder):
    lines = [(*row, epoch) for row in rows() for epoch in range(10)]
    return table(folder / "t.csv", lines, "loss,seed,measure,value,epoch")


@shape(
    "epoch 9 against epoch 2",
    "higher, p = 0.0078",
    "differs from loss to loss (9 for triplet, 2 for contrastive)",
)
def _(folder):
    lines = [(*row, 9 if row[0] == "triplet" else 2) for row in rows()]
    return table(folder / "t.csv", lines, "loss,seed,measure,value,epoch")


@shape("two data sets", "one verdict over 16 paired seeds", "2 data sets cannot be tested together")
def _(folder):
    lines = [(loss, s + 8 * k, m, v, f"set{k}") for k in (0, 1) for loss, s, m, v in rows()]
    return table(folder / "t.csv", lines, "loss,seed,measure,value,dataset")


@shape("two splits of one measure", "more than once", "is measured on the splits test and train")
def _(folder):
    lines = [(*row, split) for row in rows() for split in ("test", "train")]
    return table(folder / "t.csv", lines, "loss,seed,measure,value,split")


@shape("means over seeds", "no column seed, value", "holds means over seeds")
def _(folder):
    return table(
        folder / "t.csv", [("a", "recall_at_1", 0.7), ("b", "recall_at_1", 0.6)], "loss,measure,mean"
    )


@shape("a folder", "cannot be read", "is a folder without a store")
def _(folder):
    return str(folder)


@pytest.mark.parametrize(("case", "maker"), SHAPES, ids=[case.id for case, _ in SHAPES])
def test_a_table_of_another_form_is_read_right_or_refused(case, maker, tmp_path):
    assert case.now in said(maker(tmp_path))


@pytest.mark.parametrize(
    ("only", "words"), [("epoch=last", "144 of 160 rows are left out"), ("epoch=4", "+0.020")]
)
def test_rows_to_keep_are_chosen_and_counted(only, words, tmp_path):
    lines = [
        (loss, s, e, "recall_at_1", base + 0.002 * s + 0.01 * e)
        for loss, base in (("a", 0.6), ("b", 0.58))
        for s in SEEDS
        for e in range(10)
    ]
    path = table(tmp_path / "t.csv", lines, "loss,seed,epoch,measure,value")
    assert words in said(path, only=[only], reference="b")


CLASSES = np.repeat(np.arange(30), 20)
CENTRES = np.random.default_rng(0).normal(size=(30, 16))
Arrays = dict[str, np.ndarray]


def drawn(seed: int, labels: np.ndarray = CLASSES, noise: float = 1.3) -> Arrays:
    spread = noise * np.random.default_rng(seed).normal(size=(len(labels), 16))
    return {"embeddings": (CENTRES[labels] + spread).astype("f4"), "labels": labels}


def order(arrays: Arrays, rows: np.ndarray) -> Arrays:
    return {name: array[rows] for name, array in arrays.items()}


def saved(folder: Path, a: Callable[[int], Arrays], b: Callable[[int], Arrays], seeds=range(6)) -> str:
    for loss, make in (("A", a), ("B", b)):
        (folder / loss).mkdir()
        for seed in seeds:
            np.savez(folder / loss / f"{seed}.npz", **make(seed))
    return f"{folder}/{{loss}}/{{seed}}.npz"


def with_ids(seed: int) -> Arrays:
    return drawn(seed) | {"ids": np.array([f"item{row}" for row in range(600)])}


def two_sides(seed: int, apart: bool) -> Arrays:
    """Items of two modalities: classes that are tight within each, or joined across them."""
    labels, side = np.tile(np.repeat(np.arange(6), 20), 2), np.repeat([0, 1], 120)
    draw = np.random.default_rng(seed).normal(size=(240, 16))
    rows = CENTRES[labels + 6 * side] + 0.2 * draw if apart else CENTRES[labels] + 1.2 * draw
    return {"embeddings": rows.astype("f4"), "labels": labels, "modality": side}


FEW = np.repeat(np.arange(4), 5)
SHUFFLED = np.random.default_rng(9).permutation(600)
ITEMS: tuple[tuple[Case, Callable[[int], Arrays], Callable[[int], Arrays]], ...] = (
    (
        Case(
            "fewer rows", "higher by 0.30, p = 0.0078", "600 items of 30 labels against 100 items of 5 labels"
        ),
        drawn,
        lambda s: order(drawn(s), np.arange(100)),
    ),
    (
        Case("other classes", "a verdict", "600 items of 30 labels against 600 items of 5 labels"),
        drawn,
        lambda s: drawn(s, np.repeat(np.arange(20, 25), 120)),
    ),
    (
        Case("classes of other names", "a verdict", "the labels 0, 1, 10, … are in the first alone"),
        drawn,
        lambda s: drawn(s) | {"labels": CLASSES + 30},
    ),
    (
        Case("one run that is cut", "a verdict", "A, seed 3, and B, seed 3, are measured on different items"),
        lambda s: order(drawn(s), np.arange(100 if s == 3 else 600)),
        drawn,
    ),
    (
        Case("other sizes of classes", "a verdict", "20 items of 0 against 19"),
        drawn,
        lambda s: drawn(s) | {"labels": np.r_[1, CLASSES[1:]]},
    ),
    (
        Case("another order", "said nothing", "rows of B, seed 0, have another label than in A, seed 0 ("),
        drawn,
        lambda s: order(drawn(s), SHUFFLED),
    ),
    (
        Case(
            "labels moved by a row", "lower by 0.05", "have another label than in A, seed 0, moved by 1 row"
        ),
        drawn,
        lambda s: drawn(s) | {"labels": np.roll(CLASSES, 1)},
    ),
    (
        Case("ids of other items", "a verdict", "600 ids, such as other0, are in the second alone"),
        with_ids,
        lambda s: with_ids(s) | {"ids": np.array([f"other{row}" for row in range(600)])},
    ),
    (
        Case("an id of another label", "a verdict", "ids, such as item"),
        with_ids,
        lambda s: with_ids(s) | {"labels": np.roll(CLASSES, 1)},
    ),
    (
        Case("two modalities", "A higher, by all rows as one set", "B has a higher mAP first→second than A"),
        lambda s: two_sides(s, True),
        lambda s: two_sides(s, False),
    ),
    (
        Case("modality in one loss alone", "a verdict", "6 of 12 files have an array modality"),
        lambda s: two_sides(s, True),
        lambda s: {k: v for k, v in two_sides(s, True).items() if k != "modality"},
    ),
    (
        Case("no rows", "traceback", "has no rows of embeddings"),
        lambda s: order(drawn(s), np.arange(0)),
        drawn,
    ),
    (
        Case("no dimensions", "traceback", "have no dimensions"),
        lambda s: drawn(s, FEW) | {"embeddings": np.zeros((20, 0), "f4")},
        drawn,
    ),
    (
        Case("one class", "a verdict on Recall@1 of 1.0", "has one class only"),
        lambda s: drawn(s, np.zeros(20, int)),
        drawn,
    ),
    (
        Case("every class alone", "no value", "30 rows in 30 classes, no two of one class"),
        lambda s: drawn(s, np.arange(30)),
        drawn,
    ),
    (
        Case("all background", "one class: Recall@1 of 1.0", "no row with a label (all 600 are background)"),
        lambda s: drawn(s) | {"labels": np.full(600, -1)},
        drawn,
    ),
    (
        Case("background", "a class like any other", "20 of 600 rows are background (-1) and left out"),
        lambda s: drawn(s) | {"labels": CLASSES - 1},
        lambda s: drawn(s) | {"labels": CLASSES - 1},
    ),
    (
        Case("one-hot labels", "wanted: one label per row", "equivalent in Recall@1"),
        lambda s: drawn(s) | {"labels": np.eye(30)[CLASSES]},
        drawn,
    ),
    (
        Case("zero vectors", "said nothing", "150 of 600 embeddings are zero, so that they tie"),
        lambda s: drawn(s) | {"embeddings": drawn(s)["embeddings"] * (np.arange(600) % 4 > 0)[:, None]},
        drawn,
    ),
    (
        Case("beyond float32", "no value, said nothing", "600 of 600 embeddings are beyond float32"),
        lambda s: drawn(s) | {"embeddings": drawn(s)["embeddings"].astype("f8") * 1e300},
        drawn,
    ),
    (
        Case("below float32", "all zero, said nothing", "too small for float32"),
        lambda s: drawn(s) | {"embeddings": drawn(s)["embeddings"].astype("f8") * 1e-300},
        drawn,
    ),
    (
        Case("complex", "wanted: numbers", "real and imaginary parts"),
        lambda s: drawn(s) | {"embeddings": drawn(s)["embeddings"] * 1j},
        drawn,
    ),
    (
        Case("bytes of bfloat16", "wanted: numbers", "bfloat16"),
        lambda s: drawn(s) | {"embeddings": drawn(s)["embeddings"].astype("f2").view("V2")},
        drawn,
    ),
    (
        Case("an array that is not read", "said nothing", "Not read: the array logits."),
        lambda s: drawn(s) | {"logits": np.zeros(3)},
        drawn,
    ),
    (
        Case("arrays X and y", "has no array embeddings, labels", "equivalent in Recall@1"),
        lambda s: dict(zip(("X", "y"), drawn(s).values(), strict=True)),
        drawn,
    ),
)


@pytest.mark.parametrize(("case", "a", "b"), ITEMS, ids=[case.id for case, _, _ in ITEMS])
def test_runs_of_different_items_get_no_verdict(case, a, b, tmp_path):
    assert case.now in said(saved(tmp_path, a, b))


def test_ids_join_runs_in_another_order(tmp_path):
    pattern = saved(tmp_path, with_ids, lambda s: order(with_ids(s), SHUFFLED))
    result = losscope.judge(pattern)
    row = result.verdicts()[0]
    assert row.difference == 0 and row.low_data == 0
    assert not [note for note in result.notes if not note.startswith(("Nothing ranks", "Taken as"))]


def loaded(folder: Path, arrays: Arrays, **options: object) -> Embedded:
    np.savez(folder / "one.npz", **arrays)
    return load_embeddings(folder / "one.npz", **options)  # type: ignore[arg-type]


THREE = np.repeat([0, 1, 2], 20)


@pytest.mark.parametrize("names", [["cat", "none", "zebra"], ["cat", "-1", "zebra"], ["2", "0", "1"]])
def test_a_table_of_class_names_is_read_as_it_stands(names, tmp_path):
    found = loaded(tmp_path, drawn(0, THREE) | {"class_names": np.array(names)})
    assert found.names == tuple(names)


def known_too(rows: object, labels: object, known: object, **more: object) -> Arrays:
    """Arrays of labelled rows with training rows beside them, each class in a place of its own."""
    at = np.asarray(rows)
    places = np.eye(8)[at] + 0.1 * np.random.default_rng(0).normal(size=(len(at), 8))
    given = {"embeddings": places, "labels": labels, "reference": places, "reference_labels": known, **more}
    return {name: np.asarray(array) for name, array in given.items()}


@pytest.mark.parametrize("names", [["cat", "dog", "emu"], ["cat", "none", "emu"], ["2", "0", "1"]])
@pytest.mark.parametrize("by_name", [False, True])
def test_the_reference_is_read_by_the_table_of_the_labels(names, by_name, tmp_path):
    known = np.array(names)[THREE] if by_name else THREE
    found = loaded(tmp_path, known_too(THREE, THREE, known, class_names=names))
    assert found.reference is not None and np.array_equal(found.reference[1], found.labels)


@pytest.mark.parametrize(("given", "ignore"), [(99, ["99"]), (-1, []), (-1, ["none"])])
def test_what_is_ignored_is_ignored_in_the_reference(given, ignore, tmp_path):
    labels = np.where(THREE == 1, given, THREE)
    found = loaded(tmp_path, known_too(THREE, labels, labels), ignore=ignore)
    assert found.reference is not None and np.array_equal(found.reference[1], found.labels)


def test_classes_of_the_reference_alone_come_last(tmp_path):
    found = loaded(tmp_path, known_too(THREE, THREE + 1, THREE))
    assert found.reference is not None and np.unique(found.reference[1]).tolist() == [0, 1, 3]


def test_a_distractor_leaves_the_other_classes_their_names(tmp_path):
    role = np.where(np.tile(np.arange(20) < 5, 3), "query", "gallery").astype("<U10")
    role[59] = "distractor"
    names = np.array(list("abcdef"))
    found = loaded(tmp_path, known_too(THREE, THREE + 3, names[THREE + 3], class_names=names, role=role))
    assert np.array_equal(found.labels, np.r_[THREE[:59] + 3, -1])
    assert found.items.labels[[0, 20, 40, 59]].tolist() == ["d", "e", "f", "background"]
    assert found.reference is not None and np.array_equal(found.reference[1], THREE + 3)


def asked(make: Callable[[int], Arrays], query: np.ndarray, **more: np.ndarray) -> Callable[[int], Arrays]:
    return lambda seed: make(seed) | {"is_query": query, "is_gallery": ~query} | more


FIRST, LAST = np.arange(600) % 20 < 4, np.arange(600) % 20 >= 16
ONE_MOVED = FIRST & (np.arange(600) != 0) | (np.arange(600) == 24)
IN_VIEW, MOVED = np.arange(600) % 2, np.arange(600) // 2 % 2
RULE = {"same_camera": np.array("skip")}


@pytest.mark.parametrize("make", [drawn, with_ids], ids=["without ids", "with ids"])
@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ((FIRST, {}), (LAST, {}), "the query marks of 240 of 600 rows differ, such as "),
        (
            (FIRST, {"camera": IN_VIEW, **RULE}),
            (FIRST, {"camera": MOVED, **RULE}),
            "the cameras of 300 of 600 rows differ, such as ",
        ),
    ],
    ids=["queries", "cameras"],
)
def test_files_of_a_seed_ask_and_search_the_same_rows(make, a, b, words, tmp_path):
    found = said(saved(tmp_path, asked(make, a[0], **a[1]), asked(make, b[0], **b[1])))
    assert words in found
    assert f"{str(tmp_path / 'A' / '0.npz')!r} and {str(tmp_path / 'B' / '0.npz')!r} ask or search" in found


def test_queries_in_another_order_are_the_same(tmp_path):
    for home, make, wanted in (("ids", with_ids, True), ("none", drawn, True), ("other", drawn, False)):
        (tmp_path / home).mkdir()
        a = asked(make, FIRST)
        b = asked(make, FIRST if wanted else ONE_MOVED)
        found = said(saved(tmp_path / home, a, lambda s, b=b: order(b(s), SHUFFLED)))
        assert ("refused" not in found) == wanted, found


def test_background_and_ties_are_measured_as_everywhere(tmp_path):
    from losscope.measures import retrieval

    arrays = drawn(0) | {"labels": CLASSES - 1, "embeddings": np.sign(drawn(0)["embeddings"][:, :6])}
    result = losscope.judge(saved(tmp_path, lambda s: arrays, lambda s: arrays))
    known = retrieval(arrays["embeddings"], arrays["labels"])
    assert result.losses[0].measures["recall_at_1"].values[0] == known["recall_at_1"]


def test_the_numbers_stand_in_the_order_of_the_sentence(tmp_path):
    labels = np.arange(50) % 5
    pattern = saved(
        tmp_path, lambda s: drawn(s, labels, 0.9), lambda s: drawn(s, labels, 1.8), seeds=range(8)
    )
    result = losscope.judge(pattern, goal="verification")
    row, first = result.verdicts()[0], result.recommendation.sentences[0]
    assert (row.a, row.b, row.verdict) == ("B", "A", "higher") and row.difference > 0
    assert first.startswith(f"Use A: its EER is lower than that of B, {number(row.mean_b)} against ")
    assert f"against {number(row.mean_a)}, −" in first


def test_a_value_that_does_not_exist_has_its_reason(tmp_path):
    make = lambda s: drawn(s, np.arange(50) % 5)  # noqa: E731
    found = said(saved(tmp_path, make, make), measure="tar_at_far_1e3")
    assert "1,000 pairs of different classes are too few for the TAR at FAR 0.001" in found
    assert "at least 100,000: B and A have no value" in found


def test_patterns(tmp_path):
    folder = tmp_path / "[run]"
    folder.mkdir()
    pattern = saved(folder, drawn, drawn)
    assert "equivalent" in said(pattern)
    assert "equivalent" in said(pattern.replace("[run]", "*"))
    for name in ("a10", "a11"):
        np.savez(tmp_path / f"{name}.npz", **drawn(0))
    assert "can be read as loss 'a' with seed '10' or loss 'a1' with seed '0'" in said(
        f"{tmp_path}/{{loss}}{{seed}}.npz"
    )


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    table(tmp_path / "scores.csv", rows())
    assert HIGHER in said("~/scores.csv")


@pytest.mark.parametrize("how", ["flip", "token", "npy", "text"])
def test_a_damaged_run_is_one_sentence(how, tmp_path):
    pattern = saved(tmp_path, drawn, drawn, seeds=range(2))
    path = tmp_path / "A" / "0.npz"
    if how == "npy":
        with path.open("wb") as file:
            np.save(file, drawn(0)["embeddings"])
    elif how == "text":
        path.write_text("hello")
    else:
        np.savez_compressed(path, **drawn(0))
        content = bytearray(path.read_bytes())
        at = 80 if how == "flip" else 200
        content[at] ^= 255
        content[at + 1] ^= 255
        path.write_bytes(content)
    found = said(pattern)
    assert found.startswith(f"refused: {str(path)!r}") and "pickle" not in found


def test_a_store_and_its_table_are_judged_as_they_were(tmp_path):
    study = losscope.compare("synthetic", out=tmp_path / "out", seeds=6, epochs=1, tune=False, engine="here")
    again = losscope.judge(str(tmp_path / "out"))
    assert again.verdicts() == study.verdicts() and again.settings == study.settings
    (tmp_path / "table.csv").write_text(study.table("csv"))
    fed = losscope.judge(str(tmp_path / "table.csv"))
    # The table has no validation values, which name the side that is tested: the losses' pairs are the same.
    closed = {side.name for side in study.baselines if side.family == "closed form"}
    assert {side.name for side in fed.baselines if side.family == "closed form"} == closed
    known = {(row.a, row.b): row.difference for row in study.paired if row.measure == "recall_at_1"}
    known |= {(b, a): -difference for (a, b), difference in known.items()}
    shared = [row for row in fed.verdicts() if (row.a, row.b) in known]
    assert len(shared) >= 4
    assert [row.difference for row in shared] == [known[row.a, row.b] for row in shared]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Recall@1", "recall_at_1"),
        ("r@10", "recall_at_10"),
        ("Rank-1", "recall_at_1"),
        ("Precision@1", "recall_at_1"),
        ("mAP@R", "map_at_r"),
        ("val/mAP@R", "map_at_r@validation"),
        ("EER (%)", "eer"),
        ("TPR@FPR=1%", "tar_at_far_1e2"),
        ("k-NN accuracy", "knn_accuracy"),
        ("mAP audio→visual", "map_audio_to_visual"),
        ("recall_at_1@test", "recall_at_1@test"),
        ("Precision@5", "Precision@5"),
        ("AUROC", "AUC"),
    ],
)
def test_measures_are_known_by_the_names_that_people_write(written, name):
    found = meant(written)
    assert found is not None and found.name == name


@pytest.mark.parametrize("written", ["agreement", "recall", "tar", "1", "", "@", "top"])
def test_a_name_that_means_no_measure_is_none(written):
    assert meant(written) is None


@pytest.mark.parametrize("measure", [losscope.geometry, losscope.retrieval, losscope.verification])
@pytest.mark.parametrize(
    ("embeddings", "labels", "match"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], ["a", "b"], "labels are text; they must be integers"),
        ([], [], "there are no rows"),
        (np.zeros((0, 4)), [], "no rows"),
        ([[1.0, 0.0], [1.0]], [0, 1], "equally long lists"),
        ([["a", "b"]], [0], "embeddings are text; they must be numbers"),
    ],
)
def test_a_measure_by_name_refuses_in_a_sentence(measure, embeddings, labels, match):
    with pytest.raises(LosscopeError, match=match):
        measure(embeddings, labels)


@pytest.mark.parametrize("words", [["list"], ["list", "--json"]])
def test_a_reader_that_has_seen_enough_is_no_fault(words):
    command = [sys.executable, "-m", "losscope", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
    assert said == b"" and running.returncode == 0


def test_mistakes_of_a_study_are_in_our_words(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('seeds = 0\nepochs = "x"\nkeep = "no"\nlosses = []\n')
    with pytest.raises(LosscopeError) as caught:
        losscope.core.spec.Study.read(path)
    assert "losses is []; it must be a list of at least 1; seeds is 0; it must be greater than 0" in str(
        caught.value
    )
    assert (
        "epochs is 'x'; it must be a whole number; keep is 'no'; it must be 'none', 'last' or 'all'"
        in str(caught.value)
    )
