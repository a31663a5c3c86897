"""Ending a piece of work from outside: when its time is up, or when a person says so.

An exception is raised where the work is, at its next line of Python; on the main thread a signal ends what
waits for the system too. Code of other languages that does not come back is not reached: what must end all
the same ends with its process.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 5.0
"""Seconds that work has to come to its end when its time is up."""
PATIENCE = 30.0
"""Seconds that a worker has to keep its unfinished state after Ctrl-C."""
OVER = 124
"""Exit code of a worker whose work was over its limit and did not react, as of the command ``timeout``."""


class OverLimit(KeyboardInterrupt):
    """The work takes longer than it may: an interruption by the clock, handled like one by a person."""


class _Work:
    """A piece of work under way: one exception at most is raised in it, and none once it is over."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.thread = threading.get_ident()
        self.over = False
        self.why: type[KeyboardInterrupt] | None = None
        self.signals = False
        self.lock = threading.Lock()

    def interrupt(self, why: type[KeyboardInterrupt]) -> None:
        """Raise an exception in the work, from another thread."""
        with self.lock:
            if self.over or self.why is not None:
                return
            self.why = why
            if self.signals:
                signal.pthread_kill(self.thread, signal.SIGALRM)
            else:
                _raise_in(self.thread, why)

    def finish(self) -> None:
        """Nothing is raised from here on."""
        with self.lock:
            self.over = True
            if self.why is not None and not self.signals:
                _raise_in(self.thread, None)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """What the signal does while the work lasts: ours ends it, another's goes where it went before."""
        if self.why is not None and not self.over:
            raise self.why
        if callable(self.before):
            self.before(number, frame)

    def listen(self) -> None:
        """Take the signal, where this is the main thread of a system that has it."""
        if hasattr(signal, "pthread_kill") and threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGALRM, self.on_signal)
            self.signals = True

    def unlisten(self) -> None:
        """Give the signal back."""
        if self.signals:
            signal.signal(signal.SIGALRM, self.before or signal.SIG_DFL)  # None: no handler of Python's


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raise an exception in a thread at its next line of Python; None takes back what was not raised yet."""
    raised = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


_at_work: set[_Work] = set()


@contextmanager
def limited(seconds: float | None, name: str = "", end: Callable[[], object] | None = None) -> Iterator[None]:
    """Within it OverLimit is raised after so many seconds; None never raises it.

    Args:
        seconds: how long the work may take.
        name: what ``interrupt`` ends the work by.
        end: called in another thread ``GRACE`` seconds after the limit, where the work goes on all the same.

    >>> import time
    >>> try:
    ...     with limited(0.01):
    ...         time.sleep(60)
    ... except OverLimit:
    ...     print("over")
    over
    """
    work = _Work(name)
    timers = []
    if seconds is not None:
        seconds = min(seconds, threading.TIMEOUT_MAX - GRACE)
        work.listen()
        timers.append(threading.Timer(seconds, work.interrupt, (OverLimit,)))
        if end is not None:
            last = end
            timers.append(threading.Timer(seconds + GRACE, lambda: work.over or last()))
    _at_work.add(work)
    try:
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            work.finish()
    finally:
        work.over = True
        for timer in timers:
            timer.cancel()
        work.unlisten()
        _at_work.discard(work)


def interrupt(name: str) -> int:
    """Raise KeyboardInterrupt in all work of that name in this process; how many pieces there are."""
    found = [work for work in tuple(_at_work) if work.name == name]
    for work in found:
        work.interrupt(KeyboardInterrupt)
    return len(found)
