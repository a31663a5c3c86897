"""The steps of an optimiser on a model's parameters: how long their gradient is, and how far they move."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


@dataclass
class Update:
    """One step of an optimiser, 0-dim tensors: ‖∂L/∂θ‖ as the optimiser is given it, ‖Δθ‖, and ‖θ‖ before.

    ``skipped`` is above 0 where a GradScaler has a fused optimiser do nothing; None where it has no say.
    ``optimiser`` tells the optimisers of a model apart.
    """

    gradient: Tensor
    update: Tensor
    weight: Tensor
    skipped: Tensor | None = None
    optimiser: int = 0

    @property
    def taken(self) -> bool:
        """Whether the weights were to move."""
        return self.skipped is None or not float(self.skipped) > 0


class Optimising:
    """Reads each step that a ``torch.optim`` optimiser takes on a model's parameters.

    The gradient is read as the optimiser is about to use it: accumulated, unscaled by a GradScaler, clipped.
    A step that is given a closure computes its gradient inside of the step, and it is read there.

    Args:
        model: whose parameters are read; the probe keeps no hold of it.
        take: called after each step.
    """

    def __init__(self, model: nn.Module, take: Callable[[Update], None]) -> None:
        # Frozen ones too: they may be set free while training goes on.
        self._wanted = weakref.WeakSet(model.parameters())
        self._ids = {id(parameter) for parameter in self._wanted}
        self._take = take
        self._before: list[tuple[Tensor, Tensor]] = []
        self._gradient: Tensor | None = None
        self._skipped: Tensor | None = None
        mine = weakref.WeakMethod(self._start), weakref.WeakMethod(self._end)
        self._handles = [
            register_optimizer_step_pre_hook(_forward_to(mine[0])),
            register_optimizer_step_post_hook(_forward_to(mine[1])),
        ]

    def close(self) -> None:
        """Read no more steps."""
        for handle in self._handles:
            handle.remove()

    def _start(self, optimiser: Optimizer, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Note where the weights are; the call of ``step`` goes on with what is returned, or as it was."""
        own = [
            parameter
            for group in optimiser.param_groups
            for parameter in group["params"]
            if id(parameter) in self._ids and (parameter.requires_grad or parameter.grad is not None)
        ]
        self._before = [(parameter, parameter.detach().clone()) for parameter in own]
        self._gradient = self._skipped = None
        if not own:
            return None
        self._read_gradient(optimiser)
        # The optimiser itself is the first argument.
        closure = named.get("closure", arguments[1] if len(arguments) > 1 else None)
        if not callable(closure):
            return None

        def closure_and_look() -> Any:
            value = closure()
            self._read_gradient(optimiser)
            return value

        if "closure" in named:
            return arguments, {**named, "closure": closure_and_look}
        return (arguments[0], closure_and_look, *arguments[2:]), named

    def _read_gradient(self, optimiser: Optimizer) -> None:
        norm = _norm(parameter.grad for parameter, _ in self._before)
        # A fused optimiser divides by a GradScaler's scale itself, and skips a step of infinite gradients.
        scale = getattr(optimiser, "grad_scale", None)
        self._gradient = norm if scale is None else norm / torch.as_tensor(scale, device=norm.device)
        self._skipped = getattr(optimiser, "found_inf", None)

    def _end(self, optimiser: Optimizer, *_: Any) -> None:
        if self._gradient is None:
            return
        with torch.no_grad():
            moved = _norm(parameter.detach() - before for parameter, before in self._before)
            length = _norm(before for _, before in self._before)
        update = Update(self._gradient, moved, length, self._skipped, id(optimiser))
        self._before, self._gradient, self._skipped = [], None, None
        self._take(update)


def together(updates: Iterable[Update]) -> dict[str, float]:
    """The values of the steps that followed a call of the loss: of each optimiser its last.

    Several optimisers have parameters of their own, so that their norms are parts of one.
    """
    last = {update.optimiser: update for update in updates if update.taken}
    if not last:
        return {}
    parts = {
        "parameter_gradient_norm": [float(update.gradient) for update in last.values()],
        "update_norm": [float(update.update) for update in last.values()],
        "weight_norm": [float(update.weight) for update in last.values()],
    }
    return {name: math.hypot(*values) for name, values in parts.items()}


def _forward_to(method: weakref.WeakMethod[Any]) -> Callable[..., Any]:
    """A hook that keeps no hold of what it calls, since a hook on all optimisers stays."""

    def hook(optimiser: Optimizer, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        found = method()
        return None if found is None else found(optimiser, arguments, named)

    return hook


def _norm(parts: Iterable[Tensor | None]) -> Tensor:
    """The Euclidean norm of all parts together."""
    norms = [torch.linalg.vector_norm(part.detach(), dtype=_wide(part)) for part in parts if part is not None]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())


def _wide(part: Tensor) -> torch.dtype:
    return torch.float64 if part.dtype == torch.float64 else torch.float32
