"""Batches that are split over processes or micro-batches, and how their gradient differs from the whole's.

Each part computes a value L_r and the gradient by its own rows, and gradients are averaged over the W parts,
as DistributedDataParallel does: the network gets (1/W) Σ_r J_rᵀ g_r. So the rows of part r have the gradient
g_r / W, beside which that of one process with the whole batch is laid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from losscope.auditing.subjects import Subject, cloud
from losscope.core.results import SplitBatch, SplitCause

Kind = Literal["shared", "apart", "lone", "uneven"]
By = Literal["processes", "micro-batches"]


@dataclass(frozen=True)
class Batch:
    """A whole batch (B, D) with labels (B,), the rows of each part, and a way (B, D) to move them."""

    kind: Kind
    rows: Tensor
    labels: Tensor
    sizes: tuple[int, ...]
    way: Tensor

    def part(self, number: int) -> slice:
        """The rows of a part."""
        return [slice(*edges) for edges in pairwise(_edges(self.sizes))][number]


@dataclass(frozen=True)
class Seen:
    """What one part computed.

    Attributes:
        value: of its loss.
        gradient: (b, D), by its own rows.
        parameters: the gradient by the loss's own parameters, all in one row.
        moved: (W, 2), its value where the rows of each part are moved up or down the batch's direction.
        renamed: (W,), its value where the labels of each part stand one row further.
    """

    value: float
    gradient: Tensor
    parameters: Tensor
    moved: Tensor = field(default_factory=lambda: torch.zeros(0, 2))
    renamed: Tensor = field(default_factory=lambda: torch.zeros(0))


def batches(subject: Subject, parts: int) -> Iterator[Batch]:
    """The batches that are split.

    ``shared``: each part has two rows of each of four classes, in an order of its own. ``apart``: each
    class is in one part only. ``lone``: the first part has no two rows of a class. ``uneven``: the last part
    has two rows of a class in place of eight.
    """
    classes = min(4, subject.most)
    z, _ = cloud(subject, classes, 2 * parts)
    turned = [(torch.arange(classes) + part) % classes for part in range(parts)]
    labels = torch.cat(turned).repeat_interleave(2)
    # Class c has the rows from 2·parts·c on, two for each part.
    order = torch.cat(
        [2 * part + 2 * parts * own[:, None] + torch.arange(2) for part, own in enumerate(turned)]
    ).flatten()
    sizes = (2 * classes,) * parts
    yield _batch("shared", z[order], labels, sizes)
    own = 2 if subject.classes is None else min(2, subject.classes // parts)
    if own:
        rows, names = cloud(subject, own * parts, 6 // own)
        yield _batch("apart", rows, names, (len(rows) // parts,) * parts)
    # sentence-transformers' losses take pairs of a class, and are not called where there is none.
    if not subject.name.startswith("sentence_transformers:"):
        yield _lone(z[order], classes, parts)
    less = len(labels) - sizes[-1] + 2
    yield _batch("uneven", z[order][:less], labels[:less], (*sizes[:-1], 2))


def _lone(rows: Tensor, classes: int, parts: int) -> Batch:
    every = torch.arange(classes)
    halves = torch.cat([every, *((every // 2 * 2 + 2 * part) % classes for part in range(1, parts))])
    return _batch("lone", rows[: len(halves)], halves, (classes,) * parts)


def step(subject: Subject) -> tuple[float, float]:
    """How far rows are moved for a slope, and the relative error that the slope then may have."""
    return (1e-6, 1e-4) if subject.tolerance < 1e-6 else (1e-2, 5e-2)


def seen(subject: Subject, rows: Tensor, labels: Tensor) -> Seen:
    """Value and gradients of a loss on some rows."""
    leaf = rows.clone().requires_grad_()
    own = {name: part.clone().requires_grad_() for name, part in subject.parameters.items()}
    value = subject.value(leaf, labels, own)
    leaves = [leaf, *own.values()]
    if value.requires_grad:
        found = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    else:
        found = tuple(torch.zeros_like(part) for part in leaves)
    parameters = [part.flatten().double() for part in found[1:]]
    return Seen(float(value.detach()), found[0], torch.cat(parameters) if parameters else torch.zeros(0))


def judged(
    subject: Subject, batch: Batch, found: Sequence[Seen], by: By, gathered: bool = False
) -> SplitBatch:
    """A split batch beside the whole one."""
    world = len(batch.sizes)
    whole = seen(subject, batch.rows, batch.labels)
    gradient = torch.cat([part.gradient for part in found]) / world
    mean = sum(part.value for part in found) / world
    own = torch.stack([part.parameters for part in found]).mean(0)
    vectors = bool(whole.parameters.any())
    cosine = _along(gradient, whole.gradient) * _length(whole.gradient) / max(_length(gradient), 1e-300)
    return SplitBatch(
        by=by,
        parts=world,
        batch=batch.kind,
        rows=batch.sizes,
        gathered=gathered,
        cause=_cause(subject, batch, found, whole, gradient),
        others=_sees_others(found),
        error=_off(gradient, whole.gradient),
        factor=_along(gradient, whole.gradient),
        degrees=float(torch.tensor(cosine).clamp(-1, 1).acos().rad2deg()) if gradient.any() else None,
        length=_length(gradient) / _length(whole.gradient),
        value=mean / whole.value if whole.value else None,
        parameters=_along(own, whole.parameters) if vectors else None,
        parameters_error=_off(own, whole.parameters) if vectors else None,
    )


def same(subject: Subject) -> float:
    """The relative error below which two gradients are equal."""
    return 1e-8 if subject.tolerance < 1e-6 else 1e-3


def _cause(
    subject: Subject, batch: Batch, found: Sequence[Seen], whole: Seen, gradient: Tensor
) -> SplitCause:
    if _off(gradient, whole.gradient) <= same(subject):
        return "none"
    factor = _along(gradient, whole.gradient)
    multiple = factor > 0 and _off(gradient, factor * whole.gradient) <= factor * same(subject)
    if multiple:
        return "factor"
    if not _sees_others(found):
        return "own rows"
    renamed = torch.stack([part.renamed for part in found])
    values = torch.tensor([part.value for part in found], dtype=renamed.dtype)
    moved = torch.stack([part.moved for part in found])
    slopes = _Slopes(subject, batch, float(values.mean()), moved)
    if slopes.are_of(batch.labels):
        return "gradient"
    named = _named(slopes, batch)
    if batch.kind == "apart":
        # Whatever the labels of other processes, their rows are negatives here.
        return named
    others = ~torch.eye(len(found), dtype=torch.bool)
    if (renamed != values[:, None])[others].any() or not _labels_count(subject, batch, whole):
        return named
    # Others' rows with one's own labels are, in some batches, rows with labels that collide.
    return named if named == "classes by process" else "labels unseen"


def _sees_others(found: Sequence[Seen]) -> bool:
    """Whether the value of a part depends on the rows of another; micro-batches see nothing of each other."""
    moved = torch.stack([part.moved for part in found])
    if not moved.numel():
        return False
    return bool((moved[..., 0] != moved[..., 1])[~torch.eye(len(found), dtype=torch.bool)].any())


def _named(slopes: _Slopes, batch: Batch) -> SplitCause:
    """The fault with whose labels one process would have these values and slopes."""
    for cause, labels in _mistaken(batch):
        if slopes.are_of(labels):
            return cause
    return "other"


class _Slopes:
    """The mean value of the parts, and its slopes along the direction of each part's rows."""

    def __init__(self, subject: Subject, batch: Batch, value: float, moved: Tensor) -> None:
        size, self.allowed = step(subject)
        self.subject, self.batch, self.value = subject, batch, value
        self.slopes = ((moved[..., 0] - moved[..., 1]) / (2 * size)).mean(0)

    def are_of(self, labels: Tensor) -> bool:
        """Whether they are those of one process with these labels, once, W times or a W-th."""
        try:
            other = seen(self.subject, self.batch.rows, labels)
        except Exception:  # such as labels that are no numbers of class vectors
            return False
        world = len(self.batch.sizes)
        along = (other.gradient * self.batch.way).sum(1).split(self.batch.sizes)
        slopes = torch.stack([part.sum() for part in along]).to(self.slopes.dtype)
        return any(
            abs(self.value - times * other.value) <= self.allowed * abs(self.value)
            and _off(self.slopes, times * slopes) <= self.allowed
            for times in (1, world, 1 / world)
        )


