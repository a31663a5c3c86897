"""Two files of the same items: what differs, with intervals over queries and over classes.

One run a side says nothing of another training, so all of it speaks of these two models. What other items of
these classes, or other classes, would bring is in the intervals: the gallery is fixed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.quantities import QUANTITIES
from losscope.core.results import (
    Changed,
    ClassChanged,
    InspectedPair,
    Moved,
    NewlyConfused,
)
from losscope.inspecting import suspects
from losscope.inspecting.jackknife import half_width
from losscope.inspecting.reading import PARTS, Rows, numbered
from losscope.inspecting.relevance import Question
from losscope.inspecting.searching import WHOLE, sample
from losscope.inspecting.single import Looked, over_classes
from losscope.inspecting.vectors import unit
from losscope.stats.intervals import FEW_CLASSES, t_half
from losscope.stats.models import OverItems, of_two_models

PRIMARY = "recall_at_1"
LISTED, LISTED_ITEMS = 10, 20
FEWEST = 5
"""Queries of a class from which a change of it can be beyond doubt."""
NEWLY = 0.05
LEVEL = 0.05
"""Of the verdict, and of all classes that are said to have changed beyond doubt together."""


def paired(a: Rows, b: Rows, *, in_order: bool) -> tuple[Rows, Rows, Literal["id", "order"]]:
    """The rows that both files have, in the order of the first.

    By id where both have ids that tell their rows apart; else files of equal length and equal labels are
    taken row by row. ``in_order``: so are arrays in Python, which the caller has put in one order.

    Raises:
        LosscopeError: files of different items.
    """
    wanted = "wanted: two files of the same items"
    if a.ids is not None and b.ids is not None:
        for rows in (a, b):
            again = rows.total - len(rows.every_id)
            require(again == 0, f"{again:,} ids of {rows.name} stand twice; {wanted}, each id once")
        return (*_by_id(a, b, wanted), "id")
    require(
        a.total == b.total,
        f"{a.name} has {a.total:,} rows and {b.name} {b.total:,}, and not both have ids; {wanted}: with ids, "
        "or as many rows with the same labels",
    )
    known = a.labels is not None and b.labels is not None
    require(
        known or in_order,
        f"nothing tells that {a.name} and {b.name} are of the same items; {wanted}: with ids, or with "
        "labels in the same order",
    )
    both, first, second = np.intersect1d(a.places, b.places, return_indices=True)
    a, b = _matched(a, first), _matched(b, second)
    require(len(both) > 1, f"{a.name} and {b.name} have {len(both)} finite rows in common; {wanted}")
    different = 0 if not known else int((_names(a) != _names(b)).sum())
    require(
        different == 0,
        f"the labels of {a.name} and {b.name} differ in {different:,} of {len(both):,} rows, and not both "
        f"have ids; {wanted}: with ids, or in the same order",
    )
    return (*_agreed(a, b), "order")


def _matched(rows: Rows, kept: np.ndarray) -> Rows:
    """The rows that both files have."""
    return replace(rows.take(kept), unmatched=len(rows) - len(kept))


def _names(rows: Rows) -> np.ndarray:
    assert rows.labels is not None
    return np.array([*rows.classes, None], dtype=object)[rows.labels]


def _by_id(a: Rows, b: Rows, wanted: str) -> tuple[Rows, Rows]:
    assert a.ids is not None and b.ids is not None
    common, first, second = np.intersect1d(a.ids, b.ids, return_indices=True)
    for rows, other in ((a, b), (b, a)):
        lone = sorted(rows.every_id - other.every_id)
        if lone:
            raise LosscopeError(
                f"{len(lone):,} ids of {rows.name} are not in {other.name}, such as {lone[0]!r}; {wanted}"
            )
    require(len(common) > 1, f"{a.name} and {b.name} have {len(common)} ids in common; {wanted}")
    order = np.argsort(first)
    a, b = _matched(a, first[order]), _matched(b, second[order])
    if a.labels is not None and b.labels is not None:
        differ = np.flatnonzero(_names(a) != _names(b))
        if len(differ):
            row = int(differ[0])
            raise LosscopeError(
                f"{len(differ):,} items have other labels in {b.name} than in {a.name}, such as "
                f"{a.item(row).id!r} ({a.item(row).label!r} and {b.item(row).label!r}); {wanted} and labels"
            )
    return _agreed(a, b)


def _agreed(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Both with the labels and the roles that one of them has, or both have."""
    if a.roles is not None and b.roles is not None:
        same = all(np.array_equal(getattr(a.roles, part), getattr(b.roles, part)) for part in PARTS)
        require(
            same and a.roles.same_camera == b.roles.same_camera,
            f"{a.name} and {b.name} name other rows as queries and gallery; wanted: the same rows",
        )
    roles = a.roles or b.roles
    known = [rows.labels is not None or rows.tags is not None for rows in (a, b)]
    source = a if known[0] else b
    if a.tags is not None and b.tags is not None:
        names = [_tag_names(rows) for rows in (a, b)]
        require(names[0] == names[1], f"the labels of {a.name} and {b.name} differ; wanted: equal labels")
    require(
        not all(known) or (a.tags is None) == (b.tags is None),
        f"rows have several labels in one of {a.name} and {b.name} and one in the other; wanted: equal ones",
    )
    labels, classes = source.labels, source.classes
    if labels is not None:
        labels, classes = numbered(labels, classes)
    made = [replace(rows, labels=labels, classes=classes, tags=source.tags, roles=roles) for rows in (a, b)]
    if any(known) and not all(known):
        made[0] = replace(made[0], notes=(*made[0].notes, f"the labels are those of {source.name}"))
    return made[0], made[1]


