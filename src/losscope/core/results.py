"""What losscope finds, as frozen, strict values: what statistics return, and what tables, pages and ``--json`` show.

``--json`` is the serialisation of one of these types and nothing else. A number that does not exist is None, never
NaN. A sentence is made from these fields in ``losscope.core.wording`` and is never read back: whatever a sentence
depends on is a field. Nothing here imports torch.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from losscope.core.errors import LosscopeError
from losscope.core.facts import Value
from losscope.core.quantities import Better, Scale
from losscope.core.spec import LossSpec, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SCHEMA = 2
"""The number of the JSON schema. New fields keep it; a field that changes its meaning raises it."""

Number = Annotated[float, AllowInfNan(False)]
SideKind = Literal["loss", "closed_form", "baseline"]
PairVerdict = Literal[
    "failed", "not_comparable", "too_few_seeds", "equivalent", "higher", "lower", "unresolved"
]
ClaimWord = Literal[
    "reproduced", "contradicted", "inconclusive", "not_testable", "direction_only", "size_unresolved"
]
Undecided = Literal["corrected_p", "both_directions", "unclear_order"]
"""Why a test that could reach the level did not: the correction, the interval, or the order of epochs."""
Ground = Literal["train_nothing", "beats_reference", "reference_unbeaten", "open", "single", "undirected"]
"""What a recommendation rests on; ``Recommendation`` describes each."""


class Frozen(BaseModel):
    """A value: its fields cannot be set, an unknown field is an error, and numbers are finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, serialize_by_alias=True, validate_by_name=True, validate_by_alias=True
    )

    def json_text(self) -> str:
        """The value as JSON text, keys in the order of the fields."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)


class Document(Frozen):
    """A value that ``--json`` prints and that a file holds: it names its schema."""

    kind: ClassVar[str] = "document"
    schema_number: Literal[2] = Field(default=2, alias="schema")

    @classmethod
    def from_json(cls, text: str, where: str = "the file") -> Any:
        """Read what ``json_text`` wrote.

        Fields that this version does not know are passed over, so that a newer file of one schema is read.

        Raises:
            LosscopeError: text that is not JSON, or of another schema; with what to do.
        """
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise LosscopeError(f"{where} is not valid JSON: {error}") from None
        schema = found.get("schema") if isinstance(found, dict) else None
        if schema != SCHEMA:
            raise LosscopeError(
                f"{where} has the JSON schema {schema}; this losscope reads schema {SCHEMA}: make it again with "
                f"losscope report on the folder that its runs are in"
            )
        try:
            return cls.model_validate(found, extra="ignore")
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise LosscopeError(f"{where} is not a {cls.kind} of losscope: {place}: {first['msg']}") from None


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Embeddings on their two leading principal components.

    Attributes:
        xy: the points, (n, 2).
        labels: their classes, (n,); −1 is the background.
        explained: the share of the variance on each axis, (2,), where it is known.
    """

    xy: np.ndarray
    labels: np.ndarray
    explained: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a page draws besides the numbers of its document.

    Attributes:
        traces: one row per loss, seed, split, epoch and name with its value, in columns of these names.
        detail: arrays of each loss by name, such as ``per_class/intra_variance`` (seeds, classes) with
            ``per_class/label`` (classes,).
        maps: a map of each loss's test embeddings.
    """

    traces: pd.DataFrame | None = None
    detail: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    maps: Mapping[str, EmbeddingMap] = field(default_factory=dict)


class Viewed(Document):
    """A document with a table and a page.

    The views are made by ``losscope.reporting``, which stands above this module: it is imported when a view is
    asked for, and here alone.
    """

    _evidence: Evidence | None = PrivateAttr(default=None)

    @property
    def evidence(self) -> Evidence | None:
        """The curves, arrays and maps that the page draws besides the numbers, where there are any."""
        return self._evidence

    def with_evidence(self, evidence: Evidence | None) -> Self:
        """The same document, its page drawn with curves, per-class arrays and maps. The JSON text is unchanged."""
        copied = self.model_copy()
        copied._evidence = evidence
        return copied

    def json(self) -> str:  # type: ignore[override]
        """The JSON text that ``--json`` prints."""
        return self.json_text()

    def table(self, format: str = "rich") -> Any:
        """The summary as a table: ``rich`` (printable in a terminal), or text as ``text``, ``md``, ``latex``, ``csv``.

        Raises:
            LosscopeError: a format that the document does not have; the error names those that there are.
        """
        return _views().table(self, format)

    def page(self) -> str:
        """The page as the text of one HTML file."""
        text: str = _views().page(self)
        return text

    def report(self, path: str | Path) -> Path:
        """Write the page to a file, and its folder where there is none; gives the path.

        Raises:
            LosscopeError: the file cannot be written.
        """
        written: Path = _views().report(self, path)
        return written


def _views() -> Any:
    return importlib.import_module("losscope.reporting.views")


class Provenance(Frozen):
    """Where numbers come from: the command that makes them again, versions, machine and times.

    A field that differs between the runs of a study is a tuple of its values.
    """

    command: str | None = None
    losscope: str | tuple[str, ...] | None = None
    python: str | tuple[str, ...] | None = None
    torch: str | tuple[str, ...] | None = None
    numpy: str | tuple[str, ...] | None = None
    machine: str | tuple[str, ...] | None = None
    host: str | tuple[str, ...] | None = None
    device: str | tuple[str, ...] | None = None
    threads: str | tuple[str, ...] | None = None
    runs: int | None = None
    seconds: Number | None = None


class DataDescription(Frozen):
    """The data as they were read: what they are, how many, and where they come from."""

    name: str
    title: str
    kind: str
    described: str
    edition: str = ""
    classes: int | None = None
    licence: str = ""
    origin: str = ""
    generated: bool = False
    disjoint: bool = False
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    digest: str | None = None


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

    ``kind``: ``diverged``, where the numbers of the training left the finite ones, which is final; ``failed``, where
    the machine or the code stopped it: the next command tries it again.
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
    """One trial of tuning: its numbers, its best epoch, and its mean validation score there (None: it failed)."""

    hyperparameters: dict[str, Value]
    reduction: str | None = None
    learning_rate: Number | None = None
    score: Number | None = None
    epoch: int | None = None
    failed: int = 0
    runs: tuple[str, ...] = ()


class Tuned(Frozen):
    """What tuning chose for a loss: its numbers, the epoch, the validation score, and the edges that it lies on."""

    hyperparameters: dict[str, Value]
    reduction: str | None = None
    learning_rate: Number | None = None
    checkpoint: int | None = None
    score: Number | None = None
    trials: int = 0
    diverged: int = 0
    edge: tuple[Edge, ...] = ()


class Settings(Frozen):
    """The numbers of a loss that a verdict is conditional on.

    ``loss``: the loss's label. ``name``: how sentences call it: its registered name, or the label of a foreign
    loss. ``tuned``: None where it is not known, as for anyone's own runs.
    """

    loss: str
    name: str
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    reduction: str | None = None
    tuned: bool | None = None


class SideResult(Frozen):
    """What was measured of a loss, a baseline or a closed form."""

    name: str
    measures: dict[str, MeasureValue] = Field(default_factory=dict)
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    runs: tuple[str, ...] = ()

    def mean(self, measure: str) -> float | None:
        """The mean of a measure, None where there is none."""
        found = self.measures.get(measure)
        return None if found is None else found.mean

    def interval(self, measure: str) -> tuple[float | None, float | None]:
        """The ends of a measure's 95 % interval over seeds, None where there are none."""
        found = self.measures.get(measure)
        return (None, None) if found is None else (found.low, found.high)


