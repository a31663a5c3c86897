"""Why a claim of a paper has its verdict, in words."""

from __future__ import annotations

from collections.abc import Mapping

from losscope.core.results import ClaimReason, ClaimWord
from losscope.core.wording.comparisons import UNDECIDED, why_not
from losscope.core.wording.numbers import brief, number, ratio, verdict


def claim_reason(reason: ClaimReason) -> str:
    """A claim's reason, sizes as people read them: a ratio itself, not its logarithm.

    >>> claim_reason(ClaimReason(why="failed", count=2, total=20))
    '2 of 20 runs diverged or failed'
    """
    match reason.why:
        case "stated":
            return reason.text
        case "not_measured":
            return "it was not measured"
        case "failed":
            return f"{reason.count} of {reason.total} runs diverged or failed"
        case "no_value":
            return f"no value in {reason.count} of {reason.total} {'pairs' if reason.paired else 'runs'}"
        case "not_comparable":
            return _bar(reason, "no value")
        case "too_few_seeds":
            return "too few seeds"
        case "corrected_p" | "corrected_outside" | "both_directions" | "unclear_order":
            return UNDECIDED[reason.why]
        case "equivalent":
            return f"no difference beyond ±{brief(reason.delta or 0.0)}"
        case "other_sign":
            return "the difference has the other sign"
        case "no_size":
            why = _bar(reason, "no prediction interval of a further run exists")
            return f"the size cannot be tested: {why}"
        case "outside":
            return _outside(reason)
        case "too_wide":
            return f"one further run may lie anywhere from {_ends(reason)}, too wide for a size"


def over_data_reason(reasons: Mapping[str, tuple[ClaimWord, str | None]]) -> str:
    """The reasons of the data sets that decide, each by its name.

    >>> over_data_reason({"mnist": ("inconclusive", "too few seeds"), "cifar10": ("inconclusive", None)})
    'mnist: too few seeds; cifar10: inconclusive'
    """
    return "; ".join(f"{name}: {reason or verdict(word)}" for name, (word, reason) in reasons.items())


def _outside(reason: ClaimReason) -> str:
    if reason.scale == "log_ratio":
        return f"the published number is outside of where one further run may lie, {_ends(reason)}"
    return f"the published {number(reason.published)} is outside the prediction interval {_ends(reason)}"


def _bar(reason: ClaimReason, otherwise: str) -> str:
    return otherwise if reason.bar is None else why_not(reason.bar, "")


def _ends(reason: ClaimReason) -> str:
    low, high = reason.low or 0.0, reason.high or 0.0
    if reason.scale == "log_ratio":
        return f"×{number(ratio(low))} to ×{number(ratio(high))}"
    return f"{number(low)} to {number(high)}"
