"""Losses that are logarithms of sums of exponentials over an anchor's pairs: multi_similarity and circle.

Similarities are cosines: the caller normalises, as the registered fact says. A pair's exponential is its
weight, so that every pair counts a little and nothing is inactive.
"""

from __future__ import annotations

from torch import Tensor

from losscope.core.registry import force_of, register
from losscope.pairs import Relation, Terms, widened
from losscope.pairs.kernels import dispatch


@register(
    "loss",
    "multi_similarity",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="log-sum-exp",
    reductions=("valid_mean",),
    class_vectors=False,
    units={"alpha": "logit at cosine 1", "beta": "logit at cosine 1", "base": "cosine"},
    positive=("alpha", "beta"),
    bounds=[
        {"of": "alpha", "at_most": 1000.0, "because": "larger ones leave float32 no gradient"},
        {"of": "beta", "at_most": 1000.0, "because": "larger ones leave float32 no gradient"},
        {"of": "base", "at_least": -1.0, "because": "cosines lie between -1 and 1"},
        {"of": "base", "at_most": 1.0, "because": "cosines lie between -1 and 1"},
    ],
    defaults={
        "paper": {"alpha": 2.0, "beta": 50.0, "base": 0.5},
        "matched": {"alpha": 2.0, "beta": 50.0, "base": 0.5},
    },
    space=[
        {"base": 0.3, "beta": 20.0},
        {"base": 0.5, "beta": 20.0},
        {"base": 0.7, "beta": 20.0},
        {"base": 0.3, "beta": 50.0},
        {"base": 0.5, "beta": 50.0},
        {"base": 0.7, "beta": 50.0},
    ],
    floor=True,
)
def multi_similarity(
    embeddings: Tensor,
    relation: Relation,
    *,
    alpha: float | Tensor = 2.0,
    beta: float | Tensor = 50.0,
    base: float | Tensor = 0.5,
) -> Terms:
    """Multi-similarity loss: soft maxima of an anchor's far positives and of its near negatives.

    An anchor's term is log(1 + Σ_p exp(−alpha·(s_p − base)))/alpha for its positives, plus
    log(1 + Σ_n exp(beta·(s_n − base)))/beta for its negatives, with cosines s. All pairs count: the paper's
    mining, which leaves out easy pairs before, is not part of it
    (``pml:MultiSimilarityLoss()+MultiSimilarityMiner()`` has it).

    Args:
        embeddings: (..., B, D).
        relation: labels, or pairs and triplets, of which an anchor's known partners count.
        alpha: steepness of the positives, () or the leading shape.
        beta: steepness of the negatives, () or the leading shape.
        base: the cosine λ beyond which a pair weighs little, () or the leading shape.

    Returns:
        Terms (..., B); valid is 1 for an anchor with a positive or a negative.

    Raises:
        LosscopeError: embeddings that do not fit the relation.

    Source: Wang, Han, Huang, Dong, Scott 2019, Multi-similarity loss with general pair weighting for deep
    metric learning.

    >>> from losscope.pairs import reduce
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> terms = multi_similarity(z, Relation.from_labels(torch.tensor([0, 1, 1])))
    >>> round(reduce(terms, "valid_mean").item(), 4), terms.valid.tolist()
    (0.3994, [1, 1, 1])
    """
    relation.check(embeddings)
    return dispatch.multi_similarity(widened(embeddings), relation, alpha, beta, base)


@force_of("multi_similarity")
def multi_similarity_force(
    distances: Tensor,
    relation: Relation,
    *,
    alpha: float | Tensor = 2.0,
    beta: float | Tensor = 50.0,
    base: float | Tensor = 0.5,
    **_: object,
) -> Tensor:
    """|∂L/∂d_ij| = |∂L/∂s|·d of anchor i's term with j, (..., B, B), up to a constant; unit vectors."""
    return dispatch.multi_similarity_slopes(_cosines(distances), distances, relation, alpha, beta, base)


@register(
    "loss",
    "circle",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="log-sum-exp",
    reductions=("valid_mean",),
    class_vectors=False,
    units={"margin": "cosine", "scale": "logit at cosine 1"},
    positive=("scale",),
    bounds=[
        {"of": "margin", "at_least": 0.0, "because": "below it no negative is far enough"},
        {"of": "margin", "at_most": 1.0, "because": "beyond it a positive need not even be near"},
        {"of": "scale", "at_most": 1000.0, "because": "larger ones leave float32 no gradient"},
    ],
    defaults={"paper": {"margin": 0.4, "scale": 80.0}, "matched": {"margin": 0.4, "scale": 80.0}},
    space=[
        {"margin": 0.25, "scale": 40.0},
        {"margin": 0.4, "scale": 40.0},
        {"margin": 0.25, "scale": 80.0},
        {"margin": 0.4, "scale": 80.0},
        {"margin": 0.25, "scale": 160.0},
        {"margin": 0.4, "scale": 160.0},
    ],
    floor=True,
    held_weights=True,
)
def circle(
    embeddings: Tensor,
    relation: Relation,
    *,
    margin: float | Tensor = 0.4,
    scale: float | Tensor = 80.0,
) -> Terms:
    """Circle loss: pairs weighed by how far their cosines are from their optima, all compared softly.

    An anchor's term is log(1 + Σ_n exp(scale·a_n·(s_n − margin)) · Σ_p exp(−scale·a_p·(s_p − 1 + margin))),
    with cosines s and the weights a_n = max(0, s_n + margin), a_p = max(0, 1 + margin − s_p). The gradient
    holds the weights still, as the paper's does: it is not the slope of the value.

    Args:
        embeddings: (..., B, D).
        relation: labels, or pairs and triplets, of which an anchor's known partners count.
        margin: a cosine, the paper's m, () or the leading shape; 0 is allowed.
        scale: the paper's γ, () or the leading shape.

    Returns:
        Terms (..., B); valid is 1 for an anchor with a positive and a negative.

    Raises:
        LosscopeError: embeddings that do not fit the relation.

    Source: Sun et al. 2020, Circle loss: a unified perspective of pair similarity optimization.

    >>> from losscope.pairs import reduce
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> terms = circle(z, Relation.from_labels(torch.tensor([0, 1, 1])), scale=8.0)
    >>> round(reduce(terms, "valid_mean").item(), 4), terms.valid.tolist()
    (2.0533, [0, 1, 1])
    """
    relation.check(embeddings)
    return dispatch.circle(widened(embeddings), relation, margin, scale)


@force_of("circle")
def circle_force(
    distances: Tensor,
    relation: Relation,
    *,
    margin: float | Tensor = 0.4,
    scale: float | Tensor = 80.0,
    **_: object,
) -> Tensor:
    """|∂L/∂d_ij| = |∂L/∂s|·d of anchor i's term with j, (..., B, B), up to a constant; unit vectors."""
    return dispatch.circle_slopes(_cosines(distances), distances, relation, margin, scale)


def _cosines(distances: Tensor) -> Tensor:
    """Cosines of unit vectors at these distances."""
    return 1 - distances.detach().square() / 2
