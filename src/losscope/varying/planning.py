"""A multiverse before anything is trained: its settings as runs, and these as populations.

Settings of a cell differ in numbers alone, so that a loss's runs of the cell are one population. Every
setting has seeds of its own. Beside the losses stands the *twin*: the first loss once more at the same
settings and on the same data, with other weights and batches. What sets it apart from itself is luck alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from losscope.comparing import planning
from losscope.core import registry
from losscope.core.errors import require
from losscope.core.queries import BACKGROUND
from losscope.core.spec import DataSpec, Run, Study
from losscope.papers import paper as papers
from losscope.papers.paper import Paper
from losscope.papers.planning import measurable
from losscope.run import launch
from losscope.run.store import Store
from losscope.varying.declared import space_of, spaces_of
from losscope.varying.design import design
from losscope.varying.space import Axis, Setting, Space
from losscope.varying.worlds import World, worlds

if TYPE_CHECKING:
    from losscope.data import Source

SETTINGS, QUICK, SEEDS = 500, 60, 3
"""Settings of a multiverse and of its quick form, and seeds of each setting."""
MOST_SETTINGS, MOST_SEEDS = 20_000, 100
MOST_MEMBERS = 24
"""Members of one population, at most. A step of these small networks is mostly many small operations, which
more members share."""
SEEDS_LOOKED_AT = 20
"""Seeds of which the fewest training classes count, where whole classes are held out."""
STRIDE = 2 * MOST_SEEDS
"""From the first seed of a setting to that of the next; the twin's are those after ``MOST_SEEDS``."""


class Member(NamedTuple):
    """Whose runs they are: a loss at a setting, or its twin."""

    setting: int
    loss: str
    twin: bool = False


class Made(NamedTuple):
    """The runs of a member by seed, their ids, and the plan of their data."""

    runs: tuple[Run, ...]
    ids: tuple[str, ...]
    plan: planning.Plan


@dataclass(frozen=True)
class Population:
    """A group of runs and the source of their data."""

    group: launch.Group
    plan: planning.Plan


@dataclass(frozen=True)
class Laid:
    """A world laid out: its space, its settings, and the runs of each loss at each of them.

    ``runs``: the ids by seed. ``populations``: in the order of the cells, so that what is interrupted has
    whole cells first.
    """

    world: World
    space: Space
    settings: tuple[Setting, ...]
    epochs: tuple[int, ...]
    runs: dict[Member, tuple[str, ...]]
    populations: tuple[Population, ...]

    @property
    def cells(self) -> int:
        """Cells of settings that train together."""
        return len({setting.cell for setting in self.settings})


@dataclass(frozen=True)
class Planned:
    """All worlds of a multiverse before anything is trained.

    ``only``, ``claims``: as they were asked for. ``words``: the command of a comparison, without its folder.
    ``notes``: sentences on what of a study is not used.
    """

    paper: Paper
    laid: tuple[Laid, ...]
    store: Store
    engine: str
    settings: int
    seeds: int
    only: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def populations(self) -> list[Population]:
        """Those of all worlds."""
        return [population for laid in self.laid for population in laid.populations]

    @property
    def address(self) -> str | None:
        """That of a Dask cluster that is there, where a study gives one."""
        return self.populations[0].group.where.address

    @property
    def ids(self) -> list[str]:
        """The ids of all runs, each once."""
        return list(dict.fromkeys(run_id for own in self.populations for run_id in own.group.ids))


