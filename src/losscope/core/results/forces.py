"""The force of a loss by distance, as a page draws it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Force:
    """How a loss moves an anchor of unit length, by the distance of its positive and of its negative.

    Attributes:
        distance: of unit vectors, between 0 and 2.
        pull: towards a positive at each distance; below 0 it pushes it away.
        push: away from a negative at each distance; below 0 it pulls it near.
    """

    distance: tuple[float, ...]
    pull: tuple[float, ...]
    push: tuple[float, ...]
