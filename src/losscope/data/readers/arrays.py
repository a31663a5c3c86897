"""The user's own arrays: npz, npy, HDF5, and tables of numbers, by path."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require, unknown
from losscope.data.base import TEST, TRAIN, VALIDATION, Draft, Kind
from losscope.data.readers.files import Arrays, form, read_hdf5, read_npy, read_npz

INPUTS = ("features", "embeddings", "inputs", "x", "data", "vectors", "images")
LABELS = ("labels", "label", "y", "targets", "target", "classes", "class", "category")
FINE = ("fine_labels", "fine_label", "fine")
GROUPS = ("groups", "group")
SPLITS = ("split", "splits", "is_test", "is_test_class")
NAMES = ("names", "image_names", "file_names", "filenames", "paths")
MODALITY = re.compile(
    r"^(audio|sound|image|visual|vision|video|text)s?(_features?|_embeddings?|_feats?)?$", re.IGNORECASE
)
HEARD_FIRST = ("audio", "sound", "image", "visual", "vision", "video", "text")


def features(
    path: Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    second: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    split: str | None = None,
    ids: str | None = None,
    second_ids: str | None = None,
) -> Draft:
    """Features, vectors, images or two modalities from an ``.npz``, ``.npy`` or HDF5 file.

    Arrays are found by the names above, or by the option of that name: ``inputs`` (N, ...), ``labels``
    (N,) or one-hot (N, C) (for ``.npy`` also a file beside), ``second`` (N, ...) the other modality,
    ``fine``, ``group``, ``split`` (words train, validation, test, or true for test), ``ids`` and
    ``second_ids``: row i of one modality belongs to the row of the other with the same id. Numbers keep
    their values, as float32: no normalisation. uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) are images.
    With ``group`` the splits tear no group apart. A split in which more than half of the test classes are
    unseen in training is class-disjoint, and then no class may stand on both sides.

    An audio-visual file as the literature has it: AVE as ``audio`` (1955, 128), ``visual`` (1955, 1024)
    and ``labels`` of 15 classes, VEGAS as (28103, 128), (28103, 1024) and 10; features by segment or
    place, (N, 10, 128) or (N, 10, 7, 7, 512), are averaged over all but the first and last axis, said.
    """
    arrays = _read(path, labels)
    first, other = _modalities(arrays, inputs, second, path)
    class_names = tuple(map(str, arrays["class_names"])) if "class_names" in arrays else ()
    values, kind, notes = _inputs(arrays[first], first)
    draft = Draft(
        path.name,
        f"{first} of {path.name}",
        kind,
        values,
        _plain_labels(_chosen(arrays, labels, LABELS, path)),
        fine_labels=_chosen(arrays, fine, FINE, path),
        groups=_chosen(arrays, group, GROUPS, path),
        names=_chosen(arrays, None, NAMES, path),
        by_group=group is not None,
        origin=str(path),
        class_names=class_names,
        notes=notes,
        edition=str(arrays["edition"]) if "edition" in arrays and not arrays["edition"].shape else "",
        no_labels=f"{str(path)!r} has no labels; wanted: an array named {', '.join(LABELS[:3])}, or option "
        f"labels, or --pairs or --triplets; it has {', '.join(arrays)}",
    )
    roles = _chosen(arrays, split, SPLITS, path)
    if roles is not None:
        set_role(draft, roles)
    if other is not None:
        add_second(
            draft, arrays, first, other, _ids(arrays, ids, first, path), _ids(arrays, second_ids, other, path)
        )
    return draft


def _read(path: Path, labels: str | None) -> Arrays:
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return read_hdf5(path)
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


def _modalities(arrays: Arrays, inputs: str | None, second: str | None, path: Path) -> tuple[str, str | None]:
    """The names of the inputs and of the other modality, if there is one."""
    other = _key(arrays, second, path) if second else None
    if inputs:
        return _key(arrays, inputs, path), other
    known = sorted(
        (name for name in arrays if MODALITY.match(name) and len(form(arrays, name)[0]) > 1),
        key=lambda name: HEARD_FIRST.index(MODALITY.match(name)[1].lower()),  # type: ignore[index]
    )
    if other is None and len(known) == 2 and _find(arrays, INPUTS[:-1]) is None:
        return known[0], known[1]
    return _find(arrays, INPUTS) or _only_matrix(arrays, path), other


def _chosen(arrays: Arrays, given: str | None, usual: tuple[str, ...], path: Path) -> np.ndarray | None:
    """The array of the name that was given, else of a usual name, else None."""
    name = _key(arrays, given, path) if given else _find(arrays, usual)
    return None if name is None else arrays[name]


def _key(arrays: Arrays, name: str, path: Path) -> str:
    if name not in arrays:
        raise unknown(f"array in {str(path)!r}", name, arrays)
    return name


def _find(arrays: Arrays, names: tuple[str, ...]) -> str | None:
    lower = {name.lower(): name for name in arrays}
    return next((lower[title] for title in names if title in lower), None)


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


def _plain_labels(labels: np.ndarray | None) -> np.ndarray | None:
    """Labels (N,) from (N,), (N, 1) or one-hot (N, C)."""
    if labels is None or labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    one_hot = labels.ndim == 2 and labels.dtype.kind in "fiub"
    one_hot = one_hot and bool(np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())
    require(one_hot, f"the labels are of shape {labels.shape}; wanted: (rows,), or one-hot (rows, classes)")
    return labels.argmax(1)


def _inputs(array: np.ndarray, name: str) -> tuple[np.ndarray, Kind, list[str]]:
    """The inputs as they are to be trained on, their kind, and notes for the user."""
    if array.dtype == np.uint8 and array.ndim in (3, 4):
        if array.ndim == 3:
            return array[:, None], "images", []
        if array.shape[1] in (1, 3) or array.shape[3] not in (1, 3, 4):
            return array, "images", []
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2)[:, :3]), "images", []
    averaged, notes = _averaged(array, name)
    return averaged, "features", notes


def _averaged(array: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    if array.ndim <= 2 or array.dtype.kind != "f":
        return array, []
    inside = "×".join(map(str, array.shape[1:-1]))
    mean = array.mean(axis=tuple(range(1, array.ndim - 1)), dtype=np.float32)
    return mean, [
        f"{name} of shape {'×'.join(map(str, array.shape[1:]))} is averaged over its {inside} segments or "
        "places"
    ]


ROLES = {
    "train": TRAIN,
    "training": TRAIN,
    "trn": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "eval": TEST,
    "query": TEST,
}


def set_role(draft: Draft, split: np.ndarray) -> None:
    """Set a draft's parts from words or from booleans (true is test); detect a class-disjoint split."""
    split = np.asarray(split)
    if split.dtype.kind in "iuf" and np.isin(split, (0, 1)).all():
        split = split.astype(bool)
    if split.dtype.kind == "b":
        draft.role = np.where(split, TEST, TRAIN).astype(np.int8)
    else:
        words = np.char.lower(split.astype(str))
        strange = sorted(set(words.tolist()) - ROLES.keys())
        require(
            not strange,
            f"{draft.name}: unknown split {', '.join(map(repr, strange[:3]))}; choices: train, validation, "
            "test",
        )
        draft.role = np.array([ROLES[word] for word in words], np.int8)
    draft.split = "split as given" + ("" if np.any(draft.role == VALIDATION) else ", validation by seed")
    if draft.labels is not None and len(draft.labels) == len(draft.role):
        test, rest = np.unique(draft.labels[draft.role == TEST]), np.unique(draft.labels[draft.role != TEST])
        draft.disjoint = len(test) > 0 and np.isin(test, rest).mean() < 0.5


