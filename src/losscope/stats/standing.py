"""What is known of each side before the test split is measured: who leads on validation, and the family.

The leader is the candidate. It alone is tested against the others, so that a study has few tests and its
answer was named before the test split had a part in it (docs/definitions.md, "Family").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from losscope.core.loss_spec import CLOSED_FORM, RAW
from losscope.core.quantities import unsplit
from losscope.core.results import Fault, Price
from losscope.stats.comparison import declared
from losscope.stats.sides import Side

SECOND = {
    "recall_at_1": "map_at_r",
    "recall_at_1_across": "map_audio_to_visual",
    "map_audio_to_visual": "recall_at_1_across",
}
"""The measure beside the one that decides."""
OTHER_WAY = {"map_audio_to_visual": "map_visual_to_audio"}
"""The same measure from the second modality into the first."""
CEILING = 0.95
"""Validation mean above which errors are compared by their ratio, where every side has it."""
UNSETTLED = 0.2
"""Share of draws of the tuning seeds that may change the choice before sentences name its numbers."""
_COST = {"baseline": 0, CLOSED_FORM: 1, "loss": 2}


@dataclass(frozen=True)
class Standing:
    """How a side stood on validation, and its price.

    Attributes:
        side: its display name.
        validation: measure -> mean on validation rows: over the seeds of tuning at the numbers chosen, or,
            untuned, over the study's seeds at the epoch that is measured. Empty where there is none.
        price: what it costs.
        faults: runs that ended and learned nothing.
        changes: share of draws of the tuning seeds, each with validation of its own, in which another trial
            would have been chosen, None where it is not known.
    """

    side: str
    validation: Mapping[str, float] = field(default_factory=dict)
    price: Price | None = None
    faults: tuple[Fault, ...] = ()
    changes: float | None = None

    @property
    def unsettled(self) -> bool:
        """Whether other validation classes would have changed the choice too often to name the loss alone."""
        return self.changes is not None and self.changes > UNSETTLED


@dataclass(frozen=True)
class Family:
    """The sides of a study as validation ranks them, and the pairs that are tested.

    ``candidate``: the leader, None where validation ranks nothing; ``by``: the measure of the ranking.
    ``ranking``: the sides that it ranks, the best first. ``pairs``: (candidate, other), then the pairs of a
    reference that was asked for.
    """

    candidate: Side | None = None
    by: str | None = None
    ranking: tuple[str, ...] = ()
    pairs: tuple[tuple[Side, Side], ...] = ()


def family(
    sides: Sequence[Side], standings: Iterable[Standing], measure: str, reference: str | None = None
) -> Family:
    """The candidate and its tests: against each other loss, ``raw`` and the best other closed form.

    ``sides``: losses, baselines and closed forms; those that are only described are left out.
    ``reference``: a loss that a user asked for: each other loss is tested against it too.
    """
    table = {standing.side: standing for standing in standings}
    held = [side for side in sides if side.has(measure) or any(side.failed)]
    losses = [side for side in held if side.runs[0].family == "loss"]
    forms = [side for side in held if side.runs[0].family == CLOSED_FORM and not side.runs[0].described]
    by = ranking_measure([table[side.name] for side in (*losses, *forms) if side.name in table], measure)
    if by is None or not any(_score(table.get(side.name), by) is not None for side in losses):
        return Family()
    sign = 1 if declared(by).better == "lower" else -1

    def place(side: Side) -> tuple[float, int]:
        score = _score(table.get(side.name), by)
        return math.inf if score is None else sign * score, _COST[side.runs[0].family]

    ranked = sorted((*losses, *forms), key=place)
    able = [side for side in ranked if math.isfinite(place(side)[0])]
    candidate = able[0]
    raw = [side for side in held if side.name == RAW and side.runs[0].family == "baseline"]
    best = next((side for side in ranked if side in forms and side is not candidate), None)
    rest = [side for side in losses if side is not candidate]
    pairs = [(candidate, other) for other in (*rest, *raw, *([best] if best is not None else []))]
    asked = next((side for side in losses if side.name == reference), None)
    if asked is not None and asked is not candidate:
        pairs += [(side, asked) for side in losses if side is not asked and side is not candidate]
    return Family(candidate, by, tuple(side.name for side in able), tuple(pairs))


def ranking_measure(standings: Sequence[Standing], measure: str) -> str | None:
    """The measure by which validation ranks sides: the one that decides, else MAP@R.

    It is one that every side has which has any score; None where there is none.

    >>> a, b = Standing("a", {"map_at_r": 0.5}), Standing("b", {"map_at_r": 0.4, "recall_at_1": 0.9})
    >>> ranking_measure([a, b], "recall_at_1")
    'map_at_r'
    """
    scored = [standing for standing in standings if standing.validation]
    for name in (measure, unsplit(measure)[0], "map_at_r"):
        if scored and all(_score(standing, name) is not None for standing in scored):
            return name
    return None


def _score(standing: Standing | None, measure: str) -> float | None:
    value = None if standing is None else standing.validation.get(measure)
    return value if value is not None and math.isfinite(value) else None


def by_errors(sides: Sequence[Side], standings: Iterable[Standing], measure: str) -> bool:
    """Whether sides are compared by the ratio of their errors: EER, or all near the ceiling on validation.

    Not where a run has no error at all, which has no ratio.
    """
    what, lower = declared(measure), unsplit(measure)[0] == "eer"
    if what.scale != "difference" or what.range != (0.0, 1.0):
        return False
    values = [value for side in sides for value in side.values(measure) if value is not None]
    if not values or (min(values) <= 0 if lower else max(values) >= 1):
        return False
    if lower:
        return True
    names = {side.name for side in sides}
    scores = [_score(found, measure) for found in standings if found.side in names and found.validation]
    return what.better == "higher" and bool(scores) and all(score and score > CEILING for score in scores)


def family_bound(losses: int, *, raw: bool, closed_forms: int, reference: bool = False) -> int:
    """Tests of a study at most, before validation names its candidate.

    A loss that leads is tested against the other losses, ``raw`` and the best closed form. A closed form that
    leads is tested against every loss, ``raw`` and the next best closed form, which may be one test more.

    >>> family_bound(2, raw=True, closed_forms=0), family_bound(2, raw=True, closed_forms=2)
    (2, 4)
    >>> family_bound(3, raw=True, closed_forms=1, reference=True)
    6
    """
    led_by_loss = losses - 1 + raw + (closed_forms > 0) + (max(0, losses - 2) if reference else 0)
    if not closed_forms:
        return led_by_loss
    led_by_form = losses + raw + (closed_forms > 1) + (losses - 1 if reference else 0)
    return max(led_by_loss, led_by_form)
