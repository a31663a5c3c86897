"""Which losses cannot be told from the best, and how all pairs lie (docs/definitions.md, "Group")."""

from __future__ import annotations

import math
from collections.abc import Sequence

from losscope.core.results import BestGroup, PairSize
from losscope.stats.comparison import Difference, declared
from losscope.stats.rows import Frame, Row, pair_row
from losscope.stats.sides import Side, plain

MOST = 20
"""Losses of which all pairs are listed; of more, the best by their means."""


def best_first(losses: Sequence[Side], measure: str) -> list[Side]:
    """The losses with a value, from the best mean to the worst; nothing where no direction is better."""
    better = declared(measure).better
    sign = {"higher": -1, "lower": 1, "neither": 0}[better]
    known = {side.name: [v for v in side.values(measure) if v is not None] for side in losses}
    able = [side for side in losses if known[side.name] and sign]
    return sorted(able, key=lambda side: sign * math.fsum(known[side.name]) / len(known[side.name]))


def best_group(frame: Frame, losses: Sequence[Side], measure: str) -> BestGroup | None:
    """The losses that are not shown worse than the one of the best mean; None where nothing can be tested.

    What is shown to be below it by less than matters is equivalent, as in every other verdict, and stays.

    Each other loss is compared with it, two-sided, at alpha/(L − 1): were the truly best loss another one, it
    would be put out only if its own comparison erred, which of L − 1 comparisons any does in at most alpha
    of studies, whichever of the others has the best mean.

    >>> from losscope.stats.sides import Measured, sides_of
    >>> runs = [Measured(name, seed, {"recall_at_1": base + seed % 3 / 100})
    ...         for name, base in (("a", 0.9), ("b", 0.9), ("c", 0.7)) for seed in range(8)]
    >>> best_group(Frame(False, 1, 0.04, True, (), "recall_at_1"), sides_of(runs), "recall_at_1").members
    ('a', 'b')
    """
    ranked = best_first(losses, measure)
    if len(ranked) < 2 or frame.folds:
        return None
    best, *rest = ranked
    rows = [pair_row(frame, best, side, measure) for side in rest]
    tests = len(rows)
    out = [row.b for row in rows if _shown(row, tests)]
    return BestGroup(
        measure=measure,
        best=best.name,
        members=tuple(side.name for side in ranked if side.name not in out),
        out=tuple(out),
        tests=tests,
        alpha=frame.alpha,
        able=any(row.found.p is not None and tests * row.found.smallest <= frame.alpha for row in rows),
    )


def _shown(row: Row, tests: int) -> bool:
    found = row.found
    better = {"higher": 1, "lower": -1}.get(declared(found.measure).better, 0)
    return (
        row.bar is None
        and found.complete
        and found.p is not None
        and tests * found.p <= found.alpha
        and found.leaning == better
        and not _equivalent(found)
    )


def _equivalent(found: Difference) -> bool:
    """Whether a difference lies inside what does not matter, before any correction: no table says more."""
    inside = found.p_outside is not None and found.p_outside <= found.alpha / 2
    if found.low is None or found.high is None:
        return inside
    return inside or -found.delta < found.low <= found.high < found.delta


def every_pair(
    frame: Frame, losses: Sequence[Side], measure: str, tested: Sequence[Row]
) -> tuple[PairSize, ...]:
    """Each pair of losses with its difference and interval, described; of over 20 losses the best 20."""
    ranked = best_first(losses, measure) or [side for side in losses if side.has(measure)]
    held = ranked[:MOST]
    known = {frozenset((row.a, row.b)) for row in tested if row.found.measure == measure}
    made = []
    for place, a in enumerate(held):
        for b in held[place + 1 :]:
            found = pair_row(frame, a, b, measure).found
            made.append(
                PairSize(
                    a=a.name,
                    b=b.name,
                    difference=plain(found.difference),
                    low=plain(found.low),
                    high=plain(found.high),
                    n=found.n,
                    scale=found.scale,
                    tested=frozenset((a.name, b.name)) in known,
                )
            )
    return tuple(made)
