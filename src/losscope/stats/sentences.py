"""Each row of a comparison as one plain sentence: what, by how much, interval, p, seeds, scope, margins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from losscope.stats.compare import Comparison, declared
from losscope.stats.design import minimal_seeds
from losscope.stats.verdicts import open_because


@dataclass(frozen=True)
class Row:
    """A comparison with everything its sentence names. ``b`` is the reference or a baseline.

    ``verdict`` None: a descriptive row. ``data``: the interval for data like these, if there is one.
    ``settings``: the margins or tuned values that the verdict is conditional on, as a phrase, or "".
    """

    a: str
    b: str
    found: Comparison
    look: int
    tests: int | None = None
    p_corrected: float | None = None
    verdict: str | None = None
    reason: str | None = None
    data: tuple[float, float] | None = None
    generated: bool = False
    seeds_needed: int | None = None
    settings: str = ""


def settings_phrase(untuned: str | None, tuned: str | None) -> str:
    """The values that verdicts are conditional on, as they end each sentence.

    >>> settings_phrase("triplet 0.1, contrastive 0.5", None)
    'at margins triplet 0.1, contrastive 0.5, untuned'
    """
    if untuned is not None:
        if "untuned" in untuned:
            return untuned
        return f"at margins {untuned}, untuned" if untuned.strip() else "untuned"
    return f"at the tuned values {tuned}" if tuned else ""


def number(value: float) -> str:
    """A value in three significant digits, a true minus, no exponent for ordinary sizes.

    >>> number(0.98), number(-0.00123), number(1234.5)
    ('0.980', '−0.00123', '1,234')
    """
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1000:
        text = f"{size:,.0f}" if size < 1e6 else f"{size:.2e}"
    elif size < 1e-5:
        text = f"{size:.1e}"
    else:
        text = f"{size:.{max(0, 2 - math.floor(math.log10(size)))}f}"
    return ("−" if value < 0 else "") + text


def probability(p: float) -> str:
    """A p value in two significant digits.

    >>> probability(0.001953125), probability(1.0), probability(0.00001)
    ('0.0020', '1', '0.00001')
    """
    if p >= 0.995:
        return "1"
    text = f"{p:.{max(2, 1 - math.floor(math.log10(p)))}f}"
    return text if p >= 0.0001 else text.rstrip("0")


def joined(names: Sequence[str], word: str = "and") -> str:
    """Names as a list in words.

    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def label_of(measure: str) -> str:
    """A measure as people read it, its split in brackets where the name has one."""
    if measure == "spearman":
        return "rank correlation"
    name, _, split = measure.partition("@")
    label = declared(name).label
    return f"{label} ({split})" if split else label


def effect(found: Comparison, difference: float) -> str:
    """A difference on its scale: signed, or as a ratio.

    >>> from losscope.stats.compare import compare
    >>> effect(compare([2.0], [1.0], "intra_variance", alpha=0.04), math.log(2.0))
    '2.00 times'
    """
    if found.scale == "difference":
        return ("+" if difference > 0 else "") + _fixed(difference)
    return f"{number(math.exp(difference))} times"


def _fixed(difference: float) -> str:
    text = f"{abs(difference):.4f}" if 0 < abs(difference) < 0.01 else f"{abs(difference):.3f}"
    return ("−" if difference < 0 and float(text) else "") + text


def interval_words(found: Comparison, ends: tuple[float, float]) -> str:
    """An interval on its scale: ``0.0050 to 0.015``, or as ratios."""
    if found.scale == "difference":
        return f"{_fixed(ends[0])} to {_fixed(ends[1])}"
    return f"{number(math.exp(ends[0]))} to {number(math.exp(ends[1]))} times"


def percent(level: float) -> str:
    """A level of confidence as per cent.

    >>> percent(0.96), percent(0.992)
    ('96 %', '99.2 %')
    """
    return f"{100 * level:.4g} %"


def values_words(row: Row) -> str:
    """``0.982 against 0.971``: the two means."""
    found = row.found
    assert found.mean_a is not None and found.mean_b is not None
    return f"{number(found.mean_a)} against {number(found.mean_b)}"


def evidence(row: Row, *, p: bool = True) -> str:
    """The bracket of a sentence: interval, p, seeds, scope.

    ``96 % interval 0.005 to 0.015, p = 0.0039 corrected for 2 tests, 10 paired seeds, these data``
    """
    found, parts = row.found, []
    if found.low is not None and found.high is not None:
        parts.append(f"{percent(1 - found.alpha)} interval {interval_words(found, (found.low, found.high))}")
    if p and found.p is not None:
        if row.p_corrected is not None and row.tests and row.tests > 1:
            parts.append(f"p = {probability(row.p_corrected)} corrected for {row.tests} tests")
        else:
            parts.append(f"p = {probability(found.p)}")
    if found.paired:
        parts.append(f"{found.n} paired seed{'s' * (found.n != 1)}")
    else:
        parts.append(
            f"{found.runs[0] - found.failed[0]} and {found.runs[1] - found.failed[1]} unpaired seeds"
        )
    if row.look > 1:
        parts.append(f"look {row.look}")
    text = ", ".join(parts)
    if row.generated:
        return f"{text}, data redrawn with each seed"
    if row.data is not None:
        return f"{text}, these data; on data like these 95 % {interval_words(found, row.data)}"
    return f"{text}, these data"


