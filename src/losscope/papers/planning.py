"""The studies of a reproduction, planned: a paper's cells with their data and runs, and their cost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope import stats
from losscope.comparing import looking, planning, running
from losscope.comparing.stored import StoredStudy
from losscope.core import registry
from losscope.core.errors import require
from losscope.core.quantities import GOALS, quantity
from losscope.core.results import SCHEMA, CellPlan, ReproductionPlan, Result
from losscope.core.spec import LossSpec, Study
from losscope.core.wording import reproductions as wording
from losscope.papers import paper as papers
from losscope.papers.paper import CLAIMS, GRID, Cell, Claim, Paper, Rises
from losscope.run import cost as costing
from losscope.run import launch
from losscope.run.files import Damaged
from losscope.run.looks import Look
from losscope.run.store import Store

if TYPE_CHECKING:
    from losscope.data.base import About

Say = planning.Say


@dataclass
class Piece:
    """A cell of the paper and its study, planned; ``reduced``: in words, what part of the paper's it is."""

    cell: Cell
    plan: planning.Plan
    reduced: str | None

    @property
    def place(self) -> tuple[str, str]:
        """The data's name in the ledger, and the protocol: cells of one place stand beside each other."""
        return self.cell.label, self.cell.protocol

    @property
    def look(self) -> int:
        """The look at this cell, counted now: a paper's cells are named before any of them is seen."""
        return self.plan.store.look(self.plan.name, Look(self.plan.study.seeds))

    def result(self) -> Result:
        """The study's own result; its folder and page are written now if they are not there."""
        store, name = self.plan.store, self.plan.name
        look = self.look
        page = store.root / "studies" / name / "report.html"
        try:
            kept, found = StoredStudy.read(store, name), store.read_json(f"studies/{name}/result.json")
        except Damaged:  # it is written again
            return running.conclude(self.plan, look=look)
        current = found is not None and found.get("schema") == SCHEMA and page.is_file()
        # What the machine stopped then may be there now.
        if kept is None or kept.runs != self.plan.ids or not current or found.get("unfinished"):
            return running.conclude(self.plan, look=look)
        result: Result = Result.from_json(json.dumps(found), f"the result of {name}")
        return result

    @property
    def groups(self) -> list[launch.Group]:
        """The populations of the final runs; a control has no use for baselines."""
        groups = self.plan.groups
        return (
            groups
            if self.cell.role == CLAIMS
            else [group for group in groups if not group.runs[0].loss.baseline]
        )

    @property
    def epochs(self) -> int:
        """How many epochs each run trains."""
        return self.plan.study.protocol.epochs


@dataclass
class Planned:
    """All studies of a reproduction before anything is trained; ``dry``: nothing is written."""

    paper: Paper
    pieces: list[Piece]
    store: Store
    engine: str
    seeds: int
    full: bool
    only: tuple[str, ...]
    notes: tuple[str, ...]
    dry: bool = False
    address: str | None = None

    def judged(self) -> list[Piece]:
        """The pieces whose runs claims are judged on."""
        return [piece for piece in self.pieces if piece.cell.role == CLAIMS]

    def groups(self, part: str) -> list[tuple[launch.Group, Any]]:
        """The populations of ``trials`` or ``finals`` with their data, none that lies within another."""
        every = [
            (group, piece.plan.source)
            for piece in self.pieces
            for group in (piece.plan.trial_groups if part == "trials" else piece.groups)
        ]
        every.sort(key=lambda pair: -len(pair[0].ids))
        found: list[tuple[launch.Group, Any]] = []
        covered: set[str] = set()
        for group, source in every:
            if not covered.issuperset(group.ids):
                covered.update(group.ids)
                found.append((group, source))
        return found


@dataclass(frozen=True)
class Foreseen:
    """What a reproduction will cost: in words and numbers, and in seconds of one core by population.

    ``whole``: the runs that are stored, and of which every file was read and is whole. ``speeds``: of each
    kind of run, for those that tuning will choose.
    """

    plan: ReproductionPlan
    costs: dict[str, float]
    whole: frozenset[str]
    speeds: dict[str, costing.Speed] = field(default_factory=dict)

    def price(self, group: launch.Group) -> float:
        """Seconds of one core that a population takes, which may be none that was foreseen by name."""
        known = self.costs.get(group.name)
        if known is None:
            speed = self.speeds.get(costing.kind_of(group.runs[0]))
            return 0.0 if speed is None else speed.seconds(group)
        return known


