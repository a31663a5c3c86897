"""Runs that were read, whatever they were read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from losscope import stats
from losscope.core import registry
from losscope.core.loss_spec import CLOSED_FORM
from losscope.core.results import DataDescription, Settings
from losscope.core.spec import BASELINES


@dataclass(frozen=True)
class Runs:
    """The runs of some losses, and what is known of them.

    Attributes:
        notes: sentences on how they were understood.
        look: which look at them a goal, a measure and a reference are, where a store counts that.
        settings: the numbers that the losses were tuned to, where they are known.
        data: what they were measured on, where it is known.
        standings: how the sides stood on validation, where a store knows it.
        folds: of how many folds of one data set they are, 0 where of none.
        noun: what pairs them, ``units`` its names by the runs' numbers where it is no seed.
        averaged: whether each value is a mean over runs.
        each: of several data sets the runs on each, ``folds_of_each`` of how many folds these are.
        measure: what decides where neither a measure nor another goal is asked for.
    """

    measured: tuple[stats.Measured, ...]
    notes: tuple[str, ...] = ()
    look: Callable[[str, str | None, str | None, float | None], int] | None = None
    settings: tuple[Settings, ...] = ()
    data: DataDescription | None = None
    standings: tuple[stats.Standing, ...] = ()
    folds: int = 0
    noun: str = "seed"
    units: tuple[str, ...] = ()
    averaged: bool = False
    each: tuple[stats.OnData, ...] = ()
    folds_of_each: int = 0
    measure: str | None = None


def run_of(
    loss: str,
    seed: int,
    values: Mapping[str, float | None],
    splits: Mapping[str, str] | None = None,
    detail: Mapping[str, np.ndarray] | None = None,
    *,
    ours: bool = False,
) -> stats.Measured:
    """One run as statistics see it, with the facts of a loss that is registered under its name.

    ``splits``: the part of the data that a value is of, where it is told; nothing is said of it else.
    ``ours``: losscope wrote it, so that a closed form's name means the closed form. In anyone's own table
    "lda" is whatever its author compares.
    """
    name = loss.split("(", 1)[0]
    known = registry.entries("loss")
    facts = known[name].facts if name in known else None
    form = registry.entries("closed_form").get(loss) if ours else None
    return stats.Measured(
        loss=loss,
        seed=seed,
        values=values,
        splits=dict(splits or {}),
        failed=None,
        detail=detail or {},
        family="baseline" if loss in BASELINES else "loss" if form is None else CLOSED_FORM,
        described=form is not None and bool(form.facts.of),
        form=None if facts is None else facts.form,
        hinge=None if facts is None else facts.hinge,
        floor=None if facts is None else facts.floor,
    )
