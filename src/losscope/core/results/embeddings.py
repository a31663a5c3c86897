"""Features of a data set by a frozen backbone."""

from __future__ import annotations

from typing import ClassVar

from losscope.core.results.base import Document, Number


class Embedding(Document):
    """Features of a data set by a frozen backbone. What ``losscope embed --json`` prints.

    ``key``: of the features in the cache. ``cached``: whether they were there before. ``folder``: where.
    """

    kind: ClassVar[str] = "embedding"
    data: str
    notes: tuple[str, ...] = ()
    backbone: str
    preprocessing: str
    key: str
    rows: int
    width: int
    cached: bool
    seconds: Number
    folder: str
    out: str | None = None
