"""Planted diseases are each named by their own rule and by no other, and sound trainings raise no alarm."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_blobs,
    make_classification,
    make_gaussian_quantiles,
)
from torch import Tensor, nn

import losscope

SIZE = 16
adam = functools.partial(torch.optim.Adam, lr=1e-3)
fast_adam = functools.partial(torch.optim.Adam, lr=1e-2)
sgd = functools.partial(torch.optim.SGD, lr=0.01)
slow_sgd = functools.partial(torch.optim.SGD, lr=2e-3)


def standardised(source: Callable[..., Any]) -> tuple[Tensor, Tensor]:
    found, labels = source(return_X_y=True)
    spread = found.std(0)
    return torch.tensor((found - found.mean(0)) / (spread + (spread == 0))).float(), torch.tensor(labels)


DIGITS = standardised(load_digits)


def far_apart() -> tuple[Tensor, Tensor]:
    """Two classes on opposite sides, beyond any small margin from the start."""
    side = torch.where(torch.arange(400) < 200, 1.0, -1.0)
    noise = torch.randn(400, 64, generator=torch.Generator().manual_seed(0))
    return side[:, None] + 0.1 * noise, (side < 0).long()


def linear(size: int) -> nn.Module:
    return nn.Linear(size, SIZE)


def two_layers(size: int) -> nn.Module:
    return nn.Sequential(nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, SIZE))


def with_batch_norm(size: int) -> nn.Module:
    return nn.Sequential(nn.Linear(size, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, SIZE))


def unit_length(size: int) -> nn.Module:
    class Unit(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return nn.functional.normalize(z, dim=1)

    return nn.Sequential(two_layers(size), Unit())


def at_random(step: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randperm(len(labels), generator=generator)[:48]


@dataclass
class Training:
    """A small training: what is wrong with it is what differs from the defaults."""

    loss: Callable[[], Any]
    data: Callable[[], tuple[Tensor, Tensor]] = lambda: DIGITS
    network: Callable[[int], nn.Module] = two_layers
    draw: Callable[[int, Tensor, torch.Generator], Tensor] = at_random
    optimiser: Callable[..., torch.optim.Optimizer] = adam
    steps: int = 150
    call: Callable[..., Tensor] = lambda loss, z, labels: loss(z, labels)
    probe: dict[str, Any] = field(default_factory=dict)

    def run(self) -> losscope.Probe:
        generator = torch.Generator().manual_seed(1)
        inputs, labels = self.data()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            network, loss = self.network(inputs.shape[1]), self.loss()
            own = [*network.parameters(), *(loss.parameters() if isinstance(loss, nn.Module) else ())]
            optimiser = self.optimiser(own)
            probe = losscope.Probe(loss, model=network, every=10, **self.probe)
            for step in range(self.steps):
                chosen = self.draw(step, labels, generator)
                value = self.call(probe, network(inputs[chosen]), labels[chosen])
                optimiser.zero_grad()
                value.backward()
                optimiser.step()
        return probe


def ours(name: str, **more: Any) -> Callable[[], Any]:
    return lambda: losscope.loss(name, num_classes=10, embedding_size=SIZE, **more)


def pml(name: str, **words: Any) -> Callable[[], Any]:
    return lambda: getattr(pytest.importorskip("pytorch_metric_learning.losses"), name)(**words)


def pairs(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared distances of pairs, and which are positive and negative."""
    same = (labels[:, None] == labels).float()
    eye = torch.eye(len(z))
    return (z[:, None] - z).square().sum(-1), same - eye, 1 - same


def pull_all(z: Tensor, labels: Tensor) -> Tensor:
    """A sign is wrong: negatives are pulled as well."""
    squared, positive, negative = pairs(nn.functional.normalize(z, dim=1), labels)
    return ((positive + 0.5 * negative) * squared).mean()


def push_without_end(z: Tensor, labels: Tensor) -> Tensor:
    """The hinge is missing, and nothing keeps the rows short."""
    squared, positive, negative = pairs(z, labels)
    return ((positive - negative) * squared).mean()


