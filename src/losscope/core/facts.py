"""What each kind of registered item says of itself, as frozen, strict values. Imports no torch.

``register("loss", "triplet", hinge=True, ...)`` builds ``LossFacts``; a fact that is misspelt, missing or of
the wrong type is an error that names the choices. A person who adds an item reads its class here to see what
may be said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.mistakes import mistakes

Scale = Literal["difference", "log_ratio"]
Better = Literal["higher", "lower", "neither"]
Group = Literal["geometry", "greediness", "outcome", "detail", "verification", "cross-modal"]
Reduction = Literal["valid_mean", "active_mean", "balanced"]
Takes = Literal["pairs", "triplets", "anchors"]
Value = float | int | bool | str
Judged = Literal["draws", "folds", "rows"]
"""What tuning is judged on: validation as any seed draws it, folds of the classes, or rows of every class."""

Names = Annotated[tuple[str, ...], Field(strict=False)]
"""A tuple of names; a list will do."""
Rates = Annotated[tuple[Reduction, ...], Field(strict=False, min_length=1)]
Points = Annotated[tuple[dict[str, Value], ...], Field(strict=False)]

INDIFFERENCE: dict[Scale, float] = {"difference": 0.01, "log_ratio": math.log(1.10)}
"""The size below which a difference does not matter, for a quantity that does not state its own."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Quantity:
    """A measured quantity: its meaning, unit, orientation, scale and indifference.

    Attributes:
        better: the direction that is better, if any: more variance is not better or worse than less.
        scale: how two losses are compared, by a difference or by the log of a ratio.
        delta: the size below which a difference does not matter on that scale; 0.01, or 10 %, if not given.
        group: under which heading it is shown.
        limits: between which losses a comparison has no meaning: ``hinge`` (only hinge losses have the
            quantity), ``form`` (only losses of one form can be compared), or nothing.
        label: the name as people read it; made from the name if not given.
        order: the place within the group, the smaller first; quantities of one place stand as registered.
        column: the place among the columns of a comparison's table, the smaller first, after those of the
            goal; None for a quantity that has none. Ours stand from 100 on.
        negative_pairs: the fewest pairs of different classes that it needs to have a value, where it needs
            more than one.

    >>> Quantity("mean_norm", "mean length of the embeddings", "length", "neither", "log_ratio").label
    'mean norm'
    """

    name: str
    definition: str
    unit: str
    better: Better
    scale: Scale
    delta: float = math.nan
    group: Group = "outcome"
    limits: Literal["", "hinge", "form"] = ""
    label: str = ""
    order: int = 0
    column: int | None = None
    negative_pairs: int | None = None

    @property
    def range(self) -> tuple[float, float]:
        """The ends that no value lies beyond, as the unit and the scale say.

        >>> Quantity("hits", "share of hits", "share", "higher", "difference").range
        (0.0, 1.0)
        """
        known = {"share": (0.0, 1.0), "index": (-1.0, 1.0), "epochs": (0.0, math.inf)}
        if self.unit in known:
            return known[self.unit]
        return (0.0 if self.scale == "log_ratio" else -math.inf), math.inf

    def __post_init__(self) -> None:
        if math.isnan(self.delta):
            object.__setattr__(self, "delta", INDIFFERENCE[self.scale])
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " "))


class Facts(BaseModel):
    """Frozen and strict; an unknown fact is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    noun: ClassVar[str] = "item"
    """What a sentence calls one of them."""
    listed: ClassVar[str] = "items"
    """What ``losscope list`` calls them all."""

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Raise for facts that contradict each other or the function's hyperparameters."""

    def called_with(self) -> tuple[str, ...]:
        """The keywords that the function is called with, beside its hyperparameters."""
        return ()


