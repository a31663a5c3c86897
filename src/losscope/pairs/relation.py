"""What belongs together in a batch: integer labels, pairs or triplets, three types with one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Self, final

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require

COUNTED_AT_ONCE = 2**22
"""Entries of a mask that are counted in one call."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Relation(ABC):
    """Which rows of a batch are alike, which unlike and which unknown: ``Labels``, ``Pairs`` or ``Triplets``.

    Made by the ``from_…`` functions. Rows are anchors first, then partners drawn from elsewhere; a loss gives
    its ``Terms`` one entry per row. What a loss needs of any relation is here (``rows``, ``masks``,
    ``counts``, ``symmetric``, ``check``); a loss that treats one kind in its own way tests for its type.

    Attributes:
        rows: the number of rows B of the embeddings that this relation describes.

    >>> relation = Relation.from_labels(torch.tensor([0, 0, 1]))
    >>> relation.rows, isinstance(relation, Labels)
    (3, True)
    """

    rows: int

    @staticmethod
    def from_labels(labels: Tensor, modality: Tensor | None = None, *, anchors: int | None = None) -> Labels:
        """Rows with one label are alike, others unlike.

        Args:
            labels: (..., B) integers.
            modality: (..., B) or (B,) integers or bools; pairs within one modality are unknown.
            anchors: only the first ``anchors`` rows serve as anchors, the rest as partners.

        Raises:
            LosscopeError: labels that are not integers, or a modality of another length.

        >>> Relation.from_labels(torch.tensor([0, 0, 1])).rows
        3
        """
        labels = torch.as_tensor(labels)
        require(
            not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool),
            f"labels have dtype {str(labels.dtype).removeprefix('torch.')}; integers are wanted",
        )
        require(labels.ndim > 0, "labels are a single number; one label per row is wanted")
        rows = labels.shape[-1]
        if modality is not None:
            modality = torch.as_tensor(modality, device=labels.device).long()
            require(
                modality.ndim > 0 and modality.shape[-1] == rows,
                f"modality has shape {tuple(modality.shape)}; one entry for each of {rows} labels is wanted",
            )
        return Labels(rows=rows, labels=labels.long(), modality=modality, anchors=anchors)

    @staticmethod
    def from_pairs(i: Tensor, j: Tensor, same: Tensor, *, rows: int, valid: Tensor | None = None) -> Pairs:
        """Explicit pairs of rows (i, j), alike where ``same``; each is a term of its anchor ``i``.

        Args:
            i, j: (..., P) row numbers in 0..rows−1.
            same: (..., P) bool.
            rows: number of rows B of the batch.
            valid: (..., P) bool, pairs that exist (padding for ragged members); None for all.

        Raises:
            LosscopeError: row numbers that are not integers in 0..rows−1, or shapes that differ.

        >>> pairs = Relation.from_pairs(torch.tensor([0]), torch.tensor([2]), torch.tensor([True]), rows=3)
        >>> print(pairs)
        pairs of 3 rows
        """
        index = _indices(rows, i=i, j=j)
        same = torch.as_tensor(same, device=index[0].device).bool()
        require(
            same.shape == index[0].shape,
            f"same has shape {tuple(same.shape)}, the pairs {tuple(index[0].shape)}; "
            f"one entry per pair is wanted",
        )
        return Pairs(rows=rows, index=index, same=same, valid=valid)

    @staticmethod
    def from_triplets(a: Tensor, p: Tensor, n: Tensor, *, rows: int, valid: Tensor | None = None) -> Triplets:
        """Explicit triplets of rows: anchor, positive, negative, each (..., P).

        Args:
            a, p, n: (..., P) row numbers in 0..rows−1.
            rows: number of rows B of the batch.
            valid: (..., P) bool, triplets that exist; None for all.

        Raises:
            LosscopeError: row numbers that are not integers in 0..rows−1, or shapes that differ.

        >>> print(Relation.from_triplets(*torch.tensor([[0], [1], [2]]), rows=3))
        triplets of 3 rows
        """
        return Triplets(rows=rows, index=_indices(rows, a=a, p=p, n=n), valid=valid)

    @staticmethod
    def from_partners(same: Tensor, valid: Tensor | None = None) -> Pairs:
        """b anchors and b partners drawn from elsewhere, 2b rows: pair k is rows (k, b + k).

        Args:
            same: (..., b) bool.
            valid: (..., b) bool, anchors for which a partner was found; None for all.

        >>> Relation.from_partners(torch.tensor([True, False])).rows
        4
        """
        return Pairs(rows=2 * same.shape[-1], same=same, valid=valid)

    @staticmethod
    def from_triples(anchors: int, valid: Tensor | None = None) -> Triplets:
        """b anchors, their positives and their negatives, 3b rows: triplet k is rows (k, b + k, 2b + k).

        Args:
            anchors: their number b.
            valid: (..., b) bool, anchors for which partners were found; None for all.

        >>> Relation.from_triples(2).rows
        6
        """
        return Triplets(rows=3 * anchors, valid=valid)

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()} of {self.rows} rows"

    @property
    @abstractmethod
    def symmetric(self) -> bool:
        """Whether j is a positive or negative of i exactly if i is one of j."""

    @abstractmethod
    def masks(self) -> tuple[Tensor, Tensor]:
        """The positives and the negatives of each anchor, two bool tensors (..., B, B), row = anchor.

        A row named both a positive and a negative of an anchor is a positive.

        >>> positive, negative = Relation.from_labels(torch.tensor([5, 5, 7])).masks()
        >>> positive.int().tolist(), negative.int().tolist()
        ([[0, 1, 0], [1, 0, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 1], [1, 1, 0]])
        """

    @abstractmethod
    def member(self, member: int) -> Relation:
        """The relation of one member of a population, from that of all its members (M, ...).

        >>> Relation.from_labels(torch.tensor([[0, 0, 1], [0, 1, 1]])).member(1).labels.tolist()
        [0, 1, 1]
        """

    @abstractmethod
    def to(self, device: torch.device | str) -> Relation:
        """The same relation on a device."""

    def counts(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of positives and of negatives of each row, (..., B) int64, given the masks."""
        return counted(positive), counted(negative)

    def check(self, embeddings: Tensor) -> None:
        """Check that embeddings (..., B, D) have this relation's rows and leading dimensions.

        Raises:
            LosscopeError: they do not.
        """
        shape = embeddings.shape
        if len(shape) < 2 or shape[-2] != self.rows:
            raise LosscopeError(
                f"embeddings have shape {tuple(shape)}, and the relation is {self}; "
                f"embeddings (..., {self.rows}, D) are wanted"
            )


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Labels(Relation):
    """Rows with one integer label are alike, others unlike. Made by ``Relation.from_labels``.

    Attributes:
        labels: (..., B) int64. The background label −1 is a class like another.
        modality: (..., B) int64 or None; two rows of one modality are unknown to each other.
        anchors: only the first ``anchors`` rows are anchors; None for all.

    >>> Relation.from_labels(torch.tensor([3, 3, 4])).symmetric
    True
    """

    labels: Tensor
    modality: Tensor | None = None
    anchors: int | None = None

    @property
    def symmetric(self) -> bool:
        return self.anchors is None

    def masks(self) -> tuple[Tensor, Tensor]:
        same = _equal(self.labels)
        negative = ~same
        positive = same
        positive.diagonal(dim1=-2, dim2=-1).fill_(False)
        if self.modality is not None:
            across = self.modality.unsqueeze(-1) != self.modality.unsqueeze(-2)
            positive, negative = positive & across, negative & across
        if self.anchors is not None:
            positive[..., self.anchors :, :] = False
            negative[..., self.anchors :, :] = False
        return positive, negative

    def counts(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        positives = counted(positive)
        if self.symmetric and self.modality is None:
            return positives, self.rows - 1 - positives
        return positives, counted(negative)

    def check(self, embeddings: Tensor) -> None:
        super().check(embeddings)
        if self.labels.shape[:-1] not in ((), embeddings.shape[:-2]):
            raise LosscopeError(
                f"labels have shape {tuple(self.labels.shape)}, embeddings {tuple(embeddings.shape)}; "
                f"labels (B,) or with the leading dimensions of the embeddings are wanted"
            )

    def member(self, member: int) -> Labels:
        modality = None if self.modality is None else _own(self.modality, member)
        return replace(self, labels=_own(self.labels, member), modality=modality)

    def to(self, device: torch.device | str) -> Labels:
        modality = None if self.modality is None else self.modality.to(device)
        return replace(self, labels=self.labels.to(device), modality=modality)


@dataclass(frozen=True, eq=False, kw_only=True)
class Tuples(Relation):
    """What explicit pairs and triplets have in common: a list of tuples of rows, an anchor first.

    Attributes:
        index: the rows of the tuples, ``width`` tensors (..., P); None if they are ``aligned``.
        valid: (..., P) bool, which of the tuples exist; None for all.
    """

    width: ClassVar[int]
    """Rows in a tuple."""

    index: tuple[Tensor, ...] | None = None
    valid: Tensor | None = None

    @property
    def aligned(self) -> bool:
        """Whether tuple k is rows (k, b + k, …), as for drawn partners, so that slices replace indices."""
        return self.index is None

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """The rows of the tuples, anchors first: ``width`` tensors (..., P).

        >>> [column.tolist() for column in Relation.from_triples(2).columns]
        [[0, 1], [2, 3], [4, 5]]
        """
        if self.index is not None:
            return self.index
        return tuple(torch.arange(self.rows, device=self.device).view(self.width, -1))

    @property
    def device(self) -> torch.device | None:
        """Where the relation's tensors are; None if it has none."""
        parts = (*(self.index or ()), self.valid)
        return next((part.device for part in parts if part is not None), None)

    @abstractmethod
    def _partners(self) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]:
        """The column of the positives and that of the negatives, each with what marks its tuples as such."""

    def masks(self) -> tuple[Tensor, Tensor]:
        anchor = self.columns[0]
        found = []
        for partner, chosen in self._partners():
            keep = self.valid if chosen is None else chosen if self.valid is None else chosen & self.valid
            cell = anchor * self.rows + partner
            if keep is None:
                keep = torch.ones_like(cell, dtype=torch.bool)
            cell, keep = torch.broadcast_tensors(cell, keep)
            shape = (*cell.shape[:-1], self.rows * self.rows)
            mask = torch.zeros(shape, dtype=torch.int32, device=cell.device)
            mask = mask.scatter_add_(-1, cell, keep.int()) > 0
            found.append(mask.unflatten(-1, (self.rows, self.rows)))
        positive, negative = found
        return positive, negative & ~positive

    def member(self, member: int) -> Self:
        index = None if self.index is None else tuple(_own(part, member) for part in self.index)
        valid = None if self.valid is None else _own(self.valid, member)
        return replace(self, index=index, valid=valid)

    def to(self, device: torch.device | str) -> Self:
        index = None if self.index is None else tuple(part.to(device) for part in self.index)
        valid = None if self.valid is None else self.valid.to(device)
        return replace(self, index=index, valid=valid)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs(Tuples):
    """Explicit pairs of rows, alike or unlike. Made by ``Relation.from_pairs`` and ``from_partners``.

    Attributes:
        same: (..., P) bool, whether the rows of a pair are alike.

    >>> pairs = Relation.from_partners(torch.tensor([True, False]))
    >>> [column.tolist() for column in pairs.columns], pairs.same.tolist()
    ([[0, 1], [2, 3]], [True, False])
    """

    width = 2
    same: Tensor

    @property
    def device(self) -> torch.device:
        return self.same.device

    def _partners(self) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]:
        partner = self.columns[1]
        return (partner, self.same), (partner, ~self.same)

    def member(self, member: int) -> Pairs:
        return replace(super().member(member), same=_own(self.same, member))

    def to(self, device: torch.device | str) -> Pairs:
        return replace(super().to(device), same=self.same.to(device))


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Triplets(Tuples):
    """Explicit triplets: anchor, positive, negative. Made by ``Relation.from_triplets`` and ``from_triples``.

    >>> triplets = Relation.from_triplets(*torch.tensor([[0], [1], [2]]), rows=3)
    >>> triplets.as_pairs().same.tolist()
    [True, False]
    """

    width = 3

    def _partners(self) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]:
        _, positive, negative = self.columns
        return (positive, None), (negative, None)

    def as_pairs(self) -> Pairs:
        """The two pairs of each triplet: the positive ones of all, then the negative ones."""
        anchor, positive, negative = self.columns
        index = torch.cat((anchor, anchor), -1), torch.cat((positive, negative), -1)
        same = torch.cat((torch.ones_like(anchor), torch.zeros_like(anchor)), -1).bool()
        valid = None if self.valid is None else torch.cat((self.valid, self.valid), -1)
        return Pairs(rows=self.rows, index=index, same=same, valid=valid)


