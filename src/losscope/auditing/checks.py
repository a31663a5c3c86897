"""The checks of a loss's value and gradient: what it sees, what leaves it unchanged, where it breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from losscope.auditing.aims import nothing_learned, self_pairs, value_range
from losscope.auditing.lines import BROKEN, Check, flaw, line, number
from losscope.auditing.precision import precision
from losscope.auditing.subjects import Subject, cloud
from losscope.core.results import AuditLine

PERMUTATIONS = 8
BLIND_RANK = 2
"""A loss that sees only counts of like and unlike pairs has gradients of so few directions, at most."""
HUGE = 1e6
"""A gradient so many times an ordinary one is as good as infinite."""
BIG_ID = 2**24
"""From here on neighbouring integers are one number in float32."""


def ordinary_batch(subject: Subject) -> AuditLine:
    """Are value and gradient finite, and is there a gradient, on an ordinary batch?"""
    value, gradient = subject.gradient(*cloud(subject, 6, 4))
    said = f"value {number(value)}, gradient {number(gradient.norm())}"
    if not (torch.isfinite(value) and torch.isfinite(gradient).all()):
        return flaw("unsafe", "ordinary batch", f"not finite on an ordinary batch: {said}", BROKEN)
    if not gradient.any():
        return flaw("wrong", "ordinary batch", *nothing_learned(subject))
    return line("ordinary batch", True, f"{said} on 24 rows of 6 classes", "it can be trained")


def labels_matter(subject: Subject) -> AuditLine:
    """Does permuting the labels change the gradient, row by row?"""
    change, rank = _by_labels(subject)
    if rank is None:
        return line(
            "labels", None, "no gradient on an ordinary batch: no term is active", "nothing is learned here"
        )
    if rank > BLIND_RANK:
        said = f"permuting the labels changes the gradient by {change:.0%}"
        return line("labels", True, said, "the loss sees which rows belong together")
    moved = (
        "leaves the gradient as it was" if rank == 0 else f"moves the gradient in {rank} direction(s) only"
    )
    said = f"label-blind: permuting the labels {moved}"
    if _counts_labels(subject):
        said += f"; it sees how many rows are alike, not which ones: {_ACCIDENT}"
    meaning = "it does not know which rows belong together and learns nothing about classes"
    return flaw("wrong", "labels", said, meaning)


_ACCIDENT = "a (B,1) value that meets (B,) labels broadcasts to B×B"


def _by_labels(subject: Subject) -> tuple[float, int]:
    """How much the gradient changes over permutations of the labels, and in how many directions."""
    z, labels = cloud(subject, 6, 4)
    generator = torch.Generator().manual_seed(5)
    shuffled = [labels[torch.randperm(len(labels), generator=generator)] for _ in range(PERMUTATIONS)]
    every = torch.stack([subject.gradient(z, own)[1].flatten() for own in shuffled]).double()
    size = every.norm(dim=1).max().item()
    strengths = torch.linalg.svdvals(every - every.mean(0))
    change = float((every - every.mean(0)).norm(dim=1).mean() / size)
    return change, int((strengths > 10 * subject.tolerance * size).sum())


def _counts_labels(subject: Subject) -> bool:
    """Whether other sizes of the classes change the gradient."""
    z, labels = cloud(subject, 6, 4)
    gradient = subject.gradient(z, labels)[1]
    try:
        other = subject.gradient(z, (labels - 3).clamp_min(0))[1]
    except Exception:
        # It wants classes of one size.
        return False
    return not _near(subject, gradient, other)


def class_names(subject: Subject) -> AuditLine:
    """Is the value the same when classes are renamed, also to ids that float32 cannot tell apart?"""
    if subject.parameters and subject.classes:
        return line("class names", None, "each class has a vector of its own", "labels must be 0 … C−1")
    z, labels = cloud(subject, 6, 4)
    value = subject.value(z, labels)
    names = {"renamed": torch.tensor([5, 3, 17, 0, 8, 2]), f"from {BIG_ID} on": BIG_ID + torch.arange(6)}
    for what, name in names.items():
        other = subject.value(z, name[labels])
        if not _close(subject, value, other):
            return flaw(
                "wrong",
                "class names",
                f"classes {what}: {number(other)} instead of {number(value)}",
                "labels enter as numbers, not as names of classes",
            )
    return line(
        "class names",
        True,
        "renaming classes changes nothing, large ids included",
        "any integers may be labels",
    )


def order(subject: Subject) -> AuditLine:
    """Do value and gradient follow a permutation of the batch's rows?"""
    z, labels = cloud(subject, 6, 4)
    value, gradient = subject.gradient(z, labels)
    rows = torch.randperm(len(labels), generator=torch.Generator().manual_seed(3))
    other, moved = subject.gradient(z[rows], labels[rows])
    if _close(subject, value, other) and _near(subject, gradient[rows], moved):
        return line("order", True, "rows in another order give the same", "batches need no order")
    if not _close(subject, subject.value(z, labels, seed=1), value):
        return line(
            "order",
            None,
            "draws at random, so that two calls on one batch differ",
            "the audit holds the seed still; results need a seed to be repeated",
        )
    return flaw(
        "caution",
        "order",
        f"rows in another order give {number(other)} instead of {number(value)}",
        "what a row is taught depends on where in the batch it stands",
    )


