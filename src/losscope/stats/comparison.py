"""Two losses on one measure: the difference, its interval and its p, before any verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from losscope.core.errors import LosscopeError
from losscope.core.quantities import Quantity, quantity, unsplit
from losscope.core.results import NotComparable, PairScale
from losscope.stats import resample
from losscope.stats.design import smallest_p
from losscope.stats.intervals import mean_interval
from losscope.stats.unpaired import label_shuffles

CENSORED = ("epochs_to_90", "half_life")
"""Measures whose null means "not reached": right-censored, compared by order. (``epochs_to_90_excess`` and
``epochs_to_90_quality`` are null where they are undefined, which is no order.)"""

Values = Sequence[float | None]


def declared(measure: str) -> Quantity:
    """The quantity of a measure's name; ``intra_variance@test`` is intra_variance on another split.

    >>> declared("intra_variance@test").scale
    'log_ratio'
    """
    return quantity(unsplit(measure)[0])


def error_scale(measure: str) -> PairScale:
    """The scale of the errors of a measure: its own log ratio where lower is better, else that of 1 − value.

    >>> error_scale("eer"), error_scale("recall_at_1")
    ('log_ratio', 'log_error_ratio')
    """
    return "log_ratio" if declared(measure).better == "lower" else "log_error_ratio"


ROUNDING = 16 * np.finfo(np.float64).eps
"""Share of a value up to which two values of a seed are equal: their sums were rounded otherwise."""


ERRORS = math.log(1.25)
"""The indifference between errors that are compared by their ratio."""


@dataclass(frozen=True)
class Difference:
    """What the runs say of a minus b (on the log-ratio scale log a/b) on one measure.

    On the scale of errors it is log((1 − b) / (1 − a)), which is above 0 where a is higher.

    ``n``: pairs of runs with both values (unpaired: the smaller group); ``runs``: runs of a and of b;
    ``failed``: those that failed; ``missing``: pairs whose runs ended without a value.
    ``differences``: (n,) in the order of the seeds, empty if unpaired or compared by order; ``groups``:
    unpaired, the values of a and of b on the scale. ``difference``, ``low``, ``high``: mean and inverted
    interval at level 1 − alpha; ``p``: two-sided; ``p_outside``: of the hypothesis that the difference lies
    outside ±delta, one-sided; ``smallest``: the smallest p of so many runs; ``sd``: standard deviation of the
    differences (unpaired: the root of the sum of both variances, so that sd²/n is the variance of the
    difference at n runs per group). ``order``: for censored epochs, pairs in which a comes later, in which b
    does, and ties (unpaired: None, see ``p``). ``leaning``: 1 where a is higher or later, −1 where b is, 0 at
    a tie. ``reason``: why there is no difference, if there is none. ``discordant``: of a comparison over test
    items, how many of how many differ.
    """

    measure: str
    scale: PairScale
    delta: float
    paired: bool
    n: int
    runs: tuple[int, int]
    failed: tuple[int, int]
    missing: int
    alpha: float
    smallest: float
    mean_a: float | None = None
    mean_b: float | None = None
    differences: tuple[float, ...] = ()
    groups: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_outside: float | None = None
    sd: float | None = None
    order: tuple[int, int, int] | None = None
    leaning: int = 0
    reason: NotComparable | None = None
    discordant: tuple[int, int] | None = None

    @property
    def complete(self) -> bool:
        """Whether no run failed and no pair lacks a value: only then is there a p and a verdict."""
        return not any(self.failed) and not self.missing and self.n > 0

    def against(self, delta: float) -> Difference:
        """The same evidence judged by another indifference, as a claim does."""
        if delta == self.delta:
            return self
        found = replace(self, delta=delta)
        return found if self.p_outside is None else replace(found, p_outside=found.outside())

    def outside(self) -> float:
        """The one-sided p of a true difference outside ±delta.

        Of test items of which few differ the flips tell nothing: that all are equal in 18 items is likely at
        a difference of .05. A mean difference of delta, of items that differ by at most 1, needs a share of
        delta of them to differ; p is at least the chance of so few.
        """
        p = self._tested_outside()
        if self.discordant is None or self.discordant[0] >= FEW_DISCORDANT:
            return p
        return max(p, float(bdtr(*self.discordant, min(1.0, self.delta))))

    def _tested_outside(self) -> float:
        return _tests(self).outside(self.delta)


FEW_DISCORDANT = 10
"""Test items that differ below which their chance bounds the p of equivalence."""


def _tests(row: Difference) -> resample.Null:
    """The rearrangements of a comparison that has a difference."""
    return resample.sign_flips(row.differences) if row.paired else label_shuffles(*row.groups)


def null(value: float | None) -> bool:
    """Whether a value is absent: None, NaN or infinite."""
    return value is None or not math.isfinite(value)


def compare(
    a: Values,
    b: Values,
    measure: str,
    *,
    alpha: float,
    failed: tuple[Sequence[bool], Sequence[bool]] | None = None,
    paired: bool = True,
    delta: float | None = None,
    errors: bool = False,
) -> Difference:
    """Compare two losses' values (n,) of a measure; None or NaN is no value, paired values share a place.

    Paired: sign flips of the per-seed differences on the measure's scale (docs/definitions.md, "Test").
    Unpaired: shuffles of the labels of the two groups for Welch's t, on the same scale, and the interval that
    inverts them.
    ``failed``: masks of runs that failed, for a and b. With a failure, or a pair without a value, the
    estimate is that of the remaining runs and there is no p. For right-censored epochs with a null: the sign
    test on order, both unreached being a tie (unpaired: label shuffles of the ranks, the unreached last), and
    no difference or interval. Values that are not above 0 have no log ratio: no numbers and a ``reason``.
    ``errors``: by the ratio of errors, 1 − value, or the value itself where lower is better; δ is log 1.25.

    >>> row = compare([0.91, 0.93, 0.92, 0.94, 0.92, 0.95], [0.90, 0.90, 0.90, 0.90, 0.90, 0.90],
    ...               "recall_at_1", alpha=0.04)
    >>> round(row.difference, 3), row.p
    (0.028, 0.03125)

    Raises
    ------
    LosscopeError
        Unknown measure, or paired values of unequal number.
    """
    what = declared(measure)
    if paired and len(a) != len(b):
        raise LosscopeError(
            f"{len(a)} values against {len(b)}; a paired comparison wants one value per seed on each side"
        )
    lost = failed or ([False] * len(a), [False] * len(b))
    own = ERRORS if errors else what.delta
    censored = unsplit(measure)[0] in CENSORED
    base = Difference(
        measure=measure,
        scale=error_scale(measure) if errors else what.scale,
        delta=own if delta is None else delta,
        paired=paired,
        n=0,
        runs=(len(a), len(b)),
        failed=(sum(map(bool, lost[0])), sum(map(bool, lost[1]))),
        missing=0,
        alpha=alpha,
        smallest=1.0,
    )
    if paired:
        pairs = [(x, y) for x, y, i, j in zip(a, b, *lost, strict=True) if not (i or j)]
        return _paired(base, pairs, censored)
    groups = [[x for x, i in zip(side, mask, strict=True) if not i] for side, mask in zip((a, b), lost)]
    return _unpaired(base, groups[0], groups[1], censored)


def _late(epoch: float | None) -> float:
    return math.inf if epoch is None or null(epoch) else epoch


def _paired(base: Difference, pairs: list[tuple[float | None, float | None]], censored: bool) -> Difference:
    whole = [(x, y) for x, y in pairs if x is not None and y is not None and not (null(x) or null(y))]
    if censored and len(whole) < len(pairs):
        late = [(_late(x), _late(y)) for x, y in pairs]
        more, less = sum(x > y for x, y in late), sum(x < y for x, y in late)
        known = replace(
            base,
            n=len(pairs),
            smallest=min(1.0, 2 / 2 ** len(pairs)),
            order=(more, less, len(pairs) - more - less),
            leaning=(more > less) - (more < less),
            reason=NotComparable(why="unreached"),
        )
        return replace(known, p=resample.sign_test(more, less)) if known.complete else known
    base = replace(base, n=len(whole), missing=len(pairs) - len(whole), smallest=smallest_p(len(whole)))
    if not whole:
        return replace(base, reason=NotComparable(why="no_value"))
    x, y = np.array(whole, dtype=np.float64).T
    base = replace(base, mean_a=float(np.mean(x)), mean_b=float(np.mean(y)))
    equal = np.abs(x - y) <= ROUNDING * np.maximum(np.abs(x), np.abs(y))
    x, y = _on(base.scale, x), _on(base.scale, y)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return replace(base, reason=NotComparable(why="not_positive"))
    d = np.where(equal, 0.0, x - y)
    sd = float(d.std(ddof=1)) if len(d) > 1 else None
    mean = float(d.mean())
    if abs(mean) <= ROUNDING * float(np.abs(d).max()):  # what is left of differences that cancel
        mean = 0.0
    return _filled(replace(base, differences=tuple(d.tolist())), mean, sd)


def _on(scale: PairScale, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Values on a scale on which they are subtracted; not finite where they have no place on it."""
    x = np.asarray(values, dtype=np.float64)
    if scale == "difference":
        return x
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x) if scale == "log_ratio" else -np.log1p(-x)


