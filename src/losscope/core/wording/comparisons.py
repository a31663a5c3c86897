"""Each comparison as one plain sentence: what, by how much, interval, p, seeds, scope, settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from losscope.core.results import Comparison, DesignPlan, NotComparable, Settings, Unit
from losscope.core.wording.numbers import (
    be,
    brief,
    change,
    change_interval,
    count,
    indifference,
    label,
    listing,
    measure,
    number,
    p_value,
    percent,
    plural,
    verdict,
)
from losscope.core.wording.settings import calls, settings_phrase

UNDECIDED = {
    "corrected_p": "the p corrected for the family's other tests is above the level",
    "corrected_outside": "the interval lies within the indifference, but with the family's other tests "
    "corrected for, equivalence is not shown",
    "both_directions": "the interval holds both directions",
    "unclear_order": "the order is not clear",
}


_UNITS: dict[Unit, tuple[str, str]] = {
    "seed": ("seed", "seeds"),
    "class": ("test class", "test classes"),
    "block": ("block of test rows", "blocks of test rows"),
    "item": ("test item", "test items"),
}


def units(row: Comparison) -> str:
    """What is paired, counted: ``10 seeds``, ``12 speakers``, ``100 test classes``."""
    if row.unit == "seed":
        return count(row.n, row.paired_by)
    return f"{row.n:,} {_UNITS[row.unit][row.n != 1]}"


@dataclass(frozen=True)
class Clause:
    """What is said of a comparison, in parts, so that a page can set the evidence apart; ``str`` joins them.

    Attributes:
        claim: what is claimed.
        grounds: what was seen, or the reason.
        evidence: interval, p, seeds and scope.
        rest: what follows.
    """

    claim: str
    grounds: str
    evidence: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.claim}{self.after_claim}"

    @property
    def before_evidence(self) -> str:
        """The claim and its grounds."""
        return f"{self.claim}: {self.grounds}"

    @property
    def bracket(self) -> str:
        """The evidence in its bracket, or nothing."""
        return f" ({self.evidence})" if self.evidence else ""

    @property
    def after_claim(self) -> str:
        """All but the claim, with the colon between them."""
        return f": {self.grounds}{self.bracket}{self.rest}"


def sentence(row: Comparison, settings: Sequence[Settings] = ()) -> str:
    """The sentence of a comparison, with one full stop, at its end."""
    return str(sentence_parts(row, settings))


def sentence_parts(row: Comparison, settings: Sequence[Settings] = ()) -> Clause:
    """The sentence of a comparison in parts."""
    made, phrase = body(named(row, calls(settings))), settings_phrase(settings)
    return replace(made, rest=f"{made.rest}, {phrase}." if phrase else f"{made.rest}.")


def named(row: Comparison, call: Callable[[str], str]) -> Comparison:
    """A comparison with its sides as sentences call them."""
    return row.model_copy(update={"a": call(row.a), "b": call(row.b)})


def turned(row: Comparison) -> Comparison:
    """The same comparison told from the other side: b against a."""

    def minus(value: float | None) -> float | None:
        return None if value is None else -value

    verdict = {"higher": "lower", "lower": "higher"}.get(row.verdict or "", row.verdict)
    changed = {
        "a": row.b,
        "b": row.a,
        "mean_a": row.mean_b,
        "mean_b": row.mean_a,
        "difference": minus(row.difference),
        "low": minus(row.high),
        "high": minus(row.low),
        "low_data": minus(row.high_data),
        "high_data": minus(row.low_data),
        "low_items": minus(row.high_items),
        "high_items": minus(row.low_items),
        "runs": row.runs[::-1],
        "failed": row.failed[::-1],
        "order": None if row.order is None else (row.order[1], row.order[0], row.order[2]),
        "by_seed": None if row.by_seed is None else (-row.by_seed[1], -row.by_seed[0]),
        "verdict": verdict,
        "better": {"a": "b", "b": "a", None: None}[row.better],
    }
    return row.model_copy(update=changed)


def body(row: Comparison) -> Clause:
    """The sentence of a comparison without its settings and its full stop."""
    made = clause(row)
    if row.verdict not in _WORDS_FIRST:
        return made
    return replace(made, claim=made.claim[0].upper() + made.claim[1:])


def clause(row: Comparison) -> Clause:
    """The body as it stands inside another sentence: a word at its start is small, a name as it is."""
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


_WORDS_FIRST = ("failed", "not_comparable", "unresolved")
"""The verdicts whose sentence starts with a word, not with a loss's name or a number."""


