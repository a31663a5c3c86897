"""The page of a probe: what the doctor says, and the curves over the steps. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from losscope.core import wording
from losscope.core.quantities import QUANTITIES
from losscope.probe.record import ProbeRecord, load_probe
from losscope.reporting import axes
from losscope.reporting.figure import Figure, Line, Mark, Palette, numbers
from losscope.reporting.page import whole
from losscope.reporting.parts import Grid, Section
from losscope.run.files import disk_errors, replace_file

POINTS = 800
"""A curve of more steps is drawn as so many means."""

GROUPS = (
    ("The loss", ("loss", "loss_without_gradient", "active_ratio", "tuples", "loss_factor")),
    (
        "Where the gradient goes",
        (
            "embedding_gradient_norm",
            "effective_active",
            "active_samples",
            "gradient_gini",
            "gradient_top_tenth",
            "greedy_share",
            "hard_share",
        ),
    ),
    (
        "How the batches lie",
        (
            "intra_inter_ratio",
            "intra_variance",
            "inter_distance",
            "effective_rank",
            "spread",
            "embedding_norm",
            "duplicate_rows",
        ),
    ),
    ("The optimiser", ("parameter_gradient_norm", "update_norm", "weight_norm")),
)
"""The sections of curves, with what each shows of what was recorded."""


def write_page(folder: str | Path, name: str | None = None) -> tuple[Path, ProbeRecord]:
    """Write ``probe.html`` into a probe's folder; the file, and the record that it shows.

    Raises:
        LosscopeError: as ``load_probe`` does, and where the folder cannot be written.
    """
    record = load_probe(folder, name)
    assert record.path is not None
    file = record.path / "probe.html"
    with disk_errors(record.path):
        replace_file(file, page(record).encode())
    return file, record


def page(record: ProbeRecord) -> str:
    """The page as HTML text: one file that loads nothing."""
    name = record.mark.name
    palette = Palette((name,))
    head = Markup("<h1>{}</h1><p><b>{}</b></p><p>{}</p>").format(name, verdict(record), summary(record))
    note = f"By step; means of neighbouring steps where there are more than {POINTS}."
    sections = [_doctor(record), *curves({name: [record]}, note)]
    return whole(f"{name} · losscope", [head], [(found.title, found) for found in sections], palette)


def verdict(record: ProbeRecord) -> str:
    """What the doctor says in one line: the first alarm, and how many more there are."""
    found = record.findings()
    alarms = [each for each in found if each.severity == "alarm"]
    if not alarms:
        notes = f" and {wording.count(len(found), 'note')}" if found else ""
        return f"No alarm{notes} in {wording.count(record.steps, 'step')}."
    first = alarms[0]
    more = f" {len(alarms) - 1} more below." if len(alarms) > 1 else ""
    what = first.what[0].upper() + first.what[1:]
    return f"{first.rule.capitalize()}, at step {first.step:,}. {what}. What helps: {first.cure}.{more}"


def summary(record: ProbeRecord) -> str:
    """What a probe is, in one or two sentences.

    An open record says so: it may be of a training that still goes on.
    """
    mark = record.mark
    steps = wording.count(record.steps, "step")
    state = "" if record.closed else " It was not closed: its training goes on, or was killed."
    rank = f", {mark.rank}" if mark.rank else ""
    often = "every step" if mark.every == 1 else f"one of every {mark.every:,} steps"
    return f"{steps} of {mark.subject.loss}{rank}; the batch is looked at in {often}.{state}"


def _doctor(record: ProbeRecord) -> Section:
    found = record.findings()
    if not found:
        return Section("What the doctor says", html="No rule has anything to say about these steps.")
    rows = [[f"{each.step:,}", each.severity, each.rule, f"{each.what}.", f"{each.cure}."] for each in found]
    grid = Grid("Findings", ["step", "severity", "rule", "what is seen", "what helps"], rows, numeric=False)
    return Section("What the doctor says", "Each rule speaks once.", table=grid)


def curves(sides: Mapping[str, Sequence[ProbeRecord]], note: str, key: Sequence[str] = ()) -> list[Section]:
    """The sections of ``GROUPS`` that have something to draw; ``key``: the sides in their colour key."""
    there = names_in([record for records in sides.values() for record in records])
    made = []
    for title, names in GROUPS:
        figures = [figure(name, sides) for name in names if name in there]
        if figures:
            made.append(Section(title, note, figures=figures, columns=2, key=key))
    return made


def names_in(records: Sequence[ProbeRecord]) -> set[str]:
    """What there is to draw; a factor that is always 1 is nothing to look at."""
    return {row.name for each in records for row in each.rows if row.name != "loss_factor" or row.value != 1}


def figure(name: str, sides: Mapping[str, Sequence[ProbeRecord]]) -> Figure:
    """The curves of one quantity: a line for each record that has it, in the colour of its side."""
    marks: list[Mark] = []
    everything: list[float] = []
    ends: list[str] = []
    last = 1.0
    for side, records in sides.items():
        for record in records:
            if all(row.name != name for row in record.rows):
                continue
            steps, values = (np.asarray(column, dtype=float) for column in record.curve(name))
            kept = np.isfinite(values)
            steps, values = _thinned(steps[kept], values[kept])
            if len(values):
                texts = [wording.number(value) for value in values]
                marks.append(Line(side, numbers(steps), numbers(values), texts=texts, name=record.mark.name))
                last = max(last, float(steps[-1]))
                everything += values.tolist()
                ends.append(f"{record.mark.name} {wording.number(values[0])} to {wording.number(values[-1])}")
    title = wording.title(name) if name in QUANTITIES else name.replace("_", " ").capitalize()
    alt = f"{title} over the steps: nothing finite was recorded."
    if ends:
        alt = f"{title} over the steps: {wording.listing(ends[:6])}."
    return Figure(
        axes.counted(last, "step"),
        axes.linear(everything),
        marks,
        title,
        alt,
        height=220,
        log=axes.logarithmic(everything) if everything and min(everything) > 0 else None,
        cursor="step",
        series=tuple(sides) if len(sides) > 1 else (),
    )


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most POINTS points, each the mean of neighbours."""
    if len(steps) <= POINTS:
        return steps, values
    pieces = np.array_split(np.arange(len(steps)), POINTS)
    means = [np.array([column[piece].mean() for piece in pieces]) for column in (steps, values)]
    return means[0], means[1]
