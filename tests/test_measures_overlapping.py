"""Several labels for each item: the measures by overlap are those of plain loops, and of one label each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import losscope
from losscope.core.errors import LosscopeError
from losscope.core.queries import Roles
from losscope.measures import evaluate
from losscope.measures.overlapping import ACROSS, BY_OVERLAP


def drawn(seed: int, rows: int = 40, classes: int = 6, share: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(rows, 5)), draw.random((rows, classes)) < share


def by_loops(points: np.ndarray, tags: np.ndarray, asks: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """Each query ranks all others that are searched; right is what shares a label. In float64."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    found: dict[str, list[float]] = {name: [] for name in BY_OVERLAP[:7]}
    for query in np.flatnonzero(asks & tags.any(1)):
        others = [row for row in np.flatnonzero(asked) if row != query]
        order = sorted(others, key=lambda row: float(((unit[row] - unit[query]) ** 2).sum()))
        right = [bool(set(np.flatnonzero(tags[row])) & set(np.flatnonzero(tags[query]))) for row in order]
        total = sum(right)
        if not total:
            continue
        precision = [sum(right[: place + 1]) / (place + 1) for place in range(len(right))]
        for k in (1, 5, 10):
            found[f"recall_at_{k}"].append(float(any(right[:k])))
        found["r_precision"].append(sum(right[:total]) / total)
        found["map_at_r"].append(sum(p for p, r in zip(precision[:total], right) if r) / total)
        found["mean_average_precision"].append(sum(p for p, r in zip(precision, right) if r) / total)
        found["mean_reciprocal_rank"].append(1 / (right.index(True) + 1))
    return {name: float(np.mean(values)) for name, values in found.items()}


def measured(points: np.ndarray, tags: np.ndarray, **more: object) -> dict[str, float]:
    values, _ = evaluate(
        torch.from_numpy(points), torch.zeros(len(points), dtype=torch.int64), tags=tags, **more
    )
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("seed", range(12))
def test_retrieval_by_overlap_is_that_of_plain_loops(seed):
    points, tags = drawn(seed)
    labelled = tags.any(1)
    wanted = by_loops(points, tags, labelled, labelled)
    found = measured(points, tags)
    assert set(found) == set(BY_OVERLAP)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("seed", range(6))
def test_queries_and_a_gallery_by_overlap_are_those_of_plain_loops(seed):
    points, tags = drawn(seed)
    asks = np.arange(40) % 3 == 0
    found = measured(points, tags, roles=Roles(asks, ~asks))
    for name, value in by_loops(points, tags, asks, ~asks).items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), copies=st.integers(0, 8))
def test_one_label_each_gives_the_numbers_of_classes_ties_and_background_included(seed, classes, copies):
    draw = np.random.default_rng(seed)
    points, labels = draw.normal(size=(30, 4)), draw.integers(-1, classes, 30)
    points[:copies] = points[8 : 8 + copies]
    labels[20:24] = [0, 0, 1, 1]
    tags = labels[:, None] == np.arange(classes)
    found = measured(points, tags)
    beside, _ = evaluate(torch.from_numpy(points), torch.from_numpy(labels))
    for name in ("recall_at_1", "recall_at_5", "r_precision", "map_at_r", "hubness", "effective_rank"):
        assert found[name] == pytest.approx(float(beside[name]), abs=1e-9, nan_ok=True), name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_and_of_labels_changes_nothing(seed):
    points, tags = drawn(seed)
    points[:6] = points[6:12]
    draw = np.random.default_rng(seed)
    rows, columns = draw.permutation(40), draw.permutation(6)
    first, second = measured(points, tags), measured(points[rows], tags[rows][:, columns])
    assert first == pytest.approx(second, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", range(4))
def test_across_modalities_right_is_what_shares_a_label(seed):
    points, tags = drawn(seed)
    side = np.repeat([0, 1], 20)
    found = measured(points, tags, modality=torch.from_numpy(side))
    assert set(found) == set(ACROSS)
    ways = {"audio_to_visual": side == 0, "visual_to_audio": side == 1}
    for way, asks in ways.items():
        wanted = by_loops(points, tags, asks, ~asks & tags.any(1))
        assert found[f"map_{way}"] == pytest.approx(wanted["mean_average_precision"], abs=1e-9)
        assert found[f"mrr_{way}"] == pytest.approx(wanted["mean_reciprocal_rank"], abs=1e-9)
        for k in (1, 5, 10):
            assert found[f"recall_at_{k}_{way}"] == pytest.approx(wanted[f"recall_at_{k}"], abs=1e-9)


def test_the_public_functions_take_a_table_of_labels():
    points, tags = drawn(0)
    found = losscope.retrieval(points, tags.astype(int))
    labelled = tags.any(1)
    assert found["recall_at_1"] == pytest.approx(by_loops(points, tags, labelled, labelled)["recall_at_1"])
    side = np.repeat([0, 1], 20)
    assert set(losscope.cross_modal(points, tags, side)) < set(ACROSS)
    with pytest.raises(LosscopeError, match="several for each item; verification need one"):
        losscope.verification(points, tags)


def test_what_needs_one_class_each_is_refused_by_name():
    points, tags = drawn(0)
    with pytest.raises(LosscopeError, match="'intra_variance' needs one class for each item"):
        measured(points, tags, names=["intra_variance"])
    with pytest.raises(LosscopeError, match="table of 0 and 1"):
        measured(points, tags * 2)
    with pytest.raises(LosscopeError, match="one row for each item"):
        measured(points, tags[1:])


def test_no_unit_of_classes_is_told_of_overlapping_labels():
    points, tags = drawn(0)
    _, detail = evaluate(torch.from_numpy(points), torch.zeros(40, dtype=torch.int64), tags=tags)
    assert "per_query/recall_at_1" in detail and "per_query/label" not in detail
