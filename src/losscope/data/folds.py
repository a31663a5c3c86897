"""Folds of one data set: each row is a test row once; a seed's test part is the fold seed mod their number.

Folds share most of their training rows, so that a difference over them is described and not tested
(docs/definitions.md, "Inference").
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from losscope.core.errors import require
from losscope.data import splits as rules
from losscope.data.base import Draft
from losscope.data.health import Health
from losscope.data.labels import understood
from losscope.data.splits import Folds

MOST = 20
"""Folds of a data set, at most; a column with more values is taken for no column of folds."""
NAMED = re.compile(r"^(k?folds?|cv_?folds?|fold_?(id|idx|no|number)|test_?fold)$", re.IGNORECASE)
"""Names of columns and arrays of folds."""
NONE = ("", "nan", "nat", "none", "<na>")
"""How a cell without a fold reads, in lower case."""
ALWAYS = {"-1", "-1.0"}
"""The fold of rows that are always trained on."""


def offered(name: str, values: Any, what: str = "array") -> list[str]:
    """The sentence on a column or array of folds that nobody asked for; none where it is no such column."""
    if not NAMED.match(name):
        return []
    told = [
        None if value is None else str(value).strip() for value in np.asarray(values).reshape(-1).tolist()
    ]
    lacking = sum(value is None or value.lower() in NONE for value in told)
    known = len({value for value in told if value is not None and value.lower() not in NONE} - ALWAYS)
    if not 2 <= known <= MOST:
        return []
    rest = f" ({lacking:,} rows have none, and want -1 first)" if lacking else ""
    return [
        f"{what} {name!r} holds {known} folds{rest} and is not used: --fold {name} (or -o fold={name}) makes "
        f"the fold seed mod {known} the test part"
    ]


def without_split(draft: Draft, count: int | None, limits: Sequence[int | None]) -> Draft:
    """The draft with no split of its own, where folds are asked for; as it is where they are not.

    Raises:
        LosscopeError: a number of folds beside a column of them, one that cannot be, folds with limits, with
            queries and a gallery, or over classes that are to be unseen.
    """
    if count is None and draft.fold is None:
        return draft
    name = draft.name
    require(
        count is None or draft.fold is None,
        f"{name}: folds={count} asks for folds to be drawn, and fold names a column of them; wanted: one of "
        "the two",
    )
    require(
        count is None or (isinstance(count, int) and 2 <= count <= MOST),
        f"folds is {count!r}; wanted: a number of folds from 2 to {MOST}",
    )
    require(
        all(limit is None for limit in limits),
        f"{name}: limit and limit_test reduce one split, and there are folds; wanted: one of the two",
    )
    require(
        draft.retrieval is None,
        f"{name} has queries and a gallery, which are one test part; wanted: no folds, or no column of roles",
    )
    require(
        draft.disjoint is not True,
        f"{name} has a test part of unseen classes, and folds would train on them; wanted: no folds",
    )
    if draft.role is None:
        return draft
    note = "the split as given is not used: each row is in one of the folds"
    return dataclasses.replace(draft, role=None, split="", disjoint=False, notes=[*draft.notes, note])


def dealt(draft: Draft, labels: np.ndarray, whole: np.ndarray | None, count: int | None) -> Folds | None:
    """The folds of rows with these labels (N,), given or drawn; None where none are asked for.

    Drawn folds are fixed, the same for every seed: class-balanced, or where ``whole`` (N,) numbers what must
    not be torn apart, of whole such units, dealt so that classes stay as balanced as they can.

    Raises:
        LosscopeError: given folds that are one or too many, or that tear apart a group or an item.
    """
    if draft.fold is not None:
        return _given(draft, None if whole is labels else whole)
    if count is None:
        return None
    rng = rules.generator(0, "folds", count)
    if whole is None:
        of_row, made = balanced(labels, count, rng), "class-balanced"
    else:
        of_row, made = dealt_whole(labels, whole, count, rng), f"of whole {_units(draft, labels, whole)}"
    sizes = np.unique(labels[labels >= 0], return_counts=True)[1]
    few = int((sizes < count).sum())
    notes = [_described(count)]
    if few and whole is None:
        are = "class has" if few == 1 else "classes have"
        notes.append(f"{few:,} {are} fewer rows than there are folds, and none in some of them")
    return Folds(of_row, count, f"{made}, drawn once", tuple(notes))


def _described(count: int) -> str:
    return (
        f"the test part of a seed is fold seed mod {count}: with {count} seeds, or a multiple, each row is "
        "tested equally often; folds share training rows, so that differences are described, not tested"
    )


def _units(draft: Draft, labels: np.ndarray, whole: np.ndarray) -> str:
    if draft.by_group:
        return "groups"
    if draft.by_item or draft.items is not None:
        return "items"
    return "classes" if whole is labels else "tuples"


def _given(draft: Draft, whole: np.ndarray | None) -> Folds:
    assert draft.fold is not None
    what = f"folds of {draft.name}"
    found = understood(draft.fold, what).complete(what, "a fold in each row, or -1 where it is never tested")
    count = len(found.names)
    some = ", ".join(found.names[:3]) + (", …" if count > 3 else "")
    require(
        2 <= count <= MOST,
        f"the number of {what} is {count:,} ({some}); wanted: from 2 to {MOST}",
    )
    if whole is not None:
        pairs = np.unique(np.stack([whole, found.numbers])[:, whole >= 0], axis=1)
        torn = int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
        unit = "groups" if draft.by_group else "items"
        require(
            not torn, f"{draft.name} leaks: {torn:,} {unit} stand in several folds; wanted: each in one fold"
        )
    notes = [_described(count)]
    if never := int((found.numbers < 0).sum()):
        are = "row is" if never == 1 else "rows are"
        notes.append(f"{never:,} {are} of fold -1: trained on in every fold, and never tested")
    return Folds(found.numbers, count, f"as given ({some})", tuple(notes))


def balanced(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Folds (N,) in which the rows of each class, and all rows, differ in number by one at most.

    >>> fold = balanced(np.repeat([0, 1], [12, 8]), 5, np.random.default_rng(0))
    >>> np.bincount(fold).tolist(), sorted(np.bincount(fold[:12]).tolist())
    ([4, 4, 4, 4, 4], [2, 2, 2, 3, 3])
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % count  # one class after the other, each going on where one ended
    return fold


def dealt_whole(labels: np.ndarray, whole: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Folds (N,) that tear no unit ``whole`` (N,) apart.

    The largest comes first, and each goes to the fold where its classes are fewest. Rows of a negative number
    are of no unit and are dealt one by one.
    """
    alone = whole < 0
    unit = np.unique(
        np.where(alone, whole.max(initial=0) + 1 + np.arange(len(whole)), whole), return_inverse=True
    )[1].reshape(-1)
    code = np.unique(labels, return_inverse=True)[1].reshape(-1)
    totals = np.bincount(code)
    held = np.zeros((count, len(totals)))
    rows = np.zeros(count, np.int64)
    sizes = np.bincount(unit)
    order = rng.permutation(len(sizes))
    members = np.split(np.argsort(unit, kind="stable"), np.cumsum(sizes)[:-1])
    fold = np.empty(len(labels), np.int64)
    for place in order[np.argsort(-sizes[order], kind="stable")].tolist():
        own = members[place]
        classes, counts = np.unique(code[own], return_counts=True)
        crowded = (held[:, classes] * counts / totals[classes]).sum(1)
        chosen = int(np.lexsort([rows, crowded])[0])
        held[chosen, classes] += counts
        rows[chosen] += len(own)
        fold[own] = chosen
    return fold


def merged(parts: Sequence[Health]) -> Health:
    """The health of all folds: a row is a test row of one of them."""
    if len(parts) == 1:
        return parts[0]

    def every(name: str) -> tuple[int, ...]:
        return tuple(sorted({row for part in parts for row in getattr(part, name)}))

    return dataclasses.replace(
        parts[0],
        tests=sum(part.tests for part in parts),
        seen=every("seen"),
        near=every("near"),
        again=every("again"),
    )
