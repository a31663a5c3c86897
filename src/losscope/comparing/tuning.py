"""Tuning, the same effort for each loss: the whole declared grid as one population, judged on validation.

Two seeds of its own, twelve trials per loss = two learning rates × six points of the loss's space; the epoch
is chosen too; MAP@R on validation decides, the smaller margin at a tie. The test split is not touched: a
trial is not measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from losscope.comparing.stored import Choice
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.results import Edge, Trial, Tuned
from losscope.core.spec import LossSpec, ResolvedStudy, Run
from losscope.run import launch
from losscope.run.store import Store

SEEDS = (2**31, 2**31 + 1)
RATES = (1e-3, 1e-4)


def as_given(study: ResolvedStudy) -> tuple[Choice, ...]:
    """A study's losses at the numbers given, and at the protocol's where none is given."""
    return tuple(Choice(label=spec.label, spec=study.resolved(spec)) for spec in study.losses)


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


def grids(study: ResolvedStudy, points: int | None = None) -> dict[str, list[LossSpec]]:
    """The trials of each loss that is tuned, by its label; foreign losses are taken as given."""
    return {spec.label: grid(spec, study.protocol.name, points) for spec in study.losses if not spec.foreign}


def trial_runs(
    study: ResolvedStudy, trials: Sequence[LossSpec], seeds: Sequence[int] = SEEDS
) -> list[list[Run]]:
    """The runs of some trials: one row per trial, one run per tuning seed."""
    return [
        [
            Run(data=study.data, loss=trial, protocol=study.protocol, seed=seed, purpose="trial")
            for seed in seeds
        ]
        for trial in trials
    ]


def tune(
    study: ResolvedStudy,
    *,
    identify: Callable[[Run], str],
    store: Store,
    group: Callable[[Sequence[Run], Sequence[str]], list[launch.Group]],
    points: int | None = None,
    train: bool = True,
    activity: launch.ACTIVITY | None = None,
    say: launch.Say | None = None,
) -> tuple[Choice, ...]:
    """Choose each loss's hyperparameters, learning rate and epoch; trials are kept and found again.

    A diverged trial counts as a trial and is never chosen. A loss whose trials all diverged is taken at the
    protocol's numbers. ``train``: train the trials that are not stored; all are, where it is False.

    Raises:
        LosscopeError: the machine stopped a trial. Nothing is chosen without it; the next call tries it.
    """
    tables = {label: trial_runs(study, trials) for label, trials in grids(study, points).items()}
    ids = {label: [tuple(identify(run) for run in row) for row in table] for label, table in tables.items()}
    runs = [run for table in tables.values() for row in table for run in row]
    if runs:
        every = [run_id for rows in ids.values() for row in rows for run_id in row]
        if train:
            launch.execute(group(runs, every), study.given.engine, activity, say)
        if (unfinished := store.unfinished(every)) is not None:
            raise LosscopeError(f"tuning stopped before a choice: {wording.unfinished(unfinished)}")
    choices = []
    for given in as_given(study):
        if given.label in tables:
            table = tables[given.label]
            trials = [
                _score(own, row[0].loss, store) for own, row in zip(ids[given.label], table, strict=True)
            ]
            given = _choose(given, [row[0].loss for row in table], trials, study.protocol.epochs)
        choices.append(given)
    return tuple(choices)


def _score(ids: tuple[str, ...], spec: LossSpec, store: Store) -> Trial:
    """One trial: its best epoch and mean validation MAP@R there, over the tuning seeds."""
    curves, failed = [], 0
    for stored in store.many(ids):
        if stored.failed is not None:
            failed += 1
            continue
        trace = stored.trace()
        curve = trace[(trace["split"] == "validation") & (trace["name"] == "map_at_r") & (trace["epoch"] > 0)]
        curves.append(curve.set_index("epoch")["value"].sort_index())
    epoch = score = None
    if curves and not failed:
        mean = sum(curves) / len(curves)
        if len(mean):
            epoch, score = int(mean.idxmax()), float(mean.max())
    return Trial(
        hyperparameters=spec.hyperparameters,
        reduction=spec.reduction,
        learning_rate=spec.learning_rate,
        score=score,
        epoch=epoch,
        failed=failed,
        runs=ids,
    )


def _choose(given: Choice, specs: Sequence[LossSpec], trials: Sequence[Trial], epochs: int) -> Choice:
    """The loss at the numbers of its best trial; as given where no trial has a score."""
    scored = [place for place, trial in enumerate(trials) if trial.score is not None]
    if not scored:
        return Choice(label=given.label, spec=given.spec, trials=tuple(trials))

    def rank(place: int) -> tuple[float, float]:
        numbers = specs[place].hyperparameters
        margin = numbers.get("margin", numbers.get("temperature", 0.0))
        return -round(trials[place].score or 0.0, 12), float(margin)

    best = min(scored, key=rank)
    trial = trials[best]
    tuned = Tuned(
        hyperparameters=trial.hyperparameters,
        reduction=trial.reduction,
        learning_rate=trial.learning_rate,
        checkpoint=trial.epoch,
        score=trial.score,
        trials=len(trials),
        diverged=sum(1 for other in trials if other.failed),
        edge=_edges(trials, trial, epochs),
    )
    spec = specs[best].model_copy(update={"checkpoint": trial.epoch})
    return Choice(label=given.label, spec=spec, tuned=tuned, trials=tuple(trials))


def _edges(trials: Sequence[Trial], chosen: Trial, epochs: int) -> tuple[Edge, ...]:
    """Which chosen numbers lie on the edge of what was tried: a wider search could change them."""
    found = []
    for name, value in chosen.hyperparameters.items():
        tried = sorted({trial.hyperparameters[name] for trial in trials if name in trial.hyperparameters})
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and len(tried) > 2 and value in (tried[0], tried[-1]):
            found.append(Edge(name=name, value=value))
    if chosen.epoch == epochs:
        found.append(Edge(name="epoch", value=epochs))
    return tuple(found)
