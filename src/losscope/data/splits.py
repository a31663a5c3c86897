"""How rows become train, validation and test: stratified, class-disjoint, group-disjoint, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
"""The roles of a table's rows; a table whose rows never say VALIDATION has it redrawn by seed."""
VALIDATION_SHARE = 0.2
"""Of the rows or classes outside of the test, what a seed holds out."""


def generator(seed: int, *dimensions: str | int) -> np.random.Generator:
    """The random numbers of one named use of a seed's data, the same whatever else is drawn."""
    from losscope.core.spec import seed_of

    return np.random.default_rng(seed_of(seed, "data", *dimensions))


def hold_out_stratified(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A boolean mask (N,) that holds out ``share`` of each class.

    A class gives at least two rows, so that a held-out row has another of its class to find, and keeps
    at least two; a class of fewer than four gives none.

    >>> labels = np.repeat([0, 1, 2], [100, 10, 3])
    >>> held = hold_out_stratified(labels, 0.2, np.random.default_rng(0))
    >>> np.bincount(labels[held], minlength=3)
    array([20,  2,  0])
    """
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    wanted = np.floor(counts * share + 0.5).astype(np.int64)
    wanted = np.where(counts < 4, 0, np.clip(wanted, 2, counts - 2))
    order = rng.permutation(len(labels))
    order = order[np.argsort(inverse[order], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    held = np.zeros(len(labels), bool)
    held[order] = rank < np.repeat(wanted, counts)
    return held


def hold_out_whole(groups: np.ndarray, share: float, rng: np.random.Generator, least: int = 1) -> np.ndarray:
    """A boolean mask (N,) that holds out whole groups (or classes): ``share`` of them, at least ``least``.

    Rows of a negative number (background) belong to none and stay.

    >>> groups = np.repeat(np.arange(10), 3)
    >>> held = hold_out_whole(groups, 0.2, np.random.default_rng(0))
    >>> len(np.unique(groups[held])), len(set(groups[held]) & set(groups[~held]))
    (2, 0)
    """
    values = np.unique(groups[groups >= 0])
    chosen = rng.permutation(values)[: max(least, round(share * len(values)))]
    return np.isin(groups, chosen)


def least_classes(labels: np.ndarray) -> int:
    """Classes that validation holds out at least, of rows with these labels (N,): of few two.

    >>> least_classes(np.array([0, 0, 1, 2, 3, -1])), least_classes(np.arange(20))
    (2, 1)
    """
    return 2 if 4 <= len(np.unique(labels[labels >= 0])) < 8 else 1


def undecidable(labels: np.ndarray, names: Sequence[str] = (), *, paired: bool = False) -> str | None:
    """What rows with these labels (N,) have, if retrieval among them has one possible result; else None.

    Labels below 0 are background. ``paired``: each row is two items, one of each modality, so that a row
    alone in its class has a positive too.

    >>> undecidable(np.array([0, 0, 0, -1]), ("cat", "dog"))
    "one class only ('cat', 3 of 4 rows; 1 is background)"
    >>> undecidable(np.array([0, 0, 1, 1]))
    """
    if not len(labels):
        return "no rows"
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    rows = int(counts.sum())
    lost = len(labels) - rows
    if not rows:
        return f"no row with a label (all {len(labels):,} are background)"
    named = f"{names[values[counts.argmax()]]!r}, " if len(names) else ""
    most = int(counts.max())
    if len(values) == 1:
        rest = f"; {lost:,} {'is' if lost == 1 else 'are'} background" if lost else ""
        return f"one class only ({named}{rows:,} of {len(labels):,} rows{rest})"
    if paired:
        return None
    if most < 2:
        return f"{rows:,} rows in {rows:,} classes, no two of one class"
    # With one class that has positives, a random neighbour is right for this share of its rows.
    if int((counts > 1).sum()) == 1 and most - 1 > 0.9 * (rows - 1):
        return f"one class of two rows or more ({named}{most:,} of {rows:,} rows), the others alone"
    return None


def redraw_labels(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Each label redrawn with probability ``share``, uniformly over the classes present, its own included.

    Background (-1) stays. The draws do not depend on the labels, only on their number.
    """
    redrawn = rng.random(len(labels)) < share
    values = np.unique(labels[labels >= 0])
    fresh = values[rng.integers(len(values), size=len(labels))]
    return np.where(redrawn & (labels >= 0), fresh, labels)


def remap(tuples: np.ndarray | None, rows: np.ndarray, size: int, columns: int) -> np.ndarray | None:
    """Explicit tuples (P, 3) of a part of ``size`` rows in the numbering of a selection of its rows.

    The first ``columns`` columns are row numbers; tuples with a row outside the selection fall away.
    """
    if tuples is None:
        return None
    place = np.full(size, -1, np.int64)
    place[rows] = np.arange(len(rows))
    moved = tuples.copy()
    moved[:, :columns] = place[tuples[:, :columns]]
    return moved[(moved[:, :columns] >= 0).all(1)]


def positive_pairs(pairs: np.ndarray | None, triplets: np.ndarray | None) -> np.ndarray:
    """The different pairs (P, 2) of two rows that explicit pairs and triplets call the same, lower row first.

    >>> positive_pairs(np.array([[1, 0, 1], [0, 1, 1], [2, 0, 0], [2, 2, 1]]), np.array([[3, 4, 0]])).tolist()
    [[0, 1], [3, 4]]
    """
    links = [np.empty((0, 2), np.int64)]
    if pairs is not None:
        links.append(pairs[pairs[:, 2] == 1, :2])
    if triplets is not None:
        links.append(triplets[:, :2])
    ends = np.unique(np.sort(np.concatenate(links), axis=1), axis=0)
    return ends[ends[:, 0] != ends[:, 1]]


@dataclass(frozen=True, eq=False)
class Folds:
    """Which fold each row is in, (N,) from 0 (-1: in none, always trained on), and how they were made."""

    of_row: np.ndarray
    count: int
    made: str
    notes: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """How the parts are made, in words."""
        return f"{self.count} folds {self.made}, test is fold seed mod {self.count}, validation by seed"

    def role(self, seed: int) -> np.ndarray:
        """The part of each row (N,) for a seed: its fold is the test part, the others are trained on."""
        return np.where(self.of_row == seed % self.count, TEST, TRAIN).astype(np.int8)

    @property
    def roles(self) -> list[np.ndarray]:
        """The part of each row (N,) for every fold."""
        return [self.role(fold) for fold in range(self.count)]
