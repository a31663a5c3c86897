"""Tables as people write them: which columns are what, numbers and vectors of every form, or a sentence."""

from __future__ import annotations

import base64
import bz2
import decimal
import gzip
import io
import json
import lzma
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from losscope.core.errors import LosscopeError
from losscope.data import load

ROWS, CLASSES = 120, 6
QUESTION = "?"
PLACE = np.repeat(np.arange(CLASSES), ROWS // CLASSES)
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(CLASSES, 5))[PLACE] + RNG.normal(size=(ROWS, 5))).astype(np.float32).round(3)
WORDS = np.array(["ant", "cat", "dog", "eel", "fox", "owl"])[PLACE]
TABLE = pd.DataFrame(X, columns=[f"f{i}" for i in range(5)]).assign(label=WORDS)
NUMBER = np.arange(ROWS)
POINTS = pd.DataFrame({"x": X[:, 0].round(), "y": (4 * X[:, 1]).round().astype(int), "class": WORDS})


@dataclass(frozen=True)
class Case:
    """A table, what the starting commit made of it, and what is right.

    ``made`` is a frame or the bytes of the file. ``now`` is the number of features, or a part of the refusal;
    ``said`` stands in the line of what was understood or in a note.
    """

    id: str
    name: str
    made: Any
    before: str
    now: int | str
    said: str = ""

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        if isinstance(self.made, bytes):
            path.write_bytes(self.made)
        elif path.suffix == ".parquet":
            self.made.to_parquet(path)
        else:
            self.made.to_csv(path, index=False)
        return path


def f3(form: Any) -> pd.DataFrame:
    return TABLE.assign(f3=[form(value) for value in X[:, 3].tolist()])


def broken(word: str) -> pd.DataFrame:
    return TABLE.assign(f3=[word, *map(str, X[1:, 3].tolist())])


def vectors(form: Any) -> pd.DataFrame:
    return pd.DataFrame({"label": WORDS, "embedding": [form(value) for value in X]})


def csv(sep: str = ",", encoding: str = "utf-8", frame: pd.DataFrame = TABLE, **words: Any) -> bytes:
    return frame.to_csv(index=False, sep=sep, **words).encode(encoding)


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, csv())
    return buffer.getvalue()


def lines(*rows: str) -> bytes:
    return "\n".join(rows).encode()


ADA = pd.DataFrame({"label": WORDS, "n_tokens": NUMBER % 17})
SPLIT = np.where(NUMBER % 3 > 0, "train", "test")
RECORDS = [{"vec": row, "label": word} for row, word in zip(X.tolist(), WORDS.tolist(), strict=True)]

