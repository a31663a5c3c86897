"""Each kind of mark of a figure, drawn for print."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from losscope.reporting.figure import (
    Band,
    Bars,
    Dash,
    Dots,
    Joined,
    Level,
    Line,
    Mark,
    Names,
    Numbers,
    Palette,
    Points,
    Region,
    Ring,
    Symbol,
    Upright,
)
from losscope.reporting.printed.manner import BAND, INK, RULE, SOFT, name_of
from losscope.reporting.ruler import Box, overlap

Side: TypeAlias = Literal["left", "right", "center"]
Height: TypeAlias = Literal["top", "bottom"]
STROKES: dict[Dash, str] = {"solid": "-", "dash": "--", "dot": ":"}
MARKERS: dict[Symbol, str] = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle": "^",
    "cross": "X",
    "bar": "|",
}
CLASSES = (
    *("#3a6ea5", "#d1495b", "#1e8040", "#917400", "#0e8fb3"),
    *("#a0307c", "#c26100", "#6e5bc0", "#4a4a4a", "#d4569b"),
)
"""Of the classes of a map that have a colour, as on the page."""
MANY_POINTS = 5000
"""Of more points of a map so many are drawn, the same each time."""
PIXEL = 0.6
"""Points of print for a pixel of the page."""


@singledispatch
def put(mark: Mark, axes: Axes, palette: Palette) -> None:
    """Draw a mark on axes.

    Raises:
        TypeError: a kind of mark that there is not.
    """
    raise TypeError(f"a figure has no mark of the kind {type(mark).__name__}")


def array(values: Numbers) -> np.ndarray:
    """Numbers of a figure, (n,), NaN where there is none."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


@put.register
def _line(mark: Line, axes: Axes, palette: Palette) -> None:
    look = palette.look(mark.series)
    x, y = array(mark.x), array(mark.y)
    if len(mark.low):
        low, high = array(mark.low), array(mark.high)
        axes.fill_between(x, low, high, color=look.hex, alpha=0.16, linewidth=0)
    alone = np.isfinite(y).sum() == 1
    stroke = STROKES[mark.dash or look.dash]
    width = mark.width * PIXEL
    axes.plot(
        x, y, color=look.hex, linestyle=stroke, linewidth=width, marker="o" if alone else "", markersize=4
    )


@put.register
def _points(mark: Points, axes: Axes, palette: Palette) -> None:
    look = palette.look(mark.series)
    x, y = array(mark.x), array(mark.y)
    _whiskers(axes, x, mark.low, mark.high, look.hex)
    filled = np.array([*mark.filled] or [True] * len(x), dtype=bool)
    for inside, chosen in ((look.hex, filled), ("white", ~filled)):
        if chosen.any():
            axes.plot(
                x[chosen],
                y[chosen],
                linestyle="none",
                marker=MARKERS[look.symbol],
                markersize=mark.size * PIXEL,
                color=look.hex,
                markerfacecolor=inside,
                markeredgewidth=0.8,
            )


@put.register
def _bars(mark: Bars, axes: Axes, palette: Palette) -> None:
    x = array(mark.x)
    axes.bar(x, array(mark.y), mark.width, color=palette.look(mark.series).hex, linewidth=0)
    _whiskers(axes, x, mark.low, mark.high, INK)


def _whiskers(axes: Axes, x: np.ndarray, low: Numbers, high: Numbers, colour: str) -> None:
    if len(low):
        axes.vlines(x, array(low), array(high), color=colour, linewidth=0.8)


@put.register
def _joined(mark: Joined, axes: Axes, palette: Palette) -> None:
    for ends in mark.ends:
        axes.plot(mark.x, ends, color=SOFT, linewidth=0.5, alpha=0.45)


@put.register
def _ring(mark: Ring, axes: Axes, palette: Palette) -> None:
    axes.plot(
        [mark.x],
        [mark.y],
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=0.9,
        linestyle="none",
    )


@put.register
def _level(mark: Level, axes: Axes, palette: Palette) -> None:
    axes.axhline(mark.value, color=SOFT, linewidth=0.8, linestyle=":")
    if mark.name:
        _name(axes, mark.name, (0.99, mark.value), ("axes fraction", "data"), "right", "bottom")


