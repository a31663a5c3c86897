"""Anyone's own runs: each of several data sets, and every pair of losses."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import DataVerdicts, PairSize
from losscope.core.wording import parts
from losscope.reporting.columns import group_said
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
        made.append([own.name, Cell(pair), *told, wording.verdict_word(row)])
    return made


@register("section", "every-pair", order=34)
def every_pair(context: Context) -> Section | None:
    """All pairs of losses as a matrix, and the group that cannot be told from the best."""
    result = context.result
    if len(result.losses) < 3 or not result.matrix:
        return None
    names = list(dict.fromkeys(name for pair in result.matrix for name in (pair.a, pair.b)))
    cells = {(pair.a, pair.b): _cell(pair) for pair in result.matrix}
    rows: list[list[str | Cell]] = [
        [Cell(a), *(cells.get((a, b), "") for b in names[1:])] for a in names[:-1]
    ]
    note = (
        f"{' '.join(group_said(result))} Row minus column, or their ratio, with the interval, which is not "
        "corrected for the number of pairs. Pairs that were not tested are described."
    )
    return Section(
        "Every pair", note.strip(), table=Grid("Every pair of losses", ["", *names[1:]], rows, words=1)
    )


def _cell(pair: PairSize) -> str:
    if pair.difference is None:
        return ""
    size = wording.change(pair.difference, pair.scale)
    if pair.low is None or pair.high is None:
        return size
    return f"{size} ({wording.change_interval(pair.low, pair.high, pair.scale)})"
