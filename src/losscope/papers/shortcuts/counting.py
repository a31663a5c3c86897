"""The rows of every shortcut: numbers and their intervals, from the values of a study's runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from losscope.core.results import (
    EVERY_DATA,
    DroppedBatch,
    FewSeeds,
    LossNumbers,
    RowOrder,
    ShortcutName,
    ShortcutRow,
)
from losscope.papers.shortcuts.dropping import Dropped
from losscope.papers.shortcuts.looking import Course
from losscope.papers.shortcuts.subjects import MEASURES, Subject, differences, pairs_of
from losscope.stats import shortcuts as stats

FEW = (1, 2, 3)
"""Seeds of a comparison that has few."""
SIZES = (None, 0.005, 0.01, 0.02, 0.05, None)
"""Between each and the next: the sizes of differences over all seeds by which wrong signs are counted."""


@dataclass(frozen=True)
class Shifted:
    """Values with a shortcut and without it, (seeds, losses), and what the rows of them share."""

    shortcut: ShortcutName
    data: str
    losses: tuple[str, ...]
    measure: str
    shown: np.ndarray
    proper: np.ndarray
    numbers: LossNumbers | None = None

    @property
    def seeds(self) -> int:
        """Paired seeds."""
        return len(self.shown)

    def row(self, found: stats.Estimate, **fields: Any) -> ShortcutRow:
        """One row of it."""
        return ShortcutRow(
            shortcut=self.shortcut,
            data=self.data,
            measure=self.measure,
            value=rounded(found.value),
            low=rounded(found.low),
            high=rounded(found.high),
            seeds=self.seeds,
            numbers=self.numbers,
            **fields,
        )


@overload
def rounded(value: float) -> float: ...
@overload
def rounded(value: float | None) -> float | None: ...
def rounded(value: float | None) -> float | None:
    """A number as rows have it: with six decimals."""
    return None if value is None else round(value, 6)


def rows_of(shift: Shifted) -> Iterator[ShortcutRow]:
    """What a shortcut does to each loss, to each pair of losses, and to all pairs together."""
    for place, loss in enumerate(shift.losses):
        moved = shift.shown[:, place] - shift.proper[:, place]
        yield shift.row(stats.mean_over_seeds(moved), quantity="inflation", losses=(loss,))
    shown, proper = differences(shift.shown), differences(shift.proper)
    turned = stats.reversals(shown, proper).sum(axis=0)
    if shift.measure == MEASURES[0]:
        for place, (a, b) in enumerate(pairs_of(shift.losses)):
            yield shift.row(
                stats.mean_over_seeds(shown[:, place] - proper[:, place]),
                quantity="change",
                losses=(shift.losses[a], shift.losses[b]),
                difference=rounded(float(proper[:, place].mean())),
                count=int(turned[place]),
                of=shift.seeds,
                pairs=1,
            )
    yield from over_pairs(shift, shown, proper)
    yield from orders(shift, shown, proper)


def over_pairs(shift: Shifted, shown: np.ndarray, proper: np.ndarray) -> Iterator[ShortcutRow]:
    """How far the differences (seeds, pairs) of all pairs move, and how often the other loss is better."""
    pairs = shown.shape[1]
    size = stats.mean_over_seeds(np.abs(shown - proper).mean(axis=1))
    yield shift.row(size, quantity="size", pairs=pairs)
    turned = stats.reversals(shown, proper)
    yield shift.row(
        stats.share_over_seeds(turned.mean(axis=1)),
        quantity="reversed",
        count=int(turned.sum()),
        of=turned.size,
        pairs=pairs,
    )


def epochs(subject: Subject, courses: Mapping[str, Course]) -> Iterator[Shifted]:
    """The best epoch on test, and the last, against the best on validation, of losses with all values."""
    found = {loss: course for loss, course in courses.items() if course.whole}
    if len(found) < 2:
        return
    for column, measure in enumerate(MEASURES):
        curves = [(own.validation[..., column], own.test[..., column]) for own in found.values()]
        proper = np.stack([stats.at_validated(*pair) for pair in curves], axis=1)
        shown: dict[ShortcutName, np.ndarray] = {
            "test_epoch": np.stack([test.max(axis=1) for _, test in curves], axis=1),
            "last_epoch": np.stack([test[:, -1] for _, test in curves], axis=1),
        }
        for name, values in shown.items():
            yield Shifted(name, subject.name, tuple(found), measure, values, proper, subject.best)


def last_batches(
    subject: Subject, found: Mapping[str, Mapping[tuple[RowOrder, int], Dropped]]
) -> Iterator[ShortcutRow]:
    """What leaving out the last batch does, averaged over the losses, and to which of two is better.

    A batch size that leaves no batch incomplete, or is larger than the test part, has no rows here.
    """
    losses = tuple(found)
    for cell in found[losses[0]]:
        own = [found[loss][cell] for loss in losses]
        batch = DroppedBatch(
            order=cell[0],
            batch_size=cell[1],
            rows=int(own[0].rows.sum()),
            dropped=int(own[0].dropped.sum()),
            classes=int(own[0].classes.sum()),
        )
        if not batch.dropped:
            continue
        for column, measure in enumerate(MEASURES):
            whole, kept, asked = (
                np.stack([getattr(each, part)[:, column] for each in own], axis=1)
                for part in ("whole", "kept", "asked")
            )
            shift = Shifted("drop_last", subject.name, losses, measure, kept, whole, subject.best)
            yield shift.row(
                stats.mean_over_seeds((kept - whole).mean(axis=1)), quantity="inflation", batch=batch
            )
            yield shift.row(
                stats.mean_over_seeds((kept - asked).mean(axis=1)), quantity="by_gallery", batch=batch
            )
            for row in over_pairs(shift, differences(kept), differences(whole)):
                yield row.model_copy(update={"batch": batch})


def usual_numbers(subject: Subject) -> Iterator[ShortcutRow]:
    """Every loss at its usual numbers against tuned ones."""
    for measure in MEASURES:
        usual, tuned = subject.values("usual", measure), subject.values("tuned", measure)
        yield from rows_of(Shifted("usual_numbers", subject.name, subject.losses, measure, usual, tuned))


def orders(shift: Shifted, shown: np.ndarray, proper: np.ndarray) -> Iterator[ShortcutRow]:
    """How many pairs are in the other order by their means, and are told apart to opposite sides."""
    pairs = shown.shape[1]
    turned = stats.reversals(shown.mean(axis=0), proper.mean(axis=0))
    opposed = int((turned & stats.told_apart(shown) & stats.told_apart(proper)).sum())
    shared: dict[str, Any] = {"of": pairs, "pairs": pairs}
    yield shift.row(
        stats.reversed_means(shown, proper), quantity="reordered", count=int(turned.sum()), **shared
    )
    share = stats.Estimate(opposed / pairs, None, None)
    yield shift.row(share, quantity="opposed", count=opposed, **shared)


def few_seeds(
    data: str, measure: str, numbers: LossNumbers, found: np.ndarray, *, by_size: bool = False
) -> Iterator[ShortcutRow]:
    """Wrong signs at a few seeds, of differences (seeds, pairs), among pairs that all seeds tell apart."""
    apart = stats.told_apart(found)
    shared: dict[str, Any] = {
        "shortcut": "few_seeds",
        "data": data,
        "numbers": numbers,
        "measure": measure,
        "seeds": len(found),
    }
    yield ShortcutRow(
        **shared,
        quantity="told_apart",
        value=rounded(float(apart.mean())),
        count=int(apart.sum()),
        of=len(apart),
        pairs=len(apart),
    )
    sizes = np.abs(found.mean(axis=0))
    bounds: list[tuple[float | None, float | None]] = [(None, None)]
    bounds += list(zip(SIZES, SIZES[1:], strict=False)) if by_size else []
    for above, up_to in bounds:
        inside = apart & (sizes > (above or 0.0)) & (sizes <= (np.inf if up_to is None else up_to))
        for few in FEW if inside.any() else ():
            wrong = stats.wrong_signs(found[:, inside], few)
            yield ShortcutRow(
                **shared,
                quantity="wrong_sign",
                value=rounded(wrong.value),
                low=rounded(wrong.low),
                high=rounded(wrong.high),
                pairs=int(inside.sum()),
                few=FewSeeds(seeds=few, above=above, up_to=up_to),
            )


def over_data(subjects: Sequence[Subject]) -> Iterator[ShortcutRow]:
    """Wrong signs and reversed orders over all pairs of all data sets, by as many seeds as all have.

    Seeds of one place are taken together: those of different data sets are independent however they are put
    together.
    """
    if len(subjects) < 2:
        return
    seeds = min(len(subject.seeds) for subject in subjects)

    def joined(own: Sequence[Subject], numbers: LossNumbers, measure: str) -> np.ndarray:
        return np.concatenate(
            [differences(subject.values(numbers, measure))[:seeds] for subject in own], axis=1
        )

    for measure in MEASURES:
        for numbers in dict.fromkeys(numbers for subject in subjects for numbers in subject.sides):
            having = [subject for subject in subjects if numbers in subject.sides]
            found = joined(having, numbers, measure)
            yield from few_seeds(EVERY_DATA, measure, numbers, found, by_size=True)
        tuned = [subject for subject in subjects if subject.tuned]
        if len(tuned) > 1:
            usual, best = joined(tuned, "usual", measure), joined(tuned, "tuned", measure)
            shift = Shifted("usual_numbers", EVERY_DATA, (), measure, usual, best)
            yield from orders(shift, usual, best)
