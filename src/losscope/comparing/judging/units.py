"""What pairs the runs of a table: seeds, speakers, tasks, data sets, test items, whatever a column says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from losscope import stats
from losscope.comparing.judging.cells import Score
from losscope.comparing.judging.columns import Asked, column_of, plainly, texts
from losscope.comparing.judging.runs import Runs, run_of
from losscope.core.errors import LosscopeError, require
from losscope.core.wording import count, listing, plural
from losscope.data.folds import NAMED

Kind = Literal["seed", "unit", "data", "item"]
USUAL: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "data set": ("data", ("dataset", "data_set", "dataset_name", "data", "corpus", "benchmark")),
    "task": ("data", ("task", "task_name", "task_id")),
    "speaker": ("unit", ("speaker", "speaker_id", "spk")),
    "subject": ("unit", ("subject", "subject_id", "patient", "patient_id", "participant")),
    "query": ("item", ("query", "query_id", "qid", "question_id")),
    "item": ("item", ("item", "item_id", "image", "image_id", "sample", "sample_id", "utterance")),
}
"""What pairs runs, what it is, and the columns that are known to name it."""
EVERY_UNIT = frozenset(name for _, columns in USUAL.values() for name in columns)
"""Columns that are known to name what pairs runs."""
FAMILIES = ("family", "dataset_family", "data_family", "task_family")
CLASSES = ("class", "label", "category", "true_label")
"""Columns of the class of a test item."""
FEWEST = 6
"""Families of data sets that can be tested together: five signs have no p below .05."""


@dataclass(frozen=True)
class Paired:
    """What pairs the runs: what it is called, what it is, and by which column where it is no seed."""

    noun: str = "seed"
    kind: Kind = "seed"


def paired_by(frame: Any, names: dict[str, str], asked: Asked, where: str) -> tuple[Paired, list[str]]:
    """What pairs the runs; its column joins ``names`` as ``unit``, with those of families and classes.

    Raises:
        LosscopeError: no such column, or several that may each be it.
    """
    if asked.unit is not None:
        column = column_of(frame, asked.unit, where)
        if column == names.get("seed") or NAMED.match(column):
            require(not asked.family, f"{asked.unit!r} is no data set, and only these have families")
            return Paired(), []
        noun, kind = _known(column)
        found, notes = Paired(noun, kind), []
        require(
            column not in (names.get(role) for role in ("loss", "measure", "value")),
            f"{where}: the column {column!r} names the runs or their values; wanted: one that pairs them",
        )
    else:
        near = {name: _known(name) for name in frame.columns if plainly(name) in EVERY_UNIT}
        able = [
            name
            for name, (_, kind) in near.items()
            if name not in names.values()
            and len(set(texts(frame[name]))) > 1
            and (kind == "data" or "seed" not in names)
        ]
        if len(able) > 1 and "seed" in names:  # two columns that tell runs apart are said where they are read
            able = []
        require(
            len(able) < 2,
            f"{where}: {listing(able)} may each be what pairs the runs; name one with --unit",
        )
        if not able:
            require(
                not asked.family,
                f"{where}: --family {asked.family} goes with data sets, and seeds pair the runs; wanted: a "
                "column of data sets, named with --unit",
            )
            return Paired(), []
        column = able[0]
        noun, kind = near[column]
        found = Paired(noun, kind)
        notes = [f"Runs are paired by the column {column!r}; --unit names another."]
    names["unit"] = column
    if kind == "data":
        family = asked.family or _one(frame, FAMILIES)
        if family is not None:
            names["family"] = column_of(frame, family, where)
    else:
        require(not asked.family, f"a {noun} has no family of data sets; --family goes with data sets")
    label = _one(frame, CLASSES)
    if kind == "item" and label is not None:
        names["class"] = label
    return found, notes


def _known(column: str) -> tuple[str, Kind]:
    for noun, (kind, columns) in USUAL.items():
        if plainly(column) in columns:
            return noun, kind
    return plainly(column).replace("_", " "), "unit"


def _one(frame: Any, wanted: Sequence[str]) -> str | None:
    known = {plainly(name): str(name) for name in frame.columns}
    return next((known[name] for name in wanted if name in known), None)


def runs_of(
    scores: Sequence[Score],
    paired: Paired,
    *,
    ours: bool = False,
    families: Mapping[str, str] | None = None,
    folds: int = 0,
    unpaired: bool = False,
    where: str,
) -> Runs:
    """The runs of scores, in the order in which they stand, by what pairs them.

    ``ours``: as losscope wrote them. ``families``: of data sets, the family that each counts in.

    Raises:
        LosscopeError: a unit that one loss has and another lacks.
    """
    if paired.kind == "seed":
        return Runs(tuple(_by_seed(scores, ours)), folds=folds)
    if paired.kind == "item":
        return Runs(tuple(_by_item(scores, where)), folds=folds)
    _refuse_lone(scores, paired.noun, unpaired, where)
    seeds = {score.seed for score in scores}
    several = len(seeds) > 1
    require(
        not unpaired or (paired.kind == "data" and several),
        f"{where}: the runs are paired by {paired.noun}; leave out --unpaired",
    )
    family = {score.unit: (families or {}).get(score.unit) or score.unit for score in scores}
    order = {name: place for place, name in enumerate(sorted(set(family.values()), key=_natural))}
    values: dict[tuple[str, int], dict[str, list[list[Score]]]] = {}
    for (loss, unit, measure), own in _grouped(scores).items():
        at = values.setdefault((loss, order[family[unit]]), {})
        at.setdefault(measure, []).append(own)
    runs = tuple(
        run_of(
            loss,
            place,
            {measure: _mean(units, measure) for measure, units in measures.items()},
            {measure: units[0][0].split for measure, units in measures.items() if units[0][0].split},
        )
        for (loss, place), measures in values.items()
    )
    each: tuple[stats.OnData, ...] = ()
    if paired.kind == "data" and several:
        each = tuple(
            stats.OnData(name, family[name], tuple(_by_seed([s for s in scores if s.unit == name], ours)))
            for name in sorted(family, key=_natural)
        )
    noun = paired.noun if len(order) == len(family) else f"{paired.noun} family"
    return Runs(
        runs,
        tuple(_said(paired, family, len(seeds) if several else 0, len(order))),
        units=tuple(order),
        noun=noun,
        averaged=several,
        each=each,
        folds_of_each=folds,
    )


def _said(paired: Paired, family: Mapping[str, str], seeds: int, families: int) -> list[str]:
    notes = []
    if seeds:
        notes.append(f"Each value is the mean over the runs of a {paired.noun}.")
    if families < len(family):
        some = [name for name, own in family.items() if list(family.values()).count(own) > 1]
        named = ", ".join(some[:4]) + (", …" if len(some) > 4 else "")
        notes.append(
            f"{count(len(family), paired.noun)} are of {count(families, 'family')}, each of which counts "
            f"once: the mean over its {plural(paired.noun)} ({named})."
        )
    noun = paired.noun if families == len(family) else f"{paired.noun} family"
    if paired.kind == "data" and families < FEWEST:
        notes.append(
            f"{count(families, noun)} cannot be tested together: that wants at least {FEWEST} families."
        )
    return notes


def _natural(text: str) -> tuple[int, str]:
    """2 before 10, a before b."""
    return (len(text), text) if text.isdecimal() else (10**9, text)


def _mean(units: Sequence[Sequence[Score]], measure: str) -> float | None:
    own = [stats.mean_on_scale([score.value for score in scores], measure) for scores in units]
    return stats.mean_on_scale(own, measure)


def _grouped(scores: Sequence[Score]) -> dict[tuple[str, str, str], list[Score]]:
    found: dict[tuple[str, str, str], list[Score]] = {}
    for score in scores:
        found.setdefault((score.loss, score.unit, score.measure), []).append(score)
    return found


def _refuse_lone(scores: Sequence[Score], noun: str, unpaired: bool, where: str) -> None:
    """Raise where a loss lacks a unit, or a seed of it, that another loss has."""
    have: dict[str, dict[tuple[str, int], None]] = {}
    for score in scores:
        have.setdefault(score.loss, {})[score.unit, 0 if unpaired else score.seed] = None
    every = dict.fromkeys(key for own in have.values() for key in own)
    for loss, own in have.items():
        lone = [key for key in every if key not in own]
        if lone:
            units = list(dict.fromkeys(unit for unit, _ in lone))
            whole = {unit for unit, _ in own}
            what = (
                f"the {noun} {units[0]!r}"
                if units[0] not in whole
                else f"seed {lone[0][1]} of the {noun} {units[0]!r}"
            )
            more = f" and {len(lone) - 1:,} more" if len(lone) > 1 else ""
            raise LosscopeError(
                f"{where}: {loss!r} lacks {what}{more} that others have; wanted: the same {plural(noun)} for "
                f"all that are compared, or --only to keep those"
            )


def _by_seed(scores: Sequence[Score], ours: bool) -> list[stats.Measured]:
    """One run per loss and seed; ``ours``: as losscope wrote them."""
    together: dict[tuple[str, int], dict[str, Score]] = {}
    for score in scores:
        together.setdefault((score.loss, score.seed), {})[score.measure] = score
    return [
        run_of(
            loss,
            seed,
            {name: score.value for name, score in found.items()},
            {name: score.split for name, score in found.items() if score.split},
            ours=ours,
        )
        for (loss, seed), found in together.items()
    ]


def _by_item(scores: Sequence[Score], where: str) -> list[stats.Measured]:
    """One run per loss and seed with the values of its test items, in the order of their names."""
    runs: dict[tuple[str, int], dict[str, dict[str, Score]]] = {}
    for score in scores:
        runs.setdefault((score.loss, score.seed), {}).setdefault(score.measure, {})[score.unit] = score
    made, items = [], sorted({score.unit for score in scores}, key=_natural)
    lacking: dict[str, tuple[str, set[str]]] = {}
    labelled = _labels_of_items(scores, where)
    label = np.unique([labelled[unit] or unit for unit in items], return_inverse=True)[1]
    for (loss, seed), measures in runs.items():
        values, detail = {}, {"per_query/label": label}
        for measure, own in measures.items():
            require(
                len(own) == len(items),
                f"{where}: {measure} of {loss} has {len(own):,} of {len(items):,} items; wanted: a value of "
                "each item for all that are compared",
            )
            empty = {unit for unit in items if own[unit].value is None}
            if len(empty) < len(items):  # a run without any value failed
                other, same = lacking.setdefault(measure, (loss, empty))
                apart = sorted(empty ^ same)
                require(
                    not apart,
                    f"{where}: {measure} of {''.join(apart[:1])!r} is there for one of {loss} and {other} "
                    "alone, so that their means are of other items; wanted: a value of each item for all",
                )
            array = np.array(
                [np.nan if own[unit].value is None else own[unit].value for unit in items], float
            )
            known = array[np.isfinite(array)]
            values[measure] = float(known.mean()) if len(known) else None
            detail[f"per_query/{measure}"] = array
        made.append(replace(run_of(loss, seed, values), detail=detail))
    return made


def _labels_of_items(scores: Sequence[Score], where: str) -> dict[str, str]:
    """The class of each item, which is the same in all runs."""
    found: dict[str, Score] = {}
    for score in scores:
        first = found.setdefault(score.unit, score)
        require(
            first.label == score.label,
            f"{where}: the item {score.unit!r} is of the class {first.label!r} for {first.loss} and of "
            f"{score.label!r} for {score.loss}; wanted: one class for each item",
        )
    return {unit: score.label for unit, score in found.items()}
