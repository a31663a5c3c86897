"""What a section of the page is handed, and what it hands back.

A section is a function of a ``Context`` under ``@register("section", name, order=10)``. It returns a
``Section``, several, or None where it does not apply. The fact ``of`` says which pages have it: those of a
``comparison`` (the default), of a ``reproduction``, of a ``multiverse``, or of ``any`` document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup

from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.results import (
    BaselineResult,
    Columns,
    DataDescription,
    EmbeddingMap,
    Evidence,
    LossResult,
    Multiverse,
    Reproduction,
    Result,
    SideResult,
)
from losscope.core.wording import parts
from losscope.reporting import columns
from losscope.reporting.figure import Figure, Palette

if TYPE_CHECKING:
    import pandas as pd

HOME = Path(__file__).parent
TRACE_COLUMNS = ("loss", "seed", "split", "epoch", "name", "value")
Page = Result | Reproduction | Multiverse
"""What there is a page of."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table: text, a second smaller line, a note, and whose runs it comes from.

    ``record``: the name in markup of the side whose runs the page lists; the last line of the note then has
    the values by seed, which lead to the folders of these runs. ``number``: what the table sorts by, where
    the text is rounded. ``better``: of a head, which end of its measure is better, ``higher`` or ``lower``.
    """

    text: str
    small: str = ""
    title: str = ""
    record: str = ""
    kind: str = ""
    number: float | None = None
    better: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: caption, column heads (text, or text and its definition), rows whose first cell is a head."""

    caption: str
    heads: Sequence[str | Cell]
    rows: Sequence[Sequence[str | Cell]]
    numeric: bool = True
    words: int = 2
    """Columns of words at the left of a numeric table."""
    series: Sequence[str] = ()
    """Of each row the slugs of the losses that it is of; hiding one of them hides the row."""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        title: its heading, and its line in the contents.
        note: text beside it that says how to read it.
        html: markup made by ``fragment`` or marked as ``markupsafe.Markup``; a plain string is shown as text.
        figures: figures, drawn in ``columns`` (1 to 4) columns.
        table: a ``Grid``, or a pandas DataFrame whose index heads the rows.
        key: the names of the losses in its colour key.
        fold: the name under which html and table are shown only when opened.
        wide: over the whole width of the page.
        hero: part of the page's head.
        order: its place where it was not registered; a registered section's place is in its decorator.
    """

    title: str
    note: str = ""
    html: str = ""
    figures: Sequence[Figure] = ()
    table: Grid | pd.DataFrame | None = None
    key: Sequence[str] = ()
    fold: str = ""
    columns: int = 1
    wide: bool = False
    hero: bool = False
    order: float | None = None


@dataclass(frozen=True)
class Context:
    """Everything that a section may show: the document, its evidence, and the look of each loss."""

    document: Page
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def result(self) -> Result:
        """The comparison that the page is of; a section ``of`` comparisons is called for no other."""
        if not isinstance(self.document, Result):
            raise TypeError(f"the page is of a {self.document.kind}, not of a comparison")
        return self.document

    @property
    def reproduction(self) -> Reproduction:
        """The reproduction that the page is of; a section ``of`` reproductions is called for no other."""
        if not isinstance(self.document, Reproduction):
            raise TypeError(f"the page is of a {self.document.kind}, not of a reproduction")
        return self.document

    @property
    def multiverse(self) -> Multiverse:
        """The multiverse that the page is of; a section ``of`` multiverses is called for no other."""
        if not isinstance(self.document, Multiverse):
            raise TypeError(f"the page is of a {self.document.kind}, not of a multiverse")
        return self.document

    @cached_property
    def traces(self) -> pd.DataFrame:
        """One row per loss, seed, split, epoch and name, with its value.

        Raises:
            LosscopeError: a needed column is missing.
        """
        import pandas as pd

        found = self.traced
        return found if isinstance(found, pd.DataFrame) else pd.DataFrame(found)

    @cached_property
    def traced(self) -> Columns:
        """The same rows in columns, which need no pandas.

        Raises:
            LosscopeError: a needed column is missing.
        """
        found = self.evidence.traces
        if found is None:
            return {name: np.empty(0, dtype=object) for name in TRACE_COLUMNS}
        missing = [name for name in TRACE_COLUMNS if name not in found]
        if missing:
            raise LosscopeError(
                f"the traces have no column {', '.join(missing)}; "
                f"a page needs the columns {', '.join(TRACE_COLUMNS)}"
            )
        return found

    @property
    def detail(self) -> Mapping[str, Mapping[str, np.ndarray]]:
        """Per-class arrays of each loss by name."""
        return self.evidence.detail

    @property
    def maps(self) -> Mapping[str, EmbeddingMap]:
        """A map of each loss's test embeddings."""
        return self.evidence.maps

    @property
    def sides(self) -> tuple[SideResult, ...]:
        """The losses, then the baselines; none on a page that is of no comparison."""
        return self.document.sides if isinstance(self.document, Result) else ()

    @cached_property
    def losses(self) -> list[str]:
        """The names of the losses."""
        if not isinstance(self.document, Result):
            return list(self.document.losses)
        return [side.name for side in self.document.losses]

    @cached_property
    def palette(self) -> Palette:
        """The look of each loss and baseline."""
        return Palette(self.losses, [side.name for side in self.sides if isinstance(side, BaselineResult)])

    @property
    def seeds(self) -> int:
        """How many seeds the study had; in a multiverse each setting has so many of its own."""
        return self.document.seeds_each if isinstance(self.document, Multiverse) else len(self.document.seeds)

    @property
    def counted_seeds(self) -> str:
        """``10 seeds``, or what else pairs the runs, in words."""
        return wording.count(self.seeds, self.unit) if self.seeds else f"the {wording.plural(self.unit)}"

    @property
    def unit(self) -> str:
        """What pairs the runs, in the singular: ``seed``."""
        return self.document.paired_by if isinstance(self.document, Result) else "seed"

    @property
    def band_note(self) -> str:
        """How to read curves over epochs: their lines and bands."""
        if self.seeds < 2:
            return "One seed: a line without a band."
        stopped = any(side.failed for side in self.sides)
        early = " Thin dotted: seeds that stopped early, left out of both." if stopped else ""
        return f"Lines: mean over {self.counted_seeds}. Bands: smallest to largest seed.{early}"

    @property
    def data(self) -> DataDescription:
        """What the data are."""
        return self.document.data

    @property
    def class_names(self) -> Sequence[str] | None:
        """The names of the classes, where the data have them."""
        return self.data.class_names or None

    def trained(self) -> list[LossResult]:
        """The losses with what was measured of them."""
        return [side for side in self.sides if isinstance(side, LossResult)]

    def cell(self, side: SideResult, measure: str, digits: wording.Digits) -> Cell:
        """A measure of one side: mean, interval, its values by seed as tooltip, and whose runs it is of."""
        found = side.measures.get(measure)
        tip = [f"{wording.label(measure)} of {side.name}"]
        if found is not None and found.split:
            tip.append(f"split: {found.split}")
        if found is not None and 0 < len(found.values) <= 20:
            tip.append("by seed: " + ", ".join(wording.number(value, digits) for value in found.values))
        mean, spread = parts.value(side, measure, digits)
        missing = "none" if side.mean(measure) is None else ""
        record = self.palette.look(side.name).slug if side.runs else ""
        return Cell(mean, spread, "\n".join(tip), record, missing, side.mean(measure))

    def head(self, measure: str) -> Cell:
        """A measure as a column head: its name, unit and split, its definition as tooltip."""
        known = wording.measure(measure)
        return Cell(
            wording.label(measure).replace(" %", "\u00a0%"),
            columns.split_of(self.sides, measure),
            _defined(known.definition, known.unit, known.better),
            better="" if known.better == "neither" else known.better,
        )


