"""Which columns of a table are what: features, label, finer label, group, split; by name and content."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require, unknown
from losscope.data.base import LeftOut
from losscope.data.folds import offered
from losscope.data.readers.arrays import FINE, GROUPS, SPLITS
from losscope.data.readers.cells import as_numbers, holds_lists, holds_vector_text
from losscope.data.readers.modalities import HEARD_FIRST, modality_of
from losscope.data.roles import is_split

PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "audio", "audio_path")
VECTORS = ("embedding", "embeddings", "features", "vector")
SURE = ("labels", "label", "classes", "class", "category")
"""Names of labels that are nothing else."""
OPEN = ("y", "targets", "target")
"""Names of labels that may also be a coordinate or a value to predict."""
MAYBE_SPLITS = (
    *("subset", "usage", "partition", "set", "phase", "train", "holdout"),
    *(
        f"{word}_{part}"
        for part in ("train", "training", "test", "val", "validation")
        for word in ("is", "in")
    ),
)
NOT_FEATURES = re.compile(
    r"^(id|index|name|row|level_\d+|unnamed: \d+(\.\d+)?|(.*_)?(uuid|guid|md5|sha256)|.+[_ ](id|idx)|"
    r"((cv|k|split|test|inner|outer)[-_ ]?)?folds?([-_ ]?(id|no|nr|number|\d+))?|"
    r"[a-z]+ID|timestamps?|.*_timestamp|date|datetime|unix_?time|created_at|updated_at|"
    r"is_(query|gallery|train|training|test|val|validation)|camera|split)$"
)
TOLD = 8
"""Columns that a sentence lists."""


@dataclass(frozen=True)
class Columns:
    """What each column of a table is; every one stands in exactly one field.

    ``inputs`` are the features: many columns of numbers, one of paths or of vectors, or two of vectors that
    are a pair of modalities (``kind``: numbers, path, vectors, pair).
    ``left_out`` counts what is nothing, each with its reason; ``notes`` say the whole decision.
    """

    kind: str
    inputs: tuple[str, ...]
    label: str | None
    fine: str | None
    group: str | None
    split: str | None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Choice:
    """What was decided so far, and why columns were left out."""

    frame: Any
    where: str
    taken: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)
    """Columns by how their cells were made numbers."""

    @property
    def columns(self) -> list[str]:
        return list(self.frame.columns)

    def named(self, names: Sequence[str]) -> list[str]:
        """The columns of these names, whatever the case, the first name first."""
        lower = {name.lower(): name for name in self.columns if name not in self.taken.values()}
        return [lower[name] for name in names if name in lower]

    def given(self, what: str, name: str | None) -> str | None:
        if name is not None:
            if name not in self.columns:
                raise unknown(f"column in {self.where}", name, self.columns)
            self.taken[what] = name
        return name


def decide(
    frame: Any,
    where: str,
    *,
    inputs: str | None,
    labels: str | None,
    fine: str | None,
    group: str | None,
    split: str | None,
    header: bool,
    fold: str | None = None,
    second: str | None = None,
    marks: Sequence[tuple[str, str]] = (),
) -> Columns:
    """What each column is. ``inputs`` may name several columns with commas and patterns (``f*``).

    ``second`` names the column of the other modality, beside ``inputs`` with that of the first.
    ``marks`` are uses and names of the columns that say which rows are queries, gallery, of which camera.

    Raises LosscopeError for names that are not there, and where two columns fit equally well.
    """
    choice = _Choice(frame, where)
    for what, name in (
        ("label", labels),
        ("fine", fine),
        ("group", group),
        ("split", split),
        ("fold", fold),
    ):
        choice.given(what, name)
    choice.taken |= dict(marks)
    asked = _asked(choice, inputs)
    if second is not None:
        asked += _other_side(choice, asked, second)
    if "label" not in choice.taken:
        _label(choice, header)
    for what, names in (("fine", FINE), ("group", GROUPS), ("split", SPLITS)):
        if what not in choice.taken and (
            found := [name for name in choice.named(names) if name not in asked]
        ):
            choice.taken[what] = found[0]
    if "split" not in choice.taken:
        fits = [
            name for name in choice.named(MAYBE_SPLITS) if name not in asked and is_split(frame[name], name)
        ]
        if fits:
            choice.taken["split"] = fits[0]
    if fold is None:
        for name in choice.columns:
            if name not in (*asked, *choice.taken.values()):
                choice.notes += offered(name, frame[name], "column")
    kind, chosen = ("pair", asked) if second is not None else _inputs(choice, asked)
    left_out, notes = _told(choice, chosen)
    said = ", ".join(f"{what} {name!r}" for what, name in choice.taken.items())
    return Columns(
        kind,
        tuple(chosen),
        choice.taken.get("label"),
        choice.taken.get("fine"),
        choice.taken.get("group"),
        choice.taken.get("split"),
        left_out,
        (
            *notes,
            *([f"columns by their use: {said}"] if said else []),
            *choice.notes,
            *_changes(choice, chosen),
        ),
    )


def _asked(choice: _Choice, inputs: str | None) -> list[str]:
    """The columns that option inputs names."""
    if inputs is None:
        return []
    if inputs in choice.columns:
        return [inputs]
    found: list[str] = []
    for pattern in (part.strip() for part in inputs.split(",")):
        fits = [name for name in choice.columns if name == pattern or fnmatchcase(name, pattern)]
        fits = [name for name in fits if name == pattern or name not in choice.taken.values()]
        if not fits:
            raise unknown(f"column in {choice.where}", pattern, choice.columns)
        found += [name for name in fits if name not in found]
    return found


def _other_side(choice: _Choice, asked: list[str], second: str) -> list[str]:
    """The column of the second modality; raise where the first is not one column, or either is no vectors."""
    if second not in choice.columns:
        raise unknown(f"column in {choice.where}", second, choice.columns)
    require(
        len(asked) == 1 and asked[0] != second,
        f"option second={second} of {choice.where} wants the column of the first modality beside it, and "
        f"inputs names {', '.join(asked[:TOLD]) or 'none'}; wanted: -o inputs=COLUMN -o second={second}",
    )
    for name in (*asked, second):
        column = choice.frame[name]
        require(
            holds_lists(column) or holds_vector_text(column),
            f"column {name!r} of {choice.where} holds no vectors; wanted: lists of numbers in both columns",
        )
    return [second]


def _sides(choice: _Choice, names: list[str]) -> list[str]:
    """Two columns of vectors in the order in which their modalities stand, which is noted."""
    rank = [HEARD_FIRST.index(side) for name in names if (side := modality_of(name)) in HEARD_FIRST]
    if len(rank) == 2 and rank[0] > rank[1]:
        names = names[::-1]
    choice.notes.append(
        f"the columns of vectors {names[0]} and {names[1]} are two modalities, a pair in each row; for one "
        f"alone: -o inputs={names[0]}"
    )
    return names


def _label(choice: _Choice, header: bool) -> None:
    """Choose the label: a sure name first; one that may be a coordinate only where nothing else fits."""
    sure, maybe = choice.named(SURE), choice.named(OPEN)
    if sure:
        choice.taken["label"] = sure[0]
        for name in maybe:
            if _same_partition(choice.frame[name], choice.frame[sure[0]]):
                choice.reasons[name] = "the label again"
            elif _could_be_label(choice, name):
                raise LosscopeError(
                    f"{choice.where} has columns {sure[0]} and {name}, and either may be the label; "
                    "wanted: name it "
                    f"by option labels (-o {shlex.quote(f'labels={sure[0]}')} or "
                    f"-o {shlex.quote(f'labels={name}')})"
                )
            else:
                choice.notes.append(f"the label is {sure[0]}; {name} is taken as a feature")
    elif maybe:
        choice.taken["label"] = maybe[0]
    elif not header:
        words = [name for name in choice.columns if _is_words(choice.frame[name])]
        if len(words) == 1:
            choice.taken["label"] = words[0]
            choice.notes.append(f"the label is column {words[0]}, the only one of words")


def _could_be_label(choice: _Choice, name: str) -> bool:
    """Whether an open name beside a sure one may be meant: whole numbers or words, and no x beside y."""
    column = choice.frame[name]
    if name.lower() == "y" and choice.named(("x",)):
        return False
    numbers = as_numbers(column).values
    if numbers is None:
        return _is_words(column)
    finite = numbers[np.isfinite(numbers)]
    return (
        len(finite) > 0
        and bool((finite == np.round(finite)).all())
        and len(np.unique(finite)) <= len(finite) / 2
    )


def _is_words(column: Any) -> bool:
    filled = column.dropna()
    text = len(filled) > 0 and all(isinstance(cell, str) for cell in filled)
    return text and 1 < filled.nunique() <= max(1, len(filled) / 2) and as_numbers(column).values is None


def _same_partition(a: Any, b: Any) -> bool:
    """Whether two columns are one division of the rows under two sets of names."""
    try:
        both = len(set(zip(a.tolist(), b.tolist(), strict=True)))
        return both == a.nunique(dropna=False) == b.nunique(dropna=False) and both > 1
    except TypeError:
        return False


def _inputs(choice: _Choice, asked: list[str]) -> tuple[str, list[str]]:
    """The kind of the inputs (path, vectors or numbers) and their columns."""
    frame = choice.frame
    free = [name for name in choice.columns if name not in choice.taken.values()]
    if len(asked) == 1:
        cell = frame[asked[0]].dropna()
        first = cell.iloc[0] if len(cell) else None
        if (
            holds_lists(frame[asked[0]])
            or isinstance(first, bytes | dict)
            or holds_vector_text(frame[asked[0]])
        ):
            return "vectors", asked
        if isinstance(first, str) and as_numbers(frame[asked[0]]).values is None:
            return "path", asked
    if asked:
        return "numbers", [name for name in asked if _usable(choice, name, refuse=True)]
    for name in choice.named(PATHS):
        column = frame[name].dropna()
        if len(column) and isinstance(column.iloc[0], str) and not holds_vector_text(column):
            return "path", [name]
        if len(column) and isinstance(column.iloc[0], dict):
            return "vectors", [name]
    known = choice.named(VECTORS)
    if known and as_numbers(frame[known[0]]).values is None:
        return "vectors", known[:1]
    for kind in (holds_lists, holds_vector_text):
        lists = [name for name in free if frame[name].dtype.kind not in "iufbMm" and kind(frame[name])]
        if len(lists) == 2:
            return "pair", _sides(choice, lists)
        if len(lists) > 2:
            first, other = (
                shlex.quote(f"{option}={name}") for option, name in zip(("inputs", "second"), lists)
            )
            raise LosscopeError(
                f"{choice.where} has {len(lists)} columns of vectors ({', '.join(lists[:TOLD])}); wanted: "
                f"name one (-o {first}), or two modalities (-o {first} -o {other})"
            )
        if lists:
            return "vectors", lists
    kept = [name for name in free if name not in choice.reasons and _usable(choice, name)]
    return "numbers", _without_copies(choice, kept)


def _usable(choice: _Choice, name: str, refuse: bool = False) -> bool:
    """Whether a column is of numbers and no counter, id or split; otherwise the reason is noted."""
    found = as_numbers(choice.frame[name])
    if found.values is None:
        require(not refuse, f"column {name!r} of {choice.where} holds {found.why_not}; wanted: numbers")
        choice.reasons[name] = found.why_not
        return False
    if not refuse and (NOT_FEATURES.match(name) or NOT_FEATURES.match(name.lower())):
        choice.reasons[name] = "by its name no feature"
        return False
    if found.how:
        choice.changed.setdefault(found.how, []).append(name)
    return True


def _without_copies(choice: _Choice, kept: list[str]) -> list[str]:
    """The columns that do not tell the label: one value for each class, or the class's own indicator."""
    label = choice.taken.get("label")
    counting = [name for name in kept if _counts(choice.frame[name])]
    copies: dict[str, str] = dict.fromkeys(counting, "counts the rows")
    if label is not None and choice.frame[label].notna().all():
        names, place = np.unique(choice.frame[label].astype(str).to_numpy(), return_inverse=True)
        indicators: dict[str, int] = {}
        if 1 < len(names) <= len(place) / 2:
            first = np.array([np.flatnonzero(place == number)[0] for number in range(len(names))])
            for name in kept:
                values = as_numbers(choice.frame[name]).values
                assert values is not None
                if not np.array_equal(values, values[first][place]):
                    continue
                levels, counts = np.unique(values[first], return_counts=True)
                if len(levels) == len(names):
                    copies[name] = "one value for each class"
                elif len(levels) == 2 and 1 in counts:
                    indicators[name] = int(np.flatnonzero(values[first] == levels[np.argmin(counts)])[0])
        all_classes = len(set(indicators.values())) >= len(names) - 1
        for name, number in indicators.items():
            if all_classes or name.lower().endswith(names[number].lower()):
                copies[name] = "true for one class alone"
    left = [name for name in kept if name not in copies]
    if not left:
        # Nothing else is there: the table is of such columns, as tables made by hand are.
        return kept
    choice.reasons |= copies
    return left


