"""The benchmark of retrieval, and the quick selection of neighbours beside a plain sort."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from losscope.benching.command import bench
from losscope.benching.retrieving import _agree, retrieving
from losscope.core.errors import LosscopeError
from losscope.measures.neighbours import STEP, Gallery, ranked, unit


def plainly(
    squared: torch.Tensor, count: int, own: np.ndarray | None
) -> tuple[list[list[int]], list[list[bool]]]:
    """Columns and ties by sorting all pairs in plain Python: by distance to 2^-40, then by column."""
    columns, tied = [], []
    for row, distances in enumerate(squared.tolist()):
        # Rounding to nearest even at the digit is what the addition of a power of two does.
        key = {
            column: round(distance * 2**40 + STEP / 2 * 2**40)
            for column, distance in enumerate(distances)
            if own is None or column != own[row]
        }
        order = sorted(key, key=lambda column: (key[column], column))
        buckets = [key[column] // round(STEP * 2**40) for column in order]
        pairs = [here == there for here, there in zip(buckets, buckets[1:], strict=False)] + [False]
        columns.append(order[:count])
        tied.append(pairs[:count])
    return columns, tied


@pytest.mark.parametrize("kind", ["any", "signs", "copies", "rounded", "near an edge"])
@pytest.mark.parametrize("own", [True, False])
def test_the_quick_selection_is_a_plain_sort(kind, own):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(700, 8, generator=generator)
    if kind == "signs":
        rows = rows.sign()
    if kind == "copies":
        rows = rows[torch.randint(0, 90, (700,), generator=generator)]
    if kind == "rounded":
        rows = (2 * rows).round()
    points = unit(rows)
    squared = Gallery.of(points).squared_distances(points[:6])
    if kind == "near an edge":
        steps = torch.randint(-3, 4, squared.shape, generator=generator) * 2.0**-41
        squared = (squared / STEP).round() * STEP + STEP / 2 + steps
        squared = squared.clamp(0, 4)
    itself = torch.arange(6) if own else None
    for count in (1, 10, 20, 60, 300, 699):
        found = ranked(squared, count, itself)
        columns, tied = plainly(squared, count, None if itself is None else itself.numpy())
        assert found.columns.tolist() == columns
        assert found.tied.tolist() == tied


def test_a_query_that_is_far_from_itself_is_left_out_all_the_same():
    generator = torch.Generator().manual_seed(2)
    squared = torch.rand(5, 600, generator=generator, dtype=torch.float64) + 0.5
    own = torch.tensor([3, 0, 599, 20, 7])
    squared[torch.arange(5), own] = torch.tensor([4.0, 0.0, 3.9, 0.1, 1.0], dtype=torch.float64)
    for count in (1, 5, 40, 599):
        assert ranked(squared, count, own).columns.tolist() == plainly(squared, count, own.numpy())[0]


def test_the_benchmark_has_the_bare_product_ours_and_the_peer():
    pytest.importorskip("faiss")
    pytest.importorskip("pytorch_metric_learning")
    said: list[str] = []
    rows = retrieving([(300, 16, 12), (400, 8, 5)], rounds=3, threads=1, say=said.append)
    assert [row.side.split()[0] for row in rows] == ["bare", "losscope", "AccuracyCalculator"] * 2
    assert [row.ratio is None for row in rows] == [True, False, False] * 2
    assert all(row.ratio_low <= row.ratio <= row.ratio_high for row in rows if row.ratio)
    assert rows[2].same and rows[2].version
    assert "times the bare product" in said[1] and "300 × 16, 12 classes" in said[1]


def test_times_are_compared_only_where_values_agree():
    ours = {"recall_at_1": 0.5, "r_precision": 0.25, "map_at_r": 0.125}
    _agree(ours, ours, 0.0)
    _agree(ours, ours | {"map_at_r": 0.126}, 0.01)
    with pytest.raises(LosscopeError, match="map_at_r is 0.12500000 here and 0.12600000"):
        _agree(ours, ours | {"map_at_r": 0.126}, 0.0)
    with pytest.raises(LosscopeError, match="rounds 0"):
        retrieving(rounds=0)


def test_the_command_has_it(monkeypatch):
    from losscope.benching import retrieving as module

    monkeypatch.setattr(module.retrieving, "__defaults__", (((60, 4, 3),),))
    made = bench("retrieval")
    assert made.what == "retrieval" and made.provenance.clock == "wall"
    assert made.tables()[0].columns[6].header == "× bare"
