"""Runs as statistics see them, and sides: all runs of one loss, baseline or closed form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import CLOSED_FORM, RAW, Family
from losscope.stats.comparison import Difference, compare, null
from losscope.stats.verdicts import Traits


@dataclass(frozen=True)
class Measured:
    """One run as statistics see it.

    ``loss``: display name, one per identity; ``values``: measure -> value, None or NaN where there is none;
    ``splits``: measure -> split it was measured on; ``failed``: the reason, None for a run that ended;
    ``detail``: per-query arrays (Q,) as ``per_query/<measure>`` beside ``per_query/label``; ``form``,
    ``hinge``, ``floor``: the loss's facts, None where unknown. ``validation``: of a closed form, measure ->
    value on the validation part; ``described``: it is shown and never tested.
    """

    loss: str
    seed: int
    values: Mapping[str, float | None]
    splits: Mapping[str, str] = field(default_factory=dict)
    failed: str | None = None
    detail: Mapping[str, np.ndarray] = field(default_factory=dict)
    family: Family = "loss"
    form: str | None = None
    hinge: bool | None = None
    floor: bool | None = None
    validation: Mapping[str, float | None] = field(default_factory=dict)
    described: bool = False


@dataclass(frozen=True)
class Side:
    """All runs of one loss, baseline or closed form, in the order of their seeds."""

    name: str
    runs: tuple[Measured, ...]

    @property
    def traits(self) -> Traits:
        """What limits its comparisons."""
        first = self.runs[0]
        return Traits(first.form, first.hinge, first.floor)

    @property
    def failed(self) -> list[bool]:
        """Which runs failed."""
        return [run.failed is not None for run in self.runs]

    @property
    def details(self) -> list[Mapping[str, np.ndarray]]:
        """The per-query arrays of each run."""
        return [run.detail for run in self.runs]

    def values(self, measure: str) -> list[float | None]:
        """A measure of each run, None where there is none."""
        return [None if run.failed is not None else plain(run.values.get(measure)) for run in self.runs]

    def has(self, measure: str) -> bool:
        """Whether any run has a measure."""
        return any(value is not None for value in self.values(measure))

    def split(self, measure: str) -> str | None:
        """The part of the data that a measure was taken on."""
        return next((run.splits[measure] for run in self.runs if measure in run.splits), None)


def compared(
    a: Side,
    b: Side,
    measure: str,
    *,
    alpha: float,
    paired: bool,
    delta: float | None = None,
    errors: bool = False,
) -> Difference:
    """What the runs of two sides say of a measure (``compare``)."""
    values, failed = (a.values(measure), b.values(measure)), (a.failed, b.failed)
    return compare(*values, measure, alpha=alpha, failed=failed, paired=paired, delta=delta, errors=errors)


def draws_nothing(side: Side) -> bool:
    """Whether no seed changes a side but by the split: a closed form, or the raw inputs."""
    kind = side.runs[0].family
    return kind == CLOSED_FORM or (kind == "baseline" and side.name == RAW)


def plain(value: Any) -> float | None:
    """A number as JSON takes it: a Python float, None for what is absent, NaN or infinite.

    >>> plain(float("nan")), plain(np.float32(0.5))
    (None, 0.5)
    """
    return None if value is None or null(value) else float(value)


def sides_of(runs: Iterable[Measured]) -> list[Side]:
    """The sides of some runs, in the order in which they come."""
    table: dict[str, dict[int, Measured]] = {}
    for run in runs:
        seeds = table.setdefault(run.loss, {})
        if run.seed in seeds:
            raise LosscopeError(
                f"seed {run.seed} of {run.loss!r} is given twice; one run per loss and seed is wanted"
            )
        seeds[run.seed] = run
    sides = [Side(name, tuple(seeds[seed] for seed in sorted(seeds))) for name, seeds in table.items()]
    for side in sides:
        kinds = list(dict.fromkeys(run.family for run in side.runs))
        if len(kinds) > 1:
            raise LosscopeError(
                f"{side.name!r} is a {kinds[0]} in one run and a {kinds[1]} in another; rename one"
            )
    return sides


def check_seeds(sides: Sequence[Side]) -> None:
    """Raise where a side lacks a seed that another has."""
    everyone = sorted({run.seed for side in sides for run in side.runs})
    for side in sides:
        own = {run.seed for run in side.runs}
        lacking = [str(seed) for seed in everyone if seed not in own]
        if lacking:
            some = ", ".join(lacking[:5]) + (", …" if len(lacking) > 5 else "")
            seeds = f"the seed{'s' * (len(lacking) > 1)} {some}"
            raise LosscopeError(
                f"{side.name!r} lacks {seeds} that others have; give every loss the same seeds, or say that "
                f"they are unpaired (--unpaired)"
            )
