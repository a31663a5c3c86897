"""How greedily a loss spends its gradient: over the rows of a batch, over pairs, over epochs.

Three families: ``step_summary`` says how evenly the gradient falls on the rows of a step,
``shares`` how much of the force on pairs goes to pairs that no longer need it or that need it most, and the
``epochs_to_...`` functions read how fast a curve decays. A quantity that does not exist is NaN in a tensor
and None as an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Curve = Sequence[float] | np.ndarray

ACTIVE = 1e-6
"""A row is active if its gradient is above this share of the step's largest."""


def step_summary(row_norms: Tensor) -> dict[str, Tensor]:
    """How evenly the gradient of a step falls on the rows of its batch.

    Args:
        row_norms: (..., B) norms ‖∂L/∂z_i‖ of every row, partners included; any leading shape, such as
            the steps of an epoch by the members of a population.

    Returns:
        float64 tensors (...,): ``active_samples``, share of rows above 1e-6 of the largest norm;
        ``effective_active``, (Σg)² / (B Σg²), 1 when all rows are equal, 1/B when one has it all;
        ``gradient_gini``, Gini coefficient, 0 when all rows are equal, (B-1)/B when one has it all;
        ``gradient_top_tenth``, share of Σg on the ⌈B/10⌉ rows with most. At a step without any gradient
        the first two are 0 and the last two NaN; where a norm is not finite, all are NaN.

    >>> {name: round(float(v), 3) for name, v in step_summary(torch.tensor([0.0, 0.0, 1.0, 1.0])).items()}
    {'active_samples': 0.5, 'effective_active': 0.5, 'gradient_gini': 0.5, 'gradient_top_tenth': 0.5}
    """
    rows = row_norms.shape[-1]
    # numpy sorts float32 in vectors, torch float64 one by one; the values are the same.
    ascending = np.sort(row_norms.detach().cpu().numpy(), axis=-1)
    norms = torch.from_numpy(ascending).to(row_norms.device, torch.float64)
    largest = norms[..., -1]
    # Divided by the largest, so that squares of tiny norms do not vanish.
    relative = norms / torch.where(largest > 0, largest, 1.0)[..., None]
    total = relative.sum(-1)
    none = largest == 0
    broken = ~torch.isfinite(norms.sum(-1))
    total_or_nan = torch.where(none, torch.nan, total)
    # Gini of ascending x: Σ (2i - n - 1) x_i / (n Σ x), i = 1..n
    weights = 2.0 * torch.arange(1, rows + 1, dtype=torch.float64, device=norms.device) - rows - 1
    top = relative[..., rows - tenth(rows) :].sum(-1)
    squares = (relative * relative).sum(-1)
    summary = {
        "active_samples": (relative > ACTIVE).to(torch.float64).mean(-1),
        "effective_active": total**2 / torch.where(none, 1.0, rows * squares),
        "gradient_gini": (weights * relative).sum(-1) / (rows * total_or_nan),
        "gradient_top_tenth": top / total_or_nan,
    }
    return {name: torch.where(broken, torch.nan, value) for name, value in summary.items()}


