"""Data with a known answer: what is planted in each, at three strengths, from seeds that stand here.

Every number was fixed, from populations of other seeds, before any study of the package ran on the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Random = np.random.Generator
DIMENSIONS = 64
CLASSES = 60
ROWS = 20
NUISANCE = 4
"""Dimensions that hold no class and much noise, in ``drowned``."""
SHELLS = 4
SHELL_DIMENSIONS = 5
SHELL_ROWS = 500
SPREAD = 0.1
"""Standard deviation of the radius within a class, in ``nonlinear``."""


@dataclass(frozen=True)
class Planted:
    """Rows and their labels.

    ``unseen``: marks the test rows of class-disjoint data; with None the reader splits.
    ``known``: what the planted structure would give if it were known, by name: embeddings (N, ...) whose
    nearest neighbours by cosine are taken.
    """

    inputs: np.ndarray
    labels: np.ndarray
    unseen: np.ndarray | None
    known: dict[str, np.ndarray]

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of an npz file that losscope reads as features."""
        found = {"features": self.inputs.astype(np.float32), "labels": self.labels}
        if self.unseen is not None:
            found["split"] = np.where(self.unseen, "test", "train")
        return found

    @property
    def test(self) -> np.ndarray:
        """The rows on which the planted structure is looked at."""
        return np.ones(len(self.labels), bool) if self.unseen is None else self.unseen


def recall_at_1(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose nearest other row by cosine is of their class, in float64."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    return float((labels[cosine.argmax(1)] == labels).mean())


def whiten(inputs: np.ndarray, labels: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Inputs centred and whitened by the covariance within the classes of the rows ``fit``, unshrunk."""
    within = [
        inputs[rows] - inputs[rows].mean(0)
        for rows in (np.flatnonzero(fit & (labels == label)) for label in np.unique(labels[fit]))
    ]
    deviations = np.concatenate(within)
    values, vectors = np.linalg.eigh(deviations.T @ deviations / (len(deviations) - len(within)))
    return (inputs - inputs[fit].mean(0)) @ (vectors / np.sqrt(values))


def rotation(random: Random, dimensions: int) -> np.ndarray:
    """A rotation, so that no structure lies along the axes."""
    return np.linalg.qr(random.standard_normal((dimensions, dimensions)))[0]


def gaussian(random: Random, *, classes: int, rows: int, noise: float, nuisance: float) -> Planted:
    """Classes in 64 dimensions: centres N(0, I), and noise of one deviation in each dimension that matters.

    ``NUISANCE`` dimensions have the noise ``nuisance`` and the same centre for all classes; with 0 there are
    none, and the data are isotropic within classes and between them. The test is the last third of the
    classes.
    """
    labels = np.repeat(np.arange(classes), rows)
    scale = np.full(DIMENSIONS, noise)
    centres = random.standard_normal((classes, DIMENSIONS))
    if nuisance:
        scale[:NUISANCE] = nuisance
        centres[:, :NUISANCE] = 0.0
    points = centres[labels] + scale * random.standard_normal((len(labels), DIMENSIONS))
    kept = np.ones(DIMENSIONS)
    kept[:NUISANCE] = 0.0 if nuisance else 1.0
    return Planted(
        inputs=points @ rotation(random, DIMENSIONS),
        labels=labels,
        unseen=labels >= classes - classes // 3,
        known={"whitened": points / scale, "best": points * kept},
    )


def shells(random: Random, *, gap: float) -> Planted:
    """Classes that are shells: class c has radius 1 + c·gap, with spread, in directions that are uniform.

    A linear map followed by a length of 1 keeps nothing of the radius, so that no closed form and no linear
    head finds a class; the network needs a layer that is not linear.
    """
    labels = np.repeat(np.arange(SHELLS), SHELL_ROWS)
    directions = random.standard_normal((len(labels), SHELL_DIMENSIONS))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radius = 1 + gap * labels + SPREAD * random.standard_normal(len(labels))
    # An angle between 0 and 90 degrees that grows with the radius: its nearest by cosine is that by radius.
    angle = np.pi / 2 * (radius - radius.min()) / np.ptp(radius)
    return Planted(
        inputs=directions * radius[:, None],
        labels=labels,
        unseen=None,
        known={"best": np.stack([np.cos(angle), np.sin(angle)], axis=1)},
    )


def meaningless(random: Random, *, classes: int, rows: int) -> Planted:
    """Clusters of very unequal scales, under labels that have nothing to do with them."""
    labels = np.repeat(np.arange(classes), rows)
    scale = np.geomspace(0.3, 3, DIMENSIONS)
    centres = 2 * scale * random.standard_normal((24, DIMENSIONS))
    cluster = random.integers(24, size=len(labels))
    points = centres[cluster] + scale * random.standard_normal((len(labels), DIMENSIONS))
    return Planted(
        inputs=points @ rotation(random, DIMENSIONS),
        labels=labels,
        unseen=labels >= classes - classes // 3,
        known={},
    )


DRAWN: dict[tuple[str, str], Callable[[], Planted]] = {
    ("drowned", "strong"): lambda: gaussian(
        np.random.default_rng(1301), classes=CLASSES, rows=ROWS, noise=1.1, nuisance=8.0
    ),
    ("drowned", "medium"): lambda: gaussian(
        np.random.default_rng(1302), classes=CLASSES, rows=ROWS, noise=1.1, nuisance=5.0
    ),
    ("drowned", "weak"): lambda: gaussian(
        np.random.default_rng(1303), classes=CLASSES, rows=ROWS, noise=1.7, nuisance=2.8
    ),
    ("isotropic", "strong"): lambda: gaussian(
        np.random.default_rng(1311), classes=CLASSES, rows=ROWS, noise=1.6, nuisance=0.0
    ),
    ("isotropic", "medium"): lambda: gaussian(
        np.random.default_rng(1312), classes=CLASSES, rows=ROWS, noise=1.8, nuisance=0.0
    ),
    ("isotropic", "weak"): lambda: gaussian(
        np.random.default_rng(1313), classes=24, rows=10, noise=2.0, nuisance=0.0
    ),
    ("nonlinear", "strong"): lambda: shells(np.random.default_rng(1321), gap=0.5),
    ("nonlinear", "medium"): lambda: shells(np.random.default_rng(1322), gap=0.3),
    ("nonlinear", "weak"): lambda: shells(np.random.default_rng(1323), gap=0.04),
    ("noise", "large"): lambda: meaningless(np.random.default_rng(1331), classes=CLASSES, rows=40),
    ("noise", "middle"): lambda: meaningless(np.random.default_rng(1332), classes=CLASSES, rows=ROWS),
    ("noise", "small"): lambda: meaningless(np.random.default_rng(1333), classes=24, rows=10),
}


def drawn(name: str, strength: str) -> Planted:
    """The data of a case, the same at every call."""
    return DRAWN[name, strength]()
