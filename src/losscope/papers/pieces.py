"""The studies of a reproduction, planned: a paper's cells with their data and their runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losscope.comparing import planning
from losscope.core import registry
from losscope.core.errors import require
from losscope.core.spec import Study
from losscope.papers import cells as papers
from losscope.run import launch
from losscope.run.store import Store


@dataclass
class Piece:
    """A cell of the paper and its study, planned; ``reduced`` says in words what part of the paper's it is."""

    cell: papers.Cell
    plan: planning.Plan
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
    trust: bool = False,
    changes: Mapping[str, Any] | None = None,
    say: planning.Say | None = None,
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
    folder = str(out or planning.DEFAULT_OUT)
    pieces = [
        _piece(
            cell,
            seeds,
            changes,
            backbone,
            out=folder,
            data_root=data_root,
            engine=engine,
            device=device,
            plugins=list(plugins),
            trust=trust,
        )
        for cell in cells
    ]
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
    plan = planning.plan(Study.of(f"the cell {cell.data!r}", **values))
    reduced = _reduced(cell, plan)
    if changes and reduced is None and cell.role == "claims":
        reduced = f"changed for a quick look: {', '.join(f'{key} {value}' for key, value in changes.items())}"
    return Piece(cell, plan, reduced)


def _reduced(cell: papers.Cell, plan: planning.Plan) -> str | None:
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
