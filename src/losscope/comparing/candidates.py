"""What tuning may choose for a loss: its space, and a sample of it that fills it evenly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.core.facts import Value
from losscope.core.loss_spec import LEARNING_RATE, LossSpec
from losscope.core.spaces import OPTIMISER, Dimension, numbers_of, with_value
from losscope.core.spec import seed_of

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
"""Learning rates that every loss is tried at."""
DECAYS = (0.0, 10.0, 100.0)
"""Weight decays towards the start. A weight that is pushed one way at every step stays within 1 / decay."""
CLASS_RATES = (1.0, 10.0, 100.0)
"""Learning rates of class vectors, as multiples of the other weights'."""
DRAWS = 64
"""Samples drawn, of which the one whose nearest two points are farthest apart is taken."""

Change = Callable[[LossSpec], LossSpec]
Space = Sequence[Dimension]
"""What a user, or a foreign loss's own code, says of the values to try."""


def candidates(spec: LossSpec, protocol: str, count: int, space: Space = ()) -> list[LossSpec]:
    """So many settings of a loss, different from each other, that fill its space evenly.

    Each dimension takes each of its values as often as any other, to one (a Latin hypercube; McKay et al.
    1979). What was given by hand is not varied. A space of fewer settings is taken whole. ``space`` stands
    for the points that the loss declares, and for the optimiser's values that it names.

    >>> found = candidates(LossSpec.parse("triplet"), "matched", 18)
    >>> len(found), len({each.learning_rate for each in found})
    (18, 6)
    """
    base = spec.resolved(protocol)
    parts = [*_points(spec, base, space), *_optimiser(spec, space)]
    for part in parts:
        if len(part) == 1:
            base = part[0](base)
    dimensions = [part for part in parts if len(part) > 1]
    sizes = [len(part) for part in dimensions]
    count = min(count, math.prod(sizes))
    made = []
    for row in _sample(sizes, count):
        own = base
        for part, place in zip(dimensions, row, strict=True):
            own = part[place](own)
        made.append(own)
    return made


def of_rates(spec: LossSpec, protocol: str, rates: Sequence[float], space: Space = ()) -> list[LossSpec]:
    """A loss at its usual numbers and each of these learning rates; at its own where one was given.

    Of a space that gives learning rates as many, from the least to the largest.
    """
    base = spec.resolved(protocol)
    if base.learning_rate is not None:
        return [base]
    if given := sorted(float(value) for own in space if own.name == "learning_rate" for value in own.values):
        places = np.linspace(0, len(given) - 1, min(len(rates), len(given))).round().astype(int)
        rates = [given[place] for place in places]
    return [base.model_copy(update={"learning_rate": rate}) for rate in rates]


def _points(spec: LossSpec, base: LossSpec, space: Space) -> list[list[Change]]:
    """The values of each hyperparameter of a space that was given, else the points that the loss declares.

    Of these one where its hyperparameters were given.
    """
    given = [own for own in space if own.name not in OPTIMISER]
    if given:
        return [[_set(own.name, value) for value in own.values] for own in given]
    declared: Sequence[dict[str, Any]] = spec.facts.space if spec.facts else ()
    if spec.hyperparameters or spec.reduction or not declared:
        return []

    def at(point: dict[str, Any]) -> Change:
        numbers = {key: value for key, value in point.items() if key != "reduction"}
        reduction = point.get("reduction", base.reduction)
        return lambda own: own.model_copy(
            update={"hyperparameters": {**own.hyperparameters, **numbers}, "reduction": reduction}
        )

    return [[at(point) for point in declared]]


def _set(name: str, value: Value) -> Change:
    return lambda own: with_value(own, name, value)


