"""Is there an effect in any setting? The names of the losses swapped, cell by cell."""

from __future__ import annotations

import numpy as np

from losscope.core.results import JointTest
from losscope.stats.multiverses.cells import Universe, numbered

EXACT_CELLS = 13
"""Up to so many cells all 2^(cells − 1) ways to swap are tried."""
SWAPS = 9_999
"""Seeded ways to swap beyond that."""
CHUNK = 512
TIE = 1e-12
"""Share of the statistic up to which two are equal: their means were rounded otherwise."""


def joint_test(universe: Universe, *, seed: int = 0) -> JointTest | None:
    """The permutation test of "no effect in any setting"; None where no setting has an effect.

    The statistic is |median effect| / δ. Under the hypothesis the names of the losses mean nothing, so that
    swapping them in all settings of a cell changes nothing but the signs of its effects. The way that was
    seen counts as one of those drawn, p = (b + 1) / (m + 1).
    """
    able = universe.able
    if not able.any():
        return None
    values = universe.means[able] / universe.delta
    own, cells = numbered(universe.cell_of[able])
    seen = abs(float(np.median(values)))
    exact = cells <= EXACT_CELLS
    total = 2 ** (cells - 1) if exact else SWAPS + 1
    as_far = 0
    for signs in _signs(cells, exact, seed):
        found = np.abs(np.median(signs[:, own] * values, axis=1))
        as_far += int(np.count_nonzero(found >= seen * (1 - TIE)))
    as_far += 0 if exact else 1
    return JointTest(statistic=seen, p=as_far / total, smallest=1 / total, cells=cells, exact=exact)


def _signs(cells: int, exact: bool, seed: int) -> list[np.ndarray]:
    """Signs of the cells in chunks, (ways, cells): all that differ by more than all signs, or drawn ones."""
    if exact:
        ways = np.arange(2 ** (cells - 1))
        bits = (ways[:, None] >> np.arange(cells)[None, :]) & 1
    else:
        bits = np.random.default_rng([seed, cells]).integers(0, 2, size=(SWAPS, cells), dtype=np.int8)
    return [1 - 2 * bits[start : start + CHUNK].astype(np.float64) for start in range(0, len(bits), CHUNK)]
