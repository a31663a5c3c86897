"""The file ``study.json`` of a finished study: what was asked, what was chosen, and which runs answer it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from losscope.core.errors import LosscopeError
from losscope.core.results import Curve, DataDescription, Document, Frozen, Settings, Trial, Tuned
from losscope.core.spaces import numbers_of
from losscope.core.spec import LossSpec, Study
from losscope.run.store import Store


class Choice(Frozen):
    """One loss of a study: how it is called, its whole identity, and how that was chosen.

    ``tuned`` is None and ``trials`` are empty for a loss that is taken as given. ``default``: the loss at its
    usual numbers, which stands beside one that was tuned, None otherwise. ``curves``: over single numbers.
    """

    label: str
    spec: LossSpec
    default: LossSpec | None = None
    tuned: Tuned | None = None
    trials: tuple[Trial, ...] = ()
    curves: tuple[Curve, ...] = ()

    @property
    def default_label(self) -> str:
        """How the loss at its usual numbers is called.

        >>> Choice(label="triplet", spec=LossSpec(name="triplet")).default_label
        'triplet, untuned'
        """
        return f"{self.label}, untuned"

    @property
    def settings(self) -> Settings:
        """The numbers that a verdict on this loss is conditional on."""
        return Settings(
            loss=self.label,
            name=self.label if self.spec.foreign else self.spec.name,
            hyperparameters=numbers_of(self.spec, self.label),
            reduction=self.spec.reduction,
            tuned=self.tuned is not None,
            start=None if self.tuned is None else self.tuned.start,
            stopped=self.tuned is not None and self.tuned.checkpoint == 0,
        )


class StoredStudy(Document):
    """A finished study as its folder keeps it; the numbers are in the runs that it names.

    ``runs``: those that the last command asked for, such as of fewer seeds. ``earlier``: those that only
    commands before it asked for; the folder goes on naming them. ``forms``: the runs of closed forms on
    validation that chose the transform of the inputs.
    """

    kind: ClassVar[str] = "study"
    name: str
    time: float
    study: Study
    runs: tuple[str, ...]
    earlier: tuple[str, ...] = ()
    look: int
    notes: tuple[str, ...] = ()
    losses: tuple[Choice, ...]
    forms: tuple[str, ...] = ()
    data: DataDescription

    @property
    def trials(self) -> tuple[str, ...]:
        """The runs of tuning, and of curves."""
        own = [run_id for loss in self.losses for trial in loss.trials for run_id in trial.runs]
        own += [
            run_id
            for loss in self.losses
            for curve in loss.curves
            for point in curve.points
            for run_id in point.runs
        ]
        return tuple(dict.fromkeys([*self.forms, *own]))

    def write(self, store: Store) -> None:
        """Write it and its settings, ``study.toml``, into the study's folder, which only grows.

        What is there is read first: the caller holds the study's lock.
        """
        try:
            before = StoredStudy.read(store, self.name)
        except LosscopeError:  # a damaged file names no runs; they are found in the store all the same
            before = None
        named = () if before is None else (*before.runs, *before.trials, *before.earlier)
        own = {*self.runs, *self.trials}
        earlier = tuple(run_id for run_id in dict.fromkeys(named) if run_id not in own)
        kept = self.model_copy(update={"earlier": earlier})
        store.write_json(f"studies/{self.name}/study.json", kept.model_dump(mode="json"))
        store.write_text(f"studies/{self.name}/study.toml", self.study.toml())

    @classmethod
    def read(cls, store: Store, name: str) -> StoredStudy | None:
        """A study of a store by its name, None where there is none; a file of schema 1 is read as well.

        Raises:
            LosscopeError: a file that is not a study's, or of a schema that this version does not know.
        """
        found = store.read_json(f"studies/{name}/study.json")
        if found is None:
            return None
        where = str(store.root / "studies" / name / "study.json")
        if isinstance(found, dict) and found.get("schema") == 1:
            found = _of_schema_1(found, where)
        study: StoredStudy = cls.from_json(json.dumps(found), repr(where))
        return study


def _of_schema_1(found: dict[str, Any], where: str) -> dict[str, Any]:
    """A study of schema 1 in the fields of schema 2.

    Schema 1 wrote an edge of the search as a text, such as ``margin 0.3``. This is the one place where a text
    is read for its value.
    """
    try:
        losses = [
            {
                **loss,
                "tuned": loss["tuned"] and {**loss["tuned"], "edge": [*map(_edge, loss["tuned"]["edge"])]},
            }
            for loss in found["losses"]
        ]
    except (KeyError, TypeError, ValueError):
        raise LosscopeError(
            f"{where!r} is not a study of schema 1 that can be read; delete its folder and run it again"
        ) from None
    return {**found, "schema": 2, "losses": losses}


def _edge(text: str) -> dict[str, Any]:
    name, value = text.rsplit(" ", 1)
    return {"name": name, "value": int(value) if value.isdecimal() else float(value)}
