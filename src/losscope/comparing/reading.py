"""A study read back from its store: its runs, analysed, as the Result that ``--json`` prints.

The table, the page and the sentences are views of it, so that ``report`` makes the same page again. Nothing
here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from losscope import stats
from losscope.comparing import forces, placing, published, shown, standing, watching
from losscope.comparing.evidence import Runs, evidence_of
from losscope.comparing.stored import Choice, StoredStudy
from losscope.core import commands, registry, wording
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.loss_spec import CLOSED_FORM, form_spec
from losscope.core.results import (
    BaselineResult,
    Evidence,
    Failure,
    LossResult,
    Provenance,
    Result,
    Settings,
    SideResult,
)
from losscope.core.spec import BASELINES, LossSpec
from losscope.run.store import Store, Stored

Kind = TypeVar("Kind", bound=SideResult)


MANY = 3
"""Above so many losses each pair of them is described too, and the group of the best is named."""


def load(folder: str | Path, study: str | None = None) -> Result:
    """A stored result: what ``compare`` returned, read from the folder that it wrote. Nothing is written.

    Args:
        folder: the folder given to ``compare`` as ``out``, or one study's folder in it.
        study: which study, where there are several; the newest otherwise.

    Raises:
        LosscopeError: a folder without a finished study, an unknown study, or a file that cannot be read.

    >>> load("absent")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'absent' holds no losscope runs (there is no store.json); ...
    """
    store, name, notes = find(Path(folder), study)
    return read(store, name, notes)


def find(path: Path, study: str | None) -> tuple[Store, str, list[str]]:
    """The store of a folder, the study that is meant, and a sentence for each that cannot be read."""
    if study is None and (path / "study.json").is_file() and path.parent.name == "studies":
        study, path = path.name, path.parent.parent
    store = Store(path, create=False)
    names = studies_of(store)
    require(
        bool(names),
        f"{str(path)!r} holds runs but no finished study; run losscope compare --out {path} again",
    )
    if study is not None:
        if study not in names:
            raise unknown("study", study, names)
        return store, study, []
    times: dict[str, float] = {}
    damaged: list[LosscopeError] = []
    for name in names:
        try:
            times[name] = (store.read_json(f"studies/{name}/study.json") or {}).get("time", 0.0)
        except LosscopeError as error:
            damaged.append(error)
    if not times:
        raise damaged[0]
    notes = [f"A study that cannot be read was passed over: {error}." for error in damaged]
    return store, max(times, key=lambda name: times[name]), notes


def studies_of(store: Store) -> list[str]:
    """The names of the studies that a store holds, sorted."""
    return sorted(file.parent.name for file in (store.root / "studies").glob("*/study.json"))


def read(store: Store, name: str, notes: Sequence[str] = ()) -> Result:
    """The result of a study from its store alone, with these notes added; imports no torch.

    Raises:
        LosscopeError: the store has no such study, or its files cannot be read.
    """
    kept = StoredStudy.read(store, name)
    if kept is None:
        raise LosscopeError(f"the store {str(store.root)!r} has no study {name!r}")
    kept = kept.model_copy(update={"notes": (*kept.notes, *notes)})
    try:
        return _read(store, name, kept)
    except LosscopeError as error:
        # A study's own plugins are never run because its folder names them.
        absent = [plugin for plugin in kept.study.plugins if not registry.has_plugin(plugin)]
        if not absent:
            raise
        raise LosscopeError(
            f"{error}; the study was made with the plugins {', '.join(absent)}: if you trust them, give them "
            f"again with --plugin"
        ) from None


def measured(store: Store, name: str) -> tuple[StoredStudy, list[stats.Measured], tuple[stats.Standing, ...]]:
    """A stored study, its final runs as statistics see them, and how its sides stood on validation.

    Raises:
        LosscopeError: the store has no such study, or its files cannot be read.
    """
    kept = StoredStudy.read(store, name)
    if kept is None:
        raise LosscopeError(f"the store {str(store.root)!r} has no study {name!r}")
    labels = _labels(kept.losses)
    stored = store.many(dict.fromkeys(kept.runs))
    runs = [own for _, own in _measured(stored, labels, kept.losses)]
    return kept, runs, standing.standings(kept, _by_label(stored, labels))


def _read(store: Store, name: str, kept: StoredStudy) -> Result:
    stored = store.many(dict.fromkeys(kept.runs))
    absent = len(set(kept.runs)) - len(stored)
    require(
        not absent,
        f"{absent:,} of {len(set(kept.runs)):,} runs of the study {name!r} are not in {str(store.root)!r}; "
        f"run losscope run {store.root / 'studies' / name / 'study.toml'} --out {store.root} again, which "
        "makes them",
    )
    labels = _labels(kept.losses)
    runs_of = _by_label(stored, labels)
    known = standing.standings(kept, runs_of)
    settings = settings_of(kept, known)
    measured = _measured(stored, labels, kept.losses)
    with wording.modalities(kept.data.modalities):
        analysis = stats.analyse(
            [own for _, own in measured],
            goal=kept.study.goal,
            reference=kept.study.reference,
            settings=settings,
            generated=kept.data.generated,
            looks=kept.look,
            folds=kept.data.folds,
            standings=known,
            indifference=kept.study.indifference,
            by_item=kept.data.by_item,
            pairs=len(kept.losses) > MANY,
        )
        sides = (*analysis.losses, *analysis.baselines)
        headings = wording.headings(sorted({name for side in sides for name in side.measures}))
    chosen = {choice.label: choice for choice in kept.losses}
    losses = tuple(_chosen(_with_runs(side, runs_of), chosen[side.name]) for side in analysis.losses)
    unseen = watching.without_leaks(
        measured,
        kept.data.not_new,
        goal=kept.study.goal,
        reference=kept.study.reference,
        settings=settings,
        looks=kept.look,
        folds=kept.data.folds,
        standings=known,
        indifference=kept.study.indifference,
    )
    said = [f"{wording.fault(found)}." for own in known for found in own.faults]
    more = [*said, *([unseen] if unseen else []), *wording.unranked(analysis.recommendation)]
    folder = store.root / "studies" / name
    result = Result(
        data=kept.data,
        protocol=stored[0].run.protocol if stored else None,
        seeds=tuple(sorted({run.run.seed for run in stored})),
        goal=kept.study.goal,
        losses=losses,
        baselines=tuple(_fitted(_with_runs(side, runs_of), runs_of) for side in analysis.baselines),
        settings=settings,
        paired=analysis.paired,
        recommendation=analysis.recommendation.model_copy(
            update={"sentences": (*analysis.recommendation.sentences, *wording.outside(losses))}
        ),
        group=analysis.group,
        matrix=analysis.matrix,
        published=published.beside(kept.study.data, kept.study.protocol, losses),
        headings=headings,
        notes=(*kept.notes, *_notes(stored), *more),
        store=str(store.root),
        study=name,
        report=str(folder / "report.html"),
        provenance=provenance_of(
            stored,
            commands.arguments(kept.study, str(store.root))
            or ("losscope", "run", str(folder / "study.toml"), "--out", str(store.root)),
        ),
        unfinished=store.unfinished([*kept.trials, *kept.runs]),
    )
    evidence = _evidence(store, kept, measured)
    result = result.with_evidence(replace(evidence, forces=forces.read(store, name)))
    return placing.applied(store, result)


def _evidence(store: Store, kept: StoredStudy, measured: Sequence[tuple[Stored, stats.Measured]]) -> Evidence:
    """What the page draws of a study's runs, whose arrays the measured runs hold."""
    by_seed = sorted(measured, key=lambda pair: pair[1].seed)

    def runs_of(label: str) -> Runs:
        return [(run, own.detail) for run, own in by_seed if own.loss == label]

    losses = [choice.label for choice in kept.losses]
    # A form of another form is in the tables; to draw both is to draw one twice.
    forms = [name for name, entry in registry.entries("closed_form").items() if not entry.facts.of]
    beside = [name for name in (*BASELINES, *forms) if name not in losses]
    return evidence_of(
        {label: runs_of(label) for label in losses},
        {name: runs_of(name) for name in beside},
        by_item=kept.data.by_item,
        items=shown.read(store, kept.name),
    )


