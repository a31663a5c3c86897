"""Retrieval measures: how well a query's nearest neighbours are of its class.

Sources: Recall@k, Jégou et al. 2011 and Oh Song et al. 2016; R-precision and MAP@R, Musgrave, Belongie and
Lim 2020, "A Metric Learning Reality Check", section 3.2.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from losscope.measures.neighbours import Gallery, ordered, unit


def map_at_r_fast(embeddings: Tensor, labels: Tensor) -> Tensor:
    """MAP@R of small sets, leave-one-out, for a training loop; the same number as the full measure's.

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
    scores = [_member_map_at_r(rows, classes[m]) for m, rows in enumerate(members)]
    return torch.tensor(scores, dtype=torch.float64).reshape(lead)


def _member_map_at_r(rows: Tensor, classes: np.ndarray) -> float:
    relevant = others_of_class(classes)
    if not relevant.any() or not torch.isfinite(rows).all():
        return float("nan")
    rows = unit(rows)
    own = torch.arange(len(rows), device=rows.device)
    nearest = ordered(Gallery.of(rows).squared_distances(rows), int(relevant.max()), own).cpu().numpy()
    hits = classes[nearest] == classes[:, None]
    return float(average_precision_at_r(hits, relevant)[relevant > 0].mean())


def others_of_class(classes: np.ndarray) -> np.ndarray:
    """(N,) how many other items share each item's class: R of leave-one-out retrieval."""
    _, group, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    return sizes[group] - 1


def average_precision_at_r(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """(Q,) MAP@R of each query: the mean over ranks j ≤ R of (precision at j where j is a hit, else 0).

    Args:
        hits: (Q, K) whether the neighbour at each rank is of the query's class, K ≥ max R.
        relevant: (Q,) R of each query; 0 gives 0.
    """
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = hits & (ranks <= relevant[:, None])
    precision = np.cumsum(counted, axis=1, dtype=np.int32) / ranks
    return (precision * counted).sum(1) / np.maximum(relevant, 1)
