"""Cross-modal measures: retrieval from one modality into the other, and the gap between the two.

The names of the values call the first modality (``modality`` 0) audio and the second (1) visual, whatever
they are; their labels have the places ``{first}`` and ``{second}`` for the names that the data give.
"""

from __future__ import annotations

import numpy as np
import torch

from losscope.core.errors import LosscopeError
from losscope.core.queries import BACKGROUND
from losscope.core.registry import register
from losscope.measures import ties
from losscope.measures.neighbours import Gallery, nearest_labels, ranked
from losscope.measures.overlapping import shares
from losscope.measures.ranking import group_means, in_input_order, mean_of_queries
from losscope.measures.space import NULL, Measurement, Space, measured

WAYS = {"audio_to_visual": (0, 1), "visual_to_audio": (1, 0)}
RECALLS = (1, 5, 10)


@register(
    "measure",
    "cross_modal",
    quantities=[
        {
            "name": "map_audio_to_visual",
            "definition": "mean average precision of {second} items by {first} queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "mAP {first}→{second}",
        },
        {
            "name": "map_visual_to_audio",
            "definition": "mean average precision of {first} items by {second} queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "mAP {second}→{first}",
        },
        {
            "name": "recall_at_1_audio_to_visual",
            "definition": "share of {first} queries with a right {second} item among the 1 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "Recall@1 {first}→{second}",
        },
        {
            "name": "recall_at_1_visual_to_audio",
            "definition": "share of {second} queries with a right {first} item among the 1 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "Recall@1 {second}→{first}",
        },
        {
            "name": "recall_at_5_audio_to_visual",
            "definition": "share of {first} queries with a right {second} item among the 5 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "Recall@5 {first}→{second}",
        },
        {
            "name": "recall_at_5_visual_to_audio",
            "definition": "share of {second} queries with a right {first} item among the 5 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "Recall@5 {second}→{first}",
        },
        {
            "name": "recall_at_10_audio_to_visual",
            "definition": "share of {first} queries with a right {second} item among the 10 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "Recall@10 {first}→{second}",
        },
        {
            "name": "recall_at_10_visual_to_audio",
            "definition": "share of {second} queries with a right {first} item among the 10 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "Recall@10 {second}→{first}",
        },
        {
            "name": "recall_at_1_across",
            "definition": "mean of Recall@1 {first}→{second} and Recall@1 {second}→{first}",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "Recall@1 both ways",
        },
        {
            "name": "mrr_audio_to_visual",
            "definition": "mean over {first} queries of 1 / rank of the first right {second} item",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "MRR {first}→{second}",
        },
        {
            "name": "mrr_visual_to_audio",
            "definition": "mean over {second} queries of 1 / rank of the first right {first} item",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "MRR {second}→{first}",
        },
        {
            "name": "median_rank_audio_to_visual",
            "definition": "median over {first} queries of the rank of the first right {second} item",
            "unit": "rank",
            "better": "lower",
            "scale": "log_ratio",
            "group": "cross-modal",
            "label": "median rank {first}→{second}",
        },
        {
            "name": "median_rank_visual_to_audio",
            "definition": "median over {second} queries of the rank of the first right {first} item",
            "unit": "rank",
            "better": "lower",
            "scale": "log_ratio",
            "group": "cross-modal",
            "label": "median rank {second}→{first}",
        },
    ],
    needs=("modality",),
    uses=("tags",),
)
@measured
def cross_modal(space: Space, *, modality: np.ndarray, tags: np.ndarray | None = None) -> Measurement:
    """Retrieval of the other modality's items of the query's class, both ways.

    ``map``: mean over queries of average precision over the whole gallery, the mean over its relevant items
    of the precision at their rank; ``recall_at_k``: share of queries with an item of their class among the k
    nearest; ``mrr``: mean of 1 / rank of the first such item; ``median_rank``: median of its expected rank.
    Each is a mean over all orders of equally near items. ``recall_at_1_across`` is the mean of both ways'
    Recall@1. Queries without any such item in the gallery are left out (NaN in the per-query detail). With
    ``tags`` (N, C), the labels of items that have several, an item is right that shares one.
    """
    side = _sides(space, modality)
    tags = None if tags is None else tags[space.order]
    values: dict[str, float] = {}
    detail: dict[str, np.ndarray] = {}
    across, first = np.full(len(space), NULL), np.full(len(space), BACKGROUND, np.int64)
    tied, edges = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for way, (asking, asked) in WAYS.items():
        found, own_tied, own_edges = _one_way(
            space, np.flatnonzero(side == asking), np.flatnonzero(side == asked), first, tags
        )
        tied += own_tied
        edges += own_edges
        ranks = found.pop("rank")
        counted = ranks[~np.isnan(ranks)]
        values[f"median_rank_{way}"] = float(np.median(counted)) if len(counted) else NULL
        across = np.where(side == asking, found["recall_at_1"], across)
        for name, per_query in found.items():
            detail[f"per_query/{name}_{way}"] = space.per_query(per_query)
            values[f"{name}_{way}"] = mean_of_queries(detail[f"per_query/{name}_{way}"])
    values["recall_at_1_across"] = sum(values[f"recall_at_1_{way}"] for way in WAYS) / 2
    detail["per_query/recall_at_1_across"] = space.per_query(across)
    if tags is None:
        detail["per_query/nearest_label_across"] = space.per_query(first)
        detail["per_query/label"] = space.labels[in_input_order(space, space.codes)].astype(np.int64)
    detail["count/tied_cross_queries"], detail["count/edge_cross_distances"] = tied, edges
    return values, detail


