"""Which choices decide each claim: shares of the variance between settings."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import ChoiceShare, MultiverseClaim
from losscope.core.wording import multiverses as said
from losscope.reporting.parts import Cell, Context, Grid, Section

LEAST = 0.01
"""The share from which a choice has a row."""


@register("section", "multiverse-choices", order=24, of="multiverse")
def choices(context: Context) -> Section | None:
    """What each choice takes part in, of the variance of each claim's effect between settings."""
    found = [claim for claim in context.multiverse.claims if claim.decomposition.choices]
    if not found:
        return None
    several = said.on_several(found)
    heads: list[str | Cell] = [
        "choice",
        *(Cell(claim.claim, claim.data if several else "", claim.statement) for claim in found),
    ]
    most = _most(found)
    order = sorted((name for name in most if most[name] >= LEAST), key=lambda name: -most[name])
    left = [said.axis_title(name) for name in most if most[name] < LEAST]
    rows: list[list[str | Cell]] = [
        [said.axis_title(name), *(_cell(claim, name) for claim in found)] for name in order
    ]
    rows.append(["explained by the choices", *(_whole(claim) for claim in found)])
    note = (
        "How much of the variance between settings each choice takes part in, alone and together with "
        "others, with 95 % intervals over cells; below it alone. The variance of seeds is removed. Claims "
        "whose effects the choices do not predict are left out."
    )
    if left:
        note += f" Under {100 * LEAST:.0f} % in all of them: {wording.listing(left)}."
    grid = Grid("Shares of the variance between settings", heads, rows, words=1)
    return Section("Which choices decide", note, table=grid, wide=True)


def _most(found: list[MultiverseClaim]) -> dict[str, float]:
    """The greatest share of each choice in any claim."""
    most: dict[str, float] = {}
    for claim in found:
        for share in claim.decomposition.choices:
            most[share.name] = max(most.get(share.name, 0.0), share.total)
    return most


def _cell(claim: MultiverseClaim, name: str) -> Cell:
    own = next((share for share in claim.decomposition.choices if share.name == name), None)
    return Cell(wording.NOTHING) if own is None else _shown(own)


def _shown(found: ChoiceShare) -> Cell:
    ends = said.spread(found.total_low, found.total_high)
    alone = f"alone {100 * found.first:.0f} %"
    return Cell(f"{100 * found.total:.0f} %", f"{ends}; {alone}", number=found.total)


def _whole(claim: MultiverseClaim) -> Cell:
    found = claim.decomposition
    tip = f"R² of settings kept out: {wording.number(found.r2)}"
    return Cell(f"{100 * (found.explained or 0.0):.0f} %", title=tip, number=found.explained)
