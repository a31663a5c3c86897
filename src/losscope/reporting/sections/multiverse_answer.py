"""The head of a multiverse's page: in how many settings each claim holds."""

from __future__ import annotations

from dataclasses import dataclass

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import MultiverseClaim, Share
from losscope.core.wording import multiverses as said
from losscope.reporting.items import card
from losscope.reporting.parts import Context, Section, fragment

FEW = 6
"""Up to so many claims each has a sentence in the head; of more, the bars tell."""
ROOM = 0.07
"""The smallest share whose number has room in its part of a bar."""
KEY = {"holds": "holds", "neither": "neither", "reversed": "reversed", "failed": "no value"}


@dataclass(frozen=True)
class Universe:
    """One claim as a bar: its parts as (outcome, share, text), and what one loss twice gives, in per cent."""

    name: str
    statement: str
    parts: list[tuple[str, float, str]]
    said: str
    luck: float | None
    rule: str


@register("section", "multiverse-answer", order=11, of="multiverse")
def answer(context: Context) -> Section:
    """How many claims hold in most settings, each as a bar; of a few claims, a sentence each."""
    found = context.multiverse
    counted = wording.count(found.cells, "cell")
    about = [found.data.name, f"{wording.count(found.settings, 'setting')} in {counted}"]
    described = found.data.described or found.data.title
    head = f"{said.headline(found.claims)}."
    lead = said.whole(found) if 1 < len(found.claims) <= FEW else ()  # of one alone the head says it
    notes = [*found.data.notes, *found.notes]
    html = fragment("verdict", about, head, "", lead, described, notes, [])
    rows = [row for claim in found.claims if (row := _row(claim, found.claims)) is not None]
    if rows:
        seen = {code for row in rows for code, _, _ in row.parts}
        key = [(code, word) for code, word in KEY.items() if code in seen]
        if any(row.luck is not None for row in rows):
            key.append(("by-luck", "holds, one loss under both names"))
        html += card("universes", key, rows)
    return Section("Answer", html=html, hero=True)


def _row(found: MultiverseClaim, claims: tuple[MultiverseClaim, ...]) -> Universe | None:
    shares = {name: getattr(found.everywhere, name) for name in KEY}
    parts = [(name, own.share, _shown(own)) for name, own in shares.items() if own.count]
    if not parts:
        return None
    luck = None if found.null is None else found.null.holds.share
    return Universe(
        said.named(found, claims),
        found.statement,
        parts,
        said.of_settings(found.everywhere),
        None if luck is None else 100 * luck,
        said.shortly(found.rule),
    )


def _shown(found: Share) -> str:
    return said.share(found) if found.share is not None and found.share >= ROOM else ""
