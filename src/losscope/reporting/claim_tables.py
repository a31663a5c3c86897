"""The ledger of a reproduction as tables: in the terminal and as Markdown, from the ``--json`` object alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording

Row = Mapping[str, Any]
WHOLE = 3
"""Up to so many data sets the terminal shows every number; beyond, a mark a data set."""
STYLES = {
    "reproduced": "green",
    "contradicted": "red",
    "direction_only": "yellow",
    "size_unresolved": "yellow",
    "inconclusive": "dim",
    "not_testable": "dim",
}
LEGEND = (
    "✓ reproduced  ✕ contradicted  ≈ the direction only  ? inconclusive  · not testable  ( ) beyond the paper\n"
    "all: on all of the paper's own data together"
)


def table(result: Mapping[str, Any]) -> RenderableType:
    """The ledger for a terminal of 100 columns: a table a protocol, the sentences, and where the rest is."""
    data = list(dict.fromkeys(row["data"] for row in cells(result)))
    protocols = list(dict.fromkeys(row["protocol"] for row in cells(result)))
    parts: list[RenderableType] = []
    for protocol in protocols:
        if len(data) <= WHOLE:
            parts += [_numbers(result, one, protocol) for one in data if _own(result, one, protocol)]
        else:
            parts.append(_marks(result, data, protocol))
    if len(data) > WHOLE:
        parts.append(Text(LEGEND, style="dim"))
    parts += [Text(one) for one in (result.get("recommendation") or {}).get("sentences", ())]
    return Group(*parts)


def cells(result: Mapping[str, Any]) -> list[Row]:
    """The rows of single data sets."""
    return [row for row in result.get("claims") or () if not row.get("together")]


def whole(result: Mapping[str, Any]) -> list[Row]:
    """The rows over all of the paper's data sets."""
    return [row for row in result.get("claims") or () if row.get("together")]


def _own(result: Mapping[str, Any], data: str, protocol: str) -> list[Row]:
    return [row for row in cells(result) if row["data"] == data and row["protocol"] == protocol]


def _numbers(result: Mapping[str, Any], data: str, protocol: str) -> Table:
    own = _own(result, data, protocol)
    made = Table(title=f"{data}, {protocol} protocol", title_justify="left", title_style="bold", expand=False)
    for head, kind in (
        ("claim", "left"),
        ("says", "left"),
        ("expected", "right"),
        ("measured", "right"),
        ("verdict", "left"),
    ):
        made.add_column(head, justify=kind, overflow="fold")  # type: ignore[arg-type]
    for row in own:
        spread = wording.interval(row["low"], row["high"])
        made.add_row(
            row["id"],
            row["says"],
            size(row, "expected"),
            size(row, "measured") + (f"\n{spread}" if spread else ""),
            Text(verdict(row), style=STYLES.get(row["verdict"], "")),
        )
    return made


def _marks(result: Mapping[str, Any], data: Sequence[str], protocol: str) -> Table:
    made = Table(
        title=f"{protocol} protocol",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=Text("  ".join(f"{place} {one}" for place, one in enumerate(data, 1)), style="dim"),
        caption_justify="left",
    )
    made.add_column("claim", no_wrap=True)
    made.add_column("all", justify="center")
    for place, _ in enumerate(data, 1):
        made.add_column(str(place), justify="center", min_width=3)
    for row in [row for row in whole(result) if row["protocol"] == protocol]:
        marks = [_sign(row["verdict"])]
        for one in data:
            own = [cell for cell in _own(result, one, protocol) if cell["id"] == row["id"]]
            marks.append(_sign(own[0]["verdict"], beyond=own[0]["beyond"]) if own else Text())
        made.add_row(row["id"], *marks)
    return made


def _sign(code: Any, beyond: bool = False) -> Text:
    return Text(wording.sign(code, beyond), style=STYLES.get(str(code), ""))


def verdict(row: Row) -> str:
    """A verdict in words, with the seeds that would settle it."""
    needed = f" ({row['seeds_needed']:,} seeds needed)" if row.get("seeds_needed") else ""
    return f"{wording.SIGNS.get(str(row['verdict']), '')} {wording.verdict(row['verdict'])}{needed}".strip()


def size(row: Row, key: str) -> str:
    """An expected or measured value as people read it, a ratio with its sign.

    >>> size({"scale": "ratio", "measured": 2.41, "low": 2.3, "high": 2.5}, "measured")
    '×2.41'
    """
    value = wording.finite(row.get(key))
    if value is None:
        return ""
    if row.get("scale") == "ratio":
        return f"×{wording.number(value)}"
    return wording.number(value, signed=row.get("scale") == "difference")


