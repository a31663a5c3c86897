"""The fixed rows that curves are read from: the probe set and a draw of the validation set.

Both follow from the seed and the data alone. Members that share their batches share these rows too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.core.queries import Roles
from losscope.core.spec import seed_of
from losscope.pairs import Relation
from losscope.train.batches import Batches
from losscope.train.pool import inputs_of

PROBE_ROWS = 256


@dataclass(frozen=True)
class Probe:
    """Training rows (M, rows) of the pool, and their relation."""

    index: Tensor
    relation: Relation


@dataclass(frozen=True)
class Validation:
    """Validation rows of the members that have equally many, and the members' places in the population.

    Attributes:
        members: their places, ascending.
        inputs: rows as the network takes them, (blocks, rows, ...): one block for each ``share`` of members.
        labels: of every member, (members, rows).
        roles: of every member, where they have queries and a gallery.
        tags: of each member the labels (rows, C), where rows have several.
    """

    members: tuple[int, ...]
    inputs: Tensor
    labels: Tensor
    roles: tuple[Roles, ...] = ()
    tags: tuple[np.ndarray, ...] = ()


def probe(batches: Batches) -> Probe:
    """256 training rows of each member, balanced over classes."""
    pool, rows, labels = batches.pool, [], []
    for places, own, run in zip(pool.kept, pool.labels, batches.runs, strict=True):
        generator = np.random.default_rng(seed_of(run.seed, "probe"))
        # The j-th rows of all classes before the (j+1)-th of any: as balanced as the data allow.
        key = generator.random(len(own))
        order = np.lexsort([key, own])
        rank = np.empty(len(own), dtype=np.int64)
        sizes = np.bincount(own)
        rank[order] = np.arange(len(own)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen = np.lexsort([key, rank])[: min(PROBE_ROWS, pool.count)]
        rows.append(places[chosen])
        labels.append(own[chosen])
    draws = batches.draws
    index = draws.to_device(rows)
    return Probe(index, draws.relation(index, draws.to_device(labels)))


def validation(batches: Batches, most: int) -> list[Validation]:
    """At most so many validation rows of each member, those with equally many together; none without two.

    Background is left out where the protocol leaves it out of training.
    """
    exclude = batches.runs[0].protocol.background == "exclude"
    asked = [
        # In a gallery, background rows are distractors.
        np.flatnonzero(split.validation.labels != -1)
        if exclude and split.validation.retrieval is None
        else np.arange(len(split.validation))
        for split in batches.splits
    ]
    alike: dict[int, list[int]] = {}
    for block, rows in enumerate(asked):
        alike.setdefault(min(len(rows), most), []).append(block)
    return [_validation(batches, asked, blocks, size) for size, blocks in alike.items() if size > 1]


def _validation(
    batches: Batches, asked: Sequence[np.ndarray], blocks: Sequence[int], size: int
) -> Validation:
    share, device = batches.draws.share, batches.pool.device
    inputs, labels, roles, tags = [], [], [], []
    for block in blocks:
        split, rows = batches.splits[block], asked[block]
        generator = np.random.default_rng(seed_of(batches.runs[block].seed, "quality"))
        chosen = split.validation.take(rows[np.sort(generator.permutation(len(rows))[:size])])
        inputs.append(inputs_of(chosen, split, device))
        if chosen.retrieval is not None:
            roles.append(chosen.retrieval)
        if chosen.tags is not None:
            several = chosen.tags if chosen.second is None else np.concatenate([chosen.tags, chosen.tags])
            tags += [several] * share
        own = torch.from_numpy(chosen.labels)
        labels.append(own if chosen.second is None else torch.cat([own, own]))
    # Members that share their batches share these rows and their roles.
    repeated = [own for own in roles for _ in range(share)]
    return Validation(
        tuple(block * share + place for block in blocks for place in range(share)),
        torch.stack(inputs),
        batches.draws.spread(torch.stack(labels)).to(device),
        tuple(repeated) if len(roles) == len(inputs) else (),
        tuple(tags),
    )
