"""Where a run was computed: what a number's origin needs beside its specification."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Sequence
from typing import Any

from losscope.run.arithmetic import THREADS


def origin(device: str, population: Sequence[str], started: float) -> dict[str, Any]:
    """Versions, machine, device and times.

    Args:
        device: ``cpu`` or ``cuda``.
        population: the ids of the runs that trained together.
        started: when, in seconds since 1970.
    """
    import numpy
    import torch

    from losscope import __version__

    return {
        "losscope": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "threads": THREADS,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "seconds": time.time() - started,
        "population": list(population),
    }
