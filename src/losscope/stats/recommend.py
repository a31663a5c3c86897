"""The answer in three sentences: what to use and why, what came next, what would change it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from losscope.stats.compare import declared
from losscope.stats.sentences import (
    Row,
    body,
    effect,
    evidence,
    interval_words,
    joined,
    label_of,
    number,
    values_words,
)

RAW = "raw"
"""The baseline that stands for training nothing."""

_TESTED = ("better", "worse", "equivalent", "unresolved")


@dataclass(frozen=True)
class _Case:
    """The primary family and how its verdicts read when a direction is better."""

    measure: str
    losses: tuple[str, ...]
    reference: str
    baselines: tuple[str, ...]
    rows: Mapping[tuple[str, str], Row]
    means: Mapping[str, float | None]
    settings: str

    def state(self, a: str, b: str) -> str:
        """``better`` or ``worse`` for a resolved direction, else the verdict."""
        verdict = self.rows[a, b].verdict or "unresolved"
        if verdict in ("higher", "lower"):
            return "better" if verdict == declared(self.measure).better else "worse"
        return verdict

    def best(self, names: Sequence[str]) -> list[str]:
        """Names from the best mean to the worst, those without one last."""
        sign = -1 if declared(self.measure).better == "higher" else 1

        def key(name: str) -> float:
            mean = self.means.get(name)
            return math.inf if mean is None else sign * mean

        return sorted(names, key=key)

    @property
    def others(self) -> list[str]:
        return [name for name in self.losses if name != self.reference]


def recommend(
    *,
    goal: str,
    measure: str,
    losses: Sequence[str],
    reference: str,
    baselines: Sequence[str],
    rows: Sequence[Row],
    means: Mapping[str, float | None],
    settings: str = "",
) -> dict[str, object]:
    """The recommendation of a goal, ``{"goal", "loss", "sentences"}``, from the primary family's rows.

    ``loss``: the best of the losses shown better than the reference; else the reference if every other is
    shown worse; else None: no difference found, equivalent, or no verdict. ``raw`` instead, where raw was
    tested and no loss is shown to beat it: untrained inputs cost nothing, so training has to prove itself.
    None too for a measure of which neither more nor less is better. ``sentences``: exactly three: the answer
    with its evidence; the runner-up and the baselines; what would change the answer. Losses are tested
    against the reference, not against one another, and the second sentence says so where it matters.

    >>> advice = recommend(goal="retrieval", measure="recall_at_1", losses=["triplet"], reference="triplet",
    ...                    baselines=[], rows=[], means={"triplet": 0.98})
    >>> print(advice["loss"], advice["sentences"][0])
    None No answer: triplet was compared with nothing; its Recall@1 is 0.980.
    """
    case = _Case(
        measure,
        tuple(losses),
        reference,
        tuple(baselines),
        {(row.a, row.b): row for row in rows},
        means,
        settings,
    )
    if declared(measure).better == "neither":
        choice, first, focus = None, *_undirected(case)
    else:
        choice, first, focus = _answer(case)
    note = ", untuned" if "untuned" in settings else ""
    sentences = [
        f"{first}, {settings}." if settings else f"{first}.",
        f"{_second(case, choice)}{note}.",
        f"{_third(case, choice, focus)}.",
    ]
    return {"goal": goal, "loss": choice, "sentences": sentences}


def _answer(case: _Case) -> tuple[str | None, str, Row | None]:
    """The choice, the first sentence, and the row that it rests on."""
    if _raw_stands(case):
        nearest = case.best([name for name in case.losses if case.state(name, RAW) in _TESTED])[0]
        row = case.rows[nearest, RAW]
        shown = "beaten by no loss" if case.state(nearest, RAW) != "worse" else "better than every loss"
        best = f"the best loss, {nearest}, has" if len(case.losses) > 1 else f"{nearest} has"
        text = (
            f"Train nothing: in {label_of(case.measure)} the raw inputs are {shown}; {best} {_numbers(row)}"
        )
        return RAW, text, row
    states = {name: case.state(name, case.reference) for name in case.others}
    winners = case.best([name for name, state in states.items() if state == "better"])
    if winners:
        row = case.rows[winners[0], case.reference]
        label, word = label_of(case.measure), declared(case.measure).better
        text = f"Use {winners[0]}: its {label} is {word} than that of {case.reference}, {_numbers(row)}"
        return winners[0], text, row
    if states and all(state == "worse" for state in states.values()):
        nearest = case.best(list(states))[0]
        row = case.rows[nearest, case.reference]
        who = nearest if len(states) == 1 else f"every other loss; the nearest, {nearest}, has"
        label = label_of(case.measure)
        verb = f"than that of {who}:" if len(states) == 1 else f"than that of {who}"
        text = f"Use {case.reference}: its {label} is {declared(case.measure).better} {verb} {_numbers(row)}"
        return case.reference, text, row
    if not states:
        return _alone(case)
    for state, opening in (
        ("unresolved", ""),
        ("equivalent", "Use either: "),
        ("too_few_seeds", "No answer yet: "),
        ("failed", "No answer: "),
        ("not_comparable", "No answer: "),
    ):
        open_ones = case.best([name for name, one in states.items() if one == state])
        if open_ones:
            row = case.rows[open_ones[0], case.reference]
            text = body(row)
            return None, opening + (_inner(text) if opening else text), row
    raise AssertionError("a verdict without a case")


def _raw_stands(case: _Case) -> bool:
    if RAW not in case.baselines:
        return False
    states = [case.state(name, RAW) for name in case.losses]
    return "better" not in states and any(state in _TESTED for state in states)


def _alone(case: _Case) -> tuple[str | None, str, Row | None]:
    """One loss: it can only be held against the baselines."""
    for base in (RAW, *(name for name in case.baselines if name != RAW)):
        row = case.rows.get((case.reference, base))
        if row is None:
            continue
        if case.state(case.reference, base) == "better":
            text = f"Use {case.reference}: in {label_of(case.measure)} it beats {base}, {_numbers(row)}"
            return case.reference, text, row
        return None, f"No answer: {_inner(body(row))}", row
    mean = case.means.get(case.reference)
    seen = f"its {label_of(case.measure)} is {number(mean)}" if mean is not None else "it has no value"
    return None, f"No answer: {case.reference} was compared with nothing; {seen}", None


def _undirected(case: _Case) -> tuple[str, Row | None]:
    label = label_of(case.measure)
    opening = f"No loss is recommended by {label}, of which neither more nor less is better"
    row = next((row for row in case.rows.values() if row.b == case.reference), None)
    return (f"{opening}: {_inner(body(row))}" if row else opening), row


def _inner(text: str) -> str:
    """A sentence to stand inside another: its own first word small, a loss's name as it is."""
    return text[0].lower() + text[1:] if text.startswith(("The ", "No ")) else text


