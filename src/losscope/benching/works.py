"""What the benchmark of losses does: the works, their sides, and one step of a side."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope import __version__
from losscope.core.calls import parse
from losscope.core.errors import LosscopeError, unknown
from losscope.losses import loss as module
from losscope.losses.foreign import sources
from losscope.losses.foreign.building import ForeignLoss
from losscope.pairs import Relation, normalise, reduce

CLASSES, DIMENSION = 10, 64

Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Side:
    """One implementation: whose it is, how it names the loss, and the factor from our value to its own.

    ``other``: how its form differs from ours, where it does; then its ratio is not a fair one, but context.
    """

    name: str
    loss: str
    factor: float = 1.0
    other: str = ""


@dataclass(frozen=True)
class Work:
    """A loss on batches of one kind: ``labels`` (B rows, 10 classes) or ``views`` (B anchors, B partners)."""

    name: str
    batch: str
    sides: tuple[Side, ...]


OURS, PML, ST = "losscope", "pytorch-metric-learning", "sentence-transformers"
DEGREES = math.degrees(0.5)

WORKS = (
    Work(
        "all triplets, margin 0.1",
        "labels",
        (
            Side(OURS, "triplet(margin=0.1, reduction=active_mean)"),
            Side(OURS, "contrastive(margin=0.5)", other="all-pairs contrastive, for scale"),
            Side(PML, "pml:TripletMarginLoss(margin=0.1)"),
            Side(ST, "sentence_transformers:BatchAllTripletLoss(margin=0.1)"),
        ),
    ),
    Work(
        "contrastive, all pairs, margin 0.5",
        "labels",
        (
            Side(OURS, "contrastive(margin=0.5)"),
            Side(ST, "sentence_transformers:ContrastiveLoss(margin=0.5, distance_metric='EUCLIDEAN')", 0.5),
            Side(PML, "pml:ContrastiveLoss(neg_margin=0.5, reducer=MeanReducer())", other="a linear hinge"),
        ),
    ),
    Work(
        "info_nce, labels, temperature 0.1",
        "labels",
        (
            Side(OURS, "info_nce(temperature=0.1)"),
            Side(PML, "pml:NTXentLoss(temperature=0.1)"),
        ),
    ),
    Work(
        "info_nce, pairs of views, temperature 0.1",
        "views",
        (
            Side(OURS, "info_nce(temperature=0.1)"),
            Side(PML, "pml:NTXentLoss(temperature=0.1)"),
            Side(ST, "sentence_transformers:MultipleNegativesRankingLoss(scale=10.0)"),
        ),
    ),
    Work(
        "sup_con, temperature 0.1",
        "labels",
        (
            Side(OURS, "sup_con(temperature=0.1)"),
            Side(PML, "pml:SupConLoss(temperature=0.1)"),
        ),
    ),
    Work(
        "arcface, margin 0.5 rad, scale 64",
        "labels",
        (
            Side(OURS, "arcface(margin=0.5, scale=64.0)"),
            Side(PML, f"pml:ArcFaceLoss(margin={DEGREES!r}, scale=64)"),
        ),
    ),
    Work(
        "multi_similarity, alpha 2, beta 50, base 0.5",
        "labels",
        (
            Side(OURS, "multi_similarity(alpha=2.0, beta=50.0, base=0.5)"),
            Side(PML, "pml:MultiSimilarityLoss(alpha=2, beta=50, base=0.5)"),
        ),
    ),
    Work(
        "circle, margin 0.4, scale 80",
        "labels",
        (
            Side(OURS, "circle(margin=0.4, scale=80.0)"),
            Side(PML, "pml:CircleLoss(m=0.4, gamma=80)"),
        ),
    ),
    Work(
        "proxy_anchor, margin 0.1, scale 32",
        "labels",
        (
            Side(OURS, "proxy_anchor(margin=0.1, scale=32.0)"),
            Side(PML, "pml:ProxyAnchorLoss(margin=0.1, alpha=32)"),
        ),
    ),
    Work(
        "proxy_nca, temperature 1/9",
        "labels",
        (
            Side(OURS, f"proxy_nca(temperature={1 / 9!r})"),
            Side(PML, "pml:ProxyNCALoss(softmax_scale=9)"),
        ),
    ),
)
"""What is measured. Sizes count anchors."""


def work_named(name: str) -> Work:
    """A work by its name or its first words, for instance ``contrastive``.

    Raises:
        LosscopeError: no such work.
    """
    found = [work for work in WORKS if work.name == name] or [
        work for work in WORKS if work.name.startswith(name)
    ]
    if not found:
        raise unknown("benchmark", name, [work.name for work in WORKS])
    return found[0]


def version(side: Side) -> str | None:
    """The installed version of a side's library; None if it is not installed."""
    if side.name == OURS:
        return __version__
    try:
        return sources.version(parse(side.loss).where)
    except LosscopeError:
        return None


