"""What the cells of a table of scores mean: numbers, percentages, nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from losscope.core.errors import LosscopeError, require, shown
from losscope.core.quantities import Quantity, quantity, unsplit

EMPTY = frozenset(("", "-", "–", "—", "?", "na", "n/a", "nan", "none", "null", "<na>"))
"""Cells without a value, whatever their case."""
ROUNDING = 1e-6
"""How far rounding may carry a value beyond its range."""
COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+%?")
THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}(,[0-9]{3})+")


@dataclass(frozen=True)
class Score:
    """One cell: the run and the measure that it belongs to, and its value; None where there is none.

    ``unit``: what pairs the run with others where that is no seed, by name; ``label``: the class of a unit
    that is a test item.
    """

    loss: str
    seed: int
    measure: str
    value: float | None
    percent: bool = False
    split: str | None = None
    unit: str = ""
    label: str = ""

    @property
    def run(self) -> str:
        return f"{self.loss}, {self.unit or f'seed {self.seed}'}"


def number(cell: object, where: str) -> tuple[float | None, bool]:
    """A cell's value, None where it is empty, and whether a percent sign stands with it.

    >>> number(" 71.05 %", "a"), number("0,71", "a"), number("NA", "a")
    ((71.05, True), (0.71, False), (None, False))
    """
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        text = repr(float(cell))
    else:
        text = "" if cell is None else str(cell).strip().replace("−", "-")
    if text.casefold() in EMPTY:
        return None, False
    percent, plain = text.endswith("%"), text.removesuffix("%").strip()
    if COMMA.fullmatch(plain) and not THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        raise LosscopeError(
            f"{where} is {shown(cell)}; seeds are whole numbers and values numbers: one value of one run, "
            "with a decimal point, or an empty cell"
        ) from None
    require(math.isfinite(value), f"{where} is {text}; wanted: a finite number, or an empty cell")
    return value, percent


def in_units(scores: Sequence[Score]) -> tuple[list[Score], list[str]]:
    """The scores of every measure in its own unit, percentages as shares, and sentences that say so.

    Raises:
        LosscopeError: values in two units, or beyond the range of their measure.
    """
    made, notes, plain = [], [], []
    for name in dict.fromkeys(score.measure for score in scores):
        rows = [score for score in scores if score.measure == name]
        known = quantity(unsplit(name)[0])
        if known.unit != "share":
            require(
                not any(row.percent for row in rows),
                f"{known.label} is no share; percentages of it have no meaning here",
            )
        elif _is_percent(name, rows):
            rows = [_divided(row) for row in rows]
            notes.append(f"{known.label} is given in percent; it is divided by 100.")
        else:
            plain.append(known.label)
        for row in rows:
            _check_range(known, row)
        made += rows
    if notes and plain:
        notes.append(f"{', '.join(plain)}: taken as shares, from 0 to 1.")
    return made, notes


def _is_percent(name: str, rows: Sequence[Score]) -> bool:
    """Whether a share is given in percent: by its signs, or because every value is above 1."""
    kept = [row for row in rows if row.value is not None]
    marked = [row for row in kept if row.percent]
    bare = [row for row in kept if not row.percent]
    require(
        not marked or not bare,
        f"{len(marked):,} values of {name} are percentages and {len(bare):,} are not; wanted: one unit",
    )
    if marked:
        return True
    shares = [row for row in kept if 0 < (row.value or 0.0) <= 1 + ROUNDING]
    above = [row for row in kept if (row.value or 0.0) > 1 + ROUNDING]
    if not above or any((row.value or 0.0) > 100 for row in above):
        return False
    require(
        not shares,
        f"{name} is {above[0].value:g} for {above[0].run} and "
        f"{shares[0].value if shares else 0:g} for {shares[0].run if shares else ''}: a percentage and a "
        "share cannot be told apart here; wanted: all as shares (0 to 1), or all with a percent sign",
    )
    return True


def _divided(row: Score) -> Score:
    value = None if row.value is None else row.value / 100
    return replace(row, value=value, percent=False)


def _check_range(known: Quantity, row: Score) -> None:
    low, high = known.range
    if row.value is None or known.unit == "loss" or low - ROUNDING <= row.value <= high + ROUNDING:
        return
    wanted = f"from {low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
    raise LosscopeError(
        f"{row.measure} of {row.run} is {row.value:g}; wanted: {wanted}"
        + (" (a share), or percentages throughout" if known.unit == "share" else "")
    )