def sentence(row: Row) -> str:
    """The sentence of a row, one full stop, at its end."""
    text = body(row)
    return f"{text}, {row.settings}." if row.settings else f"{text}."


def body(row: Row) -> str:
    """The sentence of a row without its settings and its full stop."""
    writers = {
        None: _described,
        "failed": _failed,
        "not_comparable": _barred,
        "too_few_seeds": _few,
        "equivalent": _equivalent,
        "higher": _directed,
        "lower": _directed,
        "unresolved": _unresolved,
    }
    return writers[row.verdict](row)


def _who(row: Row) -> str:
    return f"{label_of(row.found.measure)} of {row.a} and {row.b}"


def _estimate(row: Row) -> str:
    """What was seen, whatever it is worth: ``0.98 against 0.97, +0.010``, or the order of epochs."""
    found = row.found
    if found.order is not None:
        more, less, ties = found.order
        return f"{row.a} later in {more}, {row.b} later in {less} and neither in {ties} of {found.n} seeds"
    if found.mean_a is None:
        return found.reason or "no value"
    if found.difference is None:
        return f"{values_words(row)}, {found.reason}" if found.reason else values_words(row)
    return f"{values_words(row)}, {effect(found, found.difference)}"


def _described(row: Row) -> str:
    caution = f"; {row.reason}" if row.reason else ""
    lost = f"; failed {_lost(row)}" if any(row.found.failed) else ""
    if row.found.missing and not lost:
        lost = f"; no value in {row.found.missing} of {row.found.n + row.found.missing} seeds"
    label = label_of(row.found.measure)
    return (
        f"{label}, {row.a} against {row.b}, described, not tested: {_estimate(row)} ({evidence(row, p=False)})"
        + (lost + caution)
    )


def _lost(row: Row) -> str:
    sides = zip((row.a, row.b), row.found.failed, row.found.runs, strict=True)
    return joined([f"{lost} of {runs} runs of {name}" for name, lost, runs in sides if lost])


def _failed(row: Row) -> str:
    if any(row.found.failed):
        why = f"failed {_lost(row)}"
    else:
        why = f"no value in {row.found.missing} of {row.found.n + row.found.missing} seeds"
    rest = f"; the others show {_estimate(row)}" if row.found.difference is not None else ""
    return f"No verdict on the {_who(row)}: {why}{rest}"


def _barred(row: Row) -> str:
    return f"The {_who(row)} cannot be compared: {row.reason or row.found.reason}"


def _few(row: Row) -> str:
    found, tests = row.found, row.tests or 1
    reach, seeds = min(1.0, tests * found.smallest), f"{found.n} seed{'s' * (found.n != 1)}"
    least = minimal_seeds(tests, row.look + 1, paired=found.paired)
    need = f"; at the next look at least {least} can be tested" if least else ""
    if row.seeds_needed and found.sd is not None:
        need += f", and {row.seeds_needed:,} would show a difference of {_indifference(found)}"
    return (
        f"{seeds[0].upper()}{seeds[1:]} {'is' if found.n == 1 else 'are'} too few to compare the {_who(row)}: "
        f"the smallest {'corrected ' * (tests > 1)}p in reach is {probability(reach)}, above "
        f"{found.alpha:.2g}{need} ({_estimate(row)}; {evidence(row)})"
    )


def _indifference(found: Comparison) -> str:
    return f"{found.delta:.2g}" if found.scale == "difference" else f"a factor of {math.exp(found.delta):.3g}"


def _equivalent(row: Row) -> str:
    found = row.found
    width = ("±" if found.scale == "difference" else "") + _indifference(found)
    return (
        f"{row.a} and {row.b} are equivalent in {label_of(found.measure)}, within {width}: "
        f"{_estimate(row)} ({evidence(row)})"
    )


def _directed(row: Row) -> str:
    found, what = row.found, declared(row.found.measure)
    good = ""
    if what.better != "neither":
        good = " (better)" if what.better == row.verdict else " (worse)"
    label = label_of(found.measure)
    return f"{row.a} has a {row.verdict} {label} than {row.b}{good}: {_estimate(row)} ({evidence(row)})"


def _unresolved(row: Row) -> str:
    found = row.found
    need = ""
    if row.seeds_needed:
        need = f"; {row.seeds_needed:,} seeds would show a difference of {_indifference(found)}"
    return (
        f"No difference found in {label_of(found.measure)} between {row.a} and {row.b}: {_estimate(row)} "
        f"({evidence(row)}); {open_because(found, 'unresolved')}{need}"
    )
