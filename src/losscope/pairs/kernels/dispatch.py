"""All pairs and all triplets of a batch: values, counts and gradients in one pass, never a B³ tensor.

Forward computes the terms of every anchor and, in the same pass, the derivative of each by its distances, one
(B, B) matrix that takes the place of the distances; backward weighs it with what arrives at each anchor. The
work is done in blocks of anchors by the backend of the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from losscope.pairs.distances import pull, squared_and_close
from losscope.pairs.kernels.aligned import QUIET, per_member
from losscope.pairs.kernels.backend import Backend, backend_of
from losscope.pairs.products import product
from losscope.pairs.relation import Labels, Pairs, Relation, Triplets, Tuples, counted
from losscope.pairs.terms import Kernel, Terms


def all_contrastive(z: Tensor, relation: Relation, margin: float | Tensor) -> Terms:
    """Contrastive terms of every known pair of rows (..., B, D), z float32 or wider."""
    positive, negative = relation.masks()
    matrix, close = squared_and_close(z)
    lead = matrix.shape[:-1]
    valid = torch.stack([count.expand(lead) for count in relation.counts(positive, negative)])
    value, active = matrix.new_empty(valid.shape), valid.clone()
    rows = (*_rows(matrix, positive, negative, margin), *value.flatten(1), *active.flatten(1))
    backend = backend_of(matrix)
    _in_blocks(backend, backend.contrastive, rows, close)

    def backward(grad: Tensor) -> Tensor:
        points = z.detach()
        toward, away = grad[..., None, 0], grad[..., None, -1]
        if grad.shape[-2] > 1 or not relation.symmetric:
            return pull(torch.where(positive, 2 * toward, 2 * away * matrix), points)
        # One weight per member, so that the matrix is symmetric and one product serves.
        if grad.device.type == "cpu" and torch.equal(toward, away):
            return (matrix.sum(-1, keepdim=True) * points - product(matrix, points)) * (4 * toward)
        weighed = torch.where(positive, toward, away * matrix)
        return (weighed.sum(-1, keepdim=True) * points - product(weighed, points)) * 4

    value, active, valid = (part.movedim(0, -1) for part in (value, active, valid))
    return Terms(value, active, valid, paired=True, kernel=Kernel(z, backward))


def all_triplets(z: Tensor, relation: Relation, margin: float | Tensor, squared: bool) -> Terms:
    """Triplet terms of each anchor's positives with all its negatives, rows (..., B, D) float32 or wider."""
    positive, negative = relation.masks()
    matrix, close = squared_and_close(z)
    if not squared:
        matrix.sqrt_()
    value, active = triplet_slopes(matrix, positive, negative, margin, by_length=not squared, close=close)
    positives, negatives = relation.counts(positive, negative)

    def backward(grad: Tensor) -> Tensor:
        grad = 2 * grad.unsqueeze(-1) if squared else grad.unsqueeze(-1)
        if grad.shape[-2] > 1:
            return pull(matrix * grad, z.detach())
        return pull(matrix, z.detach()) * grad

    valid = (positives * negatives).expand(value.shape)
    return Terms(value, active, valid, kernel=Kernel(z, backward))


def triplet_slopes(
    reach: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float | Tensor,
    *,
    by_length: bool = False,
    close: bool = True,
) -> tuple[Tensor, Tensor]:
    """Per anchor Σ_pn max(0, t_p − x_n), t = reach of a positive + margin, x = reach of a negative.

    Only the positives are sorted. Each negative falls between two of them: running counts of the negatives in
    each gap give the number of negatives that violate each positive's margin, and a negative's place gives
    the number of positives that it violates. These numbers are the derivatives; with the reaches themselves
    they give the value. O(B log B) per anchor.

    Args:
        reach: (..., B, B), one row per anchor; overwritten with the derivative of the value by it.
        positive, negative: bool (..., B, B), which may lack the leading dimensions.
        margin: () or the leading shape.
        by_length: the derivative divided by the reach, 0 at 0, since that is what pulls on points need.
        close: whether a reach off the diagonal may be 0.

    Returns:
        value (..., B) and active (..., B) int64.
    """
    value = reach.new_empty(reach.shape[:-1])
    active = torch.empty_like(value, dtype=torch.int64)
    broken = ~reach.sum((-2, -1), keepdim=True).isfinite()
    some_broken = bool(broken.any())
    if some_broken:
        reach.masked_fill_(broken, 0)
    rows = (*_rows(reach, positive, negative, margin), value.view(-1), active.view(-1))
    backend = backend_of(reach)
    _in_blocks(backend, backend.triplets, rows, by_length, close or some_broken)
    if some_broken:
        # A NaN or infinite embedding is a NaN loss of its member, never a quiet 0, and no other's trouble.
        value.masked_fill_(broken.squeeze(-1), torch.nan)
        reach.masked_fill_(broken, torch.nan)
    return value, active


