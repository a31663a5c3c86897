"""An answer within a time: what is left out is chosen before anything is trained, and said.

Pilots measure what a step, a look and a measuring cost; then the first rung of a ladder that fits is taken:
fewer settings of each loss and fewer epochs for every loss, at last no tuning and fewer seeds. What was
chosen is kept, so that the same command goes on with the same study. A budget that is too small for the last
rung is refused.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from losscope import stats
from losscope.comparing import halving, spending
from losscope.core import wording
from losscope.core.errors import require
from losscope.core.results import Frozen
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
        (halving.TRIALS, 0.75),
        (halving.TRIALS, 0.5),
        (12, 0.5),
        (9, 0.5),
        (9, 0.35),
        (9, 0.25),
        (6, 0.25),
        (6, 0.15),
        (6, 0.1),
        (0, 0.25),
        (0, 0.15),
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
        cut = _choose(made, given.budget, started)
        if keep:
            made.store.write_json(name, cut.model_dump(mode="json"))
    fitting = _fitting(made, cut.epochs, cut.trials, cut.seeds)
    return dataclasses.replace(fitting, notes=(*fitting.notes, cut.sentence))


def _fitting(made: Plan, epochs: int, trials: int, seeds: int) -> Plan:
    """The plan with other numbers; ``trials``: settings of each loss tried first, 0 for no tuning."""
    given = made.study.given
    tunes = bool(trials) and made.tunes
    change = {"epochs": epochs, "seeds": seeds, "tune": tunes, "space": given.space if tunes else []}
    return dataclasses.replace(made.changed(given.model_copy(update=change)), trials=trials or None)


def _choose(made: Plan, budget: float, started: float) -> Cut:
    """The first rung that fits what is left of a budget, of which the pilots take their part.

    Raises:
        LosscopeError: even the last one takes longer.
    """
    study = made.study
    whole, asked = study.protocol.epochs, len(study.seeds)
    outlook = spending.Outlook()
    fewest = min(asked, stats.minimal_seeds(made.tests) or asked)
    rungs = [(rung, asked) for rung in LADDER if rung.trials == 0 or made.tunes]
    if not made.tunes:
        rungs.insert(0, (Rung(0, 1.0), asked))
        rungs.insert(1, (Rung(0, 0.5), asked))
    rungs.append((Rung(0, LADDER[-1].share), fewest))
    usual = halving.usual(study)
    for rung, seeds in rungs:
        epochs, trials = max(1, round(whole * rung.share)), min(rung.trials, usual)
        fitting = _fitting(made, epochs, trials, seeds)
        expected = outlook.of(fitting).seconds
        left = budget - (time.monotonic() - started)
        if expected <= RESERVE * left:
            break
    else:
        least = budget - left + expected / RESERVE
        require(expected <= left, wording.too_small(budget, least, epochs, seeds, made.tunes))
    first = rungs[0]
    cut = (rung, seeds) != first
    sentence = wording.budget(
        budget,
        expected,
        epochs=(epochs, whole) if epochs < whole else None,
        trials=(trials, usual) if 0 < trials < usual else None,
        seeds=(seeds, asked) if seeds < asked else None,
        untuned=cut and made.tunes and not trials,
        late=expected > RESERVE * left,
    )
    return Cut(epochs=epochs, trials=trials, seeds=seeds, expected=expected, sentence=sentence)
