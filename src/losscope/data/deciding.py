"""Whether a part of the data can decide anything: parts of one class, without rows or without positives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles
from losscope.data import splits as rules
from losscope.data.base import TEST, TRAIN, VALIDATION, Draft, LeftOut, Table
from losscope.data.splits import undecidable

DECIDABLE = "two classes or more, and at least two rows of a class"
PARTS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


def check_parts(
    name: str, labels: np.ndarray, role: np.ndarray, names: Sequence[str], *, paired: bool = False
) -> None:
    """Raise for a test part, or a validation part that was given, that can decide nothing."""
    for part in (TEST, VALIDATION):
        rows = role == part
        why = undecidable(labels[rows], names, paired=paired) if rows.any() else None
        if why is not None:
            what = PARTS[part]
            raise LosscopeError(
                f"{name}: the {what} part has {why}, which decides nothing; wanted: {what} rows of "
                f"{DECIDABLE}"
            )


def without_roles(retrieval: Roles | None, role: np.ndarray) -> np.ndarray:
    """The parts of rows, but those with queries and a gallery as training: these tell what they decide."""
    if retrieval is None:
        return role
    asked = [part for part in (VALIDATION, TEST) if retrieval.take(np.flatnonzero(role == part)) is not None]
    return np.where(np.isin(role, asked), TRAIN, role)


def check_classes(
    name: str,
    labels: np.ndarray,
    role: np.ndarray,
    names: Sequence[str],
    background: Sequence[LeftOut] = (),
    *,
    paired: bool = False,
) -> list[str]:
    """Raise for one class only or no class with two members in training; say how many are alone.

    ``paired``: rows have two modalities, so that a row's own partner is a positive.
    """
    seen = labels[role != TEST]
    values, counts = np.unique(seen[seen >= 0], return_counts=True)
    if len(values) < 2:
        only = f" ({names[values[0]]!r})" if len(values) and names else ""
        left = ", ".join(part.said for part in background)
        left = f" beside background ({left}; --ignore-label=none makes -1 a class)" if left else ""
        raise LosscopeError(
            f"{name} has {'one class only' if len(values) else 'no class'}{only} in training{left}; wanted: "
            "at least two classes to tell apart"
        )
    if paired:
        return []
    if counts.max() < 2:
        raise LosscopeError(
            f"no class of {name} has two members in training ({len(values):,} classes of one); "
            "wanted: classes with positives"
        )
    lone = int((counts == 1).sum())
    if not lone:
        return []
    are = "class has" if lone == 1 else "classes have"
    return [f"{lone:,} of {len(values):,} training {are} a single member: a negative only, never a positive"]


def held_whole(name: str, labels: np.ndarray, roles: Sequence[np.ndarray]) -> str | None:
    """Why validation holds out whole classes, for one of ``roles``; None where it takes rows of each.

    Raises LosscopeError where there are not even enough of these.
    """
    if all(_can_stratify(name, labels, role) for role in roles):
        return None
    most = int(np.bincount(labels[(roles[0] == TRAIN) & (labels >= 0)], minlength=1).max())
    few = "every training class has" if most < 4 else "all training classes but one have"
    return f"{few} fewer than 4 rows: validation holds out whole classes"


FEWEST_ITEMS = 5
"""Items, joined by positive pairs, from which parts are made of whole ones."""


def enough_items(labels: np.ndarray, roles: Sequence[np.ndarray]) -> bool:
    """Whether validation can hold out whole items (N,), which positive pairs join, for all of ``roles``.

    Not where it is given, and not of fewer than ``FEWEST_ITEMS``: then it takes rows of each.
    """
    counts = [len(np.unique(labels[role == TRAIN])) for role in roles if not np.any(role == VALIDATION)]
    return bool(counts) and min(counts) >= FEWEST_ITEMS


def _can_stratify(name: str, labels: np.ndarray, role: np.ndarray) -> bool:
    """Whether validation rows can be taken from within classes; raise if not even from whole classes.

    Rows of one class decide nothing: with fewer than two classes of 4 whole classes are held out, if they
    are enough for that.
    """
    counts = np.unique(labels[(role == TRAIN) & (labels >= 0)], return_counts=True)[1]
    large = int((counts >= 4).sum())
    if np.any(role == VALIDATION) or large > 1 or (large and len(counts) < 5):
        return True
    require(
        len(counts) >= 5,
        f"{name} has {int(counts.sum()):,} training rows in {len(counts)} classes, too few to hold out "
        "validation; wanted: a class of at least 4, or at least 5 classes",
    )
    return False


def background_notes(labels: np.ndarray, role: np.ndarray) -> list[str]:
    """How much of each part is background, in words."""
    notes = []
    if np.any(labels < 0):
        shares = [
            f"{int((labels[role == part] < 0).sum()):,} of {int((role == part).sum()):,} {what}"
            for part, what in PARTS.items()
            if np.any(labels[role == part] < 0)
        ]
        notes.append(f"{' and '.join(shares)} rows are background: they belong to no class")
    return notes


def limited(
    name: str, labels: np.ndarray, concerned: np.ndarray, limit: int, tested: bool, by_item: bool
) -> tuple[np.ndarray, list[str], bool]:
    """The rows to keep, notes, and whether small classes were drawn whole.

    Kept are all rows that are not ``concerned``, and a fixed choice of the others: the same share of each
    class, and of classes of fewer than 4 rows that share of the classes, whole.
    """
    option, what = ("limit_test", "test") if tested else ("limit", "training and validation")
    rest = np.flatnonzero(concerned)
    require(limit > 1, f"{option} is {limit}; it is the number of {what} rows to keep, at least 2")
    if limit >= len(rest):
        return np.arange(len(labels)), [], False
    rng, share, of = rules.generator(0, option), limit / len(rest), labels[rest]
    held = rules.hold_out_whole(of, share, rng) if by_item else rules.hold_out_stratified(of, share, rng)
    values, inverse, counts = np.unique(of, return_inverse=True, return_counts=True)
    small = (counts < 4) & (values >= 0)
    if not by_item and small.any():
        few = np.where(small[inverse], of, -1)
        held |= rules.hold_out_whole(few, share, rng, least=0 if held.any() else 2)
    notes = [f"reduced: {int(held.sum()):,} of {len(rest):,} {what} rows of {name}"]
    fallen = int((values >= 0).sum()) - len(np.unique(of[held & (of >= 0)]))
    apart = not by_item and bool(small.any())
    if apart:
        notes[0] += (
            f"; classes of fewer than 4 rows are kept or left out whole, and {fallen:,} of "
            f"{int((values >= 0).sum()):,} classes fell away"
        )
    return np.sort(np.concatenate([rest[held], np.flatnonzero(~concerned)])), notes, apart


def check_kept(name: str, before: np.ndarray, after: np.ndarray) -> None:
    """Raise where a limit left a part without rows."""
    for part, what in PARTS.items():
        require(
            not np.any(before == part) or bool(np.any(after == part)),
            f"{name}: the limit leaves no {what} rows of {int((before == part).sum()):,}; wanted: a higher "
            "limit",
        )


def mostly_unseen(labels: np.ndarray, role: np.ndarray) -> bool:
    """Whether training lacks more than half of the test classes: then the split is meant to be disjoint."""
    known = labels >= 0
    test = np.unique(labels[known & (role == TEST)])
    rest = np.unique(labels[known & (role != TEST)])
    return len(test) > 0 and bool(np.isin(test, rest).mean() < 0.5)


def shared_classes(labels: np.ndarray, role: np.ndarray) -> str:
    """What a split by fine classes means for the coarse ones."""
    labels, role = labels[labels >= 0], role[labels >= 0]
    both = len(np.intersect1d(labels[role == TEST], labels[role != TEST]))
    return (
        f"the split is by fine classes: {both:,} of {len(np.unique(labels)):,} coarse classes have fine ones "
        "on both sides"
    )


def check_leak(
    name: str, what: str, values: np.ndarray, role: np.ndarray, spoken: Sequence[str] = ()
) -> None:
    """Raise if a value (a class, a group, a file) stands in the test split and outside of it."""
    if values.dtype.kind == "i":
        values, role = values[values >= 0], role[values >= 0]  # background may stand on both sides
    both = np.intersect1d(values[role == TEST], values[role != TEST])
    if len(both):
        first = ", ".join(str(spoken[value] if len(spoken) else value) for value in both[:3])
        many = {"class": "classes"}.get(what, f"{what}s") if len(both) > 1 else what
        raise LosscopeError(
            f"{name} leaks: {len(both):,} {many} ({first}{', …' if len(both) > 3 else ''}) in the test "
            f"split and outside of it; wanted: each {what} in one split"
        )


def torn_tuples(draft: Draft, table: Table) -> str | None:
    """How many explicit tuples fall away because their rows stand in different parts, for seed 0."""
    total = sum(len(tuples) for tuples in (draft.pairs, draft.triplets) if tuples is not None)
    if not total:
        return None
    parts = [table.pool.take(rows) for rows in table.rows(0)]
    kept = sum(len(tuples) for part in parts for tuples in (part.pairs, part.triplets) if tuples is not None)
    if kept == total:
        return None
    return f"{total - kept:,} of {total:,} explicit tuples fall away: their rows stand in different splits"
