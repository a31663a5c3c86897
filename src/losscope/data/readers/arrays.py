"""The user's own arrays: npz, npy, HDF5, and tables of numbers, by path."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.data.base import Draft
from losscope.data.folds import NAMED, offered
from losscope.data.plain import column, plain_values
from losscope.data.readers.files import (
    Arrays,
    form,
    found,
    key_of,
    read_hdf5,
    read_npy,
    read_npz,
    read_safetensors,
)
from losscope.data.readers.gallery import Asked, joined, marks_in, set_marks
from losscope.data.readers.modalities import add_second, ids_of, known_modalities
from losscope.data.readers.parted import by_part
from losscope.data.readers.shapes import as_rows
from losscope.data.roles import set_role
from losscope.data.tags import several

INPUTS = ("features", "embeddings", "inputs", "x", "data", "vectors", "images")
LABELS = ("labels", "label", "y", "targets", "target", "classes", "class", "category", "lab", "labs")
CLASS_NAMES = ("class_names", "label_names", "target_names")
FINE = ("fine_labels", "fine_label", "fine")
GROUPS = ("groups", "group")
SPLITS = ("split", "splits", "is_test", "is_test_class")
NAMES = ("names", "image_names", "file_names", "filenames", "paths")


def features(
    path: Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    second: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    split: str | None = None,
    fold: str | None = None,
    ids: str | None = None,
    second_ids: str | None = None,
    role: str | None = None,
    query: str | None = None,
    gallery: str | None = None,
    camera: str | None = None,
    same_camera: str | None = None,
) -> Draft:
    """Features, vectors, images or two modalities from an ``.npz``, ``.npy``, safetensors or HDF5 file.

    Arrays are found by the names above, or by the option of that name: ``inputs`` (N, ...), ``labels``
    (N,) or one-hot (N, C) (for ``.npy`` also a file beside), ``second`` (N, ...) the other modality,
    ``fine``, ``group``, ``split`` (words train, validation, test, or true for test), ``ids`` and
    ``second_ids``: row i of one modality belongs to the row of the other with the same id. Numbers keep
    their values, as float32: no normalisation. uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) are images.
    With ``group`` the splits tear no group apart; ``fold`` names each row's fold. A split in which more than
    half of the test classes are unseen in training is class-disjoint, and then no class may stand on both
    sides.

    Queries and gallery are ``role`` (words), ``query`` and ``gallery`` (marks or row numbers) and ``camera``,
    or arrays of each part (query_features, gallery_labels, …); ``same_camera`` is keep, junk or skip.
    One id may stand for several rows, as an image's for its captions. Two modalities without labels are pairs
    without classes. Arrays by part (``audio_train``, ``train/audio``, …) are joined and their split is kept.

    An audio-visual file as the literature has it: AVE as ``audio`` (1955, 128), ``visual`` (1955, 1024)
    and ``labels`` of 15 classes, VEGAS as (28103, 128), (28103, 1024) and 10; features by segment or
    place, (N, 10, 128) or (N, 10, 7, 7, 512), are averaged over all but the first and last axis, said.
    """
    parted = by_part(joined(read_arrays(path, labels), path), path)
    arrays = parted.arrays
    first, other = _modalities(arrays, inputs, second, path)
    class_names = class_names_of(arrays)
    numbers, written = numbers_of(arrays[first], first, path)
    values, kind, notes = as_rows(numbers, first)
    notes = [*notes, *written]
    label = _name_of(arrays, labels, LABELS, path)
    require(
        label not in parted.lengths or first in parted.lengths,
        f"{str(path)!r}: {label} is given by part but {first} is not; wanted: both by part, or both whole",
    )
    of = f"labels of {path.name}"
    tags = None if label is None else several(arrays[label], of, class_names)
    own = None if label is None else column(arrays[label], of) if tags is None else tags.sets[0]
    draft = Draft(
        path.name,
        f"{first} of {path.name}",
        kind,
        values,
        own,
        tags=tags,
        fine_labels=_chosen(arrays, fine, FINE, path),
        groups=_chosen(arrays, group, GROUPS, path),
        fold=None if fold is None else arrays[key_of(arrays, fold, path)],
        names=_chosen(arrays, None, NAMES, path),
        by_group=group is not None,
        origin=str(path),
        class_names=class_names,
        notes=[*parted.notes, *notes],
        edition=str(arrays["edition"]) if "edition" in arrays and not arrays["edition"].shape else "",
        no_labels=f"{str(path)!r} has no labels; wanted: an array named {', '.join(LABELS[:3])}, or option "
        f"labels, or --pairs or --triplets; it has {', '.join(arrays)}",
    )
    if fold is None:
        draft.notes += [note for name in filter(NAMED.match, arrays) for note in offered(name, arrays[name])]
    parts = parted.words(first) if split is None else None
    roles = _chosen(arrays, split, SPLITS, path) if parts is None else parts
    if other is not None:
        given = ids_of(arrays, ids, first, path), ids_of(arrays, second_ids, other, path)
        named = {
            "labels": label,
            "fine_labels": _name_of(arrays, fine, FINE, path),
            "groups": _name_of(arrays, group, GROUPS, path),
            "names": _name_of(arrays, None, NAMES, path),
            "fold": fold,
        }
        of_second = {what for what, name in named.items() if parted.fits_only(name, other, first)}
        roles = add_second(draft, arrays, first, other, given, roles, of_second)
    if roles is not None:
        set_role(draft, roles)
    asked = Asked(role, query, gallery, camera, same_camera)
    set_marks(draft, marks_in(arrays, asked, len(draft.inputs)))
    return draft


def read_arrays(path: Path, labels: str | None = None) -> Arrays:
    """The arrays of an npz, HDF5, safetensors or npy file by name.

    Beside an npy file, and a safetensors file of one array, the labels may lie in another file: ``labels``,
    or NAME_labels.npy, NAME.labels.npy, labels.npy.
    """
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return read_hdf5(path)
    if path.suffix.lower() == ".safetensors":
        tensors = read_safetensors(path)
        if len(tensors) != 1:
            return tensors
        arrays = {"features": tensors[next(iter(tensors))]}
    else:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":  # an .npz file under another name
            return read_npz(path)
        arrays = {"features": read_npy(path)}
    beside = [
        path.parent / f"{path.stem}_labels.npy",
        path.parent / f"{path.stem}.labels.npy",
        path.parent / "labels.npy",
    ]
    chosen = [Path(labels)] if labels else [file for file in beside if file.is_file() and file != path]
    if labels and not chosen[0].is_file() and (path.parent / labels).is_file():
        chosen = [path.parent / labels]
    if chosen:
        arrays["labels"] = read_npy(chosen[0])
        if labels:
            arrays[labels] = arrays["labels"]
    return arrays


def numbers_of(array: np.ndarray, name: str, path: Path) -> tuple[np.ndarray, list[str]]:
    """An array of numbers, those written as text too, which is noted.

    Raises LosscopeError for other types, with what they are likely to be and how to save them.
    """
    if array.dtype.kind in "fiub":
        return array, []
    if array.dtype.kind in "US":
        try:
            return array.astype(np.float64), [f"the array {name} is text, read as numbers"]
        except ValueError:
            pass
    raw = {2: "bfloat16", 1: "float8"}.get(array.dtype.itemsize, "")
    what = {
        "c": "complex; wanted: real numbers (np.abs, or real and imaginary parts side by side)",
        "M": "dates; wanted: numbers",
        "m": "spans of time; wanted: numbers",
        "U": "text; wanted: numbers",
        "S": "text; wanted: numbers",
    }.get(array.dtype.kind, "")
    if array.dtype.names:
        what = f"of the fields {', '.join(array.dtype.names[:4])}; wanted: a plain array of numbers"
    elif array.dtype.kind == "V":
        what = (
            f"raw bytes{f' (of {raw}?)' if raw else ''}; wanted: numbers, such as float32 (x.float().numpy())"
        )
    raise LosscopeError(
        f"{str(path)!r}: the array {name} is {what or f'of type {array.dtype}; wanted: numbers'}"
    )


def _modalities(arrays: Arrays, inputs: str | None, second: str | None, path: Path) -> tuple[str, str | None]:
    """The names of the inputs and of the other modality, if there is one."""
    other = key_of(arrays, second, path) if second else None
    if inputs:
        return key_of(arrays, inputs, path), other
    if other is None and found(arrays, INPUTS[:-1]) is None and (known := known_modalities(arrays, path)):
        return known
    return found(arrays, INPUTS) or _only_matrix(arrays, path), other


def _chosen(arrays: Arrays, given: str | None, usual: tuple[str, ...], path: Path) -> np.ndarray | None:
    """The array of the name that was given, else of a usual name, else None."""
    name = _name_of(arrays, given, usual, path)
    return None if name is None else arrays[name]


def _name_of(arrays: Arrays, given: str | None, usual: tuple[str, ...], path: Path) -> str | None:
    return key_of(arrays, given, path) if given else found(arrays, usual)


def class_names_of(arrays: Arrays) -> tuple[str, ...]:
    """The table of class names that labels are positions in, if there is one; no name means background."""
    name = found(arrays, CLASS_NAMES)
    if name is None:
        return ()
    table = plain_values(column(arrays[name], name), name)
    empty = np.flatnonzero(table.missing)
    require(
        not len(empty),
        f"{len(empty):,} of {len(table.missing):,} {name} are missing (such as that of class "
        f"{empty[0] if len(empty) else 0}, counted from 0); wanted: a name for each class",
    )
    return tuple(map(str, table.values))


def _only_matrix(arrays: Arrays, path: Path) -> str:
    """The one array of numbers with two or more axes, where no name is known."""
    forms = {name: form(arrays, name) for name in arrays}
    tall = [name for name, (shape, dtype) in forms.items() if len(shape) > 1 and dtype.kind in "fiu"]
    if len(tall) == 1:
        return tall[0]
    raise LosscopeError(
        f"{str(path)!r} has no array of a known name ({', '.join(INPUTS)}); name it by option inputs: "
        f"it has {', '.join(arrays) or 'none'}"
    )
