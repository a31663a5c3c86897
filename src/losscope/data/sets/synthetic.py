"""The paper's synthetic data: overlapping Gaussian classes, noisy labels, far background points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.core.registry import register
from losscope.data import splits as rules
from losscope.data.base import About, Generated, Part, fingerprint
from losscope.data.checking import check_number, check_whole

VERSION = 1
"""Raised when the same seed gives other numbers; part of the digest."""

CENTRE, NOISE, OUTLIER, SUBCENTRE = 5.0, 1.4, 15.0, 2.5


@register(
    "data",
    "synthetic",
    title="The paper's synthetic data: Gaussian classes, noisy labels, background",
    n=2100,
    classes=10,
    modality="vectors",
    split="redrawn whole by seed; validation and test are fresh points, clean, without background",
    licence="generated",
    origin="generated as in the paper's own code",
    bundled=True,
)
def synthetic(
    root: Path | None,
    *,
    classes: int = 10,
    points: int = 200,
    dimensions: int = 128,
    label_noise: float = 0.1,
    outliers: float = 0.05,
    subclusters: int = 0,
) -> Generated:
    """The paper's generator: class c has a centre 5·N(0, I) and noise 1.4·L·N(0, I).

    L is the Cholesky factor of AAᵀ + 1e-3·I, A standard normal, one per class. Each training label is
    redrawn uniformly over the classes with probability ``label_noise``; ``outliers`` × classes × points
    rows 15·N(0, I) labelled -1 are added to the training rows; every row is L2-normalised. Validation
    (50 per class) and test (200 per class) are fresh points of the same centres and covariances, with clean
    labels and no background. With ``subclusters`` = K each class has K sub-centres, its centre plus
    2.5·N(0, I), numbered by the fine labels (of the true class, where the training label is noise).

    Source: Zeng 2025, the authors' notebook.
    """
    _check(classes, points, dimensions, label_noise, outliers, subclusters)
    background = round(outliers * classes * points)
    counts = (classes * points + background, classes * 50, classes * 200)

    def draw(seed: int) -> tuple[Part, Part, Part]:
        mixture = _mixture(seed, classes, dimensions, subclusters)
        train, labels, fine = _points(mixture, points, rules.generator(seed, "synthetic", "train"))
        noisy = rules.redraw_labels(labels, label_noise, rules.generator(seed, "synthetic", "label noise"))
        far = OUTLIER * rules.generator(seed, "synthetic", "outliers").standard_normal(
            (background, dimensions)
        )
        none = np.full(background, -1)
        return (
            _part(
                np.concatenate([train, far]),
                np.concatenate([noisy, none]),
                np.concatenate([fine, none]),
                subclusters,
            ),
            _part(*_points(mixture, 50, rules.generator(seed, "synthetic", "validation")), subclusters),
            _part(*_points(mixture, 200, rules.generator(seed, "synthetic", "test")), subclusters),
        )

    options = (classes, points, dimensions, label_noise, outliers, subclusters)
    facts = About(
        "synthetic",
        "The paper's synthetic data",
        "vectors",
        classes,
        counts[0],
        (dimensions,),
        "redrawn whole by seed",
        origin="generated",
        licence="generated",
        generated=True,
        class_names=tuple(str(number) for number in range(classes)),
        fine_names=tuple(
            f"{number // subclusters}.{number % subclusters}" for number in range(classes * subclusters)
        ),
        notes=(
            f"{label_noise:.0%} of the training labels are redrawn at random and {background:,} background "
            "rows are labelled -1; validation and test are clean",
        ),
    )
    return Generated(facts, fingerprint(more=f"synthetic {VERSION} {options}"), draw, counts, points)


def _check(
    classes: int, points: int, dimensions: int, label_noise: float, outliers: float, subclusters: int
) -> None:
    check_whole("classes", classes, 2)
    check_whole("points (per class)", points, 2)
    check_whole("dimensions", dimensions, 1)
    check_number("label_noise", label_noise, 0, "a share, from 0 to below 1", below=1)
    check_number("outliers", outliers, 0, "a share of the points, 0 or more")
    check_whole("subclusters (per class)", subclusters, 0)


def _mixture(seed: int, classes: int, dimensions: int, subclusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres (classes, K, dimensions) and Cholesky factors (classes, dimensions, dimensions)."""
    rng = rules.generator(seed, "synthetic", "classes")
    centres = CENTRE * rng.standard_normal((classes, 1, dimensions))
    roots = rng.standard_normal((classes, dimensions, dimensions))
    factors = np.linalg.cholesky(roots @ roots.transpose(0, 2, 1) + 1e-3 * np.eye(dimensions))
    if subclusters:
        rng = rules.generator(seed, "synthetic", "subclusters")
        centres = centres + SUBCENTRE * rng.standard_normal((classes, subclusters, dimensions))
    return centres, factors


def _points(
    mixture: tuple[np.ndarray, np.ndarray], each: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``each`` points per class, sub-clusters by turns: points, labels, fine labels."""
    centres, factors = mixture
    classes, subclusters, dimensions = centres.shape
    labels = np.repeat(np.arange(classes), each)
    sub = np.tile(np.arange(each) % subclusters, classes)
    draws = rng.standard_normal((classes, each, dimensions))
    noise = NOISE * draws @ factors.transpose(0, 2, 1)
    return centres[labels, sub] + noise.reshape(-1, dimensions), labels, labels * subclusters + sub


def _part(points: np.ndarray, labels: np.ndarray, fine: np.ndarray, subclusters: int) -> Part:
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return Part(
        unit.astype(np.float32), labels.astype(np.int64), fine.astype(np.int64) if subclusters else None
    )
