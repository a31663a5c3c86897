"""What ``losscope list`` shows, read from the registrations without importing torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from losscope.core import registry, wording
from losscope.core.errors import unknown
from losscope.core.facts import (
    FACTS,
    ClosedFormFacts,
    DataFacts,
    LossFacts,
    ModelFacts,
    PaperFacts,
    ProtocolFacts,
    SectionFacts,
    Value,
)
from losscope.core.quantities import QUANTITIES, Better, Scale
from losscope.core.results import Frozen, Number
from losscope.data.loading import present
from losscope.papers.paper import papers


class ListedLoss(LossFacts):
    """A loss: what it says of itself, and its hyperparameters with the defaults of its signature."""

    name: str
    summary: str
    parameters: dict[str, Value | None]


class ListedData(DataFacts):
    """A data set: what it says of itself, its options, and whether it is on this machine."""

    name: str
    summary: str
    parameters: dict[str, Value | None]
    here: bool = False


class ListedModel(ModelFacts):
    """A network."""

    name: str
    summary: str
    parameters: dict[str, Value | None]


class ListedClosedForm(ClosedFormFacts):
    """A side in closed form."""

    name: str
    summary: str


class ListedProtocol(ProtocolFacts):
    """A protocol."""

    name: str
    summary: str


class ListedMeasure(Frozen):
    """A quantity that is measured; differences below ``indifference`` do not matter."""

    name: str
    definition: str
    unit: str
    better: Better
    scale: Scale
    indifference: Number
    group: str


class ListedClaim(Frozen):
    """A claim of a paper; ``data`` are the paper's own."""

    name: str
    paper: str
    statement: str
    source: str
    data: tuple[str, ...] = ()
    measure: str | None = None
    timing: bool = False


class ListedPaper(PaperFacts):
    """A paper that can be reproduced."""

    name: str
    summary: str


class ListedSection(SectionFacts):
    """A section of the page."""

    name: str
    summary: str


Item = (
    ListedLoss
    | ListedData
    | ListedModel
    | ListedClosedForm
    | ListedMeasure
    | ListedProtocol
    | ListedClaim
    | ListedPaper
    | ListedSection
)


class Listing(Frozen):
    """The items of some kinds; None for a kind that was not asked for."""

    losses: tuple[ListedLoss, ...] | None = None
    data: tuple[ListedData, ...] | None = None
    models: tuple[ListedModel, ...] | None = None
    closed_forms: tuple[ListedClosedForm, ...] | None = None
    measures: tuple[ListedMeasure, ...] | None = None
    protocols: tuple[ListedProtocol, ...] | None = None
    claims: tuple[ListedClaim, ...] | None = None
    papers: tuple[ListedPaper, ...] | None = None
    sections: tuple[ListedSection, ...] | None = None

    @property
    def kinds(self) -> dict[str, tuple[Item, ...]]:
        """The items by kind, the kinds that were asked for."""
        every = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: found for name, found in every.items() if found is not None}

    def json_text(self) -> str:
        """The items as JSON text: by kind, the name of each first."""
        found = {
            kind: [{"name": row.name, **row.model_dump(mode="json")} for row in rows]
            for kind, rows in self.kinds.items()
        }
        return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)


COLUMNS = {
    "losses": ("name", "summary", "parameters"),
    "models": ("name", "summary", "inputs"),
    "closed_forms": ("name", "title", "source"),
    "measures": ("name", "definition", "better", "scale", "indifference"),
    "protocols": ("name", "summary", "tunes"),
    "claims": ("name", "statement", "paper", "source"),
    "papers": ("name", "summary", "title"),
    "sections": ("name", "summary", "of", "order"),
}


def items(what: str | None = None, root: str | Path | None = None) -> Listing:
    """All items of a kind, or of every kind, with what each says of itself.

    Args:
        what: losses, data, models, closed_forms, measures, protocols, claims, papers or sections; all if
            not given.
        root: the folder with data sets, to say which are on this machine.

    Raises:
        LosscopeError: another kind.

    >>> [found.title for found in items("protocols").protocols if found.name == "matched"]
    ['the matched protocol']
    """
    kinds: dict[str, Callable[[], Sequence[Item]]] = {
        "loss": lambda: _registered("loss", ListedLoss),
        "data": lambda: _data(root),
        "model": lambda: _registered("model", ListedModel),
        "closed_form": lambda: _described("closed_form", ListedClosedForm),
        "measure": _measures,
        "protocol": lambda: _described("protocol", ListedProtocol),
        "claim": _claims,
        "paper": lambda: _described("paper", ListedPaper),
        "section": lambda: _described("section", ListedSection),
    }
    listed = {facts.listed: kinds[kind] for kind, facts in FACTS.items()}
    if what is not None and what not in listed:
        raise unknown("list", what, listed)
    wanted = listed if what is None else {what: listed[what]}
    return Listing(**{name: tuple(found()) for name, found in wanted.items()})  # type: ignore[arg-type]


