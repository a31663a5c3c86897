"""Cross-modal measures: retrieval from one modality into the other, and the gap between the two.

The first modality (``modality`` 0) is called audio and the second (1) visual, whatever they are.
"""

from __future__ import annotations

import numpy as np
import torch

from losscope.core.errors import LosscopeError
from losscope.core.registry import register
from losscope.measures import ties
from losscope.measures.neighbours import Gallery, ranked
from losscope.measures.ranking import group_means, in_input_order, mean_of_queries
from losscope.measures.space import NULL, Measurement, Space, measured

WAYS = {"audio_to_visual": (0, 1), "visual_to_audio": (1, 0)}
RECALLS = (1, 10)


@register(
    "measure",
    "cross_modal",
    quantities=[
        {
            "name": "map_audio_to_visual",
            "definition": "mean average precision of second-modality items by first-modality queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "mAP audio→visual",
        },
        {
            "name": "map_visual_to_audio",
            "definition": "mean average precision of first-modality items by second-modality queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
            "label": "mAP visual→audio",
        },
        {
            "name": "recall_at_1_audio_to_visual",
            "definition": "Recall@1 of the second modality by first-modality queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
        },
        {
            "name": "recall_at_1_visual_to_audio",
            "definition": "Recall@1 of the first modality by second-modality queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
        },
        {
            "name": "recall_at_10_audio_to_visual",
            "definition": "Recall@10 of the second modality by first-modality queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
        },
        {
            "name": "recall_at_10_visual_to_audio",
            "definition": "Recall@10 of the first modality by second-modality queries",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "cross-modal",
        },
    ],
    needs=("modality",),
)
@measured
def cross_modal(space: Space, *, modality: np.ndarray) -> Measurement:
    """Retrieval of the other modality's items of the query's class, both ways.

    ``map``: mean over queries of average precision over the whole gallery, the mean over its relevant items
    of the precision at their rank; ``recall_at_k``: share of queries with an item of their class among the k
    nearest; both are means over all orders of equally near items. Queries without any such item
    in the gallery are left out (NaN in the per-query detail).
    """
    side = _sides(space, modality)
    values: dict[str, float] = {}
    classes = in_input_order(space, space.codes)
    detail = {"per_query/label": space.labels[classes].astype(np.int64)}
    tied, edges = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for way, (asking, asked) in WAYS.items():
        found, own_tied, own_edges = _one_way(
            space, np.flatnonzero(side == asking), np.flatnonzero(side == asked)
        )
        tied += own_tied
        edges += own_edges
        for name, per_query in found.items():
            detail[f"per_query/{name}_{way}"] = space.per_query(per_query)
            values[f"{name}_{way}"] = mean_of_queries(detail[f"per_query/{name}_{way}"])
    detail["count/tied_cross_queries"], detail["count/edge_cross_distances"] = tied, edges
    return values, detail


def _sides(space: Space, modality: np.ndarray) -> np.ndarray:
    found = np.unique(modality)
    if not np.array_equal(found, [0, 1]):
        raise LosscopeError(f"modality holds {found.tolist()}; it must hold 0 (first) and 1 (second), both")
    return modality[space.order]


def _one_way(space: Space, asking: np.ndarray, asked: np.ndarray) -> tuple[dict[str, np.ndarray], int, int]:
    """The values per query, how many queries have ties that matter, and the distances at edges of buckets."""
    codes = space.codes[asked]
    found = {name: np.full(len(space), NULL) for name in ("map", *(f"recall_at_{k}" for k in RECALLS))}
    relevant = np.bincount(codes, minlength=len(space.labels))[space.codes[asking]]
    tied = edges = 0
    for part, squared in Gallery.of(space.rows[asked]).tables(space.rows[asking]):
        queries = asking[part]
        nearest = ranked(squared, len(asked))
        hits = codes[nearest.columns] == space.codes[queries, None]
        ranking = ties.Ranking.of(hits, nearest.tied)
        found["map"][queries] = ties.average_precision(ranking, relevant[part])
        for k in RECALLS:
            found[f"recall_at_{k}"][queries] = ties.recall(ranking, k)
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
            "definition": "intra-class variance of the first modality",
            "unit": "squared distance",
            "better": "neither",
            "scale": "log_ratio",
            "group": "cross-modal",
            "limits": "form",
        },
        {
            "name": "intra_variance_visual",
            "definition": "intra-class variance of the second modality",
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