MAKERS = (
    Case(
        "lists in text",
        "t.csv",
        vectors(lambda v: str(v.tolist())),
        "refused: 120 of 120 images cannot be read",
        5,
        "written as text",
    ),
    Case(
        "shortened lists",
        "t.csv",
        vectors(lambda v: str(np.tile(v, 300))),
        "refused: 120 of 120 images cannot be read",
        "were shortened as they were",
    ),
    Case(
        "blanks in a vector",
        "t.csv",
        vectors(lambda v: " ".join(map(str, v))),
        "refused: 120 of 120 images cannot be read: -0.821 -0.",
        5,
        "written as text",
    ),
    Case(
        "semicolons in a vector",
        "t.csv",
        vectors(lambda v: ";".join(map(str, v))),
        "refused: 120 of 120 images cannot be read: -0.821",
        5,
        "written as text",
    ),
    Case(
        "JSON in parquet",
        "t.parquet",
        vectors(lambda v: json.dumps(v.tolist())),
        "refused: 120 of 120 images cannot be read",
        5,
        "written as text",
    ),
    Case(
        "base64",
        "t.csv",
        vectors(lambda v: base64.b64encode(v.tobytes()).decode()),
        "refused: 120 of 120 images cannot be read: IbAyP7TIFr",
        "text in base64",
    ),
    Case(
        "raw bytes",
        "t.parquet",
        vectors(lambda v: v.tobytes()),
        "refused: column 'embedding' of 't.parquet' does not h",
        "raw bytes",
    ),
    Case(
        "pictures as objects",
        "t.parquet",
        ADA.assign(image=[{"bytes": b"x", "path": ""}] * ROWS),
        "refused: column 'image' of 't.parquet' does not hold",
        "objects of bytes",
    ),
    Case(
        "an empty vector",
        "t.parquet",
        vectors(lambda v: None if v is X[0] else v).assign(embedding=[None, *X[1:]]),
        "refused: column 'embedding' of 't.parquet' does not h",
        "is empty in 1 of 120",
    ),
    Case(
        "text vector of any name",
        "t.csv",
        ADA.assign(ada_v2=[str(v) for v in X.tolist()]),
        "1 features, 6 classes, nothing said",
        5,
        "n_tokens: beside the inputs",
    ),
    Case(
        "list column of any name",
        "t.parquet",
        ADA.assign(ada_v2=list(X)),
        "1 features, 6 classes, nothing said",
        5,
        "n_tokens: beside the inputs",
    ),
    Case(
        "a dash",
        "t.csv",
        broken("-"),
        "4 features, 6 classes, nothing said",
        4,
        "f3: 1 value no number, such as '-'",
    ),
    Case(
        "a question mark",
        "t.csv",
        broken(QUESTION),
        "4 features, 6 classes, nothing said",
        4,
        "f3: 1 value no number, such as '?'",
    ),
    Case(
        "booleans",
        "t.csv",
        TABLE.assign(flag=NUMBER % 2 > 0),
        "5 features, 6 classes, nothing said",
        6,
        "true and false as 1 and 0: column flag",
    ),
    Case(
        "booleans only",
        "t.csv",
        pd.get_dummies(pd.DataFrame({"a": np.array(list("uvwx"))[RNG.integers(0, 4, ROWS)]})).assign(
            label=WORDS
        ),
        "refused: 't.csv' has neither a path column",
        4,
        "true and false as 1 and 0",
    ),
    Case(
        "thousands",
        "t.csv",
        f3(lambda v: f"{1000 * v:,.1f}"),
        "4 features, 6 classes, nothing said",
        5,
        "commas of thousands dropped: column f3",
    ),
    Case(
        "percent signs",
        "t.csv",
        f3(lambda v: f"{v:.2f}%"),
        "4 features, 6 classes, nothing said",
        5,
        "percent signs dropped: column f3",
    ),
    Case(
        "decimal commas",
        "t.csv",
        f3(lambda v: f"{v:.3f}".replace(".", ",")),
        "4 features, 6 classes, nothing said",
        5,
        "decimal commas: column f3",
    ),
    Case(
        "units",
        "t.csv",
        f3(lambda v: f"{v:.2f} cm"),
        "4 features, 6 classes, nothing said",
        4,
        "f3: words such as",
    ),
    Case(
        "decimals in parquet",
        "t.parquet",
        f3(lambda v: decimal.Decimal(f"{v:.3f}")),
        "4 features, 6 classes, nothing said",
        5,
    ),
    Case(
        "a column of words",
        "t.csv",
        TABLE.assign(colour=np.where(NUMBER % 2, "red", "blue")),
        "5 features, 6 classes, nothing said",
        5,
        "colour: words such as",
    ),
    Case(
        "an empty column",
        "t.csv",
        TABLE.assign(f3=np.nan),
        "refused: t.csv has 120 values that are NaN or infinit",
        4,
        "f3: empty throughout",
    ),
    Case(
        "names of ids",
        "t.csv",
        TABLE.rename(columns={"f0": "id", "f1": "row"}),
        "3 features, 6 classes, nothing said",
        3,
        "row: by its name no feature",
    ),
    Case(
        "two names alike",
        "t.csv",
        csv().replace(b"f1,", b"f0,", 1),
        "5 features, 6 classes, nothing said",
        5,
        "2 columns are called 'f0'",
    ),
    Case(
        "label_id",
        "t.csv",
        TABLE.assign(label_id=10 * PLACE),
        "6 features, 6 classes, nothing said",
        5,
        "label_id: by its name no feature",
    ),
    Case(
        "one-hot",
        "t.csv",
        TABLE.assign(**{f"is_{w}": 10 * (w == WORDS) for w in np.unique(WORDS)}),
        "11 features, 6 classes, nothing said",
        5,
        "is_ant: true for one class alone",
    ),
    Case(
        "sample_id",
        "t.csv",
        TABLE.assign(sample_id=NUMBER * 1.0),
        "6 features, 6 classes, nothing said",
        5,
        "sample_id: by its name",
    ),
    Case(
        "speaker_id",
        "t.csv",
        TABLE.assign(speaker_id=NUMBER // 10),
        "6 features, 6 classes, nothing said",
        5,
        "speaker_id: by its name",
    ),
    Case(
        "timestamp",
        "t.csv",
        TABLE.assign(timestamp=1.7e9 + 7 * NUMBER),
        "6 features, 6 classes, nothing said",
        5,
        "timestamp: by its name",
    ),
    Case(
        "fold and is_train",
        "t.csv",
        TABLE.assign(fold=NUMBER % 5, is_train=NUMBER % 3 > 0),
        "6 features, 6 classes, nothing said",
        5,
        "split 'is_train'",
    ),
    Case(
        "the index twice",
        "t.csv",
        TABLE.reset_index().rename(columns={"index": "Unnamed: 0.1"}),
        "6 features, 6 classes, nothing said",
        5,
        "Unnamed: 0.1",
    ),
    Case("y beside x and class", "t.csv", POINTS, "1 features, 27 classes, nothing said", 2, "label 'class'"),
    Case(
        "a target beside a category",
        "t.csv",
        POINTS.rename(columns={"x": "target", "class": "category", "y": "f"}),
        "1 features, 5 classes, nothing said",
        "either may be the label",
    ),
    Case(
        "subset",
        "t.csv",
        TABLE.assign(subset=SPLIT),
        "5 features, 6 classes, nothing said",
        5,
        "split 'subset'",
    ),
    Case(
        "holdout",
        "t.csv",
        TABLE.assign(split=np.where(NUMBER % 3, "train", "holdout")),
        "refused: t.csv: unknown split 'holdout'",
        5,
        "split as given",
    ),
    Case(
        "no test rows",
        "t.csv",
        TABLE.assign(split=np.where(NUMBER % 3, "train", "dev")),
        "refused: t.csv has no test rows",
        5,
        "its 40 validation rows are the test part",
    ),
    Case(
        "only training rows",
        "t.csv",
        TABLE.assign(split="train"),
        "refused: t.csv has no test rows",
        "says 'train' of every row",
    ),
    Case(
        "an empty split",
        "t.csv",
        TABLE.assign(split=np.where(NUMBER % 3, "train", None)),
        "refused: t.csv: unknown split 'nan'",
        "is empty in 40 of 120 rows",
    ),
)

FURTHER = (
    Case(
        "rows longer than the header",
        "t.csv",
        lines(
            "f0,f1,label", *(f"{i},{a},{b},{w}" for i, (a, b, w) in enumerate(zip(X[:, 0], X[:, 1], WORDS)))
        ),
        "2 features, 6 classes, nothing said",
        "have 4 cells, but its header names 3",
    ),
    Case(
        "rows of R with names",
        "t.csv",
        lines('"f0","label"', *(f'"{i}",{a},"{w}"' for i, (a, w) in enumerate(zip(X[:, 0], WORDS)))),
        "1 features, 6 classes, nothing said",
        "have 3 cells, but its header names 2",
    ),
    Case(
        "no header row",
        "t.csv",
        csv(header=False),
        "refused: 't.csv' has no label column",
        5,
        "no header row",
    ),
    Case(
        "semicolons",
        "t.csv",
        csv(";"),
        "refused: 't.csv' has neither a path column",
        5,
        "separated by semicolons",
    ),
    Case(
        "semicolons and decimal commas",
        "t.csv",
        csv(";", decimal=","),
        "refused: 't.csv' has neither a path column",
        5,
        "decimal commas",
    ),
    Case(
        "tabs in a csv",
        "t.csv",
        csv("\t"),
        "refused: 't.csv' has neither a path column",
        5,
        "separated by tabs",
    ),
    Case("bars", "t.csv", csv("|"), "refused: 't.csv' has neither a path column", 5, "separated by bars"),
    Case(
        "the line sep=;",
        "t.csv",
        b"sep=;\n" + csv(";"),
        "refused: 't.csv' has neither a path column",
        5,
        "separated by semicolons",
    ),
    Case("UTF-16", "t.csv", csv(encoding="utf-16"), "refused: 't.csv' cannot be read", 5, "UTF-16"),
    Case(
        "UTF-16 without a mark",
        "t.csv",
        csv(encoding="utf-16-le"),
        "refused: 't.csv' has neither a path column",
        5,
        "UTF-16",
    ),
    Case(
        "Latin-1",
        "t.csv",
        csv(encoding="latin-1", frame=TABLE.replace("ant", "fourmi é")),
        "refused: 't.csv' cannot be read",
        5,
        "read as Latin-1",
    ),
    Case("gzip", "t.csv.gz", gzip.compress(csv()), "refused: cannot read 't.csv.gz'", 5),
    Case("gzip named csv", "t.csv", gzip.compress(csv()), "refused: 't.csv' cannot be read", 5),
    Case("bzip2", "t.csv.bz2", bz2.compress(csv()), "refused: cannot read 't.csv.bz2'", 5),
    Case("xz", "t.csv.xz", lzma.compress(csv()), "refused: cannot read 't.csv.xz'", 5),
    Case("zip", "t.csv.zip", zipped("t.csv"), "refused: cannot read 't.csv.zip'", 5),
    Case(
        "zip of two",
        "t.csv.zip",
        zipped("a.csv", "b.csv"),
        "refused: cannot read 't.csv.zip'",
        "an archive of 2 files",
    ),
    Case(
        "JSON lines",
        "t.jsonl",
        lines(*map(json.dumps, RECORDS)),
        "refused: cannot read 't.jsonl'",
        5,
        "column vec",
    ),
    Case(
        "a JSON list",
        "t.json",
        json.dumps(RECORDS).encode(),
        "refused: cannot read 't.json'",
        5,
        "column vec",
    ),
    Case(
        "JSON of columns",
        "t.json",
        json.dumps(TABLE.to_dict("list")).encode(),
        "refused: cannot read 't.json'",
        5,
    ),
    Case(
        "a JSON line that is none",
        "t.jsonl",
        lines(json.dumps(RECORDS[0]), "{", json.dumps(RECORDS[1])),
        "refused: cannot read 't.jsonl'",
        "line 2 is no JSON",
    ),
    Case(
        "comments before the header",
        "t.csv",
        b"# made by hand\n# in March\n" + csv(),
        "refused: 't.csv' cannot be read",
        5,
        "lines of comment",
    ),
    Case("savetxt's header", "t.csv", b"# " + csv(), "5 features, 6 classes, nothing said", 5),
    Case(
        "an Excel workbook",
        "t.xlsx",
        zipped("xl/workbook.xml"),
        "refused: cannot read 't.xlsx'",
        "save the sheet as .csv",
    ),
    Case("pickled tensors", "t.pt", b"PK", "refused: cannot read 't.pt'", "pickled objects are never run"),
    Case(
        "parquet named csv",
        "t.csv",
        TABLE.to_parquet(),
        "refused: 't.csv' cannot be read",
        5,
        "is a parquet table",
    ),
    Case(
        "the label as the index",
        "t.parquet",
        TABLE.set_index("label"),
        "refused: 't.parquet' has no label column",
        5,
        "label 'label'",
    ),
    Case(
        "labels 1 and 01",
        "t.csv",
        TABLE.assign(label=np.array(["1", "01", "2", "02", "3", "03"])[PLACE]),
        "5 features, 3 classes, nothing said",
        5,
        "in 6 classes",
    ),
    Case(
        "labels 10 and 1e1 only",
        "t.csv",
        TABLE.assign(label=np.array(["1e1", "10", "2", "3", "4", "5"])[PLACE]),
        "5 features, 5 classes, nothing said",
        5,
        "in 6 classes",
    ),
    Case(
        "the class NA",
        "t.csv",
        TABLE.replace("ant", "NA"),
        "refused: column 'label' is empty in 20 of 120 rows",
        5,
        "in 6 classes",
    ),
    Case(
        "the class None",
        "t.csv",
        TABLE.replace("ant", "None"),
        "refused: column 'label' is empty in 20 of 120 rows",
        5,
        "in 6 classes",
    ),
    Case(
        "blanks around labels",
        "t.csv",
        TABLE.assign(label=[w + " " * (i % 2) for i, w in enumerate(WORDS)]),
        "5 features, 12 classes, nothing said",
        5,
        "in 6 classes",
    ),
    Case(
        "a row counter of any name",
        "t.csv",
        TABLE.assign(nr=NUMBER + 1000),
        "6 features, 6 classes, nothing said",
        5,
        "nr: counts the rows",
    ),
    Case(
        "a code of the class of any name",
        "t.csv",
        TABLE.assign(kind=np.array([3, 1, 9, 4, 7, 5])[PLACE]),
        "6 features, 6 classes, nothing said",
        5,
        "kind: one value for each class",
    ),
    Case(
        "y as the label again",
        "t.csv",
        TABLE.assign(y=PLACE),
        "6 features, 6 classes, nothing said",
        5,
        "y: the label again",
    ),
    Case(
        "dates",
        "t.parquet",
        TABLE.assign(taken=pd.Timestamp("2024-01-01") + pd.to_timedelta(NUMBER, "h")),
        "5 features, 6 classes, nothing said",
        5,
        "taken: dates or times",
    ),
    Case(
        "vectors as arrays in text",
        "t.csv",
        vectors(lambda v: f"array({v.tolist()}, dtype=float32)"),
        "refused: 120 of 120 images cannot be read",
        5,
        "written as text",
    ),
    Case(
        "vectors in text over lines",
        "t.csv",
        vectors(lambda v: str(v).replace(" ", "\n ", 1)),
        "refused: 120 of 120 images cannot be read",
        5,
        "written as text",
    ),
    Case(
        "two vectors of unknown names",
        "t.parquet",
        ADA.assign(a=list(X), b=list(X)),
        "1 features, 6 classes, nothing said",
        5,
        "columns of vectors a and b are two modalities",
    ),
    Case(
        "three vectors of unknown names",
        "t.parquet",
        ADA.assign(a=list(X), b=list(X), c=list(X)),
        "1 features, 6 classes, nothing said",
        "3 columns of vectors (a, b, c)",
    ),
    Case(
        "split words with blanks and years",
        "t.csv",
        TABLE.assign(split=[f" {w}2017 " for w in SPLIT]),
        "refused: t.csv: unknown split ' test2017 ', ' train20",
        5,
        "split as given",
    ),
    Case(
        "is_train of words",
        "t.csv",
        TABLE.assign(is_train=np.where(NUMBER % 3, "true", "false")),
        "5 features, 6 classes, nothing said",
        5,
        "split 'is_train'",
    ),
    Case(
        "two label columns of one name",
        "t.csv",
        csv(frame=TABLE.assign(other=PLACE)).replace(b",other", b",label", 1),
        "6 features, 6 classes, nothing said",
        "2 columns called 'label'",
    ),
    Case(
        "an ambiguous comma",
        "t.csv",
        f3(lambda v: f"{int(1000 * abs(v)) % 9 + 1},234"),
        "4 features, 6 classes, nothing said",
        4,
        "may be of thousands or decimals",
    ),
)


def outcome(path: Path) -> tuple[int | str, str, str]:
    """The number of features or the refusal, what was said, and the split and rows for the table of cases."""
    try:
        source = load(path)
    except LosscopeError as error:
        return str(error), "", "refused"
    return source.facts.shape[0], " ".join([source.describe(), *source.facts.notes]), str(source.facts.rows)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in (*MAKERS, *FURTHER)])
def test_a_table_is_read_right_or_refused(tmp_path, case):
    found, said, rows = outcome(case.write(tmp_path))
    if isinstance(case.now, str):
        assert isinstance(found, str) and case.now in found
        return
    assert (found, rows) == (case.now, str(ROWS))
    assert case.said in said


def test_a_group_column_that_was_not_asked_for_is_said_not_to_split(tmp_path):
    TABLE.assign(group=NUMBER % 12).to_csv(tmp_path / "t.csv", index=False)
    plain, asked = load(tmp_path / "t.csv"), load(tmp_path / "t.csv", group="group")
    assert "column 'group' names groups, but is not used for the split" in " ".join(plain.facts.notes)
    assert "-o group=group" in " ".join(plain.facts.notes)
    assert "not used for the split" not in " ".join(asked.facts.notes)
    parts = asked.splits(0)
    assert not set(parts.train.groups) & set(parts.test.groups)
