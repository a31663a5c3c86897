"""How greedily a loss spends its gradient: over the rows of a batch, over pairs, over epochs.

Three families, DEFINITIONS 3: ``step_summary`` says how evenly the gradient falls on the rows of a step,
``shares`` how much of the force on pairs goes to pairs that no longer need it or that need it most, and the
``epochs_to_...`` functions read how fast a curve decays. A quantity that does not exist is NaN in a tensor
and None as an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    norms = row_norms.detach().to(torch.float64).sort(dim=-1).values
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
    lead, rows = distances.shape[:-2], distances.shape[-1]
    force = force.detach().abs().expand(distances.shape).reshape(-1, rows, rows)
    distances = distances.detach().reshape(-1, rows, rows)
    masks = [mask.expand(*lead, rows, rows).reshape(-1, rows, rows) for mask in (positive, negative)]
    members = [_member_shares(*member) for member in zip(force, distances, *masks, strict=True)]
    table = torch.stack(members, dim=-1).reshape(len(SHARES), *lead)
    return dict(zip(SHARES, table.unbind(0), strict=True))


SHARES = ("greedy_share", "greedy_share_positive", "greedy_share_negative", "hard_share")


def _member_shares(force: Tensor, distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    nearest_negative = torch.where(negative, distances, torch.inf).amin(1, keepdim=True)
    farthest_positive = torch.where(positive, distances, -torch.inf).amax(1, keepdim=True)
    on_positives, on_negatives = _total(force, positive), _total(force, negative)
    greedy_pull = _total(force, positive & (distances < nearest_negative))
    greedy_push = _total(force, negative & (distances > farthest_positive))
    hard = _extreme_tenth(force, -distances, positive) + _extreme_tenth(force, distances, negative)
    both = on_positives + on_negatives
    part = torch.stack([greedy_pull + greedy_push, greedy_pull, greedy_push, hard])
    whole = torch.stack([both, on_positives, on_negatives, both])
    return torch.where(whole > 0, part / whole, torch.nan)


def _total(weight: Tensor, mask: Tensor) -> Tensor:
    # Chosen, not multiplied: what a force holds outside the pairs does not matter.
    return torch.where(mask, weight, 0.0).sum(dtype=torch.float64)


def _extreme_tenth(weight: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    """The weight on the tenth of the masked items with the smallest keys, ties at the border pro rata."""
    if key.device.type == "cpu":
        chosen = mask.numpy()
        keys, weights = key.numpy()[chosen], weight.numpy()[chosen]
        if not len(keys):
            return torch.zeros((), dtype=torch.float64)
        size = tenth(len(keys))
        # numpy's selection is several times quicker than kthvalue.
        border = np.partition(keys, size - 1)[size - 1]
        inside, tied = keys < border, keys == border
        share = (size - int(np.count_nonzero(inside))) / max(1, int(np.count_nonzero(tied)))
        total = weights[inside].sum(dtype=np.float64) + weights[tied].sum(dtype=np.float64) * share
        return torch.as_tensor(total, dtype=torch.float64)
    keys, weights = key[mask], weight[mask].to(torch.float64)
    if not len(keys):
        return weights.new_zeros(())
    size = tenth(len(keys))
    edge = keys.kthvalue(size).values
    within, tie = keys < edge, keys == edge
    return (weights * within).sum() + (weights * tie).sum() * ((size - within.sum()) / tie.sum().clamp_min(1))


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

    None too where the first loss is negative or not finite. Not comparable for a loss with a positive floor: see
    ``epochs_to_90_excess``.

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
