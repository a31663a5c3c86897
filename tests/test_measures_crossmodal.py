"""Cross-modal retrieval and the modality gap against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from losscope.core.errors import LosscopeError
from losscope.measures import evaluate, neighbours
from losscope.measures.ranking import quality_fast
from tie_oracles import AveragePrecision, FirstRank, FirstReciprocal, Recall, expected, tied_groups

WAYS = {"audio_to_visual": (0, 1), "visual_to_audio": (1, 0)}


def two_modalities(seed: int, rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    labels, modality = draw.integers(classes, size=rows), draw.integers(2, size=rows)
    modality[:2] = 0, 1
    points = draw.standard_normal((classes, 4))[labels] + draw.standard_normal((rows, 4))
    points[:, 0] += modality
    return torch.from_numpy(points), torch.from_numpy(labels), torch.from_numpy(modality)


def unit(points: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(points.double(), dim=1).numpy()


def naive(rows: np.ndarray, labels: np.ndarray, modality: np.ndarray) -> dict[str, np.ndarray]:
    found = {}
    for way, (asking, asked) in WAYS.items():
        for name in ("map", "recall_at_1", "recall_at_5", "recall_at_10", "mrr", "rank"):
            found[f"{name}_{way}"] = np.full(len(rows), math.nan)
        queries, gallery = np.flatnonzero(modality == asking), np.flatnonzero(modality == asked)
        for query, groups in zip(queries, tied_groups(rows[queries], rows[gallery]), strict=True):
            hits = [[bool(labels[gallery[j]] == labels[query]) for j in group] for group in groups]
            relevant = sum(map(sum, hits))
            if relevant:
                everywhere = AveragePrecision(len(gallery))
                found[f"map_{way}"][query] = expected(hits, everywhere) / relevant
                for k in (1, 5, 10):
                    found[f"recall_at_{k}_{way}"][query] = expected(hits, Recall(k))
                found[f"mrr_{way}"][query] = expected(hits, FirstReciprocal())
                found[f"rank_{way}"][query] = expected(hits, FirstRank())
    return found


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 6), st.booleans())
def test_retrieval_across_agrees_with_a_naive_ranking(seed, rows, classes, duplicates):
    points, labels, modality = two_modalities(seed, rows, classes)
    if duplicates:
        points = points[torch.arange(rows) % 3]
    values, detail = evaluate(points, labels, names=["cross_modal"], modality=modality)
    found = naive(unit(points), labels.numpy(), modality.numpy())
    both = [found[f"recall_at_1_{way}"] for way in WAYS]
    across = np.where(np.isnan(both[0]), both[1], both[0])
    np.testing.assert_allclose(detail["per_query/recall_at_1_across"].numpy(), across, rtol=1e-12)
    ways = [np.nanmean(own) if not np.isnan(own).all() else math.nan for own in both]
    assert float(values["recall_at_1_across"]) == pytest.approx(np.mean(ways), nan_ok=True)
    for way in WAYS:
        ranks = found.pop(f"rank_{way}")
        middle = np.nanmedian(ranks) if not np.isnan(ranks).all() else math.nan
        assert float(values[f"median_rank_{way}"]) == pytest.approx(middle, nan_ok=True)
    for name, theirs in found.items():
        np.testing.assert_allclose(detail[f"per_query/{name}"].numpy(), theirs, rtol=1e-12, err_msg=name)
        mean = np.nanmean(theirs) if not np.isnan(theirs).all() else math.nan
        assert float(values[name]) == pytest.approx(mean, nan_ok=True)


def test_average_precision_agrees_with_scikit_learn(monkeypatch):
    monkeypatch.setattr(neighbours, "CHUNK_PAIRS", 500)
    points, labels, modality = two_modalities(0, 200, 5)
    rows = unit(points)
    asking, asked = modality.numpy() == 0, modality.numpy() == 1
    scores = rows[asking] @ rows[asked].T
    relevant = labels.numpy()[asking][:, None] == labels.numpy()[asked]
    expected = [average_precision_score(hit, score) for hit, score in zip(relevant, scores)]
    values, _ = evaluate(points, labels, names=["map_audio_to_visual"], modality=modality)
    assert float(values["map_audio_to_visual"]) == pytest.approx(np.mean(expected))


def test_the_gap_and_the_spread_within_each_modality():
    points, labels, modality = two_modalities(1, 80, 4)
    rows = unit(points)
    sides = [modality.numpy() == side for side in (0, 1)]
    means = [rows[side].mean(0) for side in sides]
    spread = np.mean([np.mean(np.sum((rows[side] - mean) ** 2, 1)) for side, mean in zip(sides, means)])
    values, _ = evaluate(points, labels, names=["modalities"], modality=modality)
    assert float(values["modality_gap"]) == pytest.approx(
        np.linalg.norm(means[0] - means[1]) / math.sqrt(spread)
    )
    for name, side in zip(("audio", "visual"), sides):
        own, _ = evaluate(points[side], labels[side], names=["intra_variance"])
        assert float(values[f"intra_variance_{name}"]) == pytest.approx(float(own["intra_variance"]))


def test_a_query_without_a_counterpart_is_left_out():
    points, _, _ = two_modalities(2, 6, 3)
    labels, modality = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1, 0, 1, 0, 0])
    _, detail = evaluate(points, labels, names=["cross_modal"], modality=modality)
    counted = ~detail["per_query/map_audio_to_visual"].isnan()
    assert counted.tolist() == [True, False, True, False, False, False]


def test_one_modality_alone_or_a_third_is_refused():
    points, labels, modality = two_modalities(0, 20, 3)
    for wrong in (torch.zeros(20, dtype=torch.int64), modality + 1, torch.arange(20) % 3):
        with pytest.raises(LosscopeError, match=r"it must hold 0 .* and 1"):
            evaluate(points, labels, modality=wrong)


@given(st.integers(0, 10_000), st.integers(2, 20), st.integers(1, 12), st.booleans())
def test_the_curve_across_modalities_is_map_at_r_of_either_way(seed, half, classes, duplicates):
    draw = np.random.default_rng(seed)
    points = torch.from_numpy(draw.standard_normal((2 * half, 3)))
    if duplicates:
        points = points[torch.arange(2 * half) % 3]
    labels = torch.from_numpy(draw.integers(classes, size=2 * half))
    rows, codes, means = unit(points), labels.numpy(), []
    for asking, asked in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        scores = []
        for query, groups in zip(range(half), tied_groups(rows[asking], rows[asked]), strict=True):
            hits = [[bool(codes[asked][j] == codes[asking][query]) for j in group] for group in groups]
            if relevant := sum(map(sum, hits)):
                scores.append(expected(hits, AveragePrecision(relevant)) / relevant)
        means.append(np.mean(scores) if scores else math.nan)
    found = quality_fast(points[None], labels[None], across=True)["map_at_r"]
    assert float(found[0]) == pytest.approx(np.mean(means), nan_ok=True)
