"""The specification curve of a claim: its effect in every setting, sorted, and the choices below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losscope.core import wording
from losscope.core.results import Choice, MultiverseClaim, PairScale, SettingEffect, SettingOutcome
from losscope.core.wording import multiverses as said
from losscope.reporting.axes import round_ticks
from losscope.reporting.figure import (
    Axis,
    Band,
    Figure,
    Level,
    Line,
    Mark,
    Points,
    Region,
    Ring,
    Strip,
    Tick,
    Upright,
    numbers,
)
from losscope.reporting.ruler import spaced_ratios

HEIGHT = 260
"""Pixels of the curve without its strips."""
LEVELS = 6
"""Up to so many numbers of an axis are rows of their own."""
BY_RATIO = 8.0
"""Only numbers whose largest is so many times the smallest may lie by their logarithms."""
SHOWN = 0.01
"""The share of the variance from which a strip's title names it."""
MANY = 120
"""More settings than this have a band of their seeds and smaller points."""
FAR = 1.5
"""How far beyond the middle 96 % of the effects, in their spread, the axis reaches at most."""
TREND = 41
"""Places of a running median."""
RATIOS = (0.1, 0.2, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10)


def ordered(found: MultiverseClaim) -> list[int]:
    """The places of the settings that have an effect, from the smallest to the largest."""
    known = [(setting.effect, place) for place, setting in enumerate(found.settings)]
    return [place for _, place in sorted((effect, place) for effect, place in known if effect is not None)]


def curve(found: MultiverseClaim) -> Figure | None:
    """The specification curve as a figure; None where no setting has an effect."""
    order = ordered(found)
    if not order:
        return None
    settings = [found.settings[place] for place in order]
    y = _effects(settings, found.delta, found.scale)
    x = Axis(0.0, len(order) + 1.0, _places(len(order)), _below(found, len(order)), grid=False)
    name = f"{found.a} {'over' if found.scale != 'difference' else 'minus'} {found.b}"
    what = f": {wording.label(found.measure)}" if found.measure else ""
    return Figure(
        x,
        y,
        [*_ground(found, settings), *_curve(found, settings, y), *_paper(found, order, y)],
        f"{name}{what}",
        f"{found.statement}, on {found.data}: it {said.of_settings(found.everywhere)}.",
        unit="ratio" if found.scale != "difference" else "difference",
        height=HEIGHT,
        cursor="setting",
        alone=True,
        series=(found.a, found.b),
        strips=[_strip(found, choice, order) for choice in _by_weight(found) if choice.varies],
    )


def _below(found: MultiverseClaim, shown: int) -> str:
    failed = len(found.settings) - shown
    left = f"; {failed:,} without a value" if failed else ""
    return f"{wording.count(shown, 'setting')} by effect{left}"


def _places(count: int) -> tuple[Tick, ...]:
    return tuple(tick for tick in round_ticks(0, count, 5) if 1 <= tick.at <= count)


# --- the curve -------------------------------------------------------------------------------------


def _effects(settings: Sequence[SettingEffect], delta: float, scale: PairScale) -> Axis:
    """The axis of effects: all of them, unless a few lie far beyond the rest."""
    values = np.array([setting.effect for setting in settings], dtype=float)
    ends = np.array([[setting.low, setting.high] for setting in settings], dtype=float)
    low, high = np.quantile(values, [0.02, 0.98])
    far = FAR * max(high - low, 2 * delta)
    bottom = max(min(values.min(), np.quantile(ends[:, 0], 0.02)), low - far)
    top = min(max(values.max(), np.quantile(ends[:, 1], 0.98)), high + far)
    bottom, top = float(min(bottom, -1.5 * delta)), float(max(top, 1.5 * delta))
    room = 0.06 * (top - bottom)
    bottom, top = bottom - room, top + room
    if scale == "difference":
        return Axis(bottom, top, round_ticks(bottom, top, 5))
    return Axis(bottom, top, ratio_ticks(bottom, top))


def ratio_ticks(low: float, high: float) -> tuple[Tick, ...]:
    """Ticks of an axis of logarithms of ratios, written as ratios and far enough apart to be read.

    >>> [tick.text for tick in ratio_ticks(-0.75, 0.75)]
    ['×0.5', '×0.67', '×1', '×1.5', '×2']
    """
    decades = [10.0**power * digit for power in range(-12, 13) for digit in (1, 2, 5)]
    kept = spaced_ratios({*RATIOS, *decades}, float, (low, high), (high - low) / 6)
    return tuple(Tick(at, text) for at, text in kept)


def _ground(found: MultiverseClaim, settings: Sequence[SettingEffect]) -> list[Mark]:
    """The band of differences too small to matter, and in how many settings the effect lies beyond it."""
    marks: list[Mark] = [Band(-found.delta, found.delta)]
    beyond: tuple[SettingOutcome, ...] = ("holds", "reversed")
    for outcome in beyond:
        own = [place + 1 for place, setting in enumerate(settings) if setting.outcome == outcome]
        if own:
            name = f"{outcome} {said.share(getattr(found.everywhere, outcome))}"
            marks.append(Region(own[0] - 0.5, own[-1] + 0.5, name, _leader(found, outcome)))
    return marks


