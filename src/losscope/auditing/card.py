"""A correctness card: one line a check, with a verdict and what it means for training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from losscope.auditing.subjects import Subject


@dataclass(frozen=True)
class Line:
    """One check of a card.

    ``passed`` is None where the check does not apply to the loss, or could not tell.
    """

    check: str
    passed: bool | None
    finding: str
    meaning: str


Check = Callable[[Subject], "Line | Sequence[Line]"]


@dataclass
class Card:
    """The card of one loss; ``data`` is what ``losscope audit --json`` prints."""

    loss: str
    lines: list[Line] = field(default_factory=list)
    profile: dict[str, Any] | None = None
    growth: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def failed(self) -> list[Line]:
        """The lines that did not pass."""
        return [line for line in self.lines if line.passed is False]

    @property
    def data(self) -> dict[str, Any]:
        """The card as plain values."""
        return {
            "schema": 1,
            "loss": self.loss,
            "passed": not self.failed,
            "lines": [vars(line) for line in self.lines],
            "profile": self.profile,
            "growth": self.growth,
            "versions": self.versions,
            "seconds": round(self.seconds, 2),
        }

    def json(self) -> str:
        """The JSON text."""
        return json.dumps(self.data, indent=1, ensure_ascii=False, allow_nan=False)

    def table(self) -> Any:
        """The card as a Rich table."""
        from rich.table import Table

        table = Table(title=self.loss, title_justify="left")
        for column in ("", "check", "finding", "what it means"):
            table.add_column(column, overflow="fold")
        marks = {True: "[green]✓[/]", False: "[red]✗[/]", None: "–"}
        for line in self.lines:
            table.add_row(marks[line.passed], line.check, _plain(line.finding), _plain(line.meaning))
        return table

    def __str__(self) -> str:
        if not self.failed:
            return f"{self.loss}: no failed line of {len(self.lines)}"
        said = "; ".join(f"{line.check}: {line.finding}" for line in self.failed)
        return f"{self.loss}: {len(self.failed)} of {len(self.lines)} lines failed: {said}"


def fill(subject: Subject, checks: dict[str, Check], essential: Sequence[str] = ()) -> list[Line]:
    """Run the checks one by one; one that raises is a failed line with what was raised.

    If the first check fails, only the ``essential`` ones are judged: the others would all say the same.
    """
    lines: list[Line] = []
    for name, check in checks.items():
        if lines and lines[0].passed is False and name not in essential:
            lines.append(Line(name, None, f"not judged: {lines[0].finding}", lines[0].meaning))
            continue
        try:
            made = check(subject)
            lines += [made] if isinstance(made, Line) else made
        except Exception as error:
            said = (
                f"raised {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            )
            lines.append(Line(name, False, said, "a batch like this one stops training"))
    return lines


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self.start


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
