"""The rows that are inspected: a file by the readers of all data, or what a Python program hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import BACKGROUND, Roles
from losscope.core.results import Item
from losscope.data import health
from losscope.data.base import TEST, Draft
from losscope.data.labels import understood
from losscope.data.loading import undecoded
from losscope.data.plain import column, plain_values
from losscope.data.readers import hub
from losscope.data.readers.arrays import NAMES, read_arrays
from losscope.data.readers.files import found, is_table, open_table
from losscope.data.readers.given import array_of, frame_of, is_frame
from losscope.data.readers.paths import ARRAYS
from losscope.data.readers.tables import Framed, table
from losscope.data.roles import set_role
from losscope.data.tags import several
from losscope.inspecting.stored import draft_of_run, is_run

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

IDS = ("ids", "id", *NAMES)
"""Arrays and columns that tell the items apart, the first of them that there is."""


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows that have a finite vector, and a class where there are labels.

    ``vectors`` float32 (N, D). Of what is right for a query one at most is there: ``labels`` int64 (N,),
    positions in ``classes``, -1 for a distractor of the gallery; ``tags`` boolean (N, C), sparse, the labels
    of rows that have several (right is what shares one; ``classes`` names them); ``matches`` boolean (N, N),
    sparse, row by query and column by gallery item. ``roles``: which rows ask and which are searched, None
    where all search all others. ``ids`` (N,) text, ``every_id`` those of the whole file; ``test`` (N,) which
    rows are the test part of a split; ``places`` (N,) where the rows stand in the file, counted from 0, and
    ``parts`` (N,) in which of two files. ``not_finite``, ``unlabelled``, ``unmatched``: rows of the file that
    are not among them, the last because a second file lacks them.
    """

    name: str
    vectors: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    places: np.ndarray
    ids: np.ndarray | None = None
    every_id: frozenset[str] = frozenset()
    test: np.ndarray | None = None
    tags: csr_matrix | None = None
    matches: csr_matrix | None = None
    roles: Roles | None = None
    parts: np.ndarray | None = None
    not_finite: int = 0
    unlabelled: int = 0
    unmatched: int = 0
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def total(self) -> int:
        """The rows of the file."""
        return len(self) + self.not_finite + self.unlabelled

    @property
    def answerable(self) -> bool:
        """Whether it is known what is right for a query."""
        return self.labels is not None or self.tags is not None or self.matches is not None

    def item(self, row: int) -> Item:
        """What a person is told of a row."""
        labels: list[str] = []
        if self.labels is not None and self.labels[row] >= 0:
            labels = [self.classes[self.labels[row]]]
        elif self.tags is not None:
            labels = [self.classes[place] for place in np.sort(self.tags[row].indices)]
        return Item(
            row=int(self.places[row]),
            id=None if self.ids is None else str(self.ids[row]),
            label=" + ".join(labels) or None,
            part=None if self.parts is None else PARTS[self.parts[row]],
        )

    def take(self, rows: np.ndarray) -> Rows:
        """The given rows in that order."""
        return replace(
            self,
            vectors=self.vectors[rows],
            labels=None if self.labels is None else self.labels[rows],
            places=self.places[rows],
            ids=None if self.ids is None else self.ids[rows],
            test=None if self.test is None else self.test[rows],
            tags=None if self.tags is None else self.tags[rows],
            matches=None if self.matches is None else self.matches[rows][:, rows],
            roles=None if self.roles is None else self.roles.take(rows),
            parts=None if self.parts is None else self.parts[rows],
        )


PARTS: tuple[Literal["query"], Literal["gallery"]] = ("query", "gallery")


def read_rows(
    given: Any, labels: Any, ids: Any, split: Any, name: str, options: Mapping[str, Any] | None = None
) -> Rows:
    """The rows of a file, a data frame, or an array.

    Args:
        given: what ``losscope.read`` takes, of vectors; a data frame; or anything like an array (N, D).
        labels, ids, split: beside a file or a data frame the name of a column or array, found by the usual
            names otherwise; beside an array the values (N,), labels also (N, C) of 0 and 1, or lists.
        name: what an array is called.
        options: further options of the reader of files and of data frames.

    Raises:
        LosscopeError: what cannot be read, or holds no vectors; values where a name is wanted.
    """
    if not is_place(given) and not is_frame(given):
        return _of_arrays(given, labels, ids, split, name)
    what = f"the file {str(given)!r}" if is_place(given) else "a data frame"
    for title, value in (("labels", labels), ("ids", ids), ("split", split)):
        if value is not None and not isinstance(value, str | Path):
            raise LosscopeError(
                f"{title} are given beside {what}; wanted: the name of its array or column, or embeddings "
                "as an array too"
            )
    named = {**({"split": split} if split else {}), **(options or {})}
    if is_place(given):
        return read_file(given, labels, ids, **named)
    frame = frame_of(given)
    return _of_draft(
        table(Framed(name, frame), labels=labels, **named), name, _ids_of_frame(frame, name, ids)
    )


