"""How a run is trained and measured, as a frozen, strict value. Nothing here imports torch."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from losscope.core import registry
from losscope.core.bounds import EPOCHS
from losscope.core.errors import require, unknown
from losscope.core.finetuning import EPOCHS as FINETUNING_EPOCHS
from losscope.core.finetuning import FineTune, Precision
from losscope.core.loss_spec import Strict, Tuples, build

Start = Literal["random", "pca", "whitened"]
Transform = Literal["none", "l2", "sqrt", "standardise"]
AUGMENT = re.compile(r"flip|crop[1-9][0-9]?")
"""The augmentations that there are: see ``losscope.train.augment``."""


class Protocol(Strict):
    """How a run is trained and measured, every number a field (docs/definitions.md, "Protocols").

    ``batching``: ``balanced`` takes P classes of K samples, ``shuffled`` a permutation of the data.
    ``partners``: where a random partner comes from, the ``batch`` or the whole training ``set``.
    ``geometry_split``: on which split geometry is measured; ``background`` says whether the label -1
    is a class of its own there. ``curve_rows``: validation rows of the quality curve, at most. ``start``:
    where a linear head starts, at random weights or at a closed form fitted to the seed's training part.
    ``transform``: what is done to each input first. ``finetune``: what of the backbone is trained below the
    head (``core.finetuning``), at ``backbone_rate`` times the head's learning rate and in the arithmetic of
    ``precision``; ``recompute``: its activations are computed twice instead of kept, which changes no number.

    >>> numbers = {"hidden": (64,), "embedding_size": 32, "epochs": 5, "batch_size": 64}
    >>> own = Protocol(name="mine", model="mlp", batching="shuffled", **numbers)
    >>> own.learning_rate, own.geometry_split
    (0.001, 'test')
    """

    name: str
    model: str
    hidden: tuple[int, ...]
    embedding_size: int = Field(gt=0)
    epochs: int = Field(gt=0, le=EPOCHS)
    batch_size: int = Field(gt=1)
    classes_per_batch: int = Field(default=32, gt=1)
    batching: Literal["balanced", "shuffled"]
    partners: Literal["batch", "set"] = "batch"
    tuples: Tuples = "all"
    learning_rate: float = Field(default=1e-3, gt=0)
    geometry_split: Literal["train", "test"] = "test"
    background: Literal["class", "exclude"] = "exclude"
    augment: tuple[str, ...] = ()
    curve_rows: int = Field(default=256, gt=1)
    start: Start = "random"
    transform: Transform = "none"
    finetune: str = "head"
    backbone_rate: float = Field(default=0.0, ge=0, le=1)
    precision: Precision = "float32"
    recompute: bool = False
    LATER: ClassVar[tuple[str, ...]] = ("start", "transform", "finetune", "backbone_rate", "precision")

    @field_validator("augment")
    @classmethod
    def _known_augment(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not AUGMENT.fullmatch(name):
                raise unknown("augmentation", name, ("flip", "crop4"), " (crop and a number of pixels)")
        return value

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        registry.entry("model", value)
        return value

    @field_validator("finetune")
    @classmethod
    def _whole_finetune(cls, value: str) -> str:
        return FineTune.read(value).text

    @model_validator(mode="after")
    def _of_a_backbone(self) -> Protocol:
        if self.finetunes and not self.backbone_rate:
            raise ValueError("finetune wants a backbone_rate above 0, and head has none")
        if not self.finetunes and (self.backbone_rate or self.precision != "float32" or self.recompute):
            raise ValueError("backbone_rate, precision and recompute are of a backbone that finetune trains")
        return self

    @property
    def finetunes(self) -> bool:
        """Whether the backbone below the head is trained too."""
        return self.finetune != "head"

    @property
    def stacks(self) -> bool:
        """Whether members train as one stacked model on a CPU, and not one after the other."""
        return not self.finetunes and bool(registry.entry("model", self.model).facts.stacks)

    @property
    def frozen(self) -> Protocol:
        """The same with a backbone that stays as it is: what sides that no loss trains are measured under."""
        if not self.finetunes:
            return self
        still = {"finetune": "head", "backbone_rate": 0.0, "precision": "float32", "recompute": False}
        return self.model_copy(update=still)

    def identity(self) -> dict[str, Any]:
        """What ids are hashed from: all that changes a number."""
        values = super().identity()
        del values["recompute"]
        return values


def protocol(name: str, kind: str, data: str = "", **changes: Any) -> Protocol:
    """A registered protocol's numbers for a kind of data, with declared changes; None changes nothing.

    A backbone that is trained has its usual rate and at most ``core.finetuning.EPOCHS`` epochs, unless these
    are given.

    >>> protocol("paper", "vectors").batch_size, protocol("paper", "images", "cifar10", epochs=5).epochs
    (64, 5)
    >>> tuned = protocol("matched", "features", finetune="last:2")
    >>> tuned.finetune, tuned.backbone_rate, tuned.epochs
    ('last:2', 0.01, 10)

    Raises:
        LosscopeError: an unknown protocol, a kind of data that it has no numbers for, an impossible change.
    """
    made = registry.get("protocol", name)(kind, data)
    require(
        isinstance(made, Protocol) and made.name == name,
        f"the protocol {name!r} gave {made!r}; a losscope.Protocol of its own name is wanted",
    )
    changes = {key: value for key, value in changes.items() if value is not None}
    if "model" in changes:
        # A network of its own kind has widths of its own.
        own = registry.entry("model", changes["model"]).facts.hidden
        changes = {"hidden": made.hidden if own is None else own, **changes}
    way = FineTune.read(changes.get("finetune", made.finetune))
    if way.mode == "head":
        made = made.frozen
    elif "finetune" in changes:
        changes = {"backbone_rate": way.share, "epochs": min(made.epochs, FINETUNING_EPOCHS), **changes}
    numbers = {key: getattr(made, key) for key in Protocol.model_fields}
    return build(Protocol, {**numbers, **changes}, f"protocol {name!r}")
