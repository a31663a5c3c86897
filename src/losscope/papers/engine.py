"""``losscope reproduce``: every claim of a paper, as experiments that can fail.

The cells of the paper are studies like any other and share their runs with ``compare``; all of them go
through one launch, the longest first, so that every core is used until the end. Then each claim is judged
on every cell, and the controls explain.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from losscope.comparing import reading
from losscope.core import registry
from losscope.core.results import DataDescription, Provenance, Reproduction, StudyLink
from losscope.core.wording import reproductions as wording
from losscope.papers import controls
from losscope.papers.evidence import Evidence, Side, evidence_of, sides_of
from losscope.papers.ledger import judge, together
from losscope.papers.paper import GRID, Paper
from losscope.papers.planning import Foreseen, Planned, Say, foresee, prepare
from losscope.run import cost as costing
from losscope.run import launch

Show = Callable[[float, float, str], None]


def reproduce(
    paper: str | Paper, *, say: Say | None = None, show: Show | None = None, **options: Any
) -> Reproduction:
    """Plan and run a reproduction; ``options`` are those of ``prepare``.

    Raises:
        LosscopeError: any mistake in what was given, before anything is trained.

    >>> reproduce("zeng2052")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: unknown paper 'zeng2052'; did you mean ...
    """
    return run(prepare(paper, say=say, **options), say=say, show=show)


def run(planned: Planned, *, say: Say | None = None, show: Show | None = None) -> Reproduction:
    """Train what is not stored yet, judge every claim, and write the ledger and the page."""
    started = time.time()
    foreseen = foresee(planned, say)
    if say:
        say(foreseen.plan.said)
        say(foreseen.plan.sentence)
    meter = costing.Meter(foreseen.costs, planned.engine, say, show)
    with launch.crew():
        _execute(planned, "trials", foreseen.costs, meter)
        for piece in planned.pieces:
            piece.plan = piece.plan.tuned()
        _execute(planned, "finals", foreseen.costs, meter)
    result = conclude(planned)
    _log(planned, foreseen, time.time() - started)
    return result


def _execute(planned: Planned, part: str, costs: Mapping[str, float], meter: costing.Meter) -> None:
    """All populations of one part, the longest first: the last to finish are then short."""
    groups = [group for group, _ in planned.groups(part)]
    known = {costing.kind_of(group.runs[0]): costs[group.name] for group in groups if group.name in costs}
    for group in groups:  # tuned runs were not foreseen by name, but by what they cost
        meter.costs.setdefault(group.name, known.get(costing.kind_of(group.runs[0]), 0.0))
    groups.sort(key=lambda group: -meter.costs[group.name])
    launch.execute(groups, planned.engine, meter)


def conclude(planned: Planned) -> Reproduction:
    """Judge what is stored and write ``reproductions/<paper>``: result.json, ledger.md, report.html."""
    sides = {id(piece): sides_of(piece) for piece in planned.pieces}
    grids: dict[tuple[str, str], list[Side]] = {}
    for piece in planned.pieces:
        if piece.cell.role == GRID:
            grids.setdefault(piece.place, []).extend(sides[id(piece)])
    paper = planned.paper
    evidences = [
        evidence_of(
            piece,
            sides[id(piece)],
            tuple(grids.get(piece.place, ())),
            own_protocol=piece.cell.protocol == paper.own_protocol,
        )
        for piece in planned.judged()
    ]
    rows = judge(paper, evidences)
    whole = together(paper, rows)
    root = planned.store.root
    folder = root / "reproductions" / paper.name
    result = Reproduction(
        paper=paper.name,
        data=DataDescription(
            name=paper.name, title=paper.title, kind="paper", described=_described(planned, evidences)
        ),
        seeds=tuple(range(planned.seeds)),
        full=planned.full,
        only=planned.only,
        losses=paper.losses,
        summary=wording.outcomes(whole, _titles(paper)),
        claims=(*whole, *rows),
        controls=tuple(controls.controls(planned, evidences, sides)),
        descriptions=controls.descriptions(paper),
        studies=tuple(_link(evidence, planned) for evidence in evidences),
        notes=planned.notes,
        store=str(root),
        report=str(folder / "report.html"),
        ledger=str(folder / "ledger.md"),
        provenance=_provenance(planned),
    )
    name = f"reproductions/{paper.name}"
    planned.store.write_text(f"{name}/ledger.md", result.table("md"))
    planned.store.write_text(f"{name}/report.html", result.page())
    planned.store.write_text(f"{name}/result.json", result.json_text())
    return result


def _titles(paper: Paper) -> dict[str, str]:
    """How sentences call the paper's protocols."""
    return {name: registry.entry("protocol", name).facts.title for name in paper.protocols}


def _described(planned: Planned, evidences: Sequence[Evidence]) -> str:
    data = list(dict.fromkeys(evidence.data for evidence in evidences))
    return wording.described(data, planned.seeds, planned.only)


def _link(evidence: Evidence, planned: Planned) -> StudyLink:
    root = planned.store.root
    page = root / "studies" / str(evidence.study) / "report.html"
    return StudyLink(
        data=evidence.data,
        protocol=evidence.protocol,
        study=evidence.study,
        settings=evidence.settings,
        reduced=evidence.reduced,
        edition=evidence.edition,
        look=evidence.look,
        page=os.path.relpath(page, root / "reproductions" / planned.paper.name),
    )


def _provenance(planned: Planned) -> Provenance:
    ids = dict.fromkeys(run_id for group, _ in planned.groups("finals") for run_id in group.ids)
    command = f"losscope reproduce {planned.paper.name}"
    command += f" --only {','.join(planned.only)}" if planned.only else ""
    command += " --full" if planned.full else ""
    return reading.provenance_of(planned.store.many(ids), f"{command} --seeds {planned.seeds}")


def _log(planned: Planned, foreseen: Foreseen, seconds: float) -> None:
    """Keep how long each call took beside what was foreseen: ``reproductions/<paper>/sessions.json``."""
    name = f"reproductions/{planned.paper.name}/sessions.json"
    session = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": seconds,
        "foreseen": foreseen.plan.seconds,
        "seeds": planned.seeds,
        "only": list(planned.only),
        "runs": foreseen.plan.runs,
        "runs_left": foreseen.plan.runs_left,
        "cores": foreseen.plan.cores,
        "full": planned.full,
    }
    kept = (planned.store.read_json(name) or {}).get("sessions", [])
    planned.store.write_json(name, {"schema": 2, "sessions": [*kept, session]})