def why_not(reason: NotComparable, name: str) -> str:
    """Why two sides cannot be compared on a measure, or why there is no number.

    >>> why_not(NotComparable(why="form", names=("squared hinge", "linear hinge")), "intra_variance")
    'raw values of a squared hinge and a linear hinge loss are on different scales'
    """
    names = reason.names
    match reason.why:
        case "form":
            return f"raw values of a {names[0]} and a {names[1]} loss are on different scales"
        case "hinge":
            return f"only hinge losses have the {measure(name).label}"
        case "floor":
            return f"a loss with a positive floor has no {measure(name).label}"
        case "no_pair":
            return "no seed has a value of both"
        case "splits":
            return f"one is measured on the {names[0]} split and the other on the {names[1]} split"
        case "not_positive":
            return "a value that is not above 0 has no log ratio"
        case "unreached":
            return "not reached in every run"
        case "no_correlation":
            return "no correlation exists: fewer than three cells, or all of them equal"
        case "few_pairs":
            least = measure(name).negative_pairs
            wanted = "" if least is None else f", which wants at least {least:,}"
            pairs = f"{count(reason.count or 0, 'pair')} of different classes"
            few = f"{be(reason.count or 0)} too few for the {label(name)}{wanted}"
            return f"{pairs} {few}: {_without(names)}"
        case "folds":
            return "folds of one data set share training rows, so that differences are described, not tested"
        case "no_value":
            return _without(names)


def _without(names: Sequence[str]) -> str:
    return f"{listing(names)} {'has' if len(names) == 1 else 'have'} no value" if names else "no value"


def means(row: Comparison) -> str:
    """The two means: ``0.982 against 0.971``."""
    return f"{number(row.mean_a)} against {number(row.mean_b)}"


def verdict_word(row: Comparison) -> str:
    """What was shown of the first side: ``better``, ``worse``, ``equivalent``, ``open``, …or ``described``.

    ``higher`` and ``lower`` where neither is better. Over folds nothing is tested.
    """
    if row.verdict is None or (row.scope == "these_folds" and row.verdict == "not_comparable"):
        return "described"
    if row.better is not None:
        return "better" if row.better == "a" else "worse"
    return "open" if row.verdict == "unresolved" else verdict(row.verdict)


def estimate(row: Comparison) -> str:
    """What was seen, whatever it is worth: ``0.98 against 0.97, +0.010``, or the order of epochs."""
    if row.order is not None:
        later, earlier, ties = row.order
        return f"{row.a} later in {later}, {row.b} later in {earlier} and neither in {ties} of {units(row)}"
    lacking = "" if row.no_difference is None else why_not(row.no_difference, row.measure)
    if row.mean_a is None:
        return lacking or "no value"
    if row.difference is None:
        return f"{means(row)}, {lacking}" if lacking else means(row)
    return f"{means(row)}, {change(row.difference, row.scale)}"


