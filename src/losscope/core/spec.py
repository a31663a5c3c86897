"""What is run, as frozen, strict values: losses, protocols, runs and studies.

Every number that changes a result is a field here, so that a run's id is a hash of its whole
specification. Unknown keys are errors that name the known ones. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from losscope.core import registry
from losscope.core.calls import is_foreign, named
from losscope.core.calls import parse as parse_foreign
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.facts import LossFacts, Reduction, Value
from losscope.core.quantities import GOALS

NUMERICS = 3
"""Raised when the numbers of an unchanged specification change; part of every run's id."""

BASELINES = ("raw", "untrained")
Tuples = Literal["all", "random", "hard", "semihard", "distance_weighted"]


def seed_of(seed: int, dimension: str, *more: object) -> int:
    """A 64-bit seed: the hash of a study seed and the named dimension that it is for.

    >>> seed_of(0, "init") == seed_of(0, "init"), seed_of(0, "init") == seed_of(0, "batches")
    (True, False)
    """
    text = json.dumps([seed, dimension, *map(str, more)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def canonical(self) -> str:
        """The value as sorted JSON, the text that ids are hashed from."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


def build(kind: type[Strict], values: dict[str, Any], where: str) -> Any:
    """Validate, and say every mistake at once in one sentence, with the nearest known key."""
    for key in values:
        if key not in kind.model_fields:
            raise unknown(f"key in {where}", key, kind.model_fields)
    try:
        return kind(**values)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))} is {one['input']!r}: {one['msg']}" for one in error.errors()
        )
        raise LosscopeError(f"{where}: {said}") from None


class LossSpec(Strict):
    """A loss's identity: everything that changes its value.

    ``name`` is a registered loss, a baseline, or a foreign loss as ``library:Call(...)``.

    >>> LossSpec.parse("triplet(margin=0.2, tuples='semihard')").label
    "triplet(margin=0.2, tuples='semihard')"
    """

    name: str
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    reduction: Reduction | None = None
    tuples: Tuples | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    checkpoint: int | None = Field(default=None, ge=1)

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
            require(not words, f"the baseline {name!r} has no hyperparameters; {text!r} gives some")
            return cls(name=name)
        registry.entry("loss", name)
        own: dict[str, Any] = {
            key: words.pop(key)
            for key in ("reduction", "tuples", "learning_rate", "checkpoint")
            if key in words
        }
        spec = build(cls, {"name": name, "hyperparameters": words, **own}, f"loss {text!r}")
        spec.check()
        return spec

    def check(self) -> None:
        """Raise for a hyperparameter the loss does not have, or one that must be positive and is not."""
        if self.foreign or self.baseline:
            return
        found = registry.entry("loss", self.name)
        facts, known = found.facts, found.parameters
        for key, value in self.hyperparameters.items():
            if key not in known:
                raise unknown(f"hyperparameter of {self.name}", key, [*known, "reduction", "tuples"])
            if key in facts.positive:
                number = isinstance(value, int | float) and not isinstance(value, bool)
                require(
                    number and float(value) > 0 and float(value) < float("inf"),
                    f"{key} of {self.name} is {value!r}; it must be a finite number greater than 0",
                )
        if self.reduction and self.reduction not in facts.reductions:
            raise unknown(f"reduction of {self.name}", self.reduction, facts.reductions)

    @property
    def foreign(self) -> bool:
        """Whether the loss is another library's or the user's own."""
        return is_foreign(self.name)

    @property
    def baseline(self) -> bool:
        """Whether this is ``raw`` or ``untrained``: nothing is trained."""
        return self.name in BASELINES

    @property
    def facts(self) -> LossFacts | None:
        """What the registration of the loss declares; None for foreign losses and baselines."""
        return None if self.foreign or self.baseline else registry.entry("loss", self.name).facts

    @property
    def label(self) -> str:
        """How the loss is called in tables: its name and what was given explicitly."""
        words = {**self.hyperparameters}
        for key in ("reduction", "tuples", "learning_rate", "checkpoint"):
            if getattr(self, key) is not None:
                words[key] = getattr(self, key)
        inside = ", ".join(f"{key}={value!r}" for key, value in words.items())
        return f"{self.name}({inside})" if inside else self.name

    def resolved(self, protocol: str) -> LossSpec:
        """The identity with every default of the protocol filled in, so that nothing is implicit."""
        if self.foreign or self.baseline:
            return self
        found = registry.entry("loss", self.name)
        hyper = {
            **found.parameters,
            **found.facts.defaults.get(protocol, {}),
            **self.hyperparameters,
        }
        reduction = self.reduction or hyper.pop("reduction", None) or "valid_mean"
        hyper.pop("reduction", None)
        return self.model_copy(update={"hyperparameters": hyper, "reduction": reduction})


def split_losses(text: str | Iterable[str]) -> list[str]:
    """Split ``a,b(c=1,d=2)`` at the commas outside of brackets.

    >>> split_losses("triplet(margin=0.2,squared=True),contrastive")
    ['triplet(margin=0.2,squared=True)', 'contrastive']
    """
    if not isinstance(text, str):
        return [one for part in text for one in split_losses(part)]
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


class DataSpec(Strict):
    """Which data: a registered name or a path, and the loader's options."""

    name: str
    options: dict[str, Value | None | list[str]] = Field(default_factory=dict)


AUGMENT = re.compile(r"flip|crop[1-9][0-9]?")
"""The augmentations that there are: see ``losscope.train.augment``."""


class Protocol(Strict):
    """How a run is trained and measured: DEFINITIONS 5, every number a field.

    ``batching``: ``balanced`` takes P classes of K samples, ``shuffled`` a permutation of the data.
    ``partners``: where a random partner comes from, the ``batch`` or the whole training ``set``.
    ``geometry_split``: on which split geometry is measured; ``background`` says whether the label -1
    is a class of its own there. ``curve_rows``: validation rows of the quality curve, at most.

    >>> own = Protocol(
    ...     name="mine", model="mlp", hidden=(64,), embedding_size=32, epochs=5, batch_size=64, batching="shuffled"
    ... )
    >>> own.learning_rate, own.geometry_split
    (0.001, 'test')
    """

    name: str
    model: str
    hidden: tuple[int, ...]
    embedding_size: int = Field(gt=0)
    epochs: int = Field(gt=0)
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


PROTOCOLS = ("matched", "paper")

_MATCHED: dict[str, dict[str, Any]] = {
    "vectors": {"model": "mlp", "hidden": (256,), "embedding_size": 64, "epochs": 60},
    "features": {"model": "mlp", "hidden": (), "embedding_size": 128, "epochs": 60},
    "images": {"model": "convnet", "hidden": (32, 64, 128), "embedding_size": 64, "epochs": 15},
    "pair": {"model": "two_tower", "hidden": (256,), "embedding_size": 64, "epochs": 60},
}
_PAPER: dict[str, dict[str, Any]] = {
    "vectors": {
        "model": "mlp",
        "hidden": (64,),
        "embedding_size": 32,
        "epochs": 100,
        "batch_size": 64,
        "partners": "set",
    },
    "features": {
        "model": "mlp",
        "hidden": (),
        "embedding_size": 128,
        "epochs": 30,
        "batch_size": 64,
        "partners": "set",
    },
    "images": {
        "model": "convnet",
        "hidden": (32, 64, 128),
        "embedding_size": 64,
        "epochs": 20,
        "batch_size": 256,
        "partners": "batch",
    },
    "pair": {
        "model": "two_tower",
        "hidden": (256,),
        "embedding_size": 64,
        "epochs": 30,
        "batch_size": 64,
        "partners": "batch",
    },
}
_PAPER_EPOCHS = {"cifar10": 50}


def protocol(name: str, kind: str, data: str = "", **changes: Any) -> Protocol:
    """The protocol ``matched`` or ``paper`` for a kind of data, with declared changes.

    >>> protocol("paper", "vectors").batch_size
    64
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    changes = {key: value for key, value in changes.items() if value is not None}
    if name == "matched":
        base = {
            "curve_rows": 512,
            "batching": "balanced",
            "batch_size": 128,
            "tuples": "all",
            "geometry_split": "test",
            "background": "exclude",
            **_MATCHED[kind],
        }
    else:
        base = {
            "batching": "shuffled",
            "tuples": "random",
            "geometry_split": "train",
            "background": "class",
            "curve_rows": 128,
            **_PAPER[kind],
        }
        base["epochs"] = _PAPER_EPOCHS.get(data, base["epochs"])
    if "model" in changes:
        # A network of its own kind has widths of its own.
        own = registry.entry("model", changes["model"]).facts.hidden
        base["hidden"] = base["hidden"] if own is None else own
    return build(Protocol, {"name": name, **base, **changes}, f"protocol {name!r}")


class Run(Strict):
    """One training: data × loss × protocol × seed. A ``trial`` of tuning never touches the test split."""

    data: DataSpec
    loss: LossSpec
    protocol: Protocol
    seed: int = Field(ge=0)
    purpose: Literal["final", "trial"] = "final"

    def id(self, digest: str, source: str | None = None) -> str:
        """The run's id: the hash of its specification, its data's content, foreign source and numerics."""
        text = json.dumps([NUMERICS, self.canonical(), digest, source or ""])
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def learning_rate(self) -> float:
        """The loss's tuned learning rate, or the protocol's."""
        return self.loss.learning_rate or self.protocol.learning_rate

    @property
    def tuples(self) -> str:
        """How tuples are chosen: the loss's own way, or the protocol's."""
        return self.loss.tuples or self.protocol.tuples

    def family(self) -> str:
        """What members of one population share: all but the seed, the numbers of the loss, the rate."""
        hyper = {
            key: "number" if isinstance(value, float) else value
            for key, value in self.loss.hyperparameters.items()
        }
        loss = [self.loss.name, sorted(hyper.items()), self.loss.reduction, self.tuples]
        fixed = self.protocol.model_dump(mode="json", exclude={"learning_rate"})
        return json.dumps([self.data.model_dump(mode="json"), loss, fixed, self.purpose], sort_keys=True)


class Study(Strict):
    """What ``losscope run STUDY.toml`` and ``losscope compare`` do: data × losses × seeds, one protocol.

    >>> Study.of(losses="triplet(margin=0.2),contrastive", seeds=3).losses
    ['triplet(margin=0.2)', 'contrastive']
    """

    data: str = "digits"
    losses: list[str] = Field(default_factory=lambda: ["contrastive", "triplet"], min_length=1)
    seeds: int = Field(default=10, gt=0)
    first_seed: int = Field(default=0, ge=0)
    protocol: str = "matched"
    epochs: int | None = Field(default=None, gt=0)
    batch_size: int | None = Field(default=None, gt=1)
    tuples: Tuples | None = None
    embedding_size: int | None = Field(default=None, gt=0)
    model: str | None = None
    backbone: str | None = None
    augment: list[str] | None = None
    goal: str = "retrieval"
    reference: str | None = None
    tune: bool | None = None
    budget: float | None = Field(default=None, gt=0)
    options: dict[str, Value | None | list[str]] = Field(default_factory=dict)
    data_root: str | None = None
    out: str | None = None
    device: str = "auto"
    engine: str = "auto"
    keep: Literal["none", "last", "all"] = "last"
    plugins: list[str] = Field(default_factory=list)
    trust: bool = Field(default=False, exclude=True)
    note: str = ""

    @field_validator("losses", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_losses(value) if isinstance(value, str | list | tuple) else value

    @classmethod
    def of(cls, where: str = "the study", **values: Any) -> Study:
        """Build and check a study; every name is looked up, nothing is loaded."""
        study: Study = build(cls, {key: value for key, value in values.items() if value is not None}, where)
        study.check()
        return study

    @classmethod
    def read(cls, path: str | Path, *, trust: bool = False) -> Study:
        """Read a TOML file; a file that is missing or broken is one clear sentence.

        ``trust``: whether the plugins and foreign losses that it names may run. A file cannot say so itself.
        """
        path = Path(path)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LosscopeError(f"cannot read the study file {str(path)!r}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise LosscopeError(f"the study file {str(path)!r} is not valid TOML: {error}") from None
        require(
            "trust" not in values,
            f"the study file {str(path)!r} says trust; only you can, with --trust (trust=True in Python)",
        )
        require(
            trust or not values.get("plugins"),
            f"the study file {str(path)!r} would run the plugins {values.get('plugins')}; if you trust them, say so "
            f"yourself with --trust (trust=True in Python)",
        )
        return cls.of(f"study file {str(path)!r}", **values, trust=trust)

    def check(self) -> None:
        """Raise for unknown names and impossible numbers before any data are loaded; plugins' names count."""
        for plugin in self.plugins:
            registry.load_plugin(plugin)
        if self.protocol not in PROTOCOLS:
            raise unknown("protocol", self.protocol, PROTOCOLS)
        if self.goal not in GOALS:
            raise unknown("goal", self.goal, GOALS)
        specs = self.loss_specs()
        labels = [spec.label for spec in specs]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        require(not twice, f"the loss {', '.join(twice)} is given twice; give each loss once")
        if self.reference is not None and self.reference not in labels:
            raise unknown("reference loss", self.reference, labels)
        for name, choices in (
            ("device", ("auto", "cpu", "cuda")),
            ("engine", ("auto", "here", "processes", "dask")),
        ):
            value = getattr(self, name)
            if value not in choices and not (name == "device" and value.startswith("cuda:")):
                raise unknown(name, value, choices)

    def loss_specs(self) -> list[LossSpec]:
        """The losses as given, parsed."""
        return [LossSpec.parse(text) for text in self.losses]

    def data_spec(self) -> DataSpec:
        """The data with all that changes their content: the loader's options, and the frozen backbone."""
        more = {} if self.backbone is None else {"backbone": self.backbone}
        return DataSpec(name=self.data, options={**self.options, **more})

    def shape(self, kind: str) -> Protocol:
        """The study's protocol for a kind of data, with its declared changes."""
        return protocol(
            self.protocol,
            kind,
            self.data,
            epochs=self.epochs,
            batch_size=self.batch_size,
            tuples=self.tuples,
            embedding_size=self.embedding_size,
            model=self.model,
            augment=None if self.augment is None else tuple(self.augment),
        )

    def expand(self, kind: str, losses: Sequence[LossSpec] | None = None) -> list[Run]:
        """All runs: losses and the two baselines, every seed, defaults resolved."""
        data = self.data_spec()
        # Two modalities have no common raw space.
        baselines = [name for name in BASELINES if not (kind == "pair" and name == "raw")]
        every = [*(losses or self.loss_specs()), *(LossSpec(name=name) for name in baselines)]
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        shape = self.shape(kind)
        return [
            Run(data=data, loss=loss.resolved(self.protocol), protocol=shape, seed=seed)
            for loss in every
            for seed in seeds
        ]

    def toml(self) -> str:
        """The study as TOML that ``read`` reads back."""
        lines = []
        for key, value in self.model_dump(mode="json", exclude_none=True, exclude={"options"}).items():
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
        options = {key: value for key, value in self.options.items() if value is not None}
        if options:
            lines.append("\n[options]")
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()]
        return "\n".join(lines) + "\n"
