"""What is right for a query: an item of its class, one that shares a label with it, or one that is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import BACKGROUND, Roles
from losscope.data.readers.files import open_table
from losscope.data.readers.given import array_of, frame_of, is_frame
from losscope.inspecting.reading import PARTS, Rows, is_place

FIRST = ("query", "query_id", "query-id", "qid", "queries")
SECOND = (
    "gallery",
    "gallery_id",
    "gallery-id",
    "corpus-id",
    "corpus_id",
    "doc_id",
    "docid",
    "item",
    "item_id",
)
SCORES = ("score", "relevance", "rel", "label")
TOGETHER = 2**26
"""Pairs of a query and an item that are looked at at once."""


@dataclass(frozen=True, eq=False)
class Question:
    """Which rows ask (Q,), which are searched (G,), both ascending, and what is right."""

    rows: Rows
    queries: np.ndarray

    @cached_property
    def roles(self) -> Roles:
        """The roles of all rows, of which those that ask are a sample."""
        asks = np.zeros(len(self.rows), bool)
        asks[self.queries] = True
        given = self.rows.roles
        if given is None:
            return Roles(asks, np.ones(len(asks), bool))
        return replace(given, query=asks)

    @cached_property
    def gallery(self) -> np.ndarray:
        """(G,) the rows that are searched."""
        return np.flatnonzero(self.roles.gallery)

    @property
    def most(self) -> int:
        """The items that a query finds at least where cameras are no matter."""
        itself = bool(self.roles.gallery[self.queries].any())
        return len(self.gallery) - itself

    def barred(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(q, M) which of the items (q, M) or (M,) the queries (q,) may not find."""
        return self.roles.barred(queries, items, lambda: self.right(queries, items))

    def right(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(q, M) which of the items, (M,) for all queries or (q, M), are right for the queries (q,)."""
        rows = self.rows
        if rows.labels is not None and rows.matches is None:
            own = rows.labels[queries][:, None]
            return (own == rows.labels[items]) & (own != BACKGROUND)
        common = items if items.ndim == 1 else self.gallery
        if rows.matches is not None:
            table = rows.matches[queries][:, common].toarray()
        elif rows.tags is not None:
            table = (rows.tags[queries] @ rows.tags[common].T).toarray()
        else:
            table = np.zeros((len(queries), len(common)), bool)
        if items.ndim == 1:
            return table
        return np.take_along_axis(table, np.searchsorted(common, items), axis=1)

    @cached_property
    def counts(self) -> np.ndarray:
        """(Q,) how many items that a query may find are right."""
        rows = self.rows
        if rows.labels is not None and rows.matches is None:
            return self.roles.relevant(rows.labels)[self.queries]
        found = np.zeros(len(self.queries), np.int64)
        step = max(1, TOGETHER // len(self.gallery))
        for start in range(0, len(self.queries), step):
            own = self.queries[start : start + step]
            right = self.right(own, self.gallery) & ~self.barred(own, self.gallery)
            found[start : start + step] = right.sum(1)
        return found


def matched(rows: Rows, relevance: Any) -> Rows:
    """Rows with the pairs of a query and a right item; a query that has none is no query.

    Args:
        rows: of one file, or the queries and the gallery of two.
        relevance: a file or a data frame with a column of queries and one of gallery items, or pairs (P, 2).
            Items are named by their ids, or by their places from 0 where there are no ids. A third column of
            scores leaves out the pairs of 0 or less, or of none.

    Raises:
        LosscopeError: a file that cannot be read, items that are not there, no pair.
    """
    from scipy.sparse import coo_matrix

    where, pairs, notes = _pairs(relevance)
    sides = [_places(rows, pairs[:, side], part, where) for side, part in enumerate(PARTS)]
    require(len(pairs) > 0, f"{where} has no pairs; wanted: a query and a right item in each row")
    if rows.roles is not None:
        for side, allowed, part in ((0, rows.roles.query, "query"), (1, rows.roles.gallery, "gallery item")):
            strange = np.flatnonzero(~allowed[sides[side]])
            if len(strange):
                name = str(pairs[strange[0], side])
                raise LosscopeError(
                    f"{where}: {name!r} is no {part} here; wanted: a query and a gallery item"
                )
    count = len(rows)
    kept = sides[0] != sides[1]
    table = coo_matrix((np.ones(int(kept.sum()), bool), (sides[0][kept], sides[1][kept])), (count, count))
    matches = table.tocsr()
    matches.data[:] = True
    asks = np.diff(matches.indptr) > 0
    require(bool(asks.any()), f"{where} names every query as its own answer; wanted: other items")
    without = 0 if rows.roles is None else int((rows.roles.query & ~asks).sum())
    if without:
        notes.append(f"{without:,} queries without a right item in {where} do not ask")
    roles = Roles(asks, np.ones(count, bool)) if rows.roles is None else replace(rows.roles, query=asks)
    return replace(rows, matches=matches, roles=roles, notes=(*rows.notes, *notes))


def _pairs(given: Any) -> tuple[str, np.ndarray, list[str]]:
    """What the pairs are called, their items as text (P, 2), and how they were read."""
    if is_place(given):
        frame, where = open_table(Path(given).expanduser(), (*FIRST, *SECOND)).frame, repr(str(given))
    elif is_frame(given):
        frame, where = frame_of(given), "the table of relevant pairs"
    else:
        pairs = array_of(given, "the relevant pairs")
        require(
            pairs.ndim == 2 and pairs.shape[1] == 2,
            f"the relevant pairs are of shape {pairs.shape}; wanted: (pairs, 2), a query and a right item",
        )
        return "the relevant pairs", pairs.astype(str), []
    lower = {str(title).lower(): title for title in frame.columns}
    first, second, score = (
        next((lower[word] for word in usual if word in lower), None) for usual in (FIRST, SECOND, SCORES)
    )
    if first is None or second is None:
        require(
            len(lower) == 2,
            f"{where} has the columns {', '.join(map(str, list(frame.columns)[:8]))}; wanted: query and "
            "gallery",
        )
        first, second = list(frame.columns)
    notes = []
    if score is not None:
        try:
            low = ~(frame[score].astype(float) > 0)  # an empty cell says no more than 0
        except (ValueError, TypeError):
            raise LosscopeError(
                f"{where}: the column {score!r} holds no numbers; wanted: how relevant each item is, "
                "or no such column"
            ) from None
        if low.any():
            notes.append(
                f"{int(low.sum()):,} pairs of {where} with a {score} of 0 or less, or none, are not right"
            )
        frame = frame[~low]
    return where, np.stack([frame[title].astype(str).to_numpy(str) for title in (first, second)], 1), notes


def _places(rows: Rows, names: np.ndarray, part: str, where: str) -> np.ndarray:
    """(P,) the rows of items that are named by their ids, or by their places where there are no ids."""
    mine = np.arange(len(rows)) if rows.parts is None else np.flatnonzero(rows.parts == PARTS.index(part))
    known = (rows.places.astype(str) if rows.ids is None else rows.ids)[mine]
    order = np.argsort(known, kind="stable")
    twice = int((known[order][1:] == known[order][:-1]).sum())
    require(twice == 0, f"{twice:,} ids of the {part} items stand twice; wanted: each once, beside {where}")
    place = np.searchsorted(known[order], names).clip(max=len(known) - 1)
    absent = np.flatnonzero(known[order][place] != names)
    if len(absent):
        by = "place, counted from 0 (there are no ids)" if rows.ids is None else "id"
        raise LosscopeError(
            f"{where} names {len(np.unique(names[absent])):,} {part} items that are not there, such as "
            f"{str(names[absent[0]])!r}; wanted: each item by its {by}"
        )
    found: np.ndarray = mine[order[place]]
    return found


def said(rows: Rows, counts: Sequence[int] | np.ndarray) -> str | None:
    """Who asks whom, where not all rows search all others; ``counts``: right items of those that asked."""
    if rows.roles is None:
        return None
    labels = rows.labels if rows.labels is not None else np.zeros(len(rows), np.int64)
    text = rows.roles.searched(labels).said
    lone = int((np.asarray(counts) == 0).sum())
    return text if not lone or not rows.answerable else f"{text}; {lone:,} have no right answer there"
