"""Losses over tuples of a batch: contrastive, triplet and n_pair.

Distances are Euclidean and taken on the embeddings as given: callers normalise (the registered fact
``normalised`` says so). Margins are distances, except in FaceNet's squared form of the triplet loss, where
the margin is a squared distance: the same number is a different margin in the two forms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.core.errors import require
from losscope.core.registry import force_of, register
from losscope.pairs import Pairs, Relation, Terms, Triplets, pair_distances, widened
from losscope.pairs.kernels.aligned import ACTIVE_DISTANCE, aligned_contrastive, aligned_triplet, per_member
from losscope.pairs.kernels.dispatch import (
    all_contrastive,
    all_triplets,
    candidates,
    log_ratio,
    log_ratio_slopes,
    triplet_slopes,
)
from losscope.pairs.products import matmul


@register(
    "loss",
    "contrastive",
    hinge=True,
    normalised=True,
    takes="pairs",
    form="squared hinge",
    reductions=("valid_mean", "balanced", "active_mean"),
    class_vectors=False,
    units={"margin": "distance"},
    positive=("margin",),
    bounds=[{"of": "margin", "at_most": 2.0, "because": "no distance of unit vectors is above 2"}],
    defaults={"paper": {"margin": 1.0}, "matched": {"margin": 0.5}},
    space=[
        {"margin": 0.3, "reduction": "valid_mean"},
        {"margin": 0.3, "reduction": "balanced"},
        {"margin": 0.5, "reduction": "valid_mean"},
        {"margin": 0.5, "reduction": "balanced"},
        {"margin": 0.7, "reduction": "valid_mean"},
        {"margin": 0.7, "reduction": "balanced"},
        {"margin": 1.0, "reduction": "valid_mean"},
        {"margin": 1.0, "reduction": "balanced"},
    ],
    floor=False,
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
    match relation:
        case Pairs():
            return _explicit_contrastive(z, relation, margin)
        case Triplets():
            return _explicit_contrastive(z, relation.as_pairs(), margin)
    return all_contrastive(z, relation, margin)


def _explicit_contrastive(z: Tensor, pairs: Pairs, margin: float | Tensor) -> Terms:
    if pairs.aligned:
        return aligned_contrastive(z, pairs.same, pairs.valid, margin)
    i, j = pairs.columns
    both = torch.cat((rows_of(z, i), rows_of(z, j)), -2)
    terms = aligned_contrastive(both, pairs.same, pairs.valid, margin)
    return by_anchor(terms, i, z.shape[-2])


@force_of("contrastive")
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
    push = 2 * (per_member(margin, 2, distances) - distances).clamp_min(0) * negative
    if reduction == "balanced":
        count = [mask.sum((-2, -1), keepdim=True).clamp_min(1) for mask in (positive, negative)]
        return pull / count[0] + push / count[1]
    return pull + push


@register(
    "loss",
    "triplet",
    hinge=True,
    normalised=True,
    takes="triplets",
    form="linear hinge",
    reductions=("valid_mean", "active_mean"),
    class_vectors=False,
    units={"margin": "distance, or squared distance if squared"},
    positive=("margin",),
    bounds=[
        {
            "of": "margin",
            "at_most": 2.0,
            "where": {"squared": False},
            "because": "distances of unit vectors differ by no more",
        },
        {
            "of": "margin",
            "at_most": 4.0,
            "where": {"squared": True},
            "because": "squared distances of unit vectors differ by no more",
        },
    ],
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
    if not isinstance(relation, Triplets):
        return all_triplets(z, relation, margin, squared)
    if relation.aligned:
        return aligned_triplet(z, relation.valid, margin, squared)
    columns = relation.columns
    rows = torch.cat([rows_of(z, column) for column in columns], -2)
    terms = aligned_triplet(rows, relation.valid, margin, squared)
    return by_anchor(terms, columns[0], z.shape[-2])


@force_of("triplet")
def triplet_force(
    distances: Tensor,
    relation: Relation,
    *,
    margin: float | Tensor = 0.1,
    squared: bool = False,
    **_: object,
) -> Tensor:
    """|∂L/∂d_ij| of anchor i's terms with j, (..., B, B): their number violated (times 2d if squared)."""
    positive, negative = relation.masks()
    slope = distances.square() if squared else distances.clone()
    triplet_slopes(slope, positive, negative, margin)
    return slope.abs_() * (2 * distances) if squared else slope.abs_()


