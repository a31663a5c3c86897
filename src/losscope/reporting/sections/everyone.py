"""Anyone's own runs: each of several data sets, and every pair of losses."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from markupsafe import Markup

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Comparison, DataVerdicts, PairSize
from losscope.core.wording import parts
from losscope.reporting.columns import deciding_measure, group_said
from losscope.reporting.parts import Cell, Context, Grid, Section


@register("section", "each-data", order=32)
def each_data(context: Context) -> Section | None:
    """The verdicts on each of several data sets."""
    result = context.result
    if not result.by_data:
        return None
    heads = ("on", "pair", "means", "size", "interval", "p (Holm)", "verdict")
    rows = [row for own in result.by_data for row in _rows(own)]
    note = " ".join([*result.on_each, "p is corrected over the tests of one data set."])
    return Section("Each data set", note, table=Grid("Verdicts on each data set", heads, rows))


def _rows(own: DataVerdicts) -> list[list[str | Cell]]:
    made: list[list[str | Cell]] = []
    for row in own.rows:
        size = parts.size(row)
        pair = " ".join(parts.pair(row))
        told = (wording.means(row), size.middle, size.interval, parts.corrected_p(row))
        made.append([_link(own), Cell(pair), *told, wording.verdict_word(row)])
    return made


def _link(own: DataVerdicts) -> str:
    """A data set's name, as a link to its study's page where it has one."""
    if not own.page:
        return own.name
    return Markup('<a href="{}">{}</a>').format(quote(own.page, safe="/."), own.name)


@register("section", "every-pair", order=34)
def every_pair(context: Context) -> Section | None:
    """All pairs of losses as a grid (better, worse, equal, open), and the group not told from the best."""
    result = context.result
    if len(result.losses) < 3 or not result.matrix:
        return None
    measure = deciding_measure(result) or ""
    tested = {(row.a, row.b): row for row in result.verdicts() if row.measure == measure}
    cells = {}
    for pair in result.matrix:
        cells[pair.a, pair.b] = _cell(pair, measure, tested)
        cells[pair.b, pair.a] = _cell(_turned(pair), measure, tested)
    found = {name for pair in result.matrix for name in (pair.a, pair.b)}
    sign = 1 if wording.measure(measure).better == "lower" else -1
    names = sorted(found, key=lambda name: (sign * (result.side(name).mean(measure) or 0.0), name))
    rows: list[list[str | Cell]] = [[Cell(a), *(cells.get((a, b), "·") for b in names)] for a in names]
    note = " ".join(
        [
            *group_said(result),
            f"Each row against each column in {wording.label(measure)}: better or worse where the interval",
            "holds one direction, equal where it lies inside what does not matter, else open. Tested pairs",
            "are bold and stand by their corrected verdict; the others are described, and their intervals",
            "are not corrected.",
        ]
    )
    grid = Grid(
        "Every pair of losses",
        ["", *names],
        rows,
        words=1,
        series=[context.palette.look(name).slug for name in names],
    )
    return Section("Every pair", note, table=grid, wide=True)


def _turned(pair: PairSize) -> PairSize:
    def minus(value: float | None) -> float | None:
        return None if value is None else -value

    changed = {
        "a": pair.b,
        "b": pair.a,
        "difference": minus(pair.difference),
        "low": minus(pair.high),
        "high": minus(pair.low),
    }
    return pair.model_copy(update=changed)


def _cell(pair: PairSize, measure: str, tested: Mapping[tuple[str, str], Comparison]) -> Cell | str:
    if pair.difference is None:
        return ""
    size = wording.change(pair.difference, pair.scale)
    spread = ""
    if pair.low is not None and pair.high is not None:
        spread = wording.change_interval(pair.low, pair.high, pair.scale)
    row = tested.get((pair.a, pair.b))
    if row is None and (other := tested.get((pair.b, pair.a))) is not None:
        row = wording.turned(other)
    word = _described(pair, measure) if row is None else wording.verdict_word(row)
    word = "equal" if word == "equivalent" else word
    how = "described" if row is None else "tested, corrected"
    kind = f"says {word.replace(' ', '_')}{' tested' * (row is not None)}"
    note = f"{pair.a} against {pair.b}: {size}" + (f" ({spread})" if spread else "") + f"; {how}"
    return Cell(word, size, note, kind=kind, number=pair.difference)


def _described(pair: PairSize, measure: str) -> str:
    """What an interval shows of a pair that was not tested."""
    if pair.low is None or pair.high is None:
        return "open"
    known = wording.measure(measure)
    delta = known.delta or 0.0
    if -delta < pair.low and pair.high < delta:
        return "equal"
    if pair.low <= 0 <= pair.high:
        return "open"
    if known.better == "neither":
        return "higher" if pair.low > 0 else "lower"
    up = (pair.low > 0) == (known.better == "higher")
    return "better" if up else "worse"
