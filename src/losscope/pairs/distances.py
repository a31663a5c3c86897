"""Distances that are exact where two points meet, with finite gradients everywhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from losscope.pairs.products import product

CLOSE = {torch.float32: 4e-3, torch.float64: 1e-6}
"""Squared distances below this share of the largest squared norm are recomputed from differences."""

CLOSE_ANYWHERE = 4e-6
"""And those below this: twice the distance at which a pull stops counting, squared."""

SHORTEST = 1e-12
"""A vector shorter than this has no direction."""

FEW_ROWS = 256
"""Up to so many rows a transpose is read from the cache."""

FIXED_AT_ONCE = 1 << 22
"""Numbers gathered at once for the recomputation, 16 MB in float32."""


def widened(embeddings: Tensor) -> Tensor:
    """Embeddings in at least float32: half precision is neither accurate nor wide enough for sums."""
    if embeddings.dtype in (torch.float32, torch.float64):
        return embeddings
    return embeddings.float()


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(embeddings, dim=-1, keepdim=True)
        length.masked_fill_(length < SHORTEST, torch.inf)
        unit = embeddings / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        along = (grad * unit).sum(-1, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).div_(length)


def normalise(embeddings: Tensor) -> Tensor:
    """Rows of length 1, (..., D), in at least float32; a zero row stays zero, and its gradient is zero.

    >>> normalise(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return _Normalise.apply(widened(embeddings))


def squared_distances(embeddings: Tensor) -> Tensor:
    """Squared Euclidean distances (..., B, B) of rows (..., B, D), without gradient.

    |a|² + |b|² − 2a·b in one matrix product about the batch's mean, which alone leaves a self-distance of up
    to 7.7e-4 and a duplicate's of 3.5e-4; so the diagonal is 0 and close pairs are taken from differences.

    >>> x = torch.tensor([[3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    >>> squared_distances(x).round(decimals=4).tolist()
    [[0.0, 0.0, 25.0], [0.0, 0.0, 25.0], [25.0, 25.0, 0.0]]
    """
    return squared_and_close(embeddings)[0]


def squared_and_close(embeddings: Tensor) -> tuple[Tensor, bool]:
    """Squared distances, and whether two rows may be close: at distance 0, or too near to count as active."""
    z = widened(embeddings.detach())
    x = z - z.mean(-2, keepdim=True)
    norms = x.square().sum(-1, keepdim=True)
    ones = torch.ones_like(norms)
    left = torch.cat((x, norms, ones), -1)
    right = torch.cat((-2 * x, ones, norms), -1)
    squared = product(left, right.mT)
    diagonal = squared.diagonal(dim1=-2, dim2=-1)
    diagonal.fill_(torch.inf)
    if z.shape[-2] < 2:
        return squared.fill_(0), True
    below = (CLOSE[z.dtype] * norms.amax(-2, keepdim=True)).clamp_min_(CLOSE_ANYWHERE)
    close = not bool((squared.amin((-2, -1), keepdim=True) > below).all())
    if close:
        _recompute(squared, z, squared <= below)
    diagonal.fill_(0)
    return squared, close


def _recompute(squared: Tensor, z: Tensor, which: Tensor) -> None:
    rows = z.shape[-2]
    points, flat = z.reshape(-1, z.shape[-1]), squared.view(-1)
    cells = which.view(-1).nonzero().squeeze(-1)
    for cell in cells.split(max(1, FIXED_AT_ONCE // max(1, z.shape[-1]))):
        first = cell.div(rows, rounding_mode="floor")
        second = first.div(rows, rounding_mode="floor") * rows + cell % rows
        flat[cell] = (points[first] - points[second]).square_().sum(-1)


def pull(coefficient: Tensor, embeddings: Tensor) -> Tensor:
    """Σ_j (c_ij + c_ji)(z_i − z_j), the gradient of Σ c_ij ‖z_i − z_j‖²/2.

    Two products for many rows, where adding the transpose, against the order of memory, costs more than one.
    """
    if coefficient.shape[-1] <= FEW_ROWS:
        both = coefficient + coefficient.mT
        out = both.sum(-1, keepdim=True) * embeddings
        out -= product(both, embeddings)
        return out
    both = coefficient.sum(-1) + coefficient.sum(-2)
    out = both.unsqueeze(-1) * embeddings
    out -= product(coefficient, embeddings)
    out -= product(coefficient.mT, embeddings)
    return out


class _PairDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor) -> Tensor:
        distances = squared_distances(embeddings).sqrt_()
        ctx.save_for_backward(embeddings, distances)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        embeddings, distances = ctx.saved_tensors
        return pull(torch.where(distances > 0, grad / distances, 0.0), embeddings)


def pair_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances (..., B, B) of rows (..., B, D); exact 0 on the diagonal and between duplicates.

    The gradient at distance 0 is 0.

    >>> pair_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    return _PairDistances.apply(widened(embeddings))


def row_distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (...) of rows (..., D) one by one; the gradient at distance 0 is 0.

    >>> row_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])).tolist()
    [5.0]
    """
    return torch.linalg.vector_norm(widened(first) - widened(second), dim=-1)
