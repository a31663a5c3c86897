"""``losscope reproduce``: every claim of a paper, as experiments that can fail.

The cells of the paper are studies like any other and share their runs with ``compare``; all of them go
through one launch, the longest first, so that every core is used until the end. Then each claim is judged
on every cell, and the controls explain.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from losscope import claims, launch, registry, stats
from losscope.claims import Evidence, Side
from losscope.errors import LosscopeError, require
from losscope.spec import Study
from losscope.store import Store, Stored, plain
from losscope.study import comparing, controls, costing, papers, reading, tuning

OUTCOMES = {
    "reproduced": ("holds", "hold"),
    "direction_only": ("holds in direction only", "hold in direction only"),
    "size_unresolved": ("holds in direction, its size open", "hold in direction, their size open"),
    "contradicted": ("is contradicted", "are contradicted"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "not_testable": ("is not testable", "are not testable"),
}
Say = Callable[[str], None]
Show = Callable[[float, float, str], None]


@dataclass
class Piece:
    """A cell of the paper and its study, planned; ``reduced`` says in words what part of the paper's it is."""

    cell: papers.Cell
    plan: comparing.Plan
    reduced: str | None

    @property
    def name(self) -> str:
        """The cell as people read it."""
        return f"{self.cell.data}, {self.cell.protocol}"

    @property
    def groups(self) -> list[launch.Group]:
        """The populations of the final runs; a control has no use for baselines."""
        every = self.plan.groups
        return (
            every if self.cell.role == "claims" else [one for one in every if not one.runs[0].loss.baseline]
        )


@dataclass
class Reproduction:
    """A finished reproduction: ``data`` is the JSON object, the rest are views of it."""

    data: dict[str, Any]

    def json(self) -> str:
        """The JSON text."""
        return json.dumps(plain(self.data), indent=1, ensure_ascii=False, allow_nan=False)

    def table(self, format: str = "rich") -> Any:
        """The ledger: ``rich`` or ``md``."""
        from losscope.report import ledger

        return ledger.table(self.data) if format == "rich" else ledger.markdown(self.data)

    def page(self) -> str:
        """The HTML page."""
        from losscope.report import page, reproduction

        sections = reproduction.sections(self.data["controls"])
        return page.render({**self.data, "controls": []}, extra_sections=sections)


@dataclass
class Planned:
    """All studies of a reproduction before anything is trained, with what they will cost."""

    paper: str
    pieces: list[Piece]
    store: Store
    engine: str
    seeds: int
    full: bool
    only: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    def groups(self, part: str) -> list[tuple[launch.Group, Any]]:
        """The populations of ``trials`` or ``finals`` with their data, none that lies within another."""
        every = [
            (one, piece.plan.source)
            for piece in self.pieces
            for one in (piece.plan.trial_groups if part == "trials" else piece.groups)
        ]
        every.sort(key=lambda pair: -len(pair[0].ids))
        found: list[tuple[launch.Group, Any]] = []
        covered: set[str] = set()
        for one, source in every:
            if not covered.issuperset(one.ids):
                covered.update(one.ids)
                found.append((one, source))
        return found


