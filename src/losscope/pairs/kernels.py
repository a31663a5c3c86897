"""All pairs and all triplets of a batch: values, counts and gradients in one pass, never a B³ tensor.

Forward computes the terms of every anchor and, in the same pass, the derivative of each by its distances, one
(B, B) matrix that takes the place of the distances; backward weighs it with what arrives at each anchor. On
the CPU the work is done in small blocks of anchors (``blocks``), elsewhere in larger ones by the same steps
in torch (``elsewhere``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.pairs import blocks, elsewhere
from losscope.pairs.distances import product, pull, squared_and_close
from losscope.pairs.explicit import QUIET, bare, hyper
from losscope.pairs.relation import Relation
from losscope.pairs.terms import Kernel, Terms

CELLS_ON_CPU = 1 << 16
"""Distances worked on at once, so that the scratch of a block stays in the processor's cache."""

CELLS_ELSEWHERE = 1 << 24


def all_contrastive(z: Tensor, relation: Relation, margin: float | Tensor) -> Terms:
    """Contrastive terms of every known pair of rows (..., B, D), z float32 or wider."""
    positive, negative = relation.masks()
    matrix, close = squared_and_close(z)
    lead = matrix.shape[:-1]
    valid = torch.stack([count.expand(lead) for count in relation.counts(positive, negative)])
    value, active = matrix.new_empty(valid.shape), valid.clone()
    rows = (*_rows(matrix, positive, negative, margin), *value.flatten(1), *active.flatten(1))
    _in_blocks("contrastive", rows, close)

    def backward(grad: Tensor) -> Tensor:
        points = z.detach()
        toward, away = grad[..., None, 0], grad[..., None, -1]
        if grad.shape[-2] > 1 or not relation.symmetric:
            return pull(torch.where(positive, 2 * toward, 2 * away * matrix), points)
        # One weight a member, so that the matrix is symmetric and one product serves.
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
    # A NaN or infinite embedding is a NaN loss, never a quiet 0.
    value += 0 * z.detach().sum((-2, -1)).unsqueeze(-1)
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

    Only the positives are sorted. Each negative falls between two of them; running counts of the negatives in
    each gap give every positive the number of negatives that violate its margin, and the negative's place
    the number of positives that it violates. These numbers are the derivatives, and with the reaches
    themselves they give the value. O(B log B) an anchor.

    Args:
        reach: (..., B, B), one row an anchor; overwritten with the derivative of the value by it.
        positive, negative: bool (..., B, B), which may lack the leading dimensions.
        margin: () or the leading shape.
        by_length: the derivative divided by the reach, 0 at 0, since that is what pulls on points need.
        close: whether a reach off the diagonal may be 0.

    Returns:
        value (..., B) and active (..., B) int64.
    """
    value = reach.new_empty(reach.shape[:-1])
    active = torch.empty_like(value, dtype=torch.int64)
    rows = (*_rows(reach, positive, negative, margin), value.view(-1), active.view(-1))
    _in_blocks("triplets", rows, by_length, close)
    return value, active


def _rows(matrix: Tensor, positive: Tensor, negative: Tensor, margin: float | Tensor) -> tuple[Tensor, ...]:
    """The anchors of all members in one line: (N, B) matrices and (N,) margins."""
    shape = matrix.shape
    if isinstance(margin, Tensor):
        margins = torch.as_tensor(hyper(margin, 1, matrix), device=matrix.device)
    else:
        margins = matrix.new_full((1,), margin)
    masks = (mask.expand(shape).reshape(-1, shape[-1]) for mask in (positive, negative))
    return matrix.view(-1, shape[-1]), *masks, margins.expand(shape[:-1]).reshape(-1)


@QUIET
def _in_blocks(work: str, parts: tuple[Tensor, ...], *more: bool) -> None:
    matrix = parts[0]
    count, columns = matrix.shape
    on_cpu = matrix.device.type == "cpu"
    function = getattr(blocks if on_cpu else elsewhere, work)
    step = max(1, (CELLS_ON_CPU if on_cpu else CELLS_ELSEWHERE) // max(1, columns))
    arrays = [bare(part) for part in parts]
    for start in range(0, count, step):
        # The place of the diagonal in the block's rows: members follow each other, columns rows each.
        function(start % max(1, columns), *(part[start : start + step] for part in arrays), *more)
