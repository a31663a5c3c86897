"""From what was read to a source: checked, numbered, split, described, in one place for all data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from losscope.data import splits as rules
from losscope.data.base import TEST, TRAIN, VALIDATION, Draft, Facts, Part, Table, fingerprint
from losscope.errors import LosscopeError, require

TEST_SHARE = 0.3


def finish(
    draft: Draft,
    *,
    train_labels: str | None = None,
    label_noise: float = 0.0,
    limit: int | None = None,
    by_group: bool = False,
) -> Table:
    """The source of a draft.

    ``train_labels``: "fine" or "coarse" where the data have both. ``label_noise``: share of the training
    labels redrawn uniformly, by seed. ``limit``: at most so many training and validation rows, a fixed
    stratified choice. ``by_group``: splits tear no group apart.

    Raises LosscopeError for unequal lengths, NaN or infinity, one class only, no class with two members,
    or splits that leak.
    """
    check_arrays(draft)
    require(
        0 <= label_noise < 1, f"label_noise is {label_noise}; it is a share of the labels, from 0 to below 1"
    )
    labels, class_names = numbered(draft.labels, draft.class_names)
    fine, fine_names = None, draft.fine_names
    if draft.fine_labels is not None:
        fine, fine_names = numbered(draft.fine_labels, draft.fine_names)
    labels, class_names, fine, fine_names = _level(draft, train_labels, labels, class_names, fine, fine_names)
    groups: np.ndarray | None = None
    group_names: tuple[str, ...] = ()
    if draft.groups is not None:
        groups, group_names = numbered(draft.groups, ())
    require(
        not by_group or groups is not None, f"{draft.name} has no groups to split by; wanted: a group column"
    )
    pool = Part(
        as_inputs(draft.inputs), labels, fine, groups,
        None if draft.second is None else as_inputs(draft.second), draft.names,
        np.arange(len(labels)), draft.pairs, draft.triplets,
    )  # fmt: skip
    role, split, disjoint = _roles(draft, pool, by_group)
    notes = [*draft.notes, *_check_classes(draft.name, pool.labels, role, class_names)]
    checksum = fingerprint(*(getattr(pool, one.name) for one in dataclasses.fields(pool)), role)
    if limit is not None:
        pool, role, note = _limited(draft.name, pool, role, limit)
        notes += note
    if label_noise:
        notes.append(f"{label_noise:.0%} of the training labels are redrawn at random")
    mean, std = channel_moments(pool.inputs, role == TRAIN) if draft.kind == "images" else ((), ())
    facts = Facts(
        draft.name, draft.title, draft.kind, len(np.unique(pool.labels[pool.labels >= 0])), len(pool),
        pool.inputs.shape[1:], split, draft.edition, draft.origin, draft.licence, disjoint,
        checksum=checksum, class_names=class_names, fine_names=fine_names, group_names=group_names,
        modalities=draft.modalities,
        second_shape=() if pool.second is None else pool.second.shape[1:],
        mean=mean, std=std, notes=tuple(notes),
    )  # fmt: skip
    digest = fingerprint(more=repr((checksum, draft.name, train_labels, label_noise, limit, by_group, split)))
    for name in ("inputs", "labels", "fine_labels", "groups", "second"):
        if (array := getattr(pool, name)) is not None:
            array.setflags(write=False)
    return Table(pool, role, facts, digest, label_noise, by_group)


def as_inputs(array: np.ndarray) -> np.ndarray:
    """Float32, or uint8 images as they are."""
    return array if array.dtype == np.uint8 and array.ndim == 4 else np.asarray(array, np.float32)


def check_arrays(draft: Draft) -> None:
    """Raise for lengths that differ, no rows, and values that are not finite (how many, and where)."""
    rows = len(draft.labels)
    require(rows > 0, f"{draft.name} has no rows")
    for what in ("inputs", "second", "fine_labels", "groups", "names", "role"):
        array = getattr(draft, what)
        if array is not None and len(array) != rows:
            raise LosscopeError(
                f"{draft.name} has {len(array):,} rows of {what.replace('_', ' ')} but {rows:,} labels; "
                "wanted: one label a row"
            )
    for what in ("inputs", "second"):
        array = getattr(draft, what)
        if array is None:
            continue
        if array.dtype.kind not in "fiub":
            raise LosscopeError(f"{draft.name}: the {what} are of type {array.dtype}; wanted: numbers")
        if array.dtype.kind == "f":
            check_finite(draft.name, array)


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise for NaN or infinity, with the count and the first places."""
    flat = array.reshape(len(array), -1)
    # The sum is finite unless a value is not, or it overflows; only then is every value looked at.
    with np.errstate(all="ignore"):
        if np.isfinite(flat.sum(dtype=np.float64)):
            return
    bad = ~np.isfinite(flat)
    rows = np.flatnonzero(bad.any(1))
    if len(rows):
        first = ", ".join(map(str, rows[:3])) + (", …" if len(rows) > 3 else "")
        raise LosscopeError(
            f"{name} has {int(bad.sum()):,} values that are NaN or infinite, in {len(rows):,} of {len(flat):,} "
            f"rows (rows {first}, counted from 0); wanted: finite numbers"
        )