def _tag_names(rows: Rows) -> list[frozenset[str]]:
    assert rows.tags is not None
    return [frozenset(rows.classes[k] for k in rows.tags[row].indices) for row in range(len(rows))]


def contrast(a: Looked, b: Looked, paired_by: Literal["id", "order"], seed: int = 0) -> InspectedPair:
    """What differs between two files whose rows stand in one order, of which the same rows asked."""
    rows, queries = a.rows, a.found.queries
    # A row has each neighbour once, so that equal pairs are common neighbours.
    same = a.found.nearest[:, :, None] == b.found.nearest[:, None, :]
    common = (same & (a.found.nearest >= 0)[:, :, None]).sum((1, 2))
    share = common / np.maximum((a.found.nearest >= 0).sum(1), 1)
    labels = None if rows.labels is None else rows.labels[queries]
    gained, lost, sure = _classes(a, b)
    few = labels is not None and len(np.unique(labels)) < FEW_CLASSES
    return InspectedPair(
        a=a.told,
        b=b.told,
        paired_by=paired_by,
        items=len(rows),
        left_out=rows.not_finite + rows.unlabelled + rows.unmatched,
        scope="these_classes" if few else "these_models",
        changes=_changes(a, b, labels),
        gained=gained,
        lost=lost,
        sure_gained=sure[0],
        sure_lost=sure[1],
        moved=_moved(a, b, share),
        confused=_newly_confused(a, b),
        neighbours=a.found.nearest.shape[1],
        overlap=float(share.mean()),
        overlap_by_chance=a.found.nearest.shape[1] / Question(rows, queries).most,
        cka=_alignment(a.rows, b.rows, seed),
    )


def _changes(a: Looked, b: Looked, labels: np.ndarray | None) -> tuple[Changed, ...]:
    made = []
    for own in a.told.measures:
        name, after = own.measure, b.told.value(own.measure)
        known = QUANTITIES[name]
        ratio = known.scale == "log_ratio"
        row = Changed(
            measure=name,
            scale="log_ratio" if ratio else "difference",
            a=own.value,
            b=after,
            difference=_between(own.value, after, ratio),
            delta=known.delta,
            primary=name == PRIMARY,
        )
        if row.difference is not None:
            row = row.model_copy(update=_intervals(name, row.difference, a, b, labels))
        made.append(_decided(row, a, b, labels) if row.primary else row)
    return tuple(made)


