"""Ties: every measure by brute force over all orders, and the order of rows that never matters."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew

from losscope.measures import evaluate, neighbours, ties
from losscope.measures.ranking import quality_fast
from tie_oracles import (
    AveragePrecision,
    Precision,
    Recall,
    expected,
    mean_over_all_orders,
    tied_groups,
    unit,
)

RETRIEVAL = ("recall_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r")


def binary(seed: int, rows: int, bits: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    return (
        torch.from_numpy(draw.integers(2, size=(rows, bits)) * 2.0 - 1),
        torch.from_numpy(draw.integers(classes, size=rows)),
    )


def degenerate(kind: str, rows: int, seed: int = 0) -> torch.Tensor:
    """Embeddings of which many are equally far: some by equal distances, some by equal rows."""
    draw = torch.Generator().manual_seed(seed)
    normal = torch.randn(rows, 6, generator=draw)
    return {
        "identical": torch.ones(rows, 6),
        "zero": torch.zeros(rows, 6),
        "some zero": normal * (torch.arange(rows) % 3 > 0)[:, None],
        "orthogonal": torch.eye(6)[torch.arange(rows) % 6],
        "opposite": torch.eye(6)[torch.arange(rows) % 6] * (1 - 2 * (torch.arange(rows) % 2))[:, None],
        "binary": normal.sign(),
        "int8": (torch.nn.functional.normalize(normal[:, :2]) * 4).round().to(torch.int8).float(),
        "scaled": torch.ones(rows, 6) * (1 + torch.arange(rows))[:, None],
        "few": normal[torch.randint(5, (rows,), generator=draw)],
        "drawn": normal,
    }[kind]


KINDS = (
    "identical",
    "zero",
    "some zero",
    "orthogonal",
    "opposite",
    "binary",
    "int8",
    "scaled",
    "few",
    "drawn",
)


@pytest.mark.parametrize("order", ["as given", "reversed", "shuffled"])
@pytest.mark.parametrize("value", [1.0, 0.0])
def test_identical_vectors_of_two_unequal_classes(order, value):
    """A query of the larger class meets 89 of its own among 99, one of the smaller 9."""
    labels = torch.tensor([0] * 90 + [1] * 10)
    if order != "as given":
        labels = labels.flip(0) if order == "reversed" else labels[torch.randperm(100)]
    values, detail = evaluate(torch.full((100, 8), value), labels, names=["retrieval"])
    assert float(values["recall_at_1"]) == pytest.approx(0.9 * 89 / 99 + 0.1 * 9 / 99, rel=1e-12)
    assert round(float(values["recall_at_1"]), 3) == 0.818
    assert float(values["r_precision"]) == pytest.approx(0.9 * 89 / 99 + 0.1 * 9 / 99, rel=1e-12)
    none = math.prod((10 - i) / (99 - i) for i in range(5)), math.prod((90 - i) / (99 - i) for i in range(5))
    assert float(values["recall_at_5"]) == pytest.approx(1 - 0.9 * none[0] - 0.1 * none[1], rel=1e-12)
    assert detail["count/tied_queries"].item() == 100
    assert values["hubness"].isnan()
    fast = quality_fast(torch.full((100, 8), value), labels)["map_at_r"]
    assert float(fast) == pytest.approx(float(values["map_at_r"]), rel=1e-12)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=4), st.data())
def test_the_closed_forms_are_means_over_all_orders(groups, data):
    """All orders of tied groups, of which the last may lie partly beyond the places that are known."""
    hits = np.array([[hit for group in groups for hit in group]])
    tied = np.array([[k < len(group) - 1 for group in groups for k in range(len(group))]])
    places = hits.shape[1]
    depth = data.draw(st.integers(1, places))
    ends = np.cumsum([len(group) for group in groups])
    last = groups[int(np.searchsorted(ends, depth))]
    whole = (np.array([len(last)]), np.array([sum(last)]))
    ranking = ties.Ranking.of(hits[:, :depth], tied[:, :depth], lambda rows: whole)
    for k in range(1, depth + 1):
        assert ties.recall(ranking, k)[0] == pytest.approx(mean_over_all_orders(groups, Recall(k)))
        limit = np.array([k])
        found = ties.precision_at_r(ranking, limit)[0] * k
        assert found == pytest.approx(mean_over_all_orders(groups, Precision(k)))
        found = ties.average_precision(ranking, limit, limit)[0] * k
        assert found == pytest.approx(mean_over_all_orders(groups, AveragePrecision(k)))
    if depth == places:
        found = ties.average_precision(ranking, np.array([1]))[0]
        assert found == pytest.approx(mean_over_all_orders(groups, AveragePrecision(places)))


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=3), min_size=1, max_size=4), st.integers(1, 12))
def test_the_quicker_oracle_is_the_mean_over_all_orders(groups, k):
    for measure in (Recall(k), Precision(k), AveragePrecision(k)):
        assert expected(groups, measure) == pytest.approx(mean_over_all_orders(groups, measure))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_retrieval_is_the_mean_over_every_permutation_of_the_gallery(kind, seed):
    """Seven items: all 720 orders of a query's gallery, sorted stably by the rounded distance."""
    points, labels = degenerate(kind, 7, seed), torch.tensor([0, 0, 1, 1, 1, 2, 0])
    _, detail = evaluate(points, labels, names=["retrieval"])
    rows = unit(points.double().numpy())
    for query in range(6):
        others = [j for j in range(7) if j != query]
        bucket = {j: math.floor(float(np.sum((rows[query] - rows[j]) ** 2)) * 2**18 + 0.5) for j in others}
        relevant = sum(bool(labels[j] == labels[query]) for j in others)
        if not relevant:
            assert detail["per_query/recall_at_1"][query].isnan()
            continue
        sums = dict.fromkeys(RETRIEVAL, 0.0)
        for order in itertools.permutations(others):
            hits = [bool(labels[j] == labels[query]) for j in sorted(order, key=bucket.__getitem__)]
            for k in (1, 5, 10):
                sums[f"recall_at_{k}"] += Recall(k)(hits)
            sums["r_precision"] += Precision(relevant)(hits) / relevant
            sums["map_at_r"] += AveragePrecision(relevant)(hits) / relevant
        for name, total in sums.items():
            assert float(detail[f"per_query/{name}"][query]) == pytest.approx(total / 720, rel=1e-12), name


