"""Maps of the embeddings."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.reporting import maps as drawn
from losscope.reporting.failing import differing
from losscope.reporting.parts import Context, Section


@register("section", "maps", order=80)
def maps(context: Context) -> Section | None:
    """Maps of the test embeddings on two principal components, side by side."""
    figures = drawn.maps(context.maps, context.class_names, context.palette, differing(context))
    if not figures:
        return None
    note = (
        "Test embeddings of one seed on each side’s own two leading principal components; in percent: how "
        "much of their variance these show. All maps have one scale, so tight and wide classes can be "
        "compared; directions cannot, and distances in two dimensions only hint at those in all. "
        "Click a point or choose a class to grey the others."
    )
    columns = 4 if len(figures) in (4, 7, 8, 11, 12) else min(len(figures), 3)
    return Section("The embedding space", note, figures=figures, columns=columns, wide=True)