def _between(a: float | None, b: float | None, ratio: bool) -> float | None:
    if a is None or b is None:
        return None
    if not ratio:
        return b - a
    return math.log(b / a) if a > 0 and b > 0 else None


def _intervals(
    name: str, middle: float, a: Looked, b: Looked, labels: np.ndarray | None
) -> dict[str, float | str]:
    """The ends of the intervals that a measure has, as fields of ``Changed``."""
    found: dict[str, float | str] = {}
    if name in a.found.scores:
        difference = b.found.scores[name] - a.found.scores[name]
        if (queries := over_classes(difference, None)) is not None:
            found |= {"query_low": middle - queries[0], "query_high": middle + queries[0]}
        if (wide := over_classes(difference, labels)) is not None:
            over = "class" if wide[1] == "classes" else "query"
            found |= {"class_low": middle - wide[0], "class_high": middle + wide[0], "unit": over}
    elif name in a.without and name in b.without:
        # Of a measure told as a ratio the values are logarithms.
        half = half_width(b.without[name] - a.without[name])
        found |= {"class_low": middle - half, "class_high": middle + half, "unit": "class"}
    return found


def _decided(row: Changed, a: Looked, b: Looked, labels: np.ndarray | None) -> Changed:
    """A verdict by the interval over classes: it excludes 0, or lies within what does not matter.

    Few classes or queries that differ do not tell how far others would: the bounds of ``of_two_models``,
    which say so, hold too.
    """
    if row.difference is None or row.class_low is None or row.class_high is None:
        return row
    found = _tested(row.measure, a, b, labels)
    word = "unresolved"
    if found is not None and -row.delta < row.class_low and row.class_high < row.delta:
        word = "equivalent" if found.outside() <= LEVEL / 2 else word
    elif found is not None and (row.class_low > 0 or row.class_high < 0) and found.least <= LEVEL:
        word = "higher" if row.difference > 0 else "lower"
    better = None
    if word in ("higher", "lower") and QUANTITIES[row.measure].better != "neither":
        better = "b" if (word == "higher") == (QUANTITIES[row.measure].better == "higher") else "a"
    return row.model_copy(update={"verdict": word, "better": better})


def _tested(measure: str, a: Looked, b: Looked, labels: np.ndarray | None) -> OverItems | None:
    """The second model less the first, over classes or items; None where too few were asked for."""
    each = np.arange(len(a.found.queries)) if labels is None else labels
    after, before = (
        {f"per_query/{measure}": own.found.scores[measure], "per_query/label": each} for own in (b, a)
    )
    made = of_two_models(after, before, measure, alpha=LEVEL)
    return None if made is None else made.found


