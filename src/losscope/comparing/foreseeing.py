"""A study up to the moment before it trains: one function for a run and its dry run, and what that says."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from losscope import stats
from losscope.comparing import budget, looking, spending
from losscope.comparing.foretelling import foretold
from losscope.comparing.planning import Plan, Say, plan
from losscope.core import registry, wording
from losscope.core.device import here
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import RAW
from losscope.core.results import DesignPlan, StudyPlan
from losscope.core.spec import Run, Study
from losscope.run import launch


def ready(study: Study, say: Say | None = None, *, dry: bool = False) -> Plan:
    """The study's plan, cut to its budget, when all that can be seen before training was seen.

    ``dry``: nothing is computed and nothing is written.

    Raises:
        LosscopeError: whatever would stop the study, a batch without a pair and a loss that fails on its
            first batch among it.
    """
    started = time.monotonic()
    made = plan(study, say, compute=not dry, create=not dry)
    looking.foreseen(made)  # a damaged count is told before anything is trained
    if say:
        for sentence in (made.source.describe(), *made.source.facts.notes):
            say(sentence)
    if not made.source.facts.pending:
        rehearse(made)
        if study.budget is not None:
            made = budget.fit(made, started, keep=not dry)
    made = _with_prior(made)
    if say:
        for sentence in made.notes:
            say(sentence)
        # What folds can show stands among the notes of the data.
        if not dry and not made.source.facts.folds and not (shows := _shows(made)).enough:
            say(shows.sentence)
    return made


def _with_prior(made: Plan) -> Plan:
    """The plan with what the atlas foretells of its data, and a note of it."""
    found = foretold(made)
    if found is None:
        return made
    return replace(made, prior=found, notes=(wording.atlas_answer(found), *made.notes))


def rehearse(made: Plan) -> None:
    """Give the package's own losses their first batch, unless the study was finished before.

    Nothing is kept. A plugin's loss may end its process: it is called where that loses nothing.

    Raises:
        LosscopeError: the loss cannot use the data, no batch can be made of them, or the loss fails.
    """
    if (made.store.root / "studies" / made.name / "study.json").is_file():
        return
    firsts: dict[str, Run] = {}
    for run in made.runs:
        if not run.loss.baseline and registry.source_of("loss", run.loss.name) is None:
            firsts.setdefault(run.loss.canonical(), run)
    for run in firsts.values():
        if _sound(made, run):
            continue
        try:
            _first_batch(made, run)
        except LosscopeError:
            raise
        except Exception as error:
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                continue  # the machine's fault is the run's own, and tried again
            raise LosscopeError(
                f"the loss {run.loss.name!r} failed on its first batch: {type(error).__name__}: {error}"
            ) from error


def _sound(made: Plan, run: Run) -> bool:
    """Whether a first batch is sure to be made: vectors of two classes and more, and a loss of our own.

    It is not made then, as this process needs torch for nothing else where others train.
    """
    facts = made.source.facts
    other = facts.tuples or facts.by_item or facts.of_pairs or facts.several
    if other or facts.modalities or facts.searched or len(facts.shape) != 1:
        return False
    protocol = run.protocol
    if run.loss.foreign or not registry.entry("model", protocol.model).own:
        return False
    labels = made.source.splits(run.seed).train.labels
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    several = min(protocol.classes_per_batch, len(counts))
    return several > 1 and counts.min() > 1 and 2 * several <= protocol.batch_size <= counts.sum() / 2


def _first_batch(made: Plan, run: Run) -> None:
    import torch

    from losscope.run.arithmetic import fixed_arithmetic
    from losscope.train import Population

    with fixed_arithmetic():
        population = Population([run], [made.source.splits(run.seed)], torch.device(here(made.study.device)))
        if run.loss.foreign:  # it was called once already, and may count its calls
            return
        for inputs, relation in population.batches.epoch(population.embed):
            return population.step(inputs, relation)


def foresee(study: Study, say: Say | None = None) -> StudyPlan:
    """What a study would cost and what it could show, before it starts; nothing is written.

    Raises:
        LosscopeError: whatever the study itself would raise before it trains.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     foresee(Study(data="synthetic", protocol="paper", seeds=2, epochs=1, out=folder)).runs
    8
    """
    return dry_run(ready(study, dry=True), say)


def dry_run(made: Plan, say: Say | None = None, outlook: spending.Outlook | None = None) -> StudyPlan:
    """What a plan would cost and what it could show; ``outlook``: of several plans of one store."""
    trials = made.trial_groups
    _trained, tried = launch.work_left(trials)
    runs = sum(len(group.ids) for group in trials)
    if trials and tried == runs:
        made = made.tuned(train=False)
    epochs, stored = launch.work_left(made.groups)
    curved = made.curve_groups
    spends = None if made.source.facts.pending else (outlook or spending.Outlook(say)).of(made)
    shows = _shows(made)
    return StudyPlan(
        data=made.source.describe(),
        notes=(*made.source.facts.notes, *made.notes),
        runs=len(made.runs),
        stored=stored,
        populations=len(made.groups),
        epochs_left=epochs,
        tuning_runs=runs,
        tuning_stored=tried,
        curve_runs=sum(len(group.ids) for group in curved),
        curve_stored=launch.work_left(curved)[1],
        seconds=None if spends is None else spends.seconds,
        core_seconds=None if spends is None else spends.core_seconds,
        steps=None if spends is None else spends.steps,
        prior=made.prior,
        **shows.model_dump(),
    )


def _shows(made: Plan) -> DesignPlan:
    """What the study's number of seeds can show at its next look."""
    shows = stats.plan(len(made.study.seeds), tests=made.tests, look=looking.foreseen(made))
    folds = made.source.facts.folds
    if not folds:
        raw = any(side.name == RAW for side in made.study.baselines)
        items = raw and made.study.closed_forms and not made.source.facts.generated and not shows.enough
        return shows.model_copy(update={"sentence": wording.over_items(shows.sentence)}) if items else shows
    return shows.model_copy(
        update={
            "tests_in_family": 0,
            "p_attainable": 1.0,
            "minimal_seeds": None,
            "enough": False,
            "sentence": wording.over_folds(folds),
        }
    )
