"""Finding a data set: a registered name, a path, or ``hf:owner/name``.

A registered loader is ``fn(root, *, options) -> Draft or Source``: what exists is a Draft, which is then
checked and split as all data are; what is generated is a Source of its own.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import itertools
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.core import registry
from losscope.core.bounds import regular
from losscope.core.errors import LosscopeError, require, unknown
from losscope.data.base import Draft, Source
from losscope.data.download import cache_folder
from losscope.data.finish import finish

if TYPE_CHECKING:
    from losscope.data.readers.texts import Texts

COMMON: dict[str, Any] = {
    "train_labels": None,
    "label_noise": 0.0,
    "limit": None,
    "limit_test": None,
    "pairs": None,
    "triplets": None,
    "skip_unlabelled": False,
    "ignore_label": (),
    "folds": None,
    "joint": False,
}
"""Options that every real data set has."""

_cache: OrderedDict[tuple[Any, ...], Source] = OrderedDict()
_CACHED = 4
STAMPED = 20_000
"""Files of a folder that are looked at for changes before what was read of it is used again."""


def load(name_or_path: str | Path, root: str | Path | None = None, **options: Any) -> Source:
    """The data set of a name or path, read once per process.

    ``root``: the folder with real data sets, else ``LOSSCOPE_DATA``. ``options`` are those of the loader
    and ``train_labels``, ``label_noise``, ``limit``, ``limit_test``, ``skip_unlabelled``, ``ignore_label``,
    ``folds``, ``joint``; None means the default.

    Raises LosscopeError for an unknown name or option, missing or broken files, and data that cannot be
    compared on (see ``finish``).

    >>> source = load("digits")
    >>> source.splits(seed=0).train.inputs.shape
    (1008, 64)
    """
    name = str(name_or_path)
    require(
        root is None or Path(root).expanduser().is_dir(),
        f"the data root {str(root)!r} is not a folder; wanted: the folder that the data sets are in",
    )
    root = root or os.environ.get("LOSSCOPE_DATA") or None
    folder = Path(root).expanduser() if root else None
    options = {key: value for key, value in options.items() if value is not None}
    stamps = (stamp(name), *(stamp(value) for _, value in sorted(options.items())))
    key = (name, str(folder), repr(sorted(options.items())), stamps, registry.source_of("data", name))
    if key not in _cache:
        _cache[key] = _load(name, folder, options)
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key]


def undecoded(
    name_or_path: str | Path, root: str | Path | None = None, **options: Any
) -> tuple[Draft, dict[str, Any]]:
    """A data set as its reader found it, and the options that ``finish`` takes: for computing its features.

    Images and sounds are left in their files where they lie in files of their own (``pictures.UNREAD``);
    a set that comes as features too is read as images. Raises as ``load`` does, and for generated data.
    """
    name = str(name_or_path)
    require(
        root is None or Path(root).expanduser().is_dir(),
        f"the data root {str(root)!r} is not a folder; wanted: the folder that the data sets are in",
    )
    root = root or os.environ.get("LOSSCOPE_DATA") or None
    _, own = _loader(name)
    options = {key: value for key, value in options.items() if value is not None}
    if "size" in own:
        if "size" in options:
            raise LosscopeError("a backbone reads images at their own size; leave the option size out")
        from losscope.data.readers.pictures import UNREAD

        options["size"] = UNREAD
    if "source" in own:
        options.setdefault("source", "images")
    found, shared = _found(name, Path(root).expanduser() if root else None, options)
    if not isinstance(found, Draft):
        raise LosscopeError(f"{name} consists of generated vectors; a backbone wants images, sounds or texts")
    return found, shared


def undecoded_texts(name_or_path: str | Path, **options: Any) -> tuple[Texts, dict[str, Any]]:
    """The texts of a table or of ``hf:owner/name``, and the options that ``finish`` takes.

    Raises LosscopeError for all else, and unknown options.
    """
    from losscope.data.readers.texts import hub_texts, texts

    name = str(name_or_path)
    path = Path(name).expanduser()
    if name.startswith("hf:"):
        read, own = _bound(hub_texts, name.removeprefix("hf:"))
    else:
        require(
            name not in registry.entries("data") and path.exists(),
            f"{name} is no table of texts, and the backbone is a text model; wanted: a CSV, JSON lines or "
            "parquet table, or hf:owner/name",
        )
        read, own = _bound(texts, path)
    common = {key: COMMON[key] for key in COMMON if key not in own}
    options = {key: value for key, value in options.items() if value is not None}
    for key in options:
        if key not in own and key not in common:
            raise unknown(f"option of {name}", key, [*own, *common])
    found: Any = read(None, **{key: value for key, value in options.items() if key in own})
    return found, {key: value for key, value in options.items() if key in common}


def _load(name: str, root: Path | None, options: dict[str, Any]) -> Source:
    found, shared = _found(name, root, options)
    return finish(found, **shared) if isinstance(found, Draft) else found


def _found(name: str, root: Path | None, options: dict[str, Any]) -> tuple[Draft | Source, dict[str, Any]]:
    """What the loader makes of its own options, and the common options that are left."""
    loader, own = _loader(name)
    common = {} if own.keys() >= COMMON.keys() else {key: COMMON[key] for key in COMMON if key not in own}
    for key in options:
        if key not in own and key not in common:
            raise unknown(f"option of {name}", key, [*own, *common])
    found = loader(root, **{key: value for key, value in options.items() if key in own})
    shared = {key: value for key, value in options.items() if key in common}
    if shared and not isinstance(found, Draft):
        raise LosscopeError(f"{name} has no option {', '.join(shared)}; choices: {', '.join(own)}")
    return found, shared


def _loader(name: str) -> tuple[Callable[..., Draft | Source], dict[str, Any]]:
    """The function that reads a data set, and its own options with their defaults."""
    table = registry.entries("data")
    if name in table:
        return table[name].load(), table[name].parameters
    if name.startswith("hf:"):
        from losscope.data.readers.hub import hub

        return _bound(hub, name.removeprefix("hf:"))
    if name.strip() and (path := Path(name).expanduser()).exists():  # an empty name would be this folder
        if not path.is_dir():
            regular(path)
        from losscope.data.readers.paths import by_path

        return _bound(by_path(path), path)
    near = difflib.get_close_matches(name, table, n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    raise LosscopeError(
        f"unknown data set {name!r}, and no file or folder of that name{guess} choices: "
        f"{', '.join(sorted(table))}, a path to features, a manifest or a folder of class folders, or "
        "hf:owner/name"
    )


def _bound(reader: Callable[..., Any], where: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A reader of a place as a loader of a data set, and its options."""
    words = inspect.signature(reader).parameters.values()
    own = {word.name: word.default for word in words if word.kind is word.KEYWORD_ONLY}
    texts = {word.name for word in words if word.annotation in ("str", "str | None")}

    def read(root: Path | None, **options: Any) -> Draft:
        # A column may be called 16: what names one is text, whatever its option looks like.
        named = {key: str(value) if key in texts else value for key, value in options.items()}
        return reader(where, **named)

    return read, own


