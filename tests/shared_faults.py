"""Losses that share rows between processes: correct ones, and the faults that are made in doing so."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

import losscope

MARGIN, SHARPNESS = 0.6, 5.0


def rank() -> int:
    return distributed.get_rank()


def world() -> int:
    return distributed.get_world_size()


def constant(mine: Tensor) -> list[Tensor]:
    """The rows of all processes, of which none has a gradient."""
    found = [torch.empty_like(mine) for _ in range(world())]
    distributed.all_gather(found, mine.detach().contiguous())
    return found


def numbers(labels: Tensor) -> Tensor:
    return torch.cat(constant(labels))


def own_kept(mine: Tensor) -> Tensor:
    """The rows of all processes, of which one's own have a gradient."""
    found = constant(mine)
    found[rank()] = mine
    return torch.cat(found)


class Gather(torch.autograd.Function):
    """The rows of all processes; the gradients of all come back, summed or averaged."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, mean: bool) -> Tensor:
        ctx.mean = mean
        return torch.cat(constant(mine))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        grad = grad.contiguous().clone()
        distributed.all_reduce(grad)
        if ctx.mean:
            grad /= world()
        return grad.chunk(world())[rank()], None


def pairs(z: Tensor, labels: Tensor) -> Tensor:
    """The mean over all pairs: near if they are of one class, apart if not."""
    z = nn.functional.normalize(z, dim=1)
    i, j = torch.triu_indices(len(z), len(z), 1)
    d = ((z[i] - z[j]).square().sum(1) + 1e-9).sqrt()
    same = (labels[i] == labels[j]).to(z.dtype)
    return (same * d + (1 - same) * (MARGIN - d).clamp_min(0)).mean()


def against(anchors: Tensor, own: Tensor, rows: Tensor, labels: Tensor, first: int) -> Tensor:
    """A softmax of each anchor over all other rows; its row stands at ``first`` and on."""
    cosines = nn.functional.normalize(anchors, dim=1) @ nn.functional.normalize(rows, dim=1).T * SHARPNESS
    here = first + torch.arange(len(anchors))
    itself = torch.arange(len(rows)) == here[:, None]
    same = (own[:, None] == labels) & ~itself
    logits = cosines.masked_fill(itself, -1e9).log_softmax(1)
    return -((logits * same).sum(1) / same.sum(1).clamp_min(1)).mean()


def own_rows(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(z, labels)


def own_softmax(z: Tensor, labels: Tensor) -> Tensor:
    return against(z, labels, z, labels, 0)


def own_sum(z: Tensor, labels: Tensor) -> Tensor:
    """Terms of rows alone, summed."""
    return (z[:, 0] * labels.cos() + z[:, 1].square()).sum()


# Correct ones.


def whole(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(Gather.apply(z, False), numbers(labels))


def own_anchors(z: Tensor, labels: Tensor) -> Tensor:
    return against(z, labels, Gather.apply(z, False), numbers(labels), rank() * len(z))


def wrapped(z: Tensor, labels: Tensor) -> Tensor:
    return losscope.Distributed(pairs)(z, labels)


def own_kept_times_processes(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(own_kept(z), numbers(labels)) * world()


def rows_alone(z: Tensor, labels: Tensor) -> Tensor:
    return own_sum(z, labels) / len(z)


# A factor.


def times_processes(z: Tensor, labels: Tensor) -> Tensor:
    return whole(z, labels) * world()


def wrapped_and_multiplied(z: Tensor, labels: Tensor) -> Tensor:
    return wrapped(z, labels) * world()


def summed_over_anchors(z: Tensor, labels: Tensor) -> Tensor:
    """The sum over processes in place of their mean."""
    value = own_anchors(z, labels)
    return value * world()


def only_own_in_the_graph(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(own_kept(z), numbers(labels))


def averaged_twice(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(Gather.apply(z, True), numbers(labels))


def divided(z: Tensor, labels: Tensor) -> Tensor:
    return own_anchors(z, labels) / world()


# False negatives and false positives.


def ids_of_a_process(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(Gather.apply(z, False), numbers(labels + 1000 * rank()))


def others_are_negatives(z: Tensor, labels: Tensor) -> Tensor:
    """A softmax whose positives are looked for among one's own rows only."""
    known = torch.full((len(z) * world(),), -1)
    known[rank() * len(z) : (rank() + 1) * len(z)] = labels
    return against(z, labels, Gather.apply(z, False), known, rank() * len(z))


def others_are_negatives_in_pairs(z: Tensor, labels: Tensor) -> Tensor:
    return own_kept_times_processes(z, labels * world() + rank())


def numbered_from_0(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(Gather.apply(z, False), numbers(labels.unique(return_inverse=True)[1]))


def numbered_from_0_by_anchors(z: Tensor, labels: Tensor) -> Tensor:
    return own_anchors(z, labels.unique(return_inverse=True)[1])


def numbered_in_a_dictionary(z: Tensor, labels: Tensor) -> Tensor:
    known: dict[int, int] = {}
    return wrapped(z, torch.tensor([known.setdefault(int(label), len(known)) for label in labels]))


def labels_left_behind(z: Tensor, labels: Tensor) -> Tensor:
    return pairs(Gather.apply(z, False), labels.repeat(world()))


def labels_left_behind_by_anchors(z: Tensor, labels: Tensor) -> Tensor:
    return against(z, labels, Gather.apply(z, False), labels.repeat(world()), rank() * len(z))


def offset_forgotten(z: Tensor, labels: Tensor) -> Tensor:
    """Each process takes the rows of process 0 for its own."""
    return against(z, labels, Gather.apply(z, False), labels.repeat(world()), 0)


# No gradient through the gather.


def others_are_constants(z: Tensor, labels: Tensor) -> Tensor:
    return against(z, labels, own_kept(z), numbers(labels), rank() * len(z))


def others_are_constants_times_processes(z: Tensor, labels: Tensor) -> Tensor:
    return others_are_constants(z, labels) * world()


def others_are_constants_in_pairs(z: Tensor, labels: Tensor) -> Tensor:
    """The mean over pairs of one's own rows and all rows, the others of which have no gradient."""
    rows, known = nn.functional.normalize(own_kept(z), dim=1), numbers(labels)
    mine = slice(rank() * len(z), (rank() + 1) * len(z))
    d = ((rows[mine, None] - rows).square().sum(2) + 1e-9).sqrt()
    same = labels[:, None] == known
    itself = torch.eye(len(rows), dtype=torch.bool)[mine]
    return torch.where(same, d, (MARGIN - d).clamp_min(0))[~itself].mean()


CORRECT = (whole, own_anchors, wrapped, own_kept_times_processes, rows_alone)
FAULTS = {
    "own rows": (own_rows, own_softmax),
    "N": (times_processes, wrapped_and_multiplied, summed_over_anchors),
    "1/N": (only_own_in_the_graph, averaged_twice, divided, own_sum),
    "classes by process": (ids_of_a_process, others_are_negatives, others_are_negatives_in_pairs),
    "labels collide": (numbered_from_0, numbered_from_0_by_anchors, numbered_in_a_dictionary),
    "labels unseen": (labels_left_behind, labels_left_behind_by_anchors, offset_forgotten),
    "gradient": (others_are_constants, others_are_constants_times_processes, others_are_constants_in_pairs),
}
