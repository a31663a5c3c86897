"""Groups of runs: what trains together as one population, and all that a worker needs to know of it.

Groups follow from the study, never from what is missing, so that a population is the same however often it is
interrupted.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from losscope.core.spec import Run
from losscope.run.code import code_digest

SEED_BLOCK = 10
"""Seeds of one group: blocks of this size, counted from seed 0."""
MOST_MEMBERS = 12
"""Members of one group, at most: more are no faster, and groups are what processes share out."""
MOST_BASELINES = 5
"""And of a baseline's, which is measured a member at a time."""
MEMORY_BUDGET = 2**26
"""Members × rows² of one group, at most."""
ACTIVITY = Callable[["Group", int, int], None]


@dataclass(frozen=True)
class Where:
    """Where runs are kept and computed.

    The store's folder, the folder of data sets, the device, what of a run is kept besides its numbers
    (``none``, ``last``, ``all``), the plugins that a worker loads first, with their texts' checksums, the
    checksum of losscope's own code, the data's digest where it is known, the seconds that a run may take
    (None: as long as it does), and the address of a Dask cluster.
    """

    store: str
    data_root: str | None
    device: str
    keep: str
    plugins: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    code: str = field(default_factory=code_digest)
    data: str | None = None
    run_limit: float | None = None
    address: str | None = None


@dataclass(frozen=True)
class Group:
    """Runs that train together, and all that a worker needs to know."""

    runs: tuple[Run, ...]
    ids: tuple[str, ...]
    where: Where

    @property
    def name(self) -> str:
        """A name from the members' ids, for the checkpoint."""
        return hashlib.sha256("".join(self.ids).encode()).hexdigest()[:20]

    @property
    def stacks(self) -> bool:
        """Whether the group is one stacked model (vectors and heads), or alone (convolutions, backbones)."""
        return self.runs[0].protocol.stacks

    @property
    def limit(self) -> float | None:
        """Seconds that the group may take: its members share every step, so each adds its own limit."""
        return None if self.where.run_limit is None else self.where.run_limit * len(self.runs)

    def alone(self) -> list[Group]:
        """Its members as groups of one, which have the same numbers."""
        pairs = zip(self.runs, self.ids, strict=True)
        return [Group((run,), (run_id,), self.where) for run, run_id in pairs]


def group(runs: Sequence[Run], ids: Sequence[str], where: Where) -> list[Group]:
    """Put runs of one family into groups: blocks of seeds, capped by memory, seed by seed.

    Runs of one seed stand side by side, since they share their batches. Convolutions on a CPU are faster one
    after the other, and so are groups of one.
    """
    families: dict[tuple[str, int], list[tuple[Run, str]]] = defaultdict(list)
    for run, run_id in zip(runs, ids, strict=True):
        families[run.family(), run.seed // SEED_BLOCK].append((run, run_id))
    groups = []
    for members in families.values():
        members.sort(key=lambda member: member[0].seed)
        first = members[0][0]
        alone = not first.protocol.stacks
        if first.loss.baseline:
            # Closed forms of a seed stay together: they share its covariances.
            most = MOST_BASELINES * len({run.loss.name for run, _ in members})
        elif alone and (where.device == "cpu" or first.protocol.finetunes):
            most = 1
        else:
            most = max(1, min(MOST_MEMBERS, MEMORY_BUDGET // (3 * first.protocol.batch_size) ** 2))
        # Parts as equal as can be and even in number, so that two processes end together.
        parts = math.ceil(len(members) / most)
        parts += parts % 2 if parts > 1 else 0
        size = math.ceil(len(members) / parts)
        for start in range(0, len(members), size):
            chunk = members[start : start + size]
            groups.append(Group(tuple(run for run, _ in chunk), tuple(i for _, i in chunk), where))
    return groups
