"""Query and gallery as files have them: columns, arrays, and the flat folders of person re-identification."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import BACKGROUND, Roles, SameCamera, checked_roles, same_camera_rule
from losscope.data.base import TEST, Draft, LeftOut
from losscope.data.readers.files import Arrays, found
from losscope.data.readers.walking import passed_over
from losscope.data.roles import role_of, set_role
from losscope.data.searching import (
    WORDS,
    make_background,
    mask,
    numbered_cameras,
    searched_by_words,
    set_searched,
)

ROLE = ("role", "roles")
QUERIES = ("is_query", "query", "query_index")
GALLERIES = ("is_gallery", "gallery", "gallery_index")
CAMERAS = ("camera", "cameras", "cam", "cams", "camid", "camids", "cam_id", "camera_id")
RULE = "same_camera"


@dataclass(frozen=True)
class Asked:
    """What a user says of query and gallery: names of columns or arrays, and the rule."""

    role: str | None = None
    query: str | None = None
    gallery: str | None = None
    camera: str | None = None
    same_camera: str | None = None


@dataclass(frozen=True, eq=False)
class Marks:
    """What a file says of query and gallery: columns as they are, and what each is with its name."""

    role: np.ndarray | None = None
    query: np.ndarray | None = None
    gallery: np.ndarray | None = None
    camera: np.ndarray | None = None
    same_camera: SameCamera | None = None
    columns: tuple[tuple[str, str], ...] = ()

    def take(self, rows: np.ndarray) -> Marks:
        """The marks of the given rows, where each column has one per row."""

        def cut(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        role, query, gallery, camera = map(cut, (self.role, self.query, self.gallery, self.camera))
        return dataclasses.replace(self, role=role, query=query, gallery=gallery, camera=camera)


def marks_of(
    names: list[str], column: Callable[[str], np.ndarray], asked: Asked, rows: int, *, positions: bool
) -> Marks:
    """The marks in a file whose columns are got by name; a column of a usual name counts if it can be read.

    Args:
        names: of the columns.
        column: gives the one of a name.
        asked: what the user says.
        rows: of the data.
        positions: whether row numbers may stand for marks.
    """
    lower = {name.lower(): name for name in names}

    def chosen(given: str | None, usual: tuple[str, ...]) -> tuple[str, np.ndarray] | None:
        if given is not None:
            require(
                given in names, f"there is no column or array {given!r}; choices: {', '.join(names[:20])}"
            )
            return given, column(given)
        name = next((lower[word] for word in usual if word in lower), None)
        return None if name is None else (name, column(name))

    taken: dict[str, tuple[str, np.ndarray]] = {}
    for what, usual in (("role", ROLE), ("query", QUERIES), ("gallery", GALLERIES), ("camera", CAMERAS)):
        given = getattr(asked, what)
        if (pair := chosen(given, usual)) is None:
            continue
        name, values = pair
        if what == "role" and given is None and not _names_roles(values):
            continue
        if what in ("query", "gallery"):
            if (
                given is None
                and not name.lower().startswith("is_")
                and not _markable(values, rows, positions)
            ):
                continue
            values = mask(values, name, rows, positions)
        taken[what] = name, values
    rule = asked.same_camera
    return Marks(
        **{what: values for what, (_, values) in taken.items()},
        same_camera=None if rule is None else same_camera_rule(rule),
        columns=tuple((what, name) for what, (name, _) in taken.items()),
    )


def _names_roles(values: np.ndarray) -> bool:
    """Whether a column named role speaks of retrieval: a word of it does."""
    return values.ndim == 1 and bool(np.isin(_words(values), list(WORDS)).any())


def _words(values: np.ndarray) -> np.ndarray:
    return np.char.lower(np.char.strip(values.astype(str)))


def _markable(values: np.ndarray, rows: int, positions: bool) -> bool:
    try:
        mask(values, "", rows, positions)
    except LosscopeError:
        return False
    return True


def set_marks(draft: Draft, marks: Marks) -> None:
    """Set the draft's queries, gallery and cameras from what the file says, if it says anything.

    A split that the draft has already stays; without one, rows with a role are the test part.

    Raises:
        LosscopeError: words that are no roles, a role without its counterpart, a rule without cameras.
    """
    if marks.role is not None:
        _set_role_words(draft, np.char.strip(marks.role.astype(str)))
    if marks.query is not None or marks.gallery is not None:
        if draft.role is None:
            marked = np.any([column for column in (marks.query, marks.gallery) if column is not None], axis=0)
            if marked.all():
                _all_search(draft)
            else:
                set_role(draft, marked)
        set_searched(draft, marks.query, marks.gallery)
    rule = marks.same_camera
    if draft.retrieval is None and rule not in (None, "keep"):
        every = np.ones(len(draft.inputs), bool)
        draft.retrieval = Roles(every, every)
    if draft.retrieval is None:
        return
    roles = draft.retrieval
    if marks.camera is None:
        draft.retrieval = Roles(roles.query, roles.gallery, None, rule or "keep")
        return
    cameras = numbered_cameras(marks.camera, roles.query | roles.gallery, "the column of cameras")
    draft.retrieval = Roles(roles.query, roles.gallery, cameras, rule or "keep")
    if rule is None:
        draft.notes.append(
            "there are cameras, and a query may find items of its own: option same_camera=junk leaves those "
            "of its class out, same_camera=skip all of them, same_camera=keep says that this is wanted"
        )


def _all_search(draft: Draft) -> None:
    """Every row is a query or of the gallery: such a file can be inspected, and not trained on."""
    draft.role = np.full(len(draft.inputs), TEST, np.int8)


def _set_role_words(draft: Draft, written: np.ndarray) -> None:
    """Set roles from a column of words; it is the split too where there is no other."""
    words = np.char.lower(written)
    if draft.role is None:
        empty = int(np.isin(words, ("", "nan", "none", "<na>")).sum())
        require(
            not empty,
            f"{draft.name}: the role is empty in {empty:,} of {len(words):,} rows, and there is no split; "
            "wanted: train, query or gallery in each",
        )
        if np.isin(words, list(WORDS)).all():
            _all_search(draft)
            searched_by_words(draft, words)
        else:
            set_role(draft, written)
        return
    known = {word for word in words.tolist() if role_of(word) is not None}
    strange = sorted(
        word for word in set(written.tolist()) if word.lower() not in known | {"", "nan", "none", "<na>"}
    )
    require(
        not strange,
        f"{draft.name}: unknown role {', '.join(map(repr, strange[:3]))}; choices: query, gallery, both, "
        "distractor, junk, or empty",
    )
    searched_by_words(draft, words)


PARTS = {
    "train": "train",
    "query": "query",
    "probe": "query",
    "q": "query",
    "gallery": "gallery",
    "g": "gallery",
}
COLUMNS = {
    "features": ("features", "feature", "feats", "feat", "embeddings", "embedding", "f", "x"),
    "labels": ("labels", "label", "pids", "pid", "ids", "id", "y"),
    "camera": ("camera", "cameras", "cam", "cams", "camids", "camid"),
}
JOINED = re.compile(r"^(train|query|probe|gallery|q|g)_?([a-z]+)$", re.IGNORECASE)


def joined(arrays: Arrays, path: Path) -> Arrays:
    """The arrays of a file with one array for each part (query_features, gallery_labels, …) as one each.

    A file without query features and gallery features stays as it is. Otherwise it gets ``features``,
    ``labels`` and ``role``, and ``camera`` where each part has one.

    Raises:
        LosscopeError: a part that lacks what another has, or whose arrays are of unequal length.
    """
    parts: dict[str, dict[str, str]] = {}
    for name in arrays:
        if match := JOINED.match(name):
            for what, usual in COLUMNS.items():
                if match[2].lower() in usual:
                    parts.setdefault(PARTS[match[1].lower()], {}).setdefault(what, name)
    if not all("features" in parts.get(part, {}) for part in ("query", "gallery")):
        return arrays
    there = [part for part in ("train", "query", "gallery") if "features" in parts.get(part, {})]
    merged: dict[str, np.ndarray] = {}
    for what in COLUMNS:
        lacking = [part for part in there if what not in parts[part]]
        if what == "camera" and not {"query", "gallery"}.isdisjoint(lacking):
            continue
        require(
            not set(lacking) - ({"train"} if what == "camera" else set()),
            f"{str(path)!r} has no {what} of {', '.join(lacking)}; wanted: an array such as "
            f"{lacking[0] if lacking else ''}_{what} beside "
            f"{', '.join(parts[part]['features'] for part in there)}",
        )
        columns = []
        for part in there:
            count = len(arrays[parts[part]["features"]])
            values = arrays[parts[part][what]] if part not in lacking else np.full(count, "")
            values = values.reshape(-1) if what != "features" and 1 in values.shape else values
            if len(values) != count:
                raise LosscopeError(
                    f"{str(path)!r}: {parts[part][what]} has {len(values):,} rows and "
                    f"{parts[part]['features']} {count:,}; wanted: as many of each"
                )
            columns.append(values.astype(str) if lacking else values)
        merged[what] = np.concatenate(columns)
    merged["role"] = np.repeat(there, [len(arrays[parts[part]["features"]]) for part in there])
    used = {name for part in there for name in parts[part].values()}
    return {**{name: arrays[name] for name in arrays if name not in used}, **merged}


def marks_in(arrays: Arrays, asked: Asked, rows: int) -> Marks:
    """The marks among the arrays of a file; its text same_camera is the rule unless the user says one."""
    if asked.same_camera is None and RULE in arrays and not arrays[RULE].shape:
        asked = dataclasses.replace(asked, same_camera=str(arrays[RULE]))
    return marks_of(list(arrays), lambda name: arrays[name], asked, rows, positions=True)


def roles_of(
    arrays: Arrays,
    labels: np.ndarray,
    name: str,
    same_camera: str | None,
    kept: np.ndarray,
) -> tuple[np.ndarray, Roles | None]:
    """The roles of a file of embeddings, if it has any, and its labels as given but -1 for its distractors.

    ``labels`` int64 (N,), -1 is background; ``kept`` (N,): the rows that are not left out, which must hold
    a query with a right answer.
    """
    rows = len(labels)
    draft = Draft(name, name, "features", np.empty((rows, 1), np.float32), labels)
    key = found(arrays, ("split", "splits"))
    marks = marks_in(arrays, Asked(same_camera=same_camera), rows)
    split = np.full(rows, "test") if key is None or arrays[key].shape != (rows,) else _words(arrays[key])
    if marks.role is not None:
        split = _words(marks.role)
    # Whatever word is no part is of the rows that are measured.
    parts = [role_of(word) for word in split.tolist()]
    draft.role = np.array([TEST if part is None else part for part in parts], np.int8)
    searched_by_words(draft, split)
    set_marks(draft, marks)
    if draft.retrieval is None:
        return labels, None
    assert draft.labels is not None
    # The draft numbers the classes anew where there are distractors; the file's own numbers stay.
    labels = np.where(draft.labels < 0, BACKGROUND, labels)
    asked = draft.retrieval.take(np.flatnonzero(kept))
    require(asked is not None, f"{name!r}: no query has a label; wanted: queries with labels")
    assert asked is not None
    checked_roles(repr(name), asked, labels[kept])
    return labels, draft.retrieval


REID = re.compile(r"^(-?\d+)_c(\d+)", re.IGNORECASE)
FLAT = {
    "bounding_box_train": "train",
    "image_train": "train",
    "train": "train",
    "bounding_box_test": "gallery",
    "image_test": "gallery",
    "test": "gallery",
    "gallery": "gallery",
    "query": "query",
    "image_query": "query",
    "probe": "query",
}
"""Folders of Market-1501, DukeMTMC and VeRi, whose file names give identity and camera."""


@dataclass(eq=False)
class Flat:
    """The files of a flat layout with what their names say of them."""

    files: list[Path]
    labels: np.ndarray
    cameras: np.ndarray
    parts: np.ndarray
    distractors: np.ndarray
    left_out: list[LeftOut]

    def describe(self, draft: Draft, rows: np.ndarray, same_camera: str | None) -> None:
        """Set labels, parts and roles of a draft of the given rows of these."""
        set_role(draft, self.parts[rows])
        make_background(draft, self.distractors[rows])
        rule = same_camera_rule(same_camera or "junk")
        assert draft.retrieval is not None
        roles = draft.retrieval
        draft.retrieval = Roles(roles.query, roles.gallery, self.cameras[rows], rule)
        draft.left_out += self.left_out
        draft.notes.append(
            "identities and cameras are read from the file names (0002_c1…): -1 is junk, 0 in the gallery a "
            f"distractor; same_camera is {rule}{'' if same_camera else ', as the data set has it'}"
        )


def flat(path: Path, suffixes: tuple[str, ...]) -> Flat | None:
    """The files of a folder in Market-1501's layout, or None if it is no such folder.

    That is: a folder of queries beside others, with files and without class folders, of which the file names
    begin with identity and camera as 0002_c1.

    Raises:
        LosscopeError: some files are named so and others are not.
    """
    homes = {home: FLAT[home.name.lower()] for home in sorted(path.iterdir()) if home.name.lower() in FLAT}
    if not {"query", "gallery"} <= set(homes.values()) or not all(home.is_dir() for home in homes):
        return None
    files, parts = [], []
    for home, part in homes.items():
        if any(item.is_dir() and not passed_over(item.name) for item in home.iterdir()):
            return None
        own = sorted(
            file for file in home.iterdir() if file.suffix.lower() in suffixes and file.name[0] != "."
        )
        files += own
        parts += [part] * len(own)
    matches = [REID.match(file.name) for file in files]
    strange = [str(file.relative_to(path)) for file, match in zip(files, matches) if match is None]
    require(
        not strange,
        f"{str(path)!r} has {len(strange):,} of {len(files):,} files without class folder whose names "
        f"give no identity and camera ({', '.join(strange[:3])}); wanted: PART/CLASS/FILE, or names such as "
        "0002_c1s1_000451_03.jpg",
    )
    labels = np.array([int(match[1]) for match in matches if match], np.int64)
    cameras = np.array([int(match[2]) for match in matches if match], np.int64)
    kept = labels != BACKGROUND
    role = np.array(parts)
    asked = set(labels[role == "query"].tolist())
    lone = (labels == 0) & (role == "gallery") & (0 not in asked)
    out = [LeftOut(int((~kept).sum()), "files", "of identity -1 (junk)")] if not kept.all() else []
    out += _others(path, homes, suffixes)
    chosen = [file for file, keep in zip(files, kept) if keep]
    return Flat(chosen, labels[kept], cameras[kept], role[kept], lone[kept], out)


def _others(path: Path, homes: dict[Path, str], suffixes: tuple[str, ...]) -> list[LeftOut]:
    """What lies in other folders beside the three, counted by folder."""
    found = []
    for home in sorted(path.iterdir()):
        if home.is_dir() and home not in homes and not passed_over(home.name):
            count = sum(file.suffix.lower() in suffixes for file in home.rglob("*"))
            if count:
                found.append(LeftOut(count, "files", f"in {home.name}"))
    return found
