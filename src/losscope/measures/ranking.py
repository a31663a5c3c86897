"""Retrieval measures: how well a query's nearest neighbours are of its class.

Sources: Recall@k, Jégou et al. 2011 and Oh Song et al. 2016; R-precision and MAP@R, Musgrave, Belongie and
Lim 2020, "A Metric Learning Reality Check", section 3.2; hubness, Radovanović et al. 2010.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import torch
from torch import Tensor

from losscope.core.registry import register
from losscope.measures.neighbours import Gallery, ordered, unit
from losscope.measures.space import NULL, Measurement, Space, Stream, measured

RECALLS = (1, 5, 10)
DEEP = ("r_precision", "map_at_r")
OCCURRENCE = 10
TOGETHER = 1 << 18
"""Pairs of rows that ``map_at_r_fast`` works on at once: small members together, large ones one by one."""


@register(
    "measure",
    "retrieval",
    quantities=[
        {
            "name": "recall_at_1",
            "definition": "share of queries with an item of their class among the 1 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "Recall@1",
        },
        {
            "name": "recall_at_5",
            "definition": "share of queries with an item of their class among the 5 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "Recall@5",
        },
        {
            "name": "recall_at_10",
            "definition": "share of queries with an item of their class among the 10 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "Recall@10",
        },
        {
            "name": "r_precision",
            "definition": "share of a query's R nearest that are of its class, R its class's other items",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "R-precision",
        },
        {
            "name": "map_at_r",
            "definition": "mean average precision over a query's R nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "MAP@R",
        },
        {
            "name": "hubness",
            "definition": "skewness of the 10-occurrence",
            "unit": "skewness",
            "better": "lower",
            "scale": "difference",
            "delta": 0.05,
            "group": "geometry",
            "order": 2,
        },
        {
            "name": "fine_recall_at_1",
            "definition": "Recall@1 by labels finer than those trained on",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "detail",
            "label": "fine Recall@1",
            "column": 100,
        },
    ],
    uses=("fine_labels", "wanted"),
)
@measured
def retrieval(
    space: Space, *, fine_labels: np.ndarray | None = None, wanted: Set[str] | None = None
) -> Stream:
    """Leave-one-out retrieval: every item is a query, all others the gallery.

    R of a query is the number of other items of its class; a query with R = 0 is left out of every mean, is
    NaN in the per-query detail, and counted in ``count/lone_queries``. Equally near items are ranked by
    row index (see ``losscope.measures.neighbours``).

    ``recall_at_k``: share of queries with an item of their class among the k nearest; ``r_precision``: share
    of the R nearest that are of the class; ``map_at_r``: mean over ranks j ≤ R of the precision at j where
    the item at j is of the class, 0 elsewhere; ``hubness``: skewness over all items of how often one is among
    the 10 nearest of the others; ``fine_recall_at_1`` (with ``fine_labels``, (N,)): Recall@1 where an item
    counts if it has the query's label and its fine label. R-precision and MAP@R, which sort R neighbours, are
    left out where ``wanted`` names neither.
    """
    count = len(space)
    classes = in_input_order(space, space.codes)
    relevant = space.sizes[space.codes] - 1
    deep = wanted is None or not wanted.isdisjoint(DEEP)
    depth = min(count - 1, max(int(relevant.max()) if deep else 0, OCCURRENCE))
    fine = None if fine_labels is None else fine_classes(classes, fine_labels)
    found = {f"recall_at_{k}": np.full(count, NULL) for k in RECALLS}
    found |= {name: np.full(count, NULL) for name in DEEP if deep}
    nearest_one = np.zeros(count, np.int64)
    occurrences = np.zeros(count, np.int64)
    index = torch.from_numpy(space.order).to(space.rows.device)
    while (chunk := (yield)) is not None:
        rows = slice(chunk.start, chunk.stop)
        if depth < 1:
            continue
        own = torch.arange(chunk.start, chunk.stop, device=index.device)
        nearest = ordered(chunk.squared, depth, index, own).cpu().numpy()
        hits = classes[nearest] == space.codes[rows, None]
        occurrences += np.bincount(nearest[:, :OCCURRENCE].ravel(), minlength=count)
        nearest_one[rows] = nearest[:, 0]
        for k in RECALLS:
            found[f"recall_at_{k}"][rows] = hits[:, :k].any(1)
        if deep:
            found["r_precision"][rows], found["map_at_r"][rows] = precisions_at_r(hits, relevant[rows])
    detail = {}
    for name, per_query in found.items():
        per_query[relevant == 0] = NULL
        detail[f"per_query/{name}"] = space.per_query(per_query)
    values = {name: mean_of_queries(detail[f"per_query/{name}"]) for name in found}
    values["hubness"] = skewness(occurrences) if depth > 0 else NULL
    if fine is not None:
        detail["per_query/fine_recall_at_1"] = _fine_recall(space.per_query(nearest_one), fine)
        values["fine_recall_at_1"] = mean_of_queries(detail["per_query/fine_recall_at_1"])
    detail["per_query/label"] = space.labels[classes].astype(np.int64)
    detail["count/lone_queries"] = np.array([(relevant == 0).sum()])
    return values, detail


def in_input_order(space: Space, codes: np.ndarray) -> np.ndarray:
    """(N,) int32 codes of the sorted rows, in the order of the input."""
    return space.per_query(codes).astype(np.int32)


def fine_classes(classes: np.ndarray, fine_labels: np.ndarray) -> np.ndarray:
    """(N,) codes of the pairs (class, fine label): nested in the classes whatever the fine labels are."""
    _, fine = np.unique(fine_labels, return_inverse=True)
    return np.unique(classes.astype(np.int64) * (int(fine.max()) + 1) + fine, return_inverse=True)[1]


def _fine_recall(nearest: np.ndarray, fine: np.ndarray) -> np.ndarray:
    recall = (fine[nearest] == fine).astype(np.float64)
    recall[others_of_class(fine) == 0] = NULL
    return recall


def mean_of_queries(values: np.ndarray) -> float:
    """The mean over the queries that count, NaN if none does."""
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if len(counted) else NULL


def skewness(counts: np.ndarray) -> float:
    """Third standardised moment, dividing by n; NaN where all are equal.

    >>> round(skewness(np.array([0, 0, 0, 4])), 4)
    1.1547
    """
    centred = counts - counts.mean()
    spread = np.sqrt((centred**2).mean())
    return float((centred**3).mean() / spread**3) if spread > 0 else NULL


def others_of_class(classes: np.ndarray) -> np.ndarray:
    """(N,) how many other items share each item's class: R of leave-one-out retrieval."""
    _, group, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    return sizes[group] - 1


