"""Geometry against loops in float64 and scikit-learn."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from losscope.measures import evaluate, neighbours
from losscope.measures import geometry as geometry_of
from losscope.measures import retrieval as retrieval_of

NAMES = ("geometry", "spectrum", "uniformity", "silhouette")


def unit(points: torch.Tensor) -> np.ndarray:
    rows = points.double().numpy()
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def naive(points: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    rows, classes = unit(points), labels.numpy()
    groups = [rows[classes == c] for c in np.unique(classes)]
    means = [group.mean(0) for group in groups]
    variances = [np.mean([np.sum((z - mean) ** 2) for z in group]) for group, mean in zip(groups, means)]
    distances = [np.linalg.norm(a - b) for a, b in combinations(means, 2)]
    within = np.mean([np.cov(group.T, bias=True).reshape(rows.shape[1], -1) for group in groups], axis=0)
    between = np.cov(np.array(means).T, bias=True).reshape(rows.shape[1], -1)
    singular = np.linalg.svd(rows, compute_uv=False)
    share = singular / singular.sum()
    kernel = [math.exp(-2 * np.sum((a - b) ** 2)) for a, b in combinations(rows, 2)]
    several = len(groups) > 1
    return {
        "intra_variance": np.mean(variances),
        "intra_variance_std": np.std(variances),
        "inter_distance": np.mean(distances) if several else math.nan,
        "inter_distance_std": np.std(distances) if several else math.nan,
        "intra_inter_ratio": np.mean(variances) / np.mean(distances) ** 2 if several else math.nan,
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-6)) / len(groups) if several else math.nan,
        "effective_rank": math.exp(-sum(p * math.log(p) for p in share if p > 0)),
        "spectral_decay": sum(math.log(1 / len(share) / p) for p in share) / len(share),
        "uniformity": math.log(np.mean(kernel)),
        "silhouette": silhouette_score(rows, classes) if 1 < len(groups) < len(rows) else math.nan,
    }


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 7), st.integers(1, 9))
def test_it_agrees_with_the_definitions(seed, rows, width, classes):
    draw = np.random.default_rng(seed)
    labels = torch.from_numpy(draw.integers(classes, size=rows))
    points = torch.from_numpy(draw.standard_normal((rows, width)))
    values, detail = evaluate(points, labels, names=NAMES)
    for name, expected in naive(points, labels).items():
        assert float(values[name]) == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True), name
    assert detail["per_class/label"].tolist() == sorted(set(labels.tolist()))
    variances = detail["per_class/intra_variance"]
    assert float(variances.mean()) == pytest.approx(float(values["intra_variance"]))
    assert float(variances.std(correction=0)) == pytest.approx(float(values["intra_variance_std"]))


def test_two_classes_of_known_shape():
    """Points at ±30 degrees of two opposite directions: every number by hand."""
    angles = torch.tensor([30.0, -30.0, 150.0, 210.0], dtype=torch.float64).deg2rad()
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    values, _ = evaluate(points * 7, torch.tensor([4, 4, 9, 9]), names=NAMES)
    assert float(values["intra_variance"]) == pytest.approx(0.25)
    assert float(values["inter_distance"]) == pytest.approx(math.sqrt(3))
    assert float(values["intra_inter_ratio"]) == pytest.approx(0.25 / 3)
    # Within variance is across, between variance along the axis: nothing in common.
    assert float(values["nc1"]) == pytest.approx(0.0, abs=1e-12)
    squares = [1, 1, 3, 3, 4, 4]
    expected = math.log(sum(math.exp(-2 * d) for d in squares) / 6)
    assert float(values["uniformity"]) == pytest.approx(expected)


def test_what_does_not_exist_is_null():
    points = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    one_class, _ = evaluate(points, torch.zeros(12, dtype=torch.int64), names=NAMES)
    nulls = {"inter_distance", "inter_distance_std", "intra_inter_ratio", "nc1", "silhouette"}
    assert {name for name, value in one_class.items() if value.isnan()} == nulls
    collapsed, _ = evaluate(torch.ones(12, 4), torch.arange(12) % 3, names=NAMES)
    nulls = {"intra_inter_ratio", "nc1", "spectral_decay"}
    assert {name for name, value in collapsed.items() if value.isnan()} == nulls
    assert float(collapsed["effective_rank"]) == pytest.approx(1.0)
    assert float(collapsed["uniformity"]) == 0.0
    zeros, _ = evaluate(torch.zeros(12, 4), torch.arange(12) % 3, names=NAMES)
    assert zeros["effective_rank"].isnan()
    assert float(zeros["intra_variance"]) == 0.0
    singletons, _ = evaluate(points, torch.arange(12), names=NAMES)
    assert singletons["silhouette"].isnan()
    assert float(singletons["intra_variance"]) == 0.0
    row, _ = evaluate(points[:1], torch.zeros(1, dtype=torch.int64))
    assert {name for name, value in row.items() if value.isnan()} >= {
        "uniformity",
        "hubness",
        "eer",
        "map_at_r",
    }


def test_spectral_decay_is_null_where_a_dimension_is_dead():
    points = torch.randn(30, 4)
    full, _ = evaluate(points, torch.arange(30) % 3, names=["spectral_decay"])
    dead, _ = evaluate(
        torch.cat([points, points[:, :1]], dim=1), torch.arange(30) % 3, names=["spectral_decay"]
    )
    assert not full["spectral_decay"].isnan()
    assert dead["spectral_decay"].isnan()
    few, _ = evaluate(torch.randn(3, 8), torch.arange(3), names=["spectral_decay"])
    assert not few["spectral_decay"].isnan()


def test_effective_rank_and_uniformity_know_a_full_sphere_from_a_line():
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(500) % 5
    sphere, _ = evaluate(torch.randn(500, 8, generator=draw), labels, names=NAMES)
    line, _ = evaluate(torch.randn(500, 1, generator=draw) * torch.ones(8), labels, names=NAMES)
    assert float(sphere["effective_rank"]) > 7.9
    assert float(line["effective_rank"]) == pytest.approx(1.0)
    # For independent uniform points E exp(-2d²) is near exp(-4 + 8/D) at D = 8.
    assert float(sphere["uniformity"]) == pytest.approx(-4 + 8 / 8, abs=0.3)
    assert float(line["uniformity"]) == pytest.approx(math.log((1 + math.exp(-8)) / 2), abs=0.01)


def test_many_classes_are_sampled_and_counted():
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(10_004, 3, generator=draw)
    labels = torch.arange(10_004) % 5_002
    first, detail = evaluate(points, labels, names=["geometry"], seed=1)
    again, _ = evaluate(points, labels, names=["geometry"], seed=1)
    other, _ = evaluate(points, labels, names=["geometry"], seed=2)
    assert detail["count/class_pairs"].item() == 1_000_000
    assert torch.equal(first["inter_distance"], again["inter_distance"])
    assert not torch.equal(first["inter_distance"], other["inter_distance"])
    means = torch.nn.functional.normalize(points.double(), dim=1).reshape(2, 5_002, 3).mean(0)
    exact = torch.nn.functional.pdist(means)
    standard_error = float(exact.std()) / 1000
    assert float(first["inter_distance"]) == pytest.approx(float(exact.mean()), abs=5 * standard_error)
    assert float(first["inter_distance_std"]) == pytest.approx(float(exact.std()), rel=0.01)


def test_chunks_change_nothing(monkeypatch):
    points, labels = torch.randn(150, 5), torch.arange(150) % 7
    whole, _ = evaluate(points, labels, names=NAMES)
    for pairs in (1, 150 * 11 + 3):
        monkeypatch.setattr(neighbours, "CHUNK_PAIRS", pairs)
        parts, _ = evaluate(points, labels, names=NAMES)
        for name, value in whole.items():
            torch.testing.assert_close(parts[name], value, rtol=1e-12, atol=0)


def test_alignment_is_the_mean_squared_distance_of_the_given_pairs():
    points = torch.randn(20, 4)
    first, second = torch.tensor([0, 3, 19]), torch.tensor([5, 4, 1])
    rows = unit(points)
    expected = np.mean([np.sum((rows[i] - rows[j]) ** 2) for i, j in zip(first, second)])
    labels = torch.arange(20) % 3
    values, _ = evaluate(points, labels, positive_pairs=(first, second))
    assert float(values["alignment"]) == pytest.approx(expected)
    # A pair with background goes with it, the others keep their items.
    labels[3] = -1
    kept, _ = evaluate(points, labels, names=["alignment"], positive_pairs=(first, second))
    expected = np.mean([np.sum((rows[i] - rows[j]) ** 2) for i, j in ((0, 5), (19, 1))])
    assert float(kept["alignment"]) == pytest.approx(expected)


def test_the_plain_functions_take_numpy_and_give_floats():
    points, labels = np.random.default_rng(0).standard_normal((20, 4)), np.arange(20) % 3
    found = geometry_of(points, labels)
    assert found == geometry_of(torch.from_numpy(points), torch.from_numpy(labels))
    assert all(type(value) is float for value in found.values())
    assert found["intra_variance"] == pytest.approx(
        naive(torch.from_numpy(points), torch.from_numpy(labels))["intra_variance"]
    )
    assert set(found) >= {"inter_distance", "effective_rank", "uniformity", "silhouette", "nc1"}
    assert set(retrieval_of(points, labels)) >= {"recall_at_1", "map_at_r", "hubness"}
