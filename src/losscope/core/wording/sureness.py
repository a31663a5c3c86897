"""How sure an answer is: two numbers, their difference with its interval, and whether it matters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from losscope.core.results import Comparison
from losscope.core.wording.comparisons import named, units, why_not
from losscope.core.wording.numbers import (
    Digits,
    change,
    change_interval,
    count,
    decimals_for,
    digits_for,
    indifference,
    label,
    number,
    p_value,
    percent,
)


def sureness(row: Comparison, call: Callable[[str], str] = str) -> str:
    """How sure the verdict of a pair is.

    >>> row = Comparison(a="new", b="old", measure="recall_at_1", scale="difference", primary=True,
    ...     family="retrieval", n=10, difference=0.021, low=0.012, high=0.03, low_data=None, high_data=None,
    ...     p=0.002, p_holm=0.004, p_attainable=0.002, tests_in_family=2, look=1, alpha=0.04, delta=0.01,
    ...     verdict="higher", better="a", scope="these_data", seeds_needed=None, mean_a=0.981, mean_b=0.96)
    >>> print(sureness(row))
    Recall@1: new 0.981, old 0.960; difference 0.021 (96 % interval 0.012 to 0.030, 10 seeds), beyond the \
0.01 that matters.
    """
    told = named(row, call)
    head = label(row.measure)
    if row.order is not None:
        later, earlier, _ = row.order
        return f"{head}: {told.a} earlier in {earlier} of {units(row)}, {told.b} in {later}."
    if row.mean_a is None or row.mean_b is None:
        lacking = row.no_difference or row.reason
        return f"{head}: {'no value' if lacking is None else why_not(lacking, row.measure)}."
    if row.difference is None:
        pair = f"{told.a} {number(row.mean_a)}, {told.b} {number(row.mean_b)}"
        lacking = row.no_difference or row.reason
        return f"{head}: {pair}; {'no difference' if lacking is None else why_not(lacking, row.measure)}."
    first, second, size, spread = _numbers(row)
    inside = ", ".join(part for part in (spread, units(row)) if part)
    return f"{head}: {told.a} {first}, {told.b} {second}; {size} ({inside}), {_meaning(row)}."


def _numbers(row: Comparison) -> tuple[str, str, str, str]:
    """The two means, their difference, and its interval, with decimals in which the three agree."""
    assert row.difference is not None
    level = percent(1 - row.alpha)
    wide = row.low is not None and row.high is not None and row.low < row.high
    if row.scale != "difference":
        spread = f"{level} interval {change_interval(row.low, row.high, row.scale)}" if wide else ""  # type: ignore[arg-type]
        return number(row.mean_a), number(row.mean_b), change(row.difference, row.scale), spread
    half = (row.high - row.low) / 2 if wide else None  # type: ignore[operator]
    fitting = digits_for([(row.difference, half)], row.measure).decimals
    least = decimals_for(row.delta, 1) + 1
    digits = _agreeing(row, min(max(fitting, least), least + 1))
    ends = [number(end, digits, fixed=True) for end in (row.low, row.high)] if wide else []
    spread = f"{level} interval {' to '.join(ends)}" if ends and ends[0] != ends[1] else ""
    size = f"difference {number(row.difference, digits, fixed=True)}"
    return number(row.mean_a, digits, fixed=True), number(row.mean_b, digits, fixed=True), size, spread


def _agreeing(row: Comparison, decimals: int) -> Digits:
    """The decimals that fit, or one more where the means then differ by the difference that is shown."""
    for more in range(2):
        a, b, size = (
            round(value or 0.0, decimals + more) for value in (row.mean_a, row.mean_b, row.difference)
        )
        if math.isclose(a - b, size, abs_tol=10.0 ** -(decimals + more + 3)):
            return Digits(decimals + more)
    return Digits(decimals)


def _meaning(row: Comparison) -> str:
    size = indifference(row.delta, row.scale).removeprefix("a ")
    match row.verdict:
        case "equivalent":
            return f"inside the {'±' * (row.scale == 'difference')}{size} that would matter"
        case "higher" | "lower":
            nearest = min(abs(row.low or 0.0), abs(row.high or 0.0))
            if nearest >= row.delta:
                return f"beyond the {size} that matters"
            if max(abs(row.low or 0.0), abs(row.high or 0.0)) <= row.delta:
                return f"shown, and too small to matter: below the {size}"
            return f"shown; whether it is beyond the {size} that matters is open"
        case "too_few_seeds":
            return f"not testable yet: the smallest p in reach is {p_value(row.p_attainable)}"
        case "failed":
            return f"without a verdict: {_lost(row)}"
        case "not_comparable" | None:
            return "described, not tested"
    return {
        "corrected_p": f"not shown once corrected for {count(row.tests_in_family or 1, 'test')}",
        "corrected_outside": f"probably too small to matter, not shown once corrected for "
        f"{count(row.tests_in_family or 1, 'test')}",
    }.get(row.undecided or "", f"perhaps nothing, perhaps more than the {size} that matters")


def _lost(row: Comparison) -> str:
    pairs = zip((row.a, row.b), row.failed, row.runs, strict=True)
    said = [f"{lost} of {runs} runs of {name} failed" for name, lost, runs in pairs if lost]
    return " and ".join(said) or f"{row.missing} without a value"


def single_runs(
    first: str,
    second: str,
    values: Sequence[tuple[float | None, float | None]],
    noun: str = "seed",
    *,
    lower: bool = False,
) -> str:
    """How often one pair of runs alone would have put the loss of the worse mean first; empty without pairs.

    Args:
        first: a loss; second: the other.
        values: the pair of each seed, None for a run that failed.
        noun: what pairs the runs.
        lower: whether a lower value is better.

    >>> single_runs("a", "b", [(0.9, 0.8), (0.7, 0.8), (0.9, 0.6), (0.5, 0.5)])
    'One seed alone would have put b first in 1 of 4, and neither in 1.'
    """
    sign = -1 if lower else 1
    known = [sign * (a - b) for a, b in values if a is not None and b is not None]
    if not known or not (total := sum(known)):
        return ""
    other = second if total > 0 else first
    against = sum(1 for value in known if value * total < 0)
    ties = known.count(0.0)
    said = f"One {noun} alone would have put {other} first in {against} of {len(known)}"
    return f"{said}, and neither in {ties}." if ties else f"{said}."
