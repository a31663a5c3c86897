"""Rows of nested inputs, as the batches of other people's loops have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from losscope.core.errors import LosscopeError, shown

PLAIN = (str, bytes, bool, int, float, type(None))
"""What belongs to no row and is passed on as it is."""

SHOWN = 8
"""Entries that an error lists."""


def cut(inputs: Any, part: slice) -> Any:
    """Some rows of inputs, nested as these are; a mapping becomes a dictionary.

    >>> cut({"ids": np.arange(4), "texts": ["a", "b", "c", "d"], "dense": True}, slice(1, 3))
    {'ids': array([1, 2]), 'texts': ['b', 'c'], 'dense': True}
    """
    if isinstance(inputs, Mapping):
        return {key: cut(value, part) for key, value in inputs.items()}
    if isinstance(inputs, tuple):
        parts = [cut(value, part) for value in inputs]
        return type(inputs)(*parts) if hasattr(inputs, "_fields") else tuple(parts)
    return inputs[part] if _has_rows(inputs) else inputs


def rows_of(inputs: Any) -> int:
    """The number of rows of inputs.

    Raises:
        LosscopeError: entries with different numbers of rows, none at all, or of an unknown kind.

    >>> rows_of(({"ids": np.zeros((4, 7))}, ["a", "b", "c", "d"]))
    4
    """
    counts = dict(_counts(inputs, "inputs"))
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in [*counts.items()][:SHOWN])
        raise LosscopeError(
            f"the entries of the inputs have different numbers of rows: {listed}; one number is "
            "wanted (a list is cut as rows; a tuple or a mapping is cut entry by entry)"
        )
    count = next(iter(counts.values()), 0)
    if not count:
        raise LosscopeError("the inputs have no rows; tensors, arrays or lists with at least one are wanted")
    return count


def _counts(inputs: Any, name: str) -> Iterator[tuple[str, int]]:
    """The name and the number of rows of each entry that has rows."""
    if isinstance(inputs, Mapping):
        for key, value in inputs.items():
            yield from _counts(value, f"{name}[{shown(key)}]")
    elif isinstance(inputs, tuple):
        for place, value in enumerate(inputs):
            yield from _counts(value, f"{name}[{place}]")
    elif _has_rows(inputs):
        if isinstance(inputs, Tensor) and inputs.grad_fn is not None:
            raise LosscopeError(
                f"{name} is the outcome of a computation with a graph, which would go backward once for each "
                "micro-batch; make that computation a part of the network"
            )
        yield name, len(inputs)
    elif not isinstance(inputs, PLAIN) and not (isinstance(inputs, Tensor | np.ndarray) and not inputs.ndim):
        raise LosscopeError(
            f"{name} is a {type(inputs).__name__}, which cannot be cut into rows; tensors, arrays, lists, or "
            "tuples and mappings of them are wanted"
        )


def _has_rows(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, Tensor | np.ndarray) and value.ndim > 0)
