"""The studies of a reproduction."""

from __future__ import annotations

from urllib.parse import quote

from markupsafe import Markup

from losscope.core.registry import register
from losscope.reporting.parts import Cell, Context, Grid, Section


@register("section", "studies", order=26, of="reproduction")
def studies(context: Context) -> Section | None:
    """Every study of the reproduction: its settings, what it is of, and its own page."""
    found = context.reproduction.studies
    if not found:
        return None
    rows: list[list[str | Cell]] = [
        [
            Cell(f"{study.data}, {study.protocol}"),
            study.settings,
            "; ".join(said for said in (study.reduced, study.edition) if said),
            Cell(_link(study.page)) if study.page else "",
        ]
        for study in found
    ]
    return Section(
        "The studies",
        "Each is a comparison of its own, with its own page; paths are from this page's folder.",
        table=Grid("The studies", ["study", "settings", "what it is of", "page"], rows, numeric=False),
        fold="1 study" if len(found) == 1 else f"{len(found)} studies",
    )


def _link(page: str) -> Markup:
    """A study's page, by its path from this one."""
    return Markup('<a href="{}">{}</a>').format(quote(page, safe="/."), page.split("/")[-2:][0])
