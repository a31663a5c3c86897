"""From evidence to one word: the verdicts of a pair and of a claim, DEFINITIONS 7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from losscope.core.errors import LosscopeError
from losscope.core.quantities import Quantity
from losscope.stats.compare import CENSORED, Comparison
from losscope.stats.design import alpha_of, seeds_needed
from losscope.stats.intervals import prediction_interval
from losscope.stats.resample import holm

PairVerdict = Literal[
    "failed", "not_comparable", "too_few_seeds", "equivalent", "higher", "lower", "unresolved"
]
ClaimWord = Literal[
    "reproduced", "contradicted", "inconclusive", "not_testable", "direction_only", "size_unresolved"
]


@dataclass(frozen=True)
class Traits:
    """What limits the comparison of a loss: its form, whether it is a hinge, whether it has a positive floor.

    None where it is not known, as for anyone's own runs, or where it does not apply, as for a baseline.
    """

    form: str | None = None
    hinge: bool | None = None
    floor: bool | None = None


def barred(what: Quantity, a: Traits, b: Traits) -> str | None:
    """Why two losses cannot be compared on a quantity, or None where they can or nothing is known.

    >>> from losscope.core.quantities import quantity
    >>> barred(quantity("intra_variance"), Traits("squared hinge"), Traits("linear hinge"))
    'raw values of a squared hinge and a linear hinge loss are on different scales'
    """
    if what.limits == "form" and a.form and b.form and a.form != b.form:
        return f"raw values of a {a.form} and a {b.form} loss are on different scales"
    if what.limits == "hinge" and False in (a.hinge, b.hinge):
        return f"only hinge losses have the {what.label}"
    if what.name in CENSORED and True in (a.floor, b.floor):
        return f"a loss with a positive floor has no {what.label}"
    return None


def pair_verdict(
    row: Comparison, *, p_corrected: float | None, tests: int, reason: str | None = None
) -> PairVerdict:
    """The verdict of a against b, the first that applies. ``reason``: why they are not comparable, if so.

    failed (a run failed, or a pair has no value), not_comparable, too_few_seeds (no corrected p can reach
    the level), equivalent (interval strictly inside ±delta), higher or lower (of a, corrected p at most
    alpha), unresolved.

    >>> from losscope.stats.compare import compare
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
    if row.low is not None and row.high is not None and -row.delta < row.low and row.high < row.delta:
        return "equivalent"
    if p_corrected is not None and p_corrected <= row.alpha and row.leaning:
        return "higher" if row.leaning > 0 else "lower"
    return "unresolved"


def more_seeds(row: Comparison, *, tests: int, look: int) -> int | None:
    """Seeds that would resolve it: power .8 at a true difference ``delta``, tested at the next look's level.

    Adding seeds is another look, so the level is α_(look+1). A comparison by order has no size: the fewest
    that can reach the level while these cannot, else None.
    """
    if row.difference is None and tests * row.smallest <= row.alpha:
        return None
    return seeds_needed(row.sd, row.delta, tests=tests, look=look + 1, paired=row.paired)


@dataclass(frozen=True)
class Claim:
    """A claim on one data set: ``a`` is higher (or lower) than ``b``, by a published ``value`` if there is one.

    ``row``: the comparison of a with b on the claim's quantity, at the measure's own indifference.
    ``value``: the published A − B or log(A/B), on the row's scale; it also sets the claim's indifference
    min(measure's, |v|/4). ``size``: whether the number itself is to be tested (a reduced study tests the
    direction only). ``reason``: why it cannot be tested here, if so.
    """

    row: Comparison | None
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
        if self.row is None or not self.value:
            return self.row.delta if self.row else None
        return min(self.row.delta, abs(self.value) / 4)


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim's verdict: ``measured``, ``low``, ``high`` on the claim's scale, its p and seeds needed.

    ``predicted``: the 95 % prediction interval of one further run, where the number was tested.
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


def judge_claims(claims: Sequence[Claim], *, look: int = 1) -> list[ClaimVerdict]:
    """Verdicts of a family of claims, corrected together by Holm; those not testable from the start are out.

    The rows must have been compared at the look's alpha. Direction: ``reproduced``; ``contradicted``
    (resolved the other way, or equivalent within the claim's indifference); ``inconclusive`` with the seeds
    needed; ``not_testable`` with the reason. With a number to test, and the direction right: ``direction_only``
    where the number lies outside the 95 % prediction interval of one further run, ``size_unresolved`` where
    that interval is wider to a side than a quarter of the number, or does not exist.

    >>> from losscope.stats.compare import compare
    >>> row = compare([2.4, 2.5, 2.3, 2.4, 2.6, 2.2], [1.0] * 6, "intra_variance", alpha=0.04)
    >>> judge_claims([Claim(row, "higher", value=0.875)])[0].verdict
    'reproduced'
    """
    family = [i for i, claim in enumerate(claims) if claim.row is not None and claim.reason is None]
    corrected = dict(zip(family, holm([_p(claims[i]) for i in family])))
    return [_judge(claim, corrected.get(i), len(family), look) for i, claim in enumerate(claims)]


