"""An atlas as a table for the terminal, as Markdown, as a figure and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording
from losscope.core.loss_spec import RAW
from losscope.core.quantities import quantity
from losscope.core.results import Atlas, AtlasEntry, AtlasGoal
from losscope.core.wording import atlases as said
from losscope.reporting import axes
from losscope.reporting.figure import Figure, Palette, Points
from losscope.reporting.formats import escaped
from losscope.reporting.page import whole
from losscope.reporting.parts import Cell, Grid, Section, fragment

HEADS = (
    "data set",
    "classes",
    "rows of each",
    "dimension",
    "raw",
    "best loss",
    "not told from it",
    "answer",
)
DESCRIBED = "within its indifference"
"""What stands over the losses near the best where nothing was tested."""


def of_goal(atlas: Atlas, goal: str) -> list[tuple[AtlasEntry, AtlasGoal]]:
    """The data sets that have a measure for a goal, each with what was found."""
    return [(entry, own) for entry in atlas.entries if (own := entry.goal(goal)) is not None]


def heads(found: Sequence[tuple[AtlasEntry, AtlasGoal]]) -> tuple[str, ...]:
    """The heads of the columns."""
    tested = any(own.tested for _, own in found)
    return HEADS if tested else tuple(DESCRIBED if head == HEADS[6] else head for head in HEADS[:-1])


def rows(found: Sequence[tuple[AtlasEntry, AtlasGoal]]) -> list[tuple[str, ...]]:
    """A row of texts for each data set."""
    width = len(heads(found))
    return [_row(entry, own)[:width] for entry, own in found]


def _row(entry: AtlasEntry, own: AtlasGoal) -> tuple[str, ...]:
    sketch = entry.sketch
    return (
        entry.name,
        f"{sketch.classes:,}",
        f"{sketch.rows_per_class:,.0f}",
        f"{sketch.dimension:,}",
        wording.NOTHING if (raw := own.mean(RAW)) is None else wording.number(raw),
        own.best,
        said.others(own),
        said.recommended(own),
    )


def table(atlas: Atlas, goal: str = "retrieval") -> RenderableType:
    """The atlas for a terminal: what it shows in a line, a row for each data set, and what it lacks."""
    found = of_goal(atlas, goal)
    lines = [Text(said.shows(atlas, goal), style="bold")]
    if not found:
        return Group(*lines)
    made = Table(box=SIMPLE_HEAD, expand=False, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    first, _, _, _, raw, best, *rest = heads(found)
    made.add_column(first, overflow="fold", min_width=8)
    for head in ("classes\n× rows", "dims", raw):
        made.add_column(head, justify="right", no_wrap=True)
    made.add_column(best, no_wrap=True, overflow="fold")
    for head in rest:
        made.add_column(head, overflow="fold", min_width=8)
    for name, classes, each, *others in rows(found):
        made.add_row(*(Text(wording.printable(text)) for text in (name, f"{classes} × {each}", *others)))
    lacks = [Text(wording.printable(said.left_out(own)), style="dim") for own in atlas.left_out]
    return Group(*lines, made, *lacks)


def markdown(atlas: Atlas, goal: str = "retrieval") -> str:
    """The atlas as Markdown: what it shows, and the table."""
    found = of_goal(atlas, goal)
    lines = [f"**{escaped(said.shows(atlas, goal))}**"]
    if found:
        names = heads(found)
        marks = ["--:" if 0 < place < 5 else ":--" for place in range(len(names))]
        lines += ["", f"| {' | '.join(names)} |", f"|{'|'.join(marks)}|"]
        lines += [f"| {' | '.join(escaped(text) for text in row)} |" for row in rows(found)]
    return "\n".join([*lines, ""])


def behind(own: AtlasGoal, name: str) -> float | None:
    """How far a side is from the best loss in a goal's measure: above 0 where it is worse."""
    mean, best = own.mean(name), own.mean(own.best)
    if mean is None or best is None:
        return None
    return mean - best if quantity(own.measure).better == "lower" else best - mean


def figure(atlas: Atlas, goal: str = "retrieval") -> Figure | None:
    """How far each loss is from the best one on each data set; None where no data set has the goal."""
    found = of_goal(atlas, goal)
    if not found:
        return None
    measures = list(dict.fromkeys(wording.label(own.measure) for _, own in found))
    names = [wording.printable(entry.name) for entry, _ in reversed(found)]
    marks, known = [], [0.0]
    for loss in atlas.losses:
        at = [(place, behind(own, loss)) for place, (_, own) in enumerate(reversed(found))]
        spots = [(value, float(place)) for place, value in at if value is not None]
        texts = [f"{names[int(place)]}: {wording.number(value)}" for value, place in spots]
        known += [value for value, _ in spots]
        marks.append(Points(loss, [x for x, _ in spots], [y for _, y in spots], texts=texts))
    title = f"{wording.listing(measures)} behind the best loss"
    return Figure(
        axes.linear(known, title, zero=True),
        axes.named(names),
        marks,
        title,
        f"{title}, of each loss on {wording.count(len(found), 'data set')}; the best of each stands at 0.",
        height=60 + 26 * len(found),
    )


def page(atlas: Atlas) -> str:
    """The page of an atlas: for every goal its table, its figure and the mean of every side."""
    palette = Palette(list(atlas.losses), [])
    goals = list(dict.fromkeys(own.goal for entry in atlas.entries for own in entry.goals))
    sections = [part for goal in goals for part in _sections(atlas, goal)]
    if atlas.left_out:
        sentences = [said.left_out(own) for own in atlas.left_out]
        sections.append(Section("What it lacks", html=fragment("bullets", sentences)))
    head = fragment("headline", said.headline(atlas))
    return whole("Atlas · losscope", [head], [(part.title, part) for part in sections], palette)


def _sections(atlas: Atlas, goal: str) -> list[Section]:
    found = of_goal(atlas, goal)
    drawn = figure(atlas, goal)
    names = heads(found)
    grid = Grid(f"The data sets, {goal}", names, rows(found), numeric=False)
    sides = list(dict.fromkeys(side.name for _, own in found for side in own.sides))
    sides.sort(key=lambda name: name not in atlas.losses)
    means = [[Cell(entry.name), *(_mean(own, name) for name in sides)] for entry, own in found]
    whole_grid = Grid(f"Mean of every side, {goal}", ["data set", *sides], means, words=1)
    title = goal.capitalize()
    return [
        Section(
            title,
            said.shows(atlas, goal),
            figures=[] if drawn is None else [drawn],
            key=atlas.losses,
            table=grid,
            wide=True,
        ),
        Section(f"{title}: means", _measures(found), table=whole_grid, fold="Means on test rows", wide=True),
    ]


def _mean(own: AtlasGoal, name: str) -> Cell:
    mean = own.mean(name)
    side = next((side for side in own.sides if side.name == name), None)
    if mean is None or side is None:
        return Cell(wording.NOTHING, kind="none")
    ends = (
        ""
        if side.low is None or side.high is None
        else f"{wording.number(side.low)}–{wording.number(side.high)}"
    )
    return Cell(wording.number(mean), ends, number=mean)


def _measures(found: Sequence[tuple[AtlasEntry, AtlasGoal]]) -> str:
    """Which measure each data set is judged by, and what the small numbers are."""
    by: dict[str, list[str]] = {}
    for entry, own in found:
        by.setdefault(wording.label(own.measure), []).append(entry.name)
    told = [
        f"{measure} on {wording.listing(names)}" if len(by) > 1 else measure for measure, names in by.items()
    ]
    return f"{'; '.join(told)}; in small figures 95 % intervals over seeds."
