"""Retrieval where some rows are queries and some the gallery, with rows that a query may not find.

A query never finds itself; by the rule ``same_camera`` it does not find gallery items of its camera either,
or those of its camera and class. Such items are at a distance beyond all others, so that ties, chunks and
the order of equally near items are those of ``losscope.measures.neighbours``. A gallery row labelled -1 is a
distractor, ranked and never right.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from losscope.core.queries import BACKGROUND, Roles
from losscope.core.registry import register
from losscope.measures import ties
from losscope.measures.neighbours import BEYOND, Gallery, Ranked, ranked, tied_with, unit
from losscope.measures.overlapping import all_search_all, blocks, shares
from losscope.measures.space import NULL, Measurement, Space, measured
from losscope.measures.ties import Ranking


@dataclass(frozen=True, eq=False)
class Search:
    """One member's queries and gallery.

    ``rows`` (N, D) unit rows; ``classes`` (N,) labels, where ``background`` is that of distractors (None:
    there are none); ``asking`` (Q,) and ``asked`` (G,) are positions of queries and gallery; ``places`` (Q,)
    those of the queries among the ``kept`` rows that per-query values are told for. ``fine_labels`` (N,) as
    measures take them, or None. ``tags`` (N, C), booleans: the labels of items that have several, of which a
    right answer shares one; then ``classes`` are 0, or -1 where an item has none.
    """

    rows: Tensor
    classes: np.ndarray
    roles: Roles
    background: int | None
    places: np.ndarray
    kept: int
    fine_labels: np.ndarray | None = None
    tags: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        rows: Tensor,
        classes: np.ndarray,
        roles: Roles,
        *,
        exclude: bool,
        fine_labels: np.ndarray | None = None,
        tags: np.ndarray | None = None,
    ) -> Search:
        """Prepare embeddings (N, D) with labels (N,); ``exclude``: -1 is no class."""
        stays = classes != BACKGROUND if exclude else np.ones(len(classes), bool)
        places = (np.cumsum(stays) - 1)[roles.query & stays]
        background = BACKGROUND if exclude else None
        return cls(unit(rows), classes, roles, background, places, int(stays.sum()), fine_labels, tags)

    @cached_property
    def asking(self) -> np.ndarray:
        """(Q,) positions of the queries."""
        asks = self.roles.query
        return np.flatnonzero(asks if self.background is None else asks & (self.classes != self.background))

    @cached_property
    def asked(self) -> np.ndarray:
        """(G,) positions of the gallery items."""
        return np.flatnonzero(self.roles.gallery)

    @cached_property
    def gallery(self) -> Gallery:
        """The gallery, prepared for search."""
        return Gallery.of(self.rows[torch.from_numpy(self.asked).to(self.rows.device)])

    def relevant(self, classes: np.ndarray) -> np.ndarray:
        """(Q,) how many right answers each query has, for labels (N,)."""
        if self.tags is not None:
            return self._sharing
        return self.roles.relevant(classes, self.background)[self.asking]

    @cached_property
    def _sharing(self) -> np.ndarray:
        """(Q,) how many items that a query may find share a label with it."""
        parts = blocks(len(self.asking), len(self.asked))
        return np.concatenate(
            [np.zeros(0, np.int64), *((self._right(part) & ~self._barred(part)).sum(1) for part in parts)]
        )

    def _right(self, part: slice) -> np.ndarray:
        """(q, G) which items share a label with the queries of a slice."""
        assert self.tags is not None
        return shares(self.tags[self.asking[part]], self.tags[self.asked])

    def tables(self) -> Iterator[tuple[slice, Tensor]]:
        """Slices of the queries and their squared distances to the gallery, a few queries at a time."""
        queries = self.rows[torch.from_numpy(self.asking).to(self.rows.device)]
        for part, squared in self.gallery.tables(queries):
            yield part, squared.masked_fill_(torch.from_numpy(self._barred(part)).to(squared.device), BEYOND)

    def _barred(self, part: slice) -> np.ndarray:
        """(q, G) what the queries of a slice may not find."""
        asking, asked, classes = self.asking[part], self.asked, self.classes
        return self.roles.barred(asking, asked, lambda: classes[asking][:, None] == classes[asked])

    def ranking(self, part: slice, squared: Tensor, nearest: Ranked, classes: np.ndarray) -> Ranking:
        """The ranking of a slice's queries, right where the item has the query's class among ``classes``."""
        if self.tags is None:
            right = classes[self.asking[part], None] == classes[self.asked]
        else:
            right = self._right(part)
        columns = torch.from_numpy(nearest.columns).to(squared.device)
        reached = (squared.gather(1, columns) < BEYOND).cpu().numpy()

        def beyond(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            table = squared[torch.from_numpy(rows).to(squared.device)]
            group = tied_with(table, np.ascontiguousarray(nearest.columns[rows, -1]))
            found = group & right[rows] & (table < BEYOND).cpu().numpy()
            return group.sum(1), found.sum(1)

        return Ranking.of(np.take_along_axis(right, nearest.columns, 1) & reached, nearest.tied, beyond)

    def told(self, values: np.ndarray, missing: float = NULL) -> np.ndarray:
        """Values (Q,) of the queries as (kept,), NaN, or what is ``missing``, for other rows."""
        every = np.full(self.kept, missing, values.dtype)
        every[self.places] = values
        return every

    @property
    def roles_told(self) -> Roles | None:
        """The roles of the kept rows; None where no query is among them."""
        kept = (
            np.ones(len(self.classes), bool) if self.background is None else self.classes != self.background
        )
        return self.roles.take(np.flatnonzero(kept))

    @property
    def labels_told(self) -> np.ndarray:
        """(kept,) the labels of the kept rows."""
        kept = self.classes if self.background is None else self.classes[self.classes != self.background]
        return kept.astype(np.int64)

    @property
    def label_detail(self) -> dict[str, np.ndarray]:
        """The labels of the kept rows, as per-query detail; none where a row has several."""
        return {} if self.tags is not None else {"per_query/label": self.labels_told}


def occurrences(squared: Tensor, nearest: Ranked, most: int) -> np.ndarray:
    """(G,) how often each item is among the ``most`` nearest; items tied at the last place share it."""
    columns, total = nearest.columns[:, :most], squared.shape[1]
    there = (squared < BEYOND).cpu().numpy()
    counts = np.bincount(columns[np.take_along_axis(there, columns, axis=1)], minlength=total).astype(float)
    last = np.ascontiguousarray(columns[:, -1])
    across = np.flatnonzero(nearest.tied[:, columns.shape[1] - 1] & there[np.arange(len(columns)), last])
    if len(across):
        group = tied_with(squared[torch.from_numpy(across).to(squared.device)], last[across])
        inside = np.take_along_axis(group, columns[across], axis=1)
        counts -= np.bincount(columns[across][inside], minlength=total)
        counts += (inside.sum(1) / group.sum(1)) @ group
    return counts


def quality_of_roles(embeddings: Tensor, labels: Tensor, roles: tuple[Roles, ...]) -> dict[str, Tensor]:
    """MAP@R and Recall@1 of each member by its queries and gallery, float64 (M,); as ``quality_fast``.

    Args:
        embeddings: (M, N, D); NaN for a member with one that is not finite.
        labels: (M, N) integers, -1 is background.
        roles: of each member's rows.
    """
    scores = torch.full((len(embeddings), len(ties.QUALITY)), NULL, dtype=torch.float64)
    for member, (rows, own, part) in enumerate(zip(embeddings, labels, roles, strict=True)):
        if not bool(torch.isfinite(rows).all()):
            continue
        scores[member] = _qualities(Search.of(rows.detach(), own.cpu().numpy(), part, exclude=True))
    return dict(zip(ties.QUALITY, scores.T, strict=True))


def quality_by_overlap(
    embeddings: Tensor, tags: tuple[np.ndarray, ...], roles: tuple[Roles, ...] = (), *, across: bool = False
) -> dict[str, Tensor]:
    """MAP@R and Recall@1 of each member of a population whose items have several labels, float64 (M,).

    Args:
        embeddings: (M, N, D); NaN for a member with one that is not finite.
        tags: of each member (N, C), booleans; right is what shares a label.
        roles: of each member's rows, where some ask and some are searched.
        across: the first half of the rows asks the second and the second the first; the mean of both ways.
    """
    scores = torch.full((len(embeddings), len(ties.QUALITY)), NULL, dtype=torch.float64)
    for member, (rows, own) in enumerate(zip(embeddings, tags, strict=True)):
        if not bool(torch.isfinite(rows).all()):
            continue
        first = np.arange(len(own)) < len(own) // 2
        asked = [Roles(first, ~first), Roles(~first, first)] if across else [all_search_all(own)]
        classes = np.where(own.any(axis=1), 0, BACKGROUND)
        ways = [
            _qualities(Search.of(rows.detach(), classes, part, exclude=True, tags=own))
            for part in ([roles[member]] if roles else asked)
        ]
        scores[member] = torch.stack(ways).mean(0)
    return dict(zip(ties.QUALITY, scores.T, strict=True))


def _qualities(search: Search) -> Tensor:
    """(2,) MAP@R and Recall@1 over the queries that have a right answer; NaN where there is none."""
    relevant = search.relevant(search.classes)
    found = np.full((len(relevant), len(ties.QUALITY)), NULL)
    for which, squared in search.tables():
        nearest = ranked(squared, max(1, int(relevant.max(initial=0))))
        ranking = search.ranking(which, squared, nearest, search.classes)
        found[which, 0] = ties.average_precision(ranking, relevant[which], relevant[which])
        found[which, 1] = ties.recall(ranking, 1)
    asked = found[relevant > 0]
    return torch.from_numpy(asked.mean(0) if len(asked) else np.full(len(ties.QUALITY), NULL))


@register(
    "measure",
    "search",
    quantities=[
        {
            "name": "mean_average_precision",
            "definition": "mean over queries of average precision over the whole gallery",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "mAP",
        },
        {
            "name": "mean_reciprocal_rank",
            "definition": "mean over queries of 1 / rank of the first right item of the gallery",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "MRR",
        },
    ],
    needs=("roles",),
    uses=("wanted",),
)
@measured
def search(space: Space, *, roles: Search, wanted: Set[str] | None = None) -> Measurement:
    """Queries in a gallery, ranked to its end.

    ``mean_average_precision``: mean over queries of the mean over their right items of the precision at the
    item's rank; ``mean_reciprocal_rank``: mean over queries of 1 / rank of the first right item. Both are
    means over all orders of equally near items. Queries without a right item are left out.
    """
    relevant = roles.relevant(roles.classes)
    found = {
        name: np.full(len(relevant), NULL) for name in ("mean_average_precision", "mean_reciprocal_rank")
    }
    for part, squared in roles.tables():
        ranking = roles.ranking(part, squared, ranked(squared, len(roles.asked)), roles.classes)
        found["mean_average_precision"][part] = ties.average_precision(ranking, relevant[part])
        found["mean_reciprocal_rank"][part] = ties.reciprocal_rank(ranking)
    values, detail = {}, roles.label_detail
    for name, per_query in found.items():
        counted = per_query[relevant > 0]
        per_query[relevant == 0] = NULL
        values[name] = float(counted.mean()) if len(counted) else NULL
        detail[f"per_query/{name}"] = roles.told(per_query)
    return values, detail
