"""Which settings give the published numbers of a paper: the counts, and the nearest settings."""

from __future__ import annotations

from losscope.core.results.base import Frozen, Number


class NumberMatch(Frozen):
    """One published number over all settings.

    ``loss``: whose number it is; with ``over``, the ratio of the loss's value to that of ``over``.
    ``inside``: settings whose 95 % prediction interval of one further run holds the number; ``matches``:
    those of them whose interval is also no wider to a side than a quarter of it. ``chance``: how many would
    match if the number were that of another setting, drawn at random. ``low``, ``high``: the smallest and
    the largest mean of a setting. ``unreached``: settings in which a run never got there.
    """

    loss: str
    over: str | None = None
    measure: str
    value: Number
    source: str = ""
    inside: int
    matches: int
    chance: Number | None = None
    low: Number | None = None
    high: Number | None = None
    unreached: int = 0


class NearSetting(Frozen):
    """A setting near to all numbers at once: what it gives for each, and its choices.

    ``off``: the largest factor by which a mean lies off its number, 1 where all are met; ``worst``: the
    place of that number. ``matched``: how many numbers it matches.
    """

    id: str
    off: Number
    worst: int
    matched: int
    means: tuple[Number | None, ...]
    choices: dict[str, str]


class Matches(Frozen):
    """The published numbers of a paper on one data set beside all settings.

    ``together``: settings that match all numbers. ``chance``: how many would if each number were matched or
    not independently of the others. ``nearest``: those nearest to all numbers at once.
    """

    data: str
    settings: int
    seeds: int
    numbers: tuple[NumberMatch, ...]
    together: int
    chance: Number
    nearest: tuple[NearSetting, ...] = ()
    summary: tuple[str, ...] = ()
