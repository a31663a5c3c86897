"""Which tuples of a batch enter a pair or triplet loss, and partners drawn from a whole data set.

A loss draws nothing: all randomness is here, from one generator per member of the population, used in order,
so that a member's draws do not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require, unknown
from losscope.pairs.relation import Pairs, Relation, Triplets

Kind = type[Pairs] | type[Triplets]
"""What a sample is made into."""

TUPLES = ("random", "all", "hard", "semihard", "distance_weighted")

NEAREST_WEIGHTED = 0.5
"""Distances are clipped here from below in distance-weighted sampling, as by its authors."""

FARTHEST_WEIGHTED = 1.4
"""Negatives beyond this, nearly all on a high-dimensional sphere, are left out unless there is no other."""


def sample(
    relation: Relation,
    tuples: str,
    distances: Tensor | None,
    generators: Sequence[np.random.Generator] = (),
    *,
    into: Kind,
    dimension: int | None = None,
) -> Relation:
    """Explicit pairs or triplets chosen among the known ones.

    ``random``: one pair (a positive with probability ½, where there is one) or one triplet per anchor.
    ``all``: the relation unchanged. ``hard``: an anchor's farthest positive and nearest negative (Hermans
    2017). ``semihard``: for each positive the nearest negative farther than it, or the farthest negative if
    there is none (Schroff 2015, as TensorFlow has it). ``distance_weighted``: for each positive a negative
    drawn with a weight inverse to the density of its distance on the sphere (Wu 2017). As pairs, each triplet
    gives its two.

    Args:
        relation: labels, pairs or triplets of B rows.
        tuples: one of ``TUPLES``.
        distances: (..., B, B); may be None for ``random`` and ``all``.
        generators: one per member, in the order of the flattened leading dimensions; unused by ``all``,
            ``hard`` and ``semihard``.
        into: what the loss takes, ``Pairs`` or ``Triplets``.
        dimension: of the embeddings, for ``distance_weighted``.

    Raises:
        LosscopeError: unknown tuples, missing distances or dimension, a wrong number of generators.

    >>> relation = Relation.from_labels(torch.tensor([0, 0, 1]))
    >>> d = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    >>> [column.tolist() for column in sample(relation, "hard", d, into=Triplets).columns]
    [[0, 1, 2], [1, 0, 0], [2, 2, 0]]
    """
    if tuples == "all":
        return relation
    if tuples not in TUPLES:
        raise unknown("tuples", tuples, TUPLES)
    positive, negative = relation.masks()
    if tuples == "random":
        lead = positive.shape[:-2] if distances is None else distances.shape[:-2]
        uniforms = _uniforms(lead, (relation.rows, 2), generators)
        return (_random_triplets if into is Triplets else _random_pairs)(positive, negative, uniforms)
    if distances is None:
        raise LosscopeError(
            f"tuples {tuples!r} were given without distances; they are chosen by distances (..., B, B)"
        )
    distances = distances.detach()
    positive, negative = positive.expand(distances.shape), negative.expand(distances.shape)
    if tuples == "hard":
        return _hard(positive, negative, distances, into)
    partner, exists = _listed(positive)
    if tuples == "semihard":
        other = _semihard(partner, negative, distances)
    else:
        if dimension is None:
            raise LosscopeError(
                "tuples 'distance_weighted' were given without a dimension; that of the embeddings is wanted"
            )
        other = _weighted(_uniforms_where(exists, generators), negative, distances, dimension)
    anchor = torch.arange(relation.rows, device=partner.device).unsqueeze(-1).expand(partner.shape)
    has_negative = exists & negative.any(-1, keepdim=True)
    parts = (part.flatten(-2) for part in (anchor, partner, other, exists, has_negative))
    return _chosen(into, relation.rows, *parts)


def _generators_message(given: int, wanted: int) -> str:
    return f"{given} generators were given for {wanted} members; one per member is wanted"


def _uniforms(lead: torch.Size, shape: tuple[int, ...], generators: Sequence[np.random.Generator]) -> Tensor:
    members = int(np.prod(lead))
    require(len(generators) == members, _generators_message(len(generators), members))
    drawn = np.stack([generator.random(shape) for generator in generators])
    return torch.from_numpy(drawn).view(*lead, *shape)


def _pick(mask: Tensor, uniform: Tensor) -> Tensor:
    """The column of a true cell of each row, uniformly; the number of columns where there is none."""
    upto = mask.cumsum(-1)
    chosen = (uniform.to(mask.device) * upto[..., -1]).floor()
    return (upto <= chosen.unsqueeze(-1)).sum(-1)


def _random_triplets(positive: Tensor, negative: Tensor, uniforms: Tensor) -> Triplets:
    rows = positive.shape[-1]
    anchor = torch.arange(rows, device=positive.device).expand(uniforms.shape[:-1])
    exists = (positive.any(-1) & negative.any(-1)).expand(anchor.shape)
    partner, other = (
        _pick(mask, uniform).clamp(0, rows - 1)
        for mask, uniform in zip((positive, negative), uniforms.unbind(-1), strict=True)
    )
    return Triplets(rows=rows, index=(anchor, partner, other), valid=exists)


def _random_pairs(positive: Tensor, negative: Tensor, uniforms: Tensor) -> Pairs:
    rows = positive.shape[-1]
    anchor = torch.arange(rows, device=positive.device).expand(uniforms.shape[:-1])
    has_positive, has_negative = positive.any(-1), negative.any(-1)
    coin = uniforms[..., 0].to(positive.device) < 0.5
    same = (coin & has_positive) | ~has_negative
    partner = _pick(torch.where(same.unsqueeze(-1), positive, negative), uniforms[..., 1])
    exists = (has_positive | has_negative).expand(anchor.shape)
    return Pairs(rows=rows, index=(anchor, partner.clamp_max(rows - 1)), same=same, valid=exists)


def _hard(positive: Tensor, negative: Tensor, distances: Tensor, into: Kind) -> Relation:
    rows = distances.shape[-1]
    farthest = torch.where(positive, distances, -torch.inf).argmax(-1)
    nearest = torch.where(negative, distances, torch.inf).argmin(-1)
    anchor = torch.arange(rows, device=distances.device).expand(farthest.shape)
    return _chosen(into, rows, anchor, farthest, nearest, positive.any(-1), negative.any(-1))


def _chosen(
    into: Kind,
    rows: int,
    anchor: Tensor,
    partner: Tensor,
    other: Tensor,
    has_positive: Tensor,
    has_negative: Tensor,
) -> Relation:
    """Triplets of the anchors, their positives and negatives, or the two pairs of each."""
    if into is Triplets:
        index = (anchor, partner.clamp(0, rows - 1), other.clamp(0, rows - 1))
        return Triplets(rows=rows, index=index, valid=has_positive & has_negative)
    columns = torch.cat((anchor, anchor), -1), torch.cat((partner, other), -1).clamp(0, rows - 1)
    same = torch.cat((torch.ones_like(has_positive), torch.zeros_like(has_negative)), -1)
    valid = torch.cat((has_positive, has_negative), -1)
    return Pairs(rows=rows, index=columns, same=same, valid=valid)


def _listed(positive: Tensor) -> tuple[Tensor, Tensor]:
    """Each anchor's positives in order, padded: columns and whether they exist, (..., B, K)."""
    rows = positive.shape[-1]
    anchor, column = positive.reshape(-1, rows).nonzero().unbind(-1)
    counts = positive.reshape(-1, rows).sum(-1)
    most = int(counts.max()) if counts.numel() else 0
    place = torch.arange(len(anchor), device=anchor.device) - (counts.cumsum(0) - counts)[anchor]
    columns = column.new_zeros((len(counts), most))
    columns[anchor, place] = column
    exists = torch.arange(most, device=anchor.device) < counts.unsqueeze(-1)
    shape = (*positive.shape[:-1], most)
    return columns.view(shape), exists.view(shape)


