"""The ledger: every claim of a paper on every data set under every protocol, with its verdict.

Families. The claims judged on one data set under one protocol are one family, corrected together by Holm
at the level of the look. Data sets are not corrected among each other: a claim of the paper holds only if
it does on each of the paper's data sets, and a conjunction needs no correction (an intersection-union
test). Protocols are two questions, not two tries at one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from losscope import stats
from losscope.core.errors import LosscopeError
from losscope.core.results import ClaimVerdict
from losscope.core.wording import reproductions as wording
from losscope.papers.evidence import Evidence, Stated
from losscope.papers.paper import Claim, Paper

TOGETHER = "all of the paper's"
"""The ``data`` of the rows that say whether a claim holds on each of the paper's data sets."""


def judge(paper: Paper, evidences: Sequence[Evidence]) -> list[ClaimVerdict]:
    """The rows of a paper's ledger on what was run.

    A claim that a data set cannot speak to (it has no such measure) has a row there, not testable, if the
    paper made the claim on that data set, and none otherwise.

    Raises:
        LosscopeError: a plugin's claim that returns something else than it should.
    """
    rows = []
    for evidence in evidences:
        stated: list[tuple[Claim, stats.Claim]] = []
        for claim in paper.claims:
            if not evidence.only or claim.id in evidence.only:
                found = _stated(claim, evidence)
                if found is not None:
                    stated.append((claim, found))
        verdicts = stats.judge_claims([found for _, found in stated], look=evidence.look)
        tests = sum(found.row is not None and found.reason is None for _, found in stated)
        for (claim, found), verdict in zip(stated, verdicts, strict=True):
            rows.append(_row(claim, evidence, found, verdict, tests))
    return rows


def _stated(claim: Claim, evidence: Evidence) -> stats.Claim | None:
    """What the evidence says of a claim; None where it says nothing."""
    inside = evidence.data in claim.data
    if claim.timing and evidence.reduced:
        return Stated(None, "lower", reason=wording.timing_on(evidence.reduced)) if inside else None
    found = evidence.state(claim)
    if found is None:
        return Stated(None, "higher", reason=wording.no_measure(claim.measure)) if inside else None
    if not isinstance(found, stats.Claim):
        raise LosscopeError(
            f"the claim {claim.id!r} returned {type(found).__name__}; it must return what evidence.claim "
            f"gives, or None"
        )
    return found


def _row(
    claim: Claim, evidence: Evidence, found: stats.Claim, verdict: stats.ClaimJudgement, tests: int
) -> ClaimVerdict:
    row = found.row
    stated = found if isinstance(found, Stated) else Stated(row, found.direction)
    ratio = row is not None and row.scale == "log_ratio"
    return ClaimVerdict(
        id=claim.id,
        statement=claim.statement,
        source=claim.source,
        data=evidence.data,
        protocol=evidence.protocol,
        verdict=verdict.verdict,
        expected=_natural(found.value, ratio),
        measured=_natural(verdict.measured, ratio),
        low=_natural(verdict.low, ratio),
        high=_natural(verdict.high, ratio),
        seeds_needed=verdict.seeds_needed,
        reason=_reason(stated, evidence, verdict),
        beyond=evidence.data not in claim.data,
        says=wording.says(stated.a, stated.direction, stated.b, stated.rises),
        direction=found.direction,
        measure=row.measure if row is not None else claim.measure or None,
        scale="ratio" if ratio else "difference",
        a=stated.a,
        b=stated.b,
        mean_a=row.mean_a if row is not None else None,
        mean_b=row.mean_b if row is not None else None,
        n=row.n if row is not None else 0,
        p=verdict.p,
        p_holm=verdict.p_corrected,
        tests_in_family=tests if row is not None and found.reason is None else None,
        look=evidence.look,
        alpha=evidence.alpha,
        delta=verdict.delta,
        predicted=_ends(verdict.predicted, ratio),
        settings=evidence.settings,
        edition=evidence.edition,
        study=evidence.study,
    )


def _natural(value: float | None, ratio: bool) -> float | None:
    """A value as people read it: a ratio itself, not its logarithm."""
    return None if value is None else math.exp(value) if ratio else value


def _ends(ends: tuple[float, float] | None, ratio: bool) -> tuple[float, float] | None:
    if ends is None or not ratio:
        return ends
    return math.exp(ends[0]), math.exp(ends[1])


def _reason(stated: Stated, evidence: Evidence, verdict: stats.ClaimJudgement) -> str | None:
    """Why the verdict is what it is, with what the claim adds and what part of the paper's data it is on."""
    if verdict.verdict == "not_testable":
        return verdict.reason
    order = stated.row.order if stated.row is not None else None
    by_order = wording.by_order(stated.a, stated.b, order)
    return wording.reasons(verdict.reason, stated.note, by_order, evidence.reduced)


def together(paper: Paper, rows: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
    """Whether each claim holds on all data sets of the paper: one row per claim and protocol.

    A data set of the paper that was not run leaves the claim untested, and is named; ``verdict_run`` is the
    verdict on those that were (``run``). A claim that the paper makes on no data set that it measured is
    taken over all that were run, and marked as beyond the paper.
    """
    found = []
    for claim in paper.claims:
        for protocol in paper.protocols:
            own = {row.data: row for row in rows if row.id == claim.id and row.protocol == protocol}
            if not own:
                continue
            cells = claim.data or tuple(own)
            verdicts = {data: _verdict_of(own.get(data)) for data in cells}
            over = stats.over_data(verdicts)
            run = tuple(data for data in cells if data in own)
            first = next(iter(own.values()))
            found.append(
                ClaimVerdict(
                    id=claim.id,
                    statement=claim.statement,
                    source=claim.source,
                    data=TOGETHER,
                    protocol=protocol,
                    verdict=over.verdict,
                    seeds_needed=over.seeds_needed,
                    reason=over.reason,
                    beyond=not claim.data,
                    together=True,
                    cells=cells,
                    run=run,
                    verdict_run=stats.over_data({data: verdicts[data] for data in run}).verdict,
                    says=first.says,
                    measure=first.measure,
                )
            )
    return found


def _verdict_of(row: ClaimVerdict | None) -> stats.ClaimJudgement:
    if row is None:
        return stats.ClaimJudgement("not_testable", reason="not run")
    return stats.ClaimJudgement(row.verdict, seeds_needed=row.seeds_needed, reason=row.reason)
