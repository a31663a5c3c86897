"""What is done to inputs before the network: fitted to a seed's training part, the same for every side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from losscope.core.spec import Protocol
from losscope.data import Splits
from losscope.pairs import normalise


@dataclass(frozen=True, eq=False)
class Transform:
    """Rows (..., D) -> rows of length 1, after a signed square root or standardisation where asked.

    ``mean`` and ``scale`` (D,) or (M, 1, D) are those of the training part; None where nothing is fitted.

    >>> Transform(root=True)(torch.tensor([[9.0, -16.0]]))
    tensor([[ 0.6000, -0.8000]])
    """

    root: bool = False
    mean: Tensor | None = None
    scale: Tensor | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        if self.root:
            rows = rows.sign() * rows.abs().sqrt()
        if self.mean is not None and self.scale is not None:
            rows = (rows - self.mean.to(rows.device)) * self.scale.to(rows.device)
        return normalise(rows)

    @classmethod
    def fitted(cls, name: str, rows: np.ndarray) -> Transform:
        """The transform of that name, fitted to training rows (N, D) if it has anything to fit.

        A dimension that does not vary is only centred.
        """
        if name != "standardise":
            return cls(root=name == "sqrt")
        mean = rows.mean(axis=0, dtype=np.float64)
        spread = rows.std(axis=0, dtype=np.float64)
        scale = 1 / np.where(spread > 1e-12 * np.abs(rows).max(initial=1e-30), spread, 1.0)
        return cls(mean=torch.from_numpy(mean).float(), scale=torch.from_numpy(scale).float())

    @classmethod
    def stacked(cls, members: Sequence[Transform]) -> Transform:
        """One transform of rows (M, rows, D) from those of the members."""
        first = members[0]
        if first.mean is None:
            return first
        means = [member.mean for member in members if member.mean is not None]
        scales = [member.scale for member in members if member.scale is not None]
        return replace(first, mean=torch.stack(means)[:, None], scale=torch.stack(scales)[:, None])


def transformed(splits: Sequence[Splits], protocol: Protocol) -> list[Splits]:
    """The splits of some members with the protocol's transform; those that are one object stay one."""
    if protocol.transform == "none":
        return list(splits)
    made: dict[int, Splits] = {}
    for split in splits:
        if id(split) not in made:
            part = split.train
            known = part.labels != -1 if protocol.background == "exclude" else slice(None)
            rows = part.inputs[known].reshape(len(part.labels[known]), -1)
            made[id(split)] = replace(split, transform=Transform.fitted(protocol.transform, rows))
    return [made[id(split)] for split in splits]
