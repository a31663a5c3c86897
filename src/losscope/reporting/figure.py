"""What a figure is, and how everything on the page looks: colours, axes, scales.

A figure is Plotly's JSON (data and layout) without Plotly's Python objects, so that a page is made in
well under a second. Colours of ink and paper are written ``var(--ink)`` and resolved by the page's script,
which makes the same figure serve on light, dark and printed pages. Losses have one colour each on the whole
page, from Okabe and Ito's palette; past six the dash and the symbol change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from losscope.core import wording

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
GREYS = ("#8A8A8A", "#B0A890")
INK, SOFT, RULE, PAPER = "var(--ink)", "var(--soft)", "var(--rule)", "var(--paper)"
Plain: TypeAlias = "None | bool | int | float | str | Sequence[Plain] | Mapping[str, Plain]"
"""What JSON holds."""
Drawn: TypeAlias = Mapping[str, Plain]
"""A part of Plotly's JSON: a trace, an axis, a layout."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"


@dataclass(frozen=True)
class Look:
    """How a loss looks everywhere on the page."""

    colour: str
    dash: str
    symbol: str
    slug: str


class Palette:
    """One look for each loss and baseline, by their order in the result."""

    def __init__(self, losses: Sequence[str], baselines: Sequence[str] = ()) -> None:
        self.losses, self.baselines = tuple(losses), tuple(baselines)
        self._looks = {
            name: Look(
                COLOURS[place % len(COLOURS)],
                DASHES[place // len(COLOURS) % len(DASHES)],
                SYMBOLS[place // len(COLOURS) % len(SYMBOLS)],
                f"loss-{place}",
            )
            for place, name in enumerate(self.losses)
        }
        for place, name in enumerate(self.baselines):
            self._looks.setdefault(name, Look(GREYS[place % 2], "solid", "line-ns-open", f"baseline-{place}"))

    def look(self, name: str) -> Look:
        """The look of a name; one that is not in the result is grey."""
        return self._looks.get(name, Look(GREYS[0], "solid", "circle", "other"))

    def ordered(self, names: Iterable[str]) -> list[str]:
        """The names in the order of the result, unknown ones last."""
        order = {name: place for place, name in enumerate((*self.losses, *self.baselines))}
        return sorted(names, key=lambda name: (order.get(name, len(order)), name))


@dataclass(frozen=True)
class Figure:
    """A figure: Plotly's data and layout, its title, what it shows in words, and its height in pixels.

    ``alt`` says the finding for those who do not see it; ``unit`` stands beside the title; ``log`` offers a
    switch of the vertical axis; ``square`` figures are as wide as high.
    """

    data: Sequence[Drawn]
    layout: Drawn
    title: str
    alt: str
    height: int = 250
    unit: str = ""
    log: bool = False
    square: bool = False
    series: tuple[str, ...] = field(default=())

    def json(self) -> Drawn:
        """What the page's script draws."""
        return {"data": self.data, "layout": self.layout}


def plain(text: Any) -> str:
    """Text that Plotly prints as it stands, which reads tags and entities in strings as markup.

    >>> plain("<b>x</b>")
    '&lt;b&gt;x&lt;/b&gt;'
    """
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")


def rounded(values: Iterable[Any], digits: int = 5) -> list[float | None]:
    """Numbers for JSON: significant digits kept, everything that is not finite null."""
    out: list[float | None] = []
    for value in values:
        number = wording.finite(value)
        out.append(None if number is None else float(f"{number:.{digits}g}"))
    return out


def faded(colour: str, opacity: float) -> str:
    """A hex colour with an opacity."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def axis(title: str = "", /, **more: Plain) -> Drawn:
    """An axis in the page's manner: hairlines, small ticks, no zero line unless asked for."""
    return {
        "title": {"text": plain(title), "font": {"size": 12, "color": SOFT}, "standoff": 8},
        "tickfont": {"size": 11, "color": SOFT},
        "gridcolor": RULE,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        **more,
    }


def shown_unit(title: str, unit: str) -> str:
    """The unit as it stands beside a title, or nothing where the title says it already."""
    return "" if unit in ("share", "ratio", "index") or unit in wording.lower(title) else unit


def span(values: Iterable[float | None], most: int = 5, zero: bool = False) -> Drawn:
    """Range, step and decimals of a vertical axis that holds all values, from 0 if ``zero``."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    low = min(low, 0.0) if zero else low
    width = (high - low) or abs(high) or 1.0
    low, high = (low if zero and low == 0 else low - 0.05 * width), high + 0.05 * width
    step, decimals = nice_step((high - low) / most)
    return {"range": [low, high], "dtick": step, "tickformat": f",.{decimals}f" if decimals <= 4 else ".1e"}


def nice_step(rough: float) -> tuple[float, int]:
    """The round step (1, 2, 2.5, 5 times a power of ten) at or above ``rough``, and its decimals.

    >>> nice_step(0.021), nice_step(3.0)
    ((0.025, 3), (5.0, 0))
    """
    power = 10.0 ** math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    step = power * factor
    return step, max(0, -math.floor(math.log10(step) + 1e-9) + (factor == 2.5))


def layout(x: Drawn, y: Drawn, **more: Plain) -> Drawn:
    """A layout in the page's manner: no box, no legend (the page has a key), transparent paper."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": INK},
        "margin": {"l": 8, "r": 10, "t": 8, "b": 8},
        "showlegend": False,
        "dragmode": False,
        "hoverlabel": {
            "bgcolor": PAPER,
            "bordercolor": RULE,
            "font": {"family": FONT, "size": 12, "color": INK},
        },
        "xaxis": x,
        "yaxis": y,
        **more,
    }


def class_name(label: Any, names: Sequence[str] | None) -> str:
    """The name of a class, or its number."""
    place = int(label)
    return str(names[place]) if names is not None and 0 <= place < len(names) else str(place)


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
        out: list[tuple[float, str]] = []
        for rung in sorted(rungs, key=lambda rung: (rung != 1, abs(math.log(rung)))):
            place = self.at(math.log(rung)) or 0.0
            inside = 0 <= place <= 100
            if inside and all(abs(place - other) > 12 for other, _ in out):
                out.append((place, f"×{rung:g}"))
        return sorted(out)
