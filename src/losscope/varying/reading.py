"""What the stored runs of a multiverse say: a table of their values, and each claim as a universe of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from losscope import stats
from losscope.core.facts import Value
from losscope.core.quantities import quantity
from losscope.core.wording import varying as wording
from losscope.papers.evidence import name_of, side_of
from losscope.papers.paper import Claim, Compared
from losscope.run.store import Store, Stored
from losscope.stats.multiverses.cells import Universe
from losscope.varying.planning import Laid, members
from losscope.varying.worlds import parts

VALIDATED = "recall_at_1"
"""By which validation says how able a loss is at a setting."""
LIKE = 10
"""Settings on the same data from which the best of them is known."""


class Asked(NamedTuple):
    """What is read of each run: a measure, or its mean over a part of training."""

    measure: str
    during: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return name_of(self.measure, self.during)


class Column(NamedTuple):
    """Whose values stand in a column of the table."""

    loss: str
    twin: bool
    name: str


@dataclass(frozen=True, eq=False)
class Table:
    """The values of a world's runs.

    ``values``: (S, n) by loss and name, NaN where a run failed or has no value, infinite where a
    right-censored measure was not reached; ``validation``: the loss's validation measure at the end, (S, n);
    ``last``: the epochs trained, (S,); ``data``: what each setting chose of its data, S of them.
    """

    values: dict[Column, np.ndarray]
    validation: dict[str, np.ndarray]
    last: np.ndarray
    data: tuple[tuple[Value, ...], ...]

    def of(self, loss: str, name: str, twin: bool = False) -> np.ndarray:
        """The values of a loss, (S, n)."""
        return self.values[Column(loss, twin, name)]

    def effects(self, a: str, b: str, asked: Asked) -> np.ndarray:
        """a − b or log(a / b) by setting and seed, (S, n)."""
        return self._effects(self.of(a, asked.name), self.of(b, asked.name), asked)

    def luck(self, loss: str, asked: Asked) -> np.ndarray:
        """The same of a loss and its twin."""
        return self._effects(self.of(loss, asked.name), self.of(loss, asked.name, twin=True), asked)

    def _effects(self, x: np.ndarray, y: np.ndarray, asked: Asked) -> np.ndarray:
        return stats.effects(x, y, asked.name, last=self.last[:, None])

    def competent(self, losses: Iterable[str]) -> np.ndarray | None:
        """Which settings have each loss within the indifference of its best validation measure, (S,).

        The best is that on the same data: with more label noise no loss gets as far, however it is trained.
        Where fewer than ``LIKE`` settings share their data, none of them counts; None if that is everywhere.
        """
        shared = {data for data, count in Counter(self.data).items() if count >= LIKE}
        if not shared:
            return None
        means = [self.validation[loss].mean(axis=1) for loss in losses]
        found = np.zeros(len(self.data), bool)
        for data in shared:
            alike = np.array([own == data for own in self.data])
            able = [
                own >= np.nanmax(own[alike], initial=-np.inf) - quantity(VALIDATED).delta for own in means
            ]
            found |= alike & np.logical_and.reduce(able)
        return found


def asked_of(claims: Iterable[Claim]) -> list[Asked]:
    """What claims are about, each once."""
    return list(dict.fromkeys(Asked(claim.measure, part.during) for claim in claims for part in parts(claim)))


def table(laid: Laid, store: Store, asked: Sequence[Asked]) -> Table:
    """The values of all runs of a world. Each run's files are read once."""
    count, seeds = len(laid.settings), len(next(iter(laid.runs.values())))
    values: dict[Column, np.ndarray] = {}
    validation = {loss: np.full((count, seeds), np.nan) for loss in laid.space.losses}
    for place, setting in enumerate(laid.settings):
        for member in members(laid.space, setting):
            stored = [store.get(run_id) for run_id in laid.runs[member]]
            spec = laid.space.loss_of(setting, member.loss)
            side = side_of(spec, spec.label, stored)
            for what in asked:
                column = Column(member.loss, member.twin, what.name)
                rows = values.setdefault(column, np.full((count, seeds), np.nan))
                censored = what.measure in stats.CENSORED and what.measure in side.values
                empty = math.inf if censored and what.during is None else math.nan
                for seed, value in enumerate(side.asked(*what)):
                    if not side.failed[seed]:
                        rows[place, seed] = empty if value is None or stats.null(value) else value
            if not member.twin:
                validation[member.loss][place] = [_validated(run) for run in stored]
    return Table(values, validation, np.array(laid.epochs), tuple(map(laid.space.data_of, laid.settings)))


def _validated(run: Stored) -> float:
    """The validation measure of a run's last epoch, NaN where it has none."""
    if run.failed is not None or not run.has_trace:
        return math.nan
    _, values = run.columns.curve("validation", VALIDATED)
    return float(values[-1]) if len(values) else math.nan


def universes(laid: Laid, found: Table) -> list[Universe]:
    """Each pair of each claim of a world, where its data have the claim's measure."""
    return [
        universe
        for claim in laid.world.claims
        for part in parts(claim)
        if (universe := _universe(laid, found, claim, part)) is not None
    ]


def _universe(laid: Laid, found: Table, claim: Claim, part: Compared) -> Universe | None:
    if not {part.a, part.b} <= set(laid.space.losses):
        return None
    asked = Asked(claim.measure, part.during)
    effects = found.effects(part.a, part.b, asked)
    if not np.isfinite(effects).any():
        return None
    declared = stats.declared(asked.name)
    value = part.values.get(laid.world.label)
    on_scale = math.log(value) if value is not None and declared.scale == "log_ratio" else value
    return Universe(
        claim=claim.id,
        statement=claim.statement,
        data=laid.world.label,
        pair=(part.a, part.b),
        delta=stats.indifference(declared.delta, on_scale),
        direction=1 if part.direction == "higher" else -1,
        settings=tuple(setting.id for setting in laid.settings),
        cells=np.array([setting.cell for setting in laid.settings]),
        choices=choices(laid),
        effects=effects,
        competent=found.competent((part.a, part.b)),
        null=found.luck(laid.space.losses[0], asked),
        paper=next((place for place, setting in enumerate(laid.settings) if setting.number == 0), None),
        measure=asked.name,
        scale=declared.scale,
    )


def choices(laid: Laid) -> dict[str, np.ndarray]:
    """The value of each axis at each setting: numbers where all are numbers, else texts."""
    columns = zip(*(setting.values for setting in laid.settings), strict=True)
    return {axis.name: _column(values) for axis, values in zip(laid.space.axes, columns, strict=True)}


def _column(values: Sequence[Value]) -> np.ndarray:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return np.array(values, dtype=float) if numbers else np.array([wording.named(value) for value in values])
