"""An answer within a time: what is left out is chosen before anything is trained, and said.

A pilot of two epochs measures what an epoch costs; then the first rung of a ladder that fits is taken:
fewer settings of each loss and fewer epochs for every loss, at last no tuning and fewer seeds. What was
chosen is kept, so that the same command goes on with the same study.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from losscope import stats
from losscope.comparing import halving
from losscope.core import wording
from losscope.core.results import Frozen
from losscope.core.spec import Run
from losscope.run.files import Damaged

if TYPE_CHECKING:
    from losscope.comparing.planning import Plan

RESERVE = 0.7
"""Share of the budget that is planned for; the rest is for measuring, the page and a noisy machine."""


@dataclass(frozen=True)
class Rung:
    """A way to leave something out: ``trials`` settings of each loss are tried first (0: no tuning), and the
    whole training has a ``share`` of the protocol's epochs."""

    trials: int
    share: float


LADDER = tuple(
    Rung(trials, share)
    for trials, share in (
        (halving.TRIALS, 1.0),
        (halving.TRIALS, 0.5),
        (9, 0.5),
        (9, 0.25),
        (6, 0.25),
        (6, 0.1),
        (0, 0.25),
        (0, 0.1),
        (0, 0.05),
    )
)


class Cut(Frozen):
    """The study that fits: its numbers, the seconds expected, and what is said of it; kept as a file."""

    epochs: int
    trials: int
    seeds: int
    expected: float
    sentence: str


def fit(made: Plan, started: float, keep: bool = True) -> Plan:
    """The plan that fits its budget, counted from ``started``, with a sentence on what was cut for it.

    ``keep``: what was chosen is kept in the store, so that the same command goes on with the same study.
    """
    given = made.study.given
    assert given.budget is not None
    name = f"studies/{made.name}/budget.json"
    cut = None
    try:
        kept = made.store.read_json(name)
        cut = None if kept is None else Cut.model_validate(kept)
    except (Damaged, ValidationError):  # altered, or of another version: what fits is found again
        pass
    if cut is None:
        cut = _choose(made, given.budget, given.budget - (time.monotonic() - started))
        if keep:
            made.store.write_json(name, cut.model_dump(mode="json"))
    tunes = bool(cut.trials) and made.tunes
    space = given.space if tunes else []
    change = {"epochs": cut.epochs, "seeds": cut.seeds, "tune": tunes, "space": space}
    fitting = made.changed(given.model_copy(update=change))
    notes = (*fitting.notes, cut.sentence)
    return dataclasses.replace(fitting, trials=cut.trials or None, notes=notes)


def _choose(made: Plan, budget: float, left: float) -> Cut:
    study = made.study
    whole, seeds_asked, losses = study.protocol.epochs, len(study.seeds), len(study.losses)
    trained, measured = _pilot(made)
    fewest = stats.minimal_seeds(made.tests) or seeds_asked
    rungs = [(rung, seeds_asked) for rung in LADDER]
    rungs.append((Rung(0, LADDER[-1].share), min(seeds_asked, fewest)))
    for rung, seeds in rungs:
        epochs = max(1, round(whole * rung.share))
        trials = 0.0
        if rung.trials and made.tunes:
            trials = losses * halving.effort(study, rung.trials)
        cost = epochs * (trials + seeds * losses) * trained + (losses + 2) * seeds * measured
        if cost <= RESERVE * left:
            break
    cut = rung != LADDER[0] or seeds != seeds_asked
    fewer = cut and trials > 0 and rung.trials < LADDER[0].trials
    sentence = wording.budget(
        budget,
        cost,
        epochs=(epochs, whole) if cut else None,
        trials=(rung.trials, LADDER[0].trials) if fewer else None,
        untuned=cut and made.tunes and not trials,
        late=cost > RESERVE * left,
    )
    return Cut(epochs=epochs, trials=rung.trials, seeds=seeds, expected=cost, sentence=sentence)


def _pilot(made: Plan) -> tuple[float, float]:
    """Seconds of one member's epoch in a population of the study's size, and of measuring one run."""
    import torch

    from losscope.run.arithmetic import fixed_arithmetic
    from losscope.train import Population, train

    device = made.study.device
    by_loss: dict[str, list[Run]] = {}
    for run in made.runs:
        by_loss.setdefault(run.loss.name, []).append(run)
    splits = {seed: made.source.splits(seed) for seed in made.study.seeds}
    trained, count = 0.0, 0
    groups = made.groups
    with fixed_arithmetic():
        for name, runs in by_loss.items():
            if runs[0].loss.baseline:
                continue
            size = min(len(group.runs) for group in groups if group.runs[0].loss.name == name)
            own = runs[:size]
            population = Population(own, [splits[run.seed] for run in own], torch.device(device))
            population.run_epoch()
            start = time.perf_counter()
            population.run_epoch()
            trained += (time.perf_counter() - start) / len(own)
            count += 1
        base = next(own for own in by_loss.values() if own[0].loss.baseline)[:1]
        start = time.perf_counter()
        train(base, [splits[run.seed] for run in base], device=device, keep="last")
    return trained / count, time.perf_counter() - start