def cosines(z: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE of someone who forgot to normalise."""
    eye = torch.eye(len(z), dtype=torch.bool)
    logits = (z @ z.T / temperature).masked_fill(eye, -1e9)
    positive = (labels[:, None] == labels) & ~eye
    return -(logits.log_softmax(1) * positive).sum() / positive.sum().clamp_min(1)


def normalised_cosines(z: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    return cosines(nn.functional.normalize(z, dim=1), labels, temperature)


def without_labels(z: Tensor, labels: Tensor) -> Tensor:
    """The mask of positives is made of the rows' places."""
    place = torch.arange(len(labels)) // 2
    return normalised_cosines(z, place)


def broken_at_step_7() -> Callable[..., Tensor]:
    calls = 0

    def broken(z: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return normalised_cosines(z, labels) * (math.nan if calls == 7 else 1)

    return broken


def one_of_each(step: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    return torch.tensor([int((labels == label).nonzero()[step]) for label in range(10)])


def by_class(step: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    own = (labels == step % 10).nonzero()[:, 0]
    return own[torch.randperm(len(own), generator=generator)[:32]]


def twice(step: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    return at_random(step, labels, generator)[:24].repeat(2)


def through_one_number(size: int) -> nn.Module:
    return nn.Sequential(nn.Linear(size, 1), nn.Linear(1, SIZE))


def all_alike(size: int) -> nn.Module:
    network = nn.Linear(size, SIZE)
    with torch.no_grad():
        network.bias.fill_(3000.0)
    return network


class Saturated(nn.Module):
    """Codes of ±1 by a steep tanh: rows differ, and no gradient comes through."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.head = nn.Linear(size, SIZE)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(1e4 * self.head(x))


def mislabelled() -> tuple[Tensor, Tensor]:
    inputs, labels = DIGITS
    return inputs, labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


def dying(size: int) -> nn.Module:
    """The last layer ends in a ReLU, and half of the rows are zeros."""
    layer = nn.Linear(size, SIZE)
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:1].expand(SIZE, size) + 1e-3 * layer.weight)
    return nn.Sequential(layer, nn.ReLU())


DISEASES = {
    "half of the rows are zeros": (
        Training(ours("triplet(margin=0.2)"), network=dying, optimiser=sgd),
        "half collapse",
    ),
    "all rows pulled": (
        Training(lambda: pull_all, optimiser=fast_adam),
        "collapse",
    ),
    "through one number": (
        Training(ours("triplet(margin=0.2)"), network=through_one_number),
        "collapse to a line",
    ),
    "cone": (Training(ours("triplet(margin=0.2)"), network=all_alike), "stuck at the margin"),
    "labels of other rows": (
        Training(ours("triplet(margin=1.0)"), data=mislabelled, optimiser=sgd),
        "stuck at the margin",
    ),
    "no active triplet": (Training(ours("triplet(margin=0.01)"), data=far_apart), "no active term"),
    "small margin": (Training(ours("contrastive(margin=0.1)"), data=far_apart), "no active negative"),
    "small margin, of a stranger": (
        Training(pml("ContrastiveLoss", neg_margin=0.1), data=far_apart),
        "no active negative",
    ),
    "no hinge": (
        Training(
            lambda: push_without_end,
            network=linear,
            optimiser=slow_sgd,
            steps=250,
        ),
        "exploding gradient",
    ),
    "steep tanh": (
        Training(ours("triplet(margin=0.2)"), network=Saturated, optimiser=sgd),
        "vanishing gradient",
    ),
    "NaN": (Training(broken_at_step_7), "not finite"),
    "no positives": (Training(ours("triplet(margin=0.2)"), draw=one_of_each), "no positives"),
    "no negatives": (Training(ours("triplet(margin=0.2)"), draw=by_class), "no negatives"),
    "degrees": (Training(pml("TripletMarginLoss", margin=28.6)), "another unit"),
    "radians for degrees": (
        Training(pml("ArcFaceLoss", num_classes=10, embedding_size=SIZE, margin=0.5)),
        "another unit",
    ),
    "margins of distances": (
        Training(
            lambda: pml(
                "ContrastiveLoss",
                distance=pytest.importorskip("pytorch_metric_learning.distances").CosineSimilarity(),
            )()
        ),
        "another unit",
    ),
    "scale for temperature": (
        Training(lambda: functools.partial(normalised_cosines, temperature=20.0)),
        "another unit",
    ),
    "blind": (Training(ours("contrastive_label_blind")), "blind to labels"),
    "blind, of a stranger": (Training(lambda: without_labels), "blind to labels"),
    "not normalised": (Training(lambda: cosines), "not normalised"),
    "told that rows have length 1": (
        Training(ours("info_nce(temperature=0.1)", normalise=False)),
        "not normalised",
    ),
    "rows twice": (Training(ours("triplet(margin=0.2)"), draw=twice), "duplicate rows"),
    "rate": (
        Training(ours("info_nce"), optimiser=functools.partial(torch.optim.Adam, lr=0.5)),
        "learning rate too high",
    ),
}


def alarms(probe: losscope.Probe) -> list[str]:
    return [found.rule for found in probe.findings if found.severity == "alarm"]


@pytest.mark.filterwarnings("ignore:.*was made with normalise=False:RuntimeWarning")
@pytest.mark.parametrize("name", DISEASES)
def test_a_disease_is_named_by_its_own_rule_alone(name: str) -> None:
    training, rule = DISEASES[name]
    probe = training.run()
    assert alarms(probe) == [rule], [found.sentence for found in probe.findings]


def test_the_rules_that_are_planted_are_all_there_are() -> None:
    from losscope.probe.doctor import Doctor
    from losscope.probe.findings import Subject

    rules = {rule.name for rule in Doctor(Subject(loss="any", unit_rows=True)).rules}
    assert rules == {rule for _, rule in DISEASES.values()}


def mined(loss: Any, z: Tensor, labels: Tensor) -> Tensor:
    miners = pytest.importorskip("pytorch_metric_learning.miners")
    return loss(z, labels, miners.MultiSimilarityMiner()(z, labels))


SOUND = {
    "PML triplet with a miner": Training(pml("TripletMarginLoss", margin=0.1), call=mined),
    "PML SupCon, wine": Training(
        pml("SupConLoss", temperature=0.2), data=lambda: standardised(load_wine), network=with_batch_norm
    ),
    "PML ArcFace": Training(pml("ArcFaceLoss", num_classes=10, embedding_size=SIZE)),
    "PML contrastive, breast cancer": Training(
        pml("ContrastiveLoss"), data=lambda: standardised(load_breast_cancer), network=linear
    ),
    "contrastive, iris": Training(ours("contrastive(margin=0.5)"), data=lambda: standardised(load_iris)),
    "triplet semihard, SGD": Training(
        ours("triplet(margin=0.2, tuples=semihard)"), optimiser=functools.partial(torch.optim.SGD, lr=0.1)
    ),
    "circle, batch norm": Training(ours("circle"), network=with_batch_norm),
    "proxy anchor, wine": Training(
        ours("proxy_anchor"), data=lambda: standardised(load_wine), network=linear
    ),
    "a function, unit rows from the network": Training(lambda: cosines, network=unit_length),
    "n-pair, breast cancer": Training(
        ours("n_pair"), data=lambda: standardised(load_breast_cancer), network=with_batch_norm
    ),
    "softmax on logits": Training(lambda: nn.CrossEntropyLoss()),
    "AdamW, weight decay": Training(
        ours("sup_con(temperature=0.1)"),
        optimiser=functools.partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_training_raises_no_alarm(name: str) -> None:
    probe = SOUND[name].run()
    assert alarms(probe) == [], [found.sentence for found in probe.findings]


def crowded(**_: bool) -> tuple[Any, Any]:
    return make_classification(500, 24, n_informative=10, n_classes=5, class_sep=1.2, random_state=2)


def overlapping(**_: bool) -> tuple[Any, Any]:
    return make_blobs(500, 12, centers=7, cluster_std=5.0, random_state=2)


def shells(**_: bool) -> tuple[Any, Any]:
    return make_gaussian_quantiles(n_samples=500, n_features=5, n_classes=4, random_state=2)


OTHERS: dict[str, Callable[[int], tuple[Callable[[], Any], float]]] = {
    name: lambda classes, name=name, rate=rate: (ours_of(name, classes), rate)  # type: ignore[misc]
    for name, rate in (
        ("triplet(margin=0.5)", 5e-4),
        ("triplet(margin=0.3)", 5e-3),
        ("triplet(margin=0.2, tuples=hard)", 1e-4),
        ("contrastive(margin=0.8, reduction=balanced)", 2e-3),
        ("info_nce(temperature=0.2)", 2e-3),
        ("sup_con(temperature=0.2)", 5e-3),
        ("multi_similarity", 1e-3),
        ("circle", 2e-3),
        ("arcface", 2e-3),
        ("proxy_nca", 5e-3),
    )
}
OTHERS |= {
    f"PML {name}": lambda classes, name=name, words=words: (pml(name, **words), 2e-3)  # type: ignore[misc]
    for name, words in (
        ("ContrastiveLoss", {}),
        ("NTXentLoss", {"temperature": 0.1}),
        ("MultiSimilarityLoss", {}),
        ("TripletMarginLoss", {"margin": 0.1, "triplets_per_anchor": 5}),
        ("SignalToNoiseRatioContrastiveLoss", {}),
        ("FastAPLoss", {}),
    )
}


def ours_of(name: str, classes: int) -> Callable[[], Any]:
    return lambda: losscope.loss(name, num_classes=classes, embedding_size=SIZE)


@pytest.mark.slow
def test_the_rate_of_false_alarms_on_other_data() -> None:
    """Six data sets, sixteen losses with their rates, a linear head and a deeper network: 192 trainings."""
    pytest.importorskip("pytorch_metric_learning")
    alarmed, trainings = [], 0
    for source in (load_wine, load_breast_cancer, load_iris, crowded, overlapping, shells):
        data = standardised(source)
        for name, made in OTHERS.items():
            loss, rate = made(int(data[1].max()) + 1)
            for network in (linear, with_batch_norm):
                optimiser = functools.partial(torch.optim.Adam, lr=rate)
                training = Training(loss, data=lambda data=data: data, network=network, optimiser=optimiser)
                probe = training.run()
                trainings += 1
                if alarms(probe):
                    said = [found.sentence for found in probe.findings]
                    alarmed.append((source.__name__, name, network.__name__, said))
    print(f"{len(alarmed)} of {trainings} trainings with an alarm: {alarmed}")
    assert trainings == 192 and len(alarmed) <= 0.03 * trainings
