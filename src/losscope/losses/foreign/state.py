"""What a loss of another library holds: its trainable parameters, and what it keeps between calls.

Numbers, texts, tensors, and lists, tuples and dictionaries of these are kept by a checkpoint. Anything else
that a loss may keep is only watched: where it has changed since the loss was made, the training cannot go on
from a checkpoint and starts again.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

_OF_MODULES = frozenset(vars(nn.Module()))
"""What every module has for torch's own purposes."""

_MUTABLE = (list, dict, set, deque, bytearray, np.ndarray, Tensor)
"""Of a class or of a file, only what can change in place is watched."""


def plain_state(module: nn.Module) -> dict[str, Any]:
    """What a module keeps between calls beside its parameters, as a checkpoint without pickled code holds it.

    Buffers, and what is plain among its attributes (a queue's place, a moving mean, a list of losses).
    """
    kept: dict[str, Any] = {}
    for path, part in module.named_modules():
        for name, value in part._buffers.items():
            if value is not None:
                kept[f"{path}/buffer/{name}"] = value.detach()
        for name, value in _attributes(part):
            if is_plain(value):
                kept[f"{path}/value/{name}"] = _detached(value)
    return kept


def load_plain_state(module: nn.Module, kept: dict[str, Any]) -> None:
    """Go on from what ``plain_state`` kept.

    Raises:
        ValueError: it holds a part that the module has not, such as one made while it trained.
    """
    parts = dict(module.named_modules())
    for key in kept:
        if key.rsplit("/", 2)[0] not in parts:
            raise ValueError("it does not fit: the loss made parts while it trained")
    for key, value in kept.items():
        path, kind, name = key.rsplit("/", 2)
        part = parts[path]
        if kind == "buffer":
            part._buffers[name] = value.clone()
            continue
        own = getattr(part, name, None)
        # In place, so that another part that holds the same list goes on holding it.
        if type(own) is type(value) is list:
            own[:] = value
        elif type(own) is type(value) is dict:
            own.clear()
            own.update(value)
        else:
            setattr(part, name, value.clone() if isinstance(value, Tensor) else value)


def is_plain(value: Any) -> bool:
    """Whether a checkpoint holds a value: a number, a text, a tensor, or a list, tuple or dict of these.

    >>> is_plain([1, {"mean": 0.5}]), is_plain({1, 2})
    (True, False)
    """
    # Exact types: a numpy number is a float too, and only pickle can hold it.
    if isinstance(value, Tensor):
        return type(value) is Tensor
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    if type(value) is dict:
        return all(type(key) in (str, int) for key in value) and all(map(is_plain, value.values()))
    return value is None or type(value) in (bool, int, float, str)


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if type(value) in (list, tuple):
        return type(value)(map(_detached, value))
    return {key: _detached(part) for key, part in value.items()} if type(value) is dict else value


def _attributes(part: nn.Module) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(part).items() if name not in _OF_MODULES)


def other_state(module: nn.Module) -> dict[str, str]:
    """The checksum of each thing that a module holds and a checkpoint does not."""
    found = {}
    for path, part in module.named_modules():
        for name, value in _attributes(part):
            if not is_plain(value):
                found[f"{path}.{name}".lstrip(".")] = _checksum(value)
        for kind in type(part).__mro__:
            if kind.__module__.partition(".")[0] not in ("torch", "builtins"):
                for name, value in vars(kind).items():
                    if isinstance(value, _MUTABLE) and not name.startswith("__"):
                        found[f"{kind.__name__}.{name}"] = _checksum(value)
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The names of what is other now."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _checksum(value: Any) -> str:
    found = hashlib.sha256()
    for part in _bytes_of(value, set()):
        found.update(part)
    return found.hexdigest()


def _bytes_of(value: Any, known: set[int]) -> Iterator[bytes]:
    """What tells a value from what it was. Pickle writes most; functions and what it refuses are walked."""
    yield type(value).__qualname__.encode()
    if id(value) in known or isinstance(value, type | ModuleType):
        return
    known.add(id(value))
    if isinstance(value, FunctionType):
        yield value.__qualname__.encode()
        for cell in value.__closure__ or ():
            yield from _bytes_of(getattr(cell, "cell_contents", None), known)
        own = [value.__globals__.get(name) for name in value.__code__.co_names]
        for part in (*own, *(value.__defaults__ or ()), vars(value)):
            if isinstance(part, (*_MUTABLE, int, float, FunctionType)):
                yield from _bytes_of(part, known)
        return
    if isinstance(value, MethodType):
        yield from _bytes_of(value.__func__, known)
        yield from _bytes_of(value.__self__, known)
        return
    try:
        yield pickle.dumps(value)
        return
    except Exception:  # whatever an object raises that cannot be written: its parts are walked
        pass
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | deque):
        parts = [*value]
    else:
        parts = [*getattr(value, "__dict__", {}).values()]
    for part in parts:
        yield from _bytes_of(part, known)


def parts_of(loss: nn.Module) -> dict[str, nn.Parameter]:
    """The loss's own trainable parameters by name."""
    return {name: value for name, value in loss.named_parameters() if value.requires_grad}
