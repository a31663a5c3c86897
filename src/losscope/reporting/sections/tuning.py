"""What was tried in tuning, and what was chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import LossResult
from losscope.core.wording import parts
from losscope.reporting import plots
from losscope.reporting.parts import Context, Grid, Section, fragment

DIVERGED = "diverged"


@register("section", "tuning", order=90)
def tuning(context: Context) -> Section | None:
    """What was tried in tuning, and what was chosen: quality by margin or temperature, and every trial."""
    tried = [side for side in context.trained() if side.trials]
    if not tried:
        return None
    scores = [trial.score for side in tried for trial in side.trials if trial.score is not None]
    drawn = [plots.tuning_lines(side.name, side.trials, context.palette, scores) for side in tried]
    figures = [figure for figure in drawn if figure is not None]
    rows = trial_rows(tried)
    diverged = sum(row[-1] == DIVERGED for row in rows)
    trials = wording.count(len(rows), "trial")
    note = ["Tuned on validation only, on seeds of their own, as many trials for each loss."]
    if diverged:
        note.append(f"{diverged} of {trials} diverged.")
    if figures:
        note.append(
            "One line for each learning rate and reduction, the smaller rate dashed; ringed: the best. "
            "All on one scale."
        )
    heads = ["loss", "settings", "MAP@R, validation", "epoch", ""]
    return Section(
        "Tuning",
        " ".join(note),
        fragment("bullets", [chosen(side) for side in tried]),
        figures,
        Grid("Every trial, best first", heads, rows, numeric=False),
        fold=trials,
        columns=3,
    )


def trial_rows(tried: Sequence[LossResult]) -> list[list[str]]:
    """Every trial, best first within its loss: loss, settings, score, epoch, and what became of it."""
    rows = []
    for side in tried:
        best = max((trial.score for trial in side.trials if trial.score is not None), default=None)
        ranked = sorted(side.trials, key=lambda trial: math.inf if trial.score is None else -trial.score)
        for trial in ranked:
            mark = "best" if trial.score == best else ""
            if trial.score is None:  # nothing is chosen before what the machine stopped was tried again
                mark = DIVERGED if trial.failed else "no score"
            epoch = "" if trial.epoch is None else str(trial.epoch)
            score = wording.number(trial.score, wording.Digits(3))
            rows.append([side.name, parts.settings(trial), score, epoch, mark])
    return rows


def chosen(side: LossResult) -> str:
    """What tuning chose for one loss, and whether it lies on the edge of what was tried."""
    if side.tuned is None:
        return f"{side.name}: nothing chosen, no trial has a score"
    edges = ", ".join(map(wording.edge, side.tuned.edge))
    told = f"; on the edge of the search, so a wider one could do better: {edges}" if edges else ""
    return f"{side.name}: {parts.settings(side.tuned)}{told}"
