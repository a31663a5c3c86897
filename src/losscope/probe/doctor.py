"""The doctor: rules that say in plain words, once each, when and why a training goes wrong, and what helps.

A rule reads the values of one step after the other, as a probe recorded them, and speaks when its threshold
is passed. The thresholds stand here and in docs/definitions.md, "Probe". Nothing here imports torch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from losscope.core import wording

Severity = Literal["alarm", "note"]
Values = Mapping[str, float]

LOOKS = 3
"""Looks in a row that have to agree, for rules on what is looked at now and then."""
STEPS = 20
"""Steps that have to agree, for rules on what every step records."""
IDLE = 50
"""Steps in a row without any gradient."""
SPREAD = 0.05**2
"""Mean squared distance of unit rows to their mean below which they have collapsed, as in `compare`."""
FALLEN = 0.25
"""A collapse is below this share of the spread at the first look: a network may begin narrow."""
ALIKE = 0.1
"""Share of the rows of a batch that repeat another row."""
LENGTH = 0.01
"""How far the mean length of rows may be from 1."""
LACKING = 0.5
"""Share of the last steps whose batch had no positive, or no negative, at all."""
WAY = 10.0
"""Sum of ‖Δθ‖ over the last steps of the optimiser, in lengths ‖θ‖ of the weights before them."""
OVERFLOWS = 20
"""Steps in a row whose scaled gradient is not finite; fewer are a GradScaler that looks for its scale."""


class Subject(BaseModel):
    """What is known of the loss that is probed.

    Attributes:
        loss: its name.
        unit_rows: whether it wants rows of length 1 and does not make them itself.
        compares_rows: whether rows are compared with each other, so that a batch needs positives and
            negatives; False for a loss with vectors of its own.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    loss: str
    unit_rows: bool = False
    compares_rows: bool = True


@dataclass(frozen=True)
class Finding:
    """What the doctor found.

    Attributes:
        rule: the rule's name.
        severity: ``alarm``, or ``note`` for what may be as it should.
        step: at which it was seen.
        what: what is seen, with its number.
        cure: what helps.
    """

    rule: str
    severity: Severity
    step: int
    what: str
    cure: str

    @property
    def sentence(self) -> str:
        """The finding as one line.

        >>> print(Finding("collapse", "alarm", 40, "all is one point", "lower the learning rate").sentence)
        step 40, collapse: all is one point. What helps: lower the learning rate.
        """
        return f"step {self.step:,}, {self.rule}: {self.what}. What helps: {self.cure}."


class Rule(ABC):
    """One rule: ``see`` is called with every step until it speaks."""

    name: str

    @abstractmethod
    def see(self, step: int, values: Values) -> Finding | None:
        """What the rule says at this step, or None."""

    def say(self, step: int, what: str, cure: str, severity: Severity = "alarm") -> Finding:
        return Finding(self.name, severity, step, what, cure)


class NonFinite(Rule):
    """A loss, a gradient or an embedding that is NaN or infinite, and where it arose."""

    name = "not finite"

    def __init__(self) -> None:
        self.overflows = 0

    def see(self, step: int, values: Values) -> Finding | None:
        if values.get("embeddings_not_finite", 0) > 0:
            count = wording.count(int(values["embeddings_not_finite"]), "row")
            return self.say(
                step,
                f"{count} of the embeddings are NaN or infinite before the loss sees them, "
                "so it arose in the network or its inputs",
                "look for NaN in the inputs and in the parameters, lower the learning rate, clip gradients",
            )
        loss = values.get("loss")
        if loss is not None and not math.isfinite(loss):
            return self.say(
                step,
                f"the loss is {_word(loss)} while all embeddings are finite, so it arose in the loss",
                "look for a root, a logarithm or a division of 0, and for overflow of exp in half precision",
            )
        rows = values.get("gradients_not_finite", 0)
        if not rows:
            self.overflows = 0
            return None
        self.overflows += 1
        if values.get("loss_factor", 1.0) > 1 and self.overflows < OVERFLOWS:
            return None
        return self.say(
            step,
            f"the gradient of {wording.count(int(rows), 'row')} is NaN or infinite while the loss is finite",
            "look for the root of a distance of 0, as two equal rows have it; add a little under the root",
        )


class Collapse(Rule):
    """All rows near one point, where they were apart before."""

    name = "collapse"

    def __init__(self) -> None:
        self.first: float | None = None
        self.near = 0

    def see(self, step: int, values: Values) -> Finding | None:
        spread = values.get("spread")
        if spread is None or not math.isfinite(spread):
            return None
        self.first = spread if self.first is None else self.first
        self.near = self.near + 1 if spread < SPREAD and spread <= FALLEN * self.first else 0
        if self.near < LOOKS:
            return None
        return self.say(
            step,
            "the embeddings of a batch have fallen onto one point: their spread is "
            f"{wording.number(spread)}, and was {wording.number(self.first)} at first",
            "lower the learning rate, take semihard or all triplets in place of the hardest, "
            "and check that negatives are pushed apart",
        )


