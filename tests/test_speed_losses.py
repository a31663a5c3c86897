"""Speed and memory of the losses beside the peers' same forms: ``pytest -m slow -s`` on this file.

Both sides take turns in one process on one thread, forward and backward, on the same unit vectors. Times are
the processor's, so that a busy machine does not decide. Memory is the peak of a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from losscope.core.registry import get
from losscope.pairs import Relation, normalise, reduce

pytestmark = pytest.mark.slow

CLASSES, SIZE = 10, 64


def batch(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = normalise(torch.randn(rows, SIZE, generator=generator)).requires_grad_()
    return z, torch.randint(CLASSES, (rows,), generator=generator)


def ours(
    name: str, reduction: str = "valid_mean", inside: bool = True, **words: Any
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss on labels; ``inside``: normalising counts, as pytorch-metric-learning does it inside."""
    function = get("loss", name)

    def loss(z: Tensor, labels: Tensor) -> Tensor:
        terms = function(normalise(z) if inside else z, Relation.from_labels(labels), **words)
        return reduce(terms, reduction)

    return loss


def step(loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, labels: Tensor) -> Tensor:
    z.grad = None
    value = loss(z, labels)
    value.backward()
    return value


def by_turns(losses: dict[str, Callable[[Tensor, Tensor], Tensor]], rows: int, rounds: int) -> dict[str, Any]:
    """Seconds of each loss, one array of rounds each, after a check that value and gradient agree."""
    z, labels = batch(rows)
    seen = {}
    for name, loss in losses.items():
        value = step(loss, z, labels)
        assert z.grad is not None
        seen[name] = (value.item(), z.grad.clone())
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(rounds):
        for name, loss in losses.items():
            start = time.process_time()
            step(loss, z, labels)
            seconds[name].append(time.process_time() - start)
    return {"seconds": {name: np.array(own) for name, own in seconds.items()}, "seen": seen}


def agree(seen: dict[str, tuple[float, Tensor]], a: str, b: str) -> None:
    """Value to 1e-5 of itself, gradient to 1e-5 and, by its length, to a thousandth.

    Of millions of float32 terms a few lie within rounding of their margin, active on one side only.
    """
    (value, gradient), (other, another) = seen[a], seen[b]
    assert value == pytest.approx(other, rel=1e-5)
    assert (gradient - another).abs().max() < 1e-5
    assert (gradient - another).norm() < 1e-3 * another.norm()


