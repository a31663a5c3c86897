"""What a worker does with a group: train it under its time limit, and keep its records and its logs."""

from __future__ import annotations

import os
import platform
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json

from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.losses.foreign.sources import trust
from losscope.run import devices, logs
from losscope.run.agreed import check_code, check_data, load_plugins
from losscope.run.arithmetic import THREADS, fixed_arithmetic
from losscope.run.groups import Group, Where
from losscope.run.limits import OverLimit, limited
from losscope.run.store import Record, Store

Progress = Callable[[int, int], None]


def run_group(
    group: Group,
    progress: Progress | None = None,
    *,
    engine: str = "here",
    attempt: int = 1,
    name: str = "",
    end: Callable[[], object] | None = None,
) -> int:
    """Train one group and store its records; returns how many of its runs are stored afterwards.

    A mistake of the user's, or a full disk (LosscopeError), is raised; anything else, such as a lack of
    memory or of time, is kept as the failure of the runs.

    Args:
        group: what is trained.
        progress: called with (epochs done, epochs).
        engine: where this is, for the log; ``attempt``: which attempt it is.
        name: what ``limits.interrupt`` ends the training by.
        end: called where the training is over its limit and does not react; it ends the process.
    """
    store = Store(group.where.store)
    if all(store.has(run_id) for run_id in group.ids):
        return len(group.ids)
    _prepare(group)
    told, device = None, group.where.device
    if not group.runs[0].loss.baseline:  # which is measured by one process
        told, device = lambda: TypeAdapter(Group).dump_json(group), devices.team().named(device)
    started = time.time()
    try:
        with (
            logs.attempt(group, engine, attempt, device),
            limited(group.limit, name, end),
            devices.at_work(told),
        ):
            records = _records(group, store.checkpoint(group.name), progress)
        _keep(group, records, started)
    except LosscopeError:
        raise
    except OverLimit:
        _keep(group, _failures(group, over_limit(group)), started)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        _keep(group, _failures(group, reason, traceback=traceback.format_exc()), started)
    return len(group.ids)


def follow(job: bytes) -> None:
    """Train this process's part of a group, as text, whose records process 0 of several keeps."""
    where = TypeAdapter(Where).validate_python(from_json(job)["where"])
    load_plugins(where.plugins, where.digests)  # whose names the runs may have
    group = TypeAdapter(Group).validate_json(job)
    _prepare(group)
    _records(group, None, None)


def _prepare(group: Group) -> None:
    """Load what the group needs and the process that planned it had; LosscopeError where it is another."""
    load_plugins(group.where.plugins, group.where.digests)
    check_code(group.where.code)
    # A group is only ever made of a study whose losses were permitted, perhaps in another process.
    trust(run.loss.name for run in group.runs if run.loss.foreign)


def over_limit(group: Group) -> str:
    """The reason of runs that took longer than they may."""
    assert group.where.run_limit is not None
    return wording.over_limit(group.where.run_limit, len(group.runs))


def _failures(group: Group, reason: str, **told: Any) -> list[Record]:
    return [Record(run, status="failed", reason=reason, provenance=dict(told)) for run in group.runs]


def _keep(group: Group, records: Sequence[Record], started: float) -> None:
    store, common = Store(group.where.store), provenance(group, started)
    ends: dict[str, list[str]] = {}
    for run_id, record in zip(group.ids, records, strict=True):
        record.provenance = {**common, **record.provenance}
        store.add(run_id, record)
        said = record.status if record.reason is None else f"{record.status}: {record.reason}"
        ends.setdefault(said, []).append(run_id)
    for said, ids in ends.items():
        logs.write(group, "end", f"{said} ({time.time() - started:.1f} s)", ids)


def _records(group: Group, checkpoint: Path | None, progress: Progress | None) -> list[Record]:
    from losscope.data.trials import for_trials
    from losscope.features import load
    from losscope.train import train

    first, where = group.runs[0], group.where
    source = load(first.data.name, root=where.data_root, device=where.device, **first.data.options)
    check_data(first.data.name, group.where.data, source.digest)
    source = for_trials(source, first.protocol.name) if first.purpose == "trial" else source
    with fixed_arithmetic():
        drawn = {seed: source.splits(seed) for seed in dict.fromkeys(run.split_seed for run in group.runs)}
        return train(
            group.runs,
            [drawn[run.split_seed] for run in group.runs],
            device=group.where.device,
            keep=group.where.keep,
            checkpoint=checkpoint,
            progress=progress,
            team=devices.team(),
        )


def provenance(group: Group, started: float) -> dict[str, Any]:
    """Versions, machine, device and times: what a number's origin needs beside its specification."""
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
        "device": torch.cuda.get_device_name() if group.where.device.startswith("cuda") else "cpu",
        "threads": THREADS,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "seconds": time.time() - started,
        "population": list(group.ids),
    }
