"""Rules on how a batch lies, what is in it, and what the loss makes of it. Nothing here imports torch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal

from losscope.core import wording
from losscope.probe.findings import Finding, Misfit, Rule, Values
from losscope.probe.thresholds import (
    ALIKE,
    ALONE,
    AROUND_MARGIN,
    AT_MARGIN,
    EFFECT,
    FALLEN,
    LACKING,
    LENGTH,
    LINE,
    LINE_CLASSES,
    LOOKS,
    MERGED,
    SCALED,
    SPREAD,
    STEPS,
    STUCK,
)


class Collapse(Rule):
    """All rows near one point, where they were apart before."""

    name = "collapse"
    silences = ("collapse to a line", "stuck at the margin", "duplicate rows", "no active negative")

    def __init__(self) -> None:
        self.first: float | None = None
        self.near = 0

    def see(self, step: int, values: Values) -> Finding | None:
        spread = values.get("spread")
        if spread is None or not math.isfinite(spread):
            return None
        self.first = spread if self.first is None else self.first
        self.near = self.near + 1 if spread < SPREAD and spread < FALLEN * self.first else 0
        if self.near < LOOKS:
            return None
        equal = values.get("loss_of_equal_rows")
        at = "" if equal is None else f"; the loss of equal rows is {wording.number(equal)}"
        return self.say(
            step,
            "the embeddings of a batch have fallen onto one point: their spread is "
            f"{wording.number(spread)}, and was {wording.number(self.first)} at first{at}",
            "lower the learning rate, take semihard or all triplets in place of the hardest, "
            "and check that negatives are pushed apart",
        )


class Half(Rule):
    """Several classes in one point, while others are apart."""

    name = "half collapse"
    silences = ("collapse to a line", "duplicate rows")

    def __init__(self) -> None:
        self.seen = 0

    def see(self, step: int, values: Values) -> Finding | None:
        share = values.get("merged_pairs")
        if share is None:
            return None
        self.seen = self.seen + 1 if share >= MERGED and values.get("spread", 0.0) >= SPREAD else 0
        if self.seen < LOOKS:
            return None
        return self.say(
            step,
            f"{wording.percent(share)} of the pairs of different classes lie in one point, and other classes "
            "apart from it",
            "look for rows of zeros, as a ReLU at the end makes them, and for classes taken as one",
        )


class Line(Rule):
    """Rows of several classes that vary in one direction only."""

    name = "collapse to a line"

    def __init__(self) -> None:
        self.seen = 0

    def see(self, step: int, values: Values) -> Finding | None:
        directions = values.get("directions")
        if directions is None:
            return None
        flat = directions < LINE and values.get("classes", 0.0) >= LINE_CLASSES
        self.seen = self.seen + 1 if flat and values.get("spread", 0.0) >= SPREAD else 0
        if self.seen < LOOKS:
            return None
        return self.say(
            step,
            f"the embeddings of a batch of {values['classes']:.0f} classes lie on a line: they vary in "
            f"{wording.number(directions)} directions",
            "lower the learning rate, look for a layer that has died, and check that every class is pushed "
            "from every other",
        )


class Stuck(Rule):
    """A loss that stays where equal rows have it: at the margin, at the log of the number of rows."""

    name = "stuck at the margin"

    def __init__(self) -> None:
        self.first: float | None = None
        self.near: list[tuple[int, float, float]] = []

    def see(self, step: int, values: Values) -> Finding | None:
        equal, loss, spread = (values.get(name) for name in ("loss_of_equal_rows", "loss", "spread"))
        if equal is None or loss is None or spread is None:
            return None
        self.first = spread if self.first is None else self.first
        # What has fallen onto a point is a collapse, and named so.
        fallen = spread < SPREAD and spread < FALLEN * self.first
        if not equal > 0 or not abs(loss / equal - 1) <= AROUND_MARGIN or fallen:
            self.near = []
            return None
        self.near.append((step, loss / equal - 1, values.get("label_effect", 0.0)))
        long, looks = step - self.near[0][0], len(self.near)
        off = sum(kept for _, kept, _ in self.near) / looks
        # A loss that passes this value on its way down is lower with the labels than with others.
        learned = sum(kept for _, _, kept in self.near) / looks
        if looks < LOOKS or long < STUCK or abs(off) > AT_MARGIN or learned > AT_MARGIN:
            return None
        point = spread < SPREAD
        where = "all rows are nearly equal, and were so at the first look" if point else "the rows do differ"
        cure = (
            "look for a layer that has died or inputs that are all alike; normalise between the layers"
            if point
            else "raise the learning rate, take semihard or all tuples in place of the hardest, check that "
            "labels belong to their rows, and that margin or temperature is in the loss's unit"
        )
        return self.say(
            step,
            f"the loss is {wording.number(loss)}, and for {long} steps it has been where equal rows have it, "
            f"at {wording.number(equal)}; {where}",
            cure,
        )


class Pulled(Rule):
    """Positives are pulled, and no negative has been near enough to be pushed, from the start on."""

    name = "no active negative"
    silences = ("stuck at the margin",)

    def __init__(self) -> None:
        self.looks = 0
        self.pushed = False

    def see(self, step: int, values: Values) -> Finding | None:
        effect, norm = values.get("turning_effect"), values.get("embedding_gradient_norm")
        if effect is None or norm is None or self.pushed:
            return None
        if abs(effect) > EFFECT:
            self.pushed = True
            return None
        self.looks = self.looks + 1 if norm > 0 and values.get("spread", 0.0) >= SPREAD else 0
        if self.looks < LOOKS:
            return None
        return self.say(
            step,
            f"the loss pulls and pushes no class away from another: turning the classes against each other "
            f"changes it by nothing, in all of {LOOKS} looks from the start",
            "every negative lies beyond the margin: raise it, check its unit, and check that the loss "
            "has a term for negatives",
        )


class Blind(Rule):
    """A loss that has the same value whatever the labels are."""

    name = "blind to labels"
    silences = ("stuck at the margin", "no active negative")

    def __init__(self) -> None:
        self.looks = 0

    def see(self, step: int, values: Values) -> Finding | None:
        effect, norm = values.get("label_effect"), values.get("embedding_gradient_norm")
        if effect is None or norm is None:
            return None
        # Where all rows are equal or nothing is active, no loss could tell.
        can_tell = norm > 0 and values.get("spread", 0.0) >= SPREAD
        self.looks = self.looks + 1 if abs(effect) <= EFFECT and can_tell else 0
        if self.looks < LOOKS:
            return None
        return self.say(
            step,
            f"the loss has the same value when the labels are shuffled, in {LOOKS} looks: it cannot see them",
            "check that the labels reach the terms of the loss; if it is meant to do without them, "
            "do not give it any",
        )


class Lacking(Rule):
    """Batches in which no row has a positive, or none a negative."""

    silences = ("no active term", "stuck at the margin", "no active negative")

    def __init__(self, kind: Literal["positive", "negative"]) -> None:
        self.kind = kind
        self.name = f"no {kind}s"
        self.last: deque[bool] = deque(maxlen=STEPS)
        self.wanted = True

    def see(self, step: int, values: Values) -> Finding | None:
        share, across = values.get(f"rows_with_{self.kind}"), values.get("pair_effect")
        if across is not None:
            self.wanted = abs(across) > ALONE
        # A classifier's loss, which takes each row alone, does without.
        if share is None or not self.wanted:
            return None
        self.last.append(share == 0)
        if len(self.last) < STEPS or sum(self.last) < LACKING * STEPS:
            return None
        cure = (
            "draw several items of each class, for instance 8 classes with 4 items each"
            if self.kind == "positive"
            else "draw batches of several classes: shuffle the data, which may be sorted by class"
        )
        return self.say(
            step, f"{sum(self.last)} of the last {STEPS} batches had no {self.kind} for any row", cure
        )


class Lengths(Rule):
    """Rows that are not of length 1, for a loss that wants it.

    Args:
        said: whether it is known that it wants them; otherwise it does if its value depends on the lengths.
        of_cosines: why it would want them.
    """

    name = "not normalised"

    def __init__(self, said: bool, of_cosines: str = "") -> None:
        self.wanted = said
        self.why = "" if said else f": its {of_cosines} is a number for cosines, and it does not normalise"
        self.off = 0

    def see(self, step: int, values: Values) -> Finding | None:
        self.wanted = self.wanted or abs(values.get("length_effect", 0.0)) > SCALED
        length = values.get("embedding_norm")
        if length is None or not math.isfinite(length):
            return None
        self.off = self.off + 1 if abs(length - 1) > LENGTH else 0
        if self.off < STEPS or not self.wanted:
            return None
        return self.say(
            step,
            f"the loss wants rows of length 1, and their mean length is {wording.number(length)}{self.why}",
            "normalise the embeddings: torch.nn.functional.normalize(embeddings, dim=1)",
        )


class Units(Rule):
    """A margin, a temperature or a scale in another unit than the loss's."""

    name = "another unit"
    silences = (
        "stuck at the margin",
        "no active term",
        "no active negative",
        "vanishing gradient",
        "not normalised",
    )

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        self.misfits = misfits

    def see(self, step: int, values: Values) -> Finding | None:
        length, effect = values.get("embedding_norm"), values.get("length_effect")
        unit = length is not None and abs(length - 1) <= LENGTH
        compared_at_one = unit or (effect is not None and abs(effect) <= SCALED)
        for found in self.misfits:
            if compared_at_one or not found.unit_rows:
                return self.say(step, found.what, found.cure)
        return None


class Repeated(Rule):
    """Rows of a batch that are exactly another row of it."""

    name = "duplicate rows"

    def __init__(self) -> None:
        self.seen = 0

    def see(self, step: int, values: Values) -> Finding | None:
        share = values.get("duplicate_rows")
        if share is None:
            return None
        # In a collapse all rows are alike, and the cure is another one.
        self.seen = self.seen + 1 if share >= ALIKE and values.get("spread", 1.0) >= SPREAD else 0
        if self.seen < LOOKS:
            return None
        return self.say(
            step,
            f"{wording.percent(share)} of the rows of a batch repeat another row exactly",
            "draw a batch without replacement, and check that augmentation is random for each row",
        )
