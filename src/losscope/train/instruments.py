"""What is read off a population while it trains, and the curves that the readings make.

A step stores a handful of small tensors; all arithmetic on them waits for the end of the epoch and is
done for all steps and members at once. The instruments know no population: they are handed readings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from losscope.data.splits import undecidable
from losscope.losses.objective import Objective
from losscope.measures import greediness
from losscope.measures.ranking import quality_fast
from losscope.measures.searching import quality_by_overlap, quality_of_roles
from losscope.pairs import Relation, Terms, pair_distances
from losscope.train.curves import Curves
from losscope.train.views import Validation

TRIAL_LOOKS = 28
"""A trial of tuning looks at its validation rows at most so many times, and may stop at those."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one step gives to be read.

    Attributes:
        loss: of each member, (M,).
        terms: of the loss.
        gradient: of the loss by the embeddings, (M, rows, D).
        norm: ‖∂L/∂θ‖ of each member, (M,).
        update: ‖Δθ‖ of each member, (M,); None where only the loss is read.
    """

    loss: Tensor
    terms: Terms
    gradient: Tensor
    norm: Tensor
    update: Tensor | None


@dataclass(frozen=True, slots=True)
class View:
    """What a look between two epochs gives to be read.

    Attributes:
        probe: embeddings of the probe rows as the loss takes them, or None where no force is read.
        validation: normalised embeddings of each group of validation rows.
    """

    probe: Tensor | None
    validation: Sequence[Tensor]


class Kept(NamedTuple):
    """What is kept of a reading until the end of its epoch; counts are (M,) or (M, rows)."""

    loss: Tensor
    norm: Tensor
    update: Tensor
    rows: Tensor
    active: Tensor
    valid: Tensor


class Instruments:
    """The readings of the epoch under way.

    Args:
        objective: the loss whose force is read.
        curves: where the curve points go.
        probe: the relation of the probe rows.
        validation: the validation rows, by groups of members that have equally many.
        members: their number M.
        epochs: of the whole training.
        across: whether the validation rows are two modalities, one after the other, that ask for each other.
        light: whether only the loss and, now and then, the validation rows are read, as of a trial of tuning,
            which is judged by its quality curve alone.
    """

    def __init__(
        self,
        objective: Objective,
        curves: Curves,
        probe: Relation,
        validation: Sequence[Validation],
        *,
        members: int,
        epochs: int,
        light: bool,
        across: bool = False,
    ):
        self.objective, self.curves, self.light, self.members = objective, curves, light, members
        self.probe, self.validation, self.across = probe, validation, across
        self.decides = [_decides(group) for group in validation]
        self.probe_pairs = greediness.pairs_of(*probe.masks(), torch.Size([members]))
        self.reads_force = objective.force is not None and not light
        self.epochs = trial_looks(epochs) if light else set(range(epochs + 1))
        self.losses: list[Tensor] = []
        self.readings: dict[int, list[Kept]] = defaultdict(list)

    def read(self, reading: Reading) -> None:
        """Store a step's readings; arithmetic waits for the end of the epoch."""
        if reading.update is None:
            self.losses.append(reading.loss.detach())
            return
        terms = reading.terms
        rows = torch.linalg.vector_norm(reading.gradient, dim=-1)
        active = terms.valid if terms.active is None else terms.active
        self.readings[rows.shape[-1]].append(
            Kept(reading.loss.detach(), reading.norm, reading.update, rows, active, terms.valid)
        )

    def close_epoch(self, epoch: int) -> None:
        """Turn the epoch's readings into curve points."""
        if self.light:
            losses = torch.stack(self.losses)
            self.losses.clear()
            self.curves.add("train", epoch, "loss", losses.T.contiguous().mean(-1))
            return
        parts = [self._summary(steps) for steps in self.readings.values()]
        self.readings.clear()
        every = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        # Members first: a sum over rows in memory does not depend on how many rows there are.
        means = {name: value.T.contiguous().nanmean(-1).cpu() for name, value in every.items()}
        first = next((row[3] for row in self.curves.rows if row[2] == "gradient_norm"), None)
        start = torch.tensor(first, dtype=torch.float64) if first else means["gradient_norm"]
        means["relative_gradient_norm"] = means["gradient_norm"] / start
        if self.objective.traits.hinge:
            ratio = means["active"] / means["valid"]
            means["active_ratio"] = torch.where(means["valid"] > 0, ratio, torch.nan)
        else:
            for name in ("active", "gradient_norm_per_active", "embedding_gradient_norm_per_active"):
                means.pop(name)
        if not self.objective.traits.counts:
            means.pop("valid")
        for name, values in means.items():
            self.curves.add("train", epoch, name, values)

    def _summary(self, steps: list[Kept]) -> dict[str, Tensor]:
        """Quantities of steps with equally many rows, each (steps, M)."""
        loss, norm, update, rows, active, valid = (torch.stack(column) for column in zip(*steps, strict=True))
        active, valid = (
            count.reshape(len(steps), self.members, -1).sum(-1).double() for count in (active, valid)
        )
        norm, update = norm.double(), update.double()
        whole = torch.linalg.vector_norm(rows.double(), dim=-1)
        some = torch.where(active > 0, active, torch.nan)
        return {
            "loss": loss.double(),
            "active": active,
            "valid": valid,
            "gradient_norm": norm,
            "embedding_gradient_norm": whole,
            "gradient_norm_per_active": norm / some,
            "embedding_gradient_norm_per_active": whole / some,
            "update_norm": update,
            **greediness.step_summary(rows),
        }

    def look(self, epoch: int, view: View) -> None:
        """The shares of the force on the probe set, and MAP@R and Recall@1 on the validation set."""
        objective = self.objective
        if view.probe is not None and objective.force is not None:
            distances = pair_distances(view.probe)
            weight = objective.force(
                distances,
                self.probe,
                embeddings=view.probe,
                reduction=objective.traits.reduction,
                **objective.hyperparameters,
            )
            for name, values in greediness.shares_of(weight, distances, self.probe_pairs).items():
                self.curves.add("probe", epoch, name, values)
        found: dict[str, Tensor] = {}
        for group, decides, embeddings in zip(self.validation, self.decides, view.validation, strict=True):
            for name, values in self._quality(group, embeddings).items():
                every = found.setdefault(name, values.new_full((self.members,), torch.nan))
                every[list(group.members)] = torch.where(decides.to(values.device), values, torch.nan)
        for name, values in found.items():
            self.curves.add("validation", epoch, name, values)

    def _quality(self, group: Validation, embeddings: Tensor) -> dict[str, Tensor]:
        if group.tags:
            return quality_by_overlap(embeddings, group.tags, group.roles, across=self.across)
        if group.roles:
            return quality_of_roles(embeddings, group.labels, group.roles)
        return quality_fast(embeddings, group.labels, across=self.across)


def _decides(group: Validation) -> Tensor:
    """(members,) whether the rows can decide anything; of those that cannot there is no quality."""
    labels = group.labels.cpu().numpy()
    return torch.tensor([bool(group.roles) or undecidable(own - own.min()) is None for own in labels])


def trial_looks(epochs: int) -> set[int]:
    """The epochs after which a trial looks, the last among them: each at first, ever fewer later.

    >>> sorted(trial_looks(60))
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 15, 18, 21, 24, 28, 33, 38, 44, 52, 60]
    """
    return set(np.geomspace(1, epochs, TRIAL_LOOKS).round().astype(int).tolist())
