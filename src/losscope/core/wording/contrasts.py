"""Facts in which losses differ most, in plain words: described, never tested."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from losscope.core.results import LossResult, Result, SideResult
from losscope.core.wording.numbers import label, measure, number

MOST = 3
LEAST = 1.0
"""The least standardised difference that is worth a line."""
TIMES = 1.3
"""From this ratio on a difference is told as a multiple."""


@dataclass(frozen=True)
class _Kind:
    """How a measure is told: what the side has more of, and which end of the measure that is."""

    better: str
    low: bool = False
    group: str = ""


KINDS: Mapping[str, _Kind] = {
    "intra_variance": _Kind("tighter classes", low=True, group="spread"),
    "map_at_r": _Kind("MAP@R", group="ranking"),
    "recall_at_1": _Kind("Recall@1", group="first"),
    "tar_at_far_1e3": _Kind("TAR at FAR 0.001", group="verification"),
    "eer": _Kind("lower EER", low=True, group="verification"),
    "fine_recall_at_1": _Kind("fine Recall@1", group="detail"),
    "epochs_to_90_quality": _Kind("faster to 90 % of its quality", low=True, group="speed"),
    "active_ratio": _Kind("more active terms", group="active"),
}
"""What is told of a side, by the measure. Of one group the largest difference alone is told."""
SECONDS = "seconds"


@dataclass(frozen=True)
class Contrast:
    """A measure in which one loss stands out, described and not tested.

    Attributes:
        name: the loss.
        claim: in what, such as ``25× tighter classes``.
        detail: the two numbers and the measure's name.
        measure: the measure, or ``seconds``.
    """

    name: str
    claim: str
    detail: str
    measure: str


@dataclass(frozen=True)
class _Found:
    contrast: Contrast
    size: float
    group: str


def contrasts(result: Result) -> tuple[Contrast, ...]:
    """Up to three measures in which the best of the losses differs most from the next, in deviations.

    The measure that decides is not among them. Of a single loss the raw inputs are the other side.
    """
    sides: list[SideResult] = list(result.losses)
    if len(sides) == 1:
        sides += [side for side in result.baselines if side.name == "raw"]
    if len(sides) < 2:
        return ()
    found = [own for name in KINDS if name != result.recommendation.measure if (own := _told(name, sides))]
    if (own := _seconds(result.losses)) is not None:
        found.append(own)
    told: dict[str, _Found] = {}
    for own in sorted(found, key=lambda own: -own.size):
        told.setdefault(own.group, own)
    return tuple(own.contrast for own in list(told.values())[:MOST])


def _told(name: str, sides: Sequence[SideResult]) -> _Found | None:
    """The side that stands out in a measure against the next, if by enough."""
    kind = KINDS[name]
    known = [side for side in sides if side.mean(name) is not None]
    if len(known) < 2:
        return None
    first, second = sorted(known, key=lambda side: (1 if kind.low else -1) * (side.mean(name) or 0.0))[:2]
    a, b = first.mean(name) or 0.0, second.mean(name) or 0.0
    if _small(name, a, b):
        return None
    size = _standardised(first, second, name)
    if size < LEAST:
        return None
    claim, detail = _words(name, kind, a, b)
    return _Found(Contrast(first.name, claim, detail.format(other=second.name), name), size, kind.group)


def _words(name: str, kind: _Kind, a: float, b: float) -> tuple[str, str]:
    """The claim, and its numbers with a place for the other side."""
    detail = f"{label(name)} {number(a)}, {{other}} {number(b)}"
    if name == "active_ratio":
        detail = f"a share of {number(a)} has a loss above 0, {{other}} {number(b)}"
    if name == "epochs_to_90_quality":
        return f"90 % of its quality at epoch {a:.0f}", f"{{other}} at epoch {b:.0f}"
    scale = measure(name).scale
    high, low = max(a, b), min(a, b)
    if scale == "log_ratio" or name == "active_ratio":
        if low > 0 and high / low >= TIMES:
            ratio = high / low
            said = f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}"
            return f"{said}× {kind.better}", detail
        return kind.better, detail
    size = f"{abs(a - b):.3f}"
    if kind.low:
        return f"{size} {kind.better}", detail
    return f"+{size} {kind.better}", detail


def _small(name: str, a: float, b: float) -> bool:
    """Whether a difference is below what matters in the measure."""
    known = measure(name)
    if known.scale == "log_ratio":
        return a <= 0 or b <= 0 or abs(math.log(a / b)) < known.delta
    return abs(a - b) < known.delta


def _standardised(first: SideResult, second: SideResult, name: str) -> float:
    """The difference in standard deviations over the seeds that both have."""
    pairs = zip(first.measures[name].values, second.measures[name].values)
    log = measure(name).scale == "log_ratio"
    found = [
        math.log(x / y) if log else x - y
        for x, y in pairs
        if x is not None and y is not None and (not log or (x > 0 and y > 0))
    ]
    if len(found) < 2:
        return 0.0
    spread = statistics.stdev(found)
    size = abs(statistics.fmean(found))
    return size / spread if spread else (math.inf if size else 0.0)


def _seconds(losses: Sequence[LossResult]) -> _Found | None:
    """Which loss trains in less time, by enough to notice."""
    known = [
        (side.price.seconds, side.name) for side in losses if side.price is not None and side.price.seconds
    ]
    if len(known) < 2:
        return None
    (a, first), (b, second) = sorted(known)[:2]
    if b / a < 1.5:
        return None
    detail = f"{number(a)} s for one run, {second} {number(b)} s"
    return _Found(
        Contrast(first, f"{b / a:.1f}× faster to train", detail, SECONDS), math.log(b / a) * 2, "time"
    )
