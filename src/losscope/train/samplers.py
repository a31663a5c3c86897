"""How the rows of a batch are drawn: an epoch's at once, each member's from its own generators.

Three ways: explicit tuples that come with the data; anchors with partners from the whole training set; and
batches whose pairs are all used, or chosen inside the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require
from losscope.core.facts import Takes
from losscope.core.spec import Protocol
from losscope.data import Splits
from losscope.pairs import KINDS, Overlap, Relation, pair_distances
from losscope.pairs.sampling import Partners, sample
from losscope.train.pool import Pool

See = Callable[[Tensor], Tensor]
"""Rows (M, rows) of the pool -> inputs, or inputs -> embeddings."""


@dataclass(frozen=True)
class Draws:
    """What every sampler draws from.

    Attributes:
        pool: the training rows of all blocks of members.
        protocol: sizes and the kind of batch.
        takes: what one term of the loss is made of.
        tuples: how pairs or triplets are chosen.
        share: members of one block, which see the same rows.
        order: each block's generator of batches.
        choice: each block's generator of partners.
    """

    pool: Pool
    protocol: Protocol
    takes: Takes
    tuples: str
    share: int
    order: Sequence[np.random.Generator]
    choice: Sequence[np.random.Generator]

    def spread(self, rows: Tensor) -> Tensor:
        """What is said of the rows of each block, (M / share, ...), said of each member, (M, ...)."""
        return rows if self.share == 1 else rows.repeat_interleave(self.share, 0)

    def relation(self, index: Tensor, labels: Tensor) -> Relation:
        """The relation of rows of the pool, of each block (M / share, rows), for every member.

        By their labels, or where rows have several each by those that they share; with two modalities, of
        pairs across them.
        """
        rows, modality = labels.shape[-1], None
        if self.pool.paired:
            modality = torch.arange(2 * rows, device=labels.device) // rows
        if self.pool.tags is not None:
            tags = self.spread(self.pool.tags[index])
            return Overlap.of(tags if modality is None else torch.cat([tags, tags], dim=-2), modality)
        labels = self.spread(labels)
        if modality is not None:
            labels = torch.cat([labels, labels], dim=-1)
        return Relation.from_labels(labels, modality=modality)

    def to_device(self, arrays: Sequence[np.ndarray]) -> Tensor:
        """One array per block as one tensor."""
        return torch.from_numpy(np.stack(arrays)).to(self.pool.device)


class Sampler(ABC):
    """Draws the batches of an epoch."""

    notes: Sequence[str] = ()
    """Sentences about the batches that a person should read."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Updates in an epoch."""

    @abstractmethod
    def epoch(self, inputs_of: See, embed: See) -> Iterator[tuple[Tensor, Relation]]:
        """Draw an epoch and hand out its batches, as inputs and relation.

        ``embed``: for tuples that depend on distances (hard, semihard, …), which are drawn a step at a time.
        """


