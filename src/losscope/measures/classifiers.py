"""Classification measures: what simple classifiers and clusterings read from the embeddings."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from losscope.core.registry import register
from losscope.measures.neighbours import Gallery, Ranked, ranked, tied_with, unit
from losscope.measures.ranking import in_input_order
from losscope.measures.space import NULL, Measurement, Space, measured

NEIGHBOURS = 5

Reference = tuple[Tensor, np.ndarray]


@register(
    "measure",
    "knn_accuracy",
    quantities=[
        {
            "name": "knn_accuracy",
            "definition": "accuracy of 5-nearest-neighbour classification, training embeddings as reference",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "k-NN accuracy",
            "column": 180,
        },
    ],
    needs=("reference",),
)
@measured
def knn_accuracy(space: Space, *, reference: Reference) -> Measurement:
    """Accuracy of 5-nearest-neighbour classification, Cover and Hart 1967.

    ``reference`` holds the training embeddings (R, D) and labels (R,). The majority class among the 5
    nearest wins, of equal majorities the one with the nearest member. Items that tie for the last of the 5
    places share what is left of them evenly; classes whose votes and nearest members tie share the query. An
    item whose class the reference lacks counts as wrong; null if it lacks all (class-disjoint).
    """
    rows, labels = unit(reference[0]), reference[1]
    if disjoint(space, reference):
        return {"knn_accuracy": NULL}, {}
    known, codes = np.unique(labels, return_inverse=True)
    place = np.searchsorted(known, space.labels)
    present = known[np.minimum(place, len(known) - 1)] == space.labels
    asking = np.where(present, place, -1)[space.codes]
    shares = np.empty(len(space))
    for part, squared in Gallery.of(rows).tables(space.rows):
        shares[part] = _votes_won(squared, codes, asking[part])
    correct = space.per_query(shares)
    detail = {
        "per_query/knn_accuracy": correct,
        "per_query/label": space.labels[in_input_order(space, space.codes)].astype(np.int64),
    }
    return {"knn_accuracy": float(correct.mean())}, detail


def _votes_won(squared: Tensor, codes: np.ndarray, asking: np.ndarray) -> np.ndarray:
    """(Q,) the share of each query that its class ``asking`` (Q,) wins; ``codes`` (R,) of the reference."""
    count = min(NEIGHBOURS, len(codes))
    nearest = ranked(squared, count)
    votes = codes[nearest.columns]
    support = (votes[:, :, None] == votes[:, None, :]).sum(2)
    # argmax takes the first of equal ones: the nearest.
    won = (votes[np.arange(len(votes)), support.argmax(1)] == asking).astype(np.float64)
    rows = np.flatnonzero(nearest.tied.any(1))
    if len(rows):
        won[rows] = _tied_votes_won(squared, nearest, rows, codes, asking[rows])
    return won


def _tied_votes_won(
    squared: Tensor, nearest: Ranked, rows: np.ndarray, codes: np.ndarray, asking: np.ndarray
) -> np.ndarray:
    """(T,) the same of the queries ``rows`` (T,), which have ties among the places that vote."""
    columns, classes = nearest.columns[rows], int(codes.max()) + 1
    count = columns.shape[1]
    last = tied_with(squared[torch.from_numpy(rows).to(squared.device)], columns[:, -1])
    # The place at which each item's tied group begins, as a measure of how near it is.
    begins = np.tile(np.arange(count), (len(rows), 1))
    for place in range(1, count):
        begins[:, place] = np.where(nearest.tied[rows, place - 1], begins[:, place - 1], place)
    before = ~np.take_along_axis(last, columns, axis=1)
    row, places = np.nonzero(before)
    tied_row, column = np.nonzero(last)
    voter = np.concatenate([row * classes + codes[columns[row, places]], tied_row * classes + codes[column]])
    near = np.concatenate([begins[row, places], begins[tied_row, -1]])
    # Votes times the size of the group at the last place are whole numbers, so equal ones are equal.
    left = count - before.sum(1)
    weights = np.concatenate([last.sum(1)[row], left[tied_row]])
    votes = np.bincount(voter, weights, minlength=len(rows) * classes).reshape(-1, classes)
    nearness = np.full(votes.size, count)
    np.minimum.at(nearness, voter, near)
    most = votes == votes.max(1, keepdims=True)
    nearness = np.where(most, nearness.reshape(votes.shape), count)
    winners = most & (nearness == nearness.min(1, keepdims=True))
    return np.where(asking >= 0, winners[np.arange(len(rows)), asking], False) / winners.sum(1)


def disjoint(space: Space, reference: Reference) -> bool:
    """Whether no class of the space occurs in the reference."""
    return not np.isin(space.labels, reference[1]).any()


@register(
    "measure",
    "linear_accuracy",
    quantities=[
        {
            "name": "linear_accuracy",
            "definition": "accuracy of L2 logistic regression on standardised embeddings, C = 1",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
        },
    ],
    needs=("reference",),
    default=False,
)
@measured
def linear_accuracy(space: Space, *, reference: Reference) -> Measurement:
    """Accuracy of L2-penalised logistic regression (C = 1) fitted to the standardised reference.

    Null if no class occurs in the reference, or the reference has one class only. Takes seconds for
    thousands of items, so it is measured only when named.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = unit(reference[0]).cpu().numpy(), reference[1]
    if disjoint(space, reference) or len(np.unique(labels)) < 2:
        return {"linear_accuracy": NULL}, {}
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    with warnings.catch_warnings():
        # A thousand steps of lbfgs short of its tolerance change the accuracy by less than it resolves.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, labels)
    correct = space.per_query((model.predict(space.rows.cpu().numpy()) == space.labels[space.codes]) * 1.0)
    detail = {
        "per_query/linear_accuracy": correct,
        "per_query/label": space.labels[in_input_order(space, space.codes)].astype(np.int64),
    }
    return {"linear_accuracy": float(correct.mean())}, detail


@register(
    "measure",
    "nmi",
    quantities=[
        {
            "name": "nmi",
            "definition": "normalised mutual information of k-means clusters and classes",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "NMI",
            "order": 1,
        },
    ],
    uses=("seed",),
    default=False,
)
@measured
def nmi(space: Space, *, seed: int = 0) -> Measurement:
    """Normalised mutual information of k-means clusters and classes (arithmetic mean of the entropies).

    k is the number of classes, the best of 10 starts drawn with ``seed`` counts. The rows are sorted by
    content first, so that their order does not choose the starts. Measured only when named.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import normalized_mutual_info_score

    rows = space.rows.cpu().numpy()
    order = np.lexsort(rows.T[::-1])
    model = KMeans(n_clusters=len(space.labels), n_init=10, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct points than classes, as after a collapse, is an answer and not a mistake.
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = model.fit_predict(rows[order])
    return {"nmi": float(normalized_mutual_info_score(space.codes[order], clusters))}, {}
