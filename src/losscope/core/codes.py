"""What Python's functions name and close over, read from their code; nothing is called."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import CellType, CodeType

INSTALLED = ("site-packages", "dist-packages")
"""Folders of installed packages."""


def names_in(code: CodeType) -> set[str]:
    """The globals and the attributes that a function names, or a function inside of it."""
    return {name for part in _codes(code) for name in part.co_names}


def globals_in(code: CodeType) -> list[str]:
    """The globals alone, in the order of the code.

    >>> def of(rows):
    ...     return sum(row * math.pi for row in rows)
    >>> globals_in(of.__code__)
    ['sum', 'math']
    """
    steps = (step for part in _codes(code) for step in dis.get_instructions(part))
    return list(dict.fromkeys(step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")))


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions in it."""
    yield code
    for part in code.co_consts:
        if inspect.iscode(part):
            yield from _codes(part)


def is_empty(cell: CellType) -> bool:
    """Whether what a function closes over has no value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False
