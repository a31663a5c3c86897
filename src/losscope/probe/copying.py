"""A copy of a loss that can be called without the loss, or anything it holds, noticing.

What cannot be copied for certain, or is large, has no copy, and nothing is asked of it then.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from losscope.core.codes import INSTALLED, is_empty, names_in

LARGEST = 2**26
"""Bytes of tensors that a copy may have."""
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type,
    ModuleType,
    BuiltinFunctionType,
    np.generic,
)
_OF_MODULES = frozenset(vars(nn.Module()))
_KNOWN = ("losscope", "pytorch_metric_learning")
"""Packages whose objects hold nothing but numbers and tensors, once they stand in a loss."""
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class _NoCopy(Exception):
    """There is something in it that may not be copied."""


def copy_of(loss: Callable[..., Any]) -> Callable[..., Any] | None:
    """A copy of a loss: a module, a function with what it closes over, a ``partial``; None if there is none.

    >>> moving = nn.BatchNorm1d(2)
    >>> _ = copy_of(moving)(Tensor([[0.0, 1.0], [2.0, 3.0]]))
    >>> moving.running_mean.tolist(), copy_of(functools.partial(max, key=object()))
    ([0.0, 0.0], None)
    """
    try:
        return _Copier().copy(loss)
    except Exception:  # whatever a stranger's object does when it is copied
        return None


class _Copier:
    def __init__(self) -> None:
        self.done: dict[int, Any] = {}
        self.held: list[Any] = []
        self.left = LARGEST

    def copy(self, value: Any) -> Any:
        if isinstance(value, _PLAIN):
            return value
        if id(value) not in self.done:
            self.held.append(value)  # an id belongs to a value only while it lives
            self.done[id(value)] = self._made(value)
        return self.done[id(value)]

    def _made(self, value: Any) -> Any:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, MethodType):
            return MethodType(value.__func__, self.copy(value.__self__))
        if isinstance(value, functools.partial):
            words = {name: self.copy(part) for name, part in value.keywords.items()}
            return functools.partial(self.copy(value.func), *map(self.copy, value.args), **words)
        if isinstance(value, nn.Module):
            self.done[id(value)] = value  # a module may hold its own methods
            self._look_through(value)
            return copy.deepcopy(value)
        if type(value).__module__.partition(".")[0] in _KNOWN:
            return copy.deepcopy(value)
        if isinstance(value, Tensor):
            self._weigh(value)
            return value.detach().clone()
        if isinstance(value, np.ndarray):
            self._weigh(value)
            return value.copy()
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(map(self.copy, value))
        if type(value) is dict:
            return {key: self.copy(part) for key, part in value.items()}
        if isinstance(value, np.random.Generator):
            return copy.deepcopy(value)
        raise _NoCopy(type(value).__name__)

    def _weigh(self, value: Tensor | np.ndarray) -> None:
        self.left -= value.nbytes
        if self.left < 0:
            raise _NoCopy("large")

    def _look_through(self, module: nn.Module) -> None:
        """Refuse a module with more in it than numbers, tensors, functions and other modules."""
        for part in module.modules():
            if any(getattr(part, hooks) for hooks in _HOOKS):
                raise _NoCopy("hooks")
            for held in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
                self._weigh(held)
            for name, value in vars(part).items():
                if name not in _OF_MODULES and not isinstance(value, nn.Module):
                    self.copy(value)

    def _function(self, function: FunctionType) -> FunctionType:
        """A function with copies of what it closes over, and of the globals that it names."""
        if any(place in function.__code__.co_filename for place in INSTALLED) or _ours(function):
            return function
        names = names_in(function.__code__)
        around = dict(function.__globals__)
        made = FunctionType(function.__code__, around, function.__name__, None, _cells(function))
        self.done[id(function)] = made  # a function may name itself
        around |= {name: self.copy(around[name]) for name in names if name in around}
        for cell in made.__closure__ or ():
            if not is_empty(cell):
                cell.cell_contents = self.copy(cell.cell_contents)
        made.__defaults__ = self.copy(function.__defaults__)
        made.__kwdefaults__ = self.copy(function.__kwdefaults__)
        made.__dict__.update({name: self.copy(part) for name, part in vars(function).items()})
        return made


def _ours(function: FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] in ("losscope", "torch")


def _cells(function: FunctionType) -> tuple[CellType, ...] | None:
    cells = function.__closure__
    return cells and tuple(CellType() if is_empty(cell) else CellType(cell.cell_contents) for cell in cells)
