"""What quality costs, and what comes with it."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.reporting.columns import goal_measure
from losscope.reporting.curves import series_of
from losscope.reporting.parts import Context, Grid, Section
from losscope.reporting.tradeoffs import tradeoffs as drawn


@register("section", "tradeoffs", order=45)
def tradeoffs(context: Context) -> Section | None:
    """The goal's measure over seconds to train, over compactness and over the ranking, for every side."""
    figures = drawn(context.result)
    if not figures:
        return None
    note = "Higher is better on every vertical axis; " if _higher(context) else ""
    note += "a point for each loss and baseline, with its 95 % interval over seeds. Described, not tested."
    rows = [
        [
            side.name,
            wording.number(side.price.seconds) if side.price.seconds is not None else wording.NOTHING,
            f"{side.price.parameters:,}" if side.price.parameters is not None else wording.NOTHING,
        ]
        for side in context.sides
        if side.price is not None
    ]
    table = Grid("What each side costs", ["", "seconds to train one run", "parameters"], rows, words=1)
    return Section(
        "What quality costs",
        note[0].upper() + note[1:],
        figures=figures,
        table=table if rows else None,
        fold="Seconds and parameters" if rows else "",
        key=series_of(figures),
        columns=2,
    )


def _higher(context: Context) -> bool:
    """Whether the goal's measure is better when it is higher."""
    goal = goal_measure(context.result)
    return goal is not None and wording.measure(goal).better == "higher"
