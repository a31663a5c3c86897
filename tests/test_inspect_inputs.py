"""What ``losscope.inspect`` takes: forms of files and of Python values, queries and a gallery, relevance."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import losscope
from losscope.cli import main
from losscope.core.errors import LosscopeError
from losscope.core.queries import Roles
from losscope.inspecting import relevance, tables
from losscope.inspecting.reading import joined, read_file, read_rows
from losscope.inspecting.searching import able, search
from test_inspect import blobs as around_centres

blobs = partial(around_centres, classes=6, each=8, width=12, spread=1.0)


def values(found: Any) -> dict[str, float]:
    return {row.measure: row.value for row in found.measures if row.value is not None}


def naive(right: np.ndarray, barred: np.ndarray, squared: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of each query (Q,) by loops, from (Q, G) tables, no two distances being equal."""
    names = ("recall_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r")
    found: dict[str, list[float]] = {name: [] for name in names}
    for query in range(len(squared)):
        order = [g for g in np.argsort(squared[query]) if not barred[query, g]]
        hits = [bool(right[query, g]) for g in order]
        total = sum(hits)
        for k in (1, 5, 10):
            found[f"recall_at_{k}"].append(float(any(hits[:k])) if total else np.nan)
        precision = [sum(hits[: j + 1]) / (j + 1) for j in range(total) if hits[j]]
        found["r_precision"].append(sum(hits[:total]) / total if total else np.nan)
        found["map_at_r"].append(sum(precision) / total if total else np.nan)
    return {name: np.array(column) for name, column in found.items()}


