"""Tables of scores: one row per value, one column per measure, or the table of ``report --format csv``."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from losscope import stats
from losscope.comparing.judging.cells import Score, in_units, number
from losscope.comparing.judging.declaring import known_as
from losscope.comparing.judging.folds import with_folds
from losscope.comparing.judging.runs import Runs, run_of
from losscope.core.bounds import INTEGER
from losscope.core.errors import LosscopeError, require, shown, unknown
from losscope.core.measure_names import meant
from losscope.core.wording import count, listing
from losscope.data.readers.files import open_table

COLUMNS = ("loss", "seed", "measure", "value")
SYNONYMS: dict[str, tuple[str, ...]] = {
    "loss": ("method", "loss_name", "loss_function", "objective", "criterion", "algorithm"),
    "seed": ("random_seed", "random_state", "run", "repeat", "repetition", "trial"),
    "measure": ("metric", "metric_name", "measure_name"),
    "value": ("score", "result"),
    "split": ("part", "subset"),
}
"""Other names of the columns."""
REPORTED = ("loss", "measure", "mean", "seeds", "values")
"""Columns by which the table of ``report --format csv`` is known."""
APART = (
    "epoch",
    "step",
    "iteration",
    "dataset",
    "data",
    "data_set",
    "corpus",
    "protocol",
    "backbone",
    "model",
    "architecture",
    "checkpoint",
)
"""Columns whose values make runs different things, not repetitions of one."""


def from_table(path: Path, only: Sequence[str] = ()) -> Runs:
    """The runs of a table. ``only``: rows to keep, as ``column=value``, or ``epoch=last``.

    Raises:
        LosscopeError: columns that are missing or tell runs apart, an unknown measure, a cell that is no
            number, a run given twice, values beyond the range of their measure.
    """
    text = {*COLUMNS, *(name for names in SYNONYMS.values() for name in names), "seeds", "values"}
    opened = open_table(path, text)
    frame = opened.frame
    frame = frame[[name for name in frame.columns if not _nameless(name) or not _counting(frame[name])]]
    lower = [name.lower().replace(" ", "_") for name in frame.columns]
    where = {role: _column(lower, role, path) for role in (*COLUMNS, "split")}
    names = {role: frame.columns[at] for role, at in where.items() if at is not None}
    kept, notes = _only(frame, only, names, path)
    kept, names, folds, more = with_folds(kept, names, repr(str(path)))
    notes += more
    ours = set(REPORTED) <= set(lower)
    if ours:
        scores = _reported(kept, path)
    elif {"measure", "mean"} <= set(lower) and "value" not in names:
        raise LosscopeError(
            f"{str(path)!r} holds means over seeds; judging wants the value of every run: the folder of the "
            "study, or its table made again with losscope report --format csv"
        )
    else:
        scores, more = _scores(kept, names, path)
        notes += more
    _refuse_twice(kept, scores, names, path)
    scores, units = in_units(scores)
    return Runs(tuple(_runs(scores, ours)), (*opened.notes, *notes, *units), folds=folds)


def _nameless(name: str) -> bool:
    return not name or name.startswith("Unnamed:")


def _counting(column: Any) -> bool:
    """Whether a column counts the rows, as pandas writes it without a name."""
    return [str(cell) for cell in column] == [str(row) for row in range(len(column))]


def _column(lower: Sequence[str], role: str, path: Path) -> int | None:
    """The place of a role's column: by its name, else by the one other name that is there."""
    if role in lower:
        return lower.index(role)
    found = [name for name in SYNONYMS[role] if name in lower]
    require(
        len(found) < 2,
        f"{str(path)!r}: {listing(found)} may each be the {role}; wanted: a column {role}",
    )
    return lower.index(found[0]) if found else None