class LossResult(SideResult):
    """A loss: its whole identity, how it was chosen, and what was measured."""

    spec: LossSpec | None = None
    tuned: Tuned | None = None
    trials: tuple[Trial, ...] = ()


class BaselineResult(SideResult):
    """A side that no loss trains: ``raw``, ``untrained``, or a closed form."""


class NotComparable(Frozen):
    """Why two sides have no verdict on a measure, or no number at all.

    ``why``: ``form`` (raw values of unlike loss forms), ``hinge`` (only hinge losses have the measure), ``floor``
    (a loss with a positive floor has none), ``no_value`` (of ``names``, or none at all), ``no_pair`` (no seed has
    a value of both), ``splits`` (measured on two parts of the data), ``not_positive`` (a value that is not above
    0 has no log ratio), ``unreached`` (epochs that not every run reached: compared by order),
    ``no_correlation``. ``names``: the forms, splits or sides, in this order.
    """

    why: Literal[
        "form",
        "hinge",
        "floor",
        "no_value",
        "no_pair",
        "splits",
        "not_positive",
        "unreached",
        "no_correlation",
    ]
    names: tuple[str, ...] = ()


class Comparison(Frozen):
    """Side a against side b on one measure; the numbers are a minus b, on the log-ratio scale log(a/b).

    Attributes:
        primary: whether this is a test of the goal's family, ``family`` its name. Others are described.
        n: pairs with both values (unpaired: the smaller group); ``runs``, ``failed``: of a and of b.
        missing: pairs whose runs ended without a value.
        low, high: the interval for these data at level 1 − alpha.
        low_data, high_data: the interval for data like these.
        p_holm: p corrected for ``tests_in_family``.
        p_attainable: the smallest corrected p that so many runs can reach.
        order: of epochs that not every run reached: pairs in which a is later, b is later, and ties.
        verdict: None for a described row.
        better: which side is better, where the measure has a better direction and the verdict is one.
        scope: ``these_data``, or ``data_like_these`` where the data are redrawn with each seed.
        seeds_needed: seeds in all that would resolve it, at the next look.
        seeds_testable: the fewest seeds that could be tested at the next look, for too few seeds.
        reason: why there is no verdict or no number, if so; ``no_difference``: why there is no number.
        undecided: why a test that could reach the level did not, for an unresolved row.
        sentence: the row in words, made from the fields.
    """

    a: str
    b: str
    measure: str
    scale: Scale
    primary: bool
    family: str | None
    n: int
    difference: Number | None
    low: Number | None
    high: Number | None
    low_data: Number | None
    high_data: Number | None
    p: Number | None
    p_holm: Number | None
    p_attainable: Number | None
    tests_in_family: int | None
    look: int
    alpha: Number
    delta: Number
    verdict: PairVerdict | None
    better: Literal["a", "b"] | None
    scope: Literal["these_data", "data_like_these"]
    seeds_needed: int | None
    paired: bool = True
    runs: tuple[int, int] = (0, 0)
    failed: tuple[int, int] = (0, 0)
    missing: int = 0
    mean_a: Number | None = None
    mean_b: Number | None = None
    sd: Number | None = None
    smallest_p: Number = 1.0
    order: tuple[int, int, int] | None = None
    seeds_testable: int | None = None
    reason: NotComparable | None = None
    no_difference: NotComparable | None = None
    undecided: Undecided | None = None
    sentence: str = ""


