"""The kernels' inner loops on a block of anchors in torch, for devices other than the CPU.

The functions are those of ``backend.Backend``, with the results of ``numpy_backend``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.pairs.kernels.aligned import ACTIVE_DISTANCE

CELLS = 1 << 24
"""More than on the CPU: each call costs a launch, and no cache has to hold the scratch of a block."""


def array(tensor: Tensor) -> Tensor:
    """See ``Backend.array``."""
    return tensor.detach()


def contrastive(
    start: int,
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
    """See ``Backend.contrastive``."""
    pulls.copy_((matrix * positive).sum(-1))
    distance = matrix.sqrt_()
    pulling.copy_(((distance > ACTIVE_DISTANCE) & positive).sum(-1))
    gap = (margin.unsqueeze(-1) - distance).clamp_min_(0) * negative
    pushes.copy_(gap.square().sum(-1))
    pushing.copy_((gap > 0).sum(-1))
    gap /= torch.where(distance == 0, torch.inf, distance)
    torch.sub(positive.to(gap.dtype), gap, out=matrix)


def triplets(
    start: int,
    reach: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: Tensor,
    value: Tensor,
    active: Tensor,
    by_length: bool,
    close: bool,
) -> None:
    """See ``Backend.triplets``."""
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


def positive_against_negatives(
    start: int, matrix: Tensor, positive: Tensor, negative: Tensor, value: Tensor
) -> None:
    """See ``Backend.positive_against_negatives``."""
    own = matrix.clone()
    matrix.masked_fill_(~negative, -torch.inf)
    level = matrix.logsumexp(-1, keepdim=True)
    behind = level - own
    term = behind.clamp_min(0) + torch.log1p(torch.exp(-behind.abs()))
    value.copy_(torch.where(positive, term, 0.0).sum(-1))
    share = torch.where(positive, torch.sigmoid(behind), 0.0)
    matrix.sub_(torch.where(level.isneginf(), 0.0, level)).exp_()
    matrix.mul_(share.sum(-1, keepdim=True)).sub_(share)


def own_against_all(start: int, matrix: Tensor, value: Tensor, anchors: int) -> None:
    """See ``Backend.own_against_all``."""
    rows = torch.arange(len(matrix), device=matrix.device)
    positive = torch.zeros_like(matrix, dtype=torch.bool)
    positive[rows, (start + rows) % anchors] = True
    positive_against_negatives(start, matrix, positive, ~positive, value)


def positives_among_all(
    start: int, matrix: Tensor, positive: Tensor, negative: Tensor, value: Tensor
) -> None:
    """See ``Backend.positives_among_all``."""
    count = positive.sum(-1, keepdim=True)
    some = count > 0
    each = torch.where(some, 1 / count, 0.0).to(matrix.dtype)
    mean = torch.where(positive, matrix, 0.0).sum(-1, keepdim=True) * each
    matrix.masked_fill_(~(positive | negative), -torch.inf)
    level = matrix.logsumexp(-1, keepdim=True)
    value.copy_(torch.where(some, level - mean, 0.0).squeeze(-1))
    matrix.sub_(torch.where(level.isneginf(), 0.0, level)).exp_()
    matrix.mul_(some).sub_(positive * each)


def multi_similarity(
    start: int,
    matrix: Tensor,
    positive: Tensor,
    negative: Tensor,
    alpha: Tensor,
    beta: Tensor,
    base: Tensor,
    value: Tensor,
) -> None:
    """See ``Backend.multi_similarity``."""
    above = matrix - base.unsqueeze(-1)
    near = torch.where(positive, -alpha.unsqueeze(-1) * above, -torch.inf)
    far = torch.where(negative, beta.unsqueeze(-1) * above, -torch.inf)
    pulled, pushed = _softplus(near.logsumexp(-1)), _softplus(far.logsumexp(-1))
    value.copy_(pulled / alpha + pushed / beta)
    near.sub_(pulled.unsqueeze(-1)).exp_()
    torch.sub(far.sub_(pushed.unsqueeze(-1)).exp_(), near, out=matrix)


def circle(
    start: int,
    matrix: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: Tensor,
    scale: Tensor,
    value: Tensor,
) -> None:
    """See ``Backend.circle``."""
    slack, factor = margin.unsqueeze(-1), scale.unsqueeze(-1)
    pull, push = factor * (1 + slack - matrix).clamp_min_(0), factor * (matrix + slack).clamp_min_(0)
    near = torch.where(positive, pull * (1 - slack - matrix), -torch.inf)
    far = torch.where(negative, push * (matrix - slack), -torch.inf)
    below, above = near.logsumexp(-1, keepdim=True), far.logsumexp(-1, keepdim=True)
    behind = below + above
    value.copy_(_softplus(behind).squeeze(-1))
    for part, level, weight in ((near, below, pull), (far, above, push)):
        part.sub_(torch.where(level.isneginf(), 0.0, level)).exp_().mul_(weight)
    torch.sub(far, near, out=matrix)
    matrix.mul_(torch.sigmoid(behind))


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)); 0 at −inf."""
    return torch.logaddexp(x, torch.zeros_like(x))
