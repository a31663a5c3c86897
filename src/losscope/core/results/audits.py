"""The correctness card of a loss."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from losscope.core.results.base import Document, Frozen, Number

AuditSeverity = Literal["wrong", "unsafe", "caution", "slow", "none"]
"""How much a line matters, the worst first.

``wrong``: it trains something else than the labels say, or nothing, or on several processes something else
than on one. ``unsafe``: a batch that occurs stops the training or makes its weights NaN. ``caution``: sound,
but a setting of the training has to fit. ``slow``: sound, but large batches are dear. ``none``: no flaw.
"""
ALARMS: tuple[AuditSeverity, ...] = ("wrong", "unsafe")
"""What makes a line, and so a card, fail."""


class AuditLine(Frozen):
    """One check of a loss: whether it passed, how much that matters, and what it means.

    ``passed`` is None where the check does not apply, cannot tell, or found what asks for caution or is slow.
    """

    check: str
    passed: bool | None
    finding: str
    meaning: str
    severity: AuditSeverity = "none"


class ForceProfile(Frozen):
    """The force on an anchor: rows by the distance of its positive, columns by the distance of its negative.

    ``pull``: towards the positive. ``push``: away from the negative. None: not finite there.
    """

    distance: tuple[Number, ...]
    pull: tuple[tuple[Number | None, ...], ...]
    push: tuple[tuple[Number | None, ...], ...]
    axes: tuple[str, str] = ("positive", "negative")


class StepCost(Frozen):
    """What a step of ``size`` rows costs: seconds, the most bytes held at once, and numbers written."""

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


SplitCause = Literal[
    "none",
    "own rows",
    "labels unseen",
    "classes by process",
    "labels collide",
    "factor",
    "gradient",
    "other",
]
"""Why a split batch does not give the gradient of the whole one; ``none`` where it does.

``own rows``: each part's value depends on its own rows only. ``labels unseen``: on the rows of other
processes, and not on their labels. ``classes by process``: rows of one class on different processes are
negatives. ``labels collide``: classes are numbered from 0 on each process. ``factor``: the gradient is a
multiple of what it should be. ``gradient``: the value is right, and rows of other processes get less than
their gradient. ``other``: another loss.
"""


class SplitBatch(Frozen):
    """A batch on several processes, or in several micro-batches, beside the same batch whole.

    Attributes:
        by: what it is split over; gradients are averaged over it, as DistributedDataParallel does.
        parts: how many there are.
        batch: which of the audit's batches; ``shared`` has every class in every part.
        rows: of each part.
        gathered: whether the loss was called inside ``losscope.Distributed``.
        cause: why the gradient is another, if it is.
        others: whether the value of a part depends on the rows of another part.
        error: ‖g − G‖ / ‖G‖, g the gradient of the parts by the embeddings, G that of the whole batch.
        factor: g along G, over ‖G‖.
        degrees: the angle between them; None where g is 0.
        length: ‖g‖ / ‖G‖.
        value: the mean of the parts' values over the whole batch's; None where that is 0.
        parameters: as ``factor``, of the loss's own parameters; None without any.
        parameters_error: as ``error``, of them.
    """

    by: Literal["processes", "micro-batches"]
    parts: int
    batch: Literal["shared", "apart", "lone", "uneven"]
    rows: tuple[int, ...]
    gathered: bool = False
    cause: SplitCause
    others: bool
    error: Number
    factor: Number
    degrees: Number | None
    length: Number
    value: Number | None
    parameters: Number | None = None
    parameters_error: Number | None = None


class AuditResult(Document):
    """The correctness card of a loss. What ``losscope audit --json`` prints.

    ``severity`` is that of the worst line, and ``verdict`` says that line first. ``splits``: batches on
    several processes or in micro-batches, where these were asked for.
    """

    kind: ClassVar[str] = "audit"
    loss: str
    passed: bool
    lines: tuple[AuditLine, ...]
    profile: ForceProfile | None = None
    growth: Growth | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: Number = 0.0
    severity: AuditSeverity = "none"
    verdict: str = ""
    splits: tuple[SplitBatch, ...] = ()

    @property
    def failed(self) -> tuple[AuditLine, ...]:
        """The lines that did not pass: those that are wrong or unsafe."""
        return tuple(line for line in self.lines if line.passed is False)

    @property
    def cautions(self) -> tuple[AuditLine, ...]:
        """The lines that ask for caution or say that the loss is slow; the loss is sound none the less."""
        return tuple(line for line in self.lines if line.severity in ("caution", "slow"))
