"""The parameters of a population in one buffer, and Adam on it.

One buffer (M, P) makes a member one row for the optimiser however many layers there are, and its gradient
norm one operation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.models.dense import Parameters
from losscope.pairs.products import LINE
from losscope.train.fast import Rows, adam

LARGE = 1 << 16
"""Numbers in one member's parameters from which members are updated one by one."""

TRUNK = "backbone."
"""How the names of a backbone's parameters begin, which stand before all others."""

LINE_NUMBERS = LINE // 4
"""Float32 numbers in a cache line."""


def on_line(count: int) -> int:
    """``count`` float32 numbers rounded up to whole cache lines.

    >>> on_line(64), on_line(65)
    (64, 80)
    """
    return -(-count // LINE_NUMBERS) * LINE_NUMBERS


class Stack:
    """Parameters of M members: ``flat`` (M, P), with one leaf view per parameter for autograd.

    Every parameter starts on a cache line, with zeros before it where needed: products may round by where a
    matrix starts in memory, and so every member's matrices start alike.

    ``network`` are the network's parameters; ``extra`` those of the loss (class vectors), which are
    optimised alike and stand outside the gradient and update norms. ``size``: numbers of the network, the
    first ``trunk`` of which are a backbone's.
    """

    def __init__(
        self,
        network: Sequence[dict[str, np.ndarray]],
        extra: Sequence[dict[str, np.ndarray]],
        device: torch.device,
    ):
        members = [{**own, **more} for own, more in zip(network, extra, strict=True)]
        self.shapes = {name: value.shape for name, value in members[0].items()}
        starts = list(accumulate((on_line(math.prod(shape)) for shape in self.shapes.values()), initial=0))
        self.starts = dict(zip(self.shapes, starts, strict=False))
        self.size = starts[len(network[0])]
        self.trunk = starts[sum(name.startswith(TRUNK) for name in network[0])]
        self.flat = torch.zeros(len(members), starts[-1], device=device)
        self.grad = torch.zeros_like(self.flat)
        every, self._slots = self.views(self.flat), self.views(self.grad)
        for name, leaf in every.items():
            leaf.copy_(torch.from_numpy(np.stack([member[name] for member in members])))
            leaf.requires_grad_()
        self.leaves = list(every.values())
        self.network = Parameters({name: every[name] for name in network[0]}, self._slots)
        self.extra = {name: every[name] for name in extra[0]}

    def views(self, buffer: Tensor) -> dict[str, Tensor]:
        """The parameters in rows (N, P) that are laid out as ``flat`` is, each (N, *shape)."""
        return {
            name: buffer[:, start : start + math.prod(shape)].view(len(buffer), *shape)
            for (name, shape), start in zip(self.shapes.items(), self.starts.values(), strict=True)
        }

    def take(self, gradients: Sequence[Tensor]) -> None:
        """Put the gradients of ``leaves`` where the optimiser reads them, if they are not there yet."""
        for slot, gradient in zip(self._slots.values(), gradients, strict=True):
            if gradient.data_ptr() != slot.data_ptr():
                slot.copy_(gradient)

    def gradient_norm(self) -> Tensor:
        """‖∂L/∂θ‖ of each member's network, (M,)."""
        return torch.linalg.vector_norm(self.grad[:, : self.size], dim=1)


class Adam:
    """Adam (Kingma, Ba 2015) with one learning rate per member, on members' rows of the buffers.

    A member whose gradient is not finite is frozen where it is, for good; the others go on unchanged.

    Args:
        stack: the parameters.
        rates: the learning rate of each member.
        decays: how much each member's network is drawn back to where it started, by rate × decay of the way
            at each step, decoupled from the gradient (Loshchilov, Hutter 2019; Li et al. 2018, L2-SP).
        class_rates: the learning rate of each member's class vectors, None for that of its network.
        trunk_share: the learning rate of a backbone, as a multiple of its member's.
        betas, eps: of Adam.
    """

    def __init__(
        self,
        stack: Stack,
        rates: Sequence[float],
        decays: Sequence[float] = (),
        class_rates: Sequence[float | None] = (),
        trunk_share: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        self.stack = stack
        self.mean = torch.zeros_like(stack.flat)
        self.square = torch.zeros_like(stack.flat)
        self.count = torch.zeros((), device=stack.flat.device)
        self.frozen: Tensor | None = None
        self.betas, self.eps = betas, eps
        shares = [(slice(stack.trunk), trunk_share), (slice(stack.trunk, stack.size), 1.0)]
        self.pulls = [
            (member, place, min(1.0, rates[member] * share * decay), stack.flat[member, place].clone())
            for member, decay in enumerate(decays)
            for place, share in shares
            if decay > 0 and place != slice(0)
        ]
        """Of each member with a decay: its place, its numbers, the share of the way back, their start."""
        buffers = (stack.flat, stack.grad, self.mean, self.square)
        members = len(stack.flat)
        # Large members are updated one after the other: what is read twice is then still in the cache.
        one_by_one = stack.flat[0].numel() >= LARGE and stack.flat.is_cpu
        at_once = 1 if one_by_one else members
        self.parts: list[tuple[slice, list[Rows]]] = []
        """Members updated together, and of these the rows of each rate."""
        for start in range(0, members, at_once):
            part = range(start, start + at_once)
            groups: dict[float, list[tuple[int, slice]]] = defaultdict(list)
            for member in part:
                of_classes = class_rates[member] if class_rates else None
                for rate, place in self._rates(rates[member], of_classes, trunk_share):
                    groups[rate].append((member, place))
            rows = [
                Rows(rate, *([buffer[place] for place in own] for buffer in buffers))
                for rate, own in groups.items()
            ]
            self.parts.append((slice(start, start + at_once), rows))
        # Made once: a buffer of this size allocated at each step costs more than the arithmetic on it.
        self.change = torch.empty_like(stack.flat[:at_once])

    def _rates(self, rate: float, of_classes: float | None, share: float) -> list[tuple[float, slice]]:
        """The learning rates of a member's numbers: of its backbone, its other layers, class vectors."""
        trunk, size, end = self.stack.trunk, self.stack.size, self.stack.flat.shape[1]
        found = [(rate * share, slice(trunk))] if trunk else []
        if of_classes is None or size == end:
            return [*found, (rate, slice(trunk, end))]
        return [*found, (rate, slice(trunk, size)), (of_classes, slice(size, end))]

    @torch.no_grad()
    def step(self, norm: Tensor, *, measured: bool = True) -> tuple[Tensor | None, bool]:
        """Update from the gradients; ``norm`` (M,) are their norms.

        Returns the norms of the updates ‖Δθ‖ (M,), None unless ``measured``, and whether all members live.
        """
        flat, grad = self.stack.flat, self.stack.grad
        alive = math.isfinite(norm.sum().item()) and self.frozen is None
        if not alive:
            broken = ~torch.isfinite(norm)
            self.frozen = broken if self.frozen is None else self.frozen | broken
            # Without gradient and without momentum a member stays where it is.
            for buffer in (grad, self.mean):
                buffer.masked_fill_(self.frozen[:, None], 0.0)
        self.count += 1
        updates = []
        frozen = [] if self.frozen is None else self.frozen.tolist()
        for part, groups in self.parts:
            if measured:
                self.change.copy_(flat[part])
            for member, place, share, start in self.pulls:
                if part.start <= member < part.stop and not (frozen and frozen[member]):
                    flat[member, place].lerp_(start, share)
            for rows in groups:
                adam(rows, self.count, self.betas, self.eps)
            if measured:
                self.change.sub_(flat[part])
                updates.append(torch.linalg.vector_norm(self.change[:, : self.stack.size], dim=1))
        return torch.cat(updates) if measured else None, alive

    def state(self) -> dict[str, Any]:
        """Moments and count."""
        return {"mean": self.mean, "square": self.square, "count": self.count, "frozen": self.frozen}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        for name in ("mean", "square", "count"):
            getattr(self, name).copy_(state[name])
        self.frozen = state["frozen"]
