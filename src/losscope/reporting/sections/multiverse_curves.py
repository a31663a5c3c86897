"""The specification curve of each claim."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.core.results import MultiverseClaim
from losscope.reporting.parts import Context, Section, fragment
from losscope.reporting.specification import curve

NOTE = (
    "Every setting, by its effect. Shaded: differences too small to matter. {spread}Below: what was chosen in "
    "each setting, those choices first that decide most; lines are running medians. Hover or press for a "
    "setting's choices."
)


@register("section", "multiverse-curves", order=30, of="multiverse")
def curves(context: Context) -> list[Section]:
    """Each claim's effect in every setting, sorted, with the choices below."""
    several = len({claim.data for claim in context.multiverse.claims}) > 1
    return [_section(claim, several) for claim in context.multiverse.claims]


def _section(found: MultiverseClaim, several: bool) -> Section:
    figure = curve(found)
    spread = "Grey: smallest to largest seed. " if found.seeds > 1 else ""
    return Section(
        f"{found.claim} on {found.data}" if several else found.claim,
        f"{found.statement}. {NOTE.format(spread=spread)}",
        fragment("bullets", found.summary),
        figures=[] if figure is None else [figure],
        key=[] if figure is None else [found.a, found.b],
        wide=True,
    )
