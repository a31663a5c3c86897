"""A study before anything is trained: its data, its runs and their ids, what it will cost and can show."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from losscope import stats
from losscope.comparing import curving, spaces, tuning
from losscope.comparing.closed import beside, with_transformed
from losscope.comparing.fitting import fitted, for_overlap, for_pairs, sized
from losscope.comparing.stored import Choice
from losscope.core import registry
from losscope.core.calls import parse
from losscope.core.device import here, pick_device
from losscope.core.errors import require, shown
from losscope.core.finetuning import FineTune
from losscope.core.loss_spec import RAW, LossSpec
from losscope.core.results import AtlasPrior
from losscope.core.spaces import Dimension
from losscope.core.spec import ResolvedStudy, Run, Study
from losscope.core.wording.numbers import count
from losscope.losses.foreign import sources
from losscope.run import launch
from losscope.run.store import Store

if TYPE_CHECKING:
    from losscope.data import Source
    from losscope.data.base import About

DEFAULT_OUT = "losscope-runs"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A study and where its runs go; ``choices`` are its losses as given, or as they were tuned.

    ``foreign``: the source or version of foreign losses by where they lie, part of their runs' ids, whatever
    arguments tuning writes into their texts. ``trials``: at most so many settings of each loss are tried
    first, for a budget. ``forms``: the runs of closed forms that chose the transform of the inputs.
    ``searched``: the study as it was before tuning chose its start and its transform, None before that.
    ``notes``: sentences on what was changed so that the study can run, and on what does not stand beside its
    losses. ``prior``: what the atlas foretells of the data.
    """

    study: ResolvedStudy
    source: Source
    store: Store
    choices: tuple[Choice, ...]
    foreign: Mapping[str, str]
    trials: int | None = None
    forms: tuple[str, ...] = ()
    searched: ResolvedStudy | None = None
    notes: tuple[str, ...] = ()
    prior: AtlasPrior | None = None

    @property
    def tunes(self) -> bool:
        """Whether the losses are tuned before their final runs."""
        return self.study.tunes

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The final runs: losses, those that are tuned at their usual numbers too, and baselines, every seed.

        Before tuning, runs of the same cost stand for those at the numbers that it will choose.
        """
        specs: list[LossSpec] = []
        for choice in self.choices:
            if self.tunes and choice.tuned is None and not choice.trials:
                specs += [choice.spec.model_copy(update={"checkpoint": 0}), choice.spec]
            else:
                specs += [choice.spec] if choice.default is None else [choice.spec, choice.default]
        return tuple({run.canonical(): run for run in self.study.runs(specs)}.values())

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of the final runs."""
        return tuple(self.identify(run) for run in self.runs)

    @property
    def groups(self) -> list[launch.Group]:
        """The populations of the final runs."""
        return self.group(self.runs, self.ids)

    @cached_property
    def trial_stages(self) -> list[list[launch.Group]]:
        """The populations of each stage of tuning that no stage before trains; none without tuning.

        Which settings a later stage trains follows from the stage before; until that is stored, others of
        the same cost stand for them, and the search is foreseen to be widened.
        """
        if not self.tunes:
            return []
        stages, before = [], set[str]()
        study = self.searched or self.study
        walk = tuning.foreseen(study, identify=self.identify, store=self.store, trials=self.trials)
        for runs, ids in walk:
            stages.append([own for own in self.group(runs, ids) if not before.issuperset(own.ids)])
            before.update(ids)
        return stages

    @property
    def trial_groups(self) -> list[launch.Group]:
        """The populations of all stages of tuning."""
        return [group for stage in self.trial_stages for group in stage]

    @cached_property
    def curve_groups(self) -> list[launch.Group]:
        """The populations of the curves that were asked for, what tuning trained already excepted.

        Before tuning, runs of the same cost stand for those at the numbers that it will choose.
        """
        tried = {run_id for choice in self.choices for trial in choice.trials for run_id in trial.runs}
        runs = {self.identify(run): run for run in curving.runs(self.study, self.choices, self.largest)}
        left = {run_id: run for run_id, run in runs.items() if run_id not in tried}
        return self.group([*left.values()], [*left])

    @property
    def largest(self) -> int | None:
        """The largest embedding that a head on these data may start from; None where there is no such end."""
        return _largest(self.study, self.source)

    @property
    def waiting(self) -> list[launch.Group]:
        """The populations of tuning, of curves and of the study that are not stored whole."""
        every = [*self.trial_groups, *self.curve_groups, *self.groups]
        return [group for group in every if not all(map(self.store.has, group.ids))]

    @cached_property
    def trials_from(self) -> Source:
        """The data as trials of tuning split them."""
        from losscope.data.trials import for_trials

        return for_trials(self.source, self.study.protocol.name)

    def identify(self, run: Run) -> str:
        """A run's id, with its data's content and the source of a plugin's or foreign loss."""
        own = registry.sources_of_run(run.loss.name, run.protocol.model)
        foreign = self.foreign[parse(run.loss.name).where] if run.loss.foreign else ""
        source = self.trials_from if run.purpose == "trial" else self.source
        return run.id(source.digest, foreign + own)

    @property
    def where(self) -> launch.Where:
        """Where this study's runs are kept and computed."""
        given = self.study.given
        return launch.Where(
            store=str(self.store.root),
            data_root=given.data_root,
            device=self.study.device,
            keep=given.keep,
            plugins=tuple(given.plugins),
            digests=tuple(registry.plugin_digest(plugin) for plugin in given.plugins),
            data=self.source.digest,
            run_limit=given.run_limit,
            address=given.address,
        )

    def group(self, runs: Sequence[Run], ids: Sequence[str]) -> list[launch.Group]:
        """Runs as populations for this study's store, device and plugins."""
        return launch.group(runs, ids, self.where)

    def tuned(
        self,
        activity: launch.ACTIVITY | None = None,
        say: Say | None = None,
        *,
        train: bool = True,
    ) -> Plan:
        """The plan with each loss at its best trial; the plan itself if the study does not tune.

        Trials that are not stored are trained now; all must be stored where ``train`` is False.
        """
        if not self.tunes:
            return self
        found = tuning.tune(
            self.study,
            identify=self.identify,
            store=self.store,
            group=self.group,
            trials=self.trials,
            train=train,
            activity=activity,
            say=say,
        )
        closed = with_transformed(self.study.closed_forms, found.protocol)
        study = self.study.model_copy(update={"protocol": found.protocol, "closed_forms": closed})
        return dataclasses.replace(
            self, study=study, choices=found.choices, forms=found.forms, searched=self.study
        )

    def curved(self, activity: launch.ACTIVITY | None = None, say: Say | None = None) -> Plan:
        """The plan with the curves that were asked for, their runs trained now where they are not stored."""
        if not self.study.given.curves:
            return self
        launch.execute(self.curve_groups, self.study.given.engine, activity, say)
        drawn = curving.drawn(self.study, self.choices, self.largest, self.identify, self.store)
        return dataclasses.replace(self, choices=drawn)

    def changed(self, study: Study) -> Plan:
        """The plan of the same study with other numbers on the same data, untuned again."""
        return _made(study, self.source, self.store, self.study.device)

    @property
    def tests(self) -> int:
        """Tests of the study at most: validation names the candidate later, and may rank nothing."""
        study = self.study
        losses = len(study.losses)
        closed = sum(not registry.entry("closed_form", name).facts.of for name in study.closed_forms)
        raw = any(side.name == RAW for side in study.baselines)
        if self.source.facts.pending or self.source.undecided_validation(study.seeds[0]) is None:
            asked = study.given.reference is not None
            return stats.family_bound(losses, raw=raw, closed_forms=closed, reference=asked)
        others = len(study.baselines) - closed
        return stats.family_size(losses, others, closed_form=closed > 0, raw=raw)

    @property
    def name(self) -> str:
        """The study's folder: data, protocol, and a hash of all that defines it but the seeds."""
        given = self.study.given
        values = given.model_dump(
            mode="json",
            exclude={
                "seeds",
                "first_seed",
                "out",
                "engine",
                "address",
                "run_limit",
                "keep",
                "device",
                "devices",
                "closed_forms",
                "recompute",
            },
        )
        for name in ("indifference", "start", "transform", "finetune", "backbone_rate", "precision"):
            if values[name] is None:  # a study keeps the name that it had before there was one
                del values[name]
        if not values["space"]:
            del values["space"]
        if given.budget is None or not given.curves:  # they change no number, unless time is short
            del values["curves"]
        text = json.dumps([values, self.source.digest], sort_keys=True)
        slug = re.sub(r"[^a-z0-9]+", "-", Path(given.data).stem.lower()).strip("-")
        return f"{slug}-{given.protocol}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def plan(study: Study, say: Say | None = None, compute: bool = True, create: bool = True) -> Plan:
    """Load the data and open the store; nothing is trained yet.

    With a backbone its features are computed now, unless they are in the cache or ``compute`` is false. The
    store's folder is made unless ``create`` is false.

    Raises:
        LosscopeError: data that cannot be read, a store that cannot be opened, losses that are the same.
    """
    from losscope.features import load

    for plugin in study.plugins:
        registry.load_plugin(plugin)
    study.check()
    require(
        not (study.backbone and study.augment),
        f"augment={','.join(study.augment or ())} changes images, and a backbone sees images as its own "
        "preprocessing makes them; leave out --augment or --backbone",
    )
    for spec in study.loss_specs():
        sources.permit(spec.name, study.trust)
    if not all(measure.own for measure in registry.entries("measure").values()):
        from losscope.measures.summary import try_plugins  # imports torch, which a plan does not need

        try_plugins()
    if study.space:  # a mistake in it shows before features are computed
        spaces.dimensions(study)
    # The GPUs of a cluster are not this machine's.
    device = (
        study.device
        if launch.far(study.engine, study.address) and study.device.startswith("cuda")
        else pick_device(study.device)
    )
    options = study.data_spec().options
    if study.finetunes:  # a mistake in it too
        _try_backbone(study, load(study.data, root=study.data_root, compute=False, **options), here(device))
    source = load(study.data, root=study.data_root, device=here(device), say=say, compute=compute, **options)
    store = Store(study.out or DEFAULT_OUT, create=create, absent=not create)
    return _made(study, source, store, device)


