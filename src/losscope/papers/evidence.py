"""What a claim reads: the stored runs of one data set under one protocol, every value by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from losscope import stats
from losscope.comparing import reading
from losscope.core.facts import Value
from losscope.core.loss_spec import LossSpec
from losscope.core.wording import label
from losscope.core.wording import reproductions as wording
from losscope.papers.paper import AllOf, Asked, Claim, Compared, Direction, Rises
from losscope.papers.planning import Piece
from losscope.run.store import Stored
from losscope.stats import null

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Side:
    """All runs of one loss at one setting, in the order of their seeds.

    ``loss`` is its registered name and ``label`` the name with its numbers. ``failed`` (S,); ``values``:
    measure -> (S,), None where it does not exist, ``name@test`` beside the training set's where the protocol
    measures that; ``curves``: measure -> one array (epochs,) per seed, NaN at an epoch without a value.

    >>> side = Side("triplet", "triplet", (False,), {}, {"update_norm": (np.arange(1.0, 21.0),)})
    >>> side.during("update_norm", 0.0, 0.1), side.of("recall_at_1")
    ((1.5,), (None,))
    """

    loss: str
    label: str
    failed: tuple[bool, ...]
    values: Mapping[str, Values]
    curves: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)

    def of(self, measure: str) -> Values:
        """The values of a measure by seed; all None where the runs do not have it."""
        return self.values.get(measure, (None,) * len(self.failed))

    def during(self, measure: str, start: float, stop: float) -> Values:
        """The mean by seed over a part of training, whose ends are 0 and 1; None where it has no value."""
        means: list[float | None] = []
        for curve in self.curves.get(measure, [np.empty(0)] * len(self.failed)):
            epochs = len(curve)
            part = curve[math.floor(start * epochs) : max(1, math.ceil(stop * epochs - 1e-9))]
            part = part[np.isfinite(part)]
            means.append(float(part.mean()) if len(part) else None)
        return tuple(means)

    def asked(self, measure: str, during: tuple[float, float] | None = None) -> Values:
        """The values by seed of what a claim is about: a measure, or its mean over a part of training."""
        return self.of(measure) if during is None else self.during(measure, *during)

    def has(self, values: Values) -> bool:
        """Whether there is anything to compare: a value, or a run that failed."""
        return any(self.failed) or any(not null(value) for value in values)

    @property
    def margin(self) -> float | None:
        """The loss's margin, where it has one."""
        margin = self.hyperparameters.get("margin")
        return float(margin) if isinstance(margin, int | float) else None


def name_of(measure: str, during: tuple[float, float] | None = None) -> str:
    """What a claim is about: a measure, or its mean over a part of training.

    >>> name_of("hard_share", (0.5, 1.0))
    'hard_share@0.5-1'
    """
    return measure if during is None else f"{measure}@{during[0]:g}-{during[1]:g}"


@dataclass(frozen=True)
class Stated(stats.Claim):
    """A claim with the names of what it compares, for the ledger; ``note`` is added to its reason."""

    a: str = ""
    b: str = ""
    note: str = ""
    rises: bool = False


@dataclass(frozen=True)
class Evidence:
    """One data set under one protocol.

    ``data`` is the name in the ledger; ``sides`` by the loss's registered name; ``grid``: losses × margins,
    for claims about association. ``own_protocol``: whether the protocol is the paper's own, under which its
    numbers can be tested. ``reduced`` says in words that the data are a part of the paper's: then numbers and
    the speed of training cannot be tested. ``settings`` are the tuned or untuned values that verdicts are
    conditional on. ``only``: the ids of the claims that these runs were made for, empty for all. ``study`` is
    the folder of the runs' own page.
    """

    data: str
    protocol: str
    sides: Mapping[str, Side]
    alpha: float
    own_protocol: bool = True
    grid: tuple[Side, ...] = ()
    reduced: str | None = None
    settings: str = ""
    only: tuple[str, ...] = ()
    look: int = 1
    edition: str = ""
    study: str | None = None

    def state(self, claim: Claim) -> stats.Claim | None:
        """What the runs have to say of a claim of a paper; None if these data do not have its measure."""
        match claim.asserts:
            case Compared() as pair:
                return self._compared(pair, claim.measure)
            case AllOf(parts):
                return self.all_of([self._compared(pair, claim.measure) for pair in parts])
            case Rises(along, loss):
                known = [name for name in along if any(name in side.values for side in self.grid)]
                return self.rises((known or along)[0], claim.measure, loss=loss)
            case Asked(function):
                found: stats.Claim | None = function(self)
                return found

    def _compared(self, pair: Compared, measure: str) -> Stated | None:
        value = pair.values.get(self.data)
        return self.claim(pair.a, pair.direction, pair.b, measure, value=value, during=pair.during)

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
                return Stated(None, direction, reason=wording.not_run(name), a=a, b=b)
        first, second = self.sides[a], self.sides[b]
        name = name_of(measure, during)
        x, y = (side.asked(measure, during) for side in (first, second))
        have = first.has(x), second.has(y)
        if not any(have):
            return None
        if not all(have):
            reason = wording.lacks(a if not have[0] else b, label(name))
            return Stated(None, direction, reason=reason, a=a, b=b)
        row = stats.compare(x, y, name, alpha=self.alpha, failed=(first.failed, second.failed))
        size = self.own_protocol and self.reduced is None
        note = ""
        if value is not None:
            value = math.log(value) if row.scale == "log_ratio" else value
            note = "" if size else wording.direction_only(self.reduced is not None)
        return Stated(row, direction, value=value, size=size, a=a, b=b, note=note)

    def rises(self, x: str, y: str, *, loss: str | None = None) -> Stated | None:
        """``y`` rises with ``x`` over losses and margins, or over one loss's margins (Spearman by seed)."""
        cells = [side for side in self.grid if loss in (None, side.loss)]
        if not any(side.has(side.of(y)) for side in cells):
            return None
        lost = np.any([side.failed for side in cells], axis=0)
        table = [[[np.nan if null(v) else v for v in side.of(name)] for side in cells] for name in (x, y)]
        rows = [np.where(lost[:, None], np.nan, np.array(values, dtype=float).T) for values in table]
        row = stats.association(rows[0], rows[1], alpha=self.alpha)
        return Stated(row, "higher", a=label(y), b=label(x), rises=True)

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
        decisive = max(known, key=_weakness)
        row = decisive.row
        assert row is not None
        if _against(decisive) and row.p is not None:
            row = replace(row, p=min(1.0, row.p * len(known)))
        note = wording.reasons(wording.weakest(len(known), decisive.a, decisive.b), decisive.note)
        return replace(decisive, row=row, note=note or "")


