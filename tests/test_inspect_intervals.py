"""Intervals over classes of measures that are no means over queries: by loops, and by how often they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import losscope
from losscope.inspecting import jackknife
from losscope.inspecting.reading import Rows, read_rows
from losscope.measures.summary import evaluate


def drawn(
    draw: np.random.Generator, classes: int, each: int, width: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """Classes of unequal spread around centres, as one draw from a population of classes."""
    labels = np.repeat(np.arange(classes), each)
    spread = draw.uniform(0.5, 1.7, classes)[labels, None]
    points = draw.normal(size=(classes, width))[labels] + spread * draw.normal(size=(len(labels), width))
    return points.astype(np.float32), labels


def rows_of(points: np.ndarray, labels: np.ndarray) -> Rows:
    return read_rows(points, labels, None, None, "it")


def measured(points: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    names = ("verification", "geometry", "spectrum")
    values, _ = evaluate(torch.from_numpy(points), torch.from_numpy(labels), names=names)
    return {name: float(value) for name, value in values.items()}


MADE = ("eer", "tar_at_far_1e2", "intra_variance", "inter_distance", "intra_inter_ratio", "effective_rank")


@pytest.mark.parametrize("each", [8, 15])
def test_the_values_without_a_class_are_those_of_the_rest(each):
    points, labels = drawn(np.random.default_rng(1), 24, each)
    without = jackknife.without_classes(rows_of(points, labels), np.arange(len(labels)))
    assert set(MADE) - ({"tar_at_far_1e2"} if each == 8 else set()) <= set(without)
    for k in (0, 11, 23):
        rest = labels != k
        wanted = measured(points[rest], labels[rest])
        for name, values in without.items():
            value = values[k] if name in ("eer", "tar_at_far_1e2") else np.exp(values[k])
            close = 2e-3 if name.startswith(("eer", "tar")) else 1e-6  # the first two by bins
            assert value == pytest.approx(wanted[name], abs=close), (name, k)


def test_many_classes_are_left_out_by_groups(monkeypatch):
    monkeypatch.setattr(jackknife, "GROUPS_OF_PAIRS", 7)
    points, labels = drawn(np.random.default_rng(2), 23, 12)
    without = jackknife.without_classes(rows_of(points, labels), np.arange(len(labels)))
    for group in range(7):
        rest = labels % 7 != group
        wanted = losscope.verification(points[rest], labels[rest])
        assert without["eer"][group] == pytest.approx(wanted["eer"], abs=2e-3)
        assert without["tar_at_far_1e2"][group] == pytest.approx(wanted["tar_at_far_1e2"], abs=4e-3)


def test_distractors_are_of_no_class():
    points, labels = drawn(np.random.default_rng(3), 22, 6)
    more = np.concatenate([points, -points[:9]])
    rows = rows_of(np.concatenate([points, -points[:9]]), np.concatenate([labels, np.full(9, 22)]))
    lone = replace(rows, labels=np.where(rows.labels == 22, -1, rows.labels), classes=rows.classes[:22])
    found = jackknife.without_classes(lone, np.arange(len(more)))
    wanted = jackknife.without_classes(rows_of(points, labels), np.arange(len(labels)))
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values, abs=1e-9), name


def test_the_interval_is_about_the_value_and_that_of_the_jackknife():
    points, labels = drawn(np.random.default_rng(4), 25, 10)
    found = losscope.inspect(points, labels)
    without = jackknife.without_classes(rows_of(points, labels), np.arange(len(labels)))
    error = np.sqrt(24 / 25 * ((without["eer"] - without["eer"].mean()) ** 2).sum())
    row = next(row for row in found.measures if row.measure == "eer")
    assert row.high - row.value == pytest.approx(2.0638985616 * error)  # t(.975, 24)
    row = next(row for row in found.measures if row.measure == "inter_distance")
    assert row.low * row.high == pytest.approx(row.value**2) and row.low < row.value
    few = losscope.inspect(*drawn(np.random.default_rng(4), 19, 10))
    assert next(row for row in few.measures if row.measure == "eer").low is None


def test_of_two_equal_files_the_difference_is_certain():
    points, labels = drawn(np.random.default_rng(5), 25, 10)
    found = losscope.inspect(points, labels, against=2 * points)
    for name in MADE:
        row = found.change(name)
        assert row.class_low == pytest.approx(0, abs=1e-9) and row.class_high == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [25, 60])
def test_the_intervals_hold_the_value_of_the_population(classes):
    """Classes drawn from a population, 300 times; 95 % are wanted. The figures of docs/definitions.md."""
    draw = np.random.default_rng(6)
    points, labels = drawn(draw, 1500, 12)
    truth = measured(points, labels)
    held: dict[str, list[bool]] = {name: [] for name in MADE if name != "effective_rank"}
    for _ in range(300):
        rows = rows_of(*drawn(draw, classes, 12))
        without = jackknife.without_classes(rows, np.arange(len(rows)))
        values = measured(rows.vectors, rows.labels)
        for name in held.keys() & without.keys():
            half, value, true = jackknife.half_width(without[name]), values[name], truth[name]
            if not name.startswith(("eer", "tar")):
                value, true = np.log(value), np.log(true)
            held[name].append(abs(value - true) <= half)
    shares = {name: np.mean(each) for name, each in held.items() if each}
    print(classes, {name: round(float(share), 3) for name, share in shares.items()})
    for name in ("eer", "tar_at_far_1e2", "intra_variance", "inter_distance", "intra_inter_ratio"):
        assert 0.9 <= shares[name] <= 0.99, (name, shares[name])
