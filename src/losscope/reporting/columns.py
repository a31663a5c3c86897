"""Which measures of a result are worth a column, and the rows that tables and sections share."""

from __future__ import annotations

from collections.abc import Iterable

from losscope.core import wording
from losscope.core.loss_spec import Family
from losscope.core.quantities import GOALS, QUANTITIES, unsplit
from losscope.core.results import BaselineResult, Comparison, LossResult, Result, SideResult

_AFTER_GOAL = {
    "retrieval": ("map_at_r", "map_visual_to_audio"),
    "verification": ("tar_at_far_1e2", "threshold_spread", "recall_at_1"),
    "classification": ("linear_accuracy", "recall_at_1"),
    "detail": ("fine_variance_share", "recall_at_1"),
    "compactness": ("recall_at_1",),
}
"""What stands beside a goal's own measure."""
_ACROSS = (
    "recall_at_1_audio_to_visual",
    "recall_at_1_visual_to_audio",
    "recall_at_5_audio_to_visual",
    "recall_at_5_visual_to_audio",
    "mrr_audio_to_visual",
    "mrr_visual_to_audio",
    "median_rank_audio_to_visual",
    "median_rank_visual_to_audio",
)
"""What stands beside Recall@1 of both ways, whatever the goal is called."""


def is_loss(side: SideResult) -> bool:
    """Whether a side was trained by a loss; else it is a baseline."""
    return isinstance(side, LossResult)


def kind_of(side: SideResult) -> Family:
    """What a side is: a loss, a baseline or a closed form."""
    return side.family if isinstance(side, BaselineResult) else "loss"


def goal_measure(result: Result) -> str | None:
    """The measure that the goal is decided by: as tested, or the first of the goal that there is."""
    for row in result.verdicts():
        return row.measure
    return next((name for name in GOALS.get(result.goal, ()) if name in present(result)), None)


def deciding_measure(result: Result) -> str | None:
    """The measure of the recommendation, or the goal's where none was recommended."""
    return result.recommendation.measure or goal_measure(result)


def is_described(side: SideResult) -> bool:
    """Whether a baseline is only described: it is in the tables, and in no figure of the answer."""
    return isinstance(side, BaselineResult) and side.described


def ranked(result: Result, measure: str) -> list[SideResult]:
    """The sides that have a measure, the best first, equal ones by name."""
    sign = 1 if wording.measure(measure).better == "lower" else -1
    means = [(sign * mean, side) for side in result.sides if (mean := side.mean(measure)) is not None]
    return [side for _, side in sorted(means, key=lambda pair: (pair[0], pair[1].name))]


def present(result: Result) -> list[str]:
    """Every measure with at least one value, in the order in which the quantities are declared."""
    have = {name for side in result.sides for name in side.measures if side.mean(name) is not None}
    order = {name: place for place, name in enumerate(QUANTITIES)}
    return sorted(have, key=lambda name: (order.get(unsplit(name)[0], len(order)), name))


def columns(result: Result, limit: int = 9) -> list[str]:
    """The measures worth a column: the goal's, then those that declare a column, in their order."""
    goal = result.goal
    decides = goal_measure(result)
    beside = _ACROSS if decides == "recall_at_1_across" else _AFTER_GOAL.get(goal, ())
    asked = dict.fromkeys(row.measure for row in result.verdicts())
    first = [decides, *asked, *GOALS.get(goal, ()), *beside]
    declared = {name: found.column for name, found in QUANTITIES.items() if found.column is not None}
    wanted = [*first, *sorted(declared, key=declared.__getitem__)]
    known = present(result)
    chosen = list(dict.fromkeys(name for name in wanted if name in known and name is not None))
    if result.protocol is None:  # anyone's own runs have few measures, which were all asked for
        chosen += [name for name in known if name not in chosen]
    return (chosen or known)[:limit]


def digits_of(sides: Iterable[SideResult], measure: str) -> wording.Digits:
    """The decimals that a measure's column shares."""
    pairs = []
    for side in sides:
        low, high = side.interval(measure)
        half = None if low is None or high is None else (high - low) / 2
        pairs.append((side.mean(measure), half))
    return wording.digits_for(pairs, measure)


def halved(head: str) -> tuple[str, str]:
    """A heading in two, broken at the blank nearest its middle; the first part is empty without a blank.

    >>> halved("inter-class distance"), halved("MAP@R")
    (('inter-class', 'distance'), ('', 'MAP@R'))
    """
    blanks = [place for place, letter in enumerate(head) if letter == " "]
    if not blanks:
        return "", head
    middle = min(blanks, key=lambda place: abs(place - len(head) / 2))
    return head[:middle], head[middle + 1 :]


def split_of(sides: Iterable[SideResult], measure: str) -> str:
    """On which split of the data a measure was taken; several are named."""
    measured = [side.measures[measure] for side in sides if measure in side.measures]
    return ", ".join(sorted({value.split for value in measured if value.split}))


def tested(result: Result) -> list[Comparison]:
    """The tested comparisons: those between losses first, then against each baseline in turn."""
    order = {side.name: place + 1 for place, side in enumerate(result.baselines)}
    return sorted(result.verdicts(), key=lambda row: order.get(row.b, 0))


def more_said(result: Result) -> list[str]:
    """What is said beside the recommendation of anyone's own runs: the group of the best, each data set."""
    return [*result.on_each, *group_said(result)]


def group_said(result: Result) -> list[str]:
    """The sentence on the losses that cannot be told from the best; none of two losses."""
    if result.group is None or len(result.losses) <= 2:
        return []
    return [wording.best_group(result.group, result.paired_by)]
