"""How data are alike, and what data sets foretell of one like them.

Each loss's gap to the best is smoothed over the data sets by a fixed kernel of their distance, and shrunk
towards its average over families (docs/definitions.md, "Atlas"). Nothing is fitted to the atlas, so that
leaving a family out leaves out all that is known of it. No torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from losscope.core.errors import require, unknown
from losscope.core.quantities import GOALS
from losscope.core.results import (
    Atlas,
    AtlasEntry,
    AtlasGoal,
    DataSketch,
)
from losscope.stats.comparison import declared
from losscope.stats.intervals import t_half

FEWEST = 8
"""Data sets from which an atlas foretells anything."""
FEWEST_FAMILIES = 4
"""And families of them."""
TEN_TIMES = 1.0
"""How far apart data are of which one has ten times as many classes, rows a class, or dimensions."""
LOGIT = 2.0
"""Units of logit(raw) that are as far: from .5 to .88, or from .88 to .98."""
OTHER = 1.0
"""How far data of another kind are, those whose test classes are other ones, or of which one has no raw."""
SHRINKAGE = 1.0
"""The weight of the average over all: as of one family at distance 0."""
LEVEL = 0.05
ROUNDING = 1e-9
"""Means this near are equal: means of the same shares differ by rounding."""


# --- likeness --------------------------------------------------------------------------------------


def distance(a: DataSketch, b: DataSketch) -> float:
    """How far data are apart in the declared space.

    >>> few = DataSketch(kind="vectors", classes=10, rows=1000, dimension=64, disjoint=False, raw=0.9)
    >>> distance(few, few), round(distance(few, few.model_copy(update={"dimension": 640})), 6)
    (0.0, 1.0)
    """
    steps = [
        (_log(a.classes) - _log(b.classes)) / TEN_TIMES,
        (_log(a.rows_per_class) - _log(b.rows_per_class)) / TEN_TIMES,
        (_log(a.dimension) - _log(b.dimension)) / TEN_TIMES,
        OTHER * (kind_of(a) != kind_of(b)),
        OTHER * (a.disjoint != b.disjoint),
    ]
    if a.raw is not None and b.raw is not None:
        steps.append((_logit(a.raw) - _logit(b.raw)) / LOGIT)
    else:
        steps.append(OTHER * ((a.raw is None) != (b.raw is None)))
    return math.sqrt(sum(step * step for step in steps))


def kind_of(sketch: DataSketch) -> str:
    """Features are vectors: what made them is not known of either."""
    return "vectors" if sketch.kind == "features" else sketch.kind


def _log(number: float) -> float:
    return math.log10(max(number, 1.0))


def _logit(share: float) -> float:
    kept = min(max(share, 0.01), 0.99)
    return math.log(kept / (1 - kept))


# --- one data set of the atlas ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Known:
    """One data set with a goal: what each loss loses to the best, on the scale of the measure, and the rest.

    ``gaps`` (L,): at most 0. ``gain``: the best loss less the best side that trains nothing, None without
    one. ``pays``: whether it is above the indifference of the measure. ``firsts``: the losses than whose mean
    none is better: of equal ones all.
    """

    name: str
    family: str
    sketch: DataSketch
    measure: str
    gaps: np.ndarray
    best: str
    firsts: tuple[str, ...]
    members: tuple[str, ...]
    gain: float | None
    digest: str | None = None

    def is_of(self, sketch: DataSketch, name: str, digest: str | None) -> bool:
        """Whether these are the data of a sketch: equal in content, or in name and all that is known."""
        if self.digest is not None and self.digest == digest:
            return True
        return self.name == name and self.sketch == sketch

    @property
    def pays(self) -> bool | None:
        """Whether training pays here."""
        return None if self.gain is None else self.gain > declared(self.measure).delta


def known(entry: AtlasEntry, goal: AtlasGoal, losses: Sequence[str]) -> Known | None:
    """A data set as the prior takes it; None where a loss has no mean."""
    means = [goal.mean(loss) for loss in losses]
    if any(mean is None for mean in means) or not losses:
        return None
    values = np.array([_oriented(mean, goal.measure) for mean in means if mean is not None])
    if not np.isfinite(values).all():
        return None
    still = [_oriented(side.mean, goal.measure) for side in goal.sides if side.kind != "loss"]
    gain = float(values.max() - max(still)) if still and math.isfinite(max(still)) else None
    gaps = values - values.max()
    firsts = tuple(loss for loss, gap in zip(losses, gaps.tolist(), strict=True) if gap >= -ROUNDING)
    return Known(
        entry.name,
        entry.family,
        entry.sketch,
        goal.measure,
        gaps,
        goal.best if goal.best in firsts else firsts[0],
        firsts,
        tuple(name for name in goal.members if name in losses),
        gain,
        entry.digest,
    )


def _oriented(mean: float, measure: str) -> float:
    """A mean on its measure's scale, of which more is better."""
    found = declared(measure)
    value = mean if found.scale != "log_ratio" else math.log(mean) if mean > 0 else -math.inf
    return -value if found.better == "lower" else value


