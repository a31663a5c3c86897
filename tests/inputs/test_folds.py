"""Folds: each row is tested once, classes are balanced, nothing is torn apart; differences are described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import losscope
from losscope.comparing.foreseeing import foresee
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.data import load
from losscope.data.base import Draft, Table
from losscope.data.finish import finish
from losscope.data.folds import balanced, dealt_whole
from losscope.stats import Measured, Standing, analyse

N = 60


def table(path: Path, **more: Any) -> Path:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(N, 4)), columns=list("abcd"))
    frame.assign(**({"label": np.arange(N) % 3} | more)).to_csv(path, index=False)
    return path


def opened(path: Path, **options: Any) -> Table:
    found = load(str(path), **options)
    assert isinstance(found, Table)
    return found


def rows_tested(source: Table, count: int) -> list[np.ndarray]:
    parts = []
    for seed in range(count):
        splits = source.splits(seed)
        rows = [part.rows for part in (splits.train, splits.validation, splits.test)]
        assert sorted(np.concatenate(rows).tolist()) == list(range(len(source.pool)))
        parts.append(splits.test.rows)
    return parts


@settings(max_examples=200, deadline=None)
@given(
    labels=st.lists(st.integers(-1, 6), min_size=1, max_size=80),
    count=st.integers(2, 7),
    seed=st.integers(0, 99),
)
def test_drawn_folds_are_balanced_over_classes_and_in_size(labels, count, seed):
    labels = np.array(labels)
    fold = balanced(labels, count, np.random.default_rng(seed))
    for rows in (np.ones(len(labels), bool), *(labels == label for label in np.unique(labels))):
        sizes = np.bincount(fold[rows], minlength=count)
        assert sizes.max() - sizes.min() <= 1


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 12)), min_size=1, max_size=80),
    count=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_whole_units_are_in_one_fold(rows, count, seed):
    labels, whole = (np.array(column) for column in zip(*rows, strict=True))
    fold = dealt_whole(labels, whole, count, np.random.default_rng(seed))
    assert fold.min() >= 0 and fold.max() < count
    for unit in np.unique(whole[whole >= 0]):
        assert len(np.unique(fold[whole == unit])) == 1


def test_groups_are_dealt_so_that_classes_stay_balanced():
    whole = np.repeat(np.arange(60), 4)
    labels = np.repeat(np.arange(60) % 3, 4)
    fold = dealt_whole(labels, whole, 5, np.random.default_rng(0))
    for label in range(3):
        assert np.bincount(fold[labels == label]).tolist() == [16] * 5


def test_each_row_of_digits_is_tested_once_and_a_seed_has_its_fold():
    source = load("digits", folds=5)
    assert isinstance(source, Table)
    parts = rows_tested(source, 5)
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))
    assert {len(part) for part in parts} == {359, 360}
    assert source.splits(12).test is source.splits(2).test
    np.testing.assert_array_equal(source.splits(2).test.rows, parts[2])
    assert source.facts.folds == source.description().folds == 5
    assert "5 folds class-balanced, drawn once, test is fold seed mod 5" in source.describe()
    assert source.digest not in (load("digits").digest, load("digits", folds=4).digest)
    # The validation split is redrawn by seed, within what is not the fold.
    assert not np.array_equal(source.splits(2).validation.rows, source.splits(7).validation.rows)


def test_a_column_of_folds_is_offered_and_used_when_named(tmp_path):
    fold = np.arange(N) // 12
    path = table(tmp_path / "t.csv", fold=fold)
    plain = opened(path)
    assert plain.facts.folds == 0 and plain.facts.shape == (4,)
    assert any("'fold' holds 5 folds and is not used: --fold fold" in note for note in plain.facts.notes)
    source = opened(path, fold="fold")
    for seed, rows in enumerate(rows_tested(source, 5)):
        np.testing.assert_array_equal(rows, np.flatnonzero(fold == seed))
    assert "5 folds as given (0, 1, 2, …)" in source.describe()


def test_folds_by_name_and_rows_that_are_never_tested(tmp_path):
    fold = np.array(["b", "a", "-1"])[np.arange(N) // 4 % 3]
    source = opened(table(tmp_path / "t.csv", part=fold), fold="part")
    np.testing.assert_array_equal(source.splits(0).test.rows, np.flatnonzero(fold == "a"))
    np.testing.assert_array_equal(source.splits(1).test.rows, np.flatnonzero(fold == "b"))
    assert any("20 rows are of fold -1: trained on in every fold" in note for note in source.facts.notes)


def test_folds_of_a_table_follow_its_rows_where_some_are_left_out(tmp_path):
    label = (np.arange(N) % 3).astype(object)
    label[::10] = None
    fold = np.arange(N) // 12
    source = opened(table(tmp_path / "t.csv", label=label, fold=fold), fold="fold", skip_unlabelled=True)
    kept = np.arange(N) % 10 != 0
    assert source.folds is not None
    np.testing.assert_array_equal(source.folds.of_row, fold[kept])


def test_an_array_of_folds(tmp_path):
    draw, fold = np.random.default_rng(0), np.arange(N) % 4
    arrays = {
        "audio": draw.normal(size=(N, 4)),
        "visual": draw.normal(size=(N, 6)),
        "labels": np.arange(N) // 15,
    }
    np.savez(tmp_path / "p.npz", **arrays, fold=fold)
    assert any("array 'fold' holds 4 folds" in note for note in opened(tmp_path / "p.npz").facts.notes)
    source = opened(tmp_path / "p.npz", fold="fold")
    np.testing.assert_array_equal(source.splits(3).test.rows, np.flatnonzero(fold == 3))
    drawn = opened(tmp_path / "p.npz", folds=5)
    for rows in rows_tested(drawn, 5):
        assert np.bincount(drawn.pool.labels[rows]).tolist() == [3] * 4


def test_captions_of_an_image_stand_in_one_fold(tmp_path):
    draw = np.random.default_rng(0)
    np.savez(
        tmp_path / "p.npz",
        image=draw.normal(size=(30, 4)),
        text=draw.normal(size=(90, 6)),
        image_ids=np.arange(30),
        text_ids=np.repeat(np.arange(30), 3),
    )
    source = opened(tmp_path / "p.npz", folds=5)
    assert source.pool.items is not None
    images = [set(source.pool.items[rows, 0].tolist()) for rows in rows_tested(source, 5)]
    assert sum(map(len, images)) == len(set.union(*images)) == 30
    assert "5 folds of whole items" in source.describe()


def test_groups_stand_in_one_fold(tmp_path):
    group = np.arange(N) // 4
    source = opened(table(tmp_path / "t.csv", group=group), folds=5, group="group")
    groups = [set(group[rows].tolist()) for rows in rows_tested(source, 5)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 15


def test_items_that_stand_in_two_folds_are_counted_once_each(tmp_path):
    path = table(tmp_path / "t.csv", fold=np.arange(N) // 12)
    frame = pd.read_csv(path)
    frame.loc[50, list("abcd")] = frame.loc[3, list("abcd")].to_numpy()  # folds 4 and 0
    frame.loc[13, list("abcd")] = frame.loc[12, list("abcd")].to_numpy()  # both fold 1
    frame.to_csv(path, index=False)
    health = opened(path, fold="fold").facts.health
    assert health is not None
    assert health.seen == (3, 50) and health.again == (13,) and health.tests == N


@pytest.mark.parametrize(
    ("more", "options", "said"),
    [
        ({}, {"folds": 1}, "folds is 1; wanted: a number of folds from 2 to 20"),
        ({}, {"folds": 21}, "from 2 to 20"),
        ({"fold": np.arange(N) % 5}, {"folds": 5, "fold": "fold"}, "one of the two"),
        ({"fold": np.arange(N)}, {"fold": "fold"}, "the number of folds of t.csv is 60"),
        ({"fold": np.zeros(N, int)}, {"fold": "fold"}, "the number of folds of t.csv is 1 "),
        ({"fold": np.where(np.arange(N) < 3, np.nan, 1)}, {"fold": "fold"}, "3 of 60 folds .* missing"),
        ({}, {"folds": 5, "limit": 20}, "limit and limit_test reduce one split"),
        (
            {"fold": np.arange(N) % 5, "group": np.arange(N) // 4},
            {"fold": "fold", "group": "group"},
            "leaks: 15",
        ),
        (
            {"role": np.array(["train", "query", "gallery"])[np.arange(N) % 3]},
            {"folds": 5},
            "queries and a gallery",
        ),
        ({}, {"fold": "part"}, "column in .*part"),
    ],
)
def test_what_makes_no_folds_is_refused(tmp_path, more, options, said):
    with pytest.raises(LosscopeError, match=said):
        opened(table(tmp_path / "t.csv", **more), **options)


def test_a_test_part_of_unseen_classes_has_no_folds():
    draft = Draft("d", "d", "features", np.eye(20, dtype=np.float32), np.arange(20) // 4)
    draft.role, draft.disjoint = (np.arange(20) > 11).astype(np.int8) * 2, True
    with pytest.raises(LosscopeError, match="unseen classes, and folds would train on them"):
        finish(draft, folds=5)


def test_folds_take_the_place_of_a_given_split(tmp_path):
    split = np.where(np.arange(N) < 40, "train", "test")
    source = opened(table(tmp_path / "t.csv", split=split), folds=5)
    assert any("the split as given is not used" in note for note in source.facts.notes)
    assert sorted(np.concatenate(rows_tested(source, 5)).tolist()) == list(range(N))


def runs(seeds: int = 10) -> list[Measured]:
    labels = np.repeat(np.arange(30), 2)
    return [
        Measured(
            loss,
            seed,
            {"recall_at_1": base + seed / 1000},
            detail={"per_query/recall_at_1": np.full(60, base), "per_query/label": labels},
        )
        for loss, base in (("contrastive", 0.90), ("triplet", 0.93))
        for seed in range(seeds)
    ]


def test_nothing_is_tested_over_folds():
    row, beside = analyse(runs(), folds=5).paired[0], analyse(runs()).paired[0]
    assert beside.verdict == "higher" and beside.low_data is not None
    assert (row.p, row.p_holm, row.low_data, row.better, row.seeds_needed) == (None,) * 5
    assert (row.verdict, row.scope) == ("not_comparable", "these_folds")
    assert row.reason is not None and (row.reason.why, row.reason.count) == ("folds", 5)
    assert (row.difference, row.low) == (beside.difference, beside.low)
    assert row.sentence.startswith("No verdict on the Recall@1 of triplet and contrastive: 0.93")
    assert "10 paired runs, these folds of these data" in row.sentence
    assert "described, not tested" in row.sentence
    advice = analyse(runs(), folds=5).recommendation
    assert advice.loss is None and advice.open_by == "folds" and not wording.unranked(advice)


def test_no_candidate_is_named_over_folds():
    known = [Standing(name, {"recall_at_1": 0.7}) for name in ("contrastive", "triplet")]
    tested, described = (analyse(runs(), standings=known, folds=folds) for folds in (0, 5))
    assert tested.recommendation.candidate == "contrastive" and tested.paired[0].p is not None
    advice = described.recommendation
    assert (advice.candidate, advice.loss, advice.open_by) == (None, None, "folds")
    assert "described, not tested" in advice.sentences[0]
    assert all(row.reason is not None and row.reason.why == "folds" for row in described.paired)
    assert described.losses[0].validation == {"recall_at_1": 0.7}


@pytest.mark.parametrize("seeds", [0, 3])
def test_judge_takes_the_folds_of_a_table_as_runs_and_describes(tmp_path, seeds):
    cells = [
        {"loss": loss, "fold": f"fold{fold}", "measure": "R@1", "value": base + fold / 100 + seed / 1000}
        | ({"seed": seed} if seeds else {})
        for loss, base in (("contrastive", 0.6), ("triplet", 0.7))
        for seed in range(max(1, seeds))
        for fold in range(5)
    ]
    pd.DataFrame(cells).to_csv(tmp_path / "s.csv", index=False)
    result = losscope.judge(str(tmp_path / "s.csv"))
    row = result.paired[0]
    assert row.n == 5 * max(1, seeds) and row.difference == pytest.approx(0.1)
    assert (row.scope, row.p, row.better) == ("these_folds", None, None)
    assert any("one of 5 folds (column 'fold')" in note for note in result.notes)
    if seeds:
        alone = losscope.judge(str(tmp_path / "s.csv"), only=["fold=fold2"])
        assert alone.paired[0].scope == "these_data" and alone.paired[0].n == seeds


def test_a_study_over_folds_says_so_everywhere(tmp_path):
    path = table(tmp_path / "t.csv")
    study: dict[str, Any] = {"losses": ["contrastive", "triplet"], "seeds": 3, "epochs": 1, "tune": False}
    study |= {"options": {"folds": 3}, "out": str(tmp_path / "runs"), "batch_size": 12}
    plan = foresee(Study.of(data=str(path), **study))
    assert plan.sentence.startswith("3 folds of one data set") and not plan.enough
    result = losscope.compare(str(path), **study)
    assert result.data.folds == 3 and "3 folds class-balanced" in result.data.described
    assert {row.scope for row in result.paired} == {"these_folds"}
    assert all(row.p is None and row.better is None for row in result.paired)
    assert result.recommendation.loss is None
    again = losscope.load(str(tmp_path / "runs"))
    assert again.paired[0].sentence == result.paired[0].sentence
