"""Tables written as JSON: one object for each line, a list of objects, or columns by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from losscope.core.bounds import COLUMNS, bounded, bounded_integers
from losscope.core.errors import LosscopeError, require
from losscope.data.readers.delimited import unpacked


def read_json(path: Path, encoding: str | None) -> Any:
    """The pandas frame of a JSON file; what a row lacks is missing.

    Raises LosscopeError for lines that are no objects, with the first of them.
    """
    import pandas as pd

    with unpacked(path) as file:
        content = file.read().decode(encoding or "utf-8-sig")
    lines = [line for line in content.splitlines() if line.strip()]
    require(bool(lines), f"{str(path)!r} is empty; wanted: one JSON object for each line")
    whole = _whole(content, lines)
    if isinstance(whole, dict):
        lengths = {len(value) for value in whole.values() if isinstance(value, list)}
        require(
            len(lengths) == 1 and all(isinstance(value, list) for value in whole.values()),
            f"{str(path)!r} is one JSON object; wanted: one object for each line, a list of "
            "objects, or lists "
            "of one length by column",
        )
        bounded_integers(whole, repr(str(path)))
        return pd.DataFrame({str(name): pd.Series(values) for name, values in whole.items()})
    rows = (
        whole if isinstance(whole, list) else [_row(path, line, place) for place, line in enumerate(lines, 1)]
    )
    for place, row in enumerate(rows, 1):
        require(
            isinstance(row, dict),
            f"{str(path)!r}: row {place:,} is {json.dumps(row)[:40]}; wanted: an object with "
            "a name for each value",
        )
    names = dict.fromkeys(name for row in rows for name in row)
    require(
        len(names) <= COLUMNS,
        f"{str(path)!r} has {len(names):,} columns; at most {COLUMNS:,} are read; wide "
        "features are an .npz or "
        ".npy file",
    )
    bounded(
        path, 8 * len(names) * len(rows), f"{len(rows):,} rows of {len(names):,} columns", size=len(content)
    )
    bounded_integers(rows, repr(str(path)))
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows]) for name in names})


def _whole(content: str, lines: list[str]) -> Any:
    """The value of a file that is one JSON value, of a list or of columns; None where it is lines."""
    first = lines[0].lstrip()
    if first.startswith("{") and len(lines) > 1 and lines[1].lstrip().startswith("{"):
        return None
    if not first.startswith(("[", "{")):
        return None
    try:
        value = json.loads(content)
    except ValueError:
        return None
    single = isinstance(value, dict) and not all(isinstance(cell, list) for cell in value.values())
    return [value] if single else value


def _row(path: Path, line: str, place: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise LosscopeError(
            f"{str(path)!r}: line {place:,} is no JSON ({str(error)[:80]}); wanted: one object for each line"
        ) from None
