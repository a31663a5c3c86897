"""What a page shows of single test items: queries with their neighbours, and which classes fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ShownItem:
    """What stands for one row of the test part: a name or its text, and a small picture where there is one.

    Attributes:
        text: the row's text or name; empty where only its number is known.
        picture: the bytes of a PNG or WebP file; empty where there is none.
    """

    text: str = ""
    picture: bytes = b""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What one side finds for the queries of a page.

    Attributes:
        rows: (q, k) rows of the test embeddings, the nearest first; -1 where there are fewer than k.
        right: (q, k) whether each has the query's class, or shares one of its labels.
    """

    rows: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, eq=False)
class Examples:
    """Queries of one seed with their nearest neighbours under each side.

    Attributes:
        seed: the seed whose test embeddings these are.
        queries: (q,) rows of the test embeddings.
        found: each side's neighbours, the losses first.
        losses: how many of these sides are losses.
        labels: (N,) the class of each row, or (N, C) whether it has each label.
        modality: (N,) 0 the first and 1 the second modality, where there are two that ask for each other.
        asked: queries of this seed that have a right answer.
        apart: of these, those whose nearest neighbour is right under one loss and wrong under another.
        beside: those on which the losses agree, and a side without training differs.
        alone: by loss, the queries whose nearest neighbour is right under it and wrong under all others.
        chosen: how many of ``queries`` are of ``apart``; they stand first.
        items: what stands for a row, where the page has been given it.
    """

    seed: int
    queries: np.ndarray
    found: Mapping[str, Neighbours]
    losses: int
    labels: np.ndarray
    asked: int
    apart: int
    beside: int
    chosen: int
    modality: np.ndarray | None = None
    alone: Mapping[str, int] = field(default_factory=dict)
    items: Mapping[int, ShownItem] = field(default_factory=dict)

    @property
    def shown(self) -> list[int]:
        """The rows that stand on the page, queries and neighbours, each once, ascending."""
        rows = {int(row) for row in self.queries}
        for own in self.found.values():
            rows |= {int(row) for row in own.rows.ravel() if row >= 0}
        return sorted(rows)


@dataclass(frozen=True)
class Confusion:
    """How often a nearest neighbour of one class was found for a query of another."""

    asked: int
    found: int
    count: int


@dataclass(frozen=True, eq=False)
class ClassScores:
    """How one side does on every class.

    Attributes:
        labels: (C,) the classes.
        recall: (S, C) Recall@1 of the queries of each class, by seed; NaN where a seed has none of them.
        queries: (C,) how many queries of each class a seed has, the mean over seeds.
        confused: the pairs of classes that are mistaken most, the most frequent first.
        rest: no other pair is more frequent than this.
        seeds: over how many seeds these are counted.
        several: whether a row may have several labels; these are then the labels, and a query counts for each
            that it has.
    """

    labels: np.ndarray
    recall: np.ndarray
    queries: np.ndarray
    confused: tuple[Confusion, ...] = ()
    rest: int = 0
    seeds: int = 0
    several: bool = False
