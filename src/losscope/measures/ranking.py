"""Retrieval measures: how well a query's nearest neighbours are of its class.

Sources: Recall@k, Jégou et al. 2011 and Oh Song et al. 2016; R-precision and MAP@R, Musgrave, Belongie and
Lim 2020, "A Metric Learning Reality Check", section 3.2; hubness, Radovanović et al. 2010. Equally near
items: ``losscope.measures.ties``.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import torch
from torch import Tensor

from losscope.core.queries import BACKGROUND
from losscope.core.registry import register
from losscope.measures import ties
from losscope.measures.neighbours import Gallery, Near, Ranked, nearest_labels, ranked, tied_with, unit
from losscope.measures.searching import Search, occurrences
from losscope.measures.space import NULL, Measurement, Space, Stream, measured
from losscope.measures.ties import Ranking

RECALLS = (1, 5, 10)
DEEP = ("r_precision", "map_at_r")
OCCURRENCE = 10
TOGETHER = 1 << 18
"""Pairs of rows that ``quality_fast`` works on at once: small members together, large ones one by one."""


@register(
    "measure",
    "retrieval",
    quantities=[
        {
            "name": "recall_at_1",
            "definition": "share of queries with an item of their class among the 1 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "Recall@1",
        },
        {
            "name": "recall_at_5",
            "definition": "share of queries with an item of their class among the 5 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "Recall@5",
        },
        {
            "name": "recall_at_10",
            "definition": "share of queries with an item of their class among the 10 nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "Recall@10",
        },
        {
            "name": "r_precision",
            "definition": "share of a query's R nearest that are of its class, R its class's other items",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "R-precision",
        },
        {
            "name": "map_at_r",
            "definition": "mean average precision over a query's R nearest",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "outcome",
            "label": "MAP@R",
        },
        {
            "name": "hubness",
            "definition": "skewness of the 10-occurrence",
            "unit": "skewness",
            "better": "lower",
            "scale": "difference",
            "delta": 0.05,
            "group": "geometry",
            "order": 2,
        },
        {
            "name": "fine_recall_at_1",
            "definition": "Recall@1 by labels finer than those trained on",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "detail",
            "label": "fine Recall@1",
            "column": 100,
        },
    ],
    uses=("fine_labels", "roles", "wanted"),
)
@measured
def retrieval(
    space: Space,
    *,
    fine_labels: np.ndarray | None = None,
    roles: Search | None = None,
    wanted: Set[str] | None = None,
) -> Stream | Measurement:
    """Leave-one-out retrieval: every item is a query, all others the gallery; or by ``roles``.

    R of a query is the number of other items of its class (with ``roles``: of those that it may find in the
    gallery); a query with R = 0 is left out of every mean, is
    NaN in the per-query detail, and counted in ``count/lone_queries``. Every value but hubness is its mean
    over all orders of equally near items; ``count/tied_queries`` says for how many queries that mattered, and
    ``count/edge_distances`` how many of the ranked distances, within rounding error, could have been tied to
    others or not (see ``losscope.measures.neighbours``).

    ``recall_at_k``: share of queries with an item of their class among the k nearest; ``r_precision``: share
    of the R nearest that are of the class; ``map_at_r``: mean over ranks j ≤ R of the precision at j where
    the item at j is of the class, 0 elsewhere; ``hubness``: skewness over all items of how often one is among
    the 10 nearest of the others (items tied for the last of the 10 places share them evenly);
    ``fine_recall_at_1`` (with ``fine_labels``, (N,)): Recall@1 where an item counts if it has the
    query's label and its fine label. R-precision and MAP@R, which sort R neighbours, are left out where
    ``wanted`` names neither.
    """
    deep = wanted is None or not wanted.isdisjoint(DEEP)
    if roles is not None:
        return by_roles(roles, deep)
    return leave_one_out(space, fine_labels, deep)


def leave_one_out(space: Space, fine_labels: np.ndarray | None, deep: bool) -> Stream:
    """Retrieval where every item is a query and all others are its gallery."""
    count = len(space)
    classes = in_input_order(space, space.codes)
    relevant = space.sizes[space.codes] - 1
    depth = min(count - 1, max(int(relevant.max()) if deep else 0, OCCURRENCE))
    fine = None if fine_labels is None else fine_classes(classes, fine_labels)[space.order]
    found = _without_values(count, deep, fine is not None)
    labels, first = space.labels[space.codes], np.full(count, BACKGROUND, np.int64)
    occurrences, tied, edges = np.zeros(count), 0, 0
    while (chunk := (yield)) is not None:
        rows = slice(chunk.start, chunk.stop)
        if depth < 1:
            continue
        squared = chunk.nearest(depth + 2)  # of each row itself, and one item beyond, which may be tied
        own = torch.arange(chunk.start, chunk.stop, device=squared.device)
        nearest = ranked(squared, depth, own)
        first[rows] = nearest_labels(nearest, labels)
        ranking = _ranking(nearest, squared, own, space.codes, space.codes[rows])
        places = np.maximum(relevant[rows], RECALLS[-1]) if deep else np.full(len(own), RECALLS[-1])
        tied += len(np.unique(ranking.row[ranking.start < places[ranking.row]]))
        edges += nearest.edges
        occurrences += _occurrences(nearest, squared, own)
        fill(found, rows, ranking, relevant[rows], deep)
        if fine is not None:
            found["fine_recall_at_1"][rows] = _share_at_1(nearest, squared, own, fine)
    detail = {}
    for name, per_query in found.items():
        alone = relevant == 0 if fine is None or name != "fine_recall_at_1" else others_of_class(fine) == 0
        per_query[alone] = NULL
        detail[f"per_query/{name}"] = space.per_query(per_query)
    values = {name: mean_of_queries(detail[f"per_query/{name}"]) for name in found}
    values["hubness"] = skewness(occurrences) if depth > 0 else NULL
    detail["per_query/label"] = space.labels[classes].astype(np.int64)
    detail["per_query/nearest_label"] = space.per_query(first)
    detail["count/lone_queries"] = np.array([(relevant == 0).sum()])
    detail["count/tied_queries"] = np.array([tied])
    detail["count/edge_distances"] = np.array([edges])
    return values, detail


def _without_values(count: int, deep: bool, fine: bool) -> dict[str, np.ndarray]:
    """The measures of ``count`` queries before any is ranked, (count,) each."""
    names = [f"recall_at_{k}" for k in RECALLS]
    names += [*(DEEP if deep else ()), *(("fine_recall_at_1",) if fine else ())]
    return {name: np.full(count, NULL) for name in names}


def fill(
    found: dict[str, np.ndarray], rows: slice, ranking: Ranking, relevant: np.ndarray, deep: bool
) -> None:
    """The measures of the queries at ``rows``, by their ranking; ``relevant`` counts their right answers."""
    for k in RECALLS:
        found[f"recall_at_{k}"][rows] = ties.recall(ranking, k)
    if deep:
        found["r_precision"][rows] = ties.precision_at_r(ranking, relevant)
        found["map_at_r"][rows] = ties.average_precision(ranking, relevant, relevant)


def by_roles(roles: Search, deep: bool) -> Measurement:
    """Retrieval where some items are queries and some the gallery."""
    classes, count = roles.classes, len(roles.asking)
    relevant = roles.relevant(classes)
    fine = None if roles.fine_labels is None else fine_classes(classes, roles.fine_labels)
    depth = min(len(roles.asked), max(int(relevant.max(initial=0)) if deep else 0, OCCURRENCE))
    found = _without_values(count, deep, fine is not None)
    asked, first = classes[roles.asked], np.full(count, BACKGROUND, np.int64)
    occurring, tied, edges = np.zeros(len(roles.asked)), 0, 0
    for part, squared in roles.tables():
        nearest = ranked(squared, depth)
        first[part] = nearest_labels(nearest, asked)
        ranking = roles.ranking(part, squared, nearest, classes)
        places = np.maximum(relevant[part], RECALLS[-1]) if deep else np.full(len(squared), RECALLS[-1])
        tied += len(np.unique(ranking.row[ranking.start < places[ranking.row]]))
        edges += nearest.edges
        occurring += occurrences(squared, nearest, OCCURRENCE)
        fill(found, part, ranking, relevant[part], deep)
        if fine is not None:
            finer = roles.ranking(part, squared, nearest, fine)
            found["fine_recall_at_1"][part] = ties.recall(finer, 1)
    values, detail = {}, roles.label_detail
    for name, per_query in found.items():
        right = relevant if fine is None or name != "fine_recall_at_1" else roles.relevant(fine)
        per_query[right == 0] = NULL
        detail[f"per_query/{name}"] = roles.told(per_query)
        values[name] = mean_of_queries(detail[f"per_query/{name}"])
    values["hubness"] = skewness(occurring) if count and depth > 0 else NULL
    if roles.tags is None:
        detail["per_query/nearest_label"] = roles.told(first, BACKGROUND)
    detail["count/lone_queries"] = np.array([(relevant == 0).sum()])
    detail["count/tied_queries"] = np.array([tied])
    detail["count/edge_distances"] = np.array([edges])
    return values, detail


def _ranking(
    nearest: Ranked, squared: Tensor | Near, own: Tensor | None, codes: np.ndarray, asking: np.ndarray
) -> Ranking:
    """Which neighbours are of the queries' classes ``asking`` (Q,), where ``codes`` (G,) are the columns'."""

    def beyond(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        group = _tied_at(nearest, rows, -1, squared, own)
        return group.sum(1), (group & (codes == asking[rows, None])).sum(1)

    return Ranking.of(codes[nearest.columns] == asking[:, None], nearest.tied, beyond)


def _tied_at(
    nearest: Ranked, rows: np.ndarray, place: int, squared: Tensor | Near, own: Tensor | None
) -> np.ndarray:
    """(T, G) the items that tie, for each of the ``rows`` (T,), with the one at that place."""
    index = torch.from_numpy(rows).to(squared.device)
    columns = np.ascontiguousarray(nearest.columns[rows, place])
    return tied_with(squared[index], columns, None if own is None else own[index])


def _occurrences(nearest: Ranked, squared: Tensor | Near, own: Tensor) -> np.ndarray:
    """(G,) how often each item is among the ``OCCURRENCE`` nearest; items tied at the last place share it."""
    columns, total = nearest.columns[:, :OCCURRENCE], squared.shape[1]
    counts = np.bincount(columns.ravel(), minlength=total).astype(np.float64)
    # With fewer columns all of them are among the nearest.
    across = np.flatnonzero(nearest.tied[:, OCCURRENCE - 1 :][:, :1])
    if len(across):
        group = _tied_at(nearest, across, OCCURRENCE - 1, squared, own)
        inside = np.take_along_axis(group, columns[across], axis=1)
        counts -= np.bincount(columns[across][inside], minlength=total)
        counts += (inside.sum(1) / group.sum(1)) @ group
    return counts


def _share_at_1(nearest: Ranked, squared: Tensor | Near, own: Tensor, fine: np.ndarray) -> np.ndarray:
    """(Q,) the share of the nearest items, one or several, that have the query's fine class."""
    asking = fine[own.cpu().numpy(), None]
    found = (fine[nearest.columns[:, :1]] == asking)[:, 0].astype(np.float64)
    rows = np.flatnonzero(nearest.tied[:, 0])
    if len(rows):
        group = _tied_at(nearest, rows, 0, squared, own)
        found[rows] = (group & (fine == asking[rows])).sum(1) / group.sum(1)
    return found


