"""Runs whose embeddings were saved: each file is read, checked and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from losscope import stats
from losscope.comparing.judging.items import Items, Key, refuse_undecided, same_items, same_roles
from losscope.comparing.judging.patterns import files_of
from losscope.comparing.judging.runs import Runs, run_of
from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles
from losscope.data.labels import Labels, understood
from losscope.data.readers.arrays import (
    FINE,
    INPUTS,
    LABELS,
    NAMES,
    SPLITS,
    class_names_of,
    numbers_of,
    read_arrays,
)
from losscope.data.readers.files import Arrays, found
from losscope.data.readers.gallery import CAMERAS, GALLERIES, QUERIES, ROLE, RULE, joined, roles_of
from losscope.data.readers.modalities import HEARD_FIRST
from losscope.data.tags import SHARED, Tags, decided, several

IDS = ("ids", "id", *NAMES)
MODALITIES = ("modality", "modalities")
REFERENCE = (("reference", "train_embeddings"), ("reference_labels", "train_labels"))
"""Training embeddings and their labels, from which nearest neighbours are taken."""


@dataclass(frozen=True)
class Reading:
    """What the user says of all files: the rule of cameras, labels that are background, and missing ones.

    ``same_camera``: keep, junk or skip. ``ignore``: labels that are background like -1. ``skip_unlabelled``:
    rows without a label are left out, not refused. They mean what they mean in ``compare``.
    """

    same_camera: str | None = None
    ignore: tuple[str, ...] = ()
    skip_unlabelled: bool = False

    @property
    def given(self) -> str:
        """The first option that the user gave, by its name; empty for none."""
        said = {
            "same_camera": self.same_camera is not None,
            "ignore_label": bool(self.ignore),
            "skip_unlabelled": self.skip_unlabelled,
        }
        return next((name for name, is_given in said.items() if is_given), "")


@dataclass(frozen=True, eq=False)
class Embedded:
    """The arrays of one file, checked.

    ``embeddings`` float32 (N, D); ``labels`` int64 (N,), -1 for background; ``names``: the classes that they
    are positions in, sets of labels where rows have several, ``tags`` (N, C); ``modality`` (N,) 0 for the
    first and 1 for the second; ``fine`` (N,); ``reference``: (R, D) and (R,); ``ids`` (N,); ``roles``:
    queries and gallery; ``without_role``: rows that are neither and left out; ``unlabelled``: rows without a
    label, left out too; ``zeros``: how many embeddings are 0; ``unread``: arrays that are not read;
    ``notes``: sentences on how the labels were understood.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    modality: np.ndarray | None = None
    fine: np.ndarray | None = None
    reference: tuple[np.ndarray, np.ndarray] | None = None
    ids: np.ndarray | None = None
    roles: Roles | None = None
    tags: np.ndarray | None = None
    without_role: int = 0
    unlabelled: int = 0
    zeros: int = 0
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> Items:
        """What the run was measured on."""
        names = np.array([*self.names, "background"], object)[self.labels]
        if self.modality is not None:
            sides = [f"{name} ({side})" for name, side in zip(names, self.modality, strict=True)]
            names = np.array(sides, object)
        return Items(names, self.ids, self.roles)

    def take(self, rows: np.ndarray) -> Embedded:
        """The given rows in that order."""
        return replace(
            self,
            embeddings=self.embeddings[rows],
            labels=self.labels[rows],
            modality=None if self.modality is None else self.modality[rows],
            fine=None if self.fine is None else self.fine[rows],
            ids=None if self.ids is None else self.ids[rows],
            roles=None if self.roles is None else self.roles.take(rows),
            tags=None if self.tags is None else self.tags[rows],
        )

    def by_id(self) -> Embedded:
        """The rows in the order of their ids, where these tell them apart: queries are compared by place."""
        if self.ids is None or len(set(self.ids.tolist())) < len(self.ids):
            return self
        return self.take(np.argsort(self.ids, kind="stable"))

    def with_roles(self) -> Embedded:
        """The rows that ask or are searched, where the file names queries and a gallery."""
        if self.roles is None:
            return self
        rows = np.flatnonzero(self.roles.query | self.roles.gallery)
        return replace(self.take(rows), without_role=len(self.labels) - len(rows))


def from_pattern(
    pattern: str,
    say: Callable[[str], None] | None = None,
    unpaired: bool = False,
    reading: Reading = Reading(),
) -> Runs:
    """The runs of the files of a pattern, each measured.

    Raises:
        LosscopeError: no files, a file that cannot be read, runs that were measured on different items.
    """
    files = files_of(pattern)
    read = {run: read_one(path, reading) for run, path in sorted(files.items())}
    return measured_runs(read, files, say, unpaired)