@put.register
def _region(mark: Region, axes: Axes, palette: Palette) -> None:
    if mark.series:
        axes.axvspan(
            mark.low, mark.high, color=palette.look(mark.series).hex, alpha=0.12, linewidth=0, zorder=0
        )
    else:
        axes.axvspan(mark.low, mark.high, color=BAND, linewidth=0, zorder=0)
    if mark.name:
        by_ratio = axes.get_xscale() == "log" and mark.low > 0
        middle = np.sqrt(mark.low * mark.high) if by_ratio else (mark.low + mark.high) / 2
        _name(axes, mark.name, (middle, 0.99), ("data", "axes fraction"), "center", "top")


@put.register
def _shaded(mark: Band, axes: Axes, palette: Palette) -> None:
    axes.axhspan(mark.low, mark.high, color=BAND, linewidth=0, zorder=0)


@put.register
def _upright(mark: Upright, axes: Axes, palette: Palette) -> None:
    axes.axvline(mark.x, color=SOFT, linewidth=0.8, linestyle=":")
    across: Side = "right" if mark.x > sum(axes.get_xlim()) / 2 else "left"
    _name(axes, mark.name, (mark.x, 0.01), ("data", "axes fraction"), across, "bottom")


def _name(
    axes: Axes, name: str, place: tuple[float, float], units: tuple[str, str], across: Side, down: Height
) -> None:
    """What a part of the axes is called, at its edge."""
    axes.annotate(name_of(name, 40), place, xycoords=units, ha=across, va=down, color=SOFT)


LETTER, LINE = 6.0, 11.0
"""How wide a letter and how high a line of text is, in the pixels in which a figure is laid out."""


@put.register
def _names(mark: Names, axes: Axes, palette: Palette) -> None:
    spots = axes.transData.transform(np.column_stack([array(mark.x), array(mark.y)]))
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in spots if np.isfinite(x + y)]
    for name, at, x, y in zip(mark.series, spots, mark.x, mark.y, strict=True):
        text = name_of(name, 20)
        place = _room(axes, at, LETTER * len(text), taken)
        if place is not None and x is not None and y is not None:
            across, down, side = place
            axes.annotate(
                text,
                (x, y),
                xytext=(0.72 * across, 0.72 * down),  # points: a figure is laid out at 100 pixels to the inch
                textcoords="offset points",
                ha=side,
                color=palette.look(name).hex,
            )


def _room(axes: Axes, at: np.ndarray, width: float, taken: list[Box]) -> tuple[float, float, Side] | None:
    """Where a text of a width hides nothing beside a point, in pixels from it; the place is then taken."""
    places: tuple[tuple[float, float, Side, float], ...] = (
        (6.0, -4.0, "left", 0.0),
        (-6.0, -4.0, "right", width),
        (0.0, 7.0, "center", width / 2),
        (0.0, -17.0, "center", width / 2),
    )
    for across, down, side, before in places:
        left, low = at[0] + across - before, at[1] + down
        own = (left, low, left + width, low + LINE)
        inside = axes.bbox.x0 <= own[0] and own[2] <= axes.bbox.x1
        if inside and not any(overlap(own, other) for other in taken):
            taken.append(own)
            return across, down, side
    return None


@put.register
def _dots(mark: Dots, axes: Axes, palette: Palette) -> None:
    axes.axhline(0, color=RULE, linewidth=0.5, zorder=0)
    axes.axvline(0, color=RULE, linewidth=0.5, zorder=0)
    keep = np.flatnonzero(np.isfinite(mark.xy).all(axis=1))
    if len(keep) > MANY_POINTS:
        keep = np.sort(np.random.default_rng(0).choice(keep, MANY_POINTS, replace=False))
    own = mark.xy[keep]
    colours = _class_colours(mark, mark.labels[keep])
    size = 3.0 if len(keep) <= 1000 else 1.2
    axes.scatter(own[:, 0], own[:, 1], s=size, c=colours, linewidths=0, rasterized=len(keep) > 2000)
    for label in mark.chosen:
        those = own[mark.labels[keep] == label]
        if len(those):
            x, y = those.mean(axis=0)
            axes.annotate(name_of(mark.names.get(label, str(label)), 12), (x, y), ha="center", va="center")


def _class_colours(mark: Dots, labels: np.ndarray) -> Sequence[str]:
    hues = {label: CLASSES[place % len(CLASSES)] for place, label in enumerate(mark.chosen)}
    return [hues.get(int(label), "#B9B4AA") for label in labels]
