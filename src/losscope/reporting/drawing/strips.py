"""The rows below a figure, each with what was chosen at every place of the horizontal axis."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core import wording
from losscope.reporting.drawing.frame import Frame, wide
from losscope.reporting.drawing.marks import dotted, hover_data, safe
from losscope.reporting.figure import Axis, Figure, Numbers, Strip, Upright

TITLE, BODY, ROW, GAP = 17, 26, 11, 7
"""Pixels of a strip: its title, numbers, each level, and what is free below it."""
LETTERS = 13
"""Letters of a level's name."""
FEW = 120
"""Up to so many places each has a dot; of more, levels are shaded by how many of a stretch have them."""
STRETCHES = 60
SHADES = 5


def height(strips: Sequence[Strip]) -> int:
    """How high strips are together, in pixels."""
    return sum(TITLE + _body(strip) + GAP for strip in strips)


def _body(strip: Strip) -> int:
    return ROW * len(strip.levels) if strip.levels else BODY


def left_of(strips: Sequence[Strip]) -> int:
    """Pixels that the names of levels and the ends of numbers need."""
    texts = [_named(text) for strip in strips for text in (*strip.levels, *strip.ends)]
    return round(max(map(wide, texts), default=0.0)) + 12 if texts else 0


def _named(text: str) -> str:
    return wording.shorten(text, LETTERS)


def drawn_strips(figure: Figure, top: int) -> str:
    """All strips as markup, from ``top`` pixels on."""
    made = []
    for strip in figure.strips:
        made.append(_strip(strip, figure.x, top))
        top += TITLE + _body(strip) + GAP
    return "".join(made)


def lines(figure: Figure, top: int, bottom: int) -> str:
    """What marks a place of the axis, drawn on through the strips."""
    frame = Frame(figure.x, figure.y, bottom)
    places = [frame.across(mark.x) for mark in figure.marks if isinstance(mark, Upright)]
    d = "".join(f"M{place:g} {top}V{bottom}" for place in places if place is not None)
    return _stretched(f'<path class="level" d="{d}"/>', top, bottom - top) if d else ""


def _stretched(inner: str, top: int, high: int) -> str:
    """What is stretched to the width, in pixels from the figure's top."""
    return (
        f'<svg class="stretched" y="{top}" viewBox="0 {top} 1000 {high}" width="100%" height="{high}" '
        f'preserveAspectRatio="none">{inner}</svg>'
    )


def _strip(strip: Strip, x: Axis, top: int) -> str:
    high = _body(strip)
    foot = top + TITLE + high
    frame = Frame(x, Axis(0.0, 1.0), high)
    heading = f'<text class="title" x="0" y="{top + TITLE - 4}">{safe(strip.title)}</text>'
    rows = len(strip.levels)
    if rows:
        beside = [
            f'<text class="num" x="-8" y="{foot - ROW * (place + 0.5):g}" dy=".35em">'
            f"{safe(_named(name))}</text>"
            for place, name in enumerate(strip.levels)
        ]
    else:
        beside = [
            f'<text class="num" x="-8" y="{at}" dy=".35em">{safe(_named(end))}</text>'
            for at, end in zip((foot - 4, foot - high + 4), strip.ends, strict=True)
            if end
        ]

    def down(value: float) -> float:
        return foot - (ROW * (value + 0.5) if rows else value * high)

    spots = [
        None if across is None or value is None else (across, round(down(value), 1))
        for across, value in zip(map(frame.across, strip.x), strip.y, strict=True)
    ]
    hover = hover_data("", strip.title, strip.x, strip.texts, spots)
    rail = f'<path class="gridline" d="M0 {foot}H1000M0 {foot - high}H1000"/>'
    if rows and len(spots) > FEW:
        cells = _shaded(spots, foot, rows)
        body = f'{cells}<path class="target" d="{dotted(spots)}"{hover}/>'
    else:
        size = 2.5 if len(spots) > FEW else 4
        body = f'<path class="dot mild" stroke-width="{size:g}" d="{dotted(spots)}"{hover}/>'
    inner = rail + body + _trend(strip, frame, foot, high)
    return f"{_stretched(inner, top, foot + 2 - top)}{heading}{''.join(beside)}"


def _trend(strip: Strip, frame: Frame, foot: int, high: int) -> str:
    d = [
        f"{frame.across(x):g} {foot - y * high:.1f}"
        for x, y in zip(*strip.trend, strict=True)
        if x is not None and y is not None
    ]
    return f'<path class="trend" d="M{"L".join(d)}"/>' if d else ""


def _shaded(spots: Sequence[tuple[float, float] | None], foot: int, rows: int) -> str:
    """Stretches of places as cells of each level, the darker the more of the stretch have it."""
    shades: dict[int, list[str]] = {}
    for first, last, counts in stretches([None if spot is None else spot[1] for spot in spots]):
        left, right = 1000 * first / len(spots), 1000 * last / len(spots)
        for y, share in counts:
            shade = min(SHADES, int(share * SHADES) + 1)
            d = f"M{left:.1f} {y - ROW / 2 + 1:g}H{right:.1f}V{y + ROW / 2 - 1:g}H{left:.1f}z"
            shades.setdefault(shade, []).append(d)
    return "".join(
        f'<path class="density" fill-opacity="{0.17 * shade:.2f}" d="{"".join(d)}"/>'
        for shade, d in sorted(shades.items())
    )


def stretches(rows: Numbers) -> list[tuple[int, int, list[tuple[float, float]]]]:
    """Of each stretch of places its ends, and the share of it that has each value.

    >>> stretches([0.0, 0.0, 1.0, None])[0]
    (0, 1, [(0.0, 1.0)])
    """
    count = len(rows)
    parts = min(STRETCHES, count)
    made = []
    for part in range(parts):
        first, last = part * count // parts, (part + 1) * count // parts
        own = [value for value in rows[first:last] if value is not None]
        made.append((first, last, [(value, own.count(value) / len(own)) for value in sorted(set(own))]))
    return made
