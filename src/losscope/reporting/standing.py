"""The figure that is the answer: every side on the axis of the measure that decides, best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from losscope.core import wording
from losscope.core.results import Result, SideResult
from losscope.core.wording import parts
from losscope.reporting.answer import band_around, band_said, indifference, on_split
from losscope.reporting.columns import deciding_measure, digits_of, is_described, is_loss, ranked
from losscope.reporting.figure import Look, Palette
from losscope.reporting.ruler import Ruler, nice_step

MOST = 12
"""With more sides than this, those that were not tested are left to the table."""
FAR = 0.3
"""Below this share of the axis for the upper half of the sides, the others run off its end."""


@dataclass(frozen=True)
class Stand:
    """One side: where its mean and the ends of its interval lie, in percent, and what was shown of it.

    ``off``: whether the mean lies beyond the axis, ``left`` or ``right`` of it.
    """

    name: str
    look: Look
    at: float
    low: float | None
    high: float | None
    value: str
    spread: str
    word: str
    loss: bool
    chosen: bool
    off: str = ""


@dataclass(frozen=True)
class Standing:
    """All sides on one axis.

    ``band``: from where to where lies what is too near to the best to matter. ``pivot``: the side that the
    others are held against. ``left``: how many sides are in the table alone. ``read``: what the words mean.
    """

    measure: str
    split: str
    arrow: str
    counted: str
    rows: list[Stand]
    ticks: list[tuple[float, str]]
    band: tuple[float, float] | None
    width: str
    pivot: str
    left: int
    interval: bool
    read: tuple[str, ...] = ()


def standing(result: Result, palette: Palette, counted: str) -> Standing | None:
    """The figure of a result; None where no side has a value of the measure that decides."""
    measure = deciding_measure(result)
    if measure is None:
        return None
    known = wording.measure(measure)
    beside = wording.beside(result)
    sides = ranked(result, measure)
    shown = _shown(sides, {beside.pivot, *beside.words, result.recommendation.loss or ""})
    if not shown:
        return None
    delta, scale = indifference(result, measure)
    band = band_around(shown[0].mean(measure) or 0.0, delta, scale) if delta else None
    ruler = _ruler(shown, measure, band)
    digits = digits_of(sides, measure)
    rows = [_row(side, measure, ruler, digits, palette, beside, result) for side in shown]
    return Standing(
        wording.title(measure),
        on_split(shown, measure),
        {"higher": "▲ higher is better", "lower": "▼ lower is better"}.get(known.better, ""),
        counted,
        rows,
        _ticks(ruler),
        None if band is None else (_inside(ruler.at(band[0])), _inside(ruler.at(band[1]))),
        "" if band is None else band_said(delta, scale),
        beside.pivot,
        len(sides) - len(shown),
        any(row.low is not None for row in rows),
        wording.how_to_read(beside),
    )


def _shown(sides: Sequence[SideResult], needed: set[str]) -> list[SideResult]:
    """The sides of the figure: without what is only described, and not too many."""
    usual = [side for side in sides if not is_described(side)]
    if len(usual) <= MOST:
        return usual
    kept = [side for side in usual if side.name in needed]
    more = [side for side in usual if side.name not in needed][: max(0, MOST - len(kept))]
    return [side for side in usual if side in kept or side in more]


def _ruler(sides: Sequence[SideResult], measure: str, band: tuple[float, float] | None) -> Ruler:
    """The scale that holds every side, or the upper half where the others lie far away."""

    def around(some: Sequence[SideResult]) -> Ruler:
        ends = [end for side in some for end in (side.mean(measure), *side.interval(measure))]
        return Ruler.around([*ends, *(band or ())])

    whole, upper = around(sides), around(sides[: max(3, (len(sides) + 1) // 2)])
    near = (upper.high - upper.low) / (whole.high - whole.low)
    if near >= FAR:
        return whole
    room = (upper.high - upper.low) * 0.5
    if wording.measure(measure).better == "lower":
        return Ruler(upper.low, upper.high + room)
    return Ruler(upper.low - room, upper.high)


def _row(
    side: SideResult,
    measure: str,
    ruler: Ruler,
    digits: wording.Digits,
    palette: Palette,
    beside: wording.Beside,
    result: Result,
) -> Stand:
    low, high = side.interval(measure)
    value, spread = parts.value(side, measure, digits)
    at = ruler.at(side.mean(measure)) or 0.0
    off = "left" if at < 0 else "right" if at > 100 else ""
    return Stand(
        side.name,
        palette.look(side.name),
        _inside(at),
        None if low is None else _inside(ruler.at(low)),
        None if high is None else _inside(ruler.at(high)),
        value,
        spread,
        ""
        if side.name == beside.pivot
        else beside.words.get(side.name, "not tested" if beside.pivot else ""),
        is_loss(side),
        side.name == result.recommendation.loss,
        off,
    )


def _inside(place: float | None) -> float:
    return min(100.0, max(0.0, place or 0.0))


def _ticks(ruler: Ruler) -> list[tuple[float, str]]:
    """Round values without a sign, since these are no differences."""
    step, decimals = nice_step((ruler.high - ruler.low) / 4)
    first, last = math.ceil(ruler.low / step), math.floor(ruler.high / step)
    values = [count * step for count in range(first, last + 1)]
    return [
        (_inside(ruler.at(value)), wording.number(value, wording.Digits(decimals), fixed=True))
        for value in values
    ]
