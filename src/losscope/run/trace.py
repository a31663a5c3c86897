"""The epoch trace of a run in columns, and the Parquet file that it is kept in.

pyarrow imports pandas, which is slow to import, where it turns lists into arrays, or arrays into NumPy's.
Workers write traces, and a page reads them, without.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from losscope.run.files import AGAIN, Damaged

COLUMNS = ("split", "epoch", "name", "value")


@dataclass(frozen=True, eq=False)
class Trace:
    """Rows (R,) of a value by split, epoch and name.

    Attributes:
        split, name: texts.
        epoch: 0 is the start.
        value: NaN where there is none.
        content: the file that they were read from.
    """

    split: np.ndarray
    epoch: np.ndarray
    name: np.ndarray
    value: np.ndarray
    content: bytes

    @classmethod
    def read(cls, content: bytes, where: str) -> Trace:
        """The rows of a file's bytes; ``where``: what sentences call the file.

        Raises:
            Damaged: they are no such file, as one of schema 1, which has no checksum, may be.
        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            file = parquet.ParquetFile(pa.BufferReader(content), read_dictionary=["split", "name"])
            columns = [file.read([name]).column(0) for name in COLUMNS]
            found = [_array(column) for column in columns]
        except (pa.ArrowException, OSError, IndexError, UnicodeDecodeError) as error:
            raise Damaged(f"{where} is damaged: {error}; {AGAIN}") from None
        if len(columns[0]) and [array.dtype.kind * array.ndim for array in found] != ["O", "i", "O", "f"]:
            raise Damaged(f"{where} is damaged: its columns are not a run's trace; {AGAIN}")
        return cls(found[0], found[1], found[2], found[3], content)

    @cached_property
    def frame(self) -> Any:
        """The same rows as a pandas frame, not to be changed."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self.content))

    def curves(self, split: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Each name of a split, sorted, with its epochs and their values in the order of the rows."""
        own = self.split == split
        names, places = np.unique(self.name[own].astype(str), return_inverse=True)
        epochs, values = self.epoch[own], self.value[own]
        for place, name in enumerate(names.tolist()):
            yield name, epochs[places == place], values[places == place]

    def curve(self, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The epochs of one curve, ascending, and their values; empty where there is none."""
        own = (self.split == split) & (self.name == name)
        order = np.argsort(self.epoch[own], kind="stable")
        return self.epoch[own][order], self.value[own][order]


def written(rows: Sequence[tuple[str, int, str, float]]) -> bytes:
    """The file of some rows (split, epoch, name, value)."""
    import pyarrow as pa
    from pyarrow import parquet

    split, epoch, name, value = zip(*rows, strict=True)
    columns = [
        _texts(split),
        _numbers(np.array(epoch, dtype=np.int32), pa.int32()),
        _texts(name),
        _numbers(np.array(value, dtype=np.float64), pa.float64()),
    ]
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(columns, names=list(COLUMNS)), buffer)
    return buffer.getvalue()


def _texts(values: Sequence[str]) -> Any:
    import pyarrow as pa

    pieces = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, pieces)]).astype(np.int32)
    return pa.StringArray.from_buffers(len(pieces), pa.py_buffer(ends), pa.py_buffer(b"".join(pieces)))


def _numbers(values: np.ndarray, kind: Any) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _array(column: Any) -> np.ndarray:
    """A column as an array; what has another form than ``written`` gives, value by value."""
    import pyarrow as pa

    parts: list[np.ndarray] = []
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type) and not chunk.null_count:
            texts = np.array(chunk.dictionary.to_pylist(), dtype=object)
            parts.append(texts[_array(pa.chunked_array([chunk.indices]))])
        elif chunk.type in (pa.int32(), pa.float64()) and not chunk.null_count:
            kind = np.int32 if chunk.type == pa.int32() else np.float64
            parts.append(np.frombuffer(chunk.buffers()[1], kind)[chunk.offset : chunk.offset + len(chunk)])
        else:
            values = [np.nan if value is None else value for value in chunk.to_pylist()]
            text = any(isinstance(value, str) for value in values)
            parts.append(np.array(values, dtype=object if text else None))
    return np.concatenate(parts) if parts else np.empty(0)
