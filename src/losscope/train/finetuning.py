"""A network whose lower part is a backbone that trains: which of its parameters, and how they are called.

A backbone trains one member at a time. Its inputs are the positions of rows in their source, so that
pictures, sounds and texts of any length go the same way; the head's start, its transform and all that stands
beside the losses are those of the frozen features.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from losscope.core.errors import LosscopeError, need, require
from losscope.core.finetuning import FineTune
from losscope.core.spec import Protocol, Run, seed_of
from losscope.data import Part, Splits
from losscope.data.trunks import Batch, Trunk
from losscope.models.dense import spread
from losscope.models.networks import Architecture
from losscope.train.optimiser import TRUNK

PIECE = 64
"""Rows that go through a backbone at once where no gradient is wanted."""
MOST_ROWS = 2**24
"""Rows of a source at most: the position of a later one would be rounded to another's in float32."""
LORA_A, LORA_B = "lora_A", "lora_B"
"""Parts of the names that peft gives to the two factors of a low-rank change."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A backbone on a device, ready for a way of fine-tuning.

    Attributes:
        network: the module; its own parameters ask for no gradient and never change.
        names: of the parameters that are trained, which are handed in at every call.
    """

    network: nn.Module
    names: tuple[str, ...]

    def start(self, seed: int) -> dict[str, np.ndarray]:
        """What training starts from: the weights as they are; changes of none, drawn under the seed."""
        draw = np.random.default_rng(seed_of(seed, "lora"))
        found = {}
        for name, value in self.network.named_parameters():
            if name not in self.names:
                continue
            if LORA_A in name:
                # Kaiming's uniform with a = √5, as nn.Linear starts (Hu et al. 2022: A random, B zero).
                made = draw.uniform(-1, 1, tuple(value.shape)).astype(np.float32) / np.float32(
                    math.sqrt(value.shape[1])
                )
            elif LORA_B in name:
                made = np.zeros(tuple(value.shape), np.float32)
            else:
                made = value.detach().cpu().numpy()
            found[TRUNK + name] = made
        return found


_opened: tuple[tuple[Any, ...], Trunk, Opened] | None = None
"""The backbone that was opened last, for the next member of the same study."""


def opened(trunk: Trunk, protocol: Protocol, device: torch.device) -> Opened:
    """A backbone opened for what a protocol trains of it; the last one is kept.

    Raises:
        LosscopeError: weights that cannot be read, a backbone without what is to be trained, no peft.
    """
    global _opened
    key = (id(trunk), protocol.finetune, protocol.recompute, str(device), torch.get_default_dtype())
    if _opened is not None and _opened[0] == key:
        return _opened[2]
    _opened = None  # before another one is read: two may not fit into memory
    made = _open(trunk, FineTune.read(protocol.finetune), protocol.recompute, device)
    _opened = key, trunk, made
    return made


def check(trunk: Trunk | None, protocol: Protocol, device: torch.device) -> None:
    """Raise LosscopeError where a backbone cannot be trained as a protocol says; nothing is kept of it."""
    assert trunk is not None, "a backbone made the features"
    opened(trunk, protocol, device)
    forget()


def forget() -> None:
    """Let go of the backbone that was opened last."""
    global _opened
    _opened = None


def _open(trunk: Trunk, way: FineTune, recompute: bool, device: torch.device) -> Opened:
    network: nn.Module = trunk.open(str(device)).to(torch.get_default_dtype())
    used = _used(network, trunk, device)
    for value in network.parameters():
        value.requires_grad_(False)
    blocks = blocks_of(network, used)
    require(
        bool(blocks) or way.mode == "all",
        f"the backbone {trunk.name!r} has no transformer blocks, of which {way.text!r} trains some; choices: "
        "all, or head, which trains nothing of it",
    )
    require(
        way.mode != "last" or way.count <= len(blocks),
        f"{way.text!r} wants the last {way.count:,} transformer blocks of {trunk.name!r}, which has "
        f"{len(blocks)}; wanted: last:1 to last:{len(blocks)}, or all",
    )
    if recompute:
        for _, block in blocks or _sections(network):
            _recomputed(block)
    if way.mode == "lora":
        names = _with_changes(network, trunk.name, blocks, way.count)
    elif way.mode == "last":
        inside = tuple(f"{name}." for name, _ in blocks[-way.count :])
        names = [name for name in used if name.startswith(inside)]
    else:
        names = used
    return Opened(network.eval(), tuple(names))