def _p(claim: Claim) -> float | None:
    return claim.row.p if claim.row is not None else None


def _judge(claim: Claim, p_corrected: float | None, tests: int, look: int) -> ClaimVerdict:
    row = claim.row
    if row is None or claim.reason is not None:
        return ClaimVerdict("not_testable", reason=claim.reason or "it was not measured")
    if row.alpha != alpha_of(look):
        raise LosscopeError(
            f"the claim was compared at level {row.alpha}; look {look} wants {alpha_of(look)}"
        )
    row = row.against(claim.delta or row.delta)
    evidence: dict = {
        "measured": row.difference,
        "low": row.low,
        "high": row.high,
        "p": row.p,
        "p_corrected": p_corrected,
        "delta": row.delta,
    }
    word = pair_verdict(row, p_corrected=p_corrected, tests=tests)
    if word in ("failed", "not_comparable"):
        return ClaimVerdict("not_testable", reason=shortfall(row), **evidence)
    if word in ("too_few_seeds", "unresolved"):
        needed = more_seeds(row, tests=tests, look=look)
        return ClaimVerdict("inconclusive", seeds_needed=needed, reason=open_because(row, word), **evidence)
    if word == "equivalent":
        reason = f"no difference beyond ±{row.delta:.2g}"
        return ClaimVerdict("contradicted", reason=reason, **evidence)
    if word != claim.direction:
        return ClaimVerdict("contradicted", reason="the difference has the other sign", **evidence)
    if not claim.value or not claim.size:
        return ClaimVerdict("reproduced", **evidence)
    return _size(claim.value, row, evidence)


def open_because(row: Comparison, word: str) -> str:
    """Why a comparison that could be tested stays open."""
    if word == "too_few_seeds":
        return "too few seeds"
    if row.low is not None and row.high is not None and not row.low <= 0 <= row.high:
        return "the p corrected for the family's other tests is above the level"
    return "the interval holds both directions" if row.low is not None else "the order is not clear"


def _size(value: float, row: Comparison, evidence: dict) -> ClaimVerdict:
    ends = prediction_interval(row.differences)
    if ends is None:
        why = row.reason or "no prediction interval of a further run exists"
        return ClaimVerdict("size_unresolved", reason=f"the size cannot be tested: {why}", **evidence)
    low, high = ends
    if not low <= value <= high:
        reason = f"the published {value:.3g} is outside the prediction interval {low:.3g} to {high:.3g}"
        return ClaimVerdict("direction_only", reason=reason, predicted=ends, **evidence)
    if (high - low) / 2 > abs(value) / 4:
        reason = f"one further run may lie anywhere from {low:.3g} to {high:.3g}, too wide for a size"
        return ClaimVerdict("size_unresolved", reason=reason, predicted=ends, **evidence)
    return ClaimVerdict("reproduced", predicted=ends, **evidence)


def shortfall(row: Comparison) -> str:
    """Why a comparison has no p: failed runs, pairs without a value, values without a log ratio."""
    if any(row.failed):
        return f"failed {sum(row.failed)} of {sum(row.runs)} runs"
    if row.n == 0 or not row.missing:
        return row.reason or "no value"
    return f"no value in {row.missing} of {row.n + row.missing} {'pairs' if row.paired else 'runs'}"


def over_data(verdicts: Mapping[str, ClaimVerdict]) -> ClaimVerdict:
    """One verdict over several data sets: the claim holds only if it does on each.

    Contradicted on one is contradicted; else inconclusive, then not testable on one leaves it so; else the
    direction holds, and the size only if it does on each. The reason names the data sets that decide.

    >>> over_data({"mnist": ClaimVerdict("reproduced"), "cifar10": ClaimVerdict("inconclusive")}).verdict
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
        return ClaimVerdict("not_testable", reason="none of its data sets was measured")
    word = next(word for word in order if any(one.verdict == word for one in verdicts.values()))
    if word == "reproduced":
        return ClaimVerdict(word)
    deciding = {name: one for name, one in verdicts.items() if one.verdict == word}
    needed = [one.seeds_needed for one in deciding.values()]
    whole = [seeds for seeds in needed if seeds is not None]
    return ClaimVerdict(
        word,
        seeds_needed=max(whole) if whole and len(whole) == len(needed) else None,
        reason="; ".join(f"{name}: {one.reason or one.verdict}" for name, one in deciding.items()),
    )
