"""The threads that a run's numbers belong to: one, on every engine and machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

THREADS = 1
"""Threads of every run's arithmetic on the CPU."""


@contextlib.contextmanager
def fixed_threads() -> Iterator[None]:
    """One thread for torch and for NumPy's products, and afterwards as many as before.

    A run's numbers are those of one thread: several threads add up the gradient of a convolution in another
    order, so numbers would depend on the machine and on the engine. Cores are used by training groups in
    processes, side by side.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with threadpool_limits(THREADS, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
