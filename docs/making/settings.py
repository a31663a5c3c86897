"""The declared spaces of settings as tables: ``python -m making.settings`` in ``docs`` prints them."""

from __future__ import annotations

from losscope.core.wording import varying as wording
from losscope.varying.declared import SPACES
from losscope.varying.space import Axis, Space

TITLES = {"vectors": "On synthetic data", "features": "On features (birds, cars)"}


def tables() -> str:
    """Every declared space, one table each."""
    return "\n\n".join(f"**{TITLES[space.kind]}**\n\n{table(space)}" for space in SPACES)


def table(space: Space) -> str:
    """The axes of a space in Markdown."""
    rows = ["| choice | values | the paper's | cell | why |", "|---|---|---|---|---|"]
    return "\n".join([*rows, *(_row(axis) for axis in space.axes)])


def _row(axis: Axis) -> str:
    if axis.numbers is None:
        values = ", ".join(wording.named(level.name) for level in axis.levels)
    else:
        by = ", evenly by ratio" if axis.numbers.logarithmic else ""
        values = f"{wording.named(axis.numbers.low)} to {wording.named(axis.numbers.high)}{by}"
    cells = (axis.name, values, wording.named(axis.paper), "" if axis.stacks else "yes", axis.source)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(tables())
