"""A loss's identity as it is given, ``triplet(margin=0.2)``, and as it is trained, with nothing implicit.

Everything that changes a loss's value is a field. Unknown keys are errors that name the known ones. Nothing
here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from losscope.core import registry
from losscope.core.calls import is_foreign, named
from losscope.core.calls import parse as parse_foreign
from losscope.core.errors import LosscopeError, require, shown, unknown
from losscope.core.facts import LossFacts, Reduction, Value
from losscope.core.mistakes import mistakes

RAW, UNTRAINED = "raw", "untrained"
BASELINES = (RAW, UNTRAINED)
"""Sides that no loss trains: the L2-normalised inputs, and the initial network."""
CLOSED_FORM: Literal["closed form"] = "closed form"
Family = Literal["loss", "baseline", "closed form"]
"""What a side is."""

LEARNING_RATE = 10.0
"""The largest learning rate that a loss may be given."""

Tuples = Literal["all", "random", "hard", "semihard", "distance_weighted"]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    LATER: ClassVar[tuple[str, ...]] = ()
    """Fields that joined later: ids are hashed without them where they change nothing, at their default."""

    def canonical(self) -> str:
        """The value as sorted JSON, the text that ids are hashed from."""
        return json.dumps(self.identity(), sort_keys=True)

    def identity(self) -> dict[str, Any]:
        """What ids are hashed from."""
        values = self.model_dump(mode="json")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Strict):
                values[name] = value.identity()
            elif name in self.LATER and value == type(self).model_fields[name].default:
                del values[name]
        return values


MISTAKES = 10
"""Mistakes of one value that an error tells."""

Own = TypeVar("Own", bound=Strict)


def build(kind: type[Own], values: Mapping[str, Any], where: str) -> Own:
    """Validate, and say every mistake at once in one sentence, with the nearest known key."""
    for key in values:
        if key not in kind.model_fields:
            raise unknown(f"key in {where}", key, kind.model_fields)
    try:
        return kind(**values)
    except ValidationError as error:
        said = mistakes(error, MISTAKES)
        more = error.error_count() - MISTAKES
        raise LosscopeError(f"{where}: {said}{f'; and {more:,} more' if more > 0 else ''}") from None


OWN = ("reduction", "tuples", "learning_rate", "checkpoint", "weight_decay", "class_rate")
"""What may be given with a loss beside its hyperparameters."""


class LossSpec(Strict):
    """A loss's identity: everything that changes its value.

    ``name`` is a registered loss, a baseline, or a foreign loss as ``library:Call(...)``. ``checkpoint``: the
    epoch whose weights are measured, 0 for the start, the last if None. ``weight_decay`` draws the weights
    back to where they started: each step by learning rate × weight decay of the way. ``class_rate``: the
    learning rate of class vectors, the other weights' if None.

    >>> LossSpec.parse("triplet(margin=0.2, tuples='semihard')").label
    "triplet(margin=0.2, tuples='semihard')"
    """

    name: str
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    reduction: Reduction | None = None
    tuples: Tuples | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    checkpoint: int | None = Field(default=None, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    class_rate: float | None = Field(default=None, gt=0)
    LATER: ClassVar[tuple[str, ...]] = ("weight_decay", "class_rate")

    @classmethod
    def parse(cls, text: str) -> LossSpec:
        """Read ``name`` or ``name(key=value, ...)``; foreign losses (with a colon) are kept whole."""
        text = text.strip()
        if is_foreign(text):
            parse_foreign(text)
            return cls(name=text)
        call = named(text)
        name, words = call.name, dict(call.words)
        if name in BASELINES:
            require(not words, f"the baseline {name!r} has no hyperparameters; {shown(text)} gives some")
            return cls(name=name)
        require(
            name not in registry.entries("closed_form"),
            f"{name!r} is a closed form and no loss: closed forms stand beside the losses by themselves",
        )
        registry.entry("loss", name)
        own: dict[str, Any] = {key: words.pop(key) for key in OWN if key in words}
        spec = build(cls, {"name": name, "hyperparameters": words, **own}, f"loss {shown(text)}")
        spec.check()
        return spec

    def check(self) -> None:
        """Raise for a hyperparameter that the loss does not have, or a value with which it cannot act."""
        if self.foreign or self.baseline:
            return
        found = registry.entry("loss", self.name)
        facts, known = found.facts, found.parameters
        for key, value in self.hyperparameters.items():
            if key not in known:
                raise unknown(f"hyperparameter of {self.name}", key, [*known, "reduction", "tuples"])
            if key in facts.positive:
                # No float() here: a whole number may be larger than any float.
                number = isinstance(value, int | float) and not isinstance(value, bool)
                require(
                    number and 0 < value < float("inf"),  # type: ignore[operator]
                    f"{key} of {self.name} is {shown(value)}; it must be a finite number greater than 0",
                )
            check_kind(f"{key} of {self.name}", value, known[key])
        given = {**known, **self.hyperparameters}
        for bound in facts.bounds:
            refusal = bound.refusal(self.name, given, facts.units.get(bound.of, ""))
            require(refusal is None, refusal or "")
        rate = max(self.learning_rate or 0.0, self.class_rate or 0.0)
        require(
            self.class_rate is None or facts.class_vectors,
            f"class_rate is the learning rate of class vectors, and {self.name} has none",
        )
        require(
            rate <= LEARNING_RATE,
            f"the learning rate of {self.name} is {rate:g}; at most {LEARNING_RATE:g} is wanted: a step "
            "moves every weight by about as much",
        )
        if self.reduction and self.reduction not in facts.reductions:
            raise unknown(f"reduction of {self.name}", self.reduction, facts.reductions)

    @property
    def foreign(self) -> bool:
        """Whether the loss is another library's or the user's own."""
        return is_foreign(self.name)

    @property
    def baseline(self) -> bool:
        """Whether nothing is trained: ``raw``, ``untrained``, or a closed form."""
        return self.name in BASELINES or self.closed_form

    @property
    def closed_form(self) -> bool:
        """Whether this is a registered closed form."""
        return not self.foreign and self.name in registry.entries("closed_form")

    @property
    def family(self) -> Family:
        """What the side is."""
        return CLOSED_FORM if self.closed_form else "baseline" if self.baseline else "loss"

    @property
    def facts(self) -> LossFacts | None:
        """What the registration of the loss declares; None for foreign losses and baselines."""
        return None if self.foreign or self.baseline else registry.entry("loss", self.name).facts

    @property
    def label(self) -> str:
        """How the loss is called in tables: its name and what was given explicitly."""
        words = {**self.hyperparameters}
        for key in OWN:
            if getattr(self, key) != type(self).model_fields[key].default:
                words[key] = getattr(self, key)
        inside = ", ".join(f"{key}={value!r}" for key, value in words.items())
        return f"{self.name}({inside})" if inside else self.name

    def resolved(self, protocol: str) -> LossSpec:
        """The identity with every default of the protocol filled in, so that nothing is implicit."""
        if self.foreign or self.baseline:
            return self
        hyper = {**defaults(self.name, protocol), **self.hyperparameters}
        reduction = self.reduction or hyper.pop("reduction", None) or "valid_mean"
        hyper.pop("reduction", None)
        return self.model_copy(update={"hyperparameters": hyper, "reduction": reduction})


def form_spec(name: str, kind: str = "", goal: str = "") -> LossSpec:
    """A closed form on a kind of data for a goal.

    Of two modalities ``by`` says what chooses its setting on validation, where that is not MAP@R as for the
    losses' tuning, so that the runs for another goal are others.

    >>> form_spec("cca", "pair", "cross-modal").label, form_spec("cca", "pair", "retrieval").label
    ("cca(by='recall_at_1')", 'cca')
    """
    by_recall = kind == "pair" and goal == "cross-modal"
    return LossSpec(name=name, hyperparameters={"by": "recall_at_1"} if by_recall else {})


def check_kind(what: str, value: Value, default: Value | None) -> None:
    """Raise for a value of another kind than the default: a switch, a finite number, or a text."""
    if isinstance(default, bool):
        require(isinstance(value, bool), f"{what} is {shown(value)}; it must be True or False")
    elif isinstance(default, int | float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # A whole number may be larger than any float, so it is compared and not converted.
        finite = number and -float("inf") < value < float("inf")  # type: ignore[operator]
        require(finite, f"{what} is {shown(value)}; it must be a finite number")
    elif isinstance(default, str):
        require(isinstance(value, str), f"{what} is {shown(value)}; it must be a text")


def defaults(loss: str, protocol: str) -> dict[str, Any]:
    """A registered loss's hyperparameters under a protocol, ``reduction`` among them where it has its own.

    The signature's defaults; over these what the loss declares for the protocol, or for the one that the
    protocol is ``like``; over these what the protocol declares for the loss.

    >>> defaults("triplet", "paper")
    {'margin': 1.0, 'squared': False}
    """
    found = registry.entry("loss", loss)
    under = registry.entry("protocol", protocol).facts
    declared = found.facts.defaults
    own = declared.get(protocol, declared.get(under.like, {}))
    return {**found.parameters, **own, **under.defaults.get(loss, {})}


def split_losses(text: str | Iterable[str]) -> list[str]:
    """Split ``a,b(c=1,d=2)`` at the commas outside of brackets.

    >>> split_losses("triplet(margin=0.2,squared=True),contrastive")
    ['triplet(margin=0.2,squared=True)', 'contrastive']
    """
    if not isinstance(text, str):
        wrong = next((part for part in text if not isinstance(part, str)), None)
        require(
            wrong is None, f"the loss {shown(wrong)} is no text; a loss is written as 'triplet(margin=0.2)'"
        )
        return [loss for part in text for loss in split_losses(part)]
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
