"""Queries in a gallery against loops in float64: every measure, rule, tie and distractor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import losscope
from losscope.core.errors import LosscopeError
from losscope.core.queries import Roles
from losscope.measures import evaluate, neighbours
from losscope.measures.searching import quality_of_roles
from tie_oracles import AveragePrecision, Precision, Recall, arrangements, expected, tied_groups

RULES = ("keep", "junk", "skip")


def reciprocal_rank(groups: list[list[bool]]) -> float:
    """The mean of 1 / rank of the first hit over all orders: only the first group with one matters."""
    before = 0
    for group in groups:
        if any(group):
            ranks = [1 / (before + 1 + case.index(True)) for case in arrangements(group)]
            return float(np.mean(ranks))
        before += len(group)
    raise AssertionError("no hit")


def oracle(rows: np.ndarray, labels: np.ndarray, roles: Roles) -> dict[str, np.ndarray]:
    """Each measure of each query, NaN where there is no right answer or the row is no query."""
    names = ("recall_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r")
    names += ("mean_average_precision", "mean_reciprocal_rank")
    found = {name: np.full(len(rows), np.nan) for name in names}
    ranked = tied_groups(rows, rows)
    for query in np.flatnonzero(roles.query & (labels >= 0)):
        groups = []
        for group in ranked[query]:
            hits = []
            for item in group:
                camera = roles.camera is not None and roles.camera[item] == roles.camera[query]
                own = labels[item] == labels[query]
                barred = {"keep": False, "junk": camera and own, "skip": camera}[roles.same_camera]
                if roles.gallery[item] and item != query and not barred:
                    hits.append(bool(own))
            if hits:
                groups.append(hits)
        right = sum(map(sum, groups))
        if not right:
            continue
        for k in (1, 5, 10):
            found[f"recall_at_{k}"][query] = expected(groups, Recall(k))
        found["r_precision"][query] = expected(groups, Precision(right)) / right
        found["map_at_r"][query] = expected(groups, AveragePrecision(right)) / right
        found["mean_average_precision"][query] = expected(groups, AveragePrecision(10**6)) / right
        found["mean_reciprocal_rank"][query] = reciprocal_rank(groups)
    return found


def points(kind: str, count: int, draw: np.random.Generator) -> np.ndarray:
    return {
        "drawn": draw.normal(size=(count, 5)),
        "signs": np.sign(draw.normal(size=(count, 6))),
        "few": draw.normal(size=(7, 5))[draw.integers(7, size=count)],
        "zero": draw.normal(size=(count, 5)) * (draw.random((count, 1)) > 0.3),
    }[kind]


@pytest.mark.parametrize("overlap", [False, True], ids=["apart", "overlapping"])
@pytest.mark.parametrize("kind", ["drawn", "signs", "few", "zero"])
@pytest.mark.parametrize("rule", RULES)
def test_every_measure_is_the_mean_over_all_orders(rule, kind, overlap, monkeypatch):
    monkeypatch.setattr(neighbours, "CHUNK_PAIRS", 64)
    for seed in range(4):
        draw = np.random.default_rng([seed, RULES.index(rule), overlap])
        count = 30
        rows = points(kind, count, draw)
        labels = draw.integers(-1, 5, count)
        query = draw.random(count) < 0.4
        gallery = draw.random(count) < 0.6 if overlap else ~query & (draw.random(count) < 0.9)
        roles = Roles(query, gallery, draw.integers(3, size=count), rule)
        values, detail = evaluate(
            torch.from_numpy(rows), torch.from_numpy(labels), names=["retrieval", "search"], roles=roles
        )
        kept = labels >= 0
        for name, per_query in oracle(rows, labels, roles).items():
            np.testing.assert_allclose(detail[f"per_query/{name}"], per_query[kept], rtol=1e-12, atol=1e-15)
            assert float(values[name]) == pytest.approx(np.nanmean(per_query), rel=1e-12)
        assert detail["per_query/label"].tolist() == labels[kept].tolist()
        lone = np.isnan(oracle(rows, labels, roles)["recall_at_1"])[query & kept].sum()
        assert detail["count/lone_queries"].item() == lone


@pytest.mark.parametrize("kind", ["drawn", "few"])
def test_all_rows_in_both_roles_is_leave_one_out(kind):
    draw = np.random.default_rng(3)
    rows, labels = points(kind, 50, draw), draw.integers(5, size=50)
    every = np.ones(50, bool)
    both = losscope.retrieval(rows, labels, query=every, gallery=every)
    for name, value in losscope.retrieval(rows, labels).items():
        assert both[name] == pytest.approx(value, rel=1e-12), name


def test_the_order_of_rows_and_other_members_change_nothing():
    draw = np.random.default_rng(4)
    rows = torch.from_numpy(np.sign(draw.normal(size=(2, 40, 5))))
    labels, query = draw.integers(-1, 4, 40), draw.random(40) < 0.4
    roles = Roles(query, ~query, draw.integers(3, size=40), "junk")
    order = draw.permutation(40)
    moved = roles.take(order)
    for names in (["recall_at_1"], ["retrieval", "search"]):
        together, _ = evaluate(rows, torch.from_numpy(labels), names=names, roles=roles)
        alone, _ = evaluate(rows[1], torch.from_numpy(labels), names=names, roles=roles)
        turned, _ = evaluate(rows[1, order], torch.from_numpy(labels[order]), names=names, roles=moved)
        for name, value in alone.items():
            assert together[name][1] == value
            assert float(turned[name]) == pytest.approx(float(value), rel=1e-12)


def test_other_measures_are_those_of_all_rows_without_background():
    draw = np.random.default_rng(5)
    rows, labels = torch.from_numpy(draw.normal(size=(40, 4))), torch.from_numpy(draw.integers(-1, 4, 40))
    query = np.arange(40) % 3 == 0
    plain, _ = evaluate(rows, labels)
    roled, _ = evaluate(rows, labels, roles=Roles(query, ~query))
    for name in ("intra_variance", "eer", "effective_rank"):
        assert float(plain[name]) == float(roled[name])
    assert float(plain["recall_at_1"]) != float(roled["recall_at_1"])


def test_fine_recall_by_queries_and_gallery():
    rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.3], [0.0, 1.0]])
    labels, fine = np.array([0, 0, 0, 1]), np.array([0, 1, 0, 0])
    roles = Roles(np.array([True, False, False, False]), np.array([False, True, True, True]))
    values, _ = evaluate(
        torch.from_numpy(rows),
        torch.from_numpy(labels),
        names=["recall_at_1", "fine_recall_at_1"],
        fine_labels=torch.from_numpy(fine),
        roles=roles,
    )
    assert (float(values["recall_at_1"]), float(values["fine_recall_at_1"])) == (1.0, 0.0)


def test_hubness_counts_gallery_items_that_may_be_found():
    draw = np.random.default_rng(6)
    rows, labels, camera = draw.normal(size=(60, 3)), draw.integers(4, size=60), draw.integers(2, size=60)
    query = np.arange(60) < 20
    roles = Roles(query, ~query, camera, "skip")
    counts = np.zeros(40)
    for one in range(20):
        order = [item for group in tied_groups(rows[one : one + 1], rows[20:])[0] for item in group]
        free = [item for item in order if camera[item + 20] != camera[one]]
        counts[free[:10]] += 1
    spread = np.sqrt(((counts - counts.mean()) ** 2).mean())
    values, _ = evaluate(torch.from_numpy(rows), torch.from_numpy(labels), names=["hubness"], roles=roles)
    assert float(values["hubness"]) == pytest.approx(((counts - counts.mean()) ** 3).mean() / spread**3)


@pytest.mark.parametrize("rule", RULES)
def test_the_curve_of_validation_is_the_measure(rule):
    draw = np.random.default_rng(7)
    rows = torch.from_numpy(np.sign(draw.normal(size=(3, 40, 5)))).float()
    rows[2, 0, 0] = torch.nan
    labels, query = torch.from_numpy(draw.integers(-1, 4, (3, 40))), draw.random(40) < 0.5
    roles = Roles(query, ~query, draw.integers(3, size=40), rule)
    found = quality_of_roles(rows, labels, (roles,) * 3)["map_at_r"]
    assert torch.isnan(found[2])
    for member in range(2):
        values, _ = evaluate(rows[member], labels[member], names=["map_at_r"], roles=roles)
        assert float(found[member]) == float(values["map_at_r"])


def test_counts_of_right_answers_by_loops():
    for seed, rule in itertools.product(range(5), RULES):
        draw = np.random.default_rng(seed)
        labels, camera = draw.integers(-1, 4, 30), draw.integers(3, size=30)
        query, gallery = draw.random(30) < 0.5, draw.random(30) < 0.5
        roles = Roles(query, gallery, camera, rule)
        for i in range(30):
            right = [
                j
                for j in range(30)
                if gallery[j]
                and j != i
                and labels[j] == labels[i]
                and (rule == "keep" or camera[i] != camera[j])
            ]
            assert roles.relevant(labels)[i] == (len(right) if query[i] and labels[i] >= 0 else 0)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"query": [True, False]}, "both"),
        ({"query": [True, False], "gallery": [True]}, "1 gallery marks but 2 query marks"),
        ({"query": [True, False], "gallery": [False, True]}, "none of 1 test queries has a right answer"),
        ({"query": [True, False], "gallery": [False, True], "same_camera": "junk"}, "no row says its camera"),
        ({"same_camera": "junk"}, "query and gallery"),
    ],
    ids=["one alone", "unequal lengths", "no answer", "no cameras", "a rule alone"],
)
def test_refusals(given, wanted):
    with pytest.raises(LosscopeError, match=wanted):
        losscope.retrieval([[1.0, 0.0], [0.0, 1.0]], [0, 1], **given)