def foreseen(planned: Mapping[str, Any]) -> RenderableType:
    """What a reproduction will cost, a row a study, for ``--dry-run``."""
    made = Table(title=f"{planned['paper']}: work in seconds of one core", title_justify="left", expand=False)
    for head, kind in (
        ("data", "left"),
        ("protocol", "left"),
        ("for", "left"),
        ("runs", "right"),
        ("to go", "right"),
        ("tests", "right"),
        ("reduced to", "left"),
    ):
        made.add_column(head, justify=kind, overflow="fold")  # type: ignore[arg-type]
    for cell in planned["cells"]:
        made.add_row(
            cell["data"],
            cell["protocol"],
            cell["for"],
            f"{cell['runs']:,}",
            f"{cell['seconds']:,.0f} s",
            str(cell["tests_in_family"] or ""),
            cell["reduced"] or "",
        )
    return Group(made, Text(planned["said"]), Text(planned["sentence"]))


def markdown(result: Mapping[str, Any]) -> str:
    """The whole ledger: sentences, what holds, every number with its reason, and the controls."""
    paper, described = result["data"]["title"], result["data"]["described"]
    lines = [f"# {paper}", "", described, ""]
    lines += [f"- {_md(one)}" for one in (result.get("recommendation") or {}).get("sentences", ())]
    lines += [f"- {_md(one)}" for one in result.get("notes") or ()]
    data = list(dict.fromkeys(row["data"] for row in cells(result)))
    for protocol in dict.fromkeys(row["protocol"] for row in cells(result)):
        lines += ["", f"## Under the {protocol} protocol", ""]
        rows = []
        for row in [row for row in whole(result) if row["protocol"] == protocol]:
            own = {
                cell["data"]: cell
                for cell in cells(result)
                if cell["id"] == row["id"] and cell["protocol"] == protocol
            }
            marks = [_mark(own.get(one)) for one in data]
            rows.append([row["statement"], row["id"], wording.verdict(row["verdict"]), *marks])
        lines += _grid(["claim", "id", "on all of the paper's data", *data], rows)
        lines += ["", f"{LEGEND}.", ""]
        for one in data:
            own_rows = _own(result, one, protocol)
            if own_rows:
                lines += ["", f"### {one}, {protocol}", "", *_about(own_rows), ""]
                lines += _grid(
                    ["claim", "says", "expected", "measured", "interval", "verdict", "reason"],
                    [_detail(row) for row in own_rows],
                )
    lines += _controls(result.get("controls") or ())
    return "\n".join(lines) + "\n"


def _mark(row: Row | None) -> str:
    if row is None:
        return ""
    sign = wording.SIGNS.get(str(row["verdict"]), "")
    return f"({sign})" if row["beyond"] else sign


def _about(rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    level = f"level {first['alpha']:g} (look {first['look']})"
    tests = next((row["tests_in_family"] for row in rows if row["tests_in_family"]), 0)
    said = [
        f"{wording.count(max(row['n'] for row in rows), 'seed')}; {tests} tests in the family, Holm, {level}"
    ]
    said += [str(first[key]) for key in ("settings", "edition") if first.get(key)]
    return [f"{_md('; '.join(said))}."]


def _detail(row: Row) -> list[str]:
    reason = [str(row["reason"])] if row.get("reason") else []
    if row.get("beyond"):
        reason.append("beyond the paper")
    return [
        row["id"],
        row["says"],
        size(row, "expected"),
        size(row, "measured"),
        wording.interval(row["low"], row["high"]),
        verdict(row),
        "; ".join(reason),
    ]


def _controls(found: Sequence[Row]) -> list[str]:
    if not found:
        return []
    lines = ["", "## Controls", "", "They explain, with intervals and without verdicts.", ""]
    for name in dict.fromkeys(row["id"] for row in found):
        lines += [f"### {name.replace('-', ' ').capitalize()}", ""]
        rows = [
            [
                row["data"],
                row["protocol"],
                wording.label(str(row["measure"])),
                row["label"],
                size(row, "expected"),
                size(row, "measured"),
                wording.interval(row.get("low"), row.get("high")),
                str(row.get("note") or ""),
            ]
            for row in found
            if row["id"] == name
        ]
        heads = [
            "data",
            "protocol",
            "quantity",
            "of",
            "foreseen",
            "measured",
            "interval",
            "note",
        ]
        keep = [place for place in range(len(heads)) if any(row[place] for row in rows)]
        lines += [
            *_grid([heads[place] for place in keep], [[row[place] for place in keep] for row in rows]),
            "",
        ]
    return lines


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(_md(str(cell)) for cell in row)} |" for row in rows)]


def _md(text: str) -> str:
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]|#~$" else letter for letter in text)
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())
