"""The bytes of tensors that a computation holds at once and writes in all, counted as they come and go."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Held(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.written = 0
        self.known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        before = {id(tensor.untyped_storage()) for tensor in given}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.written += tensor.numel()
                storage = tensor.untyped_storage()
                if id(storage) not in self.known and id(storage) not in before:
                    self._hold(storage)
        return out

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()

        def freed(_: Any) -> None:
            self.now -= size
            self.known.pop(key, None)

        self.known[key] = weakref.ref(storage, freed)
        self.now += size
        self.most = max(self.most, self.now)


def footprint(step: Callable[[], Any]) -> tuple[int, int]:
    """(the most bytes of tensors that ``step`` holds at once, the numbers it writes in all).

    Tensors that were there before are left out, and what a kernel allocates inside itself is not seen.
    Both are the same on every machine, busy or not.

    >>> footprint(lambda: (torch.ones(1000) + 1).sum())
    (8000, 2001)
    """
    held = _Held()
    with held:
        step()
    return held.most, held.written