def prepare(
    paper: str | Paper,
    *,
    only: Iterable[str] = (),
    full: bool = False,
    seeds: int = 10,
    out: str | Path | None = None,
    data_root: str | None = None,
    engine: str = "processes",
    address: str | None = None,
    run_limit: float | None = None,
    device: str = "auto",
    plugins: Sequence[str] = (),
    trust: bool = False,
    say: Say | None = None,
    dry: bool = False,
) -> Planned:
    """Plan every cell of a paper, given by its name or as a value: data read, nothing trained.

    ``only``: names of data sets. ``dry``: nothing is computed and nothing is written.

    Raises:
        LosscopeError: an unknown paper or data set, or none of the data is on this machine.
    """
    for plugin in plugins:
        registry.load_plugin(plugin)
    found = papers.paper(paper) if isinstance(paper, str) else paper
    require(
        bool(found.name), "the paper has no name; give it one, as its results are kept under it: name='…'"
    )
    cells, notes = _here(found, found.chosen(only, full), data_root)
    folder = str(out or planning.DEFAULT_OUT)
    common: dict[str, object] = {
        "out": folder,
        "data_root": data_root,
        "engine": engine,
        "address": address,
        "run_limit": run_limit,
        "device": device,
        "plugins": list(plugins),
        "trust": trust,
        "seeds": seeds,
        "keep": "none",
    }
    pieces = [_piece(cell, common, dry) for cell in cells]
    pending = dict.fromkeys(piece.cell.label for piece in pieces if piece.plan.source.facts.pending)
    if pending:
        notes.append(wording.pending(pending))
    if say:
        for note in notes:
            say(note)
    store = Store(folder, create=not dry, absent=dry)
    return Planned(found, pieces, store, engine, seeds, full, tuple(only), tuple(notes), dry, address)


def _here(paper: Paper, cells: list[Cell], data_root: str | None) -> tuple[list[Cell], list[str]]:
    """The cells that can be run on this machine, and what has to be said of those that cannot."""
    from losscope.data.loading import present

    here = {name: present(name, data_root) for name in dict.fromkeys(cell.data for cell in cells)}
    away = [name for name, found in here.items() if not found]
    notes = [wording.absent(name) for name in away]
    known = registry.entries("loss")
    notes += [wording.unregistered(name) for name in paper.losses if name not in known]
    cells = [replace(cell, losses=_registered(cell.losses)) for cell in cells if here[cell.data]]
    cells = [cell for cell in cells if cell.losses]
    found = {cell.backbone: _local(cell.backbone, data_root) for cell in cells if cell.backbone}
    for pattern, file in found.items():
        if file is None:
            notes.append(
                wording.no_backbone(pattern, [cell.data for cell in cells if cell.backbone == pattern])
            )
    cells = [
        replace(cell, backbone=found[cell.backbone]) if cell.backbone else cell
        for cell in cells
        if cell.backbone is None or found[cell.backbone] is not None
    ]
    require(
        bool(cells),
        f"none of the data of {paper.name} is on this machine: {', '.join(away)}; give --data-root",
    )
    return cells, list(dict.fromkeys([*notes, *(note for cell in cells for note in cell.notes)]))


def _registered(losses: Iterable[str]) -> tuple[str, ...]:
    """The losses of a cell that can be named: ours if they are registered, and all foreign ones."""
    known = registry.entries("loss")
    specs = {loss: LossSpec.parse(loss) for loss in losses if ":" in loss or loss.partition("(")[0] in known}
    return tuple(specs)


def _local(pattern: str, data_root: str | None) -> str | None:
    """The first file of a pattern in the data root, if there is one."""
    root = data_root or os.environ.get("LOSSCOPE_DATA")
    return next(map(str, sorted(Path(root).expanduser().glob(pattern))), None) if root else None


def _piece(cell: Cell, common: dict[str, object], dry: bool) -> Piece:
    study = Study.of(
        f"the cell {cell.label!r}",
        closed_forms=False,  # a paper is judged by its claims, not by what could stand beside them
        data=cell.data,
        protocol=cell.protocol,
        losses=list(cell.losses),
        options=dict(cell.options),
        epochs=cell.epochs,
        batch_size=cell.batch_size,
        tuples=cell.tuples,
        tune=cell.tune,
        goal=cell.goal,
        backbone=cell.backbone,
        **common,
    )
    plan = planning.plan(study, compute=not dry, create=not dry)
    return Piece(cell, plan, _reduced(cell, plan))


