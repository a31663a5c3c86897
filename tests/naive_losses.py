"""Losses as people write them: four that are correct, in plain loops, and eight with a planted fault each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def contrastive(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """A loop over pairs."""
    z = normalize(embeddings, dim=1)
    total, count = 0 * embeddings.sum(), 0
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            d = (z[i] - z[j]).norm()
            total = total + (d**2 if labels[i] == labels[j] else torch.relu(margin - d) ** 2)
            count += 1
    return total / max(count, 1)


def triplet(embeddings: Tensor, labels: Tensor, margin: float = 0.2) -> Tensor:
    """A loop over anchors and positives."""
    z = normalize(embeddings, dim=1)
    total, count = 0 * embeddings.sum(), 0
    for a in range(len(z)):
        far = (z[a] - z[labels != labels[a]]).norm(dim=1)
        for p in range(len(z)):
            if p != a and labels[p] == labels[a]:
                total = total + torch.relu((z[a] - z[p]).norm() - far + margin).sum()
                count += len(far)
    return total / max(count, 1)


def info_nce(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """A loop over anchors and positives, each against the anchor's negatives."""
    z = normalize(embeddings, dim=1)
    total, count = 0 * embeddings.sum(), 0
    for a in range(len(z)):
        negatives = z[labels != labels[a]] @ z[a] / temperature
        for p in range(len(z)):
            if p != a and labels[p] == labels[a] and len(negatives):
                positive = z[a] @ z[p] / temperature
                total = total - positive + torch.cat([positive[None], negatives]).logsumexp(0)
                count += 1
    return total / max(count, 1)


def _table(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distances (B, B), whether labels agree, and which pairs are of different rows."""
    z = normalize(embeddings, dim=1)
    d = ((z[:, None] - z[None]).square().sum(-1) + 1e-12).sqrt()
    return d, labels[:, None] == labels[None], ~torch.eye(len(z), dtype=torch.bool)


def positives_pushed(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The two sides of torch.where are exchanged."""
    d, same, other = _table(embeddings, labels)
    return (torch.where(same, (margin - d).clamp_min(0), d).square() * other).mean()


def negatives_pulled(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The hinge is forgotten, so that negatives beyond the margin are pulled back to it."""
    d, same, other = _table(embeddings, labels)
    return (torch.where(same, d, margin - d).square() * other).mean()


def blind(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """Distances (P, 1) against labels (P,) make P×P."""
    z = normalize(embeddings, dim=1)
    i, j = torch.triu_indices(len(z), len(z), 1)
    d, same = (z[i] - z[j]).norm(dim=1, keepdim=True), (labels[i] == labels[j]).to(z.dtype)
    value = same * d.square() + (1 - same) * (margin - d).clamp_min(0).square()
    return value.sum() / max(value.numel(), 1)


def self_positive_softmax(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """The diagonal is not masked: every row is its own nearest positive."""
    z = normalize(embeddings, dim=1)
    scores = z @ z.T / temperature
    same = (labels[:, None] == labels[None]).to(z.dtype)
    return -(same * (scores - scores.logsumexp(1, keepdim=True))).sum(1).div(same.sum(1)).mean()


def self_positive_triplet(embeddings: Tensor, labels: Tensor, margin: float = 0.2) -> Tensor:
    """Triplets (a, a, n) are among the triplets."""
    d, same, _ = _table(embeddings, labels)
    valid = same[:, :, None] & ~same[:, None, :]
    value = (d[:, :, None] - d[:, None, :] + margin).clamp_min(0) * valid
    return value.sum() / valid.sum().clamp_min(1)


def diluted_positives(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The mean over positives counts each row with itself, at distance 0."""
    d, same, _ = _table(embeddings, labels)
    hinge = (margin - d).clamp_min(0).square() * ~same
    return d.square()[same].mean() + hinge.sum() / (~same).sum().clamp_min(1)


def nan_for_one_class(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """The mean of no negatives is NaN."""
    d, same, other = _table(embeddings, labels)
    return d.square()[same & other].sum() / len(d) + (margin - d).clamp_min(0).square()[~same].mean()


def margin_out_of_reach(embeddings: Tensor, labels: Tensor, margin: float = 5.0) -> Tensor:
    """No two unit vectors are 5 apart."""
    d, same, other = _table(embeddings, labels)
    return (torch.where(same, d, (margin - d).clamp_min(0)).square() * other).mean()


def flat(embeddings: Tensor, labels: Tensor, temperature: float = 1000.0) -> Tensor:
    """A temperature at which all cosines are alike."""
    return info_nce(embeddings, labels, temperature)


def constant(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Equal to doing nothing."""
    return 0 * embeddings.sum() + 1.5


def cut(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The graph is cut."""
    return contrastive(embeddings.detach(), labels) + 0 * embeddings.sum()
