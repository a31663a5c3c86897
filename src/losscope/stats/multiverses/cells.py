"""What a multiverse is analysed from: settings, the cells they were trained in, their effects by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from losscope.core.results import PairScale

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Universe:
    """One claim on one data set over all settings.

    Attributes:
        claim: the claim's id.
        statement: the claim in words.
        data: the data set.
        pair: the losses A and B.
        delta: the indifference, the smaller of the measure's and a quarter of the published difference.
        direction: 1 where A above B is claimed, -1 where below.
        settings: the id of each setting, S of them.
        cells: which settings were trained as one population, (S,).
        choices: the values of each axis of the space, (S,), numbers or texts; those of one loss are named
            ``triplet.margin``.
        effects: A − B, or log(A / B), of each setting and seed, (S, n); NaN where a run failed.
        competent: whether each loss is within its measure's indifference of its best on validation, (S,);
            None where that is not known.
        null: the same effects in a multiverse of one loss under both names, (S, n).
        paper: the place of the paper's own setting, if it is among them. Nobody drew it: what is said of the
            space is said of the others.
        measure: what the effects are of.
        scale: ``log_ratio`` where the effects are logarithms of ratios.

    Raises:
        ValueError: arrays of other shapes, a direction other than 1 and -1, an indifference that is not
            above 0, or a place beyond the settings.

    >>> flat = Universe("c", "a is more", "digits", ("a", "b"), 0.01, 1, ("s0", "s1"), np.arange(2),
    ...                 {"margin": np.array([0.1, 0.2])}, np.array([[0.02, 0.04], [0.0, np.nan]]),
    ...                 np.ones(2, bool), None, None)
    >>> flat.means
    array([0.03,  nan])
    """

    claim: str
    statement: str
    data: str
    pair: tuple[str, str]
    delta: float
    direction: int
    settings: tuple[str, ...]
    cells: np.ndarray
    choices: Mapping[str, np.ndarray]
    effects: np.ndarray
    competent: np.ndarray | None
    null: np.ndarray | None
    paper: int | None
    measure: str = ""
    scale: PairScale = "difference"

    def __post_init__(self) -> None:
        count = len(self.settings)
        named = {"cells": self.cells, **self.choices}
        if self.competent is not None:
            named["competent"] = self.competent
        for name, values in named.items():
            if np.shape(values) != (count,):
                raise ValueError(f"{name} has the shape {np.shape(values)}; wanted: ({count},)")
        for name, found in (("effects", self.effects), ("null", self.null)):
            if found is not None and (np.ndim(found) != 2 or len(found) != count or np.shape(found)[1] < 1):
                raise ValueError(f"{name} has the shape {np.shape(found)}; wanted: ({count}, seeds)")
        if self.direction not in (1, -1):
            raise ValueError(f"direction is {self.direction}; wanted: 1 or -1")
        if not (np.isfinite(self.delta) and self.delta > 0):
            raise ValueError(f"delta is {self.delta}; wanted: a number above 0")
        if self.paper is not None and not 0 <= self.paper < count:
            raise ValueError(f"paper is {self.paper}; wanted: a place below {count}")

    @cached_property
    def means(self) -> np.ndarray:
        """The mean of each setting over its seeds, (S,); NaN where any of its runs failed."""
        return setting_means(self.effects)

    @cached_property
    def sampled(self) -> np.ndarray:
        """Which settings were drawn from the space, (S,): all but the paper's own."""
        found = np.ones(len(self.settings), dtype=bool)
        if self.paper is not None:
            found[self.paper] = False
        return found

    @cached_property
    def able(self) -> np.ndarray:
        """Which settings were drawn from the space and have an effect, (S,)."""
        found: np.ndarray = self.sampled & np.isfinite(self.means)
        return found

    @cached_property
    def signed(self) -> np.ndarray:
        """The effects in units of the indifference, above 0 in the claimed direction, (S,)."""
        found: np.ndarray = self.direction * self.means / self.delta
        return found

    @cached_property
    def cell_of(self) -> np.ndarray:
        """The place of each setting's cell among all cells, (S,)."""
        return numbered(self.cells)[0]

    @property
    def seeds(self) -> int:
        """Seeds of each setting."""
        return int(self.effects.shape[1])


def setting_means(effects: np.ndarray) -> np.ndarray:
    """The mean over seeds of effects (S, n); NaN where any of them is not finite.

    >>> setting_means(np.array([[1.0, 3.0], [1.0, np.inf]]))
    array([ 2., nan])
    """
    whole = np.isfinite(effects).all(axis=1)
    means = np.full(len(effects), np.nan)
    means[whole] = effects[whole].mean(axis=1)
    return means


def numbered(cells: np.ndarray) -> tuple[np.ndarray, int]:
    """The place of each setting's cell (S,) among those that there are, and how many these are.

    >>> numbered(np.array([7, 7, 2, 9]))
    (array([1, 1, 0, 2]), 3)
    """
    known, places = np.unique(cells, return_inverse=True)
    return places.reshape(-1), len(known)
