"""What a rule of the doctor is, what it says, and what it knows of the loss. Nothing here imports torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["alarm", "note"]
Values = Mapping[str, float]


class Misfit(BaseModel):
    """A hyperparameter that seems to be in another unit than the loss's.

    Attributes:
        what: what is seen, with its number.
        cure: what helps.
        unit_rows: whether it is a misfit only where rows are compared at length 1.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    what: str
    cure: str
    unit_rows: bool = True


class Subject(BaseModel):
    """What is known of the loss that is probed.

    Attributes:
        loss: its name.
        unit_rows: whether it wants rows of length 1 and does not make them itself.
        compares_rows: whether rows are compared with each other, so that a batch needs positives and
            negatives; False for a loss with vectors of its own, and for torch's own losses.
        of_cosines: a hyperparameter that is a number for cosines, as a temperature is, with its value as
            text; empty where there is none. Where the loss does not normalise, it wants rows of length 1.
        misfits: hyperparameters in another unit than the loss's.
        model: whether a model was given, so that the optimiser's steps on it are recorded.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    loss: str
    unit_rows: bool = False
    compares_rows: bool = True
    of_cosines: str = ""
    misfits: tuple[Misfit, ...] = ()
    model: bool = False


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
    """One rule: ``see`` is called with every step until it speaks.

    Attributes:
        name: what it is called.
        silences: rules that have nothing to add once this one has spoken, since it names their cause.
    """

    name: str
    silences: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def see(self, step: int, values: Values) -> Finding | None:
        """What the rule says at this step, or None."""

    def say(self, step: int, what: str, cure: str, severity: Severity = "alarm") -> Finding:
        return Finding(self.name, severity, step, what, cure)
