"""The correctness card of a loss."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from losscope.core.results.base import Document, Frozen, Number

AuditSeverity = Literal["wrong", "unsafe", "caution", "slow", "none"]
"""How much a line matters, the worst first.

``wrong``: it trains something else than the labels say, or nothing. ``unsafe``: a batch that occurs stops
the training or makes its weights NaN. ``caution``: sound, but a setting of the training has to fit.
``slow``: sound, but large batches are dear. ``none``: no flaw.
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


class AuditResult(Document):
    """The correctness card of a loss. What ``losscope audit --json`` prints.

    ``severity`` is that of the worst line, and ``verdict`` says that line first.
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

    @property
    def failed(self) -> tuple[AuditLine, ...]:
        """The lines that did not pass: those that are wrong or unsafe."""
        return tuple(line for line in self.lines if line.passed is False)

    @property
    def cautions(self) -> tuple[AuditLine, ...]:
        """The lines that ask for caution or say that the loss is slow; the loss is sound none the less."""
        return tuple(line for line in self.lines if line.severity in ("caution", "slow"))
