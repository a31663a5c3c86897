"""The ledger of a reproduction as tables, in the terminal and as Markdown, and what it will cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording
from losscope.core.results import ClaimVerdict, Control, Reproduction, ReproductionPlan
from losscope.core.wording import reproductions
from losscope.reporting.formats import escaped

WHOLE = 3
"""Up to so many data sets the terminal shows every number; beyond, one mark per data set."""
STYLES = {
    "reproduced": "green",
    "contradicted": "red",
    "direction_only": "yellow",
    "size_unresolved": "yellow",
    "inconclusive": "dim",
    "not_testable": "dim",
}
LEGEND = (
    "✓ reproduced  ✕ contradicted  ≈ the direction only  ? inconclusive  · not testable  "
    "( ) beyond the paper\n"
    "all: on all of the paper's own data together"
)
Column = tuple[str, JustifyMethod]


def table(result: Reproduction) -> RenderableType:
    """The ledger for a terminal of 100 columns: what came out, one table per protocol, and the sentences."""
    data = list(dict.fromkeys(row.data for row in cells(result)))
    protocols = dict.fromkeys(row.protocol for row in cells(result))
    parts: list[RenderableType] = [Text(f"{reproductions.judged(result.claims)}.\n", style="bold")]
    for protocol in protocols:
        if len(data) <= WHOLE:
            own = {name: _own(result, name, protocol) for name in data}
            parts += [_numbers(name, protocol, rows) for name, rows in own.items() if rows]
        else:
            parts.append(_marks(result, data, protocol))
    if len(data) > WHOLE:
        parts.append(Text(LEGEND, style="dim"))
    return Group(*parts, *map(Text, result.summary))


def cells(result: Reproduction) -> list[ClaimVerdict]:
    """The rows of single data sets."""
    return [row for row in result.claims if not row.together]


def whole(result: Reproduction, protocol: str) -> list[ClaimVerdict]:
    """The rows over all of the paper's data sets under a protocol."""
    return [row for row in result.claims if row.together and row.protocol == protocol]


def _own(result: Reproduction, data: str, protocol: str) -> list[ClaimVerdict]:
    return [row for row in cells(result) if row.data == data and row.protocol == protocol]


def _numbers(data: str, protocol: str, rows: Sequence[ClaimVerdict]) -> Table:
    heads: tuple[Column, ...] = (
        ("claim", "left"),
        ("says", "left"),
        ("expected", "right"),
        ("measured", "right"),
        ("verdict", "left"),
    )
    made = _table(f"{data}, {protocol} protocol", heads)
    for row in rows:
        spread = wording.interval(row.low, row.high)
        made.add_row(
            row.id,
            row.says,
            size(row, "expected"),
            size(row, "measured") + (f"\n{spread}" if spread else ""),
            Text(verdict(row), style=STYLES[row.verdict]),
        )
    return made


def _table(title: str, heads: Iterable[Column]) -> Table:
    made = Table(title=Text(title), title_justify="left", title_style="bold", expand=False)
    for head, justify in heads:
        made.add_column(head, justify=justify, overflow="fold")
    return made


def _marks(result: Reproduction, data: Sequence[str], protocol: str) -> Table:
    made = Table(
        title=f"{protocol} protocol",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=Text("  ".join(f"{place} {name}" for place, name in enumerate(data, 1)), style="dim"),
        caption_justify="left",
    )
    made.add_column("claim", no_wrap=True)
    made.add_column("all", justify="center")
    for place, _ in enumerate(data, 1):
        made.add_column(str(place), justify="center", min_width=3)
    own = {(row.id, row.data): row for row in cells(result) if row.protocol == protocol}
    for row in whole(result, protocol):
        found = (own.get((row.id, name)) for name in data)
        marks = [Text() if cell is None else _sign(cell, cell.beyond) for cell in found]
        made.add_row(row.id, _sign(row), *marks)
    return made


def _sign(row: ClaimVerdict, beyond: bool = False) -> Text:
    return Text(wording.sign(row.verdict, beyond), style=STYLES[row.verdict])


def verdict(row: ClaimVerdict) -> str:
    """A verdict in words, with the seeds that would settle it."""
    needed = f" ({wording.count(row.seeds_needed, 'seed')} needed)" if row.seeds_needed else ""
    return f"{wording.sign(row.verdict)} {wording.verdict(row.verdict)}{needed}"


