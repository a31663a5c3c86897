"""The plane of two leading principal components, on which a map shows embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGE = 200
"""Of more rows and dimensions the two components are found without all others."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Two axes through the mean of some unit rows.

    Attributes:
        mean: of the rows, (D,).
        axes: of unit length, (2, D); zeros where the rows have no such direction.
        explained: the share of the variance on each axis, (2,).
    """

    mean: np.ndarray
    axes: np.ndarray
    explained: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Plane:
        """The two leading principal components of unit rows (N, D).

        Signs are fixed by the largest loading, so that the same rows give the same axes.

        >>> Plane.of(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).explained.round(2).tolist()
        [0.75, 0.25]
        """
        points = np.asarray(rows, dtype=np.float64)
        mean = points.mean(axis=0)
        points = points - mean
        strengths, found = _leading(points)
        places = np.arange(len(found)), np.abs(found).argmax(axis=1)
        axes = np.zeros((2, points.shape[1]))
        axes[: len(found)] = found * np.sign(found[places])[:, None]
        explained, whole = np.zeros(2), float((points**2).sum())
        if whole > 0:
            explained[: len(found)] = strengths / whole
        return cls(mean, axes, explained)

    def place(self, rows: np.ndarray) -> np.ndarray:
        """(…, 2) where unit rows (…, D) lie on the plane."""
        placed: np.ndarray = (np.asarray(rows, dtype=np.float64) - self.mean) @ self.axes.T
        return placed


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows (N, D) at length 1, in the type that they have; a row of zeros stays one.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    made: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
    return made


def _leading(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two largest eigenvalues of XᵀX for centred rows X (N, D), and their directions (2, D).

    Of fewer rows than dimensions they are found from the rows: XᵀX would be large and of low rank.
    """
    if min(points.shape) > LARGE:
        from scipy.sparse.linalg import LinearOperator, eigsh

        size = points.shape[1]
        product = LinearOperator((size, size), matvec=lambda v: points.T @ (points @ v), dtype=np.float64)
        # It begins at a fixed direction: the same rows give the same axes.
        values, vectors = eigsh(product, k=2, v0=points[0] + 1 / size, tol=1e-9)
        return values[::-1], vectors.T[::-1]
    if len(points) < points.shape[1]:
        _, lengths, directions = np.linalg.svd(points, full_matrices=False)
        return lengths[:2] ** 2, directions[:2]
    _, values, directions = np.linalg.svd(points.T @ points)
    return values[:2], directions[:2]
