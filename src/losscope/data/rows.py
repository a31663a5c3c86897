"""Which rows of a part its embeddings are of, where the rows of an item stand side by side."""

from __future__ import annotations

import numpy as np

from losscope.data.base import Part


def rows_shown(part: Part) -> np.ndarray:
    """Which row of a part each of its embeddings is of, those of the second modality counting on."""
    if part.second is None:
        return np.arange(len(part))
    return np.arange(2 * len(part)) if part.items is None else items_shown(part.items)


def items_shown(items: np.ndarray) -> np.ndarray:
    """Of pairs' rows, first modality below second, those that show each item (N, 2) for the first time."""
    first, second = (np.sort(np.unique(side, return_index=True)[1]) for side in items.T)
    return np.concatenate([first, len(items) + second])
