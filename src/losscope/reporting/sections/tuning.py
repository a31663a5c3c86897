"""What was tried in tuning, and what was chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from losscope.core import wording
from losscope.core.quantities import quantity
from losscope.core.registry import register
from losscope.core.results import LossResult, Trial, Tuned
from losscope.core.training import Protocol
from losscope.core.wording import parts
from losscope.reporting import trials as drawing
from losscope.reporting.figure import Figure
from losscope.reporting.parts import Context, Grid, Section, fragment

DIVERGED = "diverged"


@register("section", "tuning", order=90)
def tuning(context: Context) -> Section | None:
    """What was tried in tuning, and what was chosen: quality by margin or temperature, and every trial."""
    tried = [side for side in context.trained() if side.trials]
    if not tried:
        return None
    scores = [trial.score for side in tried for trial in side.trials if trial.score is not None]
    figures = figures_of(tried, scores, context.result.protocol)
    rows = trial_rows(tried)
    diverged = sum(row[-1] == DIVERGED for row in rows)
    trials = wording.count(len(rows), "trial")
    tuned = [side.tuned for side in tried if side.tuned is not None]
    measure = quantity(tuned[0].measure).label if tuned else "MAP@R"
    note = [
        "Tuned on validation only, on seeds of their own, with the same budget for each loss: every setting "
        f"is trained for a share of the epochs, and the better half goes on. {measure} decides."
    ]
    if tuned and tuned[0].start not in (None, "random"):
        note.append(
            f"Every loss's head starts as {tuned[0].start}, on inputs transformed by {tuned[0].transform}: "
            "both were chosen before the losses, for all alike."
        )
    if diverged:
        note.append(f"{diverged} of {trials} diverged.")
    if figures:
        note.append(
            "The larger the learning rate, the larger the point; open points were not trained whole. "
            "The line joins the best whole trial of each value, the best over its other numbers; its band "
            "reaches from that trial's lowest seed to its highest; ringed: the chosen; dotted: the "
            "usual value. All on one scale. One number alone is varied with --curves."
        )
    heads = ["loss", "settings", f"{measure}, validation", "trained for", "best epoch", ""]
    return Section(
        "Tuning",
        " ".join(note),
        fragment("bullets", [chosen(side) for side in tried]),
        figures,
        Grid("Every trial, best first", heads, rows, numeric=False),
        fold=trials,
        columns=3,
    )


def figures_of(
    tried: Sequence[LossResult], scores: Sequence[float], protocol: Protocol | None
) -> list[Figure]:
    """Of each loss, validation quality over its own number; then of each, over the learning rate."""
    made: dict[bool, list[Figure]] = {False: [], True: []}
    for side in tried:
        for number in drawing.drawn_numbers(side.trials):
            usual = drawing.usual(side, number, protocol)
            figure = drawing.tuning_curve(side.name, side.trials, scores, side.tuned, number, usual)
            if figure is not None:
                made[number == drawing.RATE].append(figure)
    return [*made[False], *made[True]]


def trial_rows(tried: Sequence[LossResult]) -> list[list[str]]:
    """Every trial, best first within its loss: loss, settings, score, epoch, and what became of it."""
    rows = []
    for side in tried:
        ranked = sorted(side.trials, key=lambda trial: math.inf if trial.score is None else -trial.score)
        for trial in ranked:
            mark = "chosen" if _is(trial, side.tuned) else ""
            if trial.score is None:  # nothing is chosen before what the machine stopped was tried again
                mark = DIVERGED if trial.failed else "no score"
            epoch = "" if trial.epoch is None else str(trial.epoch)
            long = "" if trial.epochs is None else f"{trial.epochs}, {wording.count(len(trial.runs), 'seed')}"
            score = wording.number(trial.score, wording.Digits(3))
            rows.append([side.name, parts.settings(trial), score, long, epoch, mark])
    return rows


def _is(trial: Trial, tuned: Tuned | None) -> bool:
    """Whether a trial is the one that was chosen."""
    return tuned is not None and (trial.score, trial.epoch, trial.learning_rate, trial.hyperparameters) == (
        tuned.score,
        tuned.checkpoint,
        tuned.learning_rate,
        tuned.hyperparameters,
    )


def chosen(side: LossResult) -> str:
    """What tuning chose for one loss, and whether it lies on the edge of what was tried."""
    if side.tuned is None:
        return f"{side.name}: nothing chosen, no trial has a score"
    tuned = side.tuned
    edges = ", ".join(map(wording.edge, tuned.edge))
    told = f"; on the edge of the search, so a wider one could do better: {edges}" if edges else ""
    if tuned.checkpoint == 0:
        told += f"; it {parts.stopped(side)}: training adds nothing"
    if tuned.unstable:
        share = wording.percent(round(tuned.unstable, 2))
        told += f"; other seeds of tuning would choose another setting in {share} of draws"
    if tuned.agreement is not None:
        agreement = wording.number(tuned.agreement, wording.Digits(2))
        told += f"; rank correlation of the first stage with the whole training {agreement}"
    regions = [drawing.flat_region(side.trials, number) for number in drawing.drawn_numbers(side.trials)]
    flat = ", and ".join(wording.flat(region) for region in regions if region is not None)
    if flat:
        told += f"; {flat}, of those trained whole, each at the best of its other numbers"
    return f"{side.name}: {parts.settings(tuned)}{told}"
