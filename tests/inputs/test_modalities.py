"""Two modalities in a file: joined by row or by id, with classes or without, whole or by part."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import h5py
import numpy as np
import pytest

import losscope
from losscope.core.errors import LosscopeError
from losscope.data import load

N, CLASSES = 60, 10
IDS = np.arange(N)
FIVE = np.repeat(IDS, 5)
Y = np.repeat(np.arange(CLASSES), N // CLASSES)
Arrays = dict[str, np.ndarray]


def rows(count: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, count, width]).normal(size=(count, width)).astype(np.float32)


class Case(NamedTuple):
    """What a file holds, what the commit before this test made of it, and what is right."""

    id: str
    before: str
    now: str
    arrays: Callable[[], Arrays]
    options: Mapping[str, object] = MappingProxyType({})
    suffix: str = ".npz"


def captions(**more: np.ndarray) -> Arrays:
    return {
        "image_features": rows(N),
        "text_features": rows(5 * N, 4),
        "image_ids": IDS,
        "text_ids": FIVE,
        "labels": Y,
        **more,
    }


def joined(**more: np.ndarray) -> Arrays:
    found = {
        "image_features": rows(N),
        "text_features": rows(N, 4),
        "image_ids": IDS,
        "text_ids": IDS,
        "labels": Y,
        **more,
    }
    return {name: array for name, array in found.items() if array is not None}


def six(form: str, parts: tuple[str, ...] = ("train", "test"), **sizes: int) -> Arrays:
    found: Arrays = {}
    for place, part in enumerate(parts):
        for what, width in (("audio", 6), ("visual", 4), ("lab", 0)):
            count = sizes.get(f"{what}_{part}", 40 - 10 * place)
            found[form.format(what=what, part=part)] = (
                rows(count, width, place) if width else np.arange(count) % 5
            )
    return found


def plain(first: str, second: str, **more: np.ndarray) -> Arrays:
    return {first: rows(N), second: rows(N, 4), **more}


REPEATED = np.repeat(rows(12), 5, axis=0)

READ = (
    Case(
        "captions", "60 pairs, 240 captions lost", "300 pairs of image 6 and text 4 in 10 classes", captions
    ),
    Case(
        "captions with a label each",
        "refused: 60 rows of inputs but 300 labels",
        "300 pairs of image 6 and text 4 in 10 classes",
        lambda: captions(labels=np.repeat(Y, 5)),
    ),
    Case(
        "several images of one text",
        "a text's images in train and test",
        "300 pairs of image 6 and text 4 in 10 classes",
        lambda: {
            "image_features": rows(5 * N),
            "text_features": rows(N, 4),
            "image_ids": FIVE,
            "text_ids": IDS,
            "labels": np.repeat(Y, 5),
        },
    ),
    Case(
        "ids as numbers and as text",
        "refused: class '0' has no text at all",
        "60 pairs of image 6 and text 4 in 10 classes",
        lambda: joined(text_ids=IDS.astype(str)),
    ),
    Case(
        "ids as bytes and as text",
        "refused: class '0' has no text at all",
        "60 pairs of image 6 and text 4 in 10 classes",
        lambda: joined(image_ids=IDS.astype("S4"), text_ids=IDS.astype(str)),
    ),
    Case(
        "a decimal id is missing",
        "refused: class '0' has no text at all",
        "left out: 7 rows of text without an id, 7 rows of image without a row of text, "
        "1 class without a pair ('0')",
        lambda: joined(text_ids=np.where(IDS < 7, np.nan, IDS)),
    ),
    Case(
        "texts that no image has",
        "40 texts lost",
        "left out: 40 rows of text without a row of image",
        lambda: joined(text_features=rows(N + 40, 4), text_ids=np.arange(N + 40)),
    ),
    Case(
        "an id twice on the second side",
        "60 pairs, the first text of the id lost",
        "62 pairs of image 6 and text 4",
        lambda: joined(text_features=rows(N + 2, 4), text_ids=np.r_[IDS, 3, 3]),
    ),
    Case(
        "labels of either side",
        "refused: no labels",
        "60 pairs of image 6 and text 4 in 10 classes",
        lambda: joined(labels=None, image_labels=Y, text_labels=Y),
    ),
    Case(
        "no classes",
        "refused: no labels",
        "60 pairs of image 6 and text 4 without classes, of 60 items",
        lambda: plain("images", "texts"),
    ),
    Case(
        "the names of a CLIP model's outputs",
        "refused: no array of a known name",
        "60 pairs of image 6 and text 4 without classes",
        lambda: plain("image_embeds", "text_embeds"),
    ),
    Case(
        "queries and documents",
        "refused: no array of a known name",
        "60 pairs of query 6 and document 4 without classes",
        lambda: plain("query", "document"),
    ),
    Case(
        "two arrays a and b",
        "refused: no array of a known name",
        "60 pairs of a 6 and b 4 without classes",
        lambda: plain("a", "b"),
    ),
    Case(
        "the columns of sentence pairs",
        "refused: no array of a known name",
        "60 pairs of anchor 6 and positive 4",
        lambda: plain("anchor", "positive"),
    ),
    Case(
        "negatives beside the pairs",
        "refused: no array of a known name",
        "left out: 1 array beside the two sides (negative)",
        lambda: plain("anchor", "positive", negative=rows(N, 4, 1)),
    ),
    Case(
        "labels that number the rows",
        "refused: no class has two members",
        "60 pairs of image 6 and text 4 without classes, of 60 items",
        lambda: plain("image", "text", labels=IDS),
    ),
    Case(
        "captions without classes",
        "refused: no labels",
        "300 pairs of image 6 and text 4 without classes, of 60 items",
        lambda: {name: array for name, array in captions().items() if name != "labels"},
    ),
    Case(
        "the image of each caption once more",
        "refused: no labels",
        "60 pairs of image 6 and text 4 without classes, of 12 items",
        lambda: {"image": REPEATED, "text": rows(60, 4)},
    ),
    Case(
        "pairs without classes and a limit",
        "refused: no labels",
        "60 pairs of image 6 and text 4 without classes, of 60 items",
        lambda: {"image": rows(90), "text": rows(90, 4)},
        {"limit": 33},
    ),
    Case(
        "an image that is missing, without classes",
        "refused: 1 row lacks a modality",
        "left out: 1 pair without image (all NaN)",
        lambda: {"image": np.where(IDS[:, None] == 5, np.nan, rows(N)), "text": rows(N, 4)},
    ),
    Case(
        "six arrays",
        "refused: no array of a known name",
        "70 pairs of audio 6 and visual 4 in 5 classes (14 each); 30 train, 10 validation, 30 test",
        lambda: six("{what}_{part}"),
    ),
    Case(
        "six arrays, the part first",
        "refused: no array of a known name",
        "30 test: split as given",
        lambda: six("{part}_{what}"),
    ),
    Case(
        "nine arrays",
        "refused: no array of a known name",
        "40 train, 30 validation, 20 test: split as given",
        lambda: six("{what}_{part}", ("train", "val", "test")),
    ),
    Case(
        "six arrays in HDF5",
        "refused: no array of a known name",
        "30 test: split as given",
        lambda: six("{what}_{part}"),
        {},
        ".h5",
    ),
    Case(
        "groups by part in HDF5",
        "refused: no array of a known name",
        "30 test: split as given",
        lambda: six("{part}/{what}"),
        {},
        ".h5",
    ),
    Case(
        "groups by modality in HDF5",
        "refused: no array of a known name",
        "30 test: split as given",
        lambda: six("{what}/{part}"),
        {},
        ".hdf5",
    ),
    Case(
        "captions by part, numbered anew in each",
        "refused: no array of a known name",
        "60 pairs of image 6 and text 4 without classes, of 30 items; 32 train, 8 validation, 20 test",
        lambda: {
            "image_train": rows(20),
            "image_test": rows(10),
            "text_train": rows(40, 4),
            "text_test": rows(20, 4),
            "image_ids_train": np.arange(20),
            "image_ids_test": np.arange(10),
            "text_ids_train": np.arange(40) // 2,
            "text_ids_test": np.arange(20) // 2,
        },
    ),
)

REFUSED = (
    Case(
        "no id on both sides",
        "refused: class '0' has no text at all",
        "no id of image is an id of text \\('0', '1', … and 'a0', 'a1', …\\)",
        lambda: joined(text_ids=np.char.add("a", IDS.astype(str))),
    ),
    Case(
        "ids that are classes",
        "60 pairs, the others lost",
        "as class labels would",
        lambda: captions(image_ids=np.tile([0, 1], 30), text_ids=np.tile([0, 1], 150)),
    ),
    Case(
        "decimal ids above 2⁵³",
        "60 pairs, of ids that are no longer told apart",
        "no longer tell whole numbers apart",
        lambda: joined(image_ids=2.0**53 + IDS, text_ids=2.0**53 + IDS),
    ),
    Case(
        "sides whose labels differ",
        "refused: no labels",
        "the labels of image and text differ in 50 of 60 pairs",
        lambda: plain("image", "text", image_labels=Y, text_labels=np.tile(np.arange(CLASSES), 6)),
    ),
    Case(
        "three modalities",
        "refused: no array of a known name",
        "has 3 modalities: audio, image, text",
        lambda: plain("audio", "text", image=rows(N)),
    ),
    Case(
        "five texts follow each image, without ids",
        "refused without the remedy",
        r"text_ids = np.repeat\(image_ids, 5\)",
        lambda: {"image": rows(N), "text": rows(5 * N, 4), "labels": Y},
    ),
    Case(
        "an image's captions in train and test",
        "refused: 300 rows of role but 60 labels",
        "1 item .* in the test split and outside of it",
        lambda: captions(labels=IDS % CLASSES, split=np.where(np.arange(300) < 203, "train", "test")),
    ),
    Case(
        "six arrays of unlike length in a part",
        "refused: no array of a known name",
        "the arrays of the train part have unlike numbers of rows \\(audio_train 40, visual_train 39",
        lambda: six("{what}_{part}", visual_train=39, visual_test=31),
    ),
    Case(
        "a part lacks a modality",
        "refused: no array of a known name",
        "no test part of visual",
        lambda: {name: array for name, array in six("{what}_{part}").items() if name != "visual_test"},
    ),
    Case(
        "label noise without classes",
        "refused: no labels",
        "label_noise redraws classes",
        lambda: plain("image", "text"),
        {"label_noise": 0.2},
    ),
    Case(
        "explicit pairs over two modalities",
        "read; refused at the first batch",
        "has two modalities, whose rows are joined in the file",
        lambda: plain("image", "text"),
        {"pairs": "pairs.csv"},
    ),
)


def write(case: Case, folder: Path) -> tuple[Path, dict[str, object]]:
    path = folder / f"f{case.suffix}"
    if case.suffix == ".npz":
        np.savez(path, **case.arrays())
    else:
        with h5py.File(path, "w") as file:
            for name, array in case.arrays().items():
                file[name] = array
    options = dict(case.options)
    if "pairs" in options:
        (folder / "pairs.csv").write_text("i,j,same\n0,1,1\n2,3,0\n4,5,1\n", encoding="utf-8")
        options["pairs"] = str(folder / "pairs.csv")
    return path, options


@pytest.mark.parametrize("case", READ, ids=lambda case: case.id)
def test_it_is_read_and_counted(case, tmp_path):
    path, options = write(case, tmp_path)
    source = load(path, **options)
    assert case.now in source.describe()
    parts = source.splits(0)
    taken = [part.rows for part in (parts.train, parts.validation, parts.test)]
    assert len(np.unique(np.concatenate(taken))) == source.facts.rows
    assert source.description().modalities == source.facts.modalities
    if source.facts.by_item or source.pool.items is not None:
        # No item of either side stands in two parts.
        held = [source.pool.inputs[part] for part in taken]
        for place, own in enumerate(held):
            for other in held[place + 1 :]:
                assert not (own[:, None] == other[None]).all(-1).any()


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_it_is_refused_in_a_sentence(case, tmp_path):
    path, options = write(case, tmp_path)
    with pytest.raises(LosscopeError, match=case.now):
        load(path, **options)


def digits_seen_twice(path: Path) -> Path:
    """The digits' pictures under two random projections: item i of one is item i of the other."""
    from sklearn.datasets import load_digits

    draw, pictures = np.random.default_rng(0), load_digits().data.astype(np.float32) / 16
    views = {name: pictures @ draw.normal(size=(64, width)) for name, width in (("image", 48), ("text", 32))}
    np.savez(path, **{f"{name}_embeddings": view.astype(np.float32) for name, view in views.items()})
    return path


