"""What is run, as frozen, strict values: losses, protocols, runs and studies.

Every number that changes a result is a field here, so that a run's id is a hash of its whole
specification. Unknown keys are errors that name the known ones. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from losscope.core import registry, study_files
from losscope.core.bounds import EPOCHS, LOSSES, RUNS, SEEDS
from losscope.core.device import MOST_DEVICES, check_place
from losscope.core.errors import require, shown, unknown
from losscope.core.facts import Judged, Reduction, Value
from losscope.core.finetuning import FineTune, Precision
from losscope.core.loss_spec import (
    BASELINES,
    CLOSED_FORM,
    RAW,
    UNTRAINED,
    LossSpec,
    Strict,
    Tuples,
    build,
    form_spec,
    split_losses,
)
from losscope.core.quantities import GOALS, check_indifference
from losscope.core.seeding import seed_of
from losscope.core.spaces import Dimension, check_curves
from losscope.core.training import Protocol, Start, Transform, protocol

__all__ = [
    "BASELINES",
    "NUMERICS",
    "DataSpec",
    "LossSpec",
    "Protocol",
    "Reduction",
    "ResolvedStudy",
    "Run",
    "Start",
    "Strict",
    "Study",
    "Transform",
    "Tuples",
    "Value",
    "build",
    "protocol",
    "seed_of",
    "split_losses",
]

NUMERICS = 6
"""Raised when the numbers of an unchanged specification change; part of every run's id."""


class DataSpec(Strict):
    """Which data: a registered name or a path, and the loader's options."""

    name: str
    options: dict[str, Value | None | list[str]] = Field(default_factory=dict)


class Run(Strict):
    """One training: data × loss × protocol × seed. A ``trial`` of tuning never touches the test split.

    ``data_seed``: what draws the data and their splits, where the ``seed`` of weights and batches does not.
    """

    data: DataSpec
    loss: LossSpec
    protocol: Protocol
    seed: int = Field(ge=0)
    purpose: Literal["final", "trial"] = "final"
    data_seed: int | None = Field(default=None, ge=0)
    LATER: ClassVar[tuple[str, ...]] = ("data_seed",)

    @property
    def split_seed(self) -> int:
        """The seed that draws the data and their splits."""
        return self.seed if self.data_seed is None else self.data_seed

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
        # Closed forms of one seed share their covariances.
        name = CLOSED_FORM if self.loss.closed_form else self.loss.name
        loss = [name, sorted(hyper.items()), self.loss.reduction, self.tuples]
        fixed = self.protocol.model_dump(mode="json", exclude={"learning_rate"})
        return json.dumps([self.data.model_dump(mode="json"), loss, fixed, self.purpose], sort_keys=True)