def _reduced(cell: Cell, plan: planning.Plan) -> str | None:
    """What part of the paper's images and updates a cell is; None where it is all of them."""
    if cell.size is None:
        return None
    train, validation, _ = plan.source.sizes()
    if train + validation >= cell.size.images:
        return None
    shape = plan.study.protocol
    whole, rest = divmod(train, shape.batch_size)
    steps = whole + bool(rest) if shape.batching == "shuffled" else max(1, whole)
    return wording.reduced_to(train, cell.size.images, steps * shape.epochs, cell.size.updates)


def foresee(planned: Planned, say: Say | None = None) -> Foreseen:
    """What a reproduction will cost and what it can show. Speeds that are not known yet are measured.

    Raises:
        LosscopeError: the count of the looks at a study cannot be read; this is said before any training.
    """
    for piece in planned.judged():
        looking.foreseen(piece.plan)
    trials = planned.groups("trials")
    whole = costing.whole(planned.store, _ids(trials))
    _settle(planned, whole)
    finals = planned.groups("finals")
    whole |= costing.whole(planned.store, _ids(finals) - whole)
    known = [pair for pair in (*trials, *finals) if not pair[1].facts.pending]
    speeds = costing.speeds(known, planned.store, whole, say, keep=not planned.dry)
    costs = costing.seconds((group for group, _ in known), speeds, whole)
    tests = {id(piece): _tests(planned, piece) for piece in planned.judged()}
    cells = []
    for piece in planned.pieces:
        own = [*piece.plan.trial_groups, *piece.groups]
        cells.append(
            CellPlan(
                data=piece.cell.label,
                protocol=piece.cell.protocol,
                role=piece.cell.role,
                runs=sum(len(group.runs) for group in own),
                seconds=sum(costs.get(group.name, 0.0) for group in own),
                tests_in_family=tests.get(id(piece)),
                reduced=piece.reduced,
            )
        )
    ids = _ids([*trials, *finals])
    left = len(ids - whole)
    parts = [*_stages(planned, trials), [group for group, _ in finals]]
    seconds = sum(
        costing.wall([costs.get(group.name, 0.0) for group in part], planned.engine) for part in parts
    )
    cores = costing.cores(planned.engine)
    if seconds and cores > 1:
        seconds += costing.START
    design = stats.plan(planned.seeds, tests=max(tests.values(), default=1))
    populations = len(trials) + len(finals)
    plan = ReproductionPlan(
        paper=planned.paper.name,
        full=planned.full,
        cells=tuple(cells),
        runs=len(ids),
        runs_left=left,
        seconds=seconds,
        core_seconds=sum(costs.values()),
        cores=cores,
        notes=planned.notes,
        said=wording.work(len(ids), populations, len(ids) - left, seconds, cores),
        **design.model_dump(),
    )
    return Foreseen(plan, costs, whole, speeds)


def _stages(planned: Planned, trials: Sequence[tuple[launch.Group, Any]]) -> Iterable[list[launch.Group]]:
    """The populations of tuning that wait for each other, those of several pieces once."""
    left = {group.name for group, _ in trials}
    for piece in planned.pieces:
        for stage in piece.plan.trial_stages:
            yield [group for group in stage if group.name in left]
            left -= {group.name for group in stage}


def _ids(groups: Iterable[tuple[launch.Group, Any]]) -> frozenset[str]:
    return frozenset(run_id for group, _ in groups for run_id in group.ids)


def _tests(planned: Planned, piece: Piece) -> int:
    """An upper bound of the claims that a cell's family tests."""
    grid = any(other.cell.role == GRID and other.place == piece.place for other in planned.pieces)
    only = piece.cell.only
    return len(only) or sum(_applies(claim, piece, grid) for claim in planned.paper.claims)


def _applies(claim: Claim, piece: Piece, grid: bool) -> bool:
    """Whether the data of a cell can have the claim's measure."""
    facts = piece.plan.source.facts
    if claim.timing and piece.reduced:
        return False
    if isinstance(claim.asserts, Rises) and not grid:
        return False
    return measurable(claim, facts)


def measurable(claim: Claim, facts: About) -> bool:
    """Whether data can have the measure of a claim."""
    if not claim.measure:
        return True
    if claim.measure in GOALS["classification"] and (facts.disjoint or facts.kind == "pair"):
        return False
    group = quantity(claim.measure).group
    return not (group == "detail" and not facts.fine_names) and not (
        group == "cross-modal" and facts.kind != "pair"
    )


def _settle(planned: Planned, whole: frozenset[str]) -> None:
    """Take the tuned values of studies whose trials are all stored: their final runs may be stored too."""
    for piece in planned.pieces:
        if piece.plan.tunes and all(whole.issuperset(group.ids) for group in piece.plan.trial_groups):
            piece.plan = piece.plan.tuned(train=False)
