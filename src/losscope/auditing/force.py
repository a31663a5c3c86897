"""The force profile of a loss: how it moves an anchor, by the distances of its positive and its negative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.auditing.lines import line
from losscope.auditing.measured import at_angle, triple
from losscope.auditing.subjects import Subject
from losscope.core.results import AuditLine, ForceProfile
from losscope.reporting.pictures import Figures

GRID = 21
"""Distances of the force profile, on each axis."""


def force_profile(subject: Subject) -> tuple[AuditLine, ForceProfile | None]:
    """The force on an anchor by its positive's and its negative's distance.

    The positive and the negative (class vectors where the loss has them) stand in planes of their own, so
    that −∂L/∂anchor has one part towards each: ``pull`` towards the positive, ``push`` away from the
    negative. The three rows are the whole batch, in which the positive is an anchor too: its terms add to the
    pull.
    """
    if subject.parameters and subject.classes and not subject.one_vector_per_class:
        said = "not drawn: several vectors per class, or none"
        return line("force profile", None, said, "drawn for one vector per class"), None
    distances = [2 * (step + 0.5) / GRID for step in range(GRID)]
    pull, push = [], []
    for near in distances:
        rows = [_force(subject, near, far) for far in distances]
        pull.append([row[0] for row in rows])
        push.append([row[1] for row in rows])
    profile = ForceProfile(distance=tuple(distances), pull=_finite(pull), push=_finite(push))
    every = torch.tensor([pull, push])
    if not torch.isfinite(every).all():
        return line("force profile", False, "not finite at some distances", "training breaks there"), profile
    most = float(every.abs().max())
    if most == 0:
        return line(
            "force profile", None, "no force on an anchor with one positive and one negative", ""
        ), profile
    wrong = [
        name for name, force in zip(("pull", "push"), every, strict=True) if float(force.min()) < -1e-6 * most
    ]
    if wrong:
        words = {"pull": "pushes a positive away", "push": "pulls a negative near"}
        finding = " and ".join(words[name] for name in wrong) + " at some distances"
        return line("force profile", False, finding, "it drives against the labels there"), profile
    finding = f"pull {_shape(every[0], distances, 0)}; push {_shape(every[1], distances, 1)}"
    return line("force profile", True, finding, "which pairs a step is spent on"), profile


def _force(subject: Subject, near: float, far: float) -> tuple[float, float]:
    if subject.vectors():
        angles = [math.acos(max(-1.0, 1 - distance**2 / 2)) for distance in (near, far)]
        z, labels, own = at_angle(subject, *angles)
        gradient = subject.gradient(z, labels, own)[1][0]
    else:
        z, labels = triple(subject, near, far)
        gradient = subject.gradient(z, labels)[1][0]
    return -float(gradient[1]), float(gradient[2])


def _finite(values: Sequence[Sequence[float]]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(value if math.isfinite(value) else None for value in row) for row in values)


def _shape(force: Tensor, distances: Sequence[float], axis: int) -> str:
    """How a force depends on its own distance, the mean over the other's."""
    curve = force.double().mean(1 - axis)
    most = float(curve.max())
    if most <= 0:
        return "none"
    active = [
        distance for distance, value in zip(distances, curve.tolist(), strict=True) if value > 1e-6 * most
    ]
    peak = distances[int(curve.argmax())]
    until = "at every distance" if active[-1] == distances[-1] else f"up to distance {active[-1]:.2f}"
    return f"{until}, strongest at {peak:.2f}"


def profile_figure(profile: ForceProfile, loss: str) -> Figures:
    """The force profile of a loss as two makers of a figure: plotly's and matplotlib's."""
    distance = profile.distance
    panels = (("pull", "pull of the positive", profile.pull), ("push", "push of the negative", profile.push))

    def interactive() -> Any:
        from plotly import graph_objects as go
        from plotly.subplots import make_subplots

        figure = make_subplots(
            1, 2, subplot_titles=[title for _, title, _ in panels], horizontal_spacing=0.14
        )
        for column, (name, _, force) in enumerate(panels, 1):
            figure.add_trace(
                go.Heatmap(
                    x=distance,
                    y=distance,
                    z=force,
                    colorscale="Viridis",
                    name=name,
                    colorbar={"x": 0.43 if column == 1 else 1.0, "title": {"text": "force"}},
                    hovertemplate="negative at %{x:.2f}<br>positive at %{y:.2f}<br>"
                    "force %{z:.3g}<extra></extra>",
                ),
                1,
                column,
            )
            figure.update_xaxes(title_text="distance of the negative", row=1, col=column)
            figure.update_yaxes(title_text="distance of the positive", row=1, col=column)
        return figure.update_layout(
            title={"text": f"Force on an anchor: {loss}"}, width=980, height=480, template="simple_white"
        )

    def static() -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.8), layout="constrained")
        figure.suptitle(f"Force on an anchor: {loss}")
        for place, (_, title, force) in enumerate(panels, 1):
            axes = figure.add_subplot(1, 2, place)
            values = [[float("nan") if value is None else value for value in row] for row in force]
            drawn = axes.pcolormesh(distance, distance, values, cmap="viridis", shading="nearest")
            figure.colorbar(drawn, ax=axes, label="force")
            axes.set(
                title=title,
                xlabel="distance of the negative",
                ylabel="distance of the positive",
                aspect="equal",
            )
        return figure

    return interactive, static
