"""Which reader a path has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError
from losscope.data.readers.arrays import features
from losscope.data.readers.folders import folder
from losscope.data.readers.tables import table


def by_path(path: Path) -> Any:
    """The function that reads a path: by what it is, and its suffix."""
    if path.is_dir():
        return folder
    readers = {
        ".npz": features,
        ".npy": features,
        ".h5": features,
        ".hdf5": features,
        ".csv": table,
        ".tsv": table,
        ".parquet": table,
    }
    if path.suffix.lower() not in readers:
        raise LosscopeError(
            f"cannot read {str(path)!r}; wanted: a folder of class folders, or a file {', '.join(readers)}"
        )
    return readers[path.suffix.lower()]
