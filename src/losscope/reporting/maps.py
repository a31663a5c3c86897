"""Maps of embeddings on two principal components, or by t-SNE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from losscope.core.planes import Plane
from losscope.core.results import EmbeddingMap
from losscope.reporting.figure import Axis, Dots, Figure, Palette, class_name

MAX_POINTS = 1500
MANY_CLASSES = 10
"""Of more classes only some have a colour."""
COLOURED = 6
"""So many of many classes have a colour at first."""


def pca_map(embeddings: Any, labels: Any, seed: int = 0, most: int = MAX_POINTS) -> EmbeddingMap:
    """The two leading principal components of L2-normalised embeddings (N, D), for the page's maps.

    At most ``most`` points, drawn by ``seed``; the components are those of all N. Signs are fixed by the
    largest loading, so that the same embeddings give the same map.

    >>> pca_map([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [0, 0, 1]).xy.shape
    (3, 2)
    """
    points = np.asarray(embeddings, dtype=np.float64)
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    plane = Plane.of(points)
    xy = plane.place(points)
    keep = np.arange(len(points))
    if len(points) > most:
        keep = np.sort(np.random.default_rng(seed).choice(len(points), most, replace=False))
    return EmbeddingMap(xy[keep], np.asarray(labels, dtype=np.int64)[keep], plane.explained)


def maps(
    found: Mapping[str, EmbeddingMap],
    names: Sequence[str] | None,
    palette: Palette,
    differing: Sequence[int] = (),
) -> list[Figure]:
    """One map of test embeddings for each side, all on one scale, points coloured by class.

    ``differing``: the classes in which the losses differ most, first of those that have a colour where there
    are more than ten.
    """
    order = [side for side in palette.ordered(found) if np.size(found[side].xy)]
    if not order:
        return []
    own = {side: _reach(found[side]) for side in order}
    chosen = chosen_classes([np.asarray(found[side].labels) for side in order], differing)
    widest = max(own.values())
    return [
        # The scale of t-SNE means nothing, so that each map has its own.
        _map(side, found[side], names, own[side], widest if found[side].by == "pca" else own[side], chosen)
        for side in order
    ]


def chosen_classes(labels: Sequence[np.ndarray], differing: Sequence[int] = ()) -> tuple[int, ...]:
    """The classes that have a colour on the maps: up to ten all; else those that differ most, or the largest.

    >>> chosen_classes([np.array([0, 1, 1, -1])])
    (0, 1)
    """
    every = np.concatenate(labels) if labels else np.array([], dtype=int)
    kinds, counts = np.unique(every[every >= 0], return_counts=True)
    if len(kinds) <= MANY_CLASSES:
        return tuple(map(int, kinds))
    first = [label for label in differing if label in kinds]
    largest = [int(label) for label in kinds[np.argsort(-counts, kind="stable")]]
    return tuple(dict.fromkeys([*first, *largest]))[:COLOURED]


def _reach(found: EmbeddingMap) -> float:
    """How far a map's points lie from 0 on either axis, at any epoch, with a margin."""
    every = [np.asarray(found.xy, dtype=float).ravel()]
    if found.course is not None:
        every.append(np.asarray(found.course, dtype=float).ravel())
    values = np.abs(np.concatenate(every))
    values = values[np.isfinite(values)]
    return 1.06 * float(values.max()) if len(values) and values.max() > 0 else 1.0


def _map(
    side: str,
    found: EmbeddingMap,
    names: Sequence[str] | None,
    own: float,
    reach: float,
    chosen: tuple[int, ...],
) -> Figure:
    xy = np.asarray(found.xy, dtype=float)
    labels = np.asarray(found.labels)
    kinds = [int(label) for label in np.unique(labels)]
    called = {label: "background" if label < 0 else class_name(label, names) for label in kinds}
    dots = Dots(side, xy, labels, called, chosen, found.items, found.epochs, found.course, own)
    axis = Axis(-reach, reach, shown=False)
    share = ""
    if found.explained is not None and np.size(found.explained) >= 2:
        share = f"{100 * float(np.sum(np.asarray(found.explained)[:2])):.0f} % shown"
    alt = (
        f"Map of the test embeddings of {side}: {len(xy)} points of {len(kinds)} classes "
        f"{'on two principal components' if found.by == 'pca' else 'by t-SNE'}."
    )
    return Figure(axis, axis, [dots], side, alt, share, height=420, square=True, series=(side,))