@register(
    "loss",
    "n_pair",
    hinge=False,
    normalised=False,
    takes="anchors",
    form="softmax",
    reductions=("valid_mean",),
    class_vectors=False,
    units={"l2_weight": "loss per squared length"},
    positive=(),
    bounds=[{"of": "l2_weight", "at_least": 0.0, "because": "below it the lengths grow without end"}],
    defaults={"paper": {"l2_weight": 0.002}, "matched": {"l2_weight": 0.002}},
    space=[
        {"l2_weight": 0.0},
        {"l2_weight": 0.0005},
        {"l2_weight": 0.002},
        {"l2_weight": 0.01},
        {"l2_weight": 0.05},
        {"l2_weight": 0.2},
    ],
    floor=True,
)
def n_pair(
    embeddings: Tensor, relation: Relation, *, l2_weight: float | Tensor = 0.002, in_batch: bool = True
) -> Terms:
    """N-pair loss: for each (anchor, positive) log(1 + Σ_n exp(z_a·z_n − z_a·z_p)) of raw embeddings.

    Lengths are not normalised, so a declared L2 weight holds them: each term also has
    l2_weight · ½(‖z_a‖² + ‖z_p‖²), which over a batch of labels is l2_weight times the mean squared length.
    On pairs and triplets the negatives are those given and, if ``in_batch``, other anchors' partners.

    Args:
        embeddings: (..., B, D), not normalised.
        relation: labels, pairs or triplets.
        l2_weight: () or the leading shape, 0 or more.
        in_batch: whether other anchors' partners are negatives; labels say it themselves.

    Returns:
        Terms (..., B); valid is an anchor's number of positives if it has a negative, else 0.

    Raises:
        LosscopeError: embeddings that do not fit the relation, or a negative weight.

    Source: Sohn 2016, Improved deep metric learning with multi-class N-pair loss objective, eq. 7.

    >>> from losscope.pairs import reduce
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.8, 0.6]])
    >>> terms = n_pair(z, Relation.from_labels(torch.tensor([0, 1, 1])), l2_weight=0.0)
    >>> round(reduce(terms, "valid_mean").item(), 4), terms.valid.tolist()
    (0.3881, [0, 1, 1])
    """
    relation.check(embeddings)
    z = widened(embeddings)
    terms = log_ratio(z, relation, 1.0, in_batch)
    if not isinstance(l2_weight, Tensor):
        require(l2_weight >= 0, f"l2_weight is {l2_weight}; 0 or more is wanted")
        if l2_weight == 0:
            return terms
    anchors, positive, negative = candidates(relation, in_batch)
    pairs = (positive & negative.any(-1, keepdim=True)).to(z.dtype)
    square = z.square().sum(-1)
    here, there = square[..., :anchors], square[..., relation.rows - positive.shape[-1] :]
    lengths = (pairs.sum(-1) * here + matmul(pairs, there.unsqueeze(-1)).squeeze(-1)) / 2
    lengths = torch.nn.functional.pad(lengths, (0, relation.rows - anchors))
    weight = per_member(l2_weight, 1, z)
    return Terms(terms.value + weight * lengths, None, terms.valid)


@force_of("n_pair")
def n_pair_force(distances: Tensor, relation: Relation, *, embeddings: Tensor, **_: object) -> Tensor:
    """|∂L/∂d_ij| of anchor i's terms with j, (..., B, B), at the lengths that the raw embeddings have."""
    z = widened(embeddings.detach())
    return log_ratio_slopes(matmul(z, z.mT), distances, relation)


