"""From readings to the values of steps. A call keeps a few small tensors; arithmetic waits and is shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from losscope.core.registry import entry
from losscope.measures import evaluate, greediness
from losscope.measures.neighbours import unit
from losscope.pairs import pair_distances
from losscope.probe.inputs import Compared, Given
from losscope.probe.thresholds import NEAR

GEOMETRY = ("intra_variance", "inter_distance", "intra_inter_ratio", "effective_rank")


@dataclass
class Reading:
    """What a step gives to be read; the gradient comes later, with ``backward``.

    Attributes:
        loss: 0-dim, as it was returned.
        lengths: norms (rows,) of each set of embeddings.
        gradients: norms (rows,) of the gradient of each; None until it arrives.
        factor: what the loss was multiplied with on its way to ``backward``; None until it arrives.
        labels: (rows,), where there are labels for the rows.
        counts: 0-dim numbers by name, of tuples and terms.
        looked: what a look at the batch gave, by name.
    """

    step: int
    epoch: int | None
    loss: Tensor
    lengths: list[Tensor]
    gradients: list[Tensor | None]
    labels: Tensor | None
    counts: Mapping[str, Tensor | int]
    looked: Mapping[str, float]
    factor: Tensor | None = None
    release: list[Callable[[], None]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every gradient has come."""
        return all(norms is not None for norms in self.gradients)


def counts_of(given: Given) -> dict[str, Tensor | int]:
    """Numbers of tuples and terms of a call; ``active`` only of a loss that can have inactive terms."""
    found: dict[str, Tensor | int] = {}
    if given.tuples is not None:
        found["tuples"] = given.tuples
    if given.compared is not None:
        active, valid = given.compared.terms.totals()
        found["valid"] = valid
        if active is not None:
            found["active"] = active
    return found


def values_of(readings: Sequence[Reading]) -> dict[int, dict[str, float]]:
    """The values of steps, by step. Steps with equally many rows share their arithmetic."""
    values: dict[int, dict[str, float]] = {reading.step: {} for reading in readings}
    losses = _numbers([reading.loss for reading in readings])
    for reading, loss in zip(readings, losses, strict=True):
        own = values[reading.step]
        own["loss"] = loss
        own |= {name: float(count) for name, count in reading.counts.items()}
        if own.get("valid") and "active" in own:
            own["active_ratio"] = own["active"] / own["valid"]
        own |= reading.looked
        own |= _partners(reading.labels)
    for group in _by_rows(readings):
        for reading, lengths in zip(group, _stacked(_joined(read.lengths) for read in group), strict=True):
            values[reading.step] |= _lengths(lengths)
    touched = [reading for reading in readings if reading.gradients and reading.complete]
    factors = _numbers([_given(reading.factor, reading.loss) for reading in touched])
    factor_of = {reading.step: factor for reading, factor in zip(touched, factors, strict=True)}
    for group in _by_rows(touched):
        norms = _stacked(_joined([norm for norm in read.gradients if norm is not None]) for read in group)
        scale = np.abs([factor_of[reading.step] for reading in group])
        scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
        norms = norms / scale[:, None]
        summary = greediness.step_summary(torch.from_numpy(norms))
        for place, reading in enumerate(group):
            own = values[reading.step]
            own["loss_factor"] = factor_of[reading.step]
            own |= _gradients(norms[place])
            own |= {name: float(value[place]) for name, value in summary.items()}
            own |= _parts("embedding_gradient_norm", norms[place], reading.lengths)
    return values


def _given(factor: Tensor | None, loss: Tensor) -> Tensor:
    return torch.ones_like(loss) if factor is None else factor


def _numbers(values: Sequence[Tensor]) -> list[float]:
    return [] if not values else torch.stack([value.reshape(()).double() for value in values]).cpu().tolist()


def _by_rows(readings: Iterable[Reading]) -> list[list[Reading]]:
    """The readings that have embeddings, those with equally many rows together."""
    groups: dict[int, list[Reading]] = defaultdict(list)
    for reading in readings:
        rows = sum(map(len, reading.lengths))
        if rows:
            groups[rows].append(reading)
    return list(groups.values())


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0].double() if len(parts) == 1 else torch.cat([part.double() for part in parts])


def _stacked(parts: Iterable[Tensor]) -> np.ndarray:
    return torch.stack(list(parts)).cpu().numpy()


def _lengths(lengths: np.ndarray) -> dict[str, float]:
    finite = np.isfinite(lengths)
    broken = int((~finite).sum())
    found = {"rows": float(len(lengths)), **({"embeddings_not_finite": float(broken)} if broken else {})}
    if broken:
        return found
    return found | {
        "embedding_norm": float(lengths.mean()),
        "embedding_norm_min": float(lengths.min()),
        "embedding_norm_max": float(lengths.max()),
    }


