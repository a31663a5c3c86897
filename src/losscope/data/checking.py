"""Whether the arrays of a draft fit each other, and their values are numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require, shown
from losscope.data import health
from losscope.data.base import TEST, TRAIN, VALIDATION, Draft


def check_arrays(draft: Draft) -> None:
    """Raise for lengths that differ, no rows, and values that are not finite (how many, and where)."""
    assert draft.labels is not None
    rows = len(draft.labels)
    require(rows > 0, f"{draft.name} has no rows; wanted: rows of at least two classes")
    for what in ("inputs", "second", "fine_labels", "groups", "names", "role", "fold", "retrieval"):
        array = getattr(draft, what)
        if array is not None and len(array) != rows:
            raise LosscopeError(
                f"{draft.name} has {len(array):,} rows of {what.replace('_', ' ')} but {rows:,} labels; "
                "wanted: one label per row"
            )
    for what in ("inputs", "second"):
        array = getattr(draft, what)
        if array is None:
            continue
        if array.dtype.kind not in "fiub":
            raise LosscopeError(f"{draft.name}: the {what} are of type {array.dtype}; wanted: numbers")
        require(
            array.ndim > 1 and array[:1].size > 0,
            f"{draft.name}: the {what} are of shape {array.shape}; wanted: (rows, values)",
        )
        if array.dtype.kind == "f":
            check_finite(draft.name, array)


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise for NaN, infinity, and what is infinite in float32, with the count and the first places."""
    flat = array.reshape(len(array), -1)
    with np.errstate(all="ignore"):
        # A sum is finite unless a value is not or it overflows; only then is every value looked at.
        if np.isfinite(flat.sum(dtype=np.float32)):
            return
        large = bool(np.isfinite(flat).all())
        bad = ~np.isfinite(flat.astype(np.float32))
    rows = np.flatnonzero(bad.any(1))
    if len(rows):
        first = ", ".join(map(str, rows[:3])) + (", …" if len(rows) > 3 else "")
        what = f"above float32's {health.FLOAT32:.2g}" if large else "NaN or infinite"
        wanted = "smaller numbers: divide them all by one" if large else "finite numbers"
        raise LosscopeError(
            f"{name} has {int(bad.sum()):,} values that are {what}, in {len(rows):,} of "
            f"{len(flat):,} rows (rows {first}, counted from 0); wanted: {wanted}"
        )


def check_joint(draft: Draft, joint: bool) -> None:
    """Raise for two modalities that are called embeddings of one space and cannot be.

    Where they may be and nobody says so, a note says how to.
    """
    require(isinstance(joint, bool), f"joint is {shown(joint)}; choices: true, false")
    if draft.second is None:
        require(not joint, f"{draft.name} has one modality; joint says that two are embeddings of one space")
        return
    shapes = draft.inputs.shape[1:], draft.second.shape[1:]
    first, second = ("×".join(map(str, shape)) for shape in shapes)
    names = draft.modalities or ("first", "second")
    alike = shapes[0] == shapes[1] and len(shapes[0]) == 1
    require(
        not joint or alike,
        f"{draft.name} has {first} numbers of {names[0]} and {second} of {names[1]}; joint says that both "
        "are embeddings of one space, and wanted are vectors of one length",
    )
    if alike and not joint:
        draft.notes.append(
            f"both modalities have {first} numbers: where they are embeddings of one space, as CLIP's are, "
            "-o joint=true lets raw stand beside the losses"
        )


def check_emptied(draft: Draft, lacking: np.ndarray) -> None:
    """Raise where leaving out the rows ``lacking`` (N,) a label leaves none, or empties training or test.

    A validation part that is emptied is noted: rows of the training part take its place.
    """
    require(not lacking.all(), f"none of the {len(lacking):,} rows of {draft.name} has a label")
    if draft.role is None:
        return
    for part, what in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        own = np.asarray(draft.role) == part
        if not own.any() or not lacking[own].all():
            continue
        said = f"all {int(own.sum()):,} {what} rows of {draft.name} are without a label and are left out"
        require(
            part == VALIDATION,
            f"{said}, so that no {what} part remains; wanted: labels there, or no split of its own",
        )
        draft.notes.append(f"{said}: a part of the training rows is held out in their place")


def check_whole(option: str, value: Any, least: int) -> None:
    """Raise for an option that is no whole number of at least ``least``.

    >>> check_whole("classes", 1, 2)
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: classes is 1; it must be a whole number of at least 2
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(
        whole and value >= least, f"{option} is {shown(value)}; it must be a whole number of at least {least}"
    )


def check_number(option: str, value: Any, least: float, wanted: str, *, below: float = math.inf) -> None:
    """Raise for an option that is no number from ``least`` to ``below``, itself left out.

    >>> check_number("label_noise", "x", 0, "a share, from 0 to below 1", below=1)
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: label_noise is 'x'; it is a share, from 0 to below 1
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    require(number and least <= value < below, f"{option} is {shown(value)}; it is {wanted}")