@register(
    "loss",
    "contrastive_label_blind",
    faulty=True,
    hinge=True,
    normalised=True,
    takes="pairs",
    form="squared hinge",
    reductions=("valid_mean",),
    class_vectors=False,
    units={"margin": "distance"},
    positive=("margin",),
    bounds=[{"of": "margin", "at_most": 2.0, "because": "no distance of unit vectors is above 2"}],
    defaults={"paper": {"margin": 1.0}, "matched": {"margin": 0.5}},
    space=[
        {"margin": 0.3},
        {"margin": 0.4},
        {"margin": 0.5},
        {"margin": 0.6},
        {"margin": 0.7},
        {"margin": 1.0},
    ],
    floor=True,
)
def contrastive_label_blind(embeddings: Tensor, relation: Relation, *, margin: float | Tensor = 0.5) -> Terms:
    """FAULTY, kept for study: a contrastive loss that combines each distance with the labels of all pairs.

    The paper's retrieval and classification scripts multiply distances (P, 1) by labels (P,), which
    broadcasts to P×P: every pair is pulled once for each positive pair of the batch and pushed once for each
    negative one, whatever it is itself. Permuting the labels changes nothing, and with as many positives as
    negatives at margin 1 the loss cannot fall below 0.25. Never use it to train.

    Args:
        embeddings: (..., B, D).
        relation: labels, pairs or triplets.
        margin: a distance, () or the leading shape.

    Returns:
        Terms (..., B, 2), each known pair counted once for every known pair.

    Raises:
        LosscopeError: embeddings that do not fit the relation.

    Source: the public retrieval and classification scripts of Zeng 2025, whose fault it is.

    >>> same = torch.tensor([True, False])
    >>> z = torch.tensor([[0.0], [0.0], [0.5], [0.5]])
    >>> terms = contrastive_label_blind(z, Relation.from_partners(same), margin=1.0)
    >>> (terms.value.sum() / terms.valid.sum()).item()
    0.25
    """
    relation.check(embeddings)
    z = widened(embeddings)
    positive, negative = relation.masks()
    distance = pair_distances(z)
    known = (positive | negative).to(z.dtype)
    pull = (distance.square() * known).sum(-1)
    gap = (per_member(margin, 2, z) - distance).clamp_min(0)
    push = (gap.square() * known).sum(-1)
    times = torch.stack([mask.sum((-2, -1)) for mask in (positive, negative)], -1).unsqueeze(-2)
    value = torch.stack((pull, push), -1) * times
    seen = positive | negative
    active = torch.stack((((distance > ACTIVE_DISTANCE) & seen).sum(-1), ((gap > 0) & seen).sum(-1)), -1)
    valid = (seen.sum(-1, keepdim=True) * times).expand(value.shape)
    return Terms(value, active * times, valid, paired=True)


def rows_of(z: Tensor, index: Tensor) -> Tensor:
    """Rows of z (..., B, D) by an index (P,) or (..., P)."""
    if index.ndim == 1:
        return z.index_select(-2, index)
    return torch.take_along_dim(z, index.unsqueeze(-1), -2)


def by_anchor(terms: Terms, anchor: Tensor, rows: int) -> Terms:
    """Terms of P tuples, the first P rows of ``terms``, summed by their anchor's row, (P,) or (..., P)."""

    def summed(part: Tensor) -> Tensor:
        if terms.paired:
            return to_anchors(part[..., : anchor.shape[-1], :].mT, anchor.unsqueeze(-2), rows).mT
        return to_anchors(part[..., : anchor.shape[-1]], anchor, rows)

    active = None if terms.active is None else summed(terms.active)
    return Terms(summed(terms.value), active, summed(terms.valid), paired=terms.paired)


def to_anchors(parts: Tensor, anchor: Tensor, rows: int) -> Tensor:
    """Sums of pair values (..., P) by their anchor's row, (..., rows)."""
    out = parts.new_zeros((*parts.shape[:-1], rows))
    return out.scatter_add(-1, anchor.expand(parts.shape), parts)
