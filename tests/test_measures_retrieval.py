"""Retrieval against naive rankings and pytorch-metric-learning, and what is left out."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew

from losscope.core.queries import Roles
from losscope.measures import evaluate, neighbours
from losscope.measures.ranking import quality_fast
from tie_oracles import AveragePrecision, Precision, Recall, expected, tied_groups

NAMES = ("recall_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r")


def clustered(seed: int, rows: int, width: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=rows)
    points = draw.standard_normal((classes, width))[labels] + draw.standard_normal((rows, width))
    return torch.from_numpy(points).float(), torch.from_numpy(labels)


def naive(points: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure of each query by the mean over all orders of its tied items."""
    found = {name: np.full(len(points), math.nan) for name in NAMES}
    for query, groups in enumerate(tied_groups(points, points, leave_out=True)):
        hits = [[bool(labels[j] == labels[query]) for j in group] for group in groups]
        relevant = sum(map(sum, hits))
        if relevant:
            for k in (1, 5, 10):
                found[f"recall_at_{k}"][query] = expected(hits, Recall(k))
            found["r_precision"][query] = expected(hits, Precision(relevant)) / relevant
            found["map_at_r"][query] = expected(hits, AveragePrecision(relevant)) / relevant
    return found


def nearest_of(points: torch.Tensor, query: int) -> list[int]:
    """All other rows of points without ties, nearest first."""
    groups = tied_groups(points.double().numpy(), points.double().numpy(), leave_out=True)[query]
    assert all(len(group) == 1 for group in groups)
    return [group[0] for group in groups]


def assert_agrees(points: torch.Tensor, labels: torch.Tensor) -> None:
    values, detail = evaluate(points, labels, names=["retrieval"], background="class")
    theirs = naive(points.double().numpy(), labels.numpy())
    for name in NAMES:
        per_query = theirs[name]
        np.testing.assert_allclose(detail[f"per_query/{name}"].numpy(), per_query, rtol=1e-12, err_msg=name)
        counted = per_query[~np.isnan(per_query)]
        mean = counted.mean() if len(counted) else math.nan
        assert float(values[name]) == pytest.approx(mean, nan_ok=True)
    assert detail["count/lone_queries"].item() == int(np.isnan(theirs["map_at_r"]).sum())
    assert torch.equal(detail["per_query/label"], labels)
    fast = quality_fast(points, labels)["map_at_r"]
    torch.testing.assert_close(fast, values["map_at_r"], rtol=1e-12, atol=0, equal_nan=True)


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 6), st.integers(1, 8))
def test_it_agrees_with_a_naive_ranking(seed, rows, width, classes):
    assert_agrees(*clustered(seed, rows, width, classes))


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_duplicates_are_ranked_in_all_orders(seed, rows):
    """Rows drawn from few points: every ranking is full of exact ties between and within classes."""
    draw = np.random.default_rng(seed)
    few = draw.standard_normal((6, 5)).astype(np.float32)
    points = torch.from_numpy(few[draw.integers(6, size=rows)])
    assert_agrees(points, torch.from_numpy(draw.integers(3, size=rows)))


def test_duplicates_are_tied_in_every_part_of_a_large_table():
    points, _ = clustered(1, 40, 33, 1)
    order = torch.randperm(1201, generator=torch.Generator().manual_seed(0)) % 40
    gallery = neighbours.Gallery.of(neighbours.unit(points[order]))
    squared = gallery.squared_distances(gallery.rows)
    for original in range(40):
        copies = torch.nonzero(order == original)[:, 0]
        assert (squared[:, copies] == squared[:, copies[:1]]).all()
        assert (squared[copies][:, copies] == 0).all()
    nearest = neighbours.ranked(squared, 30)
    for query in range(0, 1201, 97):
        assert set(nearest.columns[query]) <= set(torch.nonzero(order == order[query])[:, 0].tolist())
        assert nearest.tied[query, :-1].all()


def test_lone_classes_are_left_out_and_counted():
    points, _ = clustered(0, 8, 4, 2)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 3, 0])
    values, detail = evaluate(points, labels, names=["retrieval"])
    assert detail["count/lone_queries"].item() == 2
    assert detail["per_query/recall_at_1"].isnan().tolist() == [label in (2, 3) for label in labels.tolist()]
    assert not values["recall_at_1"].isnan()
    alone, _ = evaluate(points, torch.arange(8), names=["retrieval"])
    assert all(alone[name].isnan() for name in NAMES)
    assert quality_fast(points, torch.arange(8))["map_at_r"].isnan()


@pytest.mark.parametrize("rows", [300, 2500])
def test_chunks_and_partial_sorts_change_nothing(monkeypatch, rows):
    points, labels = clustered(3, rows, 6, 40)
    whole, detail = evaluate(points, labels, names=["retrieval"])
    monkeypatch.setattr(neighbours, "CHUNK_PAIRS", 7 * rows + 3)
    parts, part_detail = evaluate(points, labels, names=["retrieval"])
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-12, atol=0)
    for name, value in detail.items():
        torch.testing.assert_close(part_detail[name], value, rtol=1e-12, atol=0, equal_nan=True)


