"""One answer over several data sets, held against a peer, and its error on losses that are one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as peer

import losscope
from losscope.stats.design import alpha_of

COLLECTIONS = 200
FAMILIES = 8


def table(differences: np.ndarray, rng: np.random.Generator, families: int = FAMILIES) -> pd.DataFrame:
    """Runs of two losses that differ by so much on each data set, over three seeds, and the families."""
    base = rng.uniform(0.3, 0.7, len(differences))
    rows = [
        (f"d{place}", f"f{place % families}", loss, seed, "recall_at_1", base[place] + own + seed / 1000)
        for place, difference in enumerate(differences)
        for loss, own in (("first", difference), ("second", 0.0))
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["dataset", "family", "loss", "seed", "measure", "value"])


def test_it_is_scipys_permutation_test_of_the_families_differences_in_units_of_the_indifference():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.01, 0.02, 13)
    (row,) = losscope.judge(table(differences, rng), reference="second").paired
    own = [differences[place::FAMILIES].mean() / row.delta for place in range(FAMILIES)]
    wanted = peer.permutation_test(
        (own, np.zeros(FAMILIES)),
        lambda x, y: np.mean(x - y),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert row.n == FAMILIES and row.p == pytest.approx(wanted.pvalue)
    assert row.difference / row.delta == pytest.approx(np.mean(own))


def test_five_families_have_no_verdict_and_six_may_have():
    rng = np.random.default_rng(1)
    verdicts = [
        losscope.judge(table(np.full(12, 0.05), rng, families), reference="second").paired[0].verdict
        for families in (5, 6)
    ]
    assert verdicts == ["too_few_seeds", "higher"]


def test_two_losses_that_are_one_are_told_apart_no_more_often_than_the_level_says():
    """12 data sets in 8 families, some of which vary eight times as much as others, with heavy tails."""
    rng, told = np.random.default_rng(2), 0
    for _ in range(COLLECTIONS):
        differences = rng.choice([0.005, 0.01, 0.04], 12) * rng.standard_t(3, 12)
        (row,) = losscope.judge(table(differences, rng), reference="second").paired
        told += row.verdict in ("higher", "lower")
    print(f"told apart in {told} of {COLLECTIONS}")
    level = alpha_of(1)
    assert told <= COLLECTIONS * level + 3 * math.sqrt(COLLECTIONS * level * (1 - level))
