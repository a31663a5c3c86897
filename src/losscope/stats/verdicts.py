"""From evidence to one word: the verdicts of a pair and of a claim (docs/definitions.md, "Inference")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.quantities import Quantity
from losscope.core.results import ClaimReason, ClaimWord, NotComparable, PairVerdict, Undecided
from losscope.core.results.comparisons import SPREAD_KNOWN
from losscope.stats.comparison import CENSORED, Difference
from losscope.stats.design import alpha_of, seeds_needed
from losscope.stats.intervals import prediction_interval
from losscope.stats.resample import holm


@dataclass(frozen=True)
class Traits:
    """What limits the comparison of a loss: its form, whether it is a hinge, whether it has a positive floor.

    None where it is not known, as for anyone's own runs, or where it does not apply, as for a baseline.
    """

    form: str | None = None
    hinge: bool | None = None
    floor: bool | None = None


def barred(what: Quantity, a: Traits, b: Traits) -> NotComparable | None:
    """Why two losses cannot be compared on a quantity, or None where they can or nothing is known.

    >>> from losscope.core.quantities import quantity
    >>> barred(quantity("intra_variance"), Traits("squared hinge"), Traits("linear hinge")).why
    'form'
    """
    if what.limits == "form" and a.form and b.form and a.form != b.form:
        return NotComparable(why="form", names=(a.form, b.form))
    if what.limits == "hinge" and False in (a.hinge, b.hinge):
        return NotComparable(why="hinge")
    if what.name in CENSORED and True in (a.floor, b.floor):
        return NotComparable(why="floor")
    return None


def pair_verdict(
    row: Difference,
    *,
    p_corrected: float | None,
    tests: int,
    p_outside: float | None = None,
    reason: NotComparable | None = None,
) -> PairVerdict:
    """The verdict of a against b, the first that applies. ``reason``: why they are not comparable, if so.

    failed (a run failed, or a pair has no value), not_comparable, too_few_seeds (no corrected p can reach
    the level), equivalent (``p_outside``, the row's own corrected for the family, at most alpha/2), higher or
    lower (of a, corrected p at most alpha, which is alpha/2 to each side), unresolved. A ``p_outside`` that
    is not given is corrected here, for the worst place in a family of ``tests``.

    >>> from losscope.stats.comparison import compare
    >>> row = compare([0.91, 0.92], [0.80, 0.80], "recall_at_1", alpha=0.04)
    >>> pair_verdict(row, p_corrected=row.p, tests=1)
    'too_few_seeds'
    """
    if any(row.failed):
        return "failed"
    if reason or row.n == 0:
        return "not_comparable"
    if row.missing:
        return "failed"
    if row.p is None:
        return "not_comparable"
    if tests * row.smallest > row.alpha:
        return "too_few_seeds"
    if p_outside is None and row.p_outside is not None:
        p_outside = tests * row.p_outside
    if p_outside is not None and p_outside <= row.alpha / 2:
        return "equivalent"
    if p_corrected is not None and p_corrected <= row.alpha and row.leaning != 0:
        return "higher" if row.leaning > 0 else "lower"
    return "unresolved"


def more_seeds(row: Difference, *, tests: int, look: int) -> int | None:
    """Seeds that would resolve it: power .8 at a true difference ``delta``, tested at the next look's level.

    Adding seeds is another look, so the level is α_(look+1). A comparison by order has no size: the fewest
    that can reach the level while these cannot, else None. The spread of fewer than four seeds is not
    known: then the fewest that can be tested.
    """
    if row.difference is None and tests * row.smallest <= row.alpha:
        return None
    sd = row.sd if row.n >= SPREAD_KNOWN else None
    return seeds_needed(sd, row.delta, tests=tests, look=look + 1, paired=row.paired)


@dataclass(frozen=True)
class Claim:
    """A claim on one data set: ``a`` is higher (or lower) than ``b``, perhaps by a published ``value``.

    ``row``: the comparison of a with b on the claim's quantity, at the measure's own indifference.
    ``value``: the published A − B or log(A/B), on the row's scale; it also sets the claim's indifference
    min(measure's, |v|/4). ``size``: whether the number itself is to be tested (a reduced study tests the
    direction only). ``reason``: why it cannot be tested here, if so.
    """

    row: Difference | None
    direction: Literal["higher", "lower"]
    value: float | None = None
    size: bool = True
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.value and (self.value > 0) != (self.direction == "higher"):
            raise LosscopeError(f"a claim of {self.direction} has the value {self.value}, of the other sign")

    @property
    def delta(self) -> float | None:
        """The indifference of the claim on its row's scale."""
        if self.row is None:
            return None
        return indifference(self.row.delta, self.value)


def indifference(own: float, value: float | None) -> float:
    """The indifference of a claim: that of its measure, or a quarter of the published value if less.

    >>> indifference(0.1, 0.2), indifference(0.1, None)
    (0.05, 0.1)
    """
    return min(own, abs(value) / 4) if value else own


@dataclass(frozen=True)
class ClaimJudgement:
    """A claim's verdict: ``measured``, ``low``, ``high`` on the claim's scale, its p and seeds needed.

    ``predicted``: the 95 % prediction interval of one further run, where the number was tested. ``why``: what
    the verdict rests on, and ``reason`` the same in words; over several data sets, those in ``deciding``.
    """

    verdict: ClaimWord
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    delta: float | None = None
    seeds_needed: int | None = None
    reason: str | None = None
    predicted: tuple[float, float] | None = None
    why: ClaimReason | None = None
    deciding: tuple[str, ...] = ()


def judge_claims(claims: Sequence[Claim], *, look: int = 1) -> list[ClaimJudgement]:
    """Verdicts of a family of claims, corrected together by Holm; those not testable from the start are out.

    The rows must have been compared at the look's alpha. Direction: ``reproduced``; ``contradicted``
    (resolved the other way, or equivalent within the claim's indifference); ``inconclusive`` with the seeds
    needed; ``not_testable`` with the reason. With a number to test, and the direction right:
    ``direction_only`` where the number lies outside the 95 % prediction interval of one further run,
    ``size_unresolved`` where that interval is wider to a side than a quarter of the number, or is none.

    >>> from losscope.stats.comparison import compare
    >>> row = compare([2.4, 2.5, 2.3, 2.4, 2.6, 2.2], [1.0] * 6, "intra_variance", alpha=0.04)
    >>> judge_claims([Claim(row, "higher", value=0.875)])[0].verdict
    'reproduced'
    """
    rows = {
        place: claim.row.against(claim.delta or claim.row.delta)
        for place, claim in enumerate(claims)
        if claim.row is not None and claim.reason is None
    }
    tested = dict(zip(rows, corrected(list(rows.values())), strict=True))
    return [
        _judge(claim, rows.get(place), tested.get(place, (None, None)), len(rows), look)
        for place, claim in enumerate(claims)
    ]


def corrected(rows: Sequence[Difference]) -> list[tuple[float | None, float | None]]:
    """Of each row of a family its p and its p of a difference outside ±delta, each corrected by its own Holm.

    Rows may differ in their measure, delta and unit. A row without a p counts as a test all the same.
    """
    return list(zip(holm([row.p for row in rows]), holm([row.p_outside for row in rows]), strict=True))


def _judge(
    claim: Claim,
    row: Difference | None,
    ps: tuple[float | None, float | None],
    tests: int,
    look: int,
) -> ClaimJudgement:
    if row is None:
        stated = ClaimReason(why="stated", text=claim.reason) if claim.reason else None
        return _because(ClaimJudgement("not_testable"), stated or ClaimReason(why="not_measured"))
    if row.alpha != alpha_of(look):
        raise LosscopeError(
            f"the claim was compared at level {row.alpha}; look {look} wants {alpha_of(look)}"
        )
    p_corrected, p_outside = ps
    found = ClaimJudgement(
        "reproduced", row.difference, row.low, row.high, p=row.p, p_corrected=p_corrected, delta=row.delta
    )
    word = pair_verdict(row, p_corrected=p_corrected, p_outside=p_outside, tests=tests)
    if word in ("failed", "not_comparable"):
        return _because(replace(found, verdict="not_testable"), shortfall(row))
    if word in ("too_few_seeds", "unresolved"):
        needed = more_seeds(row, tests=tests, look=look)
        why = ClaimReason(why="too_few_seeds" if word == "too_few_seeds" else undecided(row))
        return _because(replace(found, verdict="inconclusive", seeds_needed=needed), why)
    if word == "equivalent":
        why = ClaimReason(why="equivalent", delta=row.delta)
        return _because(replace(found, verdict="contradicted"), why)
    if word != claim.direction:
        return _because(replace(found, verdict="contradicted"), ClaimReason(why="other_sign"))
    if not claim.value or not claim.size:
        return found
    return _size(claim.value, row, found)


def _because(found: ClaimJudgement, why: ClaimReason) -> ClaimJudgement:
    return replace(found, why=why, reason=wording.claim_reason(why))


def undecided(row: Difference) -> Undecided:
    """Why a comparison whose p could have reached the level stays open."""
    if row.low is None or row.high is None:
        return "unclear_order"
    if -row.delta < row.low and row.high < row.delta:
        return "corrected_outside"
    return "both_directions" if row.low <= 0 <= row.high else "corrected_p"


def _size(value: float, row: Difference, found: ClaimJudgement) -> ClaimJudgement:
    ends = prediction_interval(row.differences)
    if ends is None:
        unsized = replace(found, verdict="size_unresolved")
        return _because(unsized, ClaimReason(why="no_size", bar=row.reason))
    low, high = ends
    found = replace(found, predicted=ends)
    why = ClaimReason(why="outside", published=value, low=low, high=high, scale=row.scale)
    if not low <= value <= high:
        return _because(replace(found, verdict="direction_only"), why)
    if (high - low) / 2 > abs(value) / 4:
        too_wide = why.model_copy(update={"why": "too_wide"})
        return _because(replace(found, verdict="size_unresolved"), too_wide)
    return found


def shortfall(row: Difference) -> ClaimReason:
    """Why a comparison has no p: failed runs, pairs without a value, values without a log ratio."""
    if any(row.failed):
        return ClaimReason(why="failed", count=sum(row.failed), total=sum(row.runs))
    if row.n == 0 or not row.missing:
        return ClaimReason(why="not_comparable", bar=row.reason)
    total = row.n + row.missing if row.paired else sum(row.runs)
    return ClaimReason(why="no_value", count=row.missing, total=total, paired=row.paired)


def over_data(verdicts: Mapping[str, ClaimJudgement]) -> ClaimJudgement:
    """One verdict over several data sets: the claim holds only if it does on each.

    Contradicted on one is contradicted; else inconclusive, then not testable on one leaves it so; else the
    direction holds, and the size only if it does on each. The reason names the data sets that decide.

    >>> over_data({"mnist": ClaimJudgement("reproduced"), "cifar10": ClaimJudgement("inconclusive")}).verdict
    'inconclusive'
    """
    order: tuple[ClaimWord, ...] = (
        "contradicted",
        "inconclusive",
        "not_testable",
        "direction_only",
        "size_unresolved",
        "reproduced",
    )
    if not verdicts:
        return ClaimJudgement("not_testable", reason="none of its data sets was measured")
    word = next(word for word in order if any(found.verdict == word for found in verdicts.values()))
    if word == "reproduced":
        return ClaimJudgement(word)
    deciding = {name: found for name, found in verdicts.items() if found.verdict == word}
    needed = [found.seeds_needed for found in deciding.values()]
    whole = [seeds for seeds in needed if seeds is not None]
    return ClaimJudgement(
        word,
        seeds_needed=max(whole) if whole and len(whole) == len(needed) else None,
        reason=wording.over_data_reason(
            {name: (found.verdict, found.reason) for name, found in deciding.items()}
        ),
        deciding=tuple(deciding),
    )
