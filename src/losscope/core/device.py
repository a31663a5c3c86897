"""Which device computes, found without importing torch where there can be no GPU."""

from __future__ import annotations

import os
import sys

from losscope.core.errors import LosscopeError

DRIVERS = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA, its small boards, AMD and the Windows subsystem put up on Linux."""


def pick_device(name: str) -> str:
    """``auto`` is cuda where there is one, else cpu; a device that is not there is an error."""
    if name == "cpu" or (name == "auto" and _no_driver()):
        return "cpu"
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise LosscopeError(
            "--device cuda was asked for and this torch sees no CUDA device; use --device cpu or auto"
        )
    return name


def here(name: str) -> str:
    """The device where this machine has it, else cpu: for what the driver computes of work done elsewhere."""
    if not name.startswith("cuda") or _no_driver():
        return "cpu"
    import torch

    return name if torch.cuda.is_available() else "cpu"


def _no_driver() -> bool:
    return sys.platform == "linux" and not any(os.path.exists(path) for path in DRIVERS)
