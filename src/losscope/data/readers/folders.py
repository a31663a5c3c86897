"""The user's own files: folders of class folders, manifests, and tables of features, by path."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.core.errors import require
from losscope.data.base import Draft, Kind
from losscope.data.readers.gallery import flat
from losscope.data.readers.pictures import SUFFIXES, UNREAD, opened_picture, read_images, unread
from losscope.data.readers.sounds import SOUNDS, read_log_mel
from losscope.data.roles import ROLES, set_role


def folder(
    path: Path,
    *,
    size: int | None = None,
    skip_bad: bool = False,
    rate: int = 16000,
    same_camera: str | None = None,
) -> Draft:
    """A folder of class folders of images or sounds; or of train, validation and test folders of those.

    Images become (3, size, size) uint8, ``size`` 64 unless given or all have one size up to 96. Sounds
    become log-mel spectrograms (1, 40, frames) of their first second at ``rate`` samples per second.
    Market-1501's layout (query, bounding_box_test, bounding_box_train without class folders) is read by the
    file names, and its rule ``same_camera`` is junk; others are keep and skip.
    """
    if (named := flat(path, (*SUFFIXES, *SOUNDS))) is not None:
        names = np.array([str(file.relative_to(path)) for file in named.files])
        draft = from_files(path, named.files, size, skip_bad, rate, names, {"labels": named.labels})
        named.describe(draft, positions(names, draft.names), same_camera)
        return draft
    require(
        same_camera is None,
        f"{str(path)!r} does not say which camera an image is of; same_camera is for folders as Market-1501 "
        "has them, and for tables and arrays with a camera column",
    )
    inside = sorted(
        folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")
    )
    roles = {folder.name: ROLES[folder.name.lower()] for folder in inside if folder.name.lower() in ROLES}
    tops = [path / name for name in roles] if len(set(roles.values())) > 1 else [path]
    files, classes, splits = [], [], []
    for top in tops:
        for home in sorted(folder for folder in top.iterdir() if folder.is_dir()):
            _refuse_loop(home, path)
            found = sorted(file for file in home.rglob("*") if file.suffix.lower() in (*SUFFIXES, *SOUNDS))
            files += found
            classes += [home.name] * len(found)
            splits += [top.name] * len(found)
    require(
        bool(files),
        f"{str(path)!r} holds no class folders with images or sounds; wanted: FOLDER/CLASS/FILE, "
        "or FOLDER/train/CLASS/FILE and FOLDER/test/CLASS/FILE",
    )
    names = np.array([str(file.relative_to(path)) for file in files])
    draft = from_files(path, files, size, skip_bad, rate, names, {"labels": np.array(classes)})
    if len(tops) > 1:
        set_role(draft, np.array(splits)[positions(names, draft.names)])
    return draft


def _refuse_loop(home: Path, top: Path) -> None:
    """Raise for a class folder that is a link to a folder that it lies in: its files would be read twice."""
    real, around = home.resolve(), top.resolve()
    require(
        not (home.is_symlink() and (real == around or real in around.parents)),
        f"{str(home)!r} is a link to a folder that it lies in itself; remove the link",
    )


def from_files(
    path: Path,
    files: list[Path],
    size: int | None,
    skip_bad: bool,
    rate: int,
    names: np.ndarray,
    columns: dict[str, np.ndarray | None],
) -> Draft:
    sounds = [file.suffix.lower() in SOUNDS for file in files]
    require(all(sounds) or not any(sounds), f"{str(path)!r} mixes images and sounds; wanted: one kind")
    if sounds[0] and size == UNREAD:
        values, kept, notes = unread(files), np.arange(len(files)), list[str]()
        kind: Kind = "vectors"
    elif sounds[0]:
        values, kept, notes = read_log_mel(files, rate, skip_bad)
        kind = "vectors"
    else:
        values, kept, notes = read_images(files, size if size else _common_size(files), skip_bad)
        kind = "images"
    given = {what: None if column is None else column[kept] for what, column in columns.items()}
    return Draft(
        path.name,
        f"{'sounds' if sounds[0] else 'images'} of {path.name}",
        kind,
        values,
        given["labels"],
        fine_labels=given.get("fine"),
        groups=given.get("group"),
        names=names[kept],
        origin=str(path),
        notes=notes,
    )


def _common_size(files: list[Path]) -> int:
    """The side of the first images if they are square, of one size and small, else 64."""
    try:
        sizes = set()
        for file in files[:16]:
            with opened_picture(file) as picture:
                sizes |= set(picture.size)
    except Exception:  # read_images says which cannot be read, and that Pillow is missing
        return 64
    return sizes.pop() if len(sizes) == 1 and max(sizes) <= 96 else 64


def positions(names: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Where the kept rows stood among all rows; names may repeat, their order is the same."""
    assert kept is not None
    if len(kept) == len(names):
        return np.arange(len(names))
    where, place = [], 0
    for name in kept:
        while names[place] != name:
            place += 1
        where.append(place)
        place += 1
    return np.array(where)
