"""Data by one call: ``losscope.read``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from losscope.data.base import Source
from losscope.data.loading import load


def read(data: str | Path, *, data_root: str | Path | None = None, **options: Any) -> Source:
    """A data set as every study reads it: ``.splits(seed)`` gives its training, validation and test parts.

    Args:
        data: a registered data set (``losscope list data`` shows them), a path (an array file, a table, a
            folder of class folders) or ``hf:owner/name``.
        data_root: a folder with data sets in their original layouts; ``LOSSCOPE_DATA`` otherwise.
        **options: of the data set, as ``--option`` of the command line.

    Raises:
        LosscopeError: an unknown name or option, a file that is not there or cannot be read.

    >>> digits = read("digits")
    >>> train = digits.splits(0).train
    >>> train.inputs.shape[1:], len(set(train.labels.tolist()))
    ((64,), 10)
    """
    return load(data, data_root, **options)
