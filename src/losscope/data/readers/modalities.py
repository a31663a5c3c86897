"""Two modalities: which arrays they are, and how the rows of one find those of the other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.data.base import Draft, LeftOut
from losscope.data.labels import column
from losscope.data.readers.files import Arrays, form, found, key_of
from losscope.data.readers.shapes import as_rows
from losscope.data.readers.tuples import components
from losscope.data.tags import Tags

HEARD_FIRST = ("audio", "sound", "image", "img", "visual", "vision", "video", "text", "txt", "caption")
"""Modalities by the names of their arrays, in the order in which two of them stand."""
TOGETHER = (
    ("query", "document"),
    ("query", "doc"),
    ("query", "passage"),
    ("query", "positive"),
    ("question", "answer"),
    ("anchor", "positive"),
    ("sentence1", "sentence2"),
    ("source", "target"),
    ("left", "right"),
    ("first", "second"),
    ("sketch", "photo"),
    ("a", "b"),
)
"""Further names, which say something of a file only together."""
_NAMES = sorted({*HEARD_FIRST, *(name for both in TOGETHER for name in both)}, key=len, reverse=True)
_WHAT = "features?|feats?|embeddings?|embeds?|embs?|vectors?|vecs?"
MODALITY = re.compile(rf"^(?:(?:{_WHAT})_)?({'|'.join(_NAMES)})s?(?:[_/](?:{_WHAT}|x|data))?$", re.IGNORECASE)
_LABELS = re.compile(r"(^|_)(lab|label|class|classe|target|categor|fine|group|split|y)", re.IGNORECASE)
MOST = 20
"""Pairs that ids may make for each row of the longer side; more are taken for ids that are no ids."""


@dataclass(frozen=True)
class Join:
    """Which rows of the two sides belong together: pair k is row ``first[k]`` with row ``second[k]``.

    ``rows``: how many rows either side has.
    """

    first: np.ndarray
    second: np.ndarray
    rows: tuple[int, int]

    @property
    def repeats(self) -> bool:
        """Whether a row of either side stands in several pairs."""
        return any(len(np.unique(side)) < len(side) for side in (self.first, self.second))

    def of(self, array: np.ndarray, of_second: bool = False) -> np.ndarray:
        """An array with a value for each row of one side, or each pair, as one with a value for each pair.

        Of two sides of equal length the first is meant, unless the array is known to be ``of_second``. An
        array of another length stays as it is.
        """
        if of_second:
            return array[self.second]
        for side, rows in zip((self.first, self.second), self.rows, strict=True):
            if len(array) == rows:
                return array[side]
        return array


def modality_of(name: str) -> str:
    """What an array is called as a modality: ``text`` of ``text_features``, else its own name."""
    match = MODALITY.match(name)
    return match[1].lower() if match else name


def known_modalities(arrays: Arrays, path: Path) -> tuple[str, str] | None:
    """The names of the two arrays that are modalities by their names; None where none or one is.

    Raises:
        LosscopeError: three or more.
    """
    tall = [name for name in arrays if MODALITY.match(name) and len(form(arrays, name)[0]) > 1]
    named = {modality_of(name): name for name in tall}
    known = sorted((name for name in named if name in HEARD_FIRST), key=HEARD_FIRST.index)
    if len(known) == 2:
        return named[known[0]], named[known[1]]
    if len(known) > 2:
        raise LosscopeError(
            f"{str(path)!r} has {len(known)} modalities: {', '.join(named[name] for name in known)}; wanted: "
            "two of them, named by the options inputs and second"
        )
    return next(((named[a], named[b]) for a, b in TOGETHER if a in named and b in named), None)


def _of_side(arrays: Arrays, modality: str, what: Sequence[str]) -> str | None:
    """The array of one side's ids or labels: ``text_ids``, ``ids_text``, ``text_features_ids``."""
    stems = dict.fromkeys((modality.lower(), modality_of(modality)))
    return found(
        arrays,
        tuple(name for stem in stems for word in what for name in (f"{stem}_{word}", f"{word}_{stem}")),
    )


def ids_of(arrays: Arrays, given: str | None, modality: str, path: Path) -> np.ndarray | None:
    """The ids of one side's rows: of the array given, or of the usual name; None if there is none."""
    if given:
        return arrays[key_of(arrays, given, path)]
    name = _of_side(arrays, modality, ("ids", "id"))
    return arrays[name] if name else None


