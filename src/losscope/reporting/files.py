"""Files for papers: the tables, the method and the figures of a document, written into a folder."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from losscope.core import wording
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.results import InspectedPair, Inspection, Multiverse, Reproduction, Result
from losscope.core.results.base import Document
from losscope.core.wording import Traced, method
from losscope.reporting import claim_tables, formats, frames, inspections, multiverse_tables, sheets
from losscope.reporting.references import bibtex, keys_of

if TYPE_CHECKING:
    import pandas as pd

    from losscope.reporting.parts import Page

TABLES = ("md", "latex", "csv", "json", "parquet")
FIGURES = ("png", "svg", "pdf")
FORMATS = (*TABLES, *FIGURES)
LISTING = "losscope-files.json"
"""What a folder says of the files that losscope wrote into it: their names and checksums."""


@dataclass(frozen=True)
class File:
    """A file: its name, and what is in it."""

    name: str
    content: bytes


def files(document: Document, format: str) -> tuple[File, ...]:
    """The files of a document in a format: its tables and its method, or its figures.

    Raises:
        LosscopeError: a format that there is none of, or that this kind of document does not have.
    """
    require_format(document, format)
    with wording.modalities(document.data.modalities if isinstance(document, Result) else ()):
        return tuple(_makers(document)[format]())


def require_format(document: Document, format: str) -> None:
    """Refuse a format that a document does not have.

    Raises:
        LosscopeError: a format that there is none of, or that this kind of document does not have.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    have = [name for name in FORMATS if name in _makers(document)]
    require(
        format in have,
        f"{_noun(document)} has no {format} files; it has {wording.listing(have) or 'its JSON alone'}",
    )


def _noun(document: Document) -> str:
    return f"{'an' if document.kind[0] in 'aeiou' else 'a'} {document.kind}"


