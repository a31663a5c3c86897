"""The figure that is the answer: every side on the axis of what decides, with intervals and the band."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from losscope.core import wording
from losscope.core.results import InspectedPair, Inspection, PairScale, Result, SideResult
from losscope.reporting.columns import deciding_measure, is_described, ranked
from losscope.reporting.figure import Look, Palette


@dataclass(frozen=True)
class Row:
    """A value with its interval and the look of its side.

    ``end`` is a second value, such as that of another file.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    end: float | None = None
    look: Look = field(default_factory=lambda: Palette([""]).look(""))
    chosen: bool = False


@dataclass(frozen=True)
class Rows:
    """Values on one axis, in rows.

    Attributes:
        label: what the axis is.
        rows: from the top to the bottom.
        band: from where to where a difference does not matter.
        note: how to read it.
    """

    label: str
    rows: tuple[Row, ...]
    band: tuple[float, float] | None = None
    note: str = ""


def answer(result: Result) -> Rows | None:
    """All sides by the measure that decides, the best first; None where no side has it.

    The band is what does not matter around the best mean.
    """
    measure = deciding_measure(result)
    if measure is None:
        return None
    better = wording.measure(measure).better
    chosen = result.recommendation.loss
    palette = Palette([side.name for side in result.losses], [side.name for side in result.baselines])
    rows = [
        Row(
            side.name,
            mean,
            *side.interval(measure),
            look=palette.look(side.name),
            chosen=side.name == chosen,
        )
        for side in ranked(result, measure)
        if (mean := side.mean(measure)) is not None and not is_described(side)
    ]
    if not rows:
        return None
    arrow = {"higher": ", higher is better", "lower": ", lower is better"}.get(better, "")
    note = f"Means and 95 % intervals over {wording.plural(result.paired_by)}"
    delta, scale = indifference(result, measure)
    band = band_around(rows[0].value, delta, scale) if delta else None
    if band is not None:
        note += f"; shaded: {band_said(delta, scale)}"
    title = f"{wording.title(measure)}{on_split(result.sides, measure)}{arrow}"
    return Rows(title, tuple(rows), band, f"{note}.")


def on_split(sides: Iterable[SideResult], measure: str) -> str:
    """``' on test'`` where all sides were measured on one known part of the data, else nothing."""
    splits = {side.measures[measure].split for side in sides if measure in side.measures} - {None}
    return f" on {splits.pop()}" if len(splits) == 1 else ""


def indifference(result: Result, measure: str) -> tuple[float, PairScale]:
    """What does not matter: as tested, or as declared; 0 where the measure has no such width."""
    row = next((row for row in result.verdicts() if row.measure == measure), None)
    if row is not None:
        return row.delta, row.scale
    known = wording.measure(measure)
    return known.delta or 0.0, known.scale


def band_said(delta: float, scale: PairScale) -> str:
    """What the shaded band around the best mean means.

    >>> band_said(0.01, "difference")
    'within ±0.01 of the best: no difference that matters'
    """
    said = wording.indifference(delta, scale)
    return f"within {'±' * (scale == 'difference')}{said} of the best: no difference that matters"


def band_around(best: float, delta: float, scale: PairScale) -> tuple[float, float]:
    """From where to where a value differs from the best one by less than matters, in the measure's own units.

    >>> band_around(0.5, 0.25, "difference")
    (0.25, 0.75)
    """
    if scale == "log_ratio" and best > 0:
        return best * math.exp(-delta), best * math.exp(delta)
    if scale == "log_error_ratio":
        return 1 - (1 - best) * math.exp(delta), 1 - (1 - best) * math.exp(-delta)
    return best - delta, best + delta


def inspected(found: Inspection | InspectedPair) -> Rows | None:
    """The measures of files that are shares; of two files a row runs from the first to the second."""
    if isinstance(found, Inspection):
        rows = [
            Row(wording.label(row.measure), row.value, row.low, row.high)
            for row in found.measures
            if row.value is not None and wording.measure(row.measure).unit == "share"
        ]
        note = "Intervals of 95 %, where a measure has one."
    else:
        rows = [
            Row(wording.label(row.measure), row.a, end=row.b)
            for row in found.changes
            if row.a is not None and row.b is not None and wording.measure(row.measure).unit == "share"
        ]
        note = f"From {found.a.name} (ring) to {found.b.name} (dot)."
    return Rows("share", tuple(rows), note=note) if rows else None
