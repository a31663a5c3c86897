"""What tuning tries of a loss's numbers where a user says it: ``margin=0.05,0.1,0.2``. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeGuard

from losscope.core import registry
from losscope.core.bounds import LETTERS
from losscope.core.calls import literal, parse, with_words
from losscope.core.errors import LosscopeError, require, shown, unknown
from losscope.core.facts import Value
from losscope.core.loss_spec import OWN, LossSpec, Strict

VALUES = 100
"""Values of one hyperparameter at most."""
OPTIMISER = ("learning_rate", "weight_decay", "class_rate")
"""Numbers of the optimiser, which a loss has beside its own."""
KEYS = tuple(key for key in OWN if key != "checkpoint")
"""What may be searched beside hyperparameters; the epoch is chosen anyway."""


ALL = "all"
"""Every curve that applies."""
CURVES = (ALL, "own", "learning_rate", "embedding_size")
"""What curves may be asked for beside single numbers of a loss: all, its own numbers, and the rest."""


class Dimension(Strict):
    """The values of one hyperparameter that tuning tries, of one loss or (``loss`` None) of each that has it.

    >>> Dimension.read("margin=0.05,0.1"), Dimension.read("pml:CircleLoss:m=0.4").loss
    (Dimension(loss=None, name='margin', values=(0.05, 0.1)), 'pml:CircleLoss')
    """

    loss: str | None = None
    name: str
    values: tuple[Value, ...]

    @classmethod
    def read(cls, text: str) -> Dimension:
        """Read ``name=value,value`` or ``LOSS:name=value,value``; a word without quotes is a string.

        Raises:
            LosscopeError: a text that is not written so, no values, or a value given twice.
        """
        require(
            len(text) <= LETTERS,
            f"the space {shown(text)} is {len(text):,} letters long; at most {LETTERS:,} are read",
        )
        places = _outside(text, "=")
        head, values = (text[: places[0]], text[places[0] + 1 :]) if places else ("", "")
        loss, _, name = head.rpartition(":")
        require(
            name.strip().isidentifier(),
            f"cannot read the space {shown(text)}; it must be such as 'margin=0.05,0.1,0.2', or "
            "'triplet:margin=0.05,0.1,0.2' for one loss",
        )
        return cls(loss=loss.strip() or None, name=name.strip(), values=_values(values, text))

    def of(self, spec: LossSpec) -> bool:
        """Whether a loss is meant: every loss, or one by its text, its label or its name alone."""
        if self.loss is None:
            return True
        bare = spec.name.split("(", 1)[0].strip()
        return _plain(self.loss) in (_plain(spec.label), _plain(spec.name), _plain(bare))


def _plain(text: str) -> str:
    return "".join(text.split()).replace('"', "'")


def _outside(text: str, letter: str) -> list[int]:
    """The places of a letter outside of brackets."""
    found, depth = [], 0
    for place, own in enumerate(text):
        depth += (own in "([{") - (own in ")]}")
        if own == letter and depth == 0:
            found.append(place)
    return found


def _values(text: str, whole: str) -> tuple[Value, ...]:
    cuts = [-1, *_outside(text, ","), len(text)]
    parts = [text[first + 1 : last].strip() for first, last in zip(cuts, cuts[1:], strict=False)]
    require(
        all(parts),
        f"the space {shown(whole)} has {'no values' if not text.strip() else 'an empty value'}; wanted: "
        "values separated by commas, such as 'margin=0.05,0.1,0.2'",
    )
    require(
        len(parts) <= VALUES,
        f"the space {shown(whole)} has {len(parts):,} values; at most {VALUES} are tried",
    )
    return unlike([literal(part, f"the space {shown(whole)}") for part in parts], f"the space {shown(whole)}")


def unlike(values: Iterable[object], where: str) -> tuple[Value, ...]:
    """The values of a space, if they are numbers, switches or texts, and no two the same.

    >>> unlike([0.1, 0.1], "the space 'margin=0.1,0.1'")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: the space 'margin=0.1,0.1' has 0.1 twice; give each value once
    """
    found: list[Value] = []
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise LosscopeError(
                f"{where} has the value {shown(value)}; a number, True, False or a text is wanted"
            )
        twin = next(
            (own for own in found if own == value and isinstance(own, bool) == isinstance(value, bool)), None
        )
        require(twin is None, f"{where} has {shown(value)} twice; give each value once")
        found.append(value)
    return tuple(found)


def of_loss(dimensions: Sequence[Dimension], spec: LossSpec) -> tuple[Dimension, ...]:
    """The dimensions of one loss; those of a resolved study name each loss by its label."""
    return tuple(own for own in dimensions if own.loss == spec.label)


def check_curves(names: Sequence[str], losses: Sequence[LossSpec]) -> None:
    """Raise for a number that no loss has, of the names that ``Study.curves`` gives.

    What a foreign loss has is known when its code runs; what tuning tries of it is looked at then.
    """
    require(len(set(names)) == len(names), f"the curves {shown(', '.join(names))} name a number twice")
    known = {name for spec in losses for name in numeric(spec)}
    for name in names:
        if name not in known and name not in CURVES and not any(spec.foreign for spec in losses):
            raise unknown(
                f"number of {', '.join(spec.label for spec in losses)}:", name, [*CURVES, *sorted(known)]
            )


def numeric(spec: LossSpec) -> dict[str, float]:
    """The numbers among a loss's hyperparameters with their defaults; none of a foreign loss."""
    if spec.foreign or spec.baseline:
        return {}
    return {
        name: value
        for name, value in registry.entry("loss", spec.name).parameters.items()
        if is_number(value)
    }


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number and no switch."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def with_value(spec: LossSpec, name: str, value: Value) -> LossSpec:
    """The loss with another value of a hyperparameter; a foreign loss has it in its text.

    >>> with_value(LossSpec.parse("pml:TripletMarginLoss"), "margin", 0.05).name
    'pml:TripletMarginLoss(margin=0.05)'
    """
    if name in KEYS:
        return spec.model_copy(update={name: value})
    if spec.foreign:
        return spec.model_copy(update={"name": with_words(spec.name, {name: value})})
    return spec.model_copy(update={"hyperparameters": {**spec.hyperparameters, name: value}})


def numbers_of(spec: LossSpec, label: str = "") -> dict[str, Value]:
    """A loss's hyperparameters by name; of a foreign loss the arguments that its text has beyond ``label``.

    >>> chosen = LossSpec.parse("pml:TripletMarginLoss(margin=0.05)")
    >>> numbers_of(chosen, "pml:TripletMarginLoss"), numbers_of(chosen, chosen.label)
    ({'margin': 0.05}, {})
    """
    if not spec.foreign:
        return dict(spec.hyperparameters)
    if spec.name == label:
        return {}
    known = parse(label).loss.words if label else {}
    words = parse(spec.name).loss.words
    return {
        name: value
        for name, value in words.items()
        if name not in known and isinstance(value, bool | int | float | str)
    }
