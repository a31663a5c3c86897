"""Matrix products whose rounding does not depend on how many members stand beside one another.

A library may choose another kernel or another blocking for a batch of matrices than for one of them, and
some round by where a matrix starts in memory. So on a CPU a member's product is that of a call of its own,
of a batch of one, on matrices that start on a cache line. Members are multiplied by one call for all only
where that was seen, on this machine and for these very shapes, to give the bits of the calls apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LINE = 64
"""Bytes of a cache line."""

MANY = 1 << 22
"""Multiplications of one member from which one call for all saves no time worth looking for."""


def product(first: Tensor, second: Tensor) -> Tensor:
    """The product (..., R, K) @ (..., K, C), bitwise the same for a member alone and in any population.

    >>> product(torch.ones(2, 3, 4), torch.ones(4, 1)).shape
    torch.Size([2, 3, 1])
    """
    device = "cpu" if first.is_cpu else first.device.type
    if torch.is_autocast_enabled(device):
        # It would round the numbers to half precision, of which the losses accumulate in float32 or wider.
        with torch.autocast(device, enabled=False):
            return product(first, second)
    if not first.is_cpu or first.dim() < 3:
        return first @ second
    lead = first.shape[:-2]
    if lead != second.shape[:-2]:
        lead = torch.broadcast_shapes(lead, second.shape[:-2])
    left, right = _members(first, lead), _members(second, lead)
    if stackable(left, right):
        out = torch.bmm(left, right)
    else:
        out = torch.cat([torch.bmm(a, b) for a, b in zip(aligned(left), aligned(right), strict=True)])
    return out if first.dim() == 3 and len(lead) == 1 else out.unflatten(0, lead)


def stackable(first: Tensor, second: Tensor) -> bool:
    """Whether one call multiplies all members (M, R, K) @ (M, K, C) as calls of their own would."""
    if len(first) == 1:
        return on_lines(first) and on_lines(second)
    rows, inner, columns = *first.shape[1:], second.shape[2]
    if rows * inner * columns >= MANY or not (on_lines(first) and on_lines(second)):
        return False
    layout = first.stride(2) == 1, second.stride(2) == 1
    return alike(len(first), rows, inner, columns, *layout, first.dtype, torch.get_num_threads())


@cache
def alike(
    members: int,
    rows: int,
    inner: int,
    columns: int,
    plain: bool,
    other: bool,
    dtype: torch.dtype,
    threads: int,
) -> bool:
    """Whether a batch of such matrices, with or without bias, has the bits of batches of one.

    ``plain`` and ``other``: whether rows, not columns, of the first and the second matrices are contiguous.
    Tried once on random numbers, among which another order of summation shows; ``threads`` only tells apart.
    """
    draw = torch.Generator().manual_seed(0)

    def matrices(high: int, wide: int, by_rows: bool) -> Tensor:
        shape = (members, high, wide) if by_rows else (members, wide, high)
        made = torch.randn(shape, generator=draw, dtype=torch.float32).to(dtype)
        return made if by_rows else made.mT

    first, second = matrices(rows, inner, plain), matrices(inner, columns, other)
    bias = matrices(1, columns, True)
    apart = zip(aligned(first), aligned(second), bias.split(1), strict=True)
    pairs = [(torch.bmm(a, b), torch.baddbmm(c, a, b)) for a, b, c in apart]
    whole = torch.bmm(first, second), torch.baddbmm(bias, first, second)
    return all(
        torch.equal(torch.cat(own), every) for own, every in zip(zip(*pairs, strict=True), whole, strict=True)
    )


def aligned(part: Tensor) -> Sequence[Tensor]:
    """The members of ``part`` (M, R, C) as batches of one that start on a cache line, copied where needed."""
    members = part.split(1)
    if on_lines(part):
        return members
    return [member.clone(memory_format=torch.preserve_format) for member in members]


def on_lines(part: Tensor) -> bool:
    """Whether all members (M, R, C) start on a cache line."""
    return part.data_ptr() % LINE == 0 and part.stride(0) * part.element_size() % LINE == 0


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