def _used(network: nn.Module, trunk: Trunk, device: torch.device) -> list[str]:
    """The names of the parameters that features depend on, found by one row."""
    (row,) = trunk.rows([0])
    floating = {name: value for name, value in network.named_parameters() if value.is_floating_point()}
    for value in floating.values():
        value.requires_grad_(True)
    with torch.enable_grad():
        features = network(_batch(row.values, device))
        found = torch.autograd.grad(features.sum(), [*floating.values()], allow_unused=True)
    return [name for name, gradient in zip(floating, found, strict=True) if gradient is not None]


def blocks_of(network: nn.Module, used: Sequence[str]) -> list[tuple[str, nn.Module]]:
    """The transformer blocks of a network in order, with their names.

    They are the members of the innermost lists of modules each of which has an attention of its own, as far
    as features depend on them.
    """
    lists = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) and all(map(_attends, module))
    }
    inner = [name for name in lists if not any(other.startswith(f"{name}.") for other in lists)]
    found = [(f"{name}.{place}", block) for name in inner for place, block in lists[name].named_children()]
    return [(name, block) for name, block in found if any(each.startswith(f"{name}.") for each in used)]


def _attends(module: nn.Module) -> bool:
    return any("attention" in type(part).__name__.lower() for part in module.modules())


def _sections(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The members of the longest list of modules of a network without transformer blocks."""
    lists = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) > 1
    ]
    name, longest = max(lists, key=lambda pair: len(pair[1]), default=("", nn.ModuleList()))
    return [(f"{name}.{place}", section) for place, section in longest.named_children()]


def _recomputed(block: nn.Module) -> None:
    """Let a block keep its inputs alone, and compute the rest again in the backward pass.

    The parameters that were handed in for the first pass are those of the second.
    """
    plain = block.forward

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = block

        def forward(self, *given: Any, **words: Any) -> Any:
            return plain(*given, **words)

    inner = Inner()

    def forward(*given: Any, **words: Any) -> Any:
        if not torch.is_grad_enabled():
            return plain(*given, **words)
        own = {**dict(inner.named_parameters()), **dict(inner.named_buffers())}

        def again(*given: Any, **words: Any) -> Any:
            return functional_call(inner, own, given, words)

        # Nothing is drawn: there is no dropout whose state would have to be kept.
        return checkpoint(again, *given, use_reentrant=False, preserve_rng_state=False, **words)

    block.forward = forward


def _with_changes(
    network: nn.Module, name: str, blocks: Sequence[tuple[str, nn.Module]], rank: int
) -> list[str]:
    """Low-rank changes of every linear layer of the blocks: W + 2·B·A, A (rank, in), B (out, rank).

    Returns the names of their parameters. Sources: Hu et al. 2022; of every layer, Dettmers et al. 2023.
    """
    layers = {
        f"{prefix}.{inside}": layer
        for prefix, block in blocks
        for inside, layer in block.named_modules()
        if isinstance(layer, nn.Linear)
    }
    require(
        bool(layers),
        f"the blocks of the backbone {name!r} have no linear layers to change; choices: last:K, all",
    )
    widest = min(min(layer.in_features, layer.out_features) for layer in layers.values())
    require(
        rank <= widest,
        f"the rank {rank} is larger than the smallest linear layer of {name!r}, which has {widest}; wanted: "
        f"lora:1 to lora:{widest}",
    )
    return _changed(network, [*layers], rank)


def _changed(network: nn.Module, layers: Sequence[str], rank: int) -> list[str]:
    """Low-rank changes of the layers of these names; returns the names of their parameters."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise need("peft", "--finetune lora", "'losscope[hf]'") from None
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=[*layers], lora_dropout=0.0, bias="none")
    inject_adapter_in_model(config, network)
    found = []
    for own, value in network.named_parameters():
        value.requires_grad_(False)
        if LORA_A in own or LORA_B in own:
            found.append(own)
    return found


def reopened(network: nn.Module, way: FineTune, weights: Mapping[str, np.ndarray]) -> Opened:
    """A backbone as a run trained it, from the parameters that the run kept."""
    names = [name.removeprefix(TRUNK) for name in weights if name.startswith(TRUNK)]
    for value in network.parameters():
        value.requires_grad_(False)
    if way.mode == "lora":
        _changed(network, [name.partition(f".{LORA_A}.")[0] for name in names if LORA_A in name], way.count)
    return Opened(network.eval(), tuple(names))


