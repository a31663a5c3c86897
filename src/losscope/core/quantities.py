"""What every measured quantity is, by name: its meaning, unit, scale, orientation and indifference.

A measure declares the quantities that it yields in its own decorator; those of training, which no measure
yields, are declared here. Statistics and the page read ``QUANTITIES``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, MutableMapping
from typing import get_args

from losscope.core import registry
from losscope.core.errors import require, unknown
from losscope.core.facts import Better, Group, MeasureFacts, Quantity, Scale

__all__ = [
    "GOALS",
    "QUANTITIES",
    "SPLITS",
    "TRAINING",
    "Better",
    "Group",
    "Quantity",
    "Scale",
    "quantity",
    "unsplit",
]

TRAINING: tuple[Quantity, ...] = (
    Quantity(
        name="loss",
        definition="mean loss of the epoch's steps, by the loss's own reduction",
        unit="loss",
        better="neither",
        scale="log_ratio",
        group="greediness",
        limits="form",
    ),
    Quantity(
        name="epochs_to_90",
        definition="first epoch whose mean loss is at most 0.1 of the first epoch's",
        unit="epochs",
        better="lower",
        scale="log_ratio",
        group="greediness",
        label="epochs to 90 %",
    ),
    Quantity(
        name="epochs_to_90_excess",
        definition="the same after subtracting the run's smallest loss",
        unit="epochs",
        better="lower",
        scale="log_ratio",
        group="greediness",
    ),
    Quantity(
        name="half_life",
        definition="first epoch whose mean loss is at most half of the first epoch's",
        unit="epochs",
        better="lower",
        scale="log_ratio",
        group="greediness",
    ),
    Quantity(
        name="epochs_to_90_quality",
        definition="first epoch at 90 % of the run's own best gain in validation MAP@R over epoch 0",
        unit="epochs",
        better="lower",
        scale="log_ratio",
        group="greediness",
        label="epochs to 90 % quality",
        column=170,
    ),
    Quantity(
        name="active_ratio",
        definition="share of the valid terms whose derivative by the distance is not 0",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
        limits="hinge",
        column=150,
    ),
    Quantity(
        name="active_samples",
        definition="share of rows whose gradient is above 1e-6 of the largest",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
    ),
    Quantity(
        name="effective_active",
        definition="(sum of gradient norms)² / (rows · sum of squares): 1 when effort is even",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
        column=160,
    ),
    Quantity(
        name="gradient_gini",
        definition="Gini coefficient of the rows' gradient norms",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
        label="gradient Gini",
    ),
    Quantity(
        name="gradient_top_tenth",
        definition="share of the gradient norm on the tenth of rows with most",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
        label="gradient on the top tenth",
    ),
    Quantity(
        name="greedy_share",
        definition="share of the pull and push on pairs that already satisfy the ranking",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
    ),
    Quantity(
        name="greedy_share_positive",
        definition="share of the pull on positives nearer than all of the anchor's negatives",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
        label="greedy share of positives",
    ),
    Quantity(
        name="greedy_share_negative",
        definition="share of the push on negatives farther than all of the anchor's positives",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
        label="greedy share of negatives",
    ),
    Quantity(
        name="hard_share",
        definition="share of the force on the farthest tenth of positives and nearest tenth of negatives",
        unit="share",
        better="neither",
        scale="difference",
        group="greediness",
    ),
    Quantity(
        name="gradient_norm",
        definition="norm of the gradient of the loss by the network's parameters",
        unit="gradient norm",
        better="neither",
        scale="log_ratio",
        group="greediness",
        limits="form",
        column=190,
    ),
    Quantity(
        name="embedding_gradient_norm",
        definition="norm of the gradient of the loss by the embeddings",
        unit="gradient norm",
        better="neither",
        scale="log_ratio",
        group="greediness",
        limits="form",
    ),
    Quantity(
        name="gradient_norm_per_active",
        definition="parameter gradient norm per active term",
        unit="gradient norm",
        better="neither",
        scale="log_ratio",
        group="greediness",
        limits="form",
    ),
    Quantity(
        name="embedding_gradient_norm_per_active",
        definition="embedding gradient norm per active term",
        unit="gradient norm",
        better="neither",
        scale="log_ratio",
        group="greediness",
        limits="form",
    ),
    Quantity(
        name="relative_gradient_norm",
        definition="parameter gradient norm relative to the first epoch's mean",
        unit="ratio",
        better="neither",
        scale="log_ratio",
        group="greediness",
    ),
    Quantity(
        name="update_norm",
        definition="norm of one step's change of the parameters",
        unit="parameter change",
        better="neither",
        scale="log_ratio",
        group="greediness",
    ),
)
"""What is recorded while a loss trains."""


class Quantities(MutableMapping[str, Quantity]):
    """All quantities by name in the order of their groups, last those that were added by hand."""

    def __init__(self) -> None:
        self._added: dict[str, Quantity] = {}
        self._measures: list[registry.Entry[MeasureFacts]] = []
        self._known: dict[str, Quantity] = {}

    def _table(self) -> dict[str, Quantity]:
        measures = list(registry.entries("measure").values())
        if measures != self._measures:
            groups = get_args(Group)
            measured = [quantity for entry in measures for quantity in entry.facts.quantities]
            every = sorted((*TRAINING, *measured), key=lambda found: (groups.index(found.group), found.order))
            self._known = {found.name: found for found in every}
            self._measures = measures
        return {**self._known, **self._added}

    def __getitem__(self, name: str) -> Quantity:
        return self._table()[name]

    def __setitem__(self, name: str, quantity: Quantity) -> None:
        self._added[name] = quantity

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())


QUANTITIES = Quantities()
"""The quantities by name. Whoever judges a table of their own adds what they declare."""

GOALS: dict[str, tuple[str, ...]] = {
    "retrieval": ("map_audio_to_visual", "recall_at_1", "recall_at_1_across"),
    "verification": ("eer",),
    "classification": ("knn_accuracy",),
    "detail": ("fine_recall_at_1",),
    "compactness": ("intra_inter_ratio",),
    "cross-modal": ("recall_at_1_across",),
}
"""The primary measure of each goal: the first that the data yield."""


def check_indifference(delta: float | None, measure: str, called: str) -> None:
    """Refuse an indifference that no two values of the measure that decides could exceed by much.

    ``called``: what the sentence calls the measure.

    >>> check_indifference(0.02, "recall_at_1", "Recall@1")
    >>> check_indifference(3.0, "recall_at_1", "Recall@1")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: the indifference is 3; wanted: below 0.5, since Recall@1 ...
    """
    found = quantity(unsplit(measure)[0])
    low, high = found.range
    if delta is None or found.scale != "difference" or not math.isfinite(high - low):
        return
    require(
        delta < (high - low) / 2,
        f"the indifference is {delta:g}; wanted: below {(high - low) / 2:g}, since {called} lies "
        f"between {low:g} and {high:g}",
    )


SPLITS = ("train", "validation", "test")
PART_OF_TRAINING = re.compile(r"[0-9.]+-[0-9.]+")
"""Such as the first tenth, 0-0.1."""


def unsplit(name: str) -> tuple[str, str]:
    """A measure's name without its split, and the split where it names one.

    Only the words of ``SPLITS`` and the parts of training are splits: the ``@`` of any other name belongs to
    it.

    >>> unsplit("intra_variance@test"), unsplit("update_norm@0-0.1"), unsplit("Recall@1")
    (('intra_variance', 'test'), ('update_norm', '0-0.1'), ('Recall@1', ''))
    """
    base, _, split = name.rpartition("@")
    known = split in SPLITS or PART_OF_TRAINING.fullmatch(split)
    return (base, split) if base and known and name not in QUANTITIES else (name, "")


def quantity(name: str) -> Quantity:
    """The declaration of a measure, or an error that lists the nearest names."""
    if name not in QUANTITIES:
        raise unknown("measure", name, QUANTITIES)
    return QUANTITIES[name]
