"""A command that ``torchrun`` started on several processes: process 0 leads it, and alone it prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from losscope.core.device import pick_device, told
from losscope.core.errors import LosscopeError, require

if TYPE_CHECKING:
    from losscope.core.spec import Study


def follows() -> bool:
    """Whether this process is one of torchrun's that process 0 leads."""
    seat = told()
    return seat is not None and seat.rank > 0


def silence_followers() -> None:
    """Let process 0 alone print, mistakes too: all read the same command."""
    if follows():
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # to the very end


def refuse_several(command: str) -> None:
    """Raise LosscopeError where torchrun started several processes of a command that trains on one device."""
    seat = told()
    if seat is not None:
        raise LosscopeError(
            f"{command} trains on one device, and torchrun started {seat.size} processes; wanted: compare or "
            "run by torchrun, or this command without it"
        )


def lead_or_follow(study: Study, work: Callable[[Study], None]) -> None:
    """Carry out a study; on several processes of torchrun process 0 does, and the others train their part.

    Raises:
        LosscopeError: another number of devices than torchrun has started processes.
    """
    seat = told()
    if seat is None:
        work(study)
        return
    from losscope.run import devices
    from losscope.run.working import follow

    require(
        study.devices in (1, seat.size),
        f"{study.devices} devices were asked for, and torchrun started {seat.size} processes; leave out "
        "--devices",
    )
    own = study.of(**{**study.model_dump(), "devices": seat.size, "trust": study.trust})
    with devices.joined(seat, pick_device(study.device)):
        devices.serve(follow) if seat.rank else work(own)
