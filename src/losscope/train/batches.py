"""The batches of a population: an epoch's rows drawn at once, each member from its own generators.

Batches depend on the seed and the data alone, so every loss of a seed sees the same ones; partners drawn
at random come from a second generator. Members side by side that have one seed, as trials of tuning, share
their batches: what is said of members here is then said of such blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require
from losscope.core.spec import Protocol, Run, seed_of
from losscope.data import Part, Splits
from losscope.pairs import KINDS, Relation, pair_distances
from losscope.pairs.sampling import Partners, sample
from losscope.train.augment import augment

PROBE_ROWS = 256


def scaled(inputs: Tensor, splits: Splits) -> Tensor:
    """Inputs as the network takes them: float32, and normalised by channel where the data say how."""
    facts = splits.facts
    if inputs.dtype == torch.uint8:
        inputs = inputs.float().div_(255)
    inputs = inputs.float()
    if facts.mean and inputs.dim() > 2:
        mean, std = (
            torch.tensor(value, dtype=torch.float32, device=inputs.device)
            for value in (facts.mean, facts.std)
        )
        inputs = (inputs - mean[:, None, None]) / std[:, None, None]
    return inputs


def rows_of(part: Part, splits: Splits) -> Tensor:
    """A part's inputs as one tensor; two modalities stand side by side, each normalised: (N, in₁ + in₂)."""
    first = torch.from_numpy(np.ascontiguousarray(part.inputs))
    if part.second is None:
        return first
    facts = splits.facts
    second = torch.from_numpy(np.ascontiguousarray(part.second)).float()
    if part.second.dtype == np.uint8:
        second = second / 255
    if facts.second_mean:
        mean, std = (
            torch.tensor(value, dtype=torch.float32) for value in (facts.second_mean, facts.second_std)
        )
        second = (second - mean[:, None, None]) / std[:, None, None]
    return torch.cat([scaled(first, splits).flatten(1), second.flatten(1)], dim=1)


def _share(runs: Sequence[Run], splits: Sequence[Splits]) -> int:
    """The size of the blocks of consecutive members with one seed and one split, 1 if they are not equal."""
    keys = [(run.seed, id(split)) for run, split in zip(runs, splits, strict=True)]
    size = len(keys) // len(set(keys))
    return size if keys == [key for key in keys[::size] for _ in range(size)] else 1


