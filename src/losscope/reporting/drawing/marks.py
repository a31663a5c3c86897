"""The marks of a figure as SVG.

Each function gives two pieces of markup: what lies in the stretched area (paths, in 1000 units by pixels),
and what stands upright over it (text and symbols, in percent by pixels). A round point is a line of no length
with a round cap, which no stretching turns into an ellipse and of which thousands cost few bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch

from markupsafe import escape

from losscope.core import wording
from losscope.reporting.drawing.frame import Frame, wide
from losscope.reporting.figure import (
    Band,
    Bars,
    Joined,
    Level,
    Line,
    Look,
    Names,
    Numbers,
    Palette,
    Points,
    Region,
    Ring,
    Symbol,
    Upright,
)
from losscope.reporting.ruler import overlap

SHAPES: dict[Symbol, str] = {
    "square": "M-4-4H4V4H-4z",
    "diamond": "M0-5.2 5.2 0 0 5.2-5.2 0z",
    "triangle": "M0-5.2 5 4.2-5 4.2z",
    "cross": "M-4.6-1.5H-1.5V-4.6H1.5V-1.5H4.6V1.5H1.5V4.6H-1.5V1.5H-4.6z",
    "bar": "M-1.4-6H1.4V6H-1.4z",
}
"""The symbols at a size of 8 pixels."""
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Names of few texts that many points share."""
FEW_PLACES = 20
"""More places than this that are the numbers from 1 on are not written."""
DASHED = {"solid": "", "dash": ' stroke-dasharray="6 4"', "dot": ' stroke-dasharray="2 3"'}
Drawn = tuple[str, str]


@singledispatch
def drawn(mark: object, frame: Frame, palette: Palette) -> Drawn:
    """A mark in its frame: what is stretched with the width, and what is not."""
    raise TypeError(f"a figure has no mark of the type {type(mark).__name__}")


@drawn.register(Line)
def _line(mark: Line, frame: Frame, palette: Palette) -> Drawn:
    look = palette.look(mark.series)
    spots = _spots(mark.x, mark.y, frame)
    if sum(spot is not None for spot in spots) == 1:
        return _points(
            Points(mark.series, mark.x, mark.y, mark.low, mark.high, mark.texts, mark.name), frame, palette
        )
    band = _band(mark, frame) if mark.low and mark.high else ""
    dash = DASHED[mark.dash or look.dash]
    width = "" if mark.width == 2.0 else f' stroke-width="{mark.width:g}"'
    hover = hover_data(mark.series, mark.name, mark.x, mark.texts, spots)
    path = f'<path class="line" d="{_path(spots)}"{width}{dash}{hover}/>'
    return _group(mark.series, look, band + path), ""


def _band(mark: Line, frame: Frame) -> str:
    """The area from the low to the high ends; a part without ends interrupts it."""
    pieces: list[list[tuple[float, float, float]]] = [[]]
    for x, low, high in zip(mark.x, mark.low, mark.high, strict=True):
        across, top, foot = frame.across(x), frame.down(high), frame.down(low)
        if across is not None and top is not None and foot is None and low is not None:
            foot = float(frame.height)  # 0 or less on a logarithmic axis
        if across is None or top is None or foot is None:
            pieces.append([])
        else:
            pieces[-1].append((across, top, foot))
    d = "".join(
        "M"
        + "L".join(f"{x:g} {top:g}" for x, top, _ in piece)
        + "L"
        + "L".join(f"{x:g} {foot:g}" for x, _, foot in reversed(piece))
        + "z"
        for piece in pieces
        if len(piece) > 1
    )
    return f'<path class="extent" d="{d}"/>' if d else ""


@drawn.register(Points)
def _points(mark: Points, frame: Frame, palette: Palette) -> Drawn:
    look = palette.look(mark.series)
    spots = _spots(mark.x, mark.y, frame)
    whiskers = _whiskers(mark.x, mark.low, mark.high, frame)
    hover = hover_data(mark.series, mark.name, mark.x, mark.texts, spots)
    filled = mark.filled or (True,) * len(spots)
    if look.symbol != "circle":
        return (
            _group(look=look, series=mark.series, inner=whiskers + _targets(spots, hover)),
            _group(mark.series, look, _symbols(look.symbol, spots, filled, mark.size)),
        )
    every = f'<path class="dot" stroke-width="{mark.size:g}" d="{dotted(spots)}"{hover}/>'
    hollow = dotted([spot if not full else None for spot, full in zip(spots, filled, strict=True)])
    holes = f'<path class="hole" stroke-width="{max(mark.size - 2.8, 1):g}" d="{hollow}"/>' if hollow else ""
    return _group(mark.series, look, whiskers + every + holes), ""


