"""Curves: each loss at its tuned numbers with one of them varied, on tuning's seeds, judged on validation.

A point is a trial like any other, so that the point at the tuned value is the trial that tuning chose. What
tuning trained is found again, and the test split is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from losscope import stats
from losscope.comparing import tuning
from losscope.comparing.halving import SEEDS, Candidate
from losscope.comparing.stored import Choice
from losscope.core import wording
from losscope.core.errors import LosscopeError, require, shown
from losscope.core.loss_spec import LEARNING_RATE, LossSpec
from losscope.core.quantities import GOALS, quantity
from losscope.core.results import Curve, CurvePoint, Trial
from losscope.core.spaces import (
    ALL,
    CURVES,
    OPTIMISER,
    is_number,
    numbers_of,
    numeric,
    with_value,
)
from losscope.core.spec import ResolvedStudy, Run
from losscope.run.store import Store

SIZES = (8, 16, 32, 64, 128, 256, 512)
"""Embedding sizes of a curve; the study's own joins them."""
MANTISSAS = (1.0, 3.0)
"""Of each decade of learning rates, half decades apart as tuning tries them."""
REACH = 34.0
"""The factor by which learning rates reach to each side of the tuned one: three half decades."""
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of a number for which a loss declares no values, the multiples that are tried."""
OWN, RATE, SIZE = CURVES[1:]
WORDS = {ALL: "any number", OWN: "numbers of its own"}
"""What a curve is of, for those names of ``CURVES`` that name no one number."""


@dataclass(frozen=True)
class Varied:
    """One loss and the number that is varied: each value with what is trained for it, in order."""

    label: str
    number: str
    points: tuple[tuple[float, Candidate], ...]
    default: float | None
    tuned: float | None
    given: bool
    """Whether the user gave the default by hand."""


def runs(study: ResolvedStudy, choices: Sequence[Choice], largest: int | None) -> list[Run]:
    """The runs of all curves of a study, one of several curves each time; none where none were asked for."""
    found = varied(study, choices, largest)
    return [run for own in found for _, candidate in own.points for run in tuning.runs_of(study, candidate)]


def drawn(
    study: ResolvedStudy,
    choices: Sequence[Choice],
    largest: int | None,
    identify: Callable[[Run], str],
    store: Store,
) -> tuple[Choice, ...]:
    """The losses with their curves, whose runs are stored."""
    names = tuning.deciding(study)
    made: dict[str, list[Curve]] = {choice.label: [] for choice in choices}
    for own in varied(study, choices, largest):
        points = []
        for value, candidate in own.points:
            ids = tuple(identify(run) for run in tuning.runs_of(study, candidate))
            points.append(_point(value, tuning.score(candidate, ids, store, names)))
        curve = Curve(
            loss=own.label,
            number=own.number,
            measure=names[0],
            points=tuple(points),
            seeds=SEEDS,
            default=own.default,
            given=own.given,
            tuned=own.tuned,
        )
        made[own.label].append(stats.with_costs(curve, within(study)))
    return tuple(choice.model_copy(update={"curves": tuple(made[choice.label])}) for choice in choices)


def within(study: ResolvedStudy) -> float:
    """How far below the best a value may be and be as good: the user's indifference, else the measure's."""
    measure, asked = tuning.deciding(study)[0], study.given.indifference
    own = measure in GOALS[study.given.goal]
    return asked if asked is not None and own else quantity(measure).delta


def notes(study: ResolvedStudy, choices: Sequence[Choice], largest: int | None) -> list[str]:
    """Which losses have no curve of what was asked for.

    Raises:
        LosscopeError: no loss has a number that was asked for by its name.
    """
    said = []
    found = varied(study, choices, largest) if study.given.curves else []
    for name in study.given.curves:
        having = {own.label for own in found if name in (ALL, own.number, OWN if _is_own(own) else "")}
        without = [choice.label for choice in choices if choice.label not in having]
        tuned = "" if study.tunes else "--tune and "
        require(
            name in CURVES or bool(having),
            f"no values of the number {shown(name)} are known of {wording.listing(without)}; wanted: one "
            f"of their numbers, {tuned}values by --space '{name}=VALUE,VALUE', or {', '.join(CURVES)}",
        )
        if without:
            what = WORDS.get(name, wording.curve_number(name))
            said.append(f"{wording.listing(without)} {wording.be(len(without))} without a curve of {what}")
    return said


def _is_own(found: Varied) -> bool:
    return found.number not in (RATE, SIZE)


def varied(study: ResolvedStudy, choices: Sequence[Choice], largest: int | None) -> list[Varied]:
    """What is trained for each curve that was asked for, loss by loss; a curve has at least two values."""
    asked = study.given.curves
    found = []
    for choice in choices:
        every = _own(study, choice)
        all_own = ALL in asked or OWN in asked
        own = [name for name in every if name in asked or (all_own and every[name].declared)]
        for name in own:
            found.append(_of_number(study, choice, name, every[name].values))
        if RATE in asked or ALL in asked:
            found.append(_of_rate(study, choice))
        if SIZE in asked or ALL in asked:
            found.append(_of_size(study, choice, largest))
    return [own for own in found if len(own.points) > 1]


@dataclass(frozen=True)
class _Values:
    """The values to try of a number, and whether the loss or the user declares them."""

    values: tuple[float, ...]
    declared: bool


def _own(study: ResolvedStudy, choice: Choice) -> dict[str, _Values]:
    """The values of each number of a loss: a space that was given, what the loss declares, else multiples."""
    spec, found = choice.spec, dict[str, _Values]()
    space = [own for own in study.spaces if own.loss == choice.label and own.name not in OPTIMISER]
    for own in space:
        values = tuple(float(value) for value in own.values if is_number(value))
        if len(values) > 1:
            found[own.name] = _Values(values, declared=True)
    facts = spec.facts
    declared = facts.space if facts is not None and not space else ()
    for name, usual in numeric(spec).items():
        values = tuple(sorted({float(point[name]) for point in declared if is_number(point.get(name))}))
        if name in found:
            continue
        if len(values) > 1:
            found[name] = _Values((*values, *_beyond(values)), declared=True)
        elif usual := float(numbers_of(spec, choice.label).get(name, usual)):
            found[name] = _Values(tuple(float(f"{usual * each:.6g}") for each in FACTORS), declared=False)
    return found


def _beyond(values: Sequence[float]) -> list[float]:
    """One value beyond each end, as far again as the last two lie apart, to show where a curve falls."""
    first, second, before, last = values[0], values[1], values[-2], values[-1]
    found = [first * first / second] if first > 0 else []
    return [float(f"{value:.2g}") for value in (*found, last * last / before if before > 0 else 2 * last)]


def _base(choice: Choice) -> LossSpec:
    """The loss as tuning trained it: its tuned numbers, and the epoch left to validation."""
    given = choice.spec if choice.default is None else choice.default
    return choice.spec.model_copy(update={"checkpoint": given.checkpoint})


def _of_number(study: ResolvedStudy, choice: Choice, name: str, values: Sequence[float]) -> Varied:
    base = _base(choice)
    usual = _number(choice.spec if choice.default is None else choice.default, choice.label, name)
    used = _number(base, choice.label, name)

    def points() -> Iterator[tuple[float, Candidate]]:
        for value in _joined(values, used, usual):
            spec = base if value == used else with_value(base, name, value)
            try:
                spec.check()
            except LosscopeError:  # a value with which the loss cannot act beside its other numbers
                continue
            yield value, Candidate(choice.label, spec, study.protocol, SEEDS)

    by_hand = _by_hand(study, choice, name)
    return Varied(choice.label, name, tuple(points()), usual, _chosen(choice, name, used, usual), by_hand)


def _of_rate(study: ResolvedStudy, choice: Choice) -> Varied:
    """Half decades around the rate, or the values of a space that was given."""
    base = _base(choice)
    given = choice.spec if choice.default is None else choice.default
    used = base.learning_rate or study.protocol.learning_rate
    usual = given.learning_rate or study.protocol.learning_rate
    space = [own for own in study.spaces if own.loss == choice.label and own.name == RATE]
    rates = [float(value) for own in space for value in own.values] or [
        rate
        for power in range(-9, 2)
        for mantissa in MANTISSAS
        if used / REACH <= (rate := float(f"{mantissa}e{power}")) <= min(used * REACH, LEARNING_RATE)
    ]
    points = tuple(
        (
            rate,
            Candidate(
                choice.label, base if rate == used else with_value(base, RATE, rate), study.protocol, SEEDS
            ),
        )
        for rate in _joined(rates, used, usual)
    )
    by_hand = _by_hand(study, choice, RATE)
    return Varied(choice.label, RATE, points, usual, _chosen(choice, RATE, used, usual), by_hand)


def _by_hand(study: ResolvedStudy, choice: Choice, name: str) -> bool:
    """Whether the user wrote a value of the number beside the loss's name."""
    written = next(spec for spec in study.given.loss_specs() if spec.label == choice.label)
    return name in written.hyperparameters or (name == RATE and written.learning_rate is not None)


