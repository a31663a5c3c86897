"""Every claim of a reproduction as a forest: expected against measured, by data set and protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from losscope.core import wording
from losscope.core.results import ClaimVerdict, StudyLink
from losscope.reporting.claim_tables import size
from losscope.reporting.ruler import Ruler

ROOM = 19.0
"""Percent of the axis between two numbers on it, at least."""


@dataclass(frozen=True)
class Mark:
    """One verdict: where, its interval in percent of the axis, and what it comes to in words.

    ``page``: the study's page, as a link from this one; empty where there is none.
    """

    data: str
    protocol: str
    page: str
    low: float | None
    at: float | None
    high: float | None
    expected: float | None
    band: tuple[float, float] | None
    measured: str
    spread: str
    foreseen: str
    code: str
    sign: str
    word: str
    tip: str


@dataclass(frozen=True)
class Forest:
    """A claim with its verdicts on one axis.

    ``claimed``: on which side of ``zero`` the paper's claim lies, ``higher`` or ``lower``; empty where it is
    not known.
    """

    id: str
    statement: str
    source: str
    measure: str
    claimed: str
    ticks: list[tuple[float, str]]
    zero: float
    marks: list[Mark]


def forests(claims: Sequence[ClaimVerdict], studies: Sequence[StudyLink]) -> list[Forest]:
    """One forest for each claim, in the order of the paper; rows that sum up over data are passed over."""
    pages = {study.study: quote(study.page, safe="/.") for study in studies if study.study and study.page}
    grouped: dict[str, list[ClaimVerdict]] = {}
    for row in claims:
        if not row.together:
            grouped.setdefault(row.id, []).append(row)
    return [_forest(rows, pages) for rows in grouped.values()]


def _forest(rows: Sequence[ClaimVerdict], pages: Mapping[str, str]) -> Forest:
    ratio = any(row.scale == "ratio" for row in rows if row.measured is not None)
    drawn = [row for row in rows if row.measured is not None and (row.scale == "ratio") == ratio]
    ends = [
        _placed(value, ratio) for row in drawn for value in (row.measured, row.low, row.high, row.expected)
    ]
    bands = [end for row in drawn if row.delta for end in (-row.delta, row.delta)]
    ruler = Ruler.around([0.0, *ends, *bands])
    first = rows[0]
    shown = [row.measure for row in drawn or rows if row.measure]
    return Forest(
        id=first.id,
        statement=first.statement,
        source=first.source,
        measure=wording.label(shown[0]) if shown else "",
        claimed=next((row.direction for row in rows if row.direction), ""),
        ticks=_sparse(ruler.ticks(ratio=ratio, most=4), ruler.at(0.0) or 0.0),
        zero=ruler.at(0.0) or 0.0,
        marks=[_mark(row, pages, ruler if row in drawn else None, ratio) for row in rows],
    )


def _sparse(ticks: Sequence[tuple[float, str]], zero: float) -> list[tuple[float, str]]:
    """The ticks that have room for their numbers, that of no difference among them."""
    kept: list[tuple[float, str]] = []
    for tick in sorted(ticks, key=lambda tick: (abs(tick[0] - zero) > 0.1, tick[0])):
        if all(abs(tick[0] - other) >= ROOM for other, _ in kept):
            kept.append(tick)
    return sorted(kept)


def _mark(row: ClaimVerdict, pages: Mapping[str, str], ruler: Ruler | None, ratio: bool) -> Mark:
    def at(value: float | None) -> float | None:
        return None if ruler is None else ruler.at(_placed(value, ratio))

    band = None
    if ruler is not None and row.delta:
        low, high = ruler.at(-row.delta), ruler.at(row.delta)
        band = (low or 0.0, high or 0.0)
    told = [row.reason or "", f"{row.seeds_needed:,} seeds would settle it" if row.seeds_needed else ""]
    return Mark(
        data=row.data,
        protocol=row.protocol,
        page=pages.get(row.study or "", ""),
        low=at(row.low),
        at=at(row.measured),
        high=at(row.high),
        expected=at(row.expected),
        band=band,
        measured=size(row, "measured"),
        spread=wording.interval(row.low, row.high),
        foreseen=size(row, "expected"),
        code=row.verdict,
        sign=wording.sign(row.verdict, row.beyond),
        word=wording.verdict(row.verdict),
        tip="; ".join(text for text in told if text),
    )


def _placed(value: float | None, ratio: bool) -> float | None:
    """A value on the axis: the logarithm of a ratio."""
    if value is None or not ratio:
        return value
    return math.log(value) if value > 0 else None
