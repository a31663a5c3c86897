"""Axes in the page's manner: round ticks, few enough to be read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from losscope.core import wording
from losscope.reporting.figure import Axis, Tick
from losscope.reporting.ruler import nice_step

RUNGS = (1.0, 2.0, 5.0)
"""Of each decade of a logarithmic axis."""


def linear(values: Iterable[float | None], title: str = "", *, zero: bool = False, most: int = 6) -> Axis:
    """A linear axis that holds all values with a margin, from 0 if ``zero``, with about ``most`` ticks.

    >>> [tick.text for tick in linear([0.0, 1.0], zero=True).ticks]
    ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']
    """
    low, high = _ends(values)
    low = min(low, 0.0) if zero else low
    width = (high - low) or abs(high) or 1.0
    low, high = (low if zero and low == 0 else low - 0.05 * width), high + 0.05 * width
    return Axis(low, high, round_ticks(low, high, most), title)


def shares(title: str = "") -> Axis:
    """From 0 to 1 in quarters."""
    return Axis(0.0, 1.02, tuple(Tick(value, f"{value:.2f}") for value in (0.0, 0.25, 0.5, 0.75, 1.0)), title)


def logarithmic(values: Iterable[float | None], title: str = "") -> Axis | None:
    """A logarithmic axis that holds all positive values; None where there are none."""
    known = [value for value in values if value is not None and math.isfinite(value) and value > 0]
    if not known:
        return None
    low, high = min(known), max(known)
    if not math.isfinite(high / low) or low < 1e-290:
        return None
    if high < 1.1 * low:
        low, high = low / 1.2, high * 1.2
    spare = (high / low) ** 0.05
    low, high = low / spare, high * spare
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for rungs in (RUNGS, (1.0, 3.0), (1.0,)):
        ticks = [10.0**decade * rung for decade in decades for rung in rungs]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 6:
            break
    ticks = ticks[:: max(1, math.ceil(len(ticks) / 6))]
    if len(ticks) < 2:
        return Axis(low, high, round_ticks(low, high, 3), title, "log")
    return Axis(low, high, tuple(Tick(tick, _short(tick)) for tick in ticks), title, "log")


def counted(last: float, title: str, most: int = 6) -> Axis:
    """From 0 to the last epoch, step or place, without a grid."""
    step = max(1.0, nice_step(max(last, 1.0) / most)[0])
    step = 1.0 if step < 2 else float(math.ceil(step))
    ticks = tuple(Tick(count * step, f"{count * step:,.0f}") for count in range(int(last / step) + 1))
    return Axis(0.0, max(last, 1.0), ticks, title, grid=False)


def over(values: Iterable[float | None], title: str = "margin") -> Axis:
    """A linear axis over the values of a setting, each end with some room, without a grid."""
    known = [value for value in values if value is not None]
    plain = linear(known, title)
    return Axis(plain.low, plain.high, plain.ticks, title, grid=False)


def named(names: Sequence[str], title: str = "", *, room: float = 0.5) -> Axis:
    """Names at 0, 1, 2 and so on, with ``room`` at both ends."""
    ticks = tuple(Tick(float(place), name) for place, name in enumerate(names))
    return Axis(-room, len(names) - 1 + room, ticks, title, grid=False)


def settings(values: Iterable[float], title: str = "") -> Axis:
    """A logarithmic axis of the positive numbers that were tried, each with its tick, with some room."""
    tried = sorted(set(values))
    spare = (tried[-1] / tried[0]) ** 0.06 if len(tried) > 1 else 2.0
    ticks = tuple(Tick(value, _tried(value)) for value in tried)
    return Axis(tried[0] / spare, tried[-1] * spare, ticks, title, "log", grid=False)


def round_ticks(low: float, high: float, most: int = 6) -> tuple[Tick, ...]:
    """Ticks at round values between two ends."""
    step, decimals = nice_step((high - low) / most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    largest = max(abs(low), abs(high))
    plain = decimals <= 4 and largest < 1e7
    digits = max(1, math.ceil(math.log10(largest / step)) + 1)

    def text(value: float) -> str:
        shown = f"{value:,.{decimals}f}" if plain else f"{value:.{digits}g}"
        return shown.replace("-", wording.MINUS)

    return tuple(Tick(count * step, text(count * step)) for count in range(first, last + 1))


def _tried(value: float) -> str:
    """A tried value as it was given, a small one such as a learning rate by its power of ten: ``3e-4``."""
    if value >= 1e-3:
        return f"{value:g}"
    mantissa, _, power = f"{value:e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"


def _short(value: float) -> str:
    """A value of one digit without zeros after it: ``0.01``, ``20,000``."""
    return f"{value:,g}" if 1e-4 <= value < 1e6 else wording.number(value)


def _ends(values: Iterable[float | None]) -> tuple[float, float]:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return (min(known), max(known)) if known else (0.0, 1.0)