def effects(
    a: np.ndarray, b: np.ndarray, measure: str, *, last: np.ndarray | int | None = None
) -> np.ndarray:
    """The differences that ``compare`` takes of paired values of any shape, NaN where there is none.

    ``a``, ``b``: NaN where a run failed or has no value. Of a right-censored measure an infinite value is one
    that was not reached: it counts as the epoch after the ``last`` that was trained, so that a pair of which
    one is reached has its sign and at least its size, and a pair of which none is has 0.

    >>> effects(np.array([0.9, np.nan]), np.array([0.8, 0.8]), "recall_at_1").round(3)
    array([0.1, nan])
    >>> effects(np.array([20.0, np.inf]), np.array([np.inf, np.inf]), "epochs_to_90", last=39).round(3)
    array([-0.693,  0.   ])
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if unsplit(measure)[0] in CENSORED and last is not None:
        x, y = (np.where(np.isposinf(side), np.asarray(last) + 1.0, side) for side in (x, y))
    equal = np.abs(x - y) <= ROUNDING * np.maximum(np.abs(x), np.abs(y))
    scale = declared(measure).scale
    with np.errstate(invalid="ignore"):
        found = np.where(equal, 0.0, _on(scale, x) - _on(scale, y))
    return np.where(np.isfinite(found), found, np.nan)


def _unpaired(
    base: Difference, a: Sequence[float | None], b: Sequence[float | None], censored: bool
) -> Difference:
    x, y = ([v for v in side if v is not None and not null(v)] for side in (a, b))
    gone = len(a) + len(b) - len(x) - len(y)
    if censored and gone and a and b:
        ranks = resample.midranks([_late(value) for value in (*a, *b)])
        tests = label_shuffles(ranks[: len(a)], ranks[len(a) :])
        tilt = ranks[: len(a)].mean() - ranks[len(a) :].mean()
        known = replace(
            base,
            n=min(len(a), len(b)),
            smallest=tests.smallest,
            leaning=int(np.sign(round(float(tilt), 9))),
            reason=NotComparable(why="unreached"),
        )
        return replace(known, p=tests.p()) if known.complete else known
    base = replace(base, n=min(len(x), len(y)), missing=gone)
    if base.n == 0:
        return replace(base, reason=NotComparable(why="no_value"))
    base = replace(base, mean_a=float(np.mean(x)), mean_b=float(np.mean(y)))
    x, y = _on(base.scale, x).tolist(), _on(base.scale, y).tolist()
    if not np.isfinite([*x, *y]).all():
        return replace(base, reason=NotComparable(why="not_positive"))
    sd = math.sqrt(np.var(x, ddof=1) + np.var(y, ddof=1)) if min(len(x), len(y)) > 1 else None
    return _filled(replace(base, groups=(tuple(x), tuple(y))), float(np.mean(x) - np.mean(y)), sd)


def _filled(base: Difference, difference: float, sd: float | None) -> Difference:
    tests = _tests(base)
    ends = tests.interval(base.alpha) or (None, None)
    return replace(
        base,
        smallest=tests.smallest,
        difference=difference,
        low=ends[0],
        high=ends[1],
        p=tests.p() if base.complete else None,
        p_outside=tests.outside(base.delta) if base.complete else None,
        sd=sd,
        leaning=(difference > 0) - (difference < 0),
    )


def correlations(x: np.ndarray, y: np.ndarray) -> list[float | None]:
    """Spearman's rank correlation of x and y over the cells of each seed. ``x``, ``y``: (S, cells).

    A cell (a loss at a margin) with a NaN is left out of its seed; None for a seed with fewer than three
    cells or with all ranks of a side equal.

    >>> correlations(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.0, 3.0, 2.0, 4.0]]))
    [0.8]
    """
    result: list[float | None] = []
    for row_x, row_y in zip(np.asarray(x, dtype=float), np.asarray(y, dtype=float), strict=True):
        kept = np.isfinite(row_x) & np.isfinite(row_y)
        u, v = resample.midranks(row_x[kept]), resample.midranks(row_y[kept])
        u, v = u - u.sum() / max(1, len(u)), v - v.sum() / max(1, len(v))
        norm = math.sqrt(float(u @ u) * float(v @ v))
        result.append(round(float(u @ v) / norm, 12) if len(u) >= 3 and norm > 0 else None)
    return result


def association(
    x: np.ndarray | Sequence[Sequence[float]],
    y: np.ndarray | Sequence[Sequence[float]],
    *,
    alpha: float,
    delta: float = 0.05,
) -> Difference:
    """Does y rise with x over losses and margins? Spearman per seed, sign flips over seeds, against 0.

    ``x``, ``y``: (S, cells), a cell being one loss at one margin. The comparison's differences are the
    correlations, its measure is named ``spearman``; a seed without a correlation is ``missing``.

    >>> row = association([[1, 2, 3]] * 6, [[1, 2, 3]] * 6, alpha=0.04)
    >>> row.difference, row.p
    (1.0, 0.03125)
    """
    rho = correlations(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    base = Difference(
        measure="spearman",
        scale="difference",
        delta=delta,
        paired=True,
        n=0,
        runs=(len(rho), len(rho)),
        failed=(0, 0),
        missing=0,
        alpha=alpha,
        smallest=1.0,
    )
    known = [r for r in rho if r is not None]
    base = replace(base, n=len(known), missing=len(rho) - len(known), smallest=smallest_p(len(known)))
    if not known:
        return replace(base, reason=NotComparable(why="no_correlation"))
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return _filled(replace(base, differences=tuple(known)), float(np.mean(known)), sd)


class Summary(NamedTuple):
    """A mean over seeds and the ends of its 95 % t interval; None where there is none."""

    mean: float | None
    low: float | None
    high: float | None


def summary(values: Values, measure: str) -> Summary:
    """Mean over seeds and its 95 % t interval; the ends are None with one seed.

    A t interval, since one loss's mean has no sign to flip; its ends are kept inside the measure's range
    (such as 0 to 1 for shares). Failed runs and nulls are left out, except that a
    right-censored measure with an unreached run has no mean: that of the runs that reached it would be of
    another, faster population.

    >>> summary([0.97, 0.99, None], "recall_at_1").high
    1.0
    """
    what = declared(measure)
    x = [v for v in values if v is not None and not null(v)]
    if not x or (unsplit(measure)[0] in CENSORED and len(x) < len(values)):
        return Summary(None, None, None)
    ends = mean_interval(x)
    if ends is None:
        return Summary(float(x[0]), None, None)
    floor, ceiling = what.range
    return Summary(float(np.mean(x)), max(floor, ends[0]), min(ceiling, ends[1]))
