"""What the doctor asks a copy of the loss: the answers are right, and the training does not notice."""

from __future__ import annotations

import functools
import math
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import losscope
from losscope.probe.asking import ANGLE, PATIENCE, _shuffled, _turned
from losscope.probe.copying import LARGEST, copy_of

ROWS, CLASSES, SIZE = 24, 4, 8
LABELS = torch.arange(ROWS) % CLASSES
ASKED = {"loss_of_equal_rows", "label_effect", "turning_effect", "length_effect"}
KEPT: list[float] = []


def embeddings(seed: int = 0) -> Tensor:
    return torch.randn(ROWS, SIZE, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def ours(name: str):
    return losscope.loss(name, num_classes=CLASSES, embedding_size=SIZE)


def answers(loss, *arguments, **more) -> dict[str, float]:
    probe = losscope.Probe(loss, every=1, **more)
    given = arguments or (embeddings(), LABELS)
    probe(*given).backward()
    return {row.name: row.value for row in probe.record().rows if row.name in ASKED}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("triplet(margin=0.3)", 0.3),
        ("triplet(margin=0.3, squared=True)", 0.3),
        ("contrastive(margin=0.5)", 0.25 * 18 / 23),  # 18 of each row's 23 partners are negatives
        ("info_nce(temperature=0.2, in_batch=True)", math.log(19)),  # a positive beside all 18 negatives
        ("sup_con(temperature=0.2)", math.log(23)),  # all 23 others
    ],
)
def test_the_loss_of_equal_rows_is_what_the_formula_says(name, wanted):
    assert answers(ours(name))["loss_of_equal_rows"] == pytest.approx(wanted, rel=1e-9)


def test_a_loss_of_another_library_is_asked_alike():
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    assert answers(losses.TripletMarginLoss(0.3))["loss_of_equal_rows"] == pytest.approx(0.3, rel=1e-6)
    found = answers(losses.NTXentLoss(0.2))
    assert found["loss_of_equal_rows"] == pytest.approx(math.log(19), rel=1e-6)
    assert (
        abs(found["length_effect"]) < 1e-6
        and abs(found["label_effect"]) > 1e-3
        and abs(found["turning_effect"]) > 1e-4
    )
    vectors = answers(losses.ArcFaceLoss(CLASSES, SIZE))
    assert set(vectors) == {"label_effect", "length_effect"}
    memory = losses.CrossBatchMemory(losses.ContrastiveLoss(), SIZE, 64)
    assert abs(answers(memory)["label_effect"]) > 1e-3


def test_each_class_is_turned_as_a_whole():
    rows = embeddings().detach().double()
    turned, labels = _turned(rows, LABELS, 3)
    assert torch.equal(labels, LABELS)
    before, after = torch.cdist(rows, rows), torch.cdist(turned, turned)
    same = LABELS[:, None] == LABELS
    torch.testing.assert_close(after[same], before[same], rtol=1e-9, atol=1e-7)
    assert ((after - before).abs()[~same] > 1e-4).float().mean() > 0.9
    torch.testing.assert_close(turned.norm(dim=1), rows.norm(dim=1))
    angle = torch.linalg.vector_norm(turned - rows, dim=1) / rows.norm(dim=1)
    assert float(angle.max()) <= ANGLE and _turned(rows, torch.zeros(ROWS), 3) is None
    assert _turned(rows[:, :1], LABELS, 3) is None


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], [0, 0, 1, 2], [5, 5, 5, 7]])
def test_shuffled_labels_put_other_rows_together(labels):
    given = torch.tensor(labels)
    _, found = _shuffled(torch.zeros(4, 2), given, 1)
    assert sorted(found.tolist()) == sorted(labels)
    assert not torch.equal(found[:, None] == found, given[:, None] == given)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_labels_that_no_order_changes_are_not_asked_about(labels):
    assert _shuffled(torch.zeros(4, 2), torch.tensor(labels), 1) is None