def batch(size: int, kind: str, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Unit vectors with some class structure, (size, 64), of ``views`` (2 · size, 64); and their labels."""
    generator = torch.Generator().manual_seed(size)
    rows, classes = (size, CLASSES) if kind == "labels" else (2 * size, size)
    labels = torch.arange(rows) % classes
    centre = torch.randn(classes, DIMENSION, generator=generator)
    z = normalise(centre[labels] + 1.5 * torch.randn(rows, DIMENSION, generator=generator))
    return z.to(device), labels.to(device)


def step_of(side: Side, kind: str, size: int, device: str = "cpu") -> Step:
    """Forward and backward of one side on one batch; what a user prepares once is prepared here."""
    z, labels = batch(size, kind, device)
    z.requires_grad_()
    value, own = (_our_value if side.name == OURS else _their_value)(side, kind, z, labels)
    leaves = [z, *own]

    def step() -> Tensor:
        loss = value()
        torch.autograd.grad(loss, leaves, allow_unused=True)
        return loss.detach()

    return step


def _our_value(side: Side, kind: str, z: Tensor, labels: Tensor) -> tuple[Step, list[Tensor]]:
    loss = module(side.loss, num_classes=CLASSES, embedding_size=DIMENSION).to(z.device)
    own: list[Tensor] = [*loss.parameters()]
    if kind == "labels":
        return lambda: loss(z, labels), own
    views = Relation.from_partners(torch.ones(len(z) // 2, dtype=torch.bool, device=z.device))
    return lambda: reduce(loss.terms(z, views), "valid_mean"), own


def _their_value(side: Side, kind: str, z: Tensor, labels: Tensor) -> tuple[Step, list[Tensor]]:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = ForeignLoss(side.loss, classes=CLASSES, embedding_size=DIMENSION).to(z.device)
    own: list[Tensor] = [*loss.parameters()]
    if own:
        # Class vectors as ours, so that the values can be compared.
        (ours,) = module("arcface", num_classes=CLASSES, embedding_size=DIMENSION).parameters()
        # ArcFace of theirs has a column for each class, the proxies a row.
        alike = own[0].shape == ours.shape
        own[0].data = (ours.data if alike else ours.data.T).clone().to(z.device)
    half, inner = len(z) // 2, loss.loss
    if side.name == PML and kind == "views":
        # Two tensors of labels: one and the same would mean that the references are the batch itself.
        first, second = labels[:half], labels[half:].clone()
        return lambda: inner(z[:half], first, ref_emb=z[half:], ref_labels=second), own
    if side.name == ST and kind == "views":
        return lambda: inner.compute_loss_from_embeddings([z[:half], z[half:]], None), own
    if side.name == ST and "ContrastiveLoss" in side.loss:
        i, j = torch.triu_indices(len(z), len(z), 1, device=z.device)
        same = (labels[i] == labels[j]).float()
        return lambda: inner.compute_loss_from_embeddings([z[i], z[j]], same), own
    return lambda: loss(z, labels), own


def clock_of(device: str) -> Callable[[], float]:
    """The processor's time on one thread, so that neighbours do not count; the wall's otherwise."""
    alone = torch.get_num_threads() == 1 and not device.startswith("cuda")
    return time.process_time if alone else time.perf_counter


def wait_for(device: str) -> None:
    """Wait until a CUDA device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
