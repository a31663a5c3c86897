"""A registered loss as the trainer uses it; a swept hyperparameter has one value per member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Run, seed_of
from losscope.data import Splits
from losscope.losses.foreign.objective import ForeignObjective
from losscope.losses.objective import Hyperparameter, Objective, Traits
from losscope.pairs import Relation, Terms, reduce


@final
class RegisteredObjective(Objective):
    """A loss of ours or of a plugin: all members in one call.

    Raises LosscopeError for a loss with class vectors if the members' numbers of classes differ.
    """

    provenance: Mapping[str, str] = MappingProxyType({})

    def __init__(self, runs: Sequence[Run], classes: Sequence[int], device: torch.device):
        spec = runs[0].loss
        entry = registry.entry("loss", spec.name)
        facts: Any = entry.facts
        self.function = entry.load()
        self.force = entry.force()
        self.traits = Traits(
            takes=facts.takes,
            normalised=facts.normalised,
            hinge=facts.hinge,
            counts=True,
            floor=facts.floor,
            reduction=spec.reduction or "valid_mean",
        )
        self.seeds = [run.seed for run in runs]
        self.classes = list(classes) if facts.class_vectors else []
        if len(set(self.classes)) > 1:
            raise LosscopeError(
                f"the loss {spec.name!r} has one vector per class and the seeds' training classes differ in "
                f"number: {sorted(set(self.classes))}; train one seed at a time"
            )
        self.hyperparameters = {
            name: _stacked([run.loss.hyperparameters[name] for run in runs], device)
            for name in spec.hyperparameters
        }

    def initial(self, embedding_size: int) -> list[dict[str, np.ndarray]]:
        """Class vectors of each member, drawn under its seed, or none."""
        if not self.classes:
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
        self, embeddings: Tensor, relation: Relation, extra: Mapping[str, Tensor]
    ) -> tuple[Terms, Tensor]:
        """Terms and the reduced loss of every member, (M,)."""
        words = {name.removeprefix("loss."): value for name, value in extra.items()}
        terms = self.function(embeddings, relation, **words, **self.hyperparameters)
        return terms, reduce(terms, self.traits.reduction)

    def state(self) -> dict[str, Any]:
        """Nothing: all that changes are parameters."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing to do."""


def _stacked(values: list[Any], device: torch.device) -> Hyperparameter:
    """One value where all members have it, else one per member."""
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=torch.float32, device=device)


def objective(runs: Sequence[Run], splits: Sequence[Splits], device: torch.device) -> Objective:
    """The loss of a population: a registered one, stacked, or a foreign one, a member at a time.

    Raises LosscopeError for a loss with class vectors on explicit tuples, which have no classes.
    """
    loss, train = runs[0].loss, splits[0].train
    explicit = train.pairs is not None or train.triplets is not None
    if explicit and loss.facts is not None and loss.facts.class_vectors:
        raise LosscopeError(
            f"the loss {loss.name!r} has one vector per class and the data give explicit tuples; leave "
            "--pairs and --triplets out, or give another loss"
        )
    classes = [_classes(run, split) for run, split in zip(runs, splits, strict=True)]
    return (ForeignObjective if runs[0].loss.foreign else RegisteredObjective)(runs, classes, device)


def _classes(run: Run, splits: Splits) -> int:
    labels = splits.train.labels
    if run.protocol.background == "exclude":
        labels = labels[labels != -1]
    return len(np.unique(labels))