def rotation(subject: Subject) -> AuditLine:
    """Is the value the same when embeddings and class vectors are rotated together?"""
    value, other = subject.turned()
    with_vectors = ", class vectors with them," if subject.vectors() else ""
    if _close(subject, value, other):
        return line(
            "rotation",
            True,
            f"embeddings rotated{with_vectors} give the same",
            "only distances and angles count, as they do in retrieval",
        )
    return flaw(
        "caution",
        "rotation",
        f"embeddings rotated{with_vectors} give {number(other)} instead of {number(value)}",
        "some directions count more than others, which Euclidean and cosine retrieval do not see",
    )


def scale(subject: Subject) -> AuditLine:
    """Is the value the same when the embeddings are multiplied, if the loss claims so?"""
    z, labels = cloud(subject, 6, 4)
    value, other = subject.value(z, labels), subject.value(3 * z, labels)
    claimed = subject.facts is not None and subject.facts.normalised
    if _close(subject, value, other):
        return line("scale", True, "embeddings times 3 give the same: it normalises", "norms are not trained")
    meaning = "norms are trained too; normalise before the loss if retrieval is by cosine"
    said = f"embeddings times 3 give {number(other)}, not {number(value)}"
    return flaw("wrong", "scale", said, meaning) if claimed else line("scale", True, said, meaning)


