"""What a store holds and what is wrong with it."""

from __future__ import annotations

from typing import ClassVar

from losscope.core.results.base import Document, Frozen


class StoreProblem(Frozen):
    """Something altered, missing or left over in a store, and what mends it."""

    place: str
    what: str
    remedy: str


class StoreCheck(Document):
    """What a store holds and what is wrong with it. What ``losscope store check --json`` prints."""

    kind: ClassVar[str] = "store check"
    store: str
    runs: int
    statuses: dict[str, int]
    versions: dict[str, int]
    problems: tuple[StoreProblem, ...] = ()
