"""Losses that are softmaxes over the similarities of a batch: info_nce and sup_con.

Similarities are dot products divided by a temperature, so cosines where the caller normalises, as the
registered fact says. Every valid term of a softmax pulls a little, so nothing is counted as inactive.
"""

from __future__ import annotations

from torch import Tensor

from losscope.core.registry import force_of, register
from losscope.pairs import Relation, Terms, widened
from losscope.pairs.kernels.aligned import per_member
from losscope.pairs.kernels.dispatch import log_ratio, log_ratio_slopes, log_share, log_share_slopes


def _scale(temperature: float | Tensor) -> float | Tensor:
    return 1 / temperature


@register(
    "loss",
    "info_nce",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="softmax",
    reductions=("valid_mean",),
    class_vectors=False,
    units={"temperature": "cosine"},
    positive=("temperature",),
    bounds=[
        {"of": "temperature", "at_least": 0.001, "because": "smaller ones leave float32 no gradient"},
        {
            "of": "temperature",
            "at_most": 10.0,
            "because": "where a scale is given, the temperature is 1 / scale",
        },
    ],
    defaults={"paper": {"temperature": 0.1}, "matched": {"temperature": 0.1}},
    space=[
        {"temperature": 0.02},
        {"temperature": 0.05},
        {"temperature": 0.1},
        {"temperature": 0.2},
        {"temperature": 0.5},
        {"temperature": 1.0},
    ],
    floor=True,
)
def info_nce(
    embeddings: Tensor, relation: Relation, *, temperature: float | Tensor = 0.1, in_batch: bool = True
) -> Terms:
    """InfoNCE: for each positive, −log softmax of cos/temperature over it and the anchor's negatives.

    Other positives of the anchor stand in no denominator. Without labels (pairs, triplets) an anchor's
    negatives are its own and, if ``in_batch``, the partners given to other anchors, as for text pairs.

    Args:
        embeddings: (..., B, D).
        relation: labels, pairs or triplets.
        temperature: divides the cosines, () or the leading shape.
        in_batch: whether other anchors' partners are negatives; labels say it themselves.

    Returns:
        Terms (..., B); valid is an anchor's number of positives if it has a negative, else 0.

    Raises:
        LosscopeError: embeddings that do not fit the relation.

    Source: van den Oord, Li, Vinyals 2018, Contrastive predictive coding, eq. 4; Chen 2020, SimCLR, eq. 1.

    >>> from losscope.pairs import reduce
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> terms = info_nce(z, Relation.from_labels(torch.tensor([0, 1, 1])), temperature=0.5)
    >>> round(reduce(terms, "valid_mean").item(), 4), terms.valid.tolist()
    (0.5881, [0, 1, 1])
    """
    relation.check(embeddings)
    return log_ratio(widened(embeddings), relation, _scale(temperature), in_batch)


@force_of("info_nce")
def info_nce_force(
    distances: Tensor,
    relation: Relation,
    *,
    temperature: float | Tensor = 0.1,
    in_batch: bool = True,
    **_: object,
) -> Tensor:
    """|∂L/∂d_ij| = |∂L/∂s|·d of anchor i's terms with j, (..., B, B), up to a constant; unit vectors."""
    return log_ratio_slopes(_cosines(distances, temperature), distances, relation)


@register(
    "loss",
    "sup_con",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="softmax",
    reductions=("valid_mean",),
    class_vectors=False,
    units={"temperature": "cosine"},
    positive=("temperature",),
    bounds=[
        {"of": "temperature", "at_least": 0.001, "because": "smaller ones leave float32 no gradient"},
        {
            "of": "temperature",
            "at_most": 10.0,
            "because": "where a scale is given, the temperature is 1 / scale",
        },
    ],
    defaults={"paper": {"temperature": 0.1}, "matched": {"temperature": 0.1}},
    space=[
        {"temperature": 0.02},
        {"temperature": 0.05},
        {"temperature": 0.1},
        {"temperature": 0.2},
        {"temperature": 0.5},
        {"temperature": 1.0},
    ],
    floor=True,
)
def sup_con(embeddings: Tensor, relation: Relation, *, temperature: float | Tensor = 0.1) -> Terms:
    """Supervised contrastive loss: mean over an anchor's positives of −log softmax over all others.

    This is the "out" form, without the authors' factor τ/τ_base. Positives compete with each other, so that
    the loss has a positive floor: the logarithm of the number of positives.

    Args:
        embeddings: (..., B, D).
        relation: labels, or pairs and triplets, of which an anchor's known partners are "all others".
        temperature: divides the cosines, () or the leading shape.

    Returns:
        Terms (..., B); valid is 1 for an anchor with a positive.

    Raises:
        LosscopeError: embeddings that do not fit the relation.

    Source: Khosla et al. 2020, Supervised contrastive learning, eq. 2.

    >>> from losscope.pairs import reduce
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> terms = sup_con(z, Relation.from_labels(torch.tensor([0, 1, 1])), temperature=0.5)
    >>> round(reduce(terms, "valid_mean").item(), 4), terms.valid.tolist()
    (0.5881, [0, 1, 1])
    """
    relation.check(embeddings)
    return log_share(widened(embeddings), relation, _scale(temperature))


@force_of("sup_con")
def sup_con_force(
    distances: Tensor, relation: Relation, *, temperature: float | Tensor = 0.1, **_: object
) -> Tensor:
    """|∂L/∂d_ij| = |∂L/∂s|·d of anchor i's term with j, (..., B, B), up to a constant; unit vectors."""
    return log_share_slopes(_cosines(distances, temperature), distances, relation)


def _cosines(distances: Tensor, temperature: float | Tensor) -> Tensor:
    """Cosines of unit vectors at these distances, divided by the temperature."""
    return (1 - distances.detach().square() / 2) * per_member(_scale(temperature), 2, distances)