def _uniforms_where(exists: Tensor, generators: Sequence[np.random.Generator]) -> Tensor:
    """A uniform number for each cell that exists, as many drawn of a member as it has cells."""
    members = int(np.prod(exists.shape[:-2]))
    cells = exists.reshape(members, *exists.shape[-2:]).cpu().numpy()
    require(len(generators) == members, _generators_message(len(generators), members))
    drawn = np.zeros(cells.shape)
    for row, mask, generator in zip(drawn, cells, generators):
        row[mask] = generator.random(int(mask.sum()))
    return torch.from_numpy(drawn).to(exists.device).view(exists.shape)


def _semihard(partner: Tensor, negative: Tensor, distances: Tensor) -> Tensor:
    reach, order = torch.where(negative, distances, torch.inf).sort(-1)
    own = distances.gather(-1, partner)
    after = torch.searchsorted(reach, own, right=True)
    farthest = negative.sum(-1, keepdim=True) - 1
    return order.gather(-1, torch.minimum(after, farthest).clamp_min(0))


def _weighted(uniforms: Tensor, negative: Tensor, distances: Tensor, dimension: int) -> Tensor:
    d = distances.double().clamp(NEAREST_WEIGHTED, 2 - 1e-6)
    # The density of distances on the sphere: q(d) ∝ d^(n−2) (1 − d²/4)^((n−3)/2).
    inverse = (2 - dimension) * d.log() - 0.5 * (dimension - 3) * torch.log1p(-0.25 * d.square())
    near = negative & (distances < FARTHEST_WEIGHTED)
    allowed = torch.where(near.any(-1, keepdim=True), near, negative)
    inverse = torch.where(allowed, inverse, -torch.inf)
    highest = inverse.amax(-1, keepdim=True).clamp_min(-1e300)
    upto = (torch.exp(inverse - highest) * allowed).cumsum(-1)
    return torch.searchsorted(upto, uniforms * upto[..., -1:], right=True)


