"""Cells of a table as numbers or vectors: of any type that tables have, or written as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.data.plain import WHOLE

THOUSANDS = re.compile(r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$")
COMMA = re.compile(r"^[+-]?\d*,\d+(e[+-]?\d+)?$", re.IGNORECASE)
WRAPPED = re.compile(
    r"^\s*(?:np\.)?(?:array|tensor)?\s*\(?\s*[\[(]?(.*?)[\])]?\s*(?:,\s*dtype=[\w.]+)?\s*\)?\s*$", re.DOTALL
)
BASE64 = re.compile(r"^[A-Za-z0-9+/]{24,}={0,2}$")


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column as float64 (N,), NaN where it is empty; or why it is none. ``how``: what was taken away."""

    values: np.ndarray | None
    why_not: str = ""
    how: str = ""


def as_numbers(column: Any) -> Numbers:
    """A column of a table (a pandas series) as numbers, with what was taken for one, or why it is none.

    >>> import pandas as pd
    >>> as_numbers(pd.Series(["1,234.5", "12"])).values.tolist(), as_numbers(pd.Series(["a", "b"])).why_not
    ([1234.5, 12.0], "words such as 'a'")
    """
    import pandas as pd

    kind = pd.api.types
    if column.isna().all():
        return Numbers(None, "empty throughout")
    if kind.is_bool_dtype(column.dtype):
        return Numbers(
            column.astype("float64").to_numpy(np.float64, na_value=np.nan), how="true and false as 1 and 0"
        )
    if kind.is_complex_dtype(column.dtype):
        return Numbers(None, "complex numbers")
    if kind.is_numeric_dtype(column.dtype):
        return Numbers(column.to_numpy(np.float64, na_value=np.nan))
    if kind.is_datetime64_any_dtype(column.dtype) or kind.is_timedelta64_dtype(column.dtype):
        return Numbers(None, "dates or times")
    filled = column.dropna()
    if isinstance(column.dtype, pd.CategoricalDtype):
        return (
            as_numbers(column.astype(column.cat.categories.dtype))
            if column.notna().all()
            else Numbers(None, "categories")
        )
    types = {type(cell) for cell in filled}
    if types <= {bool, np.bool_}:
        return Numbers(
            column.map(lambda cell: np.nan if pd.isna(cell) else float(cell)).to_numpy(np.float64),
            how="true and false as 1 and 0",
        )
    if not types <= {str}:
        try:
            return Numbers(
                column.map(lambda cell: np.nan if pd.isna(cell) else float(cell)).to_numpy(np.float64)
            )
        except (TypeError, ValueError, OverflowError):
            return Numbers(None, f"values of type {next(iter(types)).__name__}")
    return _from_text(column, filled)


def _from_text(column: Any, filled: Any) -> Numbers:
    import pandas as pd

    cells, how = filled.str.strip(), []
    if cells.str.endswith("%").all():
        cells, how = cells.str[:-1].str.strip(), ["percent signs dropped"]
    points = cells.str.contains(".", regex=False)
    commas = cells[cells.str.contains(",", regex=False)]
    if len(commas) and commas.map(lambda cell: bool(THOUSANDS.match(cell))).all():
        # '1,234' beside '12' may be either; only where another cell tells is it read.
        plain = commas.str.count(",").eq(1) & ~commas.str.contains(".", regex=False)
        if plain.all() and not points.any():
            return Numbers(
                None, f"numbers such as {commas.iloc[0]!r}, whose comma may be of thousands or decimals"
            )
        cells, how = cells.str.replace(",", ""), [*how, "commas of thousands dropped"]
    elif len(commas) and commas.map(lambda cell: bool(COMMA.match(cell))).all() and not points.any():
        cells, how = cells.str.replace(",", "."), [*how, "decimal commas"]
    numbers = pd.to_numeric(cells, errors="coerce").astype("float64")
    bad = numbers.isna()
    if not bad.any():
        return Numbers(numbers.reindex(column.index).to_numpy(np.float64), how=" and ".join(how))
    shown = filled[bad].iloc[0]
    if bad.all():
        return Numbers(None, f"words such as {shown[:20]!r}")
    count = int(bad.sum())
    return Numbers(None, f"{count:,} value{'s' if count > 1 else ''} no number, such as {shown[:20]!r}")


def holds_lists(column: Any) -> bool:
    """Whether the cells of a column are lists of numbers."""
    filled = next((cell for cell in column if cell is not None and not np.isscalar(cell)), None)
    if not isinstance(filled, list | tuple | np.ndarray) or not len(filled):
        return False
    return all(
        isinstance(part, int | float | np.number | np.bool_ | list | np.ndarray) for part in list(filled)[:3]
    )


