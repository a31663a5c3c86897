"""Inference over seeds, DEFINITIONS 7: tests, intervals, verdicts, sentences. Imports no torch."""

from __future__ import annotations

from losscope.stats.analysis import Measured, analyse, plain
from losscope.stats.compare import CENSORED, Comparison, association, compare, correlations, declared, summary
from losscope.stats.design import (
    alpha_of,
    attainable_p,
    family_size,
    minimal_seeds,
    plan,
    power,
    seeds_needed,
    smallest_p,
)
from losscope.stats.intervals import (
    data_like_these,
    data_like_these_unpaired,
    jackknife_variance,
    mean_interval,
    prediction_interval,
    published_value,
)
from losscope.stats.recommend import recommend
from losscope.stats.resample import Null, holm, label_shuffles, midranks, sign_flips, sign_test
from losscope.stats.sentences import Row, sentence
from losscope.stats.verdicts import (
    Claim,
    ClaimVerdict,
    Traits,
    barred,
    judge_claims,
    more_seeds,
    over_data,
    pair_verdict,
)

__all__ = [
    "CENSORED",
    "Claim",
    "ClaimVerdict",
    "Comparison",
    "Measured",
    "Null",
    "Row",
    "Traits",
    "alpha_of",
    "analyse",
    "association",
    "attainable_p",
    "barred",
    "compare",
    "correlations",
    "data_like_these",
    "data_like_these_unpaired",
    "declared",
    "family_size",
    "holm",
    "jackknife_variance",
    "judge_claims",
    "label_shuffles",
    "mean_interval",
    "midranks",
    "minimal_seeds",
    "more_seeds",
    "over_data",
    "pair_verdict",
    "plain",
    "plan",
    "power",
    "prediction_interval",
    "published_value",
    "recommend",
    "seeds_needed",
    "sentence",
    "sign_flips",
    "sign_test",
    "smallest_p",
    "summary",
]
