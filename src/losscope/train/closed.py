"""Closed forms in a study: fitted to a seed's training part, shrinkage chosen on its validation part."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Run, seed_of
from losscope.data import Part, Splits
from losscope.data.splits import positive_pairs
from losscope.measures import evaluate
from losscope.measures.ranking import quality_fast
from losscope.measures.searching import quality_by_overlap
from losscope.models.closed import Form, Sample
from losscope.models.paired import PairSample, PairSetting
from losscope.pairs import normalise
from losscope.train.pool import inputs_of

TIE = 0.002
"""A difference in the measure that chooses below which the other one does."""
CHOOSES = ("recall_at_1", "map_at_r")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A closed form at one of its settings, and how that did on validation (empty without validation).

    ``pairs``: the training pairs that it is fitted to, None where it is fitted to classes.
    """

    form: Form
    setting: Any
    validation: dict[str, float]
    notes: tuple[str, ...]
    seconds: float
    pairs: int | None = None

    def embed(self, inputs: Tensor) -> Tensor:
        """Inputs (rows, ...) as the network takes them -> normalised embeddings (rows, K).

        Of two modalities (2·rows, K), the first modality's first.
        """
        projected: Any = self.form.project(inputs.flatten(1).cpu().numpy())
        rows = self.form.apply(self.setting, projected)
        return normalise(torch.from_numpy(rows)).float().to(inputs.device)

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """``mean`` (D,) and ``matrix`` (D, K): an embedding is (x − mean) @ matrix, L2-normalised.

        Of two modalities ``first.mean``, ``first.matrix``, ``second.mean`` and ``second.matrix``.
        """
        return self.form.weights(self.setting)

    @property
    def chosen(self) -> dict[str, float | int | None]:
        """What validation chose, and what it is fitted to, as a result shows it."""
        strength, last = self.setting.shrinkage, list(self.weights.values())[-1]
        found: dict[str, float | int | None] = {
            "shrinkage": None if strength is None or math.isinf(strength) else strength,
            "dimensions": last.shape[1],
        }
        if self.pairs is not None:
            found["pairs"] = self.pairs
        if isinstance(self.setting, PairSetting):
            found["exponent"] = self.setting.exponent
        return found


def sample_of(run: Run, splits: Splits) -> Sample | PairSample:
    """The training rows of a seed as closed forms take them, flat; background is left out as in training.

    Of two modalities the training pairs. Where positive pairs stand in the place of classes, with these.
    """
    part = splits.train
    if run.protocol.background == "exclude" and (part.labels == -1).any():
        part = part.take(np.flatnonzero(part.labels != -1))
    rows = inputs_of(part, splits, torch.device("cpu")).flatten(1).numpy()
    if part.second is not None:
        return PairSample.of(rows, math.prod(splits.facts.shape))
    labels = np.unique(part.labels, return_inverse=True)[1].astype(np.int64)
    links = positive_pairs(part.pairs, part.triplets) if splits.facts.implied else None
    return Sample(rows, labels, links)


def fit(run: Run, splits: Splits, sample: Sample | PairSample) -> Fitted:
    """The closed form of a run on its seed's parts.

    Raises:
        LosscopeError: a plugin's form that gives numbers that are not finite.
    """
    started, name = time.perf_counter(), run.loss.name
    facts = registry.entry("closed_form", name).facts
    make = registry.get("closed_form", name)
    form: Form = make(sample, None if facts.of else run.protocol.embedding_size)
    setting, scores = _chosen(form, run, splits)
    said = tuple(f"{name}: {note}." for note in form.notes)
    if len(form.settings) > 1 and not scores:
        said += (f"{name}: validation ranks nothing, so the shrinkage is Ledoit and Wolf's.",)
    made = Fitted(form, setting, scores, said, time.perf_counter() - started, _pairs(sample, splits))
    if not all(np.isfinite(part).all() for part in made.weights.values()):
        raise LosscopeError(f"the closed form {name!r} gave numbers that are not finite")
    return made


def _pairs(sample: Sample | PairSample, splits: Splits) -> int | None:
    """The training pairs that a form is fitted to; of texts, n − 1 for an item of n."""
    if isinstance(sample, PairSample):
        return len(sample.first.rows)
    if sample.links is not None:
        return len(sample.links)
    return len(sample.rows) - len(sample.counts) if splits.facts.of_pairs else None


def _chosen(form: Form, run: Run, splits: Splits) -> tuple[Any, dict[str, float]]:
    """The setting that does best among validation rows: by Recall@1, MAP@R deciding between near ties.

    Of two modalities by MAP@R from each into the other, Recall@1 deciding, as their losses are tuned, and by
    Recall@1 where that is the goal. Then the strongest shrinkage decides, the nearest to changing nothing,
    and then the lower exponent.
    """
    part = _rows(run, splits)
    if part is None:
        return form.settings[-1], {}
    rows = form.project(inputs_of(part, splits, torch.device("cpu")).flatten(1).numpy())
    scores = [
        _score(normalise(torch.from_numpy(form.apply(setting, rows))).float(), part)
        for setting in form.settings
    ]
    if not all(math.isfinite(score) for found in scores for score in found.values()):
        return form.settings[-1], {}
    first, second = CHOOSES
    if part.second is not None and run.loss.hyperparameters.get("by") != first:
        first, second = second, first
    best = max(found[first] for found in scores)
    near = [place for place, found in enumerate(scores) if best - found[first] < TIE]

    def order(place: int) -> tuple[float, float, float]:
        setting = form.settings[place]
        return scores[place][second], setting.shrinkage or 0.0, -getattr(setting, "exponent", 0.0)

    place = max(near, key=order)
    return form.settings[place], scores[place]


def _score(embeddings: Tensor, part: Part) -> dict[str, float]:
    """Recall@1 and MAP@R of validation rows; of two modalities the mean of both ways, as a curve has it."""
    if part.second is None:
        values, _ = evaluate(embeddings, torch.from_numpy(part.labels), names=CHOOSES, tags=part.tags)
    elif part.tags is None:
        labels = torch.from_numpy(np.concatenate([part.labels, part.labels]))
        values = quality_fast(embeddings, labels, across=True)
    else:
        found = quality_by_overlap(embeddings[None], (np.concatenate([part.tags, part.tags]),), across=True)
        values = {name: value[0] for name, value in found.items()}
    return {name: float(values[name]) for name in CHOOSES}


def _rows(run: Run, splits: Splits) -> Part | None:
    """The validation rows that choose, as many as a quality curve has, and the same ones.

    None where no row has another of its class; a pair has one in its other modality.
    """
    part = splits.validation
    known = np.flatnonzero(part.labels != -1)
    generator = np.random.default_rng(seed_of(run.seed, "quality"))
    chosen = np.sort(generator.permutation(len(known))[: run.protocol.curve_rows])
    part = part.take(known[chosen])
    counts = np.unique(part.labels, return_counts=True)[1]
    alone = part.second is None and counts.max(initial=0) < 2
    return part if len(counts) > 1 and not alone else None
