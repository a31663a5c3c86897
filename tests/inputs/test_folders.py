"""Folders of class folders as people have them: read right, or refused in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from files_fixture import CAT, DOG, Case, Make, classes, each, noise, put, tones, understood
from losscope.data import load
from losscope.data.readers.pictures import FORMATS, SUFFIXES

APPLE = b"\x00\x05\x16\x07" + 28 * b"\0"


def beside(make: Make, *files: str) -> Make:
    """What ``make`` makes, with files in other places of it: pictures, or bytes by their suffix."""

    def both(top: Path) -> Path:
        made = make(top)
        for number, name in enumerate(files):
            picture = Path(name).suffix in (".png", ".jpg") and not Path(name).name.startswith("._")
            put(top / name, 5000 + number if picture else APPLE)
        return made

    return both


def with_folder(name: str) -> Make:
    def make(top: Path) -> Path:
        classes(top)
        (top / name).mkdir()
        return top

    return make


def nothing(top: Path) -> Path:
    return top


def truly_broken(top: Path) -> Path:
    classes(top)
    put(top / CAT / "20.png", b"")
    put(top / DOG / "20.jpg", b"<html>not found</html>")
    return top


def in_splits(*splits: str, flat: tuple[str, ...] = ()) -> Make:
    """Split folders with two classes each, and others that hold pictures themselves."""

    def make(top: Path) -> Path:
        for number, split in enumerate(splits):
            for place, name in enumerate((CAT, DOG)):
                for i in range(6):
                    put(top / split / name / f"{i}.png", 100 * number + 10 * place + i)
        for number, split in enumerate(flat):
            for i in range(6):
                put(top / split / f"{i}.png", 1000 + 100 * number + i)
        return top

    return make


def linked_pictures(top: Path) -> Path:
    classes(top / "photos", 4)
    for i in range(6):
        put(top / "elsewhere" / f"{i}.png", 50 + i)
    os.symlink(top / "elsewhere", top / "photos" / CAT / "more", target_is_directory=True)
    return top / "photos"


def renamed(suffix: str, kind: str) -> Make:
    return each(lambda down, seed: noise(seed), suffix, count=6, format=kind)


def third_class(suffix: str, kind: str | None) -> Make:
    """Class folders of PNG, and one of files of another suffix."""

    def make(top: Path) -> Path:
        classes(top)
        for i in range(6):
            options = {"format": kind} if kind else {}
            put(top / "foxes" / f"{i}{suffix}", 300 + i if kind else b"ftypheic", **options)
        return top

    return make


TOOLS = (".git", "@eaDir", ".Trash-1000", "__pycache__", "lost+found", "__MACOSX")
CHECKPOINTS = (".ipynb_checkpoints/0.png", ".ipynb_checkpoints/1.png", "cats/.ipynb_checkpoints/0.png")
SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")
NO_FOLDERS = "refused: no class folders with images or sounds"
MAKERS = (
    Case(
        "hidden folders",
        "23 images of 3×16×16, 3 classes, Recall@1 0.48",
        "20 images of 3×16×16 in 2 classes (10 each)",
        beside(classes, *CHECKPOINTS),
    ),
    Case(
        "folders of tools",
        "32 images of 3×16×16, 8 classes, Recall@1 0.28",
        "left out: 6 folders hidden or made by tools (.Trash-1000, .git,",
        beside(classes, *(f"{name}/{i}.png" for name in TOOLS for i in range(2))),
    ),
    Case(
        "thumbnails",
        "refused: 1 of 23 images cannot be read: 0.png …",
        "left out: 1 folder hidden or made by tools (@eaDir), 1 file hidden",
        beside(classes, "cats/.0.png", "dogs/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg"),
    ),
    Case(
        "an empty folder",
        "20 images of 3×16×16, 2 classes, Recall@1 0.65",
        "1 class folder without images or sounds (birds)",
        with_folder("birds"),
    ),
    Case(
        "AppleDouble",
        "refused: 2 of 22 images cannot be read: ._1.png …",
        "20 images",
        beside(classes, "cats/._0.png", "__MACOSX/cats/._1.png"),
    ),
    Case(
        "AppleDouble among sounds",
        "refused: 1 of 17 recordings cannot be read: ._0.wav (ValueError)",
        "made by the system (._0.wav)",
        beside(tones(), "c0/._0.wav"),
    ),
    Case(
        "files of the system",
        "20 images of 3×16×16, 2 classes, Recall@1 0.65",
        "6 files hidden or made by the system (.DS_Store, Thumbs.db, desktop.ini)",
        beside(classes, *SYSTEM, *(f"cats/{name}" for name in SYSTEM)),
    ),
    Case(
        "a folder called 20.png",
        "refused: 1 of 21 images cannot be read: 20.png ('/data/cats/20.png' is …",
        "20 images of 3×16×16",
        with_folder("cats/20.png"),
    ),
    Case(
        "broken pictures",
        "refused: 2 of 22 images cannot be read: 20.png …",
        "2 of 22 images cannot be read: 20.png (UnidentifiedImageError)",
        truly_broken,
    ),
    Case(
        "train and val folders",
        "refused: data has no test rows",
        "its 12 validation rows are the test part",
        in_splits("train", "val"),
    ),
    Case(
        "TRAIN and Validation folders",
        "refused: data has no test rows",
        "its 12 validation rows are the test",
        in_splits("TRAIN", "Validation"),
    ),
)
"""The reported inputs."""

MORE = (
    Case(
        "train2017 and val2017",
        "24 images of 3×16×16, 2 classes, Recall@1 0.46",
        "its 12 validation rows are the test part",
        in_splits("train2017", "val2017"),
    ),
    Case(
        "train and holdout",
        "24 images of 3×16×16, 2 classes, Recall@1 0.46",
        "12 test: split as given",
        in_splits("train", "holdout"),
    ),
    Case(
        "test_set and training_set",
        "24 images of 3×16×16, 2 classes, Recall@1 0.46",
        "12 test: split",
        in_splits("test_set", "training_set"),
    ),
    Case(
        "query and gallery",
        "24 images of 3×16×16, 2 classes, Recall@1 0.42",
        "24 test: split as given",
        in_splits("train", "query", "gallery"),
    ),
    Case(
        "a lone train folder",
        "refused: data has one class only ('train') in training",
        "in 2 classes (6 each)",
        in_splits("train"),
    ),
    Case(
        "unlabelled beside classes",
        "18 images of 3×16×16, 3 classes, Recall@1 0.22",
        "6 files unlabelled",
        in_splits(".", flat=("unlabeled",)),
    ),
    Case(
        "unlabeled beside splits",
        "24 images of 3×16×16, 2 classes, Recall@1 0.42",
        "12 files unlab",
        in_splits("train", "test", "unlabeled"),
    ),
    Case(
        "a flat test folder beside classes",
        "18 images of 3×16×16, 3 classes, Recall@1 0.22",
        "refused: ",
        in_splits(".", flat=("test",)),
    ),
    Case(
        "a flat test folder beside train",
        "refused: data has no test rows",
        "6 files in no class",
        in_splits("train", flat=("test",)),
    ),
    Case(
        "splits one folder down",
        "refused: data has one class only ('photos') in training",
        "12 test: split as given",
        in_splits("photos/train", "photos/test"),
    ),
    Case(
        "files beside class folders",
        "20 images of 3×16×16, 2 classes, Recall@1 0.65",
        "2 files beside the class",
        beside(classes, "a.png", "b.png"),
    ),
    Case(
        "a file beside splits",
        "24 images of 3×16×16, 2 classes, Recall@1 0.42",
        "1 file beside",
        beside(in_splits("train", "test"), "a.png"),
    ),
    Case(
        "a file in a split itself",
        "24 images of 3×16×16, 2 classes, Recall@1 0.42",
        "1 file in no",
        beside(in_splits("train", "test"), "train/a.png"),
    ),
    Case(
        "a folder beside splits",
        "24 images of 3×16×16, 2 classes, Recall@1 0.42",
        "(masks)",
        beside(in_splits("train", "test"), "masks/cats/1.png"),
    ),
    Case(
        "other files",
        "20 images of 3×16×16, 2 classes, Recall@1 0.65",
        "2 files neither images nor sounds",
        beside(classes, "r.txt", "cats/1.heic"),
    ),
    Case(
        "one class of .jfif",
        "20 images of 3×16×16, 2 classes, Recall@1 0.65",
        "26 images of 3×16×16 in 3 classes",
        third_class(".jfif", "JPEG"),
    ),
    Case(
        "one class of .heic",
        "20 images of 3×16×16, 2 classes, Recall@1 0.65",
        "6 files neither images nor sounds (6 .heic)",
        third_class(".heic", None),
    ),
    Case(
        "a link to pictures in a class",
        "refused: photos has 4 training rows in 2 classes, too few to hold out …",
        "in 2 classes (4–10 each)",
        linked_pictures,
    ),
    Case(
        "pictures without class folders",
        "refused: no class folders with images or sounds",
        "it holds 2 files beside",
        beside(nothing, "a.png", "b.png"),
    ),
    Case("pictures called .jpe", NO_FOLDERS, "12 images of 3×16×16", renamed(".jpe", "JPEG")),
    Case("pictures called .jp2", NO_FOLDERS, "12 images of 3×16×16", renamed(".jp2", "JPEG2000")),
    Case("pictures called .tga", NO_FOLDERS, "12 images of 3×16×16", renamed(".tga", "TGA")),
    Case("pictures called .pcx", NO_FOLDERS, "12 images of 3×16×16", renamed(".pcx", "PCX")),
    Case("pictures called .sgi", NO_FOLDERS, "12 images of 3×16×16", renamed(".sgi", "SGI")),
)
"""Further members of the kind."""


@pytest.mark.parametrize("case", [*MAKERS, *MORE], ids=lambda case: case.id)
def test_folders_are_read_right_or_refused_in_a_sentence(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


def circle(top: Path, place: str) -> Path:
    """Class folders, and a link to the whole of them."""
    classes(top)
    (top / place).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(top, top / place, target_is_directory=True)
    return top


def test_links_in_a_circle(tmp_path):
    deep_down = understood(circle(tmp_path / "a", f"{CAT}/more/back"))[0]
    assert "20 images" in deep_down and "left out: 1 link to folders that are read already" in deep_down
    assert "is a link to a folder that it lies in itself" in understood(circle(tmp_path / "b", "foxes"))[0]


def test_two_folders_that_link_to_each_other_are_read_once(tmp_path):
    classes(tmp_path)
    for here, there in ((CAT, DOG), (DOG, CAT)):
        (tmp_path / here / "inner").mkdir()
        os.symlink(tmp_path / there / "inner", tmp_path / here / "inner" / "other", target_is_directory=True)
    assert "20 images" in understood(tmp_path)[0]


def test_splits_inside_class_folders_are_splits(tmp_path):
    for top in (tmp_path / "all", tmp_path / "some"):
        for place, name in enumerate((CAT, DOG)):
            for number, split in enumerate(("train", "test")):
                for i in range(6):
                    put(top / name / split / f"{i}.png", 100 * number + 10 * place + i)
    source = load(tmp_path / "all")
    assert source.facts.class_names == (CAT, DOG)
    assert all("test" in name for name in source.splits(0).test.names)
    put(tmp_path / "some" / CAT / "loose.png", 999)
    assert "and 1 of 25 files lie in none of them (cats)" in understood(tmp_path / "some")[0]


@pytest.mark.parametrize("split", ["train", "TEST", "val2014", "holdout", "unlabeled", "query", "gallery"])
def test_the_name_of_a_split_is_never_that_of_a_class(split, tmp_path):
    classes(tmp_path, names=(CAT, DOG, split))
    heard = understood(tmp_path)[0]
    assert f"a folder {split!r}, the name of a split" in heard or "left out: 10 files unlabelled" in heard


def test_every_suffix_of_pillow_is_read_or_known_not_to_be():
    Image.init()
    neither = {"EPS", "WMF", "PDF", "PALM", "HDF5", "GRIB", "BUFR", "MPEG", "IPTC"}  # programs, or no pixels
    every = {suffix for suffix, kind in Image.registered_extensions().items() if kind not in neither}
    assert every - set(SUFFIXES) == set()
    assert neither & FORMATS.keys() == set()


def test_tools_folders_hide_no_query_and_gallery(tmp_path):
    for number, part in enumerate(("bounding_box_train", "bounding_box_test", "query")):
        for person in range(4):
            for camera in range(1, 6):
                put(tmp_path / part / f"{person + 1:04}_c{camera}s1_000{number}.png", 10 * person + camera)
    put(tmp_path / "query" / "@eaDir" / "0001.png" / "thumb.jpg", 3)
    assert "20 queries" in " | ".join([load(tmp_path).describe(), *load(tmp_path).facts.notes])


def test_query_and_gallery_alone_have_nothing_to_train_on(tmp_path):
    assert "wanted: training and test rows" in understood(in_splits("query", "gallery")(tmp_path))[0]
