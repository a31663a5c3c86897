"""``losscope reproduce``: every claim of a paper, as experiments that can fail.

The cells of the paper are studies like any other and share their runs with ``compare``; all of them go
through one launch, the longest first, so that every core is used until the end. Then each claim is judged
on every cell, and the controls explain.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

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
from losscope.run.files import Damaged
from losscope.run.folders import REPRODUCTIONS

Show = Callable[[float, float, str], None]


def reproduce(
    paper: str | Paper = "zeng2025",
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
    show: Show | None = None,
) -> Reproduction:
    """Judge every claim of a paper on runs of its cells; what is not stored yet is trained.

    Args:
        paper: a registered paper, or a paper as a value.
        only: names of data sets; all that are on this machine otherwise.
        full: images at the paper's own size.
        seeds: paired seeds, 0 … seeds − 1.
        out: the folder that runs and pages are kept in.
        data_root: the folder with data sets in their original layouts.
        engine: where groups of runs go: ``here``, ``processes`` or ``dask``.
        address: of a Dask cluster that is there, with the engine ``dask``.
        run_limit: seconds that a run may take; a longer one is recorded as failed.
        device: ``auto``, ``cpu`` or ``cuda``.
        plugins: Python files that register items of your own.
        trust: whether code that is not of a known library may be run.
        say: called with each sentence for a person.
        show: called with the seconds of work done and in all, and what is under way.

    Raises:
        LosscopeError: any mistake in what was given, before anything is trained.

    >>> import tempfile
    >>> from losscope.papers.paper import Cell, Claim, Compared
    >>> losses = ("contrastive", "triplet")
    >>> cell = Cell("synthetic", "paper", losses, options={"classes": 4, "points": 24}, epochs=1)
    >>> wider = Compared("triplet", "higher", "contrastive")
    >>> claim = Claim("wider", "triplet keeps more variance", "made up", "intra_variance", wider)
    >>> mine = Paper(losses, (cell,), (claim,), name="mine")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = reproduce(mine, seeds=2, engine="here", out=folder)
    >>> [(row.data, row.verdict) for row in result.claims]
    [("all of the paper's", 'inconclusive'), ('synthetic', 'inconclusive')]
    """
    planned = prepare(
        paper,
        only=only,
        full=full,
        seeds=seeds,
        out=out,
        data_root=data_root,
        engine=engine,
        address=address,
        run_limit=run_limit,
        device=device,
        plugins=plugins,
        trust=trust,
        say=say,
    )
    return run(planned, say=say, show=show)


def run(planned: Planned, *, say: Say | None = None, show: Show | None = None) -> Reproduction:
    """Train what is not stored yet, judge every claim, and write the ledger and the page."""
    started = time.time()
    with launch.crew(planned.engine, planned.address):
        foreseen = foresee(planned, say)
        if say:
            say(foreseen.plan.said)
            say(foreseen.plan.sentence)
        meter = costing.Meter(sum(foreseen.costs.values()), foreseen.price, say, show)
        for piece in planned.pieces:
            piece.plan = piece.plan.tuned(meter, say)
        _finals(planned, foreseen, meter, say)
    result = conclude(planned)
    _log(planned, foreseen, time.time() - started)
    return result


def _finals(planned: Planned, foreseen: Foreseen, meter: costing.Meter, say: Say | None) -> None:
    """All populations of the final runs, the longest first: the last to finish are then short."""
    groups = sorted(
        (group for group, _ in planned.groups("finals")), key=lambda group: -foreseen.price(group)
    )
    launch.execute(groups, planned.engine, meter, say, foreseen.whole)


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
    folder = root / REPRODUCTIONS / paper.name
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
        unfinished=planned.store.unfinished(_ids(planned, "trials", "finals")),
    )
    name = f"{REPRODUCTIONS}/{paper.name}"
    planned.store.write_text(f"{name}/ledger.md", result.table("md"))
    planned.store.write_text(f"{name}/report.html", result.page())
    planned.store.write_json(f"{name}/result.json", result.model_dump(mode="json"))
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
        page=os.path.relpath(page, root / REPRODUCTIONS / planned.paper.name),
    )


def _provenance(planned: Planned) -> Provenance:
    words = ["losscope", "reproduce", planned.paper.name]
    words += ["--only", ",".join(planned.only)] if planned.only else []
    words += ["--full"] if planned.full else []
    words += ["--seeds", str(planned.seeds)]
    return reading.provenance_of(planned.store.many(_ids(planned, "finals")), words)


def _ids(planned: Planned, *parts: str) -> list[str]:
    """The ids of the runs of ``trials`` or ``finals``, each once."""
    return list(
        dict.fromkeys(run_id for part in parts for group, _ in planned.groups(part) for run_id in group.ids)
    )


def _log(planned: Planned, foreseen: Foreseen, seconds: float) -> None:
    """Keep how long each call took beside what was foreseen: ``reproductions/<paper>/sessions.json``."""
    name = f"{REPRODUCTIONS}/{planned.paper.name}/sessions.json"
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
    try:
        kept = (planned.store.read_json(name) or {}).get("sessions", [])
    except Damaged:  # times only: the list begins again
        kept = []
    planned.store.write_json(name, {"schema": 2, "sessions": [*kept, session]})
