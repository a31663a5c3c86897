"""The second measure of a goal beside the one that decides: MAP@R beside Recall@1.

It is in no family and decides nothing alone. It can keep "train nothing" from being said, and where it is
better for another side than the answer the sentence says both (docs/definitions.md, "Recommendation").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from losscope.core import wording
from losscope.core.quantities import unsplit
from losscope.core.results import Comparison, Recommendation
from losscope.stats.closed import over_items
from losscope.stats.comparison import Difference, compare, declared
from losscope.stats.intervals import data_like_these_unpaired, mean_interval
from losscope.stats.sides import Side, draws_nothing, plain
from losscope.stats.standing import SECOND

LEVEL = 0.05


@dataclass(frozen=True)
class Second:
    """The second measure of some sides; ``measure`` is None where the goal has none or no side has it."""

    measure: str | None
    sides: Mapping[str, Side]
    paired: bool
    generated: bool
    look: int

    def difference(self, x: str, y: str) -> Difference | None:
        """Side x minus side y with the 95 % t interval over seeds; None without both ends.

        Of two sides that no seed changes, the interval is over test items.
        """
        a, b = self.sides.get(x), self.sides.get(y)
        if (
            self.measure is None
            or a is None
            or b is None
            or not (a.has(self.measure) and b.has(self.measure))
        ):
            return None
        values = a.values(self.measure), b.values(self.measure)
        found = compare(*values, self.measure, alpha=LEVEL, failed=(a.failed, b.failed), paired=self.paired)
        if draws_nothing(a) and draws_nothing(b) and self.paired and not self.generated:
            made = over_items(
                [run.detail for run in a.runs], [run.detail for run in b.runs], self.measure, alpha=LEVEL
            )
            return None if made is None or made[0].low is None else made[0]
        if self.paired:
            ends = mean_interval(found.differences)
        else:
            known = [[value for value in side if value is not None] for side in values]
            ends = data_like_these_unpaired(known[0], known[1], 0.0)
        return None if ends is None else replace(found, low=ends[0], high=ends[1])

    def better(self, x: str, y: str) -> float | None:
        """By how much more than δ side x is better than y, its interval's nearer end counting; else None."""
        found = self.difference(x, y)
        if found is None or found.low is None or found.high is None:
            return None
        gain = found.low if declared(found.measure).better == "higher" else -found.high
        return gain - found.delta if gain > found.delta else None

    def objectors(self, names: Iterable[str], answer: str) -> list[str]:
        """The sides that are better than the answer by more than δ, the clearest first."""
        gains = {name: gain for name in names if name != answer and (gain := self.better(name, answer))}
        return sorted(gains, key=lambda name: -gains[name])

    def row(self, made: Recommendation) -> Comparison | None:
        """The described comparison that a recommendation rests on in the second measure, if it does."""
        if made.second_on is None:
            return None
        found = self.difference(*made.second_on)
        assert found is not None
        row = Comparison(
            a=made.second_on[0],
            b=made.second_on[1],
            measure=found.measure,
            scale=found.scale,
            primary=False,
            family=None,
            n=found.n,
            difference=plain(found.difference),
            low=plain(found.low),
            high=plain(found.high),
            low_data=None,
            high_data=None,
            p=None,
            p_holm=None,
            p_attainable=None,
            tests_in_family=None,
            look=self.look,
            alpha=LEVEL,
            delta=found.delta,
            verdict=None,
            better=None,
            scope="data_like_these" if self.generated else "these_data",
            seeds_needed=None,
            paired=found.paired,
            runs=found.runs,
            failed=found.failed,
            missing=found.missing,
            mean_a=plain(found.mean_a),
            mean_b=plain(found.mean_b),
            sd=plain(found.sd),
            smallest_p=found.smallest,
        )
        return row.model_copy(update={"sentence": wording.sentence(row)})


def second_of(sides: Sequence[Side], primary: str, *, paired: bool, generated: bool, look: int) -> Second:
    """The second measure of the sides of an analysis.

    >>> second_of([], "recall_at_1", paired=True, generated=False, look=1).measure is None
    True
    """
    name = SECOND.get(unsplit(primary)[0])
    known = name if name is not None and any(side.has(name) for side in sides) else None
    return Second(known, {side.name: side for side in sides}, paired, generated, look)
