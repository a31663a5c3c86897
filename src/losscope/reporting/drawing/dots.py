"""A map of embeddings as SVG: one path for the points of each class, so that thousands cost few bytes.

Points lie on a grid of 4096 by 4096 about 0 that reaches as far as the map's own points do. The script zooms
by the view box, greys classes, and moves the points along ``course``; without it the map is whole.
"""

from __future__ import annotations

import numpy as np
from markupsafe import escape

from losscope.core import wording
from losscope.reporting.figure import Dots, Figure

HALF = 2047
"""The largest coordinate."""
MANY_POINTS = 5000
"""More points are drawn as a density, with a sample of them over it."""
SAMPLE = 1500
CELLS = 56
"""Of a density, along each side."""
LEVELS = 5
"""Of a density: each is about twice the one before."""
MOST_EPOCHS = 12
FEW_NAMES = 20
"""Up to so many classes have their names on the map; of more, the chosen ones."""
LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)


def drawn_map(figure: Figure, dots: Dots) -> str:
    """The map of one side as markup."""
    own = dots.own or 1.0
    reach = round(HALF * figure.x.high / own)
    finite = np.isfinite(dots.xy).all(axis=1)
    grid = _grid(dots.xy, own)
    keep = np.flatnonzero(finite)
    many = len(keep) > MANY_POINTS
    density = _density(grid[keep]) if many else ""
    if many:
        keep = np.sort(np.random.default_rng(0).choice(keep, SAMPLE, replace=False))
    labels = dots.labels[keep]
    order = keep[np.argsort(labels, kind="stable")]
    kinds = [int(label) for label in np.unique(labels)]
    paths = "".join(_kind(dots, grid, order[dots.labels[order] == label], label) for label in kinds)
    rails = f"M-{reach} 0H{reach}M0-{reach}V{reach}"
    box = f"-{reach} -{reach} {2 * reach} {2 * reach}"
    return (
        f'<svg class="axes map{" dense" if many else ""}" data-own="{HALF}" '
        f'data-reach="{reach}"{_course(dots, order, own)}>'
        f'<svg class="stretched" viewBox="{box}" width="100%" height="100%">'
        f'<path class="gridline" d="{rails}"/>{density}{paths}</svg>'
        f"{_names(dots, grid, order, kinds, reach)}</svg>"
    )


def _grid(xy: np.ndarray, own: float) -> np.ndarray:
    """Coordinates on the grid, downwards as SVG has them; 0 where there is none."""
    scaled = np.nan_to_num(np.asarray(xy, dtype=float) / own * HALF)
    return np.clip(np.rint(scaled * (1, -1)), -HALF, HALF).astype(int)


def _kind(dots: Dots, grid: np.ndarray, rows: np.ndarray, label: int) -> str:
    """The points of one class, as lines of no length."""
    d = "".join(f"M{x} {y}h0" for x, y in grid[rows].tolist())
    items = "" if dots.items is None else f' data-items="{" ".join(map(str, dots.items[rows].tolist()))}"'
    name = escape(wording.printable(dots.names.get(label, str(label))))
    return (
        f'<path class="kind" data-class="{label}" data-name="{name}"{_colour(dots, label)}{items} d="{d}"/>'
    )


def _colour(dots: Dots, label: int) -> str:
    """The colour of a class that has one; the others are grey."""
    return f' style="color:var(--class-{dots.chosen.index(label)})"' if label in dots.chosen else ""


def _names(dots: Dots, grid: np.ndarray, order: np.ndarray, kinds: list[int], reach: int) -> str:
    """The name of each class, or of each that is coloured, above the mean of its points."""
    shown = [label for label in kinds if label >= 0 and (len(kinds) <= FEW_NAMES or label in dots.chosen)]
    made = []
    for label in shown:
        x, y = grid[order[dots.labels[order] == label]].mean(axis=0)
        text = escape(wording.printable(wording.shorten(dots.names.get(label, str(label)), 12)))
        across, down = (50 + 50 * value / reach for value in (x, y))
        made.append(
            f'<text class="label middle" data-class="{label}" data-at="{x:.0f} {y:.0f}" '
            f'x="{across:.1f}%" y="{down:.1f}%" dy="-.6em">{text}</text>'
        )
    return "".join(made)


def _density(points: np.ndarray) -> str:
    """How many points lie in each cell, in shades of ink."""
    ends = np.array([[-HALF, HALF]] * 2, dtype=float)
    counts, across, down = np.histogram2d(points[:, 0], points[:, 1], bins=CELLS, range=ends)
    side = round(float(across[1] - across[0]))
    shades = np.ceil(LEVELS * np.log1p(counts) / np.log1p(counts.max())).astype(int)
    made = []
    for shade in range(1, LEVELS + 1):
        cells = np.argwhere(shades == shade)
        d = "".join(f"M{across[x]:.0f} {down[y]:.0f}h{side}v{side}h-{side}z" for x, y in cells)
        if d:
            made.append(f'<path class="density" fill-opacity="{0.13 * shade:.2f}" d="{d}"/>')
    return "".join(made)


def _course(dots: Dots, order: np.ndarray, own: float) -> str:
    """The points at earlier epochs, in the order in which they are drawn, as four letters each."""
    if dots.course is None or dots.epochs is None or len(dots.epochs) < 2:
        return ""
    kept = np.unique(np.linspace(0, len(dots.epochs) - 1, min(MOST_EPOCHS, len(dots.epochs))).round()).astype(
        int
    )
    epochs = " ".join(f"{float(dots.epochs[place]):g}" for place in kept)
    text = " ".join(letters(_grid(dots.course[place][order], own)) for place in kept)
    return f' data-epochs="{epochs}" data-course="{text}"'


def letters(grid: np.ndarray) -> str:
    """Coordinates from −2047 to 2047, (n, 2), as two letters of 64 each, high digit first.

    >>> import numpy as np
    >>> letters(np.array([[-2047, 0], [2047, 1]]))
    'AAf__-gA'
    """
    values = (grid + HALF).astype(np.int64).ravel()
    pairs = np.stack([values // 64, values % 64], axis=1)
    return LETTERS[pairs].tobytes().decode("ascii")