def _against(part: Stated) -> bool:
    assert part.row is not None
    return part.row.leaning == (-1 if part.direction == "higher" else 1)


def _weakness(part: Stated) -> tuple[bool, float, float]:
    """Unreadable, then clearly the other way, then barely this way; at equal p by the size."""
    row: stats.Difference | None = part.row
    if row is None or row.p is None:
        return True, math.inf, 0.0
    size = abs(row.difference or 0.0)
    return (True, -row.p, size) if _against(part) else (False, row.p, -size)


def evidence_of(piece: Piece, sides: Sequence[Side], grid: tuple[Side, ...], own_protocol: bool) -> Evidence:
    """What a cell has to say of the claims. The study's own page is written first, if it is not there."""
    plan = piece.plan
    piece.result()
    look = piece.look
    edges = [
        (choice.spec.name, edge) for choice in plan.choices if choice.tuned for edge in choice.tuned.edge
    ]
    return Evidence(
        data=piece.cell.label,
        protocol=piece.cell.protocol,
        sides={side.loss: side for side in sides},
        alpha=stats.alpha_of(look),
        own_protocol=own_protocol,
        grid=grid,
        reduced=piece.reduced,
        settings=wording.settings([choice.settings for choice in plan.choices], edges),
        only=piece.cell.only,
        look=look,
        edition=plan.source.facts.edition,
        study=plan.name,
    )


def sides_of(piece: Piece) -> list[Side]:
    """The stored runs of a study's losses, baselines left out, seeds in order."""
    plan = piece.plan
    found = []
    for choice in plan.choices:
        name = choice.spec.canonical()
        own = [
            run_id for run, run_id in zip(plan.runs, plan.ids, strict=True) if run.loss.canonical() == name
        ]
        stored = [plan.store.get(run_id) for run_id in own]
        stored.sort(key=lambda run: run.head["spec"]["seed"])
        found.append(side_of(choice.spec, choice.label, stored))
    return found


def side_of(spec: LossSpec, label: str, stored: Sequence[Stored]) -> Side:
    """A loss's side: its stored runs in the order of their seeds."""
    numbers = [{} if run.failed else reading.values_of(run)[0] for run in stored]
    measures = dict.fromkeys(measure for values in numbers for measure in values)
    return Side(
        loss=spec.name,
        label=label,
        failed=tuple(run.failed is not None for run in stored),
        values={measure: tuple(values.get(measure) for values in numbers) for measure in measures},
        curves=Curves(stored),
        hyperparameters=spec.hyperparameters,
    )


class Curves(Mapping[str, Sequence[np.ndarray]]):
    """The curves by epoch of some runs, read from their traces when one is first asked for."""

    def __init__(self, stored: Sequence[Stored]):
        self.stored = stored
        self.table: dict[str, list[np.ndarray]] | None = None

    def _read(self) -> dict[str, list[np.ndarray]]:
        if self.table is None:
            self.table = {}
            for place, run in enumerate(self.stored):
                epochs = run.run.protocol.epochs
                if run.failed is not None or not (run.path / "trace.parquet").exists():
                    continue
                for split in sorted(set(run.columns.split) - {"validation"}):
                    for name, at, values in run.columns.curves(split):
                        empty = [np.full(epochs, np.nan) for _ in self.stored]
                        curve = self.table.setdefault(name, empty)[place]
                        curve[at[at > 0] - 1] = values[at > 0]
        return self.table

    def __getitem__(self, name: str) -> Sequence[np.ndarray]:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())