def measured_runs(
    read: dict[Key, Embedded],
    files: dict[Key, str],
    say: Callable[[str], None] | None = None,
    unpaired: bool = False,
) -> Runs:
    """Runs that were read, measured. ``files``: what sentences call each.

    Raises:
        LosscopeError: runs that were measured on different items.
    """
    with_sides = [run for run, found in read.items() if found.modality is not None]
    require(
        len(with_sides) in (0, len(read)),
        f"{len(with_sides):,} of {len(read):,} files have an array modality; wanted: all or none",
    )
    asking = {found.roles.searched(found.labels) if found.roles else None for found in read.values()}
    require(
        len(asking) == 1,
        f"the files name queries and a gallery differently, {len(asking)} ways; wanted: the same in all, "
        "or none",
    )
    notes = [*same_items({run: found.items for run, found in read.items()}, unpaired), *_notes(read)]
    read = {run: found.by_id() for run, found in read.items()}
    same_roles({run: found.items for run, found in read.items()}, files, unpaired)
    measured = []
    for place, ((loss, seed), arrays) in enumerate(read.items()):
        measured.append(_measured(loss, seed, arrays))
        if say:
            say(f"measured {place + 1} of {len(files)}: {files[loss, seed]}")
    return Runs(tuple(measured), tuple(notes))


def _notes(read: dict[Key, Embedded]) -> list[str]:
    notes = []
    for what, count_of in (
        ("background", lambda found: int((found.labels < 0).sum())),
        ("zero", lambda found: found.zeros),
        ("neither", lambda found: found.without_role),
        ("unlabelled", lambda found: found.unlabelled),
    ):
        counts = {count_of(found) for found in read.values()}
        files = sum(count_of(found) > 0 for found in read.values())
        if max(counts) == 0:
            continue
        low, high, rows = min(counts - {0}), max(counts), len(next(iter(read.values())).labels)
        some = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        which = f"in {files:,} of {len(read):,} files"
        said = {
            "background": f"{some} of {rows:,} rows are background (-1) and left out, {which}.",
            "zero": f"{some} of {rows:,} embeddings are zero, so that they tie, {which}.",
            "neither": f"{some} rows are neither query nor gallery and left out, {which}.",
            "unlabelled": f"{some} rows have no label and are left out, {which}.",
        }
        notes.append(said[what])
    notes += dict.fromkeys(f"{note}." for found in read.values() for note in found.notes)
    unread = dict.fromkeys(name for found in read.values() for name in found.unread)
    if unread:
        notes.append(f"Not read: the array{'s' * (len(unread) > 1)} {', '.join(unread)}.")
    return notes


def _measured(loss: str, seed: int, found: Embedded) -> stats.Measured:
    import torch

    from losscope.measures import evaluate

    reference = found.reference
    values, detail = evaluate(
        torch.from_numpy(found.embeddings),
        torch.from_numpy(found.labels),
        reference=None
        if reference is None
        else (torch.from_numpy(reference[0]), torch.from_numpy(reference[1])),
        fine_labels=None if found.fine is None else torch.from_numpy(found.fine),
        modality=None if found.modality is None else torch.from_numpy(found.modality),
        roles=found.roles,
        tags=found.tags,
        seed=0,
    )
    numbers = {name: None if not np.isfinite(float(v)) else float(v) for name, v in values.items()}
    return run_of(loss, seed, numbers, detail={name: value.numpy() for name, value in detail.items()})


def load_embeddings(
    path: str | Path,
    same_camera: str | None = None,
    ignore: Sequence[str] = (),
    skip_unlabelled: bool = False,
) -> Embedded:
    """The arrays of one file, checked: ``read_one`` of what the user says of it."""
    return read_one(path, Reading(same_camera, tuple(ignore), skip_unlabelled))