def _ids(arrays: Arrays, given: str | None, modality: str, path: Path) -> np.ndarray | None:
    if given:
        return arrays[_key(arrays, given, path)]
    stem = MODALITY.match(modality)
    name = _find(arrays, (f"{modality.lower()}_ids", f"{stem[1].lower()}_ids" if stem else "ids"))
    return arrays[name] if name else None


def add_second(
    draft: Draft,
    arrays: Arrays,
    first: str,
    other: str,
    ids: np.ndarray | None,
    second_ids: np.ndarray | None,
) -> None:
    """Join the second modality to a draft: row by row, or by ids; rows that lack one are left out, counted.

    Raises LosscopeError where lengths differ without ids, or a class loses all its pairs.
    """
    second, _, notes = _inputs(arrays[other], other)
    draft.kind = "pair"
    draft.notes += notes
    matches = [MODALITY.match(name) for name in (first, other)]
    draft.modalities = tuple(
        match[1].lower() if match else name for match, name in zip(matches, (first, other))
    )
    if ids is not None and second_ids is not None:
        place = {key: row for row, key in enumerate(second_ids.tolist())}
        partner = np.array([place.get(key, -1) for key in ids.tolist()])
    else:
        require(
            len(second) == len(draft.inputs),
            f"{draft.name} has {len(draft.inputs):,} rows of {first} but {len(second):,} of {other}; "
            f"wanted: as many of each, or ids ({draft.modalities[0]}_ids and {draft.modalities[1]}_ids) to "
            "join them by",
        )
        partner = np.arange(len(second))
    # Where there is no partner, row -1 stands in until the row is left out.
    draft.second = second[partner]
    _keep_complete(draft, [_empty(draft.inputs), _empty(draft.second) | (partner < 0)])


def _empty(array: np.ndarray) -> np.ndarray:
    """Which rows are all NaN: a missing modality."""
    return (
        np.isnan(array.reshape(len(array), -1)).all(1)
        if array.dtype.kind == "f"
        else np.zeros(len(array), bool)
    )


def _keep_complete(draft: Draft, lacks: list[np.ndarray]) -> None:
    """Leave out the rows that lack a modality, counted; raise if a class loses all of one."""
    missing = lacks[0] | lacks[1]
    if not missing.any():
        return
    if draft.labels is None or len(draft.labels) != len(missing):
        raise LosscopeError(
            f"{draft.name}: {int(missing.sum()):,} of {len(missing):,} rows lack a modality; wanted: "
            "complete pairs, or one label per row, so that the others can be left out"
        )
    for lack, name in zip(lacks, draft.modalities):
        for label in np.unique(draft.labels[lack]):
            if lack[draft.labels == label].all():
                named = bool(draft.class_names) and np.issubdtype(draft.labels.dtype, np.integer)
                said = draft.class_names[label] if named else str(label)
                raise LosscopeError(
                    f"{draft.name}: class {said!r} has no {name} at all; wanted: both modalities in every "
                    "class"
                )
    counts = " and ".join(
        f"{int(lack.sum()):,} without {name}" for lack, name in zip(lacks, draft.modalities)
    )
    draft.notes.append(
        f"{int(missing.sum()):,} of {len(missing):,} rows lack a modality ({counts}); left out"
    )
    for field in ("inputs", "labels", "fine_labels", "groups", "second", "names", "role"):
        if (array := getattr(draft, field)) is not None and len(array) == len(missing):
            setattr(draft, field, array[~missing])