def test_pairs_as_of_clip_find_each_other_both_ways(tmp_path):
    path = digits_seen_twice(tmp_path / "clip.npz")
    result = losscope.compare(
        path,
        losses=["contrastive", "triplet", "info_nce"],
        seeds=2,
        epochs=6,
        tune=False,
        out=tmp_path / "runs",
    )
    test = load(path).sizes()[2]
    assert result.recommendation.measure == "recall_at_1_across"
    for side in result.losses:
        for way in ("audio_to_visual", "visual_to_audio"):
            assert side.mean(f"recall_at_1_{way}") > 60 / test
            assert side.mean(f"recall_at_10_{way}") >= side.mean(f"recall_at_5_{way}") > 0.5
            assert 1 <= side.mean(f"median_rank_{way}") < 5
        assert not {"recall_at_1", "intra_variance", "nmi", "silhouette", "map_at_r"} & side.measures.keys()
    untrained = next(side for side in result.baselines if side.name == "untrained")
    assert untrained.mean("recall_at_1_across") < 20 / test
    # The names are the file's in the table, on the page and in the JSON.
    for text in (result.table("text"), result.page(), result.table("md")):
        assert "image→text" in text
        assert not any(word in text for word in ("audio→visual", "first→second", "{first}"))
    assert json.loads(result.json())["headings"]["mrr_visual_to_audio"] == "MRR text→image"
    assert json.loads(result.json())["data"]["modalities"] == ["image", "text"]


