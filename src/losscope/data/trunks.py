"""What lies below features that can be trained again: the backbone that made them, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Batch(NamedTuple):
    """Rows that go through a backbone together: ``places`` among those asked for, and ``values`` (n, ...)."""

    places: list[int]
    values: np.ndarray


class Trunk(Protocol):
    """A backbone whose weights may change, and the rows of a data set as it takes them.

    ``takes``: images, sounds or texts. ``digest``: SHA-256 of its weights and its preprocessing.
    """

    name: str

    @property
    def takes(self) -> str:
        """What a row is."""

    @property
    def digest(self) -> str:
        """Read from the files when asked for."""

    def open(self, device: str) -> Any:
        """A new ``torch.nn.Module`` with the backbone's weights, whose call on prepared rows gives features.

        Raises:
            LosscopeError: weights that cannot be read, or a backbone that is no module of torch.
        """

    def rows(self, positions: Sequence[int]) -> list[Batch]:
        """The rows at these positions of the source, prepared; those of one shape stand together."""
