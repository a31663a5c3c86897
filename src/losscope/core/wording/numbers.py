"""Numbers and verdicts as people read them: sensible digits, a true minus, no NaN.

Digits follow the uncertainty: one significant digit of the half-width of the interval, two where that
digit is 1 or 2, and a whole column shares its decimals so that it can be read downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from losscope.core.quantities import QUANTITIES, Quantity

NOTHING = "—"
MINUS = "−"

VERDICTS = {
    "higher": "higher",
    "lower": "lower",
    "equivalent": "equivalent",
    "unresolved": "unresolved",
    "too_few_seeds": "too few seeds",
    "not_comparable": "not comparable",
    "failed": "failed",
    "reproduced": "reproduced",
    "contradicted": "contradicted",
    "inconclusive": "inconclusive",
    "not_testable": "not testable",
    "direction_only": "direction only",
    "size_unresolved": "size unresolved",
}

SIGNS = {
    "reproduced": "✓",
    "contradicted": "✕",
    "direction_only": "≈",
    "size_unresolved": "≈",
    "inconclusive": "?",
    "not_testable": "·",
}
"""A mark beside each claim verdict, so that the ledger reads without colour."""


def sign(code: object, beyond: bool = False) -> str:
    """The mark of a claim's verdict, in brackets where it is beyond what the paper measured.

    >>> sign("reproduced"), sign("contradicted", beyond=True)
    ('✓', '(✕)')
    """
    mark = SIGNS.get(str(code), "·")
    return f"({mark})" if beyond else mark


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Digits:
    """How many decimals the numbers of one column have."""

    decimals: int = 3


def finite(value: Any) -> float | None:
    """The value as a float, or None where there is no finite number.

    >>> finite(0.5), finite(float("nan")), finite(None)
    (0.5, None, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _power(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def decimals_for(value: float, significant: int) -> int:
    """How many decimals show so many significant digits.

    >>> decimals_for(0.0047, 2), decimals_for(1.31, 2)
    (4, 1)
    """
    return max(0, significant - 1 - _power(value)) if value else 0


def _own_decimals(value: float, half: float | None) -> int:
    """Decimals of one value: by its half-width if it has one, else three significant digits."""
    top = _power(value) if value else 0
    if half:
        leading = half / 10 ** _power(half)
        wanted = -_power(half) + (leading < 2.95)
        return max(0, min(wanted, 4 - top))
    return max(0, 2 - top)


def digits_for(values: Iterable[tuple[float | None, float | None]], measure: str | None = None) -> Digits:
    """The decimals that fit a column of (value, half-width of its interval or None).

    With a measure's name never finer than a tenth of its indifference: digits below that say nothing.

    >>> digits_for([(0.9781, 0.0043), (0.9312, 0.0061)])
    Digits(decimals=3)
    >>> digits_for([(43.2, 5.1)]), digits_for([(0.97812, 0.00041)], "recall_at_1")
    (Digits(decimals=0), Digits(decimals=3))
    """
    wanted = sorted(
        min(_own_decimals(value, half), _useful_decimals(value, measure))
        for value, half in values
        if value is not None
    )
    return Digits(max(0, wanted[len(wanted) // 2])) if wanted else Digits()


def _useful_decimals(value: float, name: str | None) -> int:
    declared = QUANTITIES.get((name or "").partition("@")[0])
    if declared is None or not value:
        return 9
    if declared.scale == "log_ratio":
        return 2 - _power(value)
    return 1 - _power(declared.delta)


def number(value: Any, digits: Digits | None = None, signed: bool = False, fixed: bool = False) -> str:
    """One number as text.

    A value of which the column's decimals would leave nothing gets its own, and very small and very large
    ones a power of ten, unless ``fixed``.

    >>> number(0.97812, Digits(3)), number(-1234.5, Digits(0)), number(0.00002), number(None)
    ('0.978', '−1,234', '2.0×10⁻⁵', '—')
    """
    one = finite(value)
    if one is None:
        return NOTHING
    if one == 0:
        return "0"
    if (abs(one) < 1e-4 and not fixed) or abs(one) >= 1e7:
        power = _power(one)
        text = f"{one / 10.0**power:.1f}×10{str(power).translate(_SUPERSCRIPT)}"
    else:
        decimals = digits.decimals if digits else _own_decimals(one, None)
        if abs(one) < 10**-decimals and not fixed:
            decimals = -_power(one) + 1
        text = f"{one:,.{decimals}f}"
    if not text.strip("-0.,"):
        return text.lstrip("-")
    text = text.replace("-", MINUS)
    return f"+{text}" if signed and one > 0 else text


def interval(low: Any, high: Any, digits: Digits | None = None, signed: bool = False) -> str:
    """An interval as text, or nothing where there is none or its ends read alike.

    >>> interval(0.974, 0.982, Digits(3)), interval(-0.01, 0.02, Digits(2), signed=True), interval(None, 1)
    ('0.974–0.982', '−0.01 to +0.02', '')
    """
    if finite(low) is None or finite(high) is None:
        return ""
    ends = number(low, digits, signed, digits is not None), number(high, digits, signed, digits is not None)
    if ends[0] == ends[1]:
        return ""
    return " to ".join(ends) if signed or MINUS in "".join(ends) else "–".join(ends)


def p_value(p: Any) -> str:
    """A p value at two significant digits.

    >>> p_value(0.00312), p_value(0.0000099), p_value(None)
    ('0.0031', '< 0.001', '—')
    """
    one = finite(p)
    if one is None:
        return NOTHING
    if one < 0.001:
        return "< 0.001"
    return f"{one:.{1 - _power(one)}f}" if one < 1 else "1"


def effect(row: Mapping[str, Any]) -> tuple[str, str]:
    """The size of a paired comparison and its interval, a difference or a ratio.

    >>> effect({"scale": "log_ratio", "difference": 0.405, "low": 0.3, "high": 0.5})
    ('×1.50', '1.35–1.65')
    """
    values = [finite(row.get(key)) for key in ("difference", "low", "high")]
    if row.get("scale") == "log_ratio":
        values = [None if value is None else math.exp(min(value, 700.0)) for value in values]
    middle, low, high = values
    half = None if low is None or high is None else (high - low) / 2
    if middle is None:
        return NOTHING, ""
    if row.get("scale") == "log_ratio":
        digits = Digits(max(0, min(4, 2 - _power(middle))))
        return f"×{number(middle, digits)}", interval(low, high, digits)
    digits = digits_for([(middle, half)], str(row.get("measure")))
    return number(middle, digits, True, half is not None), interval(low, high, digits, signed=True)


def verdict(code: Any) -> str:
    """A verdict code in words.

    >>> verdict("too_few_seeds"), verdict(None)
    ('too few seeds', '—')
    """
    return NOTHING if code is None else VERDICTS.get(str(code), str(code).replace("_", " "))


def measure(name: str) -> Quantity:
    """The declaration of a measure, also of ``name@split``; an undeclared one (a plugin's) gets its bare name."""
    base = name.partition("@")[0]
    known = QUANTITIES.get(base)
    return known or Quantity(base, "not described", "", "neither", "difference", 0.0, "outcome")


def label(name: str) -> str:
    """A measure as people read it, its split in brackets where the name has one.

    >>> label("recall_at_1"), label("intra_variance@test")
    ('Recall@1', 'intra-class variance (test)')
    """
    split = name.partition("@")[2]
    return f"{measure(name).label} ({split})" if split else measure(name).label


def title(name: str) -> str:
    """A measure's name at the start of a heading: ``Active ratio``, but ``k-NN accuracy``."""
    said = label(name)
    return said if said[:2] in ("k-", "mA") else said[:1].upper() + said[1:]


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "seed"), count(10, "seed")
    ('1 seed', '10 seeds')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def lower(text: str) -> str:
    """A title as it stands in a sentence."""
    return text[:1].lower() + text[1:]


def shorten(text: str, length: int) -> str:
    """The text, cut in its middle where it is longer than ``length``.

    >>> shorten("pml:MultiSimilarityLoss(alpha=2)", 20)
    'pml:MultiS…(alpha=2)'
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[head + 1 - length :]}"


def listing(items: Iterable[str]) -> str:
    """Words as a list in a sentence.

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    words = list(items)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
