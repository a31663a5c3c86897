"""All pairs and all triplets of a batch: values, counts and gradients in one pass, never a B³ tensor.

Each kernel is an ``autograd.Function`` of the embeddings alone. Forward computes the terms of every anchor
and, in the same pass, the derivative of each by its distances; backward weighs that matrix with whatever
gradient arrives at each anchor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.pairs.distances import pull, squared_distances

ACTIVE_DISTANCE = 1e-3
"""A positive nearer than this has no pull worth the name: contrastive counts it as inactive."""

TINY = 1e-18
BLOCK = 1 << 16
"""Distances worked on at once, so that the scratch of the triplet kernel stays in the processor's cache."""


def per_member(value: float | Tensor, dims: int, like: Tensor) -> float | Tensor:
    """A hyperparameter of shape () or (...,) made ready to meet a tensor with ``dims`` more dimensions."""
    if isinstance(value, Tensor):
        value = value.detach().to(like)
        return value.view(*value.shape, *[1] * dims) if value.ndim else value
    return value


class AlignedPairs(torch.autograd.Function):
    """Contrastive terms of rows (k, b + k); see ``contrastive``. Returns value and active, (..., 2, 2b)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, same: Tensor, valid: Tensor, margin: float | Tensor) -> Any:
        half = z.shape[-2] // 2
        difference = z[..., :half, :] - z[..., half:, :]
        distance = torch.linalg.vector_norm(difference, dim=-1)
        gap = (per_member(margin, 1, distance) - distance).clamp_min_(0)
        value = z.new_zeros((*z.shape[:-2], 2, 2 * half))
        active = torch.zeros_like(value, dtype=torch.int64)
        reach = torch.where(same, distance, gap)
        torch.mul(reach.square().unsqueeze(-2), valid, out=value[..., :half])
        floor = torch.where(same, ACTIVE_DISTANCE, 0.0)
        torch.mul((reach > floor).unsqueeze(-2), valid, out=active[..., :half])
        ctx.save_for_backward(difference, distance, gap, same, valid)
        ctx.mark_non_differentiable(active)
        return value, active

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> Any:  # type: ignore[override]
        difference, distance, gap, same, valid = ctx.saved_tensors
        half = difference.shape[-2]
        weight = (grad[..., :half] * valid).sum(-2)
        weight = weight * torch.where(same, 2.0, gap / distance.clamp_min(TINY) * -2.0)
        out = difference.new_empty((*difference.shape[:-2], 2 * half, difference.shape[-1]))
        torch.mul(difference, weight.unsqueeze(-1), out=out[..., :half, :])
        torch.neg(out[..., :half, :], out=out[..., half:, :])
        return out, None, None, None


class AllPairs(torch.autograd.Function):
    """Contrastive terms of every known pair. Returns value and active, (..., 2, B)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, positive: Tensor, negative: Tensor, margin: float | Tensor) -> Any:
        squared = squared_distances(z)
        distance = squared.sqrt()
        gap = (per_member(margin, 2, z) - distance).clamp_min_(0)
        gap *= negative
        value = z.new_empty((*z.shape[:-2], 2, z.shape[-2]))
        active = torch.empty_like(value, dtype=torch.int64)
        torch.sum(squared * positive, -1, out=value[..., 0, :])
        torch.sum(gap.square(), -1, out=value[..., 1, :])
        torch.sum((distance > ACTIVE_DISTANCE) & positive, -1, out=active[..., 0, :])
        torch.sum(gap > 0, -1, out=active[..., 1, :])
        gap /= distance.masked_fill_(distance == 0, torch.inf)  # no direction, no force
        ctx.save_for_backward(z, positive, gap)
        ctx.mark_non_differentiable(active)
        return value, active

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> Any:  # type: ignore[override]
        z, positive, gap = ctx.saved_tensors
        toward, away = (2 * grad).unsqueeze(-1).unbind(-3)
        coefficient = torch.where(positive, toward, gap * -away)
        return pull(coefficient, z), None, None, None


