"""A space of settings: its axes as values, each with where it comes from.

An axis of *levels* is the same for all settings of a cell, as a level may change shapes, batches or data. An
axis of *numbers* stacks: members of one population may each have a number of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from losscope.core.facts import Value
from losscope.core.spec import DataSpec, LossSpec, Protocol, Run, build

Part = Literal["protocol", "data", "loss"]
"""What an axis changes of a run."""
DIGITS = 3
"""Significant digits of a number that is drawn: a setting can be typed again."""


@dataclass(frozen=True)
class Even:
    """Numbers spread evenly from ``low`` to ``high``, or evenly by their logarithms.

    >>> Even(0.1, 10.0, logarithmic=True).at(0.5), Even(0.0, 1.0).at(0.25)
    (1.0, 0.25)
    """

    low: float
    high: float
    logarithmic: bool = False

    def at(self, share: float) -> float:
        """The number below which a share of the numbers lies."""
        low, high = (math.log(end) if self.logarithmic else end for end in (self.low, self.high))
        found = low + share * (high - low)
        return float(f"{math.exp(found) if self.logarithmic else found:.{DIGITS}g}")


@dataclass(frozen=True)
class Level:
    """A level of an axis: what it is called among the choices, and the fields that it sets."""

    name: Value
    fields: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Axis:
    """A choice that papers make.

    Attributes:
        name: what it is called; of one loss, ``triplet.margin``.
        part: what it changes: the protocol, the options of the data, or the loss.
        paper: the level or the number of the paper's own setting.
        source: why these values are defensible.
        levels: the values of an axis that makes cells.
        numbers: those of an axis that stacks, instead; ``field`` is then what it sets.
        loss: the one loss that has the axis; None for all of them alike.
    """

    name: str
    part: Part
    paper: Value
    source: str
    levels: tuple[Level, ...] = ()
    numbers: Even | None = None
    field: str = ""
    loss: str | None = None

    @property
    def stacks(self) -> bool:
        """Whether members of one population may differ in it."""
        return self.numbers is not None

    def fields(self, value: Value) -> tuple[tuple[str, Any], ...]:
        """The fields that a value of the axis sets."""
        if self.stacks:
            return ((self.field, value),)
        return next(level.fields for level in self.levels if level.name == value)

    def without(self, beyond: Iterable[Value]) -> Axis:
        """The axis without some of its levels."""
        gone = set(beyond)
        return replace(self, levels=tuple(level for level in self.levels if level.name not in gone))


def chosen(
    name: str,
    part: Part,
    values: Iterable[Value],
    paper: Value,
    source: str,
    *,
    loss: str | None = None,
) -> Axis:
    """An axis of levels, each of which sets the field of the axis's name.

    >>> chosen("squared", "loss", (False, True), False, "FaceNet", loss="triplet").name
    'triplet.squared'
    """
    levels = tuple(Level(value, ((name, value),)) for value in values)
    return Axis(f"{loss}.{name}" if loss else name, part, paper, source, levels, loss=loss)


def drawn(
    name: str, part: Part, numbers: Even, paper: float, source: str, *, loss: str | None = None
) -> Axis:
    """An axis of numbers, which sets the field of the axis's name."""
    called = f"{loss}.{name}" if loss else name
    return Axis(called, part, paper, source, numbers=numbers, field=name, loss=loss)


@dataclass(frozen=True)
class Setting:
    """One point of a space: its number in the design, the cell that it trains in, and a value for each
    axis."""

    number: int
    cell: int
    values: tuple[Value, ...]

    @property
    def id(self) -> str:
        """What it is called: ``paper``, or its number."""
        return "paper" if self.number == 0 else f"{self.number:04d}"


@dataclass(frozen=True)
class Space:
    """The declared settings of a paper's losses on one kind of data, under its own protocol.

    ``data``: the one data set that it is for; empty for all of the kind. ``given``: what is fixed of losses.

    >>> from losscope.varying.declared import space_of
    >>> space = space_of("zeng2025", "vectors", "synthetic")
    >>> [axis.name for axis in space.axes if axis.stacks]
    ['learning_rate', 'contrastive.margin', 'triplet.margin']
    """

    paper: str
    kind: str
    protocol: str
    losses: tuple[str, ...]
    axes: tuple[Axis, ...]
    data: str = ""
    given: tuple[LossSpec, ...] = ()

    def own(self) -> tuple[Value, ...]:
        """The paper's own value on each axis."""
        return tuple(axis.paper for axis in self.axes)

    def _fields(self, setting: Setting, part: Part, loss: str | None = None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for axis, value in zip(self.axes, setting.values, strict=True):
            if axis.part == part and axis.loss in (None, loss):
                found.update(axis.fields(value))
        return found

    def protocol_of(self, setting: Setting, base: Protocol) -> Protocol:
        """The paper's protocol with what the setting changes of it."""
        numbers = {name: getattr(base, name) for name in type(base).model_fields}
        return build(Protocol, {**numbers, **self._fields(setting, "protocol")}, f"the setting {setting.id}")

    def options_of(self, setting: Setting) -> dict[str, Any]:
        """The options of the data set that the setting changes; the paper's own are those of the data set."""
        own = self._fields(Setting(0, 0, self.own()), "data")
        return {name: value for name, value in self._fields(setting, "data").items() if value != own[name]}

    def data_of(self, setting: Setting) -> tuple[Value, ...]:
        """What a setting chose of its data."""
        return tuple(
            value for axis, value in zip(self.axes, setting.values, strict=True) if axis.part == "data"
        )

    def loss_of(self, setting: Setting, loss: str) -> LossSpec:
        """The loss at the setting's numbers, nothing implicit."""
        words = self._fields(setting, "loss", loss)
        reduction = words.pop("reduction", None)
        given = next((spec for spec in self.given if spec.name == loss), LossSpec(name=loss))
        spec = given.model_copy(
            update={
                "hyperparameters": {**given.hyperparameters, **words},
                "reduction": reduction or given.reduction,
            }
        )
        spec.check()
        return spec.resolved(self.protocol)

    def run_of(
        self,
        setting: Setting,
        loss: str,
        seed: int,
        base: Protocol,
        data: DataSpec,
        data_seed: int | None = None,
    ) -> Run:
        """The run of a loss at a setting, on data that already have the setting's options."""
        return Run(
            data=data,
            loss=self.loss_of(setting, loss),
            protocol=self.protocol_of(setting, base),
            seed=seed,
            data_seed=data_seed,
        )