KINDS: Mapping[str, type[Pairs] | type[Triplets]] = MappingProxyType({"pairs": Pairs, "triplets": Triplets})
"""The explicit relations by the names under which losses declare what they take."""


def counted(mask: Tensor) -> Tensor:
    """How many entries of each row (..., B) of a mask are true, (...) int64.

    In blocks of rows: on a CPU torch makes int64 of a whole mask before it counts, eight times its size.
    """
    if mask.numel() <= COUNTED_AT_ONCE:
        return mask.sum(-1)
    rows = mask.flatten(0, -2)
    blocks = rows.split(max(1, COUNTED_AT_ONCE // mask.shape[-1]))
    return torch.cat([block.sum(-1) for block in blocks]).view(mask.shape[:-1])


def _own(part: Tensor, member: int) -> Tensor:
    """A member's part of (M, ...), or what is said of all members alike, (P,)."""
    return part[member] if part.ndim > 1 else part


def _equal(labels: Tensor) -> Tensor:
    """Which labels are equal, (..., B, B); on a CPU by NumPy, in 32 bits where they fit, which is faster."""
    if labels.device.type != "cpu" or labels.numel() == 0:
        return labels.unsqueeze(-1) == labels.unsqueeze(-2)
    array = labels.numpy()
    if array.min() >= -(2**31) and array.max() < 2**31:
        array = array.astype(np.int32)
    return torch.from_numpy(array[..., :, None] == array[..., None, :])


def _indices(rows: int, **named: Tensor) -> tuple[Tensor, ...]:
    parts = {name: torch.as_tensor(part) for name, part in named.items()}
    shape = next(iter(parts.values())).shape
    for name, part in parts.items():
        if part.is_floating_point() or part.dtype == torch.bool:
            raise LosscopeError(f"{name} has dtype {part.dtype}; row numbers (integers) are wanted")
        if part.shape != shape:
            raise LosscopeError(
                f"{name} has shape {tuple(part.shape)}, another index {tuple(shape)}; one shape is wanted"
            )
        if part.numel() and not (int(part.min()) >= 0 and int(part.max()) < rows):
            raise LosscopeError(f"{name} names a row outside 0..{rows - 1}, the rows of the batch")
    return tuple(part.long() for part in parts.values())
