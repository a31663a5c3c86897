"""Sides without gradient descent: an embedding in closed form, fitted to the training part in one pass.

Each is z = turn(scale · (axes · (x − mean))), L2-normalised by what measures it. ``mean``, ``axes``,
``scale`` and ``turn`` come from the training part alone, in float64. A form that has a strength of shrinkage
returns one setting for each; which one is used is chosen on the validation part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from losscope.core.registry import register

SHRINKAGE = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Shares of the mean eigenvalue that are added to every eigenvalue; Ledoit and Wolf's stands beside them."""
CHUNK = 4096
"""Rows taken to float64 at once."""
NOTHING = 1e-24
"""Variance, as a share of the mean square of the rows, below which it is rounding."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Training rows (N, D) with labels (N,) 0..C−1, and what closed forms are made of, each computed once.

    ``links`` (P, 2): where there are no classes, the rows of each positive pair; Σ_W is then made of them.

    >>> sample = Sample(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]), np.array([0, 0, 1, 1]))
    >>> sample.mean.tolist(), sample.within.tolist()
    ([1.0, 2.0], [[1.0, 0.0], [0.0, 0.0]])
    """

    rows: np.ndarray
    labels: np.ndarray
    links: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Dimensions of a row."""
        return int(self.rows.shape[1])

    @cached_property
    def counts(self) -> np.ndarray:
        """Rows of each class, (C,)."""
        return np.bincount(self.labels)

    @cached_property
    def means(self) -> np.ndarray:
        """The mean of each class, (C, D)."""
        order = np.argsort(self.labels, kind="stable")
        starts = np.cumsum(self.counts) - self.counts
        return np.stack(
            [
                self.rows[order[start : start + count]].mean(axis=0, dtype=np.float64)
                for start, count in zip(starts, self.counts, strict=True)
            ]
        )

    @cached_property
    def mean(self) -> np.ndarray:
        """The mean of all rows, (D,)."""
        mean: np.ndarray = self.rows.mean(axis=0, dtype=np.float64)
        return mean

    @property
    def _deviations(self) -> Iterator[np.ndarray]:
        """What Σ_W is the mean square of, some rows at a time: x − class mean, or (x − x⁺)/√2 of a pair."""
        if self.links is not None:
            for start in range(0, len(self.links), CHUNK):
                first, second = (
                    self.rows[own].astype(np.float64) for own in self.links[start : start + CHUNK].T
                )
                yield (first - second) / math.sqrt(2)
            return
        for start in range(0, len(self.rows), CHUNK):
            part = slice(start, start + CHUNK)
            yield self.rows[part].astype(np.float64) - self.means[self.labels[part]]

    @property
    def _deviating(self) -> int:
        """How many there are of these."""
        return len(self.rows) if self.links is None else len(self.links)

    @cached_property
    def _within(self) -> tuple[np.ndarray, float]:
        """Σ_W, and the mean of ‖deviation‖⁴."""
        total, quartic = np.zeros((self.size, self.size)), 0.0
        for left in self._deviations:
            total += left.T @ left
            quartic += float(np.square(np.square(left).sum(axis=1)).sum())
        count = max(1, self._deviating)
        return total / count, quartic / count

    @property
    def within(self) -> np.ndarray:
        """Σ_W (D, D): the pooled within-class covariance, divided by N; of pairs, half the mean of
        (x − x⁺)(x − x⁺)ᵀ."""
        return self._within[0]

    @cached_property
    def between(self) -> np.ndarray:
        """Class means less the mean, each weighted by the root of its class's share of rows, (C, D)."""
        share: np.ndarray = np.sqrt(self.counts / len(self.rows))[:, None] * (self.means - self.mean)
        return share

    @cached_property
    def total_axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The principal components: variances (D,), the largest first, and directions (D, D) as columns."""
        if self.links is None:
            return _descending(self.within + self.between.T @ self.between)
        total = np.zeros((self.size, self.size))
        for start in range(0, len(self.rows), CHUNK):
            centred = self.rows[start : start + CHUNK] - self.mean
            total += centred.T @ centred
        return _descending(total / len(self.rows))

    @cached_property
    def within_axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The eigenvalues (D,) of Σ_W and its eigenvectors (D, D) as columns."""
        return _descending(self.within)

    @cached_property
    def square(self) -> float:
        """The mean square of the centred rows, by dimension: the scale that rounding is judged by."""
        return float(np.square(self.rows.astype(np.float64)).mean()) if self.rows.size else 0.0

    @property
    def ledoit_wolf(self) -> float:
        """Ledoit and Wolf's strength for Σ_W, ρ/(1 − ρ); infinite where ρ is 1 (J. Multivar. Anal. 2004)."""
        values, quartic = self.within_axes[0], self._within[1]
        squares = float(np.square(values).sum())
        distance = squares - self.size * float(values.mean()) ** 2
        noise = min((quartic - squares) / max(1, self._deviating), distance)
        return max(0.0, noise) / (distance - noise) if distance > noise else math.inf

    @cached_property
    def rank(self) -> int:
        """Principal components with a variance above rounding."""
        return self.above_rounding(self.total_axes[0])

    def above_rounding(self, variances: np.ndarray) -> int:
        """How many of some variances, the largest first, are more than rounding."""
        least = max(NOTHING * self.square, self.size * np.finfo(float).eps * float(variances[0]))
        return int((variances > least).sum())

    @cached_property
    def varies(self) -> bool:
        """Whether rows of one class, or of a pair, differ at all, so that there is something to whiten."""
        return float(self.within_axes[0].mean()) > NOTHING * self.square

    def projected(self, axes: np.ndarray) -> Sample:
        """The centred rows on axes (D, K)."""
        pieces = [
            (self.rows[start : start + CHUNK] - self.mean) @ axes for start in range(0, len(self.rows), CHUNK)
        ]
        return Sample(np.concatenate(pieces), self.labels, self.links)