class Recommendation(Frozen):
    """What to use for a goal: a loss, ``raw`` (train nothing), or None; and why, in three sentences.

    Attributes:
        measure: what decides.
        ground: what the answer rests on. ``train_nothing``: no loss is shown to beat the raw inputs;
            ``beats_reference``: the best of the losses shown better than the reference; ``reference_unbeaten``:
            every other loss is shown worse; ``open``: neither holds; ``single``: one loss, held against the
            baselines; ``undirected``: neither more nor less of the measure is better.
        reference: the loss that the others were tested against.
        ranking: the losses from the best mean to the worst, those without one last.
        rests_on: the pair (a, b) of the family that the first sentence rests on.
    """

    goal: str | None
    loss: str | None
    sentences: tuple[str, ...] = ()
    measure: str | None = None
    ground: Ground | None = None
    reference: str | None = None
    ranking: tuple[str, ...] = ()
    rests_on: tuple[str, str] | None = None


class PublishedValue(Frozen):
    """A published single value beside ours: inside the 95 % prediction interval of one further run, or by how much not."""

    loss: str
    measure: str
    published: Number
    mean: Number | None
    low: Number | None
    high: Number | None
    inside: bool | None
    outside_by: Number | None
    held_out: Number | None
    source: str


class Result(Viewed):
    """A comparison: data, protocol, sides, pairs, recommendation. What ``losscope compare --json`` prints.

    >>> Result.model_fields["losses"].description is None
    True
    """

    kind: ClassVar[str] = "comparison"
    data: DataDescription
    protocol: Protocol | None
    seeds: tuple[int, ...]
    goal: str
    unpaired: bool = False
    losses: tuple[LossResult, ...]
    baselines: tuple[BaselineResult, ...]
    settings: tuple[Settings, ...] = ()
    paired: tuple[Comparison, ...]
    recommendation: Recommendation
    published: tuple[PublishedValue, ...] = ()
    notes: tuple[str, ...] = ()
    store: str | None = None
    study: str | None = None
    report_file: str | None = Field(default=None, alias="report")
    provenance: Provenance = Provenance()
    unfinished: Unfinished | None = None

    def side(self, name: str) -> SideResult:
        """The loss or baseline of a name.

        Raises:
            KeyError: there is none.
        """
        for found in self.sides:
            if found.name == name:
                return found
        raise KeyError(name)

    @property
    def sides(self) -> tuple[SideResult, ...]:
        """The losses, then the baselines."""
        return (*self.losses, *self.baselines)

    def verdicts(self) -> tuple[Comparison, ...]:
        """The tested pairs: the family of the goal's primary measure."""
        return tuple(row for row in self.paired if row.primary)

    def __str__(self) -> str:
        return " ".join(self.recommendation.sentences)


