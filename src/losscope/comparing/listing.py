"""What ``losscope list`` shows, read from the registrations without importing torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from losscope.core import registry
from losscope.core.errors import unknown
from losscope.core.quantities import QUANTITIES
from losscope.data.loading import present
from losscope.papers.paper import papers

KINDS = {"losses": "loss", "data": "data", "models": "model", "measures": "measure", "claims": "claim"}
COLUMNS = {
    "losses": ("name", "summary", "parameters"),
    "models": ("name", "summary", "inputs"),
    "measures": ("name", "definition", "better", "scale", "indifference"),
    "claims": ("name", "statement", "paper", "source"),
}


def items(what: str | None = None, root: str | Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """All items of a kind, or of every kind, with what each declares; of data, whether they are ``here``."""
    if what is not None and what not in KINDS:
        raise unknown("list", what, KINDS)
    wanted = [what] if what is not None else list(KINDS)
    special = {"measures": _measures, "claims": _claims}
    found = {plural: special[plural]() if plural in special else _entries(plural) for plural in wanted}
    for row in found.get("data", ()):
        row["here"] = present(row["name"], root)
    return found


def _entries(plural: str) -> list[dict[str, Any]]:
    return [
        {
            "name": entry.name,
            "summary": entry.summary,
            **entry.facts.model_dump(),
            "parameters": entry.parameters,
        }
        for entry in registry.entries(KINDS[plural]).values()
    ]


def _measures() -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "definition": one.definition,
            "unit": one.unit,
            "better": one.better,
            "scale": one.scale,
            "indifference": round(one.delta, 4),
            "group": one.group,
        }
        for one in QUANTITIES.values()
    ]


def _claims() -> list[dict[str, Any]]:
    return [
        {
            "name": claim.id,
            "paper": paper.name,
            "statement": claim.statement,
            "source": claim.source,
            "data": claim.data,
            "measure": claim.measure,
            "timing": claim.timing,
        }
        for paper in papers()
        for claim in paper.claims
    ]


def listing(what: str | None = None, root: str | Path | None = None) -> list[Any]:
    """The items as Rich tables, one a kind."""
    from rich.table import Table

    tables: list[Any] = []
    for plural, rows in items(what, root).items():
        if plural == "data":
            tables.append(_data(rows))
            continue
        table = Table(title=plural, title_justify="left", expand=False)
        for column in COLUMNS[plural]:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row.get(column)) for column in COLUMNS[plural]))
        tables.append(table)
    return tables


def _data(rows: list[dict[str, Any]]) -> Any:
    """Data sets, two columns: the name and whether it is here, and all that is known of it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="data", title_justify="left", box=None, padding=(0, 2, 1, 0))
    for column in ("name", "what it is"):
        table.add_column(column, overflow="fold", header_style="dim")
    for row in rows:
        name = Text(row["name"], style="bold")
        name.append(
            "\non this machine" if row["here"] else "\nnot here", style="green" if row["here"] else "dim"
        )
        about = Text(
            f"{row['title']}\n{row['n']:,} {row['modality']}, {row['classes']} classes. {row['split']}\n"
        )
        about.append(f"Licence: {row['licence']}. From: {row['origin']}.", style="dim")
        table.add_row(name, about)
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}={one!r}" for key, one in value.items()) or "–"
    return f"{value:,}" if isinstance(value, int) else str(value)
