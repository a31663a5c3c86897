"""Figures of Recall@1 by class: every class where they are few, else how the classes are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losscope.core import wording
from losscope.reporting import axes
from losscope.reporting.failing import DIGITS, ByClass
from losscope.reporting.figure import Figure, Joined, Line, Mark, Points, numbers

TOLD = 200
"""Up to so many classes each point says its class."""


def each_class(found: ByClass) -> Figure:
    """Every class under every side, the worst first, with intervals over seeds."""
    order, sides = found.worst(), list(found.scores)
    marks: list[Mark] = []
    ends: list[float] = []
    for place, name in enumerate(sides):
        spread = found.spread[name]
        mean, half = spread.mean[order], np.nan_to_num(spread.half[order])
        low, high = np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)
        shift = 0.7 * (place - (len(sides) - 1) / 2) / max(len(sides), 1)
        x = [row + shift for row in range(len(order))]
        texts = [f"{found.name(row)}: {wording.number(mean[at], DIGITS)}" for at, row in enumerate(order)]
        marks.append(Points(name, x, numbers(mean), numbers(low), numbers(high), texts))
        ends += [*low[np.isfinite(low)], *high[np.isfinite(high)]]
    names = [wording.shorten(found.name(row), 12) for row in order]
    worst = wording.listing(found.name(row) for row in order[:3])
    title = f"Recall@1 of each {found.kind}"
    alt = f"{title} under {wording.listing(sides)}, the worst first: {worst}."
    return Figure(
        axes.named(names, f"{found.kind}, the worst first"),
        axes.linear(ends),
        marks,
        title,
        alt,
        height=300,
        series=tuple(sides),
    )


def spread_of_classes(found: ByClass) -> Figure:
    """The classes of every side in the order of its own Recall@1."""
    marks: list[Mark] = []
    told = []
    for name in found.scores:
        mean = found.spread[name].mean
        order = np.argsort(mean)[: int(np.isfinite(mean).sum())]
        texts: Sequence[str] = ()
        if len(order) <= TOLD:
            texts = [f"{found.name(row)}: {wording.number(mean[row], DIGITS)}" for row in order]
        marks.append(Line(name, numbers(range(len(order))), numbers(mean[order].round(4)), texts=texts))
        told.append(f"{name} {wording.number(float(np.nanmedian(mean)), DIGITS)}")
    title = f"Recall@1 of each {found.kind}, sorted"
    return Figure(
        axes.counted(len(found.labels) - 1, f"{wording.plural(found.kind)}, each side from its own worst"),
        axes.shares(),
        marks,
        title,
        f"{title}. Medians: {wording.listing(told)}.",
        height=300,
        series=tuple(found.scores),
    )


def two_losses(found: ByClass) -> Figure | None:
    """Every class at its Recall@1 under both losses; None unless there are two."""
    if len(found.losses) != 2:
        return None
    a, b = found.losses
    x, y = found.spread[a].mean, found.spread[b].mean
    marks: list[Mark] = [Joined((a, b), (0.0, 1.0), [(0.0, 1.0)])]
    above, below = int((y > x).sum()), int((x > y).sum())
    for name, own in ((a, x > y), (b, y >= x)):
        rows = np.flatnonzero(own & np.isfinite(x + y)).tolist()
        texts = [
            f"{found.name(row)}: {wording.number(x[row], DIGITS)} and {wording.number(y[row], DIGITS)}"
            for row in rows
        ]
        marks.append(Points(name, numbers(x[rows]), numbers(y[rows]), texts=texts, size=6.0))
    title = f"Every {found.kind} under both losses"
    alt = f"{title}: {b} is higher in {wording.count(above, found.kind)}, {a} in {below:,}."
    return Figure(
        axes.shares(f"Recall@1 under {a}"),
        axes.shares(f"under {b}"),
        marks,
        title,
        alt,
        height=300,
        series=(a, b),
    )
