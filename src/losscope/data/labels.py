"""What labels mean, whatever they were written as: one set of rules for every reader.

Whole numbers and text name classes; -1, and what the user names by ``ignore``, is background; NaN, NaT, None
and empty text are missing. Text stays text: "1" and "01", "1e3" and "1000" are different classes. What would
need a guess (fractions, several labels per row, complex numbers, structures) is refused.
"""

from __future__ import annotations

import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require, shown
from losscope.data.base import LeftOut
from losscope.data.plain import WHOLE, asked_labels, column, listed, plain_values

BACKGROUND = -1
NONE = "none"
"""As the only value of ``ignore``: nothing is background, and -1 is a class."""
MAYBE_MISSING = frozenset(
    (
        "nan",
        "na",
        "n/a",
        "none",
        "null",
        "unknown",
        "<na>",
        "nat",
        "?",
        "-",
        "missing",
        "unlabelled",
        "unlabeled",
    )
)
"""Words that are classes where they stand as labels, but often mean that there is no label."""
IGNORED = frozenset(("99", "255", "999", "9999", "65535"))
"""Numbers that are classes where they stand as labels, but often mean that there is no label."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels as the rest of the package takes them.

    ``numbers`` int64 (N,) are positions in ``names``, or -1 where the row is background or has no label.
    ``missing`` bool (N,) says which rows have no label. ``background`` counts the rows of each background
    label. ``notes`` are sentences on how the labels were understood.
    """

    numbers: np.ndarray
    names: tuple[str, ...]
    missing: np.ndarray
    background: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    def complete(self, what: str, remedy: str = "a label in each row") -> Labels:
        """These labels, if none is missing; raises LosscopeError with the count otherwise."""
        count = int(self.missing.sum())
        if count:
            first = ", ".join(map(str, np.flatnonzero(self.missing)[:3])) + (", …" if count > 3 else "")
            are = "is" if count == 1 else "are"
            raise LosscopeError(
                f"{count:,} of {len(self.missing):,} {what} {are} missing (rows {first}, counted from 0); "
                f"wanted: {remedy}"
            )
        return self


def understood(
    values: Any,
    what: str = "labels",
    *,
    names: Sequence[str] = (),
    ignore: Iterable[Any] = (),
) -> Labels:
    """Labels of any kind: numbers, text, bytes, booleans, dates, objects; (N,), (N, 1) or one-hot (N, C).

    ``what``: the noun of the sentences, in the plural. ``names``: the classes that whole numbers are
    positions in. ``ignore``: labels that are background like -1; "none" alone makes -1 a class.

    Raises LosscopeError for several labels per row, fractions, infinity, bytes that are not UTF-8, and types
    that name no class.

    >>> found = understood(np.array([7, 3, -1, 7]))
    >>> found.numbers, found.names, found.background[0].said
    (array([ 1,  0, -1,  1]), ('3', '7'), '1 row of label -1')
    >>> understood(["b", "", "a"]).missing
    array([False,  True, False])
    """
    wanted = frozenset(asked_labels(ignore))
    plain = plain_values(column(values, what), what)
    known, place = _unique(plain.values[~plain.missing])
    spoken = tuple(map(str, known))
    notes = [*plain.notes]
    if len(names):
        place, spoken, more = _positions(known, spoken, place, tuple(names), what, wanted)
        notes += more
    is_background = np.array([_ignores(name, wanted, plain.whole) for name in spoken], bool)
    counts = np.bincount(place[place >= 0], minlength=len(spoken))
    background = [
        LeftOut(int(counts[k]), "row" if counts[k] == 1 else "rows", f"of label {spoken[k]}")
        for k in np.flatnonzero(is_background & (counts > 0))
    ]
    if len(names):
        lost = int((place < 0).sum())
        if lost and str(BACKGROUND) in spoken:  # a class of that name is background in the same way
            lost += int(counts[spoken.index(str(BACKGROUND))])
            background = [part for part in background if part.why != f"of label {BACKGROUND}"]
        if lost:
            background.insert(0, LeftOut(lost, "row" if lost == 1 else "rows", f"of label {BACKGROUND}"))
        kept, left = spoken, np.arange(len(spoken))
    else:
        left = np.cumsum(~is_background) - 1
        kept = tuple(name for name, is_out in zip(spoken, is_background, strict=True) if not is_out)
    lookup = np.append(np.where(is_background, BACKGROUND, left), BACKGROUND)
    numbers = np.full(len(plain.missing), BACKGROUND, np.int64)
    numbers[~plain.missing] = lookup[place]
    notes += _doubts(spoken, counts, is_background, what, plain.whole and not len(names), wanted)
    notes += _alike(kept, what)
    notes += _unmatched(wanted, spoken, is_background, what)
    return Labels(numbers, kept, plain.missing, tuple(background), tuple(notes))


