"""Tuning: each loss's numbers, epoch and start chosen on validation, the same effort for every loss.

Seeds of its own; ``halving`` walks the stages, ``candidates`` says what is tried. The test split is not
touched: a trial is not measured on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from losscope.comparing import candidates, halving
from losscope.comparing.halving import SEEDS, Candidate, Search
from losscope.comparing.stored import Choice
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.results import Edge, Trial, Tuned
from losscope.core.spaces import numbers_of
from losscope.core.spec import LossSpec, Protocol, ResolvedStudy, Run
from losscope.run import launch
from losscope.run.store import Store, Stored

__all__ = ["SEEDS", "Tuning", "as_given", "deciding", "foreseen", "runs_of", "score", "tune"]

SMOOTH = 3
"""Looks whose mean is taken as the value of the middle one; the start stands for itself."""


@dataclass(frozen=True)
class Tuning:
    """What tuning chose: the losses, the protocol with its start and transform, and the runs of closed forms
    that chose the transform."""

    choices: tuple[Choice, ...]
    protocol: Protocol
    forms: tuple[str, ...] = ()


def as_given(study: ResolvedStudy) -> tuple[Choice, ...]:
    """A study's losses at the numbers given, and at the protocol's where none is given."""
    return tuple(Choice(label=spec.label, spec=study.resolved(spec)) for spec in study.losses)


def deciding(study: ResolvedStudy) -> tuple[str, str]:
    """The validation measure that decides, and the one that decides between near ties.

    Recall@1 where the goal's own measure is the quality of the nearest neighbour; MAP@R for the goals whose
    measure is no part of the quality curve.

    >>> from losscope.core.spec import Study
    >>> deciding(Study.of().resolve("vectors")), deciding(Study.of(goal="verification").resolve("vectors"))
    (('recall_at_1', 'map_at_r'), ('map_at_r', 'recall_at_1'))
    """
    nearest = study.given.goal in ("retrieval", "classification", "cross-modal")
    by_map = study.given.goal == "retrieval" and study.kind == "pair"
    return ("recall_at_1", "map_at_r") if nearest and not by_map else ("map_at_r", "recall_at_1")


def runs_of(study: ResolvedStudy, candidate: Candidate) -> list[Run]:
    """The runs of a candidate, one per seed."""
    return [
        Run(data=study.data, loss=candidate.spec, protocol=candidate.protocol, seed=seed, purpose="trial")
        for seed in candidate.seeds
    ]


def tune(
    study: ResolvedStudy,
    *,
    identify: Callable[[Run], str],
    store: Store,
    group: Callable[[Sequence[Run], Sequence[str]], list[launch.Group]],
    trials: int | None = None,
    train: bool = True,
    activity: launch.ACTIVITY | None = None,
    say: launch.Say | None = None,
) -> Tuning:
    """Choose each loss's numbers and epoch; trials are kept and found again.

    A diverged trial counts as a trial and is never chosen. A loss whose trials all diverged is taken at the
    protocol's numbers. ``train``: train the trials that are not stored; all are, where it is False.

    Raises:
        LosscopeError: the machine stopped a trial. Nothing is chosen without it; the next call tries it.
    """
    walk, names = halving.search(study, trials), deciding(study)
    asked = next(walk)
    while True:
        table = [runs_of(study, candidate) for candidate in asked]
        ids = [tuple(identify(run) for run in row) for row in table]
        every = [run_id for row in ids for run_id in row]
        if train:
            runs = [run for row in table for run in row]
            launch.execute(group(runs, every), study.given.engine, activity, say)
        if (unfinished := store.unfinished(every)) is not None:
            raise LosscopeError(f"tuning stopped before a choice: {wording.unfinished(unfinished)}")
        scored = [score(candidate, own, store, names) for candidate, own in zip(asked, ids, strict=True)]
        try:
            asked = walk.send(scored)
        except StopIteration as ended:
            return _concluded(study, ended.value, names)


def foreseen(
    study: ResolvedStudy, *, identify: Callable[[Run], str], store: Store, trials: int | None = None
) -> Iterator[tuple[list[Run], list[str]]]:
    """The runs of each stage, and their ids.

    A stage that follows from one not stored yet has its first candidates, and the search is widened.
    """
    walk, names = halving.search(study, trials), deciding(study)
    asked, known = next(walk), True
    while True:
        table = [runs_of(study, candidate) for candidate in asked]
        ids = [tuple(identify(run) for run in row) for row in table]
        every = [run_id for row in ids for run_id in row]
        yield [run for row in table for run in row], every
        known = known and all(map(store.has, every))
        scored = [
            score(candidate, own, store, names) if known else _stand_in(candidate)
            for candidate, own in zip(asked, ids, strict=True)
        ]
        try:
            asked = walk.send(scored)
        except StopIteration:
            return


def _stand_in(candidate: Candidate) -> Trial:
    return halving.StandIn(hyperparameters=candidate.spec.hyperparameters, score=0.0, second=0.0, epoch=0)


def score(candidate: Candidate, ids: tuple[str, ...], store: Store, names: tuple[str, str]) -> Trial:
    """One trial: its best epoch and the mean validation measures there, over its seeds."""
    stored = list(store.many(ids))
    failed = sum(run.failed is not None for run in stored)
    epoch: int | None = None
    values = np.empty((2, 0))
    if candidate.spec.closed_form:
        found = [[run.measures.get("validation", {}).get(name, np.nan) for run in stored] for name in names]
        values = np.array(found, dtype=float)
    elif not failed:
        looks, curves = zip(*(_curves(run, names) for run in stored), strict=True)
        epoch, values = at_best(np.stack(curves, axis=1), looks[0])
    return trial_of(candidate, epoch, values, failed=failed, ids=ids)


def trial_of(
    candidate: Candidate,
    epoch: int | None,
    values: np.ndarray,
    *,
    failed: int = 0,
    ids: tuple[str, ...] = (),
) -> Trial:
    """A trial from its best epoch and each seed's validation measures there (2, seeds), none if it failed."""
    spec, shape = candidate.spec, candidate.protocol
    whole = bool(values.size) and bool(np.isfinite(values).all())
    return Trial(
        hyperparameters=numbers_of(spec, candidate.label),
        reduction=spec.reduction,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        class_rate=spec.class_rate,
        start=shape.start,
        transform=shape.transform,
        score=float(values[0].mean()) if whole else None,
        second=float(values[1].mean()) if whole else None,
        epoch=epoch if whole else None,
        epochs=0 if spec.closed_form else shape.epochs,
        by_seed=tuple(map(float, values[0])) if whole else (),
        second_by_seed=tuple(map(float, values[1])) if whole else (),
        failed=failed,
        runs=ids,
    )


