"""What was run, and where its numbers are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel

from losscope.core import wording
from losscope.core.loss_spec import Strict
from losscope.core.registry import register
from losscope.core.results import LossResult, Result, SideResult
from losscope.reporting.figure import Look
from losscope.reporting.parts import Context, Page, Section, fragment

SKIPPED = ("class_names", "notes", "described")
"""Fields of the data that the page shows elsewhere."""
OF_THE_RUN = ("command", "arguments", "host")
"""Fields of the provenance that stand elsewhere, or say whose machine it was."""
OF_ONE_SET = ("kind", "generated", "disjoint", "not_new", "by_item", "folds")
"""Fields that say something of one data set, and nothing of a paper's many."""
LONG = 24
"""A longer list is counted and not written out."""


@dataclass(frozen=True)
class Facts:
    """A titled list of facts: names and texts."""

    title: str
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class Folder:
    """A run's id, and where its folder lies from the page; empty where that is not known."""

    id: str
    href: str


@dataclass(frozen=True)
class Loss:
    """A loss's whole identity, and its run for each seed."""

    name: str
    look: Look
    facts: list[tuple[str, str]]
    runs: list[tuple[str, Folder]]


@register("section", "provenance", order=120, of="any")
def provenance(context: Context) -> Section:
    """What was run: data, protocol, losses, versions, machine, and the run ids."""
    document = context.document
    skipped = SKIPPED if isinstance(document, Result) else (*SKIPPED, *OF_ONE_SET)
    lists = [
        Facts("Data", facts(context.data, skipped)),
        Facts("Protocol", facts(document.protocol) if isinstance(document, Result) else []),
        Facts("Run", facts(document.provenance, OF_THE_RUN)),
    ]
    losses = [
        Loss(
            side.name,
            context.palette.look(side.name),
            facts(side.spec if isinstance(side, LossResult) else None),
            _runs(side, context.result.seeds, _to_runs(document)),
        )
        for side in context.sides
        if isinstance(side, LossResult) or side.runs
    ]
    html = fragment(
        "provenance",
        [found for found in lists if found.facts],
        losses,
        document.provenance.command or "",
        document.store or "",
    )
    note = "Every number on this page comes from the run folders named here and can be made again."
    return Section("Where this comes from", note, html)


def _to_runs(document: Page) -> str:
    """The way from the page to the folder of runs; empty where the page is not in a store."""
    if not isinstance(document, Result) or not document.store or not document.report_file:
        return ""
    page, runs = Path(document.report_file), Path(document.store) / "runs"
    inside = page.parent.parent.parent == Path(document.store) and page.parent.parent.name == "studies"
    return f"{os.path.relpath(runs, page.parent)}/" if inside else ""


def _runs(side: SideResult, seeds: Sequence[int], way: str) -> list[tuple[str, Folder]]:
    known = seeds if len(seeds) == len(side.runs) else range(len(side.runs))
    return [
        (str(seed), Folder(run, f"{way}{quote(run)}/" if way else "")) for seed, run in zip(known, side.runs)
    ]


def facts(found: BaseModel | None, skip: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The fields of a value as (name, text) pairs; what is absent is left out.

    >>> from losscope.core.spec import LossSpec
    >>> facts(LossSpec(name="triplet", hyperparameters={"margin": 0.5}, reduction="valid_mean"))
    [('name', 'triplet'), ('margin', '0.5'), ('reduction', 'valid_mean')]
    """
    if found is None:
        return []
    values = found.identity() if isinstance(found, Strict) else found.model_dump(mode="json")
    return _flat({name: value for name, value in values.items() if name not in skip})


def _flat(values: Mapping[str, object], before: str = "") -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in values.items():
        name = "" if key == "hyperparameters" else f"{before} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            out += _flat(value, name)
        elif value is not None and value != "" and value != []:
            out.append((name, _text(value)))
    return out


def _text(value: object) -> str:
    """A fact as text: numbers short, lists joined, nothing as a dash."""
    if value is None:
        return wording.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) if len(value) <= LONG else f"{len(value)} values"
    return str(value) if isinstance(value, str | int) else json.dumps(value, default=str)
