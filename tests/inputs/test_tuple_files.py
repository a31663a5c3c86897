"""Files of pairs and triplets: columns by their names, answers as people write them, or a sentence."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from losscope.core.errors import LosscopeError
from losscope.data import load
from losscope.data.readers.tuples import read_tuples

ROWS, COUNT = 240, 400
PLACE = np.repeat(np.arange(6), 40)
RNG = np.random.default_rng(1)
I = RNG.integers(0, ROWS, COUNT)
J = np.where(RNG.random(COUNT) < 0.5, 40 * PLACE[I] + (I + 1) % 40, (I + 97) % ROWS)
SAME = (PLACE[I] == PLACE[J]).astype(int)
PAIRS = pd.DataFrame({"i": I, "j": J, "same": SAME})
TRIPLETS = pd.DataFrame(
    {
        "a": RNG.integers(0, 80, COUNT),
        "p": RNG.integers(80, 160, COUNT),
        "n": RNG.integers(160, ROWS, COUNT),
    }
)


@dataclass(frozen=True)
class Tuples:
    """A file of tuples, what the starting commit made of it, and a part of the refusal, if it is one."""

    id: str
    name: str
    made: Any
    before: str
    now: str = ""
    said: str = ""
    form: str = "pairs"

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        if isinstance(self.made, bytes):
            path.write_bytes(self.made)
        elif isinstance(self.made, np.ndarray):
            np.save(path, self.made)
        elif path.suffix == ".npz":
            np.savez(path, **{name: self.made[name].to_numpy() for name in self.made.columns})
        elif path.suffix == ".parquet":
            self.made.to_parquet(path)
        else:
            self.made.to_csv(path, index=False)
        return path


def third(name: str, values: Any = SAME) -> pd.DataFrame:
    return pd.DataFrame({"i": I, "j": J, name: values})


FIELDS = np.zeros(COUNT, [("i", int), ("j", int), ("same", int)])
FIELDS["i"], FIELDS["j"], FIELDS["same"] = I, J, SAME
LINES = "\n".join(json.dumps({"i": int(i), "j": int(j), "label": int(s)}) for i, j, s in zip(I, J, SAME))

MAKERS = (
    *(
        Tuples(f"third column {name}", "p.csv", third(name), "every pair positive, nothing said", said=name)
        for name in ("target", "label", "is_same", "y", "similarity", "match", "duplicate", "whatever")
    ),
    Tuples(
        "triplets with an index",
        "t.csv",
        TRIPLETS.to_csv().encode(),
        "refused: t.csv names 160 rows outside of 0…239",
        said="a, p, n",
        form="triplets",
    ),
    Tuples(
        "no header row",
        "p.csv",
        PAIRS.to_csv(index=False, header=False).encode(),
        "read wrongly: 399 of 400",
        said="no header row",
    ),
    Tuples(
        "minus one and one",
        "p.csv",
        third("same", 2 * SAME - 1),
        "refused: p.csv: the third column must be 1 (same) or 0 (different) in",
        said="taken as different",
    ),
)
FURTHER = (
    Tuples(
        "the answer first",
        "p.csv",
        PAIRS[["same", "i", "j"]].rename(columns={"same": "label", "i": "left", "j": "right"}),
        "refused: p.csv: the third column must be 1 (same) or 0 (different) in",
        said="label",
    ),
    Tuples(
        "pairs with an index",
        "p.csv",
        third("target").to_csv().encode(),
        "read wrongly: 400 of 400, all same",
        said="target",
    ),
    Tuples(
        "pairs of an index and of unknown names",
        "p.csv",
        third("z").rename(columns={"i": "here", "j": "there"}).to_csv().encode(),
        "refused: p.csv names 160 rows outside of 0…239",
        said="z",
    ),
    Tuples(
        "two pairs of answers",
        "p.csv",
        third("label").assign(score=0.5),
        "read wrongly: 400 of 400, all same",
        "several columns that may say",
    ),
    Tuples(
        "different is one",
        "p.csv",
        third("different", 1 - SAME),
        "read wrongly: 400 of 400, all same",
        said="means different",
    ),
    Tuples(
        "words",
        "p.csv",
        third("same", np.where(SAME > 0, "yes", "no")),
        "refused: p.csv: the third column must be 1 (same) or 0 (different) in",
    ),
    Tuples(
        "same and different",
        "p.csv",
        third("relation", np.where(SAME > 0, "same", "different")),
        "read wrongly: 400 of 400, all same",
    ),
    Tuples(
        "booleans under target", "p.parquet", third("target", SAME > 0), "read wrongly: 400 of 400, all same"
    ),
    Tuples(
        "graded",
        "p.csv",
        third("similarity", SAME * 0.8),
        "read wrongly: 400 of 400, all same",
        "a graded similarity needs a threshold",
    ),
    Tuples("npz of target", "p.npz", third("target"), "read wrongly: 400 of 400, all same", said="target"),
    Tuples(
        "semicolons",
        "p.csv",
        PAIRS.to_csv(index=False, sep=";").encode(),
        "refused: p.csv has 1 columns",
        said="semicolons",
    ),
    Tuples(
        "blanks as in LFW",
        "p.csv",
        PAIRS.to_csv(index=False, sep=" ").encode(),
        "refused: p.csv has 1 columns",
        said="blanks",
    ),
    Tuples(
        "gzip", "p.csv.gz", gzip.compress(PAIRS.to_csv(index=False).encode()), "refused: cannot read p.csv.gz"
    ),
    Tuples("JSON lines", "p.jsonl", LINES.encode(), "refused: cannot read p.jsonl"),
    Tuples("a capital suffix", "P.CSV", PAIRS, "refused: cannot read P.CSV"),
    Tuples(
        "positions with a fraction sign",
        "p.csv",
        third("same").astype({"i": float}),
        "refused: p.csv gives rows by name, but the data have no names",
    ),
    Tuples(
        "an empty position",
        "p.csv",
        third("same").astype({"i": object}).replace({"i": {int(I[0]): None}}),
        "refused: p.csv gives rows by name, but the data have no names",
        "are no whole number or empty",
    ),
    Tuples(
        "counted from 1",
        "p.csv",
        pd.DataFrame({"i": [1, 2, ROWS], "j": [2, 3, 1], "same": [1, 1, 0]}),
        "refused: p.csv names 1 rows outside of 0…239",
        "seem to be counted from 1",
    ),
    Tuples("fields by name", "p.npy", FIELDS, "refused: p.npy is of shape (400,)"),
    Tuples(
        "no header and no answer",
        "p.csv",
        b"5,9\n7,8\n7,9\n",
        "2 of 3 read, nothing said",
        said="every pair is taken as of one class",
    ),
    Tuples(
        "same and different at once",
        "p.csv",
        pd.DataFrame({"i": [0, 1], "j": [1, 0], "same": [1, 0]}),
        "read, nothing said",
        "both as same and as different",
    ),
    Tuples(
        "different from itself",
        "p.csv",
        pd.DataFrame({"i": [0, 1], "j": [0, 2], "same": [0, 0]}),
        "read, nothing said",
        "differ from themselves",
    ),
    Tuples(
        "pairs given as triplets",
        "t.csv",
        PAIRS,
        "read wrongly: 400 of 400",
        "which are pairs",
        form="triplets",
    ),
    Tuples(
        "triplets in another order",
        "t.csv",
        TRIPLETS[["n", "a", "p"]],
        "read wrongly: 400 of 400",
        said="a, p, n",
        form="triplets",
    ),
    Tuples(
        "triplets without names",
        "t.csv",
        TRIPLETS.to_csv(index=False, header=False).encode(),
        "read wrongly: 399 of 400",
        said="no header",
        form="triplets",
    ),
)


def outcome(case: Tuples, path: Path) -> tuple[str, str]:
    """ "read" or the refusal, and what was said, or how what was read is wrong."""
    try:
        found = read_tuples(path, case.form, None, ROWS)
    except LosscopeError as error:
        return str(error), ""
    values, notes = found if isinstance(found, tuple) else (found, [])
    right = PAIRS.to_numpy() if case.form == "pairs" else TRIPLETS.to_numpy()
    if len(values) > 10 and not np.array_equal(values, right):
        share = f", share of same {values[:, 2].mean():.2f}" if case.form == "pairs" else ""
        return f"read wrongly: {len(values)} of {len(right)}, first {values[0].tolist()}{share}", ""
    return "read", " ".join(notes)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in (*MAKERS, *FURTHER)])
def test_tuples_are_read_right_or_refused(tmp_path, case):
    found, said = outcome(case, case.write(tmp_path))
    if case.now:
        assert case.now in found
    else:
        assert found == "read"
        assert case.said in said


def test_what_was_understood_of_pairs_is_said_with_the_data(tmp_path):
    np.savez(tmp_path / "x.npz", features=RNG.normal(size=(ROWS, 3)), labels=PLACE)
    path = Tuples("", "p.csv", third("target"), "").write(tmp_path)
    source = load(tmp_path / "x.npz", pairs=str(path))
    assert np.array_equal(source.pool.pairs, PAIRS.to_numpy())
    assert any("same or different is target" in note for note in source.facts.notes)
    twice = pd.concat([third("target"), third("target")])
    twice.to_csv(tmp_path / "q.csv", index=False)
    notes = load(tmp_path / "x.npz", pairs=str(tmp_path / "q.csv")).facts.notes
    assert any("pairs are repeated" in note for note in notes)


def test_names_that_several_rows_have_name_none(tmp_path):
    pd.DataFrame({"i": ["a"], "j": ["b"], "same": [1]}).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(LosscopeError, match="by a name that several rows of the data have"):
        read_tuples(tmp_path / "p.csv", "pairs", np.array(["a", "b", "a"]), 3)
    assert read_tuples(tmp_path / "p.csv", "pairs", np.array(["b", "a"]), 2).values.tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("names", "cells", "rows", "said"),
    [
        (["1", "2", "3", "4"], ["1", "3"], [0, 2], "taken as names of the data"),
        (["0", "1", "2", "3"], ["1", "3"], [1, 3], ""),
        (["101", "102", "103", "104"], ["101", "104"], [0, 3], ""),
        (["0003", "0002", "0001", "0000"], ["0001", "0003"], [2, 0], "taken as names of the data"),
        (["1", "2", "3", "4"], ["0", "3"], [0, 3], "taken as positions from 0, not as names"),
        (["a", "b", "c", "d"], ["0", "3"], [0, 3], ""),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_names_made_of_digits_are_names(tmp_path, names, cells, rows, said, suffix):
    path = tmp_path / f"p.{suffix}"
    if suffix == "csv":
        path.write_text(f"i,j,same\n{cells[0]},{cells[1]},1\n")
    else:
        padded = len(str(int(cells[1]))) < len(cells[1])
        ends = cells if padded else [int(cell) for cell in cells]
        np.savez(path, i=np.array(ends[:1]), j=np.array(ends[1:]), same=np.ones(1, int))
        said = "" if padded else said
    found = read_tuples(path, "pairs", np.array(names), 4)
    assert found.values[0, :2].tolist() == rows
    notes = " ".join(found.notes)
    assert said in notes if said else "taken as" not in notes


@pytest.mark.parametrize("cells", ["0001,0009", "0001,x9"])
def test_unknown_names_with_leading_zeros_are_no_positions(tmp_path, cells):
    (tmp_path / "p.csv").write_text(f"i,j,same\n{cells},1\n")
    with pytest.raises(LosscopeError, match="rows that the data do not have"):
        read_tuples(tmp_path / "p.csv", "pairs", np.array([f"{row:04}" for row in range(9)]), 9)


def test_a_rewritten_file_of_pairs_is_read_again(tmp_path):
    np.savez(tmp_path / "x.npz", features=RNG.normal(size=(ROWS, 3)), labels=PLACE)
    pairs = tmp_path / "p.csv"
    for count in (5, 3):
        PAIRS[:count].to_csv(pairs, index=False)
        assert len(load(tmp_path / "x.npz", pairs=str(pairs)).pool.pairs) == count