def _defined(definition: str, unit: str, better: str) -> str:
    end = "neither end is better" if better == "neither" else f"{better} is better"
    return f"{definition} ({', '.join(part for part in (unit, end) if part)})"


SectionFunction = Callable[[Context], Section | Sequence[Section] | None]


def breakable(name: str) -> Markup:
    """A name that may break after its punctuation, so that a long loss keeps its words whole.

    >>> print(breakable("pml:Loss(a=1,<b>)"))
    pml:<wbr>Loss(<wbr>a=1,<wbr>&lt;b&gt;)
    """
    pieces = re.split(r"(?<=[:(,+_/.])(?=[^\s\d])", wording.printable(name))
    return Markup("<wbr>").join(pieces)


def in_words(line: str) -> Markup:
    """A command as markup that breaks between words and after commas, and inside a word only if it must.

    >>> print(in_words("compare --losses a,<b>"))
    <span>compare</span> <span>--losses</span> <span>a,</span><span>&lt;b&gt;</span>
    """
    pieces = re.findall(r"\s+|[^\s,]*,|[^\s,]+", line)
    return Markup("").join(
        Markup.escape(piece) if piece.isspace() else Markup("<span>{}</span>").format(piece)
        for piece in pieces
    )


def prose(sentence: str | wording.Clause) -> Markup:
    """A sentence as markup, its evidence set apart from what it claims.

    >>> print(prose(wording.Clause("Use a", "it is better", "p = 0.002, 10 seeds", ", untuned.")))
    Use a: it is better<span class="evidence"> (p = 0.002, 10 seeds)</span>, untuned.
    """
    if isinstance(sentence, str):
        return Markup.escape(_unbroken(sentence))
    apart = Markup('<span class="evidence">{}</span>').format(_unbroken(sentence.bracket))
    return (
        Markup.escape(_unbroken(sentence.before_evidence))
        + (apart if sentence.evidence else "")
        + Markup.escape(_unbroken(sentence.rest))
    )


def _unbroken(text: str) -> str:
    return wording.printable(text).replace(" %", "\u00a0%")


@cache
def environment() -> jinja2.Environment:
    """The templates, with everything escaped that is not marked as markup."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HOME),
        autoescape=True,
        optimized=False,  # what it folds is less than what it costs, once in each process
        # Names may hold marks that turn the text around them; markup is our own.
        finalize=lambda value: wording.printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(breakable=breakable, prose=prose, in_words=in_words)
    env.globals.update(is_cell=lambda cell: isinstance(cell, Cell))
    return env


def fragment(macro: str, *values: Any) -> Markup:
    """Markup from a macro of ``fragments.html``; every value is escaped.

    >>> print(fragment("bullets", ["a < b"]).strip())
    <ul class="sentences"><li>a &lt; b</li></ul>
    """
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
    heads = [str(table.index.name or ""), *map(str, table.columns)]
    return Grid(str(table.attrs.get("caption", "")), heads, rows)


def _text(value: Any) -> str:
    if isinstance(value, str | bool):
        return str(value)
    return wording.number(value) if wording.finite(value) is not None or value is None else str(value)
