"""Maps of the embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core.registry import register
from losscope.reporting import maps as drawn
from losscope.reporting.failing import differing
from losscope.reporting.figure import Figure
from losscope.reporting.parts import Context, Section


@register("section", "maps", order=80)
def maps(context: Context) -> Section | None:
    """Maps of the test embeddings on two principal components, side by side."""
    figures = drawn.maps(context.maps, context.class_names, context.palette, differing(context))
    if not figures:
        return None
    if any(found.by == "tsne" for found in context.maps.values()):
        return _by_neighbours(figures)
    note = (
        "Test embeddings of one seed on each side’s own two leading principal components; in percent: how "
        "much of their variance these show. All maps have one scale, so tight and wide classes can be "
        "compared; directions cannot, and distances in two dimensions only hint at those in all. "
        "Click a point or choose a class to grey the others."
    )
    return _section(note, figures)


def _by_neighbours(figures: Sequence[Figure]) -> Section:
    note = (
        "Test embeddings of one seed by t-SNE (perplexity 30, from the principal components), each side on "
        "its own: what is near stays near. Sizes of groups and distances between them mean nothing, and nor "
        "does the scale. Click a point or choose a class to grey the others."
    )
    return _section(note, figures)


def _section(note: str, figures: Sequence[Figure]) -> Section:
    columns = 4 if len(figures) in (4, 7, 8, 11, 12) else min(len(figures), 3)
    return Section("The embedding space", note, figures=figures, columns=columns, wide=True)