def is_place(given: Any) -> bool:
    """Whether this is the name of a file or data set."""
    return isinstance(given, str | Path)


def read_file(path: str | Path, labels: str | None = None, ids: str | None = None, **options: Any) -> Rows:
    """The rows of a file, or of a data set's features by name; labels are not needed.

    Args:
        path: what ``losscope.read`` takes, of vectors; or the folder of a run of a store.
        labels, ids: the column or array of each, found by the usual names otherwise.
        **options: further options of the reader.

    Raises:
        LosscopeError: a file that cannot be read, or that holds no vectors.
    """
    place = Path(path).expanduser()
    if place.is_dir() and is_run(place):
        given = {"labels": labels, "ids": ids, **options}
        named = [name for name, value in given.items() if value is not None]
        require(
            not named,
            f"{', '.join(named)} beside the run {str(path)!r}, which is read as it was kept; leave it out",
        )
        draft = draft_of_run(place)
        return _of_draft(draft, draft.name, None)
    draft, _ = undecoded(path, labels=labels, **options)
    require(
        draft.second is None,
        f"{str(path)!r} holds two modalities; wanted: one vector for each item, chosen by --option inputs=",
    )
    return _of_draft(draft, str(path), _ids_of_file(path, ids, len(draft.inputs)))


def _of_arrays(vectors: Any, labels: Any, ids: Any, split: Any, name: str) -> Rows:
    """The rows of arrays in Python: NumPy arrays, tensors, nested lists, columns of a data frame."""
    matrix = array_of(vectors, name)
    require(matrix.dtype.kind in "fiub", f"{name} are of type {matrix.dtype}; wanted: numbers (N, D)")
    own, tags = None if labels is None else array_of(labels, "the labels"), None
    count = len(matrix)
    for what, given in (("labels", labels), ("ids", ids), ("split", split)):
        if given is not None and (isinstance(given, str) or len(given) != count):
            found = f"labels={given!r}" if isinstance(given, str) else f"there are {len(given):,} {what}"
            raise LosscopeError(f"{found} for {count:,} embeddings; wanted: as many")
    if own is not None and (tags := several(own, f"labels of {name}")) is not None:
        own = tags.sets[0]
    draft = Draft(name, name, "features", matrix, own, tags=tags)
    if split is not None:
        set_role(draft, array_of(split, "the split"))
    return _of_draft(draft, name, None if ids is None else _as_ids(array_of(ids, "the ids")))


def _of_draft(draft: Draft, name: str, ids: np.ndarray | None) -> Rows:
    vectors = np.asarray(draft.inputs)
    shape = vectors.shape
    require(
        draft.kind != "images" and vectors.ndim == 2 and shape[1] > 0 and shape[0] > 1,
        f"{name} holds {'images' if draft.kind == 'images' else 'values'} of shape {shape}; wanted: "
        "embeddings (rows, dimensions), two rows at least",
    )
    finite = _finite(vectors)
    require(bool(finite.sum() > 1), f"{name}: {int(finite.sum())} of {len(finite):,} rows are finite")
    notes, kept = list(draft.notes), finite
    classes: tuple[str, ...] = ()
    numbers: np.ndarray | None = None
    tags = None
    if draft.labels is not None:
        if draft.tags is not None:
            tags, classes = draft.tags.table, draft.tags.names
            has = np.asarray(tags.any(axis=1))
        else:
            labels = understood(draft.labels, f"labels of {name}", names=draft.class_names)
            numbers, classes = labels.numbers, labels.names
            has = numbers >= 0
            notes += labels.notes
            notes += [f"{part.said} are background, which is no class" for part in labels.background]
        # A row of the gallery without a class is a distractor: ranked, and right for no query.
        kept = finite & (has if draft.retrieval is None else has | draft.retrieval.gallery)
        require(bool(kept.sum() > 1), f"{name}: {int(kept.sum())} rows have a label and a finite vector")
    places = np.flatnonzero(kept)
    every = len(places) == len(vectors)
    own, said = health.scaled(name, "embeddings", vectors if every else vectors[places])
    with np.errstate(under="ignore", over="ignore"):
        rows = np.ascontiguousarray(own, np.float32)
    if numbers is not None:
        numbers, classes = numbered(numbers[places], classes)
    test = None if draft.role is None else (np.asarray(draft.role) == TEST)[places]
    roles = None if draft.retrieval is None else draft.retrieval.take(places)
    if draft.retrieval is not None:
        require(roles is not None, f"{name}: no query has a finite vector and a label; wanted: queries")
    return Rows(
        name=name,
        vectors=rows,
        labels=numbers,
        classes=classes,
        places=places,
        ids=None if ids is None else ids[places],
        every_id=frozenset(() if ids is None else ids.tolist()),
        test=None if test is None or len(set(test.tolist())) < 2 else test,
        tags=None if tags is None else _sparse(tags[places]),
        roles=roles,
        not_finite=int((~finite).sum()),
        unlabelled=int((finite & ~kept).sum()),
        notes=tuple(dict.fromkeys((*notes, *said))),
    )


