"""How much a margin, a learning rate or an embedding size matters: the goal's measure over each number."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Curve
from losscope.reporting.number_curves import number_curve
from losscope.reporting.parts import Context, Grid, Section, fragment

NAMED = 3
"""The most numbers that a title names."""


@register("section", "numbers", order=85)
def curves_over_numbers(context: Context) -> Section | None:
    """The measure that decides over single numbers of each loss, the others as tuned, on validation."""
    sides = [side for side in context.trained() if side.curves]
    found = [curve for side in sides for curve in side.curves]
    if not found:
        return None
    heights = [
        end for curve in found for point in curve.points for end in (point.mean, point.low, point.high)
    ]
    drawn = [number_curve(curve, heights) for curve in found]
    figures = [figure for figure in drawn if figure is not None]
    measure, seeds = wording.label(found[0].measure), wording.count(len(found[0].seeds), "seed")
    held = "as it was tuned" if any(side.tuned is not None for side in sides) else "at its usual numbers"
    note = (
        f"{measure} on validation, each loss {held} but for the number along the axis; mean over {seeds} of "
        "tuning, at the best epoch of each value. The band is the 95 % interval after each seed's level is "
        "taken out, since the same seeds stand behind every value. Shaded: the values around the best whose "
        "mean is as good; ringed: what tuning chose; dotted: the usual or given value. "
        "Nothing here was read from the test split. The best of several values is somewhat too good."
    )
    bullets = [f"{curve.loss}: {wording.curve(curve)}" for curve in found]
    heads = ["loss", "number", "value", measure, "95 %", "below the best", "95 %", "epoch", ""]
    rows = [
        [
            *(curve.loss, wording.curve_number(curve.number), f"{point.value:g}"),
            *(wording.number(point.mean), wording.interval(point.low, point.high, wording.Digits(3))),
            wording.number(point.cost, wording.Digits(3)),
            wording.interval(point.cost_low, point.cost_high, wording.Digits(3), signed=True),
            "" if point.epoch is None else str(point.epoch),
            ", ".join(
                word
                for word, value in ((wording.default_word(curve), curve.default), ("tuned", curve.tuned))
                if point.value == value
            ),
        ]
        for curve in found
        for point in curve.points
    ]
    return Section(
        _title(found),
        note,
        fragment("bullets", bullets),
        figures,
        Grid("Every value", heads, rows, numeric=False),
        fold=wording.count(len(rows), "value"),
        columns=3,
    )


def _title(curves: Sequence[Curve]) -> str:
    """The numbers that are varied, or that there are many."""
    named = list(dict.fromkeys(wording.curve_number(curve.number) for curve in curves))
    return "Which values of each number" if len(named) > NAMED else f"Which {', which '.join(named)}"