@pytest.mark.parametrize(
    ("losses", "goal", "said"),
    [
        (
            "arcface,triplet",
            "retrieval",
            "'arcface' learns one vector per class, and .* pairs without classes",
        ),
        ("contrastive,triplet", "compactness", "wants classes, and .* choices: retrieval, cross-modal"),
        ("contrastive,triplet", "classification", "compares rows of one modality with training rows"),
    ],
    ids=["a loss with class vectors", "a goal of classes", "a goal of one modality"],
)
def test_what_pairs_without_classes_cannot_have_is_refused_before_training(losses, goal, said, tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, **plain("image", "text"))
    with pytest.raises(LosscopeError, match=said):
        losscope.compare(path, losses=losses, goal=goal, seeds=2, epochs=1, out=tmp_path / "runs")


def test_the_goal_across_modalities_wants_two(tmp_path):
    with pytest.raises(LosscopeError, match="'cross-modal' wants two modalities, and digits has one"):
        losscope.compare("digits", goal="cross-modal", seeds=2, epochs=1, out=tmp_path / "runs")


def test_an_item_of_several_pairs_is_searched_for_once(tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, **{name: array for name, array in captions().items() if name != "labels"})
    losscope.compare(
        path, losses="info_nce,triplet", seeds=1, epochs=1, batch_size=32, tune=False, out=tmp_path / "runs"
    )
    test = load(path).splits(0).test
    run = next((tmp_path / "runs").rglob("test.npz")).parent
    kept, measured = np.load(run / "test.npz"), json.loads((run / "run.json").read_text())["measures"]["test"]
    assert (kept["modality"] == 0).sum() == len(np.unique(test.items[:, 0])) == len(test) / 5
    assert (kept["modality"] == 1).sum() == len(test)
    # Recall@5 from a text to the distinct images, by a plain sort of the run's own embeddings.
    z, own, side = kept["embeddings"].astype(np.float64), kept["labels"], kept["modality"]
    near = z[side == 1] @ z[side == 0].T
    hits = own[side == 0][np.argsort(-near, axis=1)] == own[side == 1][:, None]
    share = hits[:, :5].any(1).mean()
    assert measured["recall_at_5_visual_to_audio"] == pytest.approx(share, abs=1 / len(hits))
