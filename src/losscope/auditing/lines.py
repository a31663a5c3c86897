"""The lines of a correctness card: one check each, with a verdict and what it means for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from losscope.auditing.subjects import Subject
from losscope.core.results import ALARMS, AuditLine, AuditSeverity

BROKEN = "one such batch makes every weight NaN"
"""What a value or a gradient that is not finite means."""

Check = Callable[[Subject], "AuditLine | Sequence[AuditLine]"]


def line(check: str, passed: bool | None, finding: str, meaning: str) -> AuditLine:
    """A line without a flaw; ``passed`` is None where the check does not apply or could not tell."""
    return AuditLine(check=check, passed=passed, finding=finding, meaning=meaning)


def flaw(severity: AuditSeverity, check: str, finding: str, meaning: str) -> AuditLine:
    """A line that names a flaw; it fails if the flaw is an alarm.

    >>> flaw("slow", "time growth", "B^3.0", "large batches are dear").passed is None
    True
    """
    passed = False if severity in ALARMS else None
    return AuditLine(check=check, passed=passed, severity=severity, finding=finding, meaning=meaning)


def fill(subject: Subject, checks: Mapping[str, Check], essential: Sequence[str] = ()) -> list[AuditLine]:
    """Run the checks in order; a check that raises is an unsafe line that says what was raised.

    If the first check fails, only the ``essential`` ones are judged: the others would all say the same.
    """
    lines: list[AuditLine] = []
    for name, check in checks.items():
        if lines and lines[0].passed is False and name not in essential:
            lines.append(line(name, None, f"not judged: {lines[0].finding}", lines[0].meaning))
            continue
        try:
            made = check(subject)
            lines += [made] if isinstance(made, AuditLine) else made
        except Exception as error:
            first = str(error).splitlines()[0] if str(error) else "no message"
            said = f"raised {type(error).__name__}: {first}"
            lines.append(flaw("unsafe", name, said, "a batch like this one stops training"))
    return lines


def number(value: Tensor | float) -> str:
    """A number as a finding shows it."""
    return f"{float(value):.4g}"
