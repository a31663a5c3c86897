"""The verdict of a correctness card, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from losscope.core.results import ALARMS, AuditLine, AuditSeverity

ORDER: tuple[AuditSeverity, ...] = get_args(AuditSeverity)
GRAVEST = (
    "ordinary batch",
    "labels",
    "force profile",
    "self-pairs",
    "margin",
    "range",
    "finite differences",
    "class names",
    "order",
    "rotation",
    "reduction",
)
"""Of lines of one severity, which is said first: the one that explains the others."""


def worst_first(lines: Sequence[AuditLine]) -> list[AuditLine]:
    """The lines of a card that name a flaw, the gravest first."""
    return sorted(
        (line for line in lines if line.severity != "none"),
        key=lambda line: (ORDER.index(line.severity), _place(line.check)),
    )


def audit_verdict(lines: Sequence[AuditLine]) -> str:
    """The gravest line of a card in words, then the names of the others with a flaw.

    >>> def line(check, severity, finding, meaning):
    ...     alarm = severity in ("wrong", "unsafe")
    ...     found = dict(check=check, severity=severity, finding=finding, meaning=meaning)
    ...     return AuditLine(passed=False if alarm else None, **found)
    >>> blind = line("labels", "wrong", "label-blind", "it learns nothing about classes")
    >>> summed = line("reduction", "caution", "a sum, not a mean", "a learning rate fits one batch size only")
    >>> audit_verdict([summed, blind])
    'Wrong: label-blind; it learns nothing about classes. Caution: reduction.'
    >>> audit_verdict([summed])
    'Sound. Caution: reduction: a sum, not a mean; a learning rate fits one batch size only.'
    >>> audit_verdict([])
    'Sound: no check found a flaw.'
    """
    flaws = worst_first(lines)
    if not flaws:
        return "Sound: no check found a flaw."
    first, rest = flaws[0], flaws[1:]
    said = [] if first.severity in ALARMS else ["Sound."]
    finding = first.finding if first.severity == "wrong" else f"{first.check}: {first.finding}"
    said.append(f"{first.severity.capitalize()}: {finding}; {first.meaning}.")
    for severity in ORDER[:-1]:
        names = [line.check for line in rest if line.severity == severity]
        if names:
            also = f"Also {severity}" if severity == first.severity else severity.capitalize()
            said.append(f"{also}: {', '.join(names)}.")
    return " ".join(said)


def _place(check: str) -> int:
    return GRAVEST.index(check) if check in GRAVEST else len(GRAVEST)
