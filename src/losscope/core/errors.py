"""The one error that losscope raises for a mistake that a person can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LosscopeError(ValueError):
    """A mistake in what was given: one sentence with what was given, what is wanted, and the choices.

    The command line prints it and exits with code 2; nothing already computed is lost.

    >>> raise LosscopeError("margin is -1; it must be greater than 0")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: margin is -1; it must be greater than 0
    """


SHOWN = 200
"""Letters of what was given that an error repeats."""
LISTED = 200
"""Choices that an error lists."""


def shown(value: object) -> str:
    """What was given as an error repeats it: its ``repr``, cut in its middle where it is long.

    >>> shown("a\x1b[31m"), len(shown("a" * 10**6))
    ("'a\\\\x1b[31m'", 200)
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # Python refuses to write a whole number of thousands of digits, and lists nested too deeply.
        return f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}…{text[1 - SHOWN // 2 :]}"


def unknown(kind: str, given: object, choices: Iterable[str], hint: str = "") -> LosscopeError:
    """The error for a name that is not among the choices, the nearest first; what is no text is shown too.

    >>> print(unknown("loss", "tripet", ["contrastive", "triplet"]))
    unknown loss 'tripet'; did you mean 'triplet'? choices: contrastive, triplet
    """
    names = sorted(map(str, choices))
    near = difflib.get_close_matches(given[:SHOWN], names, n=3, cutoff=0.5) if isinstance(given, str) else []
    guess = f"; did you mean {' or '.join(map(shown, near))}?" if near else ";"
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    listed = f"{', '.join(names[:LISTED])}{more}"
    return LosscopeError(f"unknown {kind} {shown(given)}{guess} choices: {listed}{hint}")


def need(package: str, why: str, extra: str = "") -> LosscopeError:
    """The error for a package that is not installed."""
    return LosscopeError(f"{why} needs the package {package}: pip install {extra or package}")


def require(condition: bool, message: str) -> None:
    """Raise ``LosscopeError(message)`` unless the condition holds."""
    if not condition:
        raise LosscopeError(message)
