"""In which share of the settings each claim holds, beside one loss under both names."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import MultiverseClaim, Share, Shares
from losscope.core.wording import multiverses as said
from losscope.reporting.parts import Cell, Context, Grid, Section

HEADS = (
    "claim",
    "data",
    Cell("holds", title="the mean over seeds lies beyond the indifference, in the claimed direction"),
    Cell("one loss twice", title="the share that one loss under both names gives"),
    Cell("reversed", title="beyond the indifference in the other direction"),
    Cell("neither", title="within the indifference"),
    Cell("competent", title="holds, where each loss is near its best validation measure on the same data"),
    Cell("median", title="the median effect over all settings"),
    Cell("p", title="of no effect in any setting: names of the losses swapped cell by cell, uncorrected"),
    Cell("the paper's own", title="the share of the other settings that lie further against the claim"),
)


@register("section", "multiverse-shares", order=20, of="multiverse")
def shares(context: Context) -> Section | None:
    """The share of settings in which each claim holds, is reversed, or neither."""
    found = context.multiverse.claims
    if not found:
        return None
    note = (
        "Shares of the declared space, with 95 % intervals over cells: settings that were trained as one "
        "population. A small p says that there is some effect somewhere, not that the claim holds."
    )
    several = said.on_several(found)
    kept = [place for place, head in enumerate(HEADS) if head != "data" or several]
    rows = [_row(claim) for claim in found]
    grid = Grid(
        "Each claim over all settings",
        [HEADS[place] for place in kept],
        [[row[place] for place in kept] for row in rows],
        words=2 if several else 1,
    )
    return Section("In which share of settings", note, table=grid, wide=True)


def _row(found: MultiverseClaim) -> list[str | Cell]:
    median = found.median
    ends = ""
    if median.low is not None and median.high is not None:
        ends = wording.change_interval(median.low, median.high, found.scale)
    joint = found.joint
    return [
        Cell(found.claim, title=found.statement),
        found.data,
        _share(found.everywhere.holds),
        "" if found.null is None else _share(found.null.holds),
        _share(found.everywhere.reversed),
        _share(found.everywhere.neither),
        _competent(found.competent, found.null_competent),
        Cell(said.effect(median.value, found.scale), ends, number=median.value),
        "" if joint is None else Cell(wording.p_value(joint.p), number=joint.p),
        _paper(found),
    ]


def _share(found: Share) -> Cell:
    tip = wording.count(found.count, "setting")
    return Cell(said.share(found), said.spread(found.low, found.high), tip, number=found.share)


def _competent(found: Shares | None, null: Shares | None) -> Cell:
    if found is None or found.settings < said.FEW:
        of = "" if found is None else f"of {found.settings}"
        return Cell(wording.NOTHING, of, said.near_their_best(found))
    made = _share(found.holds)
    of = wording.count(found.settings, "setting")
    tip = [f"of {of} in {wording.count(found.cells, 'cell')}"]
    tip += [] if null is None else [f"one loss twice: {said.shared(null.holds)}"]
    small = ", ".join(filter(None, [made.small, f"of {found.settings}"]))
    return Cell(made.text, small, "; ".join(tip), number=made.number)


def _paper(found: MultiverseClaim) -> Cell:
    if found.paper is None:
        return Cell("")
    if found.paper.quantile is None:
        return Cell(wording.NOTHING, said.OUTCOMES[found.paper.outcome])
    word = "typical" if found.paper.typical else "not typical"
    quantile = said.percent(found.paper.quantile)
    return Cell(quantile, f"{said.OUTCOMES[found.paper.outcome]}, {word}", number=found.paper.quantile)
