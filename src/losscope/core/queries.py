"""Which rows of a test set ask, which are searched, and what a query may not find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from losscope.core.errors import LosscopeError, require, unknown

SameCamera = Literal["keep", "junk", "skip"]
"""What happens to a gallery item of the query's camera.

keep: it is ranked; junk: it is left out of the ranking if it has the query's class too (Market-1501's rule);
skip: it is left out whatever its class.
"""
BACKGROUND = -1


def same_camera_rule(given: str) -> SameCamera:
    """The rule of that name.

    Raises:
        LosscopeError: an unknown name.
    """
    for rule in get_args(SameCamera):
        if given == rule:
            return rule  # type: ignore[no-any-return]
    raise unknown("same_camera", given, get_args(SameCamera))


@dataclass(frozen=True)
class Searched:
    """How many rows ask and are searched; ``lone`` queries have no right answer, ``distractors`` no class."""

    queries: int
    lone: int
    gallery: int
    distractors: int
    same_camera: SameCamera

    @property
    def said(self) -> str:
        """As a person reads it.

        >>> Searched(40, 3, 160, 20, "junk").said
        "40 queries search a gallery of 160 (20 distractors), without items of the query's class and camera"
        """
        rule = {
            "keep": "",
            "junk": ", without items of the query's class and camera",
            "skip": ", without items of the query's camera",
        }
        more = f" ({self.distractors:,} distractors)" if self.distractors else ""
        who = "1 query searches" if self.queries == 1 else f"{self.queries:,} queries search"
        return f"{who} a gallery of {self.gallery:,}{more}{rule[self.same_camera]}"


@dataclass(frozen=True, eq=False)
class Roles:
    """The roles of N rows in retrieval.

    ``query`` and ``gallery`` are boolean (N,); a row may be both, and never finds itself. A gallery row
    labelled -1 is a distractor: it is ranked, and no right answer to any query. ``camera`` int64 (N,) numbers
    the cameras (or sequences, sites) that ``same_camera`` speaks of.

    Raises:
        LosscopeError: a rule without cameras.

    >>> roles = Roles(np.array([True, False, False]), np.array([False, True, True]))
    >>> roles.relevant(np.array([0, 0, 1])).tolist()
    [1, 0, 0]
    """

    query: np.ndarray
    gallery: np.ndarray
    camera: np.ndarray | None = None
    same_camera: SameCamera = "keep"

    def __post_init__(self) -> None:
        require(
            self.same_camera == "keep" or self.camera is not None,
            f"same_camera is {self.same_camera!r} but no row says its camera; wanted: a column or an array "
            "named camera",
        )
        for what, column in (("gallery marks", self.gallery), ("cameras", self.camera)):
            if column is not None and len(column) != len(self.query):
                raise LosscopeError(
                    f"{len(column):,} {what} but {len(self.query):,} query marks; wanted: one per row of each"
                )

    def __len__(self) -> int:
        return len(self.query)

    def take(self, rows: np.ndarray) -> Roles | None:
        """The roles of the given rows in that order; None if no row among them is a query."""
        if not self.query[rows].any():
            return None
        camera = None if self.camera is None else self.camera[rows]
        return Roles(self.query[rows], self.gallery[rows], camera, self.same_camera)

    def relevant(self, labels: np.ndarray, background: int | None = BACKGROUND) -> np.ndarray:
        """(N,) how many right answers the gallery holds for each query, 0 for other rows.

        Args:
            labels: (N,) of any kind.
            background: the label that is no class.
        """
        classes = np.unique(labels, return_inverse=True)[1]
        found = np.bincount(classes[self.gallery], minlength=len(labels))[classes]
        if self.camera is None or self.same_camera == "keep":
            found = found - self.gallery
        else:
            both = np.stack([classes, np.unique(self.camera, return_inverse=True)[1]])
            views = np.unique(both, axis=1, return_inverse=True)[1].reshape(-1)
            found = found - np.bincount(views[self.gallery], minlength=len(labels))[views]
        asks = self.query if background is None else self.query & (labels != background)
        return np.where(asks, found, 0)

    def barred(self, queries: np.ndarray, items: np.ndarray, right: Callable[[], np.ndarray]) -> np.ndarray:
        """(q, M) which items the queries may not find: themselves, and by the rule those of their camera.

        Args:
            queries: (q,) rows.
            items: (M,) rows, or (q, M), others for each query.
            right: gives (q, M) which of them are of the query's class; called where the rule asks.

        >>> roles = Roles(np.ones(3, bool), np.ones(3, bool), np.array([0, 0, 1]), "skip")
        >>> roles.barred(np.array([0]), np.arange(3), lambda: np.ones((1, 3), bool)).tolist()
        [[True, True, False]]
        """
        barred: np.ndarray = queries[:, None] == items
        if self.camera is None or self.same_camera == "keep":
            return barred
        same: np.ndarray = self.camera[queries][:, None] == self.camera[items]
        if self.same_camera == "junk":
            same &= right()
        both: np.ndarray = barred | same
        return both

    def searched(self, labels: np.ndarray) -> Searched:
        """The counts, for labels (N,) of which -1 is background."""
        asks = self.query & (labels != BACKGROUND)
        return Searched(
            queries=int(asks.sum()),
            lone=int((asks & (self.relevant(labels) == 0)).sum()),
            gallery=int(self.gallery.sum()),
            distractors=int((self.gallery & (labels == BACKGROUND)).sum()),
            same_camera=self.same_camera,
        )


def arrays_of(roles: Roles) -> dict[str, np.ndarray]:
    """The roles as the arrays of a file, under the names that readers look for.

    >>> sorted(arrays_of(Roles(np.array([True, False]), np.array([False, True]))))
    ['is_gallery', 'is_query']
    """
    arrays = {"is_query": roles.query, "is_gallery": roles.gallery}
    if roles.camera is not None:
        arrays |= {"camera": roles.camera, "same_camera": np.array(roles.same_camera)}
    return arrays


def checked_roles(name: str, roles: Roles, labels: np.ndarray, what: str = "test") -> list[str]:
    """Raise where no query can be answered; what a person must be told else.

    Args:
        name: of the data, for the message.
        roles: of the N rows of a part.
        labels: (N,) integers, -1 is background.
        what: the name of the part.
    """
    found = roles.searched(labels)
    rule = {
        "keep": "",
        "junk": " (items of the query's class and camera are junk)",
        "skip": " (items of the query's camera are left out)",
    }[roles.same_camera]
    if found.queries == found.lone:
        raise LosscopeError(
            f"{name}: none of {found.queries:,} {what} queries has a right answer in the gallery of "
            f"{found.gallery:,}{rule}; wanted: gallery items of the queries' classes"
        )
    notes = []
    if found.lone:
        have = "has" if found.lone == 1 else "have"
        notes.append(
            f"{found.lone:,} of {found.queries:,} {what} queries {have} no right answer in the gallery{rule}"
            ": left out of every mean"
        )
    unused = int((~roles.query & ~roles.gallery & (labels != BACKGROUND)).sum())
    if unused:
        are = "row is" if unused == 1 else "rows are"
        notes.append(f"{unused:,} {what} {are} neither query nor gallery: not in retrieval measures")
    return notes
