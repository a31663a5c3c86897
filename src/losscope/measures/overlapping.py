"""Items with several labels each: right is what shares a label with the query.

What needs one class for each item (variance within classes, k-NN accuracy, clusters, verification) has no
meaning here and is not taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles

BY_OVERLAP = (
    "recall_at_1",
    "recall_at_5",
    "recall_at_10",
    "r_precision",
    "map_at_r",
    "mean_average_precision",
    "mean_reciprocal_rank",
    "hubness",
    "effective_rank",
    "uniformity",
)
"""What is measured of items with several labels each."""
WAYS = ("audio_to_visual", "visual_to_audio")
ACROSS = (
    *(f"{name}_{way}" for way in WAYS for name in ("map", "mrr", "median_rank")),
    *(f"recall_at_{k}_{way}" for way in WAYS for k in (1, 5, 10)),
    "recall_at_1_across",
    "modality_gap",
    "effective_rank",
)
"""The same where the items are of two modalities."""
BLOCK = 2**24
"""Pairs of items whose labels are compared at once."""


def shares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(A, B) whether items share a label, from their labels (A, C) and (B, C), booleans.

    >>> shares(np.array([[1, 1, 0]], bool), np.array([[0, 1, 1], [0, 0, 1]], bool)).tolist()
    [[True, False]]
    """
    found: np.ndarray = first.astype(np.float32) @ second.astype(np.float32).T > 0
    return found


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of the rows of a table that hold few enough pairs."""
    step = max(1, BLOCK // max(1, columns))
    return (slice(start, start + step) for start in range(0, rows, step))


def all_search_all(tags: np.ndarray) -> Roles:
    """Roles (N,) by which each item with a label asks all others with one, (N, C)."""
    labelled = np.asarray(tags.any(axis=1))
    return Roles(labelled, labelled)


def checked(tags: Any, count: int) -> np.ndarray:
    """Labels (N, C) of N items as booleans.

    Raises:
        LosscopeError: another shape, values other than 0 and 1.

    >>> checked([[1, 0], [1, 1]], 2).tolist()
    [[True, False], [True, True]]
    """
    given = np.asarray(tags)
    if given.ndim != 2 or len(given) != count:
        raise LosscopeError(
            f"labels have shape {given.shape}; wanted: ({count}, classes), one row for each item"
        )
    require(
        given.dtype.kind in "biuf" and bool(np.isin(given, (0, 1)).all()),
        "several labels for each item are a table of 0 and 1, (items, classes); other values were given",
    )
    return given.astype(bool)


def names_of(names: Any, *, paired: bool) -> list[str]:
    """The values to measure: those named, or all that several labels for each item leave a meaning.

    Raises:
        LosscopeError: a named value or measure that needs one class for each item.
    """
    able = ACROSS if paired else BY_OVERLAP
    if names is None:
        return list(able)
    chosen = [names] if isinstance(names, str) else list(names)
    for name in chosen:
        require(
            name in able,
            f"the measure {name!r} needs one class for each item, and these have several labels; choices: "
            f"{', '.join(able)}",
        )
    return chosen