def precisions_at_r(hits: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R-precision and MAP@R of each query, 0 where R is 0.

    Args:
        hits: (Q, K) whether the neighbour at each rank is of the query's class, K ≥ max R.
        relevant: (Q,) R of each query.
    """
    deepest = int(relevant.max(initial=0))
    ranks = np.arange(1, deepest + 1)
    counted = hits[:, :deepest] & (ranks <= relevant[:, None])
    so_far = np.cumsum(counted, axis=1, dtype=np.int32)
    some = np.maximum(relevant, 1)
    return counted.sum(1) / some, (so_far * counted / ranks).sum(1) / some


def map_at_r_fast(embeddings: Tensor, labels: Tensor) -> Tensor:
    """MAP@R of small sets, leave-one-out, for a training loop; the number that ``retrieval`` gives.

    Args:
        embeddings: (..., N, D), normalised inside. All N² pairs of one member are held at once.
        labels: (..., N) or (N,) integers.

    Returns:
        float64 (...,) on the CPU: the mean over queries with another item of their class; NaN where there
        is no such query or an embedding is not finite.

    >>> points = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> map_at_r_fast(points, torch.tensor([0, 0, 1, 1])).item()
    1.0
    """
    lead, (count, width) = embeddings.shape[:-2], embeddings.shape[-2:]
    members = embeddings.detach().reshape(-1, count, width)
    classes = labels.cpu().expand(*lead, count).reshape(-1, count).numpy()
    step = max(1, TOGETHER // max(1, count * count))
    parts = [slice(start, start + step) for start in range(0, len(members), step)]
    scores = [_maps_at_r(members[part], classes[part]) for part in parts]
    return torch.from_numpy(np.concatenate(scores)).reshape(lead)


def _maps_at_r(members: Tensor, classes: np.ndarray) -> np.ndarray:
    """MAP@R of a few members (M, N, D) with their labels (M, N)."""
    relevant = np.stack([others_of_class(own) for own in classes])
    deepest, (lead, count) = int(relevant.max()), classes.shape
    if deepest == 0:
        return np.full(lead, NULL)
    points = unit(members)
    finite = points.sum((1, 2)).isfinite().tolist()
    if not all(finite):
        points.nan_to_num_()
    tables = [Gallery.of(rows).squared_distances(rows) for rows in points]
    squared = tables[0] if lead == 1 else torch.cat(tables)
    index = torch.arange(count, device=squared.device)
    nearest = ordered(squared, deepest, index, index.repeat(lead)).cpu().numpy().reshape(lead, count, deepest)
    scores = np.full(lead, NULL)
    for member, (own, others) in enumerate(zip(classes, relevant, strict=True)):
        if finite[member] and others.any():
            hits = own[nearest[member]] == own[:, None]
            scores[member] = precisions_at_r(hits, others)[1][others > 0].mean()
    return scores


@register(
    "measure",
    "detail",
    quantities=[
        {
            "name": "fine_variance_share",
            "definition": "share of the within-coarse-class variance that lies between fine classes",
            "unit": "share",
            "better": "neither",
            "scale": "difference",
            "group": "detail",
            "column": 110,
        },
    ],
    needs=("fine_labels",),
)
@measured
def fine_detail(space: Space, *, fine_labels: np.ndarray) -> Measurement:
    """Share of the within-class variance that lies between fine classes.

    The mean over classes of mean ‖μ_f(i) - μ_c‖² over the class's items, f(i) the item's fine class, over
    ``intra_variance``: 1 when fine classes are points, near 0 when the class forgets them. A fine class is a
    pair (label, fine label). Null where the within-class variance is 0.
    """
    classes = in_input_order(space, space.codes)
    fine = torch.from_numpy(fine_classes(classes, fine_labels)[space.order]).to(space.rows.device)
    of_class, weights = space.class_of_row, torch.from_numpy(1.0 / space.sizes[space.codes]).to(space.rows)
    centre, fine_centre = (group_means(space.rows, groups) for groups in (of_class, fine))
    within = (weights * (space.rows - centre).square().sum(1)).sum()
    between = (weights * (fine_centre - centre).square().sum(1)).sum()
    return {"fine_variance_share": float(between / within) if within > 0 else NULL}, {}


def group_means(rows: Tensor, groups: Tensor) -> Tensor:
    """(N, D) the mean of each row's group; ``groups`` (N,) are codes from 0."""
    count = torch.bincount(groups).to(rows)
    sums = rows.new_zeros(len(count), rows.shape[1]).index_add_(0, groups, rows)
    return (sums / count[:, None])[groups]