def _unique(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.dtype != object:
        return np.unique(values, return_inverse=True)
    known = sorted(set(values.tolist()))
    number = {value: place for place, value in enumerate(known)}
    where = np.array([number[value] for value in values.tolist()], np.int64)
    return np.array(known, object), where


def _positions(
    known: np.ndarray,
    spoken: tuple[str, ...],
    place: np.ndarray,
    names: tuple[str, ...],
    what: str,
    wanted: frozenset[str],
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Places in a table of class names, from positions in it or from the names themselves; -1: background."""
    number = {name: at for at, name in enumerate(names)}
    twice = [name for name, count in Counter(names).items() if count > 1]
    notes = (
        [f"{len(twice):,} class names stand for more than one class (such as {twice[0]!r})"] if twice else []
    )
    if any(isinstance(value, str) for value in known):
        strange = [name for name in spoken if name not in number and not _ignores(name, wanted, False)]
        require(
            not strange,
            f"{len(strange):,} {what} (such as {', '.join(map(shown, strange[:3]))}) are not among the "
            f"{len(names):,} class names; wanted: names of these, or positions in them",
        )
        require(not twice, f"{what} are text, and {len(twice):,} class names stand twice; wanted: each once")
        at = [number.get(name, BACKGROUND) for name in spoken]
    else:
        at = [int(value) for value in known]
        outside = [
            value for value in at if not -1 <= value < len(names) and not _ignores(str(value), wanted, True)
        ]
        require(
            not outside,
            f"{what} go from {min(at, default=0)} to {max(at, default=0)} but there are {len(names):,} class "
            f"names; wanted: 0 to {len(names) - 1}, or -1 for background",
        )
        at = [value if 0 <= value < len(names) else BACKGROUND for value in at]
    return np.array(at, np.int64)[place] if len(at) else place.astype(np.int64), names, notes


def _ignores(name: str, wanted: frozenset[str], whole: bool) -> bool:
    """Whether a label is background: -1, or one that the user named."""
    if name == str(BACKGROUND):
        return wanted != {NONE} or not whole
    if name in wanted:
        return True
    return whole and any(
        WHOLE.fullmatch(text.removesuffix(".0")) and text.removesuffix(".0") == name for text in wanted
    )


def _doubts(
    spoken: Sequence[str],
    counts: np.ndarray,
    is_background: np.ndarray,
    what: str,
    whole: bool,
    wanted: frozenset[str],
) -> list[str]:
    """Classes whose name often means that there is no label, unless the user said that none does."""
    if wanted == {NONE}:
        return []
    there = [name for name, count in zip(spoken, counts.tolist(), strict=True) if count]
    far = _far(there) if whole else None
    return [
        f"{count:,} {what} are {name!r}, taken as a class; where it means that a row has no label: "
        + shlex.quote(f"--ignore-label={name}")
        for name, count, is_out in zip(spoken, counts.tolist(), is_background.tolist(), strict=True)
        if count
        and not is_out
        and ((name.startswith("-") or name == far) if whole else name.lower() in MAYBE_MISSING)
    ]


def _far(names: Sequence[str]) -> str | None:
    """The one of ``IGNORED`` that lies far above all other numbers, where these count classes."""
    numbers = sorted(map(int, names))
    if len(numbers) < 3 or str(numbers[-1]) not in IGNORED:
        return None
    return str(numbers[-1]) if 2 * numbers[-2] < numbers[-1] and numbers[-2] < 2 * len(numbers) else None


def _alike(names: Sequence[str], what: str) -> list[str]:
    """A sentence on names of classes that a person reads as one: in capitals or not, or é in two ways."""
    forms: dict[str, list[str]] = {}
    for name in names:
        if not name.isdigit():
            forms.setdefault(unicodedata.normalize("NFKC", name).casefold(), []).append(name)
    same = [found for found in forms.values() if len(found) > 1]
    if not same:
        return []
    such = " and ".join(repr(name) if name.isascii() else ascii(name) for name in same[0][:3])
    return [f"{such} are taken as different {what}" + (f", and {len(same) - 1:,} more" * (len(same) > 1))]


def _unmatched(
    wanted: frozenset[str], spoken: Sequence[str], is_background: np.ndarray, what: str
) -> list[str]:
    gone = {name for name, is_out in zip(spoken, is_background, strict=True) if is_out}
    left = sorted(text for text in wanted - gone if text.removesuffix(".0") not in gone and text != NONE)
    return (
        [f"none of the {what} is {', '.join(map(shown, left))}, which --ignore-label names"] if left else []
    )


__all__ = ["BACKGROUND", "Labels", "column", "listed", "understood"]
