"""The search for each loss's numbers by successive halving, the same budget for every loss.

The search is a generator: it yields the candidates of a stage and is sent what they scored, so that a run, a
dry run and a study that goes on walk it alike. A stage trains its candidates from the start, for a share of
the epochs: a trial is a run like any other, found again in the store.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np

from losscope.comparing import candidates
from losscope.core import registry
from losscope.core.loss_spec import LossSpec
from losscope.core.results import Trial
from losscope.core.spaces import of_loss
from losscope.core.spec import Protocol, ResolvedStudy, Start, Transform

SEEDS = (2**31, 2**31 + 1, 2**31 + 2, 2**31 + 3)
"""The seeds of tuning; no final run has one."""
FIRST = 2
"""Seeds of every stage but the last, which has all."""
TRIALS = 18
"""Candidates of each loss at the first stage; a third as many more where the search is widened."""
TRIALS_OF_IMAGES = 6
"""Candidates of networks on images and of backbones, whose training costs far more."""
LAST = 3
"""Candidates that are trained whole, on all seeds, before one is chosen."""
SHARES = (0.25, 0.5, 1.0)
"""The shares of the epochs that the stages train for."""
TIE = 0.002
"""A difference in the deciding measure below which the second one decides."""
TRANSFORMS: tuple[Transform, ...] = ("l2", "sqrt", "standardise")
START_RATES = (1e-5, 1e-4, 1e-3)


@dataclass(frozen=True)
class Candidate:
    """A setting of a loss, or a closed form, under a protocol, on some seeds."""

    label: str
    spec: LossSpec
    protocol: Protocol
    seeds: tuple[int, ...]


class StandIn(Trial):
    """What stands for a trial that is not trained yet: a search that is told it goes its longest way."""


@dataclass
class Search:
    """What was found of each loss, by its label: every trial, and those that were trained whole."""

    protocol: Protocol
    trials: dict[str, list[tuple[LossSpec, Trial]]] = field(default_factory=dict)
    last: dict[str, list[tuple[LossSpec, Trial]]] = field(default_factory=dict)
    forms: list[tuple[Candidate, Trial]] = field(default_factory=list)
    widened: bool = False
    agreement: dict[str, float] = field(default_factory=dict)


Walk = Generator[list[Candidate], list[Trial], Search]


def search(study: ResolvedStudy, trials: int | None = None) -> Walk:
    """Walk the stages: the transform and the start once for all losses, then halving for each of them.

    ``trials``: of each loss at the first stage, for a budget.
    """
    losses = {spec.label: spec for spec in study.losses}
    count = usual(study) if trials is None else min(trials, usual(study))
    found = Search(study.protocol, {label: [] for label in losses})
    if study.protocol.transform != "none" and study.given.transform is None:
        yield from _transform(found, study)
    if _starts(study, count):
        yield from _start(found, losses, study)
    yield from _halve(found, losses, study, count)
    return found


def usual(study: ResolvedStudy) -> int:
    """Candidates of each loss at the first stage where there is no budget."""
    return TRIALS_OF_IMAGES if study.kind == "images" or study.protocol.finetunes else TRIALS


def _starts(study: ResolvedStudy, count: int) -> tuple[Start, ...]:
    """The starts that are tried; none where there is no choice."""
    asked = study.protocol.start != "random" and study.given.start is None and count >= TRIALS
    return study.starts if asked and len(study.starts) > 1 else ()


def _transform(found: Search, study: ResolvedStudy) -> Generator[list[Candidate], list[Trial], None]:
    """The transform with which a closed form at the study's size does best on validation."""
    forms = [name for name in study.starts if name in registry.entries("closed_form")]
    asked = [
        Candidate(name, LossSpec(name=name), _changed(found.protocol.frozen, transform=transform), SEEDS)
        for transform in TRANSFORMS
        for name in forms
    ]
    trials = yield asked
    found.forms = list(zip(asked, trials, strict=True))
    place = best([trial for _, trial in found.forms])
    if place is not None:
        found.protocol = _changed(found.protocol, transform=asked[place].protocol.transform)


