"""Values of any type as whole numbers or as text: what labels, groups and finer labels are made of."""

from __future__ import annotations

import datetime
import decimal
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from losscope.core.bounds import bounded_text
from losscope.core.errors import LosscopeError, require, shown

SEVERAL = "one in each row; several labels of a row are a table of 0 and 1, (rows, classes)"


def column(values: Any, what: str = "labels") -> np.ndarray:
    """Labels (N,) from (N,), (N, 1) or one-hot (N, C); NaN where a one-hot row has no 1.

    >>> column(np.eye(3)[[2, 0]])
    array([2, 0])
    """
    values = values if isinstance(values, np.ndarray) else listed(values)
    if values.ndim == 1:
        return values
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    shape = f"{what} of shape {values.shape}"
    require(
        values.ndim == 2 and values.dtype.kind in "fiub" and bool(np.isin(values, (0, 1)).all()),
        f"{shape}; wanted: (rows,), or one-hot (rows, classes); {SEVERAL}",
    )
    ones = values.sum(1)
    many = int((ones > 1).sum())
    require(
        not many,
        f"{shape} have more than one 1 in {many:,} of {len(values):,} rows; wanted: {SEVERAL}",
    )
    place = values.argmax(1)
    return place if bool((ones == 1).all()) else np.where(ones == 1, place, np.nan)


def listed(cells: Iterable[Any]) -> np.ndarray:
    """Cells of any kind as an array (N,): of objects, unless all are numbers or text of one type.

    >>> listed([["a", "b"], ["c"]]).shape, listed([1, 2]).dtype.kind
    ((2,), 'i')
    """
    cells = list(cells)
    kinds = set(map(type, cells))
    if len(kinds) == 1 and kinds <= {int, float, bool}:
        array = np.array(cells)
        if array.dtype.kind in "ifb" and (array.dtype.kind == "f") == (float in kinds):
            return array
    array = np.empty(len(cells), object)
    array[:] = [*cells, None][:-1]
    return array


MIDNIGHT = " 00:00:00"
LONG = 256
"""Letters of a name above which the memory for all of them is looked at."""
WHOLE = re.compile(r"0|-?[1-9][0-9]*")


class Plain(NamedTuple):
    """Whole numbers or text, where ``missing`` is False; ``whole`` says which."""

    values: np.ndarray
    missing: np.ndarray
    whole: bool
    notes: Sequence[str] = ()


def plain_values(values: np.ndarray, what: str) -> Plain:
    """Values of any type as whole numbers or as text."""
    kind = values.dtype.kind
    none = np.zeros(len(values), bool)
    if kind in "iu":
        return Plain(values, none, True)
    if kind == "b":
        return Plain(np.where(values, "True", "False"), none, False)
    if kind == "f":
        return _floats(values, what)
    if kind == "U":
        return _text(values, what)
    if kind == "S":
        return _text(_decoded(values.tolist(), what), what)
    if kind in "Mm":
        return Plain(values.astype(str), np.isnat(values), False)
    if kind == "O":
        return _objects(values, what)
    said = {"c": "complex numbers", "V": f"of type {values.dtype}, structures or raw bytes"}
    raise LosscopeError(f"{what} are {said.get(kind, values.dtype)}; wanted: whole numbers or text")


def _floats(values: np.ndarray, what: str) -> Plain:
    missing = np.isnan(values)
    some = values[~missing]
    infinite = int(np.isinf(some).sum())
    require(
        not infinite, f"{infinite:,} of {len(values):,} {what} are infinite; wanted: whole numbers or text"
    )
    broken = some != np.round(some)
    if broken.any():
        raise LosscopeError(
            f"{int(broken.sum()):,} of {len(values):,} {what} have a fraction (such as {some[broken][0]!s}); "
            "wanted: whole numbers or text: a class for each row, and no quantity or share"
        )
    most = float(2 ** (np.finfo(values.dtype).nmant + 1))
    notes = []
    if len(some) and float(np.abs(some).max()) >= most:
        notes.append(
            f"{what} are {values.dtype} beyond {most:.0f}, where neighbouring whole numbers are one value: "
            "ids may have been merged before they were saved; save them as whole numbers or text"
        )
    if not len(some) or float(np.abs(some).max()) < 2.0**63:
        return Plain(np.where(missing, 0, values).astype(np.int64), missing, True, notes)
    whole = np.zeros(len(values), object)
    whole[~missing] = [int(value) for value in some.tolist()]
    return Plain(whole, missing, True, notes)


