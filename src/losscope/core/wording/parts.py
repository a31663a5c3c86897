"""Phrases made from typed results: sizes of comparisons, tallies of verdicts, failures, what tuning chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.core.facts import Value
from losscope.core.results import (
    ClaimVerdict,
    Comparison,
    Failure,
    LossResult,
    PublishedValue,
    SideResult,
    Trial,
    Tuned,
)
from losscope.core.wording.numbers import (
    Digits,
    decimals_for,
    effect,
    interval,
    measure,
    number,
    p_value,
    shorten,
)
from losscope.core.wording.settings import at_start


@dataclass(frozen=True)
class Size:
    """The size of a paired comparison: its middle, the interval for these data, and for data like these."""

    middle: str
    interval: str = ""
    interval_data: str = ""


def size(row: Comparison) -> Size:
    """The size of a comparison as people read it: a signed difference, or a ratio with its sign ×."""
    wide = row.model_copy(update={"low": row.low_data, "high": row.high_data})
    return Size(*effect(row), effect(wide)[1])


def pair(row: Comparison) -> tuple[str, str, str]:
    """Side a, the sign between, and side b: ``a − b``, or ``a / b`` where the scale is a ratio."""
    return row.a, "−" if row.scale == "difference" else "/", row.b


def corrected_p(row: Comparison) -> str:
    """The p value of a comparison, corrected for the tests of its family where it is one of them."""
    return p_value(row.p if row.p_holm is None else row.p_holm)


def value(side: SideResult, name: str, digits: Digits) -> tuple[str, str]:
    """(mean, interval) of a measure in its column's decimals, or in more where they would leave one digit.

    Only measures that are compared by ratio get more: 0.005 says little of a variance, and enough of a share.
    """
    mean = side.mean(name)
    if mean and measure(name).scale == "log_ratio":
        digits = Digits(max(digits.decimals, min(6, decimals_for(mean, 2))))
    elif mean and abs(mean) < 10.0**-digits.decimals:
        # as ``number`` writes it, so that the ends have as many
        digits = Digits(decimals_for(mean, 2))
    if mean and abs(mean) < 1e-4:
        return number(mean), interval(*side.interval(name))
    return number(mean, digits), interval(*side.interval(name), digits)


def failed(side: SideResult, seeds: int) -> str:
    """``2 of 10 failed``, ``2 of 10 diverged``, ``2 of 10 diverged or failed``, or nothing."""
    diverged = sum(failure.kind == "diverged" for failure in side.failures)
    word = "failed" if not diverged else "diverged" if diverged == side.failed else "diverged or failed"
    return f"{side.failed} of {max(seeds, side.failed)} {word}" if side.failed else ""


def stopped(side: SideResult) -> str:
    """``stopped at its start, whitened``, of a tuned loss that no epoch improved; else nothing."""
    if not isinstance(side, LossResult) or side.tuned is None or side.tuned.checkpoint != 0:
        return ""
    return at_start(side.tuned.start)


def failures(found: Sequence[Failure]) -> str:
    """The reasons of failed runs with their seeds, equal reasons once; at most three.

    >>> failures([Failure(seed=0, reason="loss is nan"), Failure(seed=1, reason="loss is nan")])
    'loss is nan, seeds 0, 1'
    """
    seeds: dict[str, list[str]] = {}
    for failure in found:
        seeds.setdefault(failure.reason, []).append(str(failure.seed))
    phrases = [
        f"{shorten(reason, 200)}, {'seeds' if len(those) > 1 else 'seed'} {', '.join(those[:12])}"
        for reason, those in list(seeds.items())[:3]
    ]
    return "; ".join([*phrases, *(["…"] if len(seeds) > 3 else [])])


def published(row: PublishedValue) -> str:
    """Whether a published value lies inside our interval, or by how much it misses.

    >>> found = PublishedValue(loss="triplet", measure="inter_distance", published=1.4, mean=1.6, low=1.5,
    ...                        high=1.7, inside=False, outside_by=-0.1, held_out=None, source="a paper")
    >>> published(found)
    'outside by −0.100'
    """
    if row.outside_by is None:
        return "no interval"
    return "inside" if row.inside else f"outside by {number(row.outside_by, signed=True)}"


def settings(chosen: Trial | Tuned) -> str:
    """The numbers of a trial, or those that tuning chose, in words.

    >>> settings(Trial(hyperparameters={"margin": 0.5}, reduction="valid_mean", score=0.9))
    'margin 0.5, reduction valid mean'
    """
    values: dict[str, Value | None] = {
        **chosen.hyperparameters,
        "reduction": chosen.reduction,
        "learning_rate": chosen.learning_rate,
        "weight_decay": chosen.weight_decay or None,
        "class_rate": chosen.class_rate,
    }
    if isinstance(chosen, Tuned):
        values["checkpoint"] = chosen.checkpoint
    return ", ".join(
        f"{name.replace('_', ' ')} {fact(value).replace('_', ' ')}"
        for name, value in values.items()
        if value is not None and value is not False
    )


def fact(found: Value) -> str:
    """A fact as text: numbers short, yes or no.

    >>> fact(0.001), fact(True), fact(60)
    ('0.001', 'yes', '60')
    """
    if isinstance(found, bool):
        return "yes" if found else "no"
    return f"{found:g}" if isinstance(found, float) else str(found)


def claim_numbers(row: ClaimVerdict) -> str:
    """The numbers behind a verdict on a claim: expected, measured, the seeds it needs, and the reason."""
    spread = interval(row.low, row.high)
    parts = [
        f"expected {number(row.expected)}",
        f"measured {number(row.measured)}" + (f" ({spread})" if spread else ""),
    ]
    if row.seeds_needed:
        parts.append(f"{row.seeds_needed} seeds needed")
    return "; ".join([*parts, *([row.reason] if row.reason else [])])
