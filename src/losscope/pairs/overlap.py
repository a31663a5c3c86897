"""Rows with several labels each: alike are those that share one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, final

import torch
from torch import Tensor

from losscope.core.errors import require
from losscope.pairs.relation import Relation


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Overlap(Relation):
    """Rows that share a label are alike, others unlike. Made by ``Overlap.of``.

    It is symmetric and no equivalence: a and b may share a label, and b and c another.

    Attributes:
        tags: (..., B, C) bool, the labels of each row.
        modality: (B,) int64 or None; two rows of one modality are unknown to each other.

    >>> positive, negative = Overlap.of(torch.tensor([[1, 1], [1, 0], [0, 1]])).masks()
    >>> positive.int().tolist(), negative.int().tolist()
    ([[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]])
    """

    tags: Tensor
    modality: Tensor | None = None

    @classmethod
    def of(cls, tags: Tensor, modality: Tensor | None = None) -> Self:
        """The relation of rows with labels (..., B, C), 0 and 1; ``modality`` (B,) integers.

        Raises:
            LosscopeError: another shape, or a modality of another length.
        """
        tags = torch.as_tensor(tags)
        require(tags.dim() >= 2, f"tags have shape {tuple(tags.shape)}; (..., rows, labels) is wanted")
        rows = tags.shape[-2]
        require(
            modality is None or modality.shape == (rows,),
            f"modality has shape {None if modality is None else tuple(modality.shape)}; one entry for each "
            f"of {rows} rows is wanted",
        )
        return cls(rows=rows, tags=tags.bool(), modality=modality)

    @property
    def symmetric(self) -> bool:
        return True

    def masks(self) -> tuple[Tensor, Tensor]:
        tags = self.tags.float()
        positive = tags @ tags.mT > 0
        negative = ~positive
        positive.diagonal(dim1=-2, dim2=-1).fill_(False)
        negative.diagonal(dim1=-2, dim2=-1).fill_(False)
        if self.modality is not None:
            across = self.modality.unsqueeze(-1) != self.modality
            positive, negative = positive & across, negative & across
        return positive, negative

    def member(self, member: int) -> Self:
        return self if self.tags.dim() == 2 else replace(self, tags=self.tags[member])

    def to(self, device: torch.device | str) -> Self:
        modality = None if self.modality is None else self.modality.to(device)
        return replace(self, tags=self.tags.to(device), modality=modality)
