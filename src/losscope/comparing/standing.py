"""How the sides of a study stood before the test split was measured, from what is stored. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from losscope import stats
from losscope.comparing import watching
from losscope.comparing.stored import Choice, StoredStudy
from losscope.core.loss_spec import CLOSED_FORM
from losscope.core.results import Price
from losscope.run.store import Stored


def standings(kept: StoredStudy, runs_of: Mapping[str, Sequence[Stored]]) -> tuple[stats.Standing, ...]:
    """Each side's validation scores and price, and runs that learned nothing.

    A loss that was tuned has the score of its choice, over the seeds of tuning, where these were judged as
    final runs are. Beside it, and for an untuned one, stand the validation curves of its runs at the epoch
    that is measured, over the study's seeds. A closed form has what each seed's validation part gave.
    """
    faults = watching.faults(runs_of, kept.data.classes)
    chosen = {choice.label: choice for choice in kept.losses}
    return tuple(
        stats.Standing(
            label,
            validation=_validation(runs, chosen.get(label)),
            price=_price(runs),
            faults=tuple(found for found in faults if found.side == label),
            changes=_changes(chosen.get(label)),
        )
        for label, runs in runs_of.items()
    )


def _changes(choice: Choice | None) -> float | None:
    return None if choice is None or choice.tuned is None else choice.tuned.unstable


def _validation(runs: Sequence[Stored], choice: Choice | None) -> dict[str, float]:
    """Measure -> mean; only measures that every run which ended has."""
    ended = [run for run in runs if run.failed is None]
    if choice is None:
        closed = [run for run in ended if run.run.loss.family == CLOSED_FORM]
        return _means([_finite(run.measures.get("validation", {})) for run in closed])
    found = _means([_curves(run) for run in ended])
    # A score on rows of classes that were trained on says nothing beside closed forms' on unseen classes.
    tuned = choice.tuned
    if tuned is not None and tuned.judged != "rows" and tuned.score is not None:
        found[tuned.measure] = tuned.score
    return found


def _curves(run: Stored) -> dict[str, float]:
    """The validation curves of a run at the epoch whose weights are measured."""
    if not run.has_trace:
        return {}
    checkpoint = run.run.loss.checkpoint
    found = {}
    for name, epochs, values in run.columns.curves("validation"):
        known = ~np.isnan(values)
        epochs, values = epochs[known], values[known]
        if len(epochs):
            at = values[epochs == (epochs.max() if checkpoint is None else checkpoint)]
            if len(at):
                found[name] = float(at[0])
    return _finite(found)


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _means(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    if not runs:
        return {}
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: sum(run[name] for run in runs) / len(runs) for name in names}


def _price(runs: Sequence[Stored]) -> Price | None:
    """The mean seconds of a run and its parameters, where the runs keep them."""
    ended = [run.provenance for run in runs if run.failed is None]
    seconds = [found["train_seconds"] for found in ended if "train_seconds" in found]
    parameters = [found["parameters"] for found in ended if "parameters" in found]
    if not seconds and not parameters:
        return None
    return Price(
        seconds=sum(seconds) / len(seconds) if seconds else None,
        parameters=max(parameters) if parameters else None,
    )
