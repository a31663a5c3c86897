"""The head of a reproduction's page: how many of the claims that were judged came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.core.registry import register
from losscope.core.results import ClaimVerdict
from losscope.core.wording import reproductions as wording
from losscope.core.wording import sign, verdict
from losscope.reporting.items import card
from losscope.reporting.parts import Context, Section, fragment


@dataclass(frozen=True)
class Share:
    """The claims that came out in one way: how many, and which."""

    code: str
    sign: str
    word: str
    count: int
    names: str


@dataclass(frozen=True)
class Bar:
    """How the claims came out under one protocol."""

    protocol: str
    parts: list[Share]


@register("section", "tally", order=11, of="reproduction")
def tally(context: Context) -> Section:
    """How many of the claims that were judged are reproduced, and on which data."""
    found = context.reproduction
    about = [text for text in (found.data.name, context.counted_seeds if context.seeds else "") if text]
    described = found.data.described or ", ".join(
        text for text in (found.data.title, found.data.edition) if text
    )
    notes = [*found.data.notes, *found.notes]
    first = f"{wording.judged(found.claims)}." if found.claims else "No claim was judged."
    protocols = list(dict.fromkeys(row.protocol for row in wording.counted(found.claims)))
    several = f"Each claim counts once under each of the {len(protocols)} protocols."
    head = fragment("verdict", about, first, several if len(protocols) > 1 else "", [], "", [], [])
    bars = [_bar(protocol, found.claims) for protocol in protocols]
    html = head + card("tally", bars, found.summary, [text for text in (described, *notes) if text])
    return Section("Verdict", html=html, hero=True)


def _bar(protocol: str, claims: Sequence[ClaimVerdict]) -> Bar:
    """How the claims came out under one protocol."""
    rows = [row for row in wording.counted(claims) if row.protocol == protocol]
    parts = []
    for code in wording.OUTCOMES:
        names = [row.id for row in rows if wording.verdict_of(row) == code]
        if names:
            parts.append(Share(code, sign(code), verdict(code), len(names), ", ".join(names)))
    return Bar(protocol, parts)