BLOCK = 2**22
"""Values that are looked at at once."""


def _finite(vectors: np.ndarray) -> np.ndarray:
    """(N,) which rows hold finite numbers alone."""
    step = max(1, BLOCK // vectors.shape[1])
    parts = [np.isfinite(vectors[at : at + step]).all(axis=1) for at in range(0, len(vectors), step)]
    return np.concatenate(parts)


def numbered(numbers: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels (N,) as positions among the classes that there are; -1 stays."""
    present, inverse = np.unique(numbers, return_inverse=True)
    lone = int(len(present) > 0 and present[0] < 0)
    return inverse.astype(np.int64) - lone, tuple(classes[k] for k in present[lone:])


def _sparse(table: np.ndarray) -> csr_matrix:
    from scipy.sparse import csr_matrix

    return csr_matrix(table)


def joined(query: Rows, gallery: Rows) -> Rows:
    """The queries of one file and the gallery of another, as rows of which these ask those.

    Raises:
        LosscopeError: vectors of other dimensions; labels in one of them alone, or of another kind.
    """
    widths = query.vectors.shape[1], gallery.vectors.shape[1]
    require(
        widths[0] == widths[1],
        f"the queries have {widths[0]:,} dimensions and the gallery {widths[1]:,}; wanted: embeddings of one "
        "model",
    )
    kinds = [(rows.labels is not None, rows.tags is not None) for rows in (query, gallery)]
    require(
        kinds[0] == kinds[1],
        f"{query.name} and {gallery.name} do not both have labels of one kind; wanted: a class for each row, "
        "or several, in both; or neither, and --relevance",
    )
    counts = len(query), len(gallery)
    asks = np.arange(sum(counts)) < counts[0]
    names = sorted({*query.classes, *gallery.classes})
    place = {name: k for k, name in enumerate(names)}
    labels, tags = None, None
    if query.labels is not None:
        labels = np.concatenate([_renamed(rows, place) for rows in (query, gallery)])
    if query.tags is not None:
        from scipy.sparse import csr_matrix, vstack

        moved = []
        for rows in (query, gallery):
            assert rows.tags is not None
            order = np.array([place[name] for name in rows.classes])
            shape = rows.tags.shape[0], len(names)
            moved.append(csr_matrix((rows.tags.data, order[rows.tags.indices], rows.tags.indptr), shape))
        tags = vstack(moved).tocsr()
    both = query.ids is not None and gallery.ids is not None
    return Rows(
        name=f"{query.name} in {gallery.name}",
        vectors=np.concatenate([query.vectors, gallery.vectors]),
        labels=labels,
        classes=tuple(names),
        places=np.concatenate([query.places, gallery.places]),
        ids=np.concatenate([query.ids, gallery.ids]) if both else None,
        every_id=query.every_id | gallery.every_id,
        tags=tags,
        roles=Roles(asks, ~asks),
        parts=(~asks).astype(np.int8),
        not_finite=query.not_finite + gallery.not_finite,
        unlabelled=query.unlabelled + gallery.unlabelled,
        notes=tuple(dict.fromkeys((*query.notes, *gallery.notes))),
    )


def _renamed(rows: Rows, place: Mapping[str, int]) -> np.ndarray:
    assert rows.labels is not None
    order = np.array([*(place[name] for name in rows.classes), BACKGROUND])
    return order[rows.labels]


def _ids_of_file(given: str | Path, name: str | None, count: int) -> np.ndarray | None:
    """The ids of a file's rows as text, None where there are none."""
    path = Path(given).expanduser()
    columns: Mapping[str, Any] = {}
    if path.is_file() and path.suffix.lower() in ARRAYS:
        columns = read_arrays(path)
    elif path.is_file() and is_table(path):
        frame = open_table(path, IDS).frame
        columns = {str(title): frame[title] for title in frame.columns}
    elif str(given).startswith("hf:") or (path.is_dir() and hub.is_saved(path)):
        columns = hub.columns(str(given), (*IDS, *([name] if name else [])))
    return _chosen_ids(columns, name, str(given), count)


def _ids_of_frame(frame: Any, where: str, name: str | None) -> np.ndarray | None:
    return _chosen_ids({str(title): frame[title] for title in frame.columns}, name, where, len(frame))


def _chosen_ids(columns: Mapping[str, Any], name: str | None, where: str, count: int) -> np.ndarray | None:
    if name is not None and name not in columns:
        raise LosscopeError(f"{where!r} has no ids {name!r}; choices: {', '.join(list(columns)[:20])}")
    chosen = name or found(columns, IDS)
    values = None if chosen is None else np.asarray(columns[chosen])
    return None if values is None or len(values) != count else _as_ids(values)


def _as_ids(values: np.ndarray) -> np.ndarray | None:
    """Ids of any kind as text (N,); None where some are missing."""
    plain = plain_values(column(values, "ids"), "ids")
    return None if plain.missing.any() else plain.values.astype(str)
