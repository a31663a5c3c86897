"""The user's own files: folders of class folders, manifests, and tables of features, by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.bounds import bounded_text, inside
from losscope.core.errors import LosscopeError, require, unknown
from losscope.data.base import Draft, Kind
from losscope.data.readers.arrays import FINE, GROUPS, LABELS, ROLES, SPLITS, set_role
from losscope.data.readers.files import read_table
from losscope.data.readers.pictures import SUFFIXES, UNREAD, opened_picture, read_images, unread
from losscope.data.readers.sounds import SOUNDS, read_log_mel

PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "audio", "audio_path")
NOT_FEATURES = ("id", "index", "unnamed: 0", "name", "row")


def folder(path: Path, *, size: int | None = None, skip_bad: bool = False, rate: int = 16000) -> Draft:
    """A folder of class folders of images or sounds; or of train, validation and test folders of those.

    Images become (3, size, size) uint8, ``size`` 64 unless given or all have one size up to 96. Sounds
    become log-mel spectrograms (1, 40, frames) of their first second at ``rate`` samples per second.
    """
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
    draft = _from_files(path, files, size, skip_bad, rate, names, {"labels": np.array(classes)})
    if len(tops) > 1:
        set_role(draft, np.array(splits)[_positions(names, draft.names)])
    return draft


def _refuse_loop(home: Path, top: Path) -> None:
    """Raise for a class folder that is a link to a folder that it lies in: its files would be read twice."""
    real, around = home.resolve(), top.resolve()
    require(
        not (home.is_symlink() and (real == around or real in around.parents)),
        f"{str(home)!r} is a link to a folder that it lies in itself; remove the link",
    )


def table(
    path: Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    split: str | None = None,
    size: int | None = None,
    skip_bad: bool = False,
    rate: int = 16000,
) -> Draft:
    """A CSV or parquet table: a manifest of files (a path column), or features (numbers, or lists of them).

    Columns are found by usual names, or by the option of that name: ``labels``, ``fine`` (finer labels),
    ``group`` (splits tear none apart), ``split`` (train, validation, test), ``inputs`` (the path column, or
    a column of lists). Paths are relative to the table's folder, and may not lead out of it, or absolute.
    Without ``inputs`` all other columns of numbers are the features.
    """
    frame = read_table(path)
    columns = list(frame.columns)
    chosen: dict[str, str | None] = {
        what: _column(columns, given, usual, path)
        for what, given, usual in (
            ("labels", labels, LABELS),
            ("fine", fine, FINE),
            ("group", group, GROUPS),
            ("split", split, SPLITS),
            ("inputs", inputs, (*PATHS, "embedding", "embeddings", "features", "vector")),
        )
    }
    column = chosen["inputs"]
    used = {what: _values(frame, chosen[what]) for what in ("labels", "fine", "group")}
    if column is not None and isinstance(frame[column].iloc[0], str):
        names = _text(frame[column].to_numpy(), f"the paths of {str(path)!r}")
        files = [inside(path.parent, name) for name in names]
        draft = _from_files(path, files, size, skip_bad, rate, names, used)
    else:
        taken = [column for column in chosen.values() if column is not None]
        values, which = _numbers(frame, column, taken, path)
        draft = Draft(
            path.name,
            f"features of {path.name}",
            "features",
            values,
            used["labels"],
            fine_labels=used["fine"],
            groups=used["group"],
            origin=str(path),
            notes=[which] if which else [],
        )
    draft.by_group = group is not None
    draft.no_labels = (
        f"{str(path)!r} has no label column; wanted: a column named label, or option labels, or --pairs or "
        f"--triplets; it has {', '.join(columns[:8])}{', …' if len(columns) > 8 else ''}"
    )
    if chosen["split"] is not None:
        every = frame[chosen["split"]].to_numpy()
        set_role(draft, every if draft.names is None else every[_positions(names, draft.names)])
    return draft


def _column(columns: list[str], given: str | None, usual: tuple[str, ...], path: Path) -> str | None:
    if given is not None:
        if given not in columns:
            raise unknown(f"column in {str(path)!r}", given, columns)
        return given
    lower = {name.lower(): name for name in columns}
    return next((lower[word] for word in usual if word in lower), None)


def _values(frame: Any, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    series = frame[column]
    empty = int(series.isna().sum())
    require(
        not empty, f"column {column!r} is empty in {empty:,} of {len(series):,} rows; wanted: a value in each"
    )
    values = series.to_numpy()
    return values if values.dtype.kind in "iufb" else _text(values, f"the values of column {column!r}")


def _text(values: np.ndarray, what: str) -> np.ndarray:
    """A column as an array of text, where that takes no more memory than it should."""
    bounded_text(map(str, values.tolist()), what)
    return values.astype(str)


def _numbers(frame: Any, column: str | None, taken: list[str], path: Path) -> tuple[np.ndarray, str]:
    """Features (N, D) from a column of lists, or from all columns of numbers; and which they are."""
    if column is not None:
        try:
            values = np.array([np.asarray(row, np.float32) for row in frame[column]])
        except (ValueError, TypeError):
            values = np.empty(0)
        require(
            values.ndim == 2,
            f"column {column!r} of {str(path)!r} does not hold lists of one length; wanted: as many numbers "
            "in every row",
        )
        return values, ""
    numeric = frame.select_dtypes("number")
    keep = [
        column for column in numeric.columns if column not in taken and column.lower() not in NOT_FEATURES
    ]
    require(
        bool(keep),
        f"{str(path)!r} has neither a path column ({', '.join(PATHS[:4])}) nor columns of numbers; "
        f"it has {', '.join(map(str, frame.columns[:8]))}",
    )
    which = f"the features are {len(keep):,} columns, {keep[0]}" + (f" … {keep[-1]}" if len(keep) > 1 else "")
    return numeric[keep].to_numpy(np.float32), which


def _from_files(
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


def _positions(names: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
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


def by_path(path: Path) -> Any:
    """The function that reads a path: by what it is, and its suffix."""
    from losscope.data.readers.arrays import features

    if path.is_dir():
        return folder
    readers = {
        ".npz": features,
        ".npy": features,
        ".h5": features,
        ".hdf5": features,
        ".csv": table,
        ".tsv": table,
        ".parquet": table,
    }
    if path.suffix.lower() not in readers:
        raise LosscopeError(
            f"cannot read {str(path)!r}; wanted: a folder of class folders, or a file {', '.join(readers)}"
        )
    return readers[path.suffix.lower()]