def prepare(
    paper: str | Paper = "zeng2025",
    *,
    settings: int = SETTINGS,
    seeds: int = SEEDS,
    only: Iterable[str] = (),
    claims: Iterable[str] = (),
    out: str | Path | None = None,
    data_root: str | None = None,
    engine: str = "processes",
    device: str = "auto",
    dry: bool = False,
) -> Planned:
    """Plan every setting of a paper's claims: data read, nothing trained; ``dry``: nothing is written.

    Raises:
        LosscopeError: an unknown paper, data set or claim, impossible numbers, data that are not here.
    """
    spaces_of(paper if isinstance(paper, str) else paper.name)
    found = papers.paper(paper) if isinstance(paper, str) else paper
    only, claims = tuple(only), tuple(claims)
    given: dict[str, object] = {
        "out": str(out or planning.DEFAULT_OUT),
        "data_root": data_root,
        "engine": engine,
        "device": device,
        "protocol": found.own_protocol,
        "losses": list(found.losses),
    }

    def declared(first: planning.Plan) -> Space:
        return space_of(found.name, first.source.facts.kind, first.study.given.data)

    chosen = worlds(found, only, claims)
    for world in chosen:
        if registry.entry("data", world.data).facts.modality == "images":
            space_of(found.name, "images", world.data)  # says that there is none, before they are fetched
    planned = lay(found, chosen, declared, given, settings=settings, seeds=seeds, named=bool(claims), dry=dry)
    return replace(planned, only=only, claims=claims)


def lay(
    paper: Paper,
    chosen: Iterable[World],
    declared: Callable[[planning.Plan], Space],
    given: Mapping[str, object],
    *,
    settings: int,
    seeds: int,
    named: bool,
    dry: bool,
) -> Planned:
    """Lay out some worlds. ``declared``: the space of the data of a plan; ``given``: fields of every study.

    ``named``: the claims were asked for one by one, so that all of them must be possible.

    Raises:
        LosscopeError: impossible numbers, data that are not here or too small, or that cannot show a claim.
    """
    for what, number, most in (("settings", settings, MOST_SETTINGS), ("seeds", seeds, MOST_SEEDS)):
        require(
            isinstance(number, int) and 1 <= number <= most,
            f"{number!r} {what} are asked for; wanted: a whole number from 1 to {most:,}",
        )
    common = {**given, "keep": "none", "seeds": seeds, "tune": False, "closed_forms": False}
    laid = tuple(_lay(world, named, declared, settings, seeds, common, dry) for world in chosen)
    store = Store(str(given["out"]), create=not dry, absent=dry)
    return Planned(paper, laid, store, str(given["engine"]), settings, seeds)


def _lay(
    world: World,
    named: bool,
    declared: Callable[[planning.Plan], Space],
    count: int,
    seeds: int,
    common: Mapping[str, object],
    dry: bool,
) -> Laid:
    plans: dict[str, planning.Plan] = {}

    def plan_of(options: dict[str, Any]) -> planning.Plan:
        data = DataSpec(name=world.data, options={**world.options, **options})
        if data.canonical() not in plans:
            study = Study.of(
                f"the data {world.label!r}",
                **{**common, "data": world.data, "options": dict(data.options)},
            )
            plans[data.canonical()] = planning.plan(study, compute=not dry, create=not dry)
        return plans[data.canonical()]

    first = plan_of({})
    facts, (rows, _, _) = first.source.facts, first.source.sizes()
    require(
        not facts.pending,
        f"the features of {world.label} are not computed yet; losscope embed computes them once",
    )
    space = within(declared(first), math.prod(facts.shape), rows, fewest_classes(first.source))
    able = tuple(claim for claim in world.claims if measurable(claim, facts))
    lacking = ", ".join(claim.id for claim in world.claims if claim not in able)
    require(bool(able) and not (named and lacking), f"{world.label} cannot show {lacking}; leave it out")
    world = replace(world, claims=able)
    base = first.study.protocol
    settings = design(space, count)
    made: dict[Member, Made] = {}
    for setting in settings:
        plan = plan_of(space.options_of(setting))
        for member in members(space, setting):
            runs = tuple(
                space.run_of(setting, member.loss, seed, base, plan.study.data, data_seed)
                for seed, data_seed in seeds_of(member, seeds)
            )
            made[member] = Made(runs, tuple(map(plan.identify, runs)), plan)
    populations = tuple(_populations(space, settings, made))
    epochs = tuple(space.protocol_of(setting, base).epochs for setting in settings)
    ids = {member: own.ids for member, own in made.items()}
    return Laid(world, space, settings, epochs, ids, populations)