def squared_distances(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    a, b = (side / np.linalg.norm(side.astype(float), axis=1, keepdims=True) for side in (queries, items))
    return ((a[:, None] - b) ** 2).sum(-1)


def test_files_of_tensors_give_the_same(tmp_path):
    from safetensors.numpy import save_file
    from safetensors.torch import save_file as save_tensors

    points, labels = blobs()
    wanted = values(losscope.inspect(points, labels))
    save_file({"embeddings": points, "labels": labels}, tmp_path / "a.safetensors")
    assert values(losscope.inspect(tmp_path / "a.safetensors")) == wanted
    save_file({"e": points}, tmp_path / "b.safetensors")  # one array, the labels beside it
    np.save(tmp_path / "b_labels.npy", labels)
    assert values(losscope.inspect(tmp_path / "b.safetensors")) == wanted
    half = torch.from_numpy(points).bfloat16()
    save_tensors({"embeddings": half, "labels": torch.from_numpy(labels)}, tmp_path / "c.safetensors")
    rows = read_file(tmp_path / "c.safetensors")
    assert np.array_equal(rows.vectors, half.float().numpy())
    (tmp_path / "d.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(LosscopeError, match=r"d.safetensors' cannot be read .*wanted: a safetensors file"):
        losscope.inspect(tmp_path / "d.safetensors")


def test_a_saved_data_set_gives_the_same(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")
    points, labels = blobs()
    ids = [f"i{k}" for k in range(len(labels))]
    whole = datasets.Dataset.from_dict({"id": ids, "vector": points.tolist(), "label": labels.tolist()})
    whole = whole.cast_column("label", datasets.ClassLabel(names=list("abcdef")))
    whole.save_to_disk(str(tmp_path / "whole"))
    found = losscope.inspect(tmp_path / "whole")
    assert values(found) == values(losscope.inspect(points, labels))
    rows = read_file(tmp_path / "whole")
    assert rows.classes == tuple("abcdef") and rows.ids.tolist() == ids
    parts = {"train": whole.select(range(0, 48, 2)), "test": whole.select(range(1, 48, 2))}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "parts"))
    rows = read_file(tmp_path / "parts")
    assert rows.test.tolist() == [False] * 24 + [True] * 24
    assert rows.ids.tolist() == ids[::2] + ids[1::2]
    whole.remove_columns("label").save_to_disk(str(tmp_path / "bare"))
    assert losscope.inspect(tmp_path / "bare").classes is None
    with pytest.raises(LosscopeError, match="has no class label column"):
        losscope.read(tmp_path / "bare")
    (tmp_path / "whole" / "state.json").write_text("{")
    with pytest.raises(LosscopeError, match="wanted: a folder as save_to_disk writes it"):
        losscope.inspect(tmp_path / "whole")


class Exported:
    """An array of a library that NumPy does not know, which DLPack hands over."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **more: Any) -> Any:
        return self.array.__dlpack__(**more)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()

    def __len__(self) -> int:
        return len(self.array)


def forms(points: np.ndarray, labels: np.ndarray) -> dict[str, tuple[Any, Any]]:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    columns = {"id": [f"i{k}" for k in range(len(labels))], "label": labels.tolist()}
    vectors = {**columns, "embedding": points.tolist()}
    numbers = {**columns, **{f"f{k}": points[:, k].tolist() for k in range(points.shape[1])}}
    return {
        "tensor": (torch.from_numpy(points).requires_grad_(), torch.from_numpy(labels)),
        "dlpack": (Exported(points), Exported(labels)),
        "bfloat16": (Exported(torch.from_numpy(points.astype(np.float16)).double().float()), labels),
        "lists": (points.tolist(), labels.tolist()),
        "pandas": (pd.DataFrame(vectors), None),
        "pandas of numbers": (pd.DataFrame(numbers), None),
        "pandas, another name": (pd.DataFrame(vectors).rename(columns={"label": "kind"}), "kind"),
        "polars": (polars.DataFrame(vectors), None),
        "polars, lazy": (polars.LazyFrame(vectors), None),
        "polars of numbers": (polars.DataFrame(numbers), None),
        "polars, fixed size": (
            polars.DataFrame(vectors).with_columns(
                polars.col("embedding").cast(polars.Array(polars.Float32, 12))
            ),
            None,
        ),
        "arrow": (pa.table(vectors), None),
        "an array and a polars column": (points, polars.Series(labels)),
        "an array and an arrow column": (points, pa.chunked_array([labels])),
        "an array and a pandas column of words": (points, pd.Series(labels).map(lambda k: f"class {k}")),
    }


FORMS = list(forms(*blobs()))


@pytest.mark.parametrize("form", FORMS)
def test_values_in_python_give_the_same(form):
    points, labels = blobs()
    given, own = forms(points, labels)[form]
    found, wanted = values(losscope.inspect(given, own)), values(losscope.inspect(points, labels))
    close = 1e-3 if form == "bfloat16" else 1e-9
    assert found == pytest.approx(wanted, rel=close, abs=close)
    if form in ("pandas", "polars", "polars, lazy", "arrow"):
        assert read_rows(given, own, None, None, "it").ids.tolist()[:2] == ["i0", "i1"]


def test_brain_floats_are_read_through_dlpack():
    points, labels = blobs()
    half = torch.from_numpy(points).bfloat16()
    for given in (half, Exported(half)):
        assert np.array_equal(read_rows(given, labels, None, None, "it").vectors, half.float().numpy())


def test_a_frame_says_its_split_and_its_roles():
    points, labels = blobs()
    frame = pd.DataFrame({"label": labels, "embedding": list(points), "split": ["train", "test"] * 24})
    assert losscope.inspect(frame).duplicates.tests == 24
    frame["split"] = ["query", "gallery", "gallery", "gallery"] * 12
    found = losscope.inspect(frame)
    assert found.asked == 12 and found.searched == "12 queries search a gallery of 36"


@pytest.mark.parametrize(
    ("given", "own", "said"),
    [
        (pd.DataFrame({"a": ["x", "y"]}), None, "neither a path column"),
        (pd.DataFrame({"path": ["x.png", "y.png"]}), None, "has a column of paths; wanted: embeddings"),
        (pd.DataFrame({"embedding": [[1.0, 2.0], [1.0, 2.0]]}), "kind", "kind"),
        (
            pd.DataFrame({"embedding": [[1.0, 2.0], [1.0, 2.0]]}),
            np.arange(2),
            "wanted: the name of its array",
        ),
        (np.eye(3), "label", "labels='label' for 3 embeddings"),
        (object(), None, "wanted: numbers"),
        ([[1.0], [1.0, 2.0]], None, "wanted: numbers"),
        (None, None, "there are no embeddings"),
    ],
)
def test_bad_values_in_python_are_refused(given, own, said):
    with pytest.raises(LosscopeError, match=said):
        losscope.inspect(given, own)


# Queries and gallery


def test_queries_search_the_gallery():
    points, labels = blobs(spread=1.6)
    draw = np.random.default_rng(2)
    asks = draw.permutation(48) < 15
    found = losscope.inspect(query=points[asks], gallery=points[~asks], labels=(labels[asks], labels[~asks]))
    squared = squared_distances(points[asks], points[~asks])
    right = labels[asks][:, None] == labels[~asks]
    wanted = naive(right, np.zeros_like(right), squared)
    assert {name: found.value(name) for name in wanted} == pytest.approx(
        {name: np.nanmean(column) for name, column in wanted.items()}
    )
    assert found.asked == 15 and found.searched == "15 queries search a gallery of 33"
    assert "is right for" in found.headline
    again = losscope.retrieval(points, labels, query=asks, gallery=~asks)
    assert found.value("map_at_r") == pytest.approx(again["map_at_r"])
    assert found.value("hubness") == pytest.approx(again["hubness"])


def test_a_gallery_item_without_a_label_is_a_distractor(tmp_path):
    points, labels = blobs(spread=1.6)
    asks = np.arange(48) % 4 == 0
    given = labels.copy()
    given[[1, 2, 3, 17]] = -1
    np.savez(tmp_path / "q.npz", embeddings=points[asks], labels=labels[asks])
    roles = np.where(asks, "query", "gallery")
    np.savez(tmp_path / "all.npz", embeddings=points, labels=given, role=roles)
    found = losscope.inspect(tmp_path / "all.npz")
    right = (given[asks][:, None] == given[~asks]) & (given[~asks] >= 0)
    wanted = naive(right, np.zeros_like(right), squared_distances(points[asks], points[~asks]))
    for name, column in wanted.items():
        assert found.value(name) == pytest.approx(np.nanmean(column)), name
    assert "36 (4 distractors)" in found.searched


def test_the_camera_of_a_query_is_left_out_by_its_rule(tmp_path):
    points, labels = blobs(spread=1.6)
    camera = np.arange(48) % 3
    asks = np.arange(48) % 4 == 0
    np.savez(
        tmp_path / "all.npz",
        embeddings=points,
        labels=labels,
        role=np.where(asks, "query", "gallery"),
        camera=camera,
    )
    squared = squared_distances(points[asks], points[~asks])
    right = labels[asks][:, None] == labels[~asks]
    same = camera[asks][:, None] == camera[~asks]
    for rule, barred in (("keep", 0 * same), ("skip", same), ("junk", same & right)):
        found = losscope.inspect(tmp_path / "all.npz", options={"same_camera": rule})
        wanted = naive(right & ~barred.astype(bool), barred, squared)
        for name, column in wanted.items():
            assert found.value(name) == pytest.approx(np.nanmean(column)), (rule, name)


def test_files_of_queries_and_gallery(tmp_path, capsys):
    points, labels = blobs(spread=1.6)
    asks = np.arange(48) % 4 == 0
    names = np.array(list("abcdef"))[labels]
    ids = np.array([f"i{k}" for k in range(48)])
    for file, part in (("q", asks), ("g", ~asks)):
        np.savez(tmp_path / f"{file}.npz", embeddings=points[part], labels=names[part], ids=ids[part])
    found = losscope.inspect(query=tmp_path / "q.npz", gallery=tmp_path / "g.npz")
    wanted = losscope.inspect(query=points[asks], gallery=points[~asks], labels=(labels[asks], labels[~asks]))
    assert values(found) == values(wanted)
    with pytest.raises(SystemExit) as end:
        main(["inspect", "--query", str(tmp_path / "q.npz"), "--gallery", str(tmp_path / "g.npz"), "--json"])
    assert end.value.code == 0 and json.loads(capsys.readouterr().out)["asked"] == 12
    np.savez(tmp_path / "narrow.npz", embeddings=points[:, :5], labels=names)
    with pytest.raises(LosscopeError, match="the queries have 12 dimensions and the gallery 5"):
        losscope.inspect(query=tmp_path / "q.npz", gallery=tmp_path / "narrow.npz")
    np.savez(tmp_path / "bare.npz", embeddings=points)
    with pytest.raises(LosscopeError, match="do not both have labels of one kind"):
        losscope.inspect(query=tmp_path / "q.npz", gallery=tmp_path / "bare.npz")
    for more in ({"query": points}, {"query": points, "gallery": points, "against": points}):
        with pytest.raises(LosscopeError, match="wanted: both of them"):
            losscope.inspect(**more)
    with pytest.raises(LosscopeError, match="wanted: a pair"):
        losscope.inspect(query=points, gallery=points, labels=labels)


# Relevance


def test_pairs_say_what_is_right(tmp_path):
    points, _ = blobs(spread=1.6)
    draw = np.random.default_rng(4)
    asks = np.arange(48) < 12
    right = draw.random((12, 36)) < 0.1
    right[3] = False  # asks for nothing
    query, item = np.nonzero(right)
    wanted = naive(right, np.zeros_like(right), squared_distances(points[:12], points[12:]))
    ids = [f"q{k}" for k in range(12)], [f"g{k}" for k in range(36)]
    pairs = pd.DataFrame({"query": [ids[0][k] for k in query], "gallery": [ids[1][k] for k in item]})
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    places = np.stack([query, item], 1)
    scored = pairs.assign(score=1.0)
    nothing = scored.assign(gallery="g0", score=0.0)
    for given, named in (
        (tmp_path / "pairs.csv", ids),
        (pairs, ids),
        (pd.concat([scored, nothing]), ids),
        (places, None),
    ):
        found = losscope.inspect(query=points[asks], gallery=points[~asks], ids=named, relevance=given)
        for name, column in wanted.items():
            assert found.value(name) == pytest.approx(np.nanmean(column)), name
        assert found.asked == 11
    # Where a query is an item too, what is right for others is not right for it.
    both = losscope.inspect(points, relevance=[[0, 1], [1, 2], [2, 0]])
    squared = squared_distances(points[:3], points)
    right = np.zeros((3, 48), bool)
    right[[0, 1, 2], [1, 2, 0]] = True
    wanted = naive(right, np.eye(3, 48, dtype=bool), squared)
    assert both.value("map_at_r") == pytest.approx(wanted["map_at_r"].mean()) and both.asked == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[0, 99]], "1 gallery items that are not there, such as '99'; wanted: each item by its place"),
        ([[0, 0]], "names every query as its own answer"),
        ([[0, 1, 2]], "wanted: \\(pairs, 2\\)"),
        (np.zeros((0, 2)), "has no pairs"),
        (pd.DataFrame({"a": [0], "b": [1], "c": [1]}), "wanted: query and gallery"),
        ("nowhere.csv", "no file 'nowhere.csv'"),
    ],
)
def test_bad_pairs_are_refused(given, said):
    with pytest.raises(LosscopeError, match=said):
        losscope.inspect(np.random.default_rng(0).normal(size=(6, 4)), relevance=given)


def test_of_several_labels_right_is_what_shares_one():
    points, _ = blobs(spread=1.6)
    tags = np.random.default_rng(3).random((48, 7)) < 0.25
    tags[5] = False
    lists = [np.flatnonzero(row).tolist() for row in tags]
    for given in (tags, lists, tags.astype(int).tolist()):
        found = losscope.inspect(points, given)
        kept = tags.any(1)
        right = (tags[kept].astype(int) @ tags[kept].T) > 0
        naively = naive(right, np.eye(47, dtype=bool), squared_distances(points[kept], points[kept]))
        for name, column in naively.items():
            assert found.value(name) == pytest.approx(np.nanmean(column)), name
        assert found.several and found.classes == 7 and found.wrong_labels is None
        assert found.value("eer") is None and found.value("nmi") is None
    row = found.worst[0]
    own = tags[kept][:, int(row.label)]
    assert row.asked == own.sum() and row.map_at_r == pytest.approx(naively["map_at_r"][own].mean())
    both = losscope.inspect(points, tags, against=points[:, :6])
    change = both.change("map_at_r")
    assert change.unit == "query" and change.class_low == pytest.approx(change.query_low)
    assert "over queries" in both.headline and "classes" not in both.headline


def test_two_models_of_one_gallery(tmp_path):
    points, labels = blobs(spread=1.6)
    roles = np.where(np.arange(48) % 4 == 0, "query", "gallery")
    for name, own in (("a", points), ("b", points[:, :6])):
        np.savez(tmp_path / f"{name}.npz", embeddings=own, labels=labels, role=roles)
    found = losscope.inspect(tmp_path / "a.npz", against=tmp_path / "b.npz")
    assert found.a.asked == found.b.asked == 12
    assert found.overlap_by_chance == pytest.approx(10 / 36)
    assert found.b.value("map_at_r") == losscope.inspect(tmp_path / "b.npz").value("map_at_r")
    np.savez(tmp_path / "c.npz", embeddings=points, labels=labels, role=roles[::-1])
    with pytest.raises(LosscopeError, match="name other rows as queries and gallery"):
        losscope.inspect(tmp_path / "a.npz", against=tmp_path / "c.npz")
    pairs = [[k, k + 1] for k in range(0, 48, 4)]
    by_pairs = losscope.inspect(points, against=points[:, :6], relevance=pairs)
    assert by_pairs.change("map_at_r").b == losscope.inspect(points[:, :6], relevance=pairs).value("map_at_r")


# A large gallery


def hard(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points with copies, near copies, zero rows, and a group of many that are equal."""
    draw = np.random.default_rng(7)
    points, labels = blobs(classes=20, each=count // 20, spread=1.4)
    points[50:60] = points[10:20]
    points[70] = points[71] * np.float32(3)
    points[100:103] = 0
    points[200:260] = points[200]
    points[300:310] = points[301] + 1e-6 * draw.normal(size=(10, 12)).astype(np.float32)
    return points, labels


@pytest.mark.parametrize("case", ["classes", "roles", "tags", "pairs", "collapsed", "camera"])
def test_a_large_gallery_is_searched_as_a_small_one(case, monkeypatch):
    points, labels = hard()
    if case == "collapsed":
        points = np.tile(points[:1], (400, 1))
        monkeypatch.setattr(tables, "CHUNK_PAIRS", 500)
        monkeypatch.setattr(tables, "CROWDED", 1000)
    given = np.random.default_rng(1).random((400, 80)) < 0.008 if case == "tags" else labels
    rows = read_rows(points, given, None, None, "it")
    if case == "roles":
        rows = joined(rows.take(np.arange(90)), rows.take(np.arange(90, 400)))
    if case == "pairs":
        rows = relevance.matched(rows, np.random.default_rng(1).integers(0, 400, (80, 2)))
    if case == "camera":
        every = np.ones(400, bool)
        rows = replace(rows, roles=Roles(every, every, np.arange(400) % 5, "skip"))
    whole = search(rows, able(rows))
    monkeypatch.setattr(tables, "LARGE", 1)
    seen = []
    monkeypatch.setattr(tables, "_candidates", lambda *a, own=tables._candidates: seen.append(1) or own(*a))
    large = search(rows, able(rows))
    assert seen
    assert np.array_equal(whole.nearest, large.nearest)
    assert large.distances == pytest.approx(whole.distances, abs=1e-7, nan_ok=True)
    assert large.occurrences == pytest.approx(whole.occurrences)
    for name, column in whole.scores.items():
        assert large.scores[name] == pytest.approx(column, nan_ok=True), name
    if whole.shares is not None:
        assert large.shares.toarray() == pytest.approx(whole.shares.toarray())


def test_float32_finds_all_that_may_be_near():
    draw = np.random.default_rng(0)
    for columns, count in ((40, 3), (500, 7), (5000, 20)):
        table = draw.normal(size=(6, columns)).astype(np.float32)
        table[2] = 0.5
        for row, found in zip(table, tables._candidates(table, count, 0.25), strict=True):
            limit = np.sort(row)[count - 1] + np.float32(0.25)
            assert set(np.flatnonzero(row <= limit)) <= set(found)


def test_files_are_left_as_they_are(tmp_path):
    """A data frame of the caller gets no other columns or names."""
    frame = pd.DataFrame({" label": [0, 0, 1, 1], 3: [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    before = list(frame.columns)
    losscope.inspect(frame)
    assert list(frame.columns) == before
    assert not list(Path(tmp_path).iterdir())


def test_queries_that_find_nothing_right_are_refused():
    points, labels = blobs()
    with pytest.raises(LosscopeError, match="no query that asks has a right answer in the gallery of 28"):
        losscope.inspect(query=points[:20], gallery=points[20:], labels=(labels[:20], labels[20:] + 100))


def test_few_queries_tell_neither_an_interval_nor_wrong_labels():
    points, labels = blobs(spread=0.1)
    found = losscope.inspect(query=points[::12], gallery=points[1::2], labels=(labels[::12], labels[1::2]))
    row = next(row for row in found.measures if row.measure == "recall_at_1")
    assert (row.value, row.low, row.high) == (1.0, None, None)  # all alike
    assert (found.wrong_labels.judged, found.wrong_labels.count) == (0, 0)


def test_planted_faults_between_a_query_and_its_gallery(tmp_path):
    """Twenty queries that stand in the gallery too, and wrong labels of queries."""
    points, labels = blobs(classes=12, each=30, width=32, spread=0.7)
    asks = np.arange(360) % 3 == 0
    points[asks.nonzero()[0][:20]] = points[(~asks).nonzero()[0][:20]]
    labels[asks.nonzero()[0][:20]] = labels[(~asks).nonzero()[0][:20]]
    wrong = asks.nonzero()[0][25::10]
    given = labels.copy()
    given[wrong] = (given[wrong] + 5) % 12
    found = losscope.inspect(query=points[asks], gallery=points[~asks], labels=(given[asks], given[~asks]))
    assert found.duplicates.equal == 20
    assert {(pair.a.part, pair.b.part) for pair in found.duplicates.pairs} == {("query", "gallery")}
    assert {suspect.item.row for suspect in found.wrong_labels.worst} == set(range(25, 120, 10))
    assert {suspect.item.part for suspect in found.wrong_labels.worst} == {"query"}


def test_near_copies_across_a_split_of_very_many_rows_are_those_of_the_neighbours(monkeypatch):
    from losscope.data import health

    points, labels = blobs(classes=20, each=20, width=32)
    test = np.arange(400) % 2 == 1
    near, equal = np.flatnonzero(test)[:7], np.flatnonzero(test)[50:53]
    points[near] = points[np.flatnonzero(~test)[100:107]] * np.float32(1.0001) + np.float32(1e-4)
    points[equal] = points[np.flatnonzero(~test)[150:153]]
    words = np.where(test, "test", "train")
    wanted = losscope.inspect(points, labels, split=words).duplicates
    monkeypatch.setattr(health, "NEAR_ROWS", 100)
    found = losscope.inspect(points, labels, split=words).duplicates
    assert (found.across_equal, found.across_near) == (wanted.across_equal, wanted.across_near) == (3, 7)


# --- what is left out is said ----------------------------------------------------------------------


def test_items_that_one_of_two_files_lacks_are_counted(tmp_path):
    points, labels = blobs()
    broken = points.copy()
    broken[[3, 7]] = np.nan
    ids = np.array([f"i{row:02}" for row in range(len(points))])
    for name, more in (("order", {}), ("id", {"ids": ids})):
        np.savez(tmp_path / "a.npz", embeddings=points, labels=labels, **more)
        np.savez(tmp_path / "b.npz", embeddings=broken, labels=labels, **more)
        for first, second in (("a", "b"), ("b", "a")):
            found = losscope.inspect(tmp_path / f"{first}.npz", against=tmp_path / f"{second}.npz")
            assert (found.paired_by, found.items, found.left_out) == (name, 46, 2)
            assert "2 of 48 items are left out" in found.notes[1]
    assert losscope.inspect(points, labels, against=points).left_out == 0


@pytest.mark.parametrize("word", ["train", "test"])
def test_a_split_that_says_one_thing_may_be_inspected_and_not_trained_on(tmp_path, word):
    points, labels = blobs()
    split = np.array([word] * len(points))
    np.savez(tmp_path / "part.npz", embeddings=points, labels=labels, split=split)
    bare = values(losscope.inspect(points, labels))
    assert values(losscope.inspect(points, labels, split=split)) == bare
    assert values(losscope.inspect(tmp_path / "part.npz")) == bare
    with pytest.raises(LosscopeError, match=f"the split says '{word}' of every row"):
        losscope.read(tmp_path / "part.npz")


def test_one_class_alone_is_said():
    points, labels = blobs()
    found = losscope.inspect(points, 0 * labels)
    assert found.headline.endswith(
        "All are of one class, so that whatever is found is right: retrieval says nothing here."
    )
