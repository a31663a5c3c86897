"""The controls of a reproduction: what explains its claims, as tables and as curves over the margin."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Control, ControlDescription
from losscope.reporting import axes
from losscope.reporting.claim_tables import size
from losscope.reporting.figure import Figure, Line, Mark, Points, numbers, shown_unit
from losscope.reporting.parts import Cell, Context, Grid, Section

DRAWN = (
    "intra_variance",
    "intra_variance@test",
    "intra_inter_ratio",
    "inter_distance",
    "active_ratio",
    "gradient_norm",
    "greedy_share_positive",
    "hard_share",
    "epochs_to_90_quality",
    "recall_at_1",
    "fine_recall_at_1",
)
"""Of the quantities over the margin those that are drawn; the table has all."""


@register("section", "controls", order=27, of="reproduction")
def controls(context: Context) -> list[Section]:
    """What explains the claims: a section for each control, with intervals and without verdicts."""
    sections = []
    for shown in context.reproduction.descriptions:
        rows = [row for row in context.reproduction.controls if row.id == shown.id]
        if rows:
            sections.append(_curves(shown, rows) if shown.curves else _table(shown, rows))
    return sections


def _table(shown: ControlDescription, rows: Sequence[Control]) -> Section:
    heads = ["data", "quantity", "of", "foreseen", "measured", "seeds", "note"]
    cells: list[list[str | Cell]] = [
        [
            f"{row.data}, {row.protocol}",
            wording.label(row.measure),
            row.label,
            size(row, "expected"),
            Cell(size(row, "measured"), wording.interval(row.low, row.high)),
            str(row.n or ""),
            row.note or "",
        ]
        for row in rows
    ]
    texts = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in cells]
    keep = [place for place in range(len(heads)) if any(row[place] for row in texts)]
    grid = Grid(
        shown.title,
        [heads[place] for place in keep],
        [[row[place] for place in keep] for row in cells],
        numeric=False,
    )
    return Section(shown.title, shown.note, table=grid, fold=wording.count(len(rows), "row"))


def _curves(shown: ControlDescription, rows: Sequence[Control]) -> Section:
    """Curves over each loss's margin, and the table of all quantities."""
    figures = []
    for data, protocol in dict.fromkeys((row.data, row.protocol) for row in rows):
        own = [row for row in rows if (row.data, row.protocol) == (data, protocol)]
        for measure in DRAWN:
            drawn = [row for row in own if row.measure == measure]
            if drawn:
                figures.append(_curve(drawn, measure, f"{data}, {protocol}"))
    losses = list(dict.fromkeys(str(row.loss) for row in rows))
    margins = sorted({row.margin for row in rows if row.margin is not None})
    found = {(row.data, row.protocol, row.measure, row.loss, row.margin): row for row in rows}
    table: list[list[str | Cell]] = []
    for data, protocol, measure in dict.fromkeys((row.data, row.protocol, row.measure) for row in rows):
        for loss in losses:
            points = (found.get((data, protocol, measure, loss, margin)) for margin in margins)
            table.append([f"{data}, {protocol}", wording.label(measure), loss, *map(_point, points)])
    grid = Grid(
        "Every claim's quantity by margin",
        ["data", "quantity", "loss", *(f"{margin:g}" for margin in margins)],
        table,
    )
    return Section(
        shown.title,
        shown.note,
        figures=figures,
        key=losses,
        table=grid,
        fold=wording.count(len(table), "row"),
        columns=3,
        wide=True,
    )


def _point(row: Control | None) -> Cell:
    return (
        Cell("") if row is None else Cell(wording.number(row.measured), wording.interval(row.low, row.high))
    )


def _curve(rows: Sequence[Control], measure: str, where: str) -> Figure:
    marks: list[Mark] = []
    ends: list[float | None] = []
    last: list[str] = []
    losses = list(dict.fromkeys(str(row.loss) for row in rows))
    for loss in losses:
        own = sorted((row for row in rows if row.loss == loss), key=lambda row: row.margin or 0.0)
        x = numbers(row.margin for row in own)
        y, low, high = (numbers(getattr(row, which) for row in own) for which in ("measured", "low", "high"))
        ends += [*y, *low, *high]
        last.append(f"{loss} {wording.number(own[-1].measured)}")
        texts = [
            f"{wording.number(row.measured)} {wording.interval(row.low, row.high)}".rstrip() for row in own
        ]
        marks += [Line(loss, x, y, texts=texts), Points(loss, x, y, low, high, size=6.0)]
    title = f"{wording.title(measure)}: {where}"
    return Figure(
        axes.over(row.margin for row in rows),
        axes.linear(ends, zero=True),
        marks,
        title,
        f"{title}, by margin. At the largest margin: {wording.listing(last)}.",
        shown_unit(title, wording.measure(measure).unit),
        cursor="margin",
        series=tuple(losses),
    )
