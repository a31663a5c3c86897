"""Texts of a table or of the hub, for a text model: with classes, as pairs, or as triplets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles
from losscope.data.base import Draft, LeftOut
from losscope.data.labels import listed
from losscope.data.readers.arrays import FINE, GROUPS, LABELS, SPLITS
from losscope.data.readers.cells import restored
from losscope.data.readers.columns import MAYBE_SPLITS, PATHS, decide
from losscope.data.readers.files import TABLES, is_table, open_table
from losscope.data.readers.gallery import Asked, marks_of, set_marks
from losscope.data.readers.text_columns import PAIRS, TEXTS, TextColumns, text_columns
from losscope.data.readers.tuple_columns import ORDERED, told_same
from losscope.data.readers.tuples import checked_pairs, checked_triplets, components
from losscope.data.roles import is_split, role_of, set_role

_TEXT_NAMES = {
    *TEXTS,
    *(name for pair in PAIRS for name in pair),
    *(name for names in ORDERED for name in names),
}
IDS = ("id", "_id", "text_id", "name")
"""Columns that name the rows, where each value stands once."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts as their reader found them.

    ``draft`` is the data set whose ``inputs`` (N, 1) are positions in ``texts``, which are different from
    each other. ``sides`` says of each text whether it asks (``query``) or is searched (``document``), or ""
    where this is not told. ``of_pairs``: labels number the texts that belong together, and there are no
    classes.
    """

    draft: Draft
    texts: tuple[str, ...]
    sides: tuple[str, ...]
    of_pairs: bool = False


@dataclass(frozen=True)
class _Wanted:
    """What the user says of the columns."""

    inputs: str | None = None
    second: str | None = None
    labels: str | None = None
    fine: str | None = None
    group: str | None = None
    split: str | None = None
    skip_bad: bool = False
    asked: Asked = field(default_factory=Asked)

    @property
    def taken(self) -> tuple[str, ...]:
        """The columns that are named for something other than texts."""
        given = (self.labels, self.fine, self.group, self.split)
        marks = (self.asked.role, self.asked.query, self.asked.gallery, self.asked.camera)
        return tuple(name for name in (*given, *marks) if name is not None)


def texts(
    path: Path,
    *,
    inputs: str | None = None,
    second: str | None = None,
    labels: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    split: str | None = None,
    encoding: str | None = None,
    skip_bad: bool = False,
    role: str | None = None,
    query: str | None = None,
    gallery: str | None = None,
    camera: str | None = None,
    same_camera: str | None = None,
) -> Texts:
    """The texts of a CSV, JSON lines or parquet table.

    Columns of texts are found by their names (see ``text_columns``) or named by ``inputs`` and ``second``;
    the other options are those of a table of features. ``skip_bad`` leaves out rows without a text, counted.

    Raises LosscopeError for what is no table, no or several columns of texts, and empty texts.
    """
    require(
        path.is_file() and is_table(path),
        f"{str(path)!r} is {'a folder' if path.is_dir() else 'no table'}, and the backbone is a text "
        "model; wanted: "
        f"a table ({', '.join(TABLES)}) or hf:owner/name with a column of texts; for images and sounds a "
        "model "
        "of these",
    )
    given = [name.lower() for name in (inputs, second, labels, fine, group, split) if name is not None]
    as_text = {*LABELS, *FINE, *GROUPS, *SPLITS, *MAYBE_SPLITS, *PATHS}
    opened = open_table(path, {*as_text, *_TEXT_NAMES, *IDS, *given}, encoding)
    frame = opened.frame.reset_index(drop=True)
    wanted = _Wanted(
        inputs, second, labels, fine, group, split, skip_bad, Asked(role, query, gallery, camera, same_camera)
    )
    for name in frame.columns:
        if name.lower() in as_text or name in wanted.taken:
            frame[name] = restored(frame[name])
    return made(frame, wanted, path.name, str(path), opened.notes)


def hub_texts(
    name: str,
    *,
    inputs: str | None = None,
    second: str | None = None,
    labels: str | None = None,
    fine: str | None = None,
    group: str | None = None,
    config: str | None = None,
    skip_bad: bool = False,
) -> Texts:
    """The texts of ``owner/name`` of the hub, all its splits; columns as in a table.

    Raises as ``texts`` does, and where the data set can neither be found here nor fetched.
    """
    from losscope.data.readers import hub

    splits = hub.downloaded(name, config)
    parts = {part: table for part, table in splits.items() if role_of(part) is not None} or splits
    frame, split = _joined(parts)
    classes = {
        key: tuple(feature.names)
        for key, feature in next(iter(parts.values())).features.items()
        if hasattr(feature, "names")
    }
    label = labels or next((key for key in classes if key.lower() in LABELS), next(iter(classes), None))
    wanted = _Wanted(inputs, second, labels, fine, group, split, skip_bad)
    columns = text_columns(
        frame, f"hf:{name}", inputs=inputs, second=second, labels=labels, taken=wanted.taken
    )
    unsaid = 0
    if len(columns.names) == 1:
        wanted = replace(wanted, labels=label)
    elif columns.same is not None:
        # Beside a pair of texts a label says same or different, and -1 that this is not known.
        lacking = (frame[columns.same] == -1).to_numpy(bool)
        unsaid, frame = int(lacking.sum()), frame[~lacking].reset_index(drop=True)
    found = made(frame, wanted, f"hf:{name}", f"huggingface.co/datasets/{name}", ())
    if wanted.labels in classes and found.draft.labels is not None:
        found.draft.class_names = classes[wanted.labels]
    found.draft.title = f"{name} of the Hugging Face hub"
    if unsaid:
        found.draft.left_out.append(LeftOut(unsaid, "pairs", "without a word on same or different (-1)"))
    found.draft.left_out += [
        LeftOut(len(table), "rows", f"of the split {part}")
        for part, table in splits.items()
        if part not in parts
    ]
    return found


def _joined(parts: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The splits of a data set of the hub below each other, and the column that names them, if one does."""
    import pandas as pd

    features = next(iter(parts.values())).features
    plain = [key for key, feature in features.items() if type(feature).__name__ in ("Value", "ClassLabel")]
    frame = pd.concat(
        [table.select_columns(plain).to_pandas() for table in parts.values()], ignore_index=True
    )
    if len({role_of(part) for part in parts}) < 2:
        return frame, None
    split = next(word for word in ("split", "part", "part of the hub") if word not in frame.columns)
    frame[split] = np.repeat(list(parts), [len(table) for table in parts.values()])
    return frame, split


