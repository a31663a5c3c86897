"""What to use for a goal, chosen from the verdicts of the primary family; ``wording`` says it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from losscope.core import wording
from losscope.core.loss_spec import RAW
from losscope.core.results import Comparison, Ground, OpenBy, Recommendation, Settings, SideResult
from losscope.stats.comparison import declared
from losscope.stats.second import Second

_TESTED = ("better", "worse", "equivalent", "unresolved")
_OPEN = ("unresolved", "equivalent", "too_few_seeds", "failed", "not_comparable")
"""The verdicts without a better loss, in the order in which one is named."""


@dataclass(frozen=True)
class _Case:
    """The primary family: its losses from the best mean to the worst, and how the verdicts read."""

    ranking: tuple[str, ...]
    reference: str
    baselines: tuple[str, ...]
    rows: Mapping[tuple[str, str], Comparison]
    closed: str | None = None

    def state(self, a: str, b: str) -> str:
        """``better`` or ``worse`` for a resolved direction, else the verdict."""
        row = self.rows[a, b]
        if row.better is not None:
            return "better" if row.better == "a" else "worse"
        return row.verdict or "unresolved"


@dataclass(frozen=True)
class _Choice:
    """The loss, what the choice rests on, and the pair that shows it."""

    loss: str | None
    ground: Ground
    rests_on: tuple[str, str] | None


def recommend(
    *,
    goal: str,
    measure: str,
    losses: Sequence[SideResult],
    reference: str,
    baselines: Sequence[SideResult],
    rows: Sequence[Comparison],
    closed: SideResult | None = None,
    second: Second | None = None,
    settings: Sequence[Settings] = (),
) -> Recommendation:
    """The recommendation of a goal from the rows of its primary family, with three sentences.

    It is for runs of which no side was named on validation; ``deciding`` is for the others. ``loss``: the
    best of the losses shown better than the reference; else the reference if every other is shown worse;
    else None: no difference found, equivalent, or no verdict. ``raw`` instead, where each loss is shown worse
    than or equivalent to raw, and no side is better than it by more than δ in the ``second`` measure. The
    closed form that the rows test, ``closed``, where it is shown to beat raw and no loss to beat it: a loss
    has to beat it, too, and one that is equivalent costs more. None too for a measure of which neither more
    nor less is better. Losses are tested against the reference, not against one another, and the second
    sentence says so where it matters. ``baselines``: those that the rows test against.

    >>> found = recommend(goal="retrieval", measure="recall_at_1", losses=[SideResult(name="triplet")],
    ...                   reference="triplet", baselines=[], rows=[])
    >>> print(found.loss, found.ground, found.sentences[0])
    None single No answer: triplet was compared with nothing; it has no value.
    """
    case = _Case(
        ranking=ranked(losses, measure),
        reference=reference,
        baselines=tuple(side.name for side in baselines),
        rows={(row.a, row.b): row for row in rows},
        closed=None if closed is None else closed.name,
    )
    directed = declared(measure).better != "neither"
    chosen = _with_closed(case, _choose(case)) if directed else _undirected(case)
    beside = baselines if closed is None else (*baselines, closed)
    objectors: list[str] = []
    if second is not None and chosen.loss is not None:
        objectors = second.objectors([side.name for side in (*losses, *beside)], chosen.loss)
    if objectors and chosen.loss == RAW:
        chosen = _Choice(None, "open", chosen.rests_on)
    made = Recommendation(
        goal=goal,
        loss=chosen.loss,
        measure=measure,
        ground=chosen.ground,
        reference=reference,
        ranking=case.ranking,
        rests_on=chosen.rests_on,
        second=None if second is None else second.measure,
        second_on=None if not objectors else (objectors[0], chosen.loss or RAW),
        open_by=_open_by(rows, objectors, chosen),
    )
    own = None if second is None else second.row(made)
    known = (*rows, *([own] if own is not None else []))
    sentences = wording.recommendation(made, losses=losses, baselines=beside, rows=known, settings=settings)
    return made.model_copy(update={"sentences": sentences})


def _open_by(rows: Sequence[Comparison], objectors: Sequence[str], chosen: _Choice) -> OpenBy | None:
    """What keeps it open, where that is folds, over which nothing is tested, or two measures."""
    if any(row.reason is not None and row.reason.why == "folds" for row in rows):
        return "folds"
    return "measures" if objectors and chosen.loss is None else None


def ranked(losses: Sequence[SideResult], measure: str) -> tuple[str, ...]:
    """Names from the best mean to the worst, those without one last."""
    sign = -1 if declared(measure).better == "higher" else 1

    def key(side: SideResult) -> float:
        mean = side.mean(measure)
        return math.inf if mean is None else sign * mean

    return tuple(side.name for side in sorted(losses, key=key))


def _choose(case: _Case) -> _Choice:
    if _raw_stands(case):
        nearest = next(name for name in case.ranking if case.state(name, RAW) in _TESTED)
        return _Choice(RAW, "train_nothing", (nearest, RAW))
    if RAW in case.baselines:
        against = {name: case.state(name, RAW) for name in case.ranking}
        if "unresolved" in against.values() and "better" not in against.values():
            waiting = next(name for name, state in against.items() if state == "unresolved")
            return _Choice(None, "open", (waiting, RAW))
    chosen = _among_losses(case)
    unshown = ("unresolved", "equivalent", "worse")
    if chosen.loss is not None and RAW in case.baselines and case.state(chosen.loss, RAW) in unshown:
        return _Choice(None, "open", (chosen.loss, RAW))
    return chosen


def _among_losses(case: _Case) -> _Choice:
    states = {name: case.state(name, case.reference) for name in case.ranking if name != case.reference}
    if not states:
        return _single(case)
    best = next((name for name, state in states.items() if state == "better"), None)
    if best is not None:
        return _Choice(best, "beats_reference", (best, case.reference))
    if all(state == "worse" for state in states.values()):
        return _Choice(case.reference, "reference_unbeaten", (next(iter(states)), case.reference))
    unsettled = next(name for verdict in _OPEN for name, state in states.items() if state == verdict)
    return _Choice(None, "open", (unsettled, case.reference))


def _raw_stands(case: _Case) -> bool:
    if RAW not in case.baselines:
        return False
    states = [case.state(name, RAW) for name in case.ranking]
    told = [state for state in states if state in _TESTED]
    return bool(told) and all(state in ("worse", "equivalent") for state in told)


def _with_closed(case: _Case, chosen: _Choice) -> _Choice:
    """The choice among losses and raw, held against the closed form.

    The closed form is chosen where it is shown better than raw and no loss is shown better than it, and not
    worse than or equivalent to the loss chosen. A loss that is chosen must be better than it. Two modalities
    may have no raw inputs in one space: then the form is chosen where it is shown better than every loss.
    """
    form = case.closed
    if form is None:
        return chosen
    states = {name: case.state(name, form) for name in case.ranking}
    over_raw = (form, RAW) in case.rows and case.state(form, RAW) == "better"
    nearest = next((name for name in case.ranking if states[name] in _TESTED), case.ranking[0])
    rests_on = (form, RAW) if over_raw else (nearest, form)
    answer = _Choice(form, "closed_form", rests_on)
    settled = all(state in ("worse", "equivalent") for state in states.values())
    if over_raw and (settled or (chosen.loss == RAW and "better" not in states.values())):
        return answer
    without_raw = RAW not in case.baselines
    if without_raw and all(state == "worse" for state in states.values()):
        return answer
    if chosen.loss is None or chosen.loss == RAW or states[chosen.loss] == "better":
        return chosen
    if states[chosen.loss] == "worse" and (without_raw or case.state(chosen.loss, RAW) == "better"):
        return _Choice(form, "closed_form", (chosen.loss, form))
    return _Choice(None, "open", (chosen.loss, form))


def _single(case: _Case) -> _Choice:
    """One loss: it can only be held against the baselines, raw first."""
    held = sorted(case.baselines, key=lambda base: base != RAW)
    if not held:
        return _Choice(None, "single", None)
    shown = case.state(case.reference, held[0]) == "better"
    return _Choice(case.reference if shown else None, "single", (case.reference, held[0]))


def _undirected(case: _Case) -> _Choice:
    row = next((row for row in case.rows.values() if row.b == case.reference), None)
    return _Choice(None, "undirected", None if row is None else (row.a, row.b))
