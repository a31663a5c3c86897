"""In which share of the settings a claim holds, is reversed, or neither; and the median effect."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from losscope.core.results import MedianEffect, SettingOutcome, Share, Shares
from losscope.core.results.multiverses import FEWEST
from losscope.stats.multiverses.cells import LEVEL, Universe, numbered, setting_means
from losscope.stats.multiverses.draws import drawn_cells, ends, weighted_medians

OUTCOMES: tuple[SettingOutcome, ...] = ("holds", "reversed", "neither", "failed")


def outcomes(means: np.ndarray, delta: float, direction: int) -> np.ndarray:
    """What comes of each setting, (S,), as places in ``OUTCOMES``; a mean of NaN is a failed setting.

    >>> [OUTCOMES[place] for place in outcomes(np.array([0.02, -0.02, 0.01, np.nan]), 0.01, 1)]
    ['holds', 'reversed', 'neither', 'failed']
    """
    towards = direction * means
    found = np.full(len(means), 2)
    found[towards > delta] = 0
    found[towards < -delta] = 1
    found[~np.isfinite(means)] = 3
    return found


def shares(universe: Universe, chosen: np.ndarray, *, seed: int, null: bool = False) -> Shares:
    """The share of each outcome among chosen settings (S,), with its interval by drawing cells.

    ``null``: of the multiverse of one loss under both names.

    Raises:
        ValueError: there is no such multiverse.
    """
    means = universe.means
    if null:
        if universe.null is None:
            raise ValueError("there is no multiverse of one loss under both names")
        means = setting_means(universe.null)
    found = outcomes(means, universe.delta, universe.direction)[chosen]
    count = len(found)
    if not count:
        return Shares(settings=0, cells=0, no_interval="no_settings")
    own, cells = numbered(universe.cell_of[chosen])
    table = np.zeros((cells, len(OUTCOMES)))
    np.add.at(table, (own, found), 1)
    drawn = None
    if cells >= FEWEST:
        weights = drawn_cells(cells, seed)
        drawn = (weights @ table) / (weights @ table.sum(axis=1))[:, None]
    of = {
        name: _share(int(table[:, place].sum()), count, cells, None if drawn is None else drawn[:, place])
        for place, name in enumerate(OUTCOMES)
    }
    return Shares(settings=count, cells=cells, no_interval=None if drawn is not None else "few_cells", **of)


def _share(number: int, count: int, cells: int, drawn: np.ndarray | None) -> Share:
    """A share with its interval.

    Where none or all of the settings have the outcome, every draw is alike and tells nothing. Then the far
    end is that of Clopper and Pearson for as many independent trials as there are cells.
    """
    share = number / count
    if drawn is None:
        return Share(count=number, share=share)
    low, high = ends(drawn)
    if number in (0, count):
        far = float(betaincinv(1, cells, (1 + LEVEL) / 2))  # 0 of so many trials: 1 − ((1 − level) / 2)^(1/n)
        low, high = (0.0, far) if number == 0 else (1 - far, 1.0)
    return Share(count=number, share=share, low=min(low, share), high=max(high, share))


def median_effect(universe: Universe, *, seed: int) -> MedianEffect:
    """The median of the settings' effects, with its interval by drawing cells; failed settings left out."""
    able = universe.able
    if not able.any():
        return MedianEffect(no_interval="no_settings")
    values = universe.means[able]
    median = float(np.median(values))
    own, cells = numbered(universe.cell_of[able])
    if cells < FEWEST:
        return MedianEffect(value=median, no_interval="few_cells")
    low, high = ends(weighted_medians(values, drawn_cells(cells, seed)[:, own]))
    return MedianEffect(value=median, low=min(low, median), high=max(high, median))
