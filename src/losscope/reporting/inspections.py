"""What was found in files of embeddings, as tables for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording
from losscope.core.results import InspectedPair, Inspection

LISTED = 5


def inspection(found: Inspection) -> RenderableType:
    """The headline, what to look at first, and the measures; then classes and labels in short lists."""
    parts: list[RenderableType] = [*_said(found.headline, found.findings), _measures(found)]
    if found.worst:
        table = _bare("classes found worst", "asked", "items", "Recall@1", "MAP@R")
        for row in found.worst[:LISTED]:
            values = wording.number(row.recall_at_1), wording.number(row.map_at_r)
            table.add_row(Text(row.label), f"{row.asked:,}", f"{row.items:,}", *values)
        parts += [Text(), table]
    if found.confused:
        table = _bare(
            "classes most confused", "", "share of the second near the first", "first near the second"
        )
        for pair in found.confused[:LISTED]:
            shares = wording.share(pair.a_to_b), wording.share(pair.b_to_a)
            table.add_row(Text(pair.a), Text(pair.b), *shares)
        parts += [Text(), table]
    if found.wrong_labels is not None and found.wrong_labels.worst:
        table = _bare("labels likely wrong", "label", "neighbours say", "probability")
        for suspect in found.wrong_labels.worst[:LISTED]:
            names = (wording.item(suspect.item), suspect.item.label or "", suspect.suggested)
            table.add_row(*map(Text, names), wording.share(suspect.probability))
        parts += [Text(), table]
    return Group(*parts, *_notes(found.notes))


def inspected_pair(found: InspectedPair) -> RenderableType:
    """The headline, what else differs, and every measure of both with its intervals."""
    a, b = wording.pair_names(found)
    table = _bare("", a, b, "change", "95 % over queries", "95 % over classes")
    for row in found.changes:
        if row.a is None and row.b is None:
            continue
        name = wording.label(row.measure)
        table.add_row(Text(name, style="bold" if row.primary else ""), *wording.inspected_change(row))
    parts: list[RenderableType] = [*_said(found.headline, found.findings), table]
    if found.moved:
        moved = _bare("items whose neighbours changed most", "label", "the same", "MAP@R before", "after")
        for item in found.moved[:LISTED]:
            scores = wording.number(item.map_at_r_a), wording.number(item.map_at_r_b)
            where = Text(wording.item(item.item)), Text(item.item.label or "")
            moved.add_row(*where, wording.share(item.overlap), *scores)
        parts += [Text(), moved]
    return Group(*parts, *_notes(found.notes))


def _said(headline: str, findings: tuple[str, ...]) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(headline, style="bold")]
    lines += [Text(f"- {text}") for text in findings]
    return [*lines, Text()]


def _notes(notes: tuple[str, ...]) -> list[RenderableType]:
    return [Text(), *(Text(note, style="dim") for note in notes)] if notes else []


def _measures(found: Inspection) -> Table:
    table = _bare("", "value", "95 % interval")
    for row in found.measures:
        if row.value is not None:
            table.add_row(wording.label(row.measure), *wording.inspected_value(row))
    norms = found.norms
    table.add_row("mean cosine of two items", wording.number(found.collapse.cosine), "")
    table.add_row(
        "norm (median)",
        wording.number(norms.median),
        f"{wording.number(norms.smallest)} to {wording.number(norms.largest)}, all rows",
    )
    return table


def _bare(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < 1 else "right", overflow="fold")
    return table
