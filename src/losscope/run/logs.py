"""A log of each run, ``logs/<id>.log`` of the store: when and where it was tried, warnings, and how it ended.

It is text for a person. Nothing reads it back, no number depends on it, and it is no part of the run: a log
that cannot be written is left out.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from losscope.core import wording
from losscope.run.files import make_folder, replace_file
from losscope.run.limits import OverLimit

if TYPE_CHECKING:
    from losscope.run.groups import Group

FOLDER = "logs"
LARGEST = 64 * 1024
"""Bytes of a log at most; the older half goes when it is full."""
LONGEST = 8 * 1024
"""Letters of one entry at most: of a traceback its end."""
MOST_WARNINGS = 100
"""Unlike warnings of a group that its logs keep: some name a number that is another at each step."""
_CUT = "[older entries were removed]\n"


def path_of(store: str | Path, run_id: str) -> Path:
    """Where the log of a run is."""
    return Path(store) / FOLDER / f"{run_id}.log"


def write(group: Group, what: str, text: str = "", ids: Sequence[str] | None = None) -> None:
    """Add an entry to the logs of a group's runs, or of some of them: what happened, and more of it."""
    lines = wording.printable(text[-LONGEST:]).splitlines() or [""]
    head = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {what:<9} {lines[0]}".rstrip()
    entry = "".join(f"{line}\n" for line in (head, *(f"    {line}" for line in lines[1:])))
    with contextlib.suppress(OSError):
        make_folder(Path(group.where.store) / FOLDER)
        for run_id in group.ids if ids is None else ids:
            _append(path_of(group.where.store, run_id), entry)


def _append(path: Path, entry: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(entry)
        size = file.tell()
    if size > LARGEST:
        kept = path.read_bytes()[-LARGEST // 2 :].decode("utf-8", "replace")
        replace_file(path, (_CUT + kept.partition("\n")[2]).encode())


class _Listener:
    """Warnings of a process go to the log of the group that their thread trains."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.groups: dict[int, Group] = {}
        self.seen: dict[int, set[str]] = {}
        self.told: set[str] = set()
        self.hold = contextlib.ExitStack()

    def enter(self, group: Group) -> None:
        with self.lock:
            if not self.groups:
                # Entering forgets which warnings were shown: each group has its own in its log.
                self.hold.enter_context(warnings.catch_warnings())
                self.shown = warnings.showwarning
                warnings.showwarning = self.show
            self.groups[threading.get_ident()] = group
            self.seen[threading.get_ident()] = set()

    def leave(self) -> None:
        with self.lock:
            self.groups.pop(threading.get_ident(), None)
            self.seen.pop(threading.get_ident(), None)
            if not self.groups:
                self.hold.close()

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: str | None = None,
    ) -> None:
        """Keep a warning, once for each group, and show it where it always was: once for a process."""
        text = f"{category.__name__}: {message} ({filename}:{lineno})"
        me = threading.get_ident()
        group = self.groups.get(me)
        if group is not None and text not in self.seen[me] and len(self.seen[me]) < MOST_WARNINGS:
            self.seen[me].add(text)
            last = "\n[further warnings are left out]" if len(self.seen[me]) == MOST_WARNINGS else ""
            write(group, "warning", text[: LONGEST - len(last)] + last)
        if text not in self.told:
            self.told.add(text)
            self.shown(message, category, filename, lineno, file, line)  # type: ignore[arg-type]


_listener = _Listener()


@contextlib.contextmanager
def attempt(group: Group, engine: str, number: int, device: str) -> Iterator[None]:
    """The entries of one attempt to train a group: its start, its warnings, and what it raised."""
    from losscope import __version__

    machine = f"{device} of {socket.gethostname()} ({platform.system()} {platform.machine()})"
    together = f"; one of {len(group.runs)} runs that train together" if len(group.runs) > 1 else ""
    said = f"attempt {number}, engine {engine}, {machine}, process {os.getpid()}, losscope {__version__}"
    write(group, "start", said + together)
    _listener.enter(group)
    try:
        yield
    except KeyboardInterrupt as error:
        write(group, "stopped", "its time was up" if isinstance(error, OverLimit) else "interrupted")
        raise
    except Exception:
        write(group, "raised", traceback.format_exc())
        raise
    finally:
        _listener.leave()
