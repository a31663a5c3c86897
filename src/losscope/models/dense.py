"""Linear layers of a population: one weight per member, multiplied member by member on a CPU.

Which library multiplies follows from the size of one member's weight and from nothing else, so a member's
numbers are the same alone, beside others, and where several members share their inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from losscope.pairs.products import LINE, aligned, alike, product, stackable

LARGE = 1 << 16
"""Numbers in one member's weight from which NumPy multiplies: its library is quicker on AMD's processors."""


class Parameters(dict[str, Tensor]):
    """A population's parameters by name, and the places where gradients of linear weights may be written.

    ``slots``: name -> a tensor of the weight's shape. The backward pass of a linear layer writes the gradient
    of its weight there instead of making a new tensor; a weight with a slot may stand in one layer only.
    """

    def __init__(self, values: Mapping[str, Tensor], slots: Mapping[str, Tensor] | None = None):
        super().__init__(values)
        self.slots: Mapping[str, Tensor] = slots or {}


def dense(x: Tensor, parameters: Mapping[str, Tensor], name: str) -> Tensor:
    """A linear layer of ``name.weight`` (M, in, out) and ``name.bias`` (M, 1, out).

    ``x`` (M, rows, in) -> (M, rows, out). It may also be (S, rows, in), each for M/S consecutive members; a
    large layer does not copy it for each.
    """
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    if weight.is_cpu and weight.shape[1] * weight.shape[2] >= LARGE:
        slot = parameters.slots.get(f"{name}.weight") if isinstance(parameters, Parameters) else None
        return _Large.apply(x, weight, bias, slot)
    x = spread(x, len(weight))
    if x.is_cpu and not _stackable(x, weight):
        return _Apart.apply(x, weight, bias)
    return torch.baddbmm(bias, x, weight)


def spread(x: Tensor, members: int) -> Tensor:
    """Inputs of fewer than all members repeated, so that each member has its own."""
    if len(x) == members:
        return x
    return x.expand(members, *x.shape[1:]) if len(x) == 1 else x.repeat_interleave(members // len(x), 0)


def _stackable(x: Tensor, weight: Tensor) -> bool:
    """Whether one call for all members gives the bits of a call for each, forward and backward."""
    if len(x) == 1 or not stackable(x, weight):
        return stackable(x, weight)
    members, rows, wide, narrow = *x.shape, weight.shape[2]
    if rows * narrow * x.element_size() % LINE:
        return False  # the gradients of the outputs then do not all start on a cache line
    more = x.dtype, torch.get_num_threads()
    return alike(members, wide, rows, narrow, False, True, *more) and alike(
        members, rows, narrow, wide, True, False, *more
    )


class _Apart(torch.autograd.Function):
    """``baddbmm``, each member by the call that would be made for it alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        members = zip(bias.split(1), aligned(x), aligned(weight), strict=True)
        return torch.cat([torch.baddbmm(*member) for member in members])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        own = aligned(grad)
        slope = [torch.bmm(rows.mT, part) for rows, part in zip(aligned(x), own, strict=True)]
        before = None
        if ctx.needs_input_grad[0]:
            before = torch.cat([torch.bmm(part, w.mT) for part, w in zip(own, aligned(weight), strict=True)])
        return before, torch.cat(slope), grad.sum(1, keepdim=True)


class _Large(torch.autograd.Function):
    """The same by NumPy; neither inputs that members share nor the gradient of the weight are copied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slot: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.slot = slot
        out = weight.new_empty(len(weight), x.shape[1], weight.shape[2])
        for rows, own, into in zip(_of_each(x, len(weight)), aligned(weight), out.split(1), strict=True):
            _by_numpy(rows, own, into)
        return out.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        slope = torch.empty_like(weight) if ctx.slot is None else ctx.slot
        for rows, own, into in zip(_of_each(x, len(weight)), aligned(grad), slope.split(1), strict=True):
            _by_numpy(rows.mT, own, into)
        before = None
        if ctx.needs_input_grad[0]:
            before = product(grad, weight.mT)
            if len(x) < len(weight):
                before = before.unflatten(0, (len(x), -1)).sum(1)
        return before, slope, grad.sum(1, keepdim=True), None


def _of_each(x: Tensor, members: int) -> list[Tensor]:
    """The inputs (1, rows, in) of every member, where several share one without a copy."""
    return [part for part in aligned(x) for _ in range(members // len(x))]


def _by_numpy(first: Tensor, second: Tensor, out: Tensor) -> None:
    # A member that diverged stays beside the others; that its numbers overflow is said once, in its record.
    with np.errstate(over="ignore", invalid="ignore"):
        np.matmul(first.detach().numpy(), second.detach().numpy(), out=out.numpy())
