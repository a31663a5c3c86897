"""What an atlas shows and would cost, in words."""

from __future__ import annotations

from collections import Counter

from losscope.core.results import Atlas, AtlasPlan
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


def shows(atlas: Atlas, goal: str) -> str:
    """What an atlas shows for a goal, in a line: which losses were best where, and where no loss was needed."""
    found = [own for entry in atlas.entries if (own := entry.goal(goal)) is not None]
    if not found:
        return f"No data set of this atlas has a measure for {goal}."
    best = Counter(own.best for own in found)
    alone = sum(len(own.members) == 1 for own in found)
    tops = [name for name, times in best.most_common() if times == max(best.values())]
    times = count(max(best.values()), "data set")
    often = f"{listing(tops)} {'has' if len(tops) == 1 else 'have'} the best mean most often, on {times}"
    each = " each" if len(tops) > 1 else ""
    tested = [own for own in found if own.tested]
    if not tested:
        return (
            f"{count(len(found), 'data set')}, {goal}, described: {often}{each}; on {alone} of {len(found)} "
            "no other loss is within the indifference."
        )
    kinds = {side.name: side.kind for own in tested for side in own.sides}
    answers = [own.answer for own in tested if own.answer is not None]
    losses = sum(kinds.get(name) == "loss" for name in answers)
    bare = len(answers) - losses
    return (
        f"{count(len(tested), 'data set')}, {goal}: {often}{each}; on {alone} of {len(tested)} it is alone, on "
        f"the others some losses cannot be told from the best. The comparisons recommend a loss on {losses}, "
        f"no training or a closed form on {bare}, and are undecided on {len(tested) - len(answers)}."
    )
