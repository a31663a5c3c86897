"""Small planted embeddings, gradients and curves, each with the value of every measure on it.

A *scene* is two or three panels that differ in what some measures react to. All values are computed by the
package's own measures when the site is built; nothing is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch

import losscope
from losscope.core.queries import Roles
from losscope.measures import evaluate, greediness

from .drawing import Panel

Values = Mapping[str, float | None]
EACH = 12
"""Points of a class."""
MANY = 190
"""The same where pairs of different classes have to be 100,000; every fifth is drawn."""
LOW = partial(Panel, width=150, height=100)
"""A panel of bars or of curves."""


@dataclass(frozen=True)
class Shot:
    """One panel of a scene and the values of the measures on what it shows."""

    panel: Panel
    values: Values

    def of(self, name: str) -> Panel:
        """The panel with the value of one measure below it."""
        return replace(self.panel, below=said(self.values.get(name)))


def said(value: float | None) -> str:
    """A value as the figures have it."""
    if value is None or not np.isfinite(value):
        return "none"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def around(
    centres: Sequence[float], spreads: Sequence[float] | float, each: int = EACH, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Classes on the unit circle about some angles in degrees, evenly spread and a little shuffled."""
    wide = np.broadcast_to(np.asarray(spreads, float), (len(centres),))
    draw = np.random.default_rng(seed)
    steps = np.linspace(-1.6, 1.6, each)
    angles = np.concatenate(
        [c + w * (steps + draw.normal(0, 0.15, each)) for c, w in zip(centres, wide, strict=True)]
    )
    return np.deg2rad(angles), np.repeat(np.arange(len(centres)), each)


def points(angles: np.ndarray) -> torch.Tensor:
    """Unit vectors at these angles."""
    return torch.tensor(np.stack([np.cos(angles), np.sin(angles)], 1), dtype=torch.float64)


def circle(title: str, angles: np.ndarray, labels: np.ndarray, hollow: np.ndarray | None = None) -> Panel:
    """The unit circle with points, each class a little nearer to the centre so that none hides another."""
    panel = Panel(title, x=(-1.2, 1.2), y=(-1.2, 1.2), width=150, height=150)
    panel.circle()
    rows = points(angles).numpy()
    for label in np.unique(labels):
        reach = 1 - 0.09 * (int(label) % 3)
        for side in (False, True):
            chosen = (labels == label) & ((hollow == side) if hollow is not None else not side)
            panel.points(map(tuple, reach * rows[chosen]), 1 + int(label) % 3, 3.0, hollow=side)
    return panel


def measured(title: str, angles: np.ndarray, labels: np.ndarray, **more: object) -> Shot:
    """A circle with all measures of its points."""
    values, _ = evaluate(points(angles), torch.as_tensor(labels), **more)  # type: ignore[arg-type]
    some = slice(None, None, 5 if len(angles) > 100 else 1)
    return Shot(
        circle(title, angles[some], labels[some]), {name: float(value) for name, value in values.items()}
    )


@cache
def spread() -> tuple[Shot, ...]:
    return (
        measured("tight classes", *around((90, 210, 330), 6)),
        measured("wide classes", *around((90, 210, 330), 24)),
        measured("one wide class", *around((90, 210, 330), (35, 6, 6))),
    )


@cache
def apart() -> tuple[Shot, ...]:
    return (
        measured("near means", *around((60, 90, 120), 6)),
        measured("means far apart", *around((90, 210, 330), 6)),
        measured("two near, one far", *around((75, 105, 270), 6)),
    )


@cache
def scales() -> tuple[Shot, ...]:
    return (
        measured("near and tight", *around((70, 90, 110), 3)),
        measured("far and wide", *around((30, 90, 150), 9.6)),
        measured("near and wide", *around((70, 90, 110), 9.6)),
    )


@cache
def filled() -> tuple[Shot, ...]:
    return (
        measured("in one cone", *around((80, 90, 100), 4)),
        measured("on half the circle", *around((30, 90, 150), 15)),
        measured("all around", *around((90, 210, 330), 36)),
    )


