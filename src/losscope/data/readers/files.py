"""Opening array files so that a broken one is one clear sentence, and no code in a file ever runs."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError

Arrays = dict[str, np.ndarray]


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
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read_npz(path: Path) -> Arrays:
    """All arrays of an ``.npz`` file, without unpickling."""
    with said(path, "an .npz file of plain arrays"), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise LosscopeError(f"{str(path)!r} holds one array without names; wanted: an .npz file")
        with archive:
            return {name: archive[name] for name in archive.files}


def read_npy(path: Path) -> np.ndarray:
    """The array of an ``.npy`` file, without unpickling."""
    with said(path, "an .npy file of numbers"), path.open("rb") as file:
        return np.load(file, allow_pickle=False)


def read_hdf5(path: Path) -> Arrays:
    """All arrays of an HDF5 file, those in groups as ``group/name``; text as str."""
    with said(path, "an HDF5 file of arrays"):
        import h5py

        found: Arrays = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape:
                found[name] = (
                    item.asstr()[()].astype(str) if h5py.check_string_dtype(item.dtype) else item[()]
                )

        with h5py.File(path, "r") as file:
            file.visititems(visit)
        return found


def read_table(path: Path) -> Any:
    """A pandas frame from ``.csv``, ``.tsv`` or ``.parquet``; column names without surrounding blanks."""
    with said(path, "a CSV or parquet table with a header row"):
        import pandas as pd

        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
        frame.columns = [str(name).strip() for name in frame.columns]
        if not len(frame):
            raise LosscopeError(f"{str(path)!r} has a header but no rows")
        return frame
