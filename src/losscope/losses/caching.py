"""Gradient caching: the loss of a whole batch, at the memory of one of its micro-batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losscope.core.errors import require, shown
from losscope.losses.cutting import cut, rows_of

Network = Callable[[Any], Tensor]

ALIKE = 0.05
"""How far a replayed embedding may be from the first one, of the largest entry. Other kernels with a graph
than without round otherwise, in half precision by some hundredths; another dropout mask is far beyond."""
LARGE = 2**22
"""Numbers of a buffer that is a table or holds weights, and is not changed by a pass."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def cached(
    network: Network | Sequence[Network],
    loss: Callable[..., Tensor],
    inputs: Any,
    labels: Any = None,
    *,
    rows: int = 256,
    scale: Callable[[Tensor], Tensor] | None = None,
    batch_norm: bool = False,
) -> Tensor:
    """The loss of a whole batch and its gradients, with the graph of one micro-batch at a time in memory.

    It takes the place of ``loss(network(inputs), labels)`` and of ``backward``. The micro-batches are
    embedded without a graph; the loss and its gradient by all embeddings are computed once; then each
    micro-batch is embedded again, with a graph, and its part of that gradient goes backward into the
    parameters. Loss and gradients are those of the whole batch, up to rounding, for twice the forward work.

    What the network draws (dropout) is drawn again as it was: the random state of torch (CPU, CUDA, MPS), of
    NumPy and of Python, and the buffers of the layers are put back before the second pass, and are afterwards
    what one pass leaves. Under autocast call it inside the context; the backward passes step out of it. Under
    ``torch.no_grad()`` it only gives the value. A network under ``DistributedDataParallel`` averages its
    gradients once, after the last micro-batch.

    It cannot give the whole batch's loss where the embedding of a row depends on the other rows, as with
    batch norm in training mode, whose statistics become those of a micro-batch. That is refused without
    ``batch_norm=True``.

    Args:
        network: a module or a function, called with a micro-batch of ``inputs`` as they are nested; it
            returns a tensor (rows, ...). For several towers a list of networks, in which one may stand twice.
        loss: called once, with the embeddings of each tower and the labels: ``loss(embeddings, labels)``, or
            ``loss(queries, documents)`` where there are none. It returns a scalar. Its own parameters, such
            as class vectors, get their gradients too.
        inputs: tensors or arrays (B, ...), or tuples and mappings of them, which are cut entry by entry; a
            list is cut as rows, such as texts. Numbers, booleans, texts and None are passed on as they are.
            For several towers a list or tuple with the inputs of each.
        labels: passed to the loss whole; None is not passed.
        rows: of a micro-batch; the last one may have fewer.
        scale: what is done to the loss before it goes backward, such as ``scaler.scale`` of a
            ``torch.amp.GradScaler``; the value that is returned is not scaled.
        batch_norm: let batch norm in training mode use the statistics of each micro-batch.

    Returns:
        The loss, without graph. Gradients are added to those of the parameters, as ``backward`` does.

    Raises:
        LosscopeError: inputs that cannot be cut into rows; a network that returns something else than one row
            for each row, or that gives other embeddings the second time; batch norm in training mode; a loss
            that is no scalar or does not depend on the embeddings.

    Gao, Zhang, Han, Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021.

    >>> import losscope
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.1))
    >>> inputs, labels = torch.randn(64, 4), torch.arange(64) % 8
    >>> value = cached(network, losscope.loss("info_nce"), inputs, labels, rows=16)
    >>> value.shape, network[0].weight.grad.shape
    (torch.Size([]), torch.Size([3, 4]))
    """
    require(
        isinstance(rows, Integral) and not isinstance(rows, bool) and rows > 0,
        f"rows is {shown(rows)}; the rows of a micro-batch are wanted, a whole number above 0",
    )
    for word, given in (("loss", loss), *([] if scale is None else [("scale", scale)])):
        require(
            callable(given), f"{word} is {shown(given)}, which cannot be called; {CALLED[word]} is wanted"
        )
    towers = _towers(network, inputs, int(rows))
    with_gradient = torch.is_grad_enabled()
    for tower in towers:
        tower.embed(with_gradient, batch_norm)
    leaves = [tower.joined().requires_grad_(with_gradient) for tower in towers]
    value = loss(*leaves, *(() if labels is None else (labels,)))
    _check(value, with_gradient)
    if not with_gradient:
        return value
    after = Drawn.now()
    with _without_autocast(leaves):
        (value if scale is None else scale(value)).backward()
    _replay(towers, leaves)
    after.put_back()
    return value.detach()