def _leader(found: MultiverseClaim, outcome: SettingOutcome) -> str:
    """The loss that is higher in a setting, or no loss."""
    if outcome == "neither":
        return ""
    return found.a if (outcome == "holds") == (found.direction == "higher") else found.b


def _curve(found: MultiverseClaim, settings: Sequence[SettingEffect], y: Axis) -> list[Mark]:
    inside = [_inside(setting.effect, y) for setting in settings]
    low = [_inside(setting.low, y) for setting in settings]
    high = [_inside(setting.high, y) for setting in settings]
    x = [float(place + 1) for place in range(len(settings))]
    many = len(settings) > MANY
    marks: list[Mark] = [Line("", x, inside, low, high, width=1.0)] if many and found.seeds > 1 else []
    for outcome in ("holds", "reversed", "neither"):
        own = [place for place, setting in enumerate(settings) if setting.outcome == outcome]
        if not own:
            continue
        whiskers = not many and found.seeds > 1
        marks.append(
            Points(
                _leader(found, outcome) or "neither",
                [x[place] for place in own],
                [inside[place] for place in own],
                [low[place] for place in own] if whiskers else (),
                [high[place] for place in own] if whiskers else (),
                [_told(settings[place], found.scale) for place in own],
                f"effect, {outcome}",
                size=2.6 if many else 5.0,
            )
        )
    return marks


def _inside(value: float | None, axis: Axis) -> float | None:
    return None if value is None else min(max(value, axis.low), axis.high)


def _told(setting: SettingEffect, scale: PairScale) -> str:
    ends = ""
    if setting.low is not None and setting.high is not None and setting.low < setting.high:
        ends = f" ({wording.change_interval(setting.low, setting.high, scale)})"
    return f"{said.effect(setting.effect, scale)}{ends}"


def _paper(found: MultiverseClaim, order: Sequence[int], y: Axis) -> list[Mark]:
    zero: list[Mark] = [Level(0.0, "")]
    if found.paper is None or found.paper.place not in order:
        return zero
    place = order.index(found.paper.place) + 1.0
    at = _inside(found.paper.effect, y)
    ring: list[Mark] = [] if at is None else [Ring("", place, at)]
    return [*zero, Upright(place, "the paper's own"), *ring]


# --- the choices -----------------------------------------------------------------------------------


def _by_weight(found: MultiverseClaim) -> list[Choice]:
    """The choices, those that decide most first, else as they were declared."""
    weight = {share.name: place for place, share in enumerate(found.decomposition.choices)}
    return sorted(found.choices, key=lambda choice: weight.get(choice.name, len(weight)))


def _strip(found: MultiverseClaim, choice: Choice, order: Sequence[int]) -> Strip:
    shares = {share.name: share for share in found.decomposition.choices}
    title = said.axis_title(choice.name)
    if choice.name in shares and shares[choice.name].total >= SHOWN:
        title += f" · {100 * shares[choice.name].total:.0f} % of variance"
    x = [float(place + 1) for place in range(len(order))]
    texts = [said.value(choice, place) for place in order]
    if choice.numbers is None:
        return _rows(title, x, texts, sorted(set(texts)))
    tried = sorted(set(choice.numbers))
    if len(tried) <= LEVELS:
        return _rows(title, x, texts, list(dict.fromkeys(said.chosen(number) for number in tried)))
    y = evenly(np.array(choice.numbers))[list(order)]
    ends = said.chosen(tried[0]), said.chosen(tried[-1])
    return Strip(title, x, numbers(y), ends=ends, texts=texts, trend=running_median(y))


def evenly(values: np.ndarray) -> np.ndarray:
    """Numbers (n,) from 0 to 1: by their logarithms where these lie more evenly.

    >>> evenly(np.array([1.0, 10.0, 100.0])), evenly(np.array([1.0, 50.5, 100.0]))
    (array([0. , 0.5, 1. ]), array([0. , 0.5, 1. ]))
    """
    ways = [values]
    if values.min() > 0 and values.max() / values.min() >= BY_RATIO:
        ways.append(np.log(values))
    scaled = [(way - way.min()) / np.ptp(way) for way in ways]
    return min(scaled, key=lambda way: abs(float(np.median(way)) - 0.5))


def _rows(title: str, x: Sequence[float], texts: Sequence[str], levels: Sequence[str]) -> Strip:
    place = {name: float(at) for at, name in enumerate(levels)}
    return Strip(title, x, [place[text] for text in texts], tuple(levels), texts=texts)


def running_median(values: np.ndarray) -> tuple[list[float | None], list[float | None]]:
    """The median of a window of a seventh of the values (n,), at places from 1 to n; none of fewer than 20.

    >>> running_median(np.arange(5.0))
    ([], [])
    """
    count = len(values)
    if count < 20:
        return [], []
    half = max(3, count // 14)
    at = np.unique(np.linspace(0, count - 1, min(TREND, count)).round().astype(int))
    medians = [float(np.median(values[max(0, place - half) : place + half + 1])) for place in at]
    return [float(place + 1) for place in at], list(medians)
