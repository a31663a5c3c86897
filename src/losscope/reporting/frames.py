"""A result as one tidy data frame: a row for each value, or for each comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losscope.core.errors import unknown
from losscope.core.results import Comparison, Result
from losscope.reporting.columns import kind_of

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("values", "verdicts")
VALUES = ("on", "loss", "kind", "measure", "split", "unit", "value")


def frame(result: Result, of: str = "values") -> pd.DataFrame:
    """The frame of ``Result.frame``; ``unit`` is empty where a side's runs are not those of all seeds.

    Raises:
        LosscopeError: another kind.
    """
    import pandas as pd

    if of not in KINDS:
        raise unknown("kind of frame", of, KINDS)
    if of == "verdicts":
        rows = [(result.data.name, row) for row in result.paired]
        rows += [(own.name, row) for own in result.by_data for row in own.rows]
        fields = [name for name in Comparison.model_fields if name != "sentence"]
        cells = [{"on": on, **{name: getattr(row, name) for name in fields}} for on, row in rows]
        return pd.DataFrame(cells, columns=["on", *fields])
    names = result.units or result.seeds
    made = []
    for side in result.sides:
        for measure, found in side.measures.items():
            units = names if len(names) == len(found.values) else [None] * len(found.values)
            made += [
                (result.data.name, side.name, kind_of(side), measure, found.split, unit, value)
                for unit, value in zip(units, found.values, strict=True)
            ]
    table = pd.DataFrame(made, columns=[*VALUES])
    return table.astype({"value": "float64"})