def read_one(path: str | Path, reading: Reading = Reading(), given: Arrays | None = None) -> Embedded:
    """Read ``embeddings`` (N, D), ``labels`` (N,) and what stands beside them; nothing is unpickled.

    Beside them may stand ``modality`` (two values), ``fine_labels``, ``ids``, ``reference`` (R, D) with
    ``reference_labels``, and queries and gallery as ``compare`` reads them. ``reading``: what the user says
    of them; ``given``: the arrays, where they are in no file, and ``path`` is what they are called.

    Raises:
        LosscopeError: a file that is damaged, arrays that lack or do not fit, values that are not finite,
            items that no measure can decide on.
    """
    arrays = joined(read_arrays(Path(path)) if given is None else given, Path(path))
    where = repr(str(path))
    at = {role: found(arrays, names) for role, names in (("embeddings", INPUTS), ("labels", LABELS))}
    at["embeddings"] = found(arrays, ("embeddings",)) or at["embeddings"]
    missing = [role for role, name in at.items() if name is None]
    require(
        not missing,
        f"{where} has no array {', '.join(missing)}; it has {', '.join(arrays)}; wanted: "
        "np.savez(file, embeddings=…, labels=…)",
    )
    values = arrays[str(at["embeddings"])]
    values, written = numbers_of(values, "embeddings", Path(path))
    embeddings = _points(values, where, "embeddings")
    table = class_names_of(arrays)
    tags = several(arrays[str(at["labels"])], f"{where}: {at['labels']}", table)
    if tags is not None:
        names = {role: str(name) for role, name in at.items()}
        made = _overlapping(arrays, embeddings, tags.without(reading.ignore), names, path, reading)
        return replace(made, notes=(*written, *made.notes, *tags.ignored(reading.ignore)))
    own = _labels(arrays, str(at["labels"]), len(embeddings), where, reading, table)
    beside = {role: found(arrays, options) for role, options in (("ids", IDS), ("fine", FINE))}
    read = {*map(str, at.values()), "class_names", *(name for name in beside.values() if name)}
    finer = (
        None
        if beside["fine"] is None
        else _labels(arrays, beside["fine"], len(embeddings), where, replace(reading, ignore=()))
    )
    kept = ~own.missing if finer is None else ~(own.missing | finer.missing)
    require(bool(kept.any()), f"{where}: none of the {len(kept):,} rows has a label; wanted: labels")
    labels, roles = roles_of(arrays, own.numbers, str(path), reading.same_camera, kept)
    refuse_undecided(where, labels[kept], searched=roles is not None)
    ids = None if beside["ids"] is None else arrays[beside["ids"]]
    modality = found(arrays, MODALITIES)
    known = [found(arrays, options) for options in REFERENCE]
    reference, notes = None, [*written, *own.notes]
    if known[0] and known[1]:
        points, more = numbers_of(arrays[known[0]], known[0], Path(path))
        rows = _points(points, where, known[0])
        notes += more
        width = embeddings.shape[1]
        require(
            rows.shape[1] == width,
            f"{where}: {known[0]} have {rows.shape[1]} dimensions; wanted: {width}, as embeddings",
        )
        training = _labels(arrays, known[1], len(rows), where, reading, table)
        numbers = training.numbers if table else _in_numbers_of(own.names, training)
        known_class = ~training.missing
        reference = rows[known_class], numbers[known_class]
        if not known_class.all():
            lost = int(training.missing.sum())
            notes.append(f"{lost:,} of {len(rows):,} rows of {known[0]} have no label and are left out")
    read |= {name for name in (modality, *(known if reference else ())) if name}
    read |= _of_roles(arrays, roles)
    _check_ids(ids, beside["ids"], labels, where)
    whole = Embedded(
        embeddings,
        labels,
        own.names,
        None if modality is None else _sides(arrays[modality], len(embeddings), where),
        None if finer is None else finer.numbers,
        reference,
        ids,
        roles,
        unlabelled=int((~kept).sum()),
        unread=tuple(name for name in arrays if name not in read),
        notes=tuple(notes),
    )
    return _left(whole, kept)


def _overlapping(
    arrays: Arrays,
    embeddings: np.ndarray,
    tags: Tags,
    at: dict[str, str],
    path: str | Path,
    reading: Reading,
) -> Embedded:
    """The arrays of a file whose rows have several labels each; one class for each row is not asked for."""
    where = repr(str(path))
    require(
        len(tags.table) == len(embeddings),
        f"{where}: {tags.table.shape} {at['labels']} for {len(embeddings)} embeddings; wanted: as many",
    )
    kept = np.ones(len(embeddings), bool)
    if reading.skip_unlabelled:
        kept &= tags.table.any(1)
    require(bool(kept.any()), f"{where}: none of the {len(kept):,} rows has a label; wanted: labels")
    kin, roles = roles_of(arrays, tags.kin, str(path), reading.same_camera, kept)
    tags = replace(tags, table=tags.table & (kin >= 0)[:, None])  # distractors have no label
    decided(tags.take(kept), where)
    labels, names = tags.sets
    ids_name, modality = found(arrays, IDS), found(arrays, MODALITIES)
    ids = None if ids_name is None else arrays[ids_name]
    _check_ids(ids, ids_name, labels, where)
    read = {*at.values(), "class_names", *(name for name in (ids_name, modality) if name)}
    read |= _of_roles(arrays, roles)
    whole = Embedded(
        embeddings,
        labels,
        names,
        None if modality is None else _sides(arrays[modality], len(embeddings), where),
        ids=ids,
        roles=roles,
        tags=tags.table,
        unlabelled=int((~kept).sum()),
        unread=tuple(name for name in arrays if name not in read),
        notes=(SHARED.format(what="labels"),),
    )
    return _left(whole, kept)


