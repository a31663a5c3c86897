"""Files of tables; runs exported from Weights & Biases and MLflow among them are known by their columns.

- Weights & Biases, table of runs: a row for each run, with ``Name`` and ``State`` and a column for each key
  of the configuration and of the summary.
- Weights & Biases, panel of histories: ``Step``, and for each run ``run - metric`` with ``__MIN``, ``__MAX``.
- MLflow, ``mlflow.search_runs(...).to_csv``: ``run_id``, ``status``, ``metrics.*``, ``params.*``, ``tags.*``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from losscope.comparing.judging.columns import SYNONYMS, Asked, plainly, text_of, texts
from losscope.comparing.judging.names import at_last_step, with_names
from losscope.comparing.judging.runs import Runs
from losscope.comparing.judging.scores import TEXT, from_frame
from losscope.core import wording
from losscope.core.errors import require
from losscope.core.measure_names import meant
from losscope.core.wording import listing
from losscope.data.readers.files import open_table

PANEL = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?")
LOSSES, SEEDS = ("loss", *SYNONYMS["loss"]), ("seed", *SYNONYMS["seed"])
EXPORTED = {*(f"params.{name}" for name in TEXT), "name", "tags.mlflow.runname"}
"""Columns of an export whose cells are kept as they are written."""
DECIMAL = re.compile(r"-?\d*\.\d+(e[-+]?\d+)?|nan|", re.IGNORECASE)


def from_table(path: Path, asked: Asked, unpaired: bool = False) -> Runs:
    """The runs of a table: one that a tracker exported, or any table of scores.

    Exported runs that did not end are left out and counted.

    Raises:
        LosscopeError: what is no table, exported runs whose names say no loss, histories that end at
            different steps, a grouped panel, and what ``from_frame`` refuses.
    """
    named = (name.lower() for name in (asked.unit, asked.family) if name)
    opened = open_table(path, {*TEXT, *EXPORTED, *named})
    where = repr(str(path))
    frame, notes = _as_scores(opened.frame, asked, where)
    found = from_frame(frame, where, asked, unpaired)
    return replace(found, notes=(*opened.notes, *notes, *found.notes))


def _as_scores(frame: Any, asked: Asked, where: str) -> tuple[Any, list[str]]:
    """An exported table as a table of scores, and sentences; any other as it is."""
    columns = [str(name) for name in frame.columns]
    if "run_id" in columns and any(name.startswith("metrics.") for name in columns):
        return _mlflow(frame, where)
    if {"Name", "State"} <= set(columns):
        return _wandb_runs(frame, where)
    if columns[0] in ("Step", "global_step", "epoch") and _panel(columns[1:]):
        frame, notes = _wandb_panel(frame, where)
        frame, more = at_last_step(frame, asked.only, where)
        return frame, notes + more
    return frame, []


def _ended(frame: Any, column: str, good: str, where: str) -> tuple[Any, list[str]]:
    """The runs that ended, and how many did not."""
    words = texts(frame[column])
    kept = [word.lower() == good for word in words]
    require(any(kept), f"{where}: none of {len(kept):,} runs is {good}; wanted: runs that ended")
    lost = sorted({word for word, own in zip(words, kept, strict=True) if not own})
    if not lost:
        return frame, []
    left = len(kept) - sum(kept)
    some = f"{left:,} of {len(kept):,} runs did not end ({', '.join(lost)}) and {wording.be(left)} left out."
    return frame[kept], [some]


def _mlflow(frame: Any, where: str) -> tuple[Any, list[str]]:
    notes = ["Read as the runs of MLflow's search_runs."]
    names = texts(frame["tags.mlflow.runName"]) if "tags.mlflow.runName" in frame.columns else None
    if "status" in frame.columns:
        frame, more = _ended(frame.assign(_name=names), "status", "finished", where)
        names, notes = (None if names is None else list(frame["_name"])), notes + more
    parameters = {
        name: name.removeprefix("params.") for name in frame.columns if str(name).startswith("params.")
    }
    taken = {plainly(name) for name in parameters.values()}
    metrics = {
        name: name.removeprefix("metrics.")
        for name in frame.columns
        if str(name).startswith("metrics.")
        and plainly(name.removeprefix("metrics.")) not in {*taken, *LOSSES}
    }
    kept = frame[[*parameters, *metrics]].rename(columns={**parameters, **metrics})
    return _as_runs(kept, names, where), notes


def _wandb_runs(frame: Any, where: str) -> tuple[Any, list[str]]:
    frame, more = _ended(frame, "State", "finished", where)
    own = ("Name", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "ID", "Group", "Job Type")
    kept = frame[[name for name in frame.columns if name not in own and not str(name).startswith("_")]]
    notes = ["Read as a table of runs of Weights & Biases.", *more]
    for name in [column for column in kept.columns if plainly(column) == "loss"]:
        if all(DECIMAL.fullmatch(text) for text in texts(kept[name])):
            kept = kept.drop(columns=name)
            notes.append(f"The column {name!r} holds values of a loss, not its name, and is not read.")
    return _as_runs(kept, texts(frame["Name"]), where), notes


def _as_runs(frame: Any, names: Sequence[str] | None, where: str) -> Any:
    """The frame with a loss and a seed for each run: by its columns, else by the names of the runs."""
    known = {plainly(name) for name in frame.columns}
    if known & set(LOSSES) and known & set(SEEDS):
        return frame
    require(
        names is not None,
        f"{where} has no columns of a loss and a seed, and no names of runs; it has "
        f"{', '.join(map(str, frame.columns))}",
    )
    rest = [name for name in frame.columns if plainly(name) not in {*LOSSES, *SEEDS}]
    return with_names(frame[rest], list(names or ()), where)


def _panel(columns: Sequence[str]) -> bool:
    return bool(columns) and all(PANEL.fullmatch(name) for name in columns)


def _wandb_panel(frame: Any, where: str) -> tuple[Any, list[str]]:
    import pandas as pd

    rows, unread = [], dict[str, None]()
    first = frame.columns[0]
    for column in frame.columns[1:]:
        found = PANEL.fullmatch(str(column))
        assert found is not None
        run, metric = found["run"], found["metric"]
        if found["end"]:
            continue
        if meant(metric) is None:
            unread[metric] = None
            continue
        ends = [frame.get(f"{column}__{end}") for end in ("MIN", "MAX")]
        apart = ends[0] is not None and ends[1] is not None and _apart(ends[0], ends[1])
        require(
            not apart,
            f"{where}: {run!r} is a group of runs, of which a panel holds the mean; wanted: a panel that is "
            "not grouped, with a line for each run",
        )
        rows += [
            (run, metric, step, cell)
            for step, cell in zip(frame[first], frame[column], strict=True)
            if text_of(cell)
        ]
    require(
        bool(rows), f"{where}: no column of the panel is a measure that is known; it has {listing(unread)}"
    )
    long = pd.DataFrame(rows, columns=["run", "measure", "step", "value"])
    long = with_names(long, list(long["run"]), where).drop(columns="run")
    notes = ["Read as a panel of Weights & Biases."]
    if unread:
        notes.append(f"Not read: {listing(unread)}.")
    return long.assign(step=long["step"].astype(float)), notes


def _apart(low: Any, high: Any) -> bool:
    """Whether two columns of numbers differ anywhere."""
    pairs = zip(texts(low), texts(high), strict=True)
    return any(a and b and float(a) != float(b) for a, b in pairs)
