"""The ledger of a paper's claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import ClaimVerdict
from losscope.core.wording import parts, reproductions
from losscope.reporting.parts import Cell, Context, Grid, Section, fragment

FEW_DATA = 3
"""Up to so many data sets the ledger has its verdicts in words; beyond, marks and a legend."""
HEADS = (
    "claim",
    "source",
    "data",
    "protocol",
    "expected",
    "measured",
    "verdict",
    "seeds needed",
    "reason",
)


@dataclass(frozen=True)
class Mark:
    """A verdict on one claim in one place, with its numbers as tooltip."""

    code: str
    sign: str
    word: str
    tip: str = ""


@dataclass(frozen=True)
class Row:
    """A claim, with its verdict in each place; None where it was not judged."""

    id: str
    statement: str
    cells: list[Mark | None]


@register("section", "claims", order=25, of="reproduction")
def claims(context: Context) -> Section | None:
    """The ledger of claims: what was claimed, what was expected, what was measured, and the verdict."""
    found = context.reproduction.claims
    if not found:
        return None
    protocols: dict[str, list[str]] = {}
    for claim in found:
        if claim.protocol not in protocols.setdefault(claim.data, []):
            protocols[claim.data].append(claim.protocol)
    note = f"{reproductions.judged(found)}."
    if any(claim.beyond for claim in found):
        note += " In brackets: beyond what the paper measured."
    judged = {claim.verdict for claim in found} if len(protocols) > FEW_DATA else set()
    legend = [
        Mark(code, sign, wording.verdict(code)) for code, sign in wording.SIGNS.items() if code in judged
    ]
    caption = "Verdict on each claim, by data set and protocol"
    return Section(
        "The claims",
        note,
        fragment("ledger", caption, protocols, _rows(found, protocols), legend),
        table=grid(found),
        fold="Expected and measured",
        wide=True,
    )


def _rows(found: Sequence[ClaimVerdict], protocols: dict[str, list[str]]) -> list[Row]:
    places = [(data, protocol) for data, those in protocols.items() for protocol in those]
    statements: dict[str, str] = {}
    marks: dict[tuple[str, str, str], Mark] = {}
    for claim in found:
        statements.setdefault(claim.id, claim.statement)
        marks[claim.id, claim.data, claim.protocol] = Mark(
            claim.verdict,
            wording.sign(claim.verdict, claim.beyond),
            wording.verdict(claim.verdict),
            parts.claim_numbers(claim),
        )
    return [
        Row(name, statement, [marks.get((name, data, protocol)) for data, protocol in places])
        for name, statement in statements.items()
    ]


def grid(found: Sequence[ClaimVerdict]) -> Grid:
    """Every claim as a row: expected, measured, interval, verdict, reason."""
    rows: list[list[str | Cell]] = [
        [
            Cell(claim.id, claim.statement),
            claim.source,
            claim.data,
            claim.protocol,
            wording.number(claim.expected),
            Cell(wording.number(claim.measured), wording.interval(claim.low, claim.high)),
            wording.verdict(claim.verdict),
            f"{claim.seeds_needed:,}" if claim.seeds_needed else "",
            claim.reason or "",
        ]
        for claim in found
    ]
    return Grid("Every claim with its evidence", HEADS, rows, numeric=False)