def _batch(values: np.ndarray, device: torch.device) -> Tensor:
    """Prepared rows on the device; numbers of the type that the backbone computes with."""
    rows = torch.from_numpy(values).to(device)
    return rows.to(torch.get_default_dtype()) if rows.is_floating_point() else rows


def through(
    opened: Opened, own: Mapping[str, Tensor], groups: Sequence[Batch], precision: str, device: torch.device
) -> Tensor:
    """Features (rows, D) of prepared rows, in the order asked for, by a backbone with parameters ``own``."""
    places, found = [], []
    for group in groups:
        batch = _batch(group.values, device)
        # Rows do not depend on one another: without a gradient, a few at a time need less memory.
        pieces = (batch,) if torch.is_grad_enabled() else batch.split(PIECE)
        for piece in pieces:
            # Without autocast's cache: it would keep the weights of a step for the next.
            with torch.autocast(
                device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False
            ):
                made = functional_call(opened.network, dict(own), (piece,))
            found.append(made.to(torch.get_default_dtype()))
        places += group.places
    every = torch.cat(found)
    if len(groups) == 1:  # a step does not wait for an order that changes nothing
        return every
    return every[torch.from_numpy(np.argsort(np.array(places))).to(device)]


def on_backbone(
    head: Architecture,
    network: Sequence[dict[str, np.ndarray]],
    runs: Sequence[Run],
    splits: Sequence[Splits],
    device: torch.device,
) -> tuple[Architecture, list[dict[str, np.ndarray]], list[Splits]]:
    """A head and its first parameters, put on the backbone that its inputs are features of.

    Args:
        head: takes features.
        network: the head's first parameters of each member.
        runs, splits: of each member; the transform of the splits is what is done to features.
        device: where it trains.

    Returns:
        The whole network, whose inputs are positions of rows; its first parameters; and the splits whose
        inputs are such positions.

    Raises:
        LosscopeError: the data are no features of a backbone, or it cannot be trained in this way.
    """
    protocol, trunk = runs[0].protocol, splits[0].trunk
    if trunk is None:
        raise LosscopeError(
            f"finetune={protocol.finetune} trains a backbone, and the inputs of {splits[0].facts.name} are "
            "no features of one; give --backbone"
        )
    below = opened(trunk, protocol, device)
    transforms = [split.transform for split in splits]

    def forward(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        names = [(name, parameters[TRUNK + name]) for name in below.names]
        members = len(next(iter(parameters.values())))
        features = []
        for member, rows in enumerate(spread(x, members)):
            own = {name: value[member] for name, value in names}
            groups = trunk.rows(rows.flatten().long().tolist())
            found = through(below, own, groups, protocol.precision, device)
            transform = transforms[member]
            features.append(found if transform is None else transform(found))
        return head.forward(parameters, torch.stack(features))

    first = [{**below.start(run.seed), **own} for run, own in zip(runs, network, strict=True)]
    shapes = {name: value.shape for name, value in first[0].items()}
    whole = Architecture(shapes, {}, forward, stacks=False)
    return whole, first, [_numbered(split) for split in splits]


def provenance(run: Run, splits: Splits) -> dict[str, Any]:
    """What a record says of the backbone that was trained, so that its weights are put on the same one."""
    trunk = splits.trunk
    assert trunk is not None
    told = {"name": trunk.name, "takes": trunk.takes, "digest": trunk.digest}
    return {"backbone": {**told, "finetune": run.protocol.finetune}}


def _numbered(splits: Splits) -> Splits:
    """The splits with each row's position in the source as its only input."""

    def numbered(part: Part) -> Part:
        assert part.rows is not None
        require(
            part.rows.max(initial=0) < MOST_ROWS,
            f"the source has more than {MOST_ROWS:,} rows, by whose numbers a backbone that trains is given "
            "them; wanted: fewer, or --finetune head",
        )
        return dataclasses.replace(part, inputs=part.rows[:, None].astype(np.float32))

    train, validation, test = map(numbered, (splits.train, splits.validation, splits.test))
    return dataclasses.replace(splits, train=train, validation=validation, test=test, transform=None)
