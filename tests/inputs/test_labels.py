"""Labels of every kind that people's files hold: read to the right classes, or refused in a sentence."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from losscope.comparing.judging import load_embeddings
from losscope.core.errors import LosscopeError
from losscope.data import load

N = 240
Y = np.repeat(np.arange(6), 40)
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(6, 16))[Y] + RNG.normal(size=(N, 16))).astype(np.float32)
WORDS = np.array(["ant", "bee", "cat", "dog", "eel", "fox"])[Y]
HALF = np.where(np.arange(N) % 2, "train", "test")


class Case(NamedTuple):
    """``now`` is what stands in the described data or the refusal; ``files`` the arrays or columns."""

    id: str
    before: str
    now: str
    files: Callable[[], dict[str, Any]]
    form: str = "npz"
    options: Any = None
    maker: bool = False


def holed(values: np.ndarray, hole: Any) -> np.ndarray:
    values = values.copy()
    values[::10] = hole
    return values


def lists(of: Callable[[int, int], Any]) -> list[Any]:
    return [of(row, int(label)) for row, label in enumerate(Y)]


def several() -> np.ndarray:
    matrix = np.eye(6, dtype=int)[Y]
    matrix[::2, 0] = 1
    return matrix


def many_hot_empty() -> np.ndarray:
    matrix = np.eye(6, dtype=int)[Y]
    matrix[::10] = 0
    return matrix


DAYS = np.datetime64("2024-01-01") + Y
SIX = "in 6 classes (40 each)"
MISSING = (
    "24 of 240 labels of data.{form} are missing (rows 0, 10, 20, …, counted from 0); wanted: a label in each"
)
SEVERAL = "several labels of a row are a table of 0 and 1"
CASES = (
    Case(
        "a list of labels in each row",
        "traceback: ValueError",
        "with labels of 8 (",
        lambda: {"label": lists(lambda i, c: ["a", "b"] if i % 2 else [str(c)])},
        "parquet",
        maker=True,
    ),
    Case(
        "lists of one label",
        "traceback: ValueError",
        SIX,
        lambda: {"label": lists(lambda i, c: [str(c)])},
        "parquet",
        maker=True,
    ),
    Case(
        "lists of two labels",
        "traceback: ValueError",
        "part of data.parquet has labels of which every two rows share one",
        lambda: {"label": lists(lambda i, c: [str(c), "x"])},
        "parquet",
        maker=True,
    ),
    Case(
        "lists of two numbers",
        "traceback: ValueError",
        "with labels of 6 (40–120 each), several in a row",
        lambda: {"label": lists(lambda i, c: [c, c % 2])},
        "parquet",
        maker=True,
    ),
    Case(
        "lists as groups",
        "traceback: ValueError",
        "groups of data.parquet are lists with more than one",
        lambda: {"label": Y, "speaker": lists(lambda i, c: [str(c)] * (1 + i % 2))},
        "parquet",
        {"group": "speaker"},
        maker=True,
    ),
    Case(
        "lists as finer labels",
        "traceback: ValueError",
        "finer labels of data.parquet are lists with more than one",
        lambda: {"label": Y, "fine": lists(lambda i, c: [str(c)] * (1 + i % 2))},
        "parquet",
        maker=True,
    ),
    Case(
        "lists of one word as split",
        "traceback: ValueError",
        "130 train, 30 validation, 80 test",
        lambda: {"label": Y, "split": lists(lambda i, c: ["test"] if i % 3 == 0 else ["train"])},
        "parquet",
        maker=True,
    ),
    Case(
        "dictionaries",
        "6 classes, nothing said",
        "are 240 of type dict; wanted",
        lambda: {"label": lists(lambda i, c: {"name": str(c)})},
        "parquet",
        maker=True,
    ),
    Case(
        "bytes in parquet",
        "right",
        "('class0', 'class1', 'class2', 'class3', 'class4', 'class5')",
        lambda: {"label": lists(lambda i, c: f"class{c}".encode())},
        "parquet",
        maker=True,
    ),
    Case("categories", "right", SIX, lambda: {"label": pd.Categorical(WORDS)}, "parquet", maker=True),
    Case(
        "nullable whole numbers",
        "right",
        SIX,
        lambda: {"label": pd.array(Y, dtype="Int64")},
        "parquet",
        maker=True,
    ),
    Case(
        "dates in parquet",
        "right",
        SIX,
        lambda: {"label": pd.to_datetime("2024-01-01") + pd.to_timedelta(Y, "D")},
        "parquet",
        maker=True,
    ),
    Case(
        "decimals in parquet",
        "right",
        SIX,
        lambda: {"label": [decimal.Decimal(int(c)) for c in Y]},
        "parquet",
        maker=True,
    ),
    Case(
        "true and false",
        "2 classes, nothing said",
        "('False', 'True')",
        lambda: {"label": Y > 2},
        "parquet",
        maker=True,
    ),
    Case(
        "several 1 in a row",
        "refused: the labels are of shape (240, 6)",
        "with labels of 6 (40–140 each), several in a row",
        lambda: {"labels": several()},
        maker=True,
    ),
    Case(
        "complex numbers",
        "6 classes, nothing said",
        "are complex numbers; wanted",
        lambda: {"labels": Y + 1j * (Y % 2)},
        maker=True,
    ),
    Case(
        "structures",
        "traceback: TypeError",
        "structures or raw bytes; wanted",
        lambda: {"labels": np.array([(int(c), 1) for c in Y], dtype=[("a", "i4"), ("b", "i4")])},
        maker=True,
    ),
    Case("dates", "right", SIX, lambda: {"labels": DAYS}, maker=True),
    Case(
        "two words in each row",
        "refused: the labels are of shape (240, 2)",
        SEVERAL,
        lambda: {"labels": np.array([[str(c), "x"] for c in Y])},
        maker=True,
    ),
    Case(
        "NaN",
        "refused: 24 labels are missing, and others may have a fraction",
        MISSING,
        lambda: {"labels": holed(Y.astype(float), np.nan)},
        maker=True,
    ),
    Case("empty words", "7 classes, nothing said", MISSING, lambda: {"labels": holed(WORDS, "")}, maker=True),
    Case(
        "the word nan",
        "7 classes, nothing said",
        "24 labels of data.npz are 'nan', taken as a class",
        lambda: {"labels": holed(WORDS.astype("<U3"), "nan")},
        maker=True,
    ),
    Case(
        "NaT",
        "7 classes, nothing said",
        MISSING,
        lambda: {"labels": holed(DAYS, np.datetime64("NaT"))},
        maker=True,
    ),
    Case(
        "fractions",
        "refused: 0 labels are missing, and others may have a fraction",
        "120 of 240 labels of data.npz have a fraction (such as 0.5)",
        lambda: {"labels": Y + 0.5 * (np.arange(N) % 2)},
        maker=True,
    ),
    Case(
        "sentiment -1, 0, 1",
        "2 classes, nothing said",
        "in 2 classes (80 each); 135 train, 33 validation, 72 test: test stratified, fixed; "
        "background: 80 rows of label -1",
        lambda: {"labels": Y // 2 - 1},
        maker=True,
    ),
    Case(
        "sentiment as float",
        "2 classes, nothing said",
        "background: 80 rows of label -1",
        lambda: {"labels": Y // 2 - 1.0},
        maker=True,
    ),
    Case(
        "-1 and 1",
        "refused: data.npz has one class only ('1') in training",
        "one class only ('1') in training beside background (80 rows of label -1; "
        "--ignore-label=none makes -1 a class)",
        lambda: {"labels": np.where(Y > 1, 1, -1)},
        maker=True,
    ),
    Case(
        "-1 and 1 as two classes",
        "refused: unknown option of /data.npz 'ignore_label'",
        "in 2 classes",
        lambda: {"labels": np.where(Y > 1, 1, -1)},
        options={"ignore_label": "none"},
        maker=True,
    ),
    Case(
        "uint64 beyond int64",
        "5 classes, nothing said",
        "('7', '8', '9', '10', '9223372036854775813', '18446744073709551615')",
        lambda: {"labels": np.array([2**64 - 1, 2**63 + 5, 7, 8, 9, 10], np.uint64)[Y]},
        maker=True,
    ),
    Case(
        "float64 beyond int64",
        "refused: data.npz has one class only ('-9223372036854775808') in training",
        "('10000000000000000000', '20000000000000000000',",
        lambda: {"labels": (Y + 1) * 1e19},
        maker=True,
    ),
    Case(
        "float32 ids",
        "3 classes, nothing said",
        "are float32 beyond 16777216, where neighbouring whole numbers are one value",
        lambda: {"labels": (2**24 + np.arange(6)).astype("f4")[Y]},
        maker=True,
    ),
    Case("int64 beyond 2**53", "right", SIX, lambda: {"labels": (2**53 + np.arange(6))[Y]}, maker=True),
    Case(
        "groups of -1",
        "6 classes, nothing said",
        "80 of 240 rows are of no group (-1, or missing): each is a group of its own",
        lambda: {"labels": Y, "speaker": holed_third(np.arange(N) % 20)},
        options={"group": "speaker"},
        maker=True,
    ),
    Case(
        "class names as bytes",
        "6 classes, nothing said",
        "('ant', 'bee', 'cat', 'dog', 'eel', 'fox')",
        lambda: {"labels": Y, "class_names": np.array([b"ant", b"bee", b"cat", b"dog", b"eel", b"fox"])},
    ),
    Case(
        "a table of names called target_names",
        "6 classes, nothing said",
        "('ant', 'bee', 'cat', 'dog', 'eel', 'fox')",
        lambda: {"target": Y, "target_names": np.unique(WORDS)},
    ),
    Case(
        "words beside a table of class names",
        "traceback: ValueError",
        "('fox', 'eel', 'dog', 'cat', 'bee', 'ant')",
        lambda: {"labels": WORDS, "class_names": np.unique(WORDS)[::-1]},
    ),
    Case(
        "words that the table of class names lacks",
        "traceback: ValueError",
        "1 labels of data.npz (such as 'fox') are not among the 5 class names",
        lambda: {"labels": WORDS, "class_names": np.unique(WORDS)[:5]},
    ),
    Case(
        "a class name twice",
        "6 classes, nothing said",
        "1 class names stand for more than one class (such as 'ant')",
        lambda: {"labels": Y, "class_names": np.array(["ant", "ant", "cat", "dog", "eel", "fox"])},
    ),
    Case(
        "blanks around words",
        "12 classes, nothing said",
        "read without the blanks around them: 6 differed by blanks only",
        lambda: {"labels": np.where(np.arange(N) % 2, np.char.add(WORDS, " "), WORDS)},
    ),
    Case("words of blanks only", "7 classes, nothing said", MISSING, lambda: {"labels": holed(WORDS, "  ")}),
    Case(
        "bytes in UTF-8",
        "traceback: UnicodeDecodeError",
        "('é0', 'é1', 'é2', 'é3', 'é4', 'é5')",
        lambda: {"labels": np.array([f"é{c}".encode() for c in Y])},
    ),
    Case(
        "bytes in Latin-1",
        "traceback: UnicodeDecodeError",
        "are bytes that are not UTF-8 (such as b'\\xe90'); wanted",
        lambda: {"labels": np.array([f"é{c}".encode("latin-1") for c in Y])},
    ),
    Case(
        "a one-hot row without a 1",
        "refused: the labels are of shape (240, 6)",
        MISSING,
        lambda: {"labels": many_hot_empty()},
    ),
    Case(
        "infinity",
        "refused: 24 labels are missing, and others may have a fraction",
        "24 of 240 labels of data.npz are infinite",
        lambda: {"labels": holed(Y.astype(float), np.inf)},
    ),
    Case(
        "float16 ids",
        "3 classes, nothing said",
        "are float16 beyond 2048",
        lambda: {"labels": (2048 + np.arange(6)).astype("f2")[Y]},
    ),
    Case(
        "NaN as group",
        "refused: 24 labels are missing, and others may have a fraction",
        "24 of 240 rows are of no group",
        lambda: {"labels": Y, "speaker": holed((np.arange(N) % 20).astype(float), np.nan)},
        options={"group": "speaker"},
    ),
    Case(
        "the text -1 among words",
        "7 classes, nothing said",
        "in 6 classes (36 each); 134 train, 33 validation, 73 test: test stratified, fixed; "
        "background: 24 rows of label -1",
        lambda: {"labels": holed(WORDS, "-1")},
    ),
    Case(
        "-100",
        "7 classes, nothing said",
        "24 labels of data.npz are '-100', taken as a class; where it means that a row has no "
        "label: --ignore-label=-100",
        lambda: {"labels": holed(Y, -100)},
    ),
    Case(
        "-100 named",
        "refused: unknown option of /data.npz 'ignore_label'",
        "background: 24 rows of label -100",
        lambda: {"labels": holed(Y, -100)},
        options={"ignore_label": -100},
    ),
    Case(
        "255 and a word named",
        "refused: unknown option of /data.npz 'ignore_label'",
        "in 5 classes (36–56 each)",
        lambda: {"labels": np.where(Y == 5, 255, holed(Y, 4))},
        options={"ignore_label": ["255", "unknown"]},
    ),
    Case(
        "a name that no label has",
        "refused: unknown option of /data.npz 'ignore_label'",
        "none of the labels of data.npz is '254', which --ignore-label names",
        lambda: {"labels": Y},
        options={"ignore_label": ["254"]},
    ),
    Case(
        "missing left out",
        "refused: unknown option of /data.npz 'skip_unlabelled'",
        "216 feature vectors of 16 in 6 classes (36 each); 120 train, 30 validation, 66 test: "
        "test stratified, fixed; left out: 24 rows without a label",
        lambda: {"labels": holed(WORDS, "")},
        options={"skip_unlabelled": True},
    ),
    Case(
        "a finer label missing, left out",
        "refused: unknown option of /data.npz 'skip_unlabelled'",
        "left out: 24 rows without a label",
        lambda: {"labels": Y, "fine": holed((np.arange(N) % 40 // 20 + 2 * Y).astype(float), np.nan)},
        options={"skip_unlabelled": True},
    ),
    Case(
        "255 far above the classes",
        "7 classes, nothing said",
        "35 labels of data.npz are '255', taken as a class; where it means that a row has no label: "
        "--ignore-label=255",
        lambda: {"labels": np.where(np.arange(N) % 7 == 0, 255, Y).astype(np.uint8)},
    ),
    Case(
        "a name in capitals and not",
        "7 classes, nothing said",
        "'ANT' and 'ant' are taken as different labels of data.npz",
        lambda: {"labels": np.where((Y == 0) & (np.arange(N) % 2 == 0), "ANT", WORDS)},
    ),
    Case(
        "an accent written in two ways",
        "7 classes of which two look alike, nothing said",
        r"'e\u0301' and '\xe9' are taken as different labels of data.npz",
        lambda: {"labels": np.where(Y > 0, WORDS, np.where(np.arange(N) % 2, "e\u0301", "\u00e9"))},
    ),
    Case(
        "a word for missing that a shell takes for a file",
        "--ignore-label=<na>, which a shell refuses",
        "'--ignore-label=<na>'",
        lambda: {"labels": holed(WORDS.astype(object), "<na>").astype(str)},
    ),
    Case(
        "a one-hot row of zeros, left out",
        "refused: data.npz: labels have the shape (240, 6)",
        "left out: 24 rows without a label",
        lambda: {"labels": many_hot_empty()},
        options={"skip_unlabelled": True},
    ),
    Case(
        "empty cells in parquet",
        "refused: column 'label' is empty in 24 of 240 rows",
        MISSING,
        lambda: {"label": holed(WORDS.astype(object), None)},
        "parquet",
    ),
    Case(
        "empty cells left out",
        "refused: unknown option of /data.parquet 'skip_unlabelled'",
        "left out: 24 rows without a label",
        lambda: {"label": holed(WORDS.astype(object), None)},
        "parquet",
        {"skip_unlabelled": True},
    ),
    Case(
        "nullable numbers with holes",
        "refused: column 'label' is empty in 24 of 240 rows",
        MISSING,
        lambda: {"label": pd.array(holed(Y.astype(object), None), dtype="Int64")},
        "parquet",
    ),
    Case(
        "a missing finer label",
        "refused: 24 labels are missing, and others may have a fraction",
        "24 of 240 finer labels of data.npz are missing",
        lambda: {"labels": Y, "fine": holed((np.arange(N) % 40 // 20 + 2 * Y).astype(float), np.nan)},
    ),
    Case(
        "disjoint classes, background on both sides",
        "refused: data.npz leaks: 1 class (-1) in the test split and outside of it",
        "background: 24 rows of label -1",
        lambda: {"labels": holed(Y, -1), "split": np.where(Y > 3, "test", "train")},
    ),
    Case(
        "background does not make a split disjoint",
        "5 classes, nothing said",
        "background: 80 rows of label -1",
        lambda: {
            "labels": np.where(Y < 2, np.where(np.arange(N) % 2, Y, -1), np.where(Y == 2, -1, Y)),
            "split": np.where((Y < 3) & (np.arange(N) % 4 < 2), "test", np.where(Y == 5, "test", "train")),
        },
    ),
)


def holed_third(values: np.ndarray) -> np.ndarray:
    values[::3] = -1
    return values


def read(case: Case, folder: Any) -> str:
    """All that is said of a file of the case, or its refusal."""
    path = folder / f"data.{case.form}"
    if case.form == "npz":
        np.savez(path, features=X, **case.files())
    else:
        pd.DataFrame({"embedding": list(X), **case.files()}).to_parquet(path)
    return said_of(path, case.options or {})


def said_of(path: Any, options: dict[str, Any]) -> str:
    """All that is said of a file, or its refusal."""
    try:
        source = load(path, **options)
    except LosscopeError as refused:
        return f"refused: {refused}"
    return f"{source.describe()} {source.facts.class_names} {' '.join(source.facts.notes)}"


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_labels_are_read_right_or_refused_in_a_sentence(case, tmp_path):
    assert case.now.format(form=case.form) in read(case, tmp_path)


TABLES = (
    ("the words None and NA", ["None", "NA", "c", "d", "e", "f"], "('NA', 'None', 'c', 'd', 'e', 'f')"),
    ("country codes", ["NA", "DE", "FR", "IT", "ES", "PT"], "('DE', 'ES', 'FR', 'IT', 'NA', 'PT')"),
    ("1 and 01", ["1", "01", "2", "02", "3", "4"], "('01', '02', '1', '2', '3', '4')"),
    ("1e3 and 1000", ["1e3", "1000", "2", "3", "4", "5"], "('1000', '1e3', '2', '3', '4', '5')"),
    ("007, 07 and 7", ["007", "07", "7", "8", "9", "10"], "('007', '07', '10', '7', '8', '9')"),
    ("true and false", ["True", "False"] * 3, "('False', 'True')"),
    ("-1, 0 and 1", ["-1", "-1", "0", "0", "1", "1"], "background: 80 rows of label -1"),
    ("empty cells", ["", "b", "c", "d", "e", "f"], "40 of 240 labels of data.csv are missing"),
    (
        "ids beyond 2**53 beside empty cells",
        ["", *(str(2**53 + k) for k in range(5))],
        "('9007199254740992', '9007199254740993', '9007199254740994', '9007199254740995',",
    ),
    (
        "ids beyond 2**63",
        [str(2**64 + k) for k in range(6)],
        "('18446744073709551616', '18446744073709551617',",
    ),
    (
        "quantities",
        [f"{k}.5" for k in range(6)],
        "240 of 240 labels of data.csv have a fraction (such as 0.5)",
    ),
)


@pytest.mark.parametrize(("names", "now"), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES])
def test_labels_of_a_text_table_stay_what_is_written(names, now, tmp_path):
    table = pd.DataFrame(X, columns=[f"f{k}" for k in range(16)])
    table.assign(label=np.array(names)[Y]).to_csv(tmp_path / "data.csv", index=False)
    options = {"skip_unlabelled": True} if names[1] == str(2**53) else {}
    assert now in said_of(tmp_path / "data.csv", options)


PLAIN = [
    case
    for case in CASES
    if case.form == "npz" and case.files().keys() <= {"labels", "class_names", "fine", "split"}
]


@pytest.mark.parametrize("case", PLAIN, ids=[case.id for case in PLAIN])
def test_embeddings_have_the_labels_that_features_have(case, tmp_path):
    path, options = tmp_path / "data.npz", case.options or {}
    np.savez(path, features=X, embeddings=X, **case.files())
    ignore = options.get("ignore_label", ())
    ignore = [ignore] if isinstance(ignore, str | int) else ignore
    skip = bool(options.get("skip_unlabelled"))
    try:
        wanted = load(path, inputs="features", **options).pool
    except LosscopeError:
        if "split" not in case.files():  # a part that decides nothing may be refused beside one that does
            with pytest.raises(LosscopeError):
                load_embeddings(path, ignore=ignore, skip_unlabelled=skip)
    else:
        found = load_embeddings(path, ignore=ignore, skip_unlabelled=skip)
        if wanted.tags is None:
            assert np.array_equal(found.labels, wanted.labels)
        else:
            assert np.array_equal(found.tags, wanted.tags)
