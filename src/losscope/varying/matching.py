"""Which settings give a paper's published numbers, each and all at once, and what chance alone would give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope import stats
from losscope.core.results import Matches, NearSetting, NumberMatch
from losscope.core.wording import matches as wording
from losscope.core.wording.varying import named
from losscope.papers.paper import PublishedNumber
from losscope.stats.intervals import t_half
from losscope.stats.multiverses.cells import setting_means
from losscope.varying.planning import Laid
from losscope.varying.reading import Asked, Table, choices

NARROW = 0.25
"""The widest half of a prediction interval that still matches, as a share of the number."""
SHOWN = 5
"""Nearest settings that are named."""


@dataclass(frozen=True, eq=False)
class Held:
    """One published number beside all settings.

    Values are of the number itself, or logarithms of ratios for a ratio. ``means``, ``halves`` (S,): the mean
    and half the prediction interval of one further run; NaN where a run failed or did not get there. ``off``
    (S,): the factor between mean and number, at least 1, infinite without a mean.
    """

    target: PublishedNumber
    value: float
    means: np.ndarray
    halves: np.ndarray
    off: np.ndarray
    unreached: int

    def inside(self, value: float) -> np.ndarray:
        """Which intervals hold a value, (S,)."""
        return np.abs(self.means - value) <= self.halves

    def matches(self, value: float) -> np.ndarray:
        """Which intervals hold a value and are narrow enough for it, (S,)."""
        return self.inside(value) & (self.halves <= NARROW * abs(value))

    @property
    def chance(self) -> float | None:
        """How many settings match the mean of another one, averaged over all others that have one."""
        known = np.flatnonzero(np.isfinite(self.means))
        if len(known) < 2:
            return None
        hits = [np.delete(self.matches(float(self.means[other])), other).sum() for other in known]
        # All but the one that the number was taken from could match.
        return float(np.mean(hits)) * len(self.means) / (len(self.means) - 1)


def asked_of(targets: Sequence[PublishedNumber]) -> list[Asked]:
    """What is read of the runs for some published numbers."""
    return list(dict.fromkeys(Asked(target.measure) for target in targets))


def targets_of(stated: Sequence[PublishedNumber], laid: Laid) -> list[PublishedNumber]:
    """The published numbers on a world's data."""
    return [target for target in stated if target.data == laid.world.label]


def match(laid: Laid, found: Table, targets: Sequence[PublishedNumber]) -> Matches:
    """The settings that give some published numbers."""
    held = [_held(found, target) for target in targets]
    every = np.array([own.matches(own.value) for own in held])
    off = np.array([own.off for own in held])
    count = len(laid.settings)
    result = Matches(
        data=laid.world.label,
        settings=count,
        seeds=len(next(iter(laid.runs.values()))),
        numbers=tuple(map(_number, held)),
        together=int(every.all(axis=0).sum()),
        chance=count * math.prod(float(own.mean()) for own in every),
        nearest=tuple(_near(laid, held, every, off)),
    )
    return result.model_copy(update={"summary": wording.summary(result)})


def _held(found: Table, target: PublishedNumber) -> Held:
    rows = found.of(target.loss, target.measure)
    unreached = np.isposinf(rows).any(axis=1)
    ratio = target.over is not None
    if target.over is not None:
        rows = stats.effects(rows, found.of(target.over, target.measure), target.measure)
    value = math.log(target.value) if ratio else target.value
    means, halves = setting_means(rows), np.full(len(rows), np.nan)
    whole, seeds = np.isfinite(means), rows.shape[1]
    if seeds > 1:
        spread = rows[whole].std(axis=1, ddof=1)
        halves[whole] = t_half(0.95, seeds - 1) * spread * math.sqrt(1 + 1 / seeds)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(means - value) if ratio else np.abs(np.log(means / value))
    off = np.where(np.isfinite(apart), np.exp(np.where(np.isfinite(apart), apart, 0.0)), np.inf)
    return Held(target, value, means, halves, off, int(unreached.sum()))


def _number(own: Held) -> NumberMatch:
    known = own.means[np.isfinite(own.means)]
    ends = [float(known.min()), float(known.max())] if len(known) else []
    low, high = (map(math.exp, ends) if own.target.over is not None else ends) if ends else (None, None)
    return NumberMatch(
        loss=own.target.loss,
        over=own.target.over,
        measure=own.target.measure,
        value=own.target.value,
        source=own.target.source,
        inside=int(own.inside(own.value).sum()),
        matches=int(own.matches(own.value).sum()),
        chance=own.chance,
        low=low,
        high=high,
        unreached=own.unreached,
    )


def _near(laid: Laid, held: Sequence[Held], every: np.ndarray, off: np.ndarray) -> list[NearSetting]:
    """The settings whose worst number is least off, nearest first; those without a mean for one are none."""
    worst = off.max(axis=0)
    places = [int(place) for place in np.argsort(worst, kind="stable")[:SHOWN] if np.isfinite(worst[place])]
    chosen = choices(laid)
    return [
        NearSetting(
            id=laid.settings[place].id,
            off=float(worst[place]),
            worst=int(off[:, place].argmax()),
            matched=int(every[:, place].sum()),
            means=tuple(_mean(own, place) for own in held),
            choices={name: named(values[place]) for name, values in chosen.items()},
        )
        for place in places
    ]


def _mean(own: Held, place: int) -> float | None:
    mean = float(own.means[place])
    if not math.isfinite(mean):
        return None
    return math.exp(mean) if own.target.over is not None else mean
