"""Data sets of the Hugging Face hub, and folders that its datasets library saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import SHOWN, LosscopeError, require, unknown
from losscope.data.base import Draft, LeftOut
from losscope.data.download import reachable
from losscope.data.readers.arrays import LABELS
from losscope.data.readers.text_columns import REMEDY
from losscope.data.roles import role_of, set_role


def hub(
    name: str,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    config: str | None = None,
    size: int = 64,
    skip_bad: bool = False,
) -> Draft:
    """``owner/name`` of the hub, all its splits: images, or a column of lists of numbers.

    Columns are found by their types (the first image or list column, the first class label), or given by
    ``inputs``, ``labels``, ``fine``, ``group``. Without a network the local cache is used; what is not
    there is said at once.
    """
    asked = Asked(inputs, labels, fine, group)
    draft = _draft(f"hf:{name}", downloaded(name, config), asked, size, skip_bad)
    draft.title = f"{name} of the Hugging Face hub"
    draft.origin = f"huggingface.co/datasets/{name}"
    return draft


def is_saved(path: Path) -> bool:
    """Whether a folder is what ``save_to_disk`` of the datasets library writes: one data set, or splits."""
    return (path / "dataset_dict.json").is_file() or all(
        (path / name).is_file() for name in ("state.json", "dataset_info.json")
    )


def saved(
    path: Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    size: int = 64,
    skip_bad: bool = False,
) -> Draft:
    """A folder that ``save_to_disk`` of the datasets library wrote: images, or a column of lists of numbers.

    Columns are found as in ``hub``.
    """
    asked = Asked(inputs, labels, fine, group)
    draft = _draft(path.name, opened(path), asked, size, skip_bad)
    draft.origin = str(path)
    return draft


def opened(path: Path) -> dict[str, Any]:
    """The splits by name of a folder that ``save_to_disk`` wrote; a single data set is the split "all".

    Raises:
        LosscopeError: the library is not installed, the folder cannot be read.
    """
    try:
        import datasets
    except ImportError:
        raise LosscopeError(f"{str(path)!r} needs the package datasets: pip install 'losscope[hf]'") from None
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # its many errors share no class
        first = str(error).split("\n")[0][:SHOWN]
        raise LosscopeError(
            f"{str(path)!r} cannot be read ({type(error).__name__}: {first}); wanted: a folder as "
            "save_to_disk writes it"
        ) from None
    return dict(found) if isinstance(found, datasets.DatasetDict) else {"all": found}


@dataclass(frozen=True)
class Asked:
    """The columns that a user names."""

    inputs: str | None
    labels: str | None
    fine: str | None
    group: str | None


def _draft(name: str, splits: Mapping[str, Any], asked: Asked, size: int, skip_bad: bool) -> Draft:
    """The splits of a data set, one below the other; without a column of labels where none is found."""
    parts = _parts(splits)
    features = splits[parts[0]].features
    if asked.inputs is None and not any(_kind(feature) for feature in features.values()):
        texts = [
            key for key, feature in features.items() if str(getattr(feature, "dtype", "")).endswith("string")
        ]
        require(
            not texts,
            f"{name} holds texts (column {', '.join(texts[:3])}), and a text is no vector: {REMEDY}",
        )
    column = _choose(
        name,
        features,
        asked.inputs,
        lambda feature: _kind(feature) is not None,
        "inputs",
        "an image or list column",
    )
    kind = _kind(features[column])
    require(
        kind is not None,
        f"{name}: column {column!r} holds {features[column]}; wanted: images or lists of numbers",
    )
    label = _label(name, features, asked.labels)
    tables = [splits[part] for part in parts]
    given = [_column(name, tables, title) for title in (label, asked.fine, asked.group)]
    if kind == "images":
        pictures = [row for table in tables for row in _undecoded(table, column)]
        array, kept, notes = _pictures(pictures, size, skip_bad)
    else:
        rows = [row for table in tables for row in table.with_format("numpy")[column]]
        array = np.array([np.asarray(row, np.float32) for row in rows])
        kept, notes = np.arange(len(array)), []
    names = () if label is None else getattr(features[label], "names", None) or ()
    own, fine_labels, groups = (None if cells is None else cells[kept] for cells in given)
    draft = Draft(
        name,
        name,
        "images" if kind == "images" else "features",
        array,
        own,
        fine_labels=fine_labels,
        groups=groups,
        by_group=asked.group is not None,
        class_names=tuple(names),
        notes=notes,
        no_labels=f"{name} has no class label column; name one by option labels: it has "
        f"{', '.join(features)}",
        left_out=[
            LeftOut(len(table), "rows", f"of the split {part}")
            for part, table in splits.items()
            if part not in parts
        ],
    )
    if len({role_of(part) for part in parts}) > 1:
        set_role(draft, np.repeat(parts, [len(table) for table in tables])[kept])
    return draft


def _parts(splits: Mapping[str, Any]) -> list[str]:
    """The splits that are read: those whose names are parts, or all where none is."""
    return [part for part in splits if role_of(part) is not None] or list(splits)


def columns(place: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of the named columns that ``hf:owner/name``, or a folder as ``saved`` reads it, has, by name."""
    name = place.removeprefix("hf:")
    splits = downloaded(name, None) if name != place else opened(Path(place).expanduser())
    tables = [splits[part] for part in _parts(splits)]
    there = [title for title in tables[0].features if title.lower() in names or title in names]
    return {title: found for title in there if (found := _column(place, tables, title)) is not None}


