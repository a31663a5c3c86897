"""A figure as SVG markup that needs no script: legible, in the page's font and colours, at any width.

Horizontal places are shares of the width and vertical ones are pixels, so that a figure fits its column while
its text keeps its size. Lines and points are drawn in a nested ``svg`` that is stretched to the width; their
strokes are not. Everything that a user wrote is escaped.
"""

from __future__ import annotations

from markupsafe import Markup, escape

from losscope.core import wording
from losscope.reporting.drawing import strips
from losscope.reporting.drawing.dots import drawn_map
from losscope.reporting.drawing.frame import Frame, bottom_of, left_of, ticks
from losscope.reporting.drawing.marks import drawn
from losscope.reporting.figure import Axis, Dots, Figure, Palette

TOP, RIGHT = 8, 12
"""Pixels that a figure keeps free above and at the right of its axes."""
FREE = 6
"""Pixels between a figure and its strips."""


def draw(figure: Figure, palette: Palette, name: str = "") -> Markup:
    """A figure as markup, which the page's style sheet gives its colours.

    ``name``: what a file of it is called. Axes become pixels here: the drawing is as high as
    ``figure.height`` says, and as wide as its column.
    """
    dots = next((mark for mark in figure.marks if isinstance(mark, Dots)), None)
    if dots is not None:
        inner = drawn_map(figure, dots)
        return _whole(figure, name, inner, "plot square")
    left, bottom = max(left_of(figure), strips.left_of(figure.strips)), bottom_of(figure)
    height = max(40, figure.height - TOP - bottom)
    whole = height + (strips.height(figure.strips) + FREE if figure.strips else 0)
    layers = [_layer(figure, figure.y, palette, height, "linear" if figure.log else "")]
    if figure.log is not None:
        layers.append(_layer(figure, figure.log, palette, height, "logged"))
    low, high = figure.x.low, figure.x.high
    inner = (
        f'<svg class="axes" height="{whole}" style="margin:{TOP}px {RIGHT}px {bottom}px {left}px;'
        f'width:calc(100% - {left + RIGHT}px)" data-low="{low:g}" data-high="{high:g}" '
        f'data-scale="{figure.x.scale}">'
        f"{ticks(figure.x, whole)}{''.join(layers)}{strips.drawn_strips(figure, height + FREE)}"
        f"{strips.lines(figure, height, whole)}</svg>"
    )
    return _whole(figure, name, inner, "plot")


def _whole(figure: Figure, name: str, inner: str, kind: str) -> Markup:
    cursor = f' data-cursor="{escape(figure.cursor)}"' if figure.cursor else ""
    cursor += ' data-alone=""' if figure.alone else ""
    return Markup(
        f'<div class="{kind}" role="img" aria-label="{escape(wording.printable(figure.alt))}" '
        f'data-name="{escape(wording.printable(name))}"{cursor}>{inner}</div>'
    )


def _layer(figure: Figure, y: Axis, palette: Palette, height: int, kind: str) -> str:
    """Everything that hangs on a vertical axis: its grid and the marks."""
    frame = Frame(figure.x, y, height)
    stretched, upright = [], []
    for tick in y.ticks:
        at = frame.down(tick.at)
        if at is not None:
            stretched.append(f'<path class="gridline" d="M0 {at}H1000"/>')
            upright.append(f'<text class="num" x="-8" y="{at}" dy=".35em">{escape(tick.text)}</text>')
    for mark in figure.marks:
        below, above = drawn(mark, frame, palette)
        stretched.append(below)
        upright.append(above)
    box = (
        f'<svg class="stretched" viewBox="0 0 1000 {height}" width="100%" height="{height}" '
        f'preserveAspectRatio="none">{"".join(stretched)}</svg>'
    )
    return f"<g{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{box}{''.join(upright)}</g>"


__all__ = ["draw"]