class ClaimReason(Frozen):
    """Why a claim has the verdict that it has.

    ``why``: ``stated`` (``text``, by the claim itself), ``not_measured``, ``failed`` (``count`` of ``total``
    runs), ``no_value`` (in ``count`` of ``total`` pairs or runs), ``not_comparable`` (``bar`` says why),
    ``too_few_seeds``, one of ``Undecided``, ``equivalent`` (within ±``delta``), ``other_sign``, ``no_size`` (the
    published number cannot be tested, ``bar`` says why), ``outside`` (``published`` is outside the prediction
    interval ``low`` to ``high``) or ``too_wide`` (that interval is). The numbers are on the claim's ``scale``.
    """

    why: Literal[
        "stated",
        "not_measured",
        "failed",
        "no_value",
        "not_comparable",
        "too_few_seeds",
        "corrected_p",
        "both_directions",
        "unclear_order",
        "equivalent",
        "other_sign",
        "no_size",
        "outside",
        "too_wide",
    ]
    text: str = ""
    count: int | None = None
    total: int | None = None
    paired: bool = True
    bar: NotComparable | None = None
    scale: Scale = "difference"
    delta: Number | None = None
    published: Number | None = None
    low: Number | None = None
    high: Number | None = None


class ClaimVerdict(Frozen):
    """A claim of a paper on one data set under one protocol, or on all of the paper's data (``together``).

    ``expected`` and ``measured``, ``low``, ``high`` are differences, or ratios where ``scale`` is ``ratio``.
    ``beyond``: the paper makes the claim on other data. ``cells``: the paper's data sets, ``run`` those that were
    run and ``verdict_run`` the verdict on these, for a row that sums up.
    """

    id: str
    statement: str
    source: str
    data: str
    protocol: str
    verdict: ClaimWord
    expected: Number | None = None
    measured: Number | None = None
    low: Number | None = None
    high: Number | None = None
    seeds_needed: int | None = None
    reason: str | None = None
    beyond: bool = False
    together: bool = False
    says: str = ""
    measure: str | None = None
    scale: Literal["ratio", "difference"] | None = None
    a: str | None = None
    b: str | None = None
    mean_a: Number | None = None
    mean_b: Number | None = None
    n: int | None = None
    p: Number | None = None
    p_holm: Number | None = None
    tests_in_family: int | None = None
    look: int | None = None
    alpha: Number | None = None
    delta: Number | None = None
    predicted: tuple[Number, Number] | None = None
    settings: str | None = None
    edition: str | None = None
    study: str | None = None
    cells: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    verdict_run: ClaimWord | None = None


class Control(Frozen):
    """A number that explains claims: an interval, no verdict. ``scale`` ``value``: the number of one side."""

    id: str
    explains: tuple[str, ...]
    data: str
    protocol: str
    label: str
    measure: str
    scale: Literal["ratio", "difference", "log_ratio", "value"]
    measured: Number | None = None
    low: Number | None = None
    high: Number | None = None
    n: int | None = None
    a: str | None = None
    b: str | None = None
    mean_a: Number | None = None
    mean_b: Number | None = None
    loss: str | None = None
    margin: Number | None = None
    expected: Number | None = None
    note: str | None = None


class ControlDescription(Frozen):
    """What a control shows, in words; ``curves``: its rows are points of curves over each loss's margin."""

    id: str
    title: str
    note: str
    curves: bool = False


class StudyLink(Frozen):
    """A study of a reproduction: its settings, its folder, and the relative path of its page."""

    data: str
    protocol: str
    study: str | None
    settings: str
    reduced: str | None = None
    edition: str = ""
    look: int = 1
    page: str = ""


