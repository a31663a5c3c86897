"""The figure that is the answer: every side on the axis of what decides, with intervals and the band."""

from __future__ import annotations

import math
from dataclasses import dataclass

from losscope.core import wording
from losscope.core.results import BaselineResult, InspectedPair, Inspection, Result
from losscope.reporting.columns import goal_measure
from losscope.reporting.figure import COLOURS, Palette


@dataclass(frozen=True)
class Dot:
    """A value with its interval and the colour of its side.

    ``end`` is a second value, such as that of another file.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    end: float | None = None
    colour: str = COLOURS[0]
    chosen: bool = False


@dataclass(frozen=True)
class Dots:
    """Values on one axis, in rows.

    Attributes:
        label: what the axis is.
        rows: from the top to the bottom.
        band: from where to where a difference does not matter.
        note: how to read it.
    """

    label: str
    rows: tuple[Dot, ...]
    band: tuple[float, float] | None = None
    note: str = ""


def answer(result: Result) -> Dots | None:
    """All sides by the measure that decides, the best first; None where no side has it.

    The band is what does not matter around the answer, or around the best mean where there is no answer.
    """
    measure = goal_measure(result)
    if measure is None:
        return None
    better = wording.measure(measure).better
    chosen = result.recommendation.loss
    palette = Palette([side.name for side in result.losses], [side.name for side in result.baselines])
    rows = [
        Dot(
            side.name,
            mean,
            *side.interval(measure),
            colour=palette.look(side.name).colour,
            chosen=side.name == chosen,
        )
        for side in result.sides
        if (mean := side.mean(measure)) is not None
        and not (isinstance(side, BaselineResult) and side.described)
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: row.value, reverse=better != "lower")
    middle = next((row.value for row in rows if row.chosen), rows[0].value)
    split = {side.measures[measure].split for side in result.sides if measure in side.measures} - {None}
    where = f" ({split.pop()})" if len(split) == 1 else ""
    arrow = {"higher": ", higher is better", "lower": ", lower is better"}.get(better, "")
    what = "the answer" if any(row.chosen for row in rows) else "the best mean"
    note = f"Means and 95 % intervals over {wording.plural(result.paired_by)}"
    band = _band(result, measure, middle)
    if band is not None:
        note += f"; shaded: what does not matter around {what}"
    return Dots(f"{wording.title(measure)}{where}{arrow}", tuple(rows), band, f"{note}.")


def _band(result: Result, measure: str, middle: float) -> tuple[float, float] | None:
    row = next((row for row in result.verdicts() if row.measure == measure), None)
    if row is None:
        return None
    if row.scale == "difference":
        return middle - row.delta, middle + row.delta
    factor = math.exp(row.delta)
    if row.scale == "log_ratio":
        return middle / factor, middle * factor
    return 1 - (1 - middle) * factor, 1 - (1 - middle) / factor


def inspected(found: Inspection | InspectedPair) -> Dots | None:
    """The measures of files that are shares; of two files a row runs from the first to the second."""
    if isinstance(found, Inspection):
        rows = [
            Dot(wording.label(row.measure), row.value, row.low, row.high)
            for row in found.measures
            if row.value is not None and wording.measure(row.measure).unit == "share"
        ]
        note = "Intervals of 95 %, where a measure has one."
    else:
        rows = [
            Dot(wording.label(row.measure), row.a, end=row.b)
            for row in found.changes
            if row.a is not None and row.b is not None and wording.measure(row.measure).unit == "share"
        ]
        note = f"From {found.a.name} (ring) to {found.b.name} (dot)."
    return Dots("share", tuple(rows), note=note) if rows else None
