"""``losscope.inspect``: its numbers against naive loops, and what is planted is found."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

import losscope
from losscope.cli import main
from losscope.core.errors import LosscopeError
from losscope.core.results import InspectedPair, Inspection
from losscope.inspecting import pairs, searching, single
from losscope.inspecting.labels import judged
from losscope.inspecting.reading import Rows, read_file, read_rows
from losscope.inspecting.searching import asking, sample, search
from losscope.inspecting.single import look


def blobs(
    classes: int = 25, each: int = 12, width: int = 16, spread: float = 0.6, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Points around class centres, float32, and their labels."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    points = draw.normal(size=(classes, width))[labels] + spread * draw.normal(size=(len(labels), width))
    return points.astype(np.float32), labels


def read_arrays_given(points: np.ndarray, labels: np.ndarray) -> Rows:
    return read_rows(points, labels, None, None, "the embeddings")


def unit(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)


def naive(points: np.ndarray, labels: np.ndarray, query: int) -> dict[str, float]:
    """One query's measures by loops, no two distances being equal."""
    rows = unit(points)
    others = [i for i in range(len(rows)) if i != query]
    others.sort(key=lambda i: float(((rows[i] - rows[query]) ** 2).sum()))
    right = sum(labels[i] == labels[query] for i in others)
    hits = [labels[i] == labels[query] for i in others]
    precision = sum(sum(hits[: j + 1]) / (j + 1) for j in range(right) if hits[j])
    return {
        **{f"recall_at_{k}": float(any(hits[:k])) for k in (1, 5, 10)},
        "r_precision": sum(hits[:right]) / right,
        "map_at_r": precision / right,
        "nearest": others[:10],
    }


def test_neighbours_and_scores_are_those_of_loops():
    points, labels = blobs(classes=6, each=9, spread=1.5)
    rows = read_arrays_given(points, labels)
    queries = np.array([0, 7, 20, 41])
    found = search(rows, queries)
    for place, query in enumerate(queries):
        wanted = naive(points, labels, query)
        assert found.nearest[place].tolist() == wanted.pop("nearest")
        assert {name: found.scores[name][place] for name in wanted} == pytest.approx(wanted, abs=1e-12)
        own = np.bincount(labels[found.nearest[place]], minlength=6) / 10
        assert found.shares.toarray()[place] == pytest.approx(own)


def test_the_whole_equals_the_measures_by_name():
    points, labels = blobs(spread=1.2)
    found = losscope.inspect(points, labels)
    wanted = {
        **losscope.retrieval(points, labels),
        **losscope.geometry(points, labels),
        **losscope.verification(points, labels),
    }
    told = {row.measure: row.value for row in found.measures}
    for name, value in told.items():
        if name in wanted and value is not None:
            assert value == pytest.approx(wanted[name], rel=1e-9), name
    assert {"recall_at_1", "map_at_r", "hubness", "eer", "silhouette", "effective_rank"} <= told.keys()
    assert told["nmi"] is not None


def test_the_order_of_rows_is_nothing():
    points, labels = blobs(classes=5, each=8)
    points[3] = points[11]
    points[30:] = points[30]
    order = np.random.default_rng(3).permutation(len(points))
    first, second = losscope.inspect(points, labels), losscope.inspect(points[order], labels[order])
    for a, b in zip(first.measures, second.measures, strict=True):
        assert (a.value is None) == (b.value is None) and (
            a.value is None or a.value == pytest.approx(b.value)
        )
    assert first.wrong_labels.count == second.wrong_labels.count
    assert first.duplicates.equal == second.duplicates.equal


def test_the_interval_over_classes_is_the_jackknife():
    points, labels = blobs(spread=1.8)
    found = losscope.inspect(points, labels)
    values = search(read_arrays_given(points, labels), np.arange(len(labels))).scores["recall_at_1"]
    without = np.array([values[labels != k].mean() for k in range(25)])
    error = math.sqrt(24 / 25 * ((without - without.mean()) ** 2).sum())
    row = next(row for row in found.measures if row.measure == "recall_at_1")
    assert row.value == pytest.approx(values.mean())
    assert (row.high - row.low) / 2 == pytest.approx(2.0638985616 * error)  # t(.975, 24)


