"""A closed form among the sides: which one is tested, and how it is held against the raw inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from losscope.core.results import Unit
from losscope.stats.comparison import ERRORS, Difference, compare, declared, error_scale
from losscope.stats.intervals import FEW_CLASSES

BLOCKS = 200
"""Blocks of test rows that are flipped, at most."""
Name = TypeVar("Name")


def tested(scores: Mapping[Name, Sequence[Mapping[str, float | None]]], measure: str) -> Name | None:
    """The closed form that is tested: the best mean over seeds on validation, never on test.

    By the measure itself where validation has it, else by MAP@R. None where validation does not rank several.

    >>> tested({"pca": [{"map_at_r": 0.4}], "whitened": [{"map_at_r": 0.5}]}, "recall_at_1")
    'whitened'
    """
    sign = -1 if declared(measure).better == "lower" else 1

    def mean(runs: Sequence[Mapping[str, float | None]]) -> float:
        name = measure if all(measure in run for run in runs) else "map_at_r"
        values = [run.get(name) for run in runs]
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known or len(known) < len(values):
            return -math.inf
        return (sign if name == measure else 1) * float(np.mean(known))

    means = {name: mean(runs) for name, runs in scores.items()}
    if len(means) > 1 and max(means.values()) == -math.inf:
        return None
    return max(means, key=lambda name: means[name], default=None)


def units_of(labels: np.ndarray) -> tuple[np.ndarray, Unit]:
    """The unit of each query, from 0, and what it is: its class, or with few classes a block of its class.

    Blocks are of neighbours in the order of the rows and as equal as can be; no block holds two classes.

    >>> units_of(np.array([0, 0, 1, 1]))
    (array([0, 1, 2, 3]), 'block')
    """
    names, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) >= FEW_CLASSES:
        return place, "class"
    each = max(1, math.ceil(len(labels) / (BLOCKS - len(names))))
    order = np.argsort(place, kind="stable")
    within = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    key = np.empty(len(labels), dtype=np.int64)
    key[order] = place[order] * (len(labels) + 1) + within // each
    return np.unique(key, return_inverse=True)[1], "block"


def queries_of(
    a: Sequence[Mapping[str, np.ndarray]], b: Sequence[Mapping[str, np.ndarray]], measure: str
) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """The labels of the queries (Q,), and the values (Q,) of each side, means over its runs.

    None where a run keeps no per-query values of the measure, or those of other queries.

    >>> run = {"per_query/recall_at_1": np.array([1.0, 0.0]), "per_query/label": np.array([4, 7])}
    >>> queries_of([run], [run], "recall_at_1")[0].tolist(), queries_of([run], [{}], "recall_at_1")
    ([4, 7], None)
    """
    key, label = f"per_query/{measure}", "per_query/label"
    runs = [*a, *b]
    if any(key not in run or label not in run for run in runs):
        return None
    labels = np.asarray(runs[0][label])
    if any(not np.array_equal(labels, run[label]) for run in runs):
        return None
    return labels, [
        np.mean([np.asarray(run[key], dtype=np.float64) for run in side], axis=0) for side in (a, b)
    ]


def over_items(
    a: Sequence[Mapping[str, np.ndarray]],
    b: Sequence[Mapping[str, np.ndarray]],
    measure: str,
    *,
    alpha: float,
) -> tuple[Difference, Unit] | None:
    """Two sides compared over the test items: sign flips of whole classes, of seed-averaged differences.

    ``a``, ``b``: of each run its per-query arrays, the queries the same in all. Each unit counts with its
    share of the queries, so that the difference is that of the means over queries. None for a measure
    without per-query values.
    """
    queries = queries_of(a, b, measure) if declared(measure).scale == "difference" and a and b else None
    if queries is None:
        return None
    labels, means = queries
    kept = np.isfinite(means[0]) & np.isfinite(means[1])
    if kept.sum() < 2:
        return None
    place, unit = units_of(labels[kept])
    count = int(place.max()) + 1
    sums = [np.bincount(place, weights=side[kept], minlength=count) * count / kept.sum() for side in means]
    found = compare(sums[0].tolist(), sums[1].tolist(), measure, alpha=alpha)
    apart = int((means[0][kept] != means[1][kept]).sum()), int(kept.sum())
    found = replace(found, runs=(len(a), len(b)), failed=(0, 0), discordant=apart)
    return (found if found.p_outside is None else replace(found, p_outside=found.outside())), unit


def on_errors(found: Difference, difference: float) -> float | None:
    """A difference on the scale of errors, the mean of b held fixed; None where an error would be 0.

    >>> found = compare([0.98, 0.98], [0.96, 0.96], "recall_at_1", alpha=0.04)
    >>> round(math.exp(on_errors(found, 0.02)), 6)
    2.0
    """
    if found.mean_b is None:
        return None
    lower = declared(found.measure).better == "lower"
    error = _error(found.measure, found.mean_b)
    own = error + difference if lower else error - difference
    if own <= 0 or error <= 0:
        return None
    return math.log(own / error) if lower else math.log(error / own)


def _error(measure: str, value: float) -> float:
    """The error that a value stands for: itself where lower is better, else what it lacks to 1."""
    return value if declared(measure).better == "lower" else 1 - value


def as_errors(found: Difference) -> Difference:
    """A comparison over items on the scale of errors; its p is that of the difference.

    Unchanged where an error is 0, of which there is no ratio. What is equivalent is judged by the narrower
    end of a factor of 1.25 of the errors of b.
    """
    middle = None if found.difference is None else on_errors(found, found.difference)
    if middle is None or found.mean_b is None:
        return found
    return replace(
        found.against(_error(found.measure, found.mean_b) * -math.expm1(-ERRORS)),
        scale=error_scale(found.measure),
        delta=ERRORS,
        difference=middle,
        low=None if found.low is None else on_errors(found, found.low),
        high=None if found.high is None else on_errors(found, found.high),
        sd=None,
    )