def finite_differences(subject: Subject) -> AuditLine:
    """Is the gradient, by embeddings and own parameters, the slope that finite differences find?"""
    z, labels = cloud(subject, 6, 4)
    exact = subject.tolerance < 1e-6
    step, allowed = (1e-6, 1e-5) if exact else (1e-3, 3e-2)
    leaves = {"": z.clone(), **{name: value.clone() for name, value in subject.parameters.items()}}
    for leaf in leaves.values():
        leaf.requires_grad_()

    def value(parts: dict[str, Tensor]) -> Tensor:
        return subject.value(parts[""], labels, {name: part for name, part in parts.items() if name})

    at = value(leaves)
    gradients = torch.autograd.grad(at, list(leaves.values()), allow_unused=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(6)
    worst, where = 0.0, "embeddings"
    floor = max(abs(at.item()) * 1e-6, 1e-12)
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        size = float(gradient.double().norm()) / leaf.numel() ** 0.5
        for _ in range(4):
            way = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
            with torch.no_grad():
                up, down = (value({**leaves, name: leaf + sign * step * way}) for sign in (1, -1))
            slope = float((up.double() - down.double()) / (2 * step))
            error = abs(slope - float((gradient.double() * way).sum()))
            relative = error / max(abs(slope), size, floor)
            if not relative <= worst:
                worst, where = relative, name or "embeddings"
    if worst <= allowed:
        return line(
            "finite differences",
            True,
            f"the gradient is the slope, to {worst:.0e}",
            "training goes down the value that it reports",
        )
    said = f"by {where} the gradient differs from the slope by {worst:.0%}"
    if subject.facts is not None and subject.facts.held_weights:
        meaning = "as declared, the gradient holds the pairs' weights still: judge training by quality"
        return line("finite differences", None, said, meaning)
    if _goes_down(value, leaves, gradients, step):
        meaning = (
            "training goes down the value by another way: a weight is held still (detach), wanted or not"
        )
        return flaw("caution", "finite differences", said, meaning)
    return flaw("wrong", "finite differences", said, "training does not go down the value that it reports")


def _goes_down(
    value: Callable[[dict[str, Tensor]], Tensor],
    leaves: dict[str, Tensor],
    gradients: Sequence[Tensor],
    step: float,
) -> bool:
    """Whether the value falls against the gradient by at least a tenth of what the gradient says."""
    size = float(torch.cat([gradient.double().flatten() for gradient in gradients]).norm())
    if not 0 < size < float("inf"):
        return False
    with torch.no_grad():
        up, down = (
            value(
                {
                    name: leaf + sign * step / size * gradient
                    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
                }
            )
            for sign in (1, -1)
        )
    return float(up.double() - down.double()) / (2 * step) > 0.1 * size


def singular_points(subject: Subject) -> list[AuditLine]:
    """Is the gradient finite where points coincide and where they are opposite?"""
    ordinary = float(subject.gradient(*cloud(subject, 6, 4))[1].double().norm())
    together = _broken(subject, _coincident(subject), ordinary)
    apart = _broken(subject, _antipodal(subject), ordinary)
    lines = []
    for name, broken, other in (("coincident points", together, apart), ("antipodes", apart, together)):
        if not broken:
            finding = (
                "finite value and gradient where embeddings coincide"
                if broken is together
                else "finite there too"
            )
            lines.append(line(name, True, finding, "duplicates and collapse do not end training"))
            continue
        if not ordinary < float("inf"):
            cause = "on ordinary batches too: sqrt or norm at 0 (or acos at 1), as in self-distances"
        elif broken is together and not other:
            cause = "sqrt or norm at 0" + " (or acos at 1)" * bool(subject.vectors())
        elif other:
            cause = "acos at cos = ±1, unclamped or clamped at exactly ±1, where its slope is infinite"
        else:
            cause = "a pole at distance 2 (cos = −1)"
        meaning = "one duplicate in a batch makes every weight NaN" if broken is together else BROKEN
        lines.append(flaw("unsafe", name, f"{broken[0]}: {cause}", meaning))
    return lines


def degenerate_batches(subject: Subject) -> list[AuditLine]:
    """Is the gradient finite on batches without a positive, without a negative, or of one row?"""
    many = min(subject.most, 8)
    z, _ = cloud(subject, many, 4)
    nine = z[:9]
    lone = torch.zeros(len(nine), dtype=torch.int64)
    lone[-1] = 1
    batches = {
        "no positives (all singletons)": (
            z[: 4 * many : 4],
            torch.arange(many),
            "every row alone in its class",
        ),
        "no negatives (one class)": (z[:6], torch.zeros(6, dtype=torch.int64), "one class"),
        "one row": (z[:1], torch.zeros(1, dtype=torch.int64), "a last batch of one row"),
        "one of each": (nine, lone, "one class but for a single row"),
    }
    lines = []
    for name, (rows, labels, what) in batches.items():
        try:
            value, gradient = subject.gradient(rows, labels)
        except Exception as error:
            said = f"raised {type(error).__name__} on {what}: {str(error).splitlines()[0]}"
            lines.append(flaw("unsafe", name, said, "such a batch stops training"))
            continue
        if torch.isfinite(value) and torch.isfinite(gradient).all():
            said = f"{what}: value {number(value)}, gradient {number(gradient.norm())}"
            lines.append(line(name, True, said, "such a batch does no harm"))
        else:
            said = f"{what}: value {number(value)}, gradient {number(gradient.norm())}"
            lines.append(flaw("unsafe", name, said, "such a batch makes every weight NaN"))
    return lines


def broadcast(subject: Subject) -> AuditLine:
    """Does a (B,1) shape meet a (B,) one, inside the loss or when the labels come as (B,1)?"""
    rank = _by_labels(subject)[1]
    if rank <= BLIND_RANK and _counts_labels(subject):
        said = f"inside the loss: {_ACCIDENT}"
        return flaw("wrong", "broadcast", said, "shapes must be (B,) and (B,), or both (B,1)")
    z, labels = cloud(subject, 6, 4)
    value, gradient = subject.gradient(z, labels)
    try:
        other, moved = subject.gradient(z, labels[:, None])
    except Exception as error:
        return line(
            "broadcast", True, f"labels (B,1) are refused ({type(error).__name__})", "no silent B×B broadcast"
        )
    if _close(subject, value, other) and _near(subject, gradient, moved):
        return line("broadcast", True, "labels (B,1) give the same as (B,)", "no silent B×B broadcast")
    said = f"labels (B,1) give {number(other)}, labels (B,) {number(value)}"
    return flaw(
        "caution", "broadcast", said, "a stray dimension of the labels silently trains something else"
    )


def _coincident(subject: Subject) -> list[tuple[Tensor, Tensor, Any]]:
    """Batches with duplicates: of one class, of two, all rows; on the axes, where cosines are exactly 1."""
    z, labels = cloud(subject, 6, 4)
    axes = torch.eye(subject.dimension, dtype=torch.float64)
    # A loss that is made for two classes has eight rows.
    third = min(8, len(z) - 1)
    positive, negative = z.clone(), z.clone()
    positive[1], positive[5] = positive[0], positive[4]
    negative[4], negative[third] = negative[0], negative[1]
    on_axes, crossing = z.clone(), z.clone()
    on_axes[0] = on_axes[1] = axes[0]
    crossing[0] = crossing[4] = axes[1]
    batches: list[tuple[Tensor, Tensor, Any]] = [
        (rows, labels, None) for rows in (positive, on_axes, negative, crossing, z[:1].expand_as(z))
    ]
    return batches + _at_class_vectors(subject, 1.0)


def _antipodal(subject: Subject) -> list[tuple[Tensor, Tensor, Any]]:
    """Batches where a row and its positive, or a row and a negative, are opposite."""
    z, labels = cloud(subject, 6, 4)
    axes = torch.eye(subject.dimension, dtype=torch.float64)
    positive, negative, random = z.clone(), z.clone(), z.clone()
    positive[0], positive[1] = axes[0], -axes[0]
    negative[0], negative[4] = axes[1], -axes[1]
    random[1] = -random[0]
    random[5] = -random[min(8, len(z) - 1)]
    batches: list[tuple[Tensor, Tensor, Any]] = [
        (rows, labels, None) for rows in (positive, negative, random)
    ]
    return batches + _at_class_vectors(subject, -1.0)


def _at_class_vectors(subject: Subject, sign: float) -> list[tuple[Tensor, Tensor, Any]]:
    """Rows on (or opposite) their class vectors, which stand on the axes."""
    batches: list[tuple[Tensor, Tensor, Any]] = []
    axes = torch.eye(subject.dimension, dtype=torch.float64)
    for name, place in subject.vectors().items():
        vectors = subject.parameters[name].movedim(place, -1)
        flat = axes[torch.arange(vectors[..., 0].numel()) % subject.dimension]
        own = {**subject.parameters, name: flat.reshape(vectors.shape).movedim(-1, place)}
        labels = torch.arange(min(subject.most, 6, len(flat)))
        batches.append((sign * flat[: len(labels)], labels, own))
        raw = nn.functional.normalize(vectors.reshape(-1, subject.dimension)[: len(labels)], dim=1)
        batches.append((sign * raw, labels, None))
    return batches


def _broken(subject: Subject, batches: Sequence[tuple[Tensor, Tensor, Any]], ordinary: float) -> list[str]:
    """What is wrong on these batches, in float64 and float32; nothing if all is finite."""
    said = []
    for dtype in (torch.float64, torch.float32):
        for rows, labels, own in batches:
            value, gradient = subject.gradient(rows.to(dtype), labels, own)
            bad = gradient[~torch.isfinite(gradient)]
            if len(bad):
                said.append(f"gradient {'NaN' if torch.isnan(bad).any() else 'infinite'}")
            elif not torch.isfinite(value):
                said.append(f"value {number(value)}")
            elif 0 < ordinary < float("inf") and float(gradient.double().norm()) > HUGE * ordinary:
                said.append(f"gradient {float(gradient.norm()):.0e}, {HUGE:.0e} times an ordinary one")
    return said


def _close(subject: Subject, value: Tensor, other: Tensor) -> bool:
    size = max(abs(float(value)), abs(float(other)), 1e-12)
    return abs(float(value) - float(other)) <= subject.tolerance * size


def _near(subject: Subject, first: Tensor, second: Tensor) -> bool:
    return float((first - second).norm()) <= 10 * subject.tolerance * max(float(first.norm()), 1e-12)


ESSENTIAL = ("coincident points",)
"""Checks that find the reason where an ordinary batch fails."""

CHECKS: dict[str, Check] = {
    "ordinary batch": ordinary_batch,
    "labels": labels_matter,
    "class names": class_names,
    "order": order,
    "rotation": rotation,
    "scale": scale,
    "finite differences": finite_differences,
    "self-pairs": self_pairs,
    "range": value_range,
    "coincident points": singular_points,
    "no positives": degenerate_batches,
    "float32": precision,
    "broadcast": broadcast,
}
