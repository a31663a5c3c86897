"""Augmentation of training images, declared in the protocol, vectorised over rows.

Each member draws from its own generator, so that what it sees does not depend on its neighbours, and for
one seed every loss sees the same images. Measuring, probing and validation see images as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.core.errors import LosscopeError


def augment(images: Tensor, names: Sequence[str], generators: Sequence[np.random.Generator]) -> Tensor:
    """Augmented images of every member, (M, rows, channels, height, width), in the order of ``names``.

    ``flip`` mirrors each image left to right with probability ½. ``cropK`` puts K zeros around it (the
    channels' means, for normalised images) and cuts its own size out again at a place drawn uniformly
    (Krizhevsky 2012; He 2016 use crop4 on 32×32).

    Raises LosscopeError for inputs that are no images.

    >>> images = torch.arange(4.0).view(1, 1, 1, 1, 4)
    >>> augment(images, ["flip"], [np.random.default_rng(1)])[0, 0, 0].tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    >>> augment(images, ["flip"], [np.random.default_rng(3)])[0, 0, 0].tolist()
    [[3.0, 2.0, 1.0, 0.0]]
    """
    if images.dim() != 5:
        raise LosscopeError(
            f"augmentation ({', '.join(names)}) wants images; "
            f"these inputs are of shape {tuple(images.shape[2:])}"
        )
    for name in names:
        images = _flip(images, generators) if name == "flip" else _crop(images, int(name[4:]), generators)
    return images


def _flip(images: Tensor, generators: Sequence[np.random.Generator]) -> Tensor:
    rows = images.shape[1]
    drawn = np.stack([generator.random(rows) < 0.5 for generator in generators])
    mirrored = torch.from_numpy(drawn).to(images.device)[..., None, None, None]
    return torch.where(mirrored, images.flip(-1), images)


def _crop(images: Tensor, pad: int, generators: Sequence[np.random.Generator]) -> Tensor:
    members, rows, _, height, width = images.shape
    drawn = np.stack([generator.integers(0, 2 * pad + 1, (2, rows)) for generator in generators])
    down, right = torch.from_numpy(drawn).to(images.device).unbind(1)
    y = (down[..., None] + torch.arange(height, device=images.device))[..., :, None]
    x = (right[..., None] + torch.arange(width, device=images.device))[..., None, :]
    member = torch.arange(members, device=images.device)[:, None, None, None]
    row = torch.arange(rows, device=images.device)[:, None, None]
    padded = F.pad(images, (pad, pad, pad, pad))
    # Advanced indices on both sides of the channels put these last.
    return padded[member, row, :, y, x].movedim(-1, 2).contiguous()
