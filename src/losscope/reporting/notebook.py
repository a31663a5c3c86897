"""A document as Jupyter and marimo show it: its answer, a table and one figure, in one piece of HTML.

No script and nothing fetched; every text is escaped. The piece has its own paper and ink, light or dark as
the reader's system asks for, so that it is legible on a notebook of either kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from losscope.core import wording
from losscope.core.results import InspectedPair, Inspection, Multiverse, Reproduction, Result
from losscope.core.wording import multiverses, reproductions
from losscope.reporting import claim_tables, multiverse_tables, sheets
from losscope.reporting.answer import Rows, answer, inspected
from losscope.reporting.figure import COLOURS, DARK_COLOURS, DARK_GREYS, GREYS
from losscope.reporting.ruler import Ruler

MEASURES = 6
"""Measures of a table: more are on the page."""
ROWS = 40
"""Rows of a table, at most."""
_STYLE = """
.losscope-shown { --paper: #fffefb; --ink: #1d1c1a; --soft: #66625b; --rule: #d9d4c9; --band: #ece7dc;
  background: var(--paper); color: var(--ink); border: 1px solid var(--rule); border-radius: 4px;
  padding: .7rem 1rem; max-width: 60rem; overflow-x: auto; font: 14px/1.45 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { .losscope-shown { --paper: #161614; --ink: #e9e6df;
  --soft: #a5a096; --rule: #45413a; --band: #35322b; } }
.losscope-shown p { margin: 0 0 .5rem; color: var(--ink); }
.losscope-shown ul { margin: 0 0 .5rem; padding-left: 1.2rem; }
.losscope-shown .small { color: var(--soft); font-size: 12px; }
.losscope-shown table { border-collapse: collapse; margin: .5rem 0; color: var(--ink); font-size: 13px;
  background: none; }
.losscope-shown tr, .losscope-shown tr:hover { background: none; }
.losscope-shown th, .losscope-shown td { border: 0; border-top: 1px solid var(--rule);
  padding: 3px 10px 3px 0; text-align: right; font-weight: normal; vertical-align: top; color: var(--ink);
  background: none; }
.losscope-shown th:first-child { text-align: left; }
.losscope-shown thead th { color: var(--soft); border-top: 0; vertical-align: bottom; }
.losscope-shown svg { display: block; width: 100%; min-width: 30rem; max-width: 40rem; height: auto; }
"""


def _hues(colours: Sequence[str], greys: Sequence[str]) -> str:
    """The variables of the looks of losses and baselines."""
    hues = [f"--hue-{place}: {colour};" for place, colour in enumerate(colours)]
    return " ".join([*hues, *(f"--grey-{place}: {colour};" for place, colour in enumerate(greys))])


_COLOURS = (
    f".losscope-shown {{ {_hues(COLOURS, GREYS)} }}\n@media (prefers-color-scheme: dark) {{ "
    f".losscope-shown {{ {_hues(DARK_COLOURS, DARK_GREYS)} }} }}\n"
)
_FRAME = Markup('<div class="losscope-shown"><style>{}</style>{}</div>')
_BOLD = Markup("<p><strong>{}</strong></p>")
_PLAIN = Markup('<p class="small">{}</p>')
_SMALL = Markup('<br><span class="small">{}</span>')


def shown(document: Result | Reproduction | Multiverse | Inspection | InspectedPair) -> str:
    """A document as one piece of HTML."""
    if isinstance(document, Result):
        with wording.modalities(document.data.modalities):
            return _framed(_comparison(document))
    if isinstance(document, Multiverse):
        return _framed(_multiverse(document))
    return _framed(_reproduction(document) if isinstance(document, Reproduction) else _inspection(document))


def _framed(pieces: Iterable[Markup]) -> str:
    return str(_FRAME.format(Markup(_STYLE + _COLOURS), Markup("").join(pieces)))


def _comparison(result: Result) -> Iterable[Markup]:
    told = wording.headline(result)
    yield _text(_BOLD, told.text)
    said = (told.sure, told.caveat.text if told.caveat else "", str(told.step) if told.step else "")
    yield from (_text(_PLAIN, sentence) for sentence in said if sentence)
    if (found := answer(result)) is not None:
        yield svg(found)
    sheet = sheets.sides(result, MEASURES)
    rows = [cells for _, cells in sheet.rows]
    yield _table(sheet.heads, [[_entry(cell) for cell in cells] for cells in rows])
    yield _text(_PLAIN, sheet.caption)
    if result.report_file:
        yield _text(_PLAIN, f"Page: {result.report_file}")


def _reproduction(document: Reproduction) -> Iterable[Markup]:
    yield _text(_BOLD, reproductions.judged(document.claims) if document.claims else document.data.title)
    yield from (_text(_PLAIN, sentence) for sentence in document.summary[:3])
    rows = [
        (
            row.statement,
            row.data,
            *(claim_tables.size(row, which) for which in ("expected", "measured")),
            claim_tables.verdict(row),
        )
        for row in document.claims
    ]
    yield _table(
        ("claim", "data", "expected", "measured", "verdict"),
        [[_text(Markup("{}"), t) for t in r] for r in rows],
    )


def _multiverse(document: Multiverse) -> Iterable[Markup]:
    yield _text(_BOLD, f"{multiverses.headline(document.claims)}.")
    rows = multiverse_tables.rows(document)
    yield _table(multiverse_tables.HEADS, [[_text(Markup("{}"), text) for text in row] for row in rows])
    if document.report_file:
        yield _text(_PLAIN, f"Page: {document.report_file}")


def _inspection(found: Inspection | InspectedPair) -> Iterable[Markup]:
    yield _text(_BOLD, found.headline)
    if found.findings:
        items = Markup("").join(_text(Markup("<li>{}</li>"), text) for text in found.findings)
        yield Markup("<ul>{}</ul>").format(items)
    if (dots := inspected(found)) is not None:
        yield svg(dots)
    if isinstance(found, Inspection):
        heads: tuple[str, ...] = ("", "value", "95 % from", "to")
        numbers: list[tuple[str, *tuple[float | None, ...]]] = [
            (row.measure, row.value, row.low, row.high) for row in found.measures if row.value is not None
        ]
    else:
        heads = ("", "a", "b", "b − a, or log b / a")
        numbers = [
            (row.measure, row.a, row.b, row.difference) for row in found.changes if row.difference is not None
        ]
    rows = [
        [wording.label(name), *("" if value is None else f"{value:.4g}" for value in values)]
        for name, *values in numbers
    ]
    yield _table(heads, [[_text(Markup("{}"), cell) for cell in row] for row in rows])


def _text(markup: Markup, text: object) -> Markup:
    return markup.format(wording.printable(text))


def _entry(cell: sheets.Entry) -> Markup:
    text = _text(Markup("<strong>{}</strong>") if cell.mark == "best" else Markup("{}"), cell.text)
    text += "†" if cell.mark == "tie" else ""
    return text + _text(_SMALL, cell.small) if cell.small else text


def _table(heads: Sequence[str], rows: Sequence[Sequence[Markup]]) -> Markup:
    head = Markup("").join(_text(Markup('<th scope="col">{}</th>'), name) for name in heads)
    body = []
    for first, *cells in rows[:ROWS]:
        inner = Markup("").join(Markup("<td>{}</td>").format(cell) for cell in cells)
        body.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(first, inner))
    more = _text(_PLAIN, f"… and {len(rows) - ROWS} more rows") if len(rows) > ROWS else Markup("")
    whole = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>")
    return whole.format(head, Markup("").join(body)) + more


# --- the figure ------------------------------------------------------------------------------------

_WIDTH, _ROW, _LEFT, _RIGHT = 640, 22, 190, 70


def svg(dots: Rows) -> Markup:
    """Values with their intervals on one axis, as an SVG that takes the colours of the page around it."""
    rows = dots.rows[:ROWS]
    ends = [end for row in rows for end in (row.value, row.low, row.high, row.end)]
    ruler = Ruler.around([*ends, *(dots.band or ())])
    height = _ROW * len(rows) + 44
    bottom = _ROW * len(rows) + 6
    pieces = []
    if dots.band is not None:
        low, high = (_x(ruler, end) for end in dots.band)
        pieces.append(
            Markup('<rect x="{}" y="4" width="{}" height="{}" fill="var(--band)"/>').format(
                f"{low:.1f}", f"{high - low:.1f}", bottom - 4
            )
        )
    for percent, text in _ticks(ruler):
        place = _LEFT + percent / 100 * (_WIDTH - _LEFT - _RIGHT)
        pieces.append(_line(place, 4, place, bottom, "var(--rule)", 1))
        pieces.append(_label(place, bottom + 14, text, "middle", "var(--soft)"))
    for place, row in enumerate(rows):
        y = 4 + _ROW * (place + 0.5)
        ink = row.look.colour
        weight = "bold" if row.chosen else "normal"
        pieces.append(_label(_LEFT - 10, y + 4, wording.shorten(row.name, 26), "end", "var(--ink)", weight))
        if row.low is not None and row.high is not None:
            pieces.append(_line(_x(ruler, row.low), y, _x(ruler, row.high), y, ink, 3))
        if row.end is not None:
            pieces.append(_line(_x(ruler, row.value), y, _x(ruler, row.end), y, ink, 2))
            pieces.append(_dot(_x(ruler, row.value), y, "var(--paper)", ink))
        pieces.append(_dot(_x(ruler, row.value if row.end is None else row.end), y, ink, ink))
        value = wording.number(row.value if row.end is None else row.end)
        pieces.append(_label(_WIDTH - _RIGHT + 10, y + 4, value, "start", "var(--ink)", weight))
    pieces.append(_label((_WIDTH - _RIGHT + _LEFT) / 2, bottom + 30, dots.label, "middle", "var(--soft)"))
    said = wording.listing(f"{row.name} {wording.number(row.value)}" for row in rows)
    head = Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">').format(
        _WIDTH, height, _WIDTH, height, wording.printable(f"{dots.label}: {said}")
    )
    return head + Markup("").join(pieces) + Markup("</svg>") + _text(_PLAIN, dots.note)


def _ticks(ruler: Ruler) -> list[tuple[float, str]]:
    """Round values without a sign where none is below 0."""
    found = ruler.ticks(5)
    return [(place, text.lstrip("+")) for place, text in found]


def _x(ruler: Ruler, value: float) -> float:
    percent = ruler.at(value)
    assert percent is not None
    return _LEFT + min(max(percent, 0.0), 100.0) / 100 * (_WIDTH - _LEFT - _RIGHT)


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, width: float) -> Markup:
    ends = [f"{number:.1f}" for number in (x, y, to_x, to_y)]
    made = Markup(
        '<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="{}" stroke-linecap="round"/>'
    )
    return made.format(*ends, colour, width)


def _dot(x: float, y: float, fill: str, stroke: str) -> Markup:
    made = Markup('<circle cx="{}" cy="{}" r="5" fill="{}" stroke="{}" stroke-width="2"/>')
    return made.format(f"{x:.1f}", f"{y:.1f}", fill, stroke)


def _label(x: float, y: float, text: str, anchor: str, colour: str, weight: str = "normal") -> Markup:
    made = Markup('<text x="{}" y="{}" text-anchor="{}" fill="{}" font-size="12" font-weight="{}">{}</text>')
    return made.format(f"{x:.1f}", f"{y:.1f}", anchor, colour, weight, wording.printable(text))
