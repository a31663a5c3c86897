"""Figures of seeds and classes, drawn by the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from losscope.core import wording
from losscope.reporting import axes
from losscope.reporting.figure import (
    Bars,
    Figure,
    Joined,
    Line,
    Mark,
    Palette,
    Points,
    class_name,
    numbers,
    shown_unit,
)

MANY_CLASSES = 30
"""More classes are drawn as sorted lines."""
MANY_BARS = 60
"""More bars are drawn as points."""


def seed_lines(values: Mapping[str, Sequence[float | None]], measure: str) -> Figure | None:
    """Each seed's values joined across the losses, which share their weights and batches within a seed."""
    found = {name: numbers(column) for name, column in values.items()}
    found = {name: column for name, column in found.items() if any(value is not None for value in column)}
    if not found:
        return None
    names = list(found)
    marks: list[Mark] = [
        Joined(
            (left, right),
            (float(place), float(place + 1)),
            [(a, b) for a, b in zip(found[left], found[right]) if a is not None and b is not None],
        )
        for place, (left, right) in enumerate(zip(names, names[1:]))
    ]
    for place, name in enumerate(names):
        texts = [f"seed {seed}: {wording.number(value)}" for seed, value in enumerate(found[name])]
        marks.append(Points(name, (float(place),) * len(texts), found[name], texts=texts))
    means = [float(np.mean([value for value in found[name] if value is not None])) for name in names[:6]]
    listed = wording.listing(f"{name} {wording.number(mean)}" for name, mean in zip(names, means))
    title = wording.title(measure)
    shown = [wording.shorten(name, 12) for name in names]
    many = sum(map(len, shown)) > 30
    return Figure(
        axes.named(shown, room=0.4),
        axes.linear([value for column in found.values() for value in column]),
        marks,
        title,
        f"{title} of each seed, joined across losses. Means: {listed}.",
        shown_unit(title, wording.measure(measure).unit),
        height=290 if many else 230,
        series=tuple(names),
    )


def class_bars(
    detail: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str] | None, palette: Palette
) -> Figure | None:
    """Intra-class variance of every class, with whiskers from the smallest to the largest seed.

    Bars for few classes and losses, points for more; more than 30 classes become a sorted line for each loss.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for loss in palette.ordered(detail):
        values = detail[loss].get("per_class/intra_variance")
        if values is not None and np.size(values):
            grid = np.atleast_2d(np.asarray(values, dtype=float))
            labels = detail[loss].get("per_class/label")
            found[loss] = grid, np.arange(grid.shape[1]) if labels is None else np.asarray(labels)
    found = {loss: pair for loss, pair in found.items() if np.isfinite(pair[0]).any()}
    if not found:
        return None
    classes = max(len(labels) for _, labels in found.values())
    if classes > MANY_CLASSES:
        return _sorted_classes(found)
    marks = [
        _class_marks(loss, *found[loss], names, place, len(found), with_bars(classes, len(found)))
        for place, loss in enumerate(found)
    ]
    labels = next(iter(found.values()))[1]
    return Figure(
        axes.named([wording.shorten(class_name(label, names), 12) for label in labels], "class"),
        axes.linear([float(np.nanmax(grid)) for grid, _ in found.values()], zero=True),
        marks,
        "Intra-class variance of each class",
        _class_alt(found, names),
        "squared distance",
        height=300,
        series=tuple(found),
    )


def with_bars(classes: int, losses: int) -> bool:
    """Whether so many classes of so many losses are drawn as bars, and not as points or lines."""
    return classes <= MANY_CLASSES and classes * losses <= MANY_BARS


def _spread(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, smallest and largest over seeds (rows), NaN where a class has no value at all."""
    masked = np.ma.masked_invalid(grid)
    mean, low, high = (getattr(masked, how)(axis=0) for how in ("mean", "min", "max"))
    filled = [np.ma.filled(column.astype(float), np.nan) for column in (mean, low, high)]
    return filled[0], filled[1], filled[2]


def _class_marks(
    loss: str,
    grid: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | None,
    place: int,
    losses: int,
    bars: bool,
) -> Mark:
    mean, low, high = map(numbers, _spread(grid))
    width = 0.76 / losses
    x = tuple(each + (place - (losses - 1) / 2) * width for each in range(len(labels)))
    spread = (low, high) if grid.shape[0] > 1 else ((), ())
    texts = [
        f"class {class_name(label, names)}: {wording.number(value)}"
        + (f" ({wording.number(small)} to {wording.number(large)})" if grid.shape[0] > 1 else "")
        for label, value, small, large in zip(labels, mean, low, high, strict=True)
    ]
    if bars:
        return Bars(loss, x, mean, 0.92 * width, *spread, texts)
    return Points(loss, x, mean, *spread, texts, size=6.0)


def _sorted_classes(found: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    marks: list[Mark] = []
    most = 0
    for loss, (grid, _) in found.items():
        mean, low, high = _spread(grid)
        order = np.argsort(mean)
        order = order[np.isfinite(mean[order])]
        band = (numbers(low[order]), numbers(high[order])) if len(grid) > 1 else ((), ())
        middle = numbers(mean[order])
        texts = [wording.number(value) for value in middle]
        marks.append(Line(loss, tuple(map(float, range(1, len(order) + 1))), middle, *band, texts))
        most = max(most, len(order))
    return Figure(
        axes.counted(float(most), "classes, each loss’s own from tightest to widest"),
        axes.linear([float(np.nanmax(grid)) for grid, _ in found.values()], zero=True),
        marks,
        f"Intra-class variance of {most} classes, sorted",
        _class_alt(found, None),
        "squared distance",
        height=300,
        cursor="class",
        series=tuple(found),
    )


def _class_alt(found: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str] | None) -> str:
    said = []
    for loss, (grid, labels) in list(found.items())[:6]:
        mean = _spread(grid)[0]
        low, high = int(np.nanargmin(mean)), int(np.nanargmax(mean))
        said.append(
            f"{loss} from {wording.number(mean[low])} (class {class_name(labels[low], names)}) "
            f"to {wording.number(mean[high])} (class {class_name(labels[high], names)})"
        )
    return f"Intra-class variance by class, mean over seeds: {wording.listing(said)}."