def _optimiser(spec: LossSpec, space: Space) -> list[list[Change]]:
    """Learning rates, weight decays, and the rates of class vectors where there are any."""
    given = {own.name: [_set(own.name, value) for value in own.values] for own in space}

    def class_rate(times: float) -> Change:
        return lambda own: own.model_copy(
            update={
                "class_rate": min(LEARNING_RATE, float(f"{(own.learning_rate or RATES[-2]) * times:.6g}"))
            }
        )

    made = []
    if spec.learning_rate is None:
        made.append(given.get("learning_rate") or [_set("learning_rate", value) for value in RATES])
    if spec.weight_decay == 0:
        made.append(given.get("weight_decay") or [_set("weight_decay", value) for value in DECAYS])
    if spec.facts is not None and spec.facts.class_vectors and spec.class_rate is None:
        made.append(given.get("class_rate") or [class_rate(times) for times in CLASS_RATES])
    return made


def _sample(sizes: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """``count`` different rows of places, each dimension's as balanced as can be."""
    if count == math.prod(sizes):
        return [tuple(row) for row in np.ndindex(*sizes)]
    draw = np.random.default_rng(seed_of(0, "tuning", *sizes, count))
    best, apart = None, -1.0
    for _ in range(DRAWS):
        columns = [draw.permutation(np.resize(draw.permutation(size), count)) for size in sizes]
        rows = np.stack(columns, axis=1)
        if len(np.unique(rows, axis=0)) < count:
            continue
        unit = rows / np.maximum(np.array(sizes) - 1, 1)
        squared = ((unit[:, None] - unit[None]) ** 2).sum(-1) + 9.0 * np.eye(count)
        if squared.min() > apart:
            best, apart = rows, float(squared.min())
    if best is None:  # so small a space that balanced draws repeat themselves
        every = np.array(list(np.ndindex(*sizes)))
        best = every[draw.permutation(len(every))[:count]]
    return [tuple(int(place) for place in row) for row in best]


def edges(tried: Sequence[LossSpec], chosen: LossSpec) -> list[tuple[str, float, bool]]:
    """The numbers of a setting on the edge of what was tried: name, value, and whether at the upper end.

    A number that was tried at fewer than three values has no edge, and neither has the weight decay, whose
    values go from none at all to one that holds the start.
    """
    found = []
    for name, value in numbers(chosen).items():
        values = _values(tried, name)
        if len(values) > 2 and value in (values[0], values[-1]):
            found.append((name, value, value == values[-1]))
    return found


def _values(tried: Sequence[LossSpec], name: str) -> list[float]:
    """The values of a number that were tried, from the least to the largest."""
    return sorted({own[name] for spec in tried if name in (own := numbers(spec))})


def numbers(spec: LossSpec) -> dict[str, float]:
    """The numbers of a setting by name, its learning rate among them."""
    own = {
        name: float(value)
        for name, value in numbers_of(spec).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if spec.learning_rate is not None:
        own["learning_rate"] = spec.learning_rate
    return own


def beyond(
    tried: Sequence[LossSpec], best: Sequence[LossSpec], count: int, space: Space = ()
) -> list[LossSpec]:
    """At most so many settings beyond the edges that the best ones lie on, none of them tried yet.

    Nothing beyond the values of a ``space`` that was given: these are all that a user wants tried.
    """
    held = {own.name for own in space}
    known = {spec.canonical() for spec in tried}
    made: list[LossSpec] = []
    for spec in best:
        for name, value, upper in edges(tried, spec):
            if name in held:
                continue
            step = _step(tried, name, upper)
            for power in (1, 2):
                new = _with(spec, name, float(f"{value * step**power:.6g}"))
                if new is not None and new.canonical() not in known:
                    known.add(new.canonical())
                    made.append(new)
    return made[:count]


def _step(tried: Sequence[LossSpec], name: str, upper: bool) -> float:
    """The ratio of the last two values at an end of what was tried."""
    values = _values(tried, name)
    outer, inner = (values[-1], values[-2]) if upper else (values[0], values[1])
    return outer / inner if inner > 0 and outer > 0 else 2.0 if upper else 0.5


def _with(spec: LossSpec, name: str, value: float) -> LossSpec | None:
    """The setting with another number; None where the loss cannot act with it."""
    new = with_value(spec, name, value)
    try:
        new.check()
    except LosscopeError:
        return None
    return new
