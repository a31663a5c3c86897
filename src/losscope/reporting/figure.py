"""What a figure is: axes and marks as plain values, and the look of each loss.

A ``Figure`` says what is drawn and where, in the units of its axes, and nothing of how: the page draws it as
SVG (``losscope.reporting.drawing``), a file for print draws the same values with another library. Losses
have one colour each on the whole page, from Okabe and Ito's palette, darkened or lightened until it stands
out from the paper; past seven the dash and the symbol change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from losscope.core import wording

COLOURS = ("#0072B2", "#C75300", "#00845F", "#B5548A", "#A87400", "#2F8FC4", "#33302C")
"""On white and on the page's paper."""
DARK_COLOURS = ("#4FA8E8", "#F08040", "#2EBD92", "#DD8FBC", "#E6AD2E", "#9AD8FF", "#F2EFE8")
"""On the page's paper in a dark scheme."""
GREYS = ("#7D7D7D", "#8F866A")
DARK_GREYS = ("#9C9C9C", "#B8AE8C")
Dash: TypeAlias = Literal["solid", "dash", "dot"]
DASHES: tuple[Dash, ...] = ("solid", "dash", "dot")
Symbol: TypeAlias = Literal["circle", "square", "diamond", "triangle", "cross", "bar"]
SYMBOLS: tuple[Symbol, ...] = ("circle", "square", "diamond", "triangle", "cross")
Numbers: TypeAlias = Sequence["float | None"]
"""Values along an axis; None where there is none, which breaks a line."""


# --- the look of a loss ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """How a loss looks everywhere.

    Attributes:
        hex: its colour on white paper, for files: ``#0072B2``.
        colour: its colour on the page, for markup and style sheets: a variable that follows the scheme.
        dash: of its lines.
        symbol: of its points.
        slug: its name in markup: letters, digits and hyphens only.
    """

    hex: str
    colour: str
    dash: Dash
    symbol: Symbol
    slug: str


class Palette:
    """One look for each loss and baseline, by their order in the result."""

    def __init__(self, losses: Sequence[str], baselines: Sequence[str] = ()) -> None:
        self.losses, self.baselines = tuple(losses), tuple(baselines)
        self._looks: dict[str, Look] = {}
        for place, name in enumerate(self.losses):
            turn, hue = divmod(place, len(COLOURS))
            dash, symbol = DASHES[turn % len(DASHES)], SYMBOLS[turn % len(SYMBOLS)]
            self._looks[name] = Look(COLOURS[hue], f"var(--hue-{hue})", dash, symbol, f"loss-{place}")
        for place, name in enumerate(self.baselines):
            grey = place % len(GREYS)
            look = Look(GREYS[grey], f"var(--grey-{grey})", "solid", "bar", f"baseline-{place}")
            self._looks.setdefault(name, look)

    def look(self, name: str) -> Look:
        """The look of a name; one that is not in the result is grey."""
        return self._looks.get(name, Look(GREYS[0], "var(--grey-0)", "solid", "circle", "other"))

    def ordered(self, names: Iterable[str]) -> list[str]:
        """The names in the order of the result, unknown ones last."""
        order = {name: place for place, name in enumerate((*self.losses, *self.baselines))}
        return sorted(names, key=lambda name: (order.get(name, len(order)), name))


# --- axes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """A value of an axis that is marked, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A scale from ``low`` to ``high``, with its ticks.

    ``grid``: a hairline at every tick. ``shown``: False for an axis whose numbers mean nothing, as on a map.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...] = ()
    title: str = ""
    scale: Literal["linear", "log"] = "linear"
    grid: bool = True
    shown: bool = True

    def share(self, value: float | None) -> float | None:
        """Where a value lies between the ends: 0 at the low one, 1 at the high one; None where nowhere.

        >>> Axis(0.0, 4.0).share(1.0), Axis(0.01, 100.0, scale="log").share(1.0)
        (0.25, 0.5)
        """
        if value is None or not math.isfinite(value):
            return None
        if self.scale == "linear":
            return (value - self.low) / (self.high - self.low)
        if value <= 0:
            return None
        return math.log(value / self.low) / math.log(self.high / self.low)


# --- marks -----------------------------------------------------------------------------------------
# Each says the series (the loss) that it belongs to: it has that one's look, and is hidden with it. Texts
# are shown as they stand when a point is hovered or touched, one for each point.


@dataclass(frozen=True)
class Line:
    """A line through points, with a band from ``low`` to ``high`` where these are given.

    Attributes:
        series: the loss that it is of.
        x, y: its points; y None breaks it. A line of a single point is drawn as that point.
        low, high: the ends of the band at each point; empty for none.
        texts: of each point, such as ``0.981 (0.970 to 0.990)``; without texts it is not hovered.
        name: what the hover box calls it; the series where it is empty.
        dash: None for the look's own.
        width: in pixels; a thin line stands behind the others.
    """

    series: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    texts: Sequence[str] = ()
    name: str = ""
    dash: Dash | None = None
    width: float = 2.0


