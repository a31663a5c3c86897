"""What is said of anyone's own runs beside the verdicts: each data set, and the group of the best."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core.results import BestGroup, Comparison, DataVerdicts
from losscope.core.wording.comparisons import verdict_word
from losscope.core.wording.numbers import brief, count, label, listing, plural

NAMED = 6
"""Data sets that a sentence names for each verdict."""


def on_each(data: Sequence[DataVerdicts]) -> tuple[str, ...]:
    """For each pair of losses one sentence: on which data sets it is higher, lower, equivalent or open."""
    pairs: dict[tuple[str, str], dict[str, list[str]]] = {}
    first: dict[tuple[str, str], Comparison] = {}
    for own in data:
        for row in own.rows:
            found = pairs.setdefault((row.a, row.b), {})
            first.setdefault((row.a, row.b), row)
            found.setdefault(verdict_word(row), []).append(own.name)
    return tuple(
        f"{label(first[pair].measure)} of {pair[0]} against {pair[1]} on each data set: "
        f"{'; '.join(_told(state, names, len(data)) for state, names in found.items())}."
        for pair, found in pairs.items()
    )


def _told(state: str, names: Sequence[str], total: int) -> str:
    some = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return f"{state} on {len(names)} of {total} ({some})"


def enough_data(data: int, tests: int, least: int | None) -> str:
    """Whether so many data sets can be tested over, each of them counting once.

    >>> enough_data(2, 9, 9)
    '2 data sets are too few for 9 tests over data sets, which take at least 9; each has its own verdict.'
    >>> enough_data(9, 9, 9)
    '9 data sets are enough for 9 tests over data sets, each of which counts once.'
    """
    tested = f"{count(tests, 'test')} over data sets"
    if least is not None and data >= least:
        return f"{count(data, 'data set')} are enough for {tested}, each of which counts once."
    take = "which no number of them reaches" if least is None else f"which take at least {least}"
    return f"{count(data, 'data set')} are too few for {tested}, {take}; each has its own verdict."


def best_group(group: BestGroup, noun: str = "seed") -> str:
    """Which losses cannot be told from the best, in one sentence.

    >>> found = BestGroup(measure="recall_at_1", best="a", members=("a", "b"), out=("c",), tests=2,
    ...                   alpha=0.04, able=True)
    >>> best_group(found)
    'Not told from the best in Recall@1: a and b; shown worse than a: c (2 tests, level 0.04).'
    """
    head = f"Not told from the best in {label(group.measure)}"
    if not group.able:
        few = f"too few {plural(noun)} for {count(group.tests, 'test')}"
        return f"{head}: all {len(group.members)} losses, since there are {few}."
    members, of = listing(group.members), f"{count(group.tests, 'test')}, level {brief(group.alpha)}"
    if not group.out:
        return f"{head}: {members}, so none is out ({of})."
    return (
        f"{head}: {members}{' alone' if len(group.members) == 1 else ''}; shown worse than {group.best}: "
        f"{listing(group.out)} ({of})."
    )
