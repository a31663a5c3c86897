"""``losscope reproduce``: every claim of a paper, as experiments that can fail.

The cells of the paper are studies like any other and share their runs with ``compare``; all of them go
through one launch, the longest first, so that every core is used until the end. Then each claim is judged
on every cell, and the controls explain.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from losscope import papers as claims
from losscope import stats
from losscope.comparing import reading
from losscope.comparing.planning import Say
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.papers import Evidence, Side, controls
from losscope.papers import cells as papers
from losscope.papers.pieces import Piece, Planned, prepare
from losscope.papers.sides import evidence_of, sides_of
from losscope.run import cost as costing
from losscope.run import launch
from losscope.run.store import plain

OUTCOMES = {
    "reproduced": ("holds", "hold"),
    "direction_only": ("holds in direction only", "hold in direction only"),
    "size_unresolved": ("holds in direction, its size open", "hold in direction, their size open"),
    "contradicted": ("is contradicted", "are contradicted"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "not_testable": ("is not testable", "are not testable"),
}
Show = Callable[[float, float, str], None]


@dataclass
class Reproduction:
    """A finished reproduction: ``data`` is the JSON object, the rest are views of it."""

    data: dict[str, Any]

    def json(self) -> str:
        """The JSON text."""
        return json.dumps(plain(self.data), indent=1, ensure_ascii=False, allow_nan=False)

    def table(self, format: str = "rich") -> Any:
        """The ledger: ``rich`` or ``md``."""
        from losscope.reporting import claim_tables as ledger

        return ledger.table(self.data) if format == "rich" else ledger.markdown(self.data)

    def page(self) -> str:
        """The HTML page."""
        from losscope.reporting import page, reproduction

        sections = reproduction.sections(self.data["controls"])
        return page.render({**self.data, "controls": []}, extra_sections=sections)


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
        by_cell.append(
            {
                "data": piece.cell.data,
                "protocol": piece.cell.protocol,
                "for": piece.cell.role,
                "runs": sum(len(one.runs) for one in own),
                "seconds": sum(costs.get(one.name, 0.0) for one in own),
                "tests_in_family": tests.get(piece.name),
                "reduced": piece.reduced,
            }
        )
    ids = {run_id for one, _ in groups for run_id in one.ids}
    runs, waiting = len(ids), sum(not planned.store.has(run_id) for run_id in ids)
    expected = costing.wall([costs[one.name] for one, _ in planned.groups("trials")], planned.engine)
    expected += costing.wall([costs[one.name] for one, _ in planned.groups("finals")], planned.engine)
    return {
        "schema": 1,
        "paper": planned.paper,
        "full": planned.full,
        "cells": by_cell,
        "runs": runs,
        "runs_left": waiting,
        "seconds": expected,
        "core_seconds": sum(costs.values()),
        "cores": costing.cores(planned.engine),
        "notes": planned.notes,
        "costs": costs,
        **stats.plan(planned.seeds, tests=largest).model_dump(),
        "said": f"{runs:,} runs in {len(groups)} populations, {runs - waiting:,} stored; about {costing.duration(expected)} "
        f"on {costing.cores(planned.engine)} cores, by this machine's measured speed.",
    }


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
        measure = entry.facts.measure or ""
        if measure.startswith("fine_") and not facts.fine_names:
            continue
        if measure.startswith(("map_audio", "map_visual")) and facts.kind != "pair":
            continue
        if measure == "knn_accuracy" and (facts.disjoint or facts.kind == "pair"):
            continue
        if name.startswith("variance-is-detail") or (entry.facts.timing and piece.reduced):
            continue
        found.append(name)
    return found


def _settle(planned: Planned) -> None:
    """Take the tuned values of studies whose trials are all stored: their final runs may be stored too."""
    for piece in planned.pieces:
        if piece.plan.tunes and all(costing.stored(one) for one in piece.plan.trial_groups):
            piece.plan = piece.plan.tuned()


def run(planned: Planned, *, say: Say | None = None, show: Show | None = None) -> Reproduction:
    """Train what is not stored yet, judge every claim, and write the ledger and the page."""
    started = time.time()
    foreseen = dry_run(planned, say)
    if say:
        say(foreseen["said"])
        say(foreseen["sentence"])
    meter = costing.Meter(foreseen["costs"], planned.engine, say, show)
    with launch.crew():
        _execute(planned, "trials", foreseen["costs"], meter)
        for piece in planned.pieces:
            piece.plan = piece.plan.tuned()
        _execute(planned, "finals", foreseen["costs"], meter)
    result = conclude(planned)
    _log(planned, foreseen, time.time() - started)
    return result


def _log(planned: Planned, foreseen: Mapping[str, Any], seconds: float) -> None:
    """Keep how long each call took beside what was foreseen: ``reproductions/<paper>/sessions.json``."""
    name = f"reproductions/{planned.paper}/sessions.json"
    kept = {key: foreseen[key] for key in ("runs", "runs_left", "cores", "full")}
    one = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": seconds,
        "foreseen": foreseen["seconds"],
        "seeds": planned.seeds,
        "only": list(planned.only),
        **kept,
    }
    kept_before = (planned.store.read_json(name) or {}).get("sessions", [])
    planned.store.write_json(name, {"schema": 2, "sessions": [*kept_before, one]})


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
        evidence_of(piece, sides[id(piece)], tuple(grids.get(piece.name, ())))
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
            "data": one.data,
            "protocol": one.protocol,
            "study": one.study,
            "settings": one.settings,
            "reduced": one.reduced,
            "edition": one.edition,
            "look": one.look,
            "page": os.path.relpath(root / "studies" / str(one.study) / "report.html", folder),
        }
        for one in evidences
    ]
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
        "provenance": reading.provenance_of(
            planned.store.many({run_id: None for one, _ in planned.groups("finals") for run_id in one.ids}),
            command=f"losscope reproduce {planned.paper}"
            + (f" --only {','.join(planned.only)}" if planned.only else "")
            + (" --full" if planned.full else "")
            + f" --seeds {planned.seeds}",
        ).model_dump(mode="json"),
    }


def _described(planned: Planned, evidences: Sequence[Evidence]) -> str:
    data = list(dict.fromkeys(one.data for one in evidences))
    whole = "the whole of what is on this machine" if not planned.only else f"only {', '.join(planned.only)}"
    return f"{len(data)} data sets ({', '.join(data)}), {planned.seeds} paired seeds; {whole}"


def sentences(rows: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> list[str]:
    """What came out: for each protocol how many claims hold, then which. Data that were not run are not judged."""
    said = []
    for protocol in protocols:
        own = [
            row
            for row in rows
            if row["together"] and row["protocol"] == protocol and row["run"] and not row["beyond"]
        ]
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
        where = "Under " + registry.entry("protocol", protocol).facts.title
        data = (
            "all of the paper's data"
            if all(row["run"] == row["cells"] for row in own)
            else f"what was run of the paper's data ({', '.join(run)})"
        )
        said.append(f"{where}, of {len(own)} claims on {data}, {listed}.")
        said += [
            f"{code.replace('_', ' ').capitalize()}: {', '.join(named[code])}."
            for code in OUTCOMES
            if code in named
        ]
    return said


def reproduce(
    paper: str, *, say: Say | None = None, show: Show | None = None, **options: Any
) -> Reproduction:
    """Plan and run a reproduction; ``options`` are those of ``prepare``.

    Raises LosscopeError for any mistake in what was given, before anything is trained.
    """
    return run(prepare(paper, say=say, **options), say=say, show=show)


__all__ = ["LosscopeError", "Planned", "Reproduction", "dry_run", "prepare", "reproduce", "run"]