def _gradients(norms: np.ndarray) -> dict[str, float]:
    broken = int((~np.isfinite(norms)).sum())
    return {
        "embedding_gradient_norm": float(np.linalg.norm(norms)),
        "row_gradient_norm": float(norms.mean()),
        "row_gradient_norm_max": float(norms.max()),
        **({"gradients_not_finite": float(broken)} if broken else {}),
    }


def _parts(name: str, values: np.ndarray, like: Sequence[Tensor]) -> dict[str, float]:
    """Of several sets of embeddings, the norm of each: ``name_1``, ``name_2``, …"""
    if len(like) < 2:
        return {}
    pieces = np.split(values, np.cumsum([len(part) for part in like])[:-1])
    return {f"{name}_{place}": float(np.linalg.norm(piece)) for place, piece in enumerate(pieces, 1)}


def _partners(labels: Tensor | None) -> dict[str, float]:
    """Shares of the rows that have a positive, and a negative, in their batch."""
    if labels is None or not len(labels):
        return {}
    _, place, sizes = np.unique(labels.cpu().numpy(), return_inverse=True, return_counts=True)
    own = sizes[place]
    return {
        "rows_with_positive": float((own > 1).mean()),
        "rows_with_negative": float((own < len(own)).mean()),
    }


def look(given: Given) -> dict[str, float]:
    """A look at the batch: how it lies, and which pairs the loss pulls and pushes.

    ``spread`` is the mean squared distance of the unit rows to their mean, and ``directions`` the
    participation ratio of their covariance: 1 on a line, C - 1 for C classes equally far apart. Several sets
    of embeddings are looked at together; where they differ in their dimension nothing is said.
    """
    parts = [part.detach() for part in given.embeddings]
    if not parts or any(part.shape[1] != parts[0].shape[1] for part in parts):
        return {}
    rows = torch.cat([part.float() if part.element_size() < 4 else part for part in parts])
    if len(rows) < 2 or not torch.isfinite(rows).all():
        return {}
    # ‖z - mean‖² averaged over unit rows; by differences, since 1 - ‖mean‖² rounds near a collapse.
    rows_unit = unit(rows)
    centred = rows_unit - rows_unit.mean(0)
    found = {
        "spread": float(centred.square().sum(1).mean()),
        "directions": _directions(centred),
        "duplicate_rows": _repeated(rows),
    }
    if given.labels is not None:
        found["classes"] = float(len(torch.unique(given.labels)))
        found["merged_pairs"] = _merged(rows, rows_unit, given.labels)
    names = GEOMETRY if given.labels is not None else GEOMETRY[-1:]
    labels = torch.zeros(len(rows), dtype=torch.int64) if given.labels is None else given.labels
    values, _ = evaluate(rows, labels, names=names, background="class")
    found |= {name: float(values[name]) for name in names}
    return {name: value for name, value in found.items() if value == value}


def _directions(centred: Tensor) -> float:
    """(Σλ)² / Σλ² of the covariance's eigenvalues; NaN where all rows are equal."""
    # Of the smaller of the two products, which have the same eigenvalues.
    product = centred.T @ centred if centred.shape[0] > centred.shape[1] else centred @ centred.T
    return float(product.diagonal().sum().square() / product.square().sum())


def _merged(rows: Tensor, rows_unit: Tensor, labels: Tensor) -> float:
    """The share of the pairs of different classes that are nearer than ``NEAR``, normalised or not.

    Rows as they are given are measured in their mean length: a loss may tell rows by their lengths alone.
    """
    near = torch.ones(len(rows), len(rows), dtype=torch.bool, device=rows.device)
    for own, scale in ((rows_unit, 1.0), (rows, float(torch.linalg.vector_norm(rows, dim=1).mean()))):
        # One product is exact enough for NEAR, not for 0.
        norms = own.square().sum(1)
        near &= norms[:, None] + norms - 2 * own @ own.T <= (NEAR * scale) ** 2
    other = labels[:, None] != labels
    return float((near & other).sum() / other.sum())


def _repeated(rows: Tensor) -> float:
    content = np.ascontiguousarray(rows.cpu().numpy())
    return 1 - len({row.tobytes() for row in content}) / len(content)


def shares(
    loss: str, hyperparameters: Mapping[str, object], reduction: str, compared: Compared
) -> dict[str, float]:
    """The greedy and hard shares of a loss of ours in a call; none where the loss has no force on pairs."""
    force = entry("loss", loss).force()
    if force is None or compared.embeddings.ndim != 2 or not len(compared.embeddings):
        return {}
    with torch.no_grad():
        distances = pair_distances(compared.embeddings)
        weight = force(
            distances,
            compared.relation,
            embeddings=compared.embeddings,
            reduction=reduction,
            **hyperparameters,
        )
        found = greediness.shares(weight, distances, *compared.relation.masks())
    return {name: float(value) for name, value in found.items() if float(value) == float(value)}
