"""A measure over one number of a loss, the others held: what a margin, a learning rate, a size is worth."""

from __future__ import annotations

from losscope.core.results.base import Frozen, Number


class FlatRegion(Frozen):
    """Neighbouring tried values of a number that are all within ``within`` of the best one.

    ``low`` and ``high`` are tried values, and ``best`` is the one with the best mean. ``tried`` counts those
    from low to high.
    """

    number: str
    low: Number
    high: Number
    best: Number
    tried: int
    within: Number


class CurvePoint(Frozen):
    """A loss at one value of the number that is varied, on validation.

    ``mean``: over the tuning seeds, at the epoch that is best for this value; None where a seed has no value,
    such as one that diverged. ``low``, ``high``: its 95 % interval after each seed's own level is taken out
    (Cousineau 2005, Morey 2008), None below two seeds or two values. ``by_seed``: of each tuning seed.
    ``cost``: how far the mean is below the best value's, seed by seed, with the 95 % interval
    ``cost_low`` to ``cost_high``, None for the best value itself. ``runs``: where it was measured.
    """

    value: Number
    mean: Number | None = None
    low: Number | None = None
    high: Number | None = None
    by_seed: tuple[Number | None, ...] = ()
    cost: Number | None = None
    cost_low: Number | None = None
    cost_high: Number | None = None
    epoch: int | None = None
    failed: int = 0
    runs: tuple[str, ...] = ()


class Curve(Frozen):
    """The validation measure of one loss over one of its numbers, all others as they were tuned.

    ``number``: a hyperparameter, ``learning_rate`` or ``embedding_size``. ``points``: from the smallest value
    to the largest. ``seeds``: of tuning, on which every point was measured. ``default``: the usual value, or
    the one that the user gave, which ``given`` says. ``tuned``: the value that tuning chose; None where it
    had no choice: nothing was tuned, the number was given by hand, or it is the embedding size, which is
    never tuned. ``flat``: None where fewer than two values have a mean.
    """

    loss: str
    number: str
    measure: str
    points: tuple[CurvePoint, ...]
    seeds: tuple[int, ...]
    default: Number | None = None
    given: bool = False
    tuned: Number | None = None
    flat: FlatRegion | None = None

    def at(self, value: float | None) -> CurvePoint | None:
        """The point of a value; None where it was not tried."""
        return next((point for point in self.points if point.value == value), None)

    @property
    def sure(self) -> tuple[CurvePoint, ...]:
        """The points whose whole 95 % interval of the cost is within what the flat region allows."""
        if self.flat is None:
            return ()
        return tuple(
            point
            for point in self.points
            if point.cost_high is not None and round(point.cost_high - self.flat.within, 12) <= 0
        )

    @property
    def default_costs(self) -> bool:
        """Whether the usual or given value costs more than the flat region allows, or has no value at all."""
        usual = self.at(self.default)
        if usual is None or self.flat is None:
            return False
        return usual.cost is None or round(usual.cost - self.flat.within, 12) > 0