def write(made: Sequence[File], folder: str | Path) -> list[Path]:
    """Write files into a folder, which may hold others; those of an earlier call are replaced.

    A file that losscope did not write there, or that was changed since, is never replaced.

    Raises:
        LosscopeError: such a file has the name of one to be written; or the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _listed(folder)
        foreign = [file.name for file in made if _foreign(folder / file.name, file, known)]
        require(
            not foreign,
            f"{str(folder)!r} holds {wording.listing([*foreign[:3], *(['more'] if foreign[3:] else [])])} "
            "that losscope did not write, or that was changed since; give another folder with --out, or move "
            f"{'it' if len(foreign) == 1 else 'them'} away",
        )
        for file in made:
            (folder / file.name).write_bytes(file.content)
            known[file.name] = hashlib.sha256(file.content).hexdigest()
        text = json.dumps({"losscope": dict(sorted(known.items()))}, indent=1)
        (folder / LISTING).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        why = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise LosscopeError(f"cannot write into the folder {str(folder)!r}: {why}") from None
    return [folder / file.name for file in made]


def _listed(folder: Path) -> dict[str, str]:
    """The checksums of what was written before; none where the list is not ours."""
    try:
        found = json.loads((folder / LISTING).read_text(encoding="utf-8"))["losscope"]
        return {str(name): str(value) for name, value in found.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _foreign(path: Path, file: File, known: Mapping[str, str]) -> bool:
    if not path.is_symlink() and not path.exists():
        return False
    if path.is_symlink() or not path.is_file():
        return True
    content = path.read_bytes()
    return content != file.content and known.get(file.name) != hashlib.sha256(content).hexdigest()


# --- what each kind of document has ----------------------------------------------------------------

Maker = Callable[[], Iterable[File]]


def _makers(document: Document) -> dict[str, Maker]:
    """What makes the files of each format that a document has."""
    made: dict[str, Maker] = {"json": partial(_json, document)}
    if isinstance(document, Result):
        made |= {"md": partial(_markdown, document), "latex": partial(_latex, document)}
    elif isinstance(document, Reproduction):
        made |= {"md": partial(_ledger, document)}
    elif isinstance(document, Multiverse):
        made |= {"md": partial(_claims_over_settings, document)}
    elif isinstance(document, Inspection | InspectedPair):
        listed = inspection_sheets(document)
        kinds = {"md": _md, "latex": _tex, "csv": _sheet_csv}
        return made | {kind: partial(_each, maker, listed) for kind, maker in kinds.items()}
    if isinstance(document, Result | Reproduction | Multiverse):
        made |= {"csv": partial(_frames, document, _csv), "parquet": partial(_frames, document, _parquet)}
        made |= {kind: partial(_figures, document, kind) for kind in FIGURES}
    return made


def _each(maker: Callable[[sheets.Sheet], File], listed: Iterable[sheets.Sheet]) -> list[File]:
    return [maker(sheet) for sheet in listed]


def _json(document: Document) -> list[File]:
    return [_text("result.json", f"{document.json_text()}\n")]


def _ledger(document: Reproduction) -> list[File]:
    return [_text("ledger.md", claim_tables.markdown(document))]


def _claims_over_settings(document: Multiverse) -> list[File]:
    return [_text("claims.md", multiverse_tables.markdown(document))]


def _frames(document: Page, maker: Callable[[str, pd.DataFrame], File]) -> list[File]:
    if isinstance(document, Multiverse):
        tables = multiverse_tables.tidy(document)
    else:
        tables = frames.tidy(document) if isinstance(document, Result) else _claims(document)
    return [maker(name, table) for name, table in tables.items()]


def _figures(document: Page, kind: str) -> Iterator[File]:
    from losscope.reporting import printed

    yield from (File(f"{name}.{kind}", content) for name, content in printed.drawn(document, kind))


def _markdown(result: Result) -> Iterator[File]:
    yield _text("answer.md", formats.markdown(result))
    yield from map(_md, sheets.sheets(result))
    yield from (_text("method.md", method_markdown(result)), _bib(result))


def _latex(result: Result) -> Iterator[File]:
    made = [sheets.sides(result, formats.LATEX_MEASURES), *sheets.sheets(result)[1:]]
    yield from map(_tex, made)
    yield from (_text("method.tex", method_latex(result)), _bib(result))


def _bib(result: Result) -> File:
    cited = [name for sentence in method(result) for name in sentence.cites]
    return _text("references.bib", bibtex(cited))


def _claims(document: Reproduction) -> dict[str, pd.DataFrame]:
    import pandas as pd

    kinds = {"claims": document.claims, "controls": document.controls}
    return {
        name: pd.DataFrame([row.model_dump(mode="json") for row in rows])
        for name, rows in kinds.items()
        if rows
    }


def inspection_sheets(document: Inspection | InspectedPair) -> tuple[sheets.Sheet, ...]:
    """The tables of an inspection."""
    return tuple(
        sheets.Sheet(
            re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-"),
            " ".join(filter(None, (f"{table.title}.", table.note))),
            table.heads,
            tuple(("", tuple(map(sheets.Entry, row))) for row in table.rows),
            words=1 if table.numeric else len(table.heads),
            long=len(table.rows) > 30,
        )
        for table in inspections.tables(document)
    )


# --- contents --------------------------------------------------------------------------------------


def _text(name: str, text: str) -> File:
    return File(name, text.encode("utf-8", "replace"))


def _md(sheet: sheets.Sheet) -> File:
    return _text(f"{sheet.name}.md", formats.markdown_sheet(sheet))


def _tex(sheet: sheets.Sheet) -> File:
    return _text(f"{sheet.name}.tex", f"{formats.NEEDS}\n{formats.latex_sheet(sheet)}")


def table_file(name: str, table: pd.DataFrame, format: str) -> File:
    """A frame as a file, csv or parquet."""
    return _csv(name, table) if format == "csv" else _parquet(name, table)


def _csv(name: str, table: pd.DataFrame) -> File:
    return _text(f"{name}.csv", frames.cells(table).to_csv(index=False, lineterminator="\n"))


def _parquet(name: str, table: pd.DataFrame) -> File:
    out = io.BytesIO()
    table.to_parquet(out, index=False)
    return File(f"{name}.parquet", out.getvalue())


def _sheet_csv(sheet: sheets.Sheet) -> File:
    import pandas as pd

    rows = [[cell.text for cell in cells] for _, cells in sheet.rows]
    return _csv(sheet.name, pd.DataFrame(rows, columns=[*sheet.heads]))


def method_markdown(result: Result) -> str:
    """The method as a paragraph, with citations for pandoc; then where each number stands in the result."""
    told = method(result)
    sentences = []
    for sentence in told:
        keys = _keys(sentence)
        cited = f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else ""
        sentences.append(f"{formats.escaped(sentence.text[:-1])}{cited}.")
    traced = [
        f"| {formats.escaped(sentence.text)} | {', '.join(f'`{name}`' for name in sentence.fields) or '—'} |"
        for sentence in told
    ]
    head = [
        "Where each number stands in the result (`result.json`):",
        "",
        "| sentence | fields |",
        "|:--|:--|",
    ]
    return "\n".join([" ".join(sentences), "", *head, *traced, ""])


def method_latex(result: Result) -> str:
    """The method as a paragraph, with the fields that its numbers are from as comments."""
    lines = []
    for sentence in method(result):
        keys = _keys(sentence)
        cited = rf"~\cite{{{','.join(keys)}}}" if keys else ""
        lines.append(f"{formats.tex(sentence.text[:-1])}{cited}.")
        if sentence.fields:
            lines.append(f"% from: {', '.join(sentence.fields)}")
    return "\n".join([*lines, ""])


def _keys(sentence: Traced) -> list[str]:
    return list(dict.fromkeys(key for name in sentence.cites for key in keys_of(name)))
