"""What a claim reads: the runs of one data set under one protocol, every value by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from losscope.core import registry
from losscope.stats import Claim, Difference, association, compare, declared, null

Direction = Literal["higher", "lower"]
Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Side:
    """All runs of one loss at one setting, in the order of their seeds.

    ``loss`` is its registered name and ``label`` the name with its numbers. ``failed`` (S,); ``values``:
    measure -> (S,), None where it does not exist, ``name@test`` beside the training set's where the protocol
    measures that; ``curves``: measure -> one array (epochs,) a seed, NaN at an epoch without a value.

    >>> side = Side("triplet", "triplet", (False,), {}, {"update_norm": (np.arange(1.0, 21.0),)})
    >>> side.during("update_norm", 0.0, 0.1), side.of("recall_at_1")
    ((1.5,), (None,))
    """

    loss: str
    label: str
    failed: tuple[bool, ...]
    values: Mapping[str, Values]
    curves: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    hyperparameters: Mapping[str, object] = field(default_factory=dict)

    def of(self, measure: str) -> Values:
        """The values of a measure by seed; all None where the runs do not have it."""
        return self.values.get(measure, (None,) * len(self.failed))

    def during(self, measure: str, start: float, stop: float) -> Values:
        """The mean by seed over the epochs of a part of training, 0 and 1 being its ends; None without any."""
        means: list[float | None] = []
        for curve in self.curves.get(measure, [np.empty(0)] * len(self.failed)):
            epochs = len(curve)
            part = curve[math.floor(start * epochs) : max(1, math.ceil(stop * epochs - 1e-9))]
            part = part[np.isfinite(part)]
            means.append(float(part.mean()) if len(part) else None)
        return tuple(means)

    def has(self, values: Values) -> bool:
        """Whether there is anything to compare: a value, or a run that failed."""
        return any(self.failed) or any(not null(value) for value in values)


@dataclass(frozen=True)
class Stated(Claim):
    """A claim with the names of what it compares, for the ledger; ``note`` is added to its reason."""

    a: str = ""
    b: str = ""
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """One data set under one protocol.

    ``data`` is the name in the ledger; ``sides`` by the loss's
    registered name; ``grid``: losses × margins, for claims about association. ``reduced`` says in words that
    the data are a part of the paper's: then numbers and the speed of training cannot be tested. ``settings``
    are the tuned or untuned values that verdicts are conditional on. ``only``: the ids of the claims that
    these runs were made for, empty for all. ``study`` is the folder of the runs' own page.
    """

    data: str
    protocol: str
    sides: Mapping[str, Side]
    alpha: float
    grid: tuple[Side, ...] = ()
    reduced: str | None = None
    settings: str = ""
    only: tuple[str, ...] = ()
    look: int = 1
    edition: str = ""
    study: str | None = None

    def claim(
        self,
        a: str,
        direction: Direction,
        b: str,
        measure: str,
        *,
        value: float | None = None,
        during: tuple[float, float] | None = None,
    ) -> Stated | None:
        """The loss ``a`` is higher (or lower) than ``b`` on a measure; None if these data do not have it.

        ``value``: the published a − b, or a / b where the measure is compared by its ratio; the number itself
        is tested under the paper's protocol on whole data. ``during``: on the part of training between two
        shares of its epochs. Raw values are compared as the paper states them, also of unlike loss forms; the
        scale-free control stands beside.
        """
        for name in (a, b):
            if name not in self.sides:
                return Stated(None, direction, reason=f"the loss {name} was not run", a=a, b=b)
        one, two = self.sides[a], self.sides[b]
        name = measure if during is None else f"{measure}@{during[0]:g}-{during[1]:g}"
        x, y = (side.of(measure) if during is None else side.during(measure, *during) for side in (one, two))
        have = one.has(x), two.has(y)
        if not any(have):
            return None
        if not all(have):
            lacking = a if not have[0] else b
            return Stated(None, direction, reason=f"{lacking} has no {declared(name).label}", a=a, b=b)
        row = compare(x, y, name, alpha=self.alpha, failed=(one.failed, two.failed))
        size = registry.entry("protocol", self.protocol).facts.published and self.reduced is None
        note = ""
        if value is not None:
            value = math.log(value) if row.scale == "log_ratio" else value
            if not size:
                why = "the data are reduced" if self.reduced else "it is of the paper's own protocol"
                note = f"direction only, the number is not testable here: {why}"
        return Stated(row, direction, value=value, size=size, a=a, b=b, note=note)

    def rises(self, x: str, y: str, *, loss: str | None = None) -> Stated | None:
        """``y`` rises with ``x`` over losses and margins, or over the margins of one loss (Spearman by seed)."""
        cells = [side for side in self.grid if loss in (None, side.loss)]
        if not any(side.has(side.of(y)) for side in cells):
            return None
        lost = np.any([side.failed for side in cells], axis=0)
        table = [[[np.nan if null(v) else v for v in side.of(name)] for side in cells] for name in (x, y)]
        rows = [np.where(lost[:, None], np.nan, np.array(one, dtype=float).T) for one in table]
        row = association(rows[0], rows[1], alpha=self.alpha)
        return Stated(row, "higher", a=declared(y).label, b=declared(x).label)

    def all_of(self, parts: Sequence[Stated | None]) -> Stated | None:
        """A claim that holds only if each of its parts does; None if these data have none of them.

        Judged by its weakest part, which makes one test of the family: all parts hold at a level only if the
        one with the largest p does (an intersection-union test). A part that points the other way is chosen
        from all of them, so its p counts for as many.
        """
        known = [part for part in parts if part is not None]
        if not known:
            return None
        open_ = next((part for part in known if part.row is None or part.reason), None)
        if open_ is not None:
            return open_
        weakest = max(known, key=_weakness)
        row = weakest.row
        assert row is not None
        if _against(weakest) and row.p is not None:
            row = replace(row, p=min(1.0, row.p * len(known)))
        note = f"the weakest of {len(known)}: {weakest.a} against {weakest.b}" if len(known) > 1 else ""
        return replace(weakest, row=row, note="; ".join(one for one in (note, weakest.note) if one))


def _against(part: Stated) -> bool:
    assert part.row is not None
    return part.row.leaning == (-1 if part.direction == "higher" else 1)


def _weakness(part: Stated) -> tuple[bool, float, float]:
    """Unreadable, then clearly the other way, then barely this way; at equal p by the size."""
    row: Difference | None = part.row
    if row is None or row.p is None:
        return True, math.inf, 0.0
    size = abs(row.difference or 0.0)
    return (True, -row.p, size) if _against(part) else (False, row.p, -size)
