"""``losscope multiverse``: plan, price, train what is not stored, read, analyse."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from losscope.comparing import reading as studies
from losscope.core.errors import require, unknown
from losscope.core.results import (
    DataDescription,
    Matches,
    Multiverse,
    MultiverseClaim,
    MultiversePlan,
    Provenance,
    SpaceAxis,
    WorldPlan,
)
from losscope.core.spec import Study
from losscope.core.wording import multiverses as saying
from losscope.core.wording import varying as wording
from losscope.papers.paper import Paper
from losscope.run import cost as costing
from losscope.run import launch
from losscope.run.folders import MULTIVERSES
from losscope.stats.multiverses import analyse
from losscope.varying import matching, own, reading
from losscope.varying.planning import QUICK, SEEDS, SETTINGS, Laid, Planned, prepare
from losscope.varying.pricing import Price, price
from losscope.varying.space import Axis

Say = Callable[[str], None]
Show = Callable[[float, float, str], None]
LONGEST = 100
"""Letters of the name of a folder."""
PUBLISHED = "published"
"""What settings can be matched with."""


def multiverse(
    paper: str | Paper | Study = "zeng2025",
    *,
    settings: int | None = None,
    seeds: int | None = None,
    only: Iterable[str] = (),
    claims: Iterable[str] = (),
    quick: bool = False,
    match: str | None = None,
    out: str | Path | None = None,
    data_root: str | None = None,
    engine: str = "processes",
    device: str = "auto",
    say: Say | None = None,
    show: Show | None = None,
) -> Multiverse:
    """In which settings does each claim of a paper hold? What is not stored yet is trained.

    Args:
        paper: a paper with a declared space of settings; or a ``Study``, around whose own numbers settings
            are drawn, to see in which of them which of its losses is better at its goal.
        settings: how many are drawn of it, beside the paper's own; more of them add to the first.
        seeds: paired seeds of each setting; 3 otherwise, whatever a study says of its own.
        only: names of the paper's data sets; its first otherwise.
        claims: ids of its claims; all that the data can show otherwise, but for those about detail.
        quick: a sample of 60 settings instead of 500.
        match: ``published``, to ask which settings give the paper's numbers.
        out: the folder that runs and pages are kept in.
        data_root: the folder with data sets in their original layouts.
        engine: where populations train: ``here``, ``processes`` or ``dask``; a study has its own.
        device: ``auto``, ``cpu`` or ``cuda``; a study has its own.
        say: called with each sentence for a person.
        show: called with the seconds of work done and in all, and what is under way.

    Raises:
        LosscopeError: any mistake in what was given, before anything is trained.

    >>> multiverse("zeng2025", settings=0)
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 0 settings are asked for; wanted: a whole number from 1 to 20,000
    """
    asked = matched(match)
    count = settings_of(settings, quick)
    if isinstance(paper, Study):
        planned = own.prepare(paper, settings=count, seeds=seeds, out=out, data_root=data_root)
    else:
        planned = prepare(
            paper,
            settings=count,
            seeds=SEEDS if seeds is None else seeds,
            only=only,
            claims=claims,
            out=out,
            data_root=data_root,
            engine=engine,
            device=device,
        )
    return run(planned, match=asked, say=say, show=show)


def settings_of(settings: int | None, quick: bool) -> int:
    """How many settings are drawn.

    Raises:
        LosscopeError: a number, and the quick form, which has its own.
    """
    require(
        settings is None or not quick,
        f"{settings} settings and the quick form of {QUICK} are asked for; give --settings or --quick",
    )
    return QUICK if quick else SETTINGS if settings is None else settings


def matched(match: str | None) -> bool:
    """Whether settings are matched with published numbers."""
    if match not in (None, PUBLISHED):
        raise unknown("thing to match settings with", match, [PUBLISHED])
    return match is not None


def foresee(planned: Planned, say: Say | None = None, *, dry: bool = False) -> tuple[MultiversePlan, Price]:
    """What a multiverse will cost. ``dry``: speeds that are measured are not kept."""
    if say is not None:
        for note in planned.notes:
            say(note)
    found = price(planned.populations, planned.store, keep=not dry, say=say)
    worlds = tuple(_world_plan(laid, found) for laid in planned.laid)
    seconds = costing.wall(list(found.seconds.values()), planned.engine)
    cores = costing.cores(planned.engine)
    if seconds and cores > 1:
        seconds += costing.START
    ids = planned.ids
    left = len(ids) - len(found.whole)
    plan = MultiversePlan(
        paper=planned.paper.name,
        worlds=worlds,
        seeds=planned.seeds,
        runs=len(ids),
        runs_left=left,
        seconds=seconds,
        core_seconds=sum(found.seconds.values()),
        cores=cores,
        said=wording.price(worlds, planned.seeds, left, seconds, cores),
    )
    return plan, found


def _world_plan(laid: Laid, found: Price) -> WorldPlan:
    ids = {run_id for own in laid.runs.values() for run_id in own}
    return WorldPlan(
        data=laid.world.label,
        claims=tuple(claim.id for claim in laid.world.claims),
        settings=len(laid.settings),
        cells=laid.cells,
        populations=len(laid.populations),
        runs=len(ids),
        runs_left=len(ids - found.whole),
        seconds=sum(found.of(own.group) for own in laid.populations),
    )


def run(
    planned: Planned, *, match: bool = False, say: Say | None = None, show: Show | None = None
) -> Multiverse:
    """Train what is not stored yet, cell by cell, and conclude; ``match``: also with published numbers."""
    refuse_unmatched(planned, match)
    with launch.crew(planned.engine, planned.address):
        plan, found = foresee(planned, say)
        if say:
            say(plan.said)
        meter = costing.Meter(plan.core_seconds, found.of, say, show)
        launch.execute([own.group for own in planned.populations], planned.engine, meter, say, found.whole)
    return conclude(planned, match)


def refuse_unmatched(planned: Planned, match: bool) -> None:
    """Refuse a match where no published number is on any of the data, before anything is trained.

    Raises:
        LosscopeError: there is nothing to match with.
    """
    stated = planned.paper.stated
    known = list(dict.fromkeys(number.data for number in stated))
    labels = [laid.world.label for laid in planned.laid]
    require(
        not match or bool(set(known) & set(labels)),
        f"{planned.paper.name} states no numbers on {', '.join(labels)}, which settings could be matched "
        f"with; choices: {', '.join(known) or 'none'}",
    )


def conclude(planned: Planned, match: bool) -> Multiverse:
    """Read and analyse what is stored, and write ``multiverses/<name>``: result.json and report.html."""
    claims, matches = _analysed(planned, match)
    store, first = planned.store, planned.laid[0]
    name = f"{MULTIVERSES}/{name_of(planned)}"
    labels = [laid.world.label for laid in planned.laid]
    result = Multiverse(
        paper=None if planned.paper.name == own.NAME else planned.paper.name,
        data=DataDescription(
            name=planned.paper.name,
            title=planned.paper.title,
            kind="paper",
            described=wording.described(labels, planned.settings, planned.seeds),
        ),
        losses=first.space.losses,
        settings=planned.settings,
        cells=first.cells - 1,
        seeds_each=planned.seeds,
        space=tuple(space_of(planned.laid)),
        claims=claims,
        matches=matches,
        notes=tuple(_notes(planned, claims)),
        store=str(store.root),
        report=str(store.root / name / "report.html"),
        provenance=_provenance(planned, match),
        unfinished=store.unfinished(planned.ids),
    )
    result = result.model_copy(update={"summary": saying.whole(result)})
    store.write_json(f"{name}/result.json", result.model_dump(mode="json"))
    store.write_text(f"{name}/report.html", result.page())
    return result


def _analysed(planned: Planned, match: bool) -> tuple[tuple[MultiverseClaim, ...], tuple[Matches, ...]]:
    """The claims of all worlds, each world's runs read once, and the matches of those that have numbers."""
    universes, matches = [], []
    for laid in planned.laid:
        targets = matching.targets_of(planned.paper.stated, laid) if match else []
        wanted = dict.fromkeys((*reading.asked_of(laid.world.claims), *matching.asked_of(targets)))
        found = reading.table(laid, planned.store, list(wanted))
        universes += reading.universes(laid, found)
        if targets:
            matches.append(matching.match(laid, found, targets))
    return analyse(universes), tuple(matches)


