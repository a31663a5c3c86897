"""Scores that anyone wrote to a table: columns loss, seed, measure, value, or a column for each measure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from losscope.comparing.judging.cells import Score, in_units, number
from losscope.comparing.judging.columns import (
    COLUMNS,
    MODELS,
    SYNONYMS,
    Asked,
    column_of,
    kept_rows,
    plainly,
    refuse_apart,
    roles_of,
    text_of,
    texts,
)
from losscope.comparing.judging.declaring import known_as
from losscope.comparing.judging.folds import with_folds
from losscope.comparing.judging.runs import Runs
from losscope.comparing.judging.units import CLASSES, EVERY_UNIT, FAMILIES, Paired, paired_by, runs_of
from losscope.core.bounds import INTEGER
from losscope.core.errors import LosscopeError, require, shown
from losscope.core.measure_names import Named, meant
from losscope.core.wording import count, listing

TEXT = {
    *COLUMNS,
    *(name for names in SYNONYMS.values() for name in names),
    *MODELS,
    *EVERY_UNIT,
    *FAMILIES,
    *CLASSES,
    "seeds",
    "values",
}
"""Columns whose cells are kept as they are written."""
REPORTED = ("loss", "measure", "mean", "seeds", "values")
"""Columns by which the table of ``report --format csv`` is known."""


def from_frame(
    frame: Any,
    where: str,
    asked: Asked,
    unpaired: bool = False,
    families: Mapping[str, str] | None = None,
) -> Runs:
    """The runs of a pandas frame of scores; ``where``: what sentences call it.

    ``families``: of data sets, the family that each counts in, where no column says it.

    Raises:
        LosscopeError: columns that are missing or tell runs apart, an unknown measure, a cell that is no
            number, a run given twice, values beyond the range of their measure.
    """
    frame = frame[[name for name in frame.columns if not _nameless(name) or not _counting(frame[name])]]
    names = roles_of(frame, where)
    kept, notes = kept_rows(frame, asked.only, names, where)
    paired, more = paired_by(kept, names, asked, where)
    unit = None if asked.unit is None else column_of(frame, asked.unit, where)
    kept, names, folds, said = with_folds(kept, names, where, unit)
    notes += [*more, *said]
    lower = [str(name).lower().replace(" ", "_") for name in frame.columns]
    ours = set(REPORTED) <= set(lower)
    if ours:
        scores = _reported(kept, where)
    elif {"measure", "mean"} <= set(lower) and "value" not in names:
        raise LosscopeError(
            f"{where} holds means over seeds; judging wants the value of every run: the folder of the "
            "study, or its table made again with losscope report --format csv"
        )
    else:
        scores, more = _scores(kept, names, where)
        notes += more
    _refuse_twice(kept, scores, names, where)
    scores, units = in_units(scores)
    if "family" in names:
        families = dict(zip(texts(kept[names["unit"]]), texts(kept[names["family"]]), strict=True))
    found = runs_of(scores, paired, ours=ours, families=families, folds=folds, unpaired=unpaired, where=where)
    return replace(found, notes=(*notes, *units, *_oddities(scores, paired), *found.notes))


SEVERAL = 3
"""Equal values of a loss from which on they are said."""


def _oddities(scores: Sequence[Score], paired: Paired) -> list[str]:
    """Sentences on values that are missing, and on runs that look like copies of one another."""
    notes = []
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.measure, score.loss), []).append(score)
    for (measure, loss), own in groups.items():
        lacking = [score.run for score in own if score.value is None]
        if lacking and paired.kind == "item":
            notes.append(
                f"{measure} has no value for {count(len(lacking), 'item')} of {loss}, which are left out of "
                f"what is compared with {loss} by this measure."
            )
        elif lacking:
            first = f"{lacking[0]}{f' and {len(lacking) - 1:,} more of it' if len(lacking) > 1 else ''}"
            notes.append(
                f"{measure} has no value for {first}: a run without a value counts as failed, and what is "
                f"compared with {loss} by this measure has no verdict."
            )
        values = {score.value for score in own}
        seeds = {score.seed for score in own}
        if len(seeds) == len(own) >= SEVERAL and len(values) == 1 and not values & {None, 0.0, 1.0}:
            notes.append(
                f"{measure} of {loss} is the same in all {len(own)} seeds: if these are one run that was "
                "written several times, the p values mean nothing."
            )
    return notes


def _nameless(name: str) -> bool:
    return not name or name.startswith("Unnamed:")


def _counting(column: Any) -> bool:
    """Whether a column counts the rows, as pandas writes it without a name."""
    return [str(cell) for cell in column] == [str(row) for row in range(len(column))]


def _scores(frame: Any, names: Mapping[str, str], where: str) -> tuple[list[Score], list[str]]:
    """The scores of a table with a row per value, or with a column per measure."""
    wide = {}
    if "measure" not in names and "value" not in names:
        roles = set(names.values())
        wide = {column: found for column in frame.columns if column not in roles and (found := meant(column))}
    wanted = [role for role in COLUMNS if role != "seed" or "unit" not in names]
    missing = [role for role in wanted if role not in names and not (wide and role in COLUMNS[2:])]
    require(
        not missing,
        f"{where} has no column {', '.join(missing)}; a table of scores has the columns "
        f"{', '.join(COLUMNS)}, or loss, seed and a column for each measure, where --unit may name another "
        f"column than seed; it has {', '.join(map(str, frame.columns))}",
    )
    read = {*names.values(), *wide}
    notes = refuse_apart(frame, [column for column in frame.columns if column not in read], names, where)
    cells = {role: texts(frame[names[role]]) for role in names if role != "value"}
    empty = [""] * len(frame)
    _refuse_lacking(frame, [cells[role] for role in (*wanted, "unit") if role in cells], where)
    columns: list[tuple[list[Named], list[Any]]]
    if wide:
        columns = [([known_as(column)] * len(frame), list(frame[column])) for column in wide]
        notes += [
            f"The column {c!r} is read as {found.name}." for c, found in wide.items() if found.name != c
        ]
    else:
        known = {name: known_as(name) for name in dict.fromkeys(cells["measure"])}
        columns = [([known[name] for name in cells["measure"]], list(frame[names["value"]]))]
        notes += [f"The measure {name!r} is read as {k.name}." for name, k in known.items() if k.name != name]
    scores = []
    for row, loss in enumerate(cells["loss"]):
        seed = cells.get("seed", empty)[row]
        unit = cells.get("unit", empty)[row]
        for measures, values in columns:
            named = measures[row]
            of = f"{loss}, {unit}" if unit else f"{loss}, seed {seed}"
            value, percent = number(values[row], f"{where}: {named.name} of {of}")
            scores.append(
                Score(
                    loss,
                    _seed(seed, where) if "seed" in cells else 0,
                    named.name,
                    value,
                    percent or (named.percent and value is not None),
                    cells.get("split", empty)[row] or None,
                    unit,
                    cells.get("class", empty)[row],
                )
            )
    return scores, notes


def _refuse_lacking(frame: Any, cells: Sequence[Sequence[str]], where: str) -> None:
    """Raise for rows that lack what tells their run or their measure."""
    lacking = [not all(row) for row in zip(*cells, strict=True)]
    places = [str(row) for row, lack in zip(frame.index, lacking, strict=True) if lack]
    first = ", ".join(places[:3]) + (", …" if len(places) > 3 else "")
    require(
        not places,
        f"{where} has {count(len(places), 'row')} without a loss, a seed or a measure "
        f"({'row' if len(places) == 1 else 'rows'} {first}, counted from 0); wanted: all three",
    )


def _seed(text: str, where: str) -> int:
    try:
        seed = float(text)
        whole = seed.is_integer()
    except (ValueError, OverflowError):
        raise LosscopeError(
            f"{where}: seeds are whole numbers from 0 and values numbers; {shown(text)} is no seed"
        ) from None
    require(
        whole and 0 <= seed < INTEGER,
        f"{where}: seeds are whole numbers from 0 and values numbers; a seed is not: {shown(text)}",
    )
    return int(text) if text.isdecimal() else int(seed)


def _refuse_twice(frame: Any, scores: Sequence[Score], names: Mapping[str, str], where: str) -> None:
    """Raise for a measure of a run that is given twice, naming the columns that tell the rows apart."""
    seen: dict[tuple[str, int, str, str], Score] = {}
    splits: dict[str, str | None] = {}
    part = names.get("split", "split")
    for score in scores:
        first = splits.setdefault(score.measure, score.split)
        require(
            first == score.split,
            f"{where}: {score.measure} is measured on the splits {first} and {score.split}; keep one "
            f"with --only {shlex.quote(f'{part}={score.split}')}",
        )
        other = seen.setdefault((score.loss, score.seed, score.unit, score.measure), score)
        if other is score:
            continue
        rows = frame[[text == score.loss for text in texts(frame[names["loss"]])]]
        telling = [c for c in frame.columns if c not in names.values() and len(set(texts(rows[c]))) > 1]
        units = [str(name) for name in telling if plainly(name) in EVERY_UNIT]
        pair = f", or --unit {shlex.quote(units[0])} to pair the runs by it" if units else ""
        hint = f", or --only to keep one value of {listing(map(str, telling))}" if telling else ""
        raise LosscopeError(
            f"{where} has {score.measure} of {score.run}, more than once; wanted: one row each{hint}{pair}"
        )


def _reported(frame: Any, where: str) -> list[Score]:
    """The scores of the table that ``report --format csv`` prints, which holds the values of all seeds."""
    scores = []
    for cells in frame.itertuples(index=False):
        row = dict(zip(map(str.lower, frame.columns), cells, strict=True))
        loss, measure = _unquoted(text_of(row["loss"])), text_of(row["measure"])
        name, split = known_as(measure).name, text_of(row.get("split")) or None
        seeds, values = text_of(row["seeds"]).split(), _unquoted(text_of(row["values"])).split()
        require(
            len(seeds) == len(values),
            f"{where}: {measure} of {loss} has {len(values)} values for {len(seeds)} seeds; wanted: one each",
        )
        for seed, cell in zip(seeds, values, strict=True):
            value, percent = number(cell, f"{where}: {measure} of {loss}, seed {seed}")
            scores.append(Score(loss, _seed(seed, where), name, value, percent, split))
    return scores


def _unquoted(text: str) -> str:
    """A name without the mark that keeps a spreadsheet from running it."""
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text
