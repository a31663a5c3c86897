"""What is known of a loss before it is called: its name, what it wants, the units of its numbers."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from losscope.core import wording
from losscope.core.registry import entry
from losscope.losses.drop_in import LossModule
from losscope.probe.findings import Misfit, Subject
from losscope.probe.inputs import FROM_EMBEDDINGS

MARGINS = ("margin", "neg_margin", "triplet_margin", "m")
TEMPERATURES = ("temperature", "temp", "tau")
SCALES = ("scale", "s")
DEGREES = ("ArcFaceLoss", "SubCenterArcFaceLoss")
"""Losses of pytorch-metric-learning that are given degrees, and keep radians."""


def subject_of(loss: Callable[..., Any], unit_rows: bool) -> Subject:
    """What is known of a loss before it is called."""
    own_vectors = (
        isinstance(loss, nn.Module)
        and not hasattr(loss, FROM_EMBEDDINGS)
        and any(parameter.requires_grad for parameter in loss.parameters())
    )
    numbers = hyperparameters(loss)
    ours = isinstance(loss, LossModule)
    cosines = next((name for name in (*TEMPERATURES, *SCALES) if name in numbers), None)
    return Subject(
        loss=name_of(loss),
        unit_rows=unit_rows or (isinstance(loss, LossModule) and loss.wants_unit_rows),
        compares_rows=not (own_vectors or _is_torch(loss)),
        of_cosines="" if ours or cosines is None else f"{cosines} {wording.number(numbers[cosines])}",
        misfits=() if ours else tuple(misfits(loss, numbers)),
    )


def _is_torch(loss: Callable[..., Any]) -> bool:
    """Whether a loss is torch's own, such as a cross-entropy: none of those compares the rows of a batch."""
    made = loss if inspect.isfunction(loss) else type(loss)
    return made.__module__ in ("torch.nn.modules.loss", "torch.nn.functional")


def hyperparameters(loss: Callable[..., Any]) -> dict[str, float]:
    """The numbers that a loss holds by name: attributes of a module, bound or default arguments.

    >>> hyperparameters(functools.partial(max, margin=0.2)), hyperparameters(nn.TripletMarginLoss())["margin"]
    ({'margin': 0.2}, 1.0)
    """
    held: Mapping[str, Any] = {}
    if isinstance(loss, LossModule):
        held = loss.spec.hyperparameters
    elif isinstance(loss, nn.Module):
        inner = getattr(loss, "loss", None)  # a wrapper, such as a memory of earlier batches
        held = {**(hyperparameters(inner) if isinstance(inner, nn.Module) else {}), **vars(loss)}
    elif isinstance(loss, functools.partial):
        held = {**hyperparameters(loss.func), **loss.keywords}
    elif inspect.isfunction(loss):
        held = {
            name: given.default
            for name, given in inspect.signature(loss).parameters.items()
            if given.default is not given.empty
        }
    return {name: number for name, value in held.items() if (number := _number(value)) is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) or (isinstance(value, Tensor) and value.ndim == 0):
        return float(value) if math.isfinite(float(value)) else None
    return None


def misfits(loss: Callable[..., Any], numbers: Mapping[str, float]) -> list[Misfit]:
    """Numbers of someone else's loss that lie outside what the same number of ours may be.

    >>> [found.what for found in misfits(max, {"margin": 28.6, "temperature": 0.1})]
    ['its margin is 28.6, and rows of length 1 are at most 2 apart, 4 squared: no term is ever satisfied']
    """
    return [
        *_inverted(loss, numbers),
        *(found for name in MARGINS if name in numbers for found in _margin(loss, name, numbers[name])),
        *(found for name in TEMPERATURES if name in numbers for found in _temperature(name, numbers[name])),
        *(found for name in SCALES if name in numbers for found in _scale(name, numbers[name])),
    ]


def _margin(loss: Callable[..., Any], name: str, value: float) -> Iterator[Misfit]:
    if value > _most("triplet", "margin", squared=True):
        yield Misfit(
            what=f"its {name} is {wording.number(value)}, and rows of length 1 are at most 2 apart, 4 "
            "squared: no term is ever satisfied",
            cure=f"give it in the loss's unit; {value:g} degrees are {math.radians(value):.3f} radians",
        )
    degrees = math.degrees(value)
    if type(loss).__name__ in DEGREES and 0 < degrees < 1:
        yield Misfit(
            what=f"its {name} is {wording.number(degrees)} degrees, which is next to none",
            cure=f"give degrees: {degrees:.3g} radians are {math.degrees(degrees):.1f} degrees",
            unit_rows=False,
        )


def _temperature(name: str, value: float) -> Iterator[Misfit]:
    if value > _most("info_nce", "temperature"):
        yield Misfit(
            what=f"its {name} is {wording.number(value)}, so that all cosines give nearly equal logits",
            cure=f"a temperature is 1 / scale: where a scale of {value:g} was meant, give {1 / value:.3g}",
        )


def _scale(name: str, value: float) -> Iterator[Misfit]:
    if 0 < value < 1:
        meant = f"where a temperature of {value:g} was meant, give {1 / value:.3g}"
        yield Misfit(
            what=f"its {name} is {wording.number(value)}, so that all cosines give nearly equal logits",
            cure=f"a scale is 1 / temperature: {meant}",
        )
    elif value > (most := _most("arcface", "scale")):
        yield Misfit(
            what=f"its {name} is {wording.number(value)}, which leaves float32 no gradient",
            cure=f"give at most {most:g}",
        )


def _inverted(loss: Callable[..., Any], numbers: Mapping[str, float]) -> list[Misfit]:
    """Margins of pytorch-metric-learning's pair losses that are distances where it compares similarities."""
    near, far = numbers.get("pos_margin"), numbers.get("neg_margin")
    inverted = getattr(getattr(loss, "distance", None), "is_inverted", None)
    if near is None or far is None or inverted is None or near == far or inverted == (near > far):
        return []
    unit, other = ("similarities", "distances") if inverted else ("distances", "similarities")
    return [
        Misfit(
            what=f"its pos_margin is {wording.number(near)} and its neg_margin {wording.number(far)}, which "
            f"are {other}, and it compares {unit}",
            cure="give pos_margin above neg_margin" if inverted else "give neg_margin above pos_margin",
            unit_rows=False,
        )
    ]


def _most(loss: str, of: str, **where: Any) -> float:
    """The most that the registry lets a hyperparameter of ours be."""
    bounds = entry("loss", loss).facts.bounds
    return next(b.at_most for b in bounds if b.of == of and b.at_most is not None and b.where == where)


def name_of(loss: Callable[..., Any]) -> str:
    """A loss's name: ours in full, another's class or function.

    >>> name_of(nn.CosineEmbeddingLoss())
    'CosineEmbeddingLoss'
    """
    if isinstance(loss, LossModule):
        return loss.spec.label
    if inspect.isroutine(loss):
        return loss.__name__
    return type(loss).__name__
