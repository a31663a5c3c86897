"""The atlas of the package on its page: the table of a goal, and how far each side is from the best loss."""

from __future__ import annotations

from losscope.atlases import kept
from losscope.core import wording
from losscope.core.results import AtlasGoal
from losscope.reporting import atlases, axes

from .drawing import Panel, figure, text

GOAL = "retrieval"
WIDE, ROW = 420.0, 17.0
BESIDE = ("cannot be told from the best", "other losses", "best side that trains nothing")


def tabled() -> str:
    """The table, in Markdown."""
    return atlases.markdown(kept.shipped(), GOAL)


def sentence() -> str:
    """What README says of it."""
    found = kept.shipped()
    size, best = wording.atlases.headline(found), wording.atlases.shows(found, GOAL)
    return f"**An atlas** (`losscope atlas`), {size}. {best}"


def drawn() -> str:
    """Every side of every data set by its distance to the best loss, as a figure."""
    found = atlases.of_goal(kept.shipped(), GOAL)
    spots = [_spots(own) for _, own in found]
    edge = max([0.01, *(gap for near, others, _ in spots for gap in (*near, *others))])
    low, high = max(-edge, min([0.0, *(gap for _, _, bare in spots for gap in bare)])), edge
    spare = 0.04 * (high - low)
    ticks = [tick.at for tick in axes.linear([low, high]).ticks]
    panel = Panel(
        x=(min(low - spare, *ticks), max(high + spare, *ticks)),
        y=(-0.7, len(found) - 0.3),
        ticks=(ticks, ()),
        xlabel=f"{_measures([own for _, own in found])} behind the best loss",
        width=WIDE,
        height=ROW * len(found) + 8,
    )
    panel.line([(0.0, panel.y[0]), (0.0, panel.y[1])], 0, "2 3", 0.8)
    for place, ((entry, _), groups) in enumerate(zip(reversed(found), reversed(spots), strict=True)):
        panel.parts.append(text(-8, panel.at(0, place)[1] + 4, entry.name, "small", "end"))
        for colour, gaps in enumerate(groups, 1):
            for gap in gaps:
                inside = min(max(gap, low), high)
                panel.points([(inside, place)], colour, 2.6, hollow=inside != gap)
    return figure(
        [panel],
        f"How far losses are from the best one on {wording.count(len(found), 'data set')}",
        "Each data set's losses by their mean on test rows, the best at 0. Where the best side that trains "
        "nothing stands left of 0, no loss reaches it; hollow, it lies beyond the edge.",
        legend=BESIDE,
        room=140.0,
    )


def _spots(own: AtlasGoal) -> tuple[list[float], list[float], list[float]]:
    """The distances of the losses not told from the best, of the other losses, and of the best other side."""
    gaps = {side: atlases.behind(own, side.name) for side in own.sides}
    known = {side: gap for side, gap in gaps.items() if gap is not None}
    near = [gap for side, gap in known.items() if side.kind == "loss" and side.name in own.members]
    others = [gap for side, gap in known.items() if side.kind == "loss" and side.name not in own.members]
    bare = [gap for side, gap in known.items() if side.kind != "loss"]
    return near, others, [min(bare)] if bare else []


def _measures(goals: list[AtlasGoal]) -> str:
    return " or ".join(dict.fromkeys(wording.label(own.measure) for own in goals))
