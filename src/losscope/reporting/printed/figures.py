"""A figure of the page, drawn for print: its axes, its marks, and a key of its losses."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from losscope.reporting.figure import Axis, Figure, Line, Palette, Points, Upright
from losscope.reporting.parts import Section
from losscope.reporting.printed import strips
from losscope.reporting.printed.manner import COLUMN, PAGE, SOFT, blank, name_of
from losscope.reporting.printed.marks import MARKERS, STROKES, put

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

FEW_TICKS = 10
"""More words than this along an axis need the width of the page."""
PER_INCH = 96.0
"""Pixels of the page."""
TALL = 9.0
"""Inches of a page."""


def drawing(figure: Figure, palette: Palette, section: Section) -> Drawing:
    """A figure of the page at the width of one column, or of two where it has many words."""
    if figure.strips:
        return _with_strips(figure, palette)
    width = PAGE if section.columns == 1 and len(figure.x.ticks) > FEW_TICKS else COLUMN
    named = {tick.text for tick in figure.x.ticks}  # a figure that names its losses along the axis has no key
    several = len(set(figure.series)) > 1 and not named >= set(figure.series)
    keyed = palette.ordered(figure.series) if several else []
    lines = -(-len(keyed) // (2 if width == COLUMN else 4))
    # a high figure of the page is as high on paper; a wide one keeps its shape
    height = width if figure.square else max(1.9, min(figure.height / PER_INCH, 0.75 * width))
    made, axes = blank(height + 0.22 + 0.16 * lines, width)
    _along(axes, figure.x, across=True)  # before the marks, some of which look where they would lie
    _along(axes, figure.y, across=False)
    for mark in figure.marks:
        put(mark, axes, palette)
    if figure.square:
        axes.set_aspect("equal")
    unit = f" ({figure.unit})" if figure.unit else ""
    letters = 46 if width == COLUMN else 104
    axes.set_title(textwrap.fill(name_of(f"{figure.title}{unit}", 2 * letters), letters), loc="left")
    if keyed:
        _key(made, figure, palette, keyed, 2 if width == COLUMN else 4)
    return made


def _with_strips(figure: Figure, palette: Palette) -> Drawing:
    """A figure with strips, at the width of a page: its own axes, and one for each strip."""
    heights = [figure.height / PER_INCH, *map(strips.inches, figure.strips)]
    made, every = blank(
        min(sum(heights) + 0.5, TALL),
        PAGE,
        nrows=len(heights),
        sharex=True,
        gridspec_kw={"height_ratios": heights},
    )
    top, *below = every
    _along(top, figure.x, across=True)
    _along(top, figure.y, across=False)
    for mark in figure.marks:
        put(mark, top, palette)
    top.set_title(
        name_of(f"{figure.title} ({figure.unit})" if figure.unit else figure.title, 104), loc="left"
    )
    top.tick_params(axis="x", length=0, labelbottom=False)
    top.set_xlabel("")
    for strip, axes in zip(figure.strips, below, strict=True):
        strips.put_strip(strip, axes)
        for mark in figure.marks:
            if isinstance(mark, Upright):
                axes.axvline(mark.x, color=SOFT, linewidth=0.8, linestyle=":")
        axes.tick_params(axis="x", length=0, labelbottom=False)
    below[-1].tick_params(axis="x", length=3, labelbottom=True)
    below[-1].set_xlabel(name_of(figure.x.title, 60))
    _key(made, figure, palette, palette.ordered(figure.series), 4)
    return made


def _along(axes: Axes, axis: Axis, *, across: bool) -> None:
    """An axis with its scale, ends, ticks and title."""
    which = axes.xaxis if across else axes.yaxis
    if axis.scale == "log":
        (axes.set_xscale if across else axes.set_yscale)("log")
    (axes.set_xlim if across else axes.set_ylim)(axis.low, axis.high)
    inside = [tick for tick in axis.ticks if axis.low <= tick.at <= axis.high] if axis.shown else []
    which.set_ticks([tick.at for tick in inside], [name_of(tick.text, 16) for tick in inside])
    which.set_ticks([], minor=True)
    if across and sum(len(tick.text) for tick in inside) > 40:
        axes.tick_params(axis="x", labelrotation=90)
    if axis.grid and axis.shown:
        axes.grid(axis="x" if across else "y")
    if axis.title:
        which.set_label_text(name_of(axis.title, 60))
    if not axis.shown:
        axes.spines["bottom" if across else "left"].set_visible(False)


def _key(made: Drawing, figure: Figure, palette: Palette, names: list[str], columns: int) -> None:
    """The losses of a figure with their colours, dashes and symbols, below it."""
    from matplotlib.lines import Line2D

    lined = {mark.series for mark in figure.marks if isinstance(mark, Line)}
    dotted = {mark.series for mark in figure.marks if isinstance(mark, Points)}
    handles = []
    for name in names:
        look = palette.look(name)
        marker = MARKERS[look.symbol] if name in dotted or name not in lined else "none"
        stroke: Any = STROKES[look.dash] if name in lined else "none"
        handles.append(Line2D([], [], color=look.hex, marker=marker, markersize=4, linestyle=stroke))
    made.legend(
        handles,
        [name_of(name, 26) for name in names],
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.0,
        borderpad=0.1,
    )
