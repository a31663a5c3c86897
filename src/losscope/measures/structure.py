"""Geometry: how classes are spread and placed on the sphere.

Embeddings are L2-normalised first; standard deviations divide by n.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.registry import register
from losscope.measures.space import NULL, Measurement, Space, Stream, measured

ALL_CLASS_PAIRS = 5_000
"""Up to this many classes all pairs of class means are measured, above it a sample."""

SAMPLED_CLASS_PAIRS = 1_000_000


@register(
    "measure",
    "geometry",
    quantities=[
        {
            "name": "intra_variance",
            "definition": "mean over classes of the mean squared distance "
            "of a class's embeddings to their mean",
            "unit": "squared distance",
            "better": "neither",
            "scale": "log_ratio",
            "group": "geometry",
            "limits": "form",
            "label": "intra-class variance",
            "column": 120,
        },
        {
            "name": "intra_variance_std",
            "definition": "standard deviation over classes of intra-class variance",
            "unit": "squared distance",
            "better": "neither",
            "scale": "log_ratio",
            "group": "geometry",
            "limits": "form",
            "label": "intra-class variance, deviation",
        },
        {
            "name": "inter_distance",
            "definition": "mean distance between two class means",
            "unit": "distance",
            "better": "neither",
            "scale": "log_ratio",
            "group": "geometry",
            "label": "inter-class distance",
            "column": 130,
        },
        {
            "name": "inter_distance_std",
            "definition": "standard deviation over pairs of classes of the distance of their means",
            "unit": "distance",
            "better": "neither",
            "scale": "log_ratio",
            "group": "geometry",
            "label": "inter-class distance, deviation",
        },
        {
            "name": "intra_inter_ratio",
            "definition": "intra-class variance / inter-class distance squared: "
            "spread common to all classes removed",
            "unit": "ratio",
            "better": "lower",
            "scale": "log_ratio",
            "group": "geometry",
            "label": "intra/inter²",
            "column": 140,
        },
        {
            "name": "nc1",
            "definition": "tr(within covariance times pseudo-inverse of between covariance) / classes: "
            "neural collapse",
            "unit": "ratio",
            "better": "lower",
            "scale": "log_ratio",
            "group": "geometry",
            "label": "NC1",
        },
    ],
    uses=("seed",),
)
@measured
def geometry(space: Space, *, seed: int = 0) -> Measurement:
    """Spread of the classes and distance of their means.

    ``intra_variance`` is the mean over classes of mean ‖z_i - μ_c‖² (a lone member counts as 0),
    ``inter_distance`` the mean of ‖μ_a - μ_b‖ over pairs of classes (above 5,000 classes over 10⁶ pairs
    drawn with ``seed``; the detail ``count/class_pairs`` says how many), ``intra_inter_ratio`` the first
    over the square of the second, ``nc1`` = tr(Σ_W Σ_B⁺)/C of Papyan, Han and Donoho 2020, with Σ_W the mean
    over classes of a class's covariance, Σ_B the covariance of the class means, eigenvalues of Σ_B below
    1e-6 of the largest taken as 0. With one class all but the first two are null.
    """
    means = class_means(space)
    sizes = torch.from_numpy(space.sizes).to(space.rows)
    residuals = space.rows - means[space.class_of_row]
    variances = _sum_by_class(space, (residuals * residuals).sum(1)) / sizes
    distances, pairs = _class_distances(means, seed)
    intra = float(variances.mean())
    inter = float(distances.mean()) if pairs else NULL
    values = {
        "intra_variance": intra,
        "intra_variance_std": float(variances.std(correction=0)),
        "inter_distance": inter,
        "inter_distance_std": float(distances.std(correction=0)) if pairs else NULL,
        "intra_inter_ratio": intra / inter**2 if inter > 0 else NULL,
        "nc1": _collapse(residuals, means, 1.0 / (sizes * len(sizes))[space.class_of_row]),
    }
    detail = {
        "per_class/label": space.labels.astype(np.int64),
        "per_class/intra_variance": variances.cpu().numpy(),
        "count/class_pairs": np.array([pairs]),
    }
    return values, detail


def class_means(space: Space) -> Tensor:
    """(C, D) plain means of the classes."""
    return _sum_by_class(space, space.rows) / torch.from_numpy(space.sizes).to(space.rows)[:, None]


def _sum_by_class(space: Space, values: Tensor) -> Tensor:
    sums = values.new_zeros(len(space.labels), *values.shape[1:])
    return sums.index_add_(0, space.class_of_row, values)


def _class_distances(means: Tensor, seed: int) -> tuple[Tensor, int]:
    classes = len(means)
    if classes <= ALL_CLASS_PAIRS:
        distances = torch.nn.functional.pdist(means)
        return distances, len(distances)
    draw = np.random.default_rng(seed)
    first = draw.integers(classes, size=SAMPLED_CLASS_PAIRS)
    other = (first + draw.integers(1, classes, size=SAMPLED_CLASS_PAIRS)) % classes
    step = max(1, 8_000_000 // means.shape[1])
    parts = [
        (means[first[start : start + step]] - means[other[start : start + step]]).norm(dim=1)
        for start in range(0, SAMPLED_CLASS_PAIRS, step)
    ]
    return torch.cat(parts), SAMPLED_CLASS_PAIRS


def _collapse(residuals: Tensor, means: Tensor, weights: Tensor) -> float:
    # Σ_B = MᵀM / C, so its eigenvectors are M's right singular vectors,
    # and tr(Σ_W Σ_B⁺) = Σ_k v_kᵀ Σ_W v_k / λ_k.
    classes = len(means)
    _, singular, directions = torch.linalg.svd(means - means.mean(0), full_matrices=False)
    eigenvalues = singular**2 / classes
    if classes < 2 or not eigenvalues[0] > 0:
        return NULL
    kept = eigenvalues > 1e-6 * eigenvalues[0]
    along = (residuals @ directions[kept].T) ** 2
    return float((weights @ along / eigenvalues[kept]).sum() / classes)


@register(
    "measure",
    "spectrum",
    quantities=[
        {
            "name": "effective_rank",
            "definition": "exp of the entropy of the singular values (RankMe)",
            "unit": "dimensions",
            "better": "neither",
            "scale": "log_ratio",
            "group": "geometry",
        },
        {
            "name": "spectral_decay",
            "definition": "KL divergence from uniform to the normalised singular values; "
            "null if rank-deficient",
            "unit": "nats",
            "better": "neither",
            "scale": "log_ratio",
            "group": "geometry",
        },
    ],
)
@measured
def spectrum(space: Space) -> Measurement:
    """How evenly the embeddings fill their dimensions, from the singular values σ of the (N, D) matrix.

    With p = σ/Σσ, uncentred: ``effective_rank`` = exp(-Σ p log p), RankMe of Garrido et al. 2023 (without its
    ε); ``spectral_decay`` = KL(uniform ‖ p) of Roth et al. 2020, null if the matrix is rank-deficient (its
    smallest singular value at most 1e-7, the resolution of float32, of its largest).
    """
    singular = torch.linalg.svdvals(space.rows).cpu().numpy()
    if not singular[0] > 0:
        return {"effective_rank": NULL, "spectral_decay": NULL}, {}
    share = singular / singular.sum()
    positive = share[share > 0]
    rank = math.exp(-(positive * np.log(positive)).sum())
    full = singular[-1] > 1e-7 * singular[0]
    decay = -float(np.log(share * len(share)).mean()) if full else NULL
    return {"effective_rank": rank, "spectral_decay": decay}, {}


@register(
    "measure",
    "uniformity",
    quantities=[
        {
            "name": "uniformity",
            "definition": "log of the mean over pairs of exp(-2 d²)",
            "unit": "nats",
            "better": "neither",
            "scale": "difference",
            "delta": 0.05,
            "group": "geometry",
        },
    ],
)
@measured
def uniformity(space: Space) -> Stream:
    """Log of the mean over pairs of exp(-2 d²), Wang and Isola 2020, equation 2 with t = 2."""
    total, count = 0.0, len(space)
    while (chunk := (yield)) is not None:
        # Each pair once: what lies right of the diagonal block, and half of the block.
        kernel = (chunk.squared[:, chunk.start :] * -2.0).exp_()
        size = chunk.stop - chunk.start
        total += float(kernel[:, size:].sum()) + (float(kernel[:, :size].sum()) - size) / 2
    mean = total / (count * (count - 1) / 2) if count > 1 else NULL
    return {"uniformity": math.log(mean) if count > 1 else NULL}, {}


@register(
    "measure",
    "silhouette",
    quantities=[
        {
            "name": "silhouette",
            "definition": "mean silhouette coefficient",
            "unit": "index",
            "better": "higher",
            "scale": "difference",
            "delta": 0.05,
            "group": "geometry",
            "order": 1,
        },
    ],
)
@measured
def silhouette(space: Space) -> Stream:
    """Mean silhouette coefficient, Rousseeuw 1987: (b - a) / max(a, b) of the Euclidean distances.

    a is the mean distance to the own class, b the smallest mean distance to another; a lone member has 0.
    Null with one class, or where every class has one member.
    """
    sizes, codes = space.sizes, space.codes
    exists = 1 < len(sizes) < len(space)
    scores = np.zeros(len(space))
    while (chunk := (yield)) is not None:
        if not exists:
            continue
        sums = _class_sums(chunk.squared.sqrt(), space.starts)
        rows, own = np.arange(len(sums)), codes[chunk.start : chunk.stop]
        inside = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
        means = sums / sizes
        means[rows, own] = np.inf
        nearest = means.min(1)
        larger = np.maximum(inside, nearest)
        defined = (sizes[own] > 1) & (larger > 0)
        np.divide(nearest - inside, larger, out=scores[chunk.start : chunk.stop], where=defined)
    return {"silhouette": float(space.per_query(scores).mean()) if exists else NULL}, {}


def _class_sums(table: Tensor, starts: np.ndarray) -> np.ndarray:
    """(Q, C) sums over the columns of each class."""
    if table.device.type == "cpu":
        return np.add.reduceat(table.numpy(), starts[:-1], axis=1)
    upto = torch.nn.functional.pad(table.cumsum(1), (1, 0))
    return upto[:, torch.from_numpy(starts).to(table.device)].diff(dim=1).cpu().numpy()


@register(
    "measure",
    "alignment",
    quantities=[
        {
            "name": "alignment",
            "definition": "mean squared distance of explicit positive pairs",
            "unit": "squared distance",
            "better": "lower",
            "scale": "log_ratio",
            "group": "geometry",
        },
    ],
    needs=("positive_pairs",),
)
@measured
def alignment(space: Space, *, positive_pairs: tuple[np.ndarray, np.ndarray]) -> Measurement:
    """Mean squared distance of explicit positive pairs, Wang and Isola 2020, equation 1 with α = 2.

    ``positive_pairs`` holds the indices (P,) of the first and of the second items.
    """
    place = np.empty(len(space), np.int64)
    place[space.order] = np.arange(len(space))
    first, second = (torch.from_numpy(place[side]).to(space.rows.device) for side in positive_pairs)
    squared = (space.rows[first] - space.rows[second]).square().sum(1)
    return {"alignment": float(squared.mean()) if len(squared) else NULL}, {}
