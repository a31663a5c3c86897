"""How rows become train, validation and test: stratified, class-disjoint, group-disjoint, and checked."""

from __future__ import annotations

import numpy as np


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


def hold_out_whole(groups: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A boolean mask (N,) that holds out whole groups (or classes): ``share`` of them, at least one.

    >>> groups = np.repeat(np.arange(10), 3)
    >>> held = hold_out_whole(groups, 0.2, np.random.default_rng(0))
    >>> len(np.unique(groups[held])), len(set(groups[held]) & set(groups[~held]))
    (2, 0)
    """
    values = np.unique(groups)
    chosen = rng.permutation(values)[: max(1, round(share * len(values)))]
    return np.isin(groups, chosen)


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