class Reproduction(Viewed):
    """Every claim of a paper with its verdict, and the controls. What ``losscope reproduce --json`` prints.

    ``data``: the paper, and what was run of it. ``losses``: those that the paper is about. ``summary``: what came out,
    in sentences. ``descriptions``: what each of the ``controls`` shows.
    """

    kind: ClassVar[str] = "reproduction"
    paper: str
    data: DataDescription
    seeds: tuple[int, ...]
    full: bool = False
    only: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()
    claims: tuple[ClaimVerdict, ...] = ()
    controls: tuple[Control, ...] = ()
    descriptions: tuple[ControlDescription, ...] = ()
    studies: tuple[StudyLink, ...] = ()
    notes: tuple[str, ...] = ()
    store: str | None = None
    report_file: str | None = Field(default=None, alias="report")
    ledger: str | None = None
    provenance: Provenance = Provenance()
    unfinished: Unfinished | None = None

    def __str__(self) -> str:
        return " ".join(self.summary)


class RiskRow(Frozen):
    """How many of some studies of one loss under two names told the names apart; ``rate`` with its 95 % interval."""

    label: str
    data: str
    directional: int
    studies: int
    seeds: int
    rate: Number
    low: Number
    high: Number
    command: str


class TuningRisk(Document):
    """How often verdicts tell one loss from itself. What ``losscope reproduce aa --json`` prints."""

    kind: ClassVar[str] = "tuning risk"
    command: str
    rows: tuple[RiskRow, ...]
    said: str
    losscope: str
    machine: str


class DesignPlan(Frozen):
    """What a number of seeds can show: the tests of the family and the smallest corrected p that it can reach."""

    tests_in_family: int
    look: int
    alpha: Number
    seeds: int
    p_attainable: Number
    minimal_seeds: int | None
    enough: bool
    sentence: str


class StudyPlan(Document):
    """What a study would cost and could show. What ``losscope compare --dry-run --json`` prints."""

    kind: ClassVar[str] = "plan"
    data: str
    runs: int
    stored: int
    populations: int
    epochs_left: int
    tuning_runs: int
    tests_in_family: int
    look: int
    alpha: Number
    seeds: int
    p_attainable: Number
    minimal_seeds: int | None
    enough: bool
    sentence: str


class CellPlan(Frozen):
    """What one cell of a reproduction will cost, and how many claims it tests at most."""

    data: str
    protocol: str
    role: str
    runs: int
    seconds: Number
    tests_in_family: int | None = None
    reduced: str | None = None


class ReproductionPlan(Document):
    """What a reproduction will cost and can show. What ``losscope reproduce --dry-run --json`` prints."""

    kind: ClassVar[str] = "reproduction plan"
    paper: str
    full: bool
    cells: tuple[CellPlan, ...]
    runs: int
    runs_left: int
    seconds: Number
    core_seconds: Number
    cores: int
    notes: tuple[str, ...] = ()
    tests_in_family: int
    look: int
    alpha: Number
    seeds: int
    p_attainable: Number
    minimal_seeds: int | None
    enough: bool
    sentence: str
    said: str


class AuditLine(Frozen):
    """One check of a loss: whether it passed (None: it does not apply, or could not tell), and what that means."""

    check: str
    passed: bool | None
    finding: str
    meaning: str


class ForceProfile(Frozen):
    """The force on an anchor: rows by the distance of its positive, columns by the distance of its negative.

    ``pull``: towards the positive. ``push``: away from the negative. None: not finite there.
    """

    distance: tuple[Number, ...]
    pull: tuple[tuple[Number | None, ...], ...]
    push: tuple[tuple[Number | None, ...], ...]
    axes: tuple[str, str] = ("positive", "negative")


class StepCost(Frozen):
    """What a step of ``size`` rows costs: seconds, the most bytes held at once, and the numbers written in all."""

    size: int
    seconds: Number
    bytes: int
    written: int


class Exponents(Frozen):
    """The powers of the batch size that costs grow with; None where too few batch sizes were tried."""

    seconds: Number | None
    bytes: Number | None
    written: Number | None


class Growth(Frozen):
    """How a loss's costs grow with the batch."""

    rows: tuple[StepCost, ...]
    exponents: Exponents


class AuditResult(Document):
    """The correctness card of a loss. What ``losscope audit --json`` prints."""

    kind: ClassVar[str] = "audit"
    loss: str
    passed: bool
    lines: tuple[AuditLine, ...]
    profile: ForceProfile | None = None
    growth: Growth | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: Number = 0.0

    @property
    def failed(self) -> tuple[AuditLine, ...]:
        """The lines that did not pass."""
        return tuple(line for line in self.lines if line.passed is False)


