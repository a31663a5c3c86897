"""Linear layers of a population: one weight per member, multiplied member by member on a CPU.

Which library multiplies follows from the size of one member's weight and from nothing else, so a member's
numbers are the same alone, beside others, and where several members share their inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from losscope.pairs.products import aligned, multiply

LARGE = 1 << 16
"""Numbers in one member's weight from which NumPy multiplies, whose library is quicker on AMD's processors."""


class Parameters(dict[str, Tensor]):
    """A population's parameters by name, and the places where gradients of linear weights may be written.

    ``slots``: name -> a tensor of the weight's shape. The backward pass of a linear layer writes the gradient
    of its weight there instead of making a new tensor; a weight with a slot may stand in one layer only.
    """

    def __init__(self, values: Mapping[str, Tensor], slots: Mapping[str, Tensor] | None = None):
        super().__init__(values)
        self.slots: Mapping[str, Tensor] = slots or {}


def dense(x: Tensor, parameters: Mapping[str, Tensor], prefix: str) -> Tensor:
    """A linear layer of weight (M, in, out) and bias (M, 1, out): x (M, rows, in) -> (M, rows, out).

    ``x`` may also be (S, rows, in), each for M/S consecutive members; on a CPU it is not copied for each.
    """
    name = f"{prefix}.weight"
    weight, bias = parameters[name], parameters[f"{prefix}.bias"]
    if not weight.is_cpu:
        return torch.baddbmm(bias, spread(x, len(weight)), weight)
    slot = parameters.slots.get(name) if isinstance(parameters, Parameters) else None
    return _Dense.apply(x, weight, bias, slot)


def spread(x: Tensor, members: int) -> Tensor:
    """Inputs of fewer than all members repeated, so that each member has its own."""
    return x if len(x) == members else x.repeat_interleave(members // len(x), 0)


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slot: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.slot = slot
        rows = _of_each(x, len(weight))
        if weight[0].numel() >= LARGE:
            out = weight.new_empty(len(weight), x.shape[1], weight.shape[2])
            _by_numpy(rows, weight.unbind(0), out)
            return out.add_(bias)
        out = bias.repeat(1, x.shape[1], 1)
        for own_rows, own_weight, own_out in zip(rows, aligned(weight), out.unbind(0), strict=True):
            own_out.addmm_(own_rows, own_weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        slope = torch.empty_like(weight) if ctx.slot is None else ctx.slot
        rows = [own.mT for own in _of_each(x, len(weight))]
        if weight[0].numel() >= LARGE:
            _by_numpy(rows, grad.unbind(0), slope)
        else:
            multiply(rows, aligned(grad), slope)
        before = None
        if ctx.needs_input_grad[0]:
            before = grad.new_empty(*grad.shape[:2], weight.shape[1])
            multiply(aligned(grad), aligned(weight.mT), before)
            before = before.unflatten(0, (len(x), -1)).sum(1)
        return before, slope, grad.sum(1, keepdim=True), None


def _of_each(x: Tensor, members: int) -> Sequence[Tensor]:
    """The inputs (rows, in) of every member, where several share one without a copy."""
    own = aligned(x)
    return own if len(own) == members else [part for part in own for _ in range(members // len(own))]


def _by_numpy(first: Sequence[Tensor], second: Sequence[Tensor], out: Tensor) -> None:
    for left, right, own in zip(first, second, out.unbind(0), strict=True):
        np.matmul(left.detach().numpy(), right.detach().numpy(), out=own.numpy())