def _classes(
    a: Looked, b: Looked
) -> tuple[tuple[ClassChanged, ...], tuple[ClassChanged, ...], tuple[int, int]]:
    """The classes that b finds better and worse by MAP@R, and how many of each beyond doubt."""
    rows = a.rows
    if rows.labels is None:
        return (), (), (0, 0)
    before, after = a.found.scores["map_at_r"], b.found.scores["map_at_r"]
    difference, labels = after - before, rows.labels[a.found.queries]
    known = np.isfinite(difference) & (labels >= 0)
    count = len(rows.classes)
    each = np.bincount(labels[known], minlength=count)
    means = [np.bincount(labels[known], side[known], count) / np.maximum(each, 1) for side in (before, after)]
    change = means[1] - means[0]
    squares = np.bincount(labels[known], np.square(difference[known] - change[labels[known]]), count)
    level = 1 - LEVEL / max(1, int((each > 0).sum()))
    moved = np.bincount(labels[known], np.abs(difference[known]) > 1e-12, count)
    sure = np.zeros(count, bool)
    # The t interval of a few queries that moved alike is too narrow: no sign test could be so sure.
    for k in np.flatnonzero((each >= FEWEST) & (change != 0) & (2.0 ** (1 - moved) <= 1 - level)):
        half = t_half(level, each[k] - 1) * math.sqrt(squares[k] / (each[k] - 1) / each[k])
        sure[k] = abs(change[k]) > half
    order = np.lexsort((np.arange(count), -np.abs(change)))
    told = [
        ClassChanged(
            label=rows.classes[k],
            asked=int(each[k]),
            a=float(means[0][k]),
            b=float(means[1][k]),
            sure=bool(sure[k]),
        )
        for k in order
        if each[k]
    ]
    told.sort(key=lambda row: not row.sure)  # stable: those beyond doubt first, the largest change first
    gained, lost = ([row for row in told if sign * (row.b - row.a) > 1e-12] for sign in (1, -1))
    counts = sum(row.sure for row in gained), sum(row.sure for row in lost)
    return tuple(gained[:LISTED]), tuple(lost[:LISTED]), counts


def _moved(a: Looked, b: Looked, share: np.ndarray) -> tuple[Moved, ...]:
    scores = [looked.found.scores.get("map_at_r") for looked in (a, b)]
    change = np.zeros(len(share))
    if scores[0] is not None and scores[1] is not None:
        change = np.nan_to_num(np.abs(scores[1] - scores[0]))

    def value(side: int, row: int) -> float | None:
        own = scores[side]
        return None if own is None or not np.isfinite(own[row]) else float(own[row])

    order = np.lexsort((np.arange(len(share)), -change, share))
    return tuple(
        Moved(
            item=a.rows.item(int(a.found.queries[row])),
            overlap=float(share[row]),
            map_at_r_a=value(0, row),
            map_at_r_b=value(1, row),
        )
        for row in order[:LISTED_ITEMS]
        if share[row] < 1
    )


def _newly_confused(a: Looked, b: Looked) -> tuple[NewlyConfused, ...]:
    if a.rows.labels is None:
        return ()
    tables = [suspects.confusion(looked.rows, looked.found) for looked in (a, b)]
    before, after = ((table + table.T) / 2 for table in tables)
    more = (after - before).tocoo()
    kept = (more.row < more.col) & (more.data >= NEWLY)
    first, second, change = more.row[kept], more.col[kept], more.data[kept]
    order = np.lexsort((second, first, -change))[:LISTED]
    classes = a.rows.classes
    return tuple(
        NewlyConfused(first=classes[i], second=classes[j], a=float(before[i, j]), b=float(after[i, j]))
        for i, j in zip(first[order], second[order], strict=True)
    )


def _alignment(a: Rows, b: Rows, seed: int) -> float | None:
    """Linear CKA of the unit rows (Kornblith et al. 2019), of at most 20,000 rows."""
    part = sample(a.labels, len(a), min(len(a), WHOLE), seed)
    x, y = (unit(rows.vectors[part]) for rows in (a, b))
    return linear_cka(x, y)


def linear_cka(x: np.ndarray, y: np.ndarray) -> float | None:
    """‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖) of centred rows (N, D) and (N, E); None where all rows of a side are equal.

    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
    >>> round(linear_cka(x, -2 * x), 6)
    1.0
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    if len(x) < min(x.shape[1], y.shape[1]):
        k, m = x @ x.T, y @ y.T
        parts = float((k * m).sum()), float(np.linalg.norm(k)), float(np.linalg.norm(m))
    else:
        cross = float(np.square(x.T @ y).sum())
        parts = cross, float(np.linalg.norm(x.T @ x)), float(np.linalg.norm(y.T @ y))
    least = 1e-12 * len(x)
    return parts[0] / (parts[1] * parts[2]) if min(parts[1:]) > least else None
