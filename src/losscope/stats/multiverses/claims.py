"""Everything that a multiverse says of its claims, as typed results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losscope.core.results import Choice, MultiverseClaim, PaperSetting, SettingEffect
from losscope.core.wording import multiverses as wording
from losscope.stats.multiverses.axes import axes_of
from losscope.stats.multiverses.cells import Universe
from losscope.stats.multiverses.deciding import decompose
from losscope.stats.multiverses.joint import joint_test
from losscope.stats.multiverses.rules import rule_of
from losscope.stats.multiverses.shares import OUTCOMES, median_effect, outcomes, shares
from losscope.stats.sides import plain

TYPICAL = (0.05, 0.95)
"""The quantiles between which the paper's own setting is typical."""


def analyse(universes: Sequence[Universe], *, seed: int = 0) -> tuple[MultiverseClaim, ...]:
    """What is said of each claim on each data set, in the order given; never pooled over data sets.

    ``seed``: of the draws of cells, of swapped names and of the forest.

    >>> rng = np.random.default_rng(0)
    >>> margin = rng.uniform(0, 1, 60)
    >>> effects = np.where(margin > 0.4, 0.05, 0.0)[:, None] + rng.normal(0, 0.002, (60, 3))
    >>> made = Universe("c", "a is more", "digits", ("a", "b"), 0.01, 1, tuple(map(str, range(60))),
    ...                 np.arange(60) // 2, {"a.margin": margin}, effects, np.ones(60, bool), None, None)
    >>> (found,) = analyse([made])
    >>> found.everywhere.holds.count, found.rule.branches[0].conditions[0].word, found.joint.p < 0.05
    (35, 'above', True)
    """
    return tuple(_said(_claim(universe, seed)) for universe in universes)


def _said(found: MultiverseClaim) -> MultiverseClaim:
    return found.model_copy(update={"summary": wording.summary(found)})


def _claim(universe: Universe, seed: int) -> MultiverseClaim:
    every = universe.sampled
    able = None if universe.competent is None else every & np.asarray(universe.competent, dtype=bool)
    has_null = universe.null is not None
    return MultiverseClaim(
        claim=universe.claim,
        statement=universe.statement,
        data=universe.data,
        a=universe.pair[0],
        b=universe.pair[1],
        direction="higher" if universe.direction > 0 else "lower",
        delta=float(universe.delta),
        measure=universe.measure,
        scale=universe.scale,
        seeds=universe.seeds,
        settings=_settings(universe),
        choices=_choices(universe),
        everywhere=shares(universe, every, seed=seed),
        competent=None if able is None else shares(universe, able, seed=seed),
        null=shares(universe, every, seed=seed, null=True) if has_null else None,
        null_competent=None if able is None or not has_null else shares(universe, able, seed=seed, null=True),
        median=median_effect(universe, seed=seed),
        joint=joint_test(universe, seed=seed),
        decomposition=decompose(universe, seed=seed),
        rule=rule_of(universe, seed=seed),
        paper=paper_setting(universe),
    )


def _settings(universe: Universe) -> tuple[SettingEffect, ...]:
    found = outcomes(universe.means, universe.delta, universe.direction)
    low, high = universe.effects.min(axis=1), universe.effects.max(axis=1)
    known = np.isfinite(universe.means)
    return tuple(
        SettingEffect(
            id=name,
            cell=int(universe.cell_of[place]),
            outcome=OUTCOMES[found[place]],
            effect=plain(float(universe.means[place])),
            low=plain(float(low[place])) if known[place] else None,
            high=plain(float(high[place])) if known[place] else None,
            competent=None if universe.competent is None else bool(universe.competent[place]),
        )
        for place, name in enumerate(universe.settings)
    )


def _choices(universe: Universe) -> tuple[Choice, ...]:
    return tuple(
        Choice(
            name=axis.name,
            numbers=None if axis.numbers is None else tuple(axis.numbers.tolist()),
            texts=None if axis.texts is None else tuple(axis.texts.tolist()),
        )
        for axis in axes_of(universe)
    )


def paper_setting(universe: Universe) -> PaperSetting | None:
    """The paper's own setting among the others; None where it is not among them."""
    place = universe.paper
    if place is None:
        return None
    outcome = OUTCOMES[outcomes(universe.means, universe.delta, universe.direction)[place]]
    name = universe.settings[place]
    if not np.isfinite(universe.means[place]) or not universe.able.any():
        return PaperSetting(id=name, place=place, outcome=outcome, effect=plain(float(universe.means[place])))
    own, rest = universe.signed[place], universe.signed[universe.able]
    quantile = float(((rest < own) + 0.5 * (rest == own)).mean())
    return PaperSetting(
        id=name,
        place=place,
        outcome=outcome,
        effect=float(universe.means[place]),
        quantile=quantile,
        typical=TYPICAL[0] <= quantile <= TYPICAL[1],
    )
