"""The benchmark of losses: both sides compute the same, take turns, and a peer that does not fit is a row."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from losscope.benching import losses as bench
from losscope.benching.command import Bench
from losscope.benching.command import bench as run_bench
from losscope.core.errors import LosscopeError
from losscope.core.results import BenchResult, BenchRow
from losscope.reporting.pictures import save

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def measured() -> list[BenchRow]:
    pytest.importorskip("pytorch_metric_learning")
    return bench.losses([16, 32], works=["sup_con"], seconds=0.05)


def test_a_row_says_whose_what_and_how_much(measured):
    assert [(row.size, row.side) for row in measured] == [
        (size, side) for size in (16, 32) for side in ("losscope", "pytorch-metric-learning")
    ]
    for row in measured:
        assert row.status == "measured"
        assert row.same
        assert row.seconds > 0
        assert row.version
        assert row.peak_bytes > row.step_bytes >= 0
    assert measured[0].ratio is None
    peer = measured[1]
    assert peer.ratio_low < peer.ratio < peer.ratio_high
    assert peer.rounds >= bench.ROUNDS[0]
    # What one reads off the medians and the mean of the rounds' ratios are near each other.
    assert 0.2 < peer.ratio / (peer.seconds / measured[0].seconds) < 5
    assert "times ours" in bench.sentence(peer)


@pytest.mark.parametrize("work", bench.WORKS, ids=lambda work: work.name)
def test_sides_of_one_form_have_one_value(work):
    values = {}
    for side in work.sides:
        if bench.version(side) is not None and not side.other:
            values[side.name] = float(bench.step_of(side, work.batch, 32)()) / side.factor
    assert set(values) >= {"losscope"}
    for value in values.values():
        assert value == pytest.approx(values["losscope"], rel=1e-4)


def test_a_side_that_does_not_fit_is_a_row_and_so_are_larger_batches():
    pytest.importorskip("pytorch_metric_learning")
    side = bench.work_named("all triplets").sides[2]
    rows = bench.in_process(side, "labels", [32, 512, 1024], 2**27, 1, "cpu")
    assert [row.status for row in rows] == [
        "measured",
        "out of memory at 0.1 GiB",
        "not tried: B = 512 was too large",
    ]
    assert rows[1].seconds is None
    made = bench._size(bench.WORKS[0], 512, [bench.WORKS[0].sides[0], side], [rows[0], rows[1]], 0.05, "cpu")
    assert made[1].ratio is made[1].peak_bytes is None
    assert made[1].status.startswith("out of memory")
    assert bench.sentence(made[1]).endswith("out of memory at 0.1 GiB")


def test_a_process_counts_the_memory_of_its_step():
    """All-pairs contrastive at B = 2048 holds a few 2048² tables of 16 MiB."""
    side = bench.work_named("contrastive").sides[0]
    small, large = bench.in_process(side, "labels", [64, 2048], 2**31, 1, "cpu")
    if large.step_bytes is None:
        pytest.skip("this system does not tell a process's peak")
    assert 2**24 < large.step_bytes < 12 * 2**24
    assert small.step_bytes < 2**24


def test_the_interval_is_the_t_interval_of_the_rounds_log_ratios():
    theirs, ours = np.array([2.0, 3.0, 4.0, 2.5]), np.array([1.0, 1.1, 0.9, 1.2])
    found = bench._ratio(theirs, ours)
    expected = stats.ttest_1samp(np.log(theirs / ours), 0).confidence_interval(0.95)
    assert math.log(found.low) == pytest.approx(expected.low)
    assert math.log(found.high) == pytest.approx(expected.high)


def test_rounds_take_turns():
    order: list[str] = []

    def step(name):
        def run():
            order.append(name)
            return torch.zeros(())

        return run

    times = bench._rounds([step("a"), step("b")], 0.0, "cpu")
    assert times.shape == (bench.ROUNDS[0], 2)
    turns = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    # One warm-up each, then rounds that begin with another side each time: ab, ba, ab, …
    assert turns == ["a", "b"] * ((3 + bench.ROUNDS[0]) // 2)


def test_the_growth_is_the_slope_of_the_logarithms():
    rows = [
        BenchRow(
            work="w",
            loss="l",
            side="s",
            size=size,
            version=None,
            seconds=1e-6 * size**2.5,
            peak_bytes=None,
            ratio=None,
        )
        for size in (128, 512, 1024, 2048)
    ]
    (found,) = bench.growth(rows)
    assert found.exponent == pytest.approx(2.5)
    assert bench.growth([rows[0].model_copy(update={"seconds": None})])[0].exponent is None


def test_mistakes_are_said():
    with pytest.raises(LosscopeError, match="unknown benchmark 'triplets'; did you mean"):
        bench.losses([32], works=["triplets"])
    with pytest.raises(LosscopeError, match="numbers from 16 on"):
        bench.losses([4])
    with pytest.raises(LosscopeError, match="unknown benchmark 'speed'"):
        run_bench("speed")
    with pytest.raises(LosscopeError, match="leave it out for training"):
        run_bench("training", plot="x.png")
    with pytest.raises(LosscopeError, match=r"\.html, \.png, \.svg or \.pdf"):
        run_bench(plot="x.bmp")


def test_table_json_and_plot_are_views_of_the_rows(measured, tmp_path):
    changes = {"size": 64, "seconds": None, "status": "out of memory at 1.0 GiB"}
    failed = measured[1].model_copy(update=changes)
    made = Bench(what="losses", rows=(*measured, failed), growth=tuple(bench.growth(measured)))
    read = json.loads(made.json_text())
    assert BenchResult.from_json(made.json_text()).rows == made.rows
    assert {"work", "size", "side", "version", "seconds", "peak_bytes", "ratio"} <= set(read["rows"][0])
    (table,) = made.tables()
    assert table.row_count == 5
    for name in ("bench.html", "bench.png"):
        save(made.figure(), tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
