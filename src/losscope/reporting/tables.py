"""The result as tables: in the terminal, as Markdown, LaTeX and CSV.

A table is a function of the ``--json`` object alone, so that whatever printed it can be read back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording
from losscope.core.errors import unknown
from losscope.core.quantities import GOALS, QUANTITIES

WIDTH = 100
FORMATS = ("text", "md", "latex", "csv")

_AFTER_GOAL = {
    "retrieval": ("map_at_r", "map_visual_to_audio"),
    "verification": ("tar_at_far_1e2", "threshold_spread", "recall_at_1"),
    "classification": ("linear_accuracy", "recall_at_1"),
    "detail": ("fine_variance_share", "recall_at_1"),
    "compactness": ("recall_at_1",),
}
_DETAIL = ("fine_recall_at_1", "fine_variance_share")
"""Measured only where the data have finer labels than those trained on: then they are worth a column."""
_ALWAYS = (
    "intra_variance",
    "inter_distance",
    "intra_inter_ratio",
    "active_ratio",
    "effective_active",
    "epochs_to_90_quality",
    "knn_accuracy",
    "gradient_norm",
)


@dataclass(frozen=True)
class Side:
    """A loss or a baseline of the result, with its final measures."""

    name: str
    kind: str
    measures: Mapping[str, Mapping[str, Any]]
    failed: int = 0
    runs: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def value(self, measure: str, key: str = "mean") -> float | None:
        """One number of a measure, None where it does not exist."""
        return wording.finite((self.measures.get(measure) or {}).get(key))


def sides(result: Mapping[str, Any]) -> list[Side]:
    """The losses, then the baselines."""
    found = []
    for kind, key in (("loss", "losses"), ("baseline", "baselines")):
        for one in result.get(key) or ():
            runs = tuple(str(run) for run in one.get("runs") or ())
            measures = one.get("measures") or {}
            found.append(Side(str(one["name"]), kind, measures, int(one.get("failed") or 0), runs, one))
    return found


def seeds_of(result: Mapping[str, Any]) -> int:
    """How many seeds the study had."""
    seeds = result.get("seeds") or ()
    return len(seeds) if isinstance(seeds, Sequence) else int(seeds)


def goal_of(result: Mapping[str, Any]) -> str:
    """The goal that the result was made for."""
    return str((result.get("recommendation") or {}).get("goal") or result.get("goal") or "retrieval")


def unpaired(result: Mapping[str, Any]) -> bool:
    """Whether the seeds of different losses have nothing in common."""
    if "unpaired" in result:
        return bool(result["unpaired"])
    return any("unpaired seeds" in str(row.get("sentence")) for row in result.get("paired") or ())


def primary_of(result: Mapping[str, Any]) -> str | None:
    """The measure that the goal is decided by: as tested, or the first of the goal that there is."""
    for row in result.get("paired") or ():
        if row.get("primary"):
            return str(row["measure"])
    return next((name for name in GOALS.get(goal_of(result), ()) if name in present(result)), None)


def present(result: Mapping[str, Any]) -> list[str]:
    """Every measure with at least one value, in the order in which the quantities are declared."""
    have = {name for side in sides(result) for name in side.measures if side.value(name) is not None}
    order = {name: place for place, name in enumerate(QUANTITIES)}
    return sorted(have, key=lambda name: (order.get(name.partition("@")[0], len(order)), name))


def columns(result: Mapping[str, Any], limit: int = 9) -> list[str]:
    """The measures worth a column: the goal's, then some of geometry and greediness that there are."""
    goal = goal_of(result)
    wanted = [primary_of(result), *GOALS.get(goal, ()), *_AFTER_GOAL.get(goal, ()), *_DETAIL, *_ALWAYS]
    have = set(present(result))
    chosen = list(dict.fromkeys(name for name in wanted if name in have))
    return (chosen or present(result))[:limit]


def digits_of(found: Iterable[Side], measure: str) -> wording.Digits:
    """The decimals that a measure's column shares."""
    pairs = []
    for side in found:
        low, high = side.value(measure, "low"), side.value(measure, "high")
        half = None if low is None or high is None else (high - low) / 2
        pairs.append((side.value(measure), half))
    return wording.digits_for(pairs, measure)