def _largest(study: ResolvedStudy, source: Source) -> int | None:
    free = study.protocol.start == "random" or source.facts.pending
    return None if free else math.prod(source.facts.shape)


def _try_backbone(given: Study, source: Source, device: str) -> None:
    """Open the backbone as it will be trained, so that its mistakes show before features are computed."""
    import torch

    from losscope.run.arithmetic import fixed_arithmetic
    from losscope.train import finetuning

    shape = given.resolve(source.facts.kind, device).protocol
    with fixed_arithmetic():
        finetuning.check(source.splits(given.first_seed).trunk, shape, torch.device(device))


def _made(given: Study, source: Source, store: Store, device: str) -> Plan:
    """The plan of a study on its data, the losses at the numbers given."""
    resolved = for_overlap(given.resolve(source.facts.kind, device), source.facts)
    study, notes = fitted(for_pairs(resolved, source.facts), source)
    study = sized(study, source.facts)
    require(
        given.devices <= study.protocol.batch_size,
        f"{given.devices} devices were asked for and a batch has {study.protocol.batch_size} rows, of which "
        "each device embeds its share; wanted: fewer devices, or a larger --batch-size",
    )
    closed = beside(study, source)
    study = study.model_copy(update={"closed_forms": closed.names, "spaces": _spaces(study)})
    foreign = [spec for spec in study.losses if spec.foreign]
    names = [text for spec in foreign for text in spaces.tried_once(spec, study.spaces)]
    _try_foreign(names, source.facts, study.protocol.embedding_size)
    choices = tuning.as_given(study)
    said: tuple[str, ...] = ()
    if study.tunes or given.curves:
        study, said = _judged(study, source)
    if not study.tunes:
        _refuse_twins(choices, given.protocol)
    found = {parse(spec.name).where: sources.source(spec.name) for spec in foreign}
    more = (
        *_of_backbone(study),
        *closed.notes,
        *spaces.notes(study),
        *_together(study),
        *curving.notes(study, choices, _largest(study, source)),
        *said,
        *_of_folds(study, source),
    )
    return Plan(study, source, store, choices, found, notes=(*notes, *more))


