"""What belongs together in a batch: integer labels, explicit pairs or explicit triplets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require

Form = Literal["labels", "pairs", "triplets"]


@dataclass(frozen=True, eq=False)
class Relation:
    """Which rows of a batch are alike, which unlike, and which unknown. Made by the ``from_…`` methods.

    Rows are anchors first, then partners drawn from elsewhere; a loss gives one entry of its ``Terms`` a row.

    Attributes:
        form: ``labels``, ``pairs`` or ``triplets``.
        rows: the number of rows B of the embeddings this relation speaks of.
        labels: (..., B) int64, for ``labels``. The background label −1 is a class like another.
        modality: (..., B) int64 or None; two rows of one modality are unknown to each other.
        anchors: only the first ``anchors`` rows are anchors; None for all.
        index: the rows of the pairs (2, ..., P) or triplets (3, ..., P); None if ``aligned``.
        same: (..., P) bool, for ``pairs``.
        valid: (..., P) bool, which of the pairs or triplets exist; None for all.
        aligned: pair k is rows (k, P + k), triplet k is rows (k, P + k, 2P + k): partners were drawn from
            elsewhere, one an anchor, and slices serve instead of indices.
    """

    form: Form
    rows: int
    labels: Tensor | None = None
    modality: Tensor | None = None
    anchors: int | None = None
    index: tuple[Tensor, ...] | None = None
    same: Tensor | None = None
    valid: Tensor | None = None
    aligned: bool = False

    @classmethod
    def from_labels(
        cls, labels: Tensor, modality: Tensor | None = None, *, anchors: int | None = None
    ) -> Relation:
        """Rows of one label are alike, others unlike.

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
        require(labels.ndim > 0, "labels are a single number; one label a row is wanted")
        rows = labels.shape[-1]
        if modality is not None:
            modality = torch.as_tensor(modality, device=labels.device).long()
            require(
                modality.ndim > 0 and modality.shape[-1] == rows,
                f"modality has shape {tuple(modality.shape)}; one entry for each of {rows} labels is wanted",
            )
        return cls("labels", rows, labels=labels.long(), modality=modality, anchors=anchors)

    @classmethod
    def from_pairs(
        cls, i: Tensor, j: Tensor, same: Tensor, *, rows: int, valid: Tensor | None = None
    ) -> Relation:
        """Explicit pairs of rows (i, j), alike where ``same``; each is a term of its anchor ``i``.

        Args:
            i, j: (..., P) row numbers in 0..rows−1.
            same: (..., P) bool.
            rows: number of rows B of the batch.
            valid: (..., P) bool, pairs that exist (padding for ragged members); None for all.

        >>> pairs = Relation.from_pairs(torch.tensor([0]), torch.tensor([2]), torch.tensor([True]), rows=3)
        >>> pairs.form, pairs.rows
        ('pairs', 3)
        """
        index = _indices(rows, i=i, j=j)
        same = torch.as_tensor(same, device=index[0].device).bool()
        require(
            same.shape == index[0].shape,
            f"same has shape {tuple(same.shape)}, the pairs {tuple(index[0].shape)}; one entry a pair is wanted",
        )
        return cls("pairs", rows, index=index, same=same, valid=valid)

    @classmethod
    def from_triplets(
        cls, a: Tensor, p: Tensor, n: Tensor, *, rows: int, valid: Tensor | None = None
    ) -> Relation:
        """Explicit triplets of rows: anchor, positive, negative, each (..., P).

        >>> Relation.from_triplets(*torch.tensor([[0], [1], [2]]), rows=3).form
        'triplets'
        """
        return cls("triplets", rows, index=_indices(rows, a=a, p=p, n=n), valid=valid)

    @classmethod
    def from_partners(cls, same: Tensor, valid: Tensor | None = None) -> Relation:
        """b anchors and b partners drawn from elsewhere, 2b rows: pair k is rows (k, b + k).

        Args:
            same: (..., b) bool.
            valid: (..., b) bool, anchors for which a partner was found; None for all.

        >>> Relation.from_partners(torch.tensor([True, False])).rows
        4
        """
        return cls("pairs", 2 * same.shape[-1], same=same, valid=valid, aligned=True)

    @classmethod
    def from_triples(cls, anchors: int, valid: Tensor | None = None) -> Relation:
        """b anchors, their positives and their negatives, 3b rows: triplet k is rows (k, b + k, 2b + k).

        >>> Relation.from_triples(2).rows
        6
        """
        return cls("triplets", 3 * anchors, valid=valid, aligned=True)

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """The rows of the explicit pairs (i, j) or triplets (a, p, n), each (..., P)."""
        if self.index is not None:
            return self.index
        require(self.aligned, "labels have no list of pairs; sample some, or use the masks")
        parts = 2 if self.form == "pairs" else 3
        device = next((t.device for t in (self.same, self.valid) if t is not None), None)
        return tuple(torch.arange(self.rows, device=device).view(parts, -1))

    def check(self, embeddings: Tensor) -> None:
        """Raise unless the embeddings (..., B, D) have this relation's rows and leading dimensions."""
        shape = embeddings.shape
        if len(shape) < 2 or shape[-2] != self.rows:
            raise LosscopeError(
                f"embeddings have shape {tuple(shape)}, the {self.form} speak of {self.rows} rows; "
                f"embeddings (..., B, D) and labels (..., B) are wanted"
            )
        if self.labels is not None and self.labels.shape[:-1] not in ((), shape[:-2]):
            raise LosscopeError(
                f"labels have shape {tuple(self.labels.shape)}, embeddings {tuple(shape)}; "
                f"labels (B,) or with the leading dimensions of the embeddings are wanted"
            )

    def masks(self) -> tuple[Tensor, Tensor]:
        """The positives and the negatives of each anchor, two bool tensors (..., B, B), row = anchor.

        A row named both a positive and a negative of an anchor is a positive.

        >>> positive, negative = Relation.from_labels(torch.tensor([5, 5, 7])).masks()
        >>> positive.int().tolist(), negative.int().tolist()
        ([[0, 1, 0], [1, 0, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 1], [1, 1, 0]])
        """
        if self.labels is None:
            return self._explicit_masks()
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

    @property
    def symmetric(self) -> bool:
        """Whether j is a positive or negative of i exactly if i is one of j."""
        return self.labels is not None and self.anchors is None

    def counts(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of positives and of negatives of each row, (..., B) int64, given the masks."""
        positives = positive.sum(-1)
        if self.symmetric and self.modality is None:
            return positives, self.rows - 1 - positives
        return positives, negative.sum(-1)

    def _explicit_masks(self) -> tuple[Tensor, Tensor]:
        columns = self.columns
        if self.form == "triplets":
            lists: list[tuple[Tensor, Tensor | None]] = [(columns[1], None), (columns[2], None)]
        else:
            assert self.same is not None
            lists = [(columns[1], self.same), (columns[1], ~self.same)]
        found = []
        for partner, chosen in lists:
            keep = self.valid if chosen is None else chosen if self.valid is None else chosen & self.valid
            cell = columns[0] * self.rows + partner
            if keep is None:
                keep = torch.ones_like(cell, dtype=torch.bool)
            cell, keep = torch.broadcast_tensors(cell, keep)
            mask = torch.zeros(
                (*cell.shape[:-1], self.rows * self.rows), dtype=torch.int32, device=cell.device
            )
            mask = mask.scatter_add_(-1, cell, keep.int()) > 0
            found.append(mask.unflatten(-1, (self.rows, self.rows)))
        return found[0], found[1] & ~found[0]

    def to(self, device: torch.device | str) -> Relation:
        """The same relation on a device."""
        moved = {
            name: value.to(device)
            for name in ("labels", "modality", "same", "valid")
            if (value := getattr(self, name)) is not None
        }
        index = None if self.index is None else tuple(part.to(device) for part in self.index)
        kept = {"anchors": self.anchors, "aligned": self.aligned, "index": index}
        return Relation(self.form, self.rows, **kept, **moved)  # type: ignore[arg-type]


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
            raise LosscopeError(f"{name} has shape {tuple(part.shape)}, another index {tuple(shape)}")
        if part.numel() and not (int(part.min()) >= 0 and int(part.max()) < rows):
            raise LosscopeError(f"{name} names a row outside 0..{rows - 1}, the rows of the batch")
    return tuple(part.long() for part in parts.values())
