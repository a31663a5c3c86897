"""The engine ``dask``: groups as tasks of a cluster that is there, or of one that is started on this machine.

The driver decides what follows where a worker ends, as in ``processes``. Since a cluster's scheduler may give
a task to another worker by itself, attempts are counted where they begin: in a folder of the command in the
store, which also shows a worker whether it sees the same disk as the driver.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.core.errors import LosscopeError, require, shown
from losscope.run.dask_worker import Ended, stop, tries, work
from losscope.run.deaths import Deaths, fail
from losscope.run.files import disk_errors, make_folder, temporary
from losscope.run.groups import ACTIVITY, Group
from losscope.run.spawning import unguarded
from losscope.run.working import over_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client, Future

DASK_ADDRESS = "DASK_SCHEDULER_ADDRESS"
"""The variable of the environment that counts where no address is given."""
REACHED = 5.0
"""Seconds in which a scheduler must answer."""
FIRST = 120.0
"""Seconds that a cluster without workers has to get one, where it must be asked for its GPUs."""
LOOK = 10.0
"""Seconds without news after which it is looked whether the cluster has workers, and ..."""
ALONE = 60.0
"""... seconds without workers after which those of a cluster that was started here are started again.

Dask itself does not start a worker again whose process ends while it is still said to be starting.
"""
BESIDE = 10
"""Ends of workers that a group may see before it began, such as those of its neighbours in a worker."""
RULES = {
    # The driver tries again by itself, and no process holds a task that it is not at work on.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
}


@dataclass
class Cluster:
    """A connection to a cluster; ``started``: the cluster, where losscope started it on this machine."""

    client: Client
    started: Any = None

    def __post_init__(self) -> None:
        # Of a scheduler that goes away Dask shows tracebacks; it is said in one sentence.
        self.logger = logging.getLogger("distributed.client")
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL)

    @property
    def address(self) -> str:
        """That of its scheduler."""
        return str(self.client.scheduler.address) if self.client.scheduler else "?"

    def close(self) -> None:
        """Leave the cluster, and end it where it was started here."""
        self.client.close()
        if self.started is not None:
            self.started.close()
        self.logger.setLevel(self.level)


_kept: list[Cluster] | None = None
"""The cluster that is kept for the next call of ``execute``; None where none is kept."""


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep the connection to a cluster, and its workers, between the calls inside."""
    global _kept
    if _kept is not None:
        return (yield)
    _kept = []
    try:
        yield
    finally:
        clusters, _kept = _kept, None
        for cluster in clusters:
            cluster.close()


def of_environment() -> str | None:
    """The address of the cluster that the environment names, if it names one."""
    return os.environ.get(DASK_ADDRESS) or None


def reach(address: str | None) -> None:
    """Connect, once, to the cluster with an address, or to that of the environment, if there is one.

    Raises:
        LosscopeError: the package is missing, or nothing answers there.
    """
    _package()
    address = of_environment() if address is None else address
    if address is not None and _kept is not None and not _kept:
        _kept.append(_connected(address))


def _package() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise LosscopeError(
            "--engine dask needs the package distributed; pip install 'losscope[dask]'"
        ) from None


def _connected(address: str) -> Cluster:
    from distributed import Client

    where = f"--address tcp://HOST:8786, as `dask scheduler` prints it, or none: then {DASK_ADDRESS} counts"
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.rpartition(":")
    require(
        bool(host)
        and port.isdecimal()
        and 0 < int(port) < 65536
        and scheme in ("", "tcp", "tls", "ws", "wss"),
        f"{shown(address)} is no address of a Dask scheduler; wanted: {where}",
    )
    try:
        return Cluster(Client(address, timeout=REACHED, set_as_default=False))
    except (OSError, ValueError, RuntimeError):
        raise LosscopeError(
            f"no Dask scheduler answers at {shown(address)} within {REACHED:.0f} s; wanted: {where}"
        ) from None


def _started(device: str) -> Cluster:
    """A cluster on this machine: a worker per core, or one for its GPU."""
    import dask
    from distributed import Client, LocalCluster

    gpu = device.startswith("cuda")
    with dask.config.set(RULES):
        cluster = LocalCluster(
            n_workers=1 if gpu else os.cpu_count(),
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",  # any free port: another cluster may have the usual one
            resources={"GPU": 1} if gpu else None,
            preload=["losscope.run.dask_worker"],  # its dask_setup
            silence_logs=logging.CRITICAL,  # what becomes of a worker that ends is said by the records
        )
        return Cluster(Client(cluster, set_as_default=False), cluster)


def share_out(
    groups: Sequence[Group], activity: ACTIVITY | None, say: Callable[[str], None] | None = None
) -> None:
    """Train groups on the cluster of their address, of ``DASK_SCHEDULER_ADDRESS``, or on one started here.

    Raises:
        LosscopeError: the package is missing, no cluster answers, no worker has the GPU that is asked for; or
            a group's own, which ends the others.
    """
    where = groups[0].where
    with kept(), unguarded():
        reach(where.address)
        assert _kept is not None
        if not _kept:
            _kept.append(_started(where.device))
        cluster = _kept[0]
        if where.device.startswith("cuda"):
            _has_gpu(cluster, say)
        _Sharing(cluster, activity, say).run(groups)


def _has_gpu(cluster: Cluster, say: Callable[[str], None] | None) -> None:
    """Refuse a cluster of which no worker declares a GPU; one without workers is waited for."""
    if not _workers(cluster):
        if say:
            say(f"Waiting for a worker of the Dask cluster at {cluster.address}.")
        with contextlib.suppress(TimeoutError):
            cluster.client.wait_for_workers(1, timeout=FIRST)
    workers = _workers(cluster)
    require(
        any(worker.get("resources", {}).get("GPU", 0) >= 1 for worker in workers.values()),
        f"--device cuda was asked for and none of the {len(workers)} workers of the Dask cluster at "
        f"{cluster.address} declares a GPU; start those that have one with "
        "`dask worker ADDRESS --nthreads 1 --resources GPU=1`, or use --device cpu",
    )


