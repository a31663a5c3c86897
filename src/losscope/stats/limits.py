"""What keeps a comparison open, and what would close it: seeds, other test data, or nothing that is left."""

from __future__ import annotations

import math

from losscope.core.results import Limit, Unit
from losscope.stats.comparison import Difference, declared
from losscope.stats.design import seeds_needed
from losscope.stats.intervals import mean_interval


def seeds_for_what_was_seen(row: Difference, *, tests: int, look: int) -> int | None:
    """Seeds that give power .8 at the difference that was seen, at the next look's level.

    It supposes that the difference seen is the true one, which is larger or smaller: it stands beside the
    seeds for a difference of ``delta``, never alone. None without a difference.

    >>> from losscope.stats.comparison import compare
    >>> row = compare([0.95, 0.99, 0.96, 0.98], [0.93, 0.94, 0.96, 0.93], "recall_at_1", alpha=0.04)
    >>> seeds_for_what_was_seen(row, tests=1, look=1)
    12
    """
    if not row.difference:
        return None
    return seeds_needed(row.sd, abs(row.difference), tests=tests, look=look + 1, paired=row.paired)


def limit_of(
    row: Difference, data: tuple[float, float] | None, *, unit: Unit, generated: bool
) -> Limit | None:
    """Why a pair is open. ``data``: the ends of its interval for data like these.

    ``saturated``: both means stand within the measure's own δ of the end of its scale. ``data``: other test
    items vary more than seeds do, v > s²/S, or seeds are no replicates. Else ``seeds``.
    """
    what = declared(row.measure)
    low, high = what.range
    end = {"higher": high, "lower": low, "neither": math.inf}[what.better]
    means = [mean for mean in (row.mean_a, row.mean_b) if mean is not None]
    if len(means) == 2 and math.isfinite(end) and max(abs(end - mean) for mean in means) <= what.delta:
        return "saturated"
    if row.difference is None:
        return None
    if unit != "seed":
        return "data"
    seeds = mean_interval(row.differences) if row.differences else None
    if data is None or generated or seeds is None:
        return "seeds"
    return "data" if data[1] - data[0] > math.sqrt(2) * (seeds[1] - seeds[0]) else "seeds"
