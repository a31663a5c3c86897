"""Queries of a study's first seed with their neighbours under every side, and which classes fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from losscope.comparing.kept import Kept
from losscope.core.queries import BACKGROUND
from losscope.core.results import ClassScores, Confusion, Examples, Neighbours

MOST = 24
"""Queries on a page, those behind a fold included."""
FEWEST = 6
"""So many are shown even where no side differs from another."""
NEIGHBOURS = 5
SIDES = 8
"""Of the losses and the sides without training so many are shown, and two of the latter at least."""
PAIRS = 200
"""Pairs of classes that are kept of one side, the most frequent."""
FOUND = {
    "per_query/recall_at_1_across": "per_query/nearest_label_across",
    "per_query/recall_at_1": "per_query/nearest_label",
}
"""Whether a query's nearest neighbour is right, in the other modality or among all, and that one's class."""

Arrays = Mapping[str, np.ndarray]


def recall_of(arrays: Arrays) -> np.ndarray | None:
    """(Q,) whether each query's nearest neighbour is right, NaN for what is no query; None where not kept."""
    return next((arrays[name] for name in FOUND if name in arrays), None)


def examples_of(
    losses: Mapping[str, Kept], beside: Mapping[str, Kept], arrays: Mapping[str, Arrays], seed: int
) -> Examples | None:
    """Queries on which the losses disagree, with what each side finds for them.

    Args:
        losses: what the losses keep of one seed, in their order.
        beside: what the sides without training keep of it.
        arrays: of each side, its run's arrays.
        seed: which seed this is.

    Returns:
        None where no two sides keep the embeddings of the same rows.
    """
    if not losses:
        return None
    first = next(iter(losses.values()))
    kept = {**losses, **beside}
    told = {name: recall_of(arrays.get(name, {})) for name in kept}
    fit = [
        name
        for name, own in kept.items()
        if len(own) == len(first) and (values := told[name]) is not None and len(values) == len(first.counted)
    ]
    trained = [name for name in losses if name in fit]
    others = [name for name in beside if name in fit][: max(2, SIDES - len(trained))]
    if not trained:
        return None
    table = np.array([told[name] for name in (*trained, *others)], dtype=float)
    asked = np.isfinite(table).all(axis=0)
    if not asked.any():
        return None
    right = table >= 0.5
    own_right = right[: len(trained)]
    apart = asked & (own_right.any(axis=0) != own_right.all(axis=0))
    aside = asked & ~apart & (right.any(axis=0) != right.all(axis=0))
    chosen = _drawn(asked, apart, aside)
    queries = first.counted[chosen]
    lone = asked & (own_right.sum(axis=0) == 1) if len(trained) > 1 else np.zeros(len(asked), bool)
    return Examples(
        seed=seed,
        queries=queries,
        found={name: _neighbours(kept[name], queries) for name in (*trained, *others)},
        losses=len(trained),
        labels=first.labels,
        asked=int(asked.sum()),
        apart=int(apart.sum()),
        beside=int(aside.sum()),
        chosen=int(apart[chosen].sum()),
        modality=first.modality,
        alone={name: int((lone & own_right[place]).sum()) for place, name in enumerate(trained)},
    )


def _drawn(asked: np.ndarray, apart: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """Places of the queries to show: those on which losses disagree, then any sides, then a few others.

    The draw is the same for every study of these rows, whatever its losses are.
    """
    drawn = np.random.default_rng(0).permutation(len(asked))
    rank = np.where(apart, 0, np.where(aside, 1, 2))[drawn]
    ordered = drawn[np.argsort(rank, kind="stable")]
    wanted = max(FEWEST, int((apart | aside).sum()))
    chosen: np.ndarray = ordered[asked[ordered]][: min(MOST, wanted)]
    return chosen


def _neighbours(kept: Kept, queries: np.ndarray) -> Neighbours:
    rows = kept.nearest(queries, NEIGHBOURS)
    return Neighbours(rows, kept.right(queries, np.maximum(rows, 0)) & (rows >= 0))


def class_scores(sides: Mapping[str, Sequence[Arrays]]) -> dict[str, ClassScores]:
    """How each side does on every class, by the arrays of its complete runs; for labels of one class."""
    found: dict[str, ClassScores] = {}
    for name, runs in sides.items():
        scores = _scores(runs)
        if scores is None:
            continue
        counted = [pairs for arrays in runs if (pairs := _confused(arrays)) is not None]
        every: Counter[tuple[int, int]] = sum(counted, Counter())
        ranked = sorted(every.items(), key=lambda pair: (-pair[1], pair[0]))
        found[name] = ClassScores(
            *scores,
            confused=tuple(Confusion(asked, other, count) for (asked, other), count in ranked[:PAIRS]),
            rest=ranked[PAIRS][1] if len(ranked) > PAIRS else 0,
            seeds=len(counted),
        )
    return found


def label_scores(sides: Mapping[str, Sequence[tuple[np.ndarray, Arrays]]]) -> dict[str, ClassScores]:
    """How each side does on every label of rows that have several, by the tables and arrays of its runs.

    ``sides``: of each run its (N, C) table, whether each row has each label, and its arrays. A query counts
    for each label that it has, and is right where the nearest item shares any label with it. What is taken
    for what is not told: a wrong item has labels of its own beside each of the query's.
    """
    found = {}
    for name, runs in sides.items():
        told = []
        for tags, arrays in runs:
            own, recall = tags[tags.any(axis=1)], recall_of(arrays)
            if recall is not None and len(recall) == len(own):
                asked = np.isfinite(recall)
                told.append((own[asked].sum(axis=0), recall[asked] @ own[asked]))
        if told:
            counts, hits = (np.array(column, dtype=float) for column in zip(*told, strict=True))
            labels = np.arange(counts.shape[1])
            found[name] = ClassScores(labels, _shares(hits, counts), counts.mean(axis=0), several=True)
    return found


def _scores(every: Sequence[Arrays]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The classes, Recall@1 of each by seed, and the queries that each has."""
    told = [
        (arrays["per_query/label"], recall)
        for arrays in every
        if "per_query/label" in arrays and (recall := recall_of(arrays)) is not None
        if len(recall) == len(arrays["per_query/label"])
    ]
    if not told:
        return None
    labels = np.unique(np.concatenate([own for own, _ in told]))
    hits, counts = np.zeros((2, len(told), len(labels)))
    for seed, (own, values) in enumerate(told):
        asked = np.isfinite(values)
        place = np.searchsorted(labels, own[asked])
        counts[seed] = np.bincount(place, minlength=len(labels))
        hits[seed] = np.bincount(place, weights=values[asked], minlength=len(labels))
    return labels, _shares(hits, counts), counts.mean(axis=0)


def _shares(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The share of right queries; NaN where there are none."""
    shares: np.ndarray = np.where(counts > 0, hits / np.maximum(counts, 1), np.nan)
    return shares


def _confused(arrays: Arrays) -> Counter[tuple[int, int]] | None:
    """How often a query of one class has a nearest item of another; None where a run did not keep it."""
    name = next((name for name in FOUND if name in arrays), "")
    label, nearest = arrays.get("per_query/label"), arrays.get(FOUND.get(name, ""))
    if label is None or nearest is None or not len(label) == len(nearest) == len(arrays[name]):
        return None
    # NaN is below nothing: what is no query is not wrong either. -1: several items are equally near.
    wrong = (arrays[name] < 1) & (nearest != label) & (nearest != BACKGROUND)
    return Counter(zip(label[wrong].tolist(), nearest[wrong].tolist(), strict=True))
