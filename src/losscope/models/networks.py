"""Networks as stacked parameters: every tensor has a leading member dimension.

An architecture is data: the shapes of its parameters for one member, and a pure function from parameters
and inputs to embeddings that are not yet normalised. One member is the case M = 1, by the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.core.errors import LosscopeError, require
from losscope.core.registry import register
from losscope.models.dense import dense, spread

Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Architecture:
    """A network without its numbers.

    Attributes:
        shapes: name -> shape of one member's parameter.
        fan_in: name -> inputs of a unit, which sets the initial range.
        forward: (parameters, inputs) -> embeddings (M, rows, D), not normalised; parameters (M, *shape),
            inputs (M, rows, ...), or (S, rows, ...) each for M/S consecutive members.
        stacks: whether a population on a CPU is faster as one stacked model than one member after the other.
        constant: name -> the number that a parameter starts at instead of a random one.
    """

    shapes: dict[str, tuple[int, ...]]
    fan_in: dict[str, int]
    forward: Forward
    stacks: bool = True
    constant: dict[str, float] = field(default_factory=dict)

    def initial(self, generator: np.random.Generator) -> dict[str, np.ndarray]:
        """One member's first parameters: uniform in ±1/√fan_in, as ``torch.nn`` layers start."""
        return {
            name: np.full(shape, self.constant[name], np.float32)
            if name in self.constant
            else generator.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(self.fan_in[name]))
            for name, shape in self.shapes.items()
        }


def _layers(widths: Sequence[int], prefix: str = "") -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    shapes: dict[str, tuple[int, ...]] = {}
    fan_in: dict[str, int] = {}
    for place, (wide, narrow) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        shapes |= {f"{prefix}{place}.weight": (wide, narrow), f"{prefix}{place}.bias": (1, narrow)}
        fan_in |= {f"{prefix}{place}.weight": wide, f"{prefix}{place}.bias": wide}
    return shapes, fan_in


def _chain(parameters: Mapping[str, Tensor], x: Tensor, layers: int, prefix: str = "") -> Tensor:
    for place in range(layers):
        x = dense(x, parameters, f"{prefix}{place}")
        if place < layers - 1:
            x = F.relu(x)
    return x


