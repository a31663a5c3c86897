"""Measures that a user declares, known from one call to the next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import cast

from losscope.core.errors import LosscopeError, require
from losscope.core.facts import Better, Scale
from losscope.core.measure_names import Named, meant
from losscope.core.quantities import QUANTITIES, Quantity

_known: list[str] = []
"""The names that the last call declared, known until the next one: its result is shown by them."""

BETTER, SCALES = ("higher", "lower", "neither"), ("difference", "log_ratio")


def declare(texts: Sequence[str]) -> None:
    """Know the user's own measures, and none of the calls before.

    Raises:
        LosscopeError: a text that is no declaration, a measure twice, or one of ours declared as another.
    """
    forget()
    for text in texts:
        found, short = _declaration(text)
        if found.name in _known:
            raise _taken(found.name, "declared twice")
        named = meant(found.name)
        if named is None or named.own is not None:
            know(found)
            continue
        ours = QUANTITIES.get(named.name)
        same = ours is not None and ours.better == found.better
        if ours is None or not (same and (short or (ours.scale, ours.delta) == (found.scale, found.delta))):
            raise _taken(named.name, "one of ours")


def know(found: Quantity) -> None:
    """Know one more quantity until the next call."""
    if found.name not in QUANTITIES:
        QUANTITIES[found.name] = found
        _known.append(found.name)


def forget() -> None:
    """Know the package's own measures alone."""
    while _known:
        del QUANTITIES[_known.pop()]


def known_as(written: str) -> Named:
    """The measure that a name means; one of the field is known from here on.

    Raises:
        LosscopeError: a name that means none.
    """
    from losscope.core.errors import unknown

    found = meant(written)
    if found is None:
        own = shlex.quote(f"{written.strip()}:higher")
        hint = f"; or declare your own with --declare {own} (or :lower)"
        raise unknown("measure", written, QUANTITIES, hint)
    if found.own is not None:
        know(found.own)
    return found


def _taken(name: str, how: str) -> LosscopeError:
    better = QUANTITIES[name].better if name in QUANTITIES else "neither"
    said = "neither way is better" if better == "neither" else f"{better} is better"
    return LosscopeError(f"the measure {name!r} is {how}: {said}; declare yours under another name")


def _declaration(text: str) -> tuple[Quantity, bool]:
    """The quantity, and whether only its direction is said. A name may hold colons."""
    parts = [part.strip() for part in text.split(":")]
    at = max((place for place, part in enumerate(parts) if part in BETTER), default=0)
    try:
        name, better = ":".join(parts[:at]), parts[at]
        scale, delta = [*parts[at + 1 :], *["difference", "0.01"][len(parts) - at - 1 :]]
        require(bool(name) and better in BETTER and scale in SCALES and parts[at - 1] not in BETTER, "")
        size = float(delta)
        require(0 < size < float("inf"), "")
    except ValueError:
        raise LosscopeError(
            f"cannot read the declared measure {text!r}; it must be name:better[:scale[:indifference]] with "
            f"better one of {', '.join(BETTER)} and scale one of {', '.join(SCALES)}, "
            f"such as 'accuracy:higher:difference:0.01'"
        ) from None
    made = Quantity(
        name,
        "declared by the user",
        "",
        cast(Better, better),
        cast(Scale, scale),
        size,
        "outcome",
        label=name.replace("_", " "),
    )
    return made, len(parts) == at + 2
