"""Arrays that a file holds by part: ``audio_train``, ``visual_train``, ``lab_train``, ``audio_test``, …"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from losscope.core.errors import require
from losscope.data.base import TEST, TRAIN, VALIDATION
from losscope.data.readers.files import Arrays, Lazy, form
from losscope.data.roles import ROLES

WORDS = ("train", "training", "trn", "tr", "val", "valid", "validation", "dev", "test", "testing", "te")
PARTS = {word: ROLES[word] for word in WORDS}
SAID = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
_WORD = "|".join(PARTS)
_LAST = re.compile(rf"^(?P<base>.+)[_/.-](?P<part>{_WORD})$", re.IGNORECASE)
_FIRST = re.compile(rf"^(?P<part>{_WORD})[_/.-](?P<base>.+)$", re.IGNORECASE)
_IDS = re.compile(r"(^|_)ids?(_|$)", re.IGNORECASE)
NO_ROWS = ("is", "idx", "index", "indices", "mask", "ids", "rows", "split", "order")
"""What stands beside a part's name where an array says which rows are of it, not what they hold."""


@dataclass(frozen=True, eq=False)
class Parted:
    """Arrays with their parts joined, and how many rows of each are of which part.

    ``lengths``: the rows of each part by array; empty where no array was given by part. ``split``: whether
    the parts are a split, which those of one part alone are not. ``notes``: sentences on what was joined.
    """

    arrays: Arrays
    lengths: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    split: bool = False
    notes: tuple[str, ...] = ()

    def words(self, name: str) -> np.ndarray | None:
        """The part of each row of an array in words; None where it was not given by part."""
        own = self.lengths.get(name)
        if own is None or not self.split:
            return None
        return np.repeat([SAID[part] for part in own], list(own.values()))

    def fits_only(self, name: str | None, other: str, first: str) -> bool:
        """Whether an array has its parts as long as those of ``other``, and not as those of ``first``."""
        own = self.lengths.get(name or "")
        return own is not None and own == self.lengths.get(other) and own != self.lengths.get(first)


def by_part(arrays: Arrays, path: Path) -> Parted:
    """The arrays with their parts joined; as they are if none is given by part.

    ``audio_train`` and ``audio_test`` (also ``train_audio``, ``train/audio``) become ``audio``, train rows
    first. Ids are told apart by part, since each part may number its rows anew.

    Raises LosscopeError where an array lacks a part that others have, or arrays of a part differ in length.
    """
    found: dict[str, dict[int, str]] = {}
    for name in arrays:
        match = _LAST.match(name) or _FIRST.match(name)
        if match and match["base"].lower() not in NO_ROWS and form(arrays, name)[0]:
            found.setdefault(match["base"], {})[PARTS[match["part"].lower()]] = name
    held = sorted({part for parts in found.values() for part in parts})
    tall = [base for base, parts in found.items() if len(form(arrays, next(iter(parts.values())))[0]) > 1]
    if TRAIN not in held or not tall or any(base in arrays for base in found):
        return Parted(arrays)
    for base, parts in found.items():
        for part in held:
            other = found[tall[0]].get(part, next(iter(found[tall[0]].values())))
            require(
                part in parts,
                f"{str(path)!r} has {other} but no {SAID[part]} part of {base} (it has "
                f"{', '.join(parts.values())}); wanted: the same parts of each array",
            )
    _check_lengths(arrays, found, held, path)
    _check_shapes(arrays, found, path)
    lengths = {
        base: {part: form(arrays, parts[part])[0][0] for part in held} for base, parts in found.items()
    }
    split = held != [TRAIN]
    note = f"{', '.join(found)} are given by part: {', '.join(SAID[part] for part in held)}"
    note += "" if split else " only, of which test and validation are held out"
    return Parted(_joined(arrays, found, held), lengths, split, (note,))


def _joined(arrays: Arrays, found: Mapping[str, Mapping[int, str]], held: list[int]) -> Arrays:
    parts = {name for own in found.values() for name in own.values()}
    rest = [name for name in arrays if name not in parts]

    def read(name: str) -> np.ndarray:
        if name not in found:
            return arrays[name]
        pieces = [arrays[found[name][part]] for part in held]
        if _IDS.search(name) and len(held) > 1:
            pieces = [_of_part(piece, part) for piece, part in zip(pieces, held, strict=True)]
        return np.concatenate(pieces)

    def described(name: str) -> tuple[tuple[int, ...], np.dtype]:
        if name not in found:
            return form(arrays, name)
        forms = [form(arrays, found[name][part]) for part in held]
        return (sum(shape[0] for shape, _ in forms), *forms[0][0][1:]), forms[0][1]

    return Lazy([*found, *rest], read, described)


def _of_part(ids: np.ndarray, part: int) -> np.ndarray:
    """Ids as text that names their part; a missing one stays empty."""
    from losscope.data.readers.modalities import keys_of

    keys = keys_of(ids, SAID[part], "its rows")
    return np.array([f"{SAID[part]} {key}" if key else "" for key in keys])


def _check_lengths(
    arrays: Arrays, found: Mapping[str, Mapping[int, str]], held: list[int], path: Path
) -> None:
    """Raise if arrays of a part are not equally long, unless ids join them."""
    if any(_IDS.search(base) for base in found):
        return
    for part in held:
        lengths = {parts[part]: form(arrays, parts[part])[0][0] for parts in found.values()}
        said = ", ".join(f"{name} {rows:,}" for name, rows in lengths.items())
        require(
            len(set(lengths.values())) == 1,
            f"{str(path)!r}: the arrays of the {SAID[part]} part have unlike numbers of rows ({said}); "
            "wanted: equally many in a part, or ids of both modalities to join them by",
        )


def _check_shapes(arrays: Arrays, found: Mapping[str, Mapping[int, str]], path: Path) -> None:
    for base, parts in found.items():
        shapes = {name: form(arrays, name)[0][1:] for name in parts.values()}
        said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        require(
            len(set(shapes.values())) == 1,
            f"{str(path)!r}: the parts of {base} have rows of unlike shape ({said}); wanted: one shape",
        )