def _only(frame: Any, only: Sequence[str], names: Mapping[str, str], path: Path) -> tuple[Any, list[str]]:
    """The rows that the user keeps, and a sentence for each choice."""
    notes = []
    for text in only:
        column, sign, wanted = (part.strip() for part in text.partition("="))
        require(bool(sign), f"cannot read {text!r}; wanted: column=value, such as epoch=last")
        if column not in frame.columns:
            raise unknown(f"column of {str(path)!r}", column, map(str, frame.columns))
        before = len(frame)
        if wanted == "last":
            numbers = frame[column].astype(float)
            runs = [names[role] for role in ("loss", "seed", "measure") if role in names]
            frame = frame[numbers == numbers.groupby([frame[name] for name in runs]).transform("max")]
        else:
            frame = frame[[_same(cell, wanted) for cell in frame[column]]]
        require(len(frame) > 0, f"no row of {str(path)!r} has {column} {wanted!r}")
        notes.append(f"{before - len(frame):,} of {before:,} rows are left out, by {column}={wanted}.")
    return frame, notes


def _same(cell: object, wanted: str) -> bool:
    try:
        return str(cell).strip() == wanted or float(str(cell)) == float(wanted)
    except ValueError:
        return False


def _scores(frame: Any, names: Mapping[str, str], path: Path) -> tuple[list[Score], list[str]]:
    """The scores of a table with a row per value, or with a column per measure."""
    wide = {}
    if "measure" not in names and "value" not in names:
        roles = set(names.values())
        wide = {column: found for column in frame.columns if column not in roles and (found := meant(column))}
    missing = [role for role in COLUMNS if role not in names and not (wide and role in COLUMNS[2:])]
    require(
        not missing,
        f"{str(path)!r} has no column {', '.join(missing)}; a table of scores has the columns "
        f"{', '.join(COLUMNS)}, or loss, seed and a column for each measure; it has "
        f"{', '.join(map(str, frame.columns))}",
    )
    read = {*names.values(), *wide}
    others = [column for column in frame.columns if column not in read]
    notes = _apart(frame, others, names, path)
    losses, seeds = _text(frame[names["loss"]]), _text(frame[names["seed"]])
    splits = _text(frame[names["split"]]) if "split" in names else [""] * len(frame)
    lacking = [not (loss and seed) for loss, seed in zip(losses, seeds, strict=True)]
    columns = []
    if wide:
        for column, found in wide.items():
            columns.append((known_as(column), list(frame[column])))
            if found.name != column:
                notes.append(f"The column {column!r} is read as {found.name}.")
        written = []
    else:
        written = _text(frame[names["measure"]])
        lacking = [lack or not name for lack, name in zip(lacking, written, strict=True)]
    places = [str(row) for row, lack in zip(frame.index, lacking, strict=True) if lack]
    first = ", ".join(places[:3]) + (", …" if len(places) > 3 else "")
    require(
        not places,
        f"{str(path)!r} has {count(len(places), 'row')} without a loss, a seed or a measure "
        f"({'row' if len(places) == 1 else 'rows'} {first}, counted from 0); wanted: all three",
    )
    if not wide:
        known = {name: known_as(name) for name in dict.fromkeys(written)}
        notes += [f"The measure {name!r} is read as {k.name}." for name, k in known.items() if k.name != name]
    scores = []
    for row, (loss, seed, split) in enumerate(zip(losses, seeds, splits, strict=True)):
        place = _seed(seed, path)
        pairs = [(named, cells[row]) for named, cells in columns]
        pairs = pairs or [(known[written[row]], frame[names["value"]].iloc[row])]
        for named, cell in pairs:
            value, percent = number(cell, f"{str(path)!r}: {named.name} of {loss}, seed {seed}")
            percent = percent or (named.percent and value is not None)
            scores.append(Score(loss, place, named.name, value, percent, split or None))
    return scores, notes


def _text(column: Any) -> list[str]:
    """Cells as text, without the blanks around them; nothing where there is none."""
    return [_cell_text(cell) for cell in column]


def _cell_text(cell: object) -> str:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell:
        return ""
    text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
    return unicodedata.normalize("NFC", text.strip())


def _seed(text: str, path: Path) -> int:
    try:
        seed = float(text)
        whole = seed.is_integer()
    except (ValueError, OverflowError):
        raise LosscopeError(
            f"{str(path)!r}: seeds are whole numbers from 0 and values numbers; {shown(text)} is no seed"
        ) from None
    require(
        whole and 0 <= seed < INTEGER,
        f"{str(path)!r}: seeds are whole numbers from 0 and values numbers; a seed is not: {shown(text)}",
    )
    return int(text) if text.isdecimal() else int(seed)