def _mistaken(batch: Batch) -> Iterator[tuple[SplitCause, Tensor]]:
    """Labels as a faulty gather has them, with the name of the fault."""
    most = int(batch.labels.max()) + 1
    parts = batch.labels.split(batch.sizes)
    yield "classes by process", torch.cat([part + number * most for number, part in enumerate(parts)])
    yield "labels collide", torch.cat([part.unique(return_inverse=True)[1] for part in parts])
    yield "labels collide", torch.cat([_by_appearance(part) for part in parts])
    yield "labels collide", torch.cat([torch.arange(len(part)) for part in parts])


def _by_appearance(labels: Tensor) -> Tensor:
    names = list(dict.fromkeys(labels.tolist()))
    return torch.tensor([names.index(name) for name in labels.tolist()])


def _labels_count(subject: Subject, batch: Batch, whole: Seen) -> bool:
    """Whether one process's value changes with the labels of a part."""
    return any(
        float(subject.value(batch.rows, renamed(batch, part))) != whole.value
        for part in range(len(batch.sizes))
    )


def renamed(batch: Batch, part: int) -> Tensor:
    """The labels, those of one part one row further."""
    labels, own = batch.labels.clone(), batch.part(part)
    labels[own] = labels[own].roll(1)
    return labels


def looked_at(subject: Subject, batch: Batch, part: int, call: Callable[[Tensor, Tensor], float]) -> Seen:
    """What a part computes, ``call`` giving its value for rows and labels of its own; no gradient yet."""
    own, size = batch.part(part), step(subject)[0]
    moved = torch.zeros(len(batch.sizes), 2, dtype=torch.float64)
    for other in range(len(batch.sizes)):
        for column, sign in enumerate((1, -1)):
            rows = batch.rows.clone()
            rows[batch.part(other)] += sign * size * batch.way[batch.part(other)]
            moved[other, column] = call(rows[own], batch.labels[own])
    again = [call(batch.rows[own], renamed(batch, other)[own]) for other in range(len(batch.sizes))]
    return Seen(0.0, torch.zeros(0), torch.zeros(0), moved, torch.tensor(again, dtype=torch.float64))


def _batch(kind: Kind, rows: Tensor, labels: Tensor, sizes: tuple[int, ...]) -> Batch:
    generator = torch.Generator().manual_seed(8)
    return Batch(kind, rows, labels, sizes, torch.randn(rows.shape, generator=generator, dtype=rows.dtype))


def _edges(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:place]) for place in range(len(sizes) + 1)]


def _length(part: Tensor) -> float:
    return float(part.double().norm())


def _along(part: Tensor, whole: Tensor) -> float:
    return float((part.double() * whole.double()).sum() / max(float(whole.double().square().sum()), 1e-300))


def _off(part: Tensor, whole: Tensor) -> float:
    return float((part.double() - whole.double()).norm()) / max(_length(whole), 1e-300)
