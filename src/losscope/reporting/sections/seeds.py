"""The values of each seed, joined across the losses."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.wording import sureness
from losscope.reporting import plots
from losscope.reporting.columns import columns, deciding_measure, is_loss, ranked
from losscope.reporting.parts import Context, Section

MOST = 6


@register("section", "seeds", order=40)
def seeds(context: Context) -> Section | None:
    """Each seed's values joined across the losses, for the measures of the summary."""
    if len(context.losses) < 2 or context.seeds < 2 or context.result.unpaired:
        return None
    figures = []
    for measure in columns(context.result, MOST):
        values = {
            side.name: side.measures[measure].values
            for side in context.trained()
            if measure in side.measures and side.measures[measure].values
        }
        figure = plots.seed_lines(values, measure)
        if figure is not None and len(figure.series) > 1:
            figures.append(figure)
    if not figures:
        return None
    ours = context.result.protocol is not None
    shared = " Within a seed all losses start from the same weights and see the same batches." if ours else ""
    note = (
        f"One line for each {context.unit}.{shared} Lines that rise or fall together show what clouds of "
        "points would hide."
    )
    note = " ".join(part for part in (note, _alone(context)) if part)
    unit = context.unit
    return Section(
        f"{unit[:1].upper()}{unit[1:]} by {unit}", note, figures=figures, key=context.losses, columns=3
    )


def _alone(context: Context) -> str:
    """What a study of one seed could have said of the two losses of the best means."""
    measure = deciding_measure(context.result)
    if measure is None or (better := wording.measure(measure).better) == "neither":
        return ""
    best = [side for side in ranked(context.result, measure) if is_loss(side)][:2]
    if len(best) < 2:
        return ""
    a, b = best
    pairs = list(zip(a.measures[measure].values, b.measures[measure].values, strict=True))
    return sureness.single_runs(a.name, b.name, pairs, context.unit, lower=better == "lower")
