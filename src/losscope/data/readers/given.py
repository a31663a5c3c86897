"""What a Python program hands over: arrays, tensors, lists and data frames, as NumPy and pandas have them.

Data frames and their columns (pandas, polars, pyarrow and others) are read through narwhals, tensors through
DLPack.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.data.plain import listed


def is_frame(given: Any) -> bool:
    """Whether an object is a data frame of some library.

    >>> import pandas
    >>> is_frame(pandas.DataFrame({"a": [1]})), is_frame(pandas.Series([1])), is_frame(np.eye(2))
    (True, False, False)
    """
    narwhals, wrapped = _native(given)
    return isinstance(wrapped, narwhals.DataFrame | narwhals.LazyFrame)


def frame_of(given: Any) -> Any:
    """A data frame as a pandas frame whose columns have text as names."""
    narwhals, wrapped = _native(given)
    if isinstance(wrapped, narwhals.LazyFrame):
        wrapped = wrapped.collect()
    frame = wrapped.to_pandas()
    if frame is given:
        frame = frame.copy(deep=False)
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame


def array_of(given: Any, what: str = "the values") -> np.ndarray:
    """An array, a tensor (of any device), a column of a data frame, or nested lists, as an array.

    Lists of unequal lengths become objects (N,), one list in each.

    >>> array_of([[1, 2], [3]]).shape
    (2,)

    Raises:
        LosscopeError: what is none of these.
    """
    if isinstance(given, np.ndarray):
        return given
    narwhals, wrapped = _native(given)
    if isinstance(wrapped, narwhals.DataFrame | narwhals.LazyFrame):
        return np.asarray(frame_of(given))
    if isinstance(wrapped, narwhals.Series):
        nested = wrapped.dtype.is_nested() or wrapped.dtype == narwhals.Object
        return listed(wrapped.to_list()) if nested else wrapped.to_numpy()
    try:
        if hasattr(given, "detach"):  # a torch tensor, which may ask for gradients
            given = given.detach().cpu()
            given = given.float() if str(given.dtype) == "torch.bfloat16" else given
            return np.asarray(given)
        if hasattr(given, "__dlpack__"):
            return np.asarray(_exported(given))
        return np.asarray(given)
    except (ValueError, TypeError, BufferError, RuntimeError) as error:
        if isinstance(given, list | tuple):
            return listed(given)
        raise LosscopeError(
            f"{what} are of type {type(given).__name__}, which cannot be read as an array ({error}); wanted: "
            "an array, a tensor, a data frame, or lists of numbers"
        ) from None


def _exported(given: Any) -> Any:
    """What an object hands over by DLPack, moved to the processor's memory where it must be."""
    try:
        return np.from_dlpack(given)
    except (BufferError, RuntimeError, TypeError):
        # On another device, or of a type that NumPy lacks, such as bfloat16: torch takes these.
        import torch

        tensor = torch.utils.dlpack.from_dlpack(given).cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _native(given: Any) -> tuple[Any, Any]:
    import narwhals

    return narwhals, narwhals.from_native(given, pass_through=True, allow_series=True)
