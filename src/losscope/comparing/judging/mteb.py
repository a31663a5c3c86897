"""MTEB's results as its results folder holds them: ``results/<model>/<revision>/<Task>.json``.

Read are the layout since MTEB 1.11 (``scores: {split: [{main_score, hf_subset, ...}]}``) and the one before
(a key for each split), with a folder for each revision of a model or without. Tasks pair the models.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from losscope.comparing.judging.columns import Asked
from losscope.comparing.judging.declaring import know, known_as
from losscope.comparing.judging.runs import Runs
from losscope.comparing.judging.scores import from_frame
from losscope.core.errors import LosscopeError, require
from losscope.core.quantities import QUANTITIES, Quantity
from losscope.core.wording import count, listing

MAIN = "main_score"
META = "model_meta.json"
LOOKED_AT = 40
"""JSON files that are looked at to tell whether a folder is MTEB's."""
LARGEST = 64 * 2**20
"""Bytes of a result above which it is none."""

FORMS = re.compile(r"(\.v\d+|-[A-Za-z]{1,2}|(?<=Clustering)(P2P|S2S)|(?<=[A-Za-z])\d+)$")
"""Endings of a task's name that tell forms of one data set apart: versions, translations, years."""
SERIES = ("CQADupstack", "Massive", "MTOP", "CUAD", "ContractNLI")
"""Beginnings of the names of tasks that are made from one data set."""


@dataclass(frozen=True)
class _Task:
    """One file: whose it is, and its scores by (split, subset)."""

    model: str
    revision: str
    task: str
    scores: Mapping[tuple[str, str], float | None]
    early: bool

    @property
    def known(self) -> set[tuple[str, str]]:
        """The splits and subsets with a score."""
        return {key for key, value in self.scores.items() if value is not None}


def family_of(task: str) -> str:
    """The family of data sets that a task counts in: forms, translations and parts of one count once.

    >>> [family_of(name) for name in ("STS12", "STS16", "ArguAna-PL", "ArxivClusteringP2P.v2")]
    ['STS', 'STS', 'ArguAna', 'ArxivClustering']
    >>> family_of("CQADupstackGisRetrieval"), family_of("Banking77Classification")
    ('CQADupstack', 'Banking77Classification')
    """
    name = task.removeprefix("Nano")
    for series in SERIES:
        if name.startswith(series):
            return series
    while (shorter := FORMS.sub("", name)) not in (name, ""):
        name = shorter
    return name


def from_mteb(
    folder: Path, asked: Asked, measures: Sequence[str] = (), unpaired: bool = False
) -> Runs | None:
    """The models of a results folder, paired by their tasks; None where the folder holds no such results.

    Every model's score on a task is the mean over the splits and subsets that all models have, as MTEB
    averages them. Tasks that a model lacks are left out, and counted.

    Raises:
        LosscopeError: a result that cannot be read, or no task that all models have.
    """
    where = repr(str(folder))
    if not any(_is_result(found) for found in _sample(folder)):
        return None
    require(not unpaired, f"{where}: models are paired by their tasks; leave out --unpaired")
    measure = measures[0] if measures else MAIN
    require(len(measures) < 2, f"{where}: one measure of MTEB's results is read; wanted: one --measure")
    only = [text for text in asked.only if not text.replace(" ", "").startswith("revision=")]
    wanted = [text.partition("=")[2].strip() for text in asked.only if text not in only]
    tasks, notes = _one_revision([*_tasks(folder, measure)], wanted, where)
    early = sum(task.early for task in tasks)
    if early:
        notes.append(
            f"{count(early, 'result')} of the layout before MTEB 1.11, without a main score: the usual one "
            "of the task's kind is taken."
        )
    if measure == MAIN and MAIN not in QUANTITIES:  # the user may have declared it
        know(_main())
    rows, more = _common(tasks, where)
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["model", "task", "value"]).assign(measure=known_as(measure).name)
    families = {task: family_of(task) for _, task, _ in rows}
    own = Asked(tuple(only), "task", asked.family)
    found = from_frame(frame, where, own, families=families)
    return replace(found, notes=(*notes, *more, *found.notes))


def _main() -> Quantity:
    """The main score of a task: a correlation may be below 0."""
    return Quantity(
        MAIN, "main score of each task of MTEB", "index", "higher", "difference", label="main score"
    )


def _sample(folder: Path) -> Iterator[Path]:
    places = (path for pattern in ("*/*.json", "*/*/*.json") for path in folder.glob(pattern))
    for place, path in enumerate(places):
        if place >= LOOKED_AT:
            return
        yield path


def _is_result(path: Path) -> bool:
    if path.name == META:
        return True
    try:
        found = _loaded(path)
    except LosscopeError:
        return False
    return isinstance(found, dict) and ("scores" in found or "mteb_version" in found)


def _loaded(path: Path) -> Any:
    try:
        require(path.stat().st_size < LARGEST, f"{str(path)!r} is larger than a result of MTEB")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LosscopeError(
            f"{str(path)!r} cannot be read ({type(error).__name__}: {str(error)[:80]}); wanted: a result of "
            "MTEB"
        ) from None


def _tasks(folder: Path, measure: str) -> Iterator[_Task]:
    for model in sorted(path for path in folder.iterdir() if path.is_dir()):
        for place in (model, *sorted(path for path in model.iterdir() if path.is_dir())):
            files = sorted(path for path in place.glob("*.json") if path.name != META)
            name = _model_name(place, model)
            revision = place.name if place != model else ""
            for path in files:
                found = _read(path, name, revision, measure)
                if found is not None:
                    yield found


