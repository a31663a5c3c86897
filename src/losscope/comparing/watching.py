"""What the runs of a study show that no table says: a loss that moved nothing, a collapse, a leak."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from losscope import stats
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import UNTRAINED
from losscope.core.results import Fault, Settings
from losscope.run.store import Stored

COLLAPSED = 0.05
"""Distances of 0 to 2, within and between classes, below which embeddings have collapsed to a point."""
UNSEEN = "unseen"
"""The split that holds the measures of the test items that stand nowhere else."""


def faults(runs_of: Mapping[str, Sequence[Stored]]) -> list[Fault]:
    """The losses of which runs had no gradient, or ended with all embeddings near one point."""
    start = {run.run.seed: _distance(run) for run in runs_of.get(UNTRAINED, ())}
    found = []
    for label, runs in runs_of.items():
        done = [run for run in runs if run.failed is None and not run.run.loss.baseline]
        still = [run for run in done if run.measures.get("train", {}).get("gradient_norm") == 0]
        if still:
            found.append(Fault(side=label, kind="stuck", runs=len(still), of=len(done)))
        near = [run for run in done if run not in still and _collapsed(run, start.get(run.run.seed))]
        if near:
            widest = max(_distance(run) or 0.0 for run in near)
            found.append(Fault(side=label, kind="collapsed", runs=len(near), of=len(done), apart=widest))
    return found


def _distance(run: Stored) -> float | None:
    return run.measures.get("test", {}).get("inter_distance") if run.failed is None else None


def _collapsed(run: Stored, start: float | None) -> bool:
    """Whether all embeddings ended together, and nearer than the seed's untrained network has them."""
    distance, within = _distance(run), run.measures.get("test", {}).get("intra_variance")
    if distance is None or within is None:
        return False
    together = distance < COLLAPSED and within < COLLAPSED**2
    return together and (start is None or distance < start / 2)


def without_leaks(
    measured: Sequence[tuple[Stored, stats.Measured]],
    not_new: int,
    *,
    goal: str,
    reference: str | None,
    settings: Sequence[Settings],
    looks: int,
    folds: int = 0,
    standings: Sequence[stats.Standing] = (),
    indifference: float | None = None,
) -> str | None:
    """The answer on the test items that are new, None where all are or too few are left."""
    if not not_new or not any(run.measures.get(UNSEEN) for run, _ in measured):
        return None
    if any(run.failed is None and not run.measures.get(UNSEEN) for run, _ in measured):
        return None  # a run of an earlier version, which did not measure them
    again = [
        # A run that diverged has no values here either, and is judged as it is on all items.
        dataclasses.replace(own, values=dict(run.measures.get(UNSEEN, {})), splits={}, detail={})
        for run, own in measured
    ]
    try:
        found = stats.analyse(
            again,
            goal=goal,
            reference=reference,
            settings=settings,
            looks=looks,
            folds=folds,
            standings=standings,
            indifference=indifference,
        )
    except LosscopeError:  # what decides has no value on so few items
        return None
    items = "test item that stands" if not_new == 1 else f"{not_new:,} test items that stand"
    return f"Without the {items} in training too, or twice: {found.recommendation.sentences[0]}"
