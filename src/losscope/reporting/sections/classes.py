"""Which classes fail: Recall@1 of each, those in which losses differ, and what is taken for what."""

from __future__ import annotations

import numpy as np

from losscope.core import wording
from losscope.core.registry import register
from losscope.reporting import class_figures as drawn
from losscope.reporting.failing import ByClass, by_class
from losscope.reporting.figure import Figure
from losscope.reporting.items import card
from losscope.reporting.parts import Context, Grid, Section

WHOLE = 20
"""Up to so many classes stand in one table; of more, those at the ends."""
ENDS = 15
"""So many of the worst classes stand open, and of those in which the losses differ most."""
PAIRS = 10
"""Pairs of classes that stand open, and so many times as many behind a fold."""
FOLDED = 4
MANY = 1000
"""Classes of the folded table, at most."""


@register("section", "classes", order=68)
def classes(context: Context) -> Section | None:
    """Which classes fail: Recall@1 of each, those in which losses differ, and what is taken for what."""
    found = by_class(context)
    if found is None or len(found.labels) < 2:
        return None
    tables, folded = _tables(found)
    html = card("failing", tables, folded, *_confusions(context, found))
    figures = _figures(found)
    return Section(
        "Which classes fail",
        note(context, found),
        html,
        figures,
        key=list(found.scores),
        columns=len(figures),
        wide=True,
    )


def _figures(found: ByClass) -> list[Figure]:
    """Every class where they are few; else how they are spread, and both losses against each other."""
    if len(found.labels) <= WHOLE:
        return [drawn.each_class(found)]
    both = drawn.two_losses(found)
    return [drawn.spread_of_classes(found), *([both] if both else [])]


def note(context: Context, found: ByClass) -> str:
    """How to read the tables, and what they come to."""
    count = len(found.labels)
    seeds = max(len(values) for values in found.recall.values())
    intervals = f" with its 95 % interval over {wording.count(seeds, context.unit)}" if seeds > 1 else ""
    kind = found.kind
    told = [f"Recall@1 of the queries of each {kind}{intervals}, on these test items: described, not tested."]
    if kind == "label":
        told.append(
            "A query counts for each label that it has, and is right where the nearest item has one of them."
        )
    if len(found.losses) > 1:
        apart = int((found.gap > 0).sum())
        several = wording.count(count, kind)
        told.append(
            f"The losses differ in {apart:,} of {several}." if apart else "The losses differ in none."
        )
    perfect = int(np.isclose(found.level, 1).sum())
    if perfect:
        has = f"{kind} has" if perfect == 1 else f"{wording.plural(kind)} have"
        told.append(f"{perfect:,} {has} no wrong query under any loss.")
    return " ".join(told)


def _tables(found: ByClass) -> tuple[list[Grid], list[tuple[str, Grid]]]:
    """The tables that stand open, and those behind a fold with its line."""
    count, worst = len(found.labels), found.worst()
    if count <= WHOLE:
        return [found.table(f"Every {found.kind}, the worst first", worst.tolist())], []
    kinds = wording.plural(found.kind)
    open_tables = [found.table(f"The {ENDS} worst of {count:,} {kinds}", worst[:ENDS].tolist())]
    if len(found.losses) > 1 and found.gap.max(initial=0) > 0:
        apart = found.apart()
        apart = apart[found.gap[apart] > 0][:ENDS]
        caption = f"The {len(apart)} in which the losses differ most"
        open_tables.append(found.table(caption, apart.tolist()))
    shown = worst[:MANY]
    line = f"All {count:,} {kinds}" if count <= MANY else f"The {MANY:,} worst of {count:,} {kinds}"
    return open_tables, [(line, found.table(line, shown.tolist()))]


def _confusions(context: Context, found: ByClass) -> tuple[str, list[Grid], list[tuple[str, Grid]]]:
    """What is taken for what: how it was counted, the table that stands open, and the folded one."""
    pairs = found.pairs
    if not pairs:
        return "", [], []
    own = found.scores[found.losses[0]]
    told = (
        f"counted over {wording.count(own.seeds, context.unit)}"
        if own.seeds > 1
        else f"of one {context.unit}"
    )
    first = found.confusions("The pairs of classes that the losses confuse most", pairs[:PAIRS])
    more = pairs[PAIRS : PAIRS * (1 + FOLDED)]
    folded = [(f"{len(more)} more pairs", found.confusions("Further pairs of classes", more))] if more else []
    return (
        f"Wrong nearest items by pair of classes, {told}; small: share of the class’s queries.",
        [first],
        folded,
    )
