"""Several data sets: one answer over all, the unit a family of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope.core.results import AcrossData
from losscope.stats.resample import Null, holm, sign_flips
from losscope.stats.sides import plain

FEWEST = 6
"""Families of data sets that can be tested: five signs have no p below .05."""


@dataclass(frozen=True)
class OneData:
    """a − b on one data set, averaged over its seeds, on a scale with its indifference ``delta``.

    ``difference``: None where runs failed. Scales may differ between data sets, as near a ceiling.
    """

    data: str
    family: str
    difference: float | None
    delta: float


@dataclass(frozen=True)
class PairOnData:
    """Two sides and their difference on each data set."""

    a: str
    b: str
    on: tuple[OneData, ...]


def across_data(pairs: Sequence[PairOnData], *, alpha: float) -> tuple[AcrossData, ...]:
    """Each pair of a family of tests over several data sets, corrected together by Holm.

    Differences are divided by their data set's indifference, averaged over the data sets of a family, and
    tested by flipping signs. Equivalent where both one-sided p of a mean beyond ±1, corrected by a Holm of
    their own, are at most ``alpha``/2; else higher or lower where the corrected p is at most ``alpha``.

    >>> on = tuple(OneData(f"d{k}", f"f{k % 7}", 0.02 + k / 1000, 0.01) for k in range(9))
    >>> (found,) = across_data([PairOnData("a", "b", on)], alpha=0.04)
    >>> len(found.families), round(found.mean, 2), found.p, found.verdict
    (7, 2.4, 0.015625, 'higher')
    """
    nulls = [_null(pair) for pair in pairs]
    p = holm([None if null is None else null.p() for null in nulls])
    outside = holm([None if null is None else null.outside(1.0) for null in nulls])
    return tuple(
        _judged(pair, null, found, alpha, len(pairs))
        for pair, null, found in zip(pairs, nulls, zip(p, outside, strict=True), strict=True)
    )


def _families(pair: PairOnData) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for each in pair.on:
        own = None if each.difference is None else each.difference / each.delta
        found.setdefault(each.family, []).append(plain(own))
    return found


def _values(pair: PairOnData) -> list[float] | None:
    """The mean of each family; None where a data set has no difference."""
    found = _families(pair)
    if any(value is None for own in found.values() for value in own):
        return None
    return [float(np.mean([value for value in own if value is not None])) for own in found.values()]


def _null(pair: PairOnData) -> Null | None:
    values = _values(pair)
    return sign_flips(values) if values is not None and len(values) >= FEWEST else None


def _judged(
    pair: PairOnData, null: Null | None, ps: tuple[float | None, float | None], alpha: float, tests: int
) -> AcrossData:
    values = _values(pair)
    found = AcrossData(
        a=pair.a,
        b=pair.b,
        families=tuple(_families(pair)),
        values=tuple(values or ()),
        mean=None if values is None else float(np.mean(values)) if values else None,
        tests=tests,
        alpha=alpha,
    )
    if null is None:
        return found.model_copy(update={"reason": "failed" if values is None else "few_families"})
    p, outside = ps
    ends = null.interval(alpha) or (None, None)
    known = {"low": ends[0], "high": ends[1], "p": null.p(), "p_holm": p, "p_outside": null.outside(1.0)}
    found = found.model_copy(update=known)
    if tests * null.smallest > alpha:
        return found.model_copy(update={"reason": "few_families"})
    word = "unresolved"
    if outside is not None and outside <= alpha / 2:
        word = "equivalent"
    elif p is not None and p <= alpha and found.mean:
        word = "higher" if found.mean > 0 else "lower"
    return found.model_copy(update={"verdict": word})
