"""Stored runs as the evidence that a claim is judged on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from losscope import stats
from losscope.comparing import reading
from losscope.comparing import running as comparing
from losscope.core import wording
from losscope.papers import Evidence, Side
from losscope.papers.pieces import Piece
from losscope.run.store import Stored


def evidence_of(piece: Piece, sides: Sequence[Side], grid: tuple[Side, ...]) -> Evidence:
    """What a cell has to say of the claims: its losses over seeds, at their settings; its own page is written first."""
    plan = piece.plan
    kept = plan.store.read_json(f"studies/{plan.name}/study.json")
    page = plan.store.root / "studies" / plan.name / "report.html"
    if kept is None or tuple(kept["runs"]) != plan.ids or not page.is_file():
        comparing.conclude(plan)
    look = plan.store.look(plan.name, sorted({run.seed for run in plan.runs}))
    settings = [choice.settings for choice in plan.choices]
    untuned = any(each.tuned is False for each in settings)
    said = wording.settings_phrase(settings) if untuned else f"tuned: {wording.settings_listing(settings)}"
    edges = [
        f"{choice.spec.name} {wording.edge(edge)}"
        for choice in plan.choices
        if choice.tuned
        for edge in choice.tuned.edge
    ]
    if not untuned and edges:
        said += f" (on the edge of the search: {', '.join(edges)})"
    return Evidence(
        data=piece.cell.data,
        protocol=piece.cell.protocol,
        sides={side.loss: side for side in sides},
        alpha=stats.alpha_of(look),
        grid=grid,
        reduced=piece.reduced,
        settings=said,
        only=piece.cell.only,
        look=look,
        edition=plan.source.facts.edition,
        study=plan.name,
    )


def sides_of(piece: Piece) -> list[Side]:
    """The stored runs of a study's losses, baselines left out, seeds in order."""
    plan = piece.plan
    found = []
    for choice in plan.choices:
        name = choice.spec.canonical()
        own = [
            run_id for run, run_id in zip(plan.runs, plan.ids, strict=True) if run.loss.canonical() == name
        ]
        stored = [plan.store.get(run_id) for run_id in own]
        stored.sort(key=lambda one: one.head["spec"]["seed"])
        numbers = [{} if one.failed else reading.values_of(one)[0] for one in stored]
        every = dict.fromkeys(measure for one in numbers for measure in one)
        found.append(
            Side(
                loss=choice.spec.name,
                label=choice.label,
                failed=tuple(one.failed is not None for one in stored),
                values={measure: tuple(one.get(measure) for one in numbers) for measure in every},
                curves=Curves(stored),
                hyperparameters=choice.spec.hyperparameters,
            )
        )
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