def upper_ratio(theirs: np.ndarray, own: np.ndarray) -> tuple[float, float]:
    """Ratio of the medians, and the upper end of its 95 % interval over rounds drawn again."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(own), size=(2000, len(own)))
    ratios = np.median(theirs[draws], 1) / np.median(own[draws], 1)
    return float(np.median(theirs) / np.median(own)), float(np.quantile(ratios, 0.975))


@pytest.mark.parametrize(("rows", "wanted"), [(512, 40), (1024, 80)])
def test_all_triplets_beside_pytorch_metric_learning(rows: int, wanted: float) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses", reason="a peer, losscope[peers]")
    found = by_turns(
        {"ours": ours("triplet", "active_mean", margin=0.05), "pml": losses.TripletMarginLoss(margin=0.05)},
        rows,
        rounds=3,
    )
    agree(found["seen"], "ours", "pml")
    ratio = found["seconds"]["pml"].min() / found["seconds"]["ours"].min()
    print(f"\nall triplets, {rows} rows: pytorch-metric-learning / ours = {ratio:.0f}")
    assert ratio >= wanted


def test_all_triplets_beside_sentence_transformers() -> None:
    losses = pytest.importorskip("sentence_transformers.losses", reason="a peer, losscope[peers]")
    from sentence_transformers import SentenceTransformer

    peer = losses.BatchAllTripletLoss(
        SentenceTransformer(modules=[torch.nn.Identity()], device="cpu"), margin=0.05
    )
    both = {
        "ours": ours("triplet", "active_mean", inside=False, margin=0.05),
        "theirs": lambda z, labels: peer([{"sentence_embedding": z}], labels),
    }
    found = by_turns(both, 512, rounds=3)
    agree(found["seen"], "ours", "theirs")
    ratio = found["seconds"]["theirs"].min() / found["seconds"]["ours"].min()
    print(f"\nall triplets, 512 rows: sentence-transformers / ours = {ratio:.0f}")
    assert ratio >= 40


@pytest.mark.parametrize("rows", [256, 512, 1024, 4096])
def test_all_triplets_cost_at_most_thrice_all_pairs(rows: int) -> None:
    both = {"pairs": ours("contrastive"), "triplets": ours("triplet", margin=0.05)}
    seconds = by_turns(both, rows, rounds=15 if rows < 4096 else 3)["seconds"]
    ratio = seconds["triplets"].min() / seconds["pairs"].min()
    print(f"\n{rows} rows: all triplets / all pairs = {ratio:.2f}")
    assert ratio <= 3


def test_the_time_of_all_triplets_grows_with_the_square() -> None:
    sizes = [512, 1024, 2048, 4096]
    seconds = [by_turns({"t": ours("triplet")}, rows, rounds=3)["seconds"]["t"].min() for rows in sizes]
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(f"\nall triplets: time grows with the power {slope:.2f} of the rows")
    assert slope <= 2.3


@pytest.mark.parametrize("rows", [256, 1024])
def test_softmax_losses_beside_pytorch_metric_learning(rows: int) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses", reason="a peer, losscope[peers]")
    for name, peer in (("sup_con", losses.SupConLoss(0.1)), ("info_nce", losses.NTXentLoss(0.1))):
        if name == "info_nce" and rows == 1024:
            print("\ninfo_nce, 1024 rows: pytorch-metric-learning asks for 99 GB, (positive pairs)²")
            continue
        found = by_turns({"ours": ours(name, temperature=0.1), "pml": peer}, rows, rounds=15)
        agree(found["seen"], "ours", "pml")
        ratio, upper = upper_ratio(found["seconds"]["pml"], found["seconds"]["ours"])
        print(f"\n{name}, {rows} rows: pytorch-metric-learning / ours = {ratio:.1f}")
        assert upper >= 1


@pytest.mark.parametrize("rows", [128, 512])
def test_losses_over_weighted_pairs_beside_pytorch_metric_learning(rows: int) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses", reason="a peer, losscope[peers]")
    for name, peer in (("multi_similarity", losses.MultiSimilarityLoss()), ("circle", losses.CircleLoss())):
        found = by_turns({"ours": ours(name), "pml": peer}, rows, rounds=40)
        assert found["seen"]["ours"][0] == pytest.approx(found["seen"]["pml"][0], rel=1e-5)
        ratio, upper = upper_ratio(found["seconds"]["pml"], found["seconds"]["ours"])
        print(f"\n{name}, {rows} rows: pytorch-metric-learning / ours = {ratio:.1f}")
        assert upper >= 1


@pytest.mark.parametrize("rows", [256, 1024])
def test_pairs_beside_sentence_transformers(rows: int) -> None:
    """Explicit pairs: contrastive, and info_nce with the other texts of the batch as negatives."""
    losses = pytest.importorskip("sentence_transformers.losses", reason="a peer, losscope[peers]")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(modules=[torch.nn.Identity()], device="cpu")
    ranking = losses.MultipleNegativesRankingLoss(model, scale=20.0)
    metric = losses.SiameseDistanceMetric.EUCLIDEAN
    hadsell = losses.ContrastiveLoss(model, distance_metric=metric, margin=1.0)
    same = torch.rand(rows, generator=torch.Generator().manual_seed(1)) > 0.5
    texts = torch.ones(rows, dtype=torch.bool)

    def halves(z: Tensor) -> list[dict[str, Tensor]]:
        return [{"sentence_embedding": part} for part in (z[:rows], z[rows:])]

    def info_nce(z: Tensor, labels: Tensor) -> Tensor:
        relation = Relation.from_partners(texts)
        return reduce(get("loss", "info_nce")(normalise(z), relation, temperature=0.05), "valid_mean")

    def contrastive(z: Tensor, labels: Tensor) -> Tensor:
        terms = get("loss", "contrastive")(z, Relation.from_partners(same), margin=1.0)
        return reduce(terms, "valid_mean") / 2

    for name, mine, theirs in (
        ("info_nce", info_nce, lambda z, _: ranking(halves(z), texts)),
        ("contrastive", contrastive, lambda z, _: hadsell(halves(z), same.int())),
    ):
        found = by_turns({"ours": mine, "theirs": theirs}, 2 * rows, rounds=200 if rows == 256 else 40)
        assert found["seen"]["ours"][0] == pytest.approx(found["seen"]["theirs"][0], rel=2e-5)
        ratio, upper = upper_ratio(found["seconds"]["theirs"], found["seconds"]["ours"])
        print(f"\n{name} on {rows} pairs: sentence-transformers / ours = {ratio:.2f}")
        assert upper >= 1


PEAK = """
import torch
from losscope.losses import loss
torch.set_num_threads(1)
z = torch.nn.functional.normalize(torch.randn({rows}, 64), dim=-1).requires_grad_()
loss({name!r})(z, torch.arange({rows}) % 10).backward()
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.parametrize(
    "name", ["contrastive", "triplet", "info_nce", "sup_con", "multi_similarity", "circle"]
)
@pytest.mark.parametrize(("rows", "gigabytes"), [(4096, 2), (8192, 4)])
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_peak_memory_of_a_process(name: str, rows: int, gigabytes: float) -> None:
    code = PEAK.format(rows=rows, name=name)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak = int(told.stdout) / 2**20
    print(f"\n{name}, {rows} rows: peak {peak:.2f} GB")
    assert peak < gigabytes


def test_a_step_on_64_explicit_tuples_beside_plain_torch() -> None:
    """The protocol ``paper``: counts included, beside the shortest torch code without them."""
    same = torch.rand(64, generator=torch.Generator().manual_seed(1)) > 0.5

    def plain_pairs(z: Tensor, _: Tensor) -> Tensor:
        d = (z[:64] - z[64:]).norm(dim=-1)
        return torch.where(same, d**2, (1 - d).clamp_min(0) ** 2).mean()

    def plain_triplets(z: Tensor, _: Tensor) -> Tensor:
        a, p, n = z[:64], z[64:128], z[128:]
        return ((a - p).norm(dim=-1) - (a - n).norm(dim=-1) + 1).clamp_min(0).mean()

    for name, rows, relation, plain in (
        ("contrastive", 128, Relation.from_partners(same), plain_pairs),
        ("triplet", 192, Relation.from_triples(64), plain_triplets),
    ):
        function = get("loss", name)

        def mine(z: Tensor, _: Tensor, function: Any = function, relation: Any = relation) -> Tensor:
            return reduce(function(z, relation, margin=1.0), "valid_mean")

        found = by_turns({"ours": mine, "plain": plain}, rows, rounds=500)
        agree(found["seen"], "ours", "plain")
        own, theirs = (found["seconds"][side].min() * 1e6 for side in ("ours", "plain"))
        print(f"\n{name} on 64 explicit tuples: {own:.0f} µs, plain torch {theirs:.0f} µs")
        assert own < 2 * theirs