def counting():
    calls = 0

    def loss(z: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.cdist(z, z)[labels[:, None] == labels].mean() * calls

    return loss


def remembering():
    queue: list[Tensor] = []

    def loss(z: Tensor, labels: Tensor) -> Tensor:
        queue.append(z.detach())
        return torch.cdist(z, torch.cat(queue)).mean() + z[labels == 0].square().mean()

    return loss


def at_the_file(z: Tensor, labels: Tensor) -> Tensor:
    KEPT.append(len(KEPT))
    return z[labels == 0].square().mean() * len(KEPT)


def by_chance(z: Tensor, labels: Tensor) -> Tensor:
    weight = torch.rand(()) + random.random() + np.random.rand()
    return nn.functional.dropout(z, 0.5)[labels > 0].square().mean() * weight


class Moving(nn.Module):
    """Prototypes that follow the embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(SIZE))
        self.seen = [0]

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        self.middle.mul_(0.9).add_(z.detach().mean(0), alpha=0.1)
        self.seen[0] += 1
        return (z - self.middle)[labels > 0].square().mean() * self.seen[0]


def memory():
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    return losses.CrossBatchMemory(losses.ContrastiveLoss(), SIZE, 64)


STATEFUL = {
    "counting": counting,
    "remembering": remembering,
    "at the file": lambda: at_the_file,
    "by chance": lambda: by_chance,
    "moving": Moving,
    "memory": memory,
    "semihard, drawn": lambda: ours("triplet(margin=0.2, tuples=distance_weighted)"),
    "partial": lambda: functools.partial(by_chance),
}


@pytest.mark.parametrize("name", STATEFUL)
def test_a_training_is_the_same_bit_for_bit_with_questions(name):
    found = []
    for probed in (False, True):
        KEPT.clear()
        random.seed(0)
        np.random.seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss = STATEFUL[name]()
            called = losscope.Probe(loss, every=1) if probed else loss
            kept = []
            for step in range(6):
                z = embeddings(step)
                value = called(z, LABELS)
                value.backward()
                kept += [value.item(), z.grad]
            kept += [torch.rand(3), random.random(), np.random.rand()]
        found.append(kept)
    asked = {row.name for row in called.record().rows} & ASKED
    assert asked, "nothing was asked, so that nothing was tested"
    for alone, own in zip(*found, strict=True):
        assert torch.equal(alone, own) if isinstance(alone, Tensor) else alone == own


def test_what_cannot_be_copied_for_certain_is_not_asked(tmp_path):
    file = (tmp_path / "log").open("w")

    def logging(z: Tensor, labels: Tensor) -> Tensor:
        file.write("called\n")
        return z[labels == 0].square().mean()

    assert answers(logging) == {}
    file.close()
    assert (tmp_path / "log").read_text() == "called\n"
    hooked = ours("triplet")
    hooked.register_forward_hook(lambda *_: None)
    assert copy_of(hooked) is None or answers(hooked) == {}
    large = nn.Module()
    large.register_buffer("queue", torch.zeros(LARGEST // 4 + 1))
    assert copy_of(large) is None


def test_where_nothing_is_asked():
    loss = ours("triplet(margin=0.2)")
    assert answers(loss, ask=False) == {}
    miners = pytest.importorskip("pytorch_metric_learning.miners")
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    z = embeddings()
    assert answers(losses.TripletMarginLoss(), z, LABELS, miners.BatchHardMiner()(z, LABELS)) == {}
    assert answers(lambda a, b: (a * b).sum(), embeddings(1), embeddings(2)) == {}
    assert answers(lambda z: z.square().mean(), embeddings()) == {}


def test_a_loss_that_refuses_a_question_goes_on_training():
    def picky(z: Tensor, labels: Tensor) -> Tensor:
        if not z.requires_grad:
            raise RuntimeError("never given such rows")
        return z[labels == 0].square().mean()

    probe = losscope.Probe(picky, every=1)
    for step in range(3):
        probe(embeddings(step), LABELS).backward()
    assert probe.record().curve("loss")[0] == [1, 2, 3] and probe.findings == []


def test_a_loss_that_fails_midway_in_float64_is_asked_no_more_seldom():
    known = embeddings().detach()

    def fails_once_turned(z, labels):
        turned = z.norm(dim=1).allclose(known.norm(dim=1).to(z)) and not z.allclose(known.to(z))
        if z.dtype == torch.float64 and turned:
            raise RuntimeError("float32 alone")
        return torch.cdist(z, z).mean()

    probe = losscope.Probe(fails_once_turned, every=1)
    for _ in range(PATIENCE + 2):
        probe(embeddings(), LABELS).backward()
    record = probe.record()
    assert record.curve("turning_effect")[0] == [1]
    assert record.curve("label_effect")[0] == list(range(1, PATIENCE + 1))


def faint(z, labels):
    return 1 + 1e-3 * nn.functional.cross_entropy(z, labels)


def own_cross_entropy(z, labels):
    return nn.functional.cross_entropy(z, labels, weight=torch.linspace(1, 2, SIZE).to(torch.float32))


@pytest.mark.parametrize(
    "loss", [own_cross_entropy, faint, lambda z, labels: (z.sum(1) - labels).square().sum()]
)
def test_a_loss_that_takes_each_row_alone_is_known_by_what_it_answers(loss):
    probe = losscope.Probe(loss, every=1)
    for seed in range(3):
        probe(embeddings(seed), LABELS).backward()
    names = {row.name for row in probe.record().rows}
    assert abs(probe.record().curve("pair_effect")[1][0]) < 5e-5 and "label_effect" in names
    assert not names & {"loss_of_equal_rows", "turning_effect"}


@pytest.mark.parametrize(
    "name", ["triplet(margin=0.3)", "contrastive(margin=0.5)", "info_nce", "sup_con", "multi_similarity"]
)
@pytest.mark.parametrize("rows", [24, 256])
def test_a_loss_that_compares_rows_is_known_as_one(name, rows):
    probe = losscope.Probe(ours(name), every=1)
    draw, labels = torch.Generator().manual_seed(0), torch.arange(rows) % CLASSES
    given = torch.randn(rows, SIZE, generator=draw) + torch.randn(CLASSES, SIZE, generator=draw)[labels]
    probe(given.requires_grad_(), labels).backward()
    assert abs(probe.record().curve("pair_effect")[1][0]) > 1e-3


def test_where_nothing_is_active_no_question_tells_whether_rows_are_compared():
    probe = losscope.Probe(ours("contrastive(margin=0.001)"), every=1)
    probe(embeddings(), torch.arange(ROWS)).backward()
    assert "pair_effect" not in {row.name for row in probe.record().rows}
