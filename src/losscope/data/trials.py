"""On which rows tuning is judged: those that any seed holds out, or folds where these are of few classes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from losscope.core import registry
from losscope.core.facts import Judged
from losscope.data import splits as rules
from losscope.data.base import TRAIN, VALIDATION, About, Source, Splits, Table

FOLDS = 5
"""Folds of the classes that are not tested, of which each seed of tuning is judged on another."""
FEWEST_VALIDATED = 20
"""Classes that validation holds out, below which they are folds."""
FEWEST_TRAINED = 10
"""Classes left to train on, below which validation holds out rows of each class."""


@dataclass(frozen=True, eq=False)
class Folded(Source):
    """A table of which a seed holds out one fold of the classes for validation: the fold seed mod ``FOLDS``.

    Seeds that follow each other have no validation class in common.
    """

    table: Table
    facts: About
    digest: str

    def splits(self, seed: int) -> Splits:
        """The parts of a seed."""
        return self._of(seed).splits(seed)

    def sizes(self) -> tuple[int, int, int]:
        """Rows of train, validation and test, for seed 0."""
        return self._of(0).sizes()

    def class_counts(self) -> np.ndarray:
        """Rows of each class, all parts together."""
        return self.table.class_counts()

    @property
    def redrawn(self) -> bool:
        """Training parts differ in their classes."""
        return True

    def training_labels(self, seed: int) -> np.ndarray:
        """The labels (N,) of a seed's training part."""
        return self._of(seed).training_labels(seed)

    def undecided_validation(self, seed: int) -> str | None:
        """What the fold of a seed has, if it can decide nothing; else None."""
        return self._of(seed).undecided_validation(seed)

    def _of(self, seed: int) -> Table:
        """The table with the fold of a seed as its given validation part."""
        assert self.table.whole is not None
        rest = self.table.role == TRAIN
        values = np.unique(self.table.whole[rest])
        order = rules.generator(0, "folds of tuning").permutation(values[values >= 0])
        held = rest & np.isin(self.table.whole, np.array_split(order, FOLDS)[seed % FOLDS])
        return dataclasses.replace(self.table, role=np.where(held, VALIDATION, self.table.role))


def judged(source: Source, protocol: str) -> tuple[Judged, str]:
    """What tuning under a protocol is judged on, and a sentence where it is not what any seed holds out.

    Only under protocols that tune by themselves: others keep what they were.
    """
    plain: tuple[Judged, str] = ("draws", "")
    if not registry.entry("protocol", protocol).facts.tunes or not isinstance(source, Table):
        return plain
    given = source.folds is not None or bool(np.any(source.role == VALIDATION))
    if given or source.whole is None or not source.classwise or source.pool.tags is not None:
        return plain
    rest = source.pool.labels[source.role == TRAIN]
    groups = source.whole[source.role == TRAIN]
    count = len(np.unique(groups[groups >= 0]))
    held = max(rules.least_classes(rest), round(rules.VALIDATION_SHARE * count))
    left = count - held
    sizes = np.unique(rest[rest >= 0], return_counts=True)[1]
    without = source.facts.by_item or source.facts.of_pairs
    if left < FEWEST_TRAINED:
        if without or int((sizes >= 4).sum()) < 2:
            return plain
        return "rows", (
            f"tuning is judged on a fifth of the rows of each class, since classes held out would leave "
            f"{left} to train on, fewer than {FEWEST_TRAINED}"
        )
    if held < FEWEST_VALIDATED:
        what = "items" if without else "classes"
        return "folds", (
            f"tuning is judged on {FOLDS} folds of the {what} outside of the test, another fold for each of "
            f"its seeds, since a seed would hold out {held} {what}, fewer than {FEWEST_VALIDATED}"
        )
    return plain


def for_trials(source: Source, protocol: str) -> Source:
    """The source that trials of tuning draw from, with a digest of its own where it is another."""
    of, _ = judged(source, protocol)
    if of == "draws" or not isinstance(source, Table):
        return source
    digest = f"{source.digest}, tuning on {of}"
    if of == "rows":
        return dataclasses.replace(source, whole=None, classwise=False, digest=digest)
    return Folded(source, source.facts, digest)
