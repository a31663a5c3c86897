"""Which side of a table is the best, and which were not told from it: by tests and never by eye."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from losscope.core import wording
from losscope.core.results import Result
from losscope.reporting.columns import is_described

TOLD = ("higher", "lower")
OPEN = ("equivalent", "unresolved", "too_few_seeds")


@dataclass(frozen=True)
class Marks:
    """The marks of one measure's column.

    Attributes:
        measure: the measure, which was tested.
        best: the side of the best mean among those that the tests are about.
        ties: the sides that were tested against it and not told from it.
        worse: those that a test shows to be worse.
        untested: those of the tests that no test holds against the best.
    """

    measure: str
    best: str
    ties: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """What the marks mean, in sentences.

        >>> Marks("recall_at_1", "a", ties=("b",), untested=("c",)).caption
        'Bold: the best mean of Recall@1 among the sides tested. † not told from it by a test. Not tested \
against it: c.'
        """
        said = [f"Bold: the best mean of {wording.label(self.measure)} among the sides tested."]
        if self.ties:
            said.append("† not told from it by a test.")
        if self.untested:
            said.append(f"Not tested against it: {wording.listing(self.untested)}.")
        return " ".join(said)


def marks(result: Result) -> tuple[Marks, ...]:
    """The marks of every measure that was tested and of which more or less is better."""
    made = (_of(result, measure) for measure in dict.fromkeys(row.measure for row in result.verdicts()))
    return tuple(found for found in made if found is not None)


def _of(result: Result, measure: str) -> Marks | None:
    better = wording.measure(measure).better
    rows = [row for row in result.verdicts() if row.measure == measure]
    named = {name for row in rows for name in (row.a, row.b)}
    sides = [side for side in result.sides if side.name in named and not is_described(side)]
    means = {side.name: mean for side in sides if (mean := side.mean(measure)) is not None}
    if better == "neither" or not means:
        return None
    best = (max if better == "higher" else min)(means, key=lambda name: means[name])
    found = dict(_grouped(result, measure, best))
    found |= {
        row.b if row.a == best else row.a: row.verdict in TOLD
        for row in rows
        if best in (row.a, row.b) and row.verdict in (*TOLD, *OPEN)
    }
    others = [name for name in means if name != best]
    return Marks(
        measure,
        best,
        tuple(name for name in others if found.get(name) is False),
        tuple(name for name in others if found.get(name) is True),
        tuple(name for name in others if name not in found),
    )


def _grouped(result: Result, measure: str, best: str) -> Iterator[tuple[str, bool]]:
    """Whether each loss is shown worse than the best, where the group of the best tells it."""
    group = result.group
    if group is not None and group.measure == measure and group.best == best:
        yield from ((name, False) for name in group.members)
        yield from ((name, True) for name in group.out)
