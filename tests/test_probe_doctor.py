"""The doctor of ``losscope.Probe``: planted diseases are named, and sound trainings raise no alarm."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import losscope
from losscope.probe import thresholds as doctor
from losscope.probe.doctor import Doctor
from losscope.probe.findings import Subject

_inputs, _labels = load_digits(return_X_y=True)
INPUTS, LABELS = torch.tensor(_inputs / 16).float(), torch.tensor(_labels)


def rows(generator: torch.Generator, step: int) -> torch.Tensor:
    return torch.randperm(len(INPUTS), generator=generator)[:64]


def train(
    loss, *, rate=1e-3, steps=90, draw=rows, inputs=INPUTS, labels=LABELS, unit=False, sgd=False, network=None
):
    """A probe that watched a small training on the digits."""
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = network or nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
    probe = losscope.Probe(loss, model=network, every=10, unit_rows=unit)
    own = [*network.parameters(), *(loss.parameters() if isinstance(loss, nn.Module) else ())]
    optimiser = (torch.optim.SGD if sgd else torch.optim.Adam)(own, lr=rate)
    for step in range(steps):
        chosen = draw(generator, step)
        value = probe(network(inputs[chosen]), labels[chosen])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    return probe


def said(probe) -> list[str]:
    return [found.rule for found in probe.findings]


TRIPLET = "triplet(margin=0.2)"


def test_a_collapse_is_named():
    def pull_only(z, labels):
        return torch.pdist(z).square().mean()

    probe = train(pull_only, rate=1e-2)
    assert said(probe) == ["collapse"]
    assert "fallen onto one point" in probe.findings[0].sentence


def test_a_training_in_which_nothing_is_active_is_named():
    # Two classes on opposite sides, beyond any small margin from the start.
    half = torch.ones(200, 64)
    inputs = torch.cat((half, -half)) + 0.01 * torch.randn(
        400, 64, generator=torch.Generator().manual_seed(0)
    )
    labels = (torch.arange(400) >= 200).long()

    def draw(generator, step):
        return torch.randperm(400, generator=generator)[:64]

    probe = train(losscope.loss("triplet(margin=0.01)"), inputs=inputs, labels=labels, draw=draw)
    (found,) = (found for found in probe.findings if found.rule == "no active term")
    assert found.severity == "alarm" and found.step == doctor.IDLE
    assert "raise it" in found.cure


def test_a_loss_without_a_gradient_is_named():
    def cut_off(z, labels):
        return torch.pdist(z).detach().mean() + 0 * z.sum()

    assert "had no gradient at all" in train(cut_off).findings[0].what


def test_a_training_that_has_learned_all_gets_a_note():
    doctor_ = Doctor(Subject(loss="hinge"))
    for step in range(1, 100):
        active = step < 30
        doctor_.see(step, {"loss": float(active), "embedding_gradient_norm": float(active)})
    assert [(found.severity, found.step) for found in doctor_.findings] == [("note", 29 + doctor.IDLE)]


@pytest.mark.parametrize(
    ("fault", "where"),
    [("inputs", "in the network or its inputs"), ("loss", "it arose in the loss"), ("gradient", "root")],
)
def test_what_is_not_finite_is_named_with_its_step_and_place(fault, where):
    calls = 0

    def broken(z, labels):
        nonlocal calls
        calls += 1
        value = torch.pdist(z).mean()
        if calls == 7 and fault == "loss":
            return value * math.nan
        if calls == 7 and fault == "gradient":
            return value + (z[0] - z[0].detach()).square().sum().sqrt()
        return value

    inputs = INPUTS.clone()

    def draw(generator, step):
        if fault == "inputs" and step == 6:
            inputs[:] = math.inf
        return rows(generator, step)

    found = next(
        f for f in train(broken, inputs=inputs, draw=draw, steps=12).findings if f.rule == "not finite"
    )
    assert found.step == 7 and where in found.sentence


def test_an_overflow_under_a_scaler_is_no_alarm_and_many_are():
    doctor_ = Doctor(Subject(loss="mine"))
    scaled = {"loss": 1.0, "loss_factor": 65536.0, "gradients_not_finite": 3.0}
    for step in range(1, doctor.OVERFLOWS):
        assert doctor_.see(step, scaled) == []
    assert [found.rule for found in doctor_.see(doctor.OVERFLOWS, scaled)] == ["not finite"]


def test_batches_of_one_class_and_batches_without_a_pair_are_named():
    by_class = torch.argsort(LABELS, stable=True)

    def sorted_by_class(generator, step):
        return by_class[10 + 20 * (step % 7) :][:16]

    def one_of_each(generator, step):
        return torch.tensor([int((label == LABELS).nonzero()[step]) for label in range(10)])

    assert "no negatives" in said(train(losscope.loss(TRIPLET), draw=sorted_by_class))
    assert "no positives" in said(train(losscope.loss(TRIPLET), draw=one_of_each))
    vectors = losscope.loss("arcface", num_classes=10, embedding_size=16)
    assert said(train(vectors, draw=one_of_each)) == []


def test_rows_that_are_not_normalised_are_named_where_the_loss_wants_it():
    def cosine(z, labels):
        same = labels[:, None] == labels
        return torch.where(same, 1 - z @ z.T, (z @ z.T).clamp_min(0)).mean()

    def normalised(z, labels):
        return cosine(nn.functional.normalize(z, dim=1), labels)

    assert "not normalised" in said(train(cosine, unit=True, steps=30))
    assert said(train(normalised, steps=30)) == []


def test_duplicate_rows_are_named():
    def twice(generator, step):
        return rows(generator, step)[:32].repeat(2)

    probe = train(losscope.loss(TRIPLET), draw=twice)
    assert said(probe) == ["duplicate rows"]
    assert "50 %" in probe.findings[0].what


@pytest.mark.parametrize(("rate", "sgd"), [(0.3, False), (100.0, True)])
def test_a_learning_rate_that_is_too_high_is_named(rate, sgd):
    assert "learning rate too high" in said(train(losscope.loss("info_nce"), rate=rate, sgd=sgd))


@pytest.mark.parametrize("disease", ["other model", "rate of 0", "never stepped"])
def test_weights_that_never_move_are_named(disease):
    network, other = nn.Linear(64, 16), nn.Linear(64, 16)
    probe = losscope.Probe(losscope.loss("info_nce"), model=network, every=50)
    own = other if disease == "other model" else network
    optimiser = torch.optim.SGD(own.parameters(), lr=0.0 if disease == "rate of 0" else 0.01)
    generator = torch.Generator().manual_seed(1)
    for step in range(260):
        chosen = rows(generator, step)
        value = probe(network(INPUTS[chosen]), LABELS[chosen])
        network.zero_grad()
        value.backward()
        if disease != "never stepped":
            optimiser.step()
    assert said(probe) == ["weights that never move"]


def test_gradients_that_are_accumulated_over_many_steps_are_no_alarm():
    doctor_ = Doctor(Subject(loss="mine", model=True))
    for step in range(1, 1000):
        moved = {"update_norm": 1.0, "weight_norm": 30.0} if step % 128 == 0 else {}
        doctor_.see(step, {"embedding_gradient_norm": 1.0, **moved})
    assert doctor_.findings == []


def test_weights_that_begin_at_zero_are_no_alarm():
    doctor_ = Doctor(Subject(loss="mine"))
    for step in range(1, 100):
        doctor_.see(step, {"update_norm": 1.0, "weight_norm": step - 1.0})
    assert doctor_.findings == []


SOUND = [
    (TRIPLET, 1e-3, False),
    (TRIPLET, 1e-2, False),
    ("triplet(margin=0.2, tuples=semihard)", 3e-3, False),
    ("contrastive(margin=0.5)", 1e-2, False),
    ("contrastive(margin=1.0)", 0.1, True),
    ("info_nce(temperature=0.1)", 1e-2, False),
    ("sup_con(temperature=0.1)", 0.1, True),
    ("multi_similarity", 3e-3, False),
    ("circle", 1e-3, False),
    ("n_pair", 1e-3, False),
    ("arcface", 1e-2, False),
    ("proxy_anchor", 1e-3, False),
]


@pytest.mark.parametrize(("name", "rate", "sgd"), SOUND)
def test_a_sound_training_has_no_alarm(name, rate, sgd):
    loss = losscope.loss(name, num_classes=10, embedding_size=16)
    assert [found for found in train(loss, rate=rate, sgd=sgd).findings if found.severity == "alarm"] == []


def test_each_finding_is_said_once_as_a_warning_of_the_logger(caplog):
    probe = losscope.Probe(lambda z, labels: z.sum() * math.nan, name="mine", every=1)
    with caplog.at_level(logging.WARNING, "losscope.probe"):
        for _ in range(5):
            probe(torch.ones(4, 2, requires_grad=True), torch.tensor([0, 0, 1, 1])).backward()
        probe.close()
    lines = [record.getMessage() for record in caplog.records]
    assert sum("not finite" in line for line in lines) == 1
    assert lines[0].startswith("mine: step 1, not finite: the loss is NaN while")


def test_a_record_read_back_is_told_the_same(tmp_path):
    def pull_only(z, labels):
        return torch.pdist(z).square().mean()

    probe = train(pull_only, rate=1e-2)
    assert list(probe.record().findings()) == probe.findings


def own_cross_entropy(z, labels):
    return nn.functional.cross_entropy(z, labels)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.functional.cross_entropy, own_cross_entropy])
def test_a_classifier_needs_no_positives_and_is_at_no_margin(loss):
    many = torch.arange(len(INPUTS))  # no label twice
    assert said(train(loss, network=nn.Linear(64, len(INPUTS)), labels=many, steps=30)) == []
    random = torch.randint(0, 16, LABELS.shape, generator=torch.Generator().manual_seed(0))
    assert said(train(loss, labels=random, steps=130)) == []


def test_a_loss_that_sees_no_labels_is_said_to_be_that_and_nothing_else():
    def blind(z, labels):
        return torch.pdist(z).square().mean().neg().exp()

    probe = losscope.Probe(blind, every=1)
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        probe(torch.randn(24, 2, generator=generator).requires_grad_(), torch.arange(24) % 4).backward()
    assert "blind to labels" in said(probe) and "no active negative" not in said(probe)


def test_rows_that_were_equal_from_the_start_have_not_fallen_onto_a_point():
    network = nn.Sequential(nn.Linear(64, 16), nn.ReLU())
    nn.init.constant_(network[0].bias, -10.0)
    assert said(train(losscope.loss(TRIPLET), network=network, steps=130)) == ["no active term"]
