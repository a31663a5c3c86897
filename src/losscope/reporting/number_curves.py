"""The figure of a curve over one number of a loss: its band, its flat region, the usual and tuned values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from losscope.core import wording
from losscope.core.results import Curve, CurvePoint
from losscope.reporting import axes
from losscope.reporting.figure import Axis, Figure, Line, Mark, Points, Region, Ring, Upright, numbers


def number_curve(curve: Curve, heights: Iterable[float | None]) -> Figure | None:
    """A measure over one number: the mean of each value with its band, the flat region shaded.

    Ringed is what tuning chose, and a dotted line stands at the usual value. ``heights`` of all curves set
    the common vertical axis. None where fewer than two values have a mean.
    """
    if curve.flat is None:
        return None
    called = wording.curve_number(curve.number)
    known = [point for point in curve.points if point.mean is not None]
    x, y = [point.value for point in known], numbers(point.mean for point in known)
    low, high = (numbers(getattr(point, end) for point in known) for end in ("low", "high"))
    marks: list[Mark] = []
    if curve.flat.tried > 1:
        name = f"within {wording.brief(curve.flat.within)} of the best"
        marks.append(Region(curve.flat.low, curve.flat.high, name, curve.loss))
    if len(known) > 1:
        marks.append(Line(curve.loss, x, y, low, high, dash="solid", width=1.5))
    if curve.default is not None:
        marks.append(Upright(curve.default, f"{wording.default_word(curve)} {curve.default:g}"))
    marks.append(Points(curve.loss, x, y, texts=[_said(called, point) for point in known]))
    tuned = curve.at(curve.tuned)
    if tuned is not None and tuned.mean is not None:
        marks.append(Ring(curve.loss, tuned.value, tuned.mean))
    return Figure(
        _along([point.value for point in curve.points], called),
        axes.linear(heights),
        marks,
        curve.loss,
        f"{wording.label(curve.measure)} of {curve.loss} on validation by {called}: {wording.curve(curve)}.",
        "" if curve.tuned is None else f"tuned: {curve.tuned:g}",
        height=250,
        series=(curve.loss,),
    )


def _along(values: Sequence[float], title: str) -> Axis:
    """A logarithmic axis of the tried values; a plain one where a value is not above 0."""
    return axes.settings(values, title) if min(values) > 0 else axes.over(values, title)


def _said(called: str, point: CurvePoint) -> str:
    ends = wording.interval(point.low, point.high, wording.Digits(3))
    cost = "" if not point.cost else f", {wording.number(point.cost, wording.Digits(3))} below the best"
    return f"{called} {point.value:g}: {wording.number(point.mean)}{f' ({ends})' if ends else ''}{cost}"
