"""How much memory a network wants and how much there is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIVE = 3
"""Tensors of the size of the largest layer's input and output that are alive at once, roughly."""


def parameter_bytes(network: Any) -> int:
    """Bytes of the parameters and buffers in float32; works on a network without numbers (meta)."""
    return 4 * sum(tensor.numel() for tensor in [*network.parameters(), *network.buffers()])


def forward_bytes(network: Any, call: Callable[[Any], Any], shape: tuple[int, ...], batch: int) -> int:
    """Bytes of the activations of one batch, estimated from a pass of one row without numbers (meta).

    ``LIVE`` times what the largest layer takes in and gives out. 0 if the network cannot be run without
    numbers: then only its parameters are counted.
    """
    import torch

    largest = 0

    def note(module: Any, inputs: Any, output: Any) -> None:
        nonlocal largest
        tensors = [tensor for tensor in (*inputs, output) if isinstance(tensor, torch.Tensor)]
        largest = max(largest, sum(tensor.numel() for tensor in tensors) * 4)

    where = next(iter(network.parameters())).device
    if where.type != "meta":
        network = copy.deepcopy(network).to("meta")
        call = network
    hooks = [
        module.register_forward_hook(note) for module in network.modules() if not list(module.children())
    ]
    try:
        with torch.inference_mode():
            call(torch.empty((1, *shape), device="meta"))
    except Exception:
        # Some networks look at values while they run; the estimate then says less, and nothing else changes.
        return 0
    finally:
        for hook in hooks:
            hook.remove()
    return LIVE * largest * batch


def available(device: str) -> int:
    """Bytes of memory that are free on a device; on the CPU also within the container's limit."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    import psutil

    free = int(psutil.virtual_memory().available)
    home = Path("/sys/fs/cgroup")
    for limit, used, detail, cache in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        try:
            # Files kept in memory count as used and are given up when memory is wanted.
            lines = dict(line.split() for line in (home / detail).read_text().splitlines())
            taken = int((home / used).read_text()) - int(lines[cache])
            free = min(free, int((home / limit).read_text()) - taken)
        except (OSError, ValueError, KeyError):
            continue  # no such limit: not in a container, or "max"
    return max(0, free)
