"""Which settings give the published numbers."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.core.results import Matches, NumberMatch
from losscope.core.wording import NOTHING, brief
from losscope.core.wording import matches as said
from losscope.reporting.parts import Cell, Context, Grid, Section

HEADS = (
    "number",
    "data",
    "published",
    Cell("match", title="its prediction interval holds the number, and is at most a quarter of it to a side"),
    Cell("by chance", title="how many would match the mean of another setting, drawn at random"),
    Cell("held", title="settings whose prediction interval holds the number, however wide"),
    Cell("means", title="the smallest and the largest mean of a setting"),
    Cell("nearest to all", title="what the setting gives that is nearest to all numbers at once"),
)


@register("section", "multiverse-matches", order=35, of="multiverse")
def matches(context: Context) -> Section | None:
    """How many settings give each published number, and the one that is nearest to all of them."""
    found = context.multiverse.matches
    if not found:
        return None
    note = " ".join(sentence for own in found for sentence in own.summary[:3])
    rows = [_row(own, place) for own in found for place in range(len(own.numbers))]
    return Section(
        "Which settings give the published numbers", note, table=Grid("Matches", HEADS, rows), wide=True
    )


def _row(own: Matches, place: int) -> list[str | Cell]:
    found = own.numbers[place]
    near = own.nearest[0].means[place] if own.nearest else None
    return [
        Cell(said.number(found), title=found.source),
        own.data,
        Cell(brief(found.value), number=found.value),
        Cell(f"{found.matches:,}", f"of {own.settings:,}", number=float(found.matches)),
        NOTHING if found.chance is None else Cell(brief(found.chance), number=found.chance),
        Cell(f"{found.inside:,}", number=float(found.inside)),
        _means(found),
        NOTHING if near is None else Cell(brief(near), number=near),
    ]


def _means(found: NumberMatch) -> str:
    if found.low is None or found.high is None:
        return NOTHING
    return f"{brief(found.low)} to {brief(found.high)}"
