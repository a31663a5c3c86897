"""What common shortcuts do to a comparison of losses: rows of numbers, each with its interval."""

from __future__ import annotations

from typing import ClassVar, Literal

from losscope.core.results.base import Document, Frozen, Number
from losscope.core.results.plans import StudyPlan

ShortcutName = Literal["test_epoch", "last_epoch", "drop_last", "usual_numbers", "few_seeds"]
ShortcutQuantity = Literal[
    "inflation",
    "by_gallery",
    "change",
    "size",
    "reversed",
    "reordered",
    "opposed",
    "told_apart",
    "wrong_sign",
]
LossNumbers = Literal["tuned", "usual"]
RowOrder = Literal["stored", "by_class", "shuffled"]
EVERY_DATA = "all"
"""The data of a row over all data sets together."""


class DroppedBatch(Frozen):
    """The incomplete last batch of a loader of test rows.

    Attributes:
        order: of the rows: as they are stored, sorted by class, or shuffled anew for each seed.
        batch_size: rows of a batch.
        rows: test rows, of all seeds together.
        dropped: rows of the last batches among them.
        classes: classes of which no row is left, of all seeds together.
    """

    order: RowOrder
    batch_size: int
    rows: int
    dropped: int
    classes: int


class FewSeeds(Frozen):
    """Comparisons at a few of a study's seeds.

    Attributes:
        seeds: how many.
        above, up_to: only pairs of losses whose difference over all seeds is above the one and at most
            the other, in size; None: no bound.
    """

    seeds: int
    above: Number | None = None
    up_to: Number | None = None


class ShortcutRow(Frozen):
    """One number: what a shortcut does to a loss, to the difference between two, or to all pairs of losses.

    Attributes:
        shortcut: ``test_epoch``: the best epoch on test; ``last_epoch``: the last; both against the epoch
            chosen on validation. ``drop_last``: without the incomplete last batch of test rows, against all
            rows. ``usual_numbers``: every loss at its usual numbers, against tuned ones. ``few_seeds``: fewer
            seeds than all.
        quantity: ``inflation``: the measure with the shortcut minus without it. ``by_gallery``: the part of
            it that the smaller gallery makes: against the same queries that ask all rows. ``change``: of the
            difference a − b. ``size``: the mean over pairs of the sizes of their changes. ``reversed``: the
            share of comparisons at one seed in which the other loss is better, with the shortcut, than
            without. ``reordered``: the share of pairs of which the other is better by the means over all
            seeds. ``opposed``: the share of pairs told apart with it and without it, to opposite sides.
            ``told_apart``: the share of pairs that all seeds tell apart. ``wrong_sign``: the share of
            comparisons at a few seeds in which the other loss is better than at all seeds, among pairs that
            these tell apart; a tie counts as half.
        data: its name, or ``all``.
        losses: one, or the a and b of a difference; empty for all losses or pairs of a data set.
        numbers: at which numbers of the losses; None where both are compared.
        value, low, high: with the ends of the 95 % interval over seeds, None where there is none.
        difference: a − b without the shortcut, of a pair.
        count, of: how many of how many, where the value is a share or the row is a pair's (seeds reversed).
        pairs: pairs of losses that the row is over; 0 for one loss.
        seeds: of the study.
    """

    shortcut: ShortcutName
    quantity: ShortcutQuantity
    data: str
    losses: tuple[str, ...] = ()
    numbers: LossNumbers | None = None
    measure: str
    value: Number
    low: Number | None = None
    high: Number | None = None
    difference: Number | None = None
    count: int | None = None
    of: int | None = None
    pairs: int = 0
    seeds: int
    batch: DroppedBatch | None = None
    few: FewSeeds | None = None


class ShortcutData(Frozen):
    """A data set that shortcuts were tried on. ``notes``: what could not be measured, and why."""

    name: str
    described: str
    losses: tuple[str, ...]
    seeds: int
    tuned: bool
    notes: tuple[str, ...] = ()


class Shortcuts(Document):
    """What common shortcuts do to a comparison. What ``losscope reproduce shortcuts --json`` prints."""

    kind: ClassVar[str] = "shortcuts"
    command: str
    data: tuple[ShortcutData, ...]
    rows: tuple[ShortcutRow, ...]
    said: tuple[str, ...]
    losscope: str
    machine: str = ""

    def found(
        self, shortcut: ShortcutName, quantity: ShortcutQuantity, data: str | None = None
    ) -> tuple[ShortcutRow, ...]:
        """The rows of a shortcut's quantity, of one data set or of all."""
        return tuple(
            row
            for row in self.rows
            if (row.shortcut, row.quantity) == (shortcut, quantity) and data in (None, row.data)
        )


class ShortcutsPlan(Document):
    """What that costs. What ``losscope reproduce shortcuts --dry-run --json`` prints.

    ``studies``: the tuned studies that are to be run; ``again``: their runs that are trained once more and
    measured on test after every epoch; ``again_left``: those of them that are not stored.
    """

    kind: ClassVar[str] = "shortcuts plan"
    data: tuple[str, ...]
    losses: tuple[str, ...]
    seeds: int
    studies: tuple[StudyPlan, ...]
    again: int
    again_left: int
    said: str
