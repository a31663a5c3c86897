"""Advice on seeds rests on a spread that is known, an interval on values that differ, a batch on a window."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope import stats
from losscope.core import wording
from losscope.core.results import Comparison, Result
from losscope.core.wording import change_interval, sizes_that_fit
from losscope.stats.comparison import compare
from losscope.stats.verdicts import more_seeds

RNG = np.random.default_rng(0)


def analysed(a: list[float], b: list[float], unpaired: bool = False) -> stats.Analysis:
    runs = [
        stats.Measured(name, seed, {"recall_at_1": value})
        for name, values in (("triplet", a), ("contrastive", b))
        for seed, value in enumerate(values)
    ]
    return stats.analyse(runs, unpaired=unpaired)


def said(a: list[float], b: list[float], unpaired: bool = False) -> str:
    """The row's sentence and the recommendation's."""
    found = analysed(a, b, unpaired)
    return " ".join([found.paired[0].sentence, *found.recommendation.sentences])


FAR = [0.91, 0.62, 0.74, 0.85, 0.66, 0.93]
NEAR = [0.80, 0.81, 0.79, 0.82, 0.80, 0.81]


@pytest.mark.parametrize("unpaired", [False, True])
@pytest.mark.parametrize("seeds", [2, 3])
def test_a_spread_of_two_or_three_seeds_gives_no_number_of_seeds(seeds: int, unpaired: bool) -> None:
    """Before: "2,647 seeds would show a difference of 0.01", from the spread of two."""
    text = said(FAR[:seeds], NEAR[:seeds], unpaired)
    assert f"{seeds} seeds do not tell how far seeds spread" in text
    assert "would show a difference" in text and "is not known" in text
    numbers = [int(found.replace(",", "")) for found in re.findall(r"([\d,]+) seeds", text)]
    assert max(numbers) <= 12, text


def test_from_four_seeds_on_the_spread_is_used() -> None:
    text = said(FAR[:4], NEAR[:4])
    assert re.search(r"and [\d,]+ would show a difference of 0.01", text) and "do not tell" not in text
    row = compare(FAR[:4], NEAR[:4], "recall_at_1", alpha=0.04)
    assert more_seeds(row, tests=1, look=1) == stats.seeds_needed(row.sd, row.delta, tests=1, look=2)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_of_few_seeds_the_fewest_that_can_be_tested_are_named(seeds: int) -> None:
    row = compare(FAR[:seeds], NEAR[:seeds], "recall_at_1", alpha=0.04)
    assert more_seeds(row, tests=3, look=1) == stats.minimal_seeds(3, 2)


def test_equal_values_have_no_interval() -> None:
    """Before: "96 % interval 0.000 to 0.000"."""
    text = said([0.9] * 10, [0.9] * 10)
    assert "no interval, as the difference is the same in all 10 seeds" in text
    assert "0.000 to 0.000" not in text and "equivalent" in text
    shifted = said([0.92] * 10, [0.9] * 10)
    assert "no interval, as the difference is the same in all 10 seeds" in shifted and "(better)" in shifted


@given(st.lists(st.integers(-2, 2), min_size=6, max_size=12))
def test_an_interval_has_equal_ends_only_where_all_seeds_differ_equally(steps: list[int]) -> None:
    row = compare([0.5 + step / 64 for step in steps], [0.5] * len(steps), "recall_at_1", alpha=0.04)
    assert (row.low == row.high) == (len(set(steps)) == 1)


def test_one_seed_has_no_interval() -> None:
    assert "interval" not in analysed([0.9], [0.9]).paired[0].sentence


def test_equal_ends_on_data_like_these_are_not_shown() -> None:
    row = analysed([0.9] * 10, [0.9] * 10).paired[0]
    same = row.model_copy(update={"low_data": 0.0, "high_data": 0.0})
    assert wording.evidence(same).endswith("these data")
    wide = row.model_copy(update={"low_data": -0.01, "high_data": 0.01})
    assert wording.evidence(wide).endswith("on data like these 95 % −0.010 to 0.010")


@given(st.floats(-1, 1), st.floats(0, 1), st.sampled_from(["difference", "log_ratio"]))
def test_the_ends_of_an_interval_read_apart_where_they_differ_enough(low: float, width: float, scale) -> None:
    high = low + width
    ends = change_interval(low, high, scale).removesuffix(" times").split(" to ")
    assert len(ends) == 2
    if width > 1e-6:
        assert ends[0] != ends[1]
    read = [float(end.replace("−", "-").replace("×10", "e").translate(SUPERSCRIPT)) for end in ends]
    exact = (low, high) if scale == "difference" else (math.exp(low), math.exp(high))
    assert read == pytest.approx(exact, abs=0.006)


SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@given(st.integers(2, 200), st.integers(2, 200))
def test_a_window_of_batch_sizes_holds_what_fits(least: int, most: int) -> None:
    text = sizes_that_fit(least, most)
    numbers = [int(found) for found in re.findall(r"\d+", text)]
    assert numbers == ([] if least > most else sorted({least, most}))
    assert ("leave --batch-size out" in text) == (least > most)


def test_a_result_of_three_seeds_says_so_in_its_json() -> None:
    row = Comparison.model_validate(analysed(FAR[:3], NEAR[:3]).paired[0].model_dump())
    assert not row.spread_known and "spread_known" not in row.model_dump()
    assert "seeds_needed" in Comparison.model_fields and Result.kind == "comparison"
