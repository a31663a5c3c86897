"""The tested comparisons with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Comparison
from losscope.core.wording import parts
from losscope.reporting.columns import tested
from losscope.reporting.figure import Look
from losscope.reporting.parts import Context, Section, fragment, prose
from losscope.reporting.ruler import Ruler

MANY = 3
"""With more losses the sentences are folded: the table says the same."""


@dataclass(frozen=True)
class Row:
    """A tested pair, with the places of its numbers on the group's scale in percent."""

    a: str
    b: str
    looks: tuple[Look, Look]
    at: Mapping[str, float | None]
    size: str
    spread: str
    tip: str
    p: str
    verdict: str
    code: str
    needed: str


@dataclass(frozen=True)
class Group:
    """The tested pairs of one measure, on one scale.

    ``told`` and ``others``: the sentences about two losses, and those about a loss and a baseline. ``zero``,
    ``band``, ``ticks``: places in percent.
    """

    measure: str
    rows: list[Row]
    told: list[Markup]
    others: list[Markup]
    ratio: bool
    zero: float | None
    band: tuple[float | None, float | None]
    ticks: list[tuple[float, str]]
    delta: str
    caption: str


@register("section", "forest", order=30)
def forest(context: Context) -> Section | None:
    """The tested comparisons: difference, both intervals, the band of indifference, p and verdict."""
    rows = tested(context.result)
    if not rows:
        return None
    groups = [
        group(context, measure, [row for row in rows if row.measure == measure])
        for measure in dict.fromkeys(row.measure for row in rows)
    ]
    first = rows[0]
    paired = "" if context.result.unpaired else f", paired by {context.unit}"
    why = wording.shared_error(first)
    level = f"{100 * (1 - first.alpha):.4g} % interval for these data{f', since {why}' if why else ''}"
    note = [
        f"Point: mean difference over {wording.plural(context.unit)}{paired}.",
        f"Thick line: {level}.",
        "Thin line: for data like these, with other classes or queries.",
        "Shaded: too small to matter. A verdict needs the thick line outside of zero, or inside the band, "
        "and to stand when corrected for the other tests.",
    ]
    if any(row.low_items is not None for row in rows):
        note.append("Each side is one trained model, held against another over the test classes or items.")
    elif any(row.unit != "seed" for row in rows):
        note.append(
            "A closed form is held against the raw inputs over test items, since no seed changes them."
        )
    candidate = context.result.recommendation.candidate
    if candidate is not None:
        note.append(f"{candidate} led on validation, so it is tested against the others and they are not.")
    if first.tests_in_family:
        tests = wording.count(first.tests_in_family, "test")
        note.append(f"p corrected (Holm) over {tests}; intervals are not corrected.")
    if first.look > 1:
        note.append(f"This is look {first.look} at these data, tested at {first.alpha:g}.")
    return Section("What was tested", " ".join(note), fragment("forest", groups), wide=True)


def group(context: Context, measure: str, rows: Sequence[Comparison]) -> Group:
    """One measure's tested pairs, with every place on a common scale in percent."""
    ratio = rows[0].scale != "difference"
    delta = rows[0].delta
    ends = [end for row in rows for end in (row.difference, row.low, row.high, row.low_data, row.high_data)]
    ruler = Ruler.around([*ends, 0.0, delta, -delta])
    baselines = {side.name for side in context.result.baselines}

    many = len(context.result.losses) > MANY

    def sentences(against_baselines: bool) -> list[Markup]:
        return [
            prose(wording.sentence_parts(row, context.result.settings))
            for row in rows
            if (row.b in baselines) == against_baselines
        ]

    kind = "ratio" if ratio else "difference"
    return Group(
        wording.title(measure),
        [_row(context, row, ruler) for row in rows],
        [] if many else sentences(False),
        [*sentences(False), *sentences(True)] if many else sentences(True),
        ratio,
        ruler.at(0.0),
        (ruler.at(-delta), ruler.at(delta)),
        ruler.ticks(5, ratio),
        f"{100 * math.expm1(delta):.0f} %" if ratio else f"{delta:g}",
        f"{wording.title(measure)}: {kind} of each tested pair, with intervals, corrected p and verdict",
    )


def _row(context: Context, row: Comparison, ruler: Ruler) -> Row:
    size = parts.size(row)
    return Row(
        row.a,
        row.b,
        (context.palette.look(row.a), context.palette.look(row.b)),
        {
            "difference": ruler.at(row.difference),
            "low": ruler.at(row.low),
            "high": ruler.at(row.high),
            "low_data": ruler.at(row.low_data),
            "high_data": ruler.at(row.high_data),
        },
        size.middle,
        size.interval,
        f"for these data {size.interval or 'none'}; for data like these {size.interval_data or 'none'}; "
        f"n = {row.n}",
        parts.corrected_p(row),
        wording.verdict_word(row),
        row.verdict or "none",
        _needed(row),
    )


def _needed(row: Comparison) -> str:
    """What seeds would show, of a pair that is open: ``16 seeds in all would show 0.01``."""
    if row.seeds_needed is None or row.verdict not in ("unresolved", "too_few_seeds"):
        return ""
    if not row.spread_known:
        return f"from {wording.count(row.seeds_needed, row.paired_by)} on it can be tested"
    size = wording.indifference(row.delta, row.scale)
    return f"{wording.count(row.seeds_needed, row.paired_by)} in all would show {size}"
