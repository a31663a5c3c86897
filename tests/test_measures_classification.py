"""k-NN, linear and clustering measures against loops and scikit-learn."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from losscope.core.errors import LosscopeError
from losscope.measures import evaluate
from tie_oracles import tied_groups

Data = tuple[torch.Tensor, torch.Tensor]


def clustered(seed: int, rows: int, width: int, classes: int) -> Data:
    centres = np.random.default_rng(77).standard_normal((classes, width))
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=rows)
    return torch.from_numpy(centres[labels] + draw.standard_normal((rows, width))), torch.from_numpy(labels)


def unit(points: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(points.double(), dim=1).numpy()


def naive_shares(points: torch.Tensor, labels: torch.Tensor, reference: Data) -> list[float]:
    """What of each query its own class wins, in exact fractions."""
    of_known = reference[1].tolist()
    shares = []
    for own, groups in zip(labels.tolist(), tied_groups(unit(points), unit(reference[0])), strict=True):
        left, votes, nearness = min(5, len(of_known)), Counter[int](), {}
        for place, group in enumerate(groups):
            for j in group if left else []:
                votes[of_known[j]] += min(Fraction(1), Fraction(left, len(group)))
                nearness.setdefault(of_known[j], place)
            left = max(0, left - len(group))
        best = max((votes[label], -nearness[label]) for label in votes)
        winners = [label for label in votes if (votes[label], -nearness[label]) == best]
        shares.append((own in winners) / len(winners))
    return shares


@given(st.integers(0, 10_000), st.integers(1, 25), st.integers(1, 25), st.booleans())
def test_votes_agree_with_a_naive_count(seed, rows, known, duplicates):
    points, labels = clustered(seed, rows, 3, 4)
    reference = clustered(seed + 1, known, 3, 4)
    if duplicates:
        few = reference[0][:3]
        reference = few[torch.arange(known) % len(few)], reference[1]
        points = few[torch.arange(rows) % len(few)]
    values, detail = evaluate(points, labels, names=["knn_accuracy"], reference=reference)
    if not set(labels.tolist()) & set(reference[1].tolist()):
        assert values["knn_accuracy"].isnan()
        return
    expected = np.array(naive_shares(points, labels, reference))
    np.testing.assert_allclose(detail["per_query/knn_accuracy"].numpy(), expected, rtol=1e-12)
    assert float(values["knn_accuracy"]) == pytest.approx(expected.mean())
    assert torch.equal(detail["per_query/label"], labels)


def test_it_agrees_with_scikit_learn_where_no_vote_is_tied():
    points, labels = clustered(0, 300, 6, 2)
    reference = clustered(1, 800, 6, 2)
    model = KNeighborsClassifier(5, algorithm="brute").fit(unit(reference[0]), reference[1].numpy())
    values, _ = evaluate(points, labels, names=["knn_accuracy"], reference=reference)
    assert float(values["knn_accuracy"]) == pytest.approx(model.score(unit(points), labels.numpy()))


def test_of_equal_majorities_the_nearest_wins():
    angles = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).deg2rad()
    reference = torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([7, 3, 3, 7, 1])
    query = torch.tensor([[1.0, 0.0]])
    seven, _ = evaluate(query, torch.tensor([7]), names=["knn_accuracy"], reference=reference)
    three, _ = evaluate(query, torch.tensor([3]), names=["knn_accuracy"], reference=reference)
    assert (float(seven["knn_accuracy"]), float(three["knn_accuracy"])) == (1.0, 0.0)


def test_disjoint_classes_have_no_accuracy_and_missing_ones_count_as_wrong():
    points, labels = clustered(0, 30, 3, 3)
    reference = clustered(1, 40, 3, 3)
    names = ["knn_accuracy", "linear_accuracy"]
    values, detail = evaluate(points, labels, names=names, reference=(reference[0], reference[1] + 10))
    assert all(value.isnan() for value in values.values())
    assert not any(name.startswith("per_query") for name in detail)
    without = reference[1] != 2
    values, detail = evaluate(
        points, labels, names=names, reference=(reference[0][without], reference[1][without])
    )
    for name in names:
        assert float(detail[f"per_query/{name}"][labels == 2].sum()) == 0
        assert float(values[name]) > 0


def test_background_of_the_reference_does_not_vote():
    points, labels = clustered(0, 30, 3, 3)
    known, of_known = clustered(1, 40, 3, 3)
    noisy = torch.cat([known, points]), torch.cat([of_known, torch.full((30,), -1)])
    expected, _ = evaluate(points, labels, names=["knn_accuracy"], reference=(known, of_known))
    found, _ = evaluate(points, labels, names=["knn_accuracy"], reference=noisy)
    assert torch.equal(found["knn_accuracy"], expected["knn_accuracy"])
    kept, _ = evaluate(points, labels, names=["knn_accuracy"], reference=noisy, background="class")
    assert float(kept["knn_accuracy"]) < float(expected["knn_accuracy"])


def test_linear_accuracy_is_logistic_regression_on_standardised_embeddings():
    points, labels = clustered(0, 100, 4, 3)
    known, of_known = clustered(1, 200, 4, 3)
    scaler = StandardScaler().fit(unit(known))
    model = LogisticRegression(C=1.0, max_iter=1000).fit(scaler.transform(unit(known)), of_known)
    expected = model.predict(scaler.transform(unit(points))) == labels.numpy()
    values, detail = evaluate(points, labels, names=["linear_accuracy"], reference=(known, of_known))
    np.testing.assert_array_equal(detail["per_query/linear_accuracy"].numpy(), expected)
    assert float(values["linear_accuracy"]) == pytest.approx(expected.mean())
    one = (known, torch.zeros_like(of_known))
    assert evaluate(points, labels, names=["linear_accuracy"], reference=one)[0]["linear_accuracy"].isnan()


def test_nmi_of_separated_mixed_and_collapsed_classes():
    labels = torch.arange(60) % 3
    apart = torch.eye(3)[labels] + 0.01 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    assert float(evaluate(apart, labels, names=["nmi"])[0]["nmi"]) == pytest.approx(1.0)
    mixed = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    assert float(evaluate(mixed, labels, names=["nmi"])[0]["nmi"]) < 0.3
    collapsed, _ = evaluate(torch.ones(60, 3), labels, names=["nmi"])
    assert float(collapsed["nmi"]) == pytest.approx(0.0)
    again = [evaluate(mixed, labels, names=["nmi"], seed=4)[0]["nmi"] for _ in range(2)]
    assert torch.equal(*again)


def test_costly_measures_are_taken_only_when_named():
    points, labels = clustered(0, 30, 3, 3)
    values, _ = evaluate(points, labels, reference=(points, labels))
    assert "knn_accuracy" in values
    assert not {"nmi", "linear_accuracy"} & set(values)
    without, _ = evaluate(points, labels)
    assert "knn_accuracy" not in without


def test_a_reference_that_does_not_fit_is_refused():
    points, labels = clustered(0, 30, 3, 3)
    with pytest.raises(LosscopeError, match=r"reference labels have shape .*5.*30 embeddings"):
        evaluate(points, labels, reference=(points, labels[:5]))
    with pytest.raises(LosscopeError, match="'knn_accuracy' was asked for without reference"):
        evaluate(points, labels, names=["knn_accuracy"])
    assert math.isnan(evaluate(points, labels, reference=(points, labels + 9))[0]["knn_accuracy"])