def _apart(frame: Any, others: Sequence[str], names: Mapping[str, str], path: Path) -> list[str]:
    """Sentences on columns that are not read; raises where their values make the runs different things."""
    unread = []
    runs = _text(frame[names["loss"]]) if "loss" in names else [""] * len(frame)
    for column in others:
        cells = _text(frame[column])
        values = list(dict.fromkeys(cells))
        if len(values) < 2:
            continue
        if column.lower().replace(" ", "_") not in APART:
            unread.append(column)
            continue
        own = {loss: {c for c, run in zip(cells, runs, strict=True) if run == loss} for loss in runs}
        repeated = _repeats(frame, names)
        if column.lower() in APART[:3] and not repeated and max(map(len, own.values())) > 1:
            unread.append(column)
            continue
        each = [(loss, *cells) for loss, cells in own.items() if len(cells) == 1]
        require(
            repeated or len(each) < len(own),
            f"{str(path)!r}: the column {column!r} differs from loss to loss "
            f"({', '.join(f'{cell} for {loss}' for loss, cell in each[:4])}); wanted: the same for all",
        )
        some = ", ".join(values[:4]) + (", …" if len(values) > 4 else "")
        raise LosscopeError(
            f"{str(path)!r}: the column {column!r} has {len(values):,} values ({some}), and runs that differ "
            f"in it are not one comparison; keep one with "
            f"--only {shlex.quote(f'{column}={values[-1]}')}"
            + (f" or --only {shlex.quote(f'{column}=last')}" if column.lower() in APART[:3] else "")
        )
    return [f"Not read: the column{'s' * (len(unread) > 1)} {listing(unread)}."] if unread else []


def _repeats(frame: Any, names: Mapping[str, str]) -> bool:
    keys = [names[role] for role in ("loss", "seed", "measure", "split") if role in names]
    return bool(frame.duplicated(keys).any())


def _refuse_twice(frame: Any, scores: Sequence[Score], names: Mapping[str, str], path: Path) -> None:
    """Raise for a measure of a run that is given twice, naming the columns that tell the rows apart."""
    seen: dict[tuple[str, int, str], Score] = {}
    splits: dict[str, str | None] = {}
    part = names.get("split", "split")
    for score in scores:
        first = splits.setdefault(score.measure, score.split)
        require(
            first == score.split,
            f"{str(path)!r}: {score.measure} is measured on the splits {first} and {score.split}; keep one "
            f"with --only {shlex.quote(f'{part}={score.split}')}",
        )
        other = seen.setdefault((score.loss, score.seed, score.measure), score)
        if other is score:
            continue
        rows = frame[[text == score.loss for text in _text(frame[names["loss"]])]]
        telling = [c for c in frame.columns if c not in names.values() and len(set(_text(rows[c]))) > 1]
        hint = f", or --only to keep one value of {listing(map(str, telling))}" if telling else ""
        raise LosscopeError(
            f"{str(path)!r} has {score.measure} of {score.run}, more than once; wanted: one row each{hint}"
        )


def _reported(frame: Any, path: Path) -> list[Score]:
    """The scores of the table that ``report --format csv`` prints, which holds the values of all seeds."""
    scores = []
    for cells in frame.itertuples(index=False):
        row = dict(zip(map(str.lower, frame.columns), cells, strict=True))
        loss, measure = _unquoted(_cell_text(row["loss"])), _cell_text(row["measure"])
        name, split = known_as(measure).name, _cell_text(row.get("split")) or None
        seeds, values = _cell_text(row["seeds"]).split(), _unquoted(_cell_text(row["values"])).split()
        require(
            len(seeds) == len(values),
            f"{str(path)!r}: {measure} of {loss} has {len(values)} values for "
            f"{len(seeds)} seeds; wanted: one each",
        )
        for seed, cell in zip(seeds, values, strict=True):
            value, percent = number(cell, f"{str(path)!r}: {measure} of {loss}, seed {seed}")
            scores.append(Score(loss, _seed(seed, path), name, value, percent, split))
    return scores


def _unquoted(text: str) -> str:
    """A name without the mark that keeps a spreadsheet from running it."""
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def _runs(scores: Sequence[Score], ours: bool) -> list[stats.Measured]:
    """One run per loss and seed, in the order in which they stand; ``ours``: as losscope wrote them."""
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
