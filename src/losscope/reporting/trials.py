"""Figures of tuning: quality over a loss's own number, and the range in which the number hardly matters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from losscope.core import wording
from losscope.core.results import Trial, Tuned
from losscope.core.wording import parts
from losscope.reporting import axes
from losscope.reporting.figure import Figure, Line, Mark, Points, Region, Ring, numbers

WITHIN = 0.01
"""A validation score so far below the best one is as good: the margin of indifference of shares."""


@dataclass(frozen=True)
class FlatRegion:
    """Neighbouring tried values of a number whose scores are all within ``within`` of the best one.

    ``low`` and ``high`` are tried values, and ``best`` is the one with the best score. ``tried`` counts those
    from low to high. Each value stands with the best of its trials that were trained whole.
    """

    number: str
    low: float
    high: float
    best: float
    tried: int
    within: float

    def __str__(self) -> str:
        """The region in words."""
        name = self.number.replace("_", " ")
        if self.tried == 1:
            return f"only {name} {self.best:g} is within {self.within:g} of the best"
        return f"any {name} from {self.low:g} to {self.high:g} is within {self.within:g} of the best"


def flat_region(trials: Sequence[Trial], number: str, within: float = WITHIN) -> FlatRegion | None:
    """The range around the best value of a number in which every tried value scores nearly as well.

    Only trials of the longest training count. A tried value that none of them has ends the range: its score
    after a whole training is not known. None where fewer than two values were trained whole.

    >>> trials = [Trial(hyperparameters={"margin": m}, score=s, epochs=9)
    ...           for m, s in ((0.1, 0.90), (0.2, 0.95), (0.4, 0.949), (0.8, 0.7))]
    >>> print(flat_region(trials, "margin"))
    any margin from 0.2 to 0.4 is within 0.01 of the best
    """
    tops = whole_scores(trials, number)
    if len(tops) < 2:
        return None
    best = max(tops, key=lambda value: tops[value])
    tried = sorted({float(trial.hyperparameters[number]) for trial in trials})
    good = [value in tops and tops[value] >= tops[best] - within for value in tried]
    first = last = tried.index(best)
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(tried) and good[last + 1]:
        last += 1
    return FlatRegion(number, tried[first], tried[last], best, last - first + 1, within)


def whole_scores(trials: Sequence[Trial], number: str) -> dict[float, float]:
    """The best score at each value of a number, of the trials that were trained longest."""
    scored = [(trial, trial.score) for trial in trials if trial.score is not None]
    longest = max((trial.epochs or 0 for trial, _ in scored), default=0)
    tops: dict[float, float] = {}
    for trial, score in scored:
        if (trial.epochs or 0) == longest:
            value = float(trial.hyperparameters[number])
            tops[value] = max(score, tops.get(value, score))
    return dict(sorted(tops.items()))


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


def tuning_curve(
    name: str, trials: Sequence[Trial], scores: Iterable[float], tuned: Tuned | None = None
) -> Figure | None:
    """Validation quality over the loss's own number (margin, temperature), its flat region shaded.

    A point for each trial: the larger the learning rate, the larger the point; open points were not trained
    whole. The line joins the best whole trial at each value. Ringed is what was chosen, which a second
    measure decides between near ties; without ``tuned`` the best. ``scores`` of all losses set the common
    vertical axis.
    """
    number = tuned_number(trials)
    scored = [(trial, trial.score) for trial in trials if trial.score is not None]
    if number is None or not scored:
        return None
    tops = whole_scores(trials, number)
    flat = flat_region(trials, number)
    best = max(tops, key=lambda value: tops[value])
    spot, top, word = best, tops[best], "best"
    if tuned is not None and tuned.score is not None and wording.finite(tuned.hyperparameters.get(number)):
        spot, top, word = float(tuned.hyperparameters[number]), tuned.score, "chosen"
    marks: list[Mark] = []
    if flat is not None and flat.tried > 1:
        marks.append(Region(flat.low, flat.high, f"within {flat.within:g} of the best", name))
    if len(tops) > 1:
        marks.append(Line(name, tuple(tops), tuple(tops.values()), dash="solid", width=1.5))
    marks += _points(name, scored, number)
    marks.append(Ring(name, spot, top))
    told = f"; {flat}" if flat is not None else ""
    return Figure(
        axes.settings((float(trial.hyperparameters[number]) for trial in trials), number.replace("_", " ")),
        axes.linear(scores),
        marks,
        name,
        f"Validation scores of the trials of {name}; {word} {wording.number(top)} at "
        f"{number.replace('_', ' ')} {spot:g}{told}.",
        f"{word}: {number.replace('_', ' ')} {spot:g}",
        height=250,
        series=(name,),
    )


def _points(name: str, scored: Sequence[tuple[Trial, float]], number: str) -> list[Mark]:
    """The trials of each learning rate, larger points for larger rates, filled those of all epochs."""
    longest = max(trial.epochs or 0 for trial, _ in scored)
    rates = sorted({trial.learning_rate or 0.0 for trial, _ in scored})
    made: list[Mark] = []
    for place, rate in enumerate(rates):
        own = [(trial, score) for trial, score in scored if (trial.learning_rate or 0.0) == rate]
        own.sort(key=lambda pair: pair[0].epochs or 0)  # whole trials lie over the others
        made.append(
            Points(
                name,
                numbers(trial.hyperparameters[number] for trial, _ in own),
                tuple(score for _, score in own),
                texts=[f"{parts.settings(trial)}: {wording.number(score)}" for trial, score in own],
                filled=[(trial.epochs or 0) == longest for trial, _ in own],
                size=5 + 2.0 * place,
            )
        )
    return made
