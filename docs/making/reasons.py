"""The figures of the explanation, computed when the site is built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

import losscope
from losscope.auditing.force import force_profile
from losscope.auditing.subjects import subject

from . import atlas, foretelling, planted, specification
from .drawing import DASHES, Panel, figure


def seeds() -> str:
    """Two losses over ten seeds as two heaps, and their differences."""
    draw = np.random.default_rng(0)
    luck = draw.normal(0, 0.02, 10)
    first, second = (base + luck + draw.normal(0, 0.004, 10) for base in (0.70, 0.712))
    heaps = Panel(
        "the values", x=(0.5, 10.5), y=(0.64, 0.76), ticks=((1, 5, 10), (0.65, 0.7, 0.75)), xlabel="seed"
    )
    for seed in range(10):
        heaps.line([(seed + 1, first[seed]), (seed + 1, second[seed])], 0, "2 2", 0.8)
    heaps.points([(seed + 1, value) for seed, value in enumerate(first)], 1)
    heaps.points([(seed + 1, value) for seed, value in enumerate(second)], 2)
    apart = Panel(
        "the differences", x=(0.5, 10.5), y=(-0.03, 0.03), ticks=((1, 5, 10), (-0.02, 0, 0.02)), xlabel="seed"
    )
    apart.line([(0.5, 0), (10.5, 0)], 0, "", 0.8)
    apart.points([(seed + 1, value) for seed, value in enumerate(second - first)], 3)
    ahead = int((second > first).sum())
    return figure(
        [heaps, apart],
        f"Values of two losses over ten seeds, and their differences, of which {ahead} are above zero",
        f"The heaps overlap; seed by seed the second loss is ahead in {ahead} of 10. The numbers are "
        f"those of the block.",
        ["contrastive", "triplet", "triplet − contrastive"],
    )


def whitening() -> str:
    """Three classes that a direction drowns, before and after their common spread is divided out."""
    draw = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 30)
    points = np.array([[0, -0.5], [0, 0], [0, 0.5]])[labels] + draw.normal(size=(90, 2)) * [3.0, 0.11]
    means = np.stack([points[labels == label].mean(0) for label in range(3)])
    matrix = np.linalg.inv(np.linalg.cholesky(np.cov((points - means[labels]).T))).T
    panels = []
    for title, rows, reach in (("raw", points, 10.0), ("whitened", points @ matrix, 10.0)):
        panel = Panel(title, x=(-reach, reach), y=(-reach * 0.75, reach * 0.75))
        for label in range(3):
            panel.points([tuple(row) for row in rows[labels == label]], 1 + label, 2.6)
        nearest = np.linalg.norm(rows[:, None] - rows[None], axis=-1) + np.diag(np.full(90, np.inf))
        panel.below = f"nearest of its class: {np.mean(labels[nearest.argmin(1)] == labels):.0%}"
        panels.append(panel)
    return figure(
        panels,
        "Three classes along one drowned direction, raw and whitened; "
        + "; ".join(panel.below for panel in panels),
        "The classes differ from bottom to top and are spread from left to right. Dividing by the "
        "spread within "
        "classes is all that whitening does.",
    )


def margins() -> str:
    """Where the push on a negative ends, of both losses at three margins."""
    panels = []
    for name in ("contrastive", "triplet"):
        panel = Panel(
            name,
            x=(0, 2),
            y=(-0.02, 1.05),
            ticks=((0, 0.5, 1, 1.5, 2), (0, 0.5, 1)),
            xlabel="distance of the negative",
        )
        for colour, margin in enumerate(MARGINS, 1):
            profile = force_profile(subject(f"{name}(margin={margin})"))[1]
            assert profile is not None
            push = [value or 0.0 for value in profile.push[POSITIVE]]
            most = max(push) or 1.0
            panel.line(
                zip(profile.distance, [value / most for value in push], strict=True),
                colour,
                DASHES[colour - 1],
            )
        panels.append(panel)
    return figure(
        panels,
        "The push on a negative by its distance, for contrastive and triplet loss at margins 0.2, 0.5 "
        "and 1.0",
        "The push on a negative, over its largest, of an anchor whose positive is 0.5 away. "
        "Contrastive's ends at the "
        "margin, triplet's at the positive's distance plus the margin.",
        [f"margin {margin}" for margin in MARGINS],
        DASHES,
    )


MARGINS = (0.2, 0.5, 1.0)
POSITIVE = 5
"""The place of a positive at 0.52 among the audit's distances."""


def reductions() -> str:
    """The gradient of triplet loss as classes part, under both means."""
    spreads = np.linspace(60, 14, 24)
    curves: dict[str, list[float]] = {"valid_mean": [], "active_mean": []}
    active = []
    for spread in spreads:
        angles, classes = planted.around((0, 60, 120, 180, 240, 300), spread, 8)
        labels = torch.as_tensor(classes)
        for reduction, curve in curves.items():
            z = planted.points(angles).requires_grad_()
            loss = losscope.loss("triplet", margin=0.2, reduction=reduction)
            (gradient,) = torch.autograd.grad(loss(z, labels), z)
            curve.append(float(gradient.norm()))
        terms = loss.terms(planted.points(angles), losscope.Relation.from_labels(labels))
        active.append(float(terms.active.sum() / terms.valid.sum()))
    most = max(map(max, curves.values()))
    panel = Panel(
        "",
        x=(max(active), 0),
        y=(0, 1.05),
        ticks=((0.1, 0.2, 0.3, 0.4, 0.5), (0, 0.5, 1)),
        xlabel="share of active triplets, falling",
        width=320,
    )
    for colour, (curve, dash) in enumerate(zip(curves.values(), DASHES, strict=False), 1):
        panel.line([(share, value / most) for share, value in zip(active, curve, strict=True)], colour, dash)
    return figure(
        [panel],
        "The norm of the gradient of triplet loss against the share of active triplets, under two means",
        "Six classes that part from left to right: the norm of the gradient over its largest.",
        list(curves),
        DASHES[:2],
    )


def greediness() -> str:
    """Where the force of an anchor goes in three cases, with the greedy share of each."""
    panels = [shot.of("greedy_share") for shot in planted.force()]
    for panel in panels:
        panel.below = f"greedy share {panel.below}"
    return figure(
        panels,
        "The force on the positives and the negatives of one anchor: "
        + "; ".join(f"{p.title}, {p.below}" for p in panels),
        "The force on positives (blue) and negatives (orange) of one anchor, by their distance.",
    )


FIGURES: dict[str, Callable[[], str]] = {
    "seeds": seeds,
    "whitening": whitening,
    "margins": margins,
    "reductions": reductions,
    "greediness": greediness,
    "specification": specification.drawn,
    "atlas": atlas.drawn,
}
"""What a line ``<!-- figure: NAME -->`` of a page stands for."""
TABLES: dict[str, Callable[[], str]] = {
    "atlas": atlas.tabled,
    "atlas_score": foretelling.scored,
    "atlas_folds": foretelling.folds,
    "atlas_asked": foretelling.answered,
}
"""What a line ``<!-- table: NAME -->`` of a page stands for, in Markdown."""
