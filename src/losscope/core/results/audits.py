"""The correctness card of a loss."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from losscope.core.results.base import Document, Frozen, Number


class AuditLine(Frozen):
    """One check of a loss: whether it passed (None: it does not apply, or cannot tell) and what it means."""

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
