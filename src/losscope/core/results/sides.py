"""What was measured of each loss, baseline or closed form, and how tuning chose its numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from losscope.core.facts import Judged, Value
from losscope.core.results.base import Frozen, Number
from losscope.core.results.curves import Curve
from losscope.core.spec import LossSpec


class MeasureValue(Frozen):
    """One measure of one side: the mean over seeds, its 95 % t interval, and the value of each seed.

    ``values``: one per seed in the order of the seeds, None for a run that failed or has no value. ``split``:
    the part of the data that it is measured on.
    """

    mean: Number | None
    low: Number | None
    high: Number | None
    values: tuple[Number | None, ...]
    split: str | None = None
    unit: str = ""


class Failure(Frozen):
    """A run that did not end: its seed and why.

    ``kind``: ``diverged``, where the numbers of the training left the finite ones, which is final;
    ``failed``, where the machine or the code stopped it: the next command tries it again.
    """

    seed: int
    reason: str
    kind: Literal["diverged", "failed"] = "failed"


class Unfinished(Frozen):
    """Runs that the machine or the code stopped, of those needed; ``reasons``: each once.

    The same command tries them again.
    """

    failed: int
    runs: int
    reasons: tuple[str, ...]


class Edge(Frozen):
    """A chosen number on the edge of what was tried: a wider search could change it."""

    name: str
    value: Value


class Trial(Frozen):
    """One trial of tuning: a setting of a loss, or a closed form, and how it did on validation.

    ``score``: the mean over seeds of the deciding measure at the best epoch (0 is the start), smoothed over
    three looks; None if a run failed. ``second``: of the measure that decides between near ties. ``epochs``:
    how many it was trained for. ``by_seed``, ``second_by_seed``: both for each seed of tuning.
    """

    hyperparameters: dict[str, Value]
    reduction: str | None = None
    learning_rate: Number | None = None
    weight_decay: Number = 0.0
    class_rate: Number | None = None
    start: str | None = None
    transform: str | None = None
    score: Number | None = None
    second: Number | None = None
    epoch: int | None = None
    epochs: int | None = None
    by_seed: tuple[Number | None, ...] = ()
    second_by_seed: tuple[Number | None, ...] = ()
    failed: int = 0
    runs: tuple[str, ...] = ()


class Tuned(Frozen):
    """What tuning chose for a loss: its numbers, epoch and validation score, and any edges it lies on.

    ``checkpoint`` 0: no epoch was better than the start, so that training adds nothing. ``start`` and
    ``transform`` are those of all losses of the study. ``measure``: what ``score`` is the mean of, on
    validation. ``agreement``: Spearman's rank correlation of the first stage with the whole training.
    ``unstable``: the share of draws of the tuning seeds, with replacement, in which another setting would
    have been chosen, None where it was not measured. ``epochs``: of all trials, in epochs of one seed.
    ``judged``: on validation rows as any seed draws them, on folds of the classes, or on rows of every class.
    """

    hyperparameters: dict[str, Value]
    reduction: str | None = None
    learning_rate: Number | None = None
    weight_decay: Number = 0.0
    class_rate: Number | None = None
    checkpoint: int | None = None
    start: str | None = None
    transform: str | None = None
    score: Number | None = None
    measure: str = "map_at_r"
    trials: int = 0
    diverged: int = 0
    edge: tuple[Edge, ...] = ()
    widened: bool = False
    agreement: Number | None = None
    unstable: Number | None = None
    epochs: int | None = None
    judged: Judged = "draws"


class Price(Frozen):
    """What a side costs: seconds to train or fit one run, and the parameters of what it leaves to use.

    None where it is not known, as for runs that an earlier version stored.
    """

    seconds: Number | None = None
    parameters: int | None = None


class Fault(Frozen):
    """Runs of a side that ended and yet learned nothing.

    ``kind``: ``stuck``, where a run gave no gradient; ``margin``, where the loss ended at its margin, as
    equal rows have it; ``collapsed``, where embeddings ended near one point; ``line``, where those of many
    classes ended on a line. ``runs``: how many, ``of`` those that ended. ``apart``: the widest distance
    between classes of the collapsed. ``rank``: the largest effective rank of those on a line. ``margin``:
    where the loss ended.
    """

    side: str
    kind: Literal["stuck", "margin", "collapsed", "line"]
    runs: int
    of: int
    apart: Number | None = None
    rank: Number | None = None
    margin: Number | None = None


class Settings(Frozen):
    """The numbers of a loss that a verdict is conditional on.

    ``loss``: the loss's label. ``name``: how sentences call it: its registered name, or the label of a
    foreign loss. ``tuned``: None where it is not known, as for anyone's own runs. ``unsettled``: another
    draw of the validation would have changed the choice of these numbers in over 20 % of draws; every
    sentence then calls the loss by its numbers. ``start``: where the network of a tuned loss started, the
    name of a closed form or ``random``. ``stopped``: no epoch was better than that start on validation.
    """

    loss: str
    name: str
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    reduction: str | None = None
    tuned: bool | None = None
    unsettled: bool = False
    start: str | None = None
    stopped: bool = False


class SideResult(Frozen):
    """What was measured of a loss, a baseline or a closed form.

    ``validation``: measure -> mean on validation rows, known before the test split was measured. ``price``:
    None where nothing is known. ``faults``: runs that ended and learned nothing.
    """

    name: str
    measures: dict[str, MeasureValue] = Field(default_factory=dict)
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    runs: tuple[str, ...] = ()
    validation: dict[str, Number] = Field(default_factory=dict)
    price: Price | None = None
    faults: tuple[Fault, ...] = ()

    def mean(self, measure: str) -> float | None:
        """The mean of a measure, None where there is none."""
        found = self.measures.get(measure)
        return None if found is None else found.mean

    def interval(self, measure: str) -> tuple[float | None, float | None]:
        """The ends of a measure's 95 % interval over seeds, None where there are none."""
        found = self.measures.get(measure)
        return (None, None) if found is None else (found.low, found.high)


class LossResult(SideResult):
    """A loss: its whole identity, how it was chosen, and what was measured.

    ``usual``: the loss at its usual numbers, where it was tuned. ``curves``: the validation measure over
    single numbers of it, where these were asked for.
    """

    spec: LossSpec | None = None
    usual: LossSpec | None = None
    tuned: Tuned | None = None
    trials: tuple[Trial, ...] = ()
    curves: tuple[Curve, ...] = ()


class BaselineResult(SideResult):
    """A side that no loss trains: ``raw``, ``untrained``, or a closed form.

    ``described``: a closed form at the input's own size, or a tuned loss at its usual numbers (called
    "triplet, untuned"), which is shown and never tested. Of a closed form, by seed: ``shrinkage`` is the
    share of the mean eigenvalue that validation chose (None without one, or where it is infinite),
    ``dimensions`` those of its embedding, ``exponent`` the power of its correlation that a dimension of
    ``cca`` is weighted by, ``pairs`` the training pairs that it is fitted to, where these are no classes.
    """

    family: Literal["baseline", "closed form"] = "baseline"
    described: bool = False
    shrinkage: tuple[Number | None, ...] = ()
    dimensions: tuple[int | None, ...] = ()
    exponent: tuple[Number | None, ...] = ()
    pairs: tuple[int | None, ...] = ()