@dataclass(frozen=True)
class Points:
    """Points, with whiskers from ``low`` to ``high`` where these are given.

    ``filled``: of each point; an open one has the paper's colour inside. ``size``: its diameter in pixels.
    The rest is as in ``Line``.
    """

    series: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    texts: Sequence[str] = ()
    name: str = ""
    filled: Sequence[bool] = ()
    size: float = 7.0


@dataclass(frozen=True)
class Bars:
    """Bars from 0 to ``y`` about ``x``, ``width`` wide in the units of the axis, with whiskers."""

    series: str
    x: Numbers
    y: Numbers
    width: float
    low: Numbers = ()
    high: Numbers = ()
    texts: Sequence[str] = ()
    name: str = ""


@dataclass(frozen=True)
class Joined:
    """Thin neutral lines between two series, such as one for each seed: ``ends`` are their (left, right).

    Hidden with either series.
    """

    series: tuple[str, str]
    x: tuple[float, float]
    ends: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Ring:
    """A circle in ink around a point that is singled out."""

    series: str
    x: float
    y: float


@dataclass(frozen=True)
class Level:
    """A dotted line across the figure at a value of the vertical axis, with its name."""

    value: float
    name: str


@dataclass(frozen=True)
class Region:
    """A shaded part of the horizontal axis, with its name."""

    low: float
    high: float
    name: str = ""
    series: str = ""


@dataclass(frozen=True)
class Band:
    """A shaded part of the vertical axis."""

    low: float
    high: float


@dataclass(frozen=True)
class Upright:
    """A line from the top to the bottom, strips and all, at a value of the horizontal axis, with its name."""

    x: float
    name: str


@dataclass(frozen=True)
class Names:
    """The names of series beside their points, each where it hides no other; one without room is left out."""

    series: Sequence[str]
    x: Numbers
    y: Numbers


@dataclass(frozen=True, eq=False)
class Dots:
    """Points of a map, which may be thousands, by their class.

    Attributes:
        series: the loss whose embeddings they are.
        xy: (n, 2), in the units of both axes.
        labels: the class of each, (n,); negative for the background.
        names: what each class is called.
        chosen: the classes that have a colour, the same in all maps; the others are grey.
        items: the row that each is, (n,), the same in all maps; None where it is not known.
        epochs: the epochs of ``course``, (e,).
        course: the points at these epochs, (e, n, 2).
        own: how far this map's points reach from 0; its axes reach as far as those of all maps.
    """

    series: str
    xy: np.ndarray
    labels: np.ndarray
    names: Mapping[int, str]
    chosen: tuple[int, ...] = ()
    items: np.ndarray | None = None
    epochs: np.ndarray | None = None
    course: np.ndarray | None = None
    own: float = 1.0


Mark: TypeAlias = Line | Points | Bars | Joined | Ring | Level | Region | Band | Upright | Names | Dots


@dataclass(frozen=True)
class Strip:
    """A row below a figure with a value at each place of its horizontal axis.

    Attributes:
        title: above it.
        x: the places.
        y: of numbers from 0 at the bottom to 1 at the top; of levels the place in ``levels``.
        levels: what the rows are called, from the bottom; none where the values are numbers.
        ends: of numbers, what the bottom and the top are.
        texts: of each place, what the hover box says.
        trend: x and y of a line through numbers.
    """

    title: str
    x: Numbers
    y: Numbers
    levels: tuple[str, ...] = ()
    ends: tuple[str, str] = ("", "")
    texts: Sequence[str] = ()
    trend: tuple[Numbers, Numbers] = ((), ())


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure: two axes, and marks in the order in which they are drawn.

    Attributes:
        x, y: its axes.
        marks: what is drawn.
        title: above it.
        alt: the finding in words, for those who do not see it.
        unit: stands beside the title.
        height: in pixels on the page, axes and all.
        log: a logarithmic vertical axis that a switch offers; None for no switch.
        square: as wide as high: a map.
        cursor: the name of its horizontal quantity, such as ``epoch``: hovering shows all its lines at one
            value, and a line at the same value in all figures with this name. Empty: the nearest point.
        series: the losses that it draws.
        strips: rows below it on the same horizontal axis, each as high as it needs beside ``height``.
        alone: whether hovering draws no line in other figures of the same ``cursor``.
    """

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    title: str
    alt: str
    unit: str = ""
    height: int = 250
    log: Axis | None = None
    square: bool = False
    cursor: str = ""
    series: tuple[str, ...] = ()
    strips: Sequence[Strip] = ()
    alone: bool = False


# --- helpers ---------------------------------------------------------------------------------------


def numbers(values: Iterable[Any]) -> tuple[float | None, ...]:
    """Numbers as a mark has them: everything that is not finite is None.

    >>> numbers([1, float("nan"), None])
    (1.0, None, None)
    """
    return tuple(wording.finite(value) for value in values)


def shown_unit(title: str, unit: str) -> str:
    """The unit as it stands beside a title, or nothing where the title says it already."""
    return "" if unit in ("share", "ratio", "index") or unit in wording.lower(title) else unit


def class_name(label: Any, names: Sequence[str] | None) -> str:
    """The name of a class, or its number."""
    place = int(label)
    return str(names[place]) if names is not None and 0 <= place < len(names) else str(place)