def texts(side: Side, measure: str, digits: wording.Digits) -> tuple[str, str]:
    """(mean, interval) of a measure in its column's decimals, or in more where they would leave one digit.

    Only measures compared by ratio get more: 0.005 says little of a variance, and enough of a share.
    """
    mean = side.value(measure)
    if mean and wording.measure(measure).scale == "log_ratio":
        digits = wording.Digits(max(digits.decimals, min(6, wording.decimals_for(mean, 2))))
    low, high = side.value(measure, "low"), side.value(measure, "high")
    return wording.number(mean, digits), wording.interval(low, high, digits)


def split_of(found: Iterable[Side], measure: str) -> str:
    """On which split a measure was taken; several are named."""
    splits = {str(split) for side in found if (split := (side.measures.get(measure) or {}).get("split"))}
    return ", ".join(sorted(splits))


def failed_of(side: Side, seeds: int) -> str:
    """``2 of 10 failed``, or nothing."""
    return f"{side.failed} of {max(seeds, side.failed)} failed" if side.failed else ""


# --- the terminal ----------------------------------------------------------------------------------


def summary(result: Mapping[str, Any]) -> Table:
    """Losses and baselines by the measures that matter, readable at 100 columns.

    Means, with the 95 % interval over seeds below each; baselines are set apart, failures counted.
    """
    found = sides(result)
    heads, body = _fit(found, columns(result))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", overflow="fold", max_width=_NAME)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    seeds = seeds_of(result)
    chosen = (result.get("recommendation") or {}).get("loss")
    for side, cells in zip(found, body):
        label = Text(side.name, style="bold" if side.name == chosen else "" if side.kind == "loss" else "dim")
        if side.failed:
            label.append(f"\n{failed_of(side, seeds)}", style="red")
        row: list[Text] = []
        for mean, spread in cells:
            cell = Text(mean, style="bold" if side.name == chosen else "", justify="right")
            row.append(cell.append(f"\n{spread}", style="dim not bold") if spread else cell)
        table.add_row(label, *row, end_section=True)
    count = wording.count(seeds, "seed") if seeds else "seeds"
    table.caption = Text(f"mean over {count}, below it the 95 % interval over seeds", style="dim italic")
    table.caption_justify = "left"
    return table


_NAME = 26


def _fit(found: list[Side], names: list[str]) -> tuple[list[Text], list[list[tuple[str, str]]]]:
    """Headings and cells of as many measures as fit beside the names in 100 columns."""
    left = WIDTH - min(_NAME, max([len(side.name) for side in found] + [12])) - 2
    heads: list[Text] = []
    body: list[list[tuple[str, str]]] = [[] for _ in found]
    for name in names:
        digits = digits_of(found, name)
        cells = [texts(side, name, digits) for side in found]
        head = _two_lines(wording.label(name))
        width = max([len(line) for line in head.split("\n")] + [len(text) for cell in cells for text in cell])
        left -= width + 2
        if left < 0:
            break
        heads.append(Text(head, justify="right"))
        for row, cell in zip(body, cells):
            row.append(cell)
    return heads, body


def _two_lines(label: str) -> str:
    """A heading broken at the space nearest its middle, always two lines high."""
    spaces = [place for place, letter in enumerate(label) if letter == " "]
    if not spaces:
        return f"\n{label}"
    middle = min(spaces, key=lambda place: abs(place - len(label) / 2))
    return f"{label[:middle]}\n{label[middle + 1 :]}"