@cache
def partners() -> tuple[Shot, ...]:
    shots = []
    for title, gap in (("partners near", 6.0), ("partners far", 45.0)):
        first = np.linspace(0, 315, 8)
        angles = np.deg2rad(np.concatenate([first, first + gap]))
        labels = np.zeros(16, int)
        pairs = torch.arange(8), torch.arange(8, 16)
        values, _ = evaluate(points(angles), torch.arange(16) % 8, positive_pairs=pairs)
        panel = circle(title, angles, labels)
        rows = points(angles).tolist()
        for i, j in zip(*map(torch.Tensor.tolist, pairs), strict=True):
            panel.line([tuple(rows[i]), tuple(rows[j])], 1)
        shots.append(Shot(panel, {name: float(value) for name, value in values.items()}))
    return tuple(shots)


@cache
def hubs() -> tuple[Shot, ...]:
    draw = np.random.default_rng(3)
    even = np.linspace(0, 2 * np.pi, 36, endpoint=False) + draw.normal(0, 0.07, 36)
    crowd = np.deg2rad(np.concatenate([draw.normal(90, 3, 9), np.linspace(105, 435, 27)]))
    labels = np.arange(36) % 3
    return measured("evenly spaced", even, labels), measured("a few in the way of many", crowd, labels)


