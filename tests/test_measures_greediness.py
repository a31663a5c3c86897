"""Greediness against loops in float64, its invariances, and what it says at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losscope.measures.greediness import (
    epochs_to_90,
    epochs_to_90_excess,
    epochs_to_90_quality,
    half_life,
    shares,
    step_summary,
)


def naive_step(norms: list[float]) -> dict[str, float]:
    count, total = len(norms), sum(norms)
    largest = max(norms)
    active = sum(1 for g in norms if g > 1e-6 * largest) / count
    if total == 0:
        nothing = {"active_samples": 0.0, "effective_active": 0.0}
        return nothing | {"gradient_gini": math.nan, "gradient_top_tenth": math.nan}
    # The Gini coefficient by its definition: mean absolute difference over twice the mean.
    differences = sum(abs(a - b) for a in norms for b in norms) / count**2
    top = sorted(norms, reverse=True)[: math.ceil(count / 10)]
    return {
        "active_samples": active,
        "effective_active": total**2 / (count * sum(g * g for g in norms)),
        "gradient_gini": differences / (2 * total / count),
        "gradient_top_tenth": sum(top) / total,
    }


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-7, 1e3)), min_size=1, max_size=40),
    st.sampled_from([1.0, 1e-12]),
)
def test_a_step_agrees_with_the_definitions(norms, scale):
    scaled = torch.tensor(norms, dtype=torch.float64) * scale
    found = step_summary(scaled)
    for name, expected in naive_step(scaled.tolist()).items():
        assert float(found[name]) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_even_effort_and_one_row_alone_have_the_extreme_values():
    summary = step_summary(torch.stack([torch.ones(20), torch.eye(20)[3]]))
    found = {name: (float(value[0]), float(value[1])) for name, value in summary.items()}
    assert found["effective_active"] == pytest.approx((1.0, 1 / 20))
    assert found["gradient_gini"] == pytest.approx((0.0, 19 / 20))
    assert found["active_samples"] == pytest.approx((1.0, 1 / 20))
    assert found["gradient_top_tenth"] == pytest.approx((0.1, 1.0))


def test_steps_and_members_are_summarised_alone_bitwise():
    norms = torch.rand(30, 4, 96) ** 3
    norms[7, 2] = 0.0
    norms[8, 1, 5] = torch.nan
    together = step_summary(norms)
    for m in range(4):
        for name, value in step_summary(norms[:, m]).items():
            assert torch.equal(value.nan_to_num(-1), together[name][:, m].nan_to_num(-1)), name
    assert together["effective_active"][7, 2] == 0
    assert together["gradient_gini"][7, 2].isnan()
    assert all(value[8, 1].isnan() for value in together.values())


def test_norms_too_small_to_square_are_summarised():
    tiny = step_summary(torch.full((8,), 1e-30))
    assert float(tiny["effective_active"]) == pytest.approx(1.0)
    assert float(step_summary(torch.full((8,), 1e-7).half())["effective_active"]) == pytest.approx(1.0)


def naive_shares(force, distances, positive, negative) -> dict[str, float]:
    rows = len(force)
    greedy = {True: 0.0, False: 0.0}
    whole = {True: 0.0, False: 0.0}
    pairs = {True: [], False: []}
    for a in range(rows):
        near = [distances[a, n] for n in range(rows) if negative[a, n]]
        far = [distances[a, p] for p in range(rows) if positive[a, p]]
        for b in range(rows):
            if positive[a, b]:
                whole[True] += force[a, b]
                greedy[True] += force[a, b] * all(distances[a, b] < n for n in near)
                pairs[True].append((-distances[a, b], force[a, b]))
            if negative[a, b]:
                whole[False] += force[a, b]
                greedy[False] += force[a, b] * all(distances[a, b] > p for p in far)
                pairs[False].append((distances[a, b], force[a, b]))
    hard = sum(w for kind in pairs.values() for _, w in sorted(kind)[: math.ceil(len(kind) / 10)])
    both = whole[True] + whole[False]
    return {
        "greedy_share": sum(greedy.values()) / both if both else math.nan,
        "greedy_share_positive": greedy[True] / whole[True] if whole[True] else math.nan,
        "greedy_share_negative": greedy[False] / whole[False] if whole[False] else math.nan,
        "hard_share": hard / both if both else math.nan,
    }


@given(st.integers(0, 10_000), st.integers(2, 14), st.integers(1, 4), st.booleans())
def test_shares_agree_with_the_definitions(seed, rows, classes, no_positives):
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=rows)
    # Not symmetric, so that no two pairs are tied and the naive tenth is defined.
    distances, force = draw.random((2, rows, rows))
    force[draw.random((rows, rows)) < 0.3] = 0.0
    positive = (labels[:, None] == labels) & ~np.eye(rows, dtype=bool) & (not no_positives)
    negative = labels[:, None] != labels
    np.fill_diagonal(force, math.nan)
    found = shares(*(torch.from_numpy(part) for part in (force, distances, positive, negative)))
    for name, expected in naive_shares(force, distances, positive, negative).items():
        assert float(found[name]) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_shares_of_a_population_are_those_of_its_members_bitwise():
    points = torch.nn.functional.normalize(torch.randn(3, 2, 24, 5), dim=-1)
    distances, labels = torch.cdist(points, points), torch.randint(4, (3, 2, 24))
    same = labels[..., :, None] == labels[..., None, :]
    positive = same & ~torch.eye(24, dtype=torch.bool)
    together = shares(distances**2, distances, positive, ~same)
    alone = shares(distances[1, 0] ** 2, distances[1, 0], positive[1, 0], ~same[1, 0])
    for name, value in alone.items():
        assert together[name].shape == (3, 2)
        assert torch.equal(together[name][1, 0], value)
    shared_mask = shares(distances, distances, positive[1, 0], ~same[1, 0])
    own_mask = shares(distances, distances, positive[1, 0].expand(3, 2, 24, 24), ~same[1, 0])
    assert all(torch.equal(shared_mask[name], own_mask[name]) for name in alone)


def test_ties_at_the_border_of_the_tenth_count_by_their_share():
    """Of collapsed embeddings no pair is harder than another: a tenth of the force, whatever the order."""
    labels = torch.arange(40) % 4
    same = labels[:, None] == labels
    positive, force = same & ~torch.eye(40, dtype=torch.bool), torch.rand(40, 40)
    found = shares(force, torch.zeros(40, 40), positive, ~same)
    tenths = 36 / 360 * force[positive].sum() + 120 / 1200 * force[~same].sum()
    expected = float(tenths / (force[positive].sum() + force[~same].sum()))
    assert float(found["hard_share"]) == pytest.approx(expected, rel=1e-5)
    assert float(found["greedy_share"]) == 0.0


def test_force_beyond_the_ranking_is_greedy_and_force_against_it_is_not():
    distances = torch.tensor([[0.0, 0.5, 1.0], [0.5, 0.0, 0.4], [1.0, 0.4, 0.0]])
    positive = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    negative = torch.tensor([[0, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.bool)
    force = torch.tensor([[0.0, 3.0, 2.0], [5.0, 0.0, 7.0], [0.0, 0.0, 0.0]])
    found = shares(force, distances, positive, negative)
    # Row 0 ranks 0.5 < 1.0 rightly; row 1 ranks 0.5 > 0.4 wrongly.
    assert float(found["greedy_share"]) == pytest.approx(5 / 17)
    assert float(found["greedy_share_positive"]) == pytest.approx(3 / 8)
    assert float(found["greedy_share_negative"]) == pytest.approx(2 / 9)


CURVES = st.lists(st.floats(0, 10), min_size=1, max_size=30)


@given(CURVES)
def test_decay_epochs_are_the_first_at_their_level(curve):
    for decayed, level in ((epochs_to_90, 0.1), (half_life, 0.5)):
        epochs = [t for t, loss in enumerate(curve, 1) if loss <= level * curve[0]]
        assert decayed(np.array(curve)) == (epochs[0] if epochs else None)


@given(CURVES, st.floats(0, 5))
def test_excess_ignores_the_floor_of_the_loss(curve, floor):
    low, fall = min(curve), curve[0] - min(curve)
    expected = None
    if fall > 1e-6:
        expected = next(t for t, loss in enumerate(curve, 1) if (loss - low) / fall <= 0.1 + 1e-12)
        margins = [abs((loss - low) / fall - 0.1) for loss in curve]
        if min(margins) > 1e-9:
            assert epochs_to_90_excess(curve) == expected
            assert epochs_to_90_excess([loss + floor for loss in curve]) == expected
    elif fall == 0:
        assert epochs_to_90_excess(curve) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_quality_counts_from_epoch_zero(quality):
    gain = max(quality) - quality[0]
    reached = [t for t in range(1, len(quality)) if quality[t] - quality[0] >= 0.9 * gain]
    assert epochs_to_90_quality(quality) == (reached[0] if gain >= 0.01 else None)


def test_a_curve_that_passes_its_level_in_the_third_epoch():
    curve = [2.0, 1.15, 1.05, 1.0]
    assert epochs_to_90_excess(curve) == 3
    assert epochs_to_90([loss - 1.0 for loss in curve]) == 3
    assert half_life([2.0, 1.15, 0.95, 0.5]) == 3
    assert epochs_to_90_quality([0.2, 0.6, 0.85, 0.93, 1.0]) == 3


@pytest.mark.parametrize(
    ("decayed", "curve"),
    [
        (epochs_to_90, []),
        (epochs_to_90, [math.nan, 0.1]),
        (epochs_to_90, [-1.0, -2.0]),
        (epochs_to_90, [math.inf, 1.0]),
        (epochs_to_90_excess, []),
        (epochs_to_90_excess, [math.nan, math.nan]),
        (epochs_to_90_excess, [math.inf, 1.0]),
        (epochs_to_90_quality, []),
        (epochs_to_90_quality, [math.nan, 0.9]),
    ],
)
def test_a_curve_that_says_nothing_gives_none(decayed, curve):
    assert decayed(curve) is None


def test_a_gap_in_the_curve_is_passed_over():
    assert epochs_to_90([1.0, math.nan, 0.05]) == 3
    assert epochs_to_90_quality([0.1, math.nan, 0.5]) == 2
