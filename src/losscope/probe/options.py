"""What a probe is given besides the loss, checked before anything is made of it."""

from __future__ import annotations

import operator
from typing import Any

from torch import nn

from losscope.core.errors import LosscopeError, require, shown


def check(
    *, name: Any, every: Any, unit_rows: Any, model: Any = None, seed: Any = None, ask: Any = True
) -> None:
    """Refuse an option that is not what ``Probe`` wants.

    >>> check(name=None, every=2.5, unit_rows=False)
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: every is 2.5; a number of steps from 1 on is wanted
    """
    whole = isinstance(every, int) and not isinstance(every, bool)
    require(whole and every >= 1, f"every is {shown(every)}; a number of steps from 1 on is wanted")
    require(name is None or isinstance(name, str), f"name is {shown(name)}; a text is wanted")
    require(
        model is None or isinstance(model, nn.Module),
        f"model is {shown(model)}; an nn.Module is wanted, such as nn.ModuleList([...]) of several",
    )
    require(
        seed is None or (isinstance(seed, int) and not isinstance(seed, bool)),
        f"seed is {shown(seed)}; a whole number is wanted",
    )
    for option, value in (("unit_rows", unit_rows), ("ask", ask)):
        require(isinstance(value, bool), f"{option} is {shown(value)}; True or False is wanted")


def whole_epoch(value: Any) -> int | None:
    """An epoch as a whole number.

    >>> whole_epoch(1.5)
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: the epoch is 1.5; a whole number or None is wanted
    """
    try:
        return None if value is None else int(operator.index(value))
    except (TypeError, ValueError):
        raise LosscopeError(f"the epoch is {shown(value)}; a whole number or None is wanted") from None
