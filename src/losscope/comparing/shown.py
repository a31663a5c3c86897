"""What stands for the test items of a study's page, in a small file beside it: the data may be gone later."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from losscope.core.results import ShownItem
from losscope.run.files import arrays_or_none
from losscope.run.store import Store

LARGEST = 2**22
"""Bytes of a file that is read, at most; what losscope writes is far below."""


def write(store: Store, study: str, items: Mapping[int, ShownItem]) -> None:
    """Keep what stands for test rows as ``items.npz`` in a study's folder.

    Raises:
        LosscopeError: the file cannot be written.
    """
    pictures = [item.picture for item in items.values()]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        rows=np.array(list(items), dtype=np.int64),
        texts=np.array([item.text for item in items.values()], dtype=np.str_),
        ends=np.cumsum([len(picture) for picture in pictures], dtype=np.int64),
        pictures=np.frombuffer(b"".join(pictures), dtype=np.uint8),
    )
    store.write_text(_place(study), buffer.getvalue())


def read(store: Store, study: str) -> dict[int, ShownItem]:
    """What is kept of a study's test rows; nothing where there is no such file, or none that can be read."""
    kept = arrays_or_none(store.root / _place(study), ("rows", "texts", "ends", "pictures"), LARGEST)
    if kept is None:
        return {}
    rows, texts, ends = (array.tolist() for array in kept[:3])
    content = kept[3].tobytes()
    try:
        return {
            int(row): ShownItem(str(text), content[start:end])
            for row, text, start, end in zip(rows, texts, [0, *ends[:-1]], ends, strict=True)
        }
    except (ValueError, TypeError):  # arrays that losscope did not write
        return {}


def _place(study: str) -> str:
    return f"studies/{study}/items.npz"
