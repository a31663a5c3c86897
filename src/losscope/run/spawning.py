"""Worker processes that do not run the user's program again, so that its calls need no guard."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from losscope.core import registry
from losscope.core.errors import LosscopeError


def begin(process: Any) -> None:
    """Start a worker process.

    A spawned process imports the file of the program that started it. A worker needs that only where the
    program itself registered what it trains.

    Raises:
        LosscopeError: called by a worker that is itself importing such a program.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # set while the program is imported
        raise LosscopeError(
            "a worker process imports this program, which registers items of its own, and came upon the call "
            'that started it; wanted: that call below if __name__ == "__main__":, or the items in a file '
            "given as plugins="
        )
    with unguarded():
        process.start()


@contextmanager
def unguarded() -> Iterator[None]:
    """Within it new processes do not import the program, unless it registered items of its own."""
    if registry.of_program():
        return (yield)
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def by_signal(code: int) -> str | None:
    """By which signal a process was ended, by its exit code; None where it was none.

    >>> by_signal(-9), by_signal(3)
    ('by SIGKILL', None)
    """
    return {-number: f"by {number.name}" for number in signal.Signals}.get(code)