def _start(
    found: Search, losses: dict[str, LossSpec], study: ResolvedStudy
) -> Generator[list[Candidate], list[Trial], None]:
    """The start from which the losses do best on average, each at its usual numbers and its best rate."""
    short = _changed(found.protocol, epochs=_epochs(study, SHARES[0]))
    asked = [
        Candidate(label, own, _changed(short, start=start), SEEDS[:FIRST])
        for start in study.starts
        for label, spec in losses.items()
        for own in candidates.of_rates(spec, study.protocol.name, START_RATES, of_loss(study.spaces, spec))
    ]
    trials = yield asked
    tops: dict[Start, dict[str, float]] = {start: {} for start in study.starts}
    for candidate, trial in zip(asked, trials, strict=True):
        if trial.score is not None:
            own = tops[candidate.protocol.start]
            own[candidate.label] = max(trial.score, own.get(candidate.label, trial.score))
    # A loss whose trials all diverged from a start has no say in which is better.
    heard = [label for label in losses if all(label in own for own in tops.values())]
    means = {
        start: np.mean([own[label] for label in heard]) if heard else -math.inf for start, own in tops.items()
    }
    for candidate, trial in zip(asked, trials, strict=True):
        found.trials[candidate.label].append((candidate.spec, trial))
    chosen = max(study.starts, key=lambda start: means[start] - TIE * study.starts.index(start))
    if math.isfinite(means[chosen]):
        found.protocol = _changed(found.protocol, start=chosen)


