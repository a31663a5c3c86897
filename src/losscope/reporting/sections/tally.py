"""The head of a reproduction's page: how many claims hold."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.core.wording import parts
from losscope.reporting.parts import Context, Section, fragment


@register("section", "tally", order=11, of="reproduction")
def tally(context: Context) -> Section:
    """How many of the paper's claims hold, and on which data."""
    found = context.reproduction
    sentences = list(found.summary) or ([parts.tally(found.claims)] if found.claims else [])
    first = sentences[0] if sentences else "No claim was judged."
    about = [text for text in (found.data.name, context.counted_seeds if context.seeds else "") if text]
    described = found.data.described or ", ".join(
        text for text in (found.data.title, found.data.edition) if text
    )
    notes = [*found.data.notes, *found.notes]
    html = fragment("verdict", about, first, "", sentences[1:], described, notes, [])
    return Section("Verdict", html=html, hero=True)
