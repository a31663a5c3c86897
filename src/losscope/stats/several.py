"""Several data sets: the verdicts on each, over its own seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope.core.results import DataVerdicts, Settings
from losscope.stats.analysis import tested
from losscope.stats.comparison import declared
from losscope.stats.design import alpha_of
from losscope.stats.rows import Frame, comparison, pair_row
from losscope.stats.sides import Measured, check_seeds, plain, sides_of


@dataclass(frozen=True)
class OnData:
    """The runs on one data set, and the family of data sets that it counts in."""

    name: str
    family: str
    runs: tuple[Measured, ...]


def on_each(
    data: Sequence[OnData],
    *,
    measure: str,
    goal: str,
    reference: str,
    settings: Sequence[Settings] = (),
    look: int = 1,
    unpaired: bool = False,
    folds: int = 0,
    indifference: float | None = None,
) -> tuple[DataVerdicts, ...]:
    """Each loss against the reference on each data set; each data set is a family of its own.

    ``folds``: each data set's seeds test so many folds of it, so that its rows are described.

    >>> runs = tuple(Measured(loss, seed, {"recall_at_1": base + seed / 1000})
    ...              for loss, base in (("a", 0.9), ("b", 0.8)) for seed in range(8))
    >>> made = on_each([OnData("cub", "cub", runs), OnData("sop", "sop", runs)], measure="recall_at_1",
    ...                goal="retrieval", reference="b")
    >>> [(row.verdict, row.p_holm) for each in made for row in each.rows]
    [('higher', 0.0078125), ('higher', 0.0078125)]
    """
    alpha = alpha_of(look)
    frame = Frame(False, look, alpha, not unpaired, tuple(settings), measure, delta=indifference, folds=folds)
    made = []
    for own in data:
        sides = sides_of(own.runs)
        if not unpaired:
            check_seeds(sides)
        anchor = next(side for side in sides if side.name == reference)
        rows = tested(frame, [pair_row(frame, side, anchor, measure) for side in sides if side is not anchor])
        made.append(
            DataVerdicts(
                name=own.name,
                family=own.family,
                seeds=tuple(sorted({run.seed for run in own.runs})),
                rows=tuple(comparison(frame, row, goal) for row in rows),
                means={side.name: plain(_mean(side.values(measure))) for side in sides},
            )
        )
    return tuple(made)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def mean_on_scale(values: Sequence[float | None], measure: str) -> float | None:
    """The mean of values on the measure's scale, None where one of them is missing.

    By ratio it is the geometric mean, so that the ratio of two such means is the mean ratio.

    >>> mean_on_scale([0.25, 0.5], "recall_at_1"), mean_on_scale([0.25, None], "recall_at_1")
    (0.375, None)
    >>> round(mean_on_scale([1.0, 4.0], "intra_variance"), 12)
    2.0
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    if declared(measure).scale != "log_ratio":
        return float(np.mean(known))
    return float(np.exp(np.mean(np.log(known)))) if min(known) > 0 else None
