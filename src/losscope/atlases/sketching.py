"""What is known of data before anything trains on them: by this, data are like other data. No torch."""

from __future__ import annotations

import math

import numpy as np

from losscope.core.planes import unit_rows
from losscope.core.queries import BACKGROUND
from losscope.core.results import DataSketch
from losscope.data import Part, Source, Splits

SEEDS = (0, 1)
"""The seeds whose validation rows the raw inputs are measured on."""
PRODUCTS = 2.5e9
"""Products of numbers for each seed, beyond which fewer rows ask, so that a dry run stays short."""
LEAST_ASKED = 200
GRID = 2.0**20
"""Squared distances are compared after rounding to this grid, as the measures do."""
ROWS = 256
"""Rows that ask at once."""


def sketch(source: Source) -> DataSketch:
    """What is known of data before anything trains.

    ``raw`` is the Recall@1 of the L2-normalised inputs among the validation rows, averaged over two seeds; of
    many rows fewer ask, evenly spaced, among all of them. It is None for two modalities, for inputs that
    are not there yet, and where validation can decide nothing.

    >>> from losscope.data import load
    >>> found = sketch(load("digits"))
    >>> found.classes, found.rows, found.dimension, round(found.raw, 2)
    (10, 1008, 64, 0.95)
    """
    facts = source.facts
    classes = facts.classes
    if not facts.pending:
        labels = source.training_labels(SEEDS[0])
        classes = len(np.unique(labels[labels != BACKGROUND]))
    sizes = [math.prod(shape) for shape in (facts.shape, facts.second_shape) if shape]
    return DataSketch(
        kind=facts.kind,
        classes=classes,
        rows=source.sizes()[0],
        dimension=max(sizes, default=0),
        disjoint=facts.disjoint,
        raw=_raw(source),
    )


def _raw(source: Source) -> float | None:
    facts = source.facts
    if facts.pending or facts.kind == "pair" or source.undecided_validation(SEEDS[0]) is not None:
        return None
    found = []
    for seed in SEEDS:
        splits = source.splits(seed)
        if (value := recall(_inputs(splits), splits.validation)) is not None:
            found.append(value)
    return sum(found) / len(found) if found else None


def _inputs(splits: Splits) -> np.ndarray:
    """The validation inputs (N, D) as the baseline ``raw`` has them."""
    facts, rows = splits.facts, splits.validation.inputs
    made = rows.astype(np.float32)
    if rows.dtype == np.uint8:
        made /= 255
    if facts.mean and made.ndim > 2:
        mean, std = (np.array(value, dtype=np.float32)[:, None, None] for value in (facts.mean, facts.std))
        made = (made - mean) / std
    return made.reshape(len(made), -1)


def recall(inputs: np.ndarray, part: Part) -> float | None:
    """Recall@1 of inputs (N, D) by cosine among the rows of a part; None where no row has a right answer.

    Of rows that are equally near, the share of right ones counts. Queries and galleries, several labels of a
    row, and background rows are heeded.

    >>> rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> recall(rows, Part(rows, np.array([0, 0, 1, 1]))), recall(rows, Part(rows, np.array([0, 1, 0, 1])))
    (1.0, 0.0)
    """
    roles = part.retrieval
    known = np.flatnonzero(part.labels != BACKGROUND)
    asks = known if roles is None else np.flatnonzero(roles.query & (part.labels != BACKGROUND))
    gallery = known if roles is None else np.flatnonzero(roles.gallery)
    if not len(asks) or not len(gallery):
        return None
    unit = unit_rows(np.nan_to_num(inputs))
    most = max(LEAST_ASKED, int(PRODUCTS / (len(gallery) * unit.shape[1])))
    if len(asks) > most:
        asks = asks[np.linspace(0, len(asks) - 1, most).round().astype(np.int64)]
    right, asked = 0.0, 0
    for start in range(0, len(asks), ROWS):
        queries = asks[start : start + ROWS]
        same = _same(part, queries, gallery)
        if roles is None:
            barred = queries[:, None] == gallery
        else:
            barred = roles.barred(queries, gallery, lambda same=same: same)  # type: ignore[misc]
        squared = np.rint((2.0 - 2.0 * (unit[queries] @ unit[gallery].T).astype(np.float64)) * GRID)
        squared[barred] = np.inf
        nearest = squared.min(axis=1, keepdims=True)
        able = (same & ~barred).any(axis=1) & np.isfinite(nearest[:, 0])
        tied = (squared == nearest)[able]
        right += float(((tied & same[able]).sum(axis=1) / tied.sum(axis=1)).sum())
        asked += int(able.sum())
    return right / asked if asked else None


def _same(part: Part, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(q, g) whether a gallery row is right for a query."""
    if part.tags is not None:
        shared: np.ndarray = (
            part.tags[queries].astype(np.float32) @ part.tags[gallery].astype(np.float32).T > 0
        )
        return shared
    same: np.ndarray = part.labels[queries][:, None] == part.labels[gallery]
    return same