def _changes(choice: _Choice, chosen: list[str]) -> list[str]:
    """How the cells of which columns were made numbers, in a sentence for each way."""
    said = []
    for how, names in choice.changed.items():
        kept = [name for name in names if name in chosen]
        more = ", …" if len(kept) > TOLD else ""
        if kept:
            said.append(f"{how}: column{'s' if len(kept) > 1 else ''} {', '.join(kept[:TOLD])}{more}")
    return said


def _counts(column: Any) -> bool:
    values = as_numbers(column).values
    return values is not None and len(values) > 8 and bool((np.diff(values) == 1).all())


def _told(choice: _Choice, chosen: list[str]) -> tuple[tuple[LeftOut, ...], list[str]]:
    """What was left out, and the sentence on the features."""
    for name in choice.columns:
        if name not in chosen and name not in choice.taken.values():
            choice.reasons.setdefault(name, "beside the inputs")
    rest = {
        name: why for name, why in choice.reasons.items() if name not in (*chosen, *choice.taken.values())
    }
    listed = ", ".join(f"{name}: {why}" for name, why in list(rest.items())[:TOLD])
    more = ", …" if len(rest) > TOLD else ""
    left = (
        (LeftOut(len(rest), "columns" if len(rest) > 1 else "column", f"({listed}{more})"),) if rest else ()
    )
    which = f"the features are {len(chosen):,} columns, {chosen[0]}" if chosen else ""
    which += f" … {chosen[-1]}" if len(chosen) > 1 else ""
    return left, [which] if which else []
