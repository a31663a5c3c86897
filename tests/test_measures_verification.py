"""Verification against every threshold tried in turn."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from losscope.measures import evaluate, neighbours, thresholds

NAMES = ("eer", "tar_at_far_1e2", "tar_at_far_1e3", "threshold_spread")


def clustered(seed: int, rows: int, width: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=rows)
    points = draw.standard_normal((classes, width))[labels] + draw.standard_normal((rows, width))
    return torch.from_numpy(points), torch.from_numpy(labels)


def all_pairs(points: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distance as the measure rounds it, same class or not, and class of the first, a pair each."""
    rows = torch.nn.functional.normalize(points.double(), dim=1).numpy()
    pairs = list(combinations(range(len(rows)), 2))
    squared = np.array([np.sum((rows[i] - rows[j]) ** 2) for i, j in pairs])
    same = np.array([bool(labels[i] == labels[j]) for i, j in pairs])
    first = np.array([int(labels[i]) for i, _ in pairs])
    return np.round(squared, 9), same, first


def naive(points: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    squared, same, first = all_pairs(points, labels)
    genuine, impostor = squared[same], squared[~same]
    found = dict.fromkeys(NAMES, math.nan)
    if not len(genuine) or not len(impostor):
        return found
    far, frr = 0.0, 1.0
    for threshold in np.unique(squared):
        before = far, frr
        far, frr = np.mean(impostor <= threshold), np.mean(genuine > threshold)
        if far >= frr:
            along = (before[1] - before[0]) / ((before[1] - before[0]) + (far - frr))
            found["eer"] = before[0] + along * (far - before[0])
            break
    for name, rate in (("tar_at_far_1e2", 1e-2), ("tar_at_far_1e3", 1e-3)):
        if len(impostor) * rate >= 100:
            # The largest threshold just below which no more than the allowed impostors lie.
            limit = max(t for t in np.unique(impostor) if np.mean(impostor < t) <= rate)
            found[name] = np.mean(genuine < limit)
            if rate == 1e-2:
                rates = [
                    np.mean(squared[same & (first == c)] < limit)
                    for c in np.unique(first)
                    if (same & (first == c)).any()
                ]
                found["threshold_spread"] = np.std(rates)
    return found


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(2, 5), st.integers(1, 6))
def test_small_sets_agree_with_every_threshold_tried(seed, rows, width, classes):
    points, labels = clustered(seed, rows, width, classes)
    values, _ = evaluate(points, labels, names=["verification"])
    for name, expected in naive(points, labels).items():
        assert float(values[name]) == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("classes", [2, 9])
def test_rates_at_fixed_false_accepts_agree_with_every_threshold_tried(monkeypatch, classes):
    monkeypatch.setattr(thresholds, "EXPECTED_FALSE_ACCEPTS", 5)
    monkeypatch.setattr(neighbours, "CHUNK_PAIRS", 151 * 20)
    points, labels = clustered(classes, 151, 4, classes)
    expected = naive_with(5, points, labels)
    values, detail = evaluate(points, labels, names=["verification"])
    for name in NAMES:
        assert float(values[name]) == pytest.approx(expected[name], abs=1e-9), name
    assert not math.isnan(expected["tar_at_far_1e3"])
    spread = detail["per_class/tar_at_far_1e2"].std(correction=0)
    assert float(spread) == pytest.approx(float(values["threshold_spread"]))


def naive_with(expected_false_accepts: int, points: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """The naive rates with another limit than 100: the set repeated would do, but slowly."""
    squared, same, first = all_pairs(points, labels)
    found = naive(points, labels)
    for name, rate in (("tar_at_far_1e2", 1e-2), ("tar_at_far_1e3", 1e-3)):
        impostor = np.sort(squared[~same])
        if len(impostor) * rate >= expected_false_accepts:
            limit = impostor[int(len(impostor) * rate)]
            found[name] = np.mean(squared[same] < limit)
            if rate == 1e-2:
                of_class = [squared[same & (first == c)] for c in np.unique(first[same])]
                found["threshold_spread"] = np.std([np.mean(part < limit) for part in of_class])
    return found


def test_rates_are_null_below_a_hundred_expected_false_accepts():
    points, labels = clustered(0, 160, 4, 10)
    impostors = int(sum(a != b for a, b in combinations(labels.tolist(), 2)))
    assert 10_000 < impostors < 100_000
    values, _ = evaluate(points, labels, names=["verification"])
    assert not values["tar_at_far_1e2"].isnan()
    assert values["tar_at_far_1e3"].isnan()
    few, _ = evaluate(points[:120], labels[:120], names=["verification"])
    assert few["tar_at_far_1e2"].isnan()
    assert few["threshold_spread"].isnan()
    assert not few["eer"].isnan()


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_streamed_histograms_come_close_to_the_exact_values(monkeypatch, scale):
    """Also for collapsed classes, whose distances are all small: bins are relative."""
    points, labels = clustered(3, 700, 4, 6)
    points = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))[labels] + scale * points
    exact, detail = evaluate(points, labels, names=["verification"])
    monkeypatch.setattr(thresholds, "EXACT_PAIRS", 0)
    streamed, streamed_detail = evaluate(points, labels, names=["verification"])
    for name in NAMES:
        assert float(streamed[name]) == pytest.approx(float(exact[name]), abs=2e-3), name
    name = "per_class/tar_at_far_1e2"
    torch.testing.assert_close(streamed_detail[name], detail[name], rtol=0, atol=5e-3)


def test_equal_error_rate_agrees_with_scikit_learn():
    points, labels = clustered(4, 200, 6, 8)
    squared, same, _ = all_pairs(points, labels)
    far, tar, _ = roc_curve(same, -squared, drop_intermediate=False)
    crossing = int(np.argmin(np.abs(far - (1 - tar))))
    values, _ = evaluate(points, labels, names=["eer"])
    assert float(values["eer"]) == pytest.approx((far[crossing] + 1 - tar[crossing]) / 2, abs=1e-3)


def test_separated_mixed_and_collapsed_classes():
    eye = torch.eye(4)[torch.arange(40) % 4]
    apart, _ = evaluate(eye, torch.arange(40) % 4, names=["eer"])
    assert float(apart["eer"]) == 0.0
    collapsed, _ = evaluate(torch.ones(40, 3), torch.arange(40) % 4, names=["eer"])
    assert float(collapsed["eer"]) == pytest.approx(0.5)
    swapped, _ = evaluate(
        torch.tensor([[1.0, 0], [-1, 0], [1, 0], [-1, 0]]), torch.tensor([0, 0, 1, 1]), names=["eer"]
    )
    # (FAR, FRR) goes from (1/2, 1) to (1, 0): worse than chance, as it should be.
    assert float(swapped["eer"]) == pytest.approx(2 / 3)
