"""Recall@1 of every class under every side, as tables: which fail, where losses differ, what is confused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from losscope.core import wording
from losscope.core.results import ClassScores
from losscope.core.wording import Digits
from losscope.reporting.figure import class_name
from losscope.reporting.parts import Cell, Context, Grid
from losscope.stats.intervals import t_half

DIGITS = Digits(3)


@dataclass(frozen=True)
class Spread:
    """A value of each class over seeds: its mean (C,), and the half width of its 95 % interval (C,)."""

    mean: np.ndarray
    half: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """Of values (S, C), NaN where a seed has none; the half width is NaN where fewer than two have."""
        known = np.isfinite(values)
        count = known.sum(axis=0)
        there = np.maximum(count, 1)
        mean = np.where(count > 0, np.where(known, values, 0).sum(axis=0) / there, np.nan)
        squares = np.where(known, values - mean, 0) ** 2
        half = np.full(len(count), np.nan)
        for number in np.unique(count[count > 1]).tolist():
            own = count == number
            deviation = np.sqrt(squares.sum(axis=0)[own] / (number - 1))
            half[own] = t_half(0.95, number - 1) * deviation / np.sqrt(number)
        return cls(mean, half)


@dataclass(frozen=True, eq=False)
class ByClass:
    """Every class under every side.

    Attributes:
        scores: of each side, the losses first.
        losses: the names of the losses.
        names: of the classes, where the data have them.
    """

    scores: Mapping[str, ClassScores]
    losses: Sequence[str]
    names: Sequence[str] | None

    @property
    def kind(self) -> str:
        """What a row of the tables is: a class, or a label where rows may have several."""
        return "label" if self.scores[self.losses[0]].several else "class"

    @cached_property
    def labels(self) -> np.ndarray:
        """(C,) the classes that every side has."""
        every = [own.labels for own in self.scores.values()]
        common = every[0]
        for other in every[1:]:
            common = np.intersect1d(common, other)
        return common

    @cached_property
    def recall(self) -> dict[str, np.ndarray]:
        """(S, C) by side."""
        return {
            name: own.recall[:, np.searchsorted(own.labels, self.labels)] for name, own in self.scores.items()
        }

    @cached_property
    def spread(self) -> dict[str, Spread]:
        """The mean and interval of each class, by side."""
        return {name: Spread.of(values) for name, values in self.recall.items()}

    @cached_property
    def queries(self) -> np.ndarray:
        """(C,) the queries of each class in a seed."""
        own = self.scores[self.losses[0]]
        return own.queries[np.searchsorted(own.labels, self.labels)]

    @cached_property
    def level(self) -> np.ndarray:
        """(C,) the mean over the losses."""
        means: np.ndarray = np.mean([self.spread[name].mean for name in self.losses], axis=0)
        return means

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) places of the best and of the worst loss of each class."""
        means = np.stack([np.nan_to_num(self.spread[name].mean, nan=-1.0) for name in self.losses])
        return means.argmax(axis=0), means.argmin(axis=0)

    @cached_property
    def gap(self) -> np.ndarray:
        """(C,) how far the best loss of a class is above its worst."""
        means = np.stack([self.spread[name].mean for name in self.losses])
        widest: np.ndarray = np.nan_to_num(means.max(axis=0) - means.min(axis=0))
        return widest

    def name(self, place: int) -> str:
        """What a class is called."""
        return class_name(self.labels[place], self.names)

    def worst(self) -> np.ndarray:
        """The places of the classes, the worst first; of equal ones in their order."""
        return np.argsort(np.nan_to_num(self.level, nan=2.0), kind="stable")

    def apart(self) -> np.ndarray:
        """The places of the classes, those first in which the losses differ most."""
        return np.argsort(-self.gap, kind="stable")

    def table(self, caption: str, places: Sequence[int]) -> Grid:
        """Recall@1 of some classes under every side."""
        several = len(self.losses) > 1
        heads: list[str | Cell] = [self.kind, "queries", *self.scores]
        heads += (
            [Cell("between losses", title=f"the best loss of the {self.kind} minus its worst")]
            if several
            else []
        )
        rows: list[list[str | Cell]] = []
        for place in places:
            row: list[str | Cell] = [self.name(place), f"{self.queries[place]:,.0f}"]
            row += [self._cell(self.spread[name], place) for name in self.scores]
            rows.append([*row, self._between(place)] if several else row)
        return Grid(caption, heads, rows, words=1)

    def _cell(self, spread: Spread, place: int) -> Cell:
        mean, half = spread.mean[place], spread.half[place]
        if not np.isfinite(half):
            return Cell(wording.number(mean, DIGITS))
        low, high = max(0.0, mean - half), min(1.0, mean + half)
        return Cell(wording.number(mean, DIGITS), wording.interval(low, high, DIGITS))

    def _between(self, place: int) -> Cell:
        best, worst = (self.losses[int(end[place])] for end in self.ends)
        if best == worst or not self.gap[place] > 0:
            return Cell("0", "equal")
        return Cell(wording.number(self.gap[place], DIGITS, signed=True), f"{best} over {worst}")

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of classes (of the query, of its nearest item), those first that the losses confuse most."""
        totals: dict[tuple[int, int], int] = {}
        for name in self.losses:
            for pair in self.scores[name].confused:
                totals[pair.asked, pair.found] = totals.get((pair.asked, pair.found), 0) + pair.count
        return sorted(totals, key=lambda pair: (-totals[pair], pair))

    def confusions(self, caption: str, pairs: Sequence[tuple[int, int]]) -> Grid:
        """How often each side confuses some pairs of classes, and the share of the class's queries."""
        counts = {
            name: {(pair.asked, pair.found): pair.count for pair in own.confused}
            for name, own in self.scores.items()
            if own.seeds
        }
        asked = dict(zip(self.labels.tolist(), self.queries.tolist(), strict=True))
        rows: list[list[str | Cell]] = []
        for pair in pairs:
            names = [class_name(label, self.names) if label >= 0 else "background" for label in pair]
            row: list[str | Cell] = [*names]
            for name, own in counts.items():
                whole = asked.get(pair[0], 0.0) * self.scores[name].seeds
                row.append(_count(own.get(pair), whole, self.scores[name].rest))
            rows.append(row)
        return Grid(caption, ["query of", "nearest item of", *counts], rows)


def by_class(context: Context) -> ByClass | None:
    """Every class under every side, the losses first; None where no loss has scores of classes."""
    scores = context.evidence.classes
    losses = [name for name in context.losses if name in scores]
    if not losses:
        return None
    kept = {name: scores[name] for name in (*losses, *(name for name in scores if name not in losses))}
    return ByClass(kept, losses, context.class_names)


def differing(context: Context) -> list[int]:
    """The classes in which the losses differ, those first in which they differ most."""
    found = by_class(context)
    if found is None:
        return []
    return [int(found.labels[place]) for place in found.apart() if found.gap[place] > 0]


def _count(count: int | None, whole: float, rest: int) -> Cell:
    """How often a pair was confused, of ``whole`` queries; of one that is not kept, at most so often."""
    if count is None:
        return Cell(f"≤ {rest:,}" if rest else "0")
    return Cell(f"{count:,}", f"{100 * count / whole:.1f}\u00a0%" if whole >= count else "")
