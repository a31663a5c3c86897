"""Matrix products whose rounding does not depend on how many members stand beside one another.

A library may choose another kernel or another blocking for a batch of matrices than for one of them, and
some round by where a matrix starts in memory. So on a CPU every member is multiplied by a call of its own,
of one shape, by one library, on matrices that start on a cache line: the numbers of a member in a population
are those of the member alone because the calls are the same. On a GPU the members are multiplied as a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LINE = 64
"""Bytes of a cache line."""


def product(first: Tensor, second: Tensor) -> Tensor:
    """The matrix product (..., R, K) @ (..., K, C), member by member on a CPU.

    >>> product(torch.ones(2, 3, 4), torch.ones(4, 1)).shape
    torch.Size([2, 3, 1])
    """
    if not first.is_cpu or first.dim() < 3:
        return first @ second
    lead = first.shape[:-2]
    if lead != second.shape[:-2]:
        lead = torch.broadcast_shapes(lead, second.shape[:-2])
    rows, columns = first.shape[-2], second.shape[-1]
    out = first.new_empty(lead.numel(), rows, columns)
    multiply(aligned(_members(first, lead)), aligned(_members(second, lead)), out)
    return out.view(*lead, rows, columns)


def multiply(first: Sequence[Tensor], second: Sequence[Tensor], out: Tensor) -> None:
    """Write the product of each member's matrices, (R, K) @ (K, C), into ``out`` (M, R, C)."""
    for left, right, own in zip(first, second, out.unbind(0), strict=True):
        torch.mm(left, right, out=own)


def aligned(part: Tensor) -> tuple[Tensor, ...]:
    """The members (R, C) of ``part`` (M, R, C), each starting on a cache line: as they are, or copied."""
    members = part.unbind(0)
    if on_lines(part):
        return members
    return tuple(member.clone(memory_format=torch.preserve_format) for member in members)


def on_lines(part: Tensor) -> bool:
    """Whether all members (M, R, C) start on a cache line."""
    return part.data_ptr() % LINE == 0 and (len(part) == 1 or part.stride(0) * part.element_size() % LINE == 0)


def _members(part: Tensor, lead: torch.Size) -> Tensor:
    """``part`` expanded over the leading dimensions, these as one: (M, R, C)."""
    if part.shape[:-2] != lead:
        part = part.expand(*lead, *part.shape[-2:])
    return part if part.dim() == 3 else part.reshape(-1, *part.shape[-2:])


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(first, second)
        return product(first, second)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        first, second = ctx.saved_tensors
        left, right = ctx.needs_input_grad
        return (
            product(grad, second.mT).sum_to_size(first.shape) if left else None,
            product(first.mT, grad).sum_to_size(second.shape) if right else None,
        )


def matmul(first: Tensor, second: Tensor) -> Tensor:
    """``product`` with gradients that are the same for a member alone and in any population."""
    return _Matmul.apply(first, second)
