"""Rows with several labels each: the class by which each is split and drawn into batches."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from losscope.core.errors import require
from losscope.data.base import TEST, VALIDATION, Draft
from losscope.data.deciding import PARTS
from losscope.data.tags import SHARED, Tags, decided


def by_rarest(draft: Draft, *, ignore: Any, label_noise: float, explicit: bool) -> Draft:
    """The draft with the rarest label of each row as its class, by which rows are split and drawn.

    Labels that ``ignore`` names are dropped; a row that has none left has no label.

    Raises:
        LosscopeError: what has a meaning only with one class for each row: finer labels, label noise,
            explicit tuples.
    """
    tags = draft.tags
    if tags is None:
        return draft
    name = draft.name
    for given, what in (
        (draft.fine_labels is not None, "finer labels"),
        (bool(label_noise), "label_noise"),
        (explicit or draft.pairs is not None or draft.triplets is not None, "explicit pairs or triplets"),
    ):
        require(not given, f"{name} has several labels in a row, and {what} too; wanted: one of the two")
    ignored, tags = tags.ignored(ignore), tags.without(ignore)
    counts = tags.table.sum(0)
    rarity = np.where(tags.table, counts, len(tags.table) + 1)
    labels = np.where(tags.table.any(1), rarity.argmin(1), np.nan)
    notes = [
        *draft.notes,
        SHARED.format(what=f"labels of {name}"),
        "rows are split and drawn into batches by their rarest label",
        *ignored,
    ]
    return dataclasses.replace(draft, labels=labels, class_names=tags.names, tags=tags, notes=notes)


def check_overlap(name: str, table: np.ndarray, role: np.ndarray) -> None:
    """Raise for a test part, or a given validation part, in which shared labels (N, C) decide nothing."""
    for part in (TEST, VALIDATION):
        if (rows := role == part).any():
            decided(Tags(table[rows], ()), f"the {PARTS[part]} part of {name}")
