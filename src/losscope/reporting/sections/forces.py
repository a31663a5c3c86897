"""What each loss works on: its force by distance."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.reporting.curves import series_of
from losscope.reporting.forces import force_figures
from losscope.reporting.parts import Context, Section


@register("section", "forces", order=62)
def forces(context: Context) -> Section | None:
    """How strongly each loss pulls a positive and pushes a negative, by its distance."""
    figures = force_figures(context.evidence.forces, context.palette)
    if not figures:
        return None
    note = (
        "The gradient on an anchor with one positive and one negative of unit length, at the numbers of this "
        "study, the other row at distance 1. Where a curve is flat at 0 a row at that distance changes "
        "nothing."
    )
    if len(context.evidence.forces) < len(context.losses):
        note += " Measured of losscope’s own losses."
    return Section("What each loss works on", note, figures=figures, key=series_of(figures), columns=2)