@dataclass(frozen=True, eq=False)
class Setting:
    """A strength of shrinkage, None for a form without, and what follows from it.

    ``scale`` (R,) of each axis, ``turn`` (R, K) afterwards; None changes nothing.
    """

    shrinkage: float | None = None
    scale: np.ndarray | None = None
    turn: np.ndarray | None = None

    def apply(self, projected: np.ndarray) -> np.ndarray:
        """Rows (N, R) on the axes of a form -> embeddings (N, K)."""
        if self.scale is not None:
            projected = projected * self.scale
        return projected if self.turn is None else projected @ self.turn


class Form(Protocol):
    """A fitted form: of rows (``ClosedForm``), or of pairs of two modalities (``PairForm``)."""

    @property
    def settings(self) -> tuple[Any, ...]:
        """What validation chooses from; the last where it cannot."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a person should read."""

    def project(self, rows: np.ndarray) -> Any:
        """Rows on the axes of the form, from which each of its settings goes on."""

    def apply(self, setting: Any, projected: Any) -> np.ndarray:
        """Embeddings of projected rows under a setting, not normalised."""

    def weights(self, setting: Any) -> dict[str, np.ndarray]:
        """The arrays that embed a row under a setting."""


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """A fitted form: ``mean`` (D,), ``axes`` (D, R) or None for the input's own, and its settings.

    ``notes`` are sentences that a person should read. With several settings the last is taken where
    validation cannot choose.
    """

    mean: np.ndarray
    axes: np.ndarray | None
    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, D) less the mean, on the axes: float64 (N, R)."""
        centred = np.asarray(rows, dtype=np.float64) - self.mean
        return centred if self.axes is None else centred @ self.axes

    def apply(self, setting: Setting, projected: np.ndarray) -> np.ndarray:
        """Embeddings (N, K) of projected rows (N, R), not normalised."""
        return setting.apply(projected)

    def weights(self, setting: Setting) -> dict[str, np.ndarray]:
        """``mean`` (D,) and ``matrix`` (D, K): an embedding is (x − mean) @ matrix, L2-normalised."""
        axes = np.eye(len(self.mean)) if self.axes is None else self.axes
        matrix = np.ascontiguousarray(setting.apply(axes))
        return {"mean": self.mean.astype(np.float32), "matrix": matrix.astype(np.float32)}


def _descending(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, none below 0, and eigenvectors, the largest first."""
    values, vectors = np.linalg.eigh(covariance)
    return np.maximum(values[::-1], 0.0), np.ascontiguousarray(vectors[:, ::-1])