def side_labels(arrays: Arrays, modality: str) -> np.ndarray | None:
    """The labels of one side's rows, such as ``text_labels``."""
    name = _of_side(arrays, modality, ("labels", "label", "lab", "y"))
    return column(arrays[name]) if name else None


def add_second(
    draft: Draft,
    arrays: Arrays,
    first: str,
    other: str,
    ids: tuple[np.ndarray | None, np.ndarray | None],
    roles: np.ndarray | None,
    of_second: Collection[str] = (),
) -> np.ndarray | None:
    """Join the second modality to a draft, row by row or by ids, and give ``roles`` of the pairs.

    One id may stand for several rows of a side: each makes a pair. What has no partner is left out, counted.
    Without labels each item is its own class: row i belongs to row i, or to those with its id.
    ``of_second``: fields of the draft that are known to have a value for each row of the second side.

    Raises LosscopeError where lengths differ without ids, no id is on both sides, or a class loses all of
    its pairs.
    """
    second, _, notes = as_rows(arrays[other], other)
    draft.kind = "pair"
    draft.notes += notes
    draft.modalities = (modality_of(first), modality_of(other))
    draft.title = f"{first} and {other} of {draft.name}"
    join = _joined(draft, second, first, other, ids)
    _count_unread(draft, arrays, (first, other), join)
    labels = [side_labels(arrays, name) for name in (first, other)]
    if draft.labels is None:
        draft.labels = _agreed(draft, join, labels)
    before = draft.labels
    for field in ("labels", "fine_labels", "groups", "names", "fold"):
        if (array := getattr(draft, field)) is not None:
            setattr(draft, field, join.of(array, field in of_second))
    if draft.tags is not None:
        draft.tags = Tags(join.of(draft.tags.table, "labels" in of_second), draft.tags.names)
    if before is not None and draft.labels is not None:
        lost = np.setdiff1d(before, draft.labels)
        if len(lost) and not _all_alone(before):
            some = ", ".join(repr(str(label)) for label in lost[:3]) + (", …" if len(lost) > 3 else "")
            draft.left_out.append(LeftOut(len(lost), "classes", f"without a pair ({some})"))
    roles = None if roles is None else join.of(roles)
    draft.inputs, draft.second = draft.inputs[join.first], second[join.second]
    if join.repeats:
        draft.items = np.stack([join.first, join.second], 1)
    roles = _keep_complete(draft, roles)
    if draft.labels is None or _all_alone(draft.labels):
        _by_item(draft)
    return roles


def _count_unread(draft: Draft, arrays: Arrays, taken: tuple[str, str], join: Join) -> None:
    """Count the arrays that look like a further side of the pairs, as the negatives of triplets do."""
    unread = [
        name
        for name in arrays
        if name not in taken and not _LABELS.search(name) and _is_side(*form(arrays, name), join.rows)
    ]
    if unread:
        draft.left_out.append(LeftOut(len(unread), "arrays", f"beside the two sides ({', '.join(unread)})"))


def _is_side(shape: tuple[int, ...], dtype: np.dtype, rows: tuple[int, int]) -> bool:
    return len(shape) > 1 and shape[0] in rows and shape[1] > 1 and dtype.kind in "fiu"


def _joined(
    draft: Draft,
    second: np.ndarray,
    first: str,
    other: str,
    ids: tuple[np.ndarray | None, np.ndarray | None],
) -> Join:
    rows, names = (len(draft.inputs), len(second)), draft.modalities
    own, others = ids
    if own is not None and others is not None:
        return _by_ids(draft, (own, others), rows)
    if rows[0] != rows[1]:
        lacking = [name for name, side in zip(names, ids, strict=True) if side is None]
        several = max(rows) % min(rows) == 0 if min(rows) else False
        many, few = (names[1], names[0]) if rows[1] > rows[0] else names
        hint = f"; if {max(rows) // min(rows)} rows of {many} follow for each of {few}" if several else ""
        repeated = f", {many}_ids = np.repeat({few}_ids, {max(rows) // min(rows)})" if several else ""
        raise LosscopeError(
            f"{draft.name} has {rows[0]:,} rows of {first} but {rows[1]:,} of {other}; wanted: as many of "
            f"each, or ids ({names[0]}_ids and {names[1]}_ids) to join them by"
            + (f" ({' and '.join(f'{name}_ids' for name in lacking)} lacking)" if len(lacking) == 1 else "")
            + (f"{hint}: {few}_ids = np.arange({min(rows)}){repeated}" if several else "")
        )
    every = np.arange(rows[0])
    return Join(every, every, rows)