def tenth(count: int) -> int:
    """The size of the tenth of ``count`` items, rounded up: 1 of 10, 2 of 11.

    >>> [tenth(n) for n in (1, 10, 11, 256)]
    [1, 1, 2, 26]
    """
    return -(-count // 10)


def shares(force: Tensor, distances: Tensor, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
    """The shares of the force W = |∂L/∂d| that go to pairs in need of none, and to those in most need.

    Greedy is force on a positive nearer than all of its anchor's negatives, or on a negative farther than
    all of its anchor's positives: pairs that satisfy the ranking already (an anchor without the other kind
    has nothing to rank against, so all its pairs do). Hard is force on the farthest tenth of all positives
    and the nearest tenth of all negatives (⌈n/10⌉ of n; pairs tied at the border count by the share of the
    tie that falls inside, so that no order among equals matters).

    Args:
        force: (..., B, B) force on the pair (anchor, other), up to a constant factor.
        distances: (..., B, B) Euclidean distances.
        positive, negative: (..., B, B) or (B, B) masks of the pairs of each kind.

    Returns:
        float64 tensors (...,): ``greedy_share`` = greedy W / all W; ``greedy_share_positive`` = greedy W
        on positives / W on positives; ``greedy_share_negative`` likewise; ``hard_share`` = hard W / all W.
        NaN where the denominator is 0.

    >>> d = torch.tensor([[0.0, 0.2, 0.9], [0.2, 0.0, 0.8], [0.9, 0.8, 0.0]])
    >>> positive = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    >>> negative = ~(positive | torch.eye(3, dtype=torch.bool))
    >>> found = shares(torch.ones(3, 3), d, positive, negative)
    >>> round(float(found["greedy_share"]), 3), round(float(found["hard_share"]), 3)
    (1.0, 0.333)
    """
    return shares_of(force, distances, pairs_of(positive, negative, distances.shape[:-2]))


SHARES = ("greedy_share", "greedy_share_positive", "greedy_share_negative", "hard_share")


@dataclass(frozen=True)
class Pairs:
    """The pairs of one member's masks (B, B), prepared for ``shares_of`` to use again and again.

    ``positives`` are their flat positions, ``anchors`` the row of each and ``first`` the places where a row
    begins; ``no_negatives`` are the flat positions of everything else than the ``negatives`` negatives, which
    are most pairs and stay where they are.
    """

    positives: np.ndarray
    anchors: np.ndarray
    first: np.ndarray
    no_negatives: np.ndarray
    negatives: int


def pairs_of(positive: Tensor, negative: Tensor, lead: torch.Size) -> list[Pairs]:
    """The pairs of masks (B, B) or (..., B, B), one entry for each of the ``lead`` members."""
    rows = positive.shape[-1]
    masks = torch.broadcast_tensors(positive, negative)
    kinds = (mask.detach().cpu().reshape(-1, rows * rows).numpy() for mask in masks)
    found = []
    for pulled, pushed in zip(*kinds, strict=True):
        positives, no_negatives = np.flatnonzero(pulled), np.flatnonzero(~pushed)
        anchors = positives // rows
        first = np.flatnonzero(np.diff(anchors, prepend=-1))
        found.append(Pairs(positives, anchors, first, no_negatives, rows * rows - len(no_negatives)))
    return found * lead.numel() if len(found) == 1 else found


def shares_of(force: Tensor, distances: Tensor, pairs: Sequence[Pairs]) -> dict[str, Tensor]:
    """``shares``, (...,), of pairs prepared by ``pairs_of``."""
    lead, rows = distances.shape[:-2], distances.shape[-1]
    members = (
        part.detach().cpu().reshape(-1, rows, rows).numpy()
        for part in (force.abs().expand(distances.shape), distances)
    )
    found = np.stack([_member_shares(*member) for member in zip(*members, pairs, strict=True)], axis=-1)
    values = torch.from_numpy(found.reshape(len(SHARES), *lead)).to(distances.device)
    return dict(zip(SHARES, values.unbind(0), strict=True))


def _member_shares(force: np.ndarray, distances: np.ndarray, pairs: Pairs) -> np.ndarray:
    pull, to_positives = force.take(pairs.positives), distances.take(pairs.positives)
    push, to_negatives = force.copy(), distances.copy()
    push.reshape(-1)[pairs.no_negatives] = 0
    to_negatives.reshape(-1)[pairs.no_negatives] = np.inf
    nearest, farthest = to_negatives.min(1), np.full(len(force), -np.inf, distances.dtype)
    if len(pairs.first):
        farthest[pairs.anchors[pairs.first]] = np.maximum.reduceat(to_positives, pairs.first)
    greedy_pull = _total(pull * (to_positives < nearest[pairs.anchors]))
    greedy_push = _total(push * (distances > farthest[:, None]))
    hard = _least_of(pull, -to_positives, tenth(len(pull)))
    hard += _least_of(push.reshape(-1), to_negatives.reshape(-1), tenth(pairs.negatives))
    on_positives, on_negatives = _total(pull), _total(push)
    both = on_positives + on_negatives
    parts = np.array([greedy_pull + greedy_push, greedy_pull, greedy_push, hard])
    wholes = np.array([both, on_positives, on_negatives, both])
    return np.divide(parts, wholes, out=np.full(len(SHARES), np.nan), where=wholes > 0)


def _total(weight: np.ndarray) -> float:
    return float(weight.sum(dtype=np.float64))


def _least_of(weight: np.ndarray, key: np.ndarray, size: int) -> float:
    """The weight on the ``size`` items with the smallest keys, ties at the border pro rata."""
    if not size:
        return 0.0
    border = _smallest(key, size)
    inside, tied = key < border, np.flatnonzero(key == border)
    share = (size - int(np.count_nonzero(inside))) / max(1, len(tied))
    return _total(weight * inside) + _total(weight[tied]) * share


def _smallest(key: np.ndarray, size: int) -> Any:
    """The ``size``-th smallest key. A sample brackets it, so that few keys are left to partition."""
    if len(key) > 4096:
        sample = np.sort(key[::16])
        place, slack = size // 16, len(sample) // 32
        low, high = sample[max(0, place - slack)], sample[min(len(sample) - 1, place + slack)]
        below = int(np.count_nonzero(key < low))
        near = key[(key >= low) & (key <= high)]
        if below < size <= below + len(near):
            return np.partition(near, size - below - 1)[size - below - 1]
    return np.partition(key, size - 1)[size - 1]


def _first(reached: np.ndarray) -> int | None:
    """The position of the first True, counted from 1."""
    hits = np.flatnonzero(reached)
    return int(hits[0]) + 1 if len(hits) else None


def _decayed_to(curve: Curve, share: float) -> int | None:
    losses = np.asarray(curve, dtype=np.float64)
    if not len(losses) or not (losses[0] >= 0 and math.isfinite(losses[0])):
        return None
    return _first(losses <= share * losses[0])


def epochs_to_90(curve: Curve) -> int | None:
    """First epoch whose mean loss is at most 0.1 of the first epoch's, counted from 1; None if none is.

    None too where the first loss is negative or not finite. Not comparable for a loss with a positive
    floor: see ``epochs_to_90_excess``.

    >>> epochs_to_90([1.0, 0.5, 0.1, 0.01]), epochs_to_90([1.0, 0.5])
    (3, None)
    """
    return _decayed_to(curve, 0.1)


def half_life(curve: Curve) -> int | None:
    """First epoch whose mean loss is at most half of the first epoch's, counted from 1; None if none is.

    >>> half_life([1.0, 0.6, 0.5])
    3
    """
    return _decayed_to(curve, 0.5)


def epochs_to_90_excess(curve: Curve) -> int | None:
    """First epoch with (L_t - min L) / (L_1 - min L) ≤ 0.1, counted from 1; None if the loss never falls.

    For losses with a positive floor. It is always reached, as the minimum itself reaches it, and depends on
    how long the run went on.

    >>> epochs_to_90_excess([2.0, 1.5, 1.05, 1.0]), epochs_to_90_excess([1.0, 1.0])
    (3, None)
    """
    losses = np.asarray(curve, dtype=np.float64)
    if not len(losses) or not np.isfinite(losses).any():
        return None
    floor = np.nanmin(losses)
    fall = losses[0] - floor
    if not (fall > 0 and math.isfinite(fall)):
        return None
    return _first(losses - floor <= 0.1 * fall)


def epochs_to_90_quality(quality: Curve) -> int | None:
    """First epoch at 90 % of the run's own best gain over epoch 0; None if that gain is below 0.01.

    Args:
        quality: (epochs + 1,) validation MAP@R; the first entry is epoch 0, before any training.

    >>> epochs_to_90_quality([0.2, 0.5, 0.75, 0.8, 0.79]), epochs_to_90_quality([0.2, 0.205])
    (2, None)
    """
    values = np.asarray(quality, dtype=np.float64)
    if not len(values) or not np.isfinite(values[0]):
        return None
    gain = np.nanmax(values) - values[0]
    if gain < 0.01:
        return None
    return _first(values[1:] - values[0] >= 0.9 * gain)