@pytest.mark.parametrize("arranged", ["drawn", "ascending", "descending", "equal", "periodic"])
@pytest.mark.parametrize("count", [1, 10, 40, 700, 1499, 1500])
def test_every_way_to_sort_gives_the_order_and_its_ties(count, arranged):
    draw = torch.Generator().manual_seed(count)
    squared = torch.randint(0, 50, (9, 1500), generator=draw).double() / 16
    if arranged == "periodic":
        # The nearest all in one of the blocks of columns whose minima are taken.
        squared = (torch.arange(1500) % 128).double().expand(9, -1).clone() / 32
    elif arranged != "drawn":
        squared = squared.sort(1, descending=arranged == "descending").values
        squared = squared * (arranged != "equal")
    nearest = neighbours.ranked(squared, count)
    ascending = squared.sort(1).values
    assert torch.equal(squared.gather(1, torch.from_numpy(nearest.columns)), ascending[:, :count])
    after = torch.cat([ascending[:, 1:], torch.full((9, 1), torch.inf, dtype=torch.float64)], dim=1)
    np.testing.assert_array_equal(nearest.tied, (ascending == after)[:, :count].numpy())
    assert all(len(set(row)) == count for row in nearest.columns.tolist())
    own = torch.arange(9) * 7
    without = neighbours.ranked(squared, min(count, 1499), own)
    assert not (torch.from_numpy(without.columns) == own[:, None]).any()


def test_hubness_is_the_skewness_of_ten_occurrence():
    points, labels = clustered(5, 50, 3, 4)
    occurrence = np.zeros(50)
    for query in range(50):
        occurrence[nearest_of(points, query)[:10]] += 1
    values, _ = evaluate(points, labels, names=["hubness"])
    assert set(values) == {"hubness"}
    assert float(values["hubness"]) == pytest.approx(skew(occurrence))


def test_fine_recall_wants_label_and_fine_label():
    """Fine labels that cross the classes, as speakers cross digits, are nested in them."""
    points, labels = clustered(6, 40, 4, 3)
    fine = torch.randint(3, (40,), generator=torch.Generator().manual_seed(1))
    values, detail = evaluate(points, labels, names=["fine_recall_at_1"], fine_labels=fine)
    pairs = list(zip(labels.tolist(), fine.tolist()))
    expected = [
        float(pairs[nearest_of(points, query)[0]] == pairs[query])
        if pairs.count(pairs[query]) > 1
        else math.nan
        for query in range(40)
    ]
    np.testing.assert_array_equal(detail["per_query/fine_recall_at_1"].numpy(), expected)
    assert float(values["fine_recall_at_1"]) == pytest.approx(np.nanmean(expected))


def test_fine_variance_share_is_the_part_between_fine_classes():
    points, labels = clustered(7, 60, 5, 3)
    fine = torch.randint(4, (60,), generator=torch.Generator().manual_seed(2))
    unit = torch.nn.functional.normalize(points.double(), dim=1).numpy()
    between, within = [], []
    for c in range(3):
        rows = np.flatnonzero(labels.numpy() == c)
        centre = unit[rows].mean(0)
        within.append(np.mean([np.sum((unit[i] - centre) ** 2) for i in rows]))
        fine_centres = {
            f: unit[rows[fine.numpy()[rows] == f]].mean(0) for f in set(fine.numpy()[rows].tolist())
        }
        between.append(np.mean([np.sum((fine_centres[int(fine[i])] - centre) ** 2) for i in rows]))
    values, _ = evaluate(points, labels, names=["fine_variance_share"], fine_labels=fine)
    assert float(values["fine_variance_share"]) == pytest.approx(np.mean(between) / np.mean(within))
    points_of_fine, _ = evaluate(points[fine], labels, names=["fine_variance_share"], fine_labels=fine)
    assert float(points_of_fine["fine_variance_share"]) == pytest.approx(1.0)


def peer_accuracy(points: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    testers = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    calculator = testers.AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
    )
    return calculator.get_accuracy(torch.from_numpy(points).float(), torch.from_numpy(labels))


PEER = {
    "recall_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
}


def test_it_agrees_with_pytorch_metric_learning():
    points, labels = clustered(8, 400, 8, 12)
    unit = torch.nn.functional.normalize(points, dim=1)
    theirs = peer_accuracy(unit.numpy(), labels.numpy())
    ours, _ = evaluate(points, labels, names=["retrieval"])
    for name, peer in PEER.items():
        # float32 distances of theirs may swap neighbours that are equal to seven digits.
        assert float(ours[name]) == pytest.approx(theirs[peer], abs=1e-4), name


@pytest.mark.slow
def test_benchmark_beside_pytorch_metric_learning(capsys):
    """10,000 x 64, 10 classes, one thread, both with embeddings in hand: seconds of each."""
    points, labels = clustered(9, 10_000, 64, 10)
    unit = torch.nn.functional.normalize(points, dim=1)
    started = time.perf_counter()
    ours, _ = evaluate(points, labels, names=["retrieval"])
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    theirs = peer_accuracy(unit.numpy(), labels.numpy())
    peer_seconds = time.perf_counter() - started
    with capsys.disabled():
        print(f"\nretrieval of 10,000 x 64: {seconds:.2f} s here, {peer_seconds:.2f} s there", end=" ")
        print(f"({peer_seconds / seconds:.1f} times)")
    for name, peer in PEER.items():
        assert float(ours[name]) == pytest.approx(theirs[peer], abs=1e-4), name
    assert seconds < peer_seconds


def test_the_label_of_the_nearest_item_is_told_and_no_tie_is_decided():
    points = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.1, 0.9]])
    points = torch.nn.functional.normalize(points, dim=1)
    labels = torch.tensor([0, 1, 2, 2, 3])
    _, detail = evaluate(points, labels, names=["recall_at_1"])
    assert detail["per_query/nearest_label"].tolist() == [1, 0, -1, 3, 2]
    roles = Roles(np.array([1, 1, 0, 0, 0], bool), np.array([0, 0, 1, 1, 0], bool))
    _, detail = evaluate(points, labels, names=["recall_at_1"], roles=roles)
    assert detail["per_query/nearest_label"].tolist() == [2, 2, -1, -1, -1]