def _described(kind: str, type_: Any) -> list[Any]:
    """Items that have no hyperparameters."""
    return [
        type_(name=entry.name, summary=entry.summary, **dict(entry.facts))
        for entry in registry.entries(kind).values()
    ]


def _registered(kind: str, type_: Any) -> list[Any]:
    return [
        type_(name=entry.name, summary=entry.summary, parameters=entry.parameters, **dict(entry.facts))
        for entry in registry.entries(kind).values()
    ]


def _data(root: str | Path | None) -> list[ListedData]:
    return [
        row.model_copy(update={"here": present(row.name, root)}) for row in _registered("data", ListedData)
    ]


def _measures() -> list[ListedMeasure]:
    return [
        ListedMeasure(
            name=quantity.name,
            definition=wording.measure(quantity.name).definition,
            unit=quantity.unit,
            better=quantity.better,
            scale=quantity.scale,
            indifference=round(quantity.delta or 0.0, 4),
            group=quantity.group,
        )
        for quantity in QUANTITIES.values()
    ]


def _claims() -> list[ListedClaim]:
    return [
        ListedClaim(
            name=claim.id,
            paper=paper.name,
            statement=claim.statement,
            source=claim.source,
            data=tuple(claim.data),
            measure=claim.measure,
            timing=claim.timing,
        )
        for paper in papers()
        for claim in paper.claims
    ]


def brief_listing(found: Listing) -> list[Any]:
    """The items as Rich tables that fit a screen each: a line for an item, of measures a line for a few."""
    from rich.table import Table
    from rich.text import Text

    tables: list[Any] = []
    for kind, rows in found.kinds.items():
        title = f"{kind.replace('_', ' ')} ({len(rows)})"
        table = Table(
            title=title,
            title_justify="left",
            title_style="bold",
            box=None,
            padding=(0, 2, 0, 0),
            show_header=False,
        )
        longest = max((len(row.name) for row in rows), default=0) if kind != "measures" else 0
        table.add_column(no_wrap=True, min_width=longest)
        grouped = kind == "measures"
        table.add_column(no_wrap=not grouped, overflow="fold" if grouped else "ellipsis")
        if grouped:
            groups: dict[str, list[str]] = {}
            for own in found.measures or ():
                groups.setdefault(own.group, []).append(own.name)
            for group, names in groups.items():
                table.add_row(Text(group), Text(", ".join(names)))
        else:
            for row in rows:
                table.add_row(Text(row.name), Text(_line(kind, row)))
        tables += [table, Text("")]
    more = Text("losscope list KIND --verbose: the whole of what each says of itself.", style="dim")
    return [*tables, more]


def _line(kind: str, row: Any) -> str:
    """What is said of an item in its one line."""
    if kind == "data":
        return f"{'✓' if row.here else '·'} {row.title}: {row.n:,} {row.modality}, {row.classes} classes"
    return str(getattr(row, COLUMNS[kind][1])).split("\n")[0]


def listing(found: Listing) -> list[Any]:
    """The items as Rich tables, one per kind, with all that each says of itself."""
    from rich.table import Table
    from rich.text import Text

    tables: list[Any] = []
    for kind, rows in found.kinds.items():
        if kind == "data":
            tables.append(_data_table(found.data or ()))
            continue
        table = Table(title=kind, title_justify="left", expand=False)
        for column in COLUMNS[kind]:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(_cell(getattr(row, column))) for column in COLUMNS[kind]))
        tables.append(table)
    return tables


def _data_table(rows: Sequence[ListedData]) -> Any:
    """Data sets, two columns: the name and whether it is here, and all that is known of it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="data", title_justify="left", box=None, padding=(0, 2, 1, 0))
    for column in ("name", "what it is"):
        table.add_column(column, overflow="fold", header_style="dim")
    for row in rows:
        name = Text(row.name, style="bold")
        name.append("\non this machine" if row.here else "\nnot here", style="green" if row.here else "dim")
        about = Text(f"{row.title}\n{row.n:,} {row.modality}, {row.classes} classes. {row.split}\n")
        about.append(f"Licence: {row.licence}. From: {row.origin}.", style="dim")
        table.add_row(name, about)
    return table


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={default!r}" for key, default in value.items()) or "–"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)
