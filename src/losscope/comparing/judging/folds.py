"""Scores over the folds of one data set: each run is of a fold, and nothing is tested over folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losscope.core.errors import require
from losscope.data.folds import NAMED

Folded = tuple[Any, dict[str, str], int, list[str]]


def with_folds(frame: Any, names: Mapping[str, str], where: str, unit: str | None = None) -> Folded:
    """The table with a run for each seed and fold, its columns by role, the number of folds, and notes.

    Without a column of folds, or with one fold, the table stays as it is and the number is 0. Runs are
    numbered by fold, or, where seeds are repeated in each fold, by seed and fold. ``unit``: the column that
    the user says pairs the runs; another one than the folds' leaves these alone.
    """
    known = dict(names)
    found = [column for column in frame.columns if NAMED.match(str(column)) and column not in names.values()]
    if unit is not None:
        found = [column for column in found if str(column) == unit]
    if len(found) != 1:
        return frame, known, 0, []
    column = found[0]
    cells = _text(frame[column])
    folds = _places(cells)
    if len(folds) < 2:
        return frame, known, 0, []
    require(
        "" not in folds,
        f"{where}: the column {column!r} is empty in {int((cells == '').sum()):,} of {len(cells):,} rows; "
        "wanted: a fold in each",
    )
    known["fold"] = column
    runs = [known[role] for role in ("loss", "seed", "unit", "measure", "split") if role in known]
    if "seed" not in known:
        known["seed"] = "seed"
        frame = frame.assign(seed=cells.map(folds))
    elif frame.duplicated(runs).any():
        seeds = _text(frame[known["seed"]])
        both = seeds.map(_places(seeds)) * len(folds) + cells.map(folds)
        frame = frame.assign(**{known["seed"]: both})
    note = (
        f"Each run is of one of {len(folds)} folds (column {column!r}), which share training rows: "
        "differences are described, not tested."
    )
    return frame, known, len(folds), [note]


def _text(column: Any) -> Any:
    return column.map(lambda cell: "" if cell is None or cell != cell else str(cell).strip())


def _places(cells: Any) -> dict[str, int]:
    """A number for each text: 2 before 10, a before b."""
    return {text: place for place, text in enumerate(sorted(set(cells), key=lambda text: (len(text), text)))}