def _spaces(study: ResolvedStudy) -> tuple[Dimension, ...]:
    """What tuning tries of each loss; each text that it writes for a foreign one may run as that one may."""
    given = study.given
    if not study.tunes:
        require(
            not given.space,
            f"the space {shown(''.join(given.space[:1]))} is what tuning tries, and this study tunes "
            "nothing; give --tune or leave out --space",
        )
        return ()
    found = spaces.dimensions(given)
    for spec in study.losses:
        if spec.foreign:
            for text in spaces.texts(spec, found):
                sources.permit(text, given.trust or sources.trusted(spec.name))
    return found


def _of_backbone(study: ResolvedStudy) -> tuple[str, ...]:
    """What is trained of a backbone, and what stands beside it."""
    shape = study.protocol
    if not shape.finetunes:
        return ()
    return (
        f"{FineTune.read(shape.finetune).said} trains with the head, at {shape.backbone_rate:g} times its "
        f"learning rate, for {count(shape.epochs, 'epoch')}; raw and the closed forms are of the frozen "
        "features",
    )


def _together(study: ResolvedStudy) -> tuple[str, ...]:
    """What a loss's numbers owe to the other losses of its study."""
    if not study.tunes or len(study.losses) < 2:
        return ()
    starts = len(study.starts) > 1 and study.protocol.start != "random" and study.given.start is None
    shared = "the start and a wider search are" if starts else "a wider search is"
    return (
        f"the losses are tuned together: {shared} decided for all of them, so that a loss may get other "
        "numbers beside other losses",
    )