def in_input_order(space: Space, codes: np.ndarray) -> np.ndarray:
    """(N,) int32 codes of the sorted rows, in the order of the input."""
    return space.per_query(codes).astype(np.int32)


def fine_classes(classes: np.ndarray, fine_labels: np.ndarray) -> np.ndarray:
    """(N,) codes of the pairs (class, fine label): nested in the classes whatever the fine labels are."""
    _, fine = np.unique(fine_labels, return_inverse=True)
    return np.unique(classes.astype(np.int64) * (int(fine.max()) + 1) + fine, return_inverse=True)[1]


def mean_of_queries(values: np.ndarray) -> float:
    """The mean over the queries that count, NaN if none does."""
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if len(counted) else NULL


def skewness(counts: np.ndarray) -> float:
    """Third standardised moment, dividing by n; NaN where all are equal but for rounding.

    >>> round(skewness(np.array([0, 0, 0, 4])), 4)
    1.1547
    """
    centred = counts - counts.mean()
    spread = np.sqrt((centred**2).mean())
    return float((centred**3).mean() / spread**3) if spread > 1e-9 * abs(counts.mean()) else NULL


def others_of_class(classes: np.ndarray) -> np.ndarray:
    """(N,) how many other items share each item's class: R of leave-one-out retrieval."""
    _, group, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    return sizes[group] - 1