def test_a_sample_has_each_class_by_its_share_and_its_interval_holds_the_whole():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    assert np.abs(np.bincount(labels[sample(labels, 1000, 100)]) - [60, 30, 10]).max() <= 1
    points, labels = blobs(classes=20, each=60, spread=2.0)
    whole = losscope.inspect(points, labels).value("recall_at_1")
    inside = 0
    for seed in range(20):
        found = losscope.inspect(points, labels, queries=300, seed=seed)
        row = next(row for row in found.measures if row.measure == "recall_at_1")
        inside += row.sampled_low <= whole <= row.sampled_high
        assert found.sampled and found.asked == 300
    assert inside >= 17
    assert "--exact" in " ".join(found.notes)
    exact = losscope.inspect(points, labels, queries=300, exact=True)
    assert not exact.sampled and exact.value("recall_at_1") == whole


def test_large_files_ask_by_a_sample(monkeypatch):
    monkeypatch.setattr(searching, "WHOLE", 100)
    monkeypatch.setattr(searching, "FEWEST", 30)
    points, labels = blobs()
    rows = read_arrays_given(points, labels)
    assert len(asking(rows, False, None, 0)) == 100 * 100 // 300
    assert len(asking(rows, True, None, 0)) == 300


def digits_with_wrong_labels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points, labels = load_digits(return_X_y=True)
    draw = np.random.default_rng(5)
    wrong = np.zeros(len(labels), bool)
    wrong[draw.permutation(len(labels))[: len(labels) // 20]] = True
    given = labels.copy()
    given[wrong] = (labels[wrong] + draw.integers(1, 10, wrong.sum())) % 10
    return points.astype(np.float32), given, wrong


def confident_learning(shares: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows off the diagonal of the confident joint (Northcutt, Jiang and Chuang 2021), by loops."""
    limits = [np.mean([shares[i, c] for i in range(len(labels)) if labels[i] == c]) for c in set(labels)]
    found = []
    for i, label in enumerate(labels):
        possible = [c for c in range(shares.shape[1]) if shares[i, c] >= limits[c]]
        found.append(bool(possible) and max(possible, key=lambda c: shares[i, c]) != label)
    return np.array(found)


def test_five_per_cent_of_wrong_labels_are_found():
    points, labels, wrong = digits_with_wrong_labels()
    rows = read_arrays_given(points, labels)
    found = search(rows, np.arange(len(labels)))
    likely = judged(rows, found).likely
    precision, recall = (likely & wrong).sum() / likely.sum(), (likely & wrong).sum() / wrong.sum()
    assert precision > 0.85 and recall > 0.95
    told = losscope.inspect(points, labels).wrong_labels
    assert told.count == likely.sum() and told.judged == len(labels)
    assert [s.item.row for s in told.worst[:5]] and wrong[[s.item.row for s in told.worst[:40]]].mean() > 0.9


def test_between_classes_that_overlap_fewer_right_labels_are_suspected_than_by_confident_learning():
    points, truth = blobs(classes=20, each=40, width=12, spread=1.1, seed=4)
    draw = np.random.default_rng(2)
    wrong = np.zeros(len(truth), bool)
    wrong[draw.permutation(len(truth))[:40]] = True
    labels = np.where(wrong, (truth + draw.integers(1, 20, len(truth))) % 20, truth)
    rows = read_arrays_given(points, labels)
    found = search(rows, np.arange(len(labels)))
    ours, theirs = judged(rows, found).likely, confident_learning(found.shares.toarray(), labels)
    precision = [(likely & wrong).sum() / likely.sum() for likely in (ours, theirs)]
    recall = [(likely & wrong).sum() / wrong.sum() for likely in (ours, theirs)]
    assert precision[0] > 2 * precision[1]
    assert recall[0] > 0.5


def test_right_labels_are_mostly_not_suspected():
    points, labels = load_digits(return_X_y=True)
    assert losscope.inspect(points, labels).wrong_labels.count <= 0.01 * len(labels)


def test_twenty_duplicates_across_a_split_are_found():
    points, labels = blobs(classes=30, each=20, width=32)
    test = np.arange(len(labels)) % 2 == 1
    draw = np.random.default_rng(1)
    where = np.flatnonzero(test)[draw.permutation(test.sum())[:20]]
    source = np.flatnonzero(~test)[draw.permutation((~test).sum())[:20]]
    points[where], labels[where] = points[source], labels[source]
    points[where[10:]] *= 1 + 1e-3 * draw.normal(size=(10, 32)).astype(np.float32)  # ten are near only
    found = losscope.inspect(points, labels, split=np.where(test, "test", "train"))
    assert (found.duplicates.across_equal, found.duplicates.across_near) == (10, 10)
    assert (found.duplicates.equal, found.duplicates.near) == (10, 10)
    assert {frozenset((pair.a.row, pair.b.row)) for pair in found.duplicates.pairs} == {
        frozenset(pair) for pair in zip(source.tolist(), where.tolist(), strict=True)
    }
    assert "10 stand outside of it too and 10 have a near copy there" in " ".join(found.findings)


def test_the_same_item_under_two_labels():
    points, labels = blobs(classes=20, each=20, width=32)
    points[5] = points[100]
    points[6] = points[120] * np.float32(1.0001)
    found = losscope.inspect(points, labels)
    assert (found.duplicates.two_labels, found.duplicates.near_two_labels) == (1, 1)
    assert {found.duplicates.pairs[0].a.label, found.duplicates.pairs[0].b.label} == {"0", "5"}


def test_two_merged_classes_are_the_most_confused():
    points, labels = blobs(classes=20, each=20)
    labels[labels == 7] = np.where(np.arange(20) % 2, 7, 20)  # one class under two names
    found = losscope.inspect(points, labels)
    assert {found.confused[0].a, found.confused[0].b} == {"7", "20"}
    assert found.confused[0].a_to_b > 0.3 and found.confused[0].b_to_a > 0.3
    assert "7 and 20" in " ".join(found.findings)
    assert {row.label for row in found.worst[:2]} == {"7", "20"}


def test_a_collapsed_file_is_said_and_tells_no_labels():
    labels = np.repeat(np.arange(10), 30)
    point = np.random.default_rng(0).normal(size=16)
    found = losscope.inspect(np.tile(point, (300, 1)), labels)
    assert found.collapse.kind == "point"
    assert "Collapsed" in found.findings[0]
    assert found.value("recall_at_1") == pytest.approx(29 / 299)
    assert found.wrong_labels.judged == 0 and found.wrong_labels.undecided == 300
    draw = np.random.default_rng(1)
    line = draw.normal(size=(300, 1)) * point + 1e-3 * draw.normal(size=(300, 16))
    assert losscope.inspect(line, labels).collapse.kind == "few_directions"
    sound = losscope.inspect(*blobs(classes=5, each=20, width=64, spread=0.05))
    assert sound.collapse.kind is None  # five classes need four directions


def test_zero_and_non_finite_vectors_are_counted():
    points, labels = blobs()
    points[3], points[4, 2], points[5, 0] = 0, np.nan, np.inf
    found = losscope.inspect(points, labels)
    assert (found.not_finite, found.zeros, found.rows) == (2, 1, 300)
    assert "2 of 300 rows are NaN or infinite" in found.findings[0]


def test_labels_are_optional():
    points, _ = blobs()
    found = losscope.inspect(points)
    assert found.classes is None and found.value("recall_at_1") is None and found.wrong_labels is None
    assert found.value("effective_rank") and found.value("hubness") is not None
    assert "Without labels" in found.headline
    both = losscope.inspect(points, against=points[:, :8])
    assert 0 < both.overlap < 1 and 0 < both.cka < 1 and "Without labels" in both.headline


def test_a_measure_says_of_how_many_rows_it_is(monkeypatch):
    monkeypatch.setattr(single, "WHOLE", 100)
    found = losscope.inspect(*blobs())  # all 300 rows ask, and 100 are taken for what needs all pairs
    counts = {row.measure: row.rows for row in found.measures}
    assert {name for name, rows in counts.items() if rows == 100} == {
        *("eer", "tar_at_far_1e2", "tar_at_far_1e3", "threshold_spread", "nmi", "silhouette", "uniformity")
    }
    assert found.pair_rows == 100 and counts["hubness"] == counts["effective_rank"] == 300


def test_of_two_files_only_the_changed_class_is_named():
    before, labels = blobs(classes=30, each=20, width=32)
    after = before.copy()
    draw = np.random.default_rng(9)
    after[labels == 11] = draw.normal(size=(20, 32))
    found = losscope.inspect(before, labels, against=after)
    assert [row.label for row in found.lost if row.sure] == ["11"] and found.sure_lost == 1
    assert found.sure_gained == 0
    assert {item.item.label for item in found.moved} == {"11"}
    assert "finds 1 class worse" in found.findings[0]
    same = losscope.inspect(before, labels, against=3 * before)
    assert (same.sure_lost, same.sure_gained, same.moved, same.overlap) == (0, 0, (), 1.0)
    assert same.cka == pytest.approx(1.0)
    assert same.change("recall_at_1").verdict == "equivalent"


def test_few_queries_show_neither_a_difference_nor_that_there_is_none():
    apart, mixed = np.eye(2)[[0, 0, 1, 1]] + 0.01, np.eye(2)[[0, 1, 0, 1]] + 0.01
    turned = losscope.inspect(mixed, [0, 0, 1, 1], against=apart).change("recall_at_1")
    assert (turned.difference, turned.verdict, turned.better) == (1.0, "unresolved", None)
    for each, verdict in ((10, "unresolved"), (100, "equivalent")):
        points, labels = blobs(classes=4, each=each)
        assert losscope.inspect(points, labels, against=2 * points).change("recall_at_1").verdict == verdict


def test_chance_leaves_no_class_changed_beyond_doubt():
    draw = np.random.default_rng(1)
    labels, said = np.repeat(np.arange(50), 5), 0
    for _ in range(10):
        centres = draw.normal(size=(50, 6))[labels]
        before, after = (centres + 0.5 * draw.normal(size=(250, 6)) for _ in range(2))
        found = losscope.inspect(before, labels, against=after)
        said += found.sure_gained + found.sure_lost > 0
    assert said == 0  # the t interval alone is too narrow for five queries


def test_the_intervals_of_a_difference_are_those_of_loops():
    (before, labels), after = blobs(spread=1.8), blobs(spread=1.5)[0]
    found = losscope.inspect(before, labels, against=after)
    row = found.change("recall_at_1")
    sides = [
        np.array([naive(points, labels, q)["recall_at_1"] for q in range(len(labels))])
        for points in (before, after)
    ]
    difference = sides[1] - sides[0]
    error = difference.std(ddof=1) / math.sqrt(len(difference))
    assert row.difference == pytest.approx(difference.mean())
    assert row.query_high - row.query_low == pytest.approx(2 * 1.96793 * error, rel=1e-4)  # t(.975, 299)
    without = np.array([difference[labels != k].mean() for k in range(25)])
    spread = math.sqrt(24 / 25 * ((without - without.mean()) ** 2).sum())
    assert row.class_high - row.class_low == pytest.approx(2 * 2.0638985616 * spread)
    assert row.unit == "class" and found.scope == "these_models"


@pytest.mark.parametrize("measure", ["intra_variance", "inter_distance", "effective_rank"])
def test_the_values_without_a_class_are_those_of_the_rest(measure):
    (before, labels), after = blobs(spread=1.0), blobs(spread=0.7)[0]
    a, b = (look(read_arrays_given(points, labels)).without[measure] for points in (before, after))
    without = b - a
    for k in (0, 13):
        rest = labels != k
        values = [losscope.geometry(points[rest], labels[rest])[measure] for points in (before, after)]
        assert without[k] == pytest.approx(math.log(values[1] / values[0]), rel=1e-6)
    row = losscope.inspect(before, labels, against=after).change(measure)
    assert row.class_low < row.difference < row.class_high and row.verdict is None


def test_alignment_is_that_of_gram_matrices():
    (x, labels), y = blobs(), blobs(seed=3)[0][:, :7]
    rows = [unit(x), unit(y)]
    centring = np.eye(len(labels)) - 1 / len(labels)
    k, m = (centring @ side @ side.T @ centring for side in rows)
    wanted = np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert losscope.inspect(x, labels, against=y).cka == pytest.approx(wanted)
    assert pairs.linear_cka(rows[0][:5], rows[1][:5]) == pytest.approx(
        pairs.linear_cka(np.pad(rows[0][:5], ((0, 0), (0, 9))), rows[1][:5])
    )


def test_files_are_paired_by_id(tmp_path):
    points, labels = blobs(classes=6, each=8)
    ids = np.array([f"item {k}" for k in range(len(labels))])
    order = np.random.default_rng(0).permutation(len(labels))
    np.savez(tmp_path / "a.npz", embeddings=points, labels=labels, ids=ids)
    np.savez(tmp_path / "b.npz", embeddings=points[order], labels=labels[order], ids=ids[order])
    found = losscope.inspect(tmp_path / "a.npz", against=tmp_path / "b.npz")
    assert found.paired_by == "id" and found.overlap == 1.0
    assert found.scope == "these_classes"  # below 20 of them
    assert found.change("map_at_r").difference == 0
    # A row without a finite vector in one file is left out of both.
    points[3, 0] = np.nan
    np.savez(tmp_path / "b.npz", embeddings=points, labels=labels, ids=ids)
    assert losscope.inspect(tmp_path / "a.npz", against=tmp_path / "b.npz").items == 47


REFUSED = [
    ({"ids": np.arange(24) + 1}, "1 ids of .* are not in .*, such as '0'"),
    ({"ids": np.arange(24), "labels": np.arange(24) % 4}, "18 items have other labels"),
    ({"labels": np.arange(24) % 4}, "differ in 18 of 24 rows, and not both have ids"),
    (
        {"labels": np.arange(24)[:23] % 3, "embeddings": np.eye(24)[:23]},
        "24 rows and .* 23, and not both have ids",
    ),
    ({"labels": None}, "nothing tells that"),
    ({"ids": np.arange(24) // 2}, "12 ids of .* stand twice"),
]


@pytest.mark.parametrize(("changed", "said"), REFUSED)
def test_files_of_different_items_are_refused(tmp_path, changed, said):
    points = np.random.default_rng(0).normal(size=(24, 24))
    base = {"embeddings": points, "labels": np.arange(24) % 3}
    own = {name: value for name, value in (base | changed).items() if value is not None}
    np.savez(tmp_path / "a.npz", **base, **({"ids": np.arange(24)} if "ids" in changed else {}))
    np.savez(tmp_path / "b.npz", **own)
    with pytest.raises(LosscopeError, match=said):
        losscope.inspect(tmp_path / "a.npz", against=tmp_path / "b.npz")


@pytest.mark.parametrize("form", ["npz", "npy", "parquet", "csv"])
def test_forms_of_files_give_the_same(tmp_path, form):
    import pandas as pd

    points, labels = blobs(classes=4, each=8)
    path = tmp_path / f"file.{form}"
    if form == "npz":
        np.savez(path, embeddings=points, labels=labels)
    elif form == "npy":
        np.save(path, points)
        np.save(tmp_path / "file_labels.npy", labels)
    elif form == "parquet":
        pd.DataFrame({"id": np.arange(32), "label": labels, "embedding": list(points)}).to_parquet(path)
    else:
        table = pd.DataFrame(points, columns=[f"f{k}" for k in range(16)])
        table.assign(label=labels).to_csv(path, index=False)
    found = losscope.inspect(path)
    wanted = losscope.inspect(points, labels)
    assert [row.value for row in found.measures] == pytest.approx([row.value for row in wanted.measures])


def test_the_table_has_the_items_and_their_neighbours(tmp_path):
    points, labels = blobs(classes=4, each=8)
    path = tmp_path / "out" / "found.parquet"
    found = losscope.inspect(points, labels, ids=[f"i{k}" for k in range(32)], queries=20, out=path)
    assert found.out == str(path)
    table = pq.read_table(path).to_pylist()
    assert [row["id"] for row in table] == [f"i{k}" for k in range(32)]
    assert table[5]["label"] == "0" and table[5]["embedding"] == points[5].tolist()
    asked = [row for row in table if row["neighbors"] is not None]
    assert len(asked) == 20
    for row in asked:
        assert row["neighbors"]["ids"] == naive(points, labels, row["row"])["nearest"]
        assert len(row["neighbors"]["distances"]) == 10
    rows = unit(points)
    rows -= rows.mean(0)
    _, _, axes = np.linalg.svd(rows, full_matrices=False)
    for name, axis in zip("xy", axes[:2], strict=True):
        assert np.abs([row[name] for row in table]) == pytest.approx(np.abs(rows @ axis), abs=1e-5)
    again = read_file(path)  # it can be inspected itself
    assert len(again) == 32 and again.vectors.shape == (32, 16) and again.classes == ("0", "1", "2", "3")


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(table: object, place: Path) -> None:
        place.write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(LosscopeError, match="cannot write .*No space left on device; give another file"):
        losscope.inspect(*blobs(), out=tmp_path / "found.parquet")
    assert list(tmp_path.iterdir()) == []


def test_documents_are_read_back(tmp_path):
    points, labels = blobs()
    found = losscope.inspect(points, labels)
    assert Inspection.from_json(found.json_text()) == found
    both = losscope.inspect(points, labels, against=points + 1)
    assert InspectedPair.from_json(both.json_text()) == both


def test_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    points, labels = blobs()
    np.savez("a.npz", embeddings=points, labels=labels)
    np.savez("b.npz", embeddings=blobs(spread=3.0)[0], labels=labels)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = run("inspect", "a.npz", "--out", "found.parquet")
    assert code == 0 and out.startswith("a.npz: 300 items of 25 classes in 16 dimensions.")
    assert Path("found.parquet").is_file()
    code, out, _ = run("inspect", "a.npz", "b.npz")
    assert code == 0 and out.startswith("b.npz has a lower Recall@1 than a.npz (worse): ")
    assert "these two models, these items" in " ".join(out.split())
    code, out, _ = run("inspect", "a.npz", "b.npz", "--json")
    assert code == 0 and json.loads(out)["changes"][0]["verdict"] == "lower"
    for arguments in (
        ("inspect", "none.npz"),
        ("inspect", "a.npz", "b.npz", "--out", "x.parquet"),
        ("inspect", "a.npz", "--out", "x.csv"),
        ("inspect", "a.npz", "--queries", "1"),
        ("inspect", "a.npz", "--ids", "nothing"),
    ):
        code, out, err = run(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("losscope: ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 2, 2)), "wanted: embeddings"),
        (np.zeros((1, 4)), "two rows at least"),
        (np.full((4, 4), np.nan), "0 of 4 rows are finite"),
        (np.array([["a", "b"]] * 4), "wanted: numbers"),
    ],
)
def test_bad_arrays_are_refused(given, said):
    with pytest.raises(LosscopeError, match=said):
        losscope.inspect(given)
    with pytest.raises(LosscopeError, match="3 labels for 4 embeddings"):
        losscope.inspect(np.eye(4), [0, 1, 2])


def test_the_example_prints_what_the_page_says(capsys):
    text = (Path(__file__).parents[1] / "docs" / "inspect.md").read_text(encoding="utf-8")
    pytest.importorskip("polars", reason="polars is not installed")
    names: dict[str, object] = {}
    told = re.findall(r"```python\n(.*?)```.*?```text\n(.*?)```", text, re.S)
    assert len(told) == text.count("```python\n") == 3
    for code, printed in told:
        exec(compile(code, "inspect.md", "exec"), names)
        assert capsys.readouterr().out == printed


def test_a_class_of_one_and_one_class():
    points, labels = blobs(classes=3, each=5)
    labels[0] = 9
    found = losscope.inspect(points, labels)
    assert next(row for row in found.measures if row.measure == "recall_at_1").rows == 14
    alone = look(read_arrays_given(points, np.zeros(15, int))).told
    assert alone.value("recall_at_1") == 1.0 and alone.wrong_labels.count == 0
    single = losscope.inspect(points, np.arange(15))
    assert single.value("recall_at_1") is None and "No class has two items" in single.headline


def cleanlabs(points: np.ndarray, labels: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What cleanlab calls wrong (N,), and how sure it is (N,), by out-of-sample probabilities of two models.

    The regression's C is the best of .0001 to .1 by its accuracy out of sample, .59 and .54 on these data.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=200))
    found = {}
    for name, model in (
        ("regression", regression),
        ("10 neighbours", KNeighborsClassifier(10, metric="cosine")),
    ):
        chances = cross_val_predict(model, points, labels, cv=folds, method="predict_proba")
        sure = -get_label_quality_scores(labels, chances)
        for way in ("prune_by_noise_rate", "low_self_confidence"):
            likely = find_label_issues(labels, chances, filter_by=way, n_jobs=1)
            found[f"cleanlab, {name}, {way}"] = likely, sure
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [("cub200_2010", (0.7, 0.8)), ("cars196_trainhalf", (0.7, 0.5))],
)
def test_wrong_labels_of_birds_and_cars(name, least):
    """The figures of docs/inspect.md; ``LOSSCOPE_DATA`` is the folder that the features are in."""
    path = Path(os.environ.get("LOSSCOPE_DATA", "")) / f"{name}_mobilenetv2_features.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    pytest.importorskip("cleanlab", reason="the extra labels is not installed")
    rows = read_file(path)
    draw = np.random.default_rng(0)
    wrong = draw.random(len(rows)) < 0.05
    other = (rows.labels + draw.integers(1, len(rows.classes), len(rows))) % len(rows.classes)
    labels = np.where(wrong, other, rows.labels)
    rows = replace(rows, labels=labels)
    ours = judged(rows, search(rows, np.arange(len(rows))))
    found = {"profiles": (ours.likely, ours.probability), **cleanlabs(rows.vectors, labels)}
    figures = {}
    for method, (likely, sure) in found.items():
        right = (likely & wrong).sum()
        order = average_precision_score(wrong, sure)
        figures[method] = right / likely.sum(), right / wrong.sum()
        print(f"{name}, {method}: {likely.sum()} found, precision {figures[method][0]:.2f}, ", end="")
        print(f"recall {figures[method][1]:.2f}; average precision of the order {order:.2f}")
    assert figures["profiles"][0] > least[0] and figures["profiles"][1] > least[1]
    for method, (precision, _) in figures.items():
        assert method == "profiles" or precision < figures["profiles"][0] / 2


def test_neighbours_that_do_not_follow_the_labels_call_none_of_them_wrong():
    draw = np.random.default_rng(0)
    points = draw.normal(size=(6, 8))[np.arange(180) // 30] * 2 + draw.normal(size=(180, 8))
    at_chance = np.random.default_rng(1).normal(size=(180, 16))
    for rows, labels in ((points, np.arange(180)), (at_chance, draw.permutation(180) // 10)):
        found = losscope.inspect(rows, labels)
        assert found.wrong_labels.count == found.wrong_labels.judged == 0
        assert any("no label is judged" in note for note in found.notes)
        assert not any("likely wrong" in text for text in found.findings)