def _targets(spots: Sequence[tuple[float, float] | None], hover: str) -> str:
    """Places to hover that are not seen, under symbols that stand upright."""
    return f'<path class="target" d="{dotted(spots)}"{hover}/>'


def _symbols(
    symbol: Symbol, spots: Sequence[tuple[float, float] | None], filled: Sequence[bool], size: float
) -> str:
    made = []
    for spot, full in zip(spots, filled, strict=True):
        if spot is not None:
            kind = "" if full else ' class="open"'
            made.append(
                f'<svg x="{spot[0] / 10:g}%" y="{spot[1]:g}" overflow="visible">'
                f'<path{kind} transform="scale({size / 8:.3g})" d="{SHAPES[symbol]}"/></svg>'
            )
    return "".join(made)


@drawn.register(Bars)
def _bars(mark: Bars, frame: Frame, palette: Palette) -> Drawn:
    look = palette.look(mark.series)
    foot = frame.down(max(0.0, frame.y.low)) if frame.y.scale == "linear" else float(frame.height)
    d = []
    tops = _spots(mark.x, mark.y, frame)
    for x, top in zip(mark.x, tops, strict=True):
        if x is not None and top is not None:
            left, right = frame.across(x - mark.width / 2), frame.across(x + mark.width / 2)
            d.append(f"M{left:g} {foot:g}V{top[1]:g}H{right:g}V{foot:g}z")
    hover = hover_data(mark.series, mark.name, mark.x, mark.texts, tops)
    whiskers = _whiskers(mark.x, mark.low, mark.high, frame, "ink")
    inner = f'<path class="column" d="{"".join(d)}"/>{whiskers}{_targets(tops, hover)}'
    return _group(mark.series, look, inner), ""


@drawn.register(Joined)
def _joined(mark: Joined, frame: Frame, palette: Palette) -> Drawn:
    left, right = (frame.across(x) for x in mark.x)
    d = "".join(
        f"M{left:g} {a:g}L{right:g} {b:g}"
        for a, b in ((frame.down(first), frame.down(second)) for first, second in mark.ends)
        if a is not None and b is not None
    )
    both = " ".join(palette.look(name).slug for name in mark.series)
    return f'<g data-series="{both}"><path class="joined" d="{d}"/></g>', ""


@drawn.register(Ring)
def _ring(mark: Ring, frame: Frame, palette: Palette) -> Drawn:
    x, y = frame.across(mark.x), frame.down(mark.y)
    if x is None or y is None:
        return "", ""
    return "", _group(
        mark.series,
        palette.look(mark.series),
        f'<svg x="{x / 10:g}%" y="{y:g}" overflow="visible"><circle class="ring" r="8"/></svg>',
    )


@drawn.register(Level)
def _level(mark: Level, frame: Frame, palette: Palette) -> Drawn:
    y = frame.down(mark.value)
    if y is None:
        return "", ""
    return (
        f'<path class="level" d="M0 {y:g}H1000"/>',
        f'<text class="num end" x="100%" y="{y - 5:g}">{safe(mark.name)}</text>',
    )


@drawn.register(Region)
def _region(mark: Region, frame: Frame, palette: Palette) -> Drawn:
    low, high = frame.across(mark.low), frame.across(mark.high)
    if low is None or high is None:
        return "", ""
    middle = (low + high) / 2
    anchor = "end" if middle >= 750 or (low > 0 and high > 900) else "middle" if middle > 250 else ""
    at = middle if anchor == "middle" else high if anchor else low
    look = palette.look(mark.series)
    return (
        _group(mark.series, look, f'<path class="region" d="M{low:g} 0H{high:g}V{frame.height}H{low:g}z"/>'),
        _group(
            mark.series,
            look,
            f'<text class="num {anchor or "start"}" x="{at / 10:g}%" y="-2">{safe(mark.name)}</text>',
        )
        if mark.name
        else "",
    )


@drawn.register(Band)
def _shaded(mark: Band, frame: Frame, palette: Palette) -> Drawn:
    low, high = frame.down(mark.low), frame.down(mark.high)
    return f'<path class="band" d="M0 {high:g}H1000V{low:g}H0z"/>', ""


@drawn.register(Upright)
def _upright(mark: Upright, frame: Frame, palette: Palette) -> Drawn:
    x = frame.across(mark.x)
    if x is None:
        return "", ""
    side = "end" if x > 500 else "start"
    return (
        f'<path class="level" d="M{x:g} 0V{frame.height}"/>',
        f'<text class="num {side}" x="{x / 10:g}%" dx="{-4 if x > 500 else 4}" y="{frame.height - 5}">'
        f"{safe(mark.name)}</text>",
    )