def log_ratio(z: Tensor, relation: Relation, scale: float | Tensor, in_batch: bool) -> Terms:
    """Per (anchor, positive): log(1 + Σ_n exp(scale · (z_a·z_n − z_a·z_p))), rows (..., B, D).

    On explicit pairs and triplets the negatives are the given ones and, with ``in_batch``, the partners that
    other anchors were given.
    """
    if in_batch and isinstance(relation, Tuples) and _all_have_a_positive(relation):
        return _own_against_all(z, relation, scale)
    anchors, positive, negative = candidates(relation, in_batch)
    matrix = _similarities(z, anchors, positive.shape[-1], scale)
    value = _softmax_rows(backend_of(matrix).positive_against_negatives, matrix, positive, negative)
    # Labels know their counts without the second mask, and a sum over a mask is quicker than any().
    labels = isinstance(relation, Labels)
    counts = relation.counts(positive, negative) if labels else (counted(positive), counted(negative))
    return _similarity_terms(z, matrix, value, counts[0] * (counts[1] > 0), scale)


def _all_have_a_positive(relation: Tuples) -> bool:
    """Whether every anchor of aligned tuples has its positive, so that no mask is needed."""
    if not relation.aligned or relation.valid is not None:
        return False
    return not isinstance(relation, Pairs) or bool(relation.same.all())


def _own_against_all(z: Tensor, relation: Tuples, scale: float | Tensor) -> Terms:
    """``log_ratio`` where each anchor has one partner and all other partners are its negatives."""
    anchors = relation.rows // relation.width
    matrix = _similarities(z, anchors, relation.rows - anchors, scale)
    value = matrix.new_empty(matrix.shape[:-1])
    backend = backend_of(matrix)
    rows = (matrix.view(-1, matrix.shape[-1]), value.view(-1))
    _in_blocks(backend, backend.own_against_all, rows, anchors)
    valid = torch.full_like(value, int(matrix.shape[-1] > 1), dtype=torch.int64)
    return _similarity_terms(z, matrix, value, valid, scale)


def _similarities(z: Tensor, anchors: int, others: int, scale: float | Tensor) -> Tensor:
    """scale · z_a·z of the first A rows with the last C, (..., A, C), without gradient."""
    points = z.detach()
    left = points[..., :anchors, :] * per_member(scale, 2, points)
    return product(left, points[..., points.shape[-2] - others :, :].mT)


def log_share(z: Tensor, relation: Relation, scale: float | Tensor) -> Terms:
    """Per anchor: mean over its positives of −log softmax of scale · z_a·z over all others, z (..., B, D)."""
    positive, negative = relation.masks()
    matrix = _similarities(z, relation.rows, relation.rows, scale)
    value = _softmax_rows(backend_of(matrix).positives_among_all, matrix, positive, negative)
    return _similarity_terms(z, matrix, value, positive.any(-1).long(), scale)


