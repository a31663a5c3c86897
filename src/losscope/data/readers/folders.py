"""Folders of class folders, and files of images or sounds that a table names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.data.base import Draft, Kind, LeftOut
from losscope.data.readers.gallery import flat
from losscope.data.readers.pictures import SUFFIXES, UNREAD, opened_picture, read_images, unread
from losscope.data.readers.sounds import SOUNDS, read_log_mel
from losscope.data.readers.walking import (
    UNLABELLED,
    Walked,
    split_named,
    walked,
)
from losscope.data.roles import set_role

WANTED = "wanted: FOLDER/CLASS/FILE, or FOLDER/train/CLASS/FILE and FOLDER/test/CLASS/FILE"


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
    Hidden folders and files, and those that tools and systems make, are passed over and counted. Folders
    named like splits are never classes.
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
    files = walked(path)
    layout = _layout(files)
    names = np.array([str(file.relative_to(path)) for file in files.files])
    draft = from_files(path, files.files, size, skip_bad, rate, names, {"labels": np.array(layout.classes)})
    draft.left_out += [*layout.left_out, *files.left_out()]
    draft.notes += layout.notes
    if layout.splits:
        set_role(draft, np.array(layout.splits)[positions(names, draft.names)])
    return draft


@dataclass
class Layout:
    """What the folders mean: each file's class, and its split if the folders give one."""

    classes: list[str]
    splits: list[str]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _layout(found: Walked) -> Layout:
    """The classes and splits of the files; files that lie in no class folder are taken out of ``found``.

    Raises:
        LosscopeError: no class folders, or a folder of which it is unclear whether it is a split or a class.
    """
    holding = {place[:depth] for place in found.places for depth in range(1, len(place) + 1)}
    tops = sorted({place[0] for place in found.places if place})
    given = {top: split for top in tops if (split := split_named(top)) is not None}
    inner = {place[1] for place in found.places if len(place) > 1 and split_named(place[0]) is None}
    if len(tops) == 1 and not given and len({split_named(name) for name in inner} - {None}) > 1:
        # A folder in a folder, as archives unpack: the splits are one level down.
        lead = 1
        given = {name: split for name in sorted(inner) if (split := split_named(name)) is not None}
    else:
        lead = 0
    if given:
        return _split_first(found, given, holding, lead)
    if any(split_named(name) for name in inner):
        return _class_first(found)
    left_out = _leave_out(found, [bool(place) for place in found.places], "beside the class folders")
    _require_files(found, left_out)
    classes = [place[0] for place in found.places]
    return Layout(classes, [], [*left_out, *_empty(found, 1)], _nested(found, 1))


def _split_first(found: Walked, given: dict[str, str], holding: set[tuple[str, ...]], lead: int) -> Layout:
    """FOLDER/SPLIT/CLASS/FILE."""
    places = [place[lead:] for place in found.places]
    holding = {place[lead:] for place in holding if len(place) > lead}
    flat = [top for top in given if not any(len(place) > 1 and place[0] == top for place in holding)]
    others = sorted({place[0] for place in holding if len(place) == 1} - given.keys())
    named = [top for top in given if given[top] != UNLABELLED]
    unclear = [top for top in named if top in flat] if len(flat) == len(given) else []
    unclear = unclear if unclear or len({given[top] for top in named}) > 1 else named
    if others and unclear:
        raise LosscopeError(
            f"{str(found.top)!r} has a folder {unclear[0]!r}, the name of a split, beside the folders "
            f"{', '.join(map(repr, others[:3]))}{', …' if len(others) > 3 else ''}; if it is a class, give "
            f"it another name (such as {unclear[0] + ' (class)'!r}); else move it out; {WANTED}"
        )
    if not named:
        # Class folders beside images without labels.
        left_out = _leave_out(
            found, [bool(place) and place[0] not in given for place in places], "unlabelled"
        )
        _require_files(found, left_out)
        return Layout([place[0] for place in found.places], [], left_out, _nested(found, 1))
    outside = [bool(place) and place[0] in given for place in places]
    left_out = _leave_out(found, outside, "beside the split folders", others)
    places = [place[lead:] for place in found.places]
    left_out += _leave_out(found, [given[place[0]] != UNLABELLED for place in places], "unlabelled")
    places = [place[lead:] for place in found.places]
    bare = sorted({place[0] for place in places if len(place) == 1})
    left_out += _leave_out(found, [len(place) > 1 for place in places], "in no class folder", bare)
    _require_files(found, left_out)
    places = [place[lead:] for place in found.places]
    splits, notes = _roles([place[0] for place in places], given)
    return Layout(
        [place[1] for place in places],
        splits,
        [*left_out, *_empty(found, 2 + lead)],
        [*notes, *_nested(found, 2 + lead)],
    )


