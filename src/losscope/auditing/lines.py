"""The lines of a correctness card: one check each, with a verdict and what it means for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from losscope.auditing.subjects import Subject
from losscope.core.results import AuditLine

BROKEN = "one such batch makes every weight NaN"
"""What a value or a gradient that is not finite means."""

Check = Callable[[Subject], "AuditLine | Sequence[AuditLine]"]


def line(check: str, passed: bool | None, finding: str, meaning: str) -> AuditLine:
    """A line of a card; ``passed`` is None where the check does not apply to the loss, or could not tell."""
    return AuditLine(check=check, passed=passed, finding=finding, meaning=meaning)


def fill(subject: Subject, checks: Mapping[str, Check], essential: Sequence[str] = ()) -> list[AuditLine]:
    """Run the checks in order; a check that raises is a failed line that says what was raised.

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
            lines.append(line(name, False, said, "a batch like this one stops training"))
    return lines


def number(value: Tensor | float) -> str:
    """A number as a finding shows it."""
    return f"{float(value):.4g}"
