"""A result as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import NamedTuple

from losscope.core import wording
from losscope.core.results import Result
from losscope.core.wording import parts
from losscope.reporting import sheets
from losscope.reporting.columns import halved, more_said, present, tested

NEEDS = r"% needs \usepackage{booktabs,longtable}"
PUBLISHED = ("loss", "measure", "published", "ours (one further run)", "held out", "")


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


def markdown(result: Result) -> str:
    """The summary, the verdicts and their sentences as GitHub Markdown; names are escaped."""
    lines = []
    if result.recommendation.sentences:
        lines += [" ".join(map(escaped, result.recommendation.sentences)), ""]
    lines += [markdown_sheet(sheets.sides(result))]
    if rows := tested(result):
        lines += [markdown_sheet(sheets.pairs(result))]
        lines += [*(f"- {escaped(row.sentence)}" for row in rows if row.sentence)]
    for own in result.by_data:
        lines += ["", f"On {escaped(own.name)}:", "", *(f"- {escaped(row.sentence)}" for row in own.rows)]
    if said := more_said(result):
        lines += ["", *(f"- {escaped(sentence)}" for sentence in said)]
    return "\n".join(lines).rstrip("\n") + "\n"


def markdown_sheet(sheet: sheets.Sheet) -> str:
    """A table as GitHub Markdown, its caption below; the best in bold, those tied with it with a dagger."""
    sides = ["--:" if side == "r" else ":--" for side in sheet.sides]
    lines = [_md_row(map(escaped, sheet.heads)), f"|{'|'.join(sides)}|"]
    lines += [_md_row(map(_md_entry, cells)) for _, cells in sheet.rows]
    return "\n".join([*lines, "", escaped(sheet.caption), ""])


def _md_entry(cell: sheets.Entry) -> str:
    text = f"**{escaped(cell.text)}**" if cell.mark == "best" else escaped(cell.text)
    text = f"{text}†" if cell.mark == "tie" else text
    return f"{text} ({escaped(cell.small)})" if cell.small else text


def _md_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it stands, in one line.

    >>> print(escaped("a_b | <i> @c"))
    a\_b \| &lt;i&gt; \@c
    """
    text = wording.printable(text)
    marked = "".join(f"\\{letter}" if letter in "\\`*_[]|#~$" else letter for letter in text)
    marked = re.sub(r"(?<![\w\\])@", r"\\@", marked)  # which would cite, or name somebody
    return " ".join(marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())


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
    "[": "{[}",  # a row that began with it would be taken for the height of the line before
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    "\n": " ",
    "\t": " ",
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
    "†": r"\textdagger{}",
}
_TEX |= {
    sup: rf"\textsuperscript{{{plain}}}" for sup, plain in zip("⁻⁰¹³⁴⁵⁶⁷⁸⁹", ("-", *"013456789"), strict=True)
}


def tex(text: str) -> str:
    r"""Text that LaTeX prints as it stands.

    >>> print(tex("a_b & 50 % <x>"))
    a\_b \& 50 \% \textless{}x\textgreater{}
    """
    text = wording.printable(text)
    pairs = zip(text, text[1:] + " ")
    # two hyphens or two quotes would print as one sign
    return "".join(
        _TEX.get(letter, letter) + ("{}" if letter == after and letter in "-'" else "")
        for letter, after in pairs
    )


LATEX_MEASURES = 6
"""So many measures stand beside the names on a page of paper."""


def latex(result: Result) -> str:
    """The summary and the verdicts as two LaTeX tables (booktabs); every name is escaped."""
    made = [sheets.sides(result, LATEX_MEASURES), *([sheets.pairs(result)] if tested(result) else [])]
    return f"{NEEDS}\n" + "\n".join(map(latex_sheet, made))


def latex_sheet(sheet: sheets.Sheet) -> str:
    """A table in booktabs; a long one over several pages.

    The best is bold, and what was not told from it has a dagger.
    """
    body = []
    before = sheet.rows[0][0] if sheet.rows else ""
    for kind, cells in sheet.rows:
        if kind != before:
            body.append(r"    \addlinespace")
            before = kind
        body.append(f"    {' & '.join(map(_tex_entry, cells))} " + r"\\")
    columns = zip(sheet.heads, sheet.sides, strict=True)
    heads = f"    {' & '.join(_tex_head(head, side) for head, side in columns)} " + r"\\"
    shape = "".join(
        r"p{.45\linewidth}" if place == sheet.wraps else side for place, side in enumerate(sheet.sides)
    )
    caption = rf"  \caption{{{tex(sheet.caption)}}}"
    label = rf"\label{{tab:{sheet.name}}}"
    if sheet.long:
        rules = [
            r"    \toprule",
            heads,
            r"    \midrule",
            r"    \endhead",
            r"    \bottomrule",
            r"    \endfoot",
        ]
        start = [r"{\small", rf"\begin{{longtable}}{{{shape}}}", f"{caption}{label}" + r"\\"]
        return "\n".join([*start, *rules, *body, r"\end{longtable}", "}", ""])
    start = [r"\begin{table}[ht]", r"  \centering\small", f"{caption}{label}"]
    inner = [rf"  \begin{{tabular}}{{{shape}}}", r"    \toprule", heads, r"    \midrule", *body]
    return "\n".join([*start, *inner, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def _tex_entry(cell: sheets.Entry) -> str:
    text = rf"\textbf{{{tex(cell.text)}}}" if cell.mark == "best" else tex(cell.text)
    text = rf"{text}\textsuperscript{{\textdagger}}" if cell.mark == "tie" else text
    return rf"\shortstack[r]{{{text}\\{{\scriptsize {tex(cell.small)}}}}}" if cell.small else text


def _tex_head(head: str, side: str) -> str:
    """A head; a long one of numbers in two lines."""
    first, second = halved(head)
    if side != "r" or len(head) < 12 or not first:
        return tex(head)
    return rf"\shortstack[r]{{{tex(first)}\\{tex(second)}}}"


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
