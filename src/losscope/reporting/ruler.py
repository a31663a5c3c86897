"""A horizontal scale in percent of a width, round steps, and boxes that must not meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from losscope.core import wording

Box: TypeAlias = tuple[float, float, float, float]
"""Left, lower, right and upper end; upper and lower the other way round where places count downwards."""


def nice_step(rough: float) -> tuple[float, int]:
    """The round step (1, 2, 2.5, 5 times a power of ten) at or above ``rough``, and its decimals.

    >>> nice_step(0.021), nice_step(3.0)
    ((0.025, 3), (5.0, 0))
    """
    power = 10.0 ** math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    step = power * factor
    return step, max(0, -math.floor(math.log10(step) + 1e-9) + (factor == 2.5))


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes meet, as those of words that would hide each other."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def spaced_ratios(
    rungs: Iterable[float], place: Callable[[float], float], ends: tuple[float, float], apart: float
) -> list[tuple[float, str]]:
    """Ratios on a scale of logarithms, with their places, from 1 outwards those far enough apart to be read.

    ``place``: where a logarithm lies; ``ends``, ``apart``: of the scale and between two ratios, in its units.

    >>> spaced_ratios((0.5, 0.9, 1, 2), float, (-1, 1), 0.25)
    [(-0.6931471805599453, '×0.5'), (0.0, '×1'), (0.6931471805599453, '×2')]
    """
    kept: list[tuple[float, str]] = []
    for rung in sorted(rungs, key=lambda rung: (rung != 1, abs(math.log(rung)))):
        at = place(math.log(rung))
        if ends[0] <= at <= ends[1] and all(abs(at - other) > apart for other, _ in kept):
            kept.append((at, f"×{rung:g}"))
    return sorted(kept)


@dataclass(frozen=True)
class Ruler:
    """A horizontal scale from values to percent of a width."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float | None], pad: float = 0.04) -> Ruler:
        """The scale that holds all values, with a margin."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        span = (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - pad * span, high + pad * span)

    def at(self, value: float | None) -> float | None:
        """Where the value lies, in percent."""
        if value is None:
            return None
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self, most: int = 6, ratio: bool = False) -> list[tuple[float, str]]:
        """Round values with their places in percent; ``ratio``: the scale is the log of a ratio."""
        return self._ratio_ticks() if ratio else self._plain_ticks(most)

    def _plain_ticks(self, most: int) -> list[tuple[float, str]]:
        step, decimals = nice_step((self.high - self.low) / most)
        first = math.ceil(self.low / step)
        last = math.floor(self.high / step)
        out = []
        for count in range(first, last + 1):
            value = count * step
            text = "0" if count == 0 else f"{value:+.{decimals}f}".replace("-", wording.MINUS)
            out.append((self.at(value) or 0.0, text))
        return out

    def _ratio_ticks(self) -> list[tuple[float, str]]:
        rungs = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)
        return spaced_ratios(rungs, lambda value: self.at(value) or 0.0, (0, 100), 12)
