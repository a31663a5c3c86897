"""Opening array files so that a broken one is one clear sentence, and no code in a file ever runs."""

from __future__ import annotations

import math
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.bounds import COLUMNS, bounded, bounded_text, regular
from losscope.core.errors import SHOWN, LosscopeError, require, unknown
from losscope.data.readers.delimited import read_delimited, unpacked_suffix
from losscope.data.readers.json_rows import read_json

Arrays = Mapping[str, np.ndarray]
WANTED_NPZ = "an .npz file of plain arrays"


@contextmanager
def said(path: Path, wanted: str) -> Iterator[None]:
    """Turn the many errors of reading a missing, truncated, foreign or pickled file into one sentence."""
    try:
        yield
    except LosscopeError:
        raise
    except FileNotFoundError:
        raise LosscopeError(f"no file {str(path)!r}; wanted: {wanted}") from None
    except PermissionError:
        raise LosscopeError(f"no permission to read {str(path)!r}") from None
    except ImportError as error:
        raise LosscopeError(
            f"reading {str(path)!r} needs the package {error.name!r}: pip install {error.name}"
        ) from None
    except Exception as error:
        # numpy, zipfile, gzip, pyarrow, pandas and h5py share no class of their own for a broken file.
        if "pickle" in str(error).lower() or "Object arrays" in str(error):
            raise LosscopeError(
                f"{str(path)!r} holds pickled Python objects, which are never run; wanted: plain arrays of "
                "numbers or text (np.savez with features and labels)"
            ) from None
        broken = (zipfile.BadZipFile, zlib.error, EOFError)
        how = "is truncated or damaged" if isinstance(error, broken) else "cannot be read"
        raise LosscopeError(f"{str(path)!r} {how} ({_first_line(error)}); wanted: {wanted}") from None


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:SHOWN]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Lazy(Mapping[str, np.ndarray]):
    """Arrays of a file by name, each read when it is asked for: what nobody wants is never unpacked."""

    def __init__(
        self,
        names: Sequence[str],
        read: Callable[[str], np.ndarray],
        form: Callable[[str], tuple[tuple[int, ...], np.dtype]],
    ):
        self._names = dict.fromkeys(names)
        self._made: dict[str, np.ndarray] = {}
        self._from = read
        self.form = form
        """The shape and the type of an array, of which only the description is read."""

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._from(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


HEADER = 2**16
"""Bytes of the header of an array."""


def _header(file: Any, what: str, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the type that an ``.npy`` file of ``size`` bytes declares.

    Raises:
        LosscopeError: it declares more values than it has bytes for.
    """
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
    shape, _, dtype = read(file, max_header_size=HEADER)
    if not dtype.hasobject:  # objects are refused by numpy, which names them
        wanted = max(math.prod(shape), *shape, 0) * max(1, dtype.itemsize)
        require(
            wanted <= size and all(side >= 0 for side in shape),
            f"{what} is of shape {shape}, {wanted:,} bytes, in a file of {size:,}; wanted: a whole file",
        )
    return shape, dtype


def _array(file: Any, what: str) -> np.ndarray:
    """The array of an open ``.npy`` file; text holds letters that there are."""
    array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=HEADER)
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(-1)
        require(
            int(native.view(np.uint32).max()) <= sys.maxunicode,
            f"{what} is damaged: it holds text of letters that do not exist; wanted: text",
        )
    return array


def form(arrays: Arrays, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the type of an array, without reading it where that can be done."""
    return arrays.form(name) if isinstance(arrays, Lazy) else (arrays[name].shape, arrays[name].dtype)


def key_of(arrays: Arrays, name: str, path: Path) -> str:
    """The name, if the file has an array of it; raises LosscopeError otherwise."""
    if name not in arrays:
        raise unknown(f"array in {str(path)!r}", name, arrays)
    return name


def found(arrays: Arrays, names: tuple[str, ...]) -> str | None:
    """The array that has one of the names, whatever the case; the first of ``names`` wins."""
    lower = {name.lower(): name for name in arrays}
    return next((lower[title] for title in names if title in lower), None)


def read_npz(path: Path) -> Arrays:
    """The arrays of an ``.npz`` file by name, without unpickling; each is read when it is asked for.

    Raises:
        LosscopeError: no such file, one array without names, a damaged archive; and on reading an array:
            pickled objects, damage, more than the file can hold.
    """
    with said(path, WANTED_NPZ), regular(path).open("rb") as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise LosscopeError(f"{str(path)!r} holds one array without names; wanted: an .npz file")
        with zipfile.ZipFile(file) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if _is_array(name)}
            others = sorted(set(archive.namelist()) - set(members.values()))
        if not members and others:
            raise LosscopeError(
                f"{str(path)!r} is an archive without arrays ({', '.join(others[:4])}); wanted: {WANTED_NPZ}"
            )

    def described(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
        info = archive.getinfo(members[name])
        with archive.open(info) as file:
            return _header(file, f"{name} in {str(path)!r}", info.file_size)

    def form(name: str) -> tuple[tuple[int, ...], np.dtype]:
        with said(path, WANTED_NPZ), zipfile.ZipFile(regular(path)) as archive:
            return described(archive, name)

    def read(name: str) -> np.ndarray:
        with said(path, WANTED_NPZ), zipfile.ZipFile(regular(path)) as archive:
            info = archive.getinfo(members[name])
            bounded(path, info.file_size, name, size=info.compress_size)
            described(archive, name)
            with archive.open(info) as file:
                return _array(file, f"{name} in {str(path)!r}")

    return Lazy(list(members), read, form)


def _is_array(name: str) -> bool:
    """Whether a member of an archive is an array, and none of the copies that macOS adds."""
    return name.endswith(".npy") and not name.startswith("__MACOSX/") and not Path(name).name.startswith("._")


def read_npy(path: Path) -> np.ndarray:
    """The array of an ``.npy`` file, without unpickling."""
    with said(path, "an .npy file of numbers"), regular(path).open("rb") as file:
        _header(file, repr(str(path)), path.stat().st_size)
        file.seek(0)
        return _array(file, repr(str(path)))


WANTED_SAFETENSORS = "a safetensors file of arrays"


def read_safetensors(path: Path) -> Arrays:
    """The arrays of a safetensors file by name; bfloat16 as float32; each is read when it is asked for."""
    with said(path, WANTED_SAFETENSORS):
        from safetensors import safe_open

        with safe_open(regular(path), framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {name: str(part.get_dtype()) for name, part in slices.items()}

    def form(name: str) -> tuple[tuple[int, ...], np.dtype]:
        kind = np.dtype(np.int64 if types[name][0] in "IUB" and types[name] != "BF16" else np.float32)
        return shapes[name], kind

    def read(name: str) -> np.ndarray:
        with said(path, WANTED_SAFETENSORS):
            if types[name] != "BF16":
                with safe_open(path, framework="np") as file:
                    array: np.ndarray = file.get_tensor(name)
                    return array
            with safe_open(path, framework="pt") as file:  # NumPy has no such numbers
                widened: np.ndarray = file.get_tensor(name).float().numpy()
                return widened

    return Lazy(list(shapes), read, form)


WANTED_HDF5 = "an HDF5 file of arrays"


def read_hdf5(path: Path) -> Arrays:
    """The arrays of an HDF5 file, those in groups as ``group/name``; text as str; read when asked for.

    Raises:
        LosscopeError: arrays whose content lies in other files: by links, external storage, virtual arrays.
    """
    found: list[str] = []
    with said(path, WANTED_HDF5):
        import h5py

        outside: list[str] = []

        def note_link(name: str, link: Any) -> None:
            if isinstance(link, h5py.ExternalLink):
                outside.append(name)

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape:
                found.append(name)

        with h5py.File(regular(path), "r") as file:
            file.visititems_links(note_link)
            file.visititems(visit)
        require(
            not outside,
            f"{str(path)!r}: {', '.join(outside[:3])} is a link to another file, which is not followed; "
            "wanted: the array itself",
        )

    def form(name: str) -> tuple[tuple[int, ...], np.dtype]:
        with said(path, WANTED_HDF5), h5py.File(regular(path), "r") as file:
            return file[name].shape, file[name].dtype

    def read(name: str) -> np.ndarray:
        with said(path, WANTED_HDF5), h5py.File(regular(path), "r") as file:
            return _dataset(path, name, file[name])

    return Lazy(found, read, form)


TEXT_ROWS = 1024
"""Rows of text that are read at a time."""


def _dataset(path: Path, name: str, item: Any) -> np.ndarray:
    import h5py

    require(
        not item.external and not item.is_virtual,
        f"{str(path)!r}: the values of {name} lie in other files, which are not read; wanted: "
        "the array itself",
    )
    values = max(item.size, *item.shape) * max(1, item.dtype.itemsize)
    bounded(path, values, name, size=item.id.get_storage_size())
    if not h5py.check_string_dtype(item.dtype):
        return item[()]
    parts, letters = [np.empty((0, *item.shape[1:]), object)], 0
    for start in range(0, len(item), TEXT_ROWS):
        # One text in the file may be the value of every row.
        parts.append(item.asstr()[start : start + TEXT_ROWS])
        letters += sum(map(len, parts[-1].flat))
        bounded(path, letters, name)
    whole = np.concatenate(parts)
    bounded_text(whole.flat, f"the values of {name} in {str(path)!r}")
    return whole.astype(str)


@dataclass(frozen=True)
class OpenTable:
    """A table as a pandas frame, sentences on how it was read, and whether its columns have names."""

    frame: Any
    notes: tuple[str, ...] = ()
    header: bool = True


TABLES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson", ".json")
"""Suffixes of tables, in any case; text also compressed."""


def is_table(path: Path) -> bool:
    """Whether a path is read as a table, by its suffix.

    >>> is_table(Path("Scores.CSV.gz")), is_table(Path("features.npz"))
    (True, False)
    """
    return unpacked_suffix(path) in TABLES


def open_table(path: Path, text: Collection[str] = (), encoding: str | None = None) -> OpenTable:
    """A table from CSV or other delimited text, JSON lines or parquet; names without surrounding blanks.

    Delimiter, encoding, header row and compression are found, and said in the notes. Columns named in
    ``text`` (lower case) keep the cells of a text table as they are written: "01" stays apart from "1".

    Raises LosscopeError for what is no table, damage, rows longer than the header, and no rows.
    """
    with said(path, "a CSV, JSON lines or parquet table with a header row"):
        regular(path)
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        header, notes = True, list[str]()
        if parquet or path.suffix.lower() == ".parquet":
            frame = _parquet(path)
            if path.suffix.lower() != ".parquet":
                notes.append("the file is a parquet table, whatever its suffix")
        elif unpacked_suffix(path) in (".jsonl", ".ndjson", ".json"):
            frame = read_json(path, encoding)
        else:
            frame, form = read_delimited(path, text, encoding)
            header, notes = form.header, [*form.notes]
        frame.columns = _single([str(name).strip() for name in frame.columns], notes)
        if not len(frame):
            raise LosscopeError(f"{str(path)!r} has a header but no rows")
        return OpenTable(frame, tuple(notes), header)


def read_table(path: Path, text: Collection[str] = ()) -> Any:
    """The pandas frame of ``open_table``."""
    return open_table(path, text).frame


def _single(names: list[str], notes: list[str]) -> list[str]:
    """Names of which none stands twice: the later ones get a number, which is noted."""
    made: dict[str, None] = {}
    for name in names:
        count, own = 0, name
        while own in made:
            count += 1
            own = f"{name}.{count}"
        if count == 1:
            notes.append(f"several columns are called {name!r}; the later ones are {name}.1 and so on")
        made[own] = None
    return list(made)


BATCH = 4096
"""Rows of a parquet file that are unpacked at a time."""


def _parquet(path: Path) -> Any:
    """The frame of a parquet file, if it holds no more than its size allows: equal values take no room."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        about = file.metadata
        _refuse_wide(path, about.num_columns)
        what, unpacked = f"{about.num_rows:,} rows", (8 + 4 * about.num_columns) * about.num_rows
        bounded(path, unpacked, what)
        for leaf in range(about.num_columns):
            # Lists may hold any number of values per row, which the metadata tell. Asking for those of a
            # damaged column ends the process; scanning it raises before.
            column = file.schema.column(leaf)
            if column.max_repetition_level:
                file.scan_contents([column.path])
                for group in range(about.num_row_groups):
                    unpacked += 4 * about.row_group(group).column(leaf).num_values
                bounded(path, unpacked, what)
        batches, unpacked = [], 0
        for batch in file.iter_batches(batch_size=BATCH, use_pandas_metadata=True):
            # The numbers above are the file's own word; these are counted.
            unpacked += batch.nbytes
            bounded(path, unpacked, what)
            batches.append(batch)
        schema = batches[0].schema if batches else file.schema_arrow
        table = pa.Table.from_batches(batches, schema=schema)
        table.validate(full=True)  # text that is no UTF-8 would otherwise show where it is first used
        return table.to_pandas()


def _refuse_wide(path: Path, columns: int) -> None:
    require(
        columns <= COLUMNS,
        f"{str(path)!r} has {columns:,} columns; at most {COLUMNS:,} are read; wide features are an .npz or "
        ".npy file",
    )