def _halve(
    found: Search, losses: dict[str, LossSpec], study: ResolvedStudy, count: int
) -> Generator[list[Candidate], list[Trial], None]:
    """Halve each loss's candidates until the last, which are trained whole on all seeds of tuning."""
    left = {label: _candidates(spec, study, count) for label, spec in losses.items()}
    ranks: dict[str, dict[str, float]] = {}
    for stage, share in enumerate(SHARES):
        scored = yield from _train(found, left, _epochs(study, share), SEEDS[:FIRST])
        if stage == 0 and any(_may_widen(own, losses[label], study) for label, own in scored.items()):
            found.widened = True
            more = {label: _wider(own, losses[label], study, count // 3) for label, own in scored.items()}
            extra = yield from _train(found, more, _epochs(study, share), SEEDS[:FIRST])
            scored = {label: own + extra[label] for label, own in scored.items()}
        if stage == 0:
            ranks = {label: _scores(own) for label, own in scored.items()}
        else:
            found.agreement |= _agreements(ranks, scored)
        left = {label: _kept(own, thirds=stage == 0) for label, own in scored.items()}
    left = {label: own[:LAST] for label, own in left.items()}
    found.last = yield from _train(found, left, study.protocol.epochs, SEEDS)


Scored = dict[str, list[tuple[LossSpec, Trial]]]


def _train(
    found: Search, left: dict[str, list[LossSpec]], epochs: int, seeds: tuple[int, ...]
) -> Generator[list[Candidate], list[Trial], Scored]:
    shape = _changed(found.protocol, epochs=epochs)
    asked = [Candidate(label, spec, shape, seeds) for label, specs in left.items() for spec in specs]
    trials = yield asked
    scored: Scored = {label: [] for label in left}
    for candidate, trial in zip(asked, trials, strict=True):
        scored[candidate.label].append((candidate.spec, trial))
        found.trials[candidate.label].append((candidate.spec, trial))
    return scored


def _candidates(spec: LossSpec, study: ResolvedStudy, count: int) -> list[LossSpec]:
    return candidates.candidates(spec, study.protocol.name, count, of_loss(study.spaces, spec))


def _may_widen(own: Sequence[tuple[LossSpec, Trial]], spec: LossSpec, study: ResolvedStudy) -> bool:
    """Whether a loss asks for a wider search; of trials not known yet, whether any of them could."""
    if not any(isinstance(trial, StandIn) for _, trial in own):
        return _on_edge(own, spec, study)
    held = {each.name for each in of_loss(study.spaces, spec)}
    tried = [each for each, _ in own]
    return any(name not in held for each in tried for name, _, _ in candidates.edges(tried, each))


def _on_edge(own: Sequence[tuple[LossSpec, Trial]], spec: LossSpec, study: ResolvedStudy) -> bool:
    """Whether the best of a loss lies on an edge of what was tried, other than of a space that was given."""
    if all(trial.score is None for _, trial in own):
        return False
    held = {each.name for each in of_loss(study.spaces, spec)}
    found = candidates.edges([each for each, _ in own], _ranked(own)[0][0])
    return any(name not in held for name, _, _ in found)


def _wider(
    own: Sequence[tuple[LossSpec, Trial]], spec: LossSpec, study: ResolvedStudy, count: int
) -> list[LossSpec]:
    """As many more for every loss: beyond the edges that its best lie on, then others of its space."""
    tried = [each for each, _ in own]
    best_ones = [each for each, _ in _ranked(own)[:LAST]]
    made = candidates.beyond(tried, best_ones, count, of_loss(study.spaces, spec))
    known = {each.canonical() for each in (*tried, *made)}
    rest = _candidates(spec, study, len(tried) + 2 * count)
    made += [each for each in rest if each.canonical() not in known]
    return made[:count]


def _ranked(own: Sequence[tuple[LossSpec, Trial]]) -> list[tuple[LossSpec, Trial]]:
    """The best first; those without a score last."""
    return sorted(own, key=lambda pair: -math.inf if pair[1].score is None else pair[1].score, reverse=True)


def _kept(own: Sequence[tuple[LossSpec, Trial]], *, thirds: bool) -> list[LossSpec]:
    """The better half, at least ``LAST``; after the first stage the best of each third of the rates too."""
    ranked = [spec for spec, _ in _ranked(own)]
    number = max(LAST, math.ceil(len(ranked) / 2))
    rates = sorted({spec.learning_rate for spec in ranked if spec.learning_rate is not None})
    kept: list[LossSpec] = []
    if thirds and len(rates) >= LAST:
        parts = np.array_split(rates, LAST)
        kept = [next(spec for spec in ranked if spec.learning_rate in part) for part in parts]
    kept += [spec for spec in ranked if spec not in kept]
    return kept[:number]


def _scores(own: Sequence[tuple[LossSpec, Trial]]) -> dict[str, float]:
    return {spec.canonical(): trial.score for spec, trial in own if trial.score is not None}


def _agreements(ranks: dict[str, dict[str, float]], scored: Scored) -> dict[str, float]:
    """Of each loss, Spearman's rank correlation of the first stage with this one."""
    found = {}
    for label, own in scored.items():
        later = _scores(own)
        both = [name for name in later if name in ranks[label]]
        if len(both) > 2:
            first, last = (
                _ranks(np.array([values[name] for name in both])) for values in (ranks[label], later)
            )
            if first.std() > 0 and last.std() > 0:
                found[label] = float(np.corrcoef(first, last)[0, 1])
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values their mean rank."""
    order = np.sort(values)
    return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right") - 1) / 2


def best(trials: Sequence[Trial]) -> int | None:
    """The place of the best trial: by the deciding measure; within ``TIE`` by the second, then the earlier
    epoch, the lower rate and the earlier place. None where no trial has a score.

    >>> near = [(0.5, 0.2), (0.499, 0.3)]
    >>> best([Trial(hyperparameters={}, score=first, second=second) for first, second in near])
    1
    """
    scored = [(place, trial) for place, trial in enumerate(trials) if trial.score is not None]
    if not scored:
        return None
    top = max(trial.score or 0.0 for _, trial in scored)

    def order(pair: tuple[int, Trial]) -> tuple[float, int, float, int]:
        place, trial = pair
        second = -math.inf if trial.second is None else trial.second
        return -round(second, 12), trial.epoch or 0, trial.learning_rate or 0.0, place

    return min((pair for pair in scored if top - (pair[1].score or 0.0) < TIE), key=order)[0]


def _changed(protocol: Protocol, **values: object) -> Protocol:
    return protocol.model_copy(update=values)


def _epochs(study: ResolvedStudy, share: float) -> int:
    return max(1, math.ceil(study.protocol.epochs * share))
