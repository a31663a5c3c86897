"""Content hashes of files that are not read again while their size and modification time stay the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError

YOUNG = 2.0
"""Seconds: a file changed so recently may change again within one tick of the clock and is not remembered."""
LONG = 5e8
"""Bytes whose reading takes long enough to be told."""


def digests(
    files: Sequence[Path], memory: Path, say: Callable[[str], None] | None = None, *, keep: bool = True
) -> list[str]:
    """SHA-256 of each file's bytes; "missing" where there is no such file.

    What was read is remembered in the folder ``memory``, one JSON file for the files of one folder (or of a
    tree of them), where ``keep`` is true. A memory that is broken or cannot be written costs time only.
    """
    if not files:
        return []
    paths = [os.path.abspath(file) for file in files]
    top = (
        os.path.dirname(paths[0])
        if len(paths) == 1
        else os.path.commonpath([os.path.dirname(p) for p in paths])
    )
    note = memory / f"{hashlib.sha256(top.encode()).hexdigest()[:24]}.json"
    known = _read(note)
    stamps: list[list[int] | None] = []
    for path in paths:
        try:
            state = os.stat(path)
        except OSError:
            stamps.append(None)
        else:
            stamps.append([state.st_size, state.st_mtime_ns, state.st_ino])
    found: dict[str, str] = {}
    for path, stamp in zip(paths, stamps, strict=True):
        if stamp is not None and known.get(path, [])[:-1] == stamp:
            found[path] = known[path][-1]
    todo = [path for path in dict.fromkeys(paths) if path not in found]
    size = sum(stamp[0] for path, stamp in zip(paths, stamps, strict=True) if stamp and path not in found)
    if say and size > LONG:
        say(f"reading {size / 1e9:.1f} GB in {len(todo):,} files once, to know them again by their content")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found |= dict(zip(todo, pool.map(_digest, todo), strict=True))
    now = time.time_ns()
    fresh = {
        path: [*stamp, found[path]]
        for path, stamp in zip(paths, stamps, strict=True)
        if stamp is not None and now - stamp[1] > YOUNG * 1e9
    }
    if keep and any(known.get(path) != value for path, value in fresh.items()):
        _write(note, known | fresh)
    return [found[path] for path in paths]


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        raise LosscopeError(f"cannot read {path!r}: {error.strerror}") from None


def _read(note: Path) -> dict[str, list[Any]]:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        return known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        return {}


def _write(note: Path, known: dict[str, list[Any]]) -> None:
    temporary = note.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(known), encoding="utf-8")
        os.replace(temporary, note)
