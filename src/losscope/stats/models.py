"""Two trained models, one run a side: what differs, over the classes or items that both were asked for.

Nothing is said of another training. The gallery is fixed; what other classes, or other items of these
classes, would bring is in the intervals (docs/definitions.md, "One run a side").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr

from losscope.core.results import Unit
from losscope.stats.closed import queries_of
from losscope.stats.comparison import Difference, declared
from losscope.stats.intervals import FEW_CLASSES, jackknife_variance, t_half


@dataclass(frozen=True)
class OverItems(Difference):
    """A difference of two models, whose tests are t tests over classes or items.

    ``error``: the standard error √v; ``freedom``: its degrees of freedom; ``least``: the smallest p that the
    units which differ allow.
    """

    error: float = math.nan
    freedom: int = 0
    least: float = 0.0

    def _tested_outside(self) -> float:
        """By two one-sided t tests."""
        assert self.difference is not None
        return _tail(self.delta - abs(self.difference), self.error, self.freedom)


@dataclass(frozen=True)
class TwoModels:
    """What differs between two models on a measure.

    ``found``: with the interval at level 1 − alpha over ``unit``; ``classes``: the 95 % interval over it,
    ``items``: the 95 % interval were the test items others.
    """

    found: OverItems
    unit: Unit
    classes: tuple[float, float]
    items: tuple[float, float]


def of_two_models(
    a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], measure: str, *, alpha: float
) -> TwoModels | None:
    """Model a minus model b: d ± t(1 − alpha/2, C − 1)·√v with v the delete-one-class jackknife variance.

    Below 20 classes v leaves out single items within their classes, with as many degrees of freedom as there
    are items less classes. ``a``, ``b``: per-query arrays of the same queries as ``per_query/<measure>``
    beside ``per_query/label``. p is at least that of the sign test over the units that differ: of few units
    the variance is not known. None for a measure without per-query values, or fewer than two queries.

    >>> a = {"per_query/recall_at_1": np.tile([1.0, 1.0, 0.0], 20), "per_query/label": np.arange(60) // 3}
    >>> made = of_two_models(a, {**a, "per_query/recall_at_1": np.tile([0.0, 1.0, 0.0], 20)},
    ...                      "recall_at_1", alpha=0.04)
    >>> round(made.found.difference, 4), made.unit, made.found.n
    (0.3333, 'class', 20)
    """
    queries = queries_of([a], [b], measure) if declared(measure).scale == "difference" else None
    if queries is None:
        return None
    labels, (x, y) = queries
    kept = np.isfinite(x) & np.isfinite(y)
    labels, x, y = labels[kept], x[kept], y[kept]
    d, variance = x - y, jackknife_variance(x - y, labels)
    names, place = np.unique(labels, return_inverse=True)
    freedom = len(names) - 1 if len(names) >= FEW_CLASSES else len(d) - len(names)
    if variance is None or freedom < 1:
        return None
    alone = len(names) == len(d) or len(names) < FEW_CLASSES
    unit: Unit = "item" if alone else "class"
    sums = d if alone else np.bincount(place, weights=d)  # of each unit
    apart = int(np.count_nonzero(np.abs(sums) > 1e-12))
    mean, error = float(d.mean()), math.sqrt(variance[0])
    half = t_half(1 - alpha, freedom) * error
    wide = t_half(0.95, freedom) * error
    plain = t_half(0.95, len(d) - 1) * float(d.std(ddof=1)) / math.sqrt(len(d))
    least = min(1.0, 2.0 ** (1 - apart))
    found = OverItems(
        measure=measure,
        scale="difference",
        delta=declared(measure).delta,
        paired=True,
        n=len(sums),
        runs=(1, 1),
        failed=(0, 0),
        missing=0,
        alpha=alpha,
        smallest=min(1.0, 2.0 ** (1 - len(sums))),
        mean_a=float(x.mean()),
        mean_b=float(y.mean()),
        difference=mean,
        low=mean - half,
        high=mean + half,
        p=max(least, min(1.0, 2 * _tail(abs(mean), error, freedom))),
        sd=None,
        leaning=(mean > 0) - (mean < 0),
        discordant=(int(np.count_nonzero(d)), len(d)),
        error=error,
        freedom=freedom,
        least=least,
    )
    found = replace(found, p_outside=found.outside())
    return TwoModels(found, unit, (mean - wide, mean + wide), (mean - plain, mean + plain))


def _tail(distance: float, error: float, freedom: int) -> float:
    """The chance that t is above distance/error, ½ at 0; without an error, of a distance above 0 none."""
    if error == 0:
        return 0.0 if distance > 0 else 0.5 if distance == 0 else 1.0
    return float(stdtr(freedom, -distance / error))