class Bound(BaseModel):
    """The values of a hyperparameter with which a loss can act; others are refused before training.

    Attributes:
        of: the hyperparameter.
        at_least, at_most: its bounds, both allowed; None where there is none.
        where: the other hyperparameters with which the bound holds, as ``{"squared": True}``.
        because: why, as the end of a sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    of: str
    at_least: float | None = None
    at_most: float | None = None
    where: dict[str, Value] = {}
    because: str = ""

    def refusal(self, loss: str, hyperparameters: Mapping[str, Any], unit: str = "") -> str | None:
        """The sentence for a value out of the bound, with the conversion where degrees were given.

        >>> Bound(of="margin", at_most=3.1416).refusal("arcface", {"margin": 28.6}, "radians")
        'margin of arcface is 28.6 radians; at most 3.1416 is wanted: 28.6 degrees are 0.499 radians'
        """
        value = hyperparameters.get(self.of)
        if value is None or any(hyperparameters.get(key) != other for key, other in self.where.items()):
            return None
        low = self.at_least is not None and value < self.at_least
        if not low and (self.at_most is None or value <= self.at_most):
            return None
        wanted = f"at least {self.at_least:g}" if low else f"at most {self.at_most:.5g}"
        radians = unit == "radians"
        because = f"{value:g} degrees are {math.radians(value):.3f} radians" if radians else self.because
        given = f"{value:g} radians" if radians else f"{value:g}"
        return f"{self.of} of {loss} is {given}; {wanted} is wanted{because and f': {because}'}"


class LossFacts(Facts):
    """What a loss says of itself.

    Attributes:
        hinge: whether terms can be inactive, so that ``Terms.active`` is counted.
        normalised: whether it wants L2-normalised embeddings.
        takes: what one term is made of, and so what is drawn for it: ``pairs``, ``triplets``, or ``anchors``
            (every row with all its partners).
        form: the form of its value (``squared hinge``, ``linear hinge``, ``softmax``, or your own word). Raw
            values are compared between losses of one form only.
        reductions: how its terms can be reduced to a scalar.
        class_vectors: whether it is called with a parameter ``class_vectors`` (classes, embedding size).
        units: the unit of a hyperparameter, as ``{"margin": "distance"}``.
        positive: hyperparameters that must be greater than 0.
        bounds: between which values a hyperparameter means something, each a ``Bound`` given as a dictionary.
        defaults: by protocol, the hyperparameters where they differ from the signature's.
        space: the points that tuning tries; ``reduction`` may be among a point's keys.
        floor: whether its least possible value is above 0.
        faulty: whether it is a known fault, kept for study.
        held_weights: whether its gradient holds weights still that its value depends on, so that the gradient
            is not the slope of the value.
    """

    noun: ClassVar[str] = "loss"
    listed: ClassVar[str] = "losses"
    hinge: bool
    normalised: bool
    takes: Takes
    form: str = Field(min_length=1)
    reductions: Rates = ("valid_mean",)
    class_vectors: bool = False
    units: dict[str, str] = {}
    positive: Names = ()
    bounds: Annotated[tuple[Bound, ...], Field(strict=False)] = ()
    defaults: dict[str, dict[str, Value]] = {}
    space: Points = ()
    floor: bool = False
    faulty: bool = False
    held_weights: bool = False

    def called_with(self) -> tuple[str, ...]:
        """The class vectors, for a loss that has them."""
        return ("class_vectors",) if self.class_vectors else ()

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Raise for a name that is not a hyperparameter, or a reduction that the loss cannot have."""
        for where, names in (
            ("units", self.units),
            ("positive", self.positive),
            ("bounds", [name for bound in self.bounds for name in (bound.of, *bound.where)]),
            *(("defaults", point) for point in self.defaults.values()),
            *(("space", point) for point in self.space),
        ):
            for name in names:
                known = [*parameters, "reduction"] if where in ("defaults", "space") else [*parameters]
                if name not in known:
                    raise unknown(f"hyperparameter in {where}", name, known)
        for point in (*self.defaults.values(), *self.space):
            if (given := point.get("reduction", "valid_mean")) not in self.reductions:
                raise unknown("reduction", str(given), self.reductions)
        require(
            self.hinge or "active_mean" not in self.reductions,
            "the reduction active_mean is for hinge losses; give hinge=True or leave it out of reductions",
        )