def made(frame: Any, wanted: _Wanted, name: str, origin: str, notes: Sequence[str]) -> Texts:
    """The texts of a frame (pandas), by the columns that it has and the user names."""
    where = repr(origin)
    columns = text_columns(
        frame, where, inputs=wanted.inputs, second=wanted.second, labels=wanted.labels, taken=wanted.taken
    )
    frame, left = _filled(frame, columns, where, wanted.skip_bad)
    numbers, entries = _numbered(frame, columns)
    draft = Draft(
        name,
        f"texts of {name}",
        "features",
        numbers[0][:, None].astype(np.float32),
        None,
        origin=origin,
        left_out=left,
        notes=[columns.said, *notes],
    )
    if len(numbers) == 1:
        _as_rows(draft, frame, columns.names[0], wanted, where)
        of_pairs = False
    else:
        draft.inputs = np.arange(len(entries), dtype=np.float32)[:, None]
        of_pairs = _as_tuples(draft, frame, columns, numbers, wanted, where)
        _set_sides(draft, frame, columns, numbers, [side for _, side in entries], wanted, where)
    return Texts(draft, tuple(text for text, _ in entries), tuple(side for _, side in entries), of_pairs)


def _filled(frame: Any, columns: TextColumns, where: str, skip_bad: bool) -> tuple[Any, list[LeftOut]]:
    """The rows that have a text in each column; the others counted, or refused."""
    empty = np.zeros(len(frame), bool)
    for name in columns.names:
        cells = frame[name]
        strange = next((cell for cell in cells.dropna() if not isinstance(cell, str)), None)
        if strange is not None:
            raise LosscopeError(
                f"column {name!r} of {where} holds values of type {type(strange).__name__} beside texts; "
                "wanted: a "
                "text in each row"
            )
        empty |= (cells.isna() | (cells.fillna("").str.strip() == "")).to_numpy(bool)
    count = int(empty.sum())
    if not count:
        return frame, []
    first = ", ".join(map(str, np.flatnonzero(empty)[:3].tolist())) + (", …" if count > 3 else "")
    require(
        skip_bad,
        f"{count:,} of {len(empty):,} rows of {where} have no text (rows {first}, counted from 0); "
        "wanted: a text "
        "in each row, or --skip-bad to leave these out",
    )
    require(count < len(empty), f"none of the {len(empty):,} rows of {where} has a text")
    return frame[~empty].reset_index(drop=True), [LeftOut(count, "rows", "without a text")]


def _numbered(frame: Any, columns: TextColumns) -> tuple[list[np.ndarray], list[tuple[str, str]]]:
    """Each column's texts as numbers (N,), and the different texts with their sides in their first order."""
    places: dict[tuple[str, str], int] = {}
    numbers = []
    for place, name in enumerate(columns.names):
        side = ("document" if place else "query") if columns.asked else ""
        cells = frame[name].tolist()
        numbers.append(np.array([places.setdefault((text, side), len(places)) for text in cells], np.int64))
    return numbers, list(places)


