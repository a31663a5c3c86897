"""What labels mean, whatever they were written as: one set of rules for every reader."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losscope.core.errors import require


def plain_labels(labels: np.ndarray | None) -> np.ndarray | None:
    """Labels (N,) from (N,), (N, 1) or one-hot (N, C)."""
    if labels is None or labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    one_hot = labels.ndim == 2 and labels.dtype.kind in "fiub"
    one_hot = one_hot and bool(np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())
    require(one_hot, f"the labels are of shape {labels.shape}; wanted: (rows,), or one-hot (rows, classes)")
    return labels.argmax(1)


def numbered(values: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of any kind as int64 positions in a tuple of names; -1 among integers stays background.

    >>> numbered(np.array([7, 3, -1, 7]), ())
    (array([ 1,  0, -1,  1]), ('3', '7'))
    """
    values = np.asarray(values)
    require(values.ndim == 1, f"the labels are of shape {values.shape}; wanted: (rows,)")
    if values.dtype.kind == "f":
        require(
            bool(np.all(np.isfinite(values)) and np.all(values == np.round(values))),
            f"{int((~np.isfinite(values)).sum()):,} labels are missing, and others may have a fraction; "
            "wanted: whole numbers or names",
        )
        values = values.astype(np.int64)
    if names:
        values = values.astype(np.int64)
        require(
            bool(np.all((values >= -1) & (values < len(names)))),
            f"labels go from {values.min()} to {values.max()} but there are {len(names)} class names; "
            f"wanted: 0 to {len(names) - 1}, or -1 for background",
        )
        return values, tuple(names)
    if values.dtype.kind in "iub":
        values = values.astype(np.int64)
        known = np.unique(values[values != -1])
        return np.where(values == -1, -1, np.searchsorted(known, values)), tuple(map(str, known))
    known, place = np.unique(values.astype(str), return_inverse=True)
    return place.astype(np.int64), tuple(map(str, known))
