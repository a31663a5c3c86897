"""Birds and cars: fine-grained, class-disjoint, with coarse labels read from the class names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.bounds import inside, regular
from losscope.core.errors import LosscopeError, require
from losscope.core.registry import register
from losscope.data import download
from losscope.data.base import TEST, TRAIN, Draft
from losscope.data.readers.files import Arrays, read_npz, said
from losscope.data.readers.pictures import read_images

DISJOINT = "class-disjoint, fixed: the first half of the classes trains, the second half tests"


@register(
    "data",
    "cub200",
    title="Caltech-UCSD Birds 200",
    n=11788,
    classes=200,
    modality="features or images",
    split="class-disjoint: 0–99 train, 100–199 test; validation a fifth of the training classes, by seed",
    licence="non-commercial research",
    origin="data.caltech.edu (2011 edition); the 2010 edition as features",
    files=(
        "cub200*features*.npz",
        "cub200/*features*.npz",
        "CUB_200_2011/images.txt",
        "cub200/CUB_200_2011/images.txt",
    ),
)
def cub200(root: Path | None, *, source: str | None = None, size: int = 64, skip_bad: bool = False) -> Draft:
    """Birds: frozen features from ``cub200*features*.npz``, or images from the CUB_200_2011 folder.

    ``source``: "features" or "images" (default: features if there are any). ``size``: images become
    size × size, the shorter side scaled, the middle cut out. Fine labels are the 200 species, coarse ones
    the bird's group, the last word of the species' name. The edition is told by the number of images:
    6,033 is 2010, 11,788 is 2011.

    Source: Welinder 2010; Wah 2011. Split: Oh Song 2016.
    """
    draft = _features(
        root, "cub200", "Caltech-UCSD Birds 200", source, {6033: "2010 edition", 11788: "2011 edition"}
    )
    if draft is None:
        folders = ("CUB_200_2011", "cub200/CUB_200_2011", "cub200", "CUB_200_2011/CUB_200_2011")
        homes = [home for home in download.places(root, *folders) if (home / "images.txt").is_file()]
        home = homes[0] if homes else _fetch_cub(root)
        draft = _cub_images(home, size, skip_bad)
    groups = [bird_group(species) for species in draft.fine_names]
    return _coarse(draft, groups, 100)


def _fetch_cub(root: Path | None) -> Path:
    import tarfile

    where = f"in {root or 'DATA_ROOT'}{'' if root else ' (--data-root DATA_ROOT)'}, unpacked as CUB_200_2011/"
    archive = download.fetch(
        "cub200",
        ["https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"],
        download.cache_folder() / "cub200" / "CUB_200_2011.tgz",
        "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
        where,
    )
    with tarfile.open(archive) as packed:
        packed.extractall(archive.parent, filter="data")
    return archive.parent / "CUB_200_2011"


def _cub_images(home: Path, size: int, skip_bad: bool) -> Draft:
    wanted = "the CUB_200_2011 folder with images.txt, image_class_labels.txt, classes.txt and images/"
    paths, labels = (
        _numbered_lines(home / name, wanted) for name in ("images.txt", "image_class_labels.txt")
    )
    names = _numbered_lines(home / "classes.txt", wanted)
    order = sorted(paths, key=int)
    require(
        paths.keys() == labels.keys(),
        f"{str(home)!r}: images.txt and image_class_labels.txt number different images; wanted: the same "
        "images in both",
    )
    files = [inside(home / "images", paths[number]) for number in order]
    images, kept, notes = read_images(files, size, skip_bad)
    species = np.array([int(labels[number]) - 1 for number in order])[kept]
    edition = "2011 edition" if len(order) == 11788 else f"edition unknown: {len(order):,} images"
    return Draft(
        "cub200",
        "Caltech-UCSD Birds 200",
        "images",
        images,
        species,
        fine_labels=species,
        names=np.array([paths[number] for number in order])[kept],
        edition=edition,
        origin=str(home),
        licence="non-commercial research",
        fine_names=tuple(names[number] for number in sorted(names, key=int)),
        notes=notes,
    )


def _numbered_lines(path: Path, wanted: str) -> dict[str, str]:
    with said(path, wanted):
        return dict(line.split(maxsplit=1) for line in regular(path).read_text().splitlines() if line.strip())


@register(
    "data",
    "cars196",
    title="Stanford Cars (CARS196)",
    n=16185,
    classes=196,
    modality="features or images",
    split="class-disjoint: 0–97 train, 98–195 test; validation a fifth of the training classes, by seed",
    licence="non-commercial research",
    origin="Stanford (no longer served); copies with the devkit",
    files=(
        "cars196*features*.npz",
        "cars196/*features*.npz",
        "cars196/devkit*",
        "stanford_cars/devkit*",
        "cars196/cars_annos.mat",
    ),
)
def cars196(
    root: Path | None,
    *,
    source: str | None = None,
    size: int = 64,
    crop: bool = False,
    skip_bad: bool = False,
) -> Draft:
    """Cars: frozen features from ``cars196*features*.npz``, or images with the devkit's ``.mat`` files.

    Layouts: ``devkit/`` beside ``cars_train/`` and ``cars_test/`` (test labels in
    ``cars_test_annos_withlabels.mat``), or ``cars_annos.mat`` beside ``car_ims/``. ``crop`` cuts the images
    to their bounding box. Fine labels are the 196 models, coarse ones the body (sedan, SUV, …) named in
    the model's name. 8,144 images are called the training half, 16,185 the full set.

    Source: Krause 2013. Split: Oh Song 2016.
    """
    editions = {8144: "training half: 8,144 of 16,185 images", 16185: "full set"}
    draft = _features(root, "cars196", "Stanford Cars (CARS196)", source, editions)
    if draft is None:
        folders = ("cars196", "stanford_cars", "StanfordCars", ".")
        homes = [home for home in download.places(root, *folders) if _devkit(home) is not None]
        if not homes:
            raise LosscopeError(
                "cars196 is not on this machine and its first server is gone: get cars_train, cars_test "
                "and the devkit (with cars_test_annos_withlabels.mat) from a copy, such as "
                "kaggle.com/datasets/eduardo4jesus/stanford-cars-dataset, and put them in "
                f"{(root or Path('DATA_ROOT')) / 'cars196'}"
            )
        draft = _car_images(homes[0], size, crop, skip_bad, editions)
    bodies = [car_body(model) for model in draft.fine_names]
    return _coarse(draft, bodies, 98)


def _devkit(home: Path) -> Path | None:
    for folder in (home / "devkit", home / "car_devkit" / "devkit", home):
        if (folder / "cars_train_annos.mat").is_file() or (folder / "cars_annos.mat").is_file():
            return folder
    return None


def _car_images(home: Path, size: int, crop: bool, skip_bad: bool, editions: dict[int, str]) -> Draft:
    kit = _devkit(home)
    assert kit is not None
    rows: list[tuple[str, int, tuple[int, int, int, int]]] = []
    if (kit / "cars_annos.mat").is_file():
        mat = _mat(kit / "cars_annos.mat")
        rows = _annotations(
            mat["annotations"], "relative_im_path", "", ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
        )
        names = [str(name) for name in np.ravel(mat["class_names"])]
    else:
        names = [str(name) for name in np.ravel(_mat(kit / "cars_meta.mat")["class_names"])]
        for file, folder in (("cars_train_annos", "cars_train"), ("cars_test_annos_withlabels", "cars_test")):
            places = (kit / f"{file}.mat", home / f"{file}.mat")
            path = next((place for place in places if place.is_file()), None)
            if path is not None:
                where = folder if not (home / folder / folder).is_dir() else f"{folder}/{folder}"
                box = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
                rows += _annotations(_mat(path)["annotations"], "fname", where, box)
    files = [inside(home, name) for name, _, _ in rows]
    boxes = [box for _, _, box in rows] if crop else None
    images, kept, notes = read_images(files, size, skip_bad, boxes)
    models = np.array([label - 1 for _, label, _ in rows])[kept]
    if crop:
        notes.append("images are cropped to their bounding boxes")
    edition = editions.get(len(rows), f"edition unknown: {len(rows):,} images")
    return Draft(
        "cars196",
        "Stanford Cars (CARS196)",
        "images",
        images,
        models,
        fine_labels=models,
        names=np.array([name for name, _, _ in rows])[kept],
        edition=edition,
        origin=str(home),
        licence="non-commercial research",
        fine_names=tuple(names),
        notes=notes,
    )


def _mat(path: Path) -> dict[str, Any]:
    with said(path, "the devkit's MATLAB file"):
        from scipy.io import loadmat

        found: dict[str, Any] = loadmat(path, squeeze_me=True, struct_as_record=True)
    return found


def _annotations(
    table: np.ndarray, name: str, folder: str, box: tuple[str, str, str, str]
) -> list[tuple[str, int, tuple[int, int, int, int]]]:
    """Path, class and box (left, top, right, bottom) of every image."""
    lines = []
    for row in np.ravel(table):
        path = str(row[name])
        left, top, right, bottom = (int(row[side]) for side in box)
        corners = (left, top, right, bottom)
        lines.append((f"{folder}/{path}" if folder else path, int(row["class"]), corners))
    return lines


def _features(
    root: Path | None, name: str, title: str, source: str | None, editions: dict[int, str]
) -> Draft | None:
    """The draft of a feature file, or None where images are wanted or no file is there."""
    require(source in (None, "features", "images"), f"source is {source!r}; choices: features, images")
    if source == "images":
        return None
    bases = download.places(root, ".", name)
    found = [path for base in bases for path in sorted(base.glob(f"{name}*features*.npz"))]
    if not found:
        require(
            source is None, f"no {name}*features*.npz in {' or '.join(map(str, bases)) or 'any data root'}"
        )
        return None
    arrays = read_npz(found[0])
    for array in ("features", "labels", "class_names"):
        require(array in arrays, f"{str(found[0])!r} has no array {array!r}; it has {', '.join(arrays)}")
    labels = arrays["labels"].astype(np.int64)
    edition = editions.get(len(labels), f"edition unknown: {len(labels):,} images")
    notes = []
    if edition not in ("2011 edition", "full set"):
        notes.append(f"{name} is the {edition}; not comparable with published numbers")
    return Draft(
        name,
        title,
        "features",
        arrays["features"],
        labels,
        fine_labels=labels,
        names=arrays.get("image_names"),
        edition=edition,
        origin=found[0].name,
        licence="non-commercial research",
        fine_names=_names(arrays),
        notes=notes,
    )


def _names(arrays: Arrays) -> tuple[str, ...]:
    return tuple(str(name) for name in arrays["class_names"])


def _coarse(draft: Draft, coarse: list[str], first_test: int) -> Draft:
    """Adds coarse labels and the class-disjoint split to a draft with fine ones."""
    fine = draft.fine_labels
    assert fine is not None
    draft.class_names = tuple(sorted(set(coarse)))
    place = {name: number for number, name in enumerate(draft.class_names)}
    draft.labels = np.array([place[word] for word in coarse])[fine]
    draft.role = np.where(fine >= first_test, TEST, TRAIN).astype(np.int8)
    draft.level, draft.disjoint, draft.split = "fine", True, DISJOINT
    return draft


def bird_group(name: str) -> str:
    """The group of a species: the last word of its name.

    >>> bird_group("115.Brewer_Sparrow"), bird_group("100.Brown_Pelican"), bird_group("013.Bobolink")
    ('Sparrow', 'Pelican', 'Bobolink')
    """
    return re.split(r"[_ ]", name.split(".", 1)[-1])[-1]


BODIES = {
    "SUV": "SUV",
    "Sedan": "sedan",
    "Hatchback": "hatchback",
    "Convertible": "convertible",
    "Coupe": "coupe",
    "Wagon": "wagon",
    "Minivan": "minivan",
    "Van": "van",
    "Cab": "pickup",
    "SuperCab": "pickup",
}
UNNAMED_BODIES = {
    "Acura TL Type-S 2008": "sedan",
    "Acura Integra Type R 2001": "coupe",
    "Buick Regal GS 2012": "sedan",
    "Chevrolet Corvette ZR1 2012": "coupe",
    "Chevrolet Corvette Ron Fellows Edition Z06 2007": "coupe",
    "Chevrolet HHR SS 2010": "wagon",
    "Chevrolet Cobalt SS 2010": "coupe",
    "Chevrolet TrailBlazer SS 2009": "SUV",
    "Chrysler 300 SRT-8 2010": "sedan",
    "Dodge Challenger SRT8 2011": "coupe",
    "Dodge Charger SRT-8 2009": "sedan",
    "FIAT 500 Abarth 2012": "hatchback",
    "Jaguar XK XKR 2012": "coupe",
    "Lamborghini Gallardo LP 570-4 Superleggera 2012": "coupe",
}
"""The bodies of the models whose names do not say them."""


def car_body(name: str) -> str:
    """The body of a car: the last word of its name that is one, else from the table, else "other".

    >>> car_body("Ram C/V Cargo Van Minivan 2012"), car_body("Dodge Dakota Crew Cab 2010")
    ('minivan', 'pickup')
    """
    words = [BODIES[word] for word in name.split() if word in BODIES]
    return words[-1] if words else UNNAMED_BODIES.get(name, "other")