def evidence(row: Comparison) -> str:
    """The bracket of a sentence: interval, p, seeds, scope.

    ``96 % interval 0.005 to 0.015, p = 0.0039 corrected for 2 tests, 10 paired seeds, these data``; the p of
    an equivalence is that of a larger difference.
    """
    parts = [found] if (found := _interval(row)) else []
    if row.verdict == "equivalent" and row.p_outside is not None:
        width = "±" * (row.scale == "difference") + indifference(row.delta, row.scale)
        family = f" corrected for {row.tests_in_family} tests" * ((row.tests_in_family or 1) > 1)
        parts.append(f"p {_is(row.p_outside)} for a difference beyond {width}{family}")
    elif row.p is not None:
        if row.p_holm is not None and row.tests_in_family and row.tests_in_family > 1:
            parts.append(f"p {_is(row.p_holm)} corrected for {row.tests_in_family} tests")
        else:
            parts.append(f"p {_is(row.p)}")
    if row.unit != "seed":
        if row.unit == "class" and row.low_items is not None and row.high_items is not None:
            parts.append(f"over items 95 % {change_interval(row.low_items, row.high_items, row.scale)}")
        parts.append(units(row))
        if row.by_seed is not None:
            parts.append(f"single seeds {change_interval(*row.by_seed, 'difference')}")
    elif row.paired:
        parts.append(count(row.n, "paired run" if row.scope == "these_folds" else f"paired {row.paired_by}"))
    else:
        own = row.runs[0] - row.failed[0], row.runs[1] - row.failed[1]
        parts.append(f"{own[0]} and {own[1]} unpaired {plural(row.paired_by)}")
    if row.look > 1:
        parts.append(f"look {row.look}")
    said = ", ".join(parts)
    if row.scope == "data_like_these":
        return f"{said}, data redrawn with each seed"
    if row.scope == "these_folds":
        return f"{said}, these folds of these data"
    if row.scope == "these_classes":
        return f"{said}, these {'two models and ' * (row.low_items is not None)}classes"
    if row.scope == "these_models":
        like = "" if row.unit != "seed" else f" on {plural(row.paired_by)} like these"
        return f"{said}, these two models{like}"
    if row.scope == "units_like_these":
        return f"{said}, {plural(row.paired_by)} like these"
    if row.low_data is not None and row.high_data is not None and row.low_data < row.high_data:
        ends = change_interval(row.low_data, row.high_data, row.scale)
        return f"{said}, these data; on data like these 95 % {ends}"
    return f"{said}, these data"


def _is(p: float) -> str:
    said = p_value(p)
    return said if said.startswith("<") else f"= {said}"


def seen(row: Comparison) -> str:
    """What was seen with its evidence, of a pair with a direction: numbers, or that epochs are in order."""
    what = "by the order of epochs" if row.difference is None else estimate(row)
    return f"{what} ({evidence(row)})"


def design(plan: DesignPlan) -> str:
    """What a number of seeds can show, as one sentence."""
    seeds = count(plan.seeds, "paired seed")
    tests = count(plan.tests_in_family, "test")
    reach, level = p_value(plan.p_attainable), brief(plan.alpha)
    if plan.enough:
        return (
            f"{seeds} and {tests} at look {plan.look}: the smallest corrected p that they can reach is "
            f"{reach}, within {level}."
        )
    least = plan.minimal_seeds
    need = f"at least {least} are needed" if least else "no number of seeds reaches it"
    return (
        f"{seeds} {be(plan.seeds)} too few for {tests} at look {plan.look}: the smallest corrected p that "
        f"they can reach is {reach}, above {level}; {need}."
    )


def over_folds(folds: int) -> str:
    """What the folds of one data set can show.

    >>> over_folds(5)
    '5 folds of one data set share training rows: differences are described, not tested.'
    """
    return f"{folds} folds of one data set share training rows: differences are described, not tested."


def over_items(sentence: str) -> str:
    """What seeds can show, where closed forms stand beside the losses.

    >>> over_items("2 paired seeds are too few.")
    '2 paired seeds are too few. Closed forms are compared with raw over test items, not over seeds.'
    """
    return f"{sentence} Closed forms are compared with raw over test items, not over seeds."


def _who(row: Comparison) -> str:
    return f"{label(row.measure)} of {row.a} and {row.b}"


def _described(row: Comparison) -> Clause:
    more = ""
    if any(row.failed):
        more = f"; {_lost(row)}"
    elif row.missing:
        more = f"; {_missing(row)}"
    if row.reason is not None and row.reason != row.no_difference:
        more += f"; {why_not(row.reason, row.measure)}"
    claim = f"{label(row.measure)}, {row.a} against {row.b}, described, not tested"
    return Clause(claim, estimate(row), evidence(row), more)