def _of_folds(study: ResolvedStudy, source: Source) -> list[str]:
    """What is to be said of folds: whether each is tested equally often, and what tuning has seen."""
    count = source.facts.folds
    if not count:
        return []
    notes = []
    if len(study.seeds) % count:
        notes.append(
            f"{len(study.seeds)} seeds are no multiple of {count} folds: some rows are tested more often "
            "than others"
        )
    if study.tunes:
        notes.append(
            "losses are tuned on validation rows that are test rows of other folds, so that their means are "
            "somewhat too good; --no-tune leaves the losses at their given numbers"
        )
    return notes


def _judged(study: ResolvedStudy, source: Source) -> tuple[ResolvedStudy, tuple[str, ...]]:
    """The study with what its trials are judged on, which must be able to decide, and what is said of it."""
    from losscope.data.trials import for_trials, judged

    of_losses = "the losses are tuned" if study.tunes else "curves are measured"
    without = "--no-tune" if study.tunes else "no --curves"
    trials = for_trials(source, study.protocol.name)
    for seed in tuning.SEEDS:
        why = trials.undecided_validation(seed)
        require(
            why is None,
            f"{source.facts.name}: {of_losses} on the validation part, which has {why}; wanted: "
            f"more rows of each class, a split of your own with validation rows, or {without}",
        )
    of, sentence = judged(source, study.protocol.name)
    return study.model_copy(update={"judged": of}), (sentence,) if sentence else ()


def _refuse_twins(choices: Sequence[Choice], protocol: str) -> None:
    """Two names of the same numbers, such as ``triplet`` and ``triplet(margin=0.1)``, compare nothing."""
    seen: dict[str, str] = {}
    for choice in choices:
        twin = seen.setdefault(choice.spec.canonical(), choice.label)
        require(
            twin == choice.label,
            f"the losses {twin!r} and {choice.label!r} are the same at the numbers of the protocol "
            f"{protocol!r}; give one of them, or another margin",
        )


def _try_foreign(names: Sequence[str], facts: About, size: int) -> None:
    """Build each foreign loss and call it once, so that its mistakes show before anything is trained."""
    if names:
        from losscope.losses.foreign.building import check

        for name in names:
            paired = facts.kind == "pair"
            of_pairs = facts.by_item or facts.of_pairs
            check(name, classes=facts.classes, embedding_size=size, paired=paired, by_item=of_pairs)
