"""A paper held against measurements: verdicts of its claims, controls, studies; and the risk of tuning."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from losscope.core.results.base import Document, Frozen, Number
from losscope.core.results.comparisons import NotComparable, PairScale
from losscope.core.results.origins import DataDescription, Provenance
from losscope.core.results.sides import Unfinished
from losscope.core.results.views import Viewed

ClaimWord = Literal[
    "reproduced", "contradicted", "inconclusive", "not_testable", "direction_only", "size_unresolved"
]


class ClaimReason(Frozen):
    """Why a claim has the verdict that it has.

    ``why``: ``stated`` (``text``, by the claim itself), ``not_measured``, ``failed`` (``count`` of ``total``
    runs), ``no_value`` (in ``count`` of ``total`` pairs or runs), ``not_comparable`` (``bar`` says why),
    ``too_few_seeds``, one of ``Undecided``, ``equivalent`` (within ±``delta``), ``other_sign``, ``no_size``
    (the published number cannot be tested, ``bar`` says why), ``outside`` (``published`` is outside the
    prediction interval ``low`` to ``high``) or ``too_wide`` (that interval is). The numbers are on the
    claim's ``scale``.
    """

    why: Literal[
        "stated",
        "not_measured",
        "failed",
        "no_value",
        "not_comparable",
        "too_few_seeds",
        "corrected_p",
        "corrected_outside",
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
    scale: PairScale = "difference"
    delta: Number | None = None
    published: Number | None = None
    low: Number | None = None
    high: Number | None = None


class ClaimVerdict(Frozen):
    """A claim of a paper on one data set under one protocol, or on all of the paper's data (``together``).

    ``expected`` and ``measured``, ``low``, ``high`` are differences, or ratios where ``scale`` is ``ratio``.
    ``beyond``: the paper makes the claim on other data. ``cells``: the paper's data sets, ``run`` those that
    were run and ``verdict_run`` the verdict on these, for a row that sums up. ``direction``: on which side of
    no difference the claim lies, None where nothing was stated.
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
    direction: Literal["higher", "lower"] | None = None
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
    scale: Literal["ratio", "difference", "log_ratio", "log_error_ratio", "value"]
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

    ``data``: the paper, and what was run of it. ``losses``: those that the paper is about. ``summary``: what
    came out, in sentences. ``descriptions``: what each of the ``controls`` shows.
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
    """How many studies of one loss under two names told them apart; ``rate`` with its 95 % interval."""

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
