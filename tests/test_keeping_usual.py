"""Would fewer verdicts be luck of tuning, if a loss kept its usual numbers unless others are surely better?

An experiment on validation alone; run on demand, ``python -m pytest -m slow tests/test_keeping_usual.py -s``.
"""

from __future__ import annotations

import numpy as np
import pytest

from losscope.comparing import halving
from losscope.core.results import Trial
from losscope.core.spec import LossSpec
from losscope.papers import aa

STUDIES = 200
TIMES = (0.0, 1.0, 2.0, 3.18)
"""Standard errors by which another setting has to be better; 3.18: the 95 % interval of four seeds' mean."""


def kept(best: Trial, usual: Trial, times: float) -> bool:
    """Whether the usual numbers stand: the best trial is not better by so many standard errors over seeds."""
    more = np.array(best.by_seed, float) - np.array(usual.by_seed, float)
    bar = times * more.std(ddof=1) / np.sqrt(len(more))
    return bool(more.mean() <= max(bar, halving.TIE))


def test_the_bar_is_of_paired_seeds():
    def trial(*values: float) -> Trial:
        return Trial(hyperparameters={}, by_seed=values)

    usual = trial(0.5, 0.6, 0.7, 0.8)
    assert not kept(trial(0.6, 0.7, 0.8, 0.9), usual, 3.18)  # .1 in every seed
    assert kept(trial(0.9, 0.6, 0.7, 0.8), usual, 3.18)  # .1 by one seed
    assert kept(trial(0.5, 0.6, 0.7, 0.801), usual, 0.0)  # a near tie


@pytest.mark.slow
def test_how_often_a_rule_that_keeps_the_usual_numbers_is_told_apart():
    """The share of studies of one loss under two names that are told apart, each name tuned on its own."""
    study = aa.studied("triplet")
    found = aa.searched(2 * STUDIES, "triplet")
    own = LossSpec.parse("triplet").resolved("matched")
    asked = {
        name: [halving.Candidate("triplet", own, each.protocol, halving.SEEDS)]
        for name, each in enumerate(found)
    }
    usual = aa.tried(study, asked, {})
    counts = {}
    for times in TIMES:
        chosen = []
        for name, each in enumerate(found):
            won, trial = aa.won(each, "triplet")
            (stays,) = usual[name]
            if times and kept(trial, stays, times):
                won, trial = own, stays
            chosen.append(won.model_copy(update={"checkpoint": trial.epoch}))
        counts[times] = aa.directional(aa.verdicts(STUDIES, aa.SEEDS, chosen))
        print(f"kept within {times:g} standard errors: {counts[times]} of {STUDIES} told apart")
    assert counts[TIMES[-1]] < counts[0.0] < STUDIES / 4
