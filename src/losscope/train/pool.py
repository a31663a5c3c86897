"""The training rows of a population in one tensor, a row that several seeds draw once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.data import Part, Splits
from losscope.train.transforms import Transform


@dataclass(frozen=True)
class Pool:
    """Rows and where each member finds its own.

    Attributes:
        rows: all rows as the data have them, (N, ...).
        places: of each member, where in the pool each row of its training part is.
        kept: of each member, the places of the rows that are drawn: without background, if that is left out.
        labels: of each member, the classes 0..C-1 of the rows kept.
        splits: one member's, for how inputs are scaled.
        tags: of all rows, the labels (N, C) where rows have several each; then ``labels`` are the rarest.
        transform: what is done to the rows of all members after that, where it was fitted to each.
    """

    rows: Tensor
    places: tuple[np.ndarray, ...]
    kept: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    splits: Splits
    tags: Tensor | None = None
    transform: Transform | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.rows.device

    @property
    def paired(self) -> bool:
        """Whether rows have two modalities."""
        return self.splits.train.second is not None

    @property
    def count(self) -> int:
        """Rows that the first member draws from."""
        return len(self.kept[0])

    @property
    def classes(self) -> int:
        """Classes of the first member's rows."""
        return int(self.labels[0].max()) + 1 if len(self.labels[0]) else 0

    def gather(self, index: Tensor) -> Tensor:
        """Rows (M, rows) of the pool as the network takes them, (M, rows, ...)."""
        rows = self.rows.index_select(0, index.reshape(-1))
        if not self.paired:
            rows = scaled(rows, self.splits)
        rows = rows.view(*index.shape, *rows.shape[1:])
        return rows if self.transform is None else self.transform(rows.flatten(2))


def pooled(splits: Sequence[Splits], background: str, device: torch.device) -> Pool:
    """The pool of the training parts; ``background`` ``exclude`` leaves out rows of label -1."""
    parts = [split.train for split in splits]
    known = np.full(1 + max(0 if part.rows is None else int(part.rows.max(initial=0)) for part in parts), -1)
    pieces, tags, total = [], [], 0
    placed: dict[int, np.ndarray] = {}
    kept, labels = [], []
    for part, split in zip(parts, splits, strict=True):
        if id(part) not in placed:
            source = part.rows if split.facts is splits[0].facts else None
            fresh = np.arange(len(part)) if source is None else np.flatnonzero(known[source] < 0)
            places = total + np.arange(len(fresh))
            if source is not None:
                known[source[fresh]] = places
                places = known[source]
            placed[id(part)] = places
            own = part if len(fresh) == len(part) else part.take(fresh)
            pieces.append(rows_of(own, split))
            if own.tags is not None:
                tags.append(torch.from_numpy(own.tags))
            total += len(fresh)
        keep = np.arange(len(part))
        if background == "exclude":
            keep = keep[part.labels != -1]
        kept.append(placed[id(part)][keep])
        labels.append(np.unique(part.labels[keep], return_inverse=True)[1].astype(np.int64))
    rows = torch.cat(pieces).to(device)
    several = torch.cat(tags).to(device) if tags else None
    transforms = [split.transform for split in splits if isinstance(split.transform, Transform)]
    each = Transform.stacked(transforms) if transforms else None
    if each is not None and each.mean is None:  # the same for all members: done once, not at each step
        rows, each = each(scaled(rows, splits[0]).flatten(1)), None
    places_of = tuple(placed[id(part)] for part in parts)
    return Pool(rows, places_of, tuple(kept), tuple(labels), splits[0], several, each)


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


def inputs_of(part: Part, splits: Splits, device: torch.device) -> Tensor:
    """A part's inputs as the network takes them: float32, scaled, transformed, modalities side by side."""
    rows = rows_of(part, splits).to(device)
    if part.second is not None:
        return rows
    rows = scaled(rows, splits)
    return rows if splits.transform is None else splits.transform(rows.flatten(1))
