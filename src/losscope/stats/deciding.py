"""What to use for a goal, where validation named a candidate before the test; ``wording`` says it.

The answer is the set of sides that are not shown worse than the candidate (docs/definitions.md,
"Recommendation"). Without validation the answer is that of ``recommendation``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from losscope.core import wording
from losscope.core.loss_spec import CLOSED_FORM, RAW
from losscope.core.results import (
    BaselineResult,
    Comparison,
    Ground,
    OpenBy,
    Recommendation,
    Settings,
    SideResult,
)
from losscope.stats.comparison import declared
from losscope.stats.recommendation import ranked
from losscope.stats.second import Second
from losscope.stats.standing import Family

_LEFT = ("better", "equivalent", "unresolved", "too_few_seeds")
"""States of a side against the candidate in which it stays in the set."""


@dataclass(frozen=True)
class _Contest:
    """The candidate and each side that was tested against it, with the state of that test."""

    candidate: str
    states: Mapping[str, str]
    """Of each other side: ``better`` or ``worse`` than the candidate, or the verdict."""
    rows: Mapping[str, Comparison]
    sides: Mapping[str, SideResult]
    ranking: tuple[str, ...]
    measure: str

    def cost(self, name: str) -> tuple[int, int]:
        """What is cheaper comes first: raw, closed forms, losses; among equals the better on validation."""
        side = self.sides[name]
        kind = 0 if name == RAW else 1 if isinstance(side, BaselineResult) else 2
        return kind, self.ranking.index(name) if name in self.ranking else len(self.ranking)

    @property
    def contenders(self) -> list[str]:
        """Every side that could be used, tested or not: losses, closed forms that are no description, raw."""
        return [
            name
            for name, side in self.sides.items()
            if not isinstance(side, BaselineResult)
            or (side.family == CLOSED_FORM and not side.described)
            or name == RAW
        ]

    def value(self, name: str) -> float:
        """The mean on the test, of which more is better; −inf without one."""
        mean = self.sides[name].mean(self.measure)
        sign = -1 if declared(self.measure).better == "lower" else 1
        return -math.inf if mean is None else sign * mean

    def gain(self, name: str) -> tuple[float, float]:
        """How much better a side is than the candidate, as an interval; unbounded where there is none."""
        row = self.rows[name]
        low = -math.inf if row.low is None else row.low
        high = math.inf if row.high is None else row.high
        return (low, high) if declared(self.measure).better == "lower" else (-high, -low)

    def best(self, names: Sequence[str]) -> str:
        """The side of the best mean on the test."""
        return max(names, key=self.value)


@dataclass(frozen=True)
class _Decision:
    """The answer, the set that it is from, and the pairs that show it."""

    loss: str | None
    ground: Ground
    members: tuple[str, ...]
    rests_on: tuple[str, str] | None
    second_on: tuple[str, str] | None = None
    open_by: OpenBy | None = None


def decide(
    *,
    goal: str,
    measure: str,
    family: Family,
    sides: Sequence[SideResult],
    reference: str,
    rows: Sequence[Comparison],
    second: Second,
    settings: Sequence[Settings] = (),
) -> Recommendation:
    """The recommendation of a goal from the tests of its candidate, with three sentences.

    A side that is shown worse than the candidate is out; so is one without a verdict because runs of it
    failed. Where a side is shown better than the candidate, the candidate is out, and with it whatever is
    equivalent to it, or whose interval against the candidate lies below that of the better side. One side
    left is the answer. Several that are all equivalent to the candidate: the cheapest. ``raw`` is the answer
    only where no side is better by more than δ in the second measure. Of two modalities the answer also says
    where another side is better from the second modality into the first.

    >>> from losscope.stats import Measured, Standing, analyse
    >>> runs = [Measured(name, seed, {"recall_at_1": base + seed / 1000})
    ...         for name, base in (("a", 0.9), ("b", 0.8)) for seed in range(8)]
    >>> found = analyse(runs, standings=[Standing(name, {"recall_at_1": 0.7}) for name in "ab"])
    >>> found.recommendation.candidate, found.recommendation.loss, found.recommendation.members
    ('a', 'a', ('a',))
    """
    assert family.candidate is not None
    candidate = family.candidate.name
    table = {side.name: side for side in sides}
    own = {row.b: row for row in rows if row.a == candidate}
    contest = _Contest(
        candidate, {name: _state(row) for name, row in own.items()}, own, table, family.ranking, measure
    )
    losses = [side for side in sides if not isinstance(side, BaselineResult)]
    chosen = _decided(contest, second) if declared(measure).better != "neither" else _undirected(contest)
    told = second
    if chosen.loss is not None and chosen.second_on is None:
        better = second.other_way.objectors(contest.contenders, chosen.loss)
        if better:
            told, chosen = second.other_way, replace(chosen, second_on=(better[0], chosen.loss))
    made = Recommendation(
        goal=goal,
        loss=chosen.loss,
        measure=measure,
        ground=chosen.ground,
        reference=reference,
        ranking=ranked(losses, measure),
        rests_on=chosen.rests_on,
        candidate=candidate,
        candidate_by=family.by,
        members=chosen.members,
        second=told.measure,
        second_on=chosen.second_on,
        open_by=chosen.open_by,
    )
    known = (*rows, *([row] if (row := second.row(made)) is not None else []))
    said = wording.decision(made, sides=sides, rows=known, settings=settings)
    return made.model_copy(update={"sentences": said})


def _state(row: Comparison) -> str:
    if row.better is not None:
        return "worse" if row.better == "a" else "better"
    return row.verdict or "unresolved"


def _undirected(contest: _Contest) -> _Decision:
    first = next(iter(contest.states), None)
    pair = None if first is None else (contest.candidate, first)
    return _Decision(None, "undirected", (), pair)


def _decided(contest: _Contest, second: Second) -> _Decision:
    members = _members(contest)
    if not members:
        lost = next(iter(contest.states))
        return _Decision(None, "undecided", (), (contest.candidate, lost), open_by="failed")
    others = [name for name in members if name != contest.candidate]
    beaten = contest.candidate not in members
    settled = len(members) == 1 or all(contest.states[name] == "equivalent" for name in others)
    if not settled or (beaten and len(members) > 1):
        return _open(contest, members, second)
    answer = min(members, key=contest.cost)
    everyone = contest.contenders
    if answer == RAW and (objectors := second.objectors(everyone, RAW)):
        inside = [name for name in objectors if name in members]
        if not inside:
            pair = _shown_by(contest, RAW)
            return _Decision(
                None, "undecided", (RAW, objectors[0]), pair, (objectors[0], RAW), open_by="measures"
            )
        answer = min(inside, key=contest.cost)
        return _settled(contest, answer, members, (answer, RAW))
    better = second.objectors(everyone, answer)
    return _settled(contest, answer, members, (better[0], answer) if better else None)


def _members(contest: _Contest) -> tuple[str, ...]:
    """The sides that are left, the candidate first; none where the candidate has no verdict of its own."""
    states = contest.states
    if states and all(state in ("failed", "not_comparable") for state in states.values()):
        return ()
    left = [name for name, state in states.items() if state in _LEFT]
    better = [name for name in left if states[name] == "better"]
    if not better:
        return (contest.candidate, *left)
    # The candidate is out, and with it what lies clearly below the side that beat it.
    floor = max(contest.gain(name)[0] for name in better)
    return tuple(name for name in left if states[name] != "equivalent" and contest.gain(name)[1] >= floor)


def _settled(
    contest: _Contest, answer: str, members: tuple[str, ...], second_on: tuple[str, str] | None
) -> _Decision:
    side = contest.sides[answer]
    kind: Ground = "leads"
    if isinstance(side, BaselineResult):
        kind = "train_nothing" if answer == RAW else "closed_form"
    return _Decision(answer, kind, members, _shown_by(contest, answer, members), second_on)


def _shown_by(contest: _Contest, answer: str, members: Sequence[str] = ()) -> tuple[str, str]:
    """The test that shows an answer: its own against the candidate, or the candidate's nearest one."""
    if answer != contest.candidate:
        return contest.candidate, answer
    near = [name for name in members if name != answer]
    tested = (
        near or [name for name, state in contest.states.items() if state == "worse"] or list(contest.states)
    )
    return contest.candidate, contest.best(tested)


def _open(contest: _Contest, members: tuple[str, ...], second: Second) -> _Decision:
    """Several are left: told by the pair of the candidate and the best of those that are not settled."""
    waiting = [
        name for name in members if contest.states.get(name) in ("unresolved", "too_few_seeds", "better")
    ]
    pair = contest.candidate, contest.best(waiting)
    limits = {contest.rows[name].limit for name in waiting}
    by: OpenBy = "saturated" if limits == {"saturated"} else contest.rows[pair[1]].limit or "seeds"
    leader = contest.best(members)
    better = second.objectors([name for name in members if name != leader], leader)
    return _Decision(None, "undecided", members, pair, (better[0], leader) if better else None, open_by=by)
