"""Tuning, the same effort for each loss: the whole declared grid as one population, judged on validation.

DEFINITIONS 5: two seeds of its own, twelve trials a loss = two learning rates × six points of the loss's
space; the epoch is chosen too; MAP@R on validation decides, the smaller margin at a tie. The test split is
not touched: a trial is not measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from losscope.core.results import Settings
from losscope.core.spec import DataSpec, LossSpec, Protocol, Run
from losscope.run import launch
from losscope.run.store import Store

SEEDS = (2**31, 2**31 + 1)
RATES = (1e-3, 1e-4)


@dataclass(frozen=True)
class Choice:
    """One loss of a study: how it is called, its whole identity, and how that was chosen.

    ``tuned`` and ``trials`` are None and empty for a loss that is taken as given.
    """

    label: str
    spec: LossSpec
    tuned: dict[str, Any] | None = None
    trials: list[dict[str, Any]] = field(default_factory=list)


def as_given(specs: Sequence[LossSpec], protocol: str) -> list[Choice]:
    """Losses at the numbers given, and at the protocol's where none is given."""
    return [Choice(spec.label, spec.resolved(protocol)) for spec in specs]


def grid(spec: LossSpec, protocol: str, points: int | None = None) -> list[LossSpec]:
    """The trials of a loss: every point of its declared space at every learning rate.

    ``points``: at most so many of the space's, evenly taken, for a budget. A loss whose hyperparameters
    were given by hand, or that declares no space, has one point.
    """
    base = spec.resolved(protocol)
    space: list[dict[str, Any]] = list(spec.facts.space if spec.facts else ()) or [{}]
    if spec.hyperparameters or spec.reduction:
        space = [{}]
    if points is not None and len(space) > points:
        space = [
            space[place] for place in np.unique(np.linspace(0, len(space) - 1, points).round().astype(int))
        ]
    trials = []
    for point in space:
        hyper = {**base.hyperparameters, **{key: value for key, value in point.items() if key != "reduction"}}
        change = {"hyperparameters": hyper, "reduction": point.get("reduction", base.reduction)}
        trials += [base.model_copy(update={**change, "learning_rate": rate}) for rate in RATES]
    return trials


def trial_runs(
    specs: Sequence[LossSpec],
    data: DataSpec,
    protocol: Protocol,
    points: int | None = None,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, list[list[Run]]]:
    """The runs of tuning: by each loss's label, a row a trial, one run a tuning seed."""
    return {
        spec.label: [
            [Run(data=data, loss=one, protocol=protocol, seed=seed, purpose="trial") for seed in seeds]
            for one in grid(spec, protocol.name, points)
        ]
        for spec in specs
        if not spec.foreign
    }


def tune(
    specs: Sequence[LossSpec],
    *,
    data: DataSpec,
    protocol: Protocol,
    identify: Callable[[Run], str],
    store: Store,
    group: Callable[[list[Run], list[str]], list[launch.Group]],
    engine: str,
    points: int | None = None,
    seeds: Sequence[int] = SEEDS,
    activity: launch.ACTIVITY | None = None,
) -> list[Choice]:
    """Choose each loss's hyperparameters, learning rate and epoch; trials are kept and found again.

    A diverged trial counts as a trial and is never chosen. A loss whose trials all failed is taken at the
    protocol's numbers.
    """
    trials = trial_runs(specs, data, protocol, points, seeds)
    runs = [run for rows in trials.values() for row in rows for run in row]
    ids = [identify(run) for run in runs]
    if runs:
        launch.execute(group(runs, ids), engine, activity)
    where = dict(zip((run.canonical() for run in runs), ids, strict=True))
    choices = []
    for spec in specs:
        if spec.label not in trials:
            choices.append(Choice(spec.label, spec.resolved(protocol.name)))
            continue
        rows = [_score([where[run.canonical()] for run in row], row[0], store) for row in trials[spec.label]]
        choices.append(_choose(spec, [row[0].loss for row in trials[spec.label]], rows, protocol))
    return choices


def _score(ids: Sequence[str], run: Run, store: Store) -> dict[str, Any]:
    """One trial: its best epoch and mean validation MAP@R there, over the tuning seeds."""
    row: dict[str, Any] = {
        "hyperparameters": dict(run.loss.hyperparameters),
        "reduction": run.loss.reduction,
        "learning_rate": run.loss.learning_rate,
        "score": None,
        "epoch": None,
        "failed": 0,
        "runs": list(ids),
    }
    curves = []
    for one in store.many(ids):
        if one.failed is not None:
            row["failed"] += 1
            continue
        trace = one.trace()
        curve = trace[(trace["split"] == "validation") & (trace["name"] == "map_at_r") & (trace["epoch"] > 0)]
        curves.append(curve.set_index("epoch")["value"].sort_index())
    if curves and not row["failed"]:
        mean = sum(curves) / len(curves)
        if len(mean):
            row["epoch"] = int(mean.idxmax())
            row["score"] = float(mean.max())
    return row


def _choose(
    spec: LossSpec, specs: Sequence[LossSpec], rows: list[dict[str, Any]], protocol: Protocol
) -> Choice:
    scored = [place for place, row in enumerate(rows) if row["score"] is not None]
    if not scored:
        return Choice(spec.label, spec.resolved(protocol.name), None, rows)

    def rank(place: int) -> tuple[float, float]:
        margin = specs[place].hyperparameters.get(
            "margin", specs[place].hyperparameters.get("temperature", 0.0)
        )
        return -round(rows[place]["score"], 12), float(margin)

    best = min(scored, key=rank)
    row = rows[best]
    chosen = specs[best].model_copy(update={"checkpoint": row["epoch"]})
    tuned = {
        "hyperparameters": row["hyperparameters"],
        "reduction": row["reduction"],
        "learning_rate": row["learning_rate"],
        "checkpoint": row["epoch"],
        "score": row["score"],
        "trials": len(rows),
        "diverged": sum(1 for one in rows if one["failed"]),
        "edge": _edges(rows, row, protocol.epochs),
    }
    return Choice(spec.label, chosen, tuned, rows)


def _edges(rows: Sequence[dict[str, Any]], row: dict[str, Any], epochs: int) -> list[str]:
    """Which chosen numbers lie on the edge of what was tried: a wider search could change them."""
    said = []
    for name, value in row["hyperparameters"].items():
        tried = sorted({one["hyperparameters"][name] for one in rows if name in one["hyperparameters"]})
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and len(tried) > 2 and value in (tried[0], tried[-1]):
            said.append(f"{name} {value:g}")
    if row["epoch"] == epochs:
        said.append(f"epoch {epochs}")
    return said


def settings(choices: Sequence[Choice]) -> tuple[Settings, ...]:
    """The numbers of the losses that every verdict is conditional on, and whether they were tuned."""
    return tuple(
        Settings(
            loss=choice.label,
            name=choice.label if choice.spec.foreign else choice.spec.name,
            hyperparameters=choice.spec.hyperparameters,
            reduction=choice.spec.reduction,
            tuned=choice.tuned is not None,
        )
        for choice in choices
    )