def size(row: ClaimVerdict | Control, which: Literal["expected", "measured"]) -> str:
    """An expected or measured value as people read it, a ratio with its sign.

    >>> row = Control(id="a", explains=(), data="digits", protocol="paper", label="a / b",
    ...               measure="intra_variance", scale="ratio", measured=2.41)
    >>> size(row, "measured")
    '×2.41'
    """
    value = row.expected if which == "expected" else row.measured
    if value is None:
        return ""
    if row.scale == "ratio":
        return f"×{wording.number(value)}"
    return wording.number(value, signed=row.scale == "difference")


def foreseen(plan: ReproductionPlan) -> RenderableType:
    """What a reproduction will cost, one row per study, for ``--dry-run``."""
    heads: tuple[Column, ...] = (
        ("data", "left"),
        ("protocol", "left"),
        ("for", "left"),
        ("runs", "right"),
        ("to go", "right"),
        ("tests", "right"),
        ("reduced to", "left"),
    )
    made = _table(f"{plan.paper}: work in seconds of one core", heads)
    for cell in plan.cells:
        made.add_row(
            cell.data,
            cell.protocol,
            cell.role,
            f"{cell.runs:,}",
            f"{cell.seconds:,.0f} s",
            str(cell.tests_in_family or ""),
            cell.reduced or "",
        )
    return Group(made, Text(plan.said), Text(plan.sentence))


def markdown(result: Reproduction) -> str:
    """The whole ledger: sentences, what holds, every number with its reason, and the controls."""
    lines = [f"# {result.data.title}", "", result.data.described, ""]
    lines += [f"- {escaped(said)}" for said in (*result.summary, *result.notes)]
    data = list(dict.fromkeys(row.data for row in cells(result)))
    for protocol in dict.fromkeys(row.protocol for row in cells(result)):
        lines += ["", f"## Under the {protocol} protocol", ""]
        own = {(row.id, row.data): row for row in cells(result) if row.protocol == protocol}
        rows = []
        for row in whole(result, protocol):
            found = (own.get((row.id, name)) for name in data)
            marks = ["" if cell is None else wording.sign(cell.verdict, cell.beyond) for cell in found]
            rows.append([row.statement, row.id, wording.verdict(row.verdict), *marks])
        lines += _grid(["claim", "id", "on all of the paper's data", *data], rows)
        lines += ["", f"{LEGEND}.", ""]
        for name in data:
            own_rows = _own(result, name, protocol)
            if own_rows:
                lines += ["", f"### {name}, {protocol}", "", f"{escaped(_about(own_rows))}.", ""]
                heads = ["claim", "says", "expected", "measured", "interval", "verdict", "reason"]
                lines += _grid(heads, [_detail(row) for row in own_rows])
    lines += _controls(result)
    return "\n".join(lines) + "\n"


def _about(rows: Sequence[ClaimVerdict]) -> str:
    """What the rows of one data set under one protocol have in common."""
    first = rows[0]
    tests = next((row.tests_in_family for row in rows if row.tests_in_family), 0)
    seeds = wording.count(max(row.n or 0 for row in rows), "seed")
    family = f"{wording.count(tests, 'test')} in the family, Holm"
    if first.alpha is not None and first.look is not None:
        family += f", level {first.alpha:g} (look {first.look})"
    return "; ".join(said for said in (seeds, family, first.settings, first.edition) if said)


def _detail(row: ClaimVerdict) -> list[str]:
    reasons = (row.reason, "beyond the paper" if row.beyond else None)
    return [
        row.id,
        row.says,
        size(row, "expected"),
        size(row, "measured"),
        wording.interval(row.low, row.high),
        verdict(row),
        "; ".join(reason for reason in reasons if reason),
    ]


def _controls(result: Reproduction) -> list[str]:
    if not result.controls:
        return []
    lines = ["", "## Controls", "", "They explain, with intervals and without verdicts.", ""]
    for shown in result.descriptions:
        rows = [
            [
                row.data,
                row.protocol,
                wording.label(row.measure),
                row.label,
                size(row, "expected"),
                size(row, "measured"),
                wording.interval(row.low, row.high),
                row.note or "",
            ]
            for row in result.controls
            if row.id == shown.id
        ]
        if not rows:
            continue
        heads = ["data", "protocol", "quantity", "of", "foreseen", "measured", "interval", "note"]
        keep = [place for place in range(len(heads)) if any(row[place] for row in rows)]
        lines += [f"### {shown.title}", "", escaped(shown.note), ""]
        lines += _grid([heads[place] for place in keep], [[row[place] for place in keep] for row in rows])
        lines += [""]
    return lines


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows)]
