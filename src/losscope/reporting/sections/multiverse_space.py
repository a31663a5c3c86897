"""The space of settings as it was declared."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.core.results import SpaceAxis
from losscope.core.wording import multiverses as said
from losscope.reporting.parts import Cell, Context, Grid, Section


@register("section", "multiverse-space", order=40, of="multiverse")
def space(context: Context) -> Section | None:
    """Every axis, with the values that were declared before anything was trained."""
    found = context.multiverse.space
    if not found:
        return None
    rows = [
        [_name(axis), _values(axis), "crossed" if axis.crossed else "stacked", axis.why] for axis in found
    ]
    note = (
        "Declared before anything was trained; shares are of this space. Axes that change shapes are "
        "crossed: settings that share them are trained as one population, a cell."
    )
    grid = Grid("The declared space", ["choice", "values", "trained", "why"], rows, numeric=False)
    return Section("The space", note, table=grid)


def _name(axis: SpaceAxis) -> Cell:
    return Cell(said.axis_title(axis.name), ", ".join(axis.data))


def _values(axis: SpaceAxis) -> str:
    if axis.low is None or axis.high is None:
        return ", ".join(text.replace("_", " ") for text in axis.values)
    return f"{said.chosen(axis.low)} to {said.chosen(axis.high)}{', evenly by ratio' if axis.log else ''}"
