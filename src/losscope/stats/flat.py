"""A measure over one number: what each value costs, and the range in which the number hardly matters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from losscope.core.results import Curve, FlatRegion
from losscope.stats.intervals import mean_interval


def flat_region(number: str, means: Mapping[float, float | None], within: float) -> FlatRegion | None:
    """The range around the best value in which every tried value has a mean at most ``within`` below it.

    A tried value without a mean ends the range: how good it is is not known. None where fewer than two values
    have one.

    >>> found = flat_region("margin", {0.1: 0.90, 0.2: 0.95, 0.4: 0.949, 0.8: 0.7}, 0.01)
    >>> found.low, found.high, found.best, found.tried
    (0.2, 0.4, 0.2, 2)
    """
    tried = sorted(means)
    known = {value: mean for value in tried if (mean := means[value]) is not None}
    if len(known) < 2:
        return None
    best = max(known, key=lambda value: known[value])
    good = [value in known and round(known[best] - known[value] - within, 12) <= 0 for value in tried]
    first = last = tried.index(best)
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(tried) and good[last + 1]:
        last += 1
    return FlatRegion(
        number=number, low=tried[first], high=tried[last], best=best, tried=last - first + 1, within=within
    )


def with_costs(curve: Curve, within: float) -> Curve:
    """A curve, whose points have values by seed, with each point's interval and cost, and its flat region.

    The seeds are the same at every value, so that what matters is how the values differ within a seed: the
    interval is that of the mean after each seed's level is taken out, widened by √(k/(k−1)) of k values
    (Morey 2008), and the cost is the mean of the seeds' differences to the best value.
    """
    whole = [place for place, point in enumerate(curve.points) if point.mean is not None]
    flat = flat_region(curve.number, {point.value: point.mean for point in curve.points}, within)
    if flat is None:
        return curve
    table = np.array([curve.points[place].by_seed for place in whole], dtype=float)  # (values, seeds)
    best = table[[curve.points[place].value for place in whole].index(flat.best)]
    level = table - table.mean(axis=0, keepdims=True)
    widened = table.mean() + level * math.sqrt(len(whole) / (len(whole) - 1))
    points = list(curve.points)
    for row, place in enumerate(whole):
        lost = best - table[row]
        points[place] = points[place].model_copy(
            update={
                **_ends(("low", "high"), widened[row], points[place].mean),
                "cost": float(lost.mean()),
                **({} if points[place].value == flat.best else _ends(("cost_low", "cost_high"), lost)),
            }
        )
    return curve.model_copy(update={"points": tuple(points), "flat": flat})


def _ends(
    names: tuple[str, str], values: Sequence[float] | np.ndarray, about: float | None = None
) -> dict[str, float]:
    """The ends of the 95 % interval of a mean, about another middle where one is given; none below two."""
    found = mean_interval(values)
    if found is None:
        return {}
    half, middle = (found[1] - found[0]) / 2, (found[0] + found[1]) / 2
    middle = middle if about is None else about
    return dict(zip(names, (middle - half, middle + half), strict=True))
