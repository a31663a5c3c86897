"""What a backend of the kernels gives, and the one place where it is chosen.

Both modules, ``numpy_backend`` and ``torch_backend``, satisfy ``Backend``: the same functions on a block of
R anchors, which overwrite their arrays. ``start`` is the number of the block's first row among the rows of
all members in one line; ``matrix``, ``positive`` and ``negative`` are (R, B), values and counts (R,).
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from losscope.pairs.kernels import numpy_backend, torch_backend

Array = Any
"""A NumPy array or a tensor, as the backend has it."""


class Backend(Protocol):
    """The inner loops of the losses over all tuples of a batch."""

    CELLS: int
    """Cells of a matrix worked on at once."""

    def array(self, tensor: Tensor) -> Array:
        """The numbers of a tensor, without gradient, in memory that they share."""

    def contrastive(
        self,
        start: int,
        matrix: Array,
        positive: Array,
        negative: Array,
        margin: Array,
        pulls: Array,
        pushes: Array,
        pulling: Array,
        pushing: Array,
        close: bool,
    ) -> None:
        """Fill values and active counts; squared distances become 1 at a positive and −max(0, m − d)/d at a
        negative, half the derivative of the terms by them.
        """

    def triplets(
        self,
        start: int,
        reach: Array,
        positive: Array,
        negative: Array,
        margin: Array,
        value: Array,
        active: Array,
        by_length: bool,
        close: bool,
    ) -> None:
        """See ``dispatch.triplet_slopes``, for R anchors."""

    def positive_against_negatives(
        self, start: int, matrix: Array, positive: Array, negative: Array, value: Array
    ) -> None:
        """Fill Σ_p log(1 + Σ_n exp(s_n − s_p)); similarities become its derivatives by them."""

    def own_against_all(self, start: int, matrix: Array, value: Array, anchors: int) -> None:
        """``positive_against_negatives`` where a member's row r has its positive in column r, and no mask."""

    def positives_among_all(
        self, start: int, matrix: Array, positive: Array, negative: Array, value: Array
    ) -> None:
        """Fill the mean over positives of −log softmax over all others; similarities become its slopes."""

    def multi_similarity(
        self,
        start: int,
        matrix: Array,
        positive: Array,
        negative: Array,
        alpha: Array,
        beta: Array,
        base: Array,
        value: Array,
    ) -> None:
        """Fill the terms of ``dispatch.multi_similarity``; cosines become the derivatives by them."""

    def circle(
        self,
        start: int,
        matrix: Array,
        positive: Array,
        negative: Array,
        margin: Array,
        scale: Array,
        value: Array,
    ) -> None:
        """Fill the terms of ``dispatch.circle``, 0 without a positive or a negative; cosines become the
        derivatives by them, the pairs' own weights held still.
        """


def backend_of(tensor: Tensor) -> Backend:
    """The backend for the device of a tensor: NumPy on the CPU, torch on every other."""
    return numpy_backend if tensor.is_cpu else torch_backend