def multi_similarity(
    z: Tensor,
    relation: Relation,
    alpha: float | Tensor,
    beta: float | Tensor,
    base: float | Tensor,
) -> Terms:
    """Per anchor: log(1 + Σ_p exp(α(λ − s_p)))/α + log(1 + Σ_n exp(β(s_n − λ)))/β, s = z_a·z, λ = base."""
    positive, negative = relation.masks()
    matrix = _similarities(z, relation.rows, relation.rows, 1.0)
    work = backend_of(matrix).multi_similarity
    value = _softmax_rows(work, matrix, positive, negative, alpha, beta, base)
    positives, negatives = relation.counts(positive, negative)
    return _similarity_terms(z, matrix, value, (positives + negatives > 0).long(), 1.0)


def circle(z: Tensor, relation: Relation, margin: float | Tensor, scale: float | Tensor) -> Terms:
    """Per anchor: log(1 + Σ_n exp(γ·a_n·(s_n − m)) · Σ_p exp(−γ·a_p·(s_p − 1 + m))), s = z_a·z.

    The weights a_n = max(0, s_n + m) and a_p = max(0, 1 + m − s_p) are held still by the gradient.
    """
    positive, negative = relation.masks()
    matrix = _similarities(z, relation.rows, relation.rows, 1.0)
    value = _softmax_rows(backend_of(matrix).circle, matrix, positive, negative, margin, scale)
    positives, negatives = relation.counts(positive, negative)
    return _similarity_terms(z, matrix, value, (positives * negatives > 0).long(), 1.0)


def log_ratio_slopes(similarities: Tensor, distances: Tensor, relation: Relation) -> Tensor:
    """|∂L/∂d|, (..., B, B), of ``log_ratio`` up to a constant: |∂L/∂s|·d at fixed lengths.

    ``similarities`` (scaled cosines or dot products) are overwritten.
    """
    _softmax_rows(backend_of(similarities).positive_against_negatives, similarities, *relation.masks())
    return similarities.abs_() * distances.detach()


def log_share_slopes(similarities: Tensor, distances: Tensor, relation: Relation) -> Tensor:
    """``log_ratio_slopes`` of ``log_share``."""
    _softmax_rows(backend_of(similarities).positives_among_all, similarities, *relation.masks())
    return similarities.abs_() * distances.detach()


def multi_similarity_slopes(
    similarities: Tensor,
    distances: Tensor,
    relation: Relation,
    alpha: float | Tensor,
    beta: float | Tensor,
    base: float | Tensor,
) -> Tensor:
    """``log_ratio_slopes`` of ``multi_similarity``."""
    work = backend_of(similarities).multi_similarity
    _softmax_rows(work, similarities, *relation.masks(), alpha, beta, base)
    return similarities.abs_() * distances.detach()


def circle_slopes(
    similarities: Tensor,
    distances: Tensor,
    relation: Relation,
    margin: float | Tensor,
    scale: float | Tensor,
) -> Tensor:
    """``log_ratio_slopes`` of ``circle``."""
    _softmax_rows(backend_of(similarities).circle, similarities, *relation.masks(), margin, scale)
    return similarities.abs_() * distances.detach()


def candidates(relation: Relation, in_batch: bool) -> tuple[int, Tensor, Tensor]:
    """The number of anchor rows A and the masks (..., A, C) of positives and negatives among the last C rows.

    Explicit tuples have the negatives given and, with ``in_batch``, the partners given to other anchors.
    """
    match relation:
        case Pairs(index=None):
            return _aligned_pairs(relation, in_batch)
        case Triplets(index=None):
            return _aligned_triplets(relation, in_batch)
    positive, negative = relation.masks()
    if in_batch and isinstance(relation, Tuples):
        partners = positive if isinstance(relation, Pairs) else positive | negative
        given = partners.any(-2, keepdim=True)
        own = torch.eye(relation.rows, dtype=torch.bool, device=positive.device)
        negative = negative | (given & ~positive & ~own & positive.any(-1, keepdim=True))
    return relation.rows, positive, negative


def _aligned_pairs(relation: Pairs, in_batch: bool) -> tuple[int, Tensor, Tensor]:
    anchors, exists = _anchors(relation)
    own = torch.eye(anchors, dtype=torch.bool, device=relation.device)
    alike = relation.same & exists
    positive = own & alike.unsqueeze(-2)
    negative = own & (~relation.same & exists).unsqueeze(-2)
    if in_batch:
        negative = negative | (alike.unsqueeze(-1) & alike.unsqueeze(-2) & ~own)
    return anchors, positive, negative


