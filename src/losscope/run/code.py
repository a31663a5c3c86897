"""The code that a process computes with, told apart by a checksum."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from losscope.core.errors import LosscopeError


@cache
def code_digest() -> str:
    """The SHA-256 of the package's Python files, as this process found them when it was first asked.

    A worker that starts later reads the files again: where losscope was upgraded or edited in between, its
    numbers would stand under ids that the driver made with other code.
    """
    home, found = Path(__file__).parent.parent, hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{path.relative_to(home).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


def check_code(planned: str) -> None:
    """Raise LosscopeError in a process that computes with other code than the driver planned with."""
    import losscope.train  # noqa: F401  # imported first, so that what is compared is what is used

    if planned != code_digest():
        raise LosscopeError(
            "a worker has another losscope than the command began with (it was upgraded or edited since, or "
            "the machines have different ones); start the command again, it goes on from what is stored"
        )
