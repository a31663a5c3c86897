"""A study before anything is trained: its data, its runs and their ids, what it will cost and can show."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from losscope import stats
from losscope.comparing import tuning
from losscope.core import registry
from losscope.core.device import pick_device
from losscope.core.errors import require
from losscope.core.spec import Run, Study
from losscope.losses.foreign import sources
from losscope.run import launch
from losscope.run.store import Store

DEFAULT_OUT = "losscope-runs"
Say = Callable[[str], None]


@dataclass
class Plan:
    """A study and where its runs go; ``choices`` are its losses once they are tuned, or as given."""

    study: Study
    source: Any
    store: Store
    device: str
    choices: list[tuning.Choice]

    @property
    def kind(self) -> str:
        """The kind of data: vectors, features, images or pair."""
        return self.source.facts.kind

    @property
    def tunes(self) -> bool:
        """Whether the losses are tuned: under ``matched``, except for images, unless the study says."""
        if self.study.tune is not None:
            return self.study.tune
        return self.study.protocol == "matched" and self.kind != "images"

    @cached_property
    def runs(self) -> list[Run]:
        """The final runs: losses and baselines, every seed."""
        return self.study.expand(self.kind, [choice.spec for choice in self.choices])

    @cached_property
    def ids(self) -> list[str]:
        """The ids of the final runs."""
        return [self.identify(one) for one in self.runs]

    @property
    def groups(self) -> list[launch.Group]:
        """The populations of the final runs."""
        return self.group(self.runs, self.ids)

    @property
    def trial_groups(self) -> list[launch.Group]:
        """The populations of tuning; none if this study does not tune."""
        if not self.tunes:
            return []
        table = tuning.trial_runs(
            self.study.loss_specs(), self.study.data_spec(), self.study.shape(self.kind)
        )
        runs = [run for rows in table.values() for row in rows for run in row]
        return self.group(runs, [self.identify(run) for run in runs])

    def identify(self, one: Run) -> str:
        """A run's id, with its data's content and the source of a plugin's or foreign loss."""
        own = registry.sources_of_run(one.loss.name, one.protocol.model)
        return one.id(self.source.digest, self.foreign.get(one.loss.name, "") + own)

    @cached_property
    def foreign(self) -> dict[str, str]:
        """The source or version of each foreign loss by its name; read once a study."""
        return {spec.name: sources.source(spec.name) for spec in self.study.loss_specs() if spec.foreign}

    def group(self, runs: list[Run], ids: list[str]) -> list[launch.Group]:
        """Runs as populations for this study's store, device and plugins."""
        return launch.group(
            runs,
            ids,
            store=str(self.store.root),
            data_root=self.study.data_root,
            device=self.device,
            keep=self.study.keep,
            plugins=tuple(self.study.plugins),
        )

    def tune(self, activity: launch.ACTIVITY | None = None, points: int | None = None) -> None:
        """Choose the losses' numbers, if this study tunes; ``points`` of each loss's space at most."""
        if not self.tunes:
            return
        self.choices = tuning.tune(
            self.study.loss_specs(),
            data=self.study.data_spec(),
            protocol=self.study.shape(self.kind),
            identify=self.identify,
            store=self.store,
            group=self.group,
            engine=self.study.engine,
            points=points,
            activity=activity,
        )
        self.__dict__.pop("runs", None)
        self.__dict__.pop("ids", None)

    @property
    def name(self) -> str:
        """The study's folder: data, protocol, and a hash of all that defines it but the seeds."""
        values = self.study.model_dump(
            mode="json", exclude={"seeds", "first_seed", "out", "engine", "keep", "device"}
        )
        text = json.dumps([values, self.source.digest], sort_keys=True)
        slug = re.sub(r"[^a-z0-9]+", "-", Path(self.study.data).stem.lower()).strip("-")
        return f"{slug}-{self.study.protocol}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def plan(study: Study, say: Say | None = None, compute: bool = True) -> Plan:
    """Load the data and open the store; nothing is trained yet.

    With a backbone its features are computed now, unless they are in the cache or ``compute`` is false.
    """
    from losscope.features import load
    from losscope.measures.summary import try_plugins

    for plugin in study.plugins:
        registry.load_plugin(plugin)
    study.check()
    for spec in study.loss_specs():
        sources.permit(spec.name, study.trust)
    try_plugins()
    device = pick_device(study.device)
    options = study.data_spec().options
    source = load(study.data, root=study.data_root, device=device, say=say, compute=compute, **options)
    _try_foreign(study, source)
    choices = tuning.as_given(study.loss_specs(), study.protocol)
    made = Plan(study, source, Store(study.out or DEFAULT_OUT), device, choices)
    if not made.tunes:
        _refuse_twins(choices, study.protocol)
    return made


def _refuse_twins(choices: Sequence[tuning.Choice], protocol: str) -> None:
    """Two names of the same numbers, such as ``triplet`` and ``triplet(margin=0.1)``, compare nothing."""
    seen: dict[str, str] = {}
    for choice in choices:
        twin = seen.setdefault(choice.spec.canonical(), choice.label)
        require(
            twin == choice.label,
            f"the losses {twin!r} and {choice.label!r} are the same at the numbers of the protocol {protocol!r}; "
            f"give one of them, or another margin",
        )


def _try_foreign(study: Study, source: Any) -> None:
    """Build each foreign loss and call it once, so that its mistakes show before anything is trained."""
    names = [spec.name for spec in study.loss_specs() if spec.foreign]
    if names:
        from losscope.losses.foreign.building import check

        size = study.shape(source.facts.kind).embedding_size
        for name in names:
            check(name, classes=source.facts.classes, embedding_size=size)


def dry_run(made: Plan) -> dict[str, Any]:
    """What a study would cost and what it could show, before it starts."""
    epochs, stored = launch.work_left(made.groups)
    baselines = {run.loss.name for run in made.runs if run.loss.baseline}
    trials = sum(
        len(tuning.grid(spec, made.study.protocol)) for spec in made.study.loss_specs() if not spec.foreign
    )
    return {
        "schema": 1,
        "data": made.source.describe(),
        "runs": len(made.runs),
        "stored": stored,
        "populations": len(made.groups),
        "epochs_left": epochs,
        "tuning_runs": len(tuning.SEEDS) * trials if made.tunes else 0,
        **stats.plan(made.study.seeds, len(made.study.losses), len(baselines)).model_dump(),
    }
