"""What a loss of another library holds: its trainable parameters, and what it keeps between calls."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def plain_state(module: nn.Module) -> dict[str, Any]:
    """What a module keeps between calls beside its parameters, as tensors and plain values.

    Buffers, and the numbers and tensors among its attributes (a queue's place, a moving mean), so that a
    checkpoint that reads no pickled code can hold it.
    """
    kept: dict[str, Any] = {}
    for path, part in module.named_modules():
        own = {f"buffer/{name}": value.detach() for name, value in part._buffers.items() if value is not None}
        own |= {
            f"value/{name}": value.detach() if isinstance(value, Tensor) else value
            for name, value in vars(part).items()
            # Exact types: a numpy number is a float too, and only pickle can hold it.
            if not name.startswith("_") and (isinstance(value, Tensor) or type(value) in (bool, int, float))
        }
        kept |= {f"{path}/{name}": value for name, value in own.items()}
    return kept


def load_plain_state(module: nn.Module, kept: dict[str, Any]) -> None:
    """Go on from what ``plain_state`` kept.

    Raises:
        ValueError: it holds a part that the module has not, such as one made while it trained.
    """
    parts = dict(module.named_modules())
    for key in kept:
        if key.rsplit("/", 2)[0] not in parts:
            raise ValueError("it does not fit: the loss made parts while it trained")
    for key, value in kept.items():
        path, kind, name = key.rsplit("/", 2)
        part = parts[path]
        if kind == "buffer":
            part._buffers[name] = value.clone()
        else:
            setattr(part, name, value.clone() if isinstance(value, Tensor) else value)


def parts_of(loss: nn.Module) -> dict[str, nn.Parameter]:
    """The loss's own trainable parameters by name."""
    return {name: value for name, value in loss.named_parameters() if value.requires_grad}
