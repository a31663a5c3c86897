"""The engine ``dask``: tasks on a cluster, each tried again in another process where it ended one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from losscope.core.errors import LosscopeError

Task = TypeVar("Task")


def share_out(
    tasks: Mapping[str, Task],
    work: Callable[[Task], object],
    done: Callable[[Task], None],
    failed: Callable[[Task, str], None],
    most_deaths: int,
) -> None:
    """Do every task on the cluster in ``DASK_SCHEDULER_ADDRESS``, or on a local one with a worker a core.

    A local cluster gives a task to ``most_deaths`` processes before it is failed, and no process more than
    one task at a time, so that only the task that was at work is blamed for an end. On another cluster its
    scheduler's configuration says so (``distributed.scheduler.allowed-failures`` and ``worker-saturation``).

    Args:
        tasks: by names that are theirs alone.
        work: what is done with a task in a worker; importable by name there.
        done: called here with each task that ended, by failure too.
        failed: called here with a task that raised or that ended its processes, and the reason.
        most_deaths: processes that a task may end.

    Raises:
        LosscopeError: the package is missing; or a task's own, which ends the others.
    """
    try:
        import dask
        from distributed import Client, KilledWorker, LocalCluster, as_completed
    except ImportError:
        raise LosscopeError(
            "--engine dask needs the package distributed; pip install 'losscope[dask]'"
        ) from None
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    rules = {
        "distributed.scheduler.allowed-failures": most_deaths - 1,
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with dask.config.set(rules):
        cluster = (
            None
            if address
            else LocalCluster(n_workers=os.cpu_count(), threads_per_worker=1, dashboard_address=None)
        )
    try:
        with Client(address or cluster) as client:
            futures = {client.submit(work, task, key=name, retries=1): task for name, task in tasks.items()}
            for future in as_completed(list(futures)):
                task = futures[future]
                if future.status == "error":
                    error = future.exception()
                    if isinstance(error, LosscopeError):
                        raise error
                    if isinstance(error, KilledWorker):
                        failed(task, f"it ended {error.allowed_failures + 1} processes")
                    else:
                        failed(task, f"{type(error).__name__}: {error}")
                done(task)
    finally:
        if cluster is not None:
            cluster.close()
