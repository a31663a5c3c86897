"""A result as tidy data frames: one row for each value, mean, comparison, trial, point of a curve or run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from losscope.core import wording
from losscope.core.errors import unknown
from losscope.core.results import Comparison, Result, SideResult
from losscope.reporting.columns import kind_of

if TYPE_CHECKING:
    import pandas as pd

VALUES = ("on", "loss", "kind", "measure", "split", "unit", "value")
MEANS = ("on", "loss", "kind", "measure", "split", "mean", "low", "high", "n", "of")
TRIALS = (
    *("loss", "trial", "hyperparameters", "reduction", "learning_rate", "weight_decay", "class_rate"),
    *("start", "transform", "score", "second", "epoch", "epochs", "failed", "chosen"),
)
CURVES = (
    *("loss", "number", "value", "measure", "mean", "low", "high", "cost", "cost_low", "cost_high"),
    *("within", "default", "tuned", "seeds", "failed", "epoch"),
)
RUNS = ("loss", "kind", "unit", "run", "failed", "reason")


def frame(result: Result, of: str = "values") -> pd.DataFrame:
    """The frame of ``Result.frame``; ``unit`` is empty where a side's runs are not those of all seeds.

    Raises:
        LosscopeError: another kind.
    """
    if of not in _MAKERS:
        raise unknown("kind of frame", of, KINDS)
    return _MAKERS[of](result)


def tidy(result: Result) -> dict[str, pd.DataFrame]:
    """All frames that have rows, by their names, as files hold them.

    ``unit`` is called by what pairs the runs, seed as a rule.
    """
    noun = re.sub(r"\W+", "_", result.paired_by).strip("_") or "unit"
    made = {kind: frame(result, kind) for kind in KINDS}
    for kind in ("values", "runs"):
        if noun not in made[kind].columns:
            made[kind] = made[kind].rename(columns={"unit": noun})
    return {kind: found for kind, found in made.items() if len(found)}


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """The frame with text that no spreadsheet takes for a formula, and lists as text."""
    return table.map(lambda value: wording.cell(_flat(value))).rename(columns=lambda name: wording.cell(name))


def _flat(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return " ".join("-" if inner is None else str(inner) for inner in value)
    return value


def _values(result: Result) -> pd.DataFrame:
    made = []
    for side in result.sides:
        for measure, found in side.measures.items():
            made += [
                (result.data.name, side.name, kind_of(side), measure, found.split, unit, value)
                for unit, value in zip(_units(result, found.values), found.values, strict=True)
            ]
    return _table(made, VALUES, numbers=("value",))


def _units(result: Result, values: Sequence[Any]) -> Iterable[int | str | None]:
    names = result.units or result.seeds
    return names if len(names) == len(values) else [None] * len(values)


def _means(result: Result) -> pd.DataFrame:
    made = [
        (
            *(result.data.name, side.name, kind_of(side), measure, found.split),
            *(found.mean, found.low, found.high),
            *(sum(value is not None for value in found.values), len(found.values)),
        )
        for side in result.sides
        for measure, found in side.measures.items()
    ]
    return _table(made, MEANS, numbers=("mean", "low", "high"))


def _verdicts(result: Result) -> pd.DataFrame:
    rows = [(result.data.name, row) for row in result.paired]
    rows += [(own.name, row) for own in result.by_data for row in own.rows]
    fields = [name for name in Comparison.model_fields if name != "sentence"]
    made = [(on, *(_plain(getattr(row, name)) for name in fields)) for on, row in rows]
    return _table(made, ("on", *fields))


def _plain(value: Any) -> Any:
    """A field as a column holds it: why there is no verdict as its word, and pairs of numbers as lists."""
    why = getattr(value, "why", None)
    return why if why is not None else list(value) if isinstance(value, tuple) else value


def _trials(result: Result) -> pd.DataFrame:
    made = []
    for side in result.losses:
        for place, trial in enumerate(side.trials):
            numbers = "; ".join(f"{name}={value}" for name, value in trial.hyperparameters.items())
            settings = (trial.reduction, trial.learning_rate, trial.weight_decay, trial.class_rate)
            how = (trial.start, trial.transform, trial.score, trial.second, trial.epoch, trial.epochs)
            made.append((side.name, place, numbers, *settings, *how, trial.failed, _chosen(side, place)))
    return _table(made, TRIALS, numbers=("learning_rate", "weight_decay", "class_rate", "score", "second"))


def _curves(result: Result) -> pd.DataFrame:
    made = []
    for side in result.losses:
        for curve in side.curves:
            flat = curve.flat
            for point in curve.points:
                inside = flat is not None and flat.low <= point.value <= flat.high
                numbers = (point.mean, point.low, point.high, point.cost, point.cost_low, point.cost_high)
                marks = (inside, point.value == curve.default, point.value == curve.tuned)
                counts = (len(curve.seeds), point.failed, point.epoch)
                made.append((side.name, curve.number, point.value, curve.measure, *numbers, *marks, *counts))
    return _table(made, CURVES, numbers=("value", "mean", "low", "high", "cost", "cost_low", "cost_high"))


def _chosen(side: Any, place: int) -> bool:
    """Whether a trial is the whole training whose numbers the final runs have."""
    trial, kept = side.trials[place], side.tuned
    if kept is None or trial.epoch is None:
        return False
    numbers = ("hyperparameters", "reduction", "learning_rate", "weight_decay", "class_rate", "score")
    return all(getattr(trial, name) == getattr(kept, name) for name in numbers)


def _runs(result: Result) -> pd.DataFrame:
    made = []
    for side in result.sides:
        for unit, run in zip(_units(result, side.runs), side.runs, strict=True):
            reason = _reason(side, unit)
            made.append((side.name, kind_of(side), unit, run, reason is not None, reason))
    return _table(made, RUNS)


def _reason(side: SideResult, unit: int | str | None) -> str | None:
    return next((failure.reason for failure in side.failures if failure.seed == unit), None)


def _table(
    rows: Sequence[Sequence[Any]], columns: Sequence[str], numbers: Sequence[str] = ()
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=[*columns]).astype(dict.fromkeys(numbers, "float64"))


_MAKERS = {
    "values": _values,
    "means": _means,
    "verdicts": _verdicts,
    "trials": _trials,
    "curves": _curves,
    "runs": _runs,
}
KINDS = (*_MAKERS,)
