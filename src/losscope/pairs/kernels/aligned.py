"""Explicit pairs and triplets, aligned: row k of the anchors with row k of their partners.

A step on 64 of them is all overhead, so on a CPU these run on NumPy, whose small operations cost less than
torch's; elsewhere the same lines run on torch.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.pairs.terms import Kernel, Terms

ACTIVE_DISTANCE = 1e-3
"""A positive nearer than this has no pull worth the name: contrastive counts it as inactive."""

TINY = 1e-18
"""Below any distance of distinct unit vectors: dividing by it instead of 0 leaves a zero force at 0."""


vecdot = getattr(np, "vecdot", None) or partial(np.einsum, "...k,...k->...")  # NumPy 2, or before

QUIET = np.errstate(all="ignore")
"""Overflow and NaN travel on to the loss without a word, as they do in torch."""


def bare(tensor: Tensor) -> Any:
    """The numbers of a tensor without gradient, as a NumPy array if they are on the CPU."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return tensor.numpy() if tensor.is_cpu else tensor


def as_tensor(array: Any) -> Tensor:
    """The tensor of an array that ``bare`` or an operation on it gave."""
    return array if isinstance(array, Tensor) else torch.from_numpy(array)


def per_member(value: float | Tensor, dims: int, like: Tensor) -> float | Tensor:
    """A hyperparameter of shape () or (...,), ready to meet a tensor ``like`` with ``dims`` more dimensions.

    >>> per_member(0.5, 2, torch.ones(3, 4, 4))
    0.5
    >>> per_member(torch.ones(3), 2, torch.ones(3, 4, 4)).shape
    torch.Size([3, 1, 1])
    """
    if not isinstance(value, Tensor):
        return value
    return value.detach().to(like).reshape(*value.shape, *[1] * (dims if value.dim() else 0))


def _margins(margin: float | Tensor, embeddings: Tensor) -> Any:
    margin = per_member(margin, 1, embeddings)
    return bare(margin) if isinstance(margin, Tensor) else margin


def _zeros(like: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if isinstance(like, np.ndarray):
        return np.zeros(shape, dtype)
    return like.new_zeros(shape, dtype=dtype)


def _lengths(difference: Any) -> Any:
    if isinstance(difference, Tensor):
        return torch.linalg.vector_norm(difference, dim=-1)
    return np.sqrt(vecdot(difference, difference))


@QUIET
def aligned_contrastive(
    embeddings: Tensor, same: Tensor, exists: Tensor | None, margin: float | Tensor
) -> Terms:
    """Contrastive terms of the pairs (k, b + k) of (..., 2b, D); same and exists (..., b)."""
    z, alike, margin = bare(embeddings), bare(same), _margins(margin, embeddings)
    xp: Any = np if isinstance(z, np.ndarray) else torch
    half = z.shape[-2] // 2
    shape = (*z.shape[:-2], 2, 2 * half)
    difference = z[..., :half, :] - z[..., half:, :]
    distance = _lengths(difference)
    gap = margin - distance
    gap = gap * (gap > 0)
    reach = xp.where(alike, distance, gap)
    live = reach > ACTIVE_DISTANCE * alike
    which = _zeros(z, (*alike.shape[:-1], 2, half), alike.dtype)
    which[..., 0, :] = alike
    which[..., 1, :] = ~alike
    if exists is not None:
        which = which & bare(exists)[..., None, :]
    value, counts = _zeros(z, shape, z.dtype), _zeros(z, (2, *shape), xp.int64)
    value[..., :half] = (reach * reach)[..., None, :] * which
    counts[0, ..., :half] = live[..., None, :] & which
    counts[1, ..., :half] = which
    force = xp.where(alike, 2.0, gap * -2.0 / (distance + TINY))

    @QUIET
    def backward(grad: Tensor) -> Tensor:
        weight = bare(grad)
        if weight.shape[-1] == 1:
            weight = force * weight[..., 0]
        else:
            weight = force * xp.where(alike, weight[..., :half, 0], weight[..., :half, 1])
        if exists is not None:
            weight = weight * bare(exists)
        out = xp.empty_like(z)
        pull = out[..., :half, :]
        xp.multiply(difference, weight[..., None], out=pull)
        xp.negative(pull, out=out[..., half:, :])
        return as_tensor(out)

    kernel = Kernel(embeddings, backward, half if exists is None else None)
    value, counts = as_tensor(value.swapaxes(-1, -2)), as_tensor(counts.swapaxes(-1, -2))
    return Terms(value, counts[0], counts[1], True, kernel)


@QUIET
def aligned_triplet(
    embeddings: Tensor, exists: Tensor | None, margin: float | Tensor, squared: bool
) -> Terms:
    """Triplet terms of the rows (k, b + k, 2b + k) of (..., 3b, D); exists (..., b)."""
    z, margin = bare(embeddings), _margins(margin, embeddings)
    xp: Any = np if isinstance(z, np.ndarray) else torch
    third = z.shape[-2] // 3
    shape = (*z.shape[:-2], 3 * third)
    toward = z[..., :third, :] - z[..., third : 2 * third, :]
    away = z[..., :third, :] - z[..., 2 * third :, :]
    near, far = _lengths(toward), _lengths(away)
    term = near * near - far * far if squared else near - far
    term = term + margin
    live = term > 0
    if exists is not None:
        live = live & bare(exists)
    value, counts = _zeros(z, shape, z.dtype), _zeros(z, (2, *shape), xp.int64)
    value[..., :third] = term * live
    counts[0, ..., :third] = live
    counts[1, ..., :third] = 1 if exists is None else bare(exists)

    @QUIET
    def backward(grad: Tensor) -> Tensor:
        weight = bare(grad)[..., :third] * live
        toward_weight, away_weight = (
            (-2 * weight, 2 * weight) if squared else (-weight / (near + TINY), weight / (far + TINY))
        )
        out = xp.empty_like(z)
        anchor, positive, negative = (out[..., k * third : (k + 1) * third, :] for k in range(3))
        xp.multiply(toward, toward_weight[..., None], out=positive)
        xp.multiply(away, away_weight[..., None], out=negative)
        xp.add(positive, negative, out=anchor)
        xp.negative(anchor, out=anchor)
        return as_tensor(out)

    kernel = Kernel(embeddings, backward, third if exists is None else None)
    counts = as_tensor(counts)
    return Terms(as_tensor(value), counts[0], counts[1], False, kernel)
