"""CIFAR's pickled batches, read without running code: only dicts, lists, bytes, text and arrays are built."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError


def _encode(text: str, encoding: str) -> bytes:
    """What Python 3 writes for bytes at pickle protocol 2."""
    return text.encode("latin-1")


_PLAIN = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    # numpy's own rebuilding function, under the module's old name and its new one.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


class _Plain(pickle.Unpickler):
    """Refuses every global but the few that an array of bytes needs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _PLAIN[module, name]


def read_batch(raw: bytes, where: str) -> dict[str, Any]:
    """The dict of a CIFAR batch, keys as text.

    Raises LosscopeError if the bytes ask for any other Python object than arrays, bytes and text.

    >>> read_batch(pickle.dumps({b"labels": [1, 2]}), "data_batch_1")
    {'labels': [1, 2]}
    >>> read_batch(pickle.dumps(print), "data_batch_1")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: data_batch_1 is not a CIFAR batch: it asks for builtins.print; ...
    """
    try:
        found = _Plain(io.BytesIO(raw), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise LosscopeError(
            f"{where} is not a CIFAR batch: it asks for {error}; wanted: arrays, bytes and text only"
        ) from None
    except Exception as error:  # a damaged pickle can fail in any opcode
        raise LosscopeError(f"{where} is truncated or damaged ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise LosscopeError(f"{where} is not a CIFAR batch: it holds {type(found).__name__}, not a dict")
    return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in found.items()}
