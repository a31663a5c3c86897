"""The parameters of a population in one buffer, and Adam on it.

One buffer (M, P) makes an optimiser step six operations however many layers there are, and a member's
gradient norm one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 15
"""Parameters of a member that the optimiser works on at once."""


class Stack:
    """Parameters of M members: ``flat`` (M, P), with one leaf view a parameter for autograd.

    ``network`` are the network's parameters; ``extra`` those of the loss (class vectors), which are
    optimised alike and stand outside the gradient and update norms.
    """

    def __init__(
        self,
        network: Sequence[dict[str, np.ndarray]],
        extra: Sequence[dict[str, np.ndarray]],
        device: torch.device,
    ):
        members = [{**own, **more} for own, more in zip(network, extra, strict=True)]
        self.size = sum(value.size for value in network[0].values())
        rows = [np.concatenate([value.ravel() for value in member.values()]) for member in members]
        self.flat = torch.from_numpy(np.stack(rows)).to(device)
        self.grad = torch.zeros_like(self.flat)
        self.leaves: list[Tensor] = []
        self._slots: list[Tensor] = []
        self.network: dict[str, Tensor] = {}
        self.extra: dict[str, Tensor] = {}
        start = 0
        for name, value in members[0].items():
            leaf = self._view(self.flat, start, value.shape).requires_grad_()
            self.leaves.append(leaf)
            self._slots.append(self._view(self.grad, start, value.shape))
            (self.network if name in network[0] else self.extra)[name] = leaf
            start += value.size

    @staticmethod
    def _view(buffer: Tensor, start: int, shape: tuple[int, ...]) -> Tensor:
        return buffer[:, start : start + math.prod(shape)].view(len(buffer), *shape)

    def take(self, gradients: Sequence[Tensor]) -> None:
        """Put the gradients of ``leaves`` into the buffer that the optimiser reads."""
        for slot, gradient in zip(self._slots, gradients, strict=True):
            slot.copy_(gradient)

    def gradient_norm(self) -> Tensor:
        """‖∂L/∂θ‖ of each member's network, (M,)."""
        return torch.linalg.vector_norm(self.grad[:, : self.size], dim=1)


class Adam:
    """Adam (Kingma, Ba 2015), as ``torch.optim.Adam``, with a learning rate a member.

    A member whose gradient is not finite is frozen where it is, for good; the others go on unchanged.
    """

    def __init__(
        self,
        stack: Stack,
        rates: Sequence[float],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        self.stack = stack
        self.betas, self.eps = betas, eps
        self.mean = torch.zeros_like(stack.flat)
        self.square = torch.zeros_like(stack.flat)
        # Made once: a buffer of this size allocated at each step costs more than the arithmetic on it.
        self.delta = torch.empty_like(stack.flat)
        self.count = 0
        # A tensor even where all rates are equal: a number would round otherwise than a tensor's entry.
        self.rate = torch.tensor(rates, dtype=torch.float32, device=stack.flat.device)[:, None]
        self.frozen: Tensor | None = None
        self.blocks = self._blocks()

    def _blocks(self) -> list[tuple[Tensor, ...]]:
        """Views (gradient, moments, update, rate) of what is worked on at once.

        All members where a member is small; else a member's parameters in pieces that stay in the
        processor's cache from one operation to the next.
        """
        parts = (self.stack.grad, self.mean, self.square, self.delta)
        members, size = self.mean.shape
        if size < BLOCK or not self.mean.is_cpu:
            return [(*parts, self.rate)]
        return [
            (*(part[member, start : start + BLOCK] for part in parts), self.rate[member])
            for member in range(members)
            for start in range(0, size, BLOCK)
        ]

    @torch.no_grad()
    def step(self, norm: Tensor) -> tuple[Tensor, bool]:
        """Update from the gradients; ``norm`` (M,) are their norms.

        Returns the norms of the updates ‖Δθ‖ (M,) and whether every member is alive.
        """
        grad = self.stack.grad
        alive = math.isfinite(norm.sum().item()) and self.frozen is None
        if not alive:
            broken = ~torch.isfinite(norm)
            self.frozen = broken if self.frozen is None else self.frozen | broken
            grad.masked_fill_(self.frozen[:, None], 0.0)
        self.count += 1
        first, second = self.betas
        for grad, mean, square, delta, rate in self.blocks:
            mean.lerp_(grad, 1 - first)
            square.mul_(second).addcmul_(grad, grad, value=1 - second)
            torch.sqrt(square, out=delta)
            delta.mul_(1 / math.sqrt(1 - second**self.count)).add_(self.eps)
            torch.div(mean, delta, out=delta)
            delta *= rate / (1 - first**self.count)
        delta = self.delta
        if not alive:
            assert self.frozen is not None
            delta.masked_fill_(self.frozen[:, None], 0.0)
        self.stack.flat.sub_(delta)
        return torch.linalg.vector_norm(delta[:, : self.stack.size], dim=1), alive

    def state(self) -> dict[str, Any]:
        """Moments and count."""
        return {"mean": self.mean, "square": self.square, "count": self.count, "frozen": self.frozen}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])
        self.count, self.frozen = state["count"], state["frozen"]