class MeasureFacts(Facts):
    """What a measure says of itself.

    Attributes:
        quantities: what it yields, each a ``Quantity`` given as a dictionary.
        needs: what it cannot do without, beside embeddings and labels.
        uses: what it takes where it is there.
        default: whether it is measured without being named.
    """

    noun: ClassVar[str] = "measure"
    listed: ClassVar[str] = "measures"
    quantities: Annotated[tuple[Quantity, ...], Field(strict=False, min_length=1)]
    needs: Names = ()
    uses: Names = ()
    default: bool = True
    GIVEN: ClassVar[tuple[str, ...]] = (
        "reference",
        "fine_labels",
        "modality",
        "positive_pairs",
        "roles",
        "seed",
        "tags",
        "wanted",
    )

    @property
    def gives(self) -> tuple[str, ...]:
        """The names of the quantities."""
        return tuple(quantity.name for quantity in self.quantities)

    def called_with(self) -> tuple[str, ...]:
        """All that the measure needs or uses."""
        return (*self.needs, *self.uses)

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Raise for a need that no one can meet, and for a quantity declared twice."""
        for name in (*self.needs, *self.uses):
            if name not in self.GIVEN:
                raise unknown("need", name, self.GIVEN)
        twice = sorted({name for name in self.gives if self.gives.count(name) > 1})
        require(not twice, f"the quantity {', '.join(twice)} is declared twice")


class DataFacts(Facts):
    """What a data set says of itself before it is read.

    Attributes:
        n, classes, modality, split: what it holds, and how it is split.
        files: patterns of the files, below the data root, that mean that it is on this machine.
        bundled: whether it needs no file.
    """

    noun: ClassVar[str] = "data set"
    listed: ClassVar[str] = "data"
    title: str
    n: int = Field(gt=0)
    classes: int = Field(gt=0)
    modality: str
    split: str = ""
    licence: str = "none stated"
    origin: str = "not stated"
    files: Names = ()
    bundled: bool = False


class ModelFacts(Facts):
    """What a network says of itself.

    Attributes:
        inputs: the kind of data that it takes.
        stacks: whether members train faster stacked than one after the other on a CPU.
        hidden: its own widths, where the protocol's do not fit it.
    """

    noun: ClassVar[str] = "model"
    listed: ClassVar[str] = "models"
    inputs: Literal["vectors", "images", "pair"]
    stacks: bool = True
    hidden: Annotated[tuple[int, ...] | None, Field(strict=False)] = None


class ClosedFormFacts(Facts):
    """What a side in closed form says of itself.

    Attributes:
        title: what it is, in a few words.
        source: where it was defined.
        inputs: what it is fitted to, rows of one modality or pairs of two.
        unseen: whether it has a meaning for test classes that no training row has.
        of: the side that it is at the input's own size; it is described beside that one and never tested.
            Empty for a form at the study's embedding size.
    """

    noun: ClassVar[str] = "closed form"
    listed: ClassVar[str] = "closed_forms"
    title: str
    source: str
    inputs: Literal["rows", "pair"] = "rows"
    unseen: bool = True
    of: str = ""


class ProtocolFacts(Facts):
    """What a protocol says of itself; its numbers are what its function returns.

    Attributes:
        title: how a sentence calls it, after "under".
        tunes: the kinds of data on which it tunes each loss before the final runs.
        closed_forms: the kinds of data on which closed forms stand beside the losses.
        like: the protocol whose defaults a loss takes that declares none for this one.
        defaults: by loss, hyperparameters under this protocol.
    """

    noun: ClassVar[str] = "protocol"
    listed: ClassVar[str] = "protocols"
    title: str
    tunes: Names = ()
    closed_forms: Names = ()
    like: str = "matched"
    defaults: dict[str, dict[str, Value]] = {}


class ClaimFacts(Facts):
    """What a claim says of itself.

    Attributes:
        paper: the paper that makes it.
        statement: the claim in a sentence.
        source: where in the paper it is made.
        data: the paper's own data sets for it; on others the claim is judged as beyond the paper.
        measure: the quantity that it is about, None for an association.
        timing: whether it is about when things happen, so that it cannot be judged on shortened training.
    """

    noun: ClassVar[str] = "claim"
    listed: ClassVar[str] = "claims"
    paper: str
    statement: str
    source: str
    data: Names = ()
    measure: str | None = None
    timing: bool = False


class PaperFacts(Facts):
    """What a paper says of itself: its title, and where it is to be had."""

    noun: ClassVar[str] = "paper"
    listed: ClassVar[str] = "papers"
    title: str
    url: str = ""


class SectionFacts(Facts):
    """What a section of the page says of itself.

    Attributes:
        order: its place, the smaller first; sections of one place stand by name.
        of: on the page of what it stands.
    """

    noun: ClassVar[str] = "section"
    listed: ClassVar[str] = "sections"
    of: Literal["comparison", "reproduction", "multiverse", "any"] = "comparison"
    order: Annotated[float, Field(strict=False)] = 100.0


FACTS: dict[str, type[Facts]] = {
    "loss": LossFacts,
    "data": DataFacts,
    "model": ModelFacts,
    "closed_form": ClosedFormFacts,
    "measure": MeasureFacts,
    "protocol": ProtocolFacts,
    "claim": ClaimFacts,
    "paper": PaperFacts,
    "section": SectionFacts,
}
"""The facts of each kind of item."""


def facts_of(kind: str, name: str, given: Mapping[str, Any], parameters: Mapping[str, Any]) -> Facts:
    """The facts of an item from what its decorator says.

    Args:
        given: the decorator's keywords.
        parameters: the function's keyword-only parameters that have a default.

    Raises:
        LosscopeError: a fact that is misspelt, missing, of the wrong type, or that contradicts another.

    >>> facts_of("section", "mine", {"order": 3}, {})
    SectionFacts(of='comparison', order=3.0)
    >>> facts_of("section", "x", {"ordre": 3}, {})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: section 'x': unknown fact 'ordre'; did you mean 'order'? choices: ...
    """
    want, what = FACTS[kind], f"{FACTS[kind].noun} {name!r}"
    for key in given:
        if key not in want.model_fields:
            raise LosscopeError(f"{what}: {unknown('fact', key, want.model_fields)}")
    missing = [key for key, field in want.model_fields.items() if field.is_required() and key not in given]
    if missing:
        raise LosscopeError(
            f"{what} is registered without {_listed(missing)}; {_article(want.noun)} wants {_wanted(want)}"
        )
    try:
        facts = want(**given)
        facts.check(parameters)
    except ValidationError as error:
        raise LosscopeError(f"{what}: {mistakes(error)}") from None
    except LosscopeError as error:
        raise LosscopeError(f"{what}: {error}") from None
    return facts


def _wanted(want: type[Facts]) -> str:
    fields = want.model_fields.items()
    must = [key for key, field in fields if field.is_required()]
    may = [key for key, field in fields if not field.is_required()]
    return f"{_listed(must)}; it may have {_listed(may)}" if may else _listed(must)


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