class Idle(Rule):
    """No gradient for many steps: from the start, at a loss above 0, or because all is learned."""

    name = "no active term"

    def __init__(self) -> None:
        self.still = 0
        self.moved = False

    def see(self, step: int, values: Values) -> Finding | None:
        norm = values.get("embedding_gradient_norm")
        if norm is None:
            return None
        self.still = 0 if norm else self.still + 1
        self.moved = self.moved or bool(norm)
        if self.still < IDLE:
            return None
        loss = values.get("loss", 0.0)
        if loss > 0:
            return self.say(
                step,
                f"the loss is {wording.number(loss)} and had no gradient at all in the last {IDLE} steps",
                "the embeddings may be equal or cut off from the loss: look for detach, rounding or a clamp",
            )
        if not self.moved:
            return self.say(
                step,
                f"no term has been active in any of the first {IDLE} steps: nothing is trained",
                "every negative lies beyond the margin: raise it, check its unit, or mine harder tuples",
            )
        return self.say(
            step,
            f"no term has been active for the last {IDLE} steps: these batches teach nothing more",
            "stop here if validation is good; otherwise raise the margin or take harder tuples",
            "note",
        )


class Lacking(Rule):
    """Batches in which no row has a positive, or none a negative."""

    def __init__(self, kind: Literal["positive", "negative"]) -> None:
        self.kind = kind
        self.name = f"no {kind}s"
        self.last: deque[bool] = deque(maxlen=STEPS)

    def see(self, step: int, values: Values) -> Finding | None:
        share = values.get(f"rows_with_{self.kind}")
        if share is None:
            return None
        self.last.append(share == 0)
        if len(self.last) < STEPS or sum(self.last) < LACKING * STEPS:
            return None
        cure = (
            "draw several items of each class, for instance 8 classes with 4 items each"
            if self.kind == "positive"
            else "draw batches of several classes: shuffle the data, which may be sorted by class"
        )
        return self.say(
            step, f"{sum(self.last)} of the last {STEPS} batches had no {self.kind} for any row", cure
        )


class Lengths(Rule):
    """Rows that are not of length 1, for a loss that wants it."""

    name = "not normalised"

    def __init__(self) -> None:
        self.off = 0

    def see(self, step: int, values: Values) -> Finding | None:
        length = values.get("embedding_norm")
        if length is None or not math.isfinite(length):
            return None
        self.off = self.off + 1 if abs(length - 1) > LENGTH else 0
        if self.off < STEPS:
            return None
        return self.say(
            step,
            f"the loss wants rows of length 1, and their mean length is {wording.number(length)}",
            "normalise the embeddings: torch.nn.functional.normalize(embeddings, dim=1)",
        )


class Repeated(Rule):
    """Rows of a batch that are exactly another row of it."""

    name = "duplicate rows"

    def __init__(self) -> None:
        self.seen = 0

    def see(self, step: int, values: Values) -> Finding | None:
        share = values.get("duplicate_rows")
        if share is None:
            return None
        # In a collapse all rows are alike, and the cure is another one.
        self.seen = self.seen + 1 if share >= ALIKE and values.get("spread", 1.0) >= SPREAD else 0
        if self.seen < LOOKS:
            return None
        return self.say(
            step,
            f"{wording.percent(share)} of the rows of a batch repeat another row exactly",
            "draw a batch without replacement, and check that augmentation is random for each row",
        )


class Jumps(Rule):
    """An optimiser that carries the weights far from where they were."""

    name = "learning rate too high"

    def __init__(self) -> None:
        self.last: deque[tuple[float, float]] = deque(maxlen=STEPS)
        self.grown = STEPS

    def see(self, step: int, values: Values) -> Finding | None:
        update, weight = values.get("update_norm"), values.get("weight_norm")
        if update is None or weight is None:
            return None
        # Weights that begin at 0 have no length to measure by before they have grown.
        self.grown = 0 if weight == 0 else self.grown + 1
        if self.grown < STEPS:
            self.last.clear()
            return None
        self.last.append((update, weight))
        way = sum(update for update, _ in self.last) / self.last[0][1]
        if len(self.last) < STEPS or not way > WAY:
            return None
        return self.say(
            step,
            f"in {STEPS} steps the optimiser moved the weights by {wording.number(way)} times the length "
            "that they had before",
            "divide the learning rate by 10",
        )


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
        self.rules: list[Rule] = [NonFinite(), Collapse(), Idle(), Repeated(), Jumps()]
        if self.subject.compares_rows:
            self.rules += [Lacking("positive"), Lacking("negative")]
        if self.subject.unit_rows:
            self.rules.append(Lengths())

    def see(self, step: int, values: Values) -> list[Finding]:
        """What is new at this step."""
        new = []
        for rule in list(self.rules):
            found = rule.see(step, values)
            if found is not None:
                new.append(found)
                self.rules.remove(rule)
        self.findings += new
        return new


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"
