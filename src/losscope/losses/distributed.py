"""A loss over the rows of all processes of a training: what is gathered, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn

from losscope.core.errors import LosscopeError, require
from losscope.losses.calls import class_numbers
from losscope.losses.drop_in import LossModule
from losscope.pairs import widened

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that embeddings may have, in the order of the numbers by which processes tell each other theirs."""


class Distributed(nn.Module):
    """A loss whose pairs and triplets span the rows of all processes of a training.

    Each process calls it with its own rows, as many as it has; none is allowed. Embeddings and labels of all
    processes are gathered, and each process has the loss of the whole batch. Where no process group was
    started, or of one process, it is the loss itself, so that a script is the same on one device and on many.

    **No factor is needed with DistributedDataParallel**, which takes the *mean* of the gradients over the W
    processes. Let L be the loss of the whole batch and J_r the derivative of the rows of process r by the
    parameters θ of the network. One process with the whole batch has ∂L/∂θ = Σ_r J_rᵀ ∂L/∂z_r. Process r
    knows only its own J_r. It is given W · ∂L/∂z_r, so that the mean over processes,
    (1/W) Σ_r J_rᵀ (W · ∂L/∂z_r), is that sum. W · ∂L/∂z_r is also what a gather gives whose backward pass
    sums over the processes, since each of them has the same L; so nothing has to be sent in the backward
    pass. The loss's own parameters φ, such as class vectors, get ∂L/∂φ whole on each process, whose mean is
    itself: they would be wrong by W if the loss were multiplied. The value is the whole batch's, once.
    Whoever sums gradients over processes in place of the mean divides the loss by W.

    Class vectors have to be the same on all processes. They begin so, and get the same gradient; give the
    module to DistributedDataParallel as well to hold them together on devices that round differently.

    Names of classes are numbered alike on all processes. A miner's row numbers are of one process's rows and
    are refused; ``gather`` gives the rows on which to call a miner. Only ``torch.distributed.all_gather`` is
    used, which is neither private nor deprecated. Tested with gloo on a CPU, with 2, 3 and 4 processes; NCCL
    goes the same way and was not tested, for want of two GPUs. Under ``torch.compile`` the graph breaks here.

    Args:
        loss: a loss of ``losscope.loss``, or any callable of (embeddings, labels) that gives a scalar.
        group: the processes that share a batch; all of them otherwise.

    Raises:
        LosscopeError: a loss that cannot be called.

    >>> import losscope
    >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> everywhere = losscope.Distributed(losscope.loss("triplet(margin=0.5)"))
    >>> round(everywhere(embeddings, [0, 1, 1]).item(), 3)
    0.381
    """

    def __init__(self, loss: Callable[..., Tensor], group: ProcessGroup | None = None) -> None:
        super().__init__()
        require(
            callable(loss),
            f"{loss!r} was given; a loss is wanted, such as losscope.Distributed(losscope.loss('triplet'))",
        )
        self.loss, self.group = loss, group
        _leave_uncompiled()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        _leave_uncompiled()

    def forward(
        self,
        embeddings: Tensor,
        labels: Any = None,
        indices_tuple: Any = None,
        ref_emb: Tensor | None = None,
        ref_labels: Any = None,
    ) -> Tensor:
        """The loss of the rows of all processes, the same scalar on each; for any loss, in float32 or wider.

        Args:
            embeddings: (b, D), this process's rows, of any floating type; b may differ and may be 0.
            labels: (b,) integers in a tensor, an array or a list, or names of classes in a list.
            indices_tuple: not taken.
            ref_emb: (r, D), rows that are partners only; those of all processes are gathered too.
            ref_labels: as ``labels``, of the references.

        Raises:
            LosscopeError: a miner's tuples; labels that are not one integer or name per row; rows of another
                length or type than another process has. All processes raise if one has to.
        """
        require(
            indices_tuple is None,
            "indices_tuple was given: row numbers of this process's rows, and the loss has those of all "
            "processes; wanted: a miner called on the rows of losscope.losses.distributed.gather(embeddings, "
            "labels), and the loss itself with these and the miner's tuples",
        )
        own_rows = ref_emb is None or (ref_emb is embeddings and ref_labels is labels)
        numbered = self._numbered()
        together = _uncompiled[0]
        rows, known = together(embeddings, labels, self.group, numbered=numbered)
        if own_rows:
            return self.loss(rows, known)
        assert ref_emb is not None
        others, names = together(ref_emb, ref_labels, self.group, numbered=numbered)
        return self.loss(rows, known, ref_emb=others, ref_labels=names)

    def _numbered(self) -> str | None:
        """The loss's name, if its classes are numbered 0, 1, … by its own vectors."""
        loss = self.loss
        return loss.spec.name if isinstance(loss, LossModule) and loss.class_vectors is not None else None


