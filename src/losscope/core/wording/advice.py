"""The answer in three sentences: what to use and why, what came next, what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from losscope.core.loss_spec import RAW
from losscope.core.results import Comparison, Recommendation, Result, Settings, SideResult
from losscope.core.wording.comparisons import (
    body,
    clause,
    evidence,
    means,
    seen,
    spread_unknown,
    turned,
)
from losscope.core.wording.contest import decision_parts, fault, other_data, price, second_said
from losscope.core.wording.numbers import be, count, label, listing, measure, number
from losscope.core.wording.settings import other_settings, settings_phrase, training_adds_nothing, untuned

_OPENINGS = {
    "unresolved": "",
    "equivalent": "Use either: ",
    "too_few_seeds": "No answer yet: ",
    "failed": "No answer: ",
    "not_comparable": "No answer: ",
    "higher": "No answer: ",
    "lower": "No answer: ",
}

_STATES = {
    "equivalent": "equivalent",
    "unresolved": "not told apart",
    "too_few_seeds": "on too few seeds",
    "failed": "without a verdict",
    "not_comparable": "not comparable",
}


@dataclass(frozen=True)
class _Case:
    """A recommendation beside everything that its sentences name."""

    made: Recommendation
    means: Mapping[str, float | None]
    baselines: tuple[str, ...]
    rows: Mapping[tuple[str, str], Comparison]
    settings: Sequence[Settings]
    second: Comparison | None = None
    sides: Mapping[str, SideResult] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return label(self.measure)

    @property
    def measure(self) -> str:
        return self.made.measure or ""

    @property
    def turned(self) -> bool:
        """Whether the pair is told from the side of the reference, which is the loss to use."""
        return self.made.ground == "reference_unbeaten" and len(self.made.ranking) == 2

    @property
    def focus(self) -> Comparison | None:
        """The pair that the answer rests on, as the sentences tell it."""
        if self.made.rests_on is None:
            return None
        row = self.rows[self.made.rests_on]
        return turned(row) if self.turned else row

    def valued(self, name: str) -> str:
        mean = self.means.get(name)
        return name if mean is None else f"{name} ({number(mean)})"


def recommendation(
    made: Recommendation,
    *,
    losses: Sequence[SideResult],
    baselines: Sequence[SideResult],
    rows: Sequence[Comparison],
    settings: Sequence[Settings] = (),
) -> tuple[str, str, str]:
    """The answer with its evidence; the runner-up and the baselines; what would change the answer.

    ``rows``: the family of the measure that decides. ``baselines``: those that the family tests against.
    """
    case = _Case(
        made,
        {side.name: side.mean(made.measure or "") for side in (*losses, *baselines)},
        tuple(side.name for side in baselines),
        {(row.a, row.b): row for row in rows if row.measure == made.measure},
        settings,
        _beside(made, rows),
        {side.name: side for side in (*losses, *baselines)},
    )
    phrase = settings_phrase(settings)
    first, second, third = "".join(_first(case)), _second(case), _third(case)
    return f"{first}, {phrase}." if phrase else f"{first}.", f"{second}.", f"{third}."


def answer(result: Result) -> tuple[str, str]:
    """The first sentence of the recommendation in two parts: what it claims, and its evidence and settings.

    The claim is the headline of a page. Both are empty where the result has no recommendation.
    """
    made = result.recommendation
    if made.ground is None:
        return "", ""
    if made.candidate is not None:
        claim, rest = decision_parts(made, result.sides, result.paired, result.settings)
    else:
        claim, rest = _first(_case_of(result))
    phrase = settings_phrase(result.settings)
    return claim, f"{rest}, {phrase}." if phrase else f"{rest}."


def _case_of(result: Result) -> _Case:
    made = result.recommendation
    return _Case(
        made,
        {side.name: side.mean(made.measure or "") for side in result.sides},
        (),
        {(row.a, row.b): row for row in result.verdicts() if row.measure == made.measure},
        result.settings,
        _beside(made, result.paired),
        {side.name: side for side in result.sides},
    )


def _beside(made: Recommendation, rows: Sequence[Comparison]) -> Comparison | None:
    """The row of the second measure where it disagrees."""
    known = (row for row in rows if row.measure == made.second and (row.a, row.b) == made.second_on)
    return next(known, None)


def _first(case: _Case) -> tuple[str, str]:
    """What the first sentence claims, and the rest of it, the second measure at its end."""
    claim, rest = _claimed(case)
    return claim, rest + second_said(case.second)


def _claimed(case: _Case) -> tuple[str, str]:
    """What the first sentence claims, and the rest of it with the sign between them."""
    made, row = case.made, case.focus
    if row is None:
        return _without_a_pair(case)
    better = measure(case.measure).better
    match made.ground:
        case "train_nothing":
            worse = all(case.rows[name, RAW].better == "b" for name in made.ranking)
            shown = "better than every loss" if worse else "beaten by no loss"
            nearest = f"the best loss, {row.a}" if len(made.ranking) > 1 else row.a
            claim = f"Train nothing: in {case.label} the raw inputs are {shown}"
            return claim, f", {_over(turned(row), nearest)}"
        case "closed_form":
            return _closed(case, row, better)
        case "beats_reference":
            claim = f"Use {made.loss}: its {case.label} is {better} than that of {row.b}"
            return claim, f", {seen(row)}"
        case "reference_unbeaten":
            claim = f"Use {made.loss}: its {case.label} is {better} than that of "
            if case.turned:
                return f"{claim}{row.b}", f", {seen(row)}"
            return f"{claim}every other loss", f", {_over(turned(row), f'the nearest, {row.a}')}"
        case "single" if made.loss is not None:
            return f"Use {made.loss}: in {case.label} it beats {row.b}", f", {seen(row)}"
        case "undirected":
            return _undirected(case), f": {clause(row)}"
    opening = "No answer: " if made.ground == "single" else _OPENINGS[row.verdict or "unresolved"]
    judged = clause(row) if opening else body(row)
    return f"{opening}{judged.claim}", judged.after_claim


def _closed(case: _Case, row: Comparison, better: str) -> tuple[str, str]:
    """A closed form is the answer: against raw, or, where that shows nothing, against the nearest loss."""
    form = case.made.loss or ""
    if row.a != form:
        claim = f"Use {form}, training nothing: its {case.label} is {better} than that of {row.a}"
        return claim, f", {seen(turned(row))}"
    claim = f"Use {form}, training nothing: its {case.label} is {better} than that of the raw inputs"
    against = [case.rows[name, form] for name in case.made.ranking if (name, form) in case.rows]
    if not against:
        return claim, f", {seen(row)}"
    worse = all(found.better == "b" for found in against)
    shown = "and than that of every loss" if worse else "and no loss is shown to beat it"
    nearest = f"the best loss, {against[0].a}" if len(against) > 1 else against[0].a
    return claim, f", {seen(row)}, {shown}; it has {_over(turned(against[0]), nearest)}"


def _without_a_pair(case: _Case) -> tuple[str, str]:
    if case.made.ground == "undirected":
        return _undirected(case), ""
    mean = case.means.get(case.made.reference or "")
    seen = f"its {case.label} is {number(mean)}" if mean is not None else "it has no value"
    return f"No answer: {case.made.reference} was compared with nothing", f"; {seen}"


def _undirected(case: _Case) -> str:
    return f"No loss is recommended by {case.label}, of which neither more nor less is better"


def _over(row: Comparison, nearest: str) -> str:
    """The numbers of the side that is first, then those of what is nearest to it."""
    if row.difference is None:
        return f"by the order of epochs against {nearest} ({evidence(row)})"
    return f"{means(row)} of {nearest} ({evidence(row)})"


def _second(case: _Case) -> str:
    made, parts = case.made, []
    if made.loss is not None and len(made.ranking) > 1:
        parts.append(_others(case))
    elif len(made.ranking) > 2:
        parts.append(f"the means are {listing(case.valued(name) for name in made.ranking)}")
    compared = "; ".join(_baseline(case, base) for base in case.baselines)
    if not compared:
        parts.append("no baseline with this measure was run, so whether training is worth it was not tested")
    elif parts:
        parts.append(compared)
    else:
        parts.append(f"against {compared}")
    for side in case.sides.values():
        parts += [fault(found) for found in side.faults]
    priced = [(name, price(side.price)) for name, side in case.sides.items() if name != RAW]
    if any(said for _, said in priced):
        parts.append(f"prices: {', '.join(f'{name} {said}' for name, said in priced if said)}")
    parts += training_adds_nothing(case.settings, case.rows.values())
    said = "; ".join(parts) + untuned(case.settings)
    return said[0].upper() + said[1:]


def _others(case: _Case) -> str:
    made = case.made
    rest = [name for name in made.ranking if name != made.loss]
    if made.ground in ("train_nothing", "closed_form"):
        said = f"the best loss is {rest[0]}"
    else:
        said = f"the runner-up is {case.valued(rest[0])}"
        if made.reference not in (made.loss, rest[0]):
            said += f", not tested against {made.loss} itself"
    return said + (f", then {listing(case.valued(name) for name in rest[1:])}" if len(rest) > 1 else "")


def _baseline(case: _Case, base: str) -> str:
    groups: dict[str, list[str]] = {}
    for name in case.means:
        row = case.rows.get((name, base))
        if row is not None:
            groups.setdefault(_state(row), []).append(name)
    said = listing(f"{listing(names)} {be(len(names))} {state}" for state, names in groups.items())
    meaning = ", training nothing" if base == RAW else ""
    return f"{case.valued(base)}{meaning}: {said}"


def _state(row: Comparison) -> str:
    if row.verdict in ("higher", "lower"):
        return {"a": "better", "b": "worse", None: "different"}[row.better]
    if row.scope == "these_folds":
        return "described, not tested"
    return _STATES[row.verdict or "unresolved"]


def _third(case: _Case) -> str:
    focus, changes = case.focus, []
    changes += other_settings(case.settings)
    if focus is not None and focus.seeds_needed is not None and focus.verdict != "failed":
        aim = "which would resolve a difference that matters"
        if not focus.spread_known:
            aim = f"the fewest that can be tested, as {spread_unknown(focus)}"
        changes.append(f"{count(focus.seeds_needed, focus.paired_by)} in all, {aim}")
    if focus is not None and focus.verdict == "equivalent":
        changes.append("a smaller difference being of interest")
    if focus is not None and focus.verdict == "failed":
        changes.append("runs that do not fail")
    changes.append(other_data(focus))
    if measure(case.measure).better == "neither":
        changes.append("a goal with a better direction")
    return f"What would change the answer: {'; or '.join(changes)}"