@cache
def found() -> tuple[Shot, ...]:
    """What retrieval, classification and verification tell apart; hollow points ask, or are the reference."""
    apart_ = around((90, 210, 330), 14)
    split = around((0, 60, 120, 180, 240, 300), 6, EACH // 2)
    split = split[0], split[1] % 3
    mixed = around((80, 90, 100), 24)
    ring = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    strewn = ring, np.where(np.arange(96) % 12 == 6, 2, (ring > np.pi).astype(int))
    shots = []
    for title, (angles, labels) in (
        ("classes apart", apart_),
        ("classes in two places", split),
        ("classes mixed", mixed),
        ("a class strewn about", strewn),
    ):
        asks = np.arange(len(labels)) % 2 == 0
        rows, classes = points(angles), torch.as_tensor(labels)
        values: dict[str, float] = {}
        for made, _ in (
            evaluate(rows, classes),
            evaluate(rows, classes, names=["nmi"]),
            evaluate(rows, classes, names=["search"], roles=Roles(asks, ~asks, None, "keep")),
            evaluate(
                rows[asks],
                classes[asks],
                names=["knn_accuracy", "linear_accuracy"],
                reference=(rows[~asks], classes[~asks]),
            ),
        ):
            values.update({name: float(value) for name, value in made.items() if name not in values})
        shots.append(Shot(circle(title, angles, labels, hollow=asks), values))
    return tuple(shots)


@cache
def thresholds() -> tuple[Shot, ...]:
    return (
        measured("one threshold fits all", *around((90, 210, 330), 9, MANY)),
        measured("a wide class, two near ones", *around((90, 230, 262), (30, 5, 5), MANY)),
        measured("classes mixed", *around((80, 90, 100), 24, MANY)),
    )


@cache
def fine() -> tuple[Shot, ...]:
    shots = []
    for title, gap in (("fine classes kept apart", 36.0), ("fine classes given up", 3.0)):
        centres = [c + side * gap / 2 for c in (90, 210, 330) for side in (-1, 1)]
        angles, fine_labels = around(centres, 5, EACH // 2)
        labels = fine_labels // 2
        values, _ = evaluate(
            points(angles), torch.as_tensor(labels), fine_labels=torch.as_tensor(fine_labels)
        )
        panel = circle(title, angles, labels, hollow=fine_labels % 2 == 1)
        shots.append(Shot(panel, {name: float(value) for name, value in values.items()}))
    return tuple(shots)


@cache
def modalities() -> tuple[Shot, ...]:
    first, labels = around((90, 210, 330), 12, 8)
    second, _ = around((90, 210, 330), 12, 8, seed=1)
    tight = around((60, 90, 120), 5, 8)
    cases = (
        ("modalities together", first, second),
        ("a gap between them", tight[0], tight[0] + np.pi * 0.75),
        ("partners mixed up", first, np.roll(second, 5)),
    )
    shots = []
    for title, one, two in cases:
        angles, both = np.concatenate([one, two]), np.concatenate([labels, labels])
        sides = np.repeat([0, 1], len(labels))
        values = losscope.cross_modal(points(angles), both, sides)
        shots.append(Shot(circle(title, angles, both, hollow=sides == 1), values))
    return tuple(shots)


@cache
def terms() -> tuple[Shot, ...]:
    """The share of active terms of the triplet loss, by where the points are."""
    loss = losscope.loss("triplet(margin=0.2)")
    shots = []
    for title, made in (
        ("classes apart", around((90, 210, 330), 10)),
        ("classes mixed", around((70, 90, 110), 20)),
    ):
        found_ = loss.terms(points(made[0]), losscope.Relation.from_labels(torch.as_tensor(made[1])))
        share = float(found_.active.sum() / found_.valid.sum())
        shots.append(Shot(circle(title, *made), {"active_ratio": share}))
    return tuple(shots)


@cache
def effort() -> tuple[Shot, ...]:
    """How the gradient of a step falls on its rows."""
    cases = {
        "all rows alike": np.ones(10),
        "half of the rows": np.r_[np.ones(5), np.zeros(5)],
        "one row has nearly all": np.r_[1.0, np.full(9, 0.03)],
    }
    shots = []
    for title, norms in cases.items():
        panel = LOW(
            title,
            x=(0.3, 10.7),
            y=(0, 1.1),
            ticks=((1, 10), ()),
            xlabel="row of the batch",
        )
        for place, norm in enumerate(norms, 1):
            panel.bar(place, 0, norm, 1)
        found_ = greediness.step_summary(torch.as_tensor(norms))
        shots.append(Shot(panel, {name: float(value) for name, value in found_.items()}))
    return tuple(shots)


@cache
def force() -> tuple[Shot, ...]:
    """Where the force of one anchor goes: its positives, its negatives, by their distances."""
    near, far = [0.3, 0.5, 0.7, 1.1], [0.6, 0.9, 1.2, 1.5]
    cases = {
        "on pairs out of order": ([0.0, 0.0, 0.8, 1.0], [1.0, 0.8, 0.0, 0.0]),
        "on all pairs alike": ([0.6] * 4, [0.6] * 4),
        "on pairs in order": ([1.0, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 1.0]),
    }
    shots = []
    for title, (pull, push) in cases.items():
        panel = LOW(
            title,
            x=(0, 1.7),
            y=(0, 1.1),
            ticks=((0, 0.5, 1, 1.5), ()),
            xlabel="distance to the anchor",
            width=165,
        )
        weights, distances = torch.zeros(9, 9), torch.zeros(9, 9)
        kinds = torch.zeros(2, 9, 9, dtype=torch.bool)
        for side, (places, forces) in enumerate(((near, pull), (far, push))):
            for place, (d, w) in enumerate(zip(places, forces, strict=True)):
                column = 1 + 4 * side + place
                weights[0, column], distances[0, column], kinds[side, 0, column] = w, d, True
                panel.bar(d, 0, max(w, 0.015), 1 + side, 0.06)
        found_ = greediness.shares(weights, distances, *kinds)
        shots.append(Shot(panel, {name: float(value) for name, value in found_.items()}))
    return tuple(shots)


DECAY: dict[str, Callable[[Sequence[float]], int | None]] = {
    "epochs_to_90": greediness.epochs_to_90,
    "epochs_to_90_excess": greediness.epochs_to_90_excess,
    "half_life": greediness.half_life,
}


@cache
def decays() -> tuple[Shot, ...]:
    """Curves of the mean loss of each epoch."""
    epochs = np.arange(1, 31)
    cases = {
        "falls fast": np.exp(-epochs / 4),
        "falls slowly": np.exp(-epochs / 11),
        "falls fast to a floor": 0.35 + 0.65 * np.exp(-epochs / 4),
    }
    shots = []
    for title, curve in cases.items():
        curve = curve / curve[0]
        panel = LOW(
            title,
            x=(1, 30),
            y=(0, 1.05),
            ticks=((1, 10, 20, 30), (0, 0.5, 1)),
            xlabel="epoch",
        )
        panel.line(list(zip(epochs.tolist(), curve.tolist(), strict=True)), 1)
        panel.line([(1, 0.1), (30, 0.1)], 0, "2 3", 1)
        values: dict[str, float | None] = {name: decayed(curve.tolist()) for name, decayed in DECAY.items()}
        shots.append(Shot(panel, values | {"loss": float(curve[-1])}))
    return tuple(shots)


@cache
def gains() -> tuple[Shot, ...]:
    """Curves of validation MAP@R from epoch 0 on."""
    epochs = np.arange(31)
    cases = {
        "quick": 0.4 + 0.3 * (1 - np.exp(-epochs / 3)),
        "slow": 0.4 + 0.3 * (1 - np.exp(-epochs / 11)),
        "hardly any gain": 0.7 + 0.005 * (1 - np.exp(-epochs / 3)),
    }
    shots = []
    for title, curve in cases.items():
        panel = LOW(
            title,
            x=(0, 30),
            y=(0.35, 0.75),
            ticks=((0, 10, 20, 30), (0.4, 0.7)),
            xlabel="epoch",
        )
        panel.line(list(zip(epochs.tolist(), curve.tolist(), strict=True)), 1)
        shots.append(Shot(panel, {"epochs_to_90_quality": greediness.epochs_to_90_quality(curve.tolist())}))
    return tuple(shots)


STEPS = 40


@cache
def trainings() -> tuple[Shot, ...]:
    """Forty steps of Adam with one loss, and with ten times that loss: what a factor changes and what not."""
    return tuple(
        _training(title, factor) for title, factor in (("a loss", 1.0), ("ten times the loss", 10.0))
    )


def _training(title: str, factor: float) -> Shot:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % 4
    inputs = torch.randn(4, 12, generator=draw)[labels] + torch.randn(48, 12, generator=draw)
    weight = (torch.randn(12, 4, generator=draw) / 12**0.5).requires_grad_()
    adam = torch.optim.Adam([weight], lr=0.01)
    loss = losscope.loss("contrastive")
    relation = losscope.Relation.from_labels(labels)
    rows = []
    for _ in range(STEPS):
        embeddings = torch.nn.functional.normalize(inputs @ weight, dim=1)
        embeddings.retain_grad()
        (factor * loss(embeddings, labels)).backward()
        active = float(loss.terms(embeddings.detach(), relation).active.sum())
        before = weight.detach().clone()
        norm, own = float(weight.grad.norm()), float(embeddings.grad.norm())
        adam.step()
        adam.zero_grad()
        rows.append((norm, own, float((weight.detach() - before).norm()), active))
    norms, owns, moved, active = np.array(rows).T
    panel = LOW(title, x=(1, STEPS), y=(0, 1.05), ticks=((1, 20, 40), (0, 1)), xlabel="step")
    for colour, curve in ((1, norms / norms.max()), (2, moved / moved.max())):
        panel.line(list(zip(range(1, STEPS + 1), curve.tolist(), strict=True)), colour)
    epoch = norms.reshape(4, -1).mean(1)  # four epochs of ten steps
    return Shot(
        panel,
        {
            "gradient_norm": norms.mean(),
            "embedding_gradient_norm": owns.mean(),
            "gradient_norm_per_active": (norms / active).mean(),
            "embedding_gradient_norm_per_active": (owns / active).mean(),
            "relative_gradient_norm": (epoch / epoch[0]).mean(),
            "update_norm": moved.mean(),
        },
    )
