"""Figures for papers: the answer, the tested pairs, and every figure of the page from the same values."""

from __future__ import annotations

from collections.abc import Iterator

from losscope.core.results import Evidence, Result
from losscope.reporting import page
from losscope.reporting.answer import answer
from losscope.reporting.parts import Context, Page
from losscope.reporting.printed.answers import answer_drawing, forests
from losscope.reporting.printed.figures import drawing
from losscope.reporting.printed.manner import saved, slug, style


def drawn(document: Page, kind: str) -> Iterator[tuple[str, bytes]]:
    """Every figure of a document as (name, content): the answer, the tested pairs, then those of its page.

    A name is of the section and, where it has several figures, of the figure.
    """
    context = Context(document, document.evidence or Evidence())
    taken: dict[str, int] = {}
    with style():
        if isinstance(document, Result):
            if (found := answer(document)) is not None:
                yield _free("answer", taken), saved(answer_drawing(found), kind)
            for name, made in forests(document):
                yield _free(name, taken), saved(made, kind)
        for name, section in page.collected(context):
            for figure in section.figures:
                title = f"-{slug(figure.title)}" if len(section.figures) > 1 else ""
                wanted = f"{slug(name)}{title}"
                yield _free(wanted, taken), saved(drawing(figure, context.palette, section), kind)


def _free(name: str, taken: dict[str, int]) -> str:
    """The name, with a number where it was given before."""
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else _free(f"{name}-{taken[name]}", taken)