class Partners:
    """Random partners from the whole training set, as the protocol ``paper`` draws them.

    The members of each class are put side by side once, for many draws; a draw costs the same whatever the
    size of the set. Not valid is an anchor whose draw asked for a negative where there is one class only.

    Args:
        labels: (N,) integers, the whole set.

    >>> partners = Partners(np.array([0, 0, 1, 1]))
    >>> anchors, uniforms = np.array([0, 3]), np.array([[0.2, 0.9], [0.7, 0.0]])
    >>> [part.tolist() for part in partners.draw_pairs(anchors, uniforms)]
    [[1, 0], [True, False], [True, True]]
    >>> [part.tolist() for part in partners.draw_triplets(anchors, uniforms)]
    [[0, 3], [3, 0], [True, True]]
    """

    def __init__(self, labels: np.ndarray) -> None:
        labels = np.asarray(labels)
        self.order = np.argsort(labels, kind="stable")
        _, group, count = np.unique(labels, return_inverse=True, return_counts=True)
        self.start = (np.cumsum(count) - count)[group]
        self.count = count[group]

    def draw_pairs(
        self, anchors: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A partner of each anchor: with probability ½ a positive (maybe the anchor itself), else a negative.

        Args:
            anchors: any shape, positions in ``labels``.
            uniforms: anchors.shape + (2,), numbers in [0, 1).

        Returns:
            (partner, same, valid), each of the anchors' shape.
        """
        first, second = uniforms[..., 0], uniforms[..., 1]
        start, count = self.start[anchors], self.count[anchors]
        same = first < 0.5
        partner = np.where(same, self._positive(second, start, count), self._negative(second, start, count))
        return partner, same, same | (self.order.size > count)

    def draw_triplets(
        self, anchors: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A positive of each anchor (maybe the anchor itself) and a negative.

        Args:
            anchors, uniforms: as for ``draw_pairs``.

        Returns:
            (positive, negative, valid), each of the anchors' shape.
        """
        first, second = uniforms[..., 0], uniforms[..., 1]
        start, count = self.start[anchors], self.count[anchors]
        positive, negative = self._positive(first, start, count), self._negative(second, start, count)
        return positive, negative, self.order.size > count

    def _positive(self, uniform: np.ndarray, start: np.ndarray, count: np.ndarray) -> np.ndarray:
        return self.order[start + (uniform * count).astype(np.int64)]

    def _negative(self, uniform: np.ndarray, start: np.ndarray, count: np.ndarray) -> np.ndarray:
        place = (uniform * (self.order.size - count)).astype(np.int64)
        place += np.where(place >= start, count, 0)
        return self.order[np.minimum(place, self.order.size - 1)]