def settings_of(kept: StoredStudy, known: Sequence[stats.Standing]) -> tuple[Settings, ...]:
    """The numbers of a study's losses, and for which of them other validation classes would choose others."""
    unsettled = {own.side for own in known if own.unsettled}
    return tuple(
        choice.settings.model_copy(update={"unsettled": choice.label in unsettled}) for choice in kept.losses
    )


def _labels(choices: Iterable[Choice]) -> dict[str, list[str]]:
    """What the runs of an identity are called: losses tuned to the same numbers share their runs."""
    untrained = (*BASELINES, *registry.entries("closed_form"))
    labels: dict[str, list[str]] = {LossSpec(name=name).canonical(): [name] for name in untrained}
    for name in registry.entries("closed_form"):
        labels[form_spec(name, "pair", "cross-modal").canonical()] = [name]
    for choice in choices:
        labels.setdefault(choice.spec.canonical(), []).append(choice.label)
        if choice.default is not None:
            labels.setdefault(choice.default.canonical(), []).append(choice.default_label)
    return labels


def _measured(
    stored: Sequence[Stored], labels: Mapping[str, list[str]], choices: Iterable[Choice]
) -> list[tuple[Stored, stats.Measured]]:
    """Each run under each of its names; a tuned loss at its usual numbers is shown and never tested."""
    untuned = {choice.default_label for choice in choices if choice.default is not None}
    return [
        (run, measured_of(run, label, described=label in untuned))
        for run in stored
        for label in labels[run.run.loss.canonical()]
    ]