def _lost(row: Comparison) -> str:
    sides = zip((row.a, row.b), row.failed, row.runs, strict=True)
    of = listing(f"{lost} of {runs} runs of {name}" for name, lost, runs in sides if lost)
    return f"{of} diverged or failed"


def _missing(row: Comparison) -> str:
    if row.paired:
        return f"no value in {row.missing} of {count(row.n + row.missing, row.paired_by)}"
    return f"no value in {row.missing} of {count(sum(row.runs) - sum(row.failed), 'run')}"


def _failed(row: Comparison) -> Clause:
    why = _lost(row) if any(row.failed) else _missing(row)
    rest = f"; the others show {estimate(row)}" if row.difference is not None else ""
    return Clause(f"no verdict on the {_who(row)}", f"{why}{rest}")


def _barred(row: Comparison) -> Clause:
    if row.reason is not None and row.reason.why == "folds":
        why = why_not(row.reason, row.measure)
        return Clause(f"no verdict on the {_who(row)}", estimate(row), evidence(row), f"; {why}")
    why = "no value" if row.reason is None else why_not(row.reason, row.measure)
    return Clause(f"the {_who(row)} cannot be compared", why)


def _few(row: Comparison) -> Clause:
    corrected = "corrected " * ((row.tests_in_family or 1) > 1)
    need = ""
    if row.seeds_testable:
        least = count(row.seeds_testable, row.paired_by)
        need = f"; a further look is tested more strictly and needs at least {least}"
    size = indifference(row.delta, row.scale)
    if row.seeds_needed and row.spread_known:
        need += f"{', and' if need else ';'} {row.seeds_needed:,} would show a difference of {size}"
    elif row.seeds_needed and row.difference is not None:
        need += f"; how many would show a difference of {size} is not known: {spread_unknown(row)}"
    return Clause(
        f"{units(row)} {be(row.n)} too few to compare the {_who(row)}",
        f"the smallest {corrected}p in reach is {p_value(row.p_attainable)}, above {brief(row.alpha)}{need}",
        f"{estimate(row)}; {evidence(row)}",
    )


def spread_unknown(row: Comparison) -> str:
    """Why the number of seeds that it takes is not known yet."""
    spread = plural(row.paired_by)
    return f"{units(row)} {'does' if row.n == 1 else 'do'} not tell how far {spread} spread"


def _interval(row: Comparison) -> str:
    """The interval of a comparison, or why there is none; nothing where the test keeps every difference."""
    if row.low is None or row.high is None:
        return ""
    if row.low == row.high:
        if row.n == 1:
            return f"no interval from {units(row)}"
        return f"no interval, as the difference is the same in all {units(row)}"
    return f"{percent(1 - row.alpha)} interval {change_interval(row.low, row.high, row.scale)}"


def _equivalent(row: Comparison) -> Clause:
    width = ("±" if row.scale == "difference" else "") + indifference(row.delta, row.scale)
    claim = f"{row.a} and {row.b} are equivalent in {label(row.measure)}, within {width}"
    return Clause(claim, estimate(row), evidence(row))


def _directed(row: Comparison) -> Clause:
    good = {"a": " (better)", "b": " (worse)", None: ""}[row.better]
    what = f"{row.verdict} {label(row.measure)}"
    return Clause(f"{row.a} has a {what} than {row.b}{good}", estimate(row), evidence(row))


def _unresolved(row: Comparison) -> Clause:
    why = UNDECIDED[row.undecided or "both_directions"]
    need = ""
    if row.seeds_needed:
        size = indifference(row.delta, row.scale)
        need = f"; {count(row.seeds_needed, row.paired_by)} would show a difference of {size}"
        if row.seeds_seen:
            need += f", {row.seeds_seen:,} one as large as the one seen"
    if row.limit == "data" and row.low_items is not None:
        need += "; only more test items would tell these two models apart"
    elif row.limit == "data":
        need += "; other test items would move it more than seeds do"
    if row.limit == "saturated":
        need += f"; both stand within {brief(measure(row.measure).delta)} of the end of the scale"
    claim = f"no difference found in {label(row.measure)} between {row.a} and {row.b}"
    return Clause(claim, estimate(row), evidence(row), f"; {why}{need}")
