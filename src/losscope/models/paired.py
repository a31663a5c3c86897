"""Sides without gradient descent for two modalities: a projection of each into one space.

Each modality has a mean, axes and a scale of its own; what they share is how many dimensions they end in and
how these are weighted. All comes from the training pairs alone, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from losscope.core.registry import register
from losscope.models.closed import CHUNK, SHRINKAGE, ClosedForm, Sample, Setting

RIDGES = (0.0001, 0.001, *SHRINKAGE)
"""Shares of the mean variance that are added to the variance of every direction of both modalities."""
EXPONENTS = (0.0, 2.0, 4.0, 1.0)
"""Powers of its correlation that a dimension is weighted by, 0 weights all alike; the last where validation
cannot choose."""
FAINT = 1e-7
"""Correlation, as a share of the largest, below which it is rounding: it is the root of an eigenvalue."""
APART = "a modality is the same in all training pairs, so there is nothing that the two have in common"


@dataclass(frozen=True, eq=False)
class PairSample:
    """Training pairs: rows (N, D₁) of the first modality, and their partners (N, D₂) of the second.

    >>> sample = PairSample.of(np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 4.0]]), 2)
    >>> sample.first.mean.tolist(), sample.cross.tolist()
    ([1.0, 1.0], [[1.0], [0.0]])
    """

    first: Sample
    second: Sample

    @classmethod
    def of(cls, rows: np.ndarray, width: int) -> PairSample:
        """Of rows (N, D₁ + D₂) that have both side by side, the first ``width`` numbers the first modality's.

        All rows of a modality are one class, so that ``within`` is their whole covariance.
        """
        together = np.zeros(len(rows), np.int64)
        return cls(Sample(rows[:, :width], together), Sample(rows[:, width:], together))

    @cached_property
    def cross(self) -> np.ndarray:
        """The covariance (D₁, D₂) between the modalities, divided by N."""
        a, b = self.first, self.second
        total = np.zeros((a.size, b.size))
        for start in range(0, len(a.rows), CHUNK):
            part = slice(start, start + CHUNK)
            total += (a.rows[part] - a.mean).T @ (b.rows[part] - b.mean)
        return total / len(a.rows)


@dataclass(frozen=True, eq=False)
class PairSetting:
    """A strength of shrinkage and an exponent, and what follows from them for each modality.

    ``weight`` (K,) of the dimensions in which both end.
    """

    shrinkage: float
    exponent: float
    first: Setting
    second: Setting
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class PairForm:
    """A fitted form of two modalities: rows (N, D₁ + D₂) of both side by side -> (2·N, K), the first's first.

    ``settings`` and ``notes`` are as in ``ClosedForm``; those of ``first`` and ``second`` are not used.
    """

    first: ClosedForm
    second: ClosedForm
    settings: tuple[PairSetting, ...]
    notes: tuple[str, ...] = ()

    def project(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (N, D₁ + D₂) on the axes of each modality: float64 (N, R₁) and (N, R₂)."""
        width = len(self.first.mean)
        return self.first.project(rows[:, :width]), self.second.project(rows[:, width:])

    def apply(self, setting: PairSetting, projected: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Embeddings (2·N, K) of projected rows, not normalised."""
        sides = setting.first.apply(projected[0]), setting.second.apply(projected[1])
        both: np.ndarray = np.concatenate(sides) * setting.weight
        return both

    def weights(self, setting: PairSetting) -> dict[str, np.ndarray]:
        """``mean`` (D,) and ``matrix`` (D, K) of each modality, as ``first.mean`` and so on."""
        found: dict[str, np.ndarray] = {}
        for name, form, own in (
            ("first", self.first, setting.first),
            ("second", self.second, setting.second),
        ):
            for what, value in form.weights(own).items():
                found[f"{name}.{what}"] = value * setting.weight if what == "matrix" else value
        return found


@register(
    "closed_form",
    "cca",
    source="Hotelling 1936; ridge: Vinod 1976, Hardoon et al. 2004; weights: Gong et al. 2014",
    title="canonical correlation analysis of two modalities",
    inputs="pair",
)
def cca(sample: PairSample, size: int | None) -> PairForm:
    """Regularised canonical correlation analysis: the directions in which paired rows agree the most.

    A₁ = (Σ₁₁ + λ·v₁·I)^(−1/2)·U and A₂ = (Σ₂₂ + λ·v₂·I)^(−1/2)·V, with v the mean variance of a direction and
    U·diag(ρ)·Vᵀ the singular value decomposition of (Σ₁₁ + λ·v₁·I)^(−1/2)·Σ₁₂·(Σ₂₂ + λ·v₂·I)^(−1/2). A row
    of a modality is embedded as Aᵀ(x − mean), each dimension times ρ^p. It has min(size, rank) dimensions.
    """
    a, b = sample.first, sample.second
    kept = [_spanned(side) for side in (a, b)]
    if not all(values.size for values, _ in kept):
        return _nothing(sample)
    (first, axes), (second, others) = kept
    cross = axes.T @ sample.cross @ others
    settings = []
    for strength in (*RIDGES, max(a.ledoit_wolf, b.ledoit_wolf, 1e-6)):
        scales = _scale(first, a, strength), _scale(second, b, strength)
        turns, found = _correlated(scales[0][:, None] * cross * scales[1], size)
        own, other = (Setting(strength, scale, turn) for scale, turn in zip(scales, turns, strict=True))
        weights = found / found.max(initial=0.0) if found.any() else np.ones_like(found)
        settings += [PairSetting(strength, power, own, other, weights**power) for power in EXPONENTS]
    forms = ClosedForm(a.mean, axes, ()), ClosedForm(b.mean, others, ())
    most, wanted = settings[-1].weight.size, min(a.size, b.size)
    wanted = wanted if size is None else min(wanted, size)
    notes = () if most >= wanted else (_fewer(most, wanted),)
    return PairForm(*forms, tuple(settings), notes)


def _fewer(found: int, wanted: int) -> str:
    what = "dimension" if found == 1 else "dimensions"
    return f"the two modalities have {found:,} {what} in common, fewer than {wanted:,}"


def _spanned(side: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The variances (R,) that are above rounding, and their directions (D, R)."""
    values, axes = side.within_axes
    rank = side.above_rounding(values)
    return values[:rank], axes[:, :rank]


def _scale(values: np.ndarray, side: Sample, strength: float) -> np.ndarray:
    """(e + λ·ē)^(−1/2) of each direction's variance e, ē the mean over all; 1 for an infinite λ."""
    if math.isinf(strength):
        return np.ones(len(values))
    return 1 / np.sqrt(values + strength * float(side.within_axes[0].mean()))


def _correlated(table: np.ndarray, size: int | None) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The first singular vectors of a table (R₁, R₂), as (R₁, K) and (R₂, K), and their values (K,).

    By the eigenvectors of the smaller of its two products with itself.
    """
    if table.shape[0] > table.shape[1]:
        (second, first), found = _correlated(table.T, size)
        return (first, second), found
    squares, left = np.linalg.eigh(table @ table.T)
    found = np.sqrt(np.maximum(squares[::-1], 0.0))
    rank = max(1, int((found > FAINT * found[0]).sum()))
    kept = rank if size is None else min(size, rank)
    left, found = left[:, ::-1][:, :kept], found[:kept]
    right = (table.T @ left) / np.where(found > 0, found, 1.0)
    return (left, right), found


def _nothing(sample: PairSample) -> PairForm:
    """Every row at the origin, where one modality does not vary."""
    sides = [np.zeros((side.size, 1)) for side in (sample.first, sample.second)]
    forms = [ClosedForm(np.zeros(len(axes)), axes, ()) for axes in sides]
    plain = Setting()
    setting = PairSetting(RIDGES[0], EXPONENTS[0], plain, plain, np.ones(1))
    return PairForm(forms[0], forms[1], (setting,), (APART,))
