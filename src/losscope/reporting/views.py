"""The views of a comparison, a reproduction or a multiverse: its table, its page, and the page's file.

The three have these as methods; the functions also take evidence of your own.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from losscope.core import wording
from losscope.core.errors import LosscopeError, unknown
from losscope.core.results import Evidence, Multiverse, Result
from losscope.core.results.base import Document
from losscope.reporting import claim_tables, files, multiverse_tables, tables
from losscope.reporting import page as pages
from losscope.reporting.parts import Page

LEDGER_FORMATS = ("rich", "md")
METHODS = ("text", "md", "latex")


def table(document: Page, format: str = "rich") -> RenderableType:
    """The summary of a comparison, the ledger of a reproduction, or the shares of a multiverse.

    Args:
        document: what the table is of.
        format: ``rich`` for the terminal; also ``text``, ``md``, ``latex`` and ``csv`` for a comparison,
            and ``md`` for the others.

    Raises:
        LosscopeError: another format.
    """
    if isinstance(document, Result):
        with wording.modalities(document.data.modalities):
            return tables.summary(document) if format == "rich" else tables.render(document, format)
    if format not in LEDGER_FORMATS:
        raise unknown("format", format, LEDGER_FORMATS)
    if isinstance(document, Multiverse):
        made = multiverse_tables
        return made.table(document) if format == "rich" else made.markdown(document)
    return claim_tables.table(document) if format == "rich" else claim_tables.markdown(document)


def page(document: Page, evidence: Evidence | None = None) -> str:
    """The page as the text of one HTML file, drawn with the evidence given, or with the document's own."""
    with wording.modalities(document.data.modalities if isinstance(document, Result) else ()):
        return pages.render(document, evidence or document.evidence)


def method(document: Result, format: str = "text") -> str:
    """How a comparison was made, as a paragraph of a paper: ``text``, or ``md`` or ``latex`` with citations.

    Raises:
        LosscopeError: another format.
    """
    if format not in METHODS:
        raise unknown("format", format, METHODS)
    with wording.modalities(document.data.modalities):
        if format == "text":
            return " ".join(wording.printable(sentence.text) for sentence in wording.method(document))
        return files.method_markdown(document) if format == "md" else files.method_latex(document)


def export(document: Document, folder: str | Path, format: str) -> list[Path]:
    """Write the tables and the method, or the figures, of a document into a folder; gives the files' paths.

    Raises:
        LosscopeError: a format that there is none of; a file of someone else in the way; a folder that
            cannot be written.
    """
    return files.write(files.files(document, format), folder)


def report(document: Page, path: str | Path, evidence: Evidence | None = None) -> Path:
    """Write the page to a file, and its folder where there is none; gives the path.

    Raises:
        LosscopeError: the file cannot be written.
    """
    path = Path(path)
    text = page(document, evidence)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LosscopeError(f"cannot write the page {str(path)!r}: {error.strerror}") from None
    return path