def _by_label(stored: Sequence[Stored], labels: Mapping[str, list[str]]) -> dict[str, list[Stored]]:
    """The runs of each side, in the order of their seeds."""
    grouped: dict[str, list[Stored]] = {}
    for run in sorted(stored, key=lambda run: run.run.seed):
        for label in labels[run.run.loss.canonical()]:
            grouped.setdefault(label, []).append(run)
    return grouped


def _with_runs(side: Kind, runs_of: Mapping[str, Sequence[Stored]]) -> Kind:
    """A side with the ids of its runs, and its failures with their reasons."""
    own = runs_of.get(side.name, ())
    failures = tuple(
        Failure(
            seed=run.run.seed, reason=run.failed, kind="diverged" if run.status == "diverged" else "failed"
        )
        for run in own
        if run.failed is not None
    )
    return side.model_copy(update={"runs": tuple(run.id for run in own), "failures": failures})


def _fitted(side: BaselineResult, runs_of: Mapping[str, Sequence[Stored]]) -> BaselineResult:
    """A closed form with what was fitted in each of its runs."""
    found = [run.provenance.get("closed_form", {}) for run in runs_of.get(side.name, ())]
    if side.family != CLOSED_FORM:
        return side
    chosen = {name: tuple(own.get(name) for own in found) for name in ("shrinkage", "dimensions")}
    chosen |= {
        name: tuple(own.get(name) for own in found)
        for name in ("exponent", "pairs")
        if any(name in own for own in found)
    }
    return side.model_copy(update=chosen)


def _chosen(loss: LossResult, choice: Choice) -> LossResult:
    """A loss with its identity and how it was chosen."""
    return loss.model_copy(
        update={
            "spec": choice.spec,
            "usual": choice.default,
            "tuned": choice.tuned,
            "trials": choice.trials,
            "curves": choice.curves,
        }
    )


def values_of(stored: Stored) -> tuple[dict[str, float | None], dict[str, str]]:
    """A run's final numbers by name, and the split that each is from."""
    values: dict[str, float | None] = {}
    splits: dict[str, str] = {}
    for split in ("train", "test"):
        for name, value in stored.measures.get(split, {}).items():
            if name in values:
                name = f"{name}@{split}"
            values[name], splits[name] = value, "validation" if name == "epochs_to_90_quality" else split
    return values, splits


def measured_of(stored: Stored, label: str, *, described: bool = False) -> stats.Measured:
    """One run's final numbers, each from the split where its protocol measures it.

    ``described``: it stands beside the losses and is never tested.

    Geometry comes from the protocol's split, and where that is the training set the test value stands
    beside it as ``name@test``.
    """
    run = stored.run
    values, splits = values_of(stored)
    facts = run.loss.facts
    closed = registry.entry("closed_form", run.loss.name).facts if run.loss.closed_form else None
    return stats.Measured(
        loss=label,
        seed=run.seed,
        values=values,
        splits=splits,
        failed=stored.failed,
        detail=stored.arrays() if stored.failed is None else {},
        family="baseline" if described else run.loss.family,
        described=described or (closed is not None and bool(closed.of)),
        validation=stored.measures.get("validation", {}),
        form=None if facts is None else facts.form,
        hinge=None if facts is None else facts.hinge,
        floor=None if facts is None else facts.floor,
    )


def _notes(stored: Sequence[Stored]) -> list[str]:
    """What the runs have to say for a person, each sentence once."""
    said = [note for run in stored for note in run.provenance.get("notes", [])]
    return list(dict.fromkeys(said))


def provenance_of(stored: Sequence[Stored], words: Sequence[str]) -> Provenance:
    """The command of some runs in words, their versions and machines; a tuple where they differ."""
    merged: dict[str, Any] = {}
    for key in ("losscope", "python", "torch", "numpy", "machine", "host", "device", "threads"):
        values = sorted({str(run.provenance[key]) for run in stored if key in run.provenance})
        merged[key] = values[0] if len(values) == 1 else tuple(values) or None
    seconds = sum(run.provenance.get("train_seconds", 0.0) for run in stored)
    started = max((str(run.provenance.get("started", "")) for run in stored), default="")
    return Provenance(
        command=commands.said(words),
        arguments=tuple(words),
        date=started[:10] or None,
        runs=len(stored),
        seconds=seconds,
        **merged,
    )