def quality_fast(embeddings: Tensor, labels: Tensor, *, across: bool = False) -> dict[str, Tensor]:
    """MAP@R and Recall@1 of small sets, leave-one-out, for a training loop; the numbers of ``retrieval``.

    ``across``: the first half of the rows is one modality and the second half the other; each asks for rows
    of the other only, and a value is the mean of both ways.

    Args:
        embeddings: (..., N, D), normalised inside. All N² pairs of one member are held at once.
        labels: (..., N) or (N,) integers.

    Returns:
        ``map_at_r`` and ``recall_at_1``, float64 (...,) on the CPU: the mean over queries with another item
        of their class; NaN where there is no such query or an embedding is not finite.

    >>> points = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> {name: value.item() for name, value in quality_fast(points, torch.tensor([0, 0, 1, 1])).items()}
    {'map_at_r': 1.0, 'recall_at_1': 1.0}
    """
    lead, (count, width) = embeddings.shape[:-2], embeddings.shape[-2:]
    members = embeddings.detach().reshape(-1, count, width)
    classes = labels.cpu().expand(*lead, count).reshape(-1, count).numpy()
    step = max(1, TOGETHER // max(1, count * count))
    parts = [slice(start, start + step) for start in range(0, len(members), step)]
    score = _quality_across if across else _quality
    scores = np.concatenate([score(members[part], classes[part]) for part in parts])
    return {
        name: torch.from_numpy(column.copy()).reshape(lead) for name, column in zip(ties.QUALITY, scores.T)
    }


def _quality(members: Tensor, classes: np.ndarray) -> np.ndarray:
    """(M, 2) MAP@R and Recall@1 of a few members (M, N, D) with their labels (M, N)."""
    relevant = np.stack([others_of_class(own) for own in classes])
    deepest, (lead, count) = int(relevant.max()), classes.shape
    scores = np.full((lead, len(ties.QUALITY)), NULL)
    if deepest == 0:
        return scores
    points = unit(members)
    finite = points.sum((1, 2)).isfinite().tolist()
    if not all(finite):
        points.nan_to_num_()
    own = torch.arange(count, device=points.device)
    for member, (rows, codes, others) in enumerate(zip(points, classes, relevant, strict=True)):
        if not (finite[member] and others.any()):
            continue
        squared = Gallery.of(rows).squared_distances(rows)
        ranking = _ranking(ranked(squared, int(others.max()), own), squared, own, codes, codes)
        scores[member] = ties.qualities(ranking, others)
    return scores


def _quality_across(members: Tensor, classes: np.ndarray) -> np.ndarray:
    """From each half of the rows into the other, the mean of both ways: (M, N, D), (M, N) -> (M, 2)."""
    scores = np.full((len(members), len(ties.QUALITY)), NULL)
    half = classes.shape[1] // 2
    for member, (rows, codes) in enumerate(zip(unit(members), classes, strict=True)):
        if not bool(rows.isfinite().all()):
            continue
        sides = (rows[:half], codes[:half]), (rows[half:], codes[half:])
        ways = [_quality_one_way(*sides[0], *sides[1]), _quality_one_way(*sides[1], *sides[0])]
        scores[member] = np.mean(ways, axis=0)
    return scores


def _quality_one_way(
    queries: Tensor, asking: np.ndarray, gallery: Tensor, codes: np.ndarray
) -> tuple[float, float]:
    known, counts = np.unique(codes, return_counts=True)
    place = np.searchsorted(known, asking).clip(max=len(known) - 1)
    relevant = np.where(known[place] == asking, counts[place], 0)
    if not relevant.any():
        return NULL, NULL
    squared = Gallery.of(gallery).squared_distances(queries)
    ranking = _ranking(ranked(squared, int(relevant.max())), squared, None, codes, asking)
    return ties.qualities(ranking, relevant)


@register(
    "measure",
    "detail",
    quantities=[
        {
            "name": "fine_variance_share",
            "definition": "share of the within-coarse-class variance that lies between fine classes",
            "unit": "share",
            "better": "neither",
            "scale": "difference",
            "group": "detail",
            "column": 110,
        },
    ],
    needs=("fine_labels",),
)
@measured
def fine_detail(space: Space, *, fine_labels: np.ndarray) -> Measurement:
    """Share of the within-class variance that lies between fine classes.

    The mean over classes of mean ‖μ_f(i) - μ_c‖² over the class's items, f(i) the item's fine class, over
    ``intra_variance``: 1 when fine classes are points, near 0 when the class forgets them. A fine class is a
    pair (label, fine label). Null where the within-class variance is 0.
    """
    classes = in_input_order(space, space.codes)
    fine = torch.from_numpy(fine_classes(classes, fine_labels)[space.order]).to(space.rows.device)
    of_class, weights = space.class_of_row, torch.from_numpy(1.0 / space.sizes[space.codes]).to(space.rows)
    centre, fine_centre = (group_means(space.rows, groups) for groups in (of_class, fine))
    within = (weights * (space.rows - centre).square().sum(1)).sum()
    between = (weights * (fine_centre - centre).square().sum(1)).sum()
    return {"fine_variance_share": float(between / within) if within > 0 else NULL}, {}


def group_means(rows: Tensor, groups: Tensor) -> Tensor:
    """(N, D) the mean of each row's group; ``groups`` (N,) are codes from 0."""
    count = torch.bincount(groups).to(rows)
    sums = rows.new_zeros(len(count), rows.shape[1]).index_add_(0, groups, rows)
    return (sums / count[:, None])[groups]
