"""Losses with one planted fault each, and the sound one they come from; ``losscope audit`` names each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both rows of every pair, (P, D) each, and whether they are alike, (P,)."""
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(f"labels {tuple(labels.shape)} for embeddings {tuple(embeddings.shape)}")
    z = normalize(embeddings, dim=1)
    i, j = torch.triu_indices(len(z), len(z), 1)
    return z[i], z[j], labels[i] == labels[j]


def terms(d: Tensor, same: Tensor, margin: float) -> Tensor:
    return torch.where(same, d, (margin - d).clamp_min(0)).square()


def sound(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """No fault: contrastive loss over all pairs, mean over valid ones."""
    a, b, same = pairs(embeddings, labels)
    value = terms((a - b).norm(dim=1), same, margin)
    return value.sum() / max(len(value), 1)


def label_blind_broadcast(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """A (P,1) distance against a (P,) label broadcasts to P×P: the loss sees only how many are alike."""
    a, b, same = pairs(embeddings, labels)
    d = (a - b).norm(dim=1, keepdim=True)
    value = same * d.square() + ~same * (margin - d).clamp_min(0).square()
    return value.sum() / max(value.numel(), 1)


def sqrt_at_zero(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The root of a sum of squares has an infinite slope at 0."""
    a, b, same = pairs(embeddings, labels)
    value = terms((a - b).square().sum(1).sqrt(), same, margin)
    return value.sum() / max(len(value), 1)


def sqrt_on_the_diagonal(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The same over a B×B table, whose diagonal is 0 in every batch: masking the value leaves the slope."""
    z = normalize(embeddings, dim=1)
    d = (z[:, None] - z[None]).square().sum(-1).sqrt()
    same = labels[:, None] == labels[None]
    value = terms(d, same, margin) * ~torch.eye(len(z), dtype=torch.bool)
    return value.mean()


def unclamped_acos(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The angle by acos: NaN where rounding puts a cosine beyond 1, an infinite slope at ±1."""
    a, b, same = pairs(embeddings, labels)
    value = terms(torch.acos((a * b).sum(1)), same, margin)
    return value.sum() / max(len(value), 1)


def sum_instead_of_mean(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The gradient grows with the number of pairs."""
    a, b, same = pairs(embeddings, labels)
    return terms((a - b).norm(dim=1), same, margin).sum()


def mean_over_active(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The mean over terms that are not 0 multiplies the gradient by 1/active ratio."""
    a, b, same = pairs(embeddings, labels)
    value = terms((a - b).norm(dim=1), same, margin)
    return value.sum() / (value > 0).sum().clamp_min(1)


def labels_as_numbers(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Labels weight the terms, as where a loss for 0/1 pairs is given classes."""
    z = normalize(embeddings, dim=1)
    return (labels[:, None] * (z - z.mean(0)).square()).mean()


def wrong_sign(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """Pulls negatives near and pushes positives away."""
    a, b, same = pairs(embeddings, labels)
    value = terms((a - b).norm(dim=1), ~same, margin)
    return value.sum() / max(len(value), 1)


def wrong_gradient(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """A distance that is held constant in one place: the gradient is not the value's."""
    a, b, same = pairs(embeddings, labels)
    d = (a - b).norm(dim=1)
    value = torch.where(same, d * d.detach(), (margin - d).clamp_min(0).square())
    return value.sum() / max(len(value), 1)


def first_row_counts_twice(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The order of the batch matters."""
    return (
        sound(embeddings, labels, margin)
        + 0.1 * embeddings[0].square().sum() * (embeddings[0] - embeddings[-1]).norm()
    )


def by_axes(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """City-block distances: not invariant to rotation."""
    a, b, same = pairs(embeddings, labels)
    value = terms((a - b).abs().sum(1), same, margin)
    return value.sum() / max(len(value), 1)


def all_triplets(embeddings: Tensor, labels: Tensor, margin: float = 0.1) -> Tensor:
    """A B×B×B tensor."""
    z = normalize(embeddings, dim=1)
    d = torch.cdist(z, z)
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(z), dtype=torch.bool)
    value = (d[:, :, None] - d[:, None, :] + margin).clamp_min(0) * (positive[:, :, None] & ~same[:, None, :])
    return value.sum() / max(int((positive.sum(1) * (~same).sum(1)).sum()), 1)


def nan_without_positives(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The mean of no positives is NaN."""
    a, b, same = pairs(embeddings, labels)
    value = terms((a - b).norm(dim=1), same, margin)
    return value[same].mean() + value[~same].mean()


def overflows_in_half(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """A sum in half precision that is divided too late."""
    a, b, same = pairs(embeddings, labels)
    value = 3000 * terms((a - b).norm(dim=1), same, margin)
    return value.sum() / 3000 / max(len(value), 1)