def _notes(planned: Planned, claims: Sequence[MultiverseClaim]) -> Iterator[str]:
    yield wording.own_setting(planned.settings)
    yield wording.luck(planned.laid[0].space.losses[0])
    read = {(found.claim, found.data) for found in claims}
    lost = [
        f"{claim.id} on {laid.world.label}"
        for laid in planned.laid
        for claim in laid.world.claims
        if (claim.id, laid.world.label) not in read
    ]
    if lost:
        yield wording.without_value(lost)


def space_of(laid: Sequence[Laid]) -> Iterator[SpaceAxis]:
    """The axes of all data sets as results have them, each once, and with its data where some lack it."""
    data: dict[Axis, list[str]] = {}
    for each in laid:
        for axis in each.space.axes:
            data.setdefault(axis, []).append(each.world.label)
    order = {axis.name: place for place, axis in reversed(list(enumerate(data)))}
    for axis in sorted(data, key=lambda axis: order[axis.name]):
        yield axis_of(axis, () if len(data[axis]) == len(laid) else tuple(data[axis]))


def axis_of(axis: Axis, data: tuple[str, ...] = ()) -> SpaceAxis:
    """An axis of the space as results have it."""
    numbers = axis.numbers
    return SpaceAxis(
        name=axis.name,
        low=None if numbers is None else numbers.low,
        high=None if numbers is None else numbers.high,
        log=numbers is not None and numbers.logarithmic,
        values=tuple(wording.named(level.name) for level in axis.levels),
        crossed=not axis.stacks,
        why=axis.source,
        data=data,
    )


def name_of(planned: Planned) -> str:
    """The folder of a multiverse: its paper, its data, and its claims where some were named."""
    named = [claim.id for claim in planned.paper.claims if claim.id in planned.claims]
    whole = "-".join((planned.paper.name, *(laid.world.label for laid in planned.laid), *named)).lower()
    words = re.sub(r"[^a-z0-9]+", "-", whole).strip("-")
    if planned.words:
        # Comparisons of one name differ in much: in their losses, their protocol, their options.
        space = planned.laid[0].space
        own = [*space.losses, planned.paper.own_protocol, *map(repr, space.axes)]
    elif len(words) > LONGEST:
        own = [whole]
    else:
        return words
    return f"{words[:LONGEST]}-{hashlib.sha256(json.dumps(own).encode()).hexdigest()[:8]}"


def _provenance(planned: Planned, match: bool) -> Provenance:
    if planned.words:
        return studies.provenance_of(planned.store.many(planned.ids), planned.words)
    words = ["losscope", "multiverse", planned.paper.name, "--settings", str(planned.settings)]
    words += ["--seeds", str(planned.seeds)]
    words += ["--only", ",".join(planned.only)] if planned.only else []
    words += ["--claim", ",".join(planned.claims)] if planned.claims else []
    words += ["--match", PUBLISHED] if match else []
    return studies.provenance_of(planned.store.many(planned.ids), [*words, "--out", str(planned.store.root)])