def _workers(cluster: Cluster) -> dict[str, Any]:
    return dict(cluster.client.scheduler_info(n_workers=-1)["workers"])


class _Sharing:
    """The tasks of one call: which are on the cluster, and what became of those that ended."""

    def __init__(
        self, cluster: Cluster, activity: ACTIVITY | None, say: Callable[[str], None] | None
    ) -> None:
        self.cluster, self.activity, self.say = cluster, activity, say
        self.alone: float | None = None
        self.begun: Counter[str] = Counter()
        self.beside: Counter[str] = Counter()
        self.name = f"losscope-{uuid.uuid4().hex}"
        self.deaths = Deaths(activity)
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.tasks: dict[str, Group] = {}
        self.futures: dict[str, Future[Ended]] = {}
        self.folders: dict[str, Path] = {}

    def run(self, groups: Sequence[Group]) -> None:
        """Do all groups; Ctrl-C and a mistake of the user's cancel what is left."""
        client = self.cluster.client
        client.subscribe_topic(self.name, lambda event: self.events.put(event[1]))
        try:
            for group in groups:
                self.submit(group)
            while self.tasks:
                try:
                    self.hear(self.events.get(timeout=LOOK))
                except queue.Empty:
                    self.look()
        except BaseException:
            self.cancel()
            raise
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                client.unsubscribe_topic(self.name)
            for folder in self.folders.values():
                _remove(folder)

    def submit(self, group: Group) -> None:
        """Give a group to the cluster; its task has a name that no other ever had."""
        place = Path(group.where.store).absolute()
        folder = self.folders.setdefault(group.where.store, temporary(place / "command"))
        with disk_errors(place):
            make_folder(folder)
        key = f"{self.name}-{group.name}-{uuid.uuid4().hex[:6]}"
        where = replace(group.where, store=str(place))
        future = self.cluster.client.submit(
            work,
            replace(group, where=where),
            str(folder),
            self.name,
            os.getcwd(),
            key=key,
            resources={"GPU": 1} if where.device.startswith("cuda") else None,
        )
        self.tasks[key], self.futures[key] = group, future
        future.add_done_callback(self.events.put)

    def look(self) -> None:
        """Say where a cluster has no workers; start those again that were started here and are gone."""
        try:
            found = _workers(self.cluster)
        except Exception:  # the scheduler is gone, which the tasks are told too
            return
        if found:
            self.alone = None
            return
        if self.alone is None:
            self.alone = time.monotonic()
            if self.say:
                self.say(f"Waiting for a worker of the Dask cluster at {self.cluster.address}.")
        if self.cluster.started is not None and time.monotonic() - self.alone > ALONE:
            self.alone, many = None, len(self.cluster.started.worker_spec)
            self.cluster.started.scale(0)
            self.cluster.started.scale(many)

    def hear(self, event: Any) -> None:
        """Take what a worker tells of its epochs, or the end of a task."""
        if isinstance(event, tuple | list):
            key, done, total = event
            if self.activity and key in self.tasks:
                self.activity(self.tasks[key], done, total)
            return
        group = self.tasks.pop(event.key, None)
        self.futures.pop(event.key, None)
        if group is None:
            return
        for again in self.after(group, event):
            self.submit(again)

    def after(self, group: Group, future: Future[Ended]) -> list[Group]:
        """What is to be trained now that a task has ended."""
        from distributed import KilledWorker

        if future.status == "finished":
            ended: Ended = future.result()
            if ended.how == "deaths":
                return self.lost(group)
            if ended.how == "over":
                fail(group, over_limit(group))
            if ended.how == "mistake":
                raise LosscopeError(ended.said)
            if ended.how == "interrupted":
                raise LosscopeError("the workers were told to stop; start the command again, it goes on")
            if self.activity:
                self.activity(group, group.runs[0].protocol.epochs, group.runs[0].protocol.epochs)
            return []
        if future.status != "error":
            raise LosscopeError(
                f"the Dask scheduler at {self.cluster.address} went away; what is stored is kept, and the "
                "same command goes on from it"
            )
        error = future.exception()
        if isinstance(error, KilledWorker):
            if "over" in tries(self.folders[group.where.store], group):
                fail(group, over_limit(group))
                return []
            return self.lost(group)
        if isinstance(error, ImportError) and str(error.name or "").partition(".")[0] == "losscope":
            raise LosscopeError(
                "a worker of the Dask cluster cannot import losscope; install the same version on all workers"
            )
        fail(group, f"{type(error).__name__}: {error}")
        return []

    def lost(self, group: Group) -> list[Group]:
        """Decide what becomes of a group whose worker ended, perhaps before it began or by its neighbour."""
        ended, before = tries(self.folders[group.where.store], group).count("begun"), self.begun[group.name]
        self.begun[group.name] = ended
        if ended == before and self.beside[group.name] < BESIDE:
            self.beside[group.name] += 1
            return [group]
        return self.deaths.after(group, ended=ended)

    def cancel(self) -> None:
        """Take back what waits, and have workers keep the unfinished states of what they train."""
        client = self.cluster.client
        with contextlib.suppress(Exception):  # a scheduler that is gone has nothing to cancel
            client.cancel(list(self.futures.values()), force=True)
            client.run(stop, self.name, on_error="ignore")


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):  # otherwise the next command sweeps it
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
