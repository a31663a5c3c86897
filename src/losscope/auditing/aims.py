"""What a loss drives at: whether it moves anything, and whether a row is its own positive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from losscope.auditing.lines import flaw, line, number
from losscope.auditing.subjects import Subject, at_angle, cloud, triple
from losscope.core.results import AuditLine

FLAT = 0.01
"""A value that moves by a smaller share between collapse and perfect separation tells nothing apart.

The flattest sound loss, pytorch-metric-learning's GeneralizedLiftedStructureLoss at its defaults, moves by
0.28 (`pytest -m slow -s tests/test_audit_verdict.py`).
"""
SHARPNESS = ("temperature", "tau", "temp", "softmax_scale", "scale", "gamma", "sigma", "s")
"""Arguments that say how sharply distances are told apart."""
FAR = (0.05, 0.2, 0.5, 0.8, 1.2, 1.9)
"""Distances of a negative at which its push is compared with and without a positive."""


def nothing_learned(subject: Subject) -> tuple[str, str]:
    """What to say of a loss without a gradient on an ordinary batch: a constant, a cut graph, or solved."""
    measured = [subject.gradient(*cloud(subject, 6, 4, radius)) for radius in (0.1, 0.4, 1.2, 5.0)]
    values = [float(value) for value, _ in measured]
    if any(gradient.any() for _, gradient in measured):
        said = f"no gradient on an ordinary batch of 24 rows of 6 classes: value {number(values[2])}"
        return said, "no term is active there, and nothing is learned"
    if max(values) == min(values):
        said = f"does nothing: the value is {number(values[0])} and the gradient 0 on every batch"
        return said, "nothing is learned"
    said = f"the value moves ({number(min(values))} to {number(max(values))}) but its gradient is 0"
    return (
        f"does nothing: {said}",
        "the graph is cut inside (detach, item, argmax, a count), and nothing is learned",
    )


def value_range(subject: Subject) -> AuditLine:
    """Does the value move between collapsed and perfectly separated classes?"""
    values = [float(subject.value(*batch)) for batch in _extremes(subject)]
    finite = torch.tensor([value for value in values if abs(value) < float("inf")], dtype=torch.float64)
    if len(finite) < 2:
        return line("range", None, "not finite where classes are collapsed or apart", "see coincident points")
    size = float(finite.abs().max())
    moved = float(finite.max() - finite.min()) / size if size else 0.0
    if moved > FLAT:
        said = f"from {number(float(finite.min()))} to {number(float(finite.max()))}, collapsed to separated"
        return line("range", True, said, "it tells good embeddings from bad ones")
    names = [name for name in SHARPNESS if isinstance(subject.hyper.get(name), int | float)]
    cause = f"{names[0]} {subject.hyper[names[0]]:g}: " if names else ""
    said = f"{cause}next to nothing: the value moves by {moved:.2%} between collapsed and separated classes"
    return flaw("wrong", "range", said, "near and far count alike, so that it hardly tells good from bad")


def _extremes(subject: Subject) -> list[tuple[Tensor, Tensor, dict[str, Tensor] | None]]:
    """An ordinary batch, one that is nearly collapsed, one of nearly one point per class, on axes.

    Against class vectors also one row on its own vector and opposite to it, the others at a right angle.
    """
    z, labels = cloud(subject, 6, 4)
    tight = cloud(subject, 6, 4, 1e-3)[0]
    apart = torch.eye(subject.dimension, dtype=torch.float64)[labels % subject.dimension] + 1e-3 * z
    batches: list[tuple[Tensor, Tensor, dict[str, Tensor] | None]] = [
        (rows, labels, None) for rows in (z, tight, nn.functional.normalize(apart, dim=1))
    ]
    if subject.vectors():
        batches += [at_angle(subject, angle) for angle in (0.1, 1.5, 3.0)]
    return batches


def self_pairs(subject: Subject) -> AuditLine:
    """Is a row counted as its own positive?

    A loss that weighs negatives against positives has nothing to weigh for a row that is alone in its class.
    If it is pushed all the same, exactly where a positive at distance 0 would have it pushed, it is its own
    positive. Where the mean over positives counts such pairs, it grows with the rows of a class as (k−1)/k.
    """
    if subject.parameters and subject.classes:
        return line("self-pairs", None, "terms are of rows and class vectors", "no pairs of rows are made")
    value, turned = (float(each) for each in subject.turned())
    if abs(value - turned) > 1e-3 * abs(value):
        return line("self-pairs", None, "not judged: directions count, not distances only", "see rotation")
    if _diluted(subject):
        said = (
            "self-pairs counted among the positives: their mean grows with the rows k of a class as (k−1)/k"
        )
        return flaw("caution", "self-pairs", said, "pairs of a row with itself dilute the pull")
    alone = [_push(subject, None, far) > 0 for far in FAR]
    beside = [_push(subject, 1e-4, far) > 0 for far in FAR]
    alike = all(there or not here for here, there in zip(alone, beside, strict=True))
    if not (any(alone) and alike and _weighs(subject)):
        said = "a row that is alone in its class is not its own positive"
        return line("self-pairs", True, said, "only pairs of different rows are counted")
    said = "self-pairs counted as positives: a row alone in its class is taught as if it had a positive"
    if _hardest_only(subject) or not _felt_beside_a_positive(subject, alone):
        return flaw("caution", "self-pairs", said, "rows with a positive do not feel it: give every row one")
    meaning = "the nearest positive of every row is the row itself: mask the diagonal"
    return flaw("wrong", "self-pairs", said, meaning)


def _push(subject: Subject, near: float | None, far: float) -> float:
    """How an anchor is pushed from a negative, beside a positive at a distance or without one."""
    rows, labels = triple(subject, 1.0 if near is None else near, far)
    if near is None:
        rows, labels = rows[[0, 2]], torch.tensor([0, 1])
    return float(subject.gradient(rows, labels)[1][0, 2])


def _weighs(subject: Subject) -> bool:
    """Whether the push from a negative depends on how far the positive is, the two being as far as before."""
    pushes = torch.tensor(
        [[_leaning(subject, near, step / 10) for near in (0.3, 0.45)] for step in range(2, 19)]
    )
    return bool(((pushes[:, 0] - pushes[:, 1]).abs() > 1e-2 * pushes.abs().max()).any())


def _leaning(subject: Subject, near: float, far: float) -> float:
    """The push on an anchor, its positive leaning so that only the anchor's own distance to it tells."""
    rows, labels = triple(subject, near, far)
    cosine, (across, _, aside) = float(rows[1, 0]), rows[2, :3].tolist()
    # With this lean the cosine of positive and negative is 0.92 times that of anchor and negative.
    lean = across * (0.92 - cosine) / aside
    rows[1, 1], rows[1, 2] = (1 - cosine**2 - lean**2) ** 0.5, lean
    gradient = subject.gradient(rows, labels)[1][0]
    pull = float(gradient[1]) / float(rows[1, 1])
    return float(gradient[2]) - pull * lean


