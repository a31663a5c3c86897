"""The test embeddings that a run keeps, and what lies nearest to a query among them.

What may be found is what the run's measures let be found: never the query itself, of two modalities the
other one, of queries and gallery what the rule on cameras leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from losscope.core.planes import unit_rows
from losscope.core.queries import BACKGROUND, Roles, same_camera_rule
from losscope.run.store import Stored

GRID = 2.0**20
"""Squared distances are compared after rounding to this grid, as the measures do: equal ones by their row."""
ROWS = 256
"""Queries of one table of distances."""


@dataclass(frozen=True, eq=False)
class Kept:
    """The test embeddings of one run.

    ``embeddings`` (N, D) unit rows; ``labels`` (N,) classes with -1 the background, or (N, C) whether a row
    has each label; ``modality`` (N,) where there are two; ``roles`` where some rows ask and some are
    searched.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    modality: np.ndarray | None = None
    roles: Roles | None = None

    @classmethod
    def of(cls, run: Stored) -> Kept | None:
        """What a run keeps; None where it keeps no embeddings.

        Raises:
            Damaged: the run's file is not what was written.
        """
        found = run.embeddings()
        if not found:
            return None
        given = np.nan_to_num(np.asarray(found["embeddings"], dtype=np.float32))
        roles = None
        if "is_query" in found:
            rule = same_camera_rule(str(found["same_camera"])) if "same_camera" in found else "keep"
            roles = Roles(found["is_query"], found["is_gallery"], found.get("camera"), rule)
        return cls(unit_rows(given), found["labels"], found.get("modality"), roles)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def several(self) -> bool:
        """Whether a row may have several labels."""
        return self.labels.ndim == 2

    @cached_property
    def counted(self) -> np.ndarray:
        """The rows that per-query values are told for: all but the background."""
        return np.flatnonzero(self.labels.any(axis=1) if self.several else self.labels != BACKGROUND)

    def right(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(q, k) whether items (q, k) have the class of queries (q,), or share a label with them."""
        if self.several:
            shared: np.ndarray = (self.labels[queries][:, None] & self.labels[items]).any(axis=-1)
            return shared
        own = self.labels[queries]
        same: np.ndarray = (self.labels[items] == own[:, None]) & (own != BACKGROUND)[:, None]
        return same

    def nearest(self, queries: np.ndarray, most: int) -> np.ndarray:
        """(q, most) the rows nearest to rows ``queries`` (q,), the nearest first; -1 beyond the last one."""
        parts = [self._nearest(queries[start : start + ROWS], most) for start in range(0, len(queries), ROWS)]
        return np.concatenate(parts) if parts else np.empty((0, most), np.int64)

    def _nearest(self, queries: np.ndarray, most: int) -> np.ndarray:
        closeness = self.embeddings[queries] @ self.embeddings.T
        squared = np.rint((2.0 - 2.0 * closeness.astype(np.float64)) * GRID)
        barred = self._barred(queries)
        # Distance and row in one number, so that equal distances stand by their row.
        key = np.where(barred, np.inf, squared * len(self) + np.arange(len(self)))
        most_there = min(most, len(self))
        some = np.argpartition(key, most_there - 1, axis=1)[:, :most_there]
        keys = np.take_along_axis(key, some, axis=1)
        order = np.argsort(keys, axis=1)
        found = np.where(
            np.isfinite(np.take_along_axis(keys, order, 1)), np.take_along_axis(some, order, 1), -1
        )
        return np.pad(found, ((0, 0), (0, most - most_there)), constant_values=-1)

    def _barred(self, queries: np.ndarray) -> np.ndarray:
        """(q, N) what the queries may not find."""
        every = np.arange(len(self))
        if self.roles is None:
            barred: np.ndarray = queries[:, None] == every
        else:
            barred = self.roles.barred(queries, every, lambda: self.right(queries, every[None]))
            barred = barred | ~self.roles.gallery
        if self.modality is not None:
            barred = barred | (self.modality[queries][:, None] == self.modality)
        elif self.roles is None and not self.several:
            # A background row is no class's: it is neither asked nor found.
            barred = barred | (self.labels == BACKGROUND)
        return barred
