"""Classification measures: what simple classifiers and clusterings read from the embeddings."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from losscope.core.registry import register
from losscope.measures.neighbours import Gallery, ordered, unit
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
    nearest wins, of equal majorities the one with the nearest member; equally near items are ranked by row
    index. An item whose class the reference lacks counts as wrong; null if it lacks all (class-disjoint).
    """
    rows, labels = unit(reference[0]), reference[1]
    if disjoint(space, reference):
        return {"knn_accuracy": NULL}, {}
    count = min(NEIGHBOURS, len(rows))
    index = torch.arange(len(rows), device=rows.device)
    voted = np.empty(len(space), labels.dtype)
    for part, squared in Gallery.of(rows).tables(space.rows):
        votes = labels[ordered(squared, count, index).cpu().numpy()]
        support = (votes[:, :, None] == votes[:, None, :]).sum(2)
        # argmax takes the first of equal ones: the nearest.
        voted[part] = votes[np.arange(len(votes)), support.argmax(1)]
    correct = space.per_query((voted == space.labels[space.codes]).astype(np.float64))
    detail = {
        "per_query/knn_accuracy": correct,
        "per_query/label": space.labels[in_input_order(space, space.codes)].astype(np.int64),
    }
    return {"knn_accuracy": float(correct.mean())}, detail


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

    k is the number of classes, the best of 10 starts drawn with ``seed`` counts. Measured only when named.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import normalized_mutual_info_score

    # In the order of the input, so that the starts do not depend on how labels sort.
    rows = torch.empty_like(space.rows)
    rows[torch.from_numpy(space.order).to(rows.device)] = space.rows
    model = KMeans(n_clusters=len(space.labels), n_init=10, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct points than classes, as after a collapse, is an answer and not a mistake.
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = model.fit_predict(rows.cpu().numpy())
    return {"nmi": float(normalized_mutual_info_score(in_input_order(space, space.codes), clusters))}, {}
