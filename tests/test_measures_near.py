"""What float32 finds to be near, beside the whole table in float64 and plain loops: the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from losscope.measures import evaluate, near
from losscope.measures.neighbours import BEYOND, STEP, Gallery, nearest_places, ranked, tied_with, unit
from test_speed_retrieval import plainly

KINDS = (
    "drawn",
    "classes",
    "signs",
    "rounded",
    "copies",
    "zero rows",
    "collapsed",
    "half collapsed",
    "float64",
)


def embedded(kind: str, rows: int, width: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(rows + width)
    points = torch.randn(rows, width, generator=draw)
    labels = torch.randint(classes, (rows,), generator=draw)
    first = (torch.arange(rows) % 50 > 0)[:, None]
    made = {
        "drawn": points,
        "classes": points + torch.randn(classes, width, generator=draw)[labels],
        "signs": points.sign(),
        "rounded": (2 * points).round(),
        "copies": points[torch.randint(rows // 2, (rows,), generator=draw)],
        "zero rows": points * first,
        "collapsed": 1 + 1e-5 * points,
        "half collapsed": torch.where((labels % 2 == 0)[:, None], 1 + 1e-4 * points, points),
        "float64": points.double(),
    }
    return made[kind], labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "width", "classes"), [(1300, 16, 60), (1500, 96, 5), (2100, 4, 300)])
def test_values_are_those_of_the_whole_table(kind, rows, width, classes, monkeypatch):
    """All that is stored, few and many neighbours wanted, with and without fine labels."""
    points, labels = embedded(kind, rows, width, classes)
    fine = labels * 3 + torch.arange(rows) % 3
    found = [evaluate(points, labels, names=["retrieval"], fine_labels=given) for given in (None, fine)]
    # A measure that reads all pairs beside it: then the whole table is there.
    beside = evaluate(points, labels, names=["retrieval", "uniformity"])
    monkeypatch.setattr(near, "FEWEST", rows + 1)
    whole = [evaluate(points, labels, names=["retrieval"], fine_labels=given) for given in (None, fine)]
    for (values, detail), (wanted, wanted_detail) in zip([*found, beside], [*whole, whole[0]], strict=True):
        for name, value in (wanted | wanted_detail).items():
            assert torch.equal((values | detail)[name].nan_to_num(-7), value.nan_to_num(-7)), name


@pytest.mark.parametrize("kind", ["drawn", "classes", "signs", "rounded", "copies"])
@pytest.mark.parametrize("wanted", [12, 30, 58])
def test_the_ranking_is_a_plain_sort(kind, wanted):
    points, _ = embedded(kind, 1450, 24, 30)
    rows = unit(points)
    gallery, own = Gallery.of(rows), torch.arange(5)
    found = near.Finder(gallery).near(rows[:5], wanted + 2)
    if found is None:  # so many are equally near that the whole is looked at
        assert kind == "signs"
        return
    squared = gallery.squared_distances(rows[:5])
    nearest = ranked(found, wanted, own)
    columns, tied = plainly(squared, wanted, own.numpy())
    # Rounding in the 16th digit may part what is at one distance; its bucket is the same.
    assert nearest.tied.tolist() == tied
    buckets = ((squared + STEP / 2) / STEP).floor().numpy()
    for row in range(5):
        assert buckets[row, nearest.columns[row]].tolist() == buckets[row, columns[row]].tolist()
    last = np.ascontiguousarray(nearest.columns[:, -1])
    there = found[own]
    assert ((there - squared).abs()[there < BEYOND] < 1e-14).all()
    assert (tied_with(there, last, own) == tied_with(squared, last, own)).all()


def test_float32_is_within_its_bound():
    """Of random, nearly equal and lopsided rows of many widths."""
    draw = torch.Generator().manual_seed(0)
    for width in (1, 2, 17, 128, 1000):
        points = torch.randn(300, width, generator=draw, dtype=torch.float64)
        for rows in (points, 1 + 1e-3 * points, points.abs() ** 8):
            exact = unit(rows)
            single = exact.float()
            error = (-2 * (single @ single.T).double() + 2 * (exact @ exact.T)).abs().max()
            assert float(error) < near.error_bound(width)


def test_products_in_fewer_bits_are_seen(monkeypatch):
    """Where float32 is multiplied in bfloat16 the whole table is looked at."""
    rows = unit(torch.randn(1200, 32, generator=torch.Generator().manual_seed(0)))
    assert near.Finder(Gallery.of(rows)).near(rows[:50], 12) is not None
    coarse = near.Finder(Gallery.of(rows))
    coarse.__dict__["_single"] = rows.bfloat16().float()
    assert coarse.near(rows[:50], 12) is None


@pytest.mark.parametrize("count", [1, 7, 40, 200, 333])
@pytest.mark.parametrize("kind", ["any", "equal", "ascending"])
def test_places_hold_the_smallest_and_what_is_within_the_margin(count, kind):
    table = torch.rand(7, 1001, generator=torch.Generator().manual_seed(count))
    if kind == "equal":
        table = (8 * table).round()
    if kind == "ascending":
        table = table.sort(dim=1).values
    places, values = nearest_places(table, count, 0.01)
    found = np.zeros(table.shape, bool)
    found.reshape(-1)[places] = True
    assert (np.diff(places) > 0).all()
    assert (table.numpy()[found] == values).all()
    least = table.sort(dim=1).values[:, count - 1, None].numpy()
    assert found[table.numpy() <= least + np.float32(0.01)].all()