def gather(
    embeddings: Tensor, labels: Any, group: ProcessGroup | None = None, *, numbered: str | None = None
) -> tuple[Tensor, Tensor]:
    """The rows and labels of all processes, in the order of the processes: (B, D) in float32 or wider, (B,).

    What is computed from them has to be the same on all processes: each gets the gradient of its own rows,
    times the number of processes, as ``Distributed`` says.

    Args:
        embeddings: (b, D), this process's rows; b may differ and may be 0.
        labels: (b,) integers or names of classes.
        group: the processes; all of them otherwise.
        numbered: the name of a loss whose class vectors are numbered, for which names of classes will not do.

    Raises:
        LosscopeError: as ``Distributed``.

    >>> rows, labels = gather(torch.ones(2, 3).bfloat16(), ["owl", "wren"])
    >>> rows.shape, rows.dtype, labels.shape
    (torch.Size([2, 3]), torch.float32, torch.Size([2]))
    """
    several = distributed.is_available() and distributed.is_initialized()
    world = distributed.get_world_size(group) if several else 1
    if world == 1:
        return widened(embeddings), _numbers(embeddings, labels, numbered)
    mistake, known = None, None
    try:
        known = _numbers(embeddings, labels, numbered)
    except LosscopeError as error:
        # Said when all have met: whoever left now would have the others wait for ever.
        mistake = error
    sizes = _agreed(embeddings, mistake, world, group)
    assert known is not None
    rank = distributed.get_rank(group)
    rows: Tensor = _Gathered.apply(embeddings, sizes, rank, group)
    return rows, torch.cat(_collected(known, sizes, group))


_uncompiled: list[Callable[..., tuple[Tensor, Tensor]]] = [gather]
"""``gather`` as a compiler leaves it alone, once there is a ``Distributed``: torch's compiler is slow
to import."""


def _leave_uncompiled() -> None:
    if _uncompiled[0] is gather:
        _uncompiled[0] = torch.compiler.disable(gather)


def _numbers(embeddings: Tensor, labels: Any, numbered: str | None) -> Tensor:
    """The labels as int64 (b,), the same number for the same name on all processes."""
    require(
        embeddings.dim() == 2 and embeddings.dtype in TYPES,
        f"embeddings have shape {tuple(embeddings.shape)} and type {_type(embeddings)}; (rows, size) of a "
        "floating type is wanted",
    )
    require(labels is not None, "no labels were given; one label per row is wanted")
    return class_numbers(embeddings, labels, numbered)


def _agreed(
    embeddings: Tensor, mistake: LosscopeError | None, world: int, group: ProcessGroup | None
) -> list[int]:
    """How many rows each process has, when all have rows of one length and type and none has a mistake."""
    mine = [0, 0, 0, 1]
    if mistake is None:
        mine = [*embeddings.shape, TYPES.index(embeddings.dtype), 0]
    sent = torch.tensor(mine, device=embeddings.device)
    found = [torch.empty_like(sent) for _ in range(world)]
    distributed.all_gather(found, sent, group=group)
    every = torch.stack(found).tolist()
    if mistake is not None:
        raise mistake
    for rank, (_, size, kind, failed) in enumerate(every):
        require(
            not failed, f"process {rank} was given what it cannot use, and says what; nothing was computed"
        )
        first = every[0]
        require(
            (size, kind) == (first[1], first[2]),
            f"process {rank} has rows of {size} numbers in {_type(TYPES[kind])}, process 0 of {first[1]} in "
            f"{_type(TYPES[first[2]])}; one length and one type are wanted",
        )
    return [rows for rows, *_ in every]


def _collected(mine: Tensor, sizes: Sequence[int], group: ProcessGroup | None) -> list[Tensor]:
    """The rows of each process. Collectives move equal shapes: shorter ones are filled up, and cut again."""
    most = max(sizes)
    padded = mine.new_zeros((most, *mine.shape[1:]))
    padded[: len(mine)] = mine
    found = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(found, padded, group=group)
    return [rows[:size] for rows, size in zip(found, sizes, strict=True)]


class _Gathered(torch.autograd.Function):
    """The rows of all processes; to its own rows each gives W times their gradient, see ``Distributed``."""

    @staticmethod
    def forward(
        ctx: Any, mine: Tensor, sizes: Sequence[int], rank: int, group: ProcessGroup | None
    ) -> Tensor:
        ctx.first, ctx.rows, ctx.world, ctx.type = sum(sizes[:rank]), len(mine), len(sizes), mine.dtype
        # Sent in the type that they have, and widened here, so that the gradient is rounded once, at the end.
        return widened(torch.cat(_collected(mine.detach(), sizes, group)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return (grad[ctx.first : ctx.first + ctx.rows] * ctx.world).to(ctx.type), None, None, None


def _type(kind: Any) -> str:
    return str(getattr(kind, "dtype", kind)).removeprefix("torch.")
