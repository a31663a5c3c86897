"""Query and gallery as people have them: columns, arrays and folders, read to roles or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import losscope
from losscope.core.errors import LosscopeError

CLASSES, EACH = 12, 10
ROW = np.arange(CLASSES * EACH)
CLASS = ROW // EACH
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(CLASSES, 4))[CLASS] + RNG.normal(size=(len(ROW), 4))).astype(np.float32).round(3)
TEST = CLASS >= 6
QUERY, GALLERY = TEST & (ROW % 5 == 0), TEST & (ROW % 5 > 0)
PART = np.select([QUERY, GALLERY], ["query", "gallery"], "train")
SPLIT = np.where(TEST, "test", "train")
CAMERA = ROW % 3
FRAME = pd.DataFrame(X, columns=[f"f{i}" for i in range(4)]).assign(label=CLASS)
BASE = {"features": X, "labels": CLASS}


def csv(**columns: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        FRAME.assign(**columns).to_csv(folder / "table.csv", index=False)
        return folder / "table.csv"

    return write


def parquet(**columns: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        FRAME.assign(**columns).to_parquet(folder / "table.parquet")
        return folder / "table.parquet"

    return write


def npz(**arrays: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "arrays.npz", **arrays)
        return folder / "arrays.npz"

    return write


def hdf5(**arrays: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import h5py

        with h5py.File(folder / "arrays.h5", "w") as file:
            for name, values in arrays.items():
                text = isinstance(values, np.ndarray) and values.dtype.kind == "U"
                file[name] = values.astype("S") if text else values
        return folder / "arrays.h5"

    return write


def pictures(*names: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from PIL import Image

        draw = np.random.default_rng(1)
        for name in names:
            path = folder / "people" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(path)
        return folder / "people"

    return write


def flat(
    train: str = "bounding_box_train",
    gallery: str = "bounding_box_test",
    query: str = "query",
    form: str = "{who:04d}_c{camera}s1_00{shot:04d}_03.jpg",
) -> list[str]:
    """Ten identities to train on, ten in the gallery by four cameras, each asked for by the first."""
    named = [(train, who, camera) for who in range(1, 11) for camera in range(1, 5)]
    named += [(gallery, who, camera) for who in range(11, 21) for camera in range(1, 5)]
    found = [f"{part}/{form.format(who=who, camera=camera, shot=who)}" for part, who, camera in named]
    return found + [f"{query}/{form.format(who=who, camera=1, shot=90 + who)}" for who in range(11, 21)]


def parts(names: dict[str, str], *which: str) -> dict[str, np.ndarray]:
    """One array for each part: {part: pattern} with {} for f, pids and camids."""
    made = {}
    for part, rows in ((part, np.isin(PART, part)) for part in which):
        for what, values in (("f", X), ("pids", CLASS), ("camids", CAMERA)):
            made[names[part].format("" if what == "f" else "_") + what] = values[rows]
    return made


class Case(NamedTuple):
    """A file, what the starting commit made of it, and what is right.

    ``before`` is how its line ended, or its error; ``now`` is a part of the line of what is understood, of a
    note, or of the refusal. ``width`` is the number of features that there are.
    """

    id: str
    write: Callable[[Path], Path]
    before: str
    now: str
    options: Mapping[str, Any] = MappingProxyType({})
    refused: bool = False
    width: int | None = 4


SEARCH = "12 queries search a gallery of 48"
HALF = [
    f"{part}/{who:04d}/{shot}.png"
    for part in ("query", "gallery")
    for who in range(10, 20)
    for shot in range(4)
]
SHOP = [f"train/{who:04d}/{shot}.png" for who in range(10) for shot in range(4)] + HALF
TOP = ("train/cats", "train/dogs", "gallery/cats", "gallery/dogs")

CASES = (
    Case(
        "maker: a shop's train, query and gallery folders",
        pictures(*SHOP),
        "read as 20 classes, 3x32x32, 32 train, 40 test",
        "40 queries search a gallery of 40",
        width=None,
    ),
    Case(
        "maker: Market-1501's folders, short names",
        pictures(*(name.replace("s1_00", "_") for name in flat())),
        "read as 3 classes, 3x32x32, 49 train, 27 test",
        "10 queries search a gallery of 40, without items of the query's class and camera",
        width=None,
    ),
    Case(
        "maker: a gallery folder without queries",
        pictures(*(f"{home}/{shot}.png" for home in TOP for shot in range(8))),
        "read as 2 classes, 3x32x32, 18 train, 10 test",
        "16 rows named as gallery and no queries",
        refused=True,
    ),
    Case(
        "maker: split words train, query, gallery",
        csv(split=PART),
        "refused: table.csv: unknown split 'gallery'",
        SEARCH,
    ),
    Case(
        "maker: is_query and is_gallery of test rows",
        csv(split=SPLIT, is_query=QUERY, is_gallery=GALLERY),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "maker: is_query and is_gallery empty where trained",
        csv(
            split=SPLIT,
            is_query=np.where(TEST, QUERY.astype(str), ""),
            is_gallery=np.where(TEST, GALLERY.astype(str), ""),
        ),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "maker: OML's form, marks on validation rows and no test rows",
        csv(split=np.where(TEST, "validation", "train"), is_query=QUERY, is_gallery=GALLERY),
        "refused: table.csv has no test rows",
        SEARCH,
    ),
    Case(
        "marks as 0 and 1",
        csv(split=SPLIT, is_query=QUERY * 1, is_gallery=GALLERY * 1),
        "read as 12 classes, 6, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "marks without a split column",
        csv(is_query=QUERY, is_gallery=GALLERY),
        "read as 12 classes, 4, 60 train, 36 test",
        SEARCH,
    ),
    Case(
        "nullable booleans of parquet",
        parquet(
            split=SPLIT,
            is_query=pd.array(np.where(TEST, QUERY, None), "boolean"),
            is_gallery=pd.array(np.where(TEST, GALLERY, None), "boolean"),
        ),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "a role column instead of a split", csv(role=PART), "read as 12 classes, 4, 60 train, 36 test", SEARCH
    ),
    Case(
        "a role column beside a split",
        csv(split=SPLIT, role=np.where(TEST, PART, "")),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "words Probe and Gallery with blanks",
        csv(role=np.select([QUERY, GALLERY], [" Probe", "Gallery "], "train")),
        "read as 12 classes, 4, 60 train, 36 test",
        SEARCH,
    ),
    Case(
        "distractors and junk by word",
        csv(
            role=np.where(
                GALLERY & (ROW % 10 == 1), "distractor", np.where(GALLERY & (ROW % 10 == 2), "junk", PART)
            )
        ),
        "read as 12 classes, 4, 60 train, 36 test",
        "12 queries search a gallery of 42 (6 distractors)",
    ),
    Case(
        "queries only: the other test rows are the gallery",
        csv(split=SPLIT, is_query=QUERY),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "gallery only: the other test rows ask",
        csv(split=SPLIT, is_gallery=GALLERY),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "each test row both asks and is searched",
        csv(split=SPLIT, is_query=TEST, is_gallery=TEST),
        "read as 12 classes, 4, 50 train, 60 test",
        "60 queries search a gallery of 60",
    ),
    Case(
        "test rows that are neither",
        csv(split=SPLIT, is_query=QUERY, is_gallery=GALLERY & (ROW % 5 > 1)),
        "read as 12 classes, 4, 50 train, 60 test",
        "12 test rows are neither query nor gallery",
    ),
    Case(
        "marks of training rows",
        csv(split=SPLIT, is_query=ROW % 5 == 0, is_gallery=ROW % 5 > 0),
        "read as 12 classes, 4, 50 train, 60 test",
        "60 training rows are marked",
    ),
    Case(
        "a camera column without a rule",
        csv(role=PART, camera=CAMERA),
        "read as 12 classes, 5, 60 train, 36 test",
        "option same_camera=junk",
    ),
    Case(
        "junk of the query's class and camera",
        csv(role=PART, camera=CAMERA),
        "refused: unknown option of table.csv 'same_camera'",
        f"{SEARCH}, without items of the query's class and camera",
        {"same_camera": "junk"},
    ),
    Case(
        "nothing of the query's camera, which is text",
        csv(role=PART, cam_id=np.array(["north", "south", "yard"])[CAMERA]),
        "refused: unknown option of table.csv 'same_camera'",
        f"{SEARCH}, without items of the query's camera",
        {"same_camera": "skip"},
    ),
    Case(
        "sequences named as the camera",
        csv(role=PART, sequence=ROW // 2),
        "refused: unknown option of table.csv 'same_camera'",
        f"{SEARCH}, without items of the query's class and camera",
        {"same_camera": "junk", "camera": "sequence"},
    ),
    Case(
        "a same-camera rule with each test row searching all others",
        csv(split=SPLIT, camera=CAMERA),
        "refused: unknown option of table.csv 'same_camera'",
        "60 queries search a gallery of 60, without items of the query's class and camera",
        {"same_camera": "junk"},
    ),
    Case(
        "marks of other names",
        csv(split=SPLIT, asks=QUERY, pool=GALLERY),
        "refused: unknown option of table.csv 'query'",
        SEARCH,
        {"query": "asks", "gallery": "pool"},
    ),
    Case(
        "the only right answers are of the query's camera",
        csv(role=PART, camera=CLASS),
        "refused: unknown option of table.csv 'same_camera'",
        "none of 12 test queries has a right answer in the gallery of 48 (items of the query's class",
        {"same_camera": "junk"},
        refused=True,
    ),
    Case(
        "no query's class is in the gallery",
        csv(role=np.where(CLASS >= 9, "query", np.where(TEST, "gallery", "train"))),
        "read as 12 classes, 4, 60 train, 36 test",
        "none of 30 test queries has a right answer in the gallery of 30",
        refused=True,
    ),
    Case(
        "some queries without a right answer",
        csv(role=np.where(GALLERY & (CLASS == 6), "query", PART)),
        "read as 12 classes, 4, 60 train, 36 test",
        "10 of 20 test queries have no right answer in the gallery: left out of every mean",
    ),
    Case(
        "a mark that is no mark",
        csv(split=SPLIT, is_query=np.where(QUERY, "maybe", "no"), is_gallery=GALLERY),
        "read as 12 classes, 4, 50 train, 60 test",
        "is_query holds 'maybe'",
        refused=True,
    ),
    Case(
        "a rule that is none",
        csv(role=PART, camera=CAMERA),
        "refused: unknown option of table.csv 'same_camera'",
        "unknown same_camera 'drop'",
        {"same_camera": "drop"},
        refused=True,
    ),
    Case(
        "a rule without cameras",
        csv(role=PART),
        "refused: unknown option of table.csv 'same_camera'",
        "no row says its camera",
        {"same_camera": "junk"},
        refused=True,
    ),
    Case(
        "cameras missing",
        csv(role=PART, camera=np.where(ROW == 65, "", CAMERA.astype(str))),
        "refused: unknown option of table.csv 'same_camera'",
        "empty in 1 of 60 query and gallery rows",
        {"same_camera": "junk"},
        refused=True,
    ),
    Case(
        "a role that is none",
        csv(role=np.where(ROW == 3, "spare", PART)),
        "read as 12 classes, 4, 60 train, 36 test",
        "'spare'",
        refused=True,
    ),
    Case(
        "is_query and is_gallery in an npz",
        npz(**BASE, split=SPLIT, is_query=QUERY, is_gallery=GALLERY),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "row numbers in an npz",
        npz(**BASE, query_index=np.flatnonzero(QUERY), gallery_index=np.flatnonzero(GALLERY)),
        "read as 12 classes, 4, 60 train, 36 test",
        SEARCH,
    ),
    Case(
        "row numbers outside of the rows",
        npz(**BASE, query_index=np.array([3, 400]), gallery_index=np.flatnonzero(GALLERY)),
        "refused: unknown option of arrays.npz 'query'",
        "names 1 rows outside of 0…119",
        {"query": "query_index"},
        refused=True,
    ),
    Case(
        "the rule stands in the file",
        npz(**BASE, role=PART, camera=CAMERA, same_camera="skip"),
        "read as 12 classes, 4, 60 train, 36 test",
        f"{SEARCH}, without items of the query's camera",
    ),
    Case(
        "one array for each part",
        npz(
            **parts(
                {"train": "train{}", "query": "query{}", "gallery": "gallery{}"}, "train", "query", "gallery"
            )
        ),
        "refused: 'arrays.npz' has no array of a known name",
        SEARCH,
    ),
    Case(
        "qf, gf, q_pids, g_pids, q_camids, g_camids",
        npz(
            **parts({"query": "q{}", "gallery": "g{}"}, "query", "gallery"),
            train_x=X[~TEST],
            train_labels=CLASS[~TEST],
        ),
        "refused: 'arrays.npz' has no array of a known name",
        SEARCH,
    ),
    Case(
        "one array for each part, labels of the gallery missing",
        npz(query_features=X[QUERY], query_labels=CLASS[QUERY], gallery_features=X[GALLERY]),
        "refused: 'arrays.npz' has no array of a known name",
        "has no labels of gallery",
        refused=True,
    ),
    Case(
        "roles as bytes in HDF5", hdf5(**BASE, role=PART), "read as 12 classes, 4, 60 train, 36 test", SEARCH
    ),
    Case(
        "marks as a column of an (N, 1) array in HDF5",
        hdf5(**BASE, split=SPLIT, is_query=QUERY[:, None], is_gallery=GALLERY[:, None]),
        "read as 12 classes, 4, 50 train, 60 test",
        SEARCH,
    ),
    Case(
        "two modalities and a gallery",
        npz(audio=X, visual=X[:, ::-1], labels=CLASS, role=PART),
        "read as 12 classes, 4, 60 train, 36 test",
        "two modalities",
        refused=True,
    ),
    Case(
        "Market-1501 with junk, distractors and other folders",
        pictures(
            *flat(),
            *(f"bounding_box_test/-1_c{camera}s1_000401_0{camera}.jpg" for camera in range(1, 4)),
            *(f"bounding_box_test/0000_c{camera}s1_000501_0{camera}.jpg" for camera in range(1, 3)),
            *(f"gt_bbox/{who:04d}_c1s1_000001_00.jpg" for who in range(5)),
        ),
        "read as 4 classes, 3x32x32, 55 train, 31 test",
        "10 queries search a gallery of 42 (2 distractors), without items of the query's class and camera; "
        "left out: 3 files of identity -1 (junk), 5 files in gt_bbox",
        width=None,
    ),
    Case(
        "DukeMTMC's names",
        pictures(*flat(form="{who:04d}_c{camera}_f00{shot:05d}.jpg")),
        "read as 3 classes, 3x32x32, 49 train, 27 test",
        "10 queries search a gallery of 40, without items of the query's class and camera",
        width=None,
    ),
    Case(
        "VeRi's folders, every camera allowed",
        pictures(
            *flat("image_train", "image_test", "image_query", "{who:04d}_c{camera:03d}_0001{shot:04d}_0.jpg")
        ),
        "refused: unknown option of people 'same_camera'",
        "10 queries search a gallery of 40;",
        {"same_camera": "keep"},
        width=None,
    ),
    Case(
        "flat folders with a name that says no camera",
        pictures(*flat(), "query/portrait.jpg"),
        "read as 3 classes, 3x32x32, 50 train, 27 test",
        "give no identity and camera (query/portrait.jpg)",
        refused=True,
    ),
    Case(
        "a rule for folders that know no camera",
        pictures(*SHOP),
        "refused: unknown option of people 'same_camera'",
        "does not say which camera",
        {"same_camera": "junk"},
        refused=True,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_read_to_roles_or_refused(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    if case.refused:
        with pytest.raises(LosscopeError) as caught:
            losscope.read(path, **case.options)
        assert case.now in str(caught.value)
        return
    source = losscope.read(path, **case.options)
    assert case.now in "\n".join([f"{source.describe()};", *source.facts.notes])
    splits = source.splits(0)
    assert splits.test.retrieval is not None
    if case.width is not None:
        assert splits.test.inputs.shape[1:] == (case.width,)


def test_market_names_say_identity_and_camera(tmp_path: Path) -> None:
    path = pictures(*flat(), "bounding_box_test/0000_c2s1_000501_01.jpg")(tmp_path)
    source = losscope.read(path)
    part = source.splits(0).test
    roles = part.retrieval
    assert roles is not None and part.names is not None and roles.camera is not None
    told = [name.split("/")[1].split("_") for name in part.names.astype(str)]
    names = source.facts.class_names
    classes = ["0000" if label < 0 else names[label].zfill(4) for label in part.labels]
    assert classes == [who for who, *_ in told]
    cameras = np.array([int(camera[1]) for _, camera, *_ in told])
    assert np.array_equal(roles.camera[:, None] == roles.camera, cameras[:, None] == cameras)
    assert roles.gallery.sum() == 41 and roles.query.sum() == 10 and not (roles.query & roles.gallery).any()
    assert roles.relevant(part.labels)[roles.query].tolist() == [3] * 10


def test_a_file_without_roles_has_the_id_that_it_had(tmp_path: Path) -> None:
    """Worked out on the commit before there were roles."""
    assert (
        losscope.read(csv()(tmp_path)).digest
        == "7ad61e83b3b26df47b14f2a3a405ad59143a9e8f8ad83f1ab15c1a88098f6d6f"
    )
    assert (
        losscope.read(csv(split=SPLIT)(tmp_path)).digest
        == "e4be1e6784db34e51751ef25310b562328c3986780f11d95716985e9b4263fd8"
    )


def test_roles_are_part_of_the_content(tmp_path: Path) -> None:
    marks = {"split": SPLIT, "is_query": QUERY, "is_gallery": GALLERY, "camera": CAMERA}
    path = csv(**marks)(tmp_path)
    found = {losscope.read(path, same_camera=rule).digest for rule in ("keep", "junk", "skip")}
    found.add(losscope.read(csv(**marks | {"is_query": QUERY & (ROW != 60)})(tmp_path)).digest)
    found.add(losscope.read(csv(split=SPLIT)(tmp_path)).digest)
    assert len(found) == 5


def test_validation_rows_may_have_roles(tmp_path: Path) -> None:
    split = np.where(TEST, "test", np.where(CLASS >= 4, "validation", "train"))
    path = csv(split=split, is_query=ROW % 5 == 0, is_gallery=ROW % 5 > 0)(tmp_path)
    splits = losscope.read(path).splits(0)
    roles = splits.validation.retrieval
    assert roles is not None and roles.query.sum() == 4 and roles.gallery.sum() == 16
    assert splits.train.retrieval is None


def test_feature_files_keep_the_roles(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from losscope.features.embedding import arrays_of

    table = losscope.read(csv(role=PART, camera=CAMERA)(tmp_path), same_camera="junk")
    backbone = SimpleNamespace(name="none", preprocessing="none")
    made: Any = SimpleNamespace(table=table, backbone=backbone, key="")
    again = losscope.read(npz(**arrays_of(made))(tmp_path))
    assert again.describe().split("; ")[1] == table.describe().split("; ")[1]
    first, second = table.splits(0).test.retrieval, again.splits(0).test.retrieval
    assert first is not None and second is not None
    assert np.array_equal(first.query, second.query) and np.array_equal(first.camera, second.camera)


def tied(folder: Path, roles: bool) -> Path:
    """Rows of which many are equal, with background among them."""
    values = np.round(X)
    values[ROW % 7 == 0] = values[3]
    labels = np.where(ROW % 11 == 0, -1, CLASS)
    more = (
        {"role": PART, "camera": CAMERA, "same_camera": "junk"}
        if roles
        else {"split": np.where(ROW % 2, "train", "test")}
    )
    return npz(features=values, labels=labels, **more)(folder)


@pytest.mark.parametrize("roles", [True, False], ids=["queries in a gallery", "each row searches all others"])
def test_compare_and_judge_agree_to_the_last_bit(roles: bool, tmp_path: Path) -> None:
    """On the kept embeddings: ties, background, roles and all."""
    path = tied(tmp_path, roles)
    names = ("contrastive", "triplet")
    study = losscope.compare(
        str(path), losses=names, seeds=2, epochs=1, batch_size=24, tune=False, out=tmp_path / "store"
    )
    kept: dict[tuple[str, int], Any] = {}
    for file in (tmp_path / "store").rglob("test.npz"):
        record = pd.read_json(file.parent / "run.json", typ="series")
        if record["spec"]["loss"]["name"] in names:
            arrays = dict(np.load(file))
            kept[record["spec"]["loss"]["name"], record["spec"]["seed"]] = arrays
            home = tmp_path / "runs" / record["spec"]["loss"]["name"]
            home.mkdir(parents=True, exist_ok=True)
            np.savez(home / f"{record['spec']['seed']}.npz", **arrays)
    assert len(kept) == 4
    assert any((arrays["labels"] == -1).any() for arrays in kept.values())
    judged = losscope.judge(str(tmp_path / "runs" / "{loss}" / "{seed}.npz"))
    measures = ["recall_at_1", "recall_at_10", "map_at_r", "r_precision"]
    measures += ["mean_average_precision", "mean_reciprocal_rank"] if roles else []
    for loss in names:
        ours = next(side for side in study.losses if side.name == loss)
        theirs = next(side for side in judged.losses if side.name == loss)
        for measure in measures:
            assert ours.measures[measure].values == theirs.measures[measure].values


def test_judge_ranks_the_gallery_for_the_queries(tmp_path: Path) -> None:
    camera = {"camera": CAMERA}
    forms: dict[str, dict[str, Any]] = {
        "roles": {"embeddings": X[TEST], "labels": CLASS[TEST], "role": PART[TEST], "camera": CAMERA[TEST]},
        "marks": {
            "embeddings": X,
            "labels": CLASS,
            "is_query": QUERY,
            "is_gallery": GALLERY,
            **camera,
        },
        "parts": parts({"query": "query{}", "gallery": "gallery{}"}, "query", "gallery"),
    }
    for name, arrays in forms.items():
        for seed in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            np.savez(tmp_path / name / f"{seed}.npz", **arrays)
    for rule in ("keep", "junk", "skip"):
        found = losscope.judge(str(tmp_path / "{loss}" / "{seed}.npz"), same_camera=rule)
        expected = losscope.retrieval(X, CLASS, query=QUERY, gallery=GALLERY, camera=CAMERA, same_camera=rule)
        for side in found.losses:
            for measure in ("recall_at_1", "map_at_r", "mean_average_precision"):
                assert set(side.measures[measure].values) == {expected[measure]}


def test_judge_refuses_a_gallery_without_answers(tmp_path: Path) -> None:
    for loss in ("ours", "theirs"):
        (tmp_path / loss).mkdir()
        np.savez(
            tmp_path / loss / "0.npz",
            embeddings=X,
            labels=CLASS,
            role=np.where(CLASS < 6, "query", "gallery"),
        )
    with pytest.raises(
        LosscopeError, match="none of 60 test queries has a right answer in the gallery of 60"
    ):
        losscope.judge(str(tmp_path / "{loss}" / "{seed}.npz"))