def _chosen(choice: Choice, name: str, used: float | None, usual: float | None) -> float | None:
    """The value that tuning chose; None where it had no choice, as of a number that was given by hand."""
    tried = {own.learning_rate if name == RATE else own.hyperparameters.get(name) for own in choice.trials}
    return used if choice.tuned is not None and (used != usual or len(tried) > 1) else None


def _of_size(study: ResolvedStudy, choice: Choice, largest: int | None) -> Varied:
    """Doubling sizes, none larger than what a head may start from; tuning chooses none."""
    own = study.protocol.embedding_size
    sizes = _joined([size for size in SIZES if largest is None or size <= largest], own)
    points = tuple(
        (
            size,
            Candidate(
                choice.label,
                _base(choice),
                study.protocol.model_copy(update={"embedding_size": int(size)}),
                SEEDS,
            ),
        )
        for size in sizes
    )
    by_hand = study.given.embedding_size is not None
    return Varied(choice.label, SIZE, points, float(own), None, by_hand)


def _number(spec: LossSpec, label: str, name: str) -> float | None:
    """A loss's value of a number; None of a foreign loss whose text does not have it."""
    value = numbers_of(spec, label).get(name)
    if value is None and not spec.foreign:
        value = numeric(spec).get(name)
    return float(value) if is_number(value) else None


def _joined(values: Sequence[float], *more: float | None) -> list[float]:
    return sorted({*map(float, values), *(float(value) for value in more if value is not None)})


def _point(value: float, trial: Trial) -> CurvePoint:
    return CurvePoint(
        value=value,
        mean=trial.score,
        by_seed=trial.by_seed,
        epoch=trial.epoch,
        failed=trial.failed,
        runs=trial.runs,
    )