def keys_of(ids: np.ndarray, name: str, what: str) -> np.ndarray:
    """Ids as text, so that 7, 7.0 and "7" are one; an empty text where there is none."""
    ids = np.asarray(ids)
    require(
        ids.ndim == 1 or ids.shape[1:] == (1,),
        f"{name}: the ids of {what} are of shape {ids.shape}; wanted: one per row",
    )
    ids = ids.reshape(-1)
    if ids.dtype.kind == "f":
        known = np.isfinite(ids)
        require(
            bool((np.abs(ids[known]) < 2**53).all()),
            f"{name}: ids of {what} are decimals above 2⁵³, which no longer tell whole numbers apart; "
            "wanted: whole numbers or text",
        )
        whole = known & (ids == np.round(np.where(known, ids, 0)))
        return np.array(
            [str(int(v)) if w else repr(float(v)) if k else "" for v, w, k in zip(ids, whole, known)], object
        )
    if ids.dtype.kind == "S":
        ids = np.char.decode(ids, "utf-8")
    return np.array([str(value).strip() for value in ids.tolist()], object)


def _by_ids(draft: Draft, ids: tuple[np.ndarray, np.ndarray], rows: tuple[int, int]) -> Join:
    """The pairs of equal ids, in the order of the first side's rows; what has no partner is counted."""
    names = draft.modalities
    keys = [keys_of(side, draft.name, name) for side, name in zip(ids, names, strict=True)]
    for side, count, name in zip(keys, rows, names, strict=True):
        require(
            len(side) == count,
            f"{draft.name} has {len(side):,} ids of {name} for {count:,} rows; wanted: one each",
        )
        if empty := int((side == "").sum()):
            draft.left_out.append(LeftOut(empty, f"rows of {name}", "without an id"))
    places: dict[str, list[int]] = {}
    for row, key in enumerate(keys[1]):
        if key:
            places.setdefault(key, []).append(row)
    partners = [places.get(key, []) for key in keys[0]]
    counts = np.array([len(own) for own in partners], np.int64)
    require(
        bool(counts.any()),
        f"{draft.name}: no id of {names[0]} is an id of {names[1]} ({_some(keys[0])} and {_some(keys[1])}); "
        "wanted: the same id for rows that belong together",
    )
    require(
        int(counts.sum()) <= MOST * max(rows),
        f"{draft.name}: the ids make {int(counts.sum()):,} pairs of {rows[0]:,} rows of {names[0]} and "
        f"{rows[1]:,} of {names[1]}, as class labels would; wanted: one id for each item",
    )
    first = np.repeat(np.arange(rows[0]), counts)
    second = np.array([row for own in partners for row in own], np.int64)
    lacking = int(((counts == 0) & (keys[0] != "")).sum())
    unasked = int((~np.isin(np.arange(rows[1]), second) & (keys[1] != "")).sum())
    for count, name, without in ((lacking, names[0], names[1]), (unasked, names[1], names[0])):
        if count:
            draft.left_out.append(LeftOut(count, f"rows of {name}", f"without a row of {without}"))
    join = Join(first, second, rows)
    if join.repeats:
        draft.notes.append(
            f"{len(first):,} pairs by id, of {len(np.unique(first)):,} rows of {names[0]} and "
            f"{len(np.unique(second)):,} of {names[1]}; each row is one item where it is searched for"
        )
    return join


def _some(keys: np.ndarray) -> str:
    shown = [repr(key) for key in keys[:2]]
    return ", ".join(shown) + (", …" if len(keys) > 2 else "")


