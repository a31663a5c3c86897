"""The head of a multiverse's page: in how many settings each claim holds."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.wording import multiverse as said
from losscope.reporting.parts import Context, Section, fragment


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
    lead = [f"{text}." if not text.endswith(".") else text for text in said.whole(found)]
    html = fragment("verdict", about, head, "", lead, described, [*found.data.notes, *found.notes], [])
    return Section("Answer", html=html, hero=True)
