"""Columns and words that give rows their parts: read as people write them, repeated as they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from losscope.core.errors import LosscopeError
from losscope.data import load

N = 240
Y = np.repeat(np.arange(6), 40)
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(6, 16))[Y] + RNG.normal(size=(N, 16))).astype(np.float32)
ROW = np.arange(N)


class Case(NamedTuple):
    """A column by its name and its cells; what was made of it before; what is now."""

    id: str
    before: str
    now: str
    column: str
    cells: Callable[[], object]


CASES = (
    Case(
        "is_train of yes and no",
        "left out as words, and the test rows drawn anew",
        "130 train, 30 validation, 80 test: split as given",
        "is_train",
        lambda: np.where(ROW % 3, "yes", "no"),
    ),
    Case(
        "is_validation of Y and N",
        "left out as words, and the test rows drawn anew",
        "the split has no test rows: its 80 validation rows are the test part",
        "is_validation",
        lambda: np.where(ROW % 3, "N", "Y"),
    ),
    Case(
        "train of 1 and 0",
        "a feature",
        "130 train, 30 validation, 80 test: split as given",
        "train",
        lambda: (ROW % 3 > 0).astype(int),
    ),
    Case(
        "in_test of true and false",
        "a feature",
        "130 train, 30 validation, 80 test: split as given",
        "in_test",
        lambda: ROW % 3 == 0,
    ),
    Case(
        "a train that is a quantity",
        "the same",
        "the features are 17 columns, f0 … train",
        "train",
        lambda: X[:, 0] ** 2,
    ),
    Case(
        "FER2013's Usage",
        "left out as words, and the test rows drawn anew",
        "80 train, 80 validation, 80 test: split as given",
        "Usage",
        lambda: np.array(["Training", "PublicTest", "PrivateTest"])[ROW % 3],
    ),
    Case(
        "an unknown word in capitals",
        "unknown split 'e6'",
        "unknown split 'E6'; choices: train, validation, test",
        "split",
        lambda: np.where(ROW % 3, "train", "E6"),
    ),
    Case(
        "an unknown role in capitals",
        "unknown split 'foo'",
        "unknown split 'Foo'",
        "role",
        lambda: np.array(["train", "query", "gallery", "Foo"])[ROW % 4],
    ),
    Case(
        "marks that are no marks",
        "is_query holds 'maybe'",
        "is_query holds 'Maybe'; wanted: true or false, 1 or 0",
        "is_query",
        lambda: np.where(ROW % 3, "no", "Maybe"),
    ),
    Case(
        "splitfold",
        "a feature",
        "left out: 1 column (splitfold: by its name no feature)",
        "splitfold",
        lambda: ROW % 5,
    ),
    Case("inner_fold", "a feature", "(inner_fold: by its name no feature)", "inner_fold", lambda: ROW % 5),
    Case("fold_id", "the same", "(fold_id: by its name no feature)", "fold_id", lambda: ROW % 5),
    Case("Fold 1", "a feature", "(Fold 1: by its name no feature)", "Fold 1", lambda: ROW % 5),
    Case(
        "twofold, a measurement", "a feature", "the features are 17 columns", "twofold", lambda: X[:, 0] ** 2
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_column_of_parts_is_read_or_left_out(case: Case, tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=[f"f{column}" for column in range(16)])
    frame.assign(label=Y, **{case.column: case.cells()}).to_csv(tmp_path / "data.csv", index=False)
    try:
        source = load(tmp_path / "data.csv")
    except LosscopeError as error:
        said = str(error)
    else:
        said = f"{source.describe()} {' '.join(source.facts.notes)}"
    assert case.now in said
