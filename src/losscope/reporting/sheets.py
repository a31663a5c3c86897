"""The tables of a result as text, from which Markdown and LaTeX are written: sides, pairs, trials, runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from losscope.core import wording
from losscope.core.results import Comparison, LossResult, Result, SideResult, Trial
from losscope.core.wording import parts
from losscope.reporting.columns import columns, digits_of, kind_of, tested
from losscope.reporting.ties import Marks, marks

Mark = Literal["", "best", "tie"]
VERDICTS = ("compared", "measure", "size", "interval", "p (Holm)", "verdict")
DIFFERENCES = ("compared", "measure", "size", "for these data", "for data like these", "n", "verdict")


@dataclass(frozen=True)
class Entry:
    """A cell: its text, a second smaller one, and whether it is the best of its column or tied with it."""

    text: str
    small: str = ""
    mark: Mark = ""


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes:
        name: what its file is called.
        caption: what it shows and how to read it.
        heads: the heads of its columns.
        rows: its rows, each with what is set apart from the rows of another kind.
        words: how many columns at the left are words; the others are numbers.
        last: whether the last column is words too.
        long: whether it may fill several pages.
        wraps: the column whose text is broken into lines, where one is long.
    """

    name: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]
    words: int = 1
    last: bool = False
    long: bool = False
    wraps: int | None = None

    @property
    def sides(self) -> str:
        """The sides of the columns: l for words, r for numbers."""
        inner = "l" * self.words + "r" * (len(self.heads) - self.words)
        return f"{inner[:-1]}l" if self.last else inner


def sheets(result: Result) -> tuple[Sheet, ...]:
    """All tables of a result that have rows."""
    made = (sides(result), pairs(result), differences(result), trials(result), runs(result))
    return tuple(sheet for sheet in made if sheet.rows)


def sides(result: Result, limit: int = 9) -> Sheet:
    """Losses and baselines by at most so many measures, the best of what was tested marked."""
    names = columns(result, limit)
    digits = {name: digits_of(result.sides, name) for name in names}
    marked = marks(result)
    seeds = len(result.seeds)
    rows = []
    for side in result.sides:
        told = ", ".join(filter(None, (parts.stopped(side), parts.failed(side, seeds))))
        cells = [
            Entry(*parts.value(side, name, digits[name]), mark=_mark(marked, name, side)) for name in names
        ]
        rows.append((kind_of(side), (Entry(side.name, told), *cells)))
    noun = wording.plural(result.paired_by)
    counted = wording.count(seeds, result.paired_by) if seeds else f"the {noun}"
    said = [
        f"Losses on {result.data.name}: means over {counted}, with the 95 % interval over {noun}.",
        *(found.caption for found in marked if found.measure in names),
        *(["Other columns are described and not tested."] if marked and len(names) > len(marked) else []),
    ]
    heads = ("", *(wording.label(name) for name in names))
    return Sheet("sides", " ".join(said), heads, tuple(rows))


def _mark(marked: Sequence[Marks], measure: str, side: SideResult) -> Mark:
    for found in marked:
        if found.measure == measure:
            return "best" if found.best == side.name else "tie" if side.name in found.ties else ""
    return ""


def pairs(result: Result) -> Sheet:
    """The tested pairs with their sizes, corrected p and verdicts."""
    rows = tested(result)
    level = 100 * (1 - rows[0].alpha) if rows else 95.0
    how, kind = (
        ("Unpaired comparisons", "permutation") if result.unpaired else ("Paired comparisons", "sign-flip")
    )
    over = wording.count(len(result.seeds), result.paired_by) if result.seeds else "these runs"
    caption = (
        f"{how} on {result.data.name} over {over}: {kind} tests, p corrected by Holm; intervals of "
        f"{level:.4g} %, not corrected."
    )
    return Sheet("pairs", caption, VERDICTS, tuple(("", _verdict(row)) for row in rows), words=2, last=True)


def _verdict(row: Comparison) -> tuple[Entry, ...]:
    size = parts.size(row)
    cells = (" ".join(parts.pair(row)), wording.label(row.measure), size.middle, size.interval)
    return tuple(map(Entry, (*cells, parts.corrected_p(row), wording.verdict_word(row))))


def differences(result: Result) -> Sheet:
    """Every paired difference, tested or described, with both intervals."""
    rows = []
    for row in result.paired:
        size = parts.size(row)
        cells = (" ".join(parts.pair(row)), wording.label(row.measure), size.middle, size.interval)
        word = wording.verdict(row.verdict) if row.verdict else "described"
        rows.append(("", tuple(map(Entry, (*cells, size.interval_data, str(row.n or ""), word)))))
    caption = (
        f"Every difference on {result.data.name}. Only tested pairs have a verdict; the intervals of the "
        "others are described and not corrected."
    )
    return Sheet("differences", caption, DIFFERENCES, tuple(rows), words=2, last=True, long=True)


def trials(result: Result) -> Sheet:
    """Every trial of tuning, the losses one after the other."""
    rows = [(side.name, _trial(side, trial)) for side in result.losses for trial in side.trials]
    decided = [side.tuned.measure for side in result.losses if side.tuned is not None]
    score = f"{wording.label(decided[0])} on validation" if decided else "score on validation"
    caption = f"Every trial of tuning on {result.data.name}; its seeds are other seeds than those tested."
    heads = ("loss", "settings", "epochs", "best epoch", score)
    return Sheet("trials", caption, heads, tuple(rows), words=2, long=True, wraps=1)


def _trial(side: LossResult, trial: Trial) -> tuple[Entry, ...]:
    counts = ("" if value is None else str(value) for value in (trial.epochs, trial.epoch))
    return tuple(map(Entry, (side.name, parts.settings(trial), *counts, wording.number(trial.score))))


def runs(result: Result) -> Sheet:
    """Every run: its side, its seed or what else pairs it, its folder, and why it failed if it did."""
    names = result.units or result.seeds
    rows = []
    for side in result.sides:
        known = names if len(names) == len(side.runs) else [""] * len(side.runs)
        reasons = {failure.seed: failure.reason for failure in side.failures}
        for unit, run in zip(known, side.runs, strict=True):
            told = wording.shorten(reasons[unit], 60) if unit in reasons else "ended"
            rows.append((side.name, (Entry(side.name), Entry(str(unit)), Entry(run), Entry(told))))
    caption = f"Every run on {result.data.name}; a run is the folder runs/ID of the store."
    heads = ("side", result.paired_by, "run", "how it ended")
    return Sheet("runs", caption, heads, tuple(rows), words=4, long=True)