def balanced_epoch(protocol: Protocol, rows: int, classes: int) -> tuple[int, int]:
    """Classes of a balanced batch and batches of an epoch, of so many training rows and classes."""
    per_batch = max(1, min(protocol.classes_per_batch, classes))
    size = per_batch * max(1, protocol.batch_size // per_batch)
    return per_batch, batches_of(rows, size)


def batches_of(rows: int, size: int) -> int:
    """Balanced batches of an epoch: as many as the rows fill, and one at least."""
    return max(1, rows // size)


@final
class Anchors:
    """The anchors of an epoch: rows of each member's part, in balanced batches or shuffled.

    Raises LosscopeError if the data are too small for the batch.
    """

    def __init__(self, draws: Draws):
        pool, protocol = draws.pool, draws.protocol
        self.draws, self.size = draws, protocol.batch_size
        self.balanced = protocol.batching == "balanced"
        require(
            pool.classes >= 2,
            f"the training data have {pool.classes} class; comparing losses wants at least 2",
        )
        smallest = min(len(rows) for rows in pool.kept)
        self.per_batch = min(protocol.classes_per_batch, pool.classes)
        if self.size > smallest:
            raise LosscopeError(
                f"the batch size is {self.size} and there are {smallest} training rows; {self._fit(smallest)}"
            )
        if self.balanced:
            self.each = self.size // self.per_batch
            if min(self.each, self.per_batch) < 2:
                raise LosscopeError(
                    f"batches of {self.size} rows over {self.per_batch} classes leave {self.each} rows a "
                    f"class, so no pair; {self._fit(smallest)}"
                )
            self.size = self.per_batch * self.each

    def _fit(self, smallest: int) -> str:
        """Which batch sizes would do."""
        from losscope.core.wording.work import sizes_that_fit

        return sizes_that_fit(2 * max(self.per_batch, 2) if self.balanced else 2, smallest)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        count = self.draws.pool.count
        return batches_of(count, self.size) if self.balanced else -(-count // self.size)

    def draw(self) -> list[np.ndarray]:
        """One epoch of each block."""
        both = zip(self.draws.pool.labels, self.draws.order, strict=True)
        if self.balanced:
            return [balanced(own, self.steps, self.per_batch, self.each, drawn) for own, drawn in both]
        return [drawn.permutation(len(own)) for own, drawn in both]

    def parts(self, total: int) -> Iterator[slice]:
        """The batches among the anchors of an epoch."""
        return (slice(start, start + self.size) for start in range(0, total, self.size))


@final
class BatchSampler(Sampler):
    """Batches of labelled rows, of which all pairs are used, or those that are chosen inside the batch.

    Raises LosscopeError if more than half of the first batches have no pair.
    """

    def __init__(self, draws: Draws):
        self.draws, self.anchors = draws, Anchors(draws)
        if not self.anchors.balanced:
            self.notes = _pairless(draws.pool, self.anchors.size)

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return self.anchors.steps

    def epoch(self, inputs_of: See, embed: See) -> Iterator[tuple[Tensor, Relation]]:
        """Draw an epoch and hand out its batches."""
        draws, pool, drawn = self.draws, self.draws.pool, self.anchors.draw()
        index = draws.to_device([rows[own] for rows, own in zip(pool.kept, drawn, strict=True)])
        labels = draws.to_device([every[own] for every, own in zip(pool.labels, drawn, strict=True)])
        for part in self.anchors.parts(index.shape[1]):
            inputs = inputs_of(index[:, part])
            relation = draws.relation(index[:, part], labels[:, part])
            yield inputs, relation if draws.tuples == "all" else self._chosen(relation, inputs, embed)

    def _chosen(self, relation: Relation, inputs: Tensor, embed: See) -> Relation:
        # Random tuples do not look at the embeddings, which saves a forward pass.
        z = None if self.draws.tuples == "random" else embed(inputs)
        return sample(
            relation,
            self.draws.tuples,
            None if z is None else pair_distances(z),
            self.draws.choice,
            into=KINDS[self.draws.takes],
            dimension=None if z is None else z.shape[-1],
        )


@final
class PartnerSampler(Sampler):
    """Anchors, each with partners drawn at random from the member's whole training set."""

    def __init__(self, draws: Draws):
        self.draws, self.anchors = draws, Anchors(draws)
        self.partners = [Partners(labels) for labels in draws.pool.labels]

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return self.anchors.steps

    def epoch(self, inputs_of: See, embed: See) -> Iterator[tuple[Tensor, Relation]]:
        """Draw an epoch and hand out its batches; every anchor has partners, as there are two classes."""
        draws, anchors, pairs = self.draws, self.anchors.draw(), self.draws.takes == "pairs"
        found = []
        for partners, own, generator in zip(self.partners, anchors, draws.choice, strict=True):
            uniforms = generator.random((len(own), 2))
            found.append((partners.draw_pairs if pairs else partners.draw_triplets)(own, uniforms))
        first, second = ([own[place] for own in found] for place in (0, 1))
        columns = [self._rows(column) for column in ((anchors, first) if pairs else (anchors, first, second))]
        same = draws.to_device(second) if pairs else None
        for part in self.anchors.parts(columns[0].shape[1]):
            chosen = torch.cat([column[:, part] for column in columns], dim=1)
            relation: Relation = (
                Relation.from_triples(chosen.shape[1] // 3)
                if same is None
                else Relation.from_partners(draws.spread(same[:, part]))
            )
            yield inputs_of(chosen), relation

    def _rows(self, own: Sequence[np.ndarray]) -> Tensor:
        return self.draws.to_device(
            [rows[mine] for rows, mine in zip(self.draws.pool.kept, own, strict=True)]
        )


@final
class TupleSampler(Sampler):
    """Explicit pairs or triplets, shuffled; in a batch the i-th columns stand one below the other.

    Raises LosscopeError if the data's tuples are not what the loss can use.
    """

    def __init__(self, draws: Draws, splits: Sequence[Splits], loss: str):
        self.draws = draws
        self.triplets = splits[0].train.triplets is not None
        if draws.takes == "triplets" and not self.triplets:
            raise LosscopeError(
                f"the loss {loss!r} wants triplets and the data give pairs; give --triplets, or another loss"
            )
        parts = [split.train.triplets if self.triplets else split.train.pairs for split in splits]
        found = [part for part in parts if part is not None]
        if draws.takes == "anchors" and not self.triplets:
            # Softmax losses take the batch's other rows as negatives: only positive pairs are needed.
            found = [part[part[:, 2] == 1] for part in found]
        self.found = found
        self.count = min(len(part) for part in found)
        require(self.count > 0, f"no explicit tuple that {loss!r} can use lies in the training part")
        self.size = min(draws.protocol.batch_size, self.count)

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return -(-self.count // self.size)

    def epoch(self, inputs_of: See, embed: See) -> Iterator[tuple[Tensor, Relation]]:
        """Draw an epoch and hand out its batches."""
        draws, device = self.draws, self.draws.pool.device
        columns = 2 if not self.triplets or draws.takes == "anchors" else 3
        shuffled = zip(self.found, draws.order, strict=True)
        chosen = np.stack([own[drawn.permutation(len(own))[: self.count]] for own, drawn in shuffled])
        rows = draws.to_device(
            [places[own] for places, own in zip(draws.pool.places, chosen[..., :columns], strict=True)]
        )
        same = torch.from_numpy(chosen[..., 2] == 1).to(device)
        for start in range(0, self.count, self.size):
            part = slice(start, start + self.size)
            size = rows[:, part].shape[1]
            inputs = inputs_of(rows[:, part].transpose(1, 2).flatten(1))
            if draws.takes == "anchors":
                own = torch.arange(size, device=device)
                sides = torch.arange(2 * size, device=device) // size
                labels = torch.cat([own, own]).expand(len(rows) * draws.share, -1)
                yield inputs, Relation.from_labels(labels, modality=sides)
            elif self.triplets:
                yield inputs, Relation.from_triples(size)
            else:
                yield inputs, Relation.from_partners(draws.spread(same[:, part]))


def balanced(
    labels: np.ndarray, steps: int, classes: int, each: int, generator: np.random.Generator
) -> np.ndarray:
    """Rows of ``steps`` batches of P classes × K rows, (steps · P · K,).

    Every class is gone through in a random order, K rows at a time. Where a class is smaller than K, rows
    drawn from all classes fill its places: no row stands twice in a batch, as a positive of itself.
    """
    sizes = np.bincount(labels)
    order = np.lexsort([generator.random(len(labels)), labels])
    first = np.cumsum(sizes) - sizes
    chosen = np.argsort(generator.random((steps, len(sizes))), axis=1)[:, :classes].ravel()
    # How often the class was chosen before: its place in a stable sort by class.
    place = np.argsort(chosen, kind="stable")
    times = np.bincount(chosen, minlength=len(sizes))
    turn = np.empty(len(chosen), dtype=np.int64)
    turn[place] = np.arange(len(chosen)) - np.repeat(np.cumsum(times) - times, times)
    within = (turn[:, None] * each + np.arange(each)) % sizes[chosen][:, None]
    rows = order[(first[chosen][:, None] + within).ravel()]
    again = (np.arange(each) >= sizes[chosen][:, None]).reshape(steps, -1)
    return _filled(rows.reshape(steps, -1), again, labels, each, generator).ravel() if again.any() else rows


def _filled(
    rows: np.ndarray, again: np.ndarray, labels: np.ndarray, each: int, generator: np.random.Generator
) -> np.ndarray:
    """Rows (steps, B) with others where ``again`` is true: none twice in a batch, at most K of a class.

    More of a class only where no other rows are left.
    """
    count = len(labels)
    spare, kinds, place = generator.permutation(count).tolist(), labels.tolist(), 0
    for batch, gaps in zip(rows, again):
        own = set(batch[~gaps].tolist())
        full = Counter(kinds[row] for row in own)
        found: list[int] = []
        passed = 0
        # A batch is no larger than the rows there are, so that some are always left.
        while len(found) < int(gaps.sum()):
            row = spare[place % count]
            place, passed = place + 1, passed + 1
            if row not in own and (full[kinds[row]] < each or passed > count):
                own.add(row)
                full[kinds[row]] += 1
                found.append(row)
        batch[gaps] = found
    return rows


def _pairless(pool: Pool, size: int) -> list[str]:
    """Refuse data whose batches mostly have no pair; say how many have none otherwise."""
    labels = pool.labels[0]
    # With two modalities each row is a positive of its own partner: only a lone class lacks negatives.
    lacking = (1,) if pool.paired else None
    rows = np.argsort(np.random.default_rng(0).random(len(labels)))
    batches = [labels[rows[i : i + size]] for i in range(0, len(rows), size)]
    without = sum(len(set(batch.tolist())) in (lacking or (1, len(batch))) for batch in batches)
    if 2 * without > len(batches):
        raise LosscopeError(
            f"{without} of {len(batches)} batches of {size} rows have no positive or no negative pair; "
            f"give a larger --batch-size, or the protocol 'matched', which draws balanced batches"
        )
    return [f"{without} of {len(batches)} batches have no pair and teach nothing."] if without else []