def _column(name: str, tables: Sequence[Any], title: str | None) -> np.ndarray | None:
    """A column of all tables, one below the other; None where none is wanted."""
    if title is None:
        return None
    for table in tables:
        if title not in table.features:
            raise unknown(f"column in {name}", title, table.features)
    cells = [cell for table in tables for cell in table[title]]
    return np.array(cells) if cells else None


def downloaded(name: str, config: str | None) -> dict[str, Any]:
    """The splits of a data set of the hub by name, from the cache or fetched.

    Raises LosscopeError for a name that is none, and what can neither be found here nor fetched.
    """
    require(name.count("/") == 1, f"hf:{name} names no data set of the hub; wanted: hf:owner/name")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    said_so = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    offline = said_so or not reachable(endpoint)
    try:
        import datasets
    except ImportError:
        raise LosscopeError(f"hf:{name} needs the package datasets: pip install 'losscope[hf]'") from None
    try:
        with _offline(offline):
            return dict(datasets.load_dataset(name, config))
    except Exception as error:  # the hub's many errors share no class
        if offline:
            raise LosscopeError(
                f"hf:{name} is not in the local cache and the hub cannot be reached: run `hf download "
                f"--repo-type dataset {name}` where there is a network and copy ~/.cache/huggingface here"
            ) from None
        first = str(error).split("\n")[0]
        raise LosscopeError(f"hf:{name} cannot be loaded: {type(error).__name__}: {first}") from None


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Only the local cache, for a while: a hub that refuses is otherwise asked again for 23 s.

    The environment variable is read once, when the library is imported, hence its own constants.
    """
    import datasets
    import huggingface_hub

    places: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place in places:
            place.HF_HUB_OFFLINE = wanted or place.HF_HUB_OFFLINE
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def _kind(feature: Any) -> str | None:
    """What a column holds: "images", "numbers" (lists of them), or None."""
    name = type(feature).__name__
    if name == "Image":
        return "images"
    inner = getattr(feature, "feature", None)
    dtype = str(getattr(inner, "dtype", ""))
    if name in ("Sequence", "List", "LargeList") and dtype.startswith(("float", "int", "uint")):
        return "numbers"
    return None


def _choose(
    name: str,
    features: Mapping[str, Any],
    given: str | None,
    fits: Callable[[Any], bool],
    option: str,
    wanted: str,
) -> str:
    if given is not None:
        if given not in features:
            raise unknown(f"column in {name}", given, features)
        return given
    found = [word for word, feature in features.items() if fits(feature)]
    require(bool(found), f"{name} has no {wanted}; name one by option {option}: it has {', '.join(features)}")
    return found[0]


def _label(name: str, features: Mapping[str, Any], given: str | None) -> str | None:
    """The column of labels: the one that is given, the first of class labels, the first of a usual name."""
    if given is not None and given not in features:
        raise unknown(f"column in {name}", given, features)
    typed = [word for word, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    return given or next(iter(typed), None) or next((word for word in LABELS if word in features), None)


def _undecoded(data: Any, column: str) -> list[Any]:
    import datasets

    return list(data.cast_column(column, datasets.Image(decode=False))[column])


def _pictures(values: list[Any], size: int, skip_bad: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Decode {bytes, path} records; the unreadable are counted and named by row. Size UNREAD decodes none."""
    from losscope.data.readers.pictures import UNREAD, Picture, read_all, with_looks

    rows = np.empty(len(values), object)
    for row, value in enumerate(values):
        path = None if value["bytes"] else Path(value["path"])
        rows[row] = Picture(f"row {row}", path, value["bytes"])
    if size == UNREAD:
        rows, notes = with_looks(rows)
        return rows, np.arange(len(values)), notes
    return read_all([row.name for row in rows], lambda row: rows[row].opened(), size, skip_bad)
