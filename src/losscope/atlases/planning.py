"""An atlas before anything is trained: its data sets, their studies, what is absent, and the price of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from losscope.atlases.declared import DECLARED, LOSSES, SEEDS, Declared
from losscope.comparing import foreseeing, reading, spending
from losscope.comparing.planning import DEFAULT_OUT, Say
from losscope.core import commands, registry
from losscope.core.errors import LosscopeError, require, shown, unknown
from losscope.core.facts import Value
from losscope.core.results import AtlasPlan, EntryPlan, LeftOut
from losscope.core.spec import Study
from losscope.core.wording import atlases as wording

FEWEST = reading.MANY + 1
"""Losses from which a comparison has a group of those that cannot be told from the best."""


@dataclass(frozen=True)
class Asked:
    """Which atlas is to be made, and how.

    Attributes:
        entries: its data sets.
        needed: the names of those that were asked for, whose absence is a mistake; others are left out.
        usual: what the studies of all entries have in common, and where their runs are kept.
    """

    entries: tuple[Declared, ...]
    needed: frozenset[str]
    usual: Study

    @property
    def out(self) -> str:
        """The folder of its runs."""
        return self.usual.out or DEFAULT_OUT


@dataclass(frozen=True)
class Laid:
    """An entry with its study, what that is called in the store, and the digest of its data.

    ``stored``: whether all its runs are, so that nothing is left to train.
    """

    declared: Declared
    study: Study
    name: str
    digest: str
    stored: bool

    @property
    def command(self) -> str:
        """What trains the entry alone; where the data lie and runs are kept, each machine says for itself."""
        words = commands.arguments(self.study.model_copy(update={"data_root": None}), "")
        return commands.said(words[:-2])


def asked(
    *,
    only: Iterable[str] = (),
    add: Iterable[str] = (),
    options: Mapping[str, Value] | None = None,
    losses: Sequence[str] = LOSSES,
    seeds: int = SEEDS,
    out: str | Path | None = None,
    data_root: str | None = None,
    engine: str = "auto",
    device: str = "auto",
    tune: bool | None = None,
    epochs: int | None = None,
) -> Asked:
    """The atlas over the declared data sets and added ones; only some of them if these are named.

    ``only``: names of declared data sets; where data are added and none are named, these alone. ``options``:
    of the added data. ``tune``: every entry is tuned, unless it is False.

    Raises:
        LosscopeError: no declared data set has the name, two entries have one name, or a mistake in a number.
    """
    known = {entry.name: entry for entry in DECLARED}
    only, added = list(dict.fromkeys(only)), [_added(path, options or {}) for path in dict.fromkeys(add)]
    for name in only:
        if name not in known:
            raise unknown("data set of the atlas", name, list(known))
    entries = [known[name] for name in only] if only or added else list(DECLARED)
    names = [entry.name for entry in added]
    for entry in added:
        require(
            entry.name not in known,
            f"{shown(entry.name)} is the name of a declared data set of the atlas; give it by --only, or "
            "another file's name by --add",
        )
        require(
            names.count(entry.name) == 1,
            f"two of the added data are called {shown(entry.name)}; wanted: files of different names",
        )
    usual = Study.of(
        losses=list(losses),
        seeds=seeds,
        out=None if out is None else str(out),
        data_root=data_root,
        engine=engine,
        device=device,
        tune=tune,
        epochs=epochs,
    )
    require(
        len(usual.losses) >= FEWEST,
        "an atlas asks which losses cannot be told from the best of several; wanted: at least "
        f"{FEWEST} losses",
    )
    needed = frozenset([*only, *names])
    return Asked((*added, *entries), needed, usual)  # what may be mistaken is read first


def _added(path: str, options: Mapping[str, Value]) -> Declared:
    """Data of the user's own as an entry: a family of its own, called by its file's name."""
    name = path if path in registry.entries("data") or path.startswith("hf:") else Path(path).stem
    return Declared(name, f"own: {name}", path, dict(options))


def laid(
    given: Asked, say: Say | None = None, outlook: spending.Outlook | None = None
) -> tuple[list[Laid], AtlasPlan]:
    """The studies of all entries whose data are here, and what they would cost; nothing is written.

    ``say`` is told the price of each, or why it is left out, as soon as it is known, and last of all.
    ``outlook`` times their runs, and has then what was timed.

    Raises:
        LosscopeError: a mistake in an entry that was asked for by name; two entries hold the same data.
    """
    found: list[Laid] = []
    plans: list[EntryPlan] = []
    absent: list[LeftOut] = []
    outlook = outlook or spending.Outlook()
    for entry in given.entries:
        try:
            own, plan = _laid(entry, given, outlook)
        except LosscopeError as error:
            if entry.name in given.needed:
                raise
            absent.append(LeftOut(name=entry.name, reason=str(error)))
            if say:
                say(wording.left_out(absent[-1]))
            continue
        twin = next((each.declared.name for each in found if _same(each, own)), None)
        require(
            twin is None,
            f"{shown(entry.name)} and {shown(twin or '')} hold the same data; each data set counts once",
        )
        found.append(own)
        plans.append(plan)
        if say:
            say(wording.entry_price(plan))
    require(
        bool(found),
        f"none of the atlas's data sets is here: {'; '.join(own.reason for own in absent[:3])}",
    )
    made = _priced(given, plans, absent)
    if say:
        say(made.said)
    return found, made


def _laid(entry: Declared, given: Asked, outlook: spending.Outlook) -> tuple[Laid, EntryPlan]:
    """One entry: its study, and its price. Each holds its data for as long as this takes."""
    from losscope.data.loading import present

    root = given.usual.data_root
    # A declared data set is not downloaded unasked.
    require(
        entry.name in given.needed or present(entry.data, root),
        f"the files of {entry.data} are not here; give --data-root, or name it by --only to fetch them",
    )
    study = study_of(entry, given.usual)
    made = foreseeing.ready(study, None, dry=True)
    plan = foreseeing.dry_run(made, outlook=outlook)
    left = plan.runs - plan.stored + plan.tuning_runs - plan.tuning_stored
    own = Laid(entry, study, made.name, made.source.digest, stored=not left)
    return own, EntryPlan(
        name=entry.name,
        family=entry.family,
        data=plan.data,
        runs=plan.runs + plan.tuning_runs,
        runs_left=left,
        seconds=plan.seconds,
        command=own.command,
    )


def study_of(entry: Declared, usual: Study) -> Study:
    """The study of an entry: tuned, also where the protocol does not tune such data by itself.

    What the protocol does by itself is not said, so that the study is the one that ``losscope compare`` with
    the same data and losses makes.
    """
    from losscope.features import load

    own = {"data": entry.data, "options": entry.options}
    shape = {"epochs": entry.epochs if usual.epochs is None else usual.epochs, "model": entry.model}
    study = Study.of(**{**usual.model_dump(), **own, **shape})
    if study.tune is not None:
        return study
    kind = load(study.data, root=study.data_root, compute=False, **study.data_spec().options).facts.kind
    return study if study.resolve(kind).tunes else study.model_copy(update={"tune": True})


def _same(a: Laid, b: Laid) -> bool:
    """Whether two entries would be of the same rows, drawn, cut and labelled alike."""
    return a.digest == b.digest and a.study.options == b.study.options


def _priced(given: Asked, plans: Sequence[EntryPlan], absent: Sequence[LeftOut]) -> AtlasPlan:
    made = AtlasPlan(
        losses=tuple(given.usual.losses),
        entries=tuple(plans),
        left_out=tuple(absent),
        runs=sum(plan.runs for plan in plans),
        runs_left=sum(plan.runs_left for plan in plans),
        seconds=sum(plan.seconds or 0.0 for plan in plans),
        said="",
    )
    return made.model_copy(update={"said": wording.price(made)})
