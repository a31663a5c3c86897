"""The batches of a population: rows drawn, augmented and handed out with their relation.

Batches depend on the seed and the data alone, so every loss of a seed sees the same ones; partners drawn
at random come from a second generator, augmentation from a third. Members side by side that have one seed,
as trials of tuning, share their batches: what is said of members below is then said of such blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.core.facts import Takes
from losscope.core.spec import Run, seed_of
from losscope.data import Splits
from losscope.pairs import Relation
from losscope.train.augment import augment
from losscope.train.pool import pooled
from losscope.train.samplers import BatchSampler, Draws, PartnerSampler, Sampler, TupleSampler


class Batches:
    """Draws batches for every member and hands them out as (inputs, relation).

    Attributes:
        share: the number of consecutive members that see the same rows. Inputs have one entry for each such
            block, (M / share, rows, ...), the relation one for each member.

    Raises:
        LosscopeError: the data are too small for the batch, or most batches of the first epoch have no pair.
    """

    def __init__(self, runs: Sequence[Run], splits: Sequence[Splits], takes: Takes, device: torch.device):
        first = runs[0]
        tuples = "all" if takes == "anchors" else first.tuples
        from_set = tuples == "random" and first.protocol.partners == "set"
        # What is chosen by distances, or at random inside a batch, is each member's own.
        self.share = _share(runs, splits) if tuples == "all" or from_set else 1
        self.runs, self.splits = list(runs[:: self.share]), list(splits[:: self.share])
        self.pool = pooled(self.splits, first.protocol.background, device)
        self.augmentation = first.protocol.augment
        order, choice, self.augment_generators = (
            [np.random.default_rng(seed_of(run.seed, name)) for run in self.runs]
            for name in ("batches", "tuples", "augment")
        )
        self._generators = order, choice, self.augment_generators
        self.draws = Draws(self.pool, first.protocol, takes, tuples, self.share, order, choice)
        parts = [split.train for split in self.splits]
        self.sampler: Sampler
        if all(part.triplets is not None or part.pairs is not None for part in parts):
            self.sampler = TupleSampler(self.draws, self.splits, first.loss.name)
        else:
            self.sampler = (PartnerSampler if from_set else BatchSampler)(self.draws)

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about the batches that a person should read."""
        return self.sampler.notes

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return self.sampler.steps

    def epoch(self, embed: Callable[[Tensor], Tensor]) -> Iterator[tuple[Tensor, Relation]]:
        """Draw an epoch and hand out its batches; ``embed`` serves tuples that depend on distances."""
        return self.sampler.epoch(self._training, embed)

    def _training(self, index: Tensor) -> Tensor:
        inputs = self.pool.gather(index)
        return augment(inputs, self.augmentation, self.augment_generators) if self.augmentation else inputs

    def state(self) -> list[list[dict[str, Any]]]:
        """The generators' states, plain values."""
        return [[dict(g.bit_generator.state) for g in group] for group in self._generators]

    def load(self, state: list[list[dict[str, Any]]]) -> None:
        """Go on from ``state``."""
        for group, states in zip(self._generators, state, strict=True):
            for generator, own in zip(group, states, strict=True):
                generator.bit_generator.state = own


def _share(runs: Sequence[Run], splits: Sequence[Splits]) -> int:
    """The size of the blocks of consecutive members with one seed and one split, 1 if they are not equal."""
    keys = [(run.seed, id(split)) for run, split in zip(runs, splits, strict=True)]
    size = len(keys) // len(set(keys))
    return size if keys == [key for key in keys[::size] for _ in range(size)] else 1
