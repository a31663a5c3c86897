"""What is read off a population by epoch, and the numbers that sum it up for each member."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from torch import Tensor

from losscope.measures import greediness


class Curves:
    """Rows (split, epoch, name, one value per member) and the numbers that sum up a run."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str, list[float]]] = []

    def add(self, split: str, epoch: int, name: str, values: Tensor | np.ndarray | list[float]) -> None:
        """Append one value per member; NaN where it does not exist."""
        self.rows.append((split, epoch, name, [float(value) for value in values]))

    def of(self, member: int) -> list[tuple[str, int, str, float]]:
        """The trace of one member, without the values that do not exist."""
        return [
            (split, epoch, name, values[member])
            for split, epoch, name, values in self.rows
            if math.isfinite(values[member])
        ]

    def curve(self, member: int, name: str, split: str | None = None) -> np.ndarray:
        """One member's values of a quantity by epoch."""
        return np.array([v[member] for of, _, n, v in self.rows if n == name and split in (None, of)])

    def summary(self, member: int, floor: bool) -> dict[str, float]:
        """The numbers of one run: the mean over its steps, and the epochs of decay.

        ``floor``: the loss has a positive floor, so that ``epochs_to_90`` and ``half_life`` do not exist.
        """
        grouped: dict[str, list[float]] = defaultdict(list)
        for split, epoch, name, values in self.rows:
            if epoch > 0 and split != "validation" and math.isfinite(values[member]):
                grouped[name].append(values[member])
        numbers = {name: float(np.mean(values)) for name, values in grouped.items()}
        active, valid = numbers.pop("active", math.nan), numbers.pop("valid", math.nan)
        if math.isfinite(active) and valid > 0:
            numbers["active_ratio"] = active / valid
        loss = self.curve(member, "loss")
        quality = self.curve(member, "map_at_r", "validation")
        decay = {
            "epochs_to_90": None if floor else greediness.epochs_to_90(loss),
            "half_life": None if floor else greediness.half_life(loss),
            "epochs_to_90_excess": greediness.epochs_to_90_excess(loss),
            "epochs_to_90_quality": greediness.epochs_to_90_quality(quality),
        }
        return {
            **numbers,
            **{name: math.nan if value is None else float(value) for name, value in decay.items()},
        }