# --- the smoother ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """The data sets that foretell: those of an atlas for a goal, or all but a family of them."""

    losses: tuple[str, ...]
    rows: tuple[Known, ...]

    def without(self, family: str) -> Table:
        """The table without a family."""
        return Table(self.losses, tuple(row for row in self.rows if row.family != family))

    @cached_property
    def shares(self) -> np.ndarray:
        """(N,) of each data set within its family: families count alike, however many variants they have."""
        sizes = Counter(row.family for row in self.rows)
        return np.array([1 / sizes[row.family] for row in self.rows])

    @property
    def families(self) -> tuple[str, ...]:
        """The families, each once."""
        return tuple(dict.fromkeys(row.family for row in self.rows))

    @cached_property
    def gaps(self) -> np.ndarray:
        """(N, L)."""
        return np.stack([row.gaps for row in self.rows])

    @cached_property
    def average(self) -> np.ndarray:
        """(L,) each loss's gap, averaged over families."""
        mean: np.ndarray = self.shares @ self.gaps / self.shares.sum()
        return mean

    @property
    def best_on_average(self) -> str:
        """The loss whose gap is the smallest on average; of equal ones the first."""
        return self.losses[int(self.average.argmax())]

    @cached_property
    def wins(self) -> Counter[str]:
        """On how many data sets no mean is better than a loss's own."""
        return Counter(loss for row in self.rows for loss in row.firsts)

    @cached_property
    def memberships(self) -> Counter[str]:
        """On how many each cannot be told from the best."""
        return Counter(name for row in self.rows for name in row.members)

    @cached_property
    def most_frequent(self) -> str:
        """The loss that wins in most families (a variant counts for its share, and each of equal means too),
        then is most often among the best, then is the best on average."""
        won, among = dict.fromkeys(self.losses, 0.0), dict.fromkeys(self.losses, 0.0)
        for row, share in zip(self.rows, self.shares, strict=True):
            for loss in row.firsts:
                won[loss] += float(share) / len(row.firsts)
            for name in row.members:
                among[name] += float(share)
        average = dict(zip(self.losses, self.average, strict=True))
        return max(self.losses, key=lambda loss: (round(won[loss], 9), round(among[loss], 9), average[loss]))

    def weights(self, sketch: DataSketch) -> tuple[np.ndarray, float]:
        """(N,) the share of each data set in what is foretold, summing to 1, and the share due to likeness.

        w ∝ exp(−d²/2)/n + λ/(F n), n the size of its family, F families.
        """
        apart = np.array([distance(sketch, row.sketch) for row in self.rows])
        kernel = np.exp(-np.square(apart) / 2) * self.shares
        total = kernel.sum() + SHRINKAGE
        return (kernel + SHRINKAGE * self.shares / self.shares.sum()) / total, float(kernel.sum() / total)

    def spread(self, weights: np.ndarray, values: np.ndarray) -> tuple[float, float, float] | None:
        """The weighted mean of values (N,) and where another data set like these has its own, at 95 %.

        mean ± t·s·√(1 + 1/m): m = 1/Σ_f v_f² families' worth of evidence, v_f the weight of a family, s² the
        weighted variance over families, m − 1 degrees of freedom. None below two families' worth.
        """
        weights = weights / weights.sum()
        mean = float(weights @ values)
        of = [np.array([row.family == family for row in self.rows]) for family in self.families]
        shares = np.array([float(weights[own].sum()) for own in of])
        worth = 1 / float(np.square(shares).sum())
        if worth < 2:
            return None
        variance = float(weights @ np.square(values - mean)) * worth / (worth - 1)
        half = t_half(1 - LEVEL, worth - 1) * math.sqrt(variance * (1 + 1 / worth))
        return mean, mean - half, mean + half

    def foretold(self, sketch: DataSketch) -> str:
        """The loss of the smallest gap on data like these; of equal ones the first."""
        return self.losses[int((self.weights(sketch)[0] @ self.gaps).argmax())]

    @cached_property
    def paying(self) -> Table:
        """The data sets that have a side which trains nothing."""
        return Table(self.losses, tuple(row for row in self.rows if row.gain is not None))

    @property
    def gains(self) -> np.ndarray:
        """(N,) what training brings on each, where each of them has that."""
        return np.array([row.gain for row in self.rows], dtype=np.float64)

    @cached_property
    def kernel(self) -> np.ndarray:
        """(N, N) how alike the data sets are to each other, from 0 to 1."""
        apart = [[distance(a.sketch, b.sketch) for b in self.rows] for a in self.rows]
        found: np.ndarray = np.exp(-np.square(np.array(apart)) / 2)
        return found

    @cached_property
    def others(self) -> np.ndarray:
        """(N, N) whether two data sets are of different families."""
        of = np.array([row.family for row in self.rows])
        apart: np.ndarray = of[:, None] != of
        return apart

    def left_out(self, values: np.ndarray, orders: np.ndarray | None = None) -> np.ndarray:
        """(P, N, K) values (N, K) of each data set as all other families foretell them.

        ``orders`` (P, N): whose sketch each data set is given; without them each its own, P = 1.
        """
        if orders is None:
            orders = np.arange(len(self.rows))[None]
        near = self.kernel[orders[:, :, None], orders[:, None, :]] * (self.others * self.shares)
        far = self.others * self.shares
        far = SHRINKAGE * far / far.sum(axis=1, keepdims=True)
        found: np.ndarray = (near + far) @ values / (near.sum(axis=-1) + SHRINKAGE)[..., None]
        return found

    @property
    def shufflings(self) -> int:
        """In how many ways families of equal size can swap their sketches."""
        sizes = Counter(Counter(row.family for row in self.rows).values())
        return math.prod(math.factorial(count) for count in sizes.values())

    def shuffled(self, rng: np.random.Generator, times: int) -> np.ndarray:
        """(times, N) whose sketch each data set has when families of equal size swap theirs at random."""
        places: dict[str, list[int]] = {}
        for place, row in enumerate(self.rows):
            places.setdefault(row.family, []).append(place)
        orders = np.tile(np.arange(len(self.rows)), (times, 1))
        for size in sorted({len(own) for own in places.values()}):
            alike = np.array([own for own in places.values() if len(own) == size])
            donors = rng.permuted(np.tile(np.arange(len(alike)), (times, 1)), axis=1)
            orders[:, alike] = alike[donors]
        return orders


def table(atlas: Atlas, goal: str) -> Table:
    """The data sets of an atlas that have a goal, with every loss's mean."""
    rows = []
    for entry in atlas.entries:
        found = entry.goal(goal)
        if found is not None and (row := known(entry, found, atlas.losses)) is not None:
            rows.append(row)
    return Table(atlas.losses, tuple(rows))


def foretells(atlas: Atlas, goal: str) -> bool:
    """Whether an atlas has enough data sets of a goal to foretell anything of it."""
    made = table(atlas, goal)
    return len(made.rows) >= FEWEST and len(made.families) >= FEWEST_FAMILIES


def check_prior(atlas: Atlas, goal: str) -> Table:
    """The data sets of a goal, if there are enough of them.

    Raises:
        LosscopeError: an unknown goal, or fewer than 8 data sets or 4 families have it.
    """
    if goal not in GOALS:
        raise unknown("goal", goal, GOALS)
    made = table(atlas, goal)
    there = f"{len(made.rows)} data sets of {len(made.families)} families for {goal}"
    require(
        foretells(atlas, goal),
        f"the atlas has {there}; wanted: at least {FEWEST} of {FEWEST_FAMILIES} families, as fewer foretell "
        "nothing",
    )
    return made
