"""What a page section is handed and what it hands back.

A section is a function ``fn(context) -> dict | None`` under ``@register("section", name, order=10)``; None
means that it does not apply. The dict has ``title`` and any of ``note`` (text), ``html`` (markup made by
``fragment``; a plain string is shown as text), ``figures`` (figure.Figure) or one ``figure``, ``table`` (a
Grid or a pandas DataFrame), ``key`` (names of the losses in its colour key), ``fold`` (the name under which
html and table are shown only when opened), ``columns`` of figures, ``wide`` and ``hero`` (the page's head).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from losscope.core import wording
from losscope.reporting import tables
from losscope.reporting.figure import Palette

HOME = Path(__file__).parent
FIELDS = frozenset(
    {"title", "note", "html", "figure", "figures", "table", "key", "wide", "fold", "order", "columns", "hero"}
)
TRACE_COLUMNS = ("loss", "seed", "split", "epoch", "name", "value")


@dataclass(frozen=True)
class Cell:
    """One cell of a table: text, a second smaller line, a tooltip, and the runs that it comes from."""

    text: str
    small: str = ""
    title: str = ""
    record: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: caption, column heads (text, or text and its definition), rows whose first cell is a head."""

    caption: str
    heads: Sequence[str | Cell]
    rows: Sequence[Sequence[Any]]
    numeric: bool = True


@dataclass(frozen=True)
class Context:
    """Everything a section may show: the result, traces, per-class detail, maps, and the losses' looks."""

    result: Mapping[str, Any]
    traces: pd.DataFrame
    detail: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def sides(self) -> list[tables.Side]:
        """Losses, then baselines."""
        return tables.sides(self.result)

    @cached_property
    def losses(self) -> list[str]:
        """The names of the losses."""
        return [side.name for side in self.sides if side.kind == "loss"]

    @cached_property
    def palette(self) -> Palette:
        """One look for each loss and baseline."""
        return Palette(self.losses, [side.name for side in self.sides if side.kind == "baseline"])

    @property
    def seeds(self) -> int:
        """How many seeds the study had."""
        return tables.seeds_of(self.result)

    @property
    def data(self) -> Mapping[str, Any]:
        """The facts of the data set."""
        return self.result.get("data") or {}

    @property
    def class_names(self) -> Sequence[str] | None:
        """The names of the classes, where the data have them."""
        names = self.data.get("class_names")
        return [str(one) for one in names] if names is not None and len(names) else None

    def cell(self, side: tables.Side, measure: str, digits: wording.Digits) -> Cell:
        """A measure of one side: mean, interval, its values by seed as tooltip, and its run ids."""
        one = side.measures.get(measure) or {}
        values = one.get("values") or ()
        tip = [f"{wording.label(measure)} of {side.name}"]
        if one.get("split"):
            tip.append(f"split: {one['split']}")
        if values and len(values) <= 20:
            tip.append("by seed: " + ", ".join(wording.number(value, digits) for value in values))
        if side.runs:
            tip.append("runs: " + ", ".join(run[:12] for run in side.runs))
        mean, spread = tables.texts(side, measure, digits)
        missing = "none" if side.value(measure) is None else ""
        return Cell(mean, spread, "\n".join(tip), " ".join(side.runs), missing)

    def head(self, measure: str) -> Cell:
        """A measure as a column head: its name, unit and split, its definition as tooltip."""
        known = wording.measure(measure)
        split = tables.split_of(self.sides, measure)
        return Cell(
            wording.label(measure).replace(" %", "\u00a0%"),
            split,
            f"{known.definition} ({known.unit}; better: {known.better})",
        )


def breakable(name: str) -> Markup:
    """A name that may break after its punctuation, so that a long loss keeps its words whole.

    >>> print(breakable("pml:Loss(a=1,<b>)"))
    pml:<wbr>Loss(<wbr>a=1,<wbr>&lt;b&gt;)
    """
    pieces = re.split(r"(?<=[:(,+_/.])(?=[^\s\d])", str(name))
    return Markup("<wbr>").join(pieces)


def prose(sentence: str, evidence: int = 40) -> Markup:
    """A sentence with its long brackets, which hold the evidence, set apart from what is claimed.

    >>> print(prose("Use a (it is better).", evidence=10))
    Use a <span class="evidence">(it is better)</span>.
    """
    sentence = str(sentence).replace(" %", "\u00a0%")
    pieces = re.split(r"(\([^()]*(?:\([^()]*\)[^()]*)*\))", sentence)
    out = Markup("")
    for piece in pieces:
        long = piece.startswith("(") and len(piece) >= evidence
        out += Markup('<span class="evidence">{}</span>').format(piece) if long else Markup.escape(piece)
    return out


def headline(sentence: str) -> tuple[str, str]:
    """What a sentence claims, and the rest of it: cut before its first long bracket or afterthought.

    >>> headline("Use a: its Recall@1 is higher, 0.9 against 0.8 (96 % interval 0.05 to 0.15, p = 0.002, 10 seeds).")
    ('Use a: its Recall@1 is higher, 0.9 against 0.8', '(96 % interval 0.05 to 0.15, p = 0.002, 10 seeds).')
    """
    for found in re.finditer(r" \((?=[^)]{24})|; |: ", sentence):
        if found.start() >= (70 if found.group() == ": " else 24):
            cut = found.start() + (0 if found.group() == " (" else 1)
            return sentence[:cut].rstrip(" ;:"), sentence[cut:].strip()
    return sentence, ""


@cache
def environment() -> jinja2.Environment:
    """The templates, with everything escaped that is not marked as markup."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HOME),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(breakable=breakable, prose=prose, is_cell=lambda one: isinstance(one, Cell))
    return env


def fragment(macro: str, *values: Any) -> Markup:
    """Markup from a macro of ``fragments.html``; every value is escaped."""
    made = getattr(environment().get_template("fragments.html").module, macro)(*values)
    return Markup(made)


def grid_of(table: Grid | pd.DataFrame) -> Grid:
    """A Grid as it is, a DataFrame as a Grid with sensible digits."""
    if isinstance(table, Grid):
        return table
    rows = [
        [str(index), *(_text(value) for value in row)]
        for index, row in zip(table.index, table.itertuples(index=False, name=None))
    ]
    return Grid(
        str(table.attrs.get("caption", "")), [str(table.index.name or ""), *map(str, table.columns)], rows
    )


def _text(value: Any) -> str:
    if isinstance(value, str | bool):
        return str(value)
    return wording.number(value) if wording.finite(value) is not None or value is None else str(value)