def members(space: Space, setting: Setting) -> Iterator[Member]:
    """Each loss at a setting, and the twin of the first."""
    for loss in space.losses:
        yield Member(setting.number, loss)
    yield Member(setting.number, space.losses[0], True)


def seeds_of(member: Member, count: int) -> list[tuple[int, int | None]]:
    """The seeds of a loss at a setting, and the seed of the data of each where that is another.

    No other setting has them. The twin has weights and batches of its own, on the data of the pair.

    >>> seeds_of(Member(2, "triplet"), 2), seeds_of(Member(2, "triplet", True), 2)
    ([(400, None), (401, None)], [(500, 400), (501, 401)])
    """
    own = range(member.setting * STRIDE, member.setting * STRIDE + count)
    return [(seed + MOST_SEEDS, seed) if member.twin else (seed, None) for seed in own]


def fewest_classes(source: Source) -> int:
    """Classes of a training part: the fewest of some seeds, where whole classes are held out."""
    seeds = range(SEEDS_LOOKED_AT if source.facts.disjoint else 1)
    return min(len(np.unique(labels[labels != BACKGROUND])) for labels in map(source.training_labels, seeds))


def within(space: Space, dimensions: int, rows: int, classes: int) -> Space:
    """The space without levels that the data cannot have: larger embeddings, larger batches, more classes.

    Where the paper's own is among these, the largest that is left stands for it.

    Raises:
        LosscopeError: the data are too small for the smallest batch.
    """

    def fits(axis: Axis, most: int) -> Axis:
        small = axis.without(level.name for level in axis.levels if int(level.name or 0) > most)
        least = int(axis.levels[0].name or 0)
        require(
            bool(small.levels),
            f"the data have {rows:,} training rows of {dimensions:,} dimensions; the settings of "
            f"{space.paper} have {axis.name} {least} at least, which wants "
            f"{2 * least if axis.name == 'batch_size' else least}",
        )
        names = [level.name for level in small.levels]
        return small if small.paper in names else replace(small, paper=names[-1])

    limits = {"embedding_size": dimensions, "batch_size": rows // 2}
    axes = (fits(axis, limits[axis.name]) if axis.name in limits else axis for axis in space.axes)
    return replace(space, axes=tuple(_of_classes(axis, classes) for axis in axes))


def _of_classes(axis: Axis, classes: int) -> Axis:
    """An axis without batches of more classes than there are; shuffled ones are left in any case."""
    asked = {level.name: dict(level.fields) for level in axis.levels}
    over = [
        name
        for name, own in asked.items()
        if own.get("batching") == "balanced" and int(str(own["classes_per_batch"])) > classes
    ]
    return axis.without(over) if over and axis.paper not in over else axis


def _populations(
    space: Space, settings: Sequence[Setting], made: Mapping[Member, Made]
) -> Iterator[Population]:
    """Each loss's settings of a cell together, its twin among them, as many as are quickest at once."""
    together: dict[tuple[int, str], list[Made]] = {}
    for setting in settings:  # in the order of their cells
        for member in members(space, setting):
            together.setdefault((setting.cell, member.loss), []).append(made[member])
    for own in together.values():
        plan, runs = own[0].plan, own[0].runs
        memory = launch.MEMORY_BUDGET // (3 * runs[0].protocol.batch_size) ** 2
        at_once = max(1, min(MOST_MEMBERS, memory) // len(runs))
        for start in range(0, len(own), at_once):
            part = own[start : start + at_once]
            group = launch.Group(
                tuple(run for each in part for run in each.runs),
                tuple(run_id for each in part for run_id in each.ids),
                plan.where,
            )
            yield Population(group, plan)
