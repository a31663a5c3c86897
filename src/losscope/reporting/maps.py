"""Maps of embeddings on two principal components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from losscope.core import wording
from losscope.core.results import EmbeddingMap
from losscope.reporting.figure import (
    INK,
    PAPER,
    RULE,
    Drawn,
    Figure,
    Palette,
    axis,
    class_name,
    layout,
    plain,
    rounded,
)

CLASSES = (
    "#4477AA",
    "#EE6677",
    "#228833",
    "#CCBB44",
    "#66CCEE",
    "#AA3377",
    "#E69F00",
    "#7B68C8",
    "#44AA99",
    "#999933",
)
MAX_POINTS = 1500
FEW_CLASSES = 20
"""Up to so many classes have their names on the map."""


def pca_map(embeddings: Any, labels: Any, seed: int = 0, most: int = MAX_POINTS) -> EmbeddingMap:
    """The two leading principal components of L2-normalised embeddings (N, D), for the page's maps.

    At most ``most`` points, drawn by ``seed``; the components are those of all N. Signs are fixed by the
    largest loading, so that the same embeddings give the same map.

    >>> pca_map([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [0, 0, 1]).xy.shape
    (3, 2)
    """
    points = np.asarray(embeddings, dtype=np.float64)
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    points = points - points.mean(axis=0)
    _, strengths, axes = np.linalg.svd(points.T @ points)
    axes = axes[:2] * np.sign(axes[np.arange(min(2, len(axes))), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    xy = np.zeros((len(points), 2))
    xy[:, : len(axes)] = points @ axes.T
    explained = np.zeros(2)
    if strengths.sum() > 0:
        explained[: len(axes)] = strengths[:2] / strengths.sum()
    keep = np.arange(len(points))
    if len(points) > most:
        keep = np.sort(np.random.default_rng(seed).choice(len(points), most, replace=False))
    return EmbeddingMap(xy[keep], np.asarray(labels, dtype=np.int64)[keep], explained)


def maps(found: Mapping[str, EmbeddingMap], names: Sequence[str] | None, palette: Palette) -> list[Figure]:
    """One map of test embeddings for each loss, all on one scale, points coloured by class."""
    order = [loss for loss in palette.ordered(found) if np.size(found[loss].xy)]
    if not order:
        return []
    reach = 1.06 * max(float(np.nanmax(np.abs(np.asarray(found[loss].xy, dtype=float)))) for loss in order)
    return [_map(loss, found[loss], names, reach or 1.0) for loss in order]


def _map(loss: str, found: EmbeddingMap, names: Sequence[str] | None, reach: float) -> Figure:
    xy = np.asarray(found.xy, dtype=float)
    labels = np.asarray(found.labels)
    if len(xy) > MAX_POINTS:
        keep = np.sort(np.random.default_rng(0).choice(len(xy), MAX_POINTS, replace=False))
        xy, labels = xy[keep], labels[keep]
    kinds = [int(label) for label in np.unique(labels)]
    colours = {
        label: "#9A9A9A" if label < 0 else CLASSES[place % len(CLASSES)]
        for place, label in enumerate(sorted(kinds, key=lambda label: (label < 0, label)))
    }
    texts = {label: "background" if label < 0 else plain(class_name(label, names)) for label in kinds}
    data = [_points(xy, labels, colours, texts)]
    if len(kinds) <= FEW_CLASSES:
        data.append(_names(xy, labels, [label for label in kinds if label >= 0], texts))
    blank: Drawn = {
        "range": [-reach, reach],
        "showgrid": False,
        "showticklabels": False,
        "zeroline": True,
        "zerolinecolor": RULE,
        "zerolinewidth": 1,
    }
    x, y = axis(**blank, constrain="domain"), axis(**blank, scaleanchor="x", constrain="domain")
    shape = layout(x, y, margin={"l": 2, "r": 2, "t": 2, "b": 2})
    share = ""
    if found.explained is not None and np.size(found.explained) >= 2:
        share = f"{100 * float(np.sum(np.asarray(found.explained)[:2])):.0f} % of the variance"
    alt = (
        f"Map of the test embeddings of {loss}: {len(xy)} points of {len(kinds)} classes "
        "on two principal components."
    )
    return Figure(data, shape, loss, alt, height=420, unit=share, square=True, series=(loss,))


def _points(
    xy: np.ndarray, labels: np.ndarray, colours: Mapping[int, str], texts: Mapping[int, str]
) -> Drawn:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(xy[:, 0], 4),
        "y": rounded(xy[:, 1], 4),
        "marker": {"color": [colours[int(label)] for label in labels], "size": 4, "opacity": 0.7},
        "text": [texts[int(label)] for label in labels],
        "hovertemplate": "class %{text}<extra></extra>",
    }


def _names(xy: np.ndarray, labels: np.ndarray, kinds: Sequence[int], texts: Mapping[int, str]) -> Drawn:
    """The name of each class at its mean."""
    centres = [np.nanmean(xy[labels == label], axis=0) for label in kinds]
    return {
        "type": "scatter",
        "mode": "text",
        "x": rounded([centre[0] for centre in centres], 4),
        "y": rounded([centre[1] for centre in centres], 4),
        "hoverinfo": "skip",
        "text": [plain(wording.shorten(texts[label], 10)) for label in kinds],
        "textfont": {
            "size": 13,
            "color": INK,
            "weight": 700,
            "shadow": f"0 0 3px {PAPER}, 0 0 3px {PAPER}, 0 0 4px {PAPER}",
        },
    }
