"""Force profiles: how strongly each loss pulls a positive and pushes a negative, by its distance."""

from __future__ import annotations

from collections.abc import Mapping

from losscope.core import wording
from losscope.core.results import Force
from losscope.reporting import axes
from losscope.reporting.figure import Axis, Figure, Level, Line, Mark, Palette, Tick

DISTANCES = tuple(Tick(at, f"{at:g}") for at in (0.0, 0.5, 1.0, 1.5, 2.0))
"""Along the horizontal axis: between points of the unit sphere."""


def force_figures(found: Mapping[str, Force], palette: Palette) -> list[Figure]:
    """The pull of a positive and the push of a negative by its distance, for every loss that has them.

    Each loss's forces are in shares of its own largest one, pull or push: losses differ in scale, and the
    shapes are what can be compared.
    """
    names = [name for name in palette.ordered(found) if _largest(found[name]) > 0]
    if not names:
        return []
    return [
        _figure(
            "Pull of a positive", "positive", {name: _shares(found[name], "pull") for name in names}, found
        ),
        _figure(
            "Push of a negative", "negative", {name: _shares(found[name], "push") for name in names}, found
        ),
    ]


def _largest(force: Force) -> float:
    return max(map(abs, (*force.pull, *force.push)), default=0.0)


def _shares(force: Force, side: str) -> tuple[float, ...]:
    most = _largest(force)
    return tuple(value / most for value in (force.pull if side == "pull" else force.push))


def _figure(
    title: str, row: str, shares: Mapping[str, tuple[float, ...]], found: Mapping[str, Force]
) -> Figure:
    marks: list[Mark] = []
    ends = [value for values in shares.values() for value in values]
    if min(ends) < -0.02:
        marks.append(Level(0.0, "against the labels below"))
    for name, values in shares.items():
        texts = [wording.share(value) for value in values]
        marks.append(Line(name, found[name].distance, values, texts=texts))
    strongest = wording.listing(
        f"{name} at {found[name].distance[values.index(max(values))]:g}"
        for name, values in [*shares.items()][:6]
        if max(values) > 0
    )
    return Figure(
        Axis(0.0, 2.0, DISTANCES, f"distance of the {row}", grid=False),
        axes.linear([*ends, 1.0], zero=True),
        marks,
        title,
        f"{title} by its distance. Strongest: {strongest or 'nowhere'}.",
        "share of the loss’s largest force",
        cursor="distance",
        series=tuple(shares),
    )
