"""What ``compare`` is given in Python beside names and paths: arrays, data frames, losses as objects.

Arrays are written once to the store, in a file that is called by a checksum of them, and read as any file:
so every process has them, and a study that was interrupted goes on.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from losscope.comparing.planning import DEFAULT_OUT
from losscope.core.errors import LosscopeError, require
from losscope.data.readers.given import array_of, is_frame
from losscope.losses.foreign.sources import GIVEN

ARRAYS = "arrays"
"""The folder of a store that holds arrays given in Python."""


def data_of(data: Any, labels: Any, out: str | os.PathLike[str] | None) -> str | Path:
    """A path or a name as it is; of arrays or a data frame the path of the file that holds them.

    ``data``: (N, D) numbers, images (N, H, W), (N, H, W, C) or (N, C, H, W), or a data frame of numbers;
    ``labels`` (N,).

    Raises:
        LosscopeError: labels beside a path, none beside arrays, another number of them, no numbers.
    """
    if isinstance(data, str | os.PathLike):
        require(
            labels is None,
            f"labels are given beside the data {str(data)!r}; wanted: arrays (X, y), or a path alone, with "
            "options={'labels': …} where its labels have an unusual name",
        )
        return data if isinstance(data, str) else Path(data)
    require(labels is not None, "arrays are given without labels; wanted: compare(X, y)")
    values, classes = _numbers(data), array_of(labels, "y")
    require(
        values.ndim in (2, 3, 4),
        f"X has shape {values.shape}; wanted: rows of numbers (N, D), or images (N, H, W[, C])",
    )
    require(
        classes.ndim >= 1 and len(classes) == len(values),
        f"y has shape {classes.shape} for {len(values):,} rows of X; wanted: one label for each",
    )
    if classes.dtype.kind == "O":
        classes = np.array(["" if cell is None else str(cell) for cell in classes.tolist()])
    name = "features" if values.ndim == 2 else "images"
    return _written({name: values, "labels": classes}, Path(os.fspath(out) if out else DEFAULT_OUT))


def _numbers(data: Any) -> np.ndarray:
    """An array of numbers; of a data frame all its columns."""
    if isinstance(data, Mapping) or is_frame(data):
        import narwhals as nw
        import pandas as pd

        frame = nw.from_native(pd.DataFrame(data) if isinstance(data, Mapping) else data)
        eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
        others = [
            name for name, kind in eager.schema.items() if not (kind.is_numeric() or kind == nw.Boolean)
        ]
        require(
            not others,
            f"the columns {', '.join(map(str, others[:6]))} of X are no numbers; wanted: columns of "
            "numbers, and the labels as y",
        )
        return np.asarray(eager.to_numpy(), np.float64)
    array = array_of(data, "X")
    require(
        array.dtype.kind in "fiub",
        f"X holds {array.dtype if array.ndim else type(data).__name__}; wanted: numbers (N, D), or a path",
    )
    return array


def _written(arrays: Mapping[str, np.ndarray], out: Path) -> Path:
    """The file of these arrays, written whole where it is not there yet."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        own = np.ascontiguousarray(array)
        found.update(f"{name} {own.shape} {own.dtype}".encode())
        found.update(own.tobytes())
    path = out.expanduser() / ARRAYS / f"given-{found.hexdigest()[:12]}.npz"
    if path.is_file():
        return path
    held = io.BytesIO()
    np.savez(held, **arrays)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.part")
        beside.write_bytes(held.getvalue())
        os.replace(beside, path)
    except OSError as error:
        raise LosscopeError(f"cannot write the arrays to {str(path)!r}: {error.strerror}") from None
    return path


def losses_of(losses: Any) -> tuple[str | list[str], list[str]]:
    """Losses as texts, and sentences on what objects among them bring; a text or texts as they are.

    Raises:
        LosscopeError: an object that is no loss.
    """
    if isinstance(losses, str):
        return losses, []
    if callable(losses) or not isinstance(losses, Iterable):
        losses = [losses]
    given = list(losses)
    if all(isinstance(loss, str) for loss in given):
        return given, []
    from losscope.losses.foreign.given import own_parameters, text_of

    texts = [text_of(loss) for loss in given]
    return texts, [
        f"{text} brings parameters of its own, from which every seed starts."
        for text in own_parameters(texts)
    ]


def objects(losses: str | list[str]) -> bool:
    """Whether a loss is an object that only this process knows."""
    return not isinstance(losses, str) and any(loss.startswith(f"{GIVEN}:") for loss in losses)
