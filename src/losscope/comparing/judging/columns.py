"""Which columns of a table say what: the run, the measure, its value, and what pairs the runs."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.wording import listing

COLUMNS = ("loss", "seed", "measure", "value")
SYNONYMS: dict[str, tuple[str, ...]] = {
    "loss": ("method", "loss_name", "loss_function", "objective", "criterion", "algorithm"),
    "seed": ("random_seed", "random_state", "run", "repeat", "repetition", "trial"),
    "measure": ("metric", "metric_name", "measure_name"),
    "value": ("score", "result"),
    "split": ("part", "subset"),
}
"""Other names of the columns."""
MODELS = ("model", "model_name", "system")
"""Columns whose models are compared where no column names losses."""
STEPS = ("epoch", "step", "iteration")
DATA = ("dataset", "data", "data_set", "corpus")
APART = (*STEPS, *DATA, "protocol", "backbone", "model", "architecture", "checkpoint")
"""Columns whose values make runs different things, not repetitions of one."""


@dataclass(frozen=True)
class Asked:
    """What the user says of a table.

    ``only``: rows to keep, as ``column=value``, or ``epoch=last``. ``unit``: the column of what pairs the
    runs; ``family``: that of families of data sets.
    """

    only: tuple[str, ...] = ()
    unit: str | None = None
    family: str | None = None

    @property
    def given(self) -> bool:
        """Whether the user says anything."""
        return bool(self.only or self.unit or self.family)


def plainly(column: object) -> str:
    """A column's name in the form in which names are known: lower case, blanks and hyphens as ``_``."""
    return str(column).strip().lower().replace(" ", "_").replace("-", "_")


def roles_of(frame: Any, where: str) -> dict[str, str]:
    """The column of each role that has one."""
    lower = [plainly(name) for name in frame.columns]
    at = {role: _place(lower, role, where) for role in (*COLUMNS, "split")}
    if at["loss"] is None:
        models = [name for name in MODELS if name in lower]
        at["loss"] = lower.index(models[0]) if len(models) == 1 else None
    return {role: frame.columns[place] for role, place in at.items() if place is not None}


def _place(lower: Sequence[str], role: str, where: str) -> int | None:
    """The place of a role's column: by its name, else by the one other name that is there."""
    if role in lower:
        return lower.index(role)
    found = [name for name in SYNONYMS[role] if name in lower]
    require(
        len(found) < 2,
        f"{where}: {listing(found)} may each be the {role}; wanted: a column {role}",
    )
    return lower.index(found[0]) if found else None


def column_of(frame: Any, asked: str, where: str) -> str:
    """The column that a user names, whatever its case.

    Raises:
        LosscopeError: there is none; with the nearest.
    """
    known = {plainly(name): str(name) for name in frame.columns}
    if asked not in frame.columns and plainly(asked) not in known:
        raise unknown(f"column of {where}", asked, map(str, frame.columns))
    return asked if asked in frame.columns else known[plainly(asked)]


def kept_rows(frame: Any, only: Sequence[str], names: Mapping[str, str], where: str) -> tuple[Any, list[str]]:
    """The rows that the user keeps, and a sentence for each choice."""
    notes = []
    for text in only:
        column, sign, wanted = (part.strip() for part in text.partition("="))
        require(bool(sign), f"cannot read {text!r}; wanted: column=value, such as epoch=last")
        if column not in frame.columns:
            raise unknown(f"column of {where}", column, map(str, frame.columns))
        before = len(frame)
        if wanted == "last":
            try:
                numbers = frame[column].astype(float)
            except (ValueError, TypeError):
                raise LosscopeError(f"{where}: {text} wants numbers, and the column holds others") from None
            runs = [names[role] for role in ("loss", "seed", "measure") if role in names]
            frame = frame[numbers == numbers.groupby([frame[name] for name in runs]).transform("max")]
        else:
            frame = frame[[_same(cell, wanted) for cell in frame[column]]]
        require(len(frame) > 0, f"no row of {where} has {column} {wanted!r}")
        notes.append(f"{before - len(frame):,} of {before:,} rows are left out, by {column}={wanted}.")
    return frame, notes


def _same(cell: object, wanted: str) -> bool:
    try:
        return str(cell).strip() == wanted or float(str(cell)) == float(wanted)
    except ValueError:
        return False


def texts(column: Any) -> list[str]:
    """Cells as text, without the blanks around them; nothing where there is none."""
    return [text_of(cell) for cell in column]


def text_of(cell: object) -> str:
    """One cell as text; nothing where it is empty."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell:
        return ""
    text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
    return unicodedata.normalize("NFC", text.strip())


def refuse_apart(frame: Any, others: Sequence[str], names: Mapping[str, str], where: str) -> list[str]:
    """Sentences on columns that are not read; raises where their values make the runs different things."""
    unread = []
    runs = texts(frame[names["loss"]]) if "loss" in names else [""] * len(frame)
    for column in others:
        cells = texts(frame[column])
        values = list(dict.fromkeys(cells))
        if len(values) < 2:
            continue
        if plainly(column) not in APART:
            unread.append(column)
            continue
        own = {
            loss: {c for c, run in zip(cells, runs, strict=True) if run == loss}
            for loss in dict.fromkeys(runs)
        }
        repeated = _repeats(frame, names)
        if column.lower() in STEPS and not repeated and max(map(len, own.values())) > 1:
            unread.append(column)
            continue
        each = [(loss, *cells) for loss, cells in own.items() if len(cells) == 1]
        require(
            repeated or len(each) < len(own),
            f"{where}: the column {column!r} differs from loss to loss "
            f"({', '.join(f'{cell} for {loss}' for loss, cell in each[:4])}); wanted: the same for all",
        )
        some = ", ".join(values[:4]) + (", …" if len(values) > 4 else "")
        unit = f", or pair the runs by it with --unit {shlex.quote(column)}" * (plainly(column) in DATA)
        last = f" or --only {shlex.quote(f'{column}=last')}" * (column.lower() in STEPS)
        raise LosscopeError(
            f"{where}: the column {column!r} has {len(values):,} values ({some}), and runs that differ "
            f"in it are not one comparison; keep one with --only {shlex.quote(f'{column}={values[-1]}')}"
            f"{last}{unit}"
        )
    return [f"Not read: the column{'s' * (len(unread) > 1)} {listing(unread)}."] if unread else []


def _repeats(frame: Any, names: Mapping[str, str]) -> bool:
    keys = [names[role] for role in ("loss", "seed", "unit", "measure", "split") if role in names]
    return bool(frame.duplicated(keys).any())
