"""Draws of cells with replacement, and what comes of them."""

from __future__ import annotations

import numpy as np

from losscope.stats.multiverses.cells import LEVEL

DRAWS = 2000
"""Draws of cells for an interval."""


def drawn_cells(cells: int, seed: int, draws: int = DRAWS) -> np.ndarray:
    """How often each of some cells is drawn, (draws, cells): as many as there are, with replacement."""
    chances = np.full(cells, 1 / cells)
    return np.random.default_rng([seed, cells]).multinomial(cells, chances, size=draws)


def ends(values: np.ndarray) -> tuple[float, float]:
    """The ends between which the middle 95 % of drawn values (draws,) lie."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def weighted_medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median of values (S,), each as often as one row of the weights (draws, S) says; whole numbers.

    A draw without any value is NaN.

    >>> weighted_medians(np.array([3.0, 1.0, 2.0]), np.array([[1, 1, 1], [2, 2, 0], [0, 0, 0]]))
    array([ 2.,  2., nan])
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    reached = weights[:, order].cumsum(axis=1)
    total = reached[:, -1:]
    lower = (2 * reached >= total).argmax(axis=1)
    upper = (2 * reached > total).argmax(axis=1)
    middle = (ordered[lower] + ordered[upper]) / 2
    return np.where(total[:, 0] > 0, middle, np.nan)