def _class_first(found: Walked) -> Layout:
    """FOLDER/CLASS/SPLIT/FILE."""
    left_out = _leave_out(found, [bool(place) for place in found.places], "beside the class folders")
    _require_files(found, left_out)
    given = {
        place[1]: split
        for place in found.places
        if len(place) > 1 and (split := split_named(place[1])) is not None
    }
    outside = [place for place in found.places if len(place) < 2 or place[1] not in given]
    require(
        not outside,
        f"{str(found.top)!r} has split folders ({', '.join(map(repr, sorted(given)[:3]))}) in its class "
        f"folders, and {len(outside):,} of {len(found.places):,} files lie in none of them "
        f"({'/'.join(outside[0]) if outside else ''}); {WANTED}",
    )
    left_out += _leave_out(found, [given[place[1]] != UNLABELLED for place in found.places], "unlabelled")
    _require_files(found, left_out)
    splits, notes = _roles([place[1] for place in found.places], given)
    return Layout([place[0] for place in found.places], splits, [*left_out, *_empty(found, 1)], [*notes])


def _roles(folders: list[str], given: dict[str, str]) -> tuple[list[str], list[str]]:
    """Each file's split, in the words of a split column, and notes; no words where there is one only."""
    splits = [given[name] for name in folders]
    if len(set(splits)) > 1:
        return splits, []
    only = ", ".join(map(repr, sorted(set(folders))))
    return [], [f"of the split folders only {only} has files: it is split anew"]


def _leave_out(found: Walked, kept: list[bool], why: str, where: list[str] | None = None) -> list[LeftOut]:
    """Take out the files that are not kept, counted."""
    lost = len(kept) - sum(kept)
    if not lost:
        return []
    found.keep(kept)
    named = f" ({', '.join(where[:3])}{', …' if len(where) > 3 else ''})" if where else ""
    return [LeftOut(lost, "files", why + named)]


def _empty(found: Walked, depth: int) -> list[LeftOut]:
    """The class folders, ``depth`` below the top, in which nothing was found."""
    full = {place[:depth] for place in found.places}
    splits = {place[: depth - 1] for place in full}
    bare = sorted(
        {place[-1] for place in found.folders if len(place) == depth and place[:-1] in splits}
        - {place[-1] for place in full}
    )
    bare = [name for name in bare if split_named(name) is None]
    if not bare:
        return []
    more = ", …" if len(bare) > 3 else ""
    return [LeftOut(len(bare), "class folders", f"without images or sounds ({', '.join(bare[:3])}{more})")]


def _nested(found: Walked, depth: int) -> list[str]:
    """What is said of folders inside the class folders: their names say nothing of the classes."""
    below = Counter(place[depth] for place in found.places if len(place) > depth)
    if len(below) < 2:
        return []
    shown = ", ".join(list(below)[:3]) + (", …" if len(below) > 3 else "")
    return [f"the names of the folders inside the class folders ({shown}) are not used"]


def _require_files(found: Walked, left_out: list[LeftOut]) -> None:
    """Raise for a folder without a file in a class folder, saying what lies there instead."""
    passed = ", ".join(part.said for part in [*left_out, *found.left_out()])
    require(
        bool(found.files),
        f"{str(found.top)!r} holds no class folders with images or sounds; {WANTED}"
        + (f"; it holds {passed}" if passed else ""),
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