@register("model", "mlp", inputs="vectors")
def mlp(inputs: tuple[int, ...], hidden: tuple[int, ...], embedding_size: int) -> Architecture:
    """A multilayer perceptron with ReLU; without hidden layers, a linear head on features."""
    widths = [math.prod(inputs), *hidden, embedding_size]
    shapes, fan_in = _layers(widths)

    def forward(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return _chain(parameters, x.flatten(2), len(widths) - 1)

    return Architecture(shapes, fan_in, forward)


@register("model", "convnet", inputs="images", stacks=False)
def convnet(inputs: tuple[int, ...], hidden: tuple[int, ...], embedding_size: int) -> Architecture:
    """The paper's convolutional net: 3×3 convolutions, ReLU and max-pool 2 each, then two linear layers.

    The last number of ``hidden`` is the width of the first linear layer, the others are channels.
    """
    require(
        len(inputs) == 3,
        f"convnet wants images (channels, height, width); it was given inputs of shape {inputs}",
    )
    channels, height, width = inputs
    *convolutions, wide = hidden
    shapes: dict[str, tuple[int, ...]] = {}
    fan_in: dict[str, int] = {}
    for place, out in enumerate(convolutions):
        shapes |= {f"conv{place}.weight": (out, channels, 3, 3), f"conv{place}.bias": (out,)}
        fan_in |= {f"conv{place}.weight": channels * 9, f"conv{place}.bias": channels * 9}
        channels, height, width = out, height // 2, width // 2
    require(
        height > 0 and width > 0, f"images of shape {inputs} are too small for {len(convolutions)} poolings"
    )
    more_shapes, more_fan_in = _layers([channels * height * width, wide, embedding_size])

    def forward(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        names = [f"conv{place}" for place in range(len(convolutions))]
        layers = [(parameters[f"{name}.weight"], parameters[f"{name}.bias"]) for name in names]
        members = len(layers[0][1])
        x = spread(x, members)
        if not x.is_cpu:
            return _chain(parameters, _maps(x, layers), 2)
        # On a CPU each member is convolved by calls of its own, so that its numbers are those of it alone.
        own = zip(*(zip(weight.split(1), bias.split(1), strict=True) for weight, bias in layers), strict=True)
        apart = [_maps(images, of_one) for images, of_one in zip(x.split(1), own, strict=True)]
        return _chain(parameters, torch.cat(apart), 2)

    return Architecture(shapes | more_shapes, fan_in | more_fan_in, forward, stacks=False)


def _maps(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Images (M, rows, C, H, W) through convolutions, ReLU and max-pool: the last maps, (M, rows, features).

    Members stand side by side as groups of one convolution, (rows, M·channels, H, W). One member alone has
    its channels last, and the maximum is taken before the ReLU, which commutes with it: both are quicker on
    a CPU.
    """
    members, rows = x.shape[:2]
    x = x.transpose(0, 1).flatten(1, 2) if members > 1 else x[0].to(memory_format=torch.channels_last)
    for weight, bias in layers:
        x = F.conv2d(x, weight.flatten(0, 1), bias.flatten(), padding=1, groups=members)
        x = F.relu(F.max_pool2d(x, 2))
    return x.reshape(rows, members, -1).transpose(0, 1)


SMALL = 64
"""Images with a side below this keep their size through the stem of a residual net."""
PIECE = 256


@register("model", "resnet18", inputs="images", stacks=False, hidden=(64, 128, 256, 512))
def resnet18(inputs: tuple[int, ...], hidden: tuple[int, ...], embedding_size: int) -> Architecture:
    """ResNet-18 of transformers, from random weights, with group instead of batch normalisation.

    ``hidden`` are the widths of its stages, two basic blocks each (four for ResNet-18). Batch normalisation
    would make an image's embedding depend on the other rows of its batch, in training on its positives and
    negatives; groups of channels of one image do not (16 channels per group, or the nearest number that
    divides). Images with a side below 64 go through a 3×3 stem of stride 1 without max-pool, as the paper's
    authors do on CIFAR-10; larger ones through the 7×7 stem of stride 2 and the max-pool. A linear layer
    leads from the mean of the last map to the embedding.

    Source: He, Zhang, Ren, Sun 2016; Wu, He 2018 (group normalisation).
    """
    require(
        len(inputs) == 3,
        f"resnet18 wants images (channels, height, width); it was given inputs of shape {inputs}",
    )
    network = _resnet(inputs, hidden)
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    constant = {
        name: float(name.endswith("weight"))
        for name in shapes
        if name.rsplit(".", 1)[0].endswith("normalization")
    }
    fan_in = {name: math.prod(shape[1:]) for name, shape in shapes.items() if name not in constant}
    more_shapes, more_fan_in = _layers([hidden[-1], embedding_size], "head.")

    def forward(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        pooled = []
        for member, images in enumerate(spread(x, len(parameters["head.0.bias"]))):
            own = {name: parameters[name][member] for name in shapes}
            # Rows do not depend on one another: without a gradient, a few at a time need less memory.
            pieces = (images,) if torch.is_grad_enabled() else images.split(PIECE)
            maps = [torch.func.functional_call(network, own, (piece,)).pooler_output for piece in pieces]
            pooled.append(torch.cat(maps).flatten(1))
        return _chain(parameters, torch.stack(pooled), 1, "head.")

    return Architecture(shapes | more_shapes, fan_in | more_fan_in, forward, stacks=False, constant=constant)


def _resnet(inputs: tuple[int, ...], widths: tuple[int, ...]) -> torch.nn.Module:
    """The residual net without numbers (meta): its parameters are handed in at every call."""
    try:
        from transformers import ResNetConfig, ResNetModel
    except ImportError:
        raise LosscopeError(
            "the model resnet18 needs the package transformers: pip install 'losscope[hf]'"
        ) from None
    config = ResNetConfig(
        num_channels=inputs[0],
        embedding_size=widths[0],
        hidden_sizes=list(widths),
        depths=[2] * len(widths),
        layer_type="basic",
    )
    with torch.device("meta"):
        network: Any = ResNetModel(config)
        if min(inputs[1:]) < SMALL:
            network.embedder.embedder.convolution = torch.nn.Conv2d(
                inputs[0], widths[0], 3, padding=1, bias=False
            )
            network.embedder.pooler = torch.nn.Identity()
        for module in list(network.modules()):
            if hasattr(module, "normalization"):
                channels: int = module.normalization.num_features
                groups = max(1, channels // 16)
                groups = groups if channels % groups == 0 else math.gcd(channels, groups)
                module.normalization = torch.nn.GroupNorm(groups, channels)
    return network.eval()


@register("model", "two_tower", inputs="pair")
def two_tower(
    inputs: tuple[tuple[int, ...], tuple[int, ...]], hidden: tuple[int, ...], embedding_size: int
) -> Architecture:
    """One multilayer perceptron per modality, into one space.

    The forward takes the first and the second modality's inputs side by side, (M, rows, in₁ + in₂), and
    returns their embeddings one below the other, (M, 2·rows, D): first modality, then second.
    """
    first, second = (math.prod(shape) for shape in inputs)
    shapes_a, fan_a = _layers([first, *hidden, embedding_size], "first.")
    shapes_b, fan_b = _layers([second, *hidden, embedding_size], "second.")
    layers = len(hidden) + 1

    def forward(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return torch.cat(
            [
                _chain(parameters, x[..., :first], layers, "first."),
                _chain(parameters, x[..., first:], layers, "second."),
            ],
            dim=1,
        )

    return Architecture(shapes_a | shapes_b, fan_a | fan_b, forward)
