"""Text tables as people write them: delimiters, encodings, header rows and compression, found and said."""

from __future__ import annotations

import bz2
import codecs
import csv
import io
import lzma
import math
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from losscope.core.bounds import COLUMNS, allowed, bounded, gunzipped
from losscope.core.errors import LosscopeError, require

PACKED = (".gz", ".bz2", ".xz", ".zip")
"""Suffixes of compressed files that are unpacked as they are read."""
MISSING = frozenset(("nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "NULL", "None", "#N/A", "<NA>", "-nan"))
"""Words that are a missing number, in a column whose other cells are numbers; elsewhere they are text."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
BLANKS = " "
HEAD = 2**16
"""Bytes from which the form of a file is told."""
WIDEST = 2**26
"""Bytes of the longest line that is looked at whole."""
FALLBACK = "cp1252"


@dataclass(frozen=True)
class Form:
    """How a text table is written.

    ``skipped`` lines stand before its header; ``names`` are its columns; the first row has ``width`` cells.
    """

    encoding: str
    delimiter: str
    header: bool
    skipped: int
    names: tuple[str, ...]
    width: int
    notes: tuple[str, ...]


def unpacked_suffix(path: Path) -> str:
    """The suffix in lower case, without that of a compression.

    >>> unpacked_suffix(Path("T.CSV.GZ")), unpacked_suffix(Path("t.csv"))
    ('.csv', '.csv')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def unpacked(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked if it is compressed, whatever its suffix says.

    Raises LosscopeError for an archive of several files, and for more bytes than the file's size allows.
    """
    with path.open("rb") as file:
        start = file.read(6)
    if start[:2] == b"\x1f\x8b":
        return io.BytesIO(gunzipped(path))
    if start[:3] == b"BZh":
        return _bounded_copy(path, bz2.open(path))
    if start == b"\xfd7zXZ\0":
        return _bounded_copy(path, lzma.open(path))
    require(
        start[:4] != b"\x28\xb5\x2f\xfd",
        f"{str(path)!r} is compressed by Zstandard; wanted: unpack it first (zstd -d), or gzip",
    )
    if start[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            inner = [name for name in archive.namelist() if not name.endswith("/")]
            inner = [name for name in inner if not name.startswith("__MACOSX/")]
            excel = any(name.startswith(("xl/", "[Content_Types]")) for name in inner)
            require(
                len(inner) == 1,
                f"{str(path)!r} is "
                + ("an Excel workbook" if excel else f"an archive of {len(inner):,} files")
                + "; wanted: one CSV or parquet table",
            )
            info = archive.getinfo(inner[0])
            bounded(path, info.file_size, inner[0], size=info.compress_size)
            return io.BytesIO(archive.read(info))
    return path.open("rb")


def _bounded_copy(path: Path, stream: Any) -> BinaryIO:
    """What a compressed stream holds, in memory; at most so many bytes as the file's size allows."""
    most = allowed(path.stat().st_size)
    with stream:
        content = stream.read(most + 1)
    bounded(path, len(content))
    return io.BytesIO(content)


def read_delimited(path: Path, text: Collection[str], encoding: str | None) -> tuple[Any, Form]:
    """The pandas frame of a text table, and how it was written. Cells have no blanks around them.

    Columns named in ``text`` (lower case) keep every cell as it is written. Only an empty cell is missing;
    in a column of numbers also the usual words are. ``encoding`` is the user's word.

    Raises LosscopeError for rows longer than the header, more than can be read, and an unknown encoding.
    """
    import pandas as pd

    with unpacked(path) as file:
        form = _form(path, file, encoding)
        _refuse_long_rows(path, form)
        _refuse_wide(path, file, form)

        def read(encoding: str) -> Any:
            file.seek(0)
            return pd.read_csv(
                file,
                sep=r"\s+" if form.delimiter == BLANKS else form.delimiter,
                encoding=encoding,
                skiprows=form.skipped,
                header=0 if form.header else None,
                dtype={name: str for name in _raw_names(form) if str(name).strip().lower() in text},
                keep_default_na=False,
                na_values=[""],
                skipinitialspace=True,
                low_memory=False,
                index_col=None,
            )

        notes = list(form.notes)
        try:
            frame = read(form.encoding)
        except UnicodeDecodeError:
            if encoding is not None or form.encoding != "utf-8":
                raise LosscopeError(
                    f"{str(path)!r} is not in the encoding {form.encoding}; wanted: name it by option "
                    "encoding"
                ) from None
            try:
                frame = read(FALLBACK)
            except UnicodeDecodeError:
                raise LosscopeError(
                    f"{str(path)!r} is neither in UTF-8 nor in Latin-1; wanted: name its encoding by option "
                    "encoding, such as utf-16, shift_jis, gb18030"
                ) from None
            notes.append("the text is not in UTF-8 and is read as Latin-1 (option encoding names another)")
        except pd.errors.EmptyDataError:
            raise LosscopeError(f"{str(path)!r} is empty; wanted: a header row and rows") from None
    return _cleaned(frame, form, notes)


def _refuse_long_rows(path: Path, form: Form) -> None:
    """Raise where rows have more cells than the header: pandas would take the first ones for an index."""
    named = len(form.names)
    if form.width > named:
        raise LosscopeError(
            f"the rows of {str(path)!r} have {form.width} cells, but its header names {named} columns "
            f"({', '.join(form.names[:4])}{', …' if named > 4 else ''}); wanted: one name for each column "
            "(an index needs a name too, or leave it out: to_csv(index=False), write.csv(row.names=FALSE))"
        )


def _cleaned(frame: Any, form: Form, notes: list[str]) -> tuple[Any, Form]:
    """Names and cells without blanks around them, numbers where only the words for missing are in the way."""
    import pandas as pd

    frame.columns = [str(name) for name in frame.columns]
    if form.header and len(frame.columns) and frame.columns[0].startswith("#"):
        frame = frame.rename(columns={frame.columns[0]: frame.columns[0].lstrip("# ")})
    stripped = 0
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype.kind in "iufb":
            continue
        cells = (
            column.str.strip()
            if column.map(lambda cell: isinstance(cell, str) or cell != cell).all()
            else column
        )
        stripped += int((cells.notna() & (cells != column)).sum())
        column = cells.mask(cells == "")
        words = column.isin(MISSING)
        if words.any() and not words.all():
            numbers = pd.to_numeric(column.mask(words), errors="coerce")
            if (numbers.notna() | words | column.isna()).all() and numbers.notna().any():
                column = numbers
        frame.isetitem(place, column)
    if stripped:
        notes.append(f"blanks around {stripped:,} cells are stripped")
    return frame, replace(form, notes=tuple(notes))


def _form(path: Path, file: BinaryIO, encoding: str | None) -> Form:
    """How a text table is written, from its first lines."""
    start = file.read(HEAD)
    if start.count(b"\n") < 3:
        start += b"".join(file.readline(WIDEST) for _ in range(3))
    whole = not file.read(1)
    notes = []
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise LosscopeError(
                f"unknown encoding {encoding!r}; wanted: a name such as utf-8, utf-16, latin-1, shift_jis"
            ) from None
    told = encoding or _encoding(start)
    if told != "utf-8" and encoding is None and told != "utf-8-sig":
        notes.append(f"the text is in {told.upper()}")
    decoded = codecs.getincrementaldecoder(told)(errors="replace").decode(start)
    lines = decoded.splitlines()
    lines = lines if whole or len(lines) < 3 else lines[:-1]
    skipped, given = 0, None
    while lines and not lines[0].strip():
        lines, skipped = lines[1:], skipped + 1
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) in (4, 5):
        given = lines[0][4:5] or "\t"
        lines, skipped = lines[1:], skipped + 1
    delimiter = given or _delimiter(lines, "\t" if unpacked_suffix(path) == ".tsv" else ",")
    comments = _comments(lines, delimiter)
    if comments:
        notes.append(f"{comments:,} lines of comment before the header are skipped")
        lines, skipped = lines[comments:], skipped + comments
    rows = _rows(lines, delimiter)
    usual = "\t" if unpacked_suffix(path) == ".tsv" else ","
    if delimiter != usual:
        notes.append(f"columns are separated by {DELIMITERS.get(delimiter, 'blanks')}")
    header = not rows or _is_header(rows)
    if not header:
        notes.append("there is no header row: columns are numbered from 0")
    names = rows[0] if rows and header else [str(place) for place in range(len(rows[0]) if rows else 0)]
    stems = [name.strip() for name in names]
    for name, count in Counter(stems).items():
        if not name or count == 1:
            continue
        notes.append(f"{count} columns are called {name!r}; the later ones are {name}.1 and so on")
        require(
            name.lower() not in ("label", "labels", "class", "target", "y", "split"),
            f"{str(path)!r} has {count} columns called {name!r}; wanted: one of that name",
        )
    width = len(rows[1]) if header and len(rows) > 1 else len(names)
    return Form(told, delimiter, header, skipped, tuple(stems), width, tuple(notes))


def _raw_names(form: Form) -> Sequence[Any]:
    return form.names if form.header else range(len(form.names))


def _encoding(start: bytes) -> str:
    """The encoding that a byte order mark or the zeros of UTF-16 tell; UTF-8 otherwise."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return name
    some = start[:4096]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if (
            len(some) > 8
            and some[offset::2].count(0) > 0.4 * len(some) / 2
            and some[1 - offset :: 2].count(0) == 0
        ):
            return name
    return "utf-8"


def _rows(lines: Sequence[str], delimiter: str, most: int = 50) -> list[list[str]]:
    """The cells of the first rows that are not blank."""
    if delimiter == BLANKS:
        return [line.split() for line in lines[:most] if line.strip()]
    try:
        reader = csv.reader(lines[:most], delimiter=delimiter, skipinitialspace=True)
        return [[cell.strip() for cell in row] for row in reader if row]
    except csv.Error:
        return []


def _delimiter(lines: Sequence[str], usual: str) -> str:
    """What separates the columns: the usual sign if it does, else another that every row agrees on."""
    body = [line for line in lines if not line.lstrip().startswith("#")]
    best, most = usual, 1
    for sign in (usual, *(sign for sign in DELIMITERS if sign != usual), BLANKS):
        widths = [len(row) for row in _rows(body, sign)]
        if not widths or widths[0] < 2:
            continue
        agree = all(width == widths[0] for width in widths[1:])
        if sign == usual:
            # Rows longer or shorter than a header of several columns are a fault of these rows.
            return usual
        rows = _rows(body, sign)
        if sign == BLANKS and not any(_number(cell) is not None for row in rows[1:] for cell in row):
            continue
        if agree and widths[0] > most:
            best, most = sign, widths[0]
    return best


def _comments(lines: Sequence[str], delimiter: str) -> int:
    """How many first lines begin with '#' and are no header: they have other columns than the rows."""
    count = 0
    while count < len(lines) and lines[count].lstrip().startswith("#"):
        count += 1
    if not count or count == len(lines):
        return 0
    last, first = _rows(lines[count - 1 :], delimiter)[:1], _rows(lines[count:], delimiter)[:1]
    header = bool(last and first) and len(last[0]) == len(first[0]) > 1
    return (
        count - 1 if header and not _is_header([first[0], *_rows(lines[count + 1 :], delimiter)]) else count
    )


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: it holds no numbers, or numbers as names go (0, 1, 2, …)."""
    first, rest = rows[0], rows[1:]
    numbers = [cell for cell in first if _number(cell) is not None]
    if not numbers or not rest:
        return True
    whole = [int(cell) for cell in numbers if cell.isdecimal()]
    counted = len(whole) == len(numbers) and whole in (
        list(range(len(whole))),
        list(range(1, len(whole) + 1)),
    )
    if counted:
        # The pairs (0, 1) or (1, 2, …) are no names where a later row goes on like them.
        return len(whole) > 2 or len(whole) < len(first)
    words = [place for place, cell in enumerate(first) if cell and _number(cell) is None]
    if not words:
        return False
    years = len(whole) == len(numbers) and len(set(whole)) == len(whole)
    below = {place: {row[place] for row in rest if place < len(row)} for place in words}
    return years and not any(first[place] in below[place] for place in words) and not math.isnan(whole[0])


def _refuse_wide(path: Path, file: BinaryIO, form: Form) -> None:
    """Raise for more columns than are read, or rows so short that the frame would be mostly empty."""
    columns = len(form.names)
    require(
        columns <= COLUMNS,
        f"{str(path)!r} has {columns:,} columns; at most {COLUMNS:,} are read; wide features are an .npz or "
        ".npy file",
    )
    file.seek(0)
    lines = size = 0
    while block := file.read(2**22):
        lines += block.count(b"\n") + block.count(b"\r")
        size += len(block)
    bounded(path, 8 * columns * lines, f"{lines:,} rows of {columns:,} columns", size=size)