def _numbers(row: Row) -> str:
    assert row.found.difference is not None or row.found.order is not None or row.found.p is not None
    if row.found.difference is None:
        return f"by the order of epochs ({evidence(row)})"
    return f"{values_words(row)}, {effect(row.found, row.found.difference)} ({evidence(row)})"


def _valued(case: _Case, name: str) -> str:
    mean = case.means.get(name)
    return name if mean is None else f"{name} ({number(mean)})"


def _second(case: _Case, choice: str | None) -> str:
    parts = []
    if choice is not None and len(case.losses) > 1:
        rest = case.best([name for name in case.losses if name != choice])
        text = (
            f"the runner-up is {_valued(case, rest[0])}" if choice != RAW else f"the best loss is {rest[0]}"
        )
        if case.reference not in (choice, rest[0]) and choice != RAW:
            text += f", not tested against {choice} itself"
        if len(rest) > 1:
            text += f", then {joined([_valued(case, name) for name in rest[1:]])}"
        parts.append(text)
    elif len(case.losses) > 2:
        parts.append(f"the means are {joined([_valued(case, name) for name in case.best(case.losses)])}")
    parts += [_baseline(case, base) for base in case.baselines]
    if not case.baselines:
        parts.append("no baseline with this measure was run, so whether training is worth it was not tested")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] if text.startswith(("the ", "no ")) else f"Against {text}"


def _baseline(case: _Case, base: str) -> str:
    neutral = declared(case.measure).better == "neither"
    words = {
        "better": "different" if neutral else "better",
        "worse": "different" if neutral else "worse",
        "equivalent": "equivalent",
        "unresolved": "not told apart",
        "too_few_seeds": "on too few seeds",
        "failed": "without a verdict",
        "not_comparable": "not comparable",
    }
    groups: dict[str, list[str]] = {}
    for name in case.losses:
        groups.setdefault(words[case.state(name, base)], []).append(name)
    said = [f"{joined(names)} {'is' if len(names) == 1 else 'are'} {word}" for word, names in groups.items()]
    meaning = ", training nothing" if base == RAW else ""
    return f"{_valued(case, base)}{meaning}: {joined(said)}"


def _third(case: _Case, choice: str | None, focus: Row | None) -> str:
    changes = []
    if case.settings and "untuned" in case.settings:
        changes.append(f"tuning, as all this is {case.settings}")
    elif case.settings:
        changes.append(f"other settings, as all this is {case.settings}")
    if focus is not None and focus.seeds_needed is not None and focus.verdict != "failed":
        known = focus.found.sd is not None
        aim = "which would resolve a difference that matters" if known else "the fewest that can be tested"
        changes.append(f"{focus.seeds_needed:,} seeds in all, {aim}")
    if focus is not None and focus.verdict == "equivalent":
        changes.append("a smaller difference being of interest")
    if focus is not None and focus.verdict == "failed":
        changes.append("runs that do not fail")
    if focus is not None and focus.data is not None:
        low, high = focus.data
        vanish = ", which holds no difference too" if low <= 0 <= high else ""
        changes.append(
            f"other data like these, where it is {interval_words(focus.found, focus.data)}{vanish}"
        )
    elif focus is not None and focus.generated:
        changes.append("data of another kind than the generator's")
    else:
        changes.append("other data, since only the seeds varied here")
    if declared(case.measure).better == "neither":
        changes.append("a goal with a better direction")
    return f"What would change the answer: {'; or '.join(changes)}"
