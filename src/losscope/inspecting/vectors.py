"""Unit rows in float64, a block at a time, and the entropy of their directions."""

from __future__ import annotations

import numpy as np

BLOCK = 8_192
"""Rows that are turned into float64 at a time."""


def unit_blocks(vectors: np.ndarray) -> list[slice]:
    """Slices of the rows that are looked at together."""
    return [slice(start, start + BLOCK) for start in range(0, len(vectors), BLOCK)]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Unit rows in float64, a zero row stays zero."""
    rows = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return rows / np.where(norms > 0, norms, 1.0)[:, None]


def entropy_rank(squares: np.ndarray, count: int) -> float | None:
    """exp of the entropy of the singular values whose squares (D,) are given, of ``count`` unit rows.

    >>> entropy_rank(np.array([4.0, 4.0]), 8)
    2.0
    """
    values = np.sqrt(np.where(squares > 1e-13 * count, squares, 0.0))
    if not values.any():
        return None
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))
