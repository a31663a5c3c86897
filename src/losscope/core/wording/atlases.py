"""What an atlas shows and would cost, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from losscope.core.loss_spec import RAW
from losscope.core.results import Atlas, AtlasGoal, AtlasPlan, EntryPlan, LeftOut
from losscope.core.wording.numbers import count, listing
from losscope.core.wording.work import duration


def price(plan: AtlasPlan) -> str:
    """How many data sets and runs an atlas has, and how long what is left of it takes.

    >>> price(AtlasPlan(losses=("a", "b"), entries=(), runs=90, runs_left=40, seconds=600, said=""))
    '0 data sets × 2 losses: 90 runs, 50 stored; about 10 min on this machine.'
    """
    work = (
        f"{count(len(plan.entries), 'data set')} × {count(len(plan.losses), 'loss')}: "
        f"{count(plan.runs, 'run')}"
    )
    if not plan.runs_left:
        return f"{work}, all stored."
    return (
        f"{work}, {plan.runs - plan.runs_left:,} stored; about {duration(max(1, plan.seconds))} on this "
        "machine."
    )


def entry_starts(place: int, entries: int, name: str, seconds: float | None, left: float) -> str:
    """Which entry is under way, how long it takes, and how long all that are left take.

    >>> entry_starts(2, 12, "digits", 80.0, 7200.0)
    'Data set 2 of 12, digits: about 80 s; about 2.0 h for all that are left.'
    """
    if not seconds:
        return f"Data set {place} of {entries}, {name}: all stored."
    rest = f"; about {duration(left)} for all that are left" if left > seconds else ""
    return f"Data set {place} of {entries}, {name}: about {duration(seconds)}{rest}."


def entry_price(own: EntryPlan) -> str:
    """What one data set would cost.

    >>> entry_price(EntryPlan(name="digits", family="digits", data="", runs=820, runs_left=820, seconds=120,
    ...                       command=""))
    'digits: 820 runs, about 2 min.'
    """
    runs = count(own.runs, "run")
    if not own.runs_left:
        return f"{own.name}: {runs}, all stored."
    stored = own.runs - own.runs_left
    time = "time unknown" if own.seconds is None else f"about {duration(max(1, own.seconds))}"
    return f"{own.name}: {runs}{f', {stored:,} stored' if stored else ''}, {time}."


def failed(lacking: Sequence[LeftOut]) -> str:
    """That some entries failed, and what to do.

    >>> failed([LeftOut(name="mnist", reason="no memory left")])
    '1 data set failed (mnist); the same command tries it again'
    """
    names = listing(own.name for own in lacking)
    it = "it" if len(lacking) == 1 else "them"
    return f"{count(len(lacking), 'data set')} failed ({names}); the same command tries {it} again"


def left_out(own: LeftOut) -> str:
    """Why the atlas lacks a data set.

    >>> left_out(LeftOut(name="mnist", reason="its files are not here"))
    'mnist is left out: its files are not here.'
    """
    return f"{own.name} is left out: {own.reason.rstrip('.')}."


def headline(atlas: Atlas) -> str:
    """How many data sets and losses an atlas has.

    >>> headline(Atlas(losses=("a", "b"), entries=(), losscope="0.1.0", command=""))
    '0 data sets of 0 families, the same 2 losses on each'
    """
    families = len({entry.family for entry in atlas.entries})
    return (
        f"{count(len(atlas.entries), 'data set')} of {count(families, 'family')}, the same "
        f"{count(len(atlas.losses), 'loss')} on each"
    )


def shows(atlas: Atlas, goal: str) -> str:
    """What an atlas shows for a goal, in a line: which loss was best how often, and what was recommended."""
    found = [own for entry in atlas.entries if (own := entry.goal(goal)) is not None]
    if not found:
        return f"No data set of this atlas has a measure for {goal}."
    best = Counter(name for own in found for name in _firsts(own))
    most = max(best.values())
    tops = [name for name, times in best.items() if times == most]
    lead = f"{listing(tops)} {'has' if len(tops) == 1 else 'have'} the best mean on {most:,} of {_on(found)}"
    lead += " each" if len(tops) > 1 else ""
    alone = sum(len(own.members) == 1 for own in found) or "none"
    lacking = _lacking(atlas, goal)
    if not all(own.tested for own in found):
        return (
            f"{goal.capitalize()}: {lead}; on {alone} no other loss is within the measure's indifference of "
            f"the best.{lacking}"
        )
    kinds = {side.name: side.kind for own in found for side in own.sides}
    answers = [own.answer for own in found if own.answer is not None]
    losses = sum(kinds.get(name) == "loss" for name in answers)
    bare, undecided = len(answers) - losses, len(found) - len(answers)
    return (
        f"{goal.capitalize()}: {lead}; on {alone} every other loss is shown worse than the best. The "
        f"comparisons recommend a loss on {losses or 'none'}, no training on {bare or 'none'}, and are "
        f"undecided on {undecided or 'none'}.{lacking}"
    )


def _firsts(goal: AtlasGoal) -> list[str]:
    """The losses of the best mean: of equal ones, which rounding tells apart, each."""
    top = goal.mean(goal.best)
    return [
        side.name
        for side in goal.sides
        if side.name == goal.best
        or (side.kind == "loss" and top is not None and math.isclose(side.mean, top, abs_tol=1e-9))
    ]


def _lacking(atlas: Atlas, goal: str) -> str:
    """On which data sets a loss has no mean, by which nothing is foretold; empty where there is none."""
    found = []
    for entry in atlas.entries:
        own = entry.goal(goal)
        lost = [] if own is None else [loss for loss in atlas.losses if own.mean(loss) is None]
        if lost:
            found.append(f"{listing(lost)} on {entry.name}")
    if not found:
        return ""
    return f" No mean over all seeds: {'; '.join(found)}; by these data sets nothing is foretold."


def _on(found: Sequence[AtlasGoal]) -> str:
    return count(len(found), "data set")


def others(goal: AtlasGoal) -> str:
    """The losses that cannot be told from the best one, it left out.

    >>> from losscope.core.results import AtlasSide
    >>> sides = tuple(AtlasSide(name=name, kind="loss", mean=0.9, low=None, high=None) for name in "abc")
    >>> of = AtlasGoal(goal="retrieval", measure="recall_at_1", tested=True, sides=sides, best="a",
    ...                members=("a", "c"))
    >>> others(of), others(of.model_copy(update={"members": ("a",)}))
    ('c', 'none')
    """
    rest = [name for name in goal.members if name != goal.best]
    losses = sum(side.kind == "loss" for side in goal.sides)
    if len(rest) > 1 and len(rest) + 1 == losses:
        return f"all {len(rest):,} others"
    return ", ".join(rest) or "none"


def recommended(goal: AtlasGoal) -> str:
    """What the comparison of a data set recommends, in a word or two."""
    if not goal.tested:
        return "described"
    if goal.answer is None:
        return "undecided"
    return "train nothing" if goal.answer == RAW else goal.answer
