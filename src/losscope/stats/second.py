"""The second measure of a goal beside the one that decides: MAP@R beside Recall@1.

It is in no family and decides nothing alone. It can keep "train nothing" from being said, and where it is
better for another side than the answer the sentence says both (docs/definitions.md, "Recommendation").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from losscope.core.quantities import unsplit
from losscope.core.results import Comparison, Recommendation, Unit
from losscope.stats.closed import over_items
from losscope.stats.comparison import Difference, declared
from losscope.stats.intervals import data_like_these_unpaired, mean_interval
from losscope.stats.rows import Frame, Row, comparison, seedless
from losscope.stats.sides import Side, compared
from losscope.stats.standing import OTHER_WAY, SECOND

LEVEL = 0.05


@dataclass(frozen=True)
class Second:
    """The second measure of some sides; ``measure`` is None where the goal has none or no side has it."""

    measure: str | None
    sides: Mapping[str, Side]
    frame: Frame

    def difference(self, x: str, y: str) -> tuple[Difference, Unit] | None:
        """Side x minus side y with the 95 % t interval, and what it is over; None without both ends.

        Over seeds; of two sides that no seed changes, over test items.
        """
        a, b = self.sides.get(x), self.sides.get(y)
        if self.measure is None or a is None or b is None:
            return None
        if not (a.has(self.measure) and b.has(self.measure)):
            return None
        if seedless(self.frame, a, b):
            made = over_items(a.details, b.details, self.measure, alpha=LEVEL)
            if made is None or made[0].low is None:
                return None
            return made[0], "item" if self.frame.by_item else made[1]
        found = compared(a, b, self.measure, alpha=LEVEL, paired=self.frame.paired)
        if self.frame.paired:
            ends = mean_interval(found.differences)
        else:
            known = [[value for value in side.values(self.measure) if value is not None] for side in (a, b)]
            ends = data_like_these_unpaired(known[0], known[1], 0.0)
        return None if ends is None else (replace(found, low=ends[0], high=ends[1]), "seed")

    def better(self, x: str, y: str) -> float | None:
        """By how much more than δ side x is better than y, its interval's nearer end counting; else None."""
        made = self.difference(x, y)
        if made is None:
            return None
        found, _ = made
        if found.low is None or found.high is None:
            return None
        gain = found.low if declared(found.measure).better == "higher" else -found.high
        return gain - found.delta if gain > found.delta else None

    def objectors(self, names: Iterable[str], answer: str) -> list[str]:
        """The sides that are better than the answer by more than δ, the clearest first."""
        gains = {name: gain for name in names if name != answer and (gain := self.better(name, answer))}
        return sorted(gains, key=lambda name: -gains[name])

    @property
    def other_way(self) -> Second:
        """The measure that decides, from the second modality into the first; else without a measure."""
        name = OTHER_WAY.get(unsplit(self.frame.primary)[0])
        known = any(name is not None and side.has(name) for side in self.sides.values())
        return replace(self, measure=name if known else None)

    def row(self, made: Recommendation) -> Comparison | None:
        """The described comparison that a recommendation rests on in the second measure, if it does."""
        if made.second_on is None:
            return None
        seen = replace(self, measure=made.second).difference(*made.second_on)
        assert seen is not None
        found, unit = seen
        return comparison(self.frame, Row(*made.second_on, found, bar=None, data=None, unit=unit), None)


def second_of(sides: Sequence[Side], frame: Frame) -> Second:
    """The second measure of the sides of an analysis.

    >>> second_of([], Frame(False, 1, 0.04, True, (), "recall_at_1")).measure is None
    True
    """
    name = SECOND.get(unsplit(frame.primary)[0])
    known = name if name is not None and any(side.has(name) for side in sides) else None
    return Second(known, {side.name: side for side in sides}, frame)
