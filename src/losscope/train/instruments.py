"""What is read off a population while it trains, and the curves that the readings make.

A step stores a handful of small tensors; all arithmetic on them waits for the end of the epoch and is
done for all steps and members at once. DEFINITIONS 3 fixes every quantity.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from losscope.core.spec import seed_of
from losscope.measures import greediness
from losscope.measures.ranking import map_at_r_fast
from losscope.pairs import Terms, pair_distances
from losscope.train.batches import rows_of, scaled

if TYPE_CHECKING:
    from losscope.train.population import Population


TRIAL_LOOKS = 28
"""A trial of tuning looks at its validation rows at most so many times, and may stop at those."""


class Curves:
    """Rows (split, epoch, name, one value a member) and the numbers that sum up a run."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def add(self, split: str, epoch: int, name: str, values: Tensor | np.ndarray | list[float]) -> None:
        """Append one value a member; NaN where it does not exist."""
        self.rows.append((split, epoch, name, [float(value) for value in values]))

    def of(self, member: int) -> list[tuple[str, int, str, float]]:
        """The trace of one member, without the values that do not exist."""
        return [
            (split, epoch, name, values[member])
            for split, epoch, name, values in self.rows
            if math.isfinite(values[member])
        ]

    def curve(self, member: int, name: str, split: str | None = None) -> np.ndarray:
        """One member's values of a quantity by epoch."""
        return np.array([v[member] for of, _, n, v in self.rows if n == name and split in (None, of)])

    def summary(self, member: int, floor: bool) -> dict[str, float]:
        """The numbers of one run: the mean over its steps, and the epochs of decay.

        ``floor``: the loss has a positive floor, so that ``epochs_to_90`` and ``half_life`` do not exist.
        """
        grouped: dict[str, list[float]] = defaultdict(list)
        for split, epoch, name, values in self.rows:
            if epoch > 0 and split != "validation" and math.isfinite(values[member]):
                grouped[name].append(values[member])
        numbers = {name: float(np.mean(values)) for name, values in grouped.items()}
        active, valid = numbers.pop("active", math.nan), numbers.pop("valid", math.nan)
        if math.isfinite(active) and valid > 0:
            numbers["active_ratio"] = active / valid
        loss = self.curve(member, "loss")
        quality = self.curve(member, "map_at_r", "validation")
        decay = {
            "epochs_to_90": None if floor else greediness.epochs_to_90(loss),
            "half_life": None if floor else greediness.half_life(loss),
            "epochs_to_90_excess": greediness.epochs_to_90_excess(loss),
            "epochs_to_90_quality": greediness.epochs_to_90_quality(quality),
        }
        return {
            **numbers,
            **{name: math.nan if value is None else float(value) for name, value in decay.items()},
        }


