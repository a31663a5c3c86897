"""Where a figure's axes stand: from values to places, tick labels, and the room that these need."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from markupsafe import escape

from losscope.core import wording
from losscope.reporting.figure import Axis, Figure, Tick

LETTER = 6.4
"""The mean width of a letter at the size of tick labels, in pixels."""
NARROW = 230
"""The narrowest that a figure's axes are drawn: labels that are wider together are turned."""


@dataclass(frozen=True)
class Frame:
    """The area between the axes: 1000 units wide, stretched to the column, and ``height`` pixels high."""

    x: Axis
    y: Axis
    height: int

    def across(self, value: float | None) -> float | None:
        """A place on the horizontal axis, from 0 to 1000."""
        share = self.x.share(value)
        return None if share is None else _short(1000 * share)

    def down(self, value: float | None) -> float | None:
        """A place on the vertical axis in pixels from the top, cut off a little outside of the axes."""
        share = self.y.share(value)
        return None if share is None else _short(self.height * (1 - min(max(share, -0.2), 1.2)))


def _short(value: float) -> float | int:
    """A coordinate to a tenth, whole numbers without a point."""
    found = round(value, 1)
    return int(found) if found == int(found) else found


def wide(text: str) -> float:
    """About how many pixels a tick label is wide.

    >>> wide("0.25") < wide("airplane") < wide("飛行機飛行機")
    True
    """
    letters = sum(2.0 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)
    return LETTER * letters


def turned(axis: Axis) -> bool:
    """Whether the labels of a horizontal axis are turned, since side by side they need too much room."""
    return (
        sum(wide(tick.text) + 8 for tick in axis.ticks) > NARROW and axis.scale == "linear" and not axis.grid
    )


def left_of(figure: Figure) -> int:
    """Pixels that the labels of the vertical axes need."""
    texts = [tick.text for axis in (figure.y, figure.log) if axis is not None for tick in axis.ticks]
    return round(max(map(wide, texts), default=16.0)) + 12


def bottom_of(figure: Figure) -> int:
    """Pixels that the labels and the title of the horizontal axis need."""
    axis = figure.x
    labels = _labels(axis) if turned(axis) or any(tick.text for tick in axis.ticks) else 4
    return labels + (18 if axis.title else 0)


def _labels(axis: Axis) -> int:
    """How high the labels of a horizontal axis are, in pixels; turned ones by the longest."""
    return round(14 + 0.77 * max(wide(tick.text) for tick in axis.ticks)) if turned(axis) else 20


def ticks(axis: Axis, height: int) -> str:
    """The horizontal axis: its line, labels and title, and a grid where it has one."""
    frame = Frame(axis, axis, height)
    made = [f'<line class="rail" x1="0" x2="100%" y1="{height}" y2="{height}"/>']
    slanted = turned(axis)
    for tick in _apart(axis):
        at = frame.across(tick.at)
        if at is None:
            continue
        where = f'x="{at / 10:g}%"'
        if axis.grid:
            made.append(f'<line class="gridline" x1="{at / 10:g}%" x2="{at / 10:g}%" y1="0" y2="{height}"/>')
        else:
            made.append(
                f'<line class="rail" x1="{at / 10:g}%" x2="{at / 10:g}%" y1="{height}" y2="{height + 4}"/>'
            )
        text = escape(wording.printable(tick.text))
        if slanted:
            made.append(
                f'<svg {where} y="{height + 12}" overflow="visible">'
                f'<text class="num" transform="rotate(-50)">{text}</text></svg>'
            )
        elif text:
            made.append(f'<text class="num middle" {where} y="{height + 17}">{text}</text>')
    if axis.title:
        down = height + _labels(axis) + 14
        made.append(
            f'<text class="num middle" x="50%" y="{down}">{escape(wording.printable(axis.title))}</text>'
        )
    return "".join(made)


def _apart(axis: Axis) -> list[Tick]:
    """The ticks whose labels do not touch at the narrowest width; of neighbours the earlier one stays."""
    if turned(axis):
        return list(axis.ticks)
    kept = []
    end = -1e9
    for tick in axis.ticks:
        share = axis.share(tick.at)
        if share is None:
            continue
        middle, half = NARROW * share, wide(tick.text) / 2
        if middle - half >= end or not tick.text:
            kept.append(tick)
            end = middle + half + 4
    return kept
