"""Test rows without the incomplete last batch of their loader (``drop_last``), from kept embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.core.results import RowOrder
from losscope.papers.shortcuts.subjects import MEASURES, place_of
from losscope.run.store import Store, Stored

BATCHES = (32, 128)
"""Usual batch sizes."""
ORDERS: tuple[RowOrder, ...] = ("stored", "by_class", "shuffled")


@dataclass(frozen=True)
class Dropped:
    """What runs are worth with all test rows, and without the last batch: (seeds, measures) each.

    ``kept``: queries and gallery without it. ``asked``: the kept queries ask all rows. ``rows``, ``dropped``
    and ``classes`` (seeds,): test rows, those dropped, and classes of which none is left.
    """

    whole: np.ndarray
    kept: np.ndarray
    asked: np.ndarray
    rows: np.ndarray
    dropped: np.ndarray
    classes: np.ndarray


def embeddings_of(run: Stored) -> tuple[np.ndarray, np.ndarray] | None:
    """Kept test embeddings (N, D) and labels (N,) without background; None where they are more or absent.

    >>> from types import SimpleNamespace
    >>> embeddings_of(SimpleNamespace(embeddings=dict)) is None
    True
    """
    found = run.embeddings()
    if set(found) != {"embeddings", "labels"} or found["labels"].ndim != 1:
        return None
    rows = found["labels"] >= 0
    return found["embeddings"][rows], found["labels"][rows].astype(np.int64)


def kept_rows(labels: np.ndarray, order: RowOrder, batch_size: int, seed: int) -> np.ndarray:
    """Which rows (N,) of labels (N,) are in whole batches; all where there is no whole batch.

    >>> kept_rows(np.array([1, 0, 1, 0, 1]), "by_class", 2, 0).tolist()
    [True, True, True, True, False]
    >>> kept_rows(np.array([1, 0]), "stored", 3, 0).tolist()
    [True, True]
    """
    count = len(labels)
    whole = count - count % batch_size
    if order == "by_class":
        rank = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
    else:
        rank = np.random.default_rng(seed).permutation(count) if order == "shuffled" else np.arange(count)
    return rank < (whole or count)


def dropped(
    runs: Sequence[Stored], cells: Sequence[tuple[RowOrder, int]], store: Store
) -> dict[tuple[RowOrder, int], Dropped] | None:
    """What the runs of one side are worth without the last batch, for each order and batch size.

    From the store where it is kept, else measured now and kept there. None where a run has no kept
    embeddings of one modality with one label each.
    """
    path = place_of(runs, *cells)
    known = store.read_json(path)
    found: list[Any] = [] if known is None else known["cells"]
    for run in runs if known is None else ():
        read = embeddings_of(run)
        if read is None:
            return None
        found.append([[part.tolist() for part in cell] for cell in of_rows(*read, cells, run.run.seed)])
    if known is None:
        store.write_json(path, {"runs": [run.id for run in runs], "cells": found})
    return {
        cell: Dropped(*(np.array(column) for column in zip(*(own[place] for own in found), strict=True)))
        for place, cell in enumerate(cells)
    }


def of_rows(
    embeddings: np.ndarray, labels: np.ndarray, cells: Sequence[tuple[RowOrder, int]], seed: int
) -> list[tuple[np.ndarray, ...]]:
    """The fields of ``Dropped`` for one run and each cell."""
    per_query, whole = _measured(embeddings, labels)
    made: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    found = []
    for order, size in cells:
        rows = kept_rows(labels, order, size, seed)
        key = rows.tobytes()
        if key not in made:
            alone = whole if rows.all() else _measured(embeddings[rows], labels[rows])[1]
            made[key] = alone, _mean(per_query[:, rows])
        gone = len(np.setdiff1d(labels, labels[rows]))
        counts = (np.array(count) for count in (len(rows), int((~rows).sum()), gone))
        found.append((whole, *made[key], *counts))
    return found


def _measured(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each query, (measures, N), and their means, (measures,)."""
    import torch

    from losscope.measures import evaluate

    _, detail = evaluate(torch.from_numpy(embeddings), torch.from_numpy(labels), names=MEASURES)
    per_query = np.stack([detail[f"per_query/{name}"].double().numpy() for name in MEASURES])
    return per_query, _mean(per_query)


def _mean(per_query: np.ndarray) -> np.ndarray:
    """Means over the queries that have a right answer, (measures,); NaN where none has."""
    asked = np.isfinite(per_query)
    sums, counts = np.where(asked, per_query, 0.0).sum(axis=1), asked.sum(axis=1)
    return np.asarray(np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0))
