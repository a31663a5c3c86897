"""Losses over pairs and triplets of distances: contrastive and triplet.

Distances are Euclidean and taken on the embeddings as given: callers normalise (the registered fact
``normalised`` says so). Margins are distances, except in FaceNet's squared form of the triplet loss, where the
margin is a squared distance: equal margin numbers of two forms are never the same margin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.pairs import Relation, Terms, widened
from losscope.pairs.explicit import aligned_contrastive, aligned_triplet, hyper
from losscope.pairs.kernels import all_contrastive, all_triplets, triplet_slopes
from losscope.registry import register


@register(
    "loss",
    "contrastive",
    hinge=True,
    normalised=True,
    form="pairs",
    shape="squared hinge",
    reductions=("valid_mean", "balanced", "active_mean"),
    class_vectors=False,
    units={"margin": "distance"},
    positive=("margin",),
    defaults={"paper": {"margin": 1.0}, "matched": {"margin": 0.5}},
    space=[
        {"margin": 0.3, "reduction": "valid_mean"},
        {"margin": 0.3, "reduction": "balanced"},
        {"margin": 0.5, "reduction": "valid_mean"},
        {"margin": 0.5, "reduction": "balanced"},
        {"margin": 0.7, "reduction": "valid_mean"},
        {"margin": 0.7, "reduction": "balanced"},
    ],
    floor=False,
    force="contrastive_force",
)
def contrastive(embeddings: Tensor, relation: Relation, *, margin: float | Tensor = 0.5) -> Terms:
    """Contrastive loss: positives d², negatives max(0, margin − d)².

    The hinge is on the distance and the square outside it, without the ½ of the paper's text
    (pytorch-metric-learning's ``ContrastiveLoss`` is linear by default, and its ``power=2`` is another form).
    Active is a positive with d > 1e-3 and a negative with d < margin.

    Args:
        embeddings: (..., B, D).
        relation: labels, pairs, or triplets (each of which is one positive and one negative pair).
        margin: a distance, () or the leading shape.

    Returns:
        Terms (..., B, 2), positives and negatives apart.

    Raises:
        LosscopeError: embeddings that do not fit the relation.

    Source: Hadsell, Chopra, LeCun 2006, Dimensionality reduction by learning an invariant mapping, eq. 4.

    >>> from losscope.pairs import reduce
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> terms = contrastive(z, Relation.from_labels(torch.tensor([0, 1, 1])), margin=1.0)
    >>> round(reduce(terms, "valid_mean").item(), 4), terms.active.sum().item(), terms.valid.sum().item()
    (0.3117, 4, 6)
    """
    relation.check(embeddings)
    z = widened(embeddings)
    if relation.form != "labels":
        return _explicit_contrastive(z, relation, margin)
    return all_contrastive(z, relation, margin)


def _explicit_contrastive(z: Tensor, relation: Relation, margin: float | Tensor) -> Terms:
    same, exists = relation.same, relation.valid
    index: tuple[Tensor, ...] | None = None
    if relation.form == "triplets":
        anchor, positive, negative = relation.columns
        index = torch.cat((anchor, anchor), -1), torch.cat((positive, negative), -1)
        same = torch.cat((torch.ones_like(anchor), torch.zeros_like(anchor)), -1).bool()
        exists = None if exists is None else torch.cat((exists, exists), -1)
    elif not relation.aligned:
        index = relation.columns
    assert same is not None
    if index is None:
        return aligned_contrastive(z, same, exists, margin)
    both = torch.cat((rows_of(z, index[0]), rows_of(z, index[1])), -2)
    terms = aligned_contrastive(both, same, exists, margin)
    assert terms.active is not None
    parts = (part[..., : same.shape[-1], :].mT for part in (terms.value, terms.active, terms.valid))
    value, active, valid = (to_anchors(part, index[0].unsqueeze(-2), z.shape[-2]).mT for part in parts)
    return Terms(value, active, valid, paired=True)


def contrastive_force(
    distances: Tensor,
    relation: Relation,
    *,
    margin: float | Tensor = 0.5,
    reduction: str = "valid_mean",
    **_: object,
) -> Tensor:
    """|∂L/∂d_ij| of anchor i's term with j, (..., B, B), up to a constant of the member."""
    positive, negative = relation.masks()
    pull = 2 * distances * positive
    push = 2 * (torch.as_tensor(hyper(margin, 2, distances)) - distances).clamp_min(0) * negative
    if reduction == "balanced":
        count = [mask.sum((-2, -1), keepdim=True).clamp_min(1) for mask in (positive, negative)]
        return pull / count[0] + push / count[1]
    return pull + push


@register(
    "loss",
    "triplet",
    hinge=True,
    normalised=True,
    form="triplets",
    shape="linear hinge",
    reductions=("valid_mean", "active_mean"),
    class_vectors=False,
    units={"margin": "distance, or squared distance if squared"},
    positive=("margin",),
    defaults={"paper": {"margin": 1.0}, "matched": {"margin": 0.1}},
    space=[
        {"margin": 0.05},
        {"margin": 0.1},
        {"margin": 0.2},
        {"margin": 0.4},
        {"margin": 0.7},
        {"margin": 1.0},
    ],
    floor=False,
    force="triplet_force",
)
def triplet(
    embeddings: Tensor, relation: Relation, *, margin: float | Tensor = 0.1, squared: bool = False
) -> Terms:
    """Triplet loss: max(0, d_ap − d_an + margin), d Euclidean, or squared in FaceNet's form.

    On labels and on pairs an anchor's terms are all its positives with all its negatives, exact in
    O(B² log B) time and O(B²) memory. Active is a term > 0.

    Args:
        embeddings: (..., B, D).
        relation: labels, pairs or triplets.
        margin: a distance (a squared distance if ``squared``), () or the leading shape.
        squared: FaceNet's form, squared distances.

    Returns:
        Terms (..., B).

    Raises:
        LosscopeError: embeddings that do not fit the relation.

    Source: Schroff, Kalenichenko, Philbin 2015, FaceNet, eq. 3 (squared); the plain form is the common one.

    >>> from losscope.pairs import reduce
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> terms = triplet(z, Relation.from_labels(torch.tensor([0, 1, 1])), margin=0.5)
    >>> round(reduce(terms, "valid_mean").item(), 4), terms.active.tolist(), terms.valid.tolist()
    (0.381, [0, 0, 1], [0, 1, 1])
    """
    relation.check(embeddings)
    z = widened(embeddings)
    if relation.form != "triplets":
        return all_triplets(z, relation, margin, squared)
    if relation.aligned:
        return aligned_triplet(z, relation.valid, margin, squared)
    columns = relation.columns
    terms = aligned_triplet(
        torch.cat([rows_of(z, one) for one in columns], -2), relation.valid, margin, squared
    )
    assert terms.active is not None
    parts = (part[..., : columns[0].shape[-1]] for part in (terms.value, terms.active, terms.valid))
    value, active, valid = (to_anchors(part, columns[0], z.shape[-2]) for part in parts)
    return Terms(value, active, valid)


def triplet_force(
    distances: Tensor,
    relation: Relation,
    *,
    margin: float | Tensor = 0.1,
    squared: bool = False,
    **_: object,
) -> Tensor:
    """|∂L/∂d_ij| of anchor i's terms with j, (..., B, B): the number of violated terms (times 2d if squared)."""
    positive, negative = relation.masks()
    slope = distances.square() if squared else distances.clone()
    triplet_slopes(slope, positive, negative, margin)
    return slope.abs_() * (2 * distances) if squared else slope.abs_()


def rows_of(z: Tensor, index: Tensor) -> Tensor:
    """Rows of z (..., B, D) by an index (P,) or (..., P)."""
    if index.ndim == 1:
        return z.index_select(-2, index)
    return torch.take_along_dim(z, index.unsqueeze(-1), -2)


def to_anchors(parts: Tensor, anchor: Tensor, rows: int) -> Tensor:
    """Sums of pair values (..., P) by their anchor's row, (..., rows)."""
    out = parts.new_zeros((*parts.shape[:-1], rows))
    return out.scatter_add(-1, anchor.expand(parts.shape), parts)