class Batches:
    """Draws batches for every member and hands them out as (inputs, relation).

    ``share``: the number of consecutive members that see the same rows; inputs have one entry for each such
    block, (M / share, rows, ...), the relation one for each member.

    Raises LosscopeError if the data are too small for the batch, or more than half of the batches of the
    first epoch have no pair.
    """

    def __init__(self, runs: Sequence[Run], splits: Sequence[Splits], form: Any, device: torch.device):
        self.protocol: Protocol = runs[0].protocol
        self.form, self.device = form, device
        self.tuples = "all" if form == "anchors" else runs[0].tuples
        self.from_set = self.tuples == "random" and self.protocol.partners == "set"
        # What is chosen by distances, or at random inside a batch, is each member's own.
        self.share = _share(runs, splits) if self.tuples == "all" or self.from_set else 1
        runs, splits = runs[:: self.share], splits[:: self.share]
        self.splits = list(splits)
        self.pair = splits[0].train.second is not None
        self.notes: list[str] = []
        self.order = [np.random.default_rng(seed_of(run.seed, "batches")) for run in runs]
        self.tuple_generators = [np.random.default_rng(seed_of(run.seed, "tuples")) for run in runs]
        self.augment_generators = [np.random.default_rng(seed_of(run.seed, "augment")) for run in runs]
        self._pool(splits)
        self.explicit = self._explicit(runs[0].loss.name)
        self._check()
        self.partners = [Partners(labels) for labels in self.labels] if self.from_set else []
        self.probe_index = self._probe(runs)

    def _pool(self, splits: Sequence[Splits]) -> None:
        """Put the training rows in one tensor, a row that several seeds draw once, and remap labels to 0..C-1."""
        parts = [split.train for split in splits]
        pieces, total = [], 0
        placed: dict[int, np.ndarray] = {}
        known = np.full(
            1 + max(0 if part.rows is None else int(part.rows.max(initial=0)) for part in parts), -1
        )
        self.places: list[np.ndarray] = []
        """Where in the pool each row of a member's training part is."""
        self.rows: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        for part, split in zip(parts, splits, strict=True):
            if id(part) not in placed:
                source = part.rows if split.facts is splits[0].facts else None
                fresh = np.arange(len(part)) if source is None else np.flatnonzero(known[source] < 0)
                places = total + np.arange(len(fresh))
                if source is not None:
                    known[source[fresh]] = places
                    places = known[source]
                placed[id(part)] = places
                pieces.append(rows_of(part if len(fresh) == len(part) else part.take(fresh), split))
                total += len(fresh)
            keep = np.arange(len(part))
            if self.protocol.background == "exclude":
                keep = keep[part.labels != -1]
            self.places.append(placed[id(part)])
            self.rows.append(placed[id(part)][keep])
            self.labels.append(np.unique(part.labels[keep], return_inverse=True)[1].astype(np.int64))
        self.pool = torch.cat(pieces).to(self.device)
        self.classes = int(self.labels[0].max()) + 1 if len(self.labels[0]) else 0
        self.count = len(self.rows[0])

    def _explicit(self, loss: str) -> list[np.ndarray]:
        """Each member's explicit tuples as rows of its part: (P, 3) of i, j, same, or (T, 3) triplets; or none."""
        parts = [split.train for split in self.splits]
        wanted = [one.triplets if one.triplets is not None else one.pairs for one in parts]
        if any(one is None for one in wanted):
            return []
        self.triplets = parts[0].triplets is not None
        if self.form == "triplets" and not self.triplets:
            raise LosscopeError(
                f"the loss {loss!r} wants triplets and the data give pairs; give --triplets, or another loss"
            )
        found = [one for one in wanted if one is not None]
        if self.form == "anchors" and not self.triplets:
            # Softmax losses take the batch's other rows as negatives: only positive pairs are needed.
            found = [one[one[:, 2] == 1] for one in found]
        require(
            min(len(one) for one in found) > 0,
            f"no explicit tuple that {loss!r} can use lies in the training part",
        )
        return found

    def _check(self) -> None:
        size = self.protocol.batch_size
        if self.explicit:
            self.size = min(size, *(len(one) for one in self.explicit))
            return
        require(
            self.classes >= 2,
            f"the training data have {self.classes} class; comparing losses wants at least 2",
        )
        smallest = min(len(rows) for rows in self.rows)
        require(
            size <= smallest,
            f"the batch size is {size} and there are {smallest} training rows; give --batch-size at most {smallest}",
        )
        if self.protocol.batching == "balanced":
            self.per_batch = min(self.protocol.classes_per_batch, self.classes)
            self.each = size // self.per_batch
            require(
                self.each >= 2 and self.per_batch >= 2,
                f"batches of {size} rows over {self.per_batch} classes leave {self.each} rows a class, so no pair; "
                f"give --batch-size at least {2 * max(self.per_batch, 2)}",
            )
            self.size = self.per_batch * self.each
        else:
            self.size = size
        self._count_pairless()

    def _count_pairless(self) -> None:
        """Refuse data whose batches mostly have no pair; say how many have none otherwise."""
        if self.from_set or self.protocol.batching == "balanced":
            return
        generator = np.random.default_rng(0)
        rows = np.argsort(generator.random(len(self.labels[0])))
        batches = [self.labels[0][rows[i : i + self.size]] for i in range(0, len(rows), self.size)]
        without = sum(len(set(batch.tolist())) in (1, len(batch)) for batch in batches)
        if 2 * without > len(batches):
            raise LosscopeError(
                f"{without} of {len(batches)} batches of {self.size} rows have no positive or no negative pair; "
                f"give a larger --batch-size, or the protocol 'matched', which draws balanced batches"
            )
        if without:
            self.notes.append(f"{without} of {len(batches)} batches have no pair and teach nothing.")

    def _probe(self, runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
        """256 training rows of each member, balanced over classes, fixed by the seed: (M, rows), labels."""
        rows, labels = [], []
        for member, run in enumerate(runs):
            generator = np.random.default_rng(seed_of(run.seed, "probe"))
            mine = self.labels[member]
            size = min(PROBE_ROWS, self.count)
            # The j-th rows of all classes before the (j+1)-th of any: as balanced as the data allow.
            key = generator.random(len(mine))
            order = np.lexsort([key, mine])
            rank = np.empty(len(mine), dtype=np.int64)
            sizes = np.bincount(mine)
            rank[order] = np.arange(len(mine)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            chosen = np.lexsort([key, rank])[:size]
            rows.append(self.rows[member][chosen])
            labels.append(mine[chosen])
        return torch.from_numpy(np.stack(rows)).to(self.device), torch.from_numpy(np.stack(labels)).to(
            self.device
        )

    def gather(self, index: Tensor) -> Tensor:
        """Rows (M, rows) of the pool as the network takes them, (M, rows, ...)."""
        rows = self.pool.index_select(0, index.reshape(-1))
        if not self.pair:
            rows = scaled(rows, self.splits[0])
        return rows.view(*index.shape, *rows.shape[1:])

    def training(self, index: Tensor) -> Tensor:
        """``gather``, with the protocol's augmentation."""
        inputs = self.gather(index)
        if self.protocol.augment:
            inputs = augment(inputs, self.protocol.augment, self.augment_generators)
        return inputs

    def spread(self, rows: Tensor) -> Tensor:
        """What is said of the rows of each block, (M / share, ...), said of each member, (M, ...)."""
        return rows if self.share == 1 else rows.repeat_interleave(self.share, 0)

    def relation(self, labels: Tensor) -> Relation:
        """The relation of labelled rows (M, rows); with two modalities, of pairs across them."""
        if not self.pair:
            return Relation.from_labels(labels)
        rows = labels.shape[-1]
        modality = torch.arange(2 * rows, device=labels.device) // rows
        return Relation.from_labels(torch.cat([labels, labels], dim=-1), modality=modality)

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        if self.explicit:
            return -(-min(len(one) for one in self.explicit) // self.size)
        if self.protocol.batching == "balanced":
            return max(1, self.count // self.size)
        return -(-self.count // self.size)

    def _draw(self, member: int) -> tuple[np.ndarray, np.ndarray, Any]:
        """One member's epoch: anchors (rows of its training part), their labels, partners if any."""
        labels, generator = self.labels[member], self.order[member]
        if self.protocol.batching == "balanced":
            anchors = balanced(labels, self.steps, self.per_batch, self.each, generator)
        else:
            anchors = generator.permutation(len(labels))
        partners = None
        if self.from_set:
            uniforms = self.tuple_generators[member].random((len(anchors), 2))
            own = self.partners[member]
            partners = (own.draw_pairs if self.form == "pairs" else own.draw_triplets)(anchors, uniforms)
        return anchors, labels[anchors], partners

    def epoch(self, objective: Any, embed: Callable[[Tensor], Tensor]) -> Iterator[tuple[Tensor, Relation]]:
        """Draw an epoch and hand out its batches.

        Tuples that depend on distances (hard, semihard, …) are drawn a step at a time from the
        embeddings that ``embed`` gives.
        """
        if self.explicit:
            yield from self._explicit_epoch()
            return
        drawn = [self._draw(member) for member in range(len(self.labels))]
        rows = np.stack([self.rows[m][anchors] for m, (anchors, _, _) in enumerate(drawn)])
        labels = torch.from_numpy(np.stack([own for _, own, _ in drawn])).to(self.device)
        index = torch.from_numpy(rows).to(self.device)
        columns: list[Tensor] = []
        marks: Tensor | None = None
        if self.from_set:
            columns, marks = self._partners([one for _, _, one in drawn])
        total = index.shape[1]
        for start in range(0, total, self.size):
            part = slice(start, start + self.size)
            chosen = torch.cat([index[:, part], *(column[:, part] for column in columns)], dim=1)
            inputs = self.training(chosen)
            if self.from_set:
                anchors = chosen.shape[1] // (1 + len(columns))
                yield (
                    inputs,
                    Relation.from_triples(anchors)
                    if marks is None
                    else Relation.from_partners(self.spread(marks[:, part])),
                )
                continue
            relation = self.relation(self.spread(labels[:, part]))
            if self.tuples != "all":
                # Random tuples do not look at the embeddings, which saves a forward pass.
                z = None if self.tuples == "random" else embed(inputs)
                relation = sample(
                    relation,
                    self.tuples,
                    None if z is None else pair_distances(z),
                    self.tuple_generators,
                    into=KINDS[self.form],
                    dimension=None if z is None else z.shape[-1],
                )
            yield inputs, relation

    def _explicit_epoch(self) -> Iterator[tuple[Tensor, Relation]]:
        """Batches of explicit tuples; the i-th columns one below the other."""
        count = min(len(one) for one in self.explicit)
        columns = 2 if not self.triplets or self.form == "anchors" else 3
        chosen = np.stack(
            [own[g.permutation(len(own))[:count]] for own, g in zip(self.explicit, self.order, strict=True)]
        )
        placed = [places[own] for places, own in zip(self.places, chosen[..., :columns], strict=True)]
        rows = torch.from_numpy(np.stack(placed)).to(self.device)
        same = torch.from_numpy(chosen[..., 2] == 1).to(self.device)
        for start in range(0, count, self.size):
            part = slice(start, start + self.size)
            inputs = self.training(rows[:, part].transpose(1, 2).flatten(1))
            size = rows[:, part].shape[1]
            if self.form == "anchors":
                own = torch.arange(size, device=self.device)
                sides = torch.arange(2 * size, device=self.device) // size
                yield (
                    inputs,
                    Relation.from_labels(
                        torch.cat([own, own]).expand(len(rows) * self.share, -1), modality=sides
                    ),
                )
            elif self.triplets:
                yield inputs, Relation.from_triples(size)
            else:
                yield inputs, Relation.from_partners(self.spread(same[:, part]))

    def _partners(self, drawn: list[Any]) -> tuple[list[Tensor], Tensor | None]:
        """Rows of the partners of an epoch, a column a partner, and for pairs whether they are of one class.

        Every anchor has its partners, since there are at least two classes.
        """
        first, second, _ = (np.stack(one) for one in zip(*drawn, strict=True))

        def rows(own: np.ndarray) -> Tensor:
            placed = np.stack([self.rows[member][one] for member, one in enumerate(own)])
            return torch.from_numpy(placed).to(self.device)

        if self.form == "pairs":
            return [rows(first)], torch.from_numpy(second).to(self.device)
        return [rows(first), rows(second)], None

    def _generators(self) -> tuple[list[np.random.Generator], ...]:
        return self.order, self.tuple_generators, self.augment_generators

    def state(self) -> list[Any]:
        """The generators' states, plain values."""
        return [[g.bit_generator.state for g in group] for group in self._generators()]

    def load(self, state: list[Any]) -> None:
        """Go on from ``state``."""
        for group, states in zip(self._generators(), state, strict=True):
            for generator, own in zip(group, states, strict=True):
                generator.bit_generator.state = own


def balanced(
    labels: np.ndarray, steps: int, classes: int, each: int, generator: np.random.Generator
) -> np.ndarray:
    """Rows of ``steps`` batches of P classes × K rows, (steps · P · K,).

    Every class is gone through in a random order, K rows at a time; a class smaller than K repeats rows.
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
    return order[(first[chosen][:, None] + within).ravel()]