def holds_vector_text(column: Any) -> bool:
    """Whether the cells of a column are vectors written as text.

    >>> import pandas as pd
    >>> holds_vector_text(pd.Series(["[0.1, 2]"])), holds_vector_text(pd.Series(["a red bird", "x"]))
    (True, False)
    """
    texts = [cell for cell in column.iloc[:20] if isinstance(cell, str)]
    return len(texts) > 0 and all(_is_vector(text) for text in texts)


def _is_vector(text: str) -> bool:
    inner = WRAPPED.match(text)
    inside = inner[1] if inner else text
    parts = _parts(inside)
    bracketed = text.lstrip()[:1] in "[(" or text.lstrip().startswith(("array", "tensor", "np."))
    if any("..." in part or "…" in part for part in parts):
        return bracketed
    least = 2 if bracketed else 3
    return len(parts) >= least and all(_is_number(part) for part in parts)


def _parts(text: str) -> list[str]:
    for sign in (";", "|"):
        if sign in text:
            return [part.strip().replace(",", ".") for part in text.strip(sign + " ").split(sign)]
    return [part for part in re.split(r"[,\s]+", text.strip()) if part]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_vectors(column: Any, name: str, where: str) -> tuple[np.ndarray, str]:
    """Vectors (N, D), float32, from a column of lists or of text, and how they were written.

    Raises LosscopeError for empty cells, lists of several lengths, text that was shortened, and bytes.
    """
    wanted = "as many numbers in every row"
    empty = int(sum(cell is None or (np.isscalar(cell) and cell != cell) for cell in column))
    require(
        not empty,
        f"column {name!r} of {where} is empty in {empty:,} of {len(column):,} rows; wanted: {wanted}",
    )
    first = column.iloc[0]
    if isinstance(first, bytes):
        raise LosscopeError(
            f"column {name!r} of {where} holds raw bytes, whose type is not told; wanted: lists of numbers "
            "(np.frombuffer(cell, dtype).tolist())"
        )
    if isinstance(first, dict):
        raise LosscopeError(
            f"column {name!r} of {where} holds objects of "
            f"{', '.join(map(str, list(first)[:4]))}; wanted: a column "
            "of paths, or of lists of numbers"
        )
    how = ""
    if isinstance(first, str):
        short = sum("..." in cell or "…" in cell for cell in column if isinstance(cell, str))
        require(
            not short,
            f"column {name!r} of {where} holds vectors that were shortened as they were "
            "printed, with '...', in "
            f"{short:,} rows; wanted: all numbers (save with .tolist())",
        )
        if BASE64.match(first):
            raise LosscopeError(
                f"column {name!r} of {where} holds text in base64, whose type is not told; "
                "wanted: lists of numbers"
            )
        column, how = column.map(_parsed), "vectors written as text"
    try:
        values = np.array([np.asarray(row, np.float32) for row in column])
    except (ValueError, TypeError, OverflowError):
        values = np.empty(0)
    require(
        values.ndim == 2 and values.shape[1] > 0,
        f"column {name!r} of {where} does not hold lists of one length; wanted: {wanted}",
    )
    return values, how


def _parsed(cell: Any) -> list[float]:
    match = WRAPPED.match(cell) if isinstance(cell, str) else None
    return [float(part) for part in _parts(match[1])] if match else []


def restored(column: Any) -> Any:
    """A column of text as numbers, where each is written as a number is; otherwise as it is.

    So "01" and "1", or "1e3" and "1000", stay apart.
    >>> import pandas as pd
    >>> restored(pd.Series(["1", "2"])).tolist(), restored(pd.Series(["1", "01"])).tolist()
    ([1, 2], ['1', '01'])
    """
    import pandas as pd

    filled = column.dropna()
    if not len(filled) or not all(isinstance(cell, str) for cell in filled):
        return column
    unique = pd.unique(filled)
    if all(map(WHOLE.fullmatch, unique)) and all(abs(int(cell)) < 2**63 for cell in unique):
        if len(filled) == len(column):
            return column.astype("int64")
        # As floats, beside empty cells, large ids would be merged.
        whole = [None if pd.isna(cell) else int(cell) for cell in column]
        return pd.Series(pd.array(whole, dtype="Int64"), index=column.index, name=column.name)
    try:
        # A fraction is refused as a label, however it is written: it must not become a name.
        numbers = [float(cell) for cell in unique]
    except ValueError:
        return column
    plain = all(str(number) == cell for number, cell in zip(numbers, unique, strict=True))
    fractions = any(number != round(number) for number in numbers if np.isfinite(number))
    return column.astype("float64") if plain or fractions else column
