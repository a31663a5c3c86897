"""The steps of ``blocks`` in torch, for devices other than the CPU; same arguments, same results."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.pairs.explicit import ACTIVE_DISTANCE


def contrastive(
    diagonal: int,
    matrix: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: Tensor,
    pulls: Tensor,
    pushes: Tensor,
    pulling: Tensor,
    pushing: Tensor,
    close: bool,
) -> None:
    """See ``blocks.contrastive``."""
    pulls.copy_((matrix * positive).sum(-1))
    distance = matrix.sqrt_()
    pulling.copy_(((distance > ACTIVE_DISTANCE) & positive).sum(-1))
    gap = (margin.unsqueeze(-1) - distance).clamp_min_(0) * negative
    pushes.copy_(gap.square().sum(-1))
    pushing.copy_((gap > 0).sum(-1))
    gap /= torch.where(distance == 0, torch.inf, distance)
    torch.sub(positive.to(gap.dtype), gap, out=matrix)


def triplets(
    diagonal: int,
    reach: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: Tensor,
    value: Tensor,
    active: Tensor,
    by_length: bool,
    close: bool,
) -> None:
    """See ``blocks.triplets``."""
    limit = torch.where(positive, reach + margin.unsqueeze(-1), torch.inf)
    x = torch.where(negative, reach, torch.finfo(reach.dtype).max)
    x = torch.where(positive, limit, x)
    count = positive.sum(-1, keepdim=True)
    limit = limit.sort(-1).values[:, : max(1, int(count.max()))].contiguous()
    rank = torch.searchsorted(limit, x, right=True)
    number = torch.zeros((len(rank), limit.shape[-1] + 1), dtype=torch.int64, device=rank.device)
    number = number.scatter_add_(1, rank, negative.long()).cumsum(-1)
    violated = number.gather(1, (rank - 1).clamp_min(0)) * positive
    slope = torch.where(positive, violated, rank - count).to(torch.float64)
    active.copy_(violated.sum(-1))
    value.copy_(torch.where(slope == 0, 0, slope * x).sum(-1))
    if by_length:
        reach.copy_(slope / torch.where(reach == 0, torch.inf, reach))
    else:
        reach.copy_(slope)
