"""Trade-offs: the goal's measure over what it costs, and over what else is wanted of embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from losscope.core import wording
from losscope.core.results import Result, SideResult
from losscope.reporting import axes, columns
from losscope.reporting.figure import Axis, Figure, Mark, Names, Points

AGAINST = ("intra_inter_ratio", "intra_variance", "map_at_r", "recall_at_1")
"""Measures that the goal's is drawn over: the first two that the result has, compactness first."""
SECONDS = "seconds to train one run"


def tradeoffs(result: Result) -> list[Figure]:
    """The goal's measure of every side over its seconds to train, its compactness, and its ranking.

    A point for each loss and baseline, with its 95 % interval over seeds. Nothing is drawn of a quantity that
    fewer than two sides have.
    """
    goal = columns.goal_measure(result)
    if goal is None:
        return []
    seconds = {side.name: side.price.seconds or None for side in result.sides if side.price is not None}
    figures = [_figure(result, goal, SECONDS, seconds)]
    ratio = "intra_inter_ratio" in columns.present(result)
    wanted = [name for name in AGAINST if name != goal and not (ratio and name == "intra_variance")]
    for measure in wanted:
        means = {side.name: side.mean(measure) for side in result.sides}
        figures.append(_figure(result, goal, measure, means))
    return [figure for figure in figures if figure is not None][:3]


def _figure(result: Result, goal: str, over: str, values: dict[str, float | None]) -> Figure | None:
    sides = [
        side for side in result.sides if values.get(side.name) is not None and side.mean(goal) is not None
    ]
    if len(sides) < 2:
        return None
    x = tuple(values[side.name] for side in sides)
    ends = [end for side in sides for end in (side.mean(goal), *side.interval(goal))]
    marks: list[Mark] = [_point(side, goal, over, values[side.name]) for side in reversed(sides)]
    marks.append(Names(tuple(side.name for side in sides), x, tuple(side.mean(goal) for side in sides)))
    named = SECONDS if over == SECONDS else wording.label(over)
    better = "lower" if over == SECONDS else wording.measure(over).better
    direction = f", {better} is better" if better in ("lower", "higher") else ""
    said = wording.listing(
        f"{side.name} {wording.number(side.mean(goal))} at {wording.number(values[side.name])}"
        for side in sides[:6]
    )
    title = f"{wording.title(goal)} over {named}"
    return Figure(
        _across(x, named + direction),
        axes.linear(ends),
        marks,
        title,
        f"{title}: {said}.",
        height=300,
        series=tuple(side.name for side in sides),
    )


def _across(values: Sequence[float | None], title: str) -> Axis:
    """A linear axis, or a logarithmic one where the values are positive and far apart."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    logged = axes.logarithmic(known, title)
    if logged is not None and min(known) > 0 and max(known) > 8 * min(known):
        return logged
    return axes.over(known, title)


def _point(side: SideResult, goal: str, over: str, value: float | None) -> Mark:
    low, high = side.interval(goal)
    across = f"{wording.number(value)} s" if over == SECONDS else wording.number(value)
    known = low is not None and high is not None
    text = f"{wording.number(side.mean(goal))} at {across}"
    if over == SECONDS and side.price is not None and side.price.parameters:
        text += f", {side.price.parameters:,} parameters"
    return Points(
        side.name,
        (value,),
        (side.mean(goal),),
        (low,) if known else (),
        (high,) if known else (),
        (text,),
        size=9.0,
    )
