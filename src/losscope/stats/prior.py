"""What an atlas foretells of data, and how well it does on data that it has not seen. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from losscope.core.errors import LosscopeError
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
from losscope.stats.likeness import LEVEL, Known, Table, check_prior, distance, kind_of
from losscope.stats.resample import sign_flips

NEAREST = 3
"""Data sets named as the nearest."""


def foretell(sketch: DataSketch, atlas: Atlas, goal: str = "retrieval", *, name: str = "data") -> AtlasPrior:
    """What an atlas foretells of data, without sentences.

    Data that stand in the atlas, by their name or with an equal sketch, are foretold without their family.

    Raises:
        LosscopeError: as of ``check_prior``.
    """
    every = check_prior(atlas, goal)
    own = next((row for row in every.rows if row.name == name or row.sketch == sketch), None)
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
    found = used.gain(sketch)
    if found is None:
        return None
    told = [row.pays for row in used.rows if row.pays is not None]
    delta = declared(_measure(used, sketch)).delta
    gain, low, high = found
    return PriorPay(
        gain=gain, low=low, high=high, delta=delta, pays=gain > delta, paid=sum(told), of=len(told)
    )


# --- the score -------------------------------------------------------------------------------------


def score(every: Table) -> PriorScore:
    """How well the prior does: each family is left out once, and foretold by all others.

    Raises:
        LosscopeError: fewer than two families.
    """
    if len(every.families) < 2:
        raise LosscopeError(
            "an atlas of one family has nothing to be tried on; wanted: at least two families"
        )
    folds = tuple(_fold(every, row) for row in every.rows)
    sizes = Counter(fold.family for fold in folds)
    regret = _by_family(folds, [fold.regret for fold in folds])
    rivals = (
        _rival("frequent", folds, [fold.frequent for fold in folds], [f.regret_frequent for f in folds]),
        _rival("average", folds, [fold.average for fold in folds], [f.regret_average for f in folds]),
        _random(every, folds),
    )
    tested = [rival for rival in rivals if rival.kind != "random"]
    told = [fold for fold in folds if fold.pays is not None and fold.foretold_pays is not None]
    right = [fold.foretold_pays == fold.pays for fold in told]
    usual = [fold.majority_pays == fold.pays for fold in told]
    ahead = _by_family(told, [float(a) - float(b) for a, b in zip(right, usual, strict=True)])
    p = sign_flips(ahead).p() if len(ahead) else None
    return PriorScore(
        data_sets=len(folds),
        families=len(sizes),
        hits=sum(fold.foretold in fold.members for fold in folds),
        regret=float(regret.mean()),
        rivals=rivals,
        better=all(rival.saved > 0 and rival.p <= LEVEL for rival in tested),
        worse=any(rival.saved < 0 and rival.p <= LEVEL for rival in tested),
        pay_right=sum(right),
        pay_majority=sum(usual),
        pay_of=len(told),
        pay_p=p,
        pay_better=p is not None and p <= LEVEL and float(ahead.mean()) > 0,
        folds=folds,
    )


def _fold(every: Table, row: Known) -> PriorFold:
    used = every.without(row.family)
    regret = dict(zip(every.losses, (-row.gaps).tolist(), strict=True))
    foretold, frequent, average = used.foretold(row.sketch), used.most_frequent, used.best_on_average
    gain = used.gain(row.sketch)
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
        regret_random=float(np.mean(list(regret.values()))),
        pays=row.pays,
        foretold_pays=None if gain is None else gain[0] > declared(row.measure).delta,
        majority_pays=used.mostly_pays,
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
    return _scored("random", folds, every.losses, hits, [fold.regret_random for fold in folds])


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
