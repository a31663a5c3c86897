"""Rules on the loss's value, its gradient, and what the optimiser makes of it. Nothing here imports torch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from losscope.core import wording
from losscope.probe.findings import Finding, Rule, Values
from losscope.probe.thresholds import DIED, EXPLODED, IDLE, OVERFLOWS, PROGRESS, STEPS, UNMOVED, VANISHED, WAY


class NonFinite(Rule):
    """A loss, a gradient or an embedding that is NaN or infinite, and where it arose."""

    name = "not finite"

    def __init__(self) -> None:
        self.overflows = 0

    def see(self, step: int, values: Values) -> Finding | None:
        if values.get("embeddings_not_finite", 0) > 0:
            rows = int(values["embeddings_not_finite"])
            are = "is" if rows == 1 else "are"
            return self.say(
                step,
                f"{wording.count(rows, 'row')} of the embeddings {are} NaN or infinite before the loss sees "
                "them, so it arose in the network or its inputs",
                "look for NaN in the inputs and in the parameters, lower the learning rate, clip gradients",
            )
        loss = values.get("loss")
        if loss is not None and not math.isfinite(loss):
            return self.say(
                step,
                f"the loss is {_word(loss)} while all embeddings are finite, so it arose in the loss",
                "look for a root, a logarithm or a division of 0, and for overflow of exp in half precision",
            )
        rows = int(values.get("gradients_not_finite", 0))
        if not rows:
            self.overflows = 0
            return None
        self.overflows += 1
        if values.get("loss_factor", 1.0) > 1 and self.overflows < OVERFLOWS:
            return None
        return self.say(
            step,
            f"the gradient of {wording.count(rows, 'row')} is NaN or infinite while the loss is finite",
            "look for the root of a distance of 0, as two equal rows have it; add a little under the root",
        )


class Idle(Rule):
    """No gradient for many steps: from the start, at a loss above 0, or because all is learned."""

    name = "no active term"
    silences = ("stuck at the margin",)

    def __init__(self) -> None:
        self.still = 0
        self.moved = False

    def see(self, step: int, values: Values) -> Finding | None:
        norm = values.get("embedding_gradient_norm")
        if norm is None:
            return None
        self.still = 0 if norm else self.still + 1
        self.moved = self.moved or bool(norm)
        if self.still < IDLE:
            return None
        loss = values.get("loss", 0.0)
        if loss > 0:
            return self.say(
                step,
                f"the loss is {wording.number(loss)} and had no gradient at all in the last {IDLE} steps",
                "the embeddings may be equal or cut off from the loss: look for detach, rounding or a clamp",
            )
        if not self.moved:
            return self.say(
                step,
                f"no term has been active in any of the first {IDLE} steps: nothing is trained",
                "every negative lies beyond the margin: raise it, check its unit, or mine harder tuples",
            )
        return self.say(
            step,
            f"no term has been active for the last {IDLE} steps: these batches teach nothing more",
            "stop here if validation is good; otherwise raise the margin or take harder tuples",
            "note",
        )


class Exploding(Rule):
    """A gradient that has grown a hundredfold since the first steps."""

    name = "exploding gradient"
    silences = ("learning rate too high", "collapse to a line")

    def __init__(self) -> None:
        self.first: dict[str, list[float]] = {}
        self.last: dict[str, deque[float]] = {}

    def see(self, step: int, values: Values) -> Finding | None:
        for name, whose in (("parameter_gradient_norm", "parameters"), ("embedding_gradient_norm", "rows")):
            norm = values.get(name)
            if norm is None or not math.isfinite(norm):
                continue
            first = self.first.setdefault(name, [])
            if len(first) < STEPS:
                # Steps without any gradient, and a frozen warm-up, are no measure of what is usual.
                first += [norm] if norm > 0 else []
                continue
            last = self.last.setdefault(name, deque(maxlen=STEPS))
            last.append(norm)
            # The middle one: a few steps with a large gradient are what clipping is for.
            usual, now = _middle(first), _middle(last)
            if len(last) < STEPS or not now > EXPLODED * usual:
                continue
            return self.say(
                step,
                f"the gradient of the {whose} is {wording.number(now)} in the last {STEPS} steps, "
                f"{wording.number(now / usual)} times what it was in the first {STEPS}",
                "clip gradients, lower the learning rate or the weight decay, and normalise the embeddings: "
                "the gradient of a normalised row grows as the row gets shorter",
            )
        return None


class Vanishing(Rule):
    """A gradient next to nothing while the loss has not come down."""

    name = "vanishing gradient"

    def __init__(self) -> None:
        self.first: list[float] = []
        self.last: deque[float] = deque(maxlen=STEPS)
        self.reach: deque[float] = deque(maxlen=STEPS)
        self.through: deque[float] = deque(maxlen=STEPS)

    def see(self, step: int, values: Values) -> Finding | None:
        loss, norm = values.get("loss"), values.get("embedding_gradient_norm")
        length = values.get("embedding_norm")
        if loss is None or norm is None or length is None or not loss > 0 or not norm > 0:
            return None
        if len(self.first) < STEPS:
            self.first.append(loss)
        # ‖g‖·√B·mean ‖z‖ bounds what moving each row by its length changes, to first order.
        self.reach.append(norm * length * math.sqrt(values.get("rows", 1.0)) / loss)
        self.last.append(loss)
        below = values.get("parameter_gradient_norm")
        if below is not None:
            self.through.append(below / norm / max(abs(values.get("loss_factor", 1.0)), 1e-30))
        if len(self.last) < STEPS or sum(self.last) < PROGRESS * sum(self.first):
            return None
        if _middle(self.reach) < VANISHED:
            return self.say(
                step,
                f"the loss is {wording.number(loss)} and its gradient is next to nothing in the last {STEPS} "
                f"steps: moving every row by its length would change it by less than {VANISHED:.0e} of it",
                "the loss is saturated: raise the temperature or lower the scale, so that logits of cosines "
                "are within ±100",
            )
        if len(self.through) == STEPS and _middle(self.through) < DIED:
            return self.say(
                step,
                f"the gradient of the parameters is less than {DIED:.0e} of that of the embeddings in the "
                f"last {STEPS} steps, so it dies in the network",
                "look for saturated tanh or sigmoid, dead ReLUs and detached layers; normalise between the "
                "layers",
            )
        return None


class Jumps(Rule):
    """An optimiser that carries the weights far from where they were."""

    name = "learning rate too high"
    silences = ("exploding gradient",)

    def __init__(self) -> None:
        self.last: deque[tuple[float, float]] = deque(maxlen=STEPS)
        self.grown = STEPS

    def see(self, step: int, values: Values) -> Finding | None:
        update, weight = values.get("update_norm"), values.get("weight_norm")
        if update is None or weight is None:
            return None
        # Weights that begin at 0 have no length to measure by before they have grown.
        self.grown = 0 if weight == 0 else self.grown + 1
        if self.grown < STEPS:
            self.last.clear()
            return None
        self.last.append((update, weight))
        way = sum(update for update, _ in self.last) / self.last[0][1]
        if len(self.last) < STEPS or not way > WAY:
            return None
        return self.say(
            step,
            f"in {STEPS} steps the optimiser moved the weights by {wording.number(way)} times the length "
            "that they had before",
            "divide the learning rate by 10",
        )


class Unmoved(Rule):
    """A gradient that no optimiser turns into a step of the model's weights."""

    name = "weights that never move"
    silences = ("stuck at the margin", "vanishing gradient")

    def __init__(self) -> None:
        self.still = 0

    def see(self, step: int, values: Values) -> Finding | None:
        if not values.get("embedding_gradient_norm"):
            return None
        self.still = 0 if values.get("update_norm") else self.still + 1
        if self.still < UNMOVED:
            return None
        return self.say(
            step,
            f"the embeddings had a gradient in the last {UNMOVED} steps, and the weights of the model moved "
            "in none of them",
            "look for an optimiser that is never stepped, that holds the parameters of another model, or "
            "that has a learning rate of 0",
        )


def _middle(values: Iterable[float]) -> float:
    own = sorted(values)
    return own[len(own) // 2]


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"
