"""The head of a multiverse's page: in how many settings each claim holds."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.wording import multiverses as said
from losscope.reporting.parts import Context, Section, fragment

FEW = 6
"""Up to so many claims each has a sentence in the head; of more, the table below tells."""


@register("section", "multiverse-answer", order=11, of="multiverse")
def answer(context: Context) -> Section:
    """How many claims hold in most settings, and each of them in a sentence."""
    found = context.multiverse
    about = [
        found.data.name,
        wording.count(found.settings, "setting"),
        f"{wording.count(found.seeds_each, 'seed')} each",
        f"trained in {wording.count(found.cells, 'cell')}",
    ]
    described = found.data.described or found.data.title
    head = f"{said.headline(found.claims)}."
    lead = said.whole(found) if len(found.claims) <= FEW else ()
    html = fragment("verdict", about, head, "", lead, described, [*found.data.notes, *found.notes], [])
    return Section("Answer", html=html, hero=True)
