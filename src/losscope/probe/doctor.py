"""The doctor: rules that say in plain words, once each, when and why a training goes wrong, and what helps.

A rule reads the values of one step after the other, as a probe recorded them, and speaks when its threshold
is passed. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from losscope.probe.findings import Finding, Rule, Subject, Values
from losscope.probe.rules_batch import (
    Blind,
    Collapse,
    Half,
    Lacking,
    Lengths,
    Line,
    Pulled,
    Repeated,
    Stuck,
    Units,
)
from losscope.probe.rules_gradient import Exploding, Idle, Jumps, NonFinite, Unmoved, Vanishing


@dataclass
class Doctor:
    """All rules that apply to a loss; each speaks once.

    Attributes:
        findings: what was found, in the order of the steps.

    >>> doctor = Doctor(Subject(loss="mine"))
    >>> [found.rule for found in doctor.see(1, {"loss": float("nan")})]
    ['not finite']
    >>> doctor.see(2, {"loss": float("nan")})
    []
    """

    subject: Subject
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = self.subject
        # A cause comes before what follows from it, which it silences.
        self.rules: list[Rule] = [NonFinite(), Units(own.misfits)]
        if own.compares_rows:
            self.rules += [Lacking("positive"), Lacking("negative")]
        if own.model:
            self.rules.append(Unmoved())
        self.rules.append(Blind())
        if own.compares_rows:
            self.rules += [Stuck(), Pulled()]
        if own.unit_rows or own.of_cosines:
            self.rules.append(Lengths(own.unit_rows, own.of_cosines))
        self.rules += [
            Collapse(),
            Half(),
            Line(),
            Idle(),
            Repeated(),
            Jumps(),
            Exploding(),
            Vanishing(),
        ]

    def see(self, step: int, values: Values) -> list[Finding]:
        """What is new at this step."""
        new: list[Finding] = []
        silent: set[str] = set()
        for rule in list(self.rules):
            found = None if rule.name in silent else rule.see(step, values)
            if found is not None:
                new.append(found)
                silent |= {rule.name, *rule.silences}
        self.rules = [rule for rule in self.rules if rule.name not in silent]
        self.findings += new
        return new
