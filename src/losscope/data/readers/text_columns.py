"""Which columns of a table hold texts: one of texts, two of pairs, or three of triplets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError, require, unknown
from losscope.data.readers.arrays import FINE, GROUPS, LABELS, SPLITS
from losscope.data.readers.cells import as_numbers, holds_vector_text
from losscope.data.readers.columns import MAYBE_SPLITS, PATHS
from losscope.data.readers.modalities import TOGETHER
from losscope.data.readers.tuple_columns import DIFFERENT, ENDS, ORDERED, SAME

TEXTS = ("text", "texts", "sentence", "sentences", "content", "document", "review", "utterance")
"""Names of a column of texts, where nothing else is called so."""
PAIRS = tuple(
    dict.fromkeys(
        (
            *TOGETHER,
            ("sentence_a", "sentence_b"),
            ("sentence1", "sentence2"),
            ("text1", "text2"),
            ("text_a", "text_b"),
            ("question1", "question2"),
            ("query", "answer"),
            ("query", "response"),
            ("query", "text"),
            ("question", "passage"),
            ("question", "context"),
            ("title", "abstract"),
            ("premise", "hypothesis"),
            ("source", "target"),
            *ENDS,
        )
    )
)
"""Names of two columns whose texts belong together."""
ASKING = ("query", "queries", "question", "q")
"""Names of a column whose texts search those of the other."""
PROSE = 3
"""Words of a text, on average, from which a column of another name is taken for texts."""
FEW = 4
"""Columns of numbers below which texts beside them are taken for what was meant."""
LOOKED_AT = 1000
"""Cells that tell whether a column holds texts."""
REMEDY = (
    "give --backbone with a text model (sentence-transformers/all-MiniLM-L6-v2, or the folder that one was "
    "saved in)"
)


@dataclass(frozen=True)
class TextColumns:
    """The columns of texts: one, two that are pairs, or anchor, positive and negative.

    ``same``: the column that says of pairs whether they are the same, ``inverted`` where 1 is different.
    """

    names: tuple[str, ...]
    same: str | None = None
    inverted: bool = False

    @property
    def asked(self) -> bool:
        """Whether the first column asks and the others are searched, by its name."""
        return len(self.names) > 1 and self.names[0].lower() in ASKING

    @property
    def said(self) -> str:
        """Which columns they are, for a person."""
        if len(self.names) == 1:
            return f"the texts are column {self.names[0]!r}"
        if len(self.names) == 3:
            return f"anchor, positive and negative are the texts of {', '.join(map(repr, self.names))}"
        said = f"the texts of {self.names[0]!r} and {self.names[1]!r} are pairs"
        return said if self.same is None else f"{said}, same or different is {self.same!r}"


def text_columns(
    frame: Any,
    where: str,
    *,
    inputs: str | None,
    second: str | None,
    labels: str | None,
    taken: Sequence[str],
) -> TextColumns:
    """The columns of texts of a table; ``taken`` are those that the user named for something else.

    ``inputs`` alone is the one column, ``inputs`` and ``second`` are a pair. Without them: anchor, positive
    and negative; a pair of usual names, unless there is a column ``text``; a column of a usual name; the one
    column of several words. Where ``labels`` names a column of classes, one column is looked for.

    Raises LosscopeError for a column that holds no texts, and where several fit.
    """
    columns = list(frame.columns)
    for name in (inputs, second):
        if name is not None and name not in columns:
            raise unknown(f"column in {where}", name, columns)
        if name is not None:
            _refuse_others(frame[name], name, where)
    require(
        second is None or (inputs is not None and inputs != second),
        "option second names the other column of a pair of texts; wanted: option inputs beside it, for "
        "the first",
    )
    free = {name.lower(): name for name in columns if name not in taken and _holds_text(frame[name])}
    if inputs is not None and second is not None:
        return _with_same(frame, where, (inputs, second), taken)
    if inputs is not None:
        return TextColumns((inputs,))
    three = [next((free[word] for word in words if word in free), None) for words in ORDERED]
    if all(three) and labels is None:
        return TextColumns(tuple(name for name in three if name is not None))
    two = next(((free[a], free[b]) for a, b in PAIRS if a in free and b in free), None)
    sure = [free[word] for word in TEXTS if word in free]
    if two is not None and labels is None and ("text" not in free or free["text"] in two):
        return _with_same(frame, where, two, taken)
    found = sure or prose(frame, taken)
    require(
        bool(found),
        f"{where} has no column of texts, which a text model wants; it has {', '.join(columns[:8])}; "
        "wanted: a "
        "column called text, or option inputs (-o inputs=NAME); for images and sounds a model of these",
    )
    require(
        len(found) == 1,
        f"{where} has several columns of texts: {', '.join(found[:8])}; wanted: name one by option inputs "
        f"(-o inputs={found[0]}), or two that are pairs (-o inputs={found[0]} -o second={found[-1]})",
    )
    return TextColumns((found[0],))


def prose(frame: Any, taken: Sequence[str] = ()) -> list[str]:
    """The columns of several words that are called nothing else."""
    others = {*LABELS, *FINE, *GROUPS, *SPLITS, *MAYBE_SPLITS, *PATHS, "id", "name"}
    return [
        name
        for name in frame.columns
        if name not in taken
        and name.lower() not in others
        and _holds_text(frame[name])
        and _wordy(frame[name])
    ]


def refuse_texts(frame: Any, where: str, numbers: Sequence[str], embedded: bool) -> None:
    """Raise for a table that holds texts and no or few columns of numbers: they want a text model.

    ``embedded``: a backbone of images or sounds was given.
    """
    if len(numbers) >= FEW:
        return
    lower = {name.lower(): name for name in frame.columns if _holds_text(frame[name])}
    found = [lower[word] for word in TEXTS if word in lower and _wordy(frame[lower[word]])] or prose(frame)
    if not found and not numbers:
        found = next(([lower[a], lower[b]] for a, b in PAIRS if a in lower and b in lower), [])
        found = found or [lower[word] for word in TEXTS if word in lower]
    if not found:
        return
    few = f" beside {', '.join(numbers)}" if numbers else ""
    remedy = f"the backbone takes images or sounds; {REMEDY}" if embedded else REMEDY
    raise LosscopeError(
        f"{where} holds texts (column{'s' if len(found) > 1 else ''} {', '.join(found[:3])}){few}, and a "
        "text is no "
        f"vector: {remedy}"
        + (
            f"; or -o inputs={','.join(numbers)} to take the numbers alone"
            if numbers and not embedded
            else ""
        )
    )


def _with_same(frame: Any, where: str, pair: tuple[str, str], taken: Sequence[str]) -> TextColumns:
    """The pair with the column that says same or different, if there is one."""
    others = {name.lower(): name for name in frame.columns if name not in (*pair, *taken)}
    named = [word for word in (*SAME, *DIFFERENT) if word in others]
    if "same" in named:
        named = ["same"]
    named = [
        word for word in named if not _holds_text(frame[others[word]]) or not _wordy(frame[others[word]])
    ]
    require(
        len(named) < 2,
        f"{where} has several columns that may say same or different: {', '.join(named)}; wanted: one, "
        "called same",
    )
    if not named:
        return TextColumns(pair)
    return TextColumns(pair, others[named[0]], named[0] in DIFFERENT)


def _cells(column: Any) -> Any:
    return column.dropna().iloc[:LOOKED_AT]


def _holds_text(column: Any) -> bool:
    """Whether the cells are text, and no numbers or vectors written as text."""
    cells = _cells(column)
    text = len(cells) > 0 and all(isinstance(cell, str) for cell in cells)
    return text and not holds_vector_text(cells) and as_numbers(cells).values is None


def _wordy(column: Any) -> bool:
    return bool(np.mean([len(cell.split()) for cell in _cells(column)]) >= PROSE)


def _refuse_others(column: Any, name: str, where: str) -> None:
    cells = column.dropna()
    strange = next((cell for cell in cells if not isinstance(cell, str)), None)
    require(
        strange is None,
        f"column {name!r} of {where} holds values of type {type(strange).__name__}; wanted: a text in "
        "each row",
    )
