"""What was found in files of embeddings, as tables for the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording
from losscope.core.results import EmbeddingMap, InspectedPair, Inspection, Item

LISTED = 5
"""Rows of a list that the terminal shows; the page shows all."""
LONGEST = 60
"""Letters of a name in the terminal; the page has it whole."""


@dataclass(frozen=True)
class Listed:
    """A table of text, whose rows begin with their names: ``title``, and a ``note`` that says how to read it.

    ``numeric``: all but its names are numbers. ``printed``: how many rows the terminal shows, None for all.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    numeric: bool = False
    printed: int | None = 0


def tables(found: Inspection | InspectedPair) -> tuple[Listed, ...]:
    """All tables of an inspection, those without rows left out."""
    made = _of_one(found) if isinstance(found, Inspection) else _of_two(found)
    return tuple(table for table in made if table.rows)


def _of_one(found: Inspection) -> tuple[Listed, ...]:
    wrong, pairs = found.wrong_labels, found.duplicates.pairs
    label = "label" if found.several else "class"
    return (
        Listed(
            "Measures",
            ("", "value", "95 % interval"),
            (*_measures(found), *_shape(found)),
            "Of the L2-normalised vectors; intervals are what other classes, or queries, would bring.",
            numeric=True,
            printed=None,
        ),
        Listed(
            "Classes found worst",
            (label, "asked", "items", "Recall@1", "MAP@R"),
            tuple(
                (
                    row.label,
                    f"{row.asked:,}",
                    f"{row.items:,}",
                    wording.number(row.recall_at_1),
                    wording.number(row.map_at_r),
                )
                for row in found.worst
            ),
            "By MAP@R, the worst first.",
            printed=LISTED,
        ),
        Listed(
            "Classes most confused",
            ("class", "class", "share of the second near the first", "first near the second"),
            tuple(
                (pair.a, pair.b, wording.share(pair.a_to_b), wording.share(pair.b_to_a))
                for pair in found.confused
            ),
            "Shares of the nearest items.",
            printed=LISTED,
        ),
        Listed(
            "Labels likely wrong",
            ("item", "label", "neighbours say", "probability"),
            ()
            if wrong is None
            else tuple(
                (*_named(row.item), row.suggested, wording.share(row.probability)) for row in wrong.worst
            ),
            "The surest first. Look before you delete: the data may be right.",
            printed=LISTED,
        ),
        Listed(
            "Copies",
            ("item", "label", "is also", "label", "distance"),
            tuple((*_named(pair.a), *_named(pair.b), wording.number(pair.distance)) for pair in pairs),
            "Equal or nearly equal vectors; those of two labels first, then those across the split.",
        ),
    )


def _of_two(found: InspectedPair) -> tuple[Listed, ...]:
    a, b = wording.pair_names(found)
    changes = (row for row in found.changes if row.a is not None or row.b is not None)
    return (
        Listed(
            "Measures",
            ("", a, b, "change", "95 % over queries", "95 % over classes"),
            tuple((wording.label(row.measure), *wording.inspected_change(row)) for row in changes),
            "The second less the first, or their ratio.",
            numeric=True,
            printed=None,
        ),
        *(
            Listed(
                f"Classes that {b} finds {word}",
                ("class", "asked", "MAP@R before", "after", ""),
                tuple(
                    (
                        row.label,
                        f"{row.asked:,}",
                        wording.number(row.a),
                        wording.number(row.b),
                        "beyond doubt" if row.sure else "",
                    )
                    for row in rows
                ),
            )
            for word, rows in (("better", found.gained), ("worse", found.lost))
        ),
        Listed(
            "Newly confused classes",
            ("class", "class", "before", "after"),
            tuple(
                (row.first, row.second, wording.share(row.a), wording.share(row.b)) for row in found.confused
            ),
            "The mean share of each in the other's nearest items.",
        ),
        Listed(
            "Items whose neighbours changed most",
            ("item", "label", "the same", "MAP@R before", "after"),
            tuple(
                (
                    *_named(row.item),
                    wording.share(row.overlap),
                    wording.number(row.map_at_r_a),
                    wording.number(row.map_at_r_b),
                )
                for row in found.moved
            ),
            printed=LISTED,
        ),
    )


def _named(item: Item) -> tuple[str, str]:
    return wording.item(item), item.label or ""


def _measures(found: Inspection) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (wording.label(row.measure), *wording.inspected_value(row))
        for row in found.measures
        if row.value is not None
    )


def _shape(found: Inspection) -> tuple[tuple[str, ...], ...]:
    norms = found.norms
    ends = f"{wording.number(norms.smallest)} to {wording.number(norms.largest)}, all rows"
    return (
        ("mean cosine of two items", wording.number(found.collapse.cosine), ""),
        ("norm (median)", wording.number(norms.median), ends),
    )


# The terminal


def printed(found: Inspection | InspectedPair) -> RenderableType:
    """The headline, what to look at first, every measure, and the beginnings of the lists."""
    parts: list[RenderableType] = [Text(found.headline, style="bold")]
    parts += [Text(f"- {text}") for text in found.findings]
    for table in tables(found):
        if table.printed != 0:
            parts += [Text(), _printed(table)]
    if found.notes:
        parts += [Text(), *(Text(note, style="dim") for note in found.notes)]
    return Group(*parts)


def _printed(table: Listed) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    heads = table.heads if table.printed is None else (table.title.lower(), *table.heads[1:])
    for place, head in enumerate(heads):
        made.add_column(head, justify="left" if place < 1 else "right", overflow="fold")
    for row in table.rows[: table.printed]:
        made.add_row(*(Text(wording.shorten(cell.replace("\n", "\\n"), LONGEST)) for cell in row))
    return made


# The page


def page(found: Inspection | InspectedPair, maps: Mapping[str, EmbeddingMap], names: Sequence[str]) -> str:
    """The page of an inspection as HTML text: one file that loads nothing.

    Args:
        found: what was found.
        maps: a map of each file by its name.
        names: of the classes on the maps.
    """
    from losscope.reporting import maps as drawing
    from losscope.reporting.figure import Palette
    from losscope.reporting.page import whole
    from losscope.reporting.parts import Grid, Section, fragment

    sections: list[Section] = []
    if found.findings:
        sections.append(Section("Look at first", html=fragment("bullets", found.findings)))
    for table in tables(found):
        grid = Grid(table.title, table.heads, table.rows, numeric=table.numeric)
        sections.append(Section(table.title, table.note, table=grid))
    palette = Palette(tuple(maps))
    figures = drawing.maps(maps, names, palette)
    if figures:
        note = "The first two principal components of the unit vectors, by class; of many rows a sample."
        sections.insert(
            2 if found.findings else 1, Section("Map", note, figures=figures, columns=len(figures))
        )
    if found.notes:
        sections.append(Section("How it was measured", html=fragment("bullets", found.notes)))
    names_of = (found.name,) if isinstance(found, Inspection) else wording.pair_names(found)
    title = " and ".join(map(wording.file_name, names_of))
    head = fragment("headline", found.headline)
    return whole(f"{title} · losscope", [head], [(part.title, part) for part in sections], palette)
