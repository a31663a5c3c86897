"""A loss as the trainer uses it: a registered function with one number or one tensor a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Run, seed_of
from losscope.data import Splits
from losscope.losses.foreign.objective import ForeignObjective
from losscope.pairs import Relation, Terms, reduce


class Objective:
    """The loss of a population: ``objective(embeddings, relation, extra) -> (terms, loss (M,))``."""

    counts = True
    """Whether valid (and, of a hinge, active) terms are counted."""
    provenance: Mapping[str, str] = MappingProxyType({})
    """What a record says of where the loss comes from: nothing beyond the package's own version."""

    def __init__(self, runs: Sequence[Run], splits: Sequence[Splits], device: torch.device):
        spec = runs[0].loss
        entry = registry.entry("loss", spec.name)
        self.function = entry.load()
        self.facts = entry.facts
        self.form: str = self.facts.takes
        self.normalised = self.facts.normalised
        self.hinge = self.facts.hinge
        self.floor = self.facts.floor
        self.reduction: str = spec.reduction or "valid_mean"
        self.seeds = [run.seed for run in runs]
        self.classes = [_classes(run, split) for run, split in zip(runs, splits, strict=True)]
        if self.facts.class_vectors and len(set(self.classes)) > 1:
            raise LosscopeError(
                f"the loss {spec.name!r} has a vector for each class and the seeds' training classes differ in "
                f"number: {sorted(set(self.classes))}; train one seed at a time"
            )
        self.hyper: dict[str, Any] = {}
        for name in spec.hyperparameters:
            values = [run.loss.hyperparameters[name] for run in runs]
            self.hyper[name] = (
                values[0]
                if len(set(values)) == 1
                else torch.tensor(values, dtype=torch.float32, device=device)
            )
        self.force = entry.force()

    def initial(self, embedding_size: int) -> list[dict[str, np.ndarray]]:
        """The loss's own parameters of each member: class vectors, or none."""
        if not self.facts.class_vectors:
            return [{} for _ in self.seeds]
        return [
            {
                "loss.class_vectors": np.random.default_rng(seed_of(seed, "class_vectors"))
                .standard_normal((classes, embedding_size))
                .astype(np.float32)
            }
            for seed, classes in zip(self.seeds, self.classes, strict=True)
        ]

    def __call__(
        self, embeddings: Tensor, relation: Relation, extra: dict[str, Tensor]
    ) -> tuple[Terms, Tensor]:
        """Terms and the reduced loss of every member, (M,)."""
        words = {name.removeprefix("loss."): value for name, value in extra.items()}
        terms = self.function(embeddings, relation, **words, **self.hyper)
        return terms, reduce(terms, self.reduction)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the loss beside its parameters: nothing."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""


def objective(
    runs: Sequence[Run], splits: Sequence[Splits], device: torch.device
) -> Objective | ForeignObjective:
    """The loss of a population: one of ours, stacked, or a foreign one, a member at a time."""
    if runs[0].loss.foreign:
        classes = [_classes(run, split) for run, split in zip(runs, splits, strict=True)]
        return ForeignObjective(runs, classes, device)
    return Objective(runs, splits, device)


def _classes(run: Run, splits: Splits) -> int:
    labels = splits.train.labels
    if run.protocol.background == "exclude":
        labels = labels[labels != -1]
    return len(np.unique(labels))
