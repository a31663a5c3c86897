"""Unreduced losses, and the one place where they are reduced."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from losscope.errors import LosscopeError, unknown

REDUCTIONS = ("valid_mean", "active_mean", "balanced")


@dataclass(frozen=True, eq=False)
class Terms:
    """A loss before reduction, one entry a row; rows without a term have ``valid`` 0.

    Attributes:
        value: (..., B), the sum of the row's terms, float32 or wider; (..., B, 2) if ``paired``.
        active: int64 like ``value``, terms whose derivative by the distance is not 0; None for softmax.
        valid: int64 like ``value``, terms there are.
        paired: positives and negatives stand apart, in this order, on a last dimension of 2.
    """

    value: Tensor
    active: Tensor | None
    valid: Tensor
    paired: bool = False

    def totals(self) -> tuple[Tensor | None, Tensor]:
        """Numbers of active and valid terms, each (...,) int64."""
        dims = (-2, -1) if self.paired else -1
        return None if self.active is None else self.active.sum(dims), self.valid.sum(dims)


def reduce(terms: Terms, reduction: str) -> Tensor:
    """One number a member of the population, (...,).

    ``valid_mean`` Σvalue/Σvalid keeps greediness visible; ``active_mean`` Σvalue/Σactive is
    pytorch-metric-learning's AvgNonZero and multiplies the gradient by 1/active ratio; ``balanced``
    ½(Σvalue⁺/Σvalid⁺ + Σvalue⁻/Σvalid⁻) for losses that keep positives and negatives apart. Where there is
    no term the result is 0 with zero gradient.

    Raises:
        LosscopeError: an unknown reduction, or one that this loss cannot have.

    >>> import torch
    >>> one = Terms(torch.tensor([3.0, 1.0]), torch.tensor([1, 1]), torch.tensor([4, 4]))
    >>> reduce(one, "valid_mean").item(), reduce(one, "active_mean").item()
    (0.5, 2.0)
    """
    if reduction == "valid_mean":
        count = terms.valid
    elif reduction == "active_mean":
        if terms.active is None:
            raise LosscopeError("a softmax loss has no active terms; its reduction is valid_mean")
        count = terms.active
    elif reduction == "balanced":
        if not terms.paired:
            raise LosscopeError("balanced wants a loss with positives and negatives apart, as contrastive")
        return (terms.value.sum(-2) / terms.valid.sum(-2).clamp_min(1)).sum(-1) * 0.5
    else:
        raise unknown("reduction", reduction, REDUCTIONS)
    if terms.paired:
        return terms.value.sum((-2, -1)) / count.sum((-2, -1)).clamp_min(1)
    return terms.value.sum(-1) / count.sum(-1).clamp_min(1)