def _aligned_triplets(relation: Triplets, in_batch: bool) -> tuple[int, Tensor, Tensor]:
    anchors, exists = _anchors(relation)
    own = torch.eye(anchors, dtype=torch.bool, device=relation.device)
    both = exists.unsqueeze(-1) & exists.unsqueeze(-2)
    positive, rest = own & both, ~own & both
    negative = torch.cat((rest, both), -1) if in_batch else torch.cat((torch.zeros_like(rest), positive), -1)
    return anchors, torch.cat((positive, torch.zeros_like(positive)), -1), negative


def _anchors(relation: Tuples) -> tuple[int, Tensor]:
    """The number of anchors of aligned tuples, and which of them have partners."""
    anchors = relation.rows // relation.width
    if relation.valid is not None:
        return anchors, relation.valid
    return anchors, torch.ones(anchors, dtype=torch.bool, device=relation.device)


def _softmax_rows(
    work: Callable[..., None],
    matrix: Tensor,
    positive: Tensor,
    negative: Tensor,
    *numbers: float | Tensor,
) -> Tensor:
    """The values of the anchors by ``work`` of a backend, which overwrites ``matrix`` with their slopes."""
    value = matrix.new_empty(matrix.shape[:-1])
    rows = _rows(matrix, positive, negative, *numbers)
    _in_blocks(backend_of(matrix), work, (*rows, value.view(-1)))
    return value


def _similarity_terms(
    z: Tensor, matrix: Tensor, value: Tensor, valid: Tensor, scale: float | Tensor
) -> Terms:
    """Terms of a softmax over similarities of the first A rows with the last C, ``matrix`` their slopes."""
    rows = z.shape[-2]
    anchors, others = matrix.shape[-2:]
    valid = valid.expand(value.shape)
    if anchors < rows:
        value = torch.cat((value, value.new_zeros((*value.shape[:-1], rows - anchors))), -1)
        valid = torch.cat((valid, valid.new_zeros((*valid.shape[:-1], rows - anchors))), -1)

    def backward(grad: Tensor) -> Tensor:
        points = z.detach()
        left, right = points[..., :anchors, :], points[..., rows - others :, :]
        factor = grad[..., :anchors].unsqueeze(-1) * per_member(scale, 2, points)
        uniform = grad.shape[-1] == 1
        slope = matrix if uniform else matrix * factor
        here, there = product(slope, right), product(slope.mT, left)
        out = here.add_(there) if anchors == rows else torch.cat((here, there), -2)
        return out.mul_(factor) if uniform else out

    return Terms(value, None, valid, kernel=Kernel(z, backward))


def _rows(matrix: Tensor, positive: Tensor, negative: Tensor, *numbers: float | Tensor) -> tuple[Tensor, ...]:
    """The anchors of all members in one line: (N, B) matrices and (N,) hyperparameters."""
    shape = matrix.shape
    parts = (
        part.expand(shape).reshape(shape[:-1].numel(), shape[-1]) for part in (matrix, positive, negative)
    )
    return *parts, *(_each_row(number, matrix) for number in numbers)


def _each_row(number: float | Tensor, matrix: Tensor) -> Tensor:
    """A hyperparameter of shape () or (...,) for each row of the matrices (..., B, B) in one line, (N,)."""
    number = per_member(number, 1, matrix)
    own = number if isinstance(number, Tensor) else matrix.new_full((1,), number)
    return own.expand(matrix.shape[:-1]).reshape(-1)


@QUIET
def _in_blocks(backend: Backend, work: Callable[..., None], parts: tuple[Tensor, ...], *more: int) -> None:
    """Call ``work`` of a backend on blocks of rows: the first row's number, the parts, the rest."""
    count, columns = parts[0].shape
    step = max(1, backend.CELLS // max(1, columns))
    arrays = [backend.array(part) for part in parts]
    for start in range(0, count, step):
        work(start, *(part[start : start + step] for part in arrays), *more)