class BenchRow(Frozen):
    """One side of a benchmark on one work and size.

    Attributes:
        work: what is measured. ``size``: anchors of the batch, or members of the population.
        side: whose implementation; ``loss``: how it names the loss; ``version``: of its library.
        seconds: the median of a step (training: of an epoch).
        peak_bytes: the most that its process holds; ``step_bytes``: of it, beyond what was held before the step.
        ratio: its time over ours (training: over the plain loop, or over one member); ``ratio_low``,
            ``ratio_high``: a 95 % interval over rounds (training: the quartiles).
        rounds: how often it was measured.
        same: whether its value is ours; None where the forms differ or there is none.
        form: how its form differs from ours.
        status: ``measured``, or why it was not.
    """

    work: str
    size: int
    side: str
    loss: str | None = None
    version: str | None
    seconds: Number | None
    peak_bytes: int | None
    step_bytes: int | None = None
    ratio: Number | None
    ratio_low: Number | None = None
    ratio_high: Number | None = None
    rounds: int | None = None
    same: bool | None = None
    form: str = "the same"
    status: str = "measured"

    @property
    def measured(self) -> bool:
        """Whether there are numbers."""
        return self.status == "measured"


class BenchGrowth(Frozen):
    """The power of the batch size that a side's time grows with; None where fewer than two sizes were measured."""

    work: str
    side: str | None
    loss: str | None
    exponent: Number | None


class BenchProvenance(Frozen):
    """Where a benchmark was run. ``clock``: ``processor`` (the thread's own time) or ``wall``."""

    losscope: str
    torch: str
    python: str
    machine: str
    device: str
    threads: int
    clock: Literal["processor", "wall"]


class BenchResult(Document):
    """Time and memory beside the installed peers. What ``losscope bench --json`` prints."""

    kind: ClassVar[str] = "benchmark"
    what: Literal["losses", "training"]
    rows: tuple[BenchRow, ...]
    growth: tuple[BenchGrowth, ...] = ()
    provenance: BenchProvenance | None = None


class Embedding(Document):
    """Features of a data set by a frozen backbone. What ``losscope embed --json`` prints.

    ``key``: of the features in the cache. ``cached``: whether they were there before. ``folder``: where they lie.
    """

    kind: ClassVar[str] = "embedding"
    data: str
    notes: tuple[str, ...] = ()
    backbone: str
    preprocessing: str
    key: str
    rows: int
    width: int
    cached: bool
    seconds: Number
    folder: str
    out: str | None = None


class StoreProblem(Frozen):
    """Something altered, missing or left over in a store, and what mends it."""

    place: str
    what: str
    remedy: str


class StoreCheck(Document):
    """What a store holds and what is wrong with it. What ``losscope store check --json`` prints."""

    kind: ClassVar[str] = "store check"
    store: str
    runs: int
    statuses: dict[str, int]
    versions: dict[str, int]
    problems: tuple[StoreProblem, ...] = ()


def schemas() -> Mapping[str, dict[str, Any]]:
    """The JSON Schema of each document by its kind, as ``docs/schemas`` holds them."""
    documents = (
        Result,
        Reproduction,
        StudyPlan,
        ReproductionPlan,
        AuditResult,
        BenchResult,
        Embedding,
        StoreCheck,
        TuningRisk,
    )
    return {document.kind: document.model_json_schema(mode="serialization") for document in documents}


__all__ = [
    "SCHEMA",
    "AuditLine",
    "AuditResult",
    "BaselineResult",
    "BenchGrowth",
    "BenchProvenance",
    "BenchResult",
    "BenchRow",
    "Better",
    "CellPlan",
    "ClaimReason",
    "ClaimVerdict",
    "ClaimWord",
    "Comparison",
    "Control",
    "ControlDescription",
    "DataDescription",
    "DesignPlan",
    "Document",
    "Edge",
    "Embedding",
    "EmbeddingMap",
    "Evidence",
    "Exponents",
    "Failure",
    "ForceProfile",
    "Frozen",
    "Ground",
    "Growth",
    "LossResult",
    "MeasureValue",
    "NotComparable",
    "Number",
    "PairVerdict",
    "Provenance",
    "PublishedValue",
    "Recommendation",
    "Reproduction",
    "ReproductionPlan",
    "Result",
    "RiskRow",
    "Scale",
    "Settings",
    "SideResult",
    "StepCost",
    "StudyLink",
    "StudyPlan",
    "Trial",
    "Tuned",
    "TuningRisk",
    "Undecided",
    "Unfinished",
    "Viewed",
    "schemas",
]