class Instruments:
    """The readings of the epoch under way."""

    def __init__(self, population: Population):
        self.hinge = population.objective.hinge
        self.readings: dict[int, list[tuple[Tensor, ...]]] = defaultdict(list)
        self.validation = _validation(population)
        index, labels = population.batches.probe_index
        self.probe = index, population.batches.relation(population.batches.spread(labels))
        lead = torch.Size([population.members])
        self.probe_pairs = greediness.pairs_of(*self.probe[1].masks(), lead)
        # A trial of tuning is judged by its quality curve alone; the rest would be measured for nobody.
        self.light = population.runs[0].purpose == "trial"
        self.looks = trial_looks(population.protocol.epochs)

    def read(self, loss: Tensor, terms: Terms, gradient: Tensor, norm: Tensor, update: Tensor | None) -> None:
        """Store a step's readings; arithmetic waits for the end of the epoch."""
        if update is None:
            self.readings[0].append((loss.detach(),))
            return
        rows = torch.linalg.vector_norm(gradient, dim=-1)
        active = terms.valid if terms.active is None else terms.active
        self.readings[rows.shape[-1]].append((loss.detach(), norm, update, rows, active, terms.valid))

    def close_epoch(self, population: Population, epoch: int) -> None:
        """Turn the epoch's readings into curve points, and look at the probe and validation sets."""
        if self.light:
            losses = torch.stack([one for (one,) in self.readings.pop(0)])
            population.curves.add("train", epoch, "loss", losses.T.contiguous().mean(-1))
            if epoch in self.looks:
                self.look(population, epoch)
            return
        members, parts = population.members, []
        for steps in self.readings.values():
            loss, norm, update, rows, active, valid = (
                torch.stack(column) for column in zip(*steps, strict=True)
            )
            active, valid = (
                count.reshape(len(steps), members, -1).sum(-1).double() for count in (active, valid)
            )
            norm, update, whole = (
                norm.double(),
                update.double(),
                torch.linalg.vector_norm(rows.double(), dim=-1),
            )
            some = torch.where(active > 0, active, torch.nan)
            parts.append(
                {
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
            )
        self.readings.clear()
        every = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        # Members first: a sum over rows in memory does not depend on how many rows there are.
        means = {name: value.T.contiguous().nanmean(-1).cpu() for name, value in every.items()}
        curves = population.curves
        first: Any = next((row[3] for row in curves.rows if row[2] == "gradient_norm"), None)
        start = torch.tensor(first, dtype=torch.float64) if first else means["gradient_norm"]
        means["relative_gradient_norm"] = means["gradient_norm"] / start
        if self.hinge:
            ratio = means["active"] / means["valid"]
            means["active_ratio"] = torch.where(means["valid"] > 0, ratio, torch.nan)
        else:
            for name in ("active", "gradient_norm_per_active", "embedding_gradient_norm_per_active"):
                means.pop(name)
        if not population.objective.counts:
            means.pop("valid")
        for name, values in means.items():
            curves.add("train", epoch, name, values)
        self.look(population, epoch)

    def look(self, population: Population, epoch: int) -> None:
        """The shares of the force on the probe set, and MAP@R on the validation set."""
        curves = population.curves
        force = population.objective.force
        if force is not None and not self.light:
            index, relation = self.probe
            with torch.no_grad():
                embeddings = population.output(population.batches.gather(index))
            distances = pair_distances(embeddings)
            words = {"embeddings": embeddings, "reduction": population.objective.reduction}
            weight = force(distances, relation, **words, **population.objective.hyper)
            for name, values in greediness.shares_of(weight, distances, self.probe_pairs).items():
                curves.add("probe", epoch, name, values)
        if self.validation is not None:
            inputs, labels = self.validation
            curves.add("validation", epoch, "map_at_r", map_at_r_fast(population.embed(inputs), labels))


def trial_looks(epochs: int) -> set[int]:
    """The epochs after which a trial looks, the last among them: each at first, ever fewer later.

    >>> sorted(trial_looks(60))
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 15, 18, 21, 24, 28, 33, 38, 44, 52, 60]
    """
    return set(np.geomspace(1, epochs, TRIAL_LOOKS).round().astype(int).tolist())


def _validation(population: Population) -> tuple[Tensor, Tensor] | None:
    """A fixed draw of each member's validation rows, ready for the network; None without validation.

    Members that share their batches share these rows too.
    """
    size = min(min(len(split.validation) for split in population.splits), population.protocol.curve_rows)
    if size < 2:
        return None
    inputs, labels = [], []
    share = population.batches.share
    for run, split in zip(population.runs[::share], population.splits[::share], strict=True):
        part = split.validation
        generator = np.random.default_rng(seed_of(run.seed, "quality"))
        chosen = part.take(np.sort(generator.permutation(len(part))[:size]))
        rows = rows_of(chosen, split)
        inputs.append(rows if chosen.second is not None else scaled(rows, split))
        own = torch.from_numpy(chosen.labels)
        labels.append(own if chosen.second is None else torch.cat([own, own]))
    said = population.batches.spread(torch.stack(labels))
    return torch.stack(inputs).to(population.device), said.to(population.device)
