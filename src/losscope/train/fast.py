"""What makes training fast and changes no number, apart from what trains.

- ``keep_freed_memory``: the C library keeps what a step frees for the next step.
- ``adam``: one fused kernel for the rows of all members, without an optimiser around it, whose bookkeeping
  costs as much as a small step; in plain operations where this torch has no such kernel.
- Gradients of large weights are written where Adam reads them: ``losscope.models.dense.Parameters.slots``,
  which ``losscope.train.optimiser.Stack`` makes.
- Members are multiplied by one call where that changes no bit: ``losscope.pairs.products``.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from dataclasses import dataclass

import torch
from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step instead of giving it back to the system.

    A population's tensors of a step are freed at its end; given back, their pages fault in again at the next.
    Elsewhere than on glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        library.mallopt(M_MMAP_THRESHOLD, 1 << 25)


@dataclass(frozen=True)
class Rows:
    """Rows (P,) of members with one learning rate: parameters, gradients and the two moments."""

    rate: float
    weights: list[Tensor]
    gradients: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]


def adam(rows: Rows, count: Tensor, betas: tuple[float, float], eps: float) -> None:
    """Update rows in place by Adam's step number ``count``, a tensor of shape ()."""
    (_fused if has_fused(rows.weights[0].device) else plain_adam)(rows, count, betas, eps)


_tried: dict[torch.device, bool] = {}


def has_fused(device: torch.device) -> bool:
    """Whether this torch has the fused kernel that ``torch.optim.Adam`` uses, as we call it; tried once."""
    if device not in _tried:
        parts = [[torch.ones(1, device=device)] for _ in range(4)]
        try:
            _fused(Rows(0.0, *parts), torch.ones((), device=device), (0.9, 0.999), 1e-8)
        except (AttributeError, TypeError, RuntimeError):
            _tried[device] = False
        else:
            _tried[device] = True
    return _tried[device]


def _fused(rows: Rows, count: Tensor, betas: tuple[float, float], eps: float) -> None:
    torch._fused_adam_(
        rows.weights,
        rows.gradients,
        rows.means,
        rows.squares,
        [],
        [count] * len(rows.weights),
        lr=rows.rate,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=0.0,
        eps=eps,
        amsgrad=False,
        maximize=False,
    )


def plain_adam(rows: Rows, count: Tensor, betas: tuple[float, float], eps: float) -> None:
    """The same in plain operations: equal to rounding."""
    first, second = betas
    step = count.item()
    rate, scale = rows.rate / (1 - first**step), math.sqrt(1 - second**step)
    for weight, gradient, mean, square in zip(
        rows.weights, rows.gradients, rows.means, rows.squares, strict=True
    ):
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        weight.addcdiv_(mean, square.sqrt().div_(scale).add_(eps), value=-rate)
