"""Numbers and names as people read them: sensible digits, a true minus, no NaN.

Four kinds of numbers are written, each by one function:

- a value, ``number``: alone in three significant digits, in a column with the decimals that ``digits_for``
  finds for the whole column, so that it can be read downwards. Digits follow the uncertainty there: one
  significant digit of the half-width of the interval, two where that digit is 1 or 2;
- a difference between two values: ``effect`` in a table, ``change`` and ``change_interval`` in a sentence,
  where no column fixes the decimals;
- a p value, ``p_value``: two significant digits, everywhere;
- a level, or a size that somebody chose, ``brief`` and ``percent``: as short as it was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from losscope.core.quantities import QUANTITIES, Quantity, unsplit
from losscope.core.results import Comparison, PairScale

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
    """The power of ten of the first significant digit: 0 for 1 to 10."""
    return math.floor(math.log10(abs(value)))


def _scientific(value: float, decimals: int) -> str:
    """A power of ten, as ``2.0×10⁻⁵``; also for the smallest numbers that a float can hold."""
    mantissa, power = f"{value:.{decimals}e}".split("e")
    return f"{mantissa}×10{str(int(power)).translate(_SUPERSCRIPT)}"


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
        leading = float(f"{half:.16e}".split("e")[0])
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
    declared = QUANTITIES.get(unsplit(name or "")[0])
    if declared is None or not value:
        return 9
    if declared.scale == "log_ratio":
        return 2 - _power(value)
    return 1 - _power(declared.delta)


def number(value: Any, digits: Digits | None = None, signed: bool = False, fixed: bool = False) -> str:
    """One number as text: in three significant digits, or with the decimals of its column.

    A value of which the column's decimals would leave nothing gets its own, and very small and very large
    ones a power of ten, unless ``fixed``.

    >>> number(0.98), number(-1234.5), number(0.0000147), number(None)
    ('0.980', '−1,234', '1.47×10⁻⁵', '—')
    >>> number(0.97812, Digits(3)), number(0.00002, Digits(3))
    ('0.978', '2.0×10⁻⁵')
    """
    found = finite(value)
    if found is None:
        return NOTHING
    if found == 0:
        return "0"
    if (abs(found) < 1e-4 and not fixed) or abs(found) >= 1e7:
        text = _scientific(found, 1 if digits else 2)
    else:
        decimals = digits.decimals if digits else _own_decimals(found, None)
        if abs(found) < 10**-decimals and not fixed:
            decimals = -_power(found) + 1
        text = f"{found:,.{decimals}f}"
    if not text.strip("-0.,"):
        return text.lstrip("-")
    text = text.replace("-", MINUS)
    return f"+{text}" if signed and found > 0 else text


def interval(low: Any, high: Any, digits: Digits | None = None, signed: bool = False) -> str:
    """An interval as text, or nothing where there is none or its ends read alike.

    >>> interval(0.974, 0.982, Digits(3)), interval(-0.01, 0.02, Digits(2), signed=True), interval(None, 1)
    ('0.974–0.982', '−0.01 to +0.02', '')
    """
    if finite(low) is None or finite(high) is None:
        return ""
    ends = number(low, digits, signed, digits is not None), number(high, digits, signed, digits is not None)
    if ends[0] == ends[1] or not any(end.strip("0.,+" + MINUS) for end in ends):
        return ""
    return " to ".join(ends) if signed or MINUS in "".join(ends) else "–".join(ends)


def p_value(p: Any) -> str:
    """A p value in two significant digits; the smallest that our tests can reach is 0.0000019.

    >>> p_value(0.00312), p_value(0.001953125), p_value(0.00001), p_value(1.0), p_value(None)
    ('0.0031', '0.0020', '0.00001', '1', '—')
    """
    found = finite(p)
    if found is None:
        return NOTHING
    if found < 1e-6:
        return "< 0.000001"
    if found >= 0.995:
        return "1"
    text = f"{found:.{1 - _power(found)}f}"
    return text if found >= 1e-4 else text.rstrip("0")


def percent(level: float) -> str:
    """A level of confidence as per cent.

    >>> percent(0.96), percent(0.992)
    ('96 %', '99.2 %')
    """
    return f"{100 * level:.4g} %"


def brief(value: float) -> str:
    """A level or a size that was chosen, in at most two significant digits.

    >>> brief(0.04), brief(0.008), brief(0.000064)
    ('0.04', '0.008', '6.4×10⁻⁵')
    """
    text = f"{value:.2g}"
    return _scientific(value, 1) if "e" in text else text


def indifference(delta: float, scale: PairScale) -> str:
    """The size below which a difference does not matter, on its scale.

    >>> indifference(0.01, "difference"), indifference(0.0488, "log_ratio")
    ('0.01', 'a factor of 1.05')
    >>> indifference(math.log(1.25), "log_error_ratio")
    'a factor of 1.25 in errors'
    """
    if scale == "difference":
        return brief(delta)
    return f"a factor of {ratio(delta):.3g}{' in errors' * (scale == 'log_error_ratio')}"


def ratio(log_ratio: float) -> float:
    """The ratio of a log ratio, also of one whose ratio no float can hold."""
    return math.exp(min(log_ratio, 700.0))


def change(difference: float, scale: PairScale) -> str:
    """A difference in a sentence: signed, four decimals below 0.01 and otherwise three; or a ratio.

    >>> change(0.0251, "difference"), change(-0.0028, "difference"), change(math.log(2.0), "log_ratio")
    ('+0.025', '−0.0028', '2.00 times')
    >>> change(-math.log(2.0), "log_error_ratio")
    '2.00 times the errors'
    """
    if scale == "log_error_ratio":
        return f"{number(ratio(-difference))} times the errors"
    if scale == "log_ratio":
        return f"{number(ratio(difference))} times"
    return ("+" if difference > 0 else "") + _changed(difference)


def change_interval(low: float, high: float, scale: PairScale) -> str:
    """An interval of a difference in a sentence, on its scale.

    Ends that would read alike get the decimals that tell them apart.

    >>> change_interval(-0.0056, 0.013, "difference"), change_interval(0.0, math.log(3.0), "log_ratio")
    ('−0.0056 to 0.013', '1.00 to 3.00 times')
    >>> change_interval(-0.00001, 0.00002, "difference")
    '−0.00001 to 0.00002'
    """
    if scale == "log_error_ratio":
        return f"{number(ratio(-high))} to {number(ratio(-low))} times the errors"
    unit = " times" if scale == "log_ratio" else ""
    for more in range(6 if low != high else 1):
        if scale == "log_ratio":
            ends = [_factor(end, more) for end in (low, high)]
        else:
            ends = [_changed(end, more) for end in (low, high)]
        if ends[0] != ends[1]:
            break
    return f"{ends[0]} to {ends[1]}{unit}"


def _factor(log_ratio: float, more: int) -> str:
    found = ratio(log_ratio)
    return number(found, Digits(_own_decimals(found, None) + more)) if more else number(found)


def _changed(difference: float, more: int = 0) -> str:
    text = f"{abs(difference):.{(4 if 0 < abs(difference) < 0.01 else 3) + more}f}"
    return (MINUS if difference < 0 and float(text) else "") + text


def effect(row: Comparison) -> tuple[str, str]:
    """The size of a comparison and its interval as a table shows them: a signed difference or a ratio.

    On the scale of errors it is the ratio of the errors of a to those of b.
    """
    values = [finite(value) for value in (row.difference, row.low, row.high)]
    if row.scale == "log_error_ratio":
        values = [None if value is None else -value for value in (values[0], values[2], values[1])]
    if row.scale != "difference":
        values = [None if value is None else ratio(value) for value in values]
    middle, low, high = values
    half = None if low is None or high is None else (high - low) / 2
    if middle is None:
        return NOTHING, ""
    if row.scale != "difference":
        digits = Digits(max(0, min(4, 2 - _power(middle)))) if middle else Digits()
        return f"×{number(middle, digits)}", interval(low, high, digits)
    digits = digits_for([(middle, half)], row.measure)
    return number(middle, digits, True, half is not None), interval(low, high, digits, signed=True)


def verdict(code: Any) -> str:
    """A verdict code in words.

    >>> verdict("too_few_seeds"), verdict(None)
    ('too few seeds', '—')
    """
    return NOTHING if code is None else VERDICTS.get(str(code), str(code).replace("_", " "))


FIRST, SECOND = "first", "second"
"""What two modalities are called where the data do not name them."""

_modalities: ContextVar[tuple[str, str]] = ContextVar("modalities", default=(FIRST, SECOND))


@contextmanager
def modalities(names: Sequence[str]) -> Iterator[None]:
    """Call the two modalities by these names in every label and definition inside; none changes nothing.

    >>> with modalities(("image", "text")):
    ...     label("map_audio_to_visual")
    'mAP image→text'
    >>> label("map_audio_to_visual")
    'mAP first→second'
    """
    token = _modalities.set((names[0], names[1]) if len(names) == 2 else _modalities.get())
    try:
        yield
    finally:
        _modalities.reset(token)


def with_modalities(text: str) -> str:
    """The text with the names of the two modalities in their places ``{first}`` and ``{second}``."""
    first, second = _modalities.get()
    return text.replace("{first}", first).replace("{second}", second)


def headings(names: Iterable[str]) -> dict[str, str]:
    """Of these measures those that are called by the two modalities, each with its label.

    >>> with modalities(("image", "text")):
    ...     headings(["recall_at_1", "mrr_visual_to_audio"])
    {'mrr_visual_to_audio': 'MRR text→image'}
    """
    own = [name for name in names if (known := QUANTITIES.get(name)) and "{first}" in known.label]
    return {name: label(name) for name in own}


def measure(name: str) -> Quantity:
    """The declaration of a measure, also of ``name@split``; an undeclared measure gets its bare name."""
    base = unsplit(name)[0]
    known = QUANTITIES.get(base)
    if known is None:
        return Quantity(base, "not described", "", "neither", "difference", 0.0, "outcome")
    if "{first}" not in known.label + known.definition:
        return known
    return replace(known, label=with_modalities(known.label), definition=with_modalities(known.definition))


def label(name: str) -> str:
    """A measure as people read it, its split in brackets where the name has one.

    >>> label("recall_at_1"), label("intra_variance@test"), label("spearman")
    ('Recall@1', 'intra-class variance (test)', 'rank correlation')
    """
    if name == "spearman":
        return "rank correlation"
    split = unsplit(name)[1]
    return f"{measure(name).label} ({split})" if split else measure(name).label


def title(name: str) -> str:
    """A measure's name at the start of a heading: ``Active ratio``, but ``k-NN accuracy``."""
    said = label(name)
    return said if said[:2] in ("k-", "mA") else said[:1].upper() + said[1:]


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "seed"), count(10, "seed"), count(2, "class"), count(3, "query")
    ('1 seed', '10 seeds', '2 classes', '3 queries')
    """
    return f"{number:,} {what if number == 1 else plural(what)}"


def plural(what: str) -> str:
    """Several of a thing: ``seeds``, ``classes``, ``queries``."""
    if what.endswith("y") and what[-2:-1] not in "aeiou":
        return f"{what[:-1]}ies"
    return f"{what}{'es' if what.endswith('s') else 's'}"


def be(number: int) -> str:
    """``is`` of one thing, ``are`` of several."""
    return "is" if number == 1 else "are"


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