def _left(whole: Embedded, kept: np.ndarray) -> Embedded:
    """The rows kept (N,) that ask or are searched, and how many of them are zero."""
    taken = (whole if kept.all() else whole.take(np.flatnonzero(kept))).with_roles()
    return replace(taken, zeros=int((taken.embeddings == 0).all(axis=1).sum()))


def _of_roles(arrays: Arrays, roles: Roles | None) -> set[str]:
    """The arrays that roles were read from."""
    asked = (*ROLE, *QUERIES, *GALLERIES, *CAMERAS, RULE, *SPLITS)
    return set() if roles is None else {name for name in arrays if name.lower() in asked}


def _check_ids(ids: np.ndarray | None, name: str | None, labels: np.ndarray, where: str) -> None:
    require(
        ids is None or ids.shape == labels.shape,
        f"{where}: {name} has shape {None if ids is None else ids.shape}; wanted: one entry per row",
    )


def _points(values: np.ndarray, where: str, what: str) -> np.ndarray:
    """float32 (N, D), finite."""
    require(values.ndim == 2, f"{where}: {what} have shape {values.shape}; wanted (rows, dimensions)")
    require(values.shape[0] > 0, f"{where} has no rows of {what}; wanted: (rows, dimensions)")
    require(
        values.shape[1] > 0, f"{where}: {what} have no dimensions, {values.shape}; wanted: (rows, dimensions)"
    )
    wide = values.astype(np.float64)
    bad = int((~np.isfinite(wide)).any(axis=1).sum())
    require(bad == 0, f"{where}: {bad} of {len(values)} {what} are NaN or infinite")
    with np.errstate(over="ignore", under="ignore"):
        rows = values.astype(np.float32)
    lost = int((~np.isfinite(rows)).any(axis=1).sum())
    require(
        lost == 0, f"{where}: {lost} of {len(values)} {what} are beyond float32; wanted: values below 3e38"
    )
    gone = int(((rows == 0).all(axis=1) & (wide != 0).any(axis=1)).sum())
    require(
        gone == 0, f"{where}: {gone} of {len(values)} {what} are too small for float32; wanted: above 1e-38"
    )
    return rows


def _labels(
    arrays: Arrays,
    name: str,
    rows: int,
    where: str,
    reading: Reading,
    table: Sequence[str] = (),
) -> Labels:
    """The labels of an array; ``table``: the classes that they are positions in.

    None is missing, unless the user leaves rows without a label out.
    """
    given = arrays[name]
    require(
        given.ndim > 0 and len(given) == rows,
        f"{where}: {given.shape} {name} for {rows} embeddings; wanted: one label per row",
    )
    try:
        labels = understood(given, name, names=table, ignore=reading.ignore)
        remedy = "a label in each row, or --skip-unlabelled to leave these rows out"
        return labels if reading.skip_unlabelled else labels.complete(name, remedy)
    except LosscopeError as error:
        raise LosscopeError(f"{where}: {error}") from None


def _sides(given: np.ndarray, rows: int, where: str) -> np.ndarray:
    """int64 (N,): 0 for the first modality and 1 for the second."""
    values, place = np.unique(given, return_inverse=True)
    require(
        given.shape == (rows,) and len(values) == 2,
        f"{where}: modality has shape {given.shape} and {len(values)} values; wanted: one of two per row",
    )
    words = [str(value).lower() for value in values]
    if all(word in HEARD_FIRST for word in words) and HEARD_FIRST.index(words[0]) > HEARD_FIRST.index(
        words[1]
    ):
        place = 1 - place
    return place.astype(np.int64)


def _in_numbers_of(names: tuple[str, ...], training: Labels) -> np.ndarray:
    """The training labels (R,) in the numbers of the test classes, new classes last."""
    number: dict[str, Any] = {text: at for at, text in enumerate(names)}
    lookup = [number.setdefault(text, len(number)) for text in training.names]
    numbers: np.ndarray = np.array([*lookup, -1], np.int64)[training.numbers]
    return numbers
