"""Files that outlive a crash: written whole and synced, sealed with a checksum, and checked when read.

A sealed JSON file ends with the SHA-256 of its own bytes, taken with zeros in the checksum's place, so that
any altered byte is noticed. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import json
import math
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError

_SEAL = re.compile(rb'"sha256": "([0-9a-f]{64})"\n\}\n\Z')
_BLANK = b"0" * 64
LITTER = re.compile(r"\.(?P<name>.+)\.(?P<pid>[0-9]+)-(?P<machine>[0-9a-f]{4})[0-9a-f]{4}\.part")
"""The name of a file or folder that is not yet whole: it names the writing process and its machine."""
_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:4]
_FOREIGN_AGE = 86_400.0
"""Seconds after which what another machine left half-written is litter: its processes are out of sight."""
AGAIN = "run the command that made it again: it is set aside and run again"
"""What mends a run's damaged file."""


class Damaged(LosscopeError):
    """A file that is not what was written: cut, altered, emptied or gone."""


def temporary(path: Path) -> Path:
    """A name beside ``path`` for writing it: ``.<name>.<process>-<machine><random>.part``."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_MACHINE}{uuid.uuid4().hex[:4]}.part")


def is_litter(path: Path) -> bool:
    """Whether a file or folder is what a process that has ended left half-written.

    >>> is_litter(Path(".run.json.1-0123abcd.part")), is_litter(Path("run.json"))
    (False, False)
    """
    found = LITTER.fullmatch(path.name)
    if found is None:
        return False
    if found["machine"] != _MACHINE:
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime > _FOREIGN_AGE
        return False
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


@contextlib.contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what a disk refuses into one sentence that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = "the disk is full; free some space and run the same command again, it goes on from here"
        elif error.errno == errno.EIO:
            why = "the disk could not be read or written (input/output error); run the same command again"
        elif isinstance(
            error, FileNotFoundError | NotADirectoryError | FileExistsError | PermissionError
        ) or (error.errno in (errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)):
            why = f"it cannot be written ({error.strerror}); choose another folder with --out"
        else:
            raise
        raise LosscopeError(f"folder {str(place)!r}: {why}") from None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def can_be_made(folder: Path) -> None:
    """Raise the OSError that making a folder would raise, and leave nothing."""
    whole = [folder, *folder.absolute().parents]
    missing = list(itertools.takewhile(lambda path: not os.path.lexists(path), whole))
    there = whole[len(missing)]
    if not there.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if missing:
        missing[-1].mkdir()
        missing[-1].rmdir()
    elif not os.access(there, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each name synced."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that readers, and a crash, find the old content or the new, never a part."""
    make_folder(path.parent)
    part = temporary(path)
    try:
        write_bytes(part, content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def plain(value: Any) -> Any:
    """The value with every non-finite number as None, and numpy numbers as Python's: what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def digest(content: bytes) -> str:
    """The SHA-256 of some bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sealed(value: dict[str, Any]) -> bytes:
    """A JSON object as text that ends with its own checksum.

    >>> unsealed(sealed({"a": 1}), "here")
    {'a': 1}

    Raises:
        ValueError: the object has a key ``sha256``, which is the checksum's.
    """
    if "sha256" in value:
        raise ValueError("a sealed object has no key 'sha256' of its own: it is the checksum's")
    text = json.dumps(
        {**plain(value), "sha256": _BLANK.decode()}, indent=1, ensure_ascii=False, allow_nan=False
    )
    blank = f"{text}\n".encode()
    return blank[: -len(_BLANK) - 4] + digest(blank).encode() + blank[-4:]


def unsealed(content: bytes, where: str) -> Any:
    """The value of a JSON text; one that is sealed is checked, and one of schema 2 must be sealed.

    Raises:
        Damaged: text that is not JSON, or not what was written.
    """
    found = _SEAL.search(content)
    if found is not None:
        blank = content[: found.start(1)] + _BLANK + content[found.end(1) :]
        if digest(blank).encode() != found[1]:
            raise Damaged(f"{where} has been altered: its checksum does not fit its content")
    try:
        value = json.loads(content)
    except ValueError as error:
        raise Damaged(f"{where} is damaged: {error}") from None
    if not isinstance(value, dict):
        return value
    value.pop("sha256", None)
    if found is None and value.get("schema") == 2:
        raise Damaged(f"{where} is damaged: its checksum is gone")
    return value


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        Damaged: there is no such file.
        LosscopeError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Damaged(f"{str(path)!r} is missing") from None
    except OSError as error:
        raise LosscopeError(f"cannot read {str(path)!r}: {error.strerror}") from None


def arrays_or_none(path: Path, names: Sequence[str], largest: int) -> list[np.ndarray] | None:
    """These arrays of an archive that a page can do without.

    None where there is no such file, where it has more than ``largest`` bytes, and where it cannot be read.
    """
    try:
        if not path.is_file() or path.stat().st_size > largest:
            return None
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as file:
            return [file[name] for name in names]
    except Exception:  # NumPy and zipfile have a dozen classes for damaged bytes, tokenize's among them
        return None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a folder for one process at a time; others wait. A system without locks holds nothing."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    make_folder(path)
    with open(path / ".lock", "a") as file:
        with contextlib.suppress(OSError):  # a network disk without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
