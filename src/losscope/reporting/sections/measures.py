"""Every measure of every loss and baseline."""

from __future__ import annotations

from dataclasses import dataclass

from losscope.core import wording
from losscope.core.registry import register
from losscope.reporting.columns import digits_of, present
from losscope.reporting.figure import Look
from losscope.reporting.parts import Cell, Context, Section, fragment


@dataclass(frozen=True)
class Head:
    """A column: one loss or baseline."""

    name: str
    look: Look


@dataclass(frozen=True)
class Row:
    """One measure of every side."""

    head: Cell
    unit: str
    better: str
    cells: list[Cell]


@register("section", "measures", order=110)
def measures(context: Context) -> Section | None:
    """Every measure of every loss and baseline, with its definition."""
    names = present(context.result)
    if not names:
        return None
    groups: dict[str, list[Row]] = {}
    for name in names:
        known = wording.measure(name)
        digits = digits_of(context.sides, name)
        better = "" if known.better == "neither" else f"{known.better} is better"
        cells = [context.cell(side, name, digits) for side in context.sides]
        groups.setdefault(known.group, []).append(Row(context.head(name), known.unit, better, cells))
    heads = [Head(side.name, context.palette.look(side.name)) for side in context.sides]
    counted = wording.count(len(names), "measure")
    note = (
        f"{counted}: mean over {context.counted_seeds} with its 95 % interval. Beyond those tested above "
        "they describe, and carry no verdict."
    )
    html = fragment("measures", "Every measure of every loss and baseline", heads, groups)
    return Section("Every measure", note, html, fold=f"All {counted}", wide=True)
