"""Single test items of a study: neighbours, chosen queries, classes that fail, pictures, courses."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.manifold import trustworthiness

import losscope
from losscope.comparing import picturing, placing, shown
from losscope.comparing.examples import class_scores, examples_of, label_scores
from losscope.comparing.kept import Kept
from losscope.core.errors import LosscopeError
from losscope.core.planes import Plane
from losscope.core.queries import Roles
from losscope.core.results import ShownItem
from losscope.data import load
from losscope.data.base import Part
from losscope.reporting.failing import ByClass, Spread
from losscope.reporting.items import classes_of, uri
from losscope.run.store import Store
from losscope.stats.intervals import mean_interval
from losscope.train.course import moments


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def kept(count: int = 40, classes: int = 4, seed: int = 0, **more) -> Kept:
    rng = np.random.default_rng(seed)
    return Kept(unit(rng.normal(size=(count, 6))), np.arange(count) % classes, **more)


def naive(own: Kept, query: int, may: np.ndarray, most: int) -> list[int]:
    """The nearest rows by sorting all distances, in plain loops."""
    pairs = [
        (round(float(((own.embeddings[query] - own.embeddings[row]) ** 2).sum()), 6), row)
        for row in range(len(own))
        if row != query and may[row]
    ]
    return [row for _, row in sorted(pairs)[:most]]


@pytest.mark.parametrize("kind", ["one set", "two modalities", "query and gallery", "background", "labels"])
def test_neighbours_are_those_that_a_sort_finds(kind):
    own = kept()
    every, may = np.arange(40), np.ones((40, 40), bool)
    if kind == "two modalities":
        own = replace(own, modality=np.repeat([0, 1], 20))
        may = own.modality[:, None] != own.modality
    elif kind == "query and gallery":
        asks = every < 15
        own = replace(own, roles=Roles(asks, ~asks))
        may = np.broadcast_to(~asks, (40, 40))
    elif kind == "background":
        own = replace(own, labels=np.where(every < 5, -1, own.labels))
        may = np.broadcast_to(every >= 5, (40, 40))
    elif kind == "labels":
        own = replace(own, labels=np.eye(4, dtype=np.int8)[own.labels])
    queries = np.array([6, 7, 12])
    found = own.nearest(queries, 5)
    assert found.tolist() == [naive(own, query, may[query], 5) for query in queries]


def test_fewer_rows_than_neighbours_and_equal_rows():
    own = Kept(unit(np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])), np.array([0, 1, 0, 1]))
    assert own.nearest(np.array([2]), 5).tolist() == [[0, 1, 3, -1, -1]]
    assert own.right(np.array([2]), np.array([[0, 1, 3]])).tolist() == [[True, False, False]]


def recall(values) -> dict[str, np.ndarray]:
    return {"per_query/recall_at_1": np.asarray(values, dtype=float)}


def test_queries_on_which_losses_disagree_stand_first():
    right = np.ones(40)
    a, b, raw = right.copy(), right.copy(), right.copy()
    a[[3, 8]], b[5], raw[[10, 11]], a[20], b[20] = 0, 0, 0, np.nan, 0
    sides = {"a": kept(seed=1), "b": kept(seed=2)}
    arrays = {"a": recall(a), "b": recall(b), "raw": recall(raw)}
    found = examples_of(sides, {"raw": kept(seed=3)}, arrays, 0)
    assert set(found.queries[:3].tolist()) == {3, 5, 8} and found.chosen == found.apart == 3
    assert set(found.queries[3:5].tolist()) == {10, 11} and found.beside == 2
    assert found.alone == {"a": 1, "b": 2}
    assert found.asked == 39, "a query without a right answer is not counted"
    assert len(found.queries) == 6, "a few are shown where few differ"
    again = examples_of(sides, {"raw": kept(seed=3)}, arrays, 0)
    assert again.queries.tolist() == found.queries.tolist()
    assert 20 not in found.queries


def test_no_examples_without_embeddings_or_of_unlike_rows():
    assert examples_of({}, {"raw": kept()}, {"raw": recall(np.ones(40))}, 0) is None
    assert examples_of({"a": kept()}, {}, {"a": recall(np.ones(39))}, 0) is None
    assert examples_of({"a": kept()}, {}, {"a": recall(np.full(40, np.nan))}, 0) is None
    found = examples_of(
        {"a": kept()}, {"raw": kept(30)}, {"a": recall(np.ones(40)), "raw": recall(np.ones(30))}, 0
    )
    assert list(found.found) == ["a"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("items")
    losscope.compare(
        "digits", losses="contrastive,triplet", protocol="paper", seeds=2, epochs=2, out=str(out)
    )
    return out


def test_a_stored_study_has_items_maps_and_classes(study):
    found = losscope.load(study).evidence
    assert list(found.maps)[:3] == ["contrastive", "triplet", "raw"] and "untrained" in found.maps
    items = [own.items.tolist() for own in found.maps.values()]
    assert all(rows == items[0] for rows in items), "the same item in all maps"
    assert set(found.examples.shown) <= set(found.examples.items)
    assert all(item.picture.startswith(b"\x89PNG") for item in found.examples.items.values())
    assert sum(len(item.picture) for item in found.examples.items.values()) <= picturing.BYTES
    runs = [run for run in Store(study, create=False).runs() if run.run.loss.name == "triplet"]
    for name, scores in found.classes.items():
        assert scores.recall.shape == (2, 10), name
    wrong = sum(int((run.arrays()["per_query/recall_at_1"] < 0.5).sum()) for run in runs)
    scores = found.classes["triplet"]
    assert sum(pair.count for pair in scores.confused) == wrong and scores.seeds == 2
    mean = np.mean([run.measures["test"]["recall_at_1"] for run in runs])
    assert (scores.recall.mean(0) * scores.queries).sum() / scores.queries.sum() == pytest.approx(mean)


def test_one_seed_of_ten_keeps_where_its_points_were(study):
    runs = [run for run in Store(study, create=False).runs() if run.run.loss.family == "loss"]
    assert {run.run.seed: run.keeps("course.npz") for run in runs} == {0: True, 1: False}
    for run in (run for run in runs if run.run.seed == 0):
        course = run.npz("course.npz")
        assert course["epochs"].tolist() == [0, 1, 2] and course["xy"].shape == (3, 500, 2)
        assert sum(file.stat().st_size for file in [run.path / "course.npz"]) < 200_000
    for name in ("contrastive", "triplet"):
        own = losscope.load(study).evidence.maps[name]
        np.testing.assert_allclose(own.course[-1], own.xy, atol=2e-3)
        assert np.abs(own.course[0] - own.xy).max() > 0.05


def test_a_store_without_courses_has_maps_all_the_same(study, tmp_path):
    import shutil

    shutil.copytree(study, tmp_path / "old")
    for path in (tmp_path / "old").glob("studies/*/items.npz"):
        path.write_bytes(b"PK" + bytes(40))
    assert losscope.load(tmp_path / "old").evidence.examples.items == {}
    assert "test row" in losscope.load(tmp_path / "old").page()


def test_the_moments_hold_the_chosen_epoch():
    assert {0, 60, 17} <= moments(60, 17) and len(moments(60, 17)) <= 9
    assert moments(1, 0) == {0, 1}


def test_a_plane_is_that_of_the_two_largest_components():
    rows = np.random.default_rng(0).normal(size=(50, 5)) * [3, 2, 1, 0.1, 0.1]
    plane = Plane.of(rows)
    values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    np.testing.assert_allclose(plane.place(rows).var(axis=0, ddof=1), values[:2])
    np.testing.assert_allclose(plane.explained, values[:2] / values.sum())
    rows = np.random.default_rng(0).normal(size=(300, 240)) * np.linspace(3, 0.1, 240)
    large, (values, directions) = Plane.of(rows), np.linalg.eigh(np.cov(rows.T))
    np.testing.assert_allclose(np.abs((large.axes * directions.T[[-1, -2]]).sum(1)), 1, atol=1e-5)
    np.testing.assert_allclose(large.explained, values[[-1, -2]] / values.sum())
    wide, values = Plane.of(rows[:40]), np.linalg.eigvalsh(np.cov(rows[:40].T))[::-1]
    np.testing.assert_allclose(wide.place(rows[:40]).var(axis=0, ddof=1), values[:2])
    np.testing.assert_allclose(wide.explained, values[:2] / values.sum())
    assert Plane.of(np.ones((3, 1))).place(np.ones((3, 1))).tolist() == [[0, 0]] * 3


def test_pictures_are_what_they_show():
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
    read = np.asarray(Image.open(io.BytesIO(picturing.picture(pixels[None]))))
    np.testing.assert_allclose(read, pixels, atol=9)
    wide = np.zeros((3, 400, 100), np.uint8)
    wide[0] = 255
    image = Image.open(io.BytesIO(picturing.picture(wide))).convert("RGB")
    assert max(image.size) <= picturing.SIDE and np.asarray(image)[5, 5, 0] > 200 > np.asarray(image)[5, 5, 1]
    for values in (np.zeros(4), np.zeros((2, 4, 4)), np.zeros((1, 1, 9))):
        assert picturing.picture(values) == b""
    flat = picturing.picture(np.full((1, 4, 4), np.nan))
    assert Image.open(io.BytesIO(flat)).size == (4, 4)


def test_items_come_back_as_they_were_kept(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "studies" / "a").mkdir(parents=True)
    items = {3: ShownItem("é <b>", b"\x89PNG1"), 9: ShownItem("", b""), 11: ShownItem("x\ny", b"RIFF")}
    shown.write(store, "a", items)
    assert shown.read(store, "a") == items
    assert shown.read(store, "b") == {}
    path = tmp_path / "studies/a/items.npz"
    whole = path.read_bytes()
    entry = whole.index(b"PK\x01\x02")
    unknown_method = whole[: entry + 10] + b"\x63" + whole[entry + 11 :]
    for damaged in (b"PK\x03\x04 no archive", b"", whole[:-30], unknown_method):
        path.write_bytes(damaged)
        assert shown.read(store, "a") == {}


def test_only_pictures_become_pictures():
    assert uri(b"\x89PNG\r\n\x1a\n1").startswith("data:image/png;base64,")
    assert uri(b"RIFF1234WEBP").startswith("data:image/webp;base64,")
    assert uri(b"<svg onload=alert(1)>") == "" and uri(b"") == ""
    assert classes_of(np.int64(-1), None) == "background"
    assert classes_of(np.array([1, 1, 1, 1, 1]), "abcde") == "a, b, c and 2 more"


def test_names_stand_where_data_have_them():
    source = load("digits")
    part = source.splits(0).test
    named = replace(part, names=np.array([f"file {row}" for row in range(len(part))]))
    item = picturing.item(source, named, None, 4)
    assert item.text == "file 4" and item.picture
    told = picturing.item(source, part, np.array(["x " * 400] * len(part), dtype=object), 4)
    assert told.text.endswith("…") and len(told.text) == picturing.LONGEST and not told.picture
    paired = Part(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1]), second=np.zeros((2, 7), np.float32))
    facts = replace(source, facts=replace(source.facts, picture=()))
    assert (
        picturing.item(facts, paired, None, 1).picture and not picturing.item(facts, paired, None, 3).picture
    )


def test_intervals_over_seeds_are_those_of_the_rest_of_the_page():
    values = np.array([[0.9, np.nan, 0.5], [0.8, np.nan, np.nan], [0.7, 0.4, 0.5]])
    found = Spread.of(values)
    low, high = mean_interval([0.9, 0.8, 0.7])
    assert found.mean[0] - found.half[0] == pytest.approx(low)
    assert found.mean[0] + found.half[0] == pytest.approx(high)
    assert found.mean[1:].tolist() == [0.4, 0.5] and np.isnan(found.half[1]) and found.half[2] == 0


def test_a_thousand_classes_are_read_by_their_ends(study):
    scores = losscope.load(study).evidence.classes
    rng = np.random.default_rng(0)
    many = {
        name: replace(
            own, labels=np.arange(1000), recall=rng.random((2, 1000)), queries=np.full(1000, 3.0), confused=()
        )
        for name, own in scores.items()
    }
    found = ByClass(many, ["contrastive", "triplet"], None)
    worst, apart = found.worst(), found.apart()
    assert found.level[worst[0]] == found.level.min() and found.gap[apart[0]] == found.gap.max()
    assert len(found.table("", worst[:15]).rows) == 15 and found.pairs == []


def test_no_class_scores_where_no_run_keeps_them():
    assert class_scores({"a": []}) == {} and label_scores({"a": []}) == {}


def test_rows_with_several_labels_count_for_each_of_them():
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(3):
        tags = rng.random((30, 4)) < 0.3
        tags[:, 3] = False  # a label that no test row has
        recall = (rng.random(tags.any(axis=1).sum()) < 0.5).astype(float)
        recall[0] = np.nan  # asked nothing
        runs.append((tags, {"per_query/recall_at_1": recall}))
    found = label_scores({"a": runs})["a"]
    assert found.several and found.labels.tolist() == [0, 1, 2, 3] and found.confused == ()
    for seed, (tags, arrays) in enumerate(runs):
        own = tags[tags.any(axis=1)]
        for label in range(4):
            hits = [
                value
                for row, value in zip(own, arrays["per_query/recall_at_1"], strict=True)
                if row[label] and np.isfinite(value)
            ]
            assert found.recall[seed, label] == pytest.approx(np.mean(hits) if hits else np.nan, nan_ok=True)
    assert found.queries[3] == 0 and found.queries[0] > 0


def test_a_study_of_several_labels_says_which_labels_fail(tmp_path):
    rng = np.random.default_rng(1)
    tags = (rng.random((300, 5)) < 0.3).astype(np.int8)
    tags[np.arange(300), np.arange(300) % 5] = 1
    inputs = (tags @ rng.normal(size=(5, 12)) + 0.3 * rng.normal(size=(300, 12))).astype(np.float32)
    result = losscope.compare(
        inputs, tags, losses="contrastive,triplet", seeds=2, epochs=2, tune=False, out=tmp_path / "out"
    )
    scores = result.evidence.classes["triplet"]
    assert scores.several and scores.recall.shape == (2, 5) and np.isfinite(scores.recall).all()
    section = result.page().partition('id="classes"')[2].partition("</section>")[0]
    assert "counts for each label" in section and "Every label, the worst first" in section


def test_a_page_shows_maps_by_neighbours_where_they_were_asked_for(study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    before = losscope.load(folder)
    result = losscope.report(folder, map="tsne")
    maps = result.evidence.maps
    assert set(maps) == set(before.evidence.maps) and {own.by for own in maps.values()} == {"tsne"}
    own, rows = maps["triplet"], before.evidence.maps["triplet"].items
    assert np.array_equal(own.items, rows) and own.course is None and own.xy.shape == (len(rows), 2)
    [stored] = [run for run in Store(folder, create=False).runs() if run.id == result.side("triplet").runs[0]]
    embeddings = Kept.of(stored).embeddings[rows].astype(float)
    # Better than the plane at what it is for: the nearest neighbours stay near.
    assert trustworthiness(embeddings, own.xy) > trustworthiness(
        embeddings, before.evidence.maps["triplet"].xy
    )
    assert "by t-SNE" in result.page() and losscope.load(folder).page() == result.page()
    [file] = (folder / "studies").glob("*/maps.npz")
    whole = file.read_bytes()
    for damaged in (b"", whole[:200], whole[:-40] + bytes(40)):
        file.write_bytes(damaged)
        assert {own.by for own in losscope.load(folder).evidence.maps.values()} == {"pca"}
    file.write_bytes(whole)
    assert losscope.report(folder, map="pca").page() == before.page()
    with pytest.raises(LosscopeError, match="the map is 'umap'; wanted: pca or tsne"):
        losscope.report(folder, map="umap")


def test_few_or_equal_points_have_a_map_too():
    for rows in (np.zeros((3, 4)), np.ones((40, 4)) / 2, np.eye(12)[:, :1], np.eye(40)):
        placed = placing.tsne(rows)
        assert placed.shape == (len(rows), 2) and np.isfinite(placed).all()
