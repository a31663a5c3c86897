"""Several probes on one page, a colour for each loss; described, and judged elsewhere. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.quantities import QUANTITIES
from losscope.probe.page import GROUPS, curves, names_in, verdict
from losscope.probe.record import ProbeRecord
from losscope.reporting.figure import Palette
from losscope.reporting.page import whole
from losscope.reporting.parts import Cell, Grid, Section
from losscope.run.files import disk_errors, replace_file

Sides = Mapping[str, Sequence[ProbeRecord]]


def sides_of(records: Sequence[ProbeRecord]) -> dict[str, list[ProbeRecord]]:
    """The probes of each loss, by their seeds."""
    sides: dict[str, list[ProbeRecord]] = {}
    for record in records:
        sides.setdefault(record.mark.side[0], []).append(record)
    return {name: sorted(own, key=lambda each: each.mark.side[1] or 0) for name, own in sides.items()}


def write_comparison(records: Sequence[ProbeRecord]) -> Path:
    """Write ``probes.html`` beside the probes' folders.

    Raises:
        LosscopeError: the folder cannot be written.
    """
    assert records and records[0].path is not None
    file = records[0].path.parent / "probes.html"
    with disk_errors(file.parent):
        replace_file(file, comparison(records).encode())
    return file


def comparison(records: Sequence[ProbeRecord]) -> str:
    """The page as HTML text: one file that loads nothing."""
    sides = sides_of(records)
    palette = Palette(tuple(sides))
    title = wording.listing([wording.shorten(name, 40) for name in sides])
    head = Markup("<h1>{}</h1><p><b>{}</b></p><p>{}</p>").format(title, heading(records), scope(sides))
    note = "By step, a line for each training in the colour of its loss."
    drawn = curves(sides, note, key=tuple(sides))
    sections = [_findings(records), _table(sides), *drawn]
    return whole(f"{title} · losscope", [head], [(found.title, found) for found in sections], palette)


def heading(records: Sequence[ProbeRecord]) -> str:
    """The probes with an alarm, in one line."""
    ill = [each.mark.name for each in records if any(f.severity == "alarm" for f in each.findings())]
    if not ill:
        return f"No alarm in {wording.count(len(records), 'training')}."
    return f"An alarm in {len(ill)} of {wording.count(len(records), 'training')}: {wording.listing(ill[:6])}."


def scope(sides: Sides) -> str:
    """What may be concluded from these probes."""
    unlike = "".join(f" {text}" for text in reservations([each for own in sides.values() for each in own]))
    if min(map(len, sides.values())) < 2:
        return (
            "One training of a loss describes that training: with another seed the order may be another one. "
            f"Give several seeds to have verdicts from losscope judge.{unlike}"
        )
    return f"losscope judge gives the verdicts on these seeds; here they are described.{unlike}"


def reservations(records: Sequence[ProbeRecord]) -> list[str]:
    """Why these trainings may not be alike: their lengths, and those that were not closed."""
    said = []
    steps = sorted({record.steps for record in records})
    if len(steps) > 1:
        said.append(f"They differ in length: {steps[0]:,} to {steps[-1]:,} steps.")
    still = [record.mark.name for record in records if not record.closed]
    if still:
        names = wording.listing(still[:6])
        said.append(f"{names} {'was' if len(still) == 1 else 'were'} not closed: still going on, or killed.")
    return said


def _findings(records: Sequence[ProbeRecord]) -> Section:
    rows = [
        [each.mark.name, f"{found.step:,}", found.severity, found.rule, f"{found.what}.", f"{found.cure}."]
        for each in records
        for found in each.findings()
    ]
    if not rows:
        return Section("What the doctor says", html="No rule has anything to say about these steps.")
    heads = ["probe", "step", "severity", "rule", "what is seen", "what helps"]
    grid = Grid("Findings", heads, rows, numeric=False)
    return Section("What the doctor says", "Each rule speaks once for a probe.", table=grid)


def _table(sides: Sides) -> Section:
    ends = {name: [record.endings() for record in records] for name, records in sides.items()}
    there = names_in([record for records in sides.values() for record in records])
    names = [name for _, group in GROUPS for name in group if name in there]
    rows = [
        [_head(name), *(_cell([end[name] for end in own if name in end]) for own in ends.values())]
        for name in names
        if any(name in end for own in ends.values() for end in own)
    ]
    seeds = any(len(records) > 1 for records in sides.values())
    note = "Means over the last tenth of the steps, on training batches."
    note += " Below: the smallest and the largest seed." if seeds else ""
    note += " Losses and gradients of different losses have different units; compare how they lie and shrink."
    grid = Grid("At the end of training", ["", *sides], rows, words=1)
    return Section("At the end of training", note, table=grid)


def _head(name: str) -> Cell:
    if name in QUANTITIES:
        return Cell(wording.title(name), title=QUANTITIES[name].definition)
    return Cell(name.replace("_", " ").capitalize())


def _cell(values: Sequence[float]) -> Cell:
    if not values:
        return Cell("–")
    ends = f"{wording.number(min(values))} – {wording.number(max(values))}" if len(values) > 1 else ""
    return Cell(wording.number(sum(values) / len(values)), small=ends)


def said(records: Sequence[ProbeRecord]) -> list[str]:
    """Lines for the terminal: the probes' verdicts, and what may be concluded."""
    lines = [f"{each.mark.name}: {verdict(each)}" for each in records]
    return [*lines, scope(sides_of(records))]


def scores(records: Sequence[ProbeRecord]) -> dict[tuple[str, int], dict[str, float]]:
    """What the end of each training is judged by: (loss, seed) -> registered quantity -> value.

    Raises:
        LosscopeError: a probe without a seed, or two of one loss and seed.
    """
    found: dict[tuple[str, int], dict[str, float]] = {}
    for record in records:
        loss, seed = record.mark.side
        if seed is None:
            raise LosscopeError(
                f"the probe {record.mark.name!r} says no seed; judging wants Probe(..., seed=…), or a name "
                "such as 'triplet/3'"
            )
        if (loss, seed) in found:
            raise LosscopeError(
                f"two probes are of {loss!r} and seed {seed}; judging wants one: remove the other's folder"
            )
        ends = record.endings()
        if not record.steps:
            raise LosscopeError(f"the probe {record.mark.name!r} has no step; judging wants its training")
        # A loss's own value is in its own unit; what it does to the embeddings can be compared.
        found[loss, seed] = {
            name: value for name, value in ends.items() if name in QUANTITIES and name != "loss"
        }
    return found