class AlignedTriplets(torch.autograd.Function):
    """Triplet terms of rows (k, b + k, 2b + k). Returns value and active, (..., 3b)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, valid: Tensor | None, margin: float | Tensor, squared: bool) -> Any:
        third = z.shape[-2] // 3
        anchor = z[..., :third, :]
        partner = z[..., third:, :].unflatten(-2, (2, third))
        difference = anchor.unsqueeze(-3) - partner
        distance = torch.linalg.vector_norm(difference, dim=-1)
        reach = distance.square() if squared else distance
        term = (reach[..., 0, :] - reach[..., 1, :] + per_member(margin, 1, z)).clamp_min_(0)
        if valid is not None:
            term *= valid
        value = z.new_zeros((*z.shape[:-2], 3 * third))
        active = torch.zeros_like(value, dtype=torch.int64)
        value[..., :third] = term
        active[..., :third] = term > 0
        ctx.save_for_backward(difference, distance, term)
        ctx.squared = squared
        ctx.mark_non_differentiable(active)
        return value, active

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> Any:  # type: ignore[override]
        difference, distance, term = ctx.saved_tensors
        third = difference.shape[-2]
        weight = (grad[..., :third] * (term > 0)).unsqueeze(-2)
        weight = weight * 2 if ctx.squared else weight / distance.clamp_min(TINY)
        lead = difference.shape[:-3]
        out = difference.new_empty((*lead, 3, third, difference.shape[-1]))
        difference = difference * weight.unsqueeze(-1)
        torch.sub(difference[..., 0, :, :], difference[..., 1, :, :], out=out[..., 0, :, :])
        torch.neg(difference[..., 0, :, :], out=out[..., 1, :, :])
        out[..., 2, :, :] = difference[..., 1, :, :]
        return out.flatten(-3, -2), None, None, None


class AllTriplets(torch.autograd.Function):
    """Triplet terms of each anchor's positives with all its negatives. Returns value and active, (..., B)."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, positive: Tensor, negative: Tensor, margin: float | Tensor, squared: bool
    ) -> Any:
        reach = squared_distances(z)
        if not squared:
            reach.sqrt_()
        value, active, slope = triplet_terms(reach, positive, negative, margin)
        value += 0 * z.sum((-2, -1)).unsqueeze(
            -1
        )  # a NaN or infinite embedding is a NaN loss, never a quiet 0
        if squared:
            slope *= 2
        else:
            slope /= reach.masked_fill_(reach == 0, torch.inf)  # no direction, no force
        ctx.save_for_backward(z, slope)
        ctx.mark_non_differentiable(active)
        return value, active

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> Any:  # type: ignore[override]
        z, slope = ctx.saved_tensors
        return pull(slope * grad.unsqueeze(-1), z), None, None, None, None


def triplet_terms(
    reach: Tensor, positive: Tensor, negative: Tensor, margin: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Per anchor Σ_pn max(0, t_p − x_n), t = reach of a positive + margin, x = reach of a negative.

    Only the positives are sorted. Each negative falls by binary search between them; running counts and sums
    of the negatives in each gap give every positive the number and the sum of the negatives that violate
    its margin, and the negative's place the number of positives that it violates. O(B log B) an anchor.

    Args:
        reach, positive, negative: (..., B, B), one row an anchor; masks may lack the leading dimensions.
        margin: () or the leading shape.

    Returns:
        value (..., B), active (..., B) int64, slope (..., B, B) = derivative of the value by ``reach``.
    """
    shape = reach.shape
    margins = torch.as_tensor(per_member(margin, 1, reach), dtype=reach.dtype, device=reach.device)
    value, active, slope = _triplet_rows(
        reach.flatten(0, -2),
        positive.expand(shape).reshape(-1, shape[-1]),
        negative.expand(shape).reshape(-1, shape[-1]),
        margins.expand(shape[:-1]).reshape(-1),
    )
    return value.view(shape[:-1]), active.view(shape[:-1]), slope.view(shape)


def _triplet_rows(
    reach: Tensor, positive: Tensor, negative: Tensor, margin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    rows, columns = reach.shape
    value = reach.new_empty(rows)
    active = torch.empty(rows, dtype=torch.int64, device=reach.device)
    slope = torch.empty_like(reach)
    step = max(1, BLOCK // max(1, columns))
    for start in range(0, rows, step):
        block = slice(start, start + step)
        parts = (t[block].numpy() for t in (reach, positive, negative, margin, value, active, slope))
        _triplet_block(*parts)
    return value, active, slope


def _triplet_block(reach, positive, negative, margin, value, active, slope) -> None:
    rows, _ = reach.shape
    anchor, column = np.nonzero(positive)
    count = np.bincount(anchor, minlength=rows)
    most = int(count.max(initial=0))
    if most == 0:
        value[:], active[:], slope[:] = 0, 0, 0
        return
    width = 1 << most.bit_length()
    first = np.cumsum(count) - count
    place = np.arange(anchor.size) - first[anchor]
    limit = np.full((rows, width), np.inf, reach.dtype)
    limit[anchor, place] = reach[anchor, column] + margin[anchor]
    order = np.argsort(limit, -1)
    limit = np.take_along_axis(limit, order, -1)
    x = np.where(negative, reach, np.inf)
    base = np.arange(rows) * width
    rank = _rank(limit.ravel(), x, base, width)
    number = np.bincount(rank.ravel(), minlength=rows * width).reshape(rows, width)
    total = np.bincount(rank.ravel(), weights=x.ravel(), minlength=rows * width).reshape(rows, width)
    number, total = number[:, :most].cumsum(-1), total[:, :most].cumsum(-1)
    exists = np.arange(most) < count[:, None]
    number *= exists
    with np.errstate(invalid="ignore"):
        terms = number * limit[:, :most].astype(np.float64) - total
    value[:] = np.where(number > 0, terms, 0).sum(-1)
    active[:] = number.sum(-1)
    np.minimum(rank - (base + count)[:, None], 0, out=slope, casting="unsafe")
    back = np.empty((rows, width), np.int64)
    np.put_along_axis(back, order, np.arange(width)[None], -1)
    slope[anchor, column] = number[anchor, back[anchor, place]]


def _rank(limit, x, base, width):
    """base + number of limits of the row that are ≤ x, by a binary search without branches."""
    low = np.broadcast_to(base[:, None], x.shape).copy()
    probe = np.empty_like(x)
    step = width // 2
    while step:
        np.take(limit[step - 1 :], low, out=probe, mode="clip")
        low += (probe <= x) * step
        step //= 2
    return low