def _sides(space: Space, modality: np.ndarray) -> np.ndarray:
    found = np.unique(modality)
    if not np.array_equal(found, [0, 1]):
        raise LosscopeError(f"modality holds {found.tolist()}; it must hold 0 (first) and 1 (second), both")
    return modality[space.order]


def _one_way(
    space: Space, asking: np.ndarray, asked: np.ndarray, first: np.ndarray, tags: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], int, int]:
    """The values per query, how many queries have ties that matter, and the distances at edges of buckets.

    The label of each query's nearest item is written into ``first``.
    """
    codes = space.codes[asked]
    labels = space.labels[codes]
    names = ("map", *(f"recall_at_{k}" for k in RECALLS), "rank", "mrr")
    found = {name: np.full(len(space), NULL) for name in names}
    relevant = np.zeros(len(asking), np.int64)
    tied = edges = 0
    for part, squared in Gallery.of(space.rows[asked]).tables(space.rows[asking]):
        queries = asking[part]
        nearest = ranked(squared, len(asked))
        first[queries] = nearest_labels(nearest, labels)
        if tags is None:
            hits = codes[nearest.columns] == space.codes[queries, None]
        else:
            hits = np.take_along_axis(shares(tags[queries], tags[asked]), nearest.columns, 1)
        relevant[part] = hits.sum(1)  # the whole gallery is ranked
        ranking = ties.Ranking.of(hits, nearest.tied)
        found["map"][queries] = ties.average_precision(ranking, relevant[part])
        for k in RECALLS:
            found[f"recall_at_{k}"][queries] = ties.recall(ranking, k)
        found["rank"][queries], found["mrr"][queries] = ties.first_ranks(ranking)
        tied += len(np.unique(ranking.row))
        edges += nearest.edges
    for per_query in found.values():
        per_query[asking[relevant == 0]] = NULL
    return found, tied, edges


@register(
    "measure",
    "modalities",
    quantities=[
        {
            "name": "modality_gap",
            "definition": "distance of the modalities' means / root of the mean within-modality variance",
            "unit": "ratio",
            "better": "lower",
            "scale": "log_ratio",
            "group": "cross-modal",
        },
        {
            "name": "intra_variance_audio",
            "definition": "intra-class variance of the {first} items",
            "label": "intra-class variance, {first}",
            "unit": "squared distance",
            "better": "neither",
            "scale": "log_ratio",
            "group": "cross-modal",
            "limits": "form",
        },
        {
            "name": "intra_variance_visual",
            "definition": "intra-class variance of the {second} items",
            "label": "intra-class variance, {second}",
            "unit": "squared distance",
            "better": "neither",
            "scale": "log_ratio",
            "group": "cross-modal",
            "limits": "form",
        },
    ],
    needs=("modality",),
)
@measured
def modalities(space: Space, *, modality: np.ndarray) -> Measurement:
    """Distance of the modalities' means over the root of their mean variance, after Liang et al. 2022.

    The variance of a modality is mean ‖z - μ‖² over its items. ``intra_variance_audio`` and ``…_visual`` are
    intra-class variance within one modality, over the classes that it has.
    """
    side = _sides(space, modality)
    parts = [torch.from_numpy(np.flatnonzero(side == which)).to(space.rows.device) for which in (0, 1)]
    means = [space.rows[part].mean(0) for part in parts]
    spread = (
        sum(float((space.rows[part] - mean).square().sum(1).mean()) for part, mean in zip(parts, means)) / 2
    )
    gap = float((means[0] - means[1]).norm())
    return {
        "modality_gap": gap / spread**0.5 if spread > 0 else NULL,
        "intra_variance_audio": _intra_variance(space, parts[0]),
        "intra_variance_visual": _intra_variance(space, parts[1]),
    }, {}


def _intra_variance(space: Space, part: torch.Tensor) -> float:
    rows = space.rows[part]
    _, groups = space.class_of_row[part].unique(return_inverse=True)
    squared = (rows - group_means(rows, groups)).square().sum(1)
    sizes = torch.bincount(groups)
    return float((squared / sizes[groups]).sum() / len(sizes))