CALLED = {
    "loss": "a module or a function of embeddings and labels",
    "scale": "a function of the loss, such as scaler.scale",
}


@dataclass(frozen=True)
class Drawn:
    """The state of everything that a network commonly draws from."""

    cpu: Tensor
    cuda: list[Tensor]
    mps: Tensor | None
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> Drawn:
        """The state as it is."""
        return cls(
            torch.get_rng_state(),
            torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
            torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
            np.random.get_state(),
            random.getstate(),
        )

    def put_back(self) -> None:
        """Draw from here on what was drawn after ``now``."""
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        if self.mps is not None:
            torch.mps.set_rng_state(self.mps)
        np.random.set_state(self.numpy)
        random.setstate(self.python)


class _Tower:
    """A network, its inputs and, after ``embed``, the embeddings and the random state of each micro-batch."""

    def __init__(self, network: Network, inputs: Any, count: int, rows: int) -> None:
        self.network = network
        self.inputs = inputs
        self.parts = [slice(start, min(start + rows, count)) for start in range(0, count, rows)]
        self.embeddings: list[Tensor] = []
        self.drawn: list[Drawn] = []

    def embed(self, replayed: bool, batch_norm: bool) -> None:
        """Every micro-batch, without graph."""
        with torch.no_grad(), _watched(self.network, replayed, batch_norm or len(self.parts) == 1):
            for part in self.parts:
                self.drawn.append(Drawn.now())
                self.embeddings.append(self.call(part).detach())
        shapes = {found.shape[1:] for found in self.embeddings}
        require(
            len(shapes) == 1,
            f"the network's embeddings have rows of shapes {_listed(shapes)} in different micro-batches; "
            "rows of one shape are wanted",
        )
        torch.clear_autocast_cache()  # it may hold weights that were cast without a graph

    def call(self, part: slice) -> Tensor:
        """The embeddings of a micro-batch."""
        found = self.network(cut(self.inputs, part))
        require(
            isinstance(found, Tensor) and found.is_floating_point(),
            f"the network returned {_kind(found)}; a tensor of embeddings (rows, D) is wanted, which a "
            "function around the network can take out, such as lambda part: network(part)['embedding']",
        )
        wanted = part.stop - part.start
        require(
            found.ndim > 0 and len(found) == wanted,
            f"the network returned a tensor of shape {tuple(found.shape)} for {wanted} rows; "
            "one row for each is wanted",
        )
        return found

    def joined(self) -> Tensor:
        """The embeddings of the whole batch; those of the first micro-batch are kept for ``check``."""
        whole = torch.cat(self.embeddings)
        del self.embeddings[1:]
        return whole

    def check(self, again: Tensor) -> None:
        """Refuse a first micro-batch that is embedded otherwise the second time."""
        first = self.embeddings[0].nan_to_num()
        away = (again.detach().nan_to_num() - first).abs().max() if first.numel() else first.new_zeros(())
        require(
            bool(away <= ALIKE * first.abs().max()) if first.numel() else True,
            "the network embedded the same rows otherwise the second time, so that its gradient is not that "
            "of the loss; it draws from a generator of its own or changes with each call, and must do "
            "neither here",
        )


