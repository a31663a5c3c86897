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


def unknown(kind: str, given: str, choices: Iterable[str], hint: str = "") -> LosscopeError:
    """The error for a name that is not among the choices, the nearest first.

    >>> print(unknown("loss", "tripet", ["contrastive", "triplet"]))
    unknown loss 'tripet'; did you mean 'triplet'? choices: contrastive, triplet
    """
    names = sorted(choices)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ";"
    return LosscopeError(f"unknown {kind} {given!r}{guess} choices: {', '.join(names)}{hint}")


def require(condition: bool, message: str) -> None:
    """Raise ``LosscopeError(message)`` unless the condition holds."""
    if not condition:
        raise LosscopeError(message)
