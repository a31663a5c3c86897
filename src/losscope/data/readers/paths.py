"""Which reader a path has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError
from losscope.data.readers.arrays import features
from losscope.data.readers.delimited import PACKED
from losscope.data.readers.files import TABLES, is_table
from losscope.data.readers.folders import folder
from losscope.data.readers.hub import is_saved, saved
from losscope.data.readers.tables import table

ARRAYS = (".npz", ".npy", ".h5", ".hdf5", ".safetensors")
"""Suffixes of files of arrays, in any case."""
REMEDIES = {
    ".xlsx": "save the sheet as .csv",
    ".xls": "save the sheet as .csv",
    ".ods": "save the sheet as .csv",
    ".pt": "arrays, np.savez('features.npz', features=..., labels=...); pickled objects are never run",
    ".pth": "arrays, np.savez('features.npz', features=..., labels=...); pickled objects are never run",
    ".pkl": "arrays, np.savez('features.npz', features=..., labels=...); pickled objects are never run",
    ".pickle": "arrays, np.savez('features.npz', features=..., labels=...); pickled objects are never run",
    ".mat": "arrays, np.savez('features.npz', **scipy.io.loadmat('file.mat'))",
    ".feather": "a parquet table, pandas.read_feather('file').to_parquet('file.parquet')",
    ".arrow": "a parquet table, pandas.read_feather('file').to_parquet('file.parquet')",
}
"""What to make of files that are not read."""


def by_path(path: Path) -> Any:
    """The function that reads a path: by what it is, and its suffix."""
    if path.is_dir():
        return saved if is_saved(path) else folder
    if path.suffix.lower() in ARRAYS:
        return features
    if is_table(path):
        return table
    wanted = REMEDIES.get(path.suffix.lower())
    if wanted is None and path.suffix.lower() in PACKED:
        wanted = "unpack it first; only tables are read compressed"
    raise LosscopeError(
        f"cannot read {str(path)!r}; wanted: "
        + (wanted or f"a folder of class folders, or a file {', '.join((*ARRAYS, *TABLES))}")
    )
