"""What may be read: regular files only, and no more than a file of its size can hold in earnest.

A small file can declare or unpack to any number of bytes. Every reader asks here before it takes memory, so
that such a file is one sentence. The limits are generous for data and small against a machine's memory.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError, require

UNPACKED = 128 * 2**20
"""Bytes that any file may unpack to."""
RATIO = 25
"""Above ``UNPACKED``: how many times its own size a file may unpack to. Arrays of numbers reach 2 to 10."""
COLUMNS = 100_000
"""Columns of a table."""
TEXT_BYTES = 2**18
"""Bytes of a study file."""
DEPTH = 100
"""Parts of a dotted name in a study file: reading one takes memory by their square."""
LETTERS = 20_000
"""Letters of a loss as it is written."""
INTEGER = 2**63
"""Whole numbers lie below this, as they do in TOML and JSON."""
PIXELS = 2**26
"""Pixels of an image, decoded or scaled: 67 million."""
SEEDS, EPOCHS, LOSSES, RUNS = 10_000, 1_000_000, 1_000, 100_000
"""What one study may ask for; ``RUNS`` counts losses and baselines over all seeds."""


_QUOTED_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*')
_BETWEEN_NAMES = re.compile(r"[=\[\]{},\n]")


def regular(path: str | Path) -> Path:
    """The path, if it leads to a regular file, through links or not.

    Raises:
        LosscopeError: it is a folder, a pipe, a socket, a device, or the kernel's own.
        OSError: there is none, or it cannot be looked at.

    >>> regular(os.devnull)
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: '/dev/null' is a device; wanted: a regular file
    """
    path = Path(path)
    mode = path.stat().st_mode
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    if not stat.S_ISREG(mode):
        what = next((name for test, name in kinds if test(mode)), "a device")
        raise LosscopeError(f"{str(path)!r} is {what}; wanted: a regular file")
    require(
        path.resolve().parts[1:2] not in (("proc",), ("sys",)),
        f"{str(path)!r} is made by the kernel as it is read; wanted: a regular file",
    )
    return path


def inside(home: Path, name: str) -> Path:
    """A file that a table names: below the table's folder, or an absolute path, which is the user's own word.

    >>> inside(Path("data"), "birds/1.jpg").as_posix()
    'data/birds/1.jpg'

    Raises:
        LosscopeError: a relative path that climbs out of the folder, or one with a null character.
    """
    require("\0" not in name, f"the path {name!r} holds a null character; wanted: the path of a file")
    climbs = not os.path.isabs(name) and os.path.normpath(name).split(os.sep)[0] == os.pardir
    require(
        not climbs,
        f"the path {name!r} leads out of {str(home)!r}; wanted: paths below the table's folder, or absolute",
    )
    return home / name


def allowed(size: int) -> int:
    """How many bytes a file of so many bytes may unpack to."""
    return max(UNPACKED, RATIO * size)


def bounded(path: str | Path, unpacked: int, what: str = "it", size: int | None = None) -> None:
    """Raise where a file says that it unpacks to more than ``allowed``; ``size``: the bytes it does so from.

    >>> bounded("x.npz", 10**12, "features", size=2500)
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'x.npz': features would unpack from 2,500 bytes to ...
    """
    size = Path(path).stat().st_size if size is None else size
    require(
        unpacked <= allowed(size),
        f"{str(path)!r}: {what} would unpack from {size:,} bytes to {unpacked:,}; at most {allowed(size):,} "
        "are read; if the file is sound, save it without compression",
    )


def gunzipped(path: Path) -> bytes:
    """The bytes of a gzip file, at most ``allowed``.

    Raises:
        LosscopeError: it unpacks to more.
        zlib.error, EOFError: it is damaged, or ends early.
    """
    most, parts, total = allowed(regular(path).stat().st_size), [], 0
    # The module reads member after member; what is left over is never copied for each of them.
    with gzip.open(path) as stream:
        try:
            while part := stream.read(2**20):
                total += len(part)
                if total > most:
                    bounded(path, total, "it")
                parts.append(part)
        except gzip.BadGzipFile as error:
            raise zlib.error(str(error)) from None
    return b"".join(parts)


def bounded_text(cells: Iterable[str], what: str) -> None:
    """Raise for text that would take far more memory as an array, whose cells are all as long as the longest.

    >>> bounded_text(["a", "b" * 10**9], "the labels")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: the labels have a value of 1,000,000,000 letters; ...
    """
    longest = count = 0
    for cell in cells:
        longest, count = max(longest, len(cell)), count + 1
    require(
        longest <= 256 or 4 * longest * count <= UNPACKED,
        f"{what} have a value of {longest:,} letters; wanted: at most 256, or fewer rows than {count:,}",
    )


def bounded_depth(text: str, where: str) -> None:
    """Raise for TOML with dotted names of more than ``DEPTH`` parts.

    >>> bounded_depth("a" + ".a" * 1000 + " = 1", "the study")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: the study holds a name of 1,001 parts; at most 100 are read
    """
    bare = _QUOTED_OR_COMMENT.sub(lambda found: "" if found[0].startswith("#") else "q", text)
    parts = 1 + max(piece.count(".") for piece in _BETWEEN_NAMES.split(bare))
    require(parts <= DEPTH, f"{where} holds a name of {parts:,} parts; at most {DEPTH} are read")


def bounded_integers(value: Any, where: str) -> None:
    """Raise for a whole number of more than 64 bits anywhere in nested lists and tables.

    >>> bounded_integers({"seeds": [1, 2**99]}, "it")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: it holds a whole number of 100 bits; at most 63 are read: ...
    """
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            pending += value
        elif isinstance(value, int) and abs(value) >= INTEGER:
            raise LosscopeError(
                f"{where} holds a whole number of {value.bit_length():,} bits; at most 63 are read: write it "
                "as text"
            )


def bounded_picture(size: Sequence[int]) -> None:
    """Raise for an image of more pixels than ``PIXELS``; ``size`` is (width, height).

    >>> bounded_picture((10**5, 10**5))
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 100,000 × 100,000 pixels are too many; at most 67,108,864 are decoded
    """
    wide, high = size
    require(
        0 < wide * high <= PIXELS,
        f"{wide:,} × {high:,} pixels are too many; at most {PIXELS:,} are decoded",
    )