def at_best(curves: np.ndarray, epochs: np.ndarray) -> tuple[int | None, np.ndarray]:
    """The epoch at which the mean of the smoothed curves is best, and each seed's values there, (2, seeds).

    Within ``TIE`` of the best the second measure chooses the epoch, then the earlier one.

    Args:
        curves: (2, seeds, looks) of the measure that decides and of the second.
        epochs: (looks,).
    """
    if not curves.shape[-1]:
        return None, np.empty((2, 0))
    smooth = np.apply_along_axis(_smoothed, -1, curves)
    first, second = smooth.mean(axis=1)
    if not np.isfinite(first).any():
        return None, np.empty((2, 0))
    near = np.flatnonzero(np.nanmax(first) - first < halving.TIE)
    place = min(near, key=lambda place: (-round(float(second[place]), 12), place))
    return int(epochs[place]), smooth[:, :, place]


def _curves(run: Stored, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The epochs (looks,) of a run's two curves on validation, and the curves, (2, looks)."""
    (epochs, first), (_, second) = (run.columns.curve("validation", name) for name in names)
    return epochs, np.stack([first, second])


def _smoothed(curve: np.ndarray) -> np.ndarray:
    """The mean of each look and its neighbours; the first look, the start, is itself.

    >>> _smoothed(np.array([0.0, 3.0, 6.0, 9.0])).tolist()
    [0.0, 3.0, 6.0, 7.5]
    """
    half = SMOOTH // 2
    made = [curve[max(0, place - half) : place + half + 1].mean() for place in range(len(curve))]
    return np.array([*curve[:1], *made[1:]])


def _concluded(study: ResolvedStudy, found: Search, names: tuple[str, str]) -> Tuning:
    """Each loss at the numbers of its best trial; as given where no trial has a score."""
    choices = []
    for given in as_given(study):
        trials = tuple(trial for _, trial in found.trials[given.label])
        last = found.last[given.label]
        place = halving.best([trial for _, trial in last])
        if place is None:
            choices.append(Choice(label=given.label, spec=given.spec, trials=trials))
            continue
        spec, trial = last[place]
        tuned = Tuned(
            hyperparameters=trial.hyperparameters,
            reduction=trial.reduction,
            learning_rate=trial.learning_rate,
            weight_decay=trial.weight_decay,
            class_rate=trial.class_rate,
            checkpoint=trial.epoch,
            start=trial.start,
            transform=trial.transform,
            score=trial.score,
            measure=names[0],
            trials=len(trials),
            diverged=sum(1 for other in trials if other.failed),
            edge=_edges([spec for spec, _ in found.trials[given.label]], spec, trial, study.protocol.epochs),
            widened=found.widened,
            agreement=found.agreement.get(given.label),
            judged=study.judged,
            unstable=unstable([trial for _, trial in last], place),
            epochs=sum({run_id: trial.epochs or 0 for trial in trials for run_id in trial.runs}.values()),
        )
        chosen = spec.model_copy(update={"checkpoint": trial.epoch})
        choices.append(Choice(label=given.label, spec=chosen, default=given.spec, tuned=tuned, trials=trials))
    forms = tuple(run_id for _, trial in found.forms for run_id in trial.runs)
    return Tuning(tuple(choices), found.protocol, forms)


def unstable(last: Sequence[Trial], place: int) -> float | None:
    """The share of all draws of the tuning seeds, with replacement, that choose another of the last trials.

    Each seed draws validation classes or rows of its own, so this is how much the choice owes to them.

    >>> scores = [(0.5, 0.7), (0.6, 0.5)]
    >>> unstable([Trial(hyperparameters={}, by_seed=own, second_by_seed=own) for own in scores], 0)
    0.25
    """
    whole = [(own, trial) for own, trial in enumerate(last) if trial.by_seed]
    seeds = min((len(trial.by_seed) for _, trial in whole), default=0)
    if not seeds:
        return None
    changed = total = 0
    for draw in itertools.product(range(seeds), repeat=seeds):
        own = list(draw)
        again = [
            trial.model_copy(
                update={
                    "score": float(np.array(trial.by_seed, float)[own].mean()),
                    "second": float(np.array(trial.second_by_seed, float)[own].mean()),
                }
            )
            for _, trial in whole
        ]
        found = halving.best(again)
        changed += found is None or whole[found][0] != place
        total += 1
    return changed / total


def _edges(tried: Sequence[LossSpec], spec: LossSpec, trial: Trial, epochs: int) -> tuple[Edge, ...]:
    """Which chosen numbers lie on the edge of what was tried: a wider search could change them."""
    found = [Edge(name=name, value=value) for name, value, _ in candidates.edges(tried, spec)]
    if trial.epoch == epochs:
        found.append(Edge(name="epoch", value=epochs))
    return tuple(found)