NAMED_AT = 300
"""The width in pixels at which names are placed; at a wider one they are only further apart."""


@drawn.register(Names)
def _names(mark: Names, frame: Frame, palette: Palette) -> Drawn:
    spots = _spots(mark.x, mark.y, frame)
    points = [(spot[0] * NAMED_AT / 1000, spot[1]) for spot in spots if spot is not None]
    taken = [(x - 5, y - 6, x + 5, y + 6) for x, y in points]
    made = []
    for name, spot in zip(mark.series, spots, strict=True):
        if spot is None:
            continue
        text = wording.shorten(name, 22)
        x, y, width = spot[0] * NAMED_AT / 1000, spot[1], wide(text)
        for across, down, anchor, left in (
            (9, 4, "start", x + 9),
            (-9, 4, "end", x - 9 - width),
            (0, -10, "middle", x - width / 2),
            (0, 18, "middle", x - width / 2),
            (6, -10, "end", x + 6 - width),
            (6, 18, "end", x + 6 - width),
            (-6, -10, "start", x - 6),
            (-6, 18, "start", x - 6),
        ):
            own = (left, y + down - 10, left + width, y + down + 3)
            inside = own[0] >= -6 and own[2] <= NAMED_AT + 10 and own[1] >= -8 and own[3] <= frame.height
            if inside and not any(overlap(own, other) for other in taken):
                taken.append(own)
                words = (
                    f'<text class="num {anchor}" x="{spot[0] / 10:g}%" dx="{across}" y="{y + down:g}">'
                    f"{safe(text)}</text>"
                )
                look = palette.look(name)
                made.append(_group(name, look, words))
                break
    return "", "".join(made)


# --- pieces ----------------------------------------------------------------------------------------


def safe(text: str) -> str:
    return str(escape(wording.printable(text)))


def _group(series: str, look: Look, inner: str) -> str:
    """Marks of one series, in its colour, hidden with it."""
    if not inner:
        return ""
    if not series:
        return f"<g>{inner}</g>"
    return f'<g data-series="{look.slug}" style="color:{look.colour}">{inner}</g>'


def _spots(x: Numbers, y: Numbers, frame: Frame) -> list[tuple[float, float] | None]:
    """The place of each point, None where it has none."""
    spots: list[tuple[float, float] | None] = []
    for each, value in zip(x, y, strict=True):
        across, down = frame.across(each), frame.down(value)
        spots.append(None if across is None or down is None else (across, down))
    return spots


def _path(spots: Iterable[tuple[float, float] | None]) -> str:
    """A path through the points, which a missing one breaks."""
    pieces, started = [], False
    for spot in spots:
        if spot is not None:
            pieces.append(f"{'L' if started else 'M'}{spot[0]:g} {spot[1]:g}")
        started = spot is not None
    return "".join(pieces)


def dotted(spots: Iterable[tuple[float, float] | None]) -> str:
    """A line of no length at each point."""
    return "".join(f"M{spot[0]:g} {spot[1]:g}h0" for spot in spots if spot is not None)


def _whiskers(x: Numbers, low: Numbers, high: Numbers, frame: Frame, kind: str = "") -> str:
    if not low or not high:
        return ""
    d = []
    for each, small, large in zip(x, low, high, strict=True):
        across, top, foot = frame.across(each), frame.down(large), frame.down(small)
        if across is not None and top is not None and foot is not None:
            d.append(f"M{across:g} {top:g}V{foot:g}")
    return f'<path class="whisker{" " if kind else ""}{kind}" d="{"".join(d)}"/>' if d else ""


def hover_data(
    series: str, name: str, x: Numbers, texts: Sequence[str], spots: Sequence[tuple[float, float] | None]
) -> str:
    """What the script reads: the name, and the text and the place along the axis of each point drawn."""
    if not texts:
        return ""
    shown = [
        (text.replace("\n", " "), each)
        for text, each, spot in zip(texts, x, spots, strict=True)
        if spot is not None
    ]
    at = [each for _, each in shown]
    places = " ".join(f"{each:g}" for each in at)
    if len(at) > FEW_PLACES and at == [float(place) for place in range(1, len(at) + 1)]:
        places = ""  # the script counts from 1
    kept = list(dict.fromkeys(text for text, _ in shown))
    which = ""
    if len(kept) <= len(DIGITS) and 3 * len(kept) < len(shown):
        code = dict(zip(kept, DIGITS, strict=False))
        which = f' data-which="{"".join(code[text] for text, _ in shown)}"'
    else:
        kept = [text for text, _ in shown]
    said = safe("\n".join(kept))
    head = f' data-name="{safe(wording.shorten(name or series, 40))}" data-x="{places}"'
    return f'{head} data-text="{said}"{which}'
