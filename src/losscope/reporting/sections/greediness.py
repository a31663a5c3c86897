"""Where the training effort goes, by epoch."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.reporting.curves import courses, curves, series_of
from losscope.reporting.parts import Context, Section, fragment

SHARES = {
    "active_ratio": True,
    "effective_active": True,
    "active_samples": True,
    "gradient_norm": False,
    "embedding_gradient_norm": False,
    "update_norm": False,
    "hard_share": True,
    "greedy_share": True,
    "greedy_share_positive": True,
    "greedy_share_negative": True,
    "gradient_gini": True,
    "gradient_top_tenth": True,
}
"""The traced measures in their order, and whether each is a share."""


@register("section", "greediness", order=60)
def greediness(context: Context) -> Section | None:
    """Where the training effort goes, by epoch: active terms, gradients, updates, hard and greedy shares."""
    figures, defined = [], []
    for name, share in SHARES.items():
        figure = curves(
            courses(context.traced, name, context.palette),
            wording.title(name),
            wording.measure(name).unit,
            share=share,
            log=not share,
        )
        if figure is not None:
            figures.append(figure)
            defined.append((wording.title(name), wording.measure(name).definition))
    if not figures:
        return None
    note = (
        f"{context.band_note} Only hinge losses have an active ratio. "
        "Gradient norms carry a loss’s own factor."
    )
    html = fragment("glossary", "What these are", defined)
    return Section("Where the effort goes", note, html, figures, key=series_of(figures), columns=3)
