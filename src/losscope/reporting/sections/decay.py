"""How fast each loss falls, and how fast the embeddings get good."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.reporting.curves import courses, curves, series_of
from losscope.reporting.parts import Context, Section


@register("section", "decay", order=50)
def decay(context: Context) -> Section | None:
    """Loss relative to its first epoch, and validation quality, by epoch."""
    palette = context.palette
    loss = curves(
        courses(context.traced, "loss", palette, relative=True),
        "Loss, relative to the first epoch",
        log=True,
        target=(0.1, "90 % gone"),
    )
    quality = curves(
        courses(context.traced, "map_at_r", palette, ("validation", "test")),
        "MAP@R on validation",
        "share",
        from_zero=False,
    )
    figures = [figure for figure in (loss, quality) if figure is not None]
    if not figures:
        return None
    note = (
        f"{context.band_note} The values of a squared and of a linear loss do not fall on one scale, and "
        "some losses cannot reach zero: the quality of the embeddings, MAP@R, can be compared."
    )
    return Section("How fast it learns", note, figures=figures, key=series_of(figures), columns=2)
