"""What a trainer asks of a loss, whoever wrote it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from losscope.core.facts import Takes
from losscope.pairs import Relation, Terms

Hyperparameter = float | int | bool | str | Tensor
"""A value that all members share, or one per member, (M,)."""


@dataclass(frozen=True)
class Traits:
    """What is known of a loss.

    Attributes:
        takes: what one term is made of, and so what is drawn for it: ``pairs``, ``triplets`` or ``anchors``.
        normalised: whether it wants L2-normalised embeddings.
        hinge: whether terms can be inactive, so that the active ones are counted.
        counts: whether valid (and, of a hinge, active) terms are counted.
        floor: whether its least value is, or may be, above 0.
        reduction: how its terms become one number.
    """

    takes: Takes
    normalised: bool
    hinge: bool
    counts: bool
    floor: bool
    reduction: str


class Objective(ABC):
    """The loss of a population: ``objective(embeddings, relation, extra) -> (terms, loss (M,))``.

    Attributes:
        traits: what is known of the loss.
        hyperparameters: by name.
        force: the loss's force on each pair, or None; see ``losscope.core.registry.force_of``.
        provenance: what a record says of where the loss comes from, beyond the package's own version.
    """

    traits: Traits
    hyperparameters: Mapping[str, Hyperparameter]
    force: Callable[..., Tensor] | None
    provenance: Mapping[str, str]

    @abstractmethod
    def initial(self, embedding_size: int) -> list[dict[str, np.ndarray]]:
        """The loss's own parameters of each member, named ``loss.…``; empty where it has none."""

    @abstractmethod
    def __call__(
        self, embeddings: Tensor, relation: Relation, extra: Mapping[str, Tensor]
    ) -> tuple[Terms, Tensor]:
        """Terms and loss (M,) of embeddings (M, rows, D); ``extra``: the loss's own parameters by name."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the loss beside its parameters: tensors and plain values."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave."""
