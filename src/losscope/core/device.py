"""Which device computes, found without importing torch where there can be no GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from losscope.core.errors import LosscopeError, require, unknown

DRIVERS = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA, its small boards, AMD and the Windows subsystem put up on Linux."""

MOST_DEVICES = 1024
"""Processes that train one run together, at most."""


def check_place(
    device: str, engine: str, devices: int, *, address: str | None = None, run_limit: float | None = None
) -> None:
    """Check where a study trains, as far as no machine has to be asked.

    Raises:
        LosscopeError: an unknown device or engine; several devices with one of their names, or with an engine
            that trains runs side by side, or with a limit of time, which ends the work of one process.
    """
    for name, value, choices in (
        ("device", device, ("auto", "cpu", "cuda")),
        ("engine", engine, ("auto", "here", "processes", "dask")),
    ):
        if value not in choices and not (name == "device" and value.startswith("cuda:")):
            raise unknown(name, value, choices)
    if devices == 1:
        return
    require(
        engine in ("auto", "here") and address is None,
        f"{devices} devices train one group of runs together, and the engine "
        f"{engine if address is None else 'dask'} trains several side by side; leave out one of the two",
    )
    require(
        run_limit is None,
        f"{devices} devices train a run together, and a run limit ends the work of one of them; leave out "
        "one of the two",
    )
    require(
        not device.startswith("cuda:"),
        f"the device {device} is one GPU and {devices} devices were asked for; wanted: cuda",
    )


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


@dataclass(frozen=True)
class Seat:
    """Which of how many processes this is, in all and on its own machine."""

    rank: int
    size: int
    local: int
    local_size: int


def told(environment: Mapping[str, str] = os.environ) -> Seat | None:
    """Which of several processes ``torchrun`` says that this is; None where it started one, or none.

    Raises:
        LosscopeError: variables that are no numbers.

    >>> told({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost"})
    Seat(rank=1, size=2, local=1, local_size=2)
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if not all(name in environment for name in (*names, "MASTER_ADDR")):
        return None
    try:
        rank, size, local = (int(environment[name]) for name in names)
        local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
    except ValueError:
        said = ", ".join(f"{name}={environment[name]!r}" for name in names)
        raise LosscopeError(f"the environment says {said}; torchrun gives numbers") from None
    return Seat(rank, size, local, local_size) if size > 1 else None
