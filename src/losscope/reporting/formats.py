"""A result as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from losscope.core import wording
from losscope.core.results import Result
from losscope.core.wording import parts
from losscope.reporting.columns import columns, digits_of, kind_of, more_said, present, tested

PUBLISHED = ("loss", "measure", "published", "ours (one further run)", "held out", "")
VERDICTS = ("compared", "measure", "size", "interval", "p (Holm)", "verdict")


def published_rows(result: Result) -> list[list[str]]:
    """The authors' single values beside ours, and by how much they lie outside if they do."""
    return [
        [
            row.loss,
            wording.label(row.measure),
            wording.number(row.published),
            f"{wording.number(row.mean)} ({wording.interval(row.low, row.high)})",
            wording.number(row.held_out),
            parts.published(row),
        ]
        for row in result.published
    ]


def verdict_rows(result: Result) -> list[list[str]]:
    """Every tested comparison as text, in the columns ``VERDICTS``."""
    rows = []
    for row in tested(result):
        size = parts.size(row)
        rows.append(
            [
                " ".join(parts.pair(row)),
                wording.label(row.measure),
                size.middle,
                size.interval,
                parts.corrected_p(row),
                wording.verdict_word(row),
            ]
        )
    return rows


def _body(result: Result) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Measure names and (mean, interval) cells of the summary, a row for each side."""
    names = columns(result)
    digits = {name: digits_of(result.sides, name) for name in names}
    return names, [[parts.value(side, name, digits[name]) for name in names] for side in result.sides]


def markdown(result: Result) -> str:
    """The summary, the verdicts and their sentences as GitHub Markdown; names are escaped."""
    names, body = _body(result)
    seeds = len(result.seeds)
    lines = []
    if result.recommendation.sentences:
        lines += [" ".join(map(_md, result.recommendation.sentences)), ""]
    lines.append(_md_row(["", *(_md(wording.label(name)) for name in names), "lost"]))
    lines.append("|" + "|".join([":--", *["--:"] * len(names), "--:"]) + "|")
    for side, cells in zip(result.sides, body, strict=True):
        shown = [f"{mean} ({spread})" if spread else mean for mean, spread in cells]
        name = ", ".join(filter(None, (side.name, parts.stopped(side))))
        lines.append(_md_row([_md(name), *shown, parts.failed(side, seeds) or "0"]))
    noun = wording.plural(result.paired_by)
    counted = wording.count(seeds, result.paired_by)
    lines += ["", f"Means over {counted}, in brackets the 95 % interval over {noun}."]
    rows = verdict_rows(result)
    if rows:
        lines += ["", _md_row(VERDICTS), "|:--|:--|--:|--:|--:|:--|"]
        lines += [_md_row(map(_md, row)) for row in rows]
        lines += ["", *(f"- {_md(row.sentence)}" for row in tested(result) if row.sentence)]
    for own in result.by_data:
        lines += ["", f"On {_md(own.name)}:", "", *(f"- {_md(row.sentence)}" for row in own.rows)]
    if said := more_said(result):
        lines += ["", *(f"- {_md(sentence)}" for sentence in said)]
    return "\n".join(lines) + "\n"


def _md_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md(text: str) -> str:
    text = wording.printable(text)
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]|#~$" else letter for letter in text)
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\n": " ",
    "−": "$-$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "²": r"\textsuperscript{2}",
    "→": r"$\rightarrow$",
    "…": r"\dots{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "’": "'",
}
_TEX |= {
    sup: rf"\textsuperscript{{{plain}}}" for sup, plain in zip("⁻⁰¹³⁴⁵⁶⁷⁸⁹", ("-", *"013456789"), strict=True)
}


def tex(text: str) -> str:
    r"""Text that LaTeX prints as it stands.

    >>> print(tex("a_b & 50 % <x>"))
    a\_b \& 50 \% \textless{}x\textgreater{}
    """
    return "".join(_TEX.get(letter, letter) for letter in wording.printable(text))


def latex(result: Result) -> str:
    """The summary and the verdicts as two LaTeX tables (booktabs); every name is escaped."""
    names, body = _body(result)
    noun = wording.plural(result.paired_by)
    seeds = wording.count(len(result.seeds), result.paired_by)
    rows = []
    for side, cells in zip(result.sides, body, strict=True):
        told = ", ".join(filter(None, (parts.stopped(side), parts.failed(side, len(result.seeds)))))
        told = f" ({told})" if told else ""
        shown = [
            rf"{tex(mean)} {{\scriptsize [{tex(spread)}]}}" if spread else tex(mean) for mean, spread in cells
        ]
        rows.append((kind_of(side), [tex(side.name + told), *shown]))
    heads = ["", *(tex(wording.label(name)) for name in names)]
    data = result.data.name
    caption = f"Losses on {data}: means over {seeds}, in brackets the 95 % interval over {noun}."
    tables = [_tabular("l" + "r" * len(names), heads, rows, caption)]
    tested_rows = [("", [tex(cell) for cell in row]) for row in verdict_rows(result)]
    if tested_rows:
        caption = f"Paired comparisons on {data}, Holm-corrected sign-flip tests over {seeds}."
        tables.append(_tabular("llrrrl", [tex(head) for head in VERDICTS], tested_rows, caption))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def _tabular(
    shape: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], caption: str
) -> str:
    lines = [
        r"\begin{table}[ht]",
        r"  \centering\small",
        rf"  \caption{{{tex(caption)}}}",
        rf"  \begin{{tabular}}{{{shape}}}",
        r"    \toprule",
        f"    {' & '.join(heads)} " + r"\\",
        r"    \midrule",
    ]
    before = rows[0][0] if rows else ""
    for kind, cells in rows:
        if kind != before:
            lines.append(r"    \addlinespace")
            before = kind
        lines.append(f"    {' & '.join(cells)} " + r"\\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


class LongRow(NamedTuple):
    """One measure of one side, its numbers not rounded; ``n`` counts the seeds with a value.

    ``seeds`` and ``values``, with blanks between them: those of each run, ``-`` for a run without a value.
    """

    loss: str
    measure: str
    split: str | None
    mean: float | None
    low: float | None
    high: float | None
    unit: str
    n: int
    seeds: str
    values: str


def long_rows(result: Result) -> list[LongRow]:
    """Every measure of every side as one row; None where there is no number."""
    rows = []
    for side in result.sides:
        for name in present(result):
            found = side.measures.get(name)
            if found is not None:
                unit = found.unit or wording.measure(name).unit
                counted = sum(value is not None for value in found.values)
                seeds = result.seeds if len(found.values) == len(result.seeds) else range(len(found.values))
                values = " ".join("-" if value is None else repr(value) for value in found.values)
                ends = found.mean, found.low, found.high
                rows.append(
                    LongRow(
                        side.name, name, found.split, *ends, unit, counted, " ".join(map(str, seeds)), values
                    )
                )
    return rows


def long_csv(result: Result) -> str:
    """The long table as CSV; a value that does not exist is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(LongRow._fields)
    writer.writerows(map(wording.cell, row) for row in long_rows(result))
    return out.getvalue()
