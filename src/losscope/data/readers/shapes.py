"""Arrays as inputs: which are images, which feature vectors, and what is averaged."""

from __future__ import annotations

import numpy as np

from losscope.data.base import Kind


def as_rows(array: np.ndarray, name: str) -> tuple[np.ndarray, Kind, list[str]]:
    """The inputs as they are to be trained on, their kind, and notes for the user."""
    if array.dtype == np.uint8 and array.ndim in (3, 4):
        if array.ndim == 3:
            return array[:, None], "images", []
        if array.shape[1] in (1, 3) or array.shape[3] not in (1, 3, 4):
            return array, "images", []
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2)[:, :3]), "images", []
    averaged, notes = _averaged(array, name)
    return averaged, "features", notes


def _averaged(array: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    if array.ndim <= 2 or array.dtype.kind != "f":
        return array, []
    inside = "×".join(map(str, array.shape[1:-1]))
    mean = array.mean(axis=tuple(range(1, array.ndim - 1)), dtype=np.float32)
    return mean, [
        f"{name} of shape {'×'.join(map(str, array.shape[1:]))} is averaged over its {inside} segments or "
        "places"
    ]
