"""The ledger: every claim of a paper on every data set under every protocol, with its verdict.

Families. The claims judged on one data set under one protocol are one family, corrected together by Holm
at the level of the look. Data sets are not corrected among each other: a claim of the paper holds only if
it does on each of the paper's data sets, and a conjunction needs no correction (an intersection-union
test). Protocols are two questions, not two tries at one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from losscope import stats
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.registry import Entry
from losscope.papers.evidence import Evidence, Stated

TOGETHER = "all of the paper's"
"""The ``data`` of the rows that say whether a claim holds on each of the paper's data sets."""


def claims_of(paper: str) -> dict[str, Entry]:
    """The registered claims of a paper by id, those of plugins last.

    >>> list(claims_of("zeng2025"))[:2]
    ['intra-variance', 'inter-distance']
    """
    return {name: one for name, one in registry.entries("claim").items() if one.facts.paper == paper}


def judge(paper: str, evidences: Sequence[Evidence]) -> list[dict[str, Any]]:
    """The rows of a paper's ledger on what was run, as ``--json`` gives them.

    A claim that a data set cannot speak to (it has no such measure) has a row there, not testable, if the
    paper made the claim on that data set, and none otherwise.

    Raises LosscopeError for a claim that is not made of what it should be.
    """
    rows = []
    for evidence in evidences:
        stated: dict[str, Stated | stats.Claim] = {}
        for name, entry in claims_of(paper).items():
            if not evidence.only or name in evidence.only:
                found = _stated(entry, evidence)
                if found is not None:
                    stated[name] = found
        verdicts = stats.judge_claims(list(stated.values()), look=evidence.look)
        tests = sum(one.row is not None and one.reason is None for one in stated.values())
        for (name, one), verdict in zip(stated.items(), verdicts, strict=True):
            rows.append(_row(registry.entry("claim", name), evidence, one, verdict, tests))
    return rows


def _stated(entry: Entry, evidence: Evidence) -> stats.Claim | None:
    """What a claim says of the evidence; None where it says nothing."""
    inside = evidence.data in entry.facts.data
    if entry.facts.timing and evidence.reduced:
        reason = f"how fast is not testable on reduced data: {evidence.reduced}"
        return Stated(None, "lower", reason=reason) if inside else None
    found = entry.load()(evidence)
    if found is None:
        lacking = f"these data have no {entry.facts.measure or 'value for it'}"
        return Stated(None, "higher", reason=lacking) if inside else None
    if not isinstance(found, stats.Claim):
        raise LosscopeError(
            f"the claim {entry.name!r} returned {type(found).__name__}; it must return what evidence.claim gives, or None"
        )
    return found


def _row(
    entry: Entry, evidence: Evidence, one: stats.Claim, verdict: stats.ClaimJudgement, tests: int
) -> dict[str, Any]:
    row, facts = one.row, entry.facts
    ratio = row is not None and row.scale == "log_ratio"
    testable = row is not None and one.reason is None
    a, b = getattr(one, "a", ""), getattr(one, "b", "")
    reasons = [verdict.reason, getattr(one, "note", ""), _order(row, a, b), evidence.reduced]
    if verdict.verdict == "not_testable":
        reasons = [verdict.reason]
    return {
        "id": entry.name,
        "statement": facts.statement,
        "source": facts.source,
        "data": evidence.data,
        "protocol": evidence.protocol,
        "expected": _natural(one.value, ratio),
        "measured": _natural(verdict.measured, ratio),
        "low": _natural(verdict.low, ratio),
        "high": _natural(verdict.high, ratio),
        "verdict": verdict.verdict,
        "seeds_needed": verdict.seeds_needed,
        "reason": "; ".join(dict.fromkeys(text for text in reasons if text)) or None,
        "beyond": evidence.data not in facts.data,
        "together": False,
        "says": f"{a} {one.direction} than {b}"
        if a and row is not None and row.measure != "spearman"
        else f"{a} rises with {b}"
        if a
        else one.direction,
        "measure": row.measure if row is not None else facts.measure,
        "scale": "ratio" if ratio else "difference",
        "a": a,
        "b": b,
        "mean_a": row.mean_a if row is not None else None,
        "mean_b": row.mean_b if row is not None else None,
        "n": row.n if row is not None else 0,
        "p": verdict.p,
        "p_holm": verdict.p_corrected,
        "tests_in_family": tests if testable else None,
        "look": evidence.look,
        "alpha": evidence.alpha,
        "delta": verdict.delta,
        "predicted": None
        if verdict.predicted is None
        else [_natural(end, ratio) for end in verdict.predicted],
        "settings": evidence.settings,
        "edition": evidence.edition,
        "study": evidence.study,
    }


def _natural(value: float | None, ratio: bool) -> float | None:
    """A value as people read it: a ratio itself, not its logarithm."""
    return None if value is None else math.exp(value) if ratio else value


def _order(row: stats.Difference | None, a: str, b: str) -> str:
    if row is None or row.order is None:
        return ""
    later, earlier, ties = row.order
    return f"by order, since some runs never get there: {a} later in {later}, {b} in {earlier}, neither in {ties}"


def together(paper: str, rows: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> list[dict[str, Any]]:
    """Whether each claim holds on all data sets of the paper, a row a claim and protocol.

    A data set of the paper that was not run leaves the claim untested, and is named; ``verdict_run`` is the
    verdict on those that were (``run``). A claim that the paper
    makes on no data set that it measured is taken over all that were run, and marked as beyond the paper.
    """
    found = []
    for name, entry in claims_of(paper).items():
        for protocol in protocols:
            own = {row["data"]: row for row in rows if row["id"] == name and row["protocol"] == protocol}
            cells = entry.facts.data or tuple(own)
            if not own:
                continue
            verdicts = {data: _verdict_of(own.get(data)) for data in cells}
            one = stats.over_data(verdicts)
            first = next(iter(own.values()))
            found.append(
                {
                    **dict.fromkeys(first),
                    "id": name,
                    "statement": first["statement"],
                    "source": first["source"],
                    "data": TOGETHER,
                    "protocol": protocol,
                    "verdict": one.verdict,
                    "seeds_needed": one.seeds_needed,
                    "reason": one.reason,
                    "beyond": not entry.facts.data,
                    "together": True,
                    "cells": list(cells),
                    "run": [data for data in cells if data in own],
                    "verdict_run": stats.over_data(
                        {data: verdicts[data] for data in cells if data in own}
                    ).verdict,
                    "says": first["says"],
                    "measure": first["measure"],
                }
            )
    return found


def _verdict_of(row: Mapping[str, Any] | None) -> stats.ClaimJudgement:
    if row is None:
        return stats.ClaimJudgement("not_testable", reason="not run")
    return stats.ClaimJudgement(row["verdict"], seeds_needed=row["seeds_needed"], reason=row["reason"])
