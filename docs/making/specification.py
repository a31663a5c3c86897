"""A small specification curve, as the page of a multiverse draws it, with its parts named."""

from __future__ import annotations

import numpy as np

from losscope.core.results import MultiverseClaim
from losscope.core.wording import multiverses as wording
from losscope.reporting.specification import ordered
from losscope.stats.multiverses import Universe, analyse

from .drawing import Panel, figure, text

WIDE, TALL = 430.0, 250.0
EFFECT = (0.42, 1.0)
"""Between which shares of the height the curve lies; the strips are below."""


def planted() -> MultiverseClaim:
    """60 settings in which triplet retrieves better only where its margin is above 0.4."""
    rng = np.random.default_rng(3)
    cells = np.arange(60) // 3
    margin = rng.uniform(0.05, 1.2, 60)
    batch = rng.choice([32, 64, 128], 20)[cells]
    effects = 0.04 * np.tanh(6 * (margin - 0.4)) + 0.004 * rng.normal(size=60)
    made = Universe(
        claim="retrieval",
        statement="triplet retrieves better than contrastive",
        data="planted",
        pair=("triplet", "contrastive"),
        delta=0.01,
        direction=1,
        settings=tuple(f"s{place}" for place in range(60)),
        cells=cells,
        choices={"triplet.margin": margin, "batch_size": batch},
        effects=effects[:, None] + rng.normal(0, 0.006, (60, 3)),
        competent=np.ones(60, bool),
        null=None,
        paper=8,
        measure="recall_at_1",
    )
    return analyse([made])[0]


def drawn() -> str:
    """The curve and its strips as a figure."""
    found = planted()
    order = ordered(found)
    settings = [found.settings[place] for place in order]
    reach = max(abs(end) for setting in settings for end in (setting.low or 0.0, setting.high or 0.0)) * 1.05
    panel = Panel(x=(0.0, len(order) + 1.0), width=WIDE, height=TALL)

    def up(value: float) -> float:
        low, high = EFFECT
        return low + (high - low) * (value + reach) / (2 * reach)

    ends = (0.5, len(order) + 0.5)
    for value, dash in ((0.0, ""), (found.delta, "2 3"), (-found.delta, "2 3")):
        panel.line([(end, up(value)) for end in ends], 0, dash, 0.8)
    for place, setting in enumerate(settings, 1):
        panel.line([(place, up(setting.low or 0.0)), (place, up(setting.high or 0.0))], 0, "", 0.8)
    for colour, outcome in ((1, "holds"), (2, "reversed"), (3, "neither")):
        own = [(place, up(s.effect or 0.0)) for place, s in enumerate(settings, 1) if s.outcome == outcome]
        panel.points(own, colour, 2.4)
    own_place = order.index(found.paper.place if found.paper else 0) + 1
    panel.line([(own_place, 0.0), (own_place, 1.0)], 0, "4 3", 1.0)
    _strips(panel, found, order)
    for at, said in (
        (0.97, "effect"),
        (0.27, "triplet's margin"),
    ):
        panel.parts.append(text(-8, (1 - at) * TALL, said, "small", "end"))
    panel.parts.append(text(panel.at(own_place, 0)[0], -6, "the paper's own", "small"))
    shares = wording.of_settings(found.everywhere)
    return figure(
        [panel],
        f"Effects of settings in order, with the margin and the batch size of each below. It {shares}.",
        f"Planted settings by their effect: the claim {shares}. Between the dotted lines differences are "
        "too small to matter; bars reach from the smallest to the largest seed. Below, what was chosen in "
        "each setting: the margin rises along the curve, the batch sizes are mixed everywhere.",
        legend=("holds", "reversed", "neither"),
        room=100.0,
    )


def _strips(panel: Panel, found: MultiverseClaim, order: list[int]) -> None:
    """The margin as points, each batch size as a row."""
    margin, batch = found.choices
    numbers, sizes = margin.numbers or (), batch.numbers or ()
    panel.points([(at, 0.22 + 0.12 * numbers[place]) for at, place in enumerate(order, 1)], 1, 1.6)
    for row, size in enumerate(sorted(set(sizes))):
        own = [(at, 0.03 + 0.055 * row) for at, place in enumerate(order, 1) if sizes[place] == size]
        panel.points(own, 2, 1.6)
        panel.parts.append(text(-8, (1 - 0.015 - 0.055 * row) * TALL, f"batch size {size:g}", "small", "end"))