def _agreed(draft: Draft, join: Join, labels: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The pairs' labels from those of the two sides.

    Raises:
        LosscopeError: a side has more or fewer labels than rows, or the two sides of pairs differ.
    """
    of_pairs = []
    for own, side, rows, name in zip(labels, (join.first, join.second), join.rows, draft.modalities):
        if own is None:
            continue
        require(
            len(own) == rows,
            f"{draft.name} has {len(own):,} labels of {name} for {rows:,} rows; wanted: one each",
        )
        of_pairs.append(own[side])
    if len(of_pairs) == 2:
        differ = int((of_pairs[0].astype(str) != of_pairs[1].astype(str)).sum())
        require(
            not differ,
            f"{draft.name}: the labels of {' and '.join(draft.modalities)} differ in {differ:,} of "
            f"{len(join.first):,} pairs; wanted: rows that belong together, or ids to join them by",
        )
    return of_pairs[0] if of_pairs else None


def _all_alone(labels: np.ndarray) -> bool:
    """Whether the labels are no classes but numbers of the rows: more than one, and each once."""
    return len(labels) > 1 and len(np.unique(labels)) == len(labels)


def _by_item(draft: Draft) -> None:
    """Make each item a class of its own: rows joined by an equal row, or by an id, are one item."""
    assert draft.second is not None
    numbered = (
        "labels stand once each: they are taken for numbers of the items. "
        if draft.labels is not None
        else ""
    )
    items = draft.items
    if items is None:
        items = np.stack([_numbers(draft.inputs), _numbers(draft.second)], 1)
        for side, name in enumerate(draft.modalities):
            if repeated := len(items) - len(np.unique(items[:, side])):
                draft.notes.append(f"{repeated:,} of {len(items):,} rows of {name} repeat another: one item")
                draft.items = items
    draft.by_item = True
    draft.labels = item_groups(items)
    draft.class_names, draft.fine_labels = (), None
    draft.notes.append(
        f"{numbered}there are no classes: an item of {draft.modalities[0]} belongs to its own "
        f"{draft.modalities[1]}, and the others of a batch are its negatives"
    )


def check_options(draft: Draft, *, explicit: str | None, label_noise: float) -> None:
    """Raise for options that two modalities, or pairs without classes, give no meaning to."""
    require(
        explicit is None,
        f"{draft.name} has two modalities, whose rows are joined in the file; --pairs and --triplets join "
        "rows of one. Wanted: ids of both modalities (a row may have several partners), or one modality",
    )
    require(
        not (draft.by_item and label_noise),
        f"{draft.name} has pairs without classes; label_noise redraws classes and wants labels",
    )


def item_groups(items: np.ndarray) -> np.ndarray:
    """A number (N,) for each pair, equal for pairs that share an item (N, 2) of either side.

    >>> item_groups(np.array([[0, 0], [0, 1], [1, 2]])).tolist()
    [0, 0, 1]
    """
    first, second = (np.unique(side, return_inverse=True)[1] for side in items.T)
    count = int(first.max(initial=-1)) + 1
    links = np.stack([first, count + second], 1)
    return components(links, count + int(second.max(initial=-1)) + 1)[first]


def _numbers(array: np.ndarray) -> np.ndarray:
    """(N,) a number for each row, equal for rows of equal bytes."""
    seen: dict[bytes, int] = {}
    rows = np.ascontiguousarray(array)
    digests = (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows)
    return np.array([seen.setdefault(digest, len(seen)) for digest in digests], np.int64)


def _empty(array: np.ndarray) -> np.ndarray:
    """Which rows are all NaN: a missing modality."""
    return (
        np.isnan(array.reshape(len(array), -1)).all(1)
        if array.dtype.kind == "f"
        else np.zeros(len(array), bool)
    )


def _keep_complete(draft: Draft, roles: np.ndarray | None) -> np.ndarray | None:
    """Leave out the pairs that lack a modality, counted; raise if a class loses all of one."""
    assert draft.second is not None
    lacks = [_empty(draft.inputs), _empty(draft.second)]
    missing = lacks[0] | lacks[1]
    if not missing.any():
        return roles
    require(
        draft.labels is None or len(draft.labels) == len(missing),
        f"{draft.name}: {int(missing.sum()):,} of {len(missing):,} pairs lack a modality; wanted: complete "
        "pairs, or one label per pair, so that the others can be left out",
    )
    for lack, name in zip(lacks, draft.modalities, strict=True):
        if lack.any():
            draft.left_out.append(LeftOut(int(lack.sum()), "pairs", f"without {name} (all NaN)"))
        if draft.labels is not None and not _all_alone(draft.labels):
            _refuse_lost_class(draft, lack, name)
    for field in ("inputs", "labels", "fine_labels", "groups", "second", "names", "items", "fold"):
        if (array := getattr(draft, field)) is not None and len(array) == len(missing):
            setattr(draft, field, array[~missing])
    if draft.tags is not None:
        draft.tags = draft.tags.take(~missing)
    return roles[~missing] if roles is not None and len(roles) == len(missing) else roles


def _refuse_lost_class(draft: Draft, lack: np.ndarray, name: str) -> None:
    assert draft.labels is not None
    for label in np.unique(draft.labels[lack]):
        if lack[draft.labels == label].all():
            named = bool(draft.class_names) and np.issubdtype(draft.labels.dtype, np.integer)
            said = draft.class_names[label] if named else str(label)
            raise LosscopeError(
                f"{draft.name}: class {said!r} has no {name} at all; wanted: both modalities in every class"
            )