def _scales(sample: Sample) -> list[tuple[float | None, np.ndarray]]:
    """Each strength λ with (e/ē + λ)^(−1/2) of each axis, ē the mean eigenvalue; Ledoit and Wolf's last."""
    values = sample.within_axes[0]
    if not sample.varies:
        return [(None, np.ones(sample.size))]
    shares = values / values.mean()
    return [
        (strength, np.ones(sample.size) if math.isinf(strength) else 1 / np.sqrt(shares + strength))
        # Without any shrinkage a singular covariance has no inverse.
        for strength in (*SHRINKAGE, max(sample.ledoit_wolf, 1e-6))
    ]


FLAT = "no class has two training rows that differ, so there is no within-class covariance to whiten"
LONE = "no positive pair of the training part has two rows that differ, so there is nothing to whiten"


@register("closed_form", "pca", source="Pearson 1901; Hotelling 1933", title="principal components")
@register(
    "closed_form",
    "pca_full",
    source="Pearson 1901; Hotelling 1933",
    title="centred inputs, which are all principal components",
    of="pca",
)
def pca(sample: Sample, size: int | None) -> ClosedForm:
    """The rows less the mean of the training part, on its first principal components.

    At the input's own size, or without one, this is centring: a rotation changes no distance.
    """
    if size is None or size >= sample.size:
        return ClosedForm(sample.mean, None, (Setting(),))
    kept = max(1, min(size, sample.rank))
    notes = () if kept == size else (f"the training part spans {kept:,} dimensions, fewer than {size:,}",)
    return ClosedForm(sample.mean, sample.total_axes[1][:, :kept], (Setting(),), notes)


@register(
    "closed_form",
    "whitened",
    source="Bar-Hillel et al. 2005 (relevant component analysis); Hatch et al. 2006 (WCCN)",
    title="within-class whitening",
)
@register(
    "closed_form",
    "whitened_full",
    source="Bar-Hillel et al. 2005 (relevant component analysis); Hatch et al. 2006 (WCCN)",
    title="within-class whitening at the input's size",
    of="whitened",
)
def whitened(sample: Sample, size: int | None) -> ClosedForm:
    """T·(x − mean) with T = (Σ_W + λ·(mean eigenvalue)·I)^(−1/2), Σ_W the within-class covariance.

    Of pairs without classes Σ_W is half the covariance of positive differences, each pair in both orders.
    Below the input's size its principal components are taken first. On the axes of Σ_W, which is T up to a
    rotation and a constant factor: neither changes a distance of normalised rows.
    """
    first = pca(sample, size)
    inner = sample if first.axes is None else sample.projected(first.axes)
    notes = first.notes if inner.varies else (*first.notes, FLAT if sample.links is None else LONE)
    axes = inner.within_axes[1] if first.axes is None else first.axes @ inner.within_axes[1]
    settings = tuple(Setting(strength, scale) for strength, scale in _scales(inner))
    return ClosedForm(sample.mean, axes, settings, notes)


@register(
    "closed_form",
    "lda",
    source="Fisher 1936; Rao 1948",
    title="linear discriminant analysis",
    unseen=False,
)
@register(
    "closed_form",
    "lda_full",
    source="Fisher 1936; Rao 1948",
    title="linear discriminant analysis in all classes − 1 dimensions",
    unseen=False,
    of="lda",
)
def lda(sample: Sample, size: int | None) -> ClosedForm:
    """Whitened by Σ_W, then the principal components of the class means, at most C − 1.

    The class means are weighted by their classes' rows. Σ_W is shrunk as in ``whitened``.
    """
    most = min(len(sample.counts) - 1, sample.size, sample.size if size is None else size)
    axes = sample.within_axes[1]
    spread = sample.between @ axes
    settings = []
    for strength, scale in _scales(sample):
        _, lengths, directions = np.linalg.svd(spread * scale, full_matrices=False)
        rank = int((lengths > 1e-12 * lengths.max(initial=0.0)).sum())
        settings.append(Setting(strength, scale, directions[: max(1, min(most, rank))].T))
    return ClosedForm(sample.mean, axes, tuple(settings), () if sample.varies else (FLAT,))


@register(
    "closed_form",
    "transformed",
    source="signed square root: Perronnin et al. 2010; standardisation: common practice",
    title="the inputs as every side is given them, where tuning chose a transform, and no network",
    of="raw",
)
def transformed(sample: Sample, size: int | None) -> ClosedForm:
    """The transformed inputs as they are: what the transform alone does to ``raw``."""
    return ClosedForm(np.zeros(sample.size), None, (Setting(),))