def _towers(network: Network | Sequence[Network], inputs: Any, rows: int) -> list[_Tower]:
    if callable(network) and not isinstance(network, nn.ModuleList):
        networks, each = [network], [inputs]
    else:
        require(
            isinstance(network, Sequence | nn.ModuleList)
            and len(network) > 0
            and all(map(callable, network)),
            f"network is {shown(network)}; a module, a function, or a list of them is wanted",
        )
        networks = list(network)
        require(
            isinstance(inputs, list | tuple) and len(inputs) == len(networks),
            f"{len(networks)} networks were given, and inputs that are {_kind(inputs)}; a list with the "
            "inputs of each network is wanted",
        )
        each = list(inputs)
    counts = [rows_of(own) for own in each]
    return [_Tower(*tower, rows) for tower in zip(networks, each, counts, strict=True)]


def _replay(towers: Sequence[_Tower], leaves: Sequence[Tensor]) -> None:
    """Embed each micro-batch again, with a graph, and send its part of the gradient backward."""
    work = [
        (tower, number, leaf.grad)
        for tower, leaf in zip(towers, leaves, strict=True)
        if leaf.grad is not None
        for number in range(len(tower.parts))
    ]
    last = {id(tower.network): place for place, (tower, _, _) in enumerate(work)}
    for place, (tower, number, gradient) in enumerate(work):
        with _unsynchronised(tower.network, last[id(tower.network)] != place):
            tower.drawn[number].put_back()
            part = tower.parts[number]
            again = tower.call(part)
            if number == 0:
                tower.check(again)
            if again.requires_grad:  # else the network is frozen
                with _without_autocast([again]):
                    again.backward(gradient[part])
        torch.clear_autocast_cache()  # the casts of the weights belong to the graph that has just gone


def _check(value: Any, with_gradient: bool) -> None:
    require(
        isinstance(value, Tensor) and value.ndim == 0,
        f"the loss returned {_kind(value)}; a scalar tensor is wanted",
    )
    require(
        value.requires_grad or not with_gradient,
        "the loss returned a value that does not depend on the embeddings; it must be computed from the "
        "tensors that it is given",
    )


@contextmanager
def _watched(network: Network, replayed: bool, batch_norm: bool) -> Iterator[None]:
    """Refuse batch norm in training mode; and put buffers back, where these passes are to be replayed.

    So a running mean counts each micro-batch once, and a power iteration goes on from the same vector. Of a
    module all layers are looked at; of a function those that it calls.
    """
    found: dict[int, tuple[nn.Module, dict[str, Tensor]]] = {}

    def look(layer: nn.Module, _: object = None) -> None:
        if id(layer) in found:
            return
        by_batch = isinstance(layer, BATCH_NORMS) and (layer.training or layer.running_mean is None)
        require(
            batch_norm or not by_batch,
            f"the network has {type(layer).__name__} in training mode, whose statistics would be those of a "
            "micro-batch and not of the whole batch; call .eval() of these layers, use another norm, or say "
            "batch_norm=True to accept that",
        )
        buffers = layer.named_buffers(recurse=False) if replayed else ()
        found[id(layer)] = layer, {name: own.clone() for name, own in buffers if own.numel() <= LARGE}

    with ExitStack() as stack:
        if isinstance(network, nn.Module):
            for layer in network.modules():
                look(layer)
        else:
            stack.callback(nn.modules.module.register_module_forward_pre_hook(look).remove)
        yield
    for layer, buffers in found.values():
        for name, before in buffers.items():
            getattr(layer, name).copy_(before)


@contextmanager
def _without_autocast(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Outside of autocast, where backward belongs."""
    with ExitStack() as stack:
        for device in {tensor.device.type for tensor in tensors}:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def _unsynchronised(network: Network, wanted: bool) -> AbstractContextManager[Any]:
    """Whether a network that averages its gradients over processes waits with that."""
    hold = getattr(network, "no_sync", None)
    return hold() if wanted and callable(hold) else nullcontext()


def _kind(value: Any) -> str:
    """What was given, in few words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Mapping):
        return f"{type(value).__name__} with the keys {shown(list(value))}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _listed(shapes: set[torch.Size]) -> str:
    return " and ".join(str(tuple(shape)) for shape in sorted(shapes))