def prepare(
    paper: str,
    *,
    only: Iterable[str] = (),
    full: bool = False,
    seeds: int = 10,
    out: str | Path | None = None,
    data_root: str | None = None,
    engine: str = "processes",
    device: str = "auto",
    plugins: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> Planned:
    """Plan every cell of a paper: data read, nothing trained.

    ``only``: names of data sets. ``changes``: fields of every study, such as epochs, for a quick look; the
    ledger then says that the data are reduced.

    Raises LosscopeError for an unknown paper or data set, or if none of the data is on this machine.
    """
    for plugin in plugins:
        registry.load_plugin(plugin)
    from losscope.data.loading import present

    cells = papers.cells_of(paper, only, full)
    here = {name: present(name, data_root) for name in {cell.known for cell in cells}}
    absent = [name for name in dict.fromkeys(cell.known for cell in cells) if not here[name]]
    notes = [f"{name} is not on this machine and is left out; see `losscope list data`." for name in absent]
    notes += [
        f"The loss {name} is not registered and is left out."
        for name in papers.paper(paper).losses
        if name not in registry.entries("loss")
    ]
    cells = [cell for cell in cells if here[cell.known]]
    backbone = _local_backbone(data_root)
    if backbone is None and any("backbone" in cell.study for cell in cells):
        notes.append(f"No backbone {papers.LOCAL} is in the data root, so images are left out.")
        cells = [cell for cell in cells if "backbone" not in cell.study]
    require(
        bool(cells),
        f"none of the data of {paper} is on this machine: {', '.join(absent)}; give --data-root",
    )
    if any(cell.paper is not None for cell in cells):
        notes.append(papers.ON_IMAGES)
        notes += [] if full else [papers.UNTUNED_IMAGES]
    folder = str(out or comparing.DEFAULT_OUT)
    pieces = [
        _piece(cell, seeds, changes, backbone, out=folder, data_root=data_root, engine=engine, device=device, plugins=list(plugins))
        for cell in cells
    ]  # fmt: skip
    if say:
        for note in notes:
            say(note)
    return Planned(paper, pieces, Store(folder), engine, seeds, full, tuple(only), notes)


def _local_backbone(data_root: str | None) -> str | None:
    """The backbone's file in the data root, if there is one."""
    root = data_root or os.environ.get("LOSSCOPE_DATA")
    return (
        next((str(one) for one in sorted(Path(root).expanduser().glob(papers.LOCAL))), None) if root else None
    )


def _piece(
    cell: papers.Cell, seeds: int, changes: Mapping[str, Any] | None, backbone: str | None, **common: Any
) -> Piece:
    values = {**cell.study, **common, "seeds": seeds, "keep": "none"}
    if "backbone" in values:
        values["backbone"] = backbone
    for key, value in (changes or {}).items():
        if key == "options":
            values["options"] = {**values.get("options", {}), **value}
        elif key != "epochs" or cell.role != "images":
            values[key] = value
        else:
            values[key] = value * 3 // 2
    plan = comparing.plan(Study.of(f"the cell {cell.data!r}", **values))
    reduced = _reduced(cell, plan)
    if changes and reduced is None and cell.role == "claims":
        reduced = f"changed for a quick look: {', '.join(f'{key} {value}' for key, value in changes.items())}"
    return Piece(cell, plan, reduced)


def _reduced(cell: papers.Cell, plan: comparing.Plan) -> str | None:
    """What part of the paper's images and updates a cell is; None where it is all of them."""
    if cell.paper is None:
        return None
    images, theirs = cell.paper
    train, validation, _ = plan.source.sizes()
    if train + validation >= images:
        return None
    shape = plan.study.shape(plan.kind)
    steps = (
        -(-train // shape.batch_size) if shape.batching == "shuffled" else max(1, train // shape.batch_size)
    )
    return f"{train:,} of {images:,} images and {steps * shape.epochs:,} updates, the paper's own run has {theirs:,}"


def dry_run(planned: Planned, say: Say | None = None) -> dict[str, Any]:
    """What a reproduction will cost and what it can show."""
    _settle(planned)
    groups = [*planned.groups("trials"), *planned.groups("finals")]
    costs = costing.seconds(groups, planned.store, say)
    tests = _tests(planned)
    largest = max(tests.values(), default=1)
    by_cell = []
    for piece in planned.pieces:
        own = [*piece.plan.trial_groups, *piece.groups]
        by_cell.append({
            "data": piece.cell.data, "protocol": piece.cell.protocol, "for": piece.cell.role,
            "runs": sum(len(one.runs) for one in own),
            "seconds": sum(costs.get(one.name, 0.0) for one in own),
            "tests_in_family": tests.get(piece.name), "reduced": piece.reduced,
        })  # fmt: skip
    ids = {run_id for one, _ in groups for run_id in one.ids}
    runs, waiting = len(ids), sum(not planned.store.has(run_id) for run_id in ids)
    expected = costing.wall([costs[one.name] for one, _ in planned.groups("trials")], planned.engine)
    expected += costing.wall([costs[one.name] for one, _ in planned.groups("finals")], planned.engine)
    return {
        "schema": 1, "paper": planned.paper, "full": planned.full, "cells": by_cell, "runs": runs, "runs_left": waiting,
        "seconds": expected, "core_seconds": sum(costs.values()), "cores": costing.cores(planned.engine),
        "notes": planned.notes, "costs": costs,
        **stats.plan(planned.seeds, tests=largest),
        "said": f"{runs:,} runs in {len(groups)} populations, {runs - waiting:,} stored; about {costing.duration(expected)} "
                f"on {costing.cores(planned.engine)} cores, by this machine's measured speed.",
    }  # fmt: skip


def _tests(planned: Planned) -> dict[str, int]:
    """An upper bound of the claims that each cell's family tests."""
    every = claims.claims_of(planned.paper)
    return {
        piece.name: len(piece.cell.only) or len(_applicable(every, piece))
        for piece in planned.pieces
        if piece.cell.role == "claims"
    }


def _applicable(every: Mapping[str, Any], piece: Piece) -> list[str]:
    facts, found = piece.plan.source.facts, []
    for name, entry in every.items():
        measure = str(entry.facts.get("measure", ""))
        if measure.startswith("fine_") and not facts.fine_names:
            continue
        if measure.startswith(("map_audio", "map_visual")) and facts.kind != "pair":
            continue
        if measure == "knn_accuracy" and (facts.disjoint or facts.kind == "pair"):
            continue
        if name.startswith("variance-is-detail") or (entry.facts.get("timing") and piece.reduced):
            continue
        found.append(name)
    return found


def _settle(planned: Planned) -> None:
    """Take the tuned values of studies whose trials are all stored: their final runs may be stored too."""
    for piece in planned.pieces:
        if piece.plan.tunes and all(costing.stored(one) for one in piece.plan.trial_groups):
            piece.plan.tune()


def run(planned: Planned, *, say: Say | None = None, show: Show | None = None) -> Reproduction:
    """Train what is not stored yet, judge every claim, and write the ledger and the page."""
    started = time.time()
    foreseen = dry_run(planned, say)
    if say:
        say(foreseen["said"])
        say(foreseen["sentence"])
    meter = costing.Meter(foreseen["costs"], planned.engine, say, show)
    _execute(planned, "trials", foreseen["costs"], meter)
    for piece in planned.pieces:
        piece.plan.tune()
    _execute(planned, "finals", foreseen["costs"], meter)
    result = conclude(planned)
    _log(planned, foreseen, time.time() - started)
    return result


def _log(planned: Planned, foreseen: Mapping[str, Any], seconds: float) -> None:
    """Keep how long each call took beside what was foreseen: ``reproductions/<paper>/sessions.json``."""
    name = f"reproductions/{planned.paper}/sessions.json"
    kept = {key: foreseen[key] for key in ("runs", "runs_left", "cores", "full")}
    one = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "seconds": seconds, "foreseen": foreseen["seconds"], "seeds": planned.seeds,
           "only": list(planned.only), **kept}  # fmt: skip
    planned.store.write_json(name, [*(planned.store.read_json(name) or []), one])


def _execute(planned: Planned, part: str, costs: Mapping[str, float], meter: costing.Meter) -> None:
    """All populations of one part, the longest first: the last to finish are then short."""
    groups = [one for one, _ in planned.groups(part)]
    known = {costing.kind_of(one.runs[0]): costs[one.name] for one in groups if one.name in costs}
    for one in groups:  # tuned runs were not foreseen by name, but by what they cost
        meter.costs.setdefault(one.name, known.get(costing.kind_of(one.runs[0]), 0.0))
    groups.sort(key=lambda one: -meter.costs[one.name])
    launch.execute(groups, planned.engine, meter)


def conclude(planned: Planned) -> Reproduction:
    """Judge what is stored and write ``reproductions/<paper>``: result.json, ledger.md, report.html."""
    sides = {id(piece): sides_of(piece) for piece in planned.pieces}
    grids: dict[str, list[Side]] = {}
    for piece in planned.pieces:
        if piece.cell.role == "margins":
            grids.setdefault(piece.name, []).extend(sides[id(piece)])
    evidences = [
        _evidence(piece, sides[id(piece)], tuple(grids.get(piece.name, ())))
        for piece in planned.pieces
        if piece.cell.role == "claims"
    ]
    rows = claims.judge(planned.paper, evidences)
    shown = papers.paper(planned.paper)
    whole = claims.together(planned.paper, rows, shown.protocols)
    found = controls.controls(planned.paper, planned.pieces, evidences, sides)
    data = _result(planned, evidences, [*whole, *rows], found)
    made = Reproduction(plain(data))
    folder = f"reproductions/{planned.paper}"
    planned.store.write_text(f"{folder}/ledger.md", made.table("md"))
    planned.store.write_text(f"{folder}/report.html", made.page())
    planned.store.write_json(f"{folder}/result.json", made.data)
    return made


def _evidence(piece: Piece, sides: Sequence[Side], grid: tuple[Side, ...]) -> Evidence:
    plan = piece.plan
    kept = plan.store.read_json(f"studies/{plan.name}/study.json")
    page = plan.store.root / "studies" / plan.name / "report.html"
    if kept is None or kept["runs"] != plan.ids or not page.is_file():
        comparing.conclude(plan)
    look = plan.store.look(plan.name, sorted({run.seed for run in plan.runs}))
    untuned, tuned = tuning.phrase(plan.choices)
    edges = [f"{one.spec.name} {edge}" for one in plan.choices if one.tuned for edge in one.tuned["edge"]]
    if tuned and edges:
        tuned += f" (on the edge of the search: {', '.join(edges)})"
    return Evidence(
        data=piece.cell.data, protocol=piece.cell.protocol, sides={side.loss: side for side in sides},
        alpha=stats.alpha_of(look), grid=grid, reduced=piece.reduced, settings=untuned or f"tuned: {tuned}",
        only=piece.cell.only, look=look, edition=plan.source.facts.edition, study=plan.name,
    )  # fmt: skip


def sides_of(piece: Piece) -> list[Side]:
    """The stored runs of a study's losses, baselines left out, seeds in order."""
    plan = piece.plan
    found = []
    for choice in plan.choices:
        name = choice.spec.resolved(plan.study.protocol).canonical()
        own = [
            run_id for run, run_id in zip(plan.runs, plan.ids, strict=True) if run.loss.canonical() == name
        ]
        stored = [plan.store.get(run_id) for run_id in own]
        stored.sort(key=lambda one: one.head["spec"]["seed"])
        numbers = [{} if one.failed else reading.values_of(one)[0] for one in stored]
        every = dict.fromkeys(measure for one in numbers for measure in one)
        found.append(Side(
            loss=choice.spec.name,
            label=choice.label,
            failed=tuple(one.failed is not None for one in stored),
            values={measure: tuple(one.get(measure) for one in numbers) for measure in every},
            curves=Curves(stored),
            hyperparameters=choice.spec.hyperparameters,
        ))  # fmt: skip
    return found


class Curves(Mapping[str, Sequence[np.ndarray]]):
    """The curves by epoch of some runs, read from their traces when one is first asked for."""

    def __init__(self, stored: Sequence[Stored]):
        self.stored = stored
        self.table: dict[str, list[np.ndarray]] | None = None

    def _read(self) -> dict[str, list[np.ndarray]]:
        if self.table is None:
            self.table = {}
            for place, one in enumerate(self.stored):
                epochs = one.run.protocol.epochs
                if one.failed is not None or not (one.path / "trace.parquet").exists():
                    continue
                rows = one.trace()
                rows = rows[(rows["epoch"] > 0) & (rows["split"] != "validation")]
                for name, own in rows.groupby("name", sort=False):
                    empty = [np.full(epochs, np.nan) for _ in self.stored]
                    curve = self.table.setdefault(str(name), empty)[place]
                    curve[own["epoch"].to_numpy() - 1] = own["value"].to_numpy()
        return self.table

    def __getitem__(self, name: str) -> Sequence[np.ndarray]:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def _result(
    planned: Planned,
    evidences: Sequence[Evidence],
    rows: list[dict[str, Any]],
    found: list[dict[str, Any]],
) -> dict[str, Any]:
    paper = papers.paper(planned.paper)
    root = planned.store.root
    folder = root / "reproductions" / planned.paper
    studies = [
        {
            "data": one.data, "protocol": one.protocol, "study": one.study, "settings": one.settings,
            "reduced": one.reduced, "edition": one.edition, "look": one.look,
            "page": os.path.relpath(root / "studies" / str(one.study) / "report.html", folder),
        }
        for one in evidences
    ]  # fmt: skip
    return {
        "schema": 1,
        "paper": planned.paper,
        "data": {"name": planned.paper, "title": paper.title, "described": _described(planned, evidences)},
        "protocol": {},
        "seeds": list(range(planned.seeds)),
        "full": planned.full,
        "only": list(planned.only),
        "losses": [{"name": name, "spec": {}, "measures": {}} for name in paper.losses],
        "baselines": [],
        "paired": [],
        "recommendation": {"goal": None, "loss": None, "sentences": sentences(rows, paper.protocols)},
        "claims": rows,
        "controls": found,
        "studies": studies,
        "notes": planned.notes,
        "store": str(root),
        "report": str(folder / "report.html"),
        "ledger": str(folder / "ledger.md"),
        "provenance": {
            **reading.provenance_of(planned.store.many(
                {run_id: None for one, _ in planned.groups("finals") for run_id in one.ids}
            )),
            "command": f"losscope reproduce {planned.paper}" + (f" --only {','.join(planned.only)}" if planned.only else "")
                       + (" --full" if planned.full else "") + f" --seeds {planned.seeds}",
        },
    }  # fmt: skip


def _described(planned: Planned, evidences: Sequence[Evidence]) -> str:
    data = list(dict.fromkeys(one.data for one in evidences))
    whole = "the whole of what is on this machine" if not planned.only else f"only {', '.join(planned.only)}"
    return f"{len(data)} data sets ({', '.join(data)}), {planned.seeds} paired seeds; {whole}"


def sentences(rows: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> list[str]:
    """What came out: for each protocol how many claims hold, then which. Data that were not run are not judged."""
    said = []
    spoken = {"paper": "Under the paper's own protocol", "matched": "Under the matched protocol"}
    for protocol in protocols:
        own = [row for row in rows if row["together"] and row["protocol"] == protocol and row["run"] and not row["beyond"]]  # fmt: skip
        named: dict[str, list[str]] = {}
        for row in own:
            named.setdefault(row["verdict_run"], []).append(row["id"])
        counts = [
            f"{len(named[code])} {words[len(named[code]) > 1]}"
            for code, words in OUTCOMES.items()
            if code in named
        ]
        if not counts:
            continue
        listed = f"{', '.join(counts[:-1])} and {counts[-1]}" if len(counts) > 1 else counts[0]
        run = list(dict.fromkeys(data for row in own for data in row["run"]))
        where = spoken.get(protocol, f"Under {protocol}")
        data = "all of the paper's data" if all(row["run"] == row["cells"] for row in own) else f"what was run of the paper's data ({', '.join(run)})"  # fmt: skip
        said.append(f"{where}, of {len(own)} claims on {data}, {listed}.")
        said += [f"{code.replace('_', ' ').capitalize()}: {', '.join(named[code])}." for code in OUTCOMES if code in named]  # fmt: skip
    return said


def reproduce(
    paper: str, *, say: Say | None = None, show: Show | None = None, **options: Any
) -> Reproduction:
    """Plan and run a reproduction; ``options`` are those of ``prepare``.

    Raises LosscopeError for any mistake in what was given, before anything is trained.
    """
    return run(prepare(paper, say=say, **options), say=say, show=show)


__all__ = ["LosscopeError", "Planned", "Reproduction", "dry_run", "prepare", "reproduce", "run"]