def numbered(values: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of any kind as int64 positions in a tuple of names; -1 among integers stays background."""
    values = np.asarray(values)
    if values.dtype.kind == "f":
        require(
            bool(np.all(np.isfinite(values)) and np.all(values == np.round(values))),
            "the labels are numbers with a fraction, or missing; wanted: whole numbers or names",
        )
        values = values.astype(np.int64)
    if names:
        return values.astype(np.int64), tuple(names)
    if values.dtype.kind in "iub":
        values = values.astype(np.int64)
        known = np.unique(values[values != -1])
        place = np.searchsorted(known, values)
        return np.where(values == -1, -1, place), tuple(map(str, known))
    known, place = np.unique(values.astype(str), return_inverse=True)
    return place.astype(np.int64), tuple(map(str, known))


def _level(draft, wanted, labels, class_names, fine, fine_names):
    """Which of two label levels is trained on, and which is left for measuring detail."""
    require(wanted in (None, "fine", "coarse"), f"train_labels is {wanted!r}; choices: fine, coarse")
    if fine is None:
        require(
            wanted != "coarse",
            f"{draft.name} has one kind of labels only; --train-labels coarse wants data with finer labels too",
        )
        return labels, class_names, None, ()
    if (wanted or draft.level) == "fine":
        return fine, fine_names, None, ()
    return labels, class_names, fine, fine_names


def _roles(draft: Draft, pool: Part, by_group: bool) -> tuple[np.ndarray, str, bool]:
    """Each row's part, how that came about in words, and whether test classes are unseen in training."""
    if draft.role is not None:
        role = np.asarray(draft.role, np.int8)
        if by_group:
            check_leak(draft.name, "group", pool.groups, role)
        elif draft.disjoint and draft.level == "fine" and pool.fine_labels is None:
            check_leak(draft.name, "class", pool.labels, role)
        for part, what in ((TRAIN, "training"), (TEST, "test")):
            require(
                bool(np.any(role == part)), f"{draft.name} has no {what} rows; wanted: some in each split"
            )
        return role, draft.split or "split as given", draft.disjoint
    rng = rules.generator(0, "test split")
    counts = np.bincount(pool.labels[pool.labels >= 0])
    counts = counts[counts > 0]
    disjoint = False
    if by_group and pool.groups is not None:
        held, split = rules.hold_out_whole(pool.groups, TEST_SHARE, rng), "test of whole groups, fixed"
    elif np.median(counts) < 4 and len(counts) >= 5:
        held, disjoint = rules.hold_out_whole(pool.labels, TEST_SHARE, rng), True
        split = "test of unseen classes, fixed, because most classes have fewer than 4 rows"
    else:
        held, split = rules.hold_out_stratified(pool.labels, TEST_SHARE, rng), "test stratified, fixed"
    return np.where(held, TEST, TRAIN).astype(np.int8), split, disjoint


def check_leak(name: str, what: str, values: np.ndarray | None, role: np.ndarray) -> None:
    """Raise if a value (a class, a group, a file) stands in the test split and outside of it."""
    if values is None:
        return
    both = np.intersect1d(values[role == TEST], values[role != TEST])
    if len(both):
        first = ", ".join(map(str, both[:3])) + (", …" if len(both) > 3 else "")
        raise LosscopeError(
            f"{name} leaks: {len(both):,} {what}{'es' if what == 'class' else 's'} stand in the test split and "
            f"outside of it ({first}); wanted: each {what} in one split"
        )


def _check_classes(name: str, labels: np.ndarray, role: np.ndarray, names: Sequence[str]) -> list[str]:
    seen = labels[(role == TRAIN) | (role == VALIDATION)]
    values, counts = np.unique(seen[seen >= 0], return_counts=True)
    if len(values) < 2:
        only = f" ({names[values[0]]!r})" if len(values) and names else ""
        raise LosscopeError(
            f"{name} has one class only{only} in training; wanted: at least two classes to tell apart"
        )
    if counts.max() < 2:
        raise LosscopeError(
            f"no class of {name} has two members in training ({len(values):,} classes of one); "
            "wanted: classes with positives"
        )
    lone = int((counts == 1).sum())
    if lone:
        return [
            f"{lone:,} of {len(values):,} training classes {'has' if lone == 1 else 'have'} a single member: "
            "negatives only, never anchors with a positive"
        ]
    return []


def _limited(name: str, pool: Part, role: np.ndarray, limit: int) -> tuple[Part, np.ndarray, list[str]]:
    rest = np.flatnonzero(role != TEST)
    require(limit > 1, f"limit is {limit}; it is the number of training rows to keep, at least 2")
    if limit >= len(rest):
        return pool, role, []
    held = rules.hold_out_stratified(pool.labels[rest], limit / len(rest), rules.generator(0, "limit"))
    keep = np.sort(np.concatenate([rest[held], np.flatnonzero(role == TEST)]))
    note = f"reduced: {int(held.sum()):,} of {len(rest):,} training and validation rows of {name}"
    return pool.take(keep), role[keep], [note]


def channel_moments(images: np.ndarray, rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of the given rows, uint8 images on the scale pixel / 255.

    By counting the 256 values, so that no float copy of the images is made.

    >>> channel_moments(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), np.array([True, True]))
    ((0.5,), (0.5,))
    """
    means, deviations = [], []
    values = np.arange(256) / 255
    chosen = images[rows]
    for channel in range(images.shape[1]):
        share = np.bincount(chosen[:, channel].ravel(), minlength=256) / max(1, chosen[:, channel].size)
        mean = float(share @ values)
        means.append(mean)
        deviations.append(float(np.sqrt(share @ (values - mean) ** 2)) or 1.0)
    return tuple(means), tuple(deviations)
