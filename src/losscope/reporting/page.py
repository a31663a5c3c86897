"""The page: one self-contained HTML file that works offline.

The sections come from the registry in their order; the page knows none of them by name. Everything a user
wrote is escaped, and figures are SVG that needs no script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from losscope import __version__
from losscope.core import registry, wording
from losscope.core.results import Evidence, Result
from losscope.reporting.drawing import draw
from losscope.reporting.figure import Figure, Palette
from losscope.reporting.parts import (
    HOME,
    Context,
    Grid,
    Page,
    Section,
    SectionFunction,
    environment,
    grid_of,
)

LAST = 100.0
"""The place of a section that names none: after all others but the long tables."""
SHORT = {
    "summary": "Table",
    "forest": "Tests",
    "claims": "Claims",
    "controls": "Controls",
    "multiverse-shares": "Shares",
    "multiverse-choices": "Choices",
    "multiverse-space": "Space",
    "decay": "Learning",
    "classes": "Classes",
    "examples": "Examples",
    "maps": "Map",
    "tuning": "Tuning",
    "measures": "Measures",
    "provenance": "Source",
}
"""What the line that stays calls the sections that it leads to."""
NAMED = 4
"""So many losses are named in the page's title."""


@dataclass(frozen=True)
class Placed:
    """A section as the template shows it: with its fragment identifier, and its table as a Grid."""

    id: str
    short: str
    section: Section
    table: Grid | None
    key: Sequence[str]
    columns: int


def render(
    document: Page,
    evidence: Evidence | None = None,
    extra_sections: Iterable[SectionFunction | Section] = (),
) -> str:
    """The whole page of a comparison, a reproduction or a multiverse as HTML text.

    Args:
        document: what the page is of.
        evidence: the curves, per-class arrays and maps that it draws besides the document's numbers.
        extra_sections: sections, or functions of the Context that return one, placed by their ``order``.

    Raises:
        LosscopeError: traces without a needed column.
    """
    context = Context(document, evidence or Evidence())
    found = collected(context, extra_sections)
    names = [*context.losses[:NAMED], *(["…"] if len(context.losses) > NAMED else [])]
    about = context.data.name
    return whole(
        f"{about}: {' / '.join(names)} · losscope" if names else f"{about} · losscope",
        [section.html for _, section in found if section.hero],
        [(name, section) for name, section in found if not section.hero],
        context.palette,
        _about(context),
    )


def _about(context: Context) -> list[str]:
    """Data, protocol, seeds, goal and date in a few words each, for the line that stays."""
    if not isinstance(context.document, Result):
        return []
    result, data = context.result, context.data
    said = [
        data.name,
        wording.count(data.classes, "class") if data.classes else "",
        f"{result.protocol.name} protocol" if result.protocol else "your runs",
        context.counted_seeds if context.seeds else "",
        f"goal: {result.goal}" if result.recommendation.goal else "",
        result.provenance.date or "",
    ]
    return [text for text in said if text]


def whole(
    title: str,
    heroes: Sequence[str],
    sections: Sequence[tuple[str, Section]],
    palette: Palette,
    line: Sequence[str] = (),
) -> str:
    """A page as HTML text, of named sections in their order; ``heroes`` are the markup of its head.

    ``line``: what the line that stays says the page is about.
    """
    placed = _placed(sections, palette)
    return (
        environment()
        .get_template("page.html")
        .render(
            title=title,
            version=__version__,
            heroes=heroes,
            about=line,
            sections=placed,
            palette=palette,
            style=_joined("look", "css"),
            script=_joined("script", "js"),
            draw=draw,
        )
    )


def _joined(folder: str, kind: str) -> Markup:
    """The style sheets or scripts of a folder, one after the other in the order of their names."""
    files = sorted((HOME / folder).glob(f"*.{kind}"))
    return Markup("\n".join(file.read_text(encoding="utf-8") for file in files))


def collected(context: Context, extra: Iterable[SectionFunction | Section] = ()) -> list[tuple[str, Section]]:
    """(name, section) of all sections that apply, by order and name. A plugin's that fails says so."""
    kind = context.document.kind
    found: list[tuple[float, str, Section]] = []
    for name, entry in sorted(registry.entries("section").items()):
        if entry.facts.of in (kind, "any"):
            called = _called(name, entry.load(), context, entry.own)
            found += [(entry.facts.order, named, section) for named, section in _named(name, called)]
    for place, item in enumerate(extra):
        name = getattr(item, "__name__", f"extra-{place + 1}")
        called = [item] if isinstance(item, Section) else _called(name, item, context, False)
        for named, section in _named(name, called):
            found.append((LAST if section.order is None else section.order, named, section))
    found.sort(key=lambda placed: placed[0])
    return [(name, section) for _, name, section in found]


def _named(name: str, sections: Sequence[Section]) -> list[tuple[str, Section]]:
    """Sections with the name of their function; several of one function are told apart by their titles."""
    return [(name if len(sections) == 1 else section.title, section) for section in sections]


def _called(name: str, function: SectionFunction, context: Context, own: bool) -> list[Section]:
    try:
        made = function(context)
        sections = [] if made is None else [made] if isinstance(made, Section) else list(made)
        for section in sections:
            if not isinstance(section, Section):
                raise TypeError(
                    f"it returned a {type(made).__name__}; wanted: losscope.reporting.Section, or None"
                )
        return sections
    except Exception as error:
        if own:
            raise
        return [Section(name, f"This section failed: {type(error).__name__}: {error}")]


def _placed(found: Sequence[tuple[str, Section]], palette: Palette) -> list[Placed]:
    """The sections with fragment identifiers of their own, also where two have one name."""
    placed: list[Placed] = []
    seen: set[str] = set()
    some = any(name in SHORT for name, _ in found)
    for name, section in found:
        bare = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "section"
        identifier, count = bare, 1
        while identifier in seen:
            count += 1
            identifier = f"{bare}-{count}"
        seen.add(identifier)
        table = None if section.table is None else grid_of(section.table)
        key = palette.ordered(section.key) if section.figures else []
        short = SHORT.get(name, "") if some else section.title
        placed.append(Placed(identifier, short, section, table, key, max(1, min(4, section.columns))))
    return placed


__all__ = ["Context", "Figure", "Section", "render", "whole"]
