"""An answer within a time: what is left out is chosen before anything is trained, and said.

A pilot of two epochs measures what an epoch costs; then the first rung of a ladder that fits is taken:
fewer points of each loss's space and fewer epochs for every loss, at last no tuning and fewer seeds. What was
chosen is kept, so that the same command goes on with the same study.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from losscope import stats
from losscope.comparing import tuning
from losscope.core.spec import Study

if TYPE_CHECKING:
    from losscope.comparing.planning import Plan

RESERVE = 0.7
"""Share of the budget that is planned for; the rest is for measuring, the page and a noisy machine."""

LADDER = ((6, 1.0), (6, 0.5), (3, 0.5), (3, 0.25), (2, 0.25), (2, 0.1), (0, 0.25), (0, 0.1), (0, 0.05))
"""(points of each loss's space, share of the protocol's epochs); 0 points is no tuning."""


def fit(made: Plan, started: float) -> tuple[Study, int | None, str]:
    """The study that fits its budget, the points of each space to try, and the sentence that says so."""
    budget = made.study.budget
    assert budget is not None
    name = f"studies/{made.name}/budget.json"
    chosen = made.store.read_json(name)
    if chosen is None:
        chosen = _choose(made, budget - (time.monotonic() - started))
        made.store.write_json(name, chosen)
    epochs, points = chosen["epochs"], chosen["points"]
    change: dict[str, Any] = {"epochs": epochs, "seeds": chosen["seeds"], "tune": bool(points) and made.tunes}
    return made.study.model_copy(update=change), points or None, chosen["sentence"]


def _choose(made: Plan, left: float) -> dict[str, Any]:
    whole = made.study.shape(made.kind).epochs
    trained, measured = _pilot(made)
    losses = made.study.loss_specs()
    fewest = stats.minimal_seeds(stats.family_size(len(losses), 2)) or made.study.seeds
    rungs = [(points, share, made.study.seeds) for points, share in LADDER]
    rungs.append((0, LADDER[-1][1], min(made.study.seeds, fewest)))
    for points, share, seeds in rungs:
        epochs = max(1, round(whole * share))
        trials = (
            0
            if not (points and made.tunes)
            else len(tuning.SEEDS)
            * sum(len(tuning.grid(spec, made.study.protocol, points)) for spec in losses if not spec.foreign)
        )
        members = trials + seeds * len(losses)
        cost = epochs * members * trained + (len(losses) + 2) * seeds * measured
        if cost <= RESERVE * left:
            break
    cut = (
        "nothing is cut"
        if (points, share) == LADDER[0] and seeds == made.study.seeds
        else (
            f"cut to {epochs} of {whole} epochs for every loss"
            + (
                f", {points} of {LADDER[0][0]} points of each loss's space"
                if trials and points < LADDER[0][0]
                else ""
            )
            + (", no tuning" if made.tunes and not trials else "")
        )
    )
    late = "" if cost <= RESERVE * left else "; even this may take longer"
    sentence = f"Budget {made.study.budget:g} s: {cut}, expected {cost:.0f} s{late}."
    return {"epochs": epochs, "points": points, "seeds": seeds, "expected": cost, "sentence": sentence}


def _pilot(made: Plan) -> tuple[float, float]:
    """Seconds of one member's epoch in a population of the study's size, and of measuring one run."""
    from losscope.run.launch import fixed_threads
    from losscope.train import Population, train

    by_loss: dict[str, list[Any]] = {}
    for run in made.runs:
        by_loss.setdefault(run.loss.label, []).append(run)
    splits = {run.seed: made.source.splits(run.seed, protocol=made.study.protocol) for run in made.runs}
    import torch

    trained, count = 0.0, 0
    with fixed_threads():
        for label, runs in by_loss.items():
            if runs[0].loss.baseline:
                continue
            size = min(len(group.runs) for group in made.groups if group.runs[0].loss.label == label)
            own = runs[:size]
            population = Population(own, [splits[run.seed] for run in own], torch.device(made.device))
            population.run_epoch()
            start = time.perf_counter()
            population.run_epoch()
            trained += (time.perf_counter() - start) / len(own)
            count += 1
        base = by_loss["untrained"][:1]
        start = time.perf_counter()
        train(base, [splits[run.seed] for run in base], device=made.device, keep="last")
    return trained / count, time.perf_counter() - start
