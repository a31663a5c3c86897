"""The choices of a multiverse as columns of numbers, of which each knows its axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from losscope.stats.multiverses.cells import Universe


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis: its value in each setting, (S,), as ``numbers`` or else as ``texts``."""

    name: str
    numbers: np.ndarray | None
    texts: np.ndarray | None

    @property
    def levels(self) -> tuple[str, ...]:
        """The texts that it has, in their order; none of an axis of numbers."""
        return () if self.texts is None else tuple(sorted(set(self.texts.tolist())))


@dataclass(frozen=True, eq=False)
class Columns:
    """Choices as numbers.

    Attributes:
        values: (S, columns); of texts there is a column for each level, 1 where it is chosen, and one column
            where there are two.
        axis: of each column the place of its axis in ``axes``.
        level: of each column the text that 1 stands for, None in one of numbers.
        axes: the axes that vary.
    """

    values: np.ndarray
    axis: np.ndarray
    level: tuple[str | None, ...]
    axes: tuple[Axis, ...]


def axes_of(universe: Universe) -> tuple[Axis, ...]:
    """Every axis: of numbers where all of its values are finite ones, else of texts.

    >>> from losscope.stats.multiverses.axes import axis_of
    >>> axis_of("mean", np.array(["all", "active"])).levels, axis_of("p", np.array([1, 2])).levels
    (('active', 'all'), ())
    """
    return tuple(axis_of(name, np.asarray(values)) for name, values in universe.choices.items())


def axis_of(name: str, values: np.ndarray) -> Axis:
    """One axis from its values (S,)."""
    kinds = {type(value) for value in values.tolist()}
    if kinds <= {int, float} and np.isfinite(np.asarray(values, dtype=float)).all():
        return Axis(name, np.asarray(values, dtype=float), None)
    return Axis(name, None, np.array([_text(value) for value in values.tolist()], dtype=object))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def columns(axes: tuple[Axis, ...], chosen: np.ndarray) -> Columns:
    """The axes that vary among chosen settings (S,), as columns of these settings."""
    made: list[np.ndarray] = []
    owner: list[int] = []
    level: list[str | None] = []
    kept: list[Axis] = []
    for axis in axes:
        numbers = None if axis.numbers is None else axis.numbers[chosen]
        texts = None if axis.texts is None else axis.texts[chosen]
        own = Axis(axis.name, numbers, texts)
        if numbers is not None and np.ptp(numbers) > 0:
            made.append(numbers)
            level.append(None)
            owner.append(len(kept))
        elif texts is not None and len(own.levels) > 1:
            shown = own.levels[1:] if len(own.levels) == 2 else own.levels
            made += [(texts == name).astype(float) for name in shown]
            level += shown
            owner += [len(kept)] * len(shown)
        else:
            continue
        kept.append(own)
    values = np.column_stack(made) if made else np.empty((int(chosen.sum()), 0))
    return Columns(values, np.array(owner, dtype=int), tuple(level), tuple(kept))
