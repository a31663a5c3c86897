"""Unreduced losses, and the one place where they are reduced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from losscope.core.errors import LosscopeError, unknown

REDUCTIONS = ("valid_mean", "active_mean", "balanced")

Backward = Callable[[Tensor], Tensor]
"""From ∂L/∂value, shaped like the value or with one entry per member in place of its rows, to ∂L/∂z."""


class Kernel(NamedTuple):
    """How a hand-written loss passes gradients on: to the embeddings ``z``, by ``backward``."""

    z: Tensor
    backward: Backward
    total: int | None = None
    """The number of valid terms of every member, where it is known without counting."""


class Terms:
    """A loss before reduction, one entry per row; rows without a term have ``valid`` 0.

    Attributes:
        value: (..., B), the sum of the row's terms, float32 or wider; (..., B, 2) if ``paired``.
        active: int64 like ``value``, terms whose derivative by the distance is not 0; None for softmax.
        valid: int64 like ``value``, terms there are.
        paired: positives and negatives stand apart, in this order, on a last dimension of 2.

    >>> terms = Terms(torch.tensor([0.5, 0.0]), torch.tensor([1, 0]), torch.tensor([1, 1]))
    >>> [count.item() for count in terms.totals()]
    [1, 2]
    """

    __slots__ = ("_kernel", "_total", "_value", "active", "paired", "valid")

    def __init__(
        self,
        value: Tensor,
        active: Tensor | None,
        valid: Tensor,
        paired: bool = False,
        kernel: Kernel | None = None,
    ) -> None:
        """``kernel``: ``value`` carries no gradient of its own yet; it goes through the kernel."""
        self._value, self.active, self.valid, self.paired = value, active, valid, paired
        needed = kernel is not None and kernel.z.requires_grad and torch.is_grad_enabled()
        self._kernel = kernel if needed else None
        self._total = kernel.total if kernel is not None else None

    def __repr__(self) -> str:
        return f"Terms(value={self._value}, active={self.active}, valid={self.valid}, paired={self.paired})"

    @property
    def value(self) -> Tensor:
        """The rows' sums of terms, with their gradient."""
        if self._kernel is not None:
            self._value = _Graft.apply(self._kernel.z, self._value, self._kernel.backward)
            self._kernel = None
        return self._value

    def totals(self) -> tuple[Tensor | None, Tensor]:
        """Numbers of active and valid terms, each (...,) int64."""
        dims = (-2, -1) if self.paired else -1
        return None if self.active is None else self.active.sum(dims), self.valid.sum(dims)


class _Graft(torch.autograd.Function):
    """A value computed outside of autograd, made to depend on ``z``."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, backward: Backward) -> Tensor:
        ctx.pass_on = backward
        # No view: transformers' Trainer multiplies a loss in place, and autograd forbids that of a view.
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        return ctx.pass_on(grad), None, None


def reduce(terms: Terms, reduction: str) -> Tensor:
    """One number per member of the population, (...,).

    ``valid_mean`` Σvalue/Σvalid keeps greediness visible; ``active_mean`` Σvalue/Σactive is
    pytorch-metric-learning's AvgNonZero and multiplies the gradient by 1/active ratio; ``balanced``
    ½(Σvalue⁺/Σvalid⁺ + Σvalue⁻/Σvalid⁻) for losses that keep positives and negatives apart. Where there is
    no term the result is 0 with zero gradient.

    Raises:
        LosscopeError: an unknown reduction, or one that this loss cannot have.

    >>> terms = Terms(torch.tensor([3.0, 1.0]), torch.tensor([1, 1]), torch.tensor([4, 4]))
    >>> reduce(terms, "valid_mean").item(), reduce(terms, "active_mean").item()
    (0.5, 2.0)
    """
    if reduction == "balanced":
        if not terms.paired:
            raise LosscopeError(
                "the reduction is 'balanced'; it wants positives and negatives apart, as contrastive has"
            )
        weight = 0.5 / terms.valid.sum(-2).clamp_min(1).to(terms._value.dtype)
        return _weigh(terms, weight)
    if reduction not in REDUCTIONS:
        raise unknown("reduction", reduction, REDUCTIONS)
    dims = (-2, -1) if terms.paired else -1
    count: Tensor | int | None = terms.active
    if reduction == "valid_mean":
        count = terms._total or terms.valid.sum(dims).clamp_min(1)
    elif terms.active is None:
        raise LosscopeError(
            "the reduction is 'active_mean'; a softmax loss has no active terms and wants 'valid_mean'"
        )
    else:
        count = terms.active.sum(dims).clamp_min(1)
    kernel = terms._kernel
    # Rows before signs: a sum over rows in memory does not depend on how many members there are.
    total = terms._value.sum(-2).sum(-1) if terms.paired else terms._value.sum(-1)
    loss = total / count
    if kernel is None:
        return loss
    # One node of the graph from the loss to the embeddings, since a step of 64 pairs is all overhead.
    more = (None,) * (2 if terms.paired else 1)
    return _Graft.apply(kernel.z, loss, lambda grad: kernel.backward((grad / count)[(..., *more)]))


def _weigh(terms: Terms, weight: Tensor) -> Tensor:
    """Σ over positives and negatives (..., 2) of the summed values, each times its weight."""
    kernel = terms._kernel
    loss = (terms._value.sum(-2) * weight).sum(-1)
    if kernel is None:
        return loss
    return _Graft.apply(
        kernel.z, loss, lambda grad: kernel.backward((grad.unsqueeze(-1) * weight).unsqueeze(-2))
    )
