"""The rows below a figure, drawn for print."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from losscope.reporting.drawing.strips import FEW, stretches
from losscope.reporting.figure import Strip
from losscope.reporting.printed.manner import INK, POINTS, RULE, SOFT, name_of
from losscope.reporting.printed.marks import array

NUMBERS, ROW = 0.3, 0.13
"""Inches of a strip of numbers, and of each level."""
SMALL = 0.8
"""Of the size of text."""


def inches(strip: Strip) -> float:
    """How high a strip is, its title not counted."""
    return ROW * len(strip.levels) if strip.levels else NUMBERS


def put_strip(strip: Strip, axes: Axes) -> None:
    """Draw a strip on axes of its own."""
    rows = len(strip.levels)
    small = SMALL * POINTS
    axes.set_title(name_of(strip.title, 60), loc="left", fontsize=small, pad=1.5)
    axes.set_ylim((-0.5, rows - 0.5) if rows else (-0.06, 1.06))
    at: list[float] = [float(place) for place in range(rows)] if rows else [0.0, 1.0]
    axes.set_yticks(at, [name_of(text, 16) for text in strip.levels or strip.ends], fontsize=small)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_color(RULE)
    x, y = array(strip.x), array(strip.y)
    if rows and len(x) > FEW:
        _shaded(strip, axes, x)
    else:
        size = 1.2 if len(x) > FEW else 2.4
        axes.plot(x, y, linestyle="none", marker="o", markersize=size, markeredgewidth=0, color=SOFT)
    if strip.trend[0]:
        axes.plot(*(np.array(ends, dtype=float) for ends in strip.trend), color=INK, linewidth=0.9)


def _shaded(strip: Strip, axes: Axes, x: np.ndarray) -> None:
    """Stretches of places as cells of each level, the darker the more of the stretch have it."""
    for first, last, shares in stretches(strip.y):
        for row, share in shares:
            left, right = x[first] - 0.5, x[last - 1] + 0.5
            axes.fill_between([left, right], row - 0.4, row + 0.4, color=INK, alpha=0.8 * share, linewidth=0)