class Study(Strict):
    """What ``losscope run STUDY.toml`` and ``losscope compare`` do: data × losses × seeds, one protocol.

    >>> Study.of(losses="triplet(margin=0.2),contrastive", seeds=3).losses
    ['triplet(margin=0.2)', 'contrastive']
    """

    data: str = "digits"
    losses: list[str] = Field(
        default_factory=lambda: ["contrastive", "triplet"], min_length=1, max_length=LOSSES
    )
    seeds: int = Field(default=10, gt=0, le=SEEDS)
    first_seed: int = Field(default=0, ge=0, lt=2**62)
    protocol: str = "matched"
    epochs: int | None = Field(default=None, gt=0, le=EPOCHS)
    batch_size: int | None = Field(default=None, gt=1)
    tuples: Tuples | None = None
    embedding_size: int | None = Field(default=None, gt=0)
    start: Start | None = None
    transform: Transform | None = None
    model: str | None = None
    backbone: str | None = None
    augment: list[str] | None = None
    finetune: str | None = None
    backbone_rate: float | None = Field(default=None, gt=0, le=1)
    precision: Precision | None = None
    recompute: bool | None = None
    goal: str = "retrieval"
    reference: str | None = None
    indifference: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    closed_forms: bool = True
    tune: bool | None = None
    budget: float | None = Field(default=None, gt=0)
    space: list[str] = Field(default_factory=list)
    curves: list[str] = Field(default_factory=list)
    options: dict[str, Value | None | list[str]] = Field(default_factory=dict)
    data_root: str | None = None
    out: str | None = None
    device: str = "auto"
    engine: str = "auto"
    devices: int = Field(default=1, gt=0, le=MOST_DEVICES)
    address: str | None = None
    run_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    keep: Literal["none", "last", "all"] = "last"
    plugins: list[str] = Field(default_factory=list)
    trust: bool = Field(default=False, exclude=True)
    note: str = ""

    @field_validator("losses", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_losses(value) if isinstance(value, str | list | tuple) else value

    @field_validator("space", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("curves", mode="before")
    @classmethod
    def _parted(cls, value: Any) -> Any:
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            return value
        return [name.strip() for part in parts for name in part.split(",") if name.strip()]

    @field_validator("data", "data_root", "out", "backbone", mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("data", "data_root", "out", "backbone")
    @classmethod
    def _no_null(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise ValueError("a path or a name has no null character")
        return value

    @classmethod
    def of(cls, where: str = "the study", **values: Any) -> Study:
        """Build and check a study; every name is looked up, nothing is loaded."""
        study = build(cls, {key: value for key, value in values.items() if value is not None}, where)
        study.check()
        if study.devices > 1:  # one group at a time
            study = study.model_copy(update={"engine": "here"})
        return study

    @classmethod
    def read(cls, path: str | Path, *, trust: bool = False) -> Study:
        """Read a TOML file; a file that is missing or broken is one clear sentence.

        ``trust``: whether the plugins and foreign losses that it names may run. A file cannot say so itself.
        """
        values = study_files.values(Path(path), trust)
        return cls.of(f"study file {str(path)!r}", **values, trust=trust)

    def check(self) -> None:
        """Raise for unknown names and impossible numbers before any data are loaded; plugins' names count."""
        for plugin in self.plugins:
            registry.load_plugin(plugin)
        registry.entry("protocol", self.protocol)
        self._check_backbone()
        if self.goal not in GOALS:
            raise unknown("goal", self.goal, GOALS)
        check_indifference(self.indifference, GOALS[self.goal][0], f"what decides {self.goal}")
        runs = self.seeds * (len(self.losses) + len(BASELINES))
        require(
            runs <= RUNS,
            f"{self.seeds:,} seeds of {len(self.losses):,} losses and {len(BASELINES)} baselines are "
            f"{runs:,} runs; a study has at most {RUNS:,}",
        )
        for text in self.space:
            Dimension.read(text)
        specs = self.loss_specs()
        labels = [spec.label for spec in specs]
        for spec in specs:
            require(
                not spec.baseline,
                f"{spec.name!r} is no loss: {' and '.join(BASELINES)} stand beside the losses by themselves",
            )
        twice = sorted(label for label, count in Counter(labels).items() if count > 1)
        require(not twice, f"the loss {', '.join(twice)} is given twice; give each loss once")
        check_curves(self.curves, specs)
        if self.reference is not None and self.reference not in labels:
            raise unknown("reference loss", self.reference, labels)
        check_place(self.device, self.engine, self.devices, address=self.address, run_limit=self.run_limit)
        require(
            self.address is None or self.engine in ("auto", "dask"),
            f"the address {shown(self.address)} is one of a Dask cluster, and the engine is {self.engine}; "
            "leave out --engine, or the address",
        )

    @property
    def finetunes(self) -> bool:
        """Whether a backbone is asked to be trained."""
        return self.finetune is not None and FineTune.read(self.finetune).mode != "head"

    def _check_backbone(self) -> None:
        """Raise for what is said of training a backbone where none is trained."""
        trained = self.finetunes
        require(
            not trained or self.backbone is not None,
            f"finetune={self.finetune} trains a backbone, and none is given; give --backbone, or leave out "
            "--finetune",
        )
        for name in ("backbone_rate", "precision", "recompute"):
            require(
                trained or not getattr(self, name),
                f"{name} is of a backbone that is trained, and none is; give --finetune too, or leave "
                f"out --{name.replace('_', '-')}",
            )

    def loss_specs(self) -> list[LossSpec]:
        """The losses as given, parsed."""
        return [LossSpec.parse(text) for text in self.losses]

    def data_spec(self) -> DataSpec:
        """The data with all that changes their content: the loader's options, and the frozen backbone."""
        more = {} if self.backbone is None else {"backbone": self.backbone}
        return DataSpec(name=self.data, options={**self.options, **more})

    def resolve(self, kind: str, device: str = "cpu") -> ResolvedStudy:
        """The study on a kind of data and a device, with nothing left to look up or to parse.

        >>> Study.of(losses="triplet(margin=0.2)", seeds=3).resolve("vectors").seeds
        (0, 1, 2)
        """
        shape = protocol(
            self.protocol,
            kind,
            self.data,
            epochs=self.epochs,
            batch_size=self.batch_size,
            tuples=self.tuples,
            embedding_size=self.embedding_size,
            start=self.start,
            transform=self.transform,
            model=self.model,
            augment=None if self.augment is None else tuple(self.augment),
            finetune=self.finetune,
            backbone_rate=self.backbone_rate,
            precision=self.precision,
            recompute=self.recompute,
        )
        by_default = kind in registry.entry("protocol", self.protocol).facts.tunes and not shape.finetunes
        return ResolvedStudy(
            given=self,
            kind=kind,
            losses=tuple(self.loss_specs()),
            data=self.data_spec(),
            protocol=shape,
            seeds=tuple(range(self.first_seed, self.first_seed + self.seeds)),
            tunes=by_default if self.tune is None else self.tune,
            device=device,
        )

    def expand(self, kind: str) -> list[Run]:
        """All final runs on a kind of data, the losses at the numbers given."""
        return self.resolve(kind).runs()

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


class ResolvedStudy(Strict):
    """A study on known data: what was given, read once, with nothing left to look up.

    ``losses``: as given, parsed; a protocol's defaults are filled in where runs are made. ``data``: with all
    that changes their content. ``tunes``: whether each loss is tuned before its final runs.
    ``closed_forms``: those that stand beside the losses. ``starts``: the closed forms that tuning may start a
    head at, and by which it chooses the transform. ``spaces``: what tuning tries of a loss, by its label.
    ``judged``: on what its trials are (``losscope.data.trials``). ``joint``: two modalities are one space.
    """

    given: Study
    kind: str
    losses: tuple[LossSpec, ...]
    data: DataSpec
    protocol: Protocol
    seeds: tuple[int, ...]
    tunes: bool
    device: str
    closed_forms: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ("pca", "whitened")
    spaces: tuple[Dimension, ...] = ()
    judged: Judged = "draws"
    joint: bool = False

    @property
    def baselines(self) -> tuple[LossSpec, ...]:
        """What stands beside the losses untrained, closed forms last.

        Two modalities have a raw space only if it is one; a network at a closed form is that form untrained.
        """
        names = [
            name
            for name in BASELINES
            if not (self.kind == "pair" and name == RAW and not self.joint)
            and not (name == UNTRAINED and self.protocol.start in self.closed_forms)
        ]
        forms = (form_spec(name, self.kind, self.given.goal) for name in self.closed_forms)
        return (*(LossSpec(name=name) for name in names), *forms)

    def resolved(self, loss: LossSpec) -> LossSpec:
        """A loss with the protocol's defaults filled in."""
        return loss.resolved(self.protocol.name)

    def runs(self, losses: Iterable[LossSpec] | None = None) -> list[Run]:
        """The final runs: the losses (the study's, or as tuned), then the baselines, every seed of each."""
        sides = [*(self.losses if losses is None else losses), *self.baselines]
        shapes = [self.protocol.frozen if loss.baseline else self.protocol for loss in sides]
        return [
            Run(data=self.data, loss=self.resolved(loss), protocol=shape, seed=seed)
            for loss, shape in zip(sides, shapes, strict=True)
            for seed in self.seeds
        ]
