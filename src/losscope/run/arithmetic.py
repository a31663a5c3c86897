"""The arithmetic that a run's numbers belong to: one, on every engine and whatever the process did before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

THREADS = 1
"""Threads of every run's arithmetic on the CPU."""


@contextlib.contextmanager
def fixed_arithmetic() -> Iterator[None]:
    """One thread, and torch's settings as a new process has them; afterwards all is as it was.

    Several threads add up the gradient of a convolution in another order, so numbers would depend on the
    machine and on the engine: cores are used by training groups in processes, side by side. The rest is what
    a program around ``losscope.compare``, or a plugin, may have set, and a worker process has not: the type
    of new tensors, products in half precision, numbers near 0 flushed to it.
    """
    import torch
    from threadpoolctl import threadpool_limits

    with contextlib.ExitStack() as kept:
        kept.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(THREADS)
        kept.enter_context(threadpool_limits(THREADS))
        for setting in _settings():
            if (before := setting.read()) not in setting.good:
                kept.callback(setting.write, before)
                setting.write(setting.good[0])
        for device in ("cpu", "cuda"):
            kept.enter_context(torch.autocast(device, enabled=False))
        kept.enter_context(torch.inference_mode(False))
        kept.enter_context(torch.enable_grad())
        yield


@dataclass(frozen=True)
class _Setting:
    """One of torch's settings: how it is read and written, and its values that are a new process's."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]
    good: tuple[Any, ...]


def _settings() -> list[_Setting]:
    import torch

    found = [
        _Setting(torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
        _Setting(_flushes, torch.set_flush_denormal, (False,)),
    ]
    backends = torch.backends
    libraries = [
        library
        for library in (
            getattr(backends.mkldnn, "matmul", None),
            getattr(backends.mkldnn, "conv", None),
            backends.cuda.matmul,
        )
        if hasattr(library, "fp32_precision")
    ]
    for library in libraries:
        write = partial(setattr, library, "fp32_precision")
        found.append(_Setting(partial(getattr, library, "fp32_precision"), write, ("ieee", "none")))
    if not libraries:  # before torch 2.9
        found.append(
            _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, ("highest",))
        )
    return found


def _flushes() -> bool:
    """Whether this thread takes numbers near 0 for 0; torch sets this and cannot be asked for it."""
    import torch

    return not bool(torch.tensor([1e-310], dtype=torch.float64).mul(1.0).any())
