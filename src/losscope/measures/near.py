"""The nearest items of a few queries without the whole table of distances in float64.

Where few of many items are wanted, float32 finds all that can be among them and float64 measures these alone.
What is found is what the whole table holds, but for what rounding in the 16th digit may do (``edges`` of a
ranking counts it).

The error of the product of two unit rows of D numbers in float32 is at most about (D + 2)·u, u = 2⁻²⁴, in
whatever order it is added up: u for each row that is rounded to float32, and D·u (Higham 2002, section 3.1).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from losscope.measures.neighbours import CHUNK_PAIRS, DUPLICATE, STEP, Gallery, Near, nearest_places, rows_of

ROUNDING = 2.0**-24
SINGLE = 24
"""Float32 looks first where there are so many times as many items as are wanted."""
FEWEST = 1_024
"""Of fewer items the whole table is as quick."""
CROWDED = CHUNK_PAIRS // 4
"""Of more candidates at once the whole table is as quick: nearly all items are equally near."""
ODD = 1e-12
"""Rows whose squared length is farther from 1 are no unit rows: a zero row is not."""


def error_bound(width: int) -> float:
    """How far a squared distance of unit rows of ``width`` numbers may be from the true one in float32."""
    return 2.0 * (width + 16) * ROUNDING


@dataclass(frozen=True, eq=False)
class Finder:
    """Finds what is near each query in a gallery."""

    gallery: Gallery

    def near(self, queries: Tensor, wanted: int) -> Near | None:
        """What holds the ``wanted`` nearest of queries (q, D), unit rows in float64, and all tied with them.

        None where the whole table is as quick: for a large part of a gallery, a small one, one in which
        nearly all items are equally near, one with zero rows, and on another device than the CPU.
        """
        count = len(self.gallery.rows)
        if queries.device.type != "cpu" or count < FEWEST or SINGLE * wanted > count or self._odd:
            return None
        margin = error_bound(queries.shape[1])
        table = self._twice(queries.float())
        places, foreseen = nearest_places(table, wanted, 2 * margin + 2 * STEP)
        if len(places) > CROWDED:
            return None
        starts, columns = rows_of(places, table.shape)
        own = columns if self._firsts is None else self._firsts[columns]
        products = _products(queries, self.gallery.rows, starts, own).mul_(-2.0)
        # Torch can be told to multiply float32 in fewer bits; then it does not know what is near.
        if float((products - torch.from_numpy(foreseen)).abs_().max()) > margin:
            return None
        return self._near(queries, starts, places, own, products)

    def _near(
        self, queries: Tensor, starts: np.ndarray, places: np.ndarray, items: np.ndarray, products: Tensor
    ) -> Near:
        """Squared distances from minus twice the products (P,) of queries and ``items`` (P,)."""
        squared = products.add_(self.gallery.squares[torch.from_numpy(items)])
        lengths = (queries * queries).sum(-1)
        squared += lengths.repeat_interleave(torch.from_numpy(np.diff(starts)))
        torch.threshold_(squared, DUPLICATE, 0.0)
        return Near((len(queries), len(self.gallery.rows)), starts, places, squared)

    def _twice(self, queries: Tensor) -> Tensor:
        """(q, G) minus twice the products of float32 queries with all rows, overwritten by the next call."""
        table = self._held.resize_(len(queries), len(self._single))
        return torch.addmm(queries.new_zeros(1), queries, self._single.T, beta=0, alpha=-2.0, out=table)

    @cached_property
    def _held(self) -> Tensor:
        """A table that is used again and again: fresh memory is slow."""
        return torch.empty(0, dtype=torch.float32)

    @cached_property
    def _single(self) -> Tensor:
        return self.gallery.rows.float()

    @cached_property
    def _odd(self) -> bool:
        """Whether some rows are no unit rows."""
        return bool(((self.gallery.squares - 1.0).abs() > ODD).any())

    @cached_property
    def _firsts(self) -> np.ndarray | None:
        """(G,) the earliest row that equals each, None where no two are equal."""
        if not len(self.gallery.repeats):
            return None
        firsts = np.arange(len(self.gallery.rows))
        firsts[self.gallery.repeats.numpy()] = self.gallery.originals.numpy()
        return firsts


def _products(queries: Tensor, rows: Tensor, starts: np.ndarray, columns: np.ndarray) -> Tensor:
    """(P,) products of the queries (Q, D) with some rows each, in an order that is the same for all.

    >>> rows = torch.eye(2, dtype=torch.float64)
    >>> _products(rows, rows * 3, np.array([0, 1, 2]), np.array([0, 0])).tolist()
    [3.0, 0.0]
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)  # "is in beta state"
        wanted = torch.sparse_csr_tensor(
            torch.from_numpy(starts),
            torch.from_numpy(columns),
            torch.zeros(len(columns), dtype=rows.dtype),
            (len(queries), len(rows)),
            check_invariants=False,
        )
        return torch.sparse.sampled_addmm(wanted, queries, rows.T, beta=0.0).values()
