"""What the runs were measured on: only values of the same items may be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from losscope.core.errors import require
from losscope.core.queries import Roles
from losscope.data.deciding import DECIDABLE
from losscope.data.splits import undecidable


@dataclass(frozen=True, eq=False)
class Items:
    """The items of one run.

    Attributes:
        labels: (N,) the class of each, by name.
        ids: (N,) what tells them apart, None where nothing does.
        roles: which of them ask and which are searched, None where each searches all others.
    """

    labels: np.ndarray
    ids: np.ndarray | None = None
    roles: Roles | None = None

    @property
    def said(self) -> str:
        return f"{len(self.labels):,} items of {len(set(self.labels.tolist())):,} labels"


Key = tuple[str, int]


def same_items(runs: Mapping[Key, Items], unpaired: bool = False) -> list[str]:
    """Sentences on items in another order or drawn anew by seed.

    Runs of one seed must be measured on the same items: as many of each label, by id where all have one.
    Unpaired runs must all be.

    Raises:
        LosscopeError: runs of different items, with what differs.
    """
    notes: list[str] = []
    firsts: dict[int, Key] = {}
    for key, items in runs.items():
        group = 0 if unpaired else key[1]
        firsts.setdefault(group, key)
        first = firsts[group]
        difference = _difference(runs[first], items)
        require(
            difference is None,
            f"{_run(first)}, and {_run(key)}, are measured on different items: {difference}; wanted: "
            "the same items in every run that is compared",
        )
    moved = [(firsts[0 if unpaired else key[1]], key) for key in runs]
    moved = [pair for pair in moved if _moved(runs[pair[0]], runs[pair[1]])]
    if moved:
        (first, key), count = moved[0], len(moved)
        rows = _moved(runs[first], runs[key])
        by = _shift(runs[first].labels, runs[key].labels)
        how = f", moved by {abs(by)} row{'s' * (abs(by) > 1)}" if by else ""
        notes.append(
            f"The labels differ between runs: {rows:,} of {len(runs[key].labels):,} rows of {_run(key)}, "
            f"have another label than in {_run(first)}{how} ({count:,} runs are in another order). That is "
            "right if the rows were saved in another order, and wrong if labels and embeddings do not belong "
            "together; an array ids tells which."
        )
    across = [firsts[group] for group in firsts]
    if len(across) > 1 and any(_difference(runs[across[0]], runs[key]) for key in across[1:]):
        notes.append("The items differ from seed to seed; the runs of one seed are on the same.")
    return notes


def same_roles(runs: Mapping[Key, Items], files: Mapping[Key, str], unpaired: bool = False) -> None:
    """Check that the same items ask, and the same are searched, in all runs of one seed.

    Unpaired runs must all have the same. The items are the same (``same_items``), in the order of their ids
    where these tell them apart.

    Raises:
        LosscopeError: two files whose queries, gallery or cameras differ, with what differs.
    """
    firsts: dict[int, Key] = {}
    for key, items in runs.items():
        first = firsts.setdefault(0 if unpaired else key[1], key)
        difference = _other_roles(runs[first], items)
        require(
            difference is None,
            f"{files[first]!r} and {files[key]!r} ask or search different rows: {difference}; "
            "wanted: the same queries, gallery and cameras in all files of a seed, and an array ids where "
            "the rows are saved in another order",
        )


def _other_roles(a: Items, b: Items) -> str | None:
    """What the roles of the same items differ in: row by row in one order, else counted by label and id."""
    if a.roles is None or b.roles is None:
        return None
    pairs = [(a.labels, b.labels)]
    if a.ids is not None and b.ids is not None:
        pairs.append((a.ids, b.ids))
    in_order = all(np.array_equal(x, y) for x, y in pairs)
    marks = [
        ("query marks", a.roles.query, b.roles.query),
        ("gallery marks", a.roles.gallery, b.roles.gallery),
    ]
    if a.roles.camera is not None and b.roles.camera is not None and a.roles.same_camera != "keep":
        marks.append(("cameras", _anew(a.roles.camera), _anew(b.roles.camera)))
    ours, theirs = ([*zip(*(side.tolist() for side in sides), strict=True)] for sides in zip(*pairs))
    for what, x, y in marks:
        if in_order:
            rows = np.flatnonzero(x != y).tolist()
            other = [ours[row] for row in rows]
        else:
            ours = [(*key, mark) for key, mark in zip(ours, x.tolist(), strict=True)]
            theirs = [(*key, mark) for key, mark in zip(theirs, y.tolist(), strict=True)]
            other = [*(Counter(ours) - Counter(theirs)).elements()]
        if other:
            such = (
                f"id {other[0][1]} of label {other[0][0]}"
                if len(pairs) > 1
                else f"one of label {other[0][0]}"
            )
            return f"the {what} of {len(other):,} of {len(x):,} rows differ, such as {such}"
    return None


def _anew(cameras: np.ndarray) -> np.ndarray:
    """Cameras (N,) numbered by the rows that are left, whatever others the file has."""
    return np.unique(cameras, return_inverse=True)[1]


def _run(key: Key) -> str:
    return f"{key[0]}, seed {key[1]}"


def _difference(a: Items, b: Items) -> str | None:
    """What the items of two runs differ in, None where they are the same in some order."""
    counts, others = Counter(a.labels.tolist()), Counter(b.labels.tolist())
    if len(a.labels) != len(b.labels) or len(counts) != len(others):
        return f"{a.said} against {b.said}"
    if counts.keys() != others.keys():
        gone = sorted(map(str, counts.keys() - others.keys()))
        return f"the labels {', '.join(gone[:3])}{', …' if len(gone) > 3 else ''} are in the first alone"
    if counts != others:
        name = next(name for name in counts if counts[name] != others[name])
        return f"{counts[name]:,} items of {name} against {others[name]:,}"
    if a.ids is None or b.ids is None:
        return None
    known = dict(zip(a.ids.tolist(), a.labels.tolist(), strict=True))
    strange = [name for name in b.ids.tolist() if name not in known]
    if strange:
        return f"{len(strange):,} ids, such as {strange[0]}, are in the second alone"
    pairs = zip(a.ids.tolist(), a.labels.tolist(), strict=True)
    moved = Counter(pairs) - Counter(zip(b.ids.tolist(), b.labels.tolist(), strict=True))
    if moved:
        return f"{sum(moved.values()):,} ids, such as {next(iter(moved))[0]}, have another label"
    return None


def _moved(a: Items, b: Items) -> int:
    """How many rows have another label, where no id says that they are other items."""
    if a.ids is not None and b.ids is not None:
        return 0
    return 0 if len(a.labels) != len(b.labels) else int((a.labels != b.labels).sum())


def _shift(a: np.ndarray, b: np.ndarray) -> int:
    """By how many rows the labels are moved in a circle, 0 if they are not by a few."""
    return next((by for by in (1, -1, 2, -2) if np.array_equal(np.roll(a, by), b)), 0)


def refuse_undecided(where: str, numbers: np.ndarray, *, searched: bool = False) -> None:
    """Raise for items that no measure can decide on. ``numbers`` (N,): classes, -1 for background.

    ``searched``: there are queries and a gallery, which are looked at on their own.
    """
    why = undecidable(numbers, paired=searched)
    left = int((numbers < 0).sum())
    beside = f"; {left:,} rows are background: --ignore-label=none makes -1 a class" if left else ""
    require(why is None, f"{where} has {why}, which decides nothing; wanted: rows of {DECIDABLE}{beside}")
