"""Closed forms in a study: fitted to a seed's training part, shrinkage chosen on its validation part."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Run, seed_of
from losscope.data import Part, Splits
from losscope.measures import evaluate
from losscope.models.closed import ClosedForm, Sample, Setting
from losscope.pairs import normalise
from losscope.train.pool import inputs_of

TIE = 0.002
"""A difference in Recall@1 below which MAP@R chooses."""
CHOOSES = ("recall_at_1", "map_at_r")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A closed form at one of its settings, and how that did on validation (empty without validation)."""

    form: ClosedForm
    setting: Setting
    validation: dict[str, float]
    notes: tuple[str, ...]
    seconds: float

    def embed(self, inputs: Tensor) -> Tensor:
        """Inputs (rows, ...) as the network takes them -> normalised embeddings (rows, K)."""
        rows = self.setting.apply(self.form.project(inputs.flatten(1).cpu().numpy()))
        return normalise(torch.from_numpy(rows)).float().to(inputs.device)

    def weights(self) -> dict[str, np.ndarray]:
        """``mean`` (D,) and ``matrix`` (D, K): an embedding is (x − mean) @ matrix, L2-normalised."""
        axes = np.eye(len(self.form.mean)) if self.form.axes is None else self.form.axes
        matrix = np.ascontiguousarray(self.setting.apply(axes))
        return {"mean": self.form.mean.astype(np.float32), "matrix": matrix.astype(np.float32)}


def sample_of(run: Run, splits: Splits) -> Sample:
    """The training rows of a seed as closed forms take them, flat; background is left out as in training."""
    part = splits.train
    if run.protocol.background == "exclude" and (part.labels == -1).any():
        part = part.take(np.flatnonzero(part.labels != -1))
    rows = inputs_of(part, splits, torch.device("cpu")).flatten(1).numpy()
    return Sample(rows, np.unique(part.labels, return_inverse=True)[1].astype(np.int64))


def fit(run: Run, splits: Splits, sample: Sample) -> Fitted:
    """The closed form of a run on its seed's parts.

    Raises:
        LosscopeError: a plugin's form that gives numbers that are not finite.
    """
    started, name = time.perf_counter(), run.loss.name
    facts = registry.entry("closed_form", name).facts
    make = registry.get("closed_form", name)
    form: ClosedForm = make(sample, None if facts.of else run.protocol.embedding_size)
    setting, scores = _chosen(form, run, splits)
    said = tuple(f"{name}: {note}." for note in form.notes)
    if len(form.settings) > 1 and not scores:
        said += (f"{name}: validation ranks nothing, so the shrinkage is Ledoit and Wolf's.",)
    made = Fitted(form, setting, scores, said, time.perf_counter() - started)
    if not all(np.isfinite(part).all() for part in made.weights().values()):
        raise LosscopeError(f"the closed form {name!r} gave numbers that are not finite")
    return made


def _chosen(form: ClosedForm, run: Run, splits: Splits) -> tuple[Setting, dict[str, float]]:
    """The setting of the best Recall@1 among validation rows, MAP@R deciding between near ties.

    Then the strongest shrinkage decides, the nearest to changing nothing.
    """
    part = _rows(run, splits)
    if part is None:
        return form.settings[-1], {}
    rows = form.project(inputs_of(part, splits, torch.device("cpu")).flatten(1).numpy())
    labels = torch.from_numpy(part.labels)
    scores = []
    for setting in form.settings:
        embeddings = normalise(torch.from_numpy(setting.apply(rows))).float()
        values, _ = evaluate(embeddings, labels, names=CHOOSES, tags=part.tags)
        scores.append({name: float(values[name]) for name in CHOOSES})
    if not all(math.isfinite(score) for found in scores for score in found.values()):
        return form.settings[-1], {}
    best = max(found["recall_at_1"] for found in scores)
    near = [place for place, found in enumerate(scores) if best - found["recall_at_1"] < TIE]
    place = max(near, key=lambda place: (scores[place]["map_at_r"], form.settings[place].shrinkage or 0.0))
    return form.settings[place], scores[place]


def _rows(run: Run, splits: Splits) -> Part | None:
    """The validation rows that choose, as many as a quality curve has, and the same ones.

    None where no row has another of its class.
    """
    part = splits.validation
    known = np.flatnonzero(part.labels != -1)
    generator = np.random.default_rng(seed_of(run.seed, "quality"))
    chosen = np.sort(generator.permutation(len(known))[: run.protocol.curve_rows])
    part = part.take(known[chosen])
    counts = np.unique(part.labels, return_counts=True)[1]
    return part if len(counts) > 1 and counts.max() > 1 else None
