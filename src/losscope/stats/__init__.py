"""Inference over seeds: tests, intervals, verdicts and recommendations. Imports no torch.

Its rules stand in docs/definitions.md, "Inference".
"""

from __future__ import annotations

from losscope.stats.analysis import Analysis, analyse
from losscope.stats.comparison import (
    CENSORED,
    Difference,
    Summary,
    association,
    compare,
    correlations,
    declared,
    effects,
    null,
    summary,
)
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
from losscope.stats.flat import flat_region, with_costs
from losscope.stats.grouping import best_group, every_pair
from losscope.stats.intervals import (
    Published,
    data_like_these,
    data_like_these_unpaired,
    jackknife_variance,
    mean_interval,
    prediction_interval,
    published_value,
)
from losscope.stats.likeness import check_prior, foretells
from losscope.stats.models import TwoModels, of_two_models
from losscope.stats.prior import foretell, prior_score
from losscope.stats.recommendation import recommend
from losscope.stats.resample import Null, holm, midranks, sign_flips, sign_test
from losscope.stats.several import OnData, mean_on_scale, on_each
from losscope.stats.sides import Measured, plain
from losscope.stats.standing import Standing, family_bound
from losscope.stats.unpaired import label_shuffles
from losscope.stats.verdicts import (
    Claim,
    ClaimJudgement,
    Traits,
    barred,
    corrected,
    indifference,
    judge_claims,
    more_seeds,
    over_data,
    pair_verdict,
    undecided,
)

__all__ = [
    "CENSORED",
    "Analysis",
    "Claim",
    "ClaimJudgement",
    "Difference",
    "Measured",
    "Null",
    "OnData",
    "Published",
    "Standing",
    "Summary",
    "Traits",
    "TwoModels",
    "alpha_of",
    "analyse",
    "association",
    "attainable_p",
    "barred",
    "best_group",
    "check_prior",
    "compare",
    "corrected",
    "correlations",
    "data_like_these",
    "data_like_these_unpaired",
    "declared",
    "effects",
    "every_pair",
    "family_bound",
    "family_size",
    "flat_region",
    "foretell",
    "foretells",
    "holm",
    "indifference",
    "jackknife_variance",
    "judge_claims",
    "label_shuffles",
    "mean_interval",
    "mean_on_scale",
    "midranks",
    "minimal_seeds",
    "more_seeds",
    "null",
    "of_two_models",
    "on_each",
    "over_data",
    "pair_verdict",
    "plain",
    "plan",
    "power",
    "prediction_interval",
    "prior_score",
    "published_value",
    "recommend",
    "seeds_needed",
    "sign_flips",
    "sign_test",
    "smallest_p",
    "summary",
    "undecided",
    "with_costs",
]
