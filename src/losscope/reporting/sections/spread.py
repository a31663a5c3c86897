"""The spread of every class."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.reporting import plots
from losscope.reporting.columns import split_of
from losscope.reporting.figure import Bars, Figure, Line
from losscope.reporting.parts import Context, Section


@register("section", "spread", order=70)
def spread(context: Context) -> Section | None:
    """Intra-class variance of every class."""
    figure = plots.class_bars(context.detail, context.class_names, context.palette)
    if figure is None:
        return None
    split = split_of(context.sides, "intra_variance")
    note = (
        f"Mean squared distance of a class’s embeddings to their mean{f', {split} split' if split else ''}. "
        f"{_marks(figure)}"
    )
    if any(row.verdict == "not_comparable" and row.scope != "these_folds" for row in context.result.paired):
        note += " Raw variance between losses of unlike form is not compared; see intra/inter² for that."
    return Section("Class by class", note, figures=[figure], key=figure.series)


def _marks(figure: Figure) -> str:
    """What the marks are, in the words of what is drawn."""
    if any(isinstance(mark, Line) for mark in figure.marks):
        return "Lines: mean over seeds. Bands: smallest to largest seed."
    kind = "Bars" if any(isinstance(mark, Bars) for mark in figure.marks) else "Points"
    return f"{kind}: mean over seeds. Whiskers: smallest to largest seed."
