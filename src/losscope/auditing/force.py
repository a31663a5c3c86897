"""The force profile of a loss: how it moves an anchor, by the distances of its positive and its negative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.auditing.lines import flaw, line
from losscope.auditing.subjects import Subject, at_angle, triple
from losscope.core.results import AuditLine, Force, ForceProfile
from losscope.reporting.pictures import Picture

GRID = 21
"""Distances of the force profile, on each axis."""
AGAINST = 0.5
"""A share of the pull, or of the push, that goes against the labels and makes the direction wrong.

Of sound losses of pytorch-metric-learning and sentence-transformers at most 0.31 does (IntraPairVariance;
`pytest -m slow -s tests/test_audit_verdict.py`).
"""


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
    # Some losses want two rows of every class.
    for negatives in (1,) if subject.vectors() else (1, 2):
        rows = [[_force(subject, near, far, negatives) for far in distances] for near in distances]
        pull, push = ([[force[side] for force in row] for row in rows] for side in (0, 1))
        every = torch.tensor([pull, push])
        if every.any():
            break
    profile = ForceProfile(distance=tuple(distances), pull=_finite(pull), push=_finite(push))
    if not torch.isfinite(every).all():
        said = "not finite at some distances"
        return flaw("unsafe", "force profile", said, "training breaks there"), profile
    if not every.any():
        said = "no force on an anchor with one positive and one or two negatives"
        return line("force profile", None, said, "nothing to draw"), profile
    wrong = _wrong_way(every, distances)
    if wrong is not None:
        return wrong, profile
    finding = f"pull {_shape(every[0], distances, 0)}; push {_shape(every[1], distances, 1)}"
    return line("force profile", True, finding, "which pairs a step is spent on"), profile


STEPS = 40
"""Distances of ``force_by_distance``."""
OTHER = 1.0
"""Distance of the other row: a mean over several would show a hinge as stairs."""


def force_by_distance(subject: Subject) -> Force | None:
    """The pull of a positive and the push of a negative by its distance, with the other at distance 1.

    A coarser profile than ``force_profile``, and quicker. None where there is no force, where
    it is not finite, and for several vectors per class.

    >>> from losscope.auditing.subjects import subject
    >>> found = force_by_distance(subject("contrastive(margin=1.0)"))
    >>> far = [push for distance, push in zip(found.distance, found.push) if distance > 1]
    >>> max(far) == 0 < found.push[0] and found.pull[0] < found.pull[5]
    True
    """
    if subject.parameters and subject.classes and not subject.one_vector_per_class:
        return None
    distances = tuple(2 * (step + 0.5) / STEPS for step in range(STEPS))
    for negatives in (1,) if subject.vectors() else (1, 2):  # some losses want two rows of every class
        asked = [*((near, OTHER) for near in distances), *((OTHER, far) for far in distances)]
        found = _forces(subject, asked, negatives)
        every = torch.stack([found[:STEPS, 0], found[STEPS:, 1]])
        if every.any():
            break
    if not torch.isfinite(every).all() or not every.any():
        return None
    return Force(distances, *(tuple(row) for row in every.tolist()))


def _wrong_way(every: Tensor, distances: Sequence[float]) -> AuditLine | None:
    """The line for forces against the labels: pushed positives, pulled negatives; None if there are none.

    Sound losses have some: one that wants negatives at a right angle pulls those beyond it back.
    """
    most = float(every.abs().max())
    said, worst = [], 0.0
    for force, words, axis in (
        (every[0], "pushes a positive away", 1),
        (every[1], "pulls a negative near", 0),
    ):
        against = (force < -1e-6 * most).any(axis)
        if not against.any():
            continue
        share = float(force.clamp_max(0).abs().sum() / force.abs().sum())
        worst = max(worst, share)
        places = [distance for distance, bad in zip(distances, against.tolist(), strict=True) if bad]
        said.append(f"{words} ({share:.0%} of that force, at distances {places[0]:.2f} to {places[-1]:.2f})")
    if not said:
        return None
    if worst > AGAINST:
        finding = f"wrong direction: {' and '.join(said)}"
        return flaw(
            "wrong",
            "force profile",
            finding,
            "it drives against the labels: a sign or a comparison is turned",
        )
    return flaw("caution", "force profile", " and ".join(said), "it drives against the labels there")


def _force(subject: Subject, near: float, far: float, negatives: int) -> tuple[float, float]:
    """The pull and the push on an anchor, whose second negative, if any, lies in a plane of its own."""
    pull, push = _told(subject, subject.gradient(*_case(subject, near, far, negatives))[1][0]).tolist()
    return pull, push


def _forces(subject: Subject, asked: Sequence[tuple[float, float]], negatives: int) -> Tensor:
    """(A, 2) the pull and the push at each pair of distances, of our own losses in one call.

    They take the cases as members of a population, of which none sees another.
    """
    if subject.facts is None:
        found = [_force(subject, near, far, negatives) for near, far in asked]
        return torch.tensor(found, dtype=torch.float64)
    cases = [_case(subject, near, far, negatives) for near, far in asked]
    z, labels = torch.stack([case[0] for case in cases]), torch.stack([case[1] for case in cases])
    own = {name: torch.stack([case[2][name] for case in cases]) for name in cases[0][2]}
    return _told(subject, subject.gradients(z, labels, own)[:, 0])


def _case(
    subject: Subject, near: float, far: float, negatives: int
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """An anchor with its positive and negatives at these distances, and the loss's own parameters."""
    if subject.vectors():
        return at_angle(subject, *(math.acos(max(-1.0, 1 - distance**2 / 2)) for distance in (near, far)))
    z, labels = triple(subject, near, far)
    if negatives == 2:
        second = z[2].clone()
        second[2], second[3] = 0, z[2, 2]
        z, labels = torch.cat([z, second[None]]), torch.tensor([0, 0, 1, 1])
    return z, labels, dict(subject.parameters)


def _told(subject: Subject, gradient: Tensor) -> Tensor:
    """(…, 2) the pull and the push in an anchor's gradient (…, D); a second negative is in the next plane."""
    push = gradient[..., 2] if subject.vectors() else gradient[..., 2:4].sum(-1)
    return torch.stack([-gradient[..., 1], push], -1).double()


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


def profile_figure(profile: ForceProfile, loss: str) -> Picture:
    """The force profile of a loss, as a maker of matplotlib's figure."""
    distance = profile.distance
    panels = (("pull of the positive", profile.pull), ("push of the negative", profile.push))

    def static() -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.8), layout="constrained")
        figure.suptitle(f"Force on an anchor: {loss}")
        for place, (title, force) in enumerate(panels, 1):
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

    return static
