"""The specification curve of each claim."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.core.results import MultiverseClaim
from losscope.core.wording import multiverses as said
from losscope.reporting.parts import Context, Section, fragment, prose
from losscope.reporting.specification import MANY, curve

NOTE = (
    "Every setting, by its effect. The band along 0: differences too small to matter. {spread}Below: what "
    "was chosen in each setting{order}; lines are running medians. Hover or press for a setting's choices."
)


@register("section", "multiverse-curves", order=30, of="multiverse")
def curves(context: Context) -> list[Section]:
    """Each claim's effect in every setting, sorted, with the choices below."""
    claims = context.multiverse.claims
    return [_section(claim, said.named(claim, claims), first=claim is claims[0]) for claim in claims]


def _section(found: MultiverseClaim, title: str, first: bool) -> Section:
    figure = curve(found)
    many = sum(setting.effect is not None for setting in found.settings) > MANY
    drawn = "The band along the points" if many else "The line through a point"
    spread = f"{drawn}: smallest to largest seed. " if found.seeds > 1 else ""
    order = ", those choices first that decide most" if found.decomposition.choices else ""
    note = f" {NOTE.format(spread=spread, order=order)}" if first else ""
    return Section(
        title,
        f"{found.statement}.{note}",
        fragment("bullets", [prose(text) for text in found.summary]),
        figures=[] if figure is None else [figure],
        key=[] if figure is None else [found.a, found.b],
        wide=True,
    )
