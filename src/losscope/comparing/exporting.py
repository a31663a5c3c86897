"""Files for papers from what a folder or a JSON file holds: a study, a reproduction, an inspection."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from losscope.comparing.reading import load
from losscope.core.errors import LosscopeError, require
from losscope.core.results import AuditResult, InspectedPair, Inspection, Multiverse, Reproduction, Result
from losscope.core.results.base import Document
from losscope.probe.record import holds_probe, load_probe, load_probes
from losscope.reporting import files, views
from losscope.run.files import read_bytes, unsealed
from losscope.run.folders import OVER_STUDIES

PRINTED = ("md", "latex", "csv", "json")
"""Formats that standard output can have."""
JSON_BYTES = 2**26
"""Bytes of a JSON file that is read."""
PAPER = "paper"
"""The folder beside a page in which files are, where no other is given."""
_KINDS: dict[str, type[Document]] = {
    "recommendation": Result,
    "seeds_each": Multiverse,
    "claims": Reproduction,
    "norms": Inspection,
    "changes": InspectedPair,
    "lines": AuditResult,
}
"""Each document that --json prints and that has files, by a field that no later kind has."""


@dataclass(frozen=True)
class Exported:
    """What was made: a text to print, or the files that were written."""

    text: str = ""
    files: list[Path] = field(default_factory=list)


def document(path: str | Path, study: str | None = None) -> Document:
    """What a folder holds, a study or what stands over several runs of it, or a JSON file.

    Of a folder that holds several, the one named ``study``, or the newest. The studies that a reproduction
    made are not newer than it.

    Raises:
        LosscopeError: a folder without a finished study, a file that is no document of losscope.
    """
    path = Path(path)
    if not path.is_file():
        kept = _whole(path, study)
        if kept is None:
            return load(path, study)
        unsealed(read_bytes(kept), repr(str(kept)))  # what losscope wrote has a checksum, and must fit it
        # A store may have been moved since.
        return _read(kept).model_copy(update={"report_file": str(kept.with_name("report.html"))})
    require(study is None, f"{str(path)!r} holds one document; leave out --study")
    return _read(path)


def _read(path: Path) -> Document:
    """What a JSON file holds."""
    try:
        size = path.stat().st_size
        require(
            size <= JSON_BYTES,
            f"the file {str(path)!r} has {size:,} bytes; at most {JSON_BYTES:,} are read",
        )
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise LosscopeError(f"cannot read {str(path)!r}: {why}") from None
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError):
        raise LosscopeError(f"the file {str(path)!r} is not valid JSON") from None
    kinds = [kind for key, kind in _KINDS.items() if isinstance(keys, dict) and key in keys]
    require(bool(kinds), f"the file {str(path)!r} is no result that --json of losscope printed")
    return kinds[0].from_json(text, f"the file {str(path)!r}")


def _whole(path: Path, name: str | None) -> Path | None:
    """The file of what stands over studies that a folder, or a name in it, means; None where it means one."""
    if name is None and path.parent.name in OVER_STUDIES and (path / "result.json").is_file():
        return path / "result.json"
    kept = {file.parent.name: file for over in OVER_STUDIES for file in path.glob(f"{over}/*/result.json")}
    if name is not None:
        return kept.get(name)
    if not kept:
        return None
    newest = max(kept.values(), key=_written)
    studies = map(_written, path.glob("studies/*/study.json"))
    return newest if _written(newest) >= max(studies, default=0.0) else None


def _written(file: Path) -> float:
    return file.stat().st_mtime


def export(
    path: str | Path, format: str, out: str | Path | None = None, study: str | None = None
) -> Exported:
    """What ``losscope report --format`` does with any format but the page.

    Args:
        path: a folder of ``compare``, or a JSON file that ``--json`` of ``compare``, ``judge``, ``inspect``
            or ``reproduce`` printed.
        format: one of ``losscope.reporting.files.FORMATS``.
        out: the folder to write to. Without one, what is text is printed, and other files are written into
            the folder ``paper`` beside the study's page, or beside the JSON file.
        study: which study, where there are several.

    Raises:
        LosscopeError: as ``document`` does; a format that the document does not have; a file of someone
            else in the way.
    """
    if Path(path).is_dir() and holds_probe(path):
        return _probes(Path(path), format, out, study)
    found = document(path, study)
    files.require_format(found, format)
    if out is None and format in PRINTED:
        return Exported(text=_text(found, format))
    return Exported(files=views.export(found, _beside(found, Path(path)) if out is None else out, format))


def _probes(path: Path, format: str, out: str | Path | None, name: str | None) -> Exported:
    """The numbers of a folder's probes as one tidy table, or of one probe."""
    import pandas as pd

    require(
        format in ("csv", "parquet"),
        f"{str(path)!r} is the record of a probe, which has a page, csv and parquet; wanted: one of these",
    )
    records = load_probes(path) if name is None else [load_probe(path, name)]
    frames = [record.frame() for record in records]
    for frame, record in zip(frames, records, strict=True):
        frame.insert(0, "probe", record.mark.name)
    made = files.table_file("probes", pd.concat(frames, ignore_index=True), format)
    if out is None and format == "csv":
        return Exported(text=made.content.decode("utf-8").rstrip("\n"))
    return Exported(files=files.write([made], path / PAPER if out is None else out))


def _text(found: Document, format: str) -> str:
    """The tables that matter as one text."""
    if format == "json":
        return found.json_text()
    if isinstance(found, Result) or (isinstance(found, Reproduction | Multiverse) and format == "md"):
        return str(found.table(format)).rstrip("\n")
    made = [file.content.decode("utf-8") for file in files.files(found, format)]
    return "\n".join(made).rstrip("\n")


def _beside(found: Document, path: Path) -> Path:
    if path.is_file():
        return path.parent / PAPER
    page = found.report_file if isinstance(found, Result | Reproduction | Multiverse) else None
    return Path(page).parent / PAPER if page else path / PAPER


__all__ = ["PRINTED", "Exported", "document", "export"]
