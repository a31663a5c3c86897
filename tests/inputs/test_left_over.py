"""What was read wrong without a word: folds that are none, an absent backbone, one study of several."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope import comparing
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.data import load
from losscope.data.folds import offered


def frame(**more):
    draw = np.random.default_rng(0)
    made = pd.DataFrame(draw.normal(size=(120, 3)), columns=list("wxz"))
    return made.assign(label=np.repeat(["a", "b", "c"], 40), **more)


PARTS = np.tile(np.repeat(["train", "validation", "test"], [20, 10, 10]), 3)


@pytest.mark.parametrize(
    ("values", "known", "rest"),
    [
        ([0.0, 1.0, 2.0, np.nan], 3, "1 rows have none"),
        (["a", "b", "", None], 2, "2 rows have none"),
        ([0, 1, 2, -1], 3, ""),
        ([0, 1, 2, 3], 4, ""),
    ],
)
def test_a_fold_column_that_nobody_asked_for_counts_folds_alone(values, known, rest):
    (sentence,) = offered("fold", np.array(values, dtype=object))
    assert f"holds {known} folds" in sentence and f"seed mod {known}" in sentence
    assert (f"({rest}, and want -1 first)" in sentence) if rest else ("none" not in sentence)


def test_a_fold_column_of_one_fold_and_blanks_is_none():
    assert offered("fold", np.array([1.0, 1.0, np.nan])) == []


def test_the_folds_that_are_offered_are_those_that_fold_makes(tmp_path):
    fold = np.where(np.arange(120) % 6 < 5, np.arange(120) % 6, np.nan)
    frame(fold=fold).to_csv(tmp_path / "d.csv", index=False)
    notes = load(str(tmp_path / "d.csv")).facts.notes
    assert any("'fold' holds 5 folds (20 rows have none, and want -1 first)" in note for note in notes), notes


@pytest.mark.parametrize("name", ["/tmp/is/not/there", "./not_there.npz", "~/not/there", "not there"])
def test_a_backbone_that_is_not_there_is_said_before_the_data_are(name):
    for ask in (
        lambda: losscope.embed("digits", name),
        lambda: comparing.foresee(Study.of(data="digits", backbone=name)),
    ):
        with pytest.raises(LosscopeError, match="there is no file or folder"):
            ask()


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_that_skip_unlabelled_empties_is_said_to_be(tmp_path, part):
    made = frame(split=PARTS)
    made.loc[part == PARTS, "label"] = None
    made.to_csv(tmp_path / "d.csv", index=False)
    what = {"train": "60 training", "test": "30 test"}[part]
    with pytest.raises(LosscopeError, match=f"all {what} rows of d.csv are without a label and are left out"):
        load(str(tmp_path / "d.csv"), skip_unlabelled=True)


def test_validation_that_skip_unlabelled_empties_is_replaced_and_said(tmp_path):
    made = frame(split=PARTS)
    made.loc[PARTS == "validation", "label"] = None
    made.to_csv(tmp_path / "d.csv", index=False)
    source = load(str(tmp_path / "d.csv"), skip_unlabelled=True)
    assert source.sizes() == (48, 12, 30)
    assert any("all 30 validation rows of d.csv are without a label" in note for note in source.facts.notes)
    made.loc[np.flatnonzero(PARTS == "validation")[0], "label"] = "a"
    made.to_csv(tmp_path / "e.csv", index=False)
    with pytest.raises(LosscopeError, match="validation"):  # what is left cannot decide, as it always said
        comparing.foresee(Study.of(data=str(tmp_path / "e.csv"), seeds=2, options={"skip_unlabelled": True}))


def test_judging_a_folder_says_which_study_and_how_to_name_another(tmp_path):
    words = {"protocol": "paper", "seeds": 2, "epochs": 1, "options": {"classes": 3, "points": 20}}
    first = losscope.compare("synthetic", out=tmp_path, engine="here", **words)
    alone = losscope.judge(str(tmp_path))
    assert not any("newest" in note for note in alone.notes)
    second = losscope.compare("synthetic", out=tmp_path, engine="here", batch_size=16, **words)
    found = losscope.judge(str(tmp_path))
    (said,) = [note for note in found.notes if "newest of 2" in note]
    assert f"The study {second.study} of" in said
    other = f"{tmp_path}/studies/{first.study}"
    assert f"losscope judge {other}" in said
    (named,) = [note for note in losscope.judge(other).notes if note.startswith("The study ")]
    assert first.study in named and "newest" not in named