def _text(values: np.ndarray, what: str) -> Plain:
    """Text without surrounding blanks, which is said where they told two labels apart."""
    seen, place = np.unique(values, return_inverse=True)
    stripped = [str(value).strip() for value in seen]
    merged = len(seen) - len(set(stripped))
    some = np.array([bool(text) for text in stripped], bool)
    merged -= max(0, int((~some).sum()) - 1)
    notes = []
    if merged:
        notes.append(f"{what} are read without the blanks around them: {merged:,} differed by blanks only")
    if max(map(len, stripped), default=0) > LONG:
        bounded_text(map(stripped.__getitem__, place.tolist()), what)
    short = np.array(stripped, object)[place] if len(seen) else np.empty(0, object)
    return Plain(short, ~some[place] if len(seen) else np.zeros(0, bool), False, notes)


def _decoded(values: Iterable[Any], what: str) -> np.ndarray:
    try:
        return listed([value.decode("utf-8") if isinstance(value, bytes) else value for value in values])
    except UnicodeDecodeError as error:
        raise LosscopeError(
            f"{what} are bytes that are not UTF-8 (such as {shown(error.object)}); wanted: text, or bytes in "
            "UTF-8"
        ) from None


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating | decimal.Decimal) and value != value


SINGLE: tuple[type, ...] = (list, tuple, set, frozenset, np.ndarray)


def _objects(values: np.ndarray, what: str) -> Plain:
    """Objects as whole numbers or text: all of one family, or refused."""
    notes: list[str] = []
    if any(isinstance(value, SINGLE) for value in values):
        values = unpacked(values, what)
        notes.append(f"{what} stand in lists of one each")
    missing = np.array([_is_missing(value) for value in values], bool)
    some = values[~missing].tolist()
    families: dict[str, Callable[[Any], bool]] = {
        "booleans": lambda value: isinstance(value, bool | np.bool_),
        "numbers": lambda value: isinstance(value, int | float | np.integer | np.floating | decimal.Decimal),
        "text": lambda value: isinstance(value, str | bytes),
        "dates": lambda value: isinstance(value, datetime.date | datetime.timedelta | np.datetime64),
    }
    found = Counter(
        next((name for name, fits in families.items() if fits(value)), f"of type {type(value).__name__}")
        for value in some
    )
    if len(found) > 1 or not found.keys() <= families.keys():
        said = " and ".join(f"{count:,} {name}" for name, count in found.most_common(3))
        raise LosscopeError(f"{what} are {said}; wanted: whole numbers or text, one kind in all rows")
    family = next(iter(found), "text")
    if family == "text":
        plain = _text(_decoded(some, what), what)
        whole, lacks = np.full(len(values), "", object), missing.copy()
        whole[~missing], lacks[~missing] = plain.values, plain.missing
        return Plain(whole, lacks, False, [*notes, *plain.notes])
    if family == "numbers":
        real = [value for value in some if not isinstance(value, int | np.integer)]
        if len(real) == len(some) and not any(isinstance(value, decimal.Decimal) for value in real):
            plain = _floats(np.array([np.nan if lack else v for v, lack in zip(values, missing)]), what)
            return plain._replace(notes=[*notes, *plain.notes])
        broken = [value for value in real if value != value // 1]
        require(
            not broken,
            f"{len(broken):,} of {len(values):,} {what} have a fraction (such as "
            f"{broken[0] if broken else ''}); wanted: whole numbers or text",
        )
        whole = np.zeros(len(values), object)
        whole[~missing] = [int(value) for value in some]
        return Plain(whole, missing, True, notes)
    texts = [str(value) for value in some]
    if all(text.endswith(MIDNIGHT) for text in texts):
        texts = [text.removesuffix(MIDNIGHT) for text in texts]
    whole = np.full(len(values), "", object)
    whole[~missing] = texts
    return Plain(whole, missing, False, notes)


def asked_labels(ignore: Any) -> list[str]:
    """The labels that ``ignore`` names, one or several, as text."""
    given = [ignore] if isinstance(ignore, str | bytes | int | float) else ignore
    return [str(value).strip() for value in given]


def entries_of(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        return value.ravel().tolist()
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def unpacked(values: np.ndarray, what: str) -> np.ndarray:
    """The only entries of lists of one entry; an empty list is missing; longer ones are refused."""
    lists = [entries_of(value) for value in values.tolist()]
    sizes = np.array(list(map(len, lists)))
    many = int((sizes > 1).sum())
    require(
        not many,
        f"{what} are lists with more than one label in {many:,} of {len(values):,} rows; wanted: {SEVERAL}",
    )
    return listed([next(iter(value), None) for value in lists])
