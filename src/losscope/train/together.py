"""One training on several devices: each process embeds its share of a batch, and the loss is of all rows.

The network works on each row alone, and of a large network that is nearly all the work. So a process embeds
its own rows only; the embeddings of all processes are gathered, and pairs and triplets span the whole batch.
All else is the same on every process: the batches, drawn from the same generators, the loss, the optimiser
and what is read of a step. Let L be the loss of the whole batch, z_r the embeddings of the rows of process r
and J_r their derivative by the parameters θ. One process has ∂L/∂θ = Σ_r J_rᵀ ∂L/∂z_r. Each process knows
∂L/∂z whole, passes its own rows' part back through J_r, and the sum over processes, taken once a step, is
that gradient. Class vectors get their gradient whole on every process; that of process 0 is taken.

Only ``all_gather``, ``all_reduce`` and ``broadcast`` of ``torch.distributed`` are used, which are public.
With gloo on a CPU this is tested; NCCL goes through the same calls and was not, for want of two GPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from losscope.core.errors import LosscopeError
from losscope.models.networks import Forward

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

TRIED = 8
"""Rows with which it is tried whether a network embeds each row alone."""
NEAR = 0.05
"""How far the embeddings of these may lie apart, of the largest number: above the rounding of bfloat16."""


class Lost(Exception):
    """Another process ended, or did not come to where all meet."""


class Team:
    """The processes of one training, seen from one of them; on a single device all of it does nothing.

    Args:
        rank: this process's number; process 0 keeps the records.
        size: how many there are.
        waiting: a group in which a process may wait for days, such as while another one measures. The default
            group, in which they meet at each step, has a limit of time.

    >>> team = Team()
    >>> team.size, team.leads, team.part(61)
    (1, True, slice(0, 61, None))
    """

    def __init__(self, rank: int = 0, size: int = 1, waiting: ProcessGroup | None = None):
        self.rank, self.size, self.waiting = rank, size, waiting

    @property
    def leads(self) -> bool:
        """Whether this process keeps the records."""
        return self.rank == 0

    def part(self, rows: int, rank: int | None = None) -> slice:
        """The rows of a batch of so many that a process embeds; none where there are too few.

        >>> [Team(rank, 3).part(61) for rank in range(3)]
        [slice(0, 20, None), slice(20, 40, None), slice(40, 61, None)]
        """
        rank = self.rank if rank is None else rank
        return slice(rows * rank // self.size, rows * (rank + 1) // self.size)

    def sharded(self, forward: Forward) -> Forward:
        """A network's forward of which each process does its rows and all processes have all embeddings."""
        if self.size == 1:
            return forward

        def everywhere(parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
            rows = inputs.shape[1]
            own = self.part(rows)
            # A process without rows embeds one and hands out none, so that its gradient is 0 and not missing.
            mine = inputs[:, own if own.start < own.stop else slice(1)].contiguous()
            # Of two modalities, a row of the inputs has an embedding in each half of what comes out.
            found = forward(parameters, mine).unflatten(1, (-1, mine.shape[1]))
            gathered: Tensor = _Gathered.apply(found[:, :, : own.stop - own.start], rows, self)
            return gathered.flatten(1, 2)

        return everywhere

    def add_up(self, gradient: Tensor, network: int) -> None:
        """Make the gradient (M, P) of the whole batch, in place, of what each process has of it.

        ``network``: numbers of the network, of which each process has a part; the loss's own follow.
        """
        if self.size == 1:
            return
        if not self.leads:
            gradient[:, network:].zero_()
        _call(distributed.all_reduce, gradient)

    def agree(self, numbers: Tensor) -> None:
        """Give all processes the numbers of process 0, from which unlike processors drift by rounding."""
        if self.size > 1:
            _call(distributed.broadcast, numbers, 0)

    def meet(self) -> None:
        """Wait until all are here, for as long as it takes."""
        if self.size > 1:
            _call(distributed.all_reduce, torch.zeros(1), group=self.waiting)

    def tell(self, content: bytes) -> None:
        """Hand bytes to all others, from process 0."""
        _call(distributed.broadcast, torch.tensor([len(content)]), 0, group=self.waiting)
        if content:
            sent = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            _call(distributed.broadcast, sent, 0, group=self.waiting)

    def hear(self) -> bytes:
        """The bytes that process 0 tells, waited for as long as it takes."""
        length = torch.zeros(1, dtype=torch.int64)
        _call(distributed.broadcast, length, 0, group=self.waiting)
        content = torch.empty(int(length), dtype=torch.uint8)
        if len(content):
            _call(distributed.broadcast, content, 0, group=self.waiting)
        return content.numpy().tobytes()

    def named(self, device: str) -> str:
        """A device's name, and how many there are.

        >>> Team().named("cpu"), Team(0, 2).named("cpu")
        ('cpu', '2 × cpu')
        """
        return device if self.size == 1 else f"{self.size} × {device}"


ALONE = Team()
"""A training on a single device."""


class _Gathered(torch.autograd.Function):
    """The rows (M, sides, rows, D) of all processes; each gets the gradient of its own, once."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, rows: int, team: Team) -> Tensor:
        ctx.own = team.part(rows)
        parts = [team.part(rows, rank) for rank in range(team.size)]
        sizes = [part.stop - part.start for part in parts]
        # Collectives move equal shapes: shorter ones are filled up, and cut again.
        padded = mine.new_zeros((*mine.shape[:2], max(sizes), mine.shape[3]))
        padded[:, :, : mine.shape[2]] = mine
        found = [torch.empty_like(padded) for _ in sizes]
        _call(distributed.all_gather, found, padded)
        return torch.cat([own[:, :, :size] for own, size in zip(found, sizes, strict=True)], 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad[:, :, ctx.own], None, None


def _call(collective: Callable[..., Any], *given: Any, **named: Any) -> None:
    try:
        collective(*given, **named)
    except RuntimeError as error:
        raise Lost(str(error).partition("\n")[0]) from error


def check_rows_alone(
    forward: Forward, parameters: Mapping[str, Tensor], inputs: Tensor, model: str, size: int
) -> None:
    """Check that a network embeds each row of inputs (M, rows, …) as it does beside other rows.

    Raises:
        LosscopeError: it does not, so that a part of a batch is embedded otherwise than in the whole one.
    """
    rows = inputs.shape[1]
    with torch.no_grad():
        whole = _by_side(forward(parameters, inputs), rows)
        halves: Sequence[Tensor] = inputs.split(-(-rows // 2), dim=1)
        apart = torch.cat([_by_side(forward(parameters, half), half.shape[1]) for half in halves], 2)
    if not torch.allclose(whole, apart, rtol=NEAR, atol=NEAR * float(whole.abs().max())):
        raise LosscopeError(
            f"the model {model!r} embeds a row otherwise beside other rows, as batch normalisation and "
            f"dropout do, and on {size} devices each has only a part of the batch; wanted: a model that "
            "normalises within a row, such as by groups or layers, or one device"
        )


def _by_side(embeddings: Tensor, rows: int) -> Tensor:
    return embeddings.unflatten(1, (-1, rows))
