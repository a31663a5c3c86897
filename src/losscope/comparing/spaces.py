"""Which values tuning tries of each loss's numbers, where a study gives them or a loss's code has its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from losscope.core import registry
from losscope.core.calls import parse
from losscope.core.errors import LosscopeError, require, shown, unknown
from losscope.core.facts import Value
from losscope.core.loss_spec import LossSpec, build, check_kind
from losscope.core.spaces import KEYS, OPTIMISER, Dimension, numbers_of, of_loss, unlike, with_value
from losscope.core.spec import ResolvedStudy, Study
from losscope.losses.foreign import sources

POINTS = 1000
"""Combinations of the values of one loss at most."""
SIZES = {"classes": 4, "embedding_size": 8}
"""What a foreign loss is built with to see its arguments."""


def dimensions(study: Study) -> tuple[Dimension, ...]:
    """What tuning tries of each loss by its label; the code of the study's foreign losses may run by now.

    A value given by hand is not varied. What names a loss goes before what names none.

    Raises:
        LosscopeError: a loss that is not there, a number that no loss has or that is given by hand, values
            with which a loss cannot act, too many of them.
    """
    specs = study.loss_specs()
    known = {spec.label: _arguments(spec) for spec in specs if study.space}
    made: dict[tuple[str, str], Dimension] = {}
    for text in sorted(study.space, key=lambda text: Dimension.read(text).loss is not None):
        given = Dimension.read(text)
        meant = [spec for spec in specs if given.of(spec)]
        if not meant:
            raise unknown(
                f"loss of the space {shown(text)}:", given.loss or "", [spec.label for spec in specs]
            )
        takers = [
            spec for spec in meant if given.name in known[spec.label] and not _by_hand(spec, given.name)
        ]
        require(bool(takers), _refusal(text, given.name, meant, known))
        for spec in takers:
            before = made.get((spec.label, given.name))
            require(
                before is None or (before.loss is None and given.loss is not None),
                f"the space of {given.name} of {spec.label} is given twice; give all its values in one",
            )
            values = tuple(_checked(spec, given.name, value, known[spec.label]) for value in given.values)
            made[spec.label, given.name] = given.model_copy(update={"values": values})
    named = [own.model_copy(update={"loss": label}) for (label, _), own in made.items()]
    for spec in specs:
        if spec.foreign and not of_loss(named, spec):
            named += _declared(spec)
    for spec in specs:
        points = math.prod(len(own.values) for own in of_loss(named, spec) if own.name not in OPTIMISER)
        require(
            points <= POINTS,
            f"the space of {spec.label} has {points:,} combinations; at most {POINTS:,} are wanted",
        )
    return tuple(named)


def texts(spec: LossSpec, spaces: Sequence[Dimension]) -> list[str]:
    """Every text under which a foreign loss is tried, its own first."""
    own = [each for each in of_loss(spaces, spec) if each.name not in KEYS]
    found = [spec.name]
    for point in product(*(each.values for each in own)):
        made = spec
        for each, value in zip(own, point, strict=True):
            made = with_value(made, each.name, value)
        found.append(made.name)
    return list(dict.fromkeys(found))


def tried_once(spec: LossSpec, spaces: Sequence[Dimension]) -> list[str]:
    """Texts in which each value of a foreign loss's space stands once, and its own text."""
    own = [each for each in of_loss(spaces, spec) if each.name not in KEYS]
    found = [spec.name]
    for place in range(max((len(each.values) for each in own), default=0)):
        made = spec
        for each in own:
            made = with_value(made, each.name, each.values[min(place, len(each.values) - 1)])
        found.append(made.name)
    return list(dict.fromkeys(found))


def notes(study: ResolvedStudy) -> list[str]:
    """Which foreign losses are tuned in the optimiser's numbers alone, and what would change that."""
    bare = [
        spec.label
        for spec in study.losses
        if study.tunes
        and spec.foreign
        and not parse(spec.name).loss.words
        and all(own.name in OPTIMISER for own in of_loss(study.spaces, spec))
    ]
    return [
        f"{label} declares no values of its own numbers to try, so that tuning varies its learning rate and "
        "weight decay alone; --space 'NAME=VALUE,VALUE' gives some"
        for label in bare
    ]


def _arguments(spec: LossSpec) -> Mapping[str, Any]:
    """What a space may name of a loss, each with its default."""
    if spec.baseline:
        return {}
    if not spec.foreign:
        found = registry.entry("loss", spec.name)
        keys = [key for key in KEYS if key != "class_rate" or found.facts.class_vectors]
        return {**dict.fromkeys(keys), **found.parameters}
    return {"learning_rate": None, "weight_decay": None, **_built(spec).arguments}


def _built(spec: LossSpec) -> Any:
    import torch

    from losscope.losses.foreign.building import ForeignLoss

    sources.permit(spec.name)
    with torch.random.fork_rng(devices=[]):
        return ForeignLoss(spec.name, **SIZES)


def _by_hand(spec: LossSpec, name: str) -> bool:
    if name in KEYS:
        return bool(getattr(spec, name) != type(spec).model_fields[name].default)
    return name in numbers_of(spec)


def _refusal(text: str, name: str, meant: Sequence[LossSpec], known: Mapping[str, Mapping[str, Any]]) -> str:
    hand = [spec.label for spec in meant if _by_hand(spec, name)]
    if hand:
        return (
            f"the space {shown(text)} varies {name}, which {', '.join(hand)} gives by hand; leave it out "
            "of the loss or of the space"
        )
    choices = sorted({key for spec in meant for key in known[spec.label]})
    losses = ", ".join(spec.label for spec in meant)
    return str(unknown(f"hyperparameter in the space {shown(text)} of {losses}:", name, choices))


def _checked(spec: LossSpec, name: str, value: Value, known: Mapping[str, Any]) -> Value:
    """A value as its default's kind, after it was seen that the loss can act with it."""
    default = known.get(name)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if name in KEYS:
        where = f"{name} of {spec.label}"
        own = build(LossSpec, {**spec.model_dump(), name: value}, where)
        own = own if not spec.foreign else LossSpec(name="triplet", learning_rate=own.learning_rate)
        own.check()
        return value
    if spec.foreign:
        if default is not None:
            check_kind(f"{name} of {spec.label}", value, default)
        return value
    made = with_value(spec, name, value)
    made.check()
    return value


def _declared(spec: LossSpec) -> Iterator[Dimension]:
    """The attribute ``space`` of a function or class of the user's: values of its arguments by name."""
    if parse(spec.name).kind not in ("file", "module"):
        return
    built = _built(spec)
    item = getattr(built.loss, "func", built.loss)
    found = getattr(item, "space", None)
    if not isinstance(found, Mapping):
        return
    for name, values in found.items():
        where = f"the space that {spec.label} declares"
        if name not in built.arguments or name in KEYS:
            raise unknown(f"hyperparameter in {where}:", name, built.arguments)
        if not isinstance(values, list | tuple) or not values:
            raise LosscopeError(f"{where} gives {name} as {shown(values)}; a list of values is wanted")
        if not _by_hand(spec, name):
            yield Dimension(loss=spec.label, name=name, values=unlike(values, f"{where} of {name}"))
