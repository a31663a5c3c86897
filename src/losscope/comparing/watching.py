"""What the runs of a study show that no table says: a loss that moved nothing, a collapse, a leak."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from losscope import stats
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import UNTRAINED
from losscope.core.registry import entries, entry
from losscope.core.results import Fault, Settings
from losscope.probe.thresholds import AT_MARGIN, LINE_CLASSES, LINE_RANK, NEAR, SPREAD
from losscope.run.store import Stored

UNSEEN = "unseen"
"""The split that holds the measures of the test items that stand nowhere else."""


def faults(runs_of: Mapping[str, Sequence[Stored]], classes: int | None = None) -> list[Fault]:
    """The losses of which runs had no gradient, or ended at the margin, near one point or on a line.

    Args:
        runs_of: the runs of each side.
        classes: how many the data have, where that is known.
    """
    start = {run.run.seed: _distance(run) for run in runs_of.get(UNTRAINED, ())}
    found = []
    for label, runs in runs_of.items():
        done = [run for run in runs if run.failed is None and not run.run.loss.baseline]
        still = [run for run in done if run.measures.get("train", {}).get("gradient_norm") == 0]
        near = [run for run in done if run not in still and _collapsed(run, start.get(run.run.seed))]
        flat = [run for run in done if run not in (*still, *near) and _on_a_line(run, classes)]
        stayed = [run for run in done if run not in (*still, *near, *flat) and _at_margin(run)]
        if still:
            found.append(Fault(side=label, kind="stuck", runs=len(still), of=len(done)))
        if near:
            widest = max(_distance(run) or 0.0 for run in near)
            found.append(Fault(side=label, kind="collapsed", runs=len(near), of=len(done), apart=widest))
        if flat:
            rank = max(_rank(run) or 0.0 for run in flat)
            found.append(Fault(side=label, kind="line", runs=len(flat), of=len(done), rank=rank))
        if stayed:
            margin = _margin(stayed[0])
            found.append(Fault(side=label, kind="margin", runs=len(stayed), of=len(done), margin=margin))
    return found


def _distance(run: Stored) -> float | None:
    return run.measures.get("test", {}).get("inter_distance") if run.failed is None else None


def _collapsed(run: Stored, start: float | None) -> bool:
    """Whether all embeddings ended together, and nearer than the seed's untrained network has them."""
    distance, within = _distance(run), run.measures.get("test", {}).get("intra_variance")
    if distance is None or within is None:
        return False
    together = distance < NEAR and within < SPREAD
    return together and (start is None or distance < start / 2)


def _rank(run: Stored) -> float | None:
    return run.measures.get("test", {}).get("effective_rank")


def _on_a_line(run: Stored, classes: int | None) -> bool:
    """Whether the embeddings of many classes lie on a line, although they have room for more."""
    rank, room = _rank(run), run.run.protocol.embedding_size
    enough = classes is not None and min(classes, room) >= LINE_CLASSES
    return enough and rank is not None and rank < LINE_RANK


def _margin(run: Stored) -> float | None:
    """The value of a hinge on differences of distances where all rows are equal."""
    name = run.run.loss.name
    if name not in entries("loss"):  # of another library, or of a plugin that is not loaded
        return None
    facts = entry("loss", name).facts
    if facts.form != "linear hinge" or facts.takes != "triplets":
        return None
    margin = run.run.loss.hyperparameters.get("margin")
    return float(margin) if isinstance(margin, int | float) else None


def _at_margin(run: Stored) -> bool:
    """Whether the loss of the first and of the last epoch was what equal rows have."""
    margin = _margin(run)
    if not margin or not run.has_trace:
        return False
    _, values = run.columns.curve("train", "loss")
    ends = values[[0, -1]].tolist() if len(values) > 1 else []
    return bool(ends) and all(abs(value / margin - 1) <= AT_MARGIN for value in ends)


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
