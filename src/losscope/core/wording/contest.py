"""The answer of a study that named its candidate before the test: what to use, over what, at what price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from losscope.core import registry
from losscope.core.loss_spec import CLOSED_FORM, RAW
from losscope.core.results import (
    BaselineResult,
    Comparison,
    Fault,
    Price,
    Recommendation,
    Settings,
    SideResult,
)
from losscope.core.wording.comparisons import clause, estimate, evidence, means, named, seen, turned
from losscope.core.wording.numbers import (
    be,
    brief,
    change_interval,
    count,
    indifference,
    label,
    listing,
    measure,
    number,
    percent,
    plural,
)
from losscope.core.wording.settings import (
    at_start,
    calls,
    other_settings,
    settings_phrase,
    training_adds_nothing,
    untuned,
)
from losscope.core.wording.work import duration

MOST_NAMED = 4
"""Sides that a headline names of those that are left; the second sentence names them all."""
_STATES = {
    "equivalent": "equivalent to it",
    "unresolved": "not told apart from it",
    "too_few_seeds": "compared on too few seeds",
    "failed": "without a verdict",
    "not_comparable": "not comparable",
}


@dataclass(frozen=True)
class _Contest:
    """A recommendation beside everything that its sentences name."""

    made: Recommendation
    sides: Mapping[str, SideResult]
    rows: Mapping[tuple[str, str], Comparison]
    second: Comparison | None
    settings: Sequence[Settings]

    @property
    def call(self) -> Callable[[str], str]:
        """How the sentences call a side."""
        return calls(self.settings)

    @property
    def label(self) -> str:
        return label(self.made.measure or "")

    @property
    def candidate(self) -> str:
        return self.made.candidate or ""

    @property
    def focus(self) -> Comparison:
        """The pair that the answer rests on, told from the side of the answer, or of the better side."""
        assert self.made.rests_on is not None
        row = self.rows[self.made.rests_on]
        away = row.a not in self.made.members and row.b in self.made.members
        return turned(row) if row.b == self.made.loss or away else row

    def valued(self, name: str) -> str:
        mean = self.sides[name].mean(self.made.measure or "")
        return name if mean is None else f"{name} ({number(mean)})"

    def against(self) -> list[Comparison]:
        """The tests of the candidate, the best mean first."""
        own = [row for row in self.rows.values() if row.a == self.candidate]
        sign = 1 if measure(self.made.measure or "").better == "lower" else -1
        return sorted(own, key=lambda row: (row.mean_b is None, sign * (row.mean_b or 0.0)))


def decision(
    made: Recommendation,
    *,
    sides: Sequence[SideResult],
    rows: Sequence[Comparison],
    settings: Sequence[Settings] = (),
) -> tuple[str, str, str]:
    """The answer with its evidence; who led on validation and how the others stood; what would change it.

    ``rows``: the family of the measure that decides, and the row of the second measure where it disagrees.
    """
    contest = _contest(made, sides, rows, settings)
    phrase = settings_phrase(settings)
    first = "".join(first_parts(contest))
    second, third = _second(contest), _third(contest)
    return f"{first}, {phrase}." if phrase else f"{first}.", f"{second}.", f"{third}."


def decision_parts(
    made: Recommendation,
    sides: Sequence[SideResult],
    rows: Sequence[Comparison],
    settings: Sequence[Settings],
) -> tuple[str, str]:
    """What the first sentence claims, and the rest of it without its settings."""
    return first_parts(_contest(made, sides, rows, settings))


def _contest(
    made: Recommendation,
    sides: Sequence[SideResult],
    rows: Sequence[Comparison],
    settings: Sequence[Settings],
) -> _Contest:
    call = calls(settings)
    told = [named(row, call) for row in rows]
    renamed = made.model_copy(
        update={
            "loss": None if made.loss is None else call(made.loss),
            "candidate": call(made.candidate or ""),
            "members": tuple(map(call, made.members)),
            "rests_on": None if made.rests_on is None else tuple(map(call, made.rests_on)),
            "second_on": None if made.second_on is None else tuple(map(call, made.second_on)),
        }
    )
    beside = [row for row in told if row.measure == made.second and (row.a, row.b) == renamed.second_on]
    return _Contest(
        renamed,
        {call(side.name): side for side in sides},
        {(row.a, row.b): row for row in told if row.measure == made.measure},
        beside[0] if beside else None,
        settings,
    )


def unranked(made: Recommendation) -> list[str]:
    """Why losses were tested against a reference; nothing where a candidate was named on validation.

    >>> unranked(Recommendation(goal="retrieval", loss=None, ground="open", reference="contrastive"))
    ['Nothing ranks these sides on validation, so none was named before the test: the losses are tested \
against contrastive.']
    """
    if made.candidate is not None or made.ground in (None, "single") or made.open_by == "folds":
        return []
    return [
        "Nothing ranks these sides on validation, so none was named before the test: the losses are tested "
        f"against {made.reference}."
    ]


def price(found: Price | None) -> str:
    """The price of a side: ``16,384 parameters, 0.4 s``; nothing where it is not known.

    >>> price(Price(seconds=4.2, parameters=16384)), price(None)
    ('16,384 parameters, 4.2 s to train', '')
    """
    if found is None:
        return ""
    parts = [] if found.parameters is None else [count(found.parameters, "parameter")]
    if found.seconds is not None:
        took = f"{brief(found.seconds)} s" if found.seconds < 10 else duration(found.seconds)
        parts.append(f"{took} to train")
    return ", ".join(parts)


def without_raw(sides: Iterable[SideResult]) -> str:
    """What it means that no side is the raw inputs, as a sentence without its full stop.

    >>> form = BaselineResult(name="cca", measures={}, family="closed form")
    >>> without_raw([form])
    'two modalities have no raw inputs in one space, so whether training is worth it is told by cca alone'
    >>> without_raw([])
    'raw inputs were not run, so whether training is worth it was not tested'
    """
    untrained = [own for own in sides if isinstance(own, BaselineResult) and not own.described]
    forms = [own.name for own in untrained if own.family == CLOSED_FORM and of_modalities(own.name)]
    if not forms:
        return "raw inputs were not run, so whether training is worth it was not tested"
    return (
        "two modalities have no raw inputs in one space, so whether training is worth it is told by "
        f"{listing(forms)} alone"
    )


def of_modalities(name: str) -> bool:
    """Whether a closed form is one of two modalities; one of a plugin that is not loaded is none."""
    found = registry.entries("closed_form").get(name)
    return found is not None and found.facts.inputs == "pair"


def fault(found: Fault) -> str:
    """Runs that ended and learned nothing, as a sentence without its full stop.

    >>> fault(Fault(side="triplet", kind="stuck", runs=2, of=10))
    'triplet gave no gradient in 2 of 10 runs: its numbers are those of the untrained network'
    """
    if found.kind == "stuck":
        return (
            f"{found.side} gave no gradient in {found.runs} of {found.of} runs: its numbers are those of the "
            "untrained network"
        )
    if found.kind == "margin":
        return (
            f"{found.side} stayed at its margin in {found.runs} of {found.of} runs: a loss of "
            f"{found.margin or 0.0:.3g} is what equal embeddings have"
        )
    if found.kind == "line":
        return (
            f"{found.side} collapsed to a line in {found.runs} of {found.of} runs: the effective rank of its "
            f"embeddings is at most {found.rank or 0.0:.2g}"
        )
    return (
        f"{found.side} collapsed in {found.runs} of {found.of} runs: its classes lie at most "
        f"{found.apart or 0.0:.2g} apart, where 2 is possible"
    )


def first_parts(contest: _Contest) -> tuple[str, str]:
    """What the first sentence claims, and the rest of it with the sign between them."""
    made = contest.made
    if made.ground == "undirected":
        said = f"No side is recommended by {contest.label}, of which neither more nor less is better"
        return said, "" if made.rests_on is None else f": {clause(contest.focus)}"
    if made.loss is None:
        return _open(contest)
    row = contest.focus
    use = _use(contest, made.loss)
    if len(made.members) > 1:
        why = {
            "train_nothing": "the raw inputs cost nothing",
            "closed_form": "it is the cheapest",
        }.get(made.ground or "", "it is the one that led on validation")
        claim = f"{use}: {_names(made.members)} are equivalent in {contest.label}, and {why}"
        return claim, f"; {_told(row)}{_both(contest)}"
    better = measure(made.measure or "").better
    whose = f"the {contest.label} of the raw inputs" if made.loss == RAW else f"its {contest.label}"
    claim = f"{use}: {whose} is {better} than that of {_name(row.b)}"
    return claim, f", {seen(row)}{_beats(contest, row)}{_both(contest)}"


def _use(contest: _Contest, name: str) -> str:
    if name == RAW:
        return "Train nothing"
    side = contest.sides[name]
    what = f"Use {name}"
    if isinstance(side, BaselineResult):
        what += ", training nothing"
    own = next((each for each in contest.settings if contest.call(each.loss) == name and each.stopped), None)
    if own is not None:
        what += f", {at_start(own.start)}"
    said = price(side.price)
    return f"{what} ({said})" if said else what


def _name(name: str) -> str:
    return "the raw inputs" if name == RAW else name


def _names(names: Iterable[str]) -> str:
    return listing(_name(name) for name in names)


def _told(row: Comparison) -> str:
    verb = "have" if row.a == RAW else "has"
    return f"{_name(row.a)} {verb} {means(row)} of {_name(row.b)} ({evidence(row)})"


def _beats(contest: _Contest, row: Comparison) -> str:
    """The other sides that the answer is shown better than, where the answer is the candidate."""
    if contest.made.loss != contest.candidate:
        return f"; {contest.candidate} had led on validation"
    others = [own.b for own in contest.against() if own.better == "a" and own.b != row.b]
    return f", and than that of {_names(others)}" if others else ""


def _both(contest: _Contest) -> str:
    return second_said(contest.second)


def second_said(row: Comparison | None) -> str:
    """The second measure, where it is better for another side than the answer; nothing without a row."""
    if row is None:
        return ""
    ends = "" if row.low is None or row.high is None else _ends(row)
    return f"; in {label(row.measure)} {row.a} is better than {_name(row.b)}, {estimate(row)}{ends}"


def _ends(row: Comparison) -> str:
    assert row.low is not None and row.high is not None
    return f" ({percent(1 - row.alpha)} interval {change_interval(row.low, row.high, row.scale)})"


def _open(contest: _Contest) -> tuple[str, str]:
    made, row = contest.made, contest.focus
    if made.open_by == "failed":
        return f"No answer: {contest.candidate}, which led on validation, has no verdict", f": {clause(row)}"
    few = made.members if len(made.members) <= MOST_NAMED + 1 else made.members[:MOST_NAMED]
    more = len(made.members) - len(few)
    listed = f"{', '.join(map(_name, few))} and {more} others" if more else _names(few)
    claim = f"Undecided between {listed}"
    if made.open_by == "measures" and contest.second is not None:
        other = label(contest.second.measure)
        return f"{claim}: {contest.label} and {other} disagree", f"; {_told(row)}{_both(contest)}"
    if row.better == "a" and row.b == contest.candidate:
        verb = "are" if row.a == RAW else "is"
        claim += f": {_name(row.a)} {verb} better than {row.b}, which had led on validation"
        return claim, f", {seen(row)}{_both(contest)}"
    if made.open_by == "saturated":
        delta = indifference(measure(made.measure or "").delta, "difference")
        claim += f": {contest.label} is saturated, all within {delta} of the best there is"
    elif row.verdict == "too_few_seeds":
        claim += f": too few seeds to tell in {contest.label}"
    else:
        claim += f": no difference found in {contest.label}"
    return claim, f"; {_told(row)}{_both(contest)}"


def _second(contest: _Contest) -> str:
    made = contest.made
    score = contest.sides[contest.candidate].validation.get(made.candidate_by or "")
    led = f"{contest.candidate} led on validation"
    if score is not None:
        led += f" ({label(made.candidate_by or '')} {number(score)})"
    groups: dict[str, list[str]] = {}
    for row in contest.against():
        groups.setdefault(_state(row), []).append(contest.valued(row.b))
    parts = [f"{listing(names)} {be(len(names))} {state}" for state, names in groups.items()]
    said = f"{led}, named before the test was measured; against {contest.valued(contest.candidate)}: "
    said += "; ".join(parts)
    if RAW not in contest.sides:
        said += f"; {without_raw(contest.sides.values())}"
    priced = [_priced(contest, name) for name in contest.sides]
    if any(priced):
        said += f"; prices: {', '.join(text for text in priced if text)}"
    for side in contest.sides.values():
        said += "".join(f"; {fault(own)}" for own in side.faults)
        said += f"; {count(side.failed, 'run')} of {side.name} failed" if side.failed else ""
    starts = training_adds_nothing(contest.settings, contest.rows.values(), contest.call)
    return said + "".join(f"; {own}" for own in starts) + untuned(contest.settings)


def _priced(contest: _Contest, name: str) -> str:
    side = contest.sides[name]
    tested = {row.b for row in contest.against()} | {contest.candidate}
    said = price(side.price) if name in tested and name not in (RAW, contest.made.loss) else ""
    return f"{name} {said}" if said else ""


def _state(row: Comparison) -> str:
    if row.verdict in ("higher", "lower"):
        return {"a": "worse", "b": "better", None: "different"}[row.better]
    return _STATES[row.verdict or "unresolved"]


def _third(contest: _Contest) -> str:
    made, changes = contest.made, []
    row = contest.focus if made.rests_on is not None else None
    undecided = made.loss is None and made.ground != "undirected"
    if undecided and row is not None:
        changes += _decides(contest, row)
    changes += other_settings(contest.settings)
    if made.loss is not None and len(made.members) > 1:
        changes.append("a smaller difference being of interest")
    changes.append(other_data(row))
    if made.ground == "undirected":
        changes.append("a goal with a better direction")
    opening = "What would decide it" if undecided else "What would change the answer"
    return f"{opening}: {'; or '.join(changes)}"


def _decides(contest: _Contest, row: Comparison) -> list[str]:
    """What would decide between the sides that are left."""
    match contest.made.open_by:
        case "failed":
            return ["runs that do not fail"]
        case "measures":
            other = label(contest.made.second or "")
            return [f"which of {contest.label} and {other} matters to you"]
        case _ if contest.candidate not in contest.made.members:
            return ["a study of these alone, since they were not tested against each other"]
        case "saturated":
            return ["harder data, since no number of seeds tells these sides apart"]
        case "data":
            return [f"more test data: {_tested_on(row)}", *_seeds(row)]
    return _seeds(row) or ["more seeds"]


def _tested_on(row: Comparison) -> str:
    if row.queries is None:
        return "other items would move it more than seeds do"
    asked = count(row.queries, "test item")
    if row.classes is not None:
        asked += f" of {count(row.classes, 'class')}"
    return f"with {asked}, other items would move it more than seeds do"


def _seeds(row: Comparison) -> list[str]:
    """How many seeds would do: for the difference that was seen, and for one that matters."""
    if row.unit != "seed":
        return []
    parts = []
    if row.seeds_seen is not None:
        parts.append(f"{row.seeds_seen:,} seeds in all if the difference is the one seen")
    if row.seeds_needed is not None:
        size = indifference(row.delta, row.scale)
        known = f"for a difference of {size}" if row.sd is not None else "the fewest that can be tested"
        parts.append(
            f"{row.seeds_needed:,} {known}" if parts else f"{row.seeds_needed:,} seeds in all, {known}"
        )
    return [", ".join(parts)] if parts else []


def other_data(row: Comparison | None) -> str:
    """What other data would change, by what varied in the pair that the answer rests on."""
    if row is not None and row.low_items is None and row.low_data is not None and row.high_data is not None:
        low, high = row.low_data, row.high_data
        if low < high:
            vanish = ", which includes no difference" if low <= 0 <= high else ""
            return f"other data like these, where it is {change_interval(low, high, row.scale)}{vanish}"
    if row is not None and row.scope == "data_like_these":
        return "data of another kind than the generator's"
    if row is not None and row.scope == "these_folds":
        return "other data, or one split that is tested once, since folds share their training rows"
    if row is not None and row.low_items is not None:
        return "another training of each, since these two models were compared"
    if row is not None and row.unit != "seed":
        return "other data, since these test items were compared"
    if row is not None and row.scope == "these_models":
        return "another training of each, since one model a side was compared"
    if row is not None and row.paired_by != "seed":
        return f"{plural(row.paired_by)} of another kind"
    return "other data, since only the seeds varied here"
