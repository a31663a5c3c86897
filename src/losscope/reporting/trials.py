"""Figures of tuning: quality over a number of a loss, and the range in which the number hardly matters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from losscope import stats
from losscope.core import wording
from losscope.core.results import FlatRegion, LossResult, Trial, Tuned
from losscope.core.spec import LossSpec, Protocol
from losscope.core.wording import parts
from losscope.reporting import axes
from losscope.reporting.figure import Figure, Line, Mark, Points, Region, Ring, Upright, numbers

WITHIN = 0.01
"""A validation score so far below the best one is as good: the margin of indifference of shares."""
RATE = "learning_rate"


def value_of(chosen: Trial | Tuned | LossSpec, number: str) -> float | None:
    """The learning rate or a hyperparameter of a trial, of what tuning chose, or of a loss.

    >>> value_of(Trial(hyperparameters={"margin": 0.2}, learning_rate=0.001), "margin")
    0.2
    """
    found = chosen.learning_rate if number == RATE else chosen.hyperparameters.get(number)
    return wording.finite(found)


def flat_region(trials: Sequence[Trial], number: str, within: float = WITHIN) -> FlatRegion | None:
    """The range around the best value of a number in which every tried value scores nearly as well.

    Each value stands with the best of its trials. Only those of the longest training count: a tried value
    that none of them has ends the range, since its score after a whole training is not known. None where
    fewer than two values were trained whole.

    >>> trials = [Trial(hyperparameters={"margin": m}, score=s, epochs=9)
    ...           for m, s in ((0.1, 0.90), (0.2, 0.95), (0.4, 0.949), (0.8, 0.7))]
    >>> print(wording.flat(flat_region(trials, "margin")))
    any margin from 0.2 to 0.4 is within 0.01 of the best
    """
    tops = whole_trials(trials, number)
    tried = {value for trial in trials if (value := value_of(trial, number)) is not None}
    means = {value: tops[value].score if value in tops else None for value in tried}
    return stats.flat_region(number, means, within)


def whole_trials(trials: Sequence[Trial], number: str) -> dict[float, Trial]:
    """The best trial at each value of a number, of those that were trained longest."""
    scored = [(trial, trial.score) for trial in trials if trial.score is not None]
    longest = max((trial.epochs or 0 for trial, _ in scored), default=0)
    tops: dict[float, tuple[Trial, float]] = {}
    for trial, score in scored:
        value = value_of(trial, number)
        if value is not None and (trial.epochs or 0) == longest:
            tops[value] = max(tops.get(value, (trial, score)), (trial, score), key=lambda pair: pair[1])
    return {value: tops[value][0] for value in sorted(tops)}


def tuned_number(trials: Sequence[Trial]) -> str | None:
    """The positive hyperparameter with most different values among the trials, which every trial has."""
    seen: dict[str, set[float]] = {}
    for trial in trials:
        for key, value in trial.hyperparameters.items():
            number = wording.finite(value)
            if number is not None and number > 0:
                seen.setdefault(key, set()).add(number)
    varied = {
        key: values
        for key, values in seen.items()
        if len(values) > 1 and all(key in trial.hyperparameters for trial in trials)
    }
    return max(varied, key=lambda key: len(varied[key]), default=None)


def drawn_numbers(trials: Sequence[Trial]) -> list[str]:
    """The loss's own number and the learning rate, each where tuning tried more than one value of it."""
    own = tuned_number(trials)
    rates = [trial.learning_rate for trial in trials]
    varied = all(rate is not None and rate > 0 for rate in rates) and len(set(rates)) > 1
    return [*([] if own is None else [own]), *([RATE] if varied else [])]


def usual(side: LossResult, number: str, protocol: Protocol | None) -> float | None:
    """The usual value of a number of a tuned loss; None where it is not known, as of a foreign loss."""
    if side.usual is None:
        return None
    found = value_of(side.usual, number)
    return protocol.learning_rate if found is None and number == RATE and protocol is not None else found