@pytest.mark.parametrize("rows", [400, 1200])
def test_many_ties_agree_with_random_orders(rows):
    """Binary embeddings of 8 bits: groups of hundreds, against 300 random orders of each query's gallery."""
    points, labels = binary(rows, rows, 8, 5)
    _, detail = evaluate(points, labels, names=["retrieval"])
    draw = np.random.default_rng(0)
    same = labels.numpy()[:, None] == labels.numpy()
    distance = 8 - (points @ points.T).numpy()
    for query in range(0, rows, rows // 8):
        others = np.delete(np.arange(rows), query)
        relevant = int(same[query, others].sum())
        samples: dict[str, list[float]] = {name: [] for name in RETRIEVAL}
        for _ in range(300):
            order = draw.permutation(others)
            hits = same[query, order[np.argsort(distance[query, order], kind="stable")]]
            for k in (1, 5, 10):
                samples[f"recall_at_{k}"].append(float(hits[:k].any()))
            samples["r_precision"].append(hits[:relevant].mean())
            precision = np.cumsum(hits[:relevant]) / np.arange(1, relevant + 1)
            samples["map_at_r"].append((precision * hits[:relevant]).sum() / relevant)
        for name, drawn in samples.items():
            error = max(np.std(drawn), 0.02) / 300**0.5
            assert abs(np.mean(drawn) - float(detail[f"per_query/{name}"][query])) < 5 * error, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_rows_never_matters(kind):
    points, reference = degenerate(kind, 90), degenerate(kind, 70, seed=1)
    draw = torch.Generator().manual_seed(5)
    labels, known = (torch.randint(4, (n,), generator=draw) for n in (90, 70))
    fine, modality = (torch.randint(2, (90,), generator=draw) for _ in range(2))

    def measured(order: torch.Tensor, known_order: torch.Tensor) -> dict[str, torch.Tensor]:
        names = ["retrieval", "cross_modal", "knn_accuracy", "nmi"]
        values, detail = evaluate(
            points[order],
            labels[order],
            names=names,
            reference=(reference[known_order], known[known_order]),
            fine_labels=fine[order],
            modality=modality[order],
        )
        back = {n: d[order.argsort()] for n, d in detail.items() if n.startswith("per_query/")}
        counts = {n: d for n, d in detail.items() if n.startswith("count/")}
        return values | back | counts

    given_order = measured(torch.arange(90), torch.arange(70))
    assert given_order["count/edge_distances"].item() == 0
    for seed in range(3):
        order = torch.randperm(90, generator=draw)
        found = measured(order, torch.randperm(70, generator=draw))
        assert found.keys() == given_order.keys()
        for name, value in given_order.items():
            torch.testing.assert_close(
                found[name], value, rtol=1e-12, atol=1e-12, equal_nan=True, msg=f"{name} {seed}"
            )
        fast = quality_fast(points[order], labels[order])["map_at_r"]
        torch.testing.assert_close(fast, given_order["map_at_r"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_hubness_and_fine_recall_share_places_among_tied_items(kind):
    points = degenerate(kind, 60)
    draw = torch.Generator().manual_seed(1)
    labels, fine = torch.randint(3, (60,), generator=draw), torch.randint(2, (60,), generator=draw)
    occurrence, recall = np.zeros(60), np.full(60, math.nan)
    pairs = list(zip(labels.tolist(), fine.tolist()))
    rows = points.double().numpy()
    for query, groups in enumerate(tied_groups(rows, rows, leave_out=True)):
        left = 10
        for group in groups:
            occurrence[group] += min(len(group), left) / len(group)
            left -= min(len(group), left)
        if pairs.count(pairs[query]) > 1:
            recall[query] = np.mean([pairs[j] == pairs[query] for j in groups[0]])
    values, detail = evaluate(points, labels, names=["retrieval"], fine_labels=fine)
    np.testing.assert_allclose(detail["per_query/fine_recall_at_1"].numpy(), recall, rtol=1e-12)
    if np.ptp(occurrence) < 1e-9:
        assert values["hubness"].isnan()
    else:
        assert float(values["hubness"]) == pytest.approx(skew(occurrence), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_change_nothing(kind, monkeypatch):
    points, labels = degenerate(kind, 400), torch.arange(400) % 7
    whole, detail = evaluate(points, labels, names=["retrieval"])
    monkeypatch.setattr(neighbours, "CHUNK_PAIRS", 7 * 400 + 3)
    parts, part_detail = evaluate(points, labels, names=["retrieval"])
    for name, value in (whole | detail).items():
        found = (parts | part_detail)[name]
        torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12, equal_nan=True, msg=name)


def test_every_item_twice_leaves_recall_to_the_copies():
    """A copy is the one nearest item, so Recall@1 is 1; pairs of equals are of one class."""
    draw = np.random.default_rng(3)
    points = torch.from_numpy(draw.standard_normal((50, 8)))
    labels = torch.arange(50) % 10
    once, _ = evaluate(points, labels, names=["retrieval"])
    twice, detail = evaluate(points.repeat(2, 1), labels.repeat(2), names=["retrieval"])
    assert float(twice["recall_at_1"]) == 1.0 > float(once["recall_at_1"])
    # A query's two copies of an item are of one class: no order of theirs matters.
    assert detail["count/tied_queries"].item() == 0


def test_distances_round_to_the_nearest_bucket():
    """0, 1 and 2 lie in the middle of a bucket: what rounding leaves of them is tied with them."""
    step = 2.0**-18
    exact = torch.tensor([[0.0, 1.0, 2.0, 4.0]], dtype=torch.float64)
    for middle in exact[0].tolist():
        shifts = torch.tensor([0.0, -0.49 * (middle > 0), 0.49, 0.51], dtype=torch.float64)
        found = neighbours.tied_with((middle + shifts * step)[None], np.array([0]))
        assert found[0].tolist() == [True, True, True, False]
    ranked = neighbours.ranked(torch.cat([exact, exact + 1e-15], dim=1), 8)
    assert ranked.tied[0].tolist() == [True, False] * 4
    assert ranked.edges == 0


def test_distances_at_the_edge_of_a_bucket_are_counted():
    step = 2.0**-18
    squared = torch.tensor(
        [[step / 2, 1.0 + step / 2 + 1e-13, 1.5 + step / 2 - 1e-13, 1.7, 3.0]], dtype=torch.float64
    )
    assert neighbours.ranked(squared, 5).edges == 3
    assert neighbours.ranked(squared, 2).edges == 2


def test_classes_whose_votes_tie_at_one_distance_share_the_query():
    reference = torch.eye(4), torch.tensor([0, 1, 2, 2])
    values, _ = evaluate(
        torch.ones(3, 4), torch.tensor([0, 1, 2]), names=["knn_accuracy"], reference=reference
    )
    assert float(values["knn_accuracy"]) == pytest.approx(1 / 3)
    even = torch.eye(4), torch.tensor([0, 1, 0, 1])
    values, _ = evaluate(torch.ones(2, 4), torch.tensor([0, 1]), names=["knn_accuracy"], reference=even)
    assert float(values["knn_accuracy"]) == pytest.approx(0.5)