def stamp(value: Any) -> tuple[int, ...] | None:
    """When the file of a path was written, and its size; of a folder those of all that lies in it.

    None for what is no path. In a folder at most ``STAMPED`` files are looked at; in larger ones only files
    that come or go after these are missed.
    """
    if not isinstance(value, str | os.PathLike):
        return None
    try:
        state = Path(value).stat()
        inside = _stamps_inside(Path(value)) if stat.S_ISDIR(state.st_mode) else ()
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_size, *inside


def _stamps_inside(folder: Path) -> tuple[int, int]:
    """The number of files and folders below a folder, and a hash of their names, times and sizes."""
    seen = hashlib.blake2b(digest_size=8)
    count, waiting, known = 0, [folder], set[tuple[int, int]]()
    while waiting and count < STAMPED:
        with os.scandir(waiting.pop()) as entries:
            for entry in itertools.islice(entries, STAMPED - count):
                count += 1
                try:
                    state = entry.stat()
                except OSError:  # a link to nothing
                    continue
                seen.update(f"{entry.path} {state.st_mtime_ns} {state.st_size}".encode(errors="replace"))
                if stat.S_ISDIR(state.st_mode) and (state.st_dev, state.st_ino) not in known:
                    known.add((state.st_dev, state.st_ino))
                    waiting.append(Path(entry.path))
    return count, int.from_bytes(seen.digest(), "little")


def present(name: str, root: str | Path | None = None) -> bool:
    """Whether a registered data set can be read now, without a download. Imports and reads nothing.

    >>> present("digits")
    True
    """
    facts = registry.entry("data", name).facts
    if facts.bundled:
        return True
    root = root or os.environ.get("LOSSCOPE_DATA") or None
    bases = [cache_folder(), *([Path(root).expanduser()] if root else [])]
    return any(any(base.glob(pattern)) for base in bases for pattern in facts.files)