def _as_rows(draft: Draft, frame: Any, column: str, wanted: _Wanted, where: str) -> None:
    """A row for each text, with its label."""
    marks = marks_of(
        [name for name in frame.columns if name != column],
        lambda name: frame[name].to_numpy(),
        wanted.asked,
        len(frame),
        positions=False,
    )
    decided = decide(
        frame,
        where,
        marks=marks.columns,
        inputs=column,
        labels=wanted.labels,
        fine=wanted.fine,
        group=wanted.group,
        split=wanted.split,
        header=True,
    )
    draft.labels, draft.fine_labels, draft.groups = (
        None if name is None else listed(frame[name].tolist())
        for name in (decided.label, decided.fine, decided.group)
    )
    draft.left_out += decided.left_out
    draft.notes += decided.notes[1:]
    draft.by_group = wanted.group is not None
    ids = next((name for name in frame.columns if name.lower() in IDS and name != column), None)
    if ids is not None and frame[ids].notna().all() and frame[ids].nunique() == len(frame):
        draft.names = listed(frame[ids].map(str).tolist())
    draft.no_labels = (
        f"{where} has texts and no label column; wanted: a column named label, or option labels, or a "
        "second column "
        "of texts that belong to the first (anchor and positive, or -o inputs=NAME -o second=NAME); it has "
        f"{', '.join(frame.columns[:8])}"
    )
    if decided.split is not None:
        set_role(draft, _split(frame, decided.split), decided.split)
    set_marks(draft, marks)


def _as_tuples(
    draft: Draft, frame: Any, columns: TextColumns, numbers: list[np.ndarray], wanted: _Wanted, where: str
) -> bool:
    """A row for each different text, with explicit pairs or triplets; or with a label for those of a pair.

    Returns whether the labels are such.
    """
    given = {"labels": wanted.labels, "fine": wanted.fine, "group": wanted.group}
    named = next((option for option, name in given.items() if name is not None), None)
    require(
        named is None,
        f"{where} gives texts that belong together, to which option {named} says nothing; wanted: without "
        "it, or one "
        "column of texts (-o inputs=NAME)",
    )
    count = len(draft.inputs)
    tuples = "triplets" if len(numbers) == 3 else "pairs"
    draft.notes.append(f"{len(frame):,} {tuples} of {count:,} different texts")
    if len(numbers) == 3:
        draft.triplets = np.stack(numbers, 1)
        draft.notes += checked_triplets(draft.triplets, where)
        return False
    if columns.same is not None:
        same, notes = told_same(frame[columns.same].to_numpy(), columns.inverted, columns.same, where)
        draft.notes += notes
        if not same.all():
            draft.pairs = np.stack([*numbers, same], 1)
            draft.notes += checked_pairs(draft.pairs, where)
            return False
        draft.notes.append(f"all pairs are the same by {columns.same!r}")
    draft.labels = components(np.stack(numbers, 1), count)
    draft.by_item = True
    largest = int(np.bincount(draft.labels).max())
    require(
        2 * largest <= count or count < 8,
        f"{where}: texts that stand in several pairs join {largest:,} of {count:,} texts to one item; "
        "wanted: pairs "
        "without texts that belong to everything",
    )
    more = f", the largest of {largest:,} texts" if largest > 10 else ""
    draft.notes.append(
        "there are no classes: texts that pairs join are one item, and the other texts of a batch are its "
        f"negatives; {int(draft.labels.max()) + 1:,} items{more}"
    )
    equal = int((frame[columns.names[0]] == frame[columns.names[1]]).sum())
    if equal:
        draft.notes.append(f"{equal:,} of {len(frame):,} pairs are of a text with itself")
    return True


def _set_sides(
    draft: Draft,
    frame: Any,
    columns: TextColumns,
    numbers: list[np.ndarray],
    sides: list[str],
    wanted: _Wanted,
    where: str,
) -> None:
    """Which texts ask and are searched, and their parts by a split column; the other columns are counted."""
    if columns.asked:
        asks = np.array([side == "query" for side in sides])
        draft.retrieval = Roles(asks, ~asks)
    split = wanted.split or next(
        (
            name
            for name in frame.columns
            if name.lower() in (*SPLITS, *MAYBE_SPLITS) and is_split(frame[name], name)
        ),
        None,
    )
    unused = [name for name in frame.columns if name not in (*columns.names, columns.same, split)]
    if unused:
        what = "column" if len(unused) == 1 else "columns"
        draft.left_out.append(LeftOut(len(unused), what, f"beside the texts ({', '.join(unused[:8])})"))
    if split is None:
        return
    words = _split(frame, split)
    of_text = np.full(len(sides), None, object)
    for column in numbers:
        of_text[column[::-1]] = words[::-1]
    torn = np.zeros(len(sides), bool)
    for column in numbers:
        torn[column] |= words != of_text[column]
    require(
        not torn.any(),
        f"{where} leaks: {int(torn.sum()):,} of {len(sides):,} texts stand in several parts by {split!r}; "
        "wanted: "
        "each text in one part, or a table without such a column, whose pairs are then split whole",
    )
    set_role(draft, of_text, split)


def _split(frame: Any, name: str) -> np.ndarray:
    """The words of a split column, of which none may be empty."""
    empty = int(frame[name].isna().sum())
    require(
        not empty,
        f"column {name!r} is empty in {empty:,} of {len(frame):,} rows; wanted: train, validation or test "
        "in each",
    )
    return frame[name].to_numpy()
