"""The goal's measure and a few others at a glance."""

from __future__ import annotations

from dataclasses import dataclass

from losscope.core.registry import register
from losscope.core.results import SideResult
from losscope.core.wording import parts
from losscope.reporting.columns import columns, digits_of, kind_of
from losscope.reporting.figure import Look
from losscope.reporting.parts import Cell, Context, Section, fragment
from losscope.reporting.ruler import Ruler

MOST = 8


@dataclass(frozen=True)
class Strip:
    """A measure of one side: its cell, and mean and interval in percent of the column's scale."""

    cell: Cell
    at: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One side of the summary."""

    name: str
    kind: str
    strips: list[Strip]
    look: Look
    failed: str
    stopped: str
    chosen: bool


@register("section", "summary", order=20)
def summary(context: Context) -> Section | None:
    """The goal's measure and a few of geometry and greediness, with intervals, for losses and baselines."""
    names = columns(context.result, MOST)
    if not names:
        return None
    chosen = context.result.recommendation.loss
    digits = {name: digits_of(context.sides, name) for name in names}
    rulers = {
        name: Ruler.around(end for side in context.sides for end in (side.mean(name), *side.interval(name)))
        for name in names
    }

    def strip(side: SideResult, name: str) -> Strip:
        low, high = side.interval(name)
        ruler = rulers[name]
        cell = context.cell(side, name, digits[name])
        return Strip(cell, ruler.at(side.mean(name)), ruler.at(low), ruler.at(high))

    rows = [
        Row(
            side.name,
            kind_of(side),
            [strip(side, name) for name in names],
            context.palette.look(side.name),
            parts.failed(side, context.seeds),
            parts.stopped(side),
            side.name == chosen,
        )
        for side in context.sides
    ]
    spread = any(side.interval(name)[0] is not None for side in context.sides for name in names)
    interval = " and its 95 % interval" if spread else ""
    note = (
        f"Mean over {context.counted_seeds}{interval}. Press a head to sort, a number for its "
        "seeds. ▲ higher is better, ▼ lower is better. Each mark lies on its column's own scale."
    )
    if any(context.head(name).small == "train" for name in names):
        note += " What is measured on train is the mean over all epochs; the rest is measured at the end."
    caption = "Each loss and baseline: mean and 95 % interval over seeds, on the split that the head names"
    html = fragment("summary", caption, [context.head(name) for name in names], rows)
    return Section("At a glance", note, html, wide=True)
