"""A store's count of looks at data: what was tested before, and which look the same or another test is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """What a look tests: a digest of its runs, goal and reference, and the same in words.

    ``study``: its name. A look that an earlier version counted under that name knows only its seeds.
    """

    seeds: tuple[int, ...]
    digest: str = ""
    said: str = ""
    study: str = ""


def history_of(data: str) -> str:
    """The name of the looks at data with this digest, which holds their test split as well."""
    return f"data-{data[:16]}"


def number(looks: Sequence[dict[str, Any]], look: Look) -> int:
    """Which look this is, counted from 1: that of the same test, else one more than there are.

    >>> number([{"seeds": [0, 1], "tested": "a"}], Look((0, 1), "a"))
    1
    >>> number([{"seeds": [0, 1], "tested": "a"}], Look((0, 1), "b"))
    2
    """
    for place, past in enumerate(looks, 1):
        same = past.get("tested", "") == look.digest or past.get("study", "") == look.study != ""
        if same and past["seeds"] == list(look.seeds):
            return place
    return len(looks) + 1
