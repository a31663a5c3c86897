"""Which choices decide an effect: Sobol shares of the variance between settings.

Boosted trees learn the settings' effects from their choices; how well is measured on cells that were kept
out. Their surface is then asked at points drawn from each axis by itself, as the space declares them
(estimators of Saltelli et al. 2010, Variance based sensitivity analysis of model output). The shares of the
surface's variance are scaled by what its predictions explain of the true one, so that what the trees did not
learn is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from losscope.core.results import ChoiceShare, Decomposition
from losscope.core.results.multiverses import FEWEST
from losscope.stats.multiverses.axes import Columns, axes_of, columns
from losscope.stats.multiverses.cells import Universe, numbered
from losscope.stats.multiverses.draws import drawn_cells

if TYPE_CHECKING:
    from sklearn.ensemble import GradientBoostingRegressor

LEAST_FIT = 0.5
FOLDS = 5
TREES, RATE = 80, 0.15
POINTS = 512
"""Points at which the surface is asked for each axis."""
REPEATS = 20
"""Draws of cells from which the shares are computed again."""
HALF = 1.96


class Surface(NamedTuple):
    """Shares of a surface's variance by axis, (axes,): of each alone, and with all that it takes part in."""

    first: np.ndarray
    total: np.ndarray


def decompose(universe: Universe, *, seed: int = 0) -> Decomposition:
    """The Sobol shares of each choice, or the reason why there are none."""
    able = universe.able
    own, cells = numbered(universe.cell_of[able])
    if cells < FEWEST:
        return Decomposition(reason="few_cells")
    if universe.seeds < 2:
        return Decomposition(reason="one_seed")
    # In units of the largest, so that no square leaves the numbers there are.
    unit = float(np.abs(universe.effects[able]).max()) or 1.0
    effects = universe.means[able] / unit
    of_seeds = float((universe.effects[able] / unit).var(axis=1, ddof=1).mean() / universe.seeds)
    made = columns(axes_of(universe), able)
    whole = float(effects.var(ddof=1))
    seeds = min(1.0, of_seeds / whole) if whole > 0 else None
    if whole - of_seeds <= 1e-12 * whole:
        return Decomposition(reason="no_variance", seeds=seeds)
    if not made.axes:
        return Decomposition(reason="no_choices", seeds=seeds)
    misses = np.square(effects - _kept_out(made.values, effects, own, seed))
    r2 = 1 - float(misses.sum() / np.square(effects - effects.mean()).sum())
    even = np.ones(len(effects))
    explained = _explained(even, effects, misses, of_seeds)
    if r2 < LEAST_FIT:
        return Decomposition(reason="poor_fit", r2=r2, explained=explained, seeds=seeds)
    found = _scaled(surface(_fitted(made.values, effects, even, seed), made, seed), explained)
    again = []
    for place, weights in enumerate(drawn_cells(cells, seed, REPEATS)[:, own]):
        drawn = surface(_fitted(made.values, effects, weights, seed + place + 1), made, seed)
        again.append(_scaled(drawn, _explained(weights, effects, misses, of_seeds)))
    half = Surface(
        HALF * np.std([each.first for each in again], axis=0, ddof=1),
        HALF * np.std([each.total for each in again], axis=0, ddof=1),
    )
    shares = [
        ChoiceShare(
            name=axis.name,
            first=float(found.first[place]),
            first_low=max(0.0, float(found.first[place] - half.first[place])),
            first_high=min(1.0, float(found.first[place] + half.first[place])),
            total=float(found.total[place]),
            total_low=max(0.0, float(found.total[place] - half.total[place])),
            total_high=min(1.0, float(found.total[place] + half.total[place])),
        )
        for place, axis in enumerate(made.axes)
    ]
    shares.sort(key=lambda share: -share.total)
    return Decomposition(choices=tuple(shares), r2=r2, explained=explained, seeds=seeds)


def _fitted(
    values: np.ndarray, effects: np.ndarray, weights: np.ndarray, seed: int
) -> GradientBoostingRegressor:
    """Boosted trees of the effects (S,) over the columns (S, columns); settings of weight 0 are left out."""
    from sklearn import config_context
    from sklearn.ensemble import GradientBoostingRegressor

    drawn = weights > 0
    trees = GradientBoostingRegressor(
        n_estimators=TREES, learning_rate=RATE, subsample=0.7, random_state=seed
    )
    with config_context(skip_parameter_validation=True):  # which takes as long as the trees themselves
        trees.fit(values[drawn], effects[drawn], sample_weight=weights[drawn].astype(float))
    return trees


def _kept_out(values: np.ndarray, effects: np.ndarray, cell_of: np.ndarray, seed: int) -> np.ndarray:
    """Each setting's effect as predicted from settings of other cells, (S,)."""
    cells = int(cell_of.max()) + 1
    fold_of = np.random.default_rng([seed, cells]).permutation(cells) % FOLDS
    fold = fold_of[cell_of]
    found = np.empty(len(effects))
    for place in range(FOLDS):
        out = fold == place
        found[out] = _fitted(values, effects, ~out, seed).predict(values[out])
    return found


def _explained(weights: np.ndarray, effects: np.ndarray, misses: np.ndarray, seeds: float) -> float:
    """The share of the variance between settings that predictions explain, seeds' variance removed."""
    mean = np.average(effects, weights=weights)
    whole = float(np.average(np.square(effects - mean), weights=weights))
    missed = float(np.average(misses, weights=weights))
    if whole <= seeds:
        return 0.0
    return min(1.0, max(0.0, 1 - (missed - seeds) / (whole - seeds)))


def _scaled(found: Surface, explained: float) -> Surface:
    return Surface(found.first * explained, found.total * explained)


class Predicts(Protocol):
    """Anything that predicts from columns."""

    def predict(self, values: np.ndarray) -> np.ndarray:
        """The effects (points,) at columns (points, columns)."""


def surface(model: Predicts, made: Columns, seed: int, points: int = POINTS) -> Surface:
    """The Sobol shares of a model's own surface, each axis drawn by itself from the settings' values."""
    from scipy.stats import qmc

    axes = len(made.axes)
    drawn = qmc.Sobol(2 * axes, scramble=True, rng=np.random.default_rng(seed)).random(points)
    a, b = _at(made, drawn[:, :axes]), _at(made, drawn[:, axes:])
    mixed = []
    for place in range(axes):
        changed = a.copy()
        own = made.axis == place
        changed[:, own] = b[:, own]
        mixed.append(changed)
    asked = model.predict(np.concatenate([a, b, *mixed])).reshape(axes + 2, points)
    variance = float(asked[:2].var())
    if variance == 0:
        return Surface(np.zeros(axes), np.zeros(axes))
    first = ((asked[1] - asked[:2].mean()) * (asked[2:] - asked[0])).mean(axis=1) / variance
    total = np.square(asked[2:] - asked[0]).mean(axis=1) / (2 * variance)
    first = np.clip(first, 0, 1)
    return Surface(first, np.clip(np.maximum(total, first), 0, 1))


def _at(made: Columns, places: np.ndarray) -> np.ndarray:
    """The columns at points (points, axes) from 0 to 1, each the quantile of its axis among the settings."""
    rows = np.minimum((places * len(made.values)).astype(int), len(made.values) - 1)
    out = np.empty((len(places), made.values.shape[1]))
    for place in range(len(made.axes)):
        own = np.flatnonzero(made.axis == place)
        block = made.values[:, own]
        order = np.lexsort(block.T)
        out[:, own] = block[order][rows[:, place]]
    return out