def _hardest_only(subject: Subject) -> bool:
    """Whether of two positives only the farther one pulls."""
    rows, _ = triple(subject, 0.4, 0.05)
    far = torch.zeros_like(rows[0])
    far[0], far[3] = 0.5, 0.75**0.5
    gradient = subject.gradient(torch.stack([*rows, far]), torch.tensor([0, 0, 1, 0]))[1]
    return bool(gradient[0, 1] == 0) and bool(gradient[0, 3] != 0)


def _felt_beside_a_positive(subject: Subject, alone: Sequence[bool]) -> bool:
    """Whether an anchor with a positive has self-pairs: where these fall silent its forces jump.

    True where they never do, as in a softmax.
    """
    if all(alone):
        return True
    last = max(place for place, here in enumerate(alone) if here)
    if last + 1 == len(FAR):
        return True
    low, high = FAR[last], FAR[last + 1]
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _push(subject, None, middle) > 0 else (low, middle)
    forces = []
    for far in (low - 1e-4, low + 1e-4):
        rows, _ = triple(subject, 1.3, far)
        # The negative has a positive too, so that its own self-pairs fall silent elsewhere.
        partner = rows[2] + 0.02 * torch.eye(subject.dimension, dtype=torch.float64)[3]
        batch = torch.stack([*rows, partner / partner.norm()])
        forces.append(subject.gradient(batch, torch.tensor([0, 0, 1, 1]))[1][0, 1:3])
    return float((forces[0] - forces[1]).norm()) > 0.05 * float(forces[1].norm())


def _diluted(subject: Subject) -> bool:
    """Whether the value of twelve rows, their negatives solved, goes as (k−1)/k for classes of k rows."""
    if subject.dimension < 18:
        return False
    axes = torch.eye(subject.dimension, dtype=torch.float64)
    values = []
    for each in (2, 3, 4):
        labels = torch.arange(12) // each
        rows = nn.functional.normalize(axes[labels] + 0.2 * axes[6 + torch.arange(12)], dim=1)
        values.append(float(subject.value(rows, labels)) * each / (each - 1))
    return values[0] != 0 and all(abs(value / values[0] - 1) < 1e-3 for value in values)
