"""What an atlas foretells of data, and how well it does on data that it has not seen. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np

from losscope.core.errors import require
from losscope.core.results import (
    Atlas,
    AtlasPrior,
    DataSketch,
    ForetoldLoss,
    NearData,
    PriorFold,
    PriorPay,
    PriorRival,
    PriorScore,
)
from losscope.core.results.priors import RivalKind
from losscope.stats.comparison import declared
from losscope.stats.intervals import mean_interval
from losscope.stats.likeness import FEWEST_FAMILIES, LEVEL, Known, Table, check_prior, distance, kind_of
from losscope.stats.resample import sign_flips

NEAREST = 3
"""Data sets named as the nearest."""
SHUFFLES = 1999
"""Shufflings of what is known of the data."""
AT_ONCE = 250
"""Shufflings computed at once."""
ROUNDING = 1e-12


def foretell(
    sketch: DataSketch,
    atlas: Atlas,
    goal: str = "retrieval",
    *,
    name: str = "data",
    digest: str | None = None,
) -> AtlasPrior:
    """What an atlas foretells of data, without sentences.

    Data that stand in the atlas, by their content's ``digest`` or by name and sketch, are foretold without
    their family.

    >>> from losscope.core.results import AtlasEntry, AtlasGoal, AtlasSide
    >>> def made(place):  # a is better on few classes, b on many
    ...     means = {"a": 0.8, "b": 0.7} if place < 4 else {"a": 0.7, "b": 0.8}
    ...     sides = [AtlasSide(name=name, kind="loss", mean=mean, low=None, high=None)
    ...              for name, mean in means.items()]
    ...     best = max(means, key=means.get)
    ...     goal = AtlasGoal(goal="retrieval", measure="recall_at_1", tested=True, sides=sides, best=best,
    ...                      members=(best,))
    ...     name = f"d{place}"
    ...     return AtlasEntry(name=name, family=name, described="", sketch=sketch(4 + 20 * place), seeds=10,
    ...                       tuned=True, goals=(goal,), command="")
    >>> def sketch(classes):
    ...     return DataSketch(kind="vectors", classes=classes, rows=30 * classes, dimension=64,
    ...                       disjoint=False, raw=0.6)
    >>> atlas = Atlas(losses=("a", "b"), entries=[made(place) for place in range(8)], losscope="", command="")
    >>> foretell(sketch(5), atlas).foretold, foretell(sketch(140), atlas).foretold
    ('a', 'b')

    Raises:
        LosscopeError: as of ``check_prior``.
    """
    every = check_prior(atlas, goal)
    own = next((row for row in every.rows if row.is_of(sketch, name, digest)), None)
    used = every if own is None else every.without(own.family)
    weights, evidence = used.weights(sketch)
    return AtlasPrior(
        data=name,
        goal=goal,
        measure=_measure(used, sketch),
        sketch=sketch,
        known=None if own is None else own.name,
        losses=_losses(used, weights),
        foretold=used.foretold(sketch),
        frequent=used.most_frequent,
        data_sets=len(used.rows),
        alike=sum(kind_of(row.sketch) == kind_of(sketch) for row in used.rows),
        near=_near(used, sketch, weights),
        evidence=evidence,
        pay=_pay(used, sketch),
        score=score(every),
    )


def _measure(used: Table, sketch: DataSketch) -> str:
    """The measure of the goal on data of this kind."""
    alike = [row for row in used.rows if kind_of(row.sketch) == kind_of(sketch)] or list(used.rows)
    return Counter(row.measure for row in alike).most_common(1)[0][0]


def _losses(used: Table, weights: np.ndarray) -> tuple[ForetoldLoss, ...]:
    made = []
    for place, loss in enumerate(used.losses):
        values = used.gaps[:, place]
        found = used.spread(weights, values)
        low, high = (None, None) if found is None else (found[1], min(0.0, found[2]))
        made.append(
            ForetoldLoss(
                loss=loss,
                gap=float(weights @ values),
                low=low,
                high=high,
                average=float(used.average[place]),
                best=used.wins[loss],
                member=used.memberships[loss],
            )
        )
    return tuple(sorted(made, key=lambda loss: -loss.gap))


def _near(used: Table, sketch: DataSketch, weights: np.ndarray) -> tuple[NearData, ...]:
    made = [
        NearData(
            name=row.name,
            family=row.family,
            distance=distance(sketch, row.sketch),
            weight=float(weight),
            best=row.best,
            members=row.members,
            gain=row.gain,
        )
        for row, weight in zip(used.rows, weights, strict=True)
    ]
    return tuple(sorted(made, key=lambda near: near.distance)[:NEAREST])


def _pay(used: Table, sketch: DataSketch) -> PriorPay | None:
    able = used.paying
    if len(able.families) < FEWEST_FAMILIES:
        return None
    weights, gains = able.weights(sketch)[0], able.gains
    found = able.spread(weights, gains)
    gain = float(weights @ gains)
    delta = declared(_measure(used, sketch)).delta
    return PriorPay(
        gain=gain,
        low=None if found is None else found[1],
        high=None if found is None else found[2],
        delta=delta,
        pays=gain > delta,
        paid=sum(row.pays is True for row in able.rows),
        of=len(able.rows),
    )


# --- the score -------------------------------------------------------------------------------------


def prior_score(atlas: Atlas, goal: str = "retrieval") -> PriorScore:
    """How well an atlas foretells a goal on data that it has not seen: each family is left out once.

    Raises:
        LosscopeError: as of ``check_prior``.
    """
    return score(check_prior(atlas, goal))


def score(every: Table) -> PriorScore:
    """How well the prior does: each family is left out once, and foretold by all others.

    Raises:
        LosscopeError: fewer than two families.
    """
    require(
        len(every.families) > 1,
        "an atlas of one family has nothing to be tried on; wanted: at least two families",
    )
    gains = _left_out_gains(every)
    folds = tuple(
        _fold(every, row, int(place), gains.get(row.name))
        for row, place in zip(every.rows, every.left_out(every.gaps)[0].argmax(axis=1), strict=True)
    )
    rivals = (
        _rival("frequent", folds, [fold.frequent for fold in folds], [f.regret_frequent for f in folds]),
        _rival("average", folds, [fold.average for fold in folds], [f.regret_average for f in folds]),
        _random(every, folds),
        _hindsight(every, folds),
    )
    frequent, average = rivals[:2]
    p = _by_shuffling(every, every.gaps, lambda found: _mean_gaps(every, found))
    return PriorScore(
        data_sets=len(folds),
        families=len(every.families),
        hits=sum(fold.foretold in fold.members for fold in folds),
        regret=float(_by_family(folds, [fold.regret for fold in folds]).mean()),
        rivals=rivals,
        p=p,
        able=max(1 / every.shufflings, 2.0 ** (1 - len(every.families))) <= LEVEL,
        better=max(p, frequent.p) <= LEVEL and min(frequent.saved, average.saved) > 0,
        folds=folds,
        **_paying(every, folds),
    )


def _mean_gaps(every: Table, foretold: np.ndarray) -> np.ndarray:
    """(P,) the mean gap, over families, of the losses that are foretold (P, N, L) the best."""
    taken = every.gaps[np.arange(len(every.rows)), foretold.argmax(axis=-1)]
    mean: np.ndarray = taken @ every.shares
    return mean


def _by_shuffling(of: Table, values: np.ndarray, quality: Callable[[np.ndarray], np.ndarray]) -> float:
    """The share of shufflings of the sketches among families that foretell values (N, K) at least as well.

    ``quality``: of what is foretold, (P, N, K) -> (P,).
    """
    rng, own = np.random.default_rng(0), float(quality(of.left_out(values))[0])
    as_good = 0
    for start in range(0, SHUFFLES, AT_ONCE):
        orders = of.shuffled(rng, min(AT_ONCE, SHUFFLES - start))
        as_good += int(np.count_nonzero(quality(of.left_out(values, orders)) >= own - ROUNDING))
    return (1 + as_good) / (1 + SHUFFLES)


def _left_out_gains(every: Table) -> dict[str, float]:
    able = every.paying
    if len(able.families) < FEWEST_FAMILIES:
        return {}
    found = able.left_out(able.gains[:, None])[0, :, 0].tolist()
    return {row.name: gain for row, gain in zip(able.rows, found, strict=True)}


class _Paying(TypedDict):
    """The fields of a score on whether training pays."""

    pay_right: int
    pay_of: int
    pay_usual: bool
    pay_usual_right: int
    pay_p: float | None
    pay_better: bool


def _paying(every: Table, folds: Sequence[PriorFold]) -> _Paying:
    told = [fold for fold in folds if fold.foretold_pays is not None]
    right = sum(fold.foretold_pays == fold.pays for fold in told)
    paid = sum(fold.pays is True for fold in told)
    usual = max(paid, len(told) - paid)
    p = None
    if told:
        able = every.paying
        bars = np.array([declared(row.measure).delta for row in able.rows])
        pays = able.gains > bars

        def share_right(found: np.ndarray) -> np.ndarray:
            share: np.ndarray = ((found[..., 0] > bars) == pays) @ able.shares
            return share

        p = _by_shuffling(able, able.gains[:, None], share_right)
    return _Paying(
        pay_right=right,
        pay_of=len(told),
        pay_usual=2 * paid >= len(told),
        pay_usual_right=usual,
        pay_p=p,
        pay_better=p is not None and p <= LEVEL and right > usual,
    )


def _fold(every: Table, row: Known, place: int, gain: float | None) -> PriorFold:
    used = every.without(row.family)
    regret = dict(zip(every.losses, (-row.gaps).tolist(), strict=True))
    foretold, frequent, average = every.losses[place], used.most_frequent, used.best_on_average
    return PriorFold(
        name=row.name,
        family=row.family,
        foretold=foretold,
        frequent=frequent,
        average=average,
        best=row.best,
        members=row.members,
        regret=regret[foretold],
        regret_frequent=regret[frequent],
        regret_average=regret[average],
        gain=row.gain,
        foretold_gain=gain,
        pays=row.pays,
        foretold_pays=None if gain is None else gain > declared(row.measure).delta,
    )


def _by_family(folds: Sequence[PriorFold], values: Sequence[float]) -> np.ndarray:
    """(F,) the mean of each family."""
    of: dict[str, list[float]] = {}
    for fold, value in zip(folds, values, strict=True):
        of.setdefault(fold.family, []).append(value)
    return np.array([float(np.mean(own)) for own in of.values()])


def _rival(
    kind: RivalKind, folds: Sequence[PriorFold], taken: Sequence[str], regrets: Sequence[float]
) -> PriorRival:
    hits = sum(loss in fold.members for loss, fold in zip(taken, folds, strict=True))
    return _scored(kind, folds, tuple(dict.fromkeys(taken)), hits, regrets)


def _random(every: Table, folds: Sequence[PriorFold]) -> PriorRival:
    hits = sum(len(fold.members) / len(every.losses) for fold in folds)
    return _scored("random", folds, every.losses, hits, (-every.gaps.mean(axis=1)).tolist())


def _hindsight(every: Table, folds: Sequence[PriorFold]) -> PriorRival:
    place = int(every.average.argmax())
    taken = [every.losses[place]] * len(folds)
    return _rival("hindsight", folds, taken, (-every.gaps[:, place]).tolist())


def _scored(
    kind: RivalKind,
    folds: Sequence[PriorFold],
    losses: tuple[str, ...],
    hits: float,
    regrets: Sequence[float],
) -> PriorRival:
    saved = _by_family(folds, [value - fold.regret for value, fold in zip(regrets, folds, strict=True)])
    ends = mean_interval(saved)
    return PriorRival(
        kind=kind,
        losses=losses,
        hits=hits,
        regret=float(_by_family(folds, regrets).mean()),
        saved=float(saved.mean()),
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        p=sign_flips(saved).p(),
    )
