"""The figure that is the answer: every side on the axis of what decides, with intervals and the band."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from losscope.core import wording
from losscope.core.results import InspectedPair, Inspection, PairScale, Result
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
    split = {side.measures[measure].split for side in result.sides if measure in side.measures} - {None}
    where = f" ({split.pop()})" if len(split) == 1 else ""
    arrow = {"higher": ", higher is better", "lower": ", lower is better"}.get(better, "")
    note = f"Means and 95 % intervals over {wording.plural(result.paired_by)}"
    tested = next((row for row in result.verdicts() if row.measure == measure), None)
    band = None if tested is None else band_around(rows[0].value, tested.delta, tested.scale)
    if band is not None:
        note += "; shaded: too near to the best mean to matter"
    return Rows(f"{wording.title(measure)}{where}{arrow}", tuple(rows), band, f"{note}.")


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
