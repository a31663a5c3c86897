"""What a multiverse will cost: a few of its populations are tried, and all are in proportion.

There are hundreds of kinds of run, of which to pilot each would take minutes. A rough weight of each
population follows from its runs alone; the weights are brought to this machine's seconds by pilots of some
of them, spread evenly from the lightest to the heaviest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from losscope.run import cost as costing
from losscope.run import launch
from losscope.run.store import Store
from losscope.varying.planning import Population

PILOTS = 8
"""Populations that are tried."""
ONCE, LOOK = 110.0, 1.9
"""Weight of drawing and measuring a run, and of a look at its curves."""
STEP = {"random": 0.6, "all": 1.2, "hard": 2.0}
"""Weight of a step, whoever takes it, by how its tuples are chosen."""
ROW, WEIGHT = 0.0025, 4e-6
"""What each member adds to a step: for a row of its batch, and for a number of its network."""


@dataclass(frozen=True)
class Price:
    """Seconds of one core by population, and the runs that are stored whole."""

    seconds: dict[str, float]
    whole: frozenset[str]

    def of(self, group: launch.Group) -> float:
        """Seconds of one core that a population takes."""
        return self.seconds.get(group.name, 0.0)


def price(
    populations: Sequence[Population],
    store: Store,
    *,
    keep: bool,
    say: Callable[[str], None] | None = None,
) -> Price:
    """What is left to train of some populations, by pilots of at most ``PILOTS`` of them."""
    whole = costing.whole(store, {run_id for own in populations for run_id in own.group.ids})
    left = [own for own in populations if not whole.issuperset(own.group.ids)]
    weights = {own.group.name: weight(own) for own in left}
    by_weight = sorted(left, key=lambda own: weights[own.group.name])
    count = min(PILOTS, len(left))
    tried = [by_weight[(2 * place + 1) * len(left) // (2 * count)] for place in range(count)]
    pairs = [(own.group, own.plan.source) for own in tried]
    speeds = costing.speeds(pairs, store, whole, say, keep=keep)
    found = sum(costing.seconds((own.group for own in tried), speeds, whole).values())
    ratio = found / sum(weights[own.group.name] for own in tried) if tried else 0.0
    return Price({name: ratio * own for name, own in weights.items()}, whole)


def weight(own: Population) -> float:
    """About the milliseconds of one core that a population takes, on no machine in particular."""
    run, members = own.group.runs[0], len(own.group.runs)
    shape, rows = run.protocol, own.plan.source.sizes()[0]
    widths = [*own.plan.source.facts.shape, *shape.hidden, shape.embedding_size]
    network = sum(wide * narrow for wide, narrow in zip(widths[:-1], widths[1:], strict=True))
    each = ROW * shape.batch_size + WEIGHT * network
    step = STEP.get(run.tuples, max(STEP.values())) + members * each
    steps = -(-rows // shape.batch_size)
    return members * (ONCE + shape.epochs * LOOK) + shape.epochs * steps * step