def _model_name(place: Path, model: Path) -> str:
    """The model's name as its meta data say it, else as the folder is called."""
    meta = _loaded(place / META) if (place / META).is_file() else {}
    known = meta.get("name") if isinstance(meta, dict) else None
    return str(known) if known else model.name.replace("__", "/")


def _read(path: Path, model: str, revision: str, measure: str) -> _Task | None:
    found = _loaded(path)
    if not isinstance(found, dict):
        return None
    task = str(found.get("task_name") or found.get("mteb_dataset_name") or path.stem)
    if isinstance(found.get("scores"), dict):
        scores: dict[tuple[str, str], float | None] = {}
        for split, entries in found["scores"].items():
            require(
                isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries),
                f"{str(path)!r}: the scores of {split} are no list of subsets",
            )
            for entry in entries:
                subset = str(entry.get("hf_subset", "default"))
                scores[str(split), subset] = _number(entry.get(measure), path)
        return _Task(model, revision, task, scores, False)
    if "mteb_version" not in found and "mteb_dataset_name" not in found:
        return None
    return _Task(model, revision, task, _early(found, task, measure, path), True)


KEYS = ("mteb_version", "dataset_revision", "mteb_dataset_name", "evaluation_time", "model_name")
METRICS = ("cos_sim", "cosine", "dot", "euclidean", "manhattan", "max", "v_measures", "similarity")


def _early(
    found: Mapping[str, Any], task: str, measure: str, path: Path
) -> dict[tuple[str, str], float | None]:
    scores: dict[tuple[str, str], float | None] = {}
    for split, own in found.items():
        if split in KEYS or not isinstance(own, dict):
            continue
        subsets = {
            name: value for name, value in own.items() if isinstance(value, dict) and name not in METRICS
        }
        for subset, entry in (subsets or {"default": own}).items():
            value = _usual(entry, task) if measure == MAIN else entry.get(measure)
            scores[str(split), str(subset)] = _number(value, path)
    return scores


def _usual(entry: Mapping[str, Any], task: str) -> Any:
    """The main score of a result that does not name it, by the kind of its task."""
    if MAIN in entry:
        return entry[MAIN]
    cosine = entry.get("cos_sim", entry.get("cosine"))
    cosine = cosine if isinstance(cosine, dict) else {}
    if "spearman" in cosine:
        return cosine["spearman"]
    if "ap" in cosine:
        best = entry.get("max")
        return best["ap"] if isinstance(best, dict) and "ap" in best else cosine["ap"]
    order = ["ndcg_at_10", "v_measure", "map", "accuracy"]
    if "BitextMining" in task or "Tatoeba" in task or "BUCC" in task:
        order.insert(0, "f1")
    return next((entry[name] for name in order if name in entry), None)


def _number(value: Any, path: Path) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    require(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
        f"{str(path)!r} has a score {value!r:.40}; wanted: a finite number",
    )
    return float(value)


def _one_revision(tasks: Sequence[_Task], wanted: Sequence[str], where: str) -> tuple[list[_Task], list[str]]:
    """The tasks of one revision of each model: that which the user names, else the one of most tasks."""
    counts: dict[str, dict[str, int]] = {}
    for task in tasks:
        own = counts.setdefault(task.model, {})
        own[task.revision] = own.get(task.revision, 0) + 1
    known = {revision for own in counts.values() for revision in own}
    for name in wanted:
        require(name in known, f"{where} has no revision {name!r}; choices: {', '.join(sorted(known)[:12])}")
    chosen, notes = {}, []
    for model, own in counts.items():
        named = [revision for revision in own if revision in wanted]
        chosen[model] = named[0] if named else max(sorted(own), key=lambda revision: own[revision])
        rest = [f"{name[:12]} ({own[name]})" for name in own if name != chosen[model]]
        if rest:
            notes.append(
                f"Of {model} the revision {chosen[model][:12]} ({own[chosen[model]]} tasks) is read, "
                f"not {listing(rest)}; --only revision=… names another."
            )
    return [task for task in tasks if task.revision == chosen[task.model]], notes


def _common(tasks: Sequence[_Task], where: str) -> tuple[list[tuple[str, str, float]], list[str]]:
    """(model, task, score) of the tasks, splits and subsets that all models have."""
    models = list(dict.fromkeys(task.model for task in tasks))
    by_task: dict[str, dict[str, _Task]] = {}
    for task in tasks:
        by_task.setdefault(task.task, {})[task.model] = task
    rows, left, narrowed, averaged = [], [], 0, 0
    for name, own in by_task.items():
        parts = {model: found.known for model, found in own.items()}
        shared = sorted(set.intersection(*parts.values())) if parts else []
        if len(own) < len(models) or not shared:
            left.append(name)
            continue
        narrowed += any(set(shared) != found for found in parts.values())
        averaged += len(shared) > 1
        for model in models:
            values = [own[model].scores[key] for key in shared]
            rows.append((model, name, math.fsum(v for v in values if v is not None) / len(values)))
    require(
        bool(rows) and len(models) > 1,
        f"{where} holds {count(len(models), 'model')} ({', '.join(models[:6])}) with "
        f"{count(len(by_task), 'task')}, {len(rows)} scores of tasks that all have; "
        "wanted: two models, and tasks that both were measured on",
    )
    notes = []
    if left:
        some = ", ".join(left[:4]) + (", …" if len(left) > 4 else "")
        notes.append(
            f"{count(len(left), 'task')} of {len(by_task)} that not every model has are left out ({some})."
        )
    if averaged:
        notes.append(
            f"Of {count(averaged, 'task')} the score is the mean over splits and subsets, as MTEB takes it."
        )
    if narrowed:
        notes.append(
            f"Of {count(narrowed, 'task')} the models have other splits or subsets: those that all have are "
            "averaged."
        )
    return rows, notes
