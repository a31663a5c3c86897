"""Every paired difference."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Comparison
from losscope.core.wording import parts
from losscope.reporting.parts import Cell, Context, Grid, Section

HEADS = ("pair", "measure", "size", "for these data", "for data like these", "seeds", "verdict")


@register("section", "differences", order=115)
def differences(context: Context) -> Section | None:
    """Every paired difference, tested or descriptive."""
    rows = [_row(row) for row in context.result.paired]
    looks = context.palette.look
    series = [f"{looks(row.a).slug} {looks(row.b).slug}" for row in context.result.paired]
    if not rows:
        return None
    paired = "" if context.result.unpaired else f"Paired by {context.unit}. "
    note = f"{paired}Differences carry a sign, ratios a ×. Only tested pairs have a verdict."
    heads = [wording.plural(context.unit) if head == "seeds" else head for head in HEADS]
    grid = Grid("Every difference with both intervals", heads, rows, series=series)
    fold = f"All {wording.count(len(rows), 'difference')}"
    return Section("Every difference", note, table=grid, fold=fold, wide=True)


def _row(row: Comparison) -> list[str | Cell]:
    size = parts.size(row)
    return [
        Cell(" ".join(parts.pair(row))),
        Cell(wording.label(row.measure), title=wording.measure(row.measure).definition),
        Cell(size.middle, number=row.difference),
        size.interval,
        size.interval_data,
        str(row.n or ""),
        wording.verdict_word(row),
    ]