def primary_rows(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tested comparisons: those between losses first, then against each baseline in turn."""
    rows = [row for row in result.get("paired") or () if row.get("primary")]
    baselines = [side.name for side in sides(result) if side.kind == "baseline"]
    order = {name: place + 1 for place, name in enumerate(baselines)}
    return sorted(rows, key=lambda row: order.get(str(row.get("b")), 0))


def verdicts(result: Mapping[str, Any], sentences: bool = True) -> RenderableType:
    """The tested comparisons as a table, their sentences below, for 100 columns.

    With more than a dozen, only the sentences about two losses; none without ``sentences``.
    """
    rows = primary_rows(result)
    if not rows:
        return Text("nothing was tested: no pair of losses has the goal's measure", style="dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("compared", overflow="fold", max_width=40)
    table.add_column("measure", overflow="fold", max_width=18)
    table.add_column(_effect_head(rows), justify="right", overflow="fold", max_width=22)
    table.add_column("p (Holm)", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row in rows:
        middle, spread = wording.effect(row)
        size = Text(middle, justify="right")
        if spread:
            size.append(f"\n{spread}", style="dim")
        versus = Text(f"{row['a']}").append(" − ", style="dim").append(f"{row['b']}")
        if row.get("scale") == "log_ratio":
            versus = Text(f"{row['a']}").append(" / ", style="dim").append(f"{row['b']}")
        word = Text(wording.verdict(row.get("verdict")), style=_style(row))
        p = Text(wording.p_value(row.get("p_holm", row.get("p"))))
        table.add_row(versus, Text(wording.label(str(row["measure"]))), size, p, word)
    baselines = {side.name for side in sides(result) if side.kind == "baseline"}
    told = rows if len(rows) <= 12 else [row for row in rows if row["b"] not in baselines]
    said = [Text(f"· {row['sentence']}") for row in told if row.get("sentence")] if sentences else []
    return Group(table, Text(""), *said)


PUBLISHED = ("loss", "measure", "published", "ours (one further run)", "held out", "")


def published_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The authors' single values beside ours, and by how much they lie outside if they do."""
    rows = []
    for one in result.get("published") or ():
        miss = one.get("outside_by")
        word = (
            "no interval"
            if miss is None
            else "inside"
            if one["inside"]
            else f"outside by {wording.number(miss, signed=True)}"
        )
        rows.append(
            [
                str(one["loss"]),
                wording.label(str(one["measure"])),
                wording.number(one["published"]),
                f"{wording.number(one['mean'])} ({wording.interval(one['low'], one['high'])})",
                wording.number(one.get("held_out")),
                word,
            ]
        )
    return rows


def published(result: Mapping[str, Any]) -> Table | None:
    """The authors' values beside ours, for the terminal; None where none were published."""
    rows = published_rows(result)
    if not rows:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in PUBLISHED:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    return table


def _style(row: Mapping[str, Any]) -> str:
    code = row.get("verdict")
    if code in ("higher", "lower"):
        return "bold"
    return "red" if code == "failed" else "dim" if code in ("too_few_seeds", "not_comparable") else ""


def _effect_head(rows: Sequence[Mapping[str, Any]]) -> str:
    scales = {row.get("scale") for row in rows}
    return "ratio" if scales == {"log_ratio"} else "difference"


def recommendation(result: Mapping[str, Any]) -> Text:
    """The recommendation's sentences, the first in bold."""
    said = [str(one) for one in (result.get("recommendation") or {}).get("sentences") or ()]
    text = Text()
    for place, sentence in enumerate(said):
        text.append(f"{' ' if place else ''}{sentence}", style="" if place else "bold")
    return text


# --- files -----------------------------------------------------------------------------------------


def render(result: Mapping[str, Any], format: str = "text") -> str:
    """The result in a format: ``text`` as in the terminal, ``md``, ``latex`` or ``csv``.

    Raises LosscopeError for another format.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    return {"text": _text, "md": markdown, "latex": latex, "csv": long_csv}[format](result)


def _text(result: Mapping[str, Any]) -> str:
    from rich.console import Console

    console = Console(width=WIDTH, file=io.StringIO(), color_system=None, legacy_windows=False)
    console.print(summary(result))
    console.print(Group("", verdicts(result), "", recommendation(result)))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def _grid(result: Mapping[str, Any]) -> tuple[list[str], list[list[tuple[str, str]]], list[Side]]:
    """Measure names and (mean, interval) cells of the summary, a row a side."""
    found, names = sides(result), columns(result)
    digits = {name: digits_of(found, name) for name in names}
    rows = [[texts(side, name, digits[name]) for name in names] for side in found]
    return names, rows, found


_VERDICT_HEAD = ("compared", "measure", "size", "interval", "p (Holm)", "verdict")


def _verdict_cells(result: Mapping[str, Any]) -> list[list[str]]:
    cells = []
    for row in primary_rows(result):
        sign = "/" if row.get("scale") == "log_ratio" else wording.MINUS
        middle, spread = wording.effect(row)
        cells.append(
            [
                f"{row['a']} {sign} {row['b']}",
                wording.label(str(row["measure"])),
                middle,
                spread,
                wording.p_value(row.get("p_holm", row.get("p"))),
                wording.verdict(row.get("verdict")),
            ]
        )
    return cells


def markdown(result: Mapping[str, Any]) -> str:
    """The summary, the verdicts and their sentences as GitHub Markdown; names are escaped."""
    names, body, found = _grid(result)
    seeds = seeds_of(result)
    lines = []
    said = [str(one) for one in (result.get("recommendation") or {}).get("sentences") or ()]
    if said:
        lines += [" ".join(_md(one) for one in said), ""]
    lines.append(_md_row(["", *(_md(wording.label(name)) for name in names), "failed"]))
    lines.append("|" + "|".join([":--", *["--:"] * len(names), "--:"]) + "|")
    for side, cells in zip(found, body):
        shown = [f"{mean} ({spread})" if spread else mean for mean, spread in cells]
        failed = f"{side.failed} of {seeds}" if side.failed else "0"
        lines.append(_md_row([_md(side.name), *shown, failed]))
    lines += ["", f"Means over {wording.count(seeds, 'seed')}, in brackets the 95 % interval over seeds."]
    tested = _verdict_cells(result)
    if tested:
        lines += ["", _md_row(_VERDICT_HEAD), "|:--|:--|--:|--:|--:|:--|"]
        lines += [_md_row([_md(cell) for cell in cells]) for cells in tested]
        lines += [
            "",
            *(f"- {_md(str(row['sentence']))}" for row in primary_rows(result) if row.get("sentence")),
        ]
    return "\n".join(lines) + "\n"


def _md_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md(text: str) -> str:
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
    return "".join(_TEX.get(letter, letter) for letter in text)


def latex(result: Mapping[str, Any]) -> str:
    """The summary and the verdicts as two LaTeX tables (booktabs); every name is escaped."""
    names, body, found = _grid(result)
    seeds = seeds_of(result)
    data = str((result.get("data") or {}).get("name") or "the data")
    rows = []
    for side, cells in zip(found, body):
        failed = f" ({failed_of(side, seeds)})" if side.failed else ""
        shown = [
            rf"{tex(mean)} {{\scriptsize [{tex(spread)}]}}" if spread else tex(mean) for mean, spread in cells
        ]
        rows.append((side.kind, [tex(side.name + failed), *shown]))
    heads = ["", *(tex(wording.label(name)) for name in names)]
    caption = f"Losses on {data}: means over {wording.count(seeds, 'seed')}, in brackets the 95 % interval over seeds."
    parts = [_tabular("l" + "r" * len(names), heads, rows, caption)]
    tested = _verdict_cells(result)
    if tested:
        verdict_rows = [("", [tex(cell) for cell in cells]) for cells in tested]
        caption = f"Paired comparisons on {data}, Holm-corrected sign-flip tests over {wording.count(seeds, 'seed')}."
        parts.append(_tabular("llrrrl", [tex(head) for head in _VERDICT_HEAD], verdict_rows, caption))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


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


LONG = ("loss", "measure", "split", "mean", "low", "high", "unit", "n")


def long_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every measure of every side as one row: loss, measure, split, mean, low, high, unit, n.

    ``n`` counts the seeds with a value; numbers are not rounded, and None where there is none.
    """
    rows = []
    for side in sides(result):
        for name in present(result):
            cell = side.measures.get(name)
            if not cell:
                continue
            values = cell.get("values") or ()
            counted = sum(wording.finite(value) is not None for value in values)
            rows.append(
                {
                    "loss": side.name,
                    "measure": name,
                    "split": cell.get("split"),
                    "mean": side.value(name),
                    "low": side.value(name, "low"),
                    "high": side.value(name, "high"),
                    "unit": cell.get("unit") or wording.measure(name).unit,
                    "n": counted,
                }
            )
    return rows


def long_csv(result: Mapping[str, Any]) -> str:
    """The long table as CSV; a value that does not exist is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, LONG, lineterminator="\n")
    writer.writeheader()
    writer.writerows(long_rows(result))
    return out.getvalue()
