"""Losses against class vectors: arcface, center_contrastive, proxy_nca and proxy_anchor.

The class vectors (..., C, D) are parameters of the run and are normalised here; the caller normalises the
embeddings. Classes are numbered 0..C−1. Every row is a term, or has its share of the terms of the classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require
from losscope.core.registry import register
from losscope.pairs import Labels, Relation, Terms, normalise, widened
from losscope.pairs.products import matmul

ANGLE_CLAMP = {torch.float32: 1e-7, torch.float64: 1e-15}
"""Cosines stay this far from ±1, where the angle has no finite derivative."""


def _cosines(
    embeddings: Tensor, relation: Relation, class_vectors: Tensor, loss: str
) -> tuple[Tensor, Tensor]:
    """Cosines (..., B, C) with the class vectors, and the labels (..., B)."""
    relation.check(embeddings)
    if not isinstance(relation, Labels):
        raise LosscopeError(f"{loss} was given {relation}; it has one vector per class and wants labels")
    labels = relation.labels
    z, w = widened(embeddings), normalise(class_vectors)
    require(
        w.dim() >= 2 and w.shape[-1] == z.shape[-1],
        f"class_vectors have shape {tuple(w.shape)}; (..., classes, {z.shape[-1]}) is wanted",
    )
    if labels.numel():
        low, high = (int(extreme) for extreme in labels.aminmax())
        require(
            low >= 0 and high < w.shape[-2],
            f"labels go from {low} to {high}; "
            f"{loss} with {w.shape[-2]} class vectors wants 0..{w.shape[-2] - 1}",
        )
    return matmul(z, w.mT), labels.expand(z.shape[:-1])


def _terms(logits: Tensor, labels: Tensor) -> Terms:
    value = logits.logsumexp(-1) - logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return Terms(value, None, torch.ones_like(labels))


def _column(value: float | Tensor, like: Tensor) -> Tensor:
    """A hyperparameter () or (...,) that meets cosines (..., B, C)."""
    value = torch.as_tensor(value, dtype=like.dtype, device=like.device).detach()
    return value[..., None, None]


@register(
    "loss",
    "arcface",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="softmax",
    reductions=("valid_mean",),
    class_vectors=True,
    units={"margin": "radians", "scale": "logit at cosine 1"},
    positive=("margin", "scale"),
    bounds=[
        {"of": "margin", "at_most": 3.141592653589793},
        {"of": "scale", "at_most": 1000.0, "because": "larger ones leave float32 no gradient"},
    ],
    defaults={"paper": {"margin": 0.5, "scale": 64.0}, "matched": {"margin": 0.5, "scale": 64.0}},
    space=[
        {"margin": 0.1},
        {"margin": 0.2},
        {"margin": 0.3},
        {"margin": 0.4},
        {"margin": 0.5},
        {"margin": 0.6},
    ],
    floor=False,
)
def arcface(
    embeddings: Tensor,
    relation: Relation,
    *,
    class_vectors: Tensor,
    margin: float | Tensor = 0.5,
    scale: float | Tensor = 64.0,
) -> Terms:
    """ArcFace: −log softmax over classes of scale·cos θ, with a margin added to the own class's angle.

    The margin is in radians (pytorch-metric-learning's is in degrees). Where θ + margin would pass π and the
    cosine would rise again, the own logit continues as cos θ − margin·sin(margin), as in the authors' code.

    Args:
        embeddings: (..., B, D).
        relation: labels 0..C−1.
        class_vectors: (..., C, D), of any length.
        margin: radians, () or the leading shape.
        scale: of the cosines, () or the leading shape.

    Returns:
        Terms (..., B), valid 1 everywhere.

    Raises:
        LosscopeError: pairs or triplets, labels outside 0..C−1, class vectors of another dimension.

    Source: Deng, Guo, Xue, Zafeiriou 2019, ArcFace, eq. 3.

    >>> z, w = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.eye(2)
    >>> terms = arcface(z, Relation.from_labels(torch.tensor([0, 1])), class_vectors=w, margin=0.3, scale=4.0)
    >>> [round(v, 4) for v in terms.value.tolist()]
    [0.0217, 0.7196]
    """
    cosines, labels = _cosines(embeddings, relation, class_vectors, "arcface")
    margin, scale = _column(margin, cosines), _column(scale, cosines)
    column = labels.unsqueeze(-1)
    edge = 1 - ANGLE_CLAMP[cosines.dtype]
    own = cosines.gather(-1, column).clamp(-edge, edge)
    # cos(θ + m), and past π a continuation that still falls.
    turned = own * margin.cos() - (1 - own.square()).sqrt() * margin.sin()
    turned = torch.where(own > -margin.cos(), turned, own - margin * margin.sin())
    return _terms(scale * cosines.scatter(-1, column, turned), labels)


@register(
    "loss",
    "center_contrastive",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="softmax",
    reductions=("valid_mean",),
    class_vectors=True,
    units={"margin": "cosine", "scale": "logit at cosine 1"},
    positive=("scale",),
    bounds=[
        {"of": "margin", "at_least": 0.0, "because": "it is taken off the own cosine"},
        {"of": "margin", "at_most": 2.0, "because": "cosines lie between -1 and 1"},
        {"of": "scale", "at_most": 1000.0, "because": "larger ones leave float32 no gradient"},
    ],
    defaults={"paper": {"margin": 0.2, "scale": 32.0}, "matched": {"margin": 0.2, "scale": 32.0}},
    space=[
        {"margin": 0.1, "scale": 16.0},
        {"margin": 0.2, "scale": 16.0},
        {"margin": 0.35, "scale": 16.0},
        {"margin": 0.1, "scale": 32.0},
        {"margin": 0.2, "scale": 32.0},
        {"margin": 0.35, "scale": 32.0},
    ],
    floor=False,
)
def center_contrastive(
    embeddings: Tensor,
    relation: Relation,
    *,
    class_vectors: Tensor,
    margin: float | Tensor = 0.2,
    scale: float | Tensor = 32.0,
) -> Terms:
    """Center contrastive loss: −log softmax over class centres of scale·cos, the own cosine less a margin.

    Our reading of the "CCL" that the follow-up study names after Cai 2023, whose text was not to be had: the
    centres are class vectors learned with the network, and the margin is taken off the own cosine. That makes
    it CosFace's form with centres for weights.

    Args:
        embeddings: (..., B, D).
        relation: labels 0..C−1.
        class_vectors: centres (..., C, D), of any length.
        margin: a cosine, () or the leading shape; 0 is allowed.
        scale: of the cosines, () or the leading shape.

    Returns:
        Terms (..., B), valid 1 everywhere.

    Raises:
        LosscopeError: pairs or triplets, labels outside 0..C−1, class vectors of another dimension.

    Source: after Cai et al. 2023, Center contrastive loss for metric learning.

    >>> z, w = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.eye(2)
    >>> terms = center_contrastive(z, Relation.from_labels(torch.tensor([0, 1])), class_vectors=w, scale=4.0)
    >>> [round(v, 4) for v in terms.value.tolist()]
    [0.04, 0.6931]
    """
    cosines, labels = _cosines(embeddings, relation, class_vectors, "center_contrastive")
    column = labels.unsqueeze(-1)
    own = cosines.gather(-1, column) - _column(margin, cosines)
    return _terms(_column(scale, cosines) * cosines.scatter(-1, column, own), labels)


@register(
    "loss",
    "proxy_nca",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="softmax",
    reductions=("valid_mean",),
    class_vectors=True,
    units={"temperature": "squared distance"},
    positive=("temperature",),
    bounds=[
        {"of": "temperature", "at_least": 0.001, "because": "smaller ones leave float32 no gradient"},
        {
            "of": "temperature",
            "at_most": 10.0,
            "because": "where a scale is given, the temperature is 1 / scale",
        },
    ],
    defaults={
        "paper": {"temperature": 0.1111111111111111},
        "matched": {"temperature": 0.1111111111111111},
    },
    space=[
        {"temperature": 0.03},
        {"temperature": 0.06},
        {"temperature": 0.1111111111111111},
        {"temperature": 0.2},
        {"temperature": 0.5},
        {"temperature": 1.0},
    ],
    floor=True,
)
def proxy_nca(
    embeddings: Tensor,
    relation: Relation,
    *,
    class_vectors: Tensor,
    temperature: float | Tensor = 0.1111111111111111,
) -> Terms:
    """ProxyNCA++: −log softmax over classes of −d²/temperature, d the distance to a class vector.

    The own class stands in the denominator, so that a row's terms are probabilities, as in ProxyNCA++ and not
    in ProxyNCA. Of unit vectors d² is 2 − 2·cos, so that it is a softmax of 2·cos/temperature. What else that
    paper changes (pooling, batches, a faster rate of the class vectors) is training and no part of the loss.

    Args:
        embeddings: (..., B, D).
        relation: labels 0..C−1.
        class_vectors: (..., C, D), of any length.
        temperature: divides the squared distances, () or the leading shape; 1/9 in the paper.

    Returns:
        Terms (..., B), valid 1 everywhere.

    Raises:
        LosscopeError: pairs or triplets, labels outside 0..C−1, class vectors of another dimension.

    Source: Teh, DeVries, Taylor 2020, ProxyNCA++; after Movshovitz-Attias et al. 2017, No fuss distance
    metric learning using proxies.

    >>> z, w = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.eye(2)
    >>> terms = proxy_nca(z, Relation.from_labels(torch.tensor([0, 1])), class_vectors=w, temperature=0.5)
    >>> [round(v, 4) for v in terms.value.tolist()]
    [0.0181, 0.3711]
    """
    cosines, labels = _cosines(embeddings, relation, class_vectors, "proxy_nca")
    return _terms(2 / _column(temperature, cosines) * cosines, labels)


@register(
    "loss",
    "proxy_anchor",
    hinge=False,
    normalised=True,
    takes="anchors",
    form="log-sum-exp",
    reductions=("valid_mean",),
    class_vectors=True,
    units={"margin": "cosine", "scale": "logit at cosine 1"},
    positive=("scale",),
    bounds=[
        {"of": "margin", "at_least": 0.0, "because": "it is taken off the own cosine"},
        {"of": "margin", "at_most": 2.0, "because": "cosines lie between -1 and 1"},
        {"of": "scale", "at_most": 1000.0, "because": "larger ones leave float32 no gradient"},
    ],
    defaults={"paper": {"margin": 0.1, "scale": 32.0}, "matched": {"margin": 0.1, "scale": 32.0}},
    space=[
        {"margin": 0.05, "scale": 16.0},
        {"margin": 0.1, "scale": 16.0},
        {"margin": 0.2, "scale": 16.0},
        {"margin": 0.05, "scale": 32.0},
        {"margin": 0.1, "scale": 32.0},
        {"margin": 0.2, "scale": 32.0},
    ],
    floor=True,
)
def proxy_anchor(
    embeddings: Tensor,
    relation: Relation,
    *,
    class_vectors: Tensor,
    margin: float | Tensor = 0.1,
    scale: float | Tensor = 32.0,
) -> Terms:
    """Proxy-Anchor loss: each class vector pulls the far rows of its class and pushes near ones of others.

    The mean over the batch's classes of log(1 + Σ_{x of c} exp(−scale·(cos − margin))), plus the mean over
    all class vectors of log(1 + Σ_{x not of c} exp(scale·(cos + margin))). A term belongs to a class. Each
    row has an equal share of the terms that it stands in, times B over the number of such terms, so that the
    mean over rows is the formula.

    Args:
        embeddings: (..., B, D).
        relation: labels 0..C−1.
        class_vectors: (..., C, D), of any length.
        margin: a cosine, the paper's δ, () or the leading shape; 0 is allowed.
        scale: the paper's α, () or the leading shape.

    Returns:
        Terms (..., B), valid 1 everywhere.

    Raises:
        LosscopeError: pairs or triplets, labels outside 0..C−1, class vectors of another dimension.

    Source: Kim, Kim, Cho, Kwak 2020, Proxy anchor loss for deep metric learning.

    >>> z, w = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.eye(2)
    >>> terms = proxy_anchor(z, Relation.from_labels(torch.tensor([0, 1])), class_vectors=w, scale=4.0)
    >>> [round(v, 4) for v in terms.value.tolist()]
    [0.94, 2.9181]
    """
    cosines, labels = _cosines(embeddings, relation, class_vectors, "proxy_anchor")
    # A class to a row of memory, over which sums do not depend on how many members there are.
    logits = cosines.mT.contiguous()
    margin, scale = _column(margin, logits), _column(scale, logits)
    classes, rows = logits.shape[-2:]
    own = labels.unsqueeze(-2) == torch.arange(classes, device=labels.device).unsqueeze(-1)
    logits = torch.where(own, margin - logits, margin + logits) * scale
    pull = _log_one_more(logits.masked_fill(~own, NOTHING))
    push = _log_one_more(logits.masked_fill(own, NOTHING))
    count = own.sum(-1)
    pull = pull / (count * (count > 0).sum(-1, keepdim=True)).clamp_min(1)
    push = push / ((rows - count) * classes).clamp_min(1)
    mine, every = (pull - push).gather(-1, labels), push.sum(-1, keepdim=True)
    return Terms((mine + every) * rows, None, torch.ones_like(labels))


NOTHING = -1e30
"""The logit of what has no part in a sum of exponentials; finite, so that the gradient of no term is 0."""


def _log_one_more(logits: Tensor) -> Tensor:
    """log(1 + Σ exp(logits)) over the last dimension.

    ``softplus`` and ``logaddexp`` round the last values of a tensor otherwise than those before, so that a
    member's numbers would depend on who stands beside it. The slope at 0 is 1/2, as |x| has none there.
    """
    total = logits.logsumexp(-1)
    far = total.abs()
    return (total + far) / 2 + (-far).exp().log1p()