def tuning_curve(
    name: str,
    trials: Sequence[Trial],
    scores: Iterable[float],
    tuned: Tuned | None = None,
    number: str | None = None,
    usual: float | None = None,
) -> Figure | None:
    """Validation quality over the loss's own number (margin, temperature), its flat region shaded.

    A point for each trial: the larger the learning rate, the larger the point; open points were not trained
    whole. The line joins the best whole trial at each value, its band the lowest and highest of that trial's
    seeds. Ringed is what was chosen, which a second measure decides between near ties; without ``tuned`` the
    best. ``scores`` of all losses set the common vertical axis. ``number``: another one, such as the learning
    rate. ``usual``: its usual value, which is marked.
    """
    number = tuned_number(trials) if number is None else number
    scored = [(trial, trial.score) for trial in trials if trial.score is not None]
    if number is None or not scored:
        return None
    tops = {value: trial for value, trial in whole_trials(trials, number).items() if trial.score is not None}
    heights = {value: trial.score or 0.0 for value, trial in tops.items()}
    flat = flat_region(trials, number)
    best = max(heights, key=lambda value: heights[value])
    spot, top, word = best, heights[best], "best"
    chosen = None if tuned is None else value_of(tuned, number)
    if tuned is not None and tuned.score is not None and chosen is not None:
        spot, top, word = chosen, tuned.score, "chosen"
    called = wording.curve_number(number)
    marks: list[Mark] = []
    if flat is not None and flat.tried > 1:
        marks.append(Region(flat.low, flat.high, f"within {flat.within:g} of the best", name))
    if len(tops) > 1:
        low, high = _spread(tops.values())
        marks.append(Line(name, tuple(tops), tuple(heights.values()), low, high, dash="solid", width=1.5))
    if usual is not None and usual > 0:
        marks.append(Upright(usual, f"usual {usual:g}"))
    marks += _points(name, scored, number)
    marks.append(Ring(name, spot, top))
    told = f"; {wording.flat(flat)}" if flat is not None else ""
    where = f"{called} {spot:g}"
    placed = [value for trial, _ in scored if (value := value_of(trial, number)) is not None]
    return Figure(
        axes.settings([*placed, *([usual] if usual else [])], called),
        axes.linear(scores),
        marks,
        name,
        f"Validation scores of the trials of {name}; {word} {wording.number(top)} at {where}{told}.",
        f"{word}: {where}",
        height=250,
        series=(name,),
    )


def _spread(trials: Iterable[Trial]) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """The lowest and the highest seed of each trial; None of one that does not keep several."""
    ends = []
    for trial in trials:
        seeds = [value for value in trial.by_seed if value is not None]
        ends.append((min(seeds), max(seeds)) if len(seeds) > 1 else (None, None))
    return tuple(low for low, _ in ends), tuple(high for _, high in ends)


def _points(name: str, scored: Sequence[tuple[Trial, float]], number: str) -> list[Mark]:
    """The trials of each learning rate, larger points for larger rates, filled those of all epochs."""
    longest = max(trial.epochs or 0 for trial, _ in scored)
    along = number == RATE  # the axis says it
    rates = sorted({0.0 if along else trial.learning_rate or 0.0 for trial, _ in scored})
    made: list[Mark] = []
    for place, rate in enumerate(rates):
        own = [pair for pair in scored if along or (pair[0].learning_rate or 0.0) == rate]
        own.sort(key=lambda pair: pair[0].epochs or 0)  # whole trials lie over the others
        made.append(
            Points(
                name,
                numbers(value_of(trial, number) for trial, _ in own),
                tuple(score for _, score in own),
                texts=[f"{parts.settings(trial)}: {wording.number(score)}" for trial, score in own],
                filled=[(trial.epochs or 0) == longest for trial, _ in own],
                size=7.0 if along else 5 + 2.0 * place,
            )
        )
    return made
