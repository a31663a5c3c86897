"""``losscope.Probe``: value and gradient are the loss's own, and what is recorded is what happened."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import losscope
from losscope.cli import app
from losscope.core.errors import LosscopeError
from losscope.measures import greediness
from losscope.probe.record import holds_probe
from losscope.run import upkeep

ROWS, CLASSES, SIZE = 24, 4, 8
LABELS = torch.arange(ROWS) % CLASSES


def embeddings(seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    drawn = torch.randn(ROWS, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(dtype).requires_grad_()


def mine(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    same = labels[:, None] == labels
    return torch.where(same, 1.0, -1.0).mul(torch.cdist(z, z)).mean()


def values(probe: losscope.Probe, name: str) -> list[float]:
    return probe.record().curve(name)[1]


def ours(name: str):
    return losscope.loss(name, num_classes=CLASSES, embedding_size=SIZE)


def train(loss, call, steps: int = 12):
    """The values and final weights of a small training."""
    generator = torch.Generator().manual_seed(3)
    network = nn.Linear(6, SIZE)
    with torch.no_grad():
        network.weight.copy_(torch.randn(SIZE, 6, generator=generator))
        network.bias.zero_()
    optimiser = torch.optim.Adam([*network.parameters(), *getattr(loss, "parameters", list)()], lr=1e-2)
    kept = []
    for _ in range(steps):
        value = call(loss, network(torch.randn(ROWS, 6, generator=generator)))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        kept.append(value.item())
    return kept, [weight.detach().clone() for weight in network.parameters()]


def plain(loss, z):
    return loss(z, LABELS)


OURS = ("triplet(margin=0.2)", "contrastive", "info_nce", "circle", "arcface", "proxy_anchor")


@pytest.mark.parametrize("name", OURS)
def test_values_and_gradients_of_our_losses_are_bitwise_the_same(name):
    alone = train(ours(name), plain)
    probe = losscope.Probe(ours(name), every=3)
    probed = train(probe, plain)
    assert alone[0] == probed[0] == values(probe, "loss")
    assert all(torch.equal(a, b) for a, b in zip(alone[1], probed[1], strict=True))


def test_a_function_is_called_as_it_is():
    alone, probed = train(mine, plain), train(losscope.Probe(mine, every=2), plain)
    assert alone[0] == probed[0]
    assert all(torch.equal(a, b) for a, b in zip(alone[1], probed[1], strict=True))


@pytest.mark.parametrize("mined", ["", "miner", "references"])
def test_pytorch_metric_learning_is_bitwise_the_same(mined):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    miners = pytest.importorskip("pytorch_metric_learning.miners")
    miner = miners.TripletMarginMiner(margin=0.2)
    others = embeddings(5).detach()

    def call(loss, z):
        if mined == "miner":
            return loss(z, LABELS, miner(z, LABELS))
        if mined == "references":
            return loss(z, LABELS, ref_emb=others, ref_labels=LABELS.clone())
        return loss(z, LABELS)

    alone = train(losses.TripletMarginLoss(0.2), call)
    probe = losscope.Probe(losses.TripletMarginLoss(0.2), every=4)
    probed = train(probe, call)
    assert alone[0] == probed[0]
    assert all(torch.equal(a, b) for a, b in zip(alone[1], probed[1], strict=True))
    assert probe.margin == 0.2
    names = set(probe.record().frame()["name"])
    assert ("tuples" in names) == (mined == "miner")
    # Positives may stand among the references, where the labels of the batch do not say it.
    assert ("rows_with_positive" in names) == (mined != "references")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_recorded_of_the_gradient_is_the_gradients(dtype):
    z, probe = embeddings(dtype=dtype), losscope.Probe(mine, every=1)
    probe(z, LABELS).backward()
    norms = z.grad.double().norm(dim=1)
    for name, value in greediness.step_summary(norms).items():
        np.testing.assert_allclose(values(probe, name), [float(value)], rtol=1e-6)
    np.testing.assert_allclose(values(probe, "embedding_gradient_norm"), [float(norms.norm())], rtol=1e-6)
    np.testing.assert_allclose(values(probe, "row_gradient_norm"), [float(norms.mean())], rtol=1e-6)
    np.testing.assert_allclose(values(probe, "row_gradient_norm_max"), [float(norms.max())], rtol=1e-6)
    lengths = z.detach().double().norm(dim=1)
    np.testing.assert_allclose(values(probe, "embedding_norm"), [float(lengths.mean())], rtol=1e-6)
    assert values(probe, "rows_with_positive") == values(probe, "rows_with_negative") == [1.0]


def test_a_look_is_what_the_measures_say():
    z, probe = embeddings(), losscope.Probe(ours("triplet(margin=0.2)"), every=1)
    probe(z, LABELS).backward()
    found = losscope.geometry(z.detach(), LABELS)
    for name in ("intra_variance", "inter_distance", "intra_inter_ratio", "effective_rank"):
        np.testing.assert_allclose(values(probe, name), [found[name]], rtol=1e-9)
    unit = nn.functional.normalize(z.detach().double())
    centre = unit.mean(0)
    np.testing.assert_allclose(values(probe, "spread"), [1 - float(centre @ centre)], rtol=1e-6)
    assert values(probe, "duplicate_rows") == [0.0]
    # Every triplet by hand.
    near = np.linalg.norm(unit.numpy()[:, None] - unit.numpy(), axis=2)
    labels = LABELS.numpy()
    terms = [
        near[a, p] - near[a, n] + 0.2 > 0
        for a in range(ROWS)
        for p in range(ROWS)
        for n in range(ROWS)
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]
    ]
    np.testing.assert_allclose(values(probe, "active_ratio"), [np.mean(terms)], atol=1e-12)
    assert 0 <= values(probe, "greedy_share")[0] <= 1 and 0 <= values(probe, "hard_share")[0] <= 1


def test_what_multiplies_the_loss_is_divided_out():
    bare, scaled = losscope.Probe(mine), losscope.Probe(mine)
    bare(embeddings(), LABELS).backward()
    z = embeddings()
    (scaled(z, LABELS) * 1024 / 4).backward()
    assert values(scaled, "loss_factor") == [256.0]
    name = "embedding_gradient_norm"
    np.testing.assert_allclose(values(scaled, name), values(bare, name), rtol=1e-6)
    assert float(z.grad.norm()) > 100 * values(scaled, name)[0]


def test_a_scaler_and_autocast():
    network, probe = nn.Linear(6, SIZE), losscope.Probe(mine, every=1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = network(torch.randn(ROWS, 6, generator=generator))
            value = probe(z, LABELS)
        assert z.dtype == torch.bfloat16
        scaler.scale(value).backward()
        scaler.step(optimiser)
        scaler.update()
    assert values(probe, "loss_factor") == [1024.0] * 3
    assert all(0 < norm < 10 for norm in values(probe, "embedding_gradient_norm"))


def test_accumulated_steps_are_steps_of_their_own():
    network = nn.Linear(6, SIZE)
    probe = losscope.Probe(mine, model=network, every=1)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for step in range(4):
        (probe(network(torch.randn(ROWS, 6, generator=generator)), LABELS) / 2).backward()
        if step % 2:
            norm = float(torch.cat([p.grad.flatten() for p in network.parameters()]).norm())
            before = torch.cat([p.detach().flatten() for p in network.parameters()])
            optimiser.step()
            optimiser.zero_grad()
    steps, norms = probe.record().curve("parameter_gradient_norm")
    assert steps == [2, 4] and norms[-1] == pytest.approx(norm, rel=1e-6)
    assert values(probe, "update_norm")[-1] == pytest.approx(0.1 * norm, rel=1e-5)
    assert values(probe, "weight_norm")[-1] == pytest.approx(float(before.norm()), rel=1e-6)
    assert values(probe, "loss_factor") == [0.5] * 4


@pytest.mark.parametrize("given", ["by place", "by name"])
def test_a_closure_computes_the_gradient_that_is_recorded(given):
    """Lightning gives each optimiser a closure; the gradient before the step is that of the step before."""
    inputs = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(0))
    weights, norms = [], []
    for called in (mine, probe := losscope.Probe(mine)):
        network = nn.Linear(6, SIZE)
        with torch.no_grad():
            network.weight.copy_(torch.arange(6.0 * SIZE).reshape(SIZE, 6).sin())
            network.bias.zero_()
        optimiser = torch.optim.Adam(network.parameters(), lr=0.1)

        def closure(called=called, network=network, optimiser=optimiser):
            optimiser.zero_grad()
            value = called(network(inputs), LABELS)
            value.backward()
            norms.append(float(torch.stack([part.grad.norm() for part in network.parameters()]).norm()))
            return value

        if called is probe:
            from losscope.probe.optimising import Optimising

            probe.recorder.optimising = Optimising(network, probe.recorder.take_update)
            norms.clear()
        for _ in range(4):
            value = optimiser.step(closure) if given == "by place" else optimiser.step(closure=closure)
            assert value.requires_grad
        weights.append(network.weight.detach().clone())
    assert torch.equal(*weights)
    steps, found = probe.record().curve("parameter_gradient_norm")
    assert steps == [1, 2, 3, 4] and found == pytest.approx(norms, rel=1e-6)


def test_the_steps_of_two_optimisers_after_a_call_are_one():
    network = nn.Sequential(nn.Linear(6, SIZE), nn.Linear(SIZE, SIZE))
    probe = losscope.Probe(mine, model=network)
    both = [torch.optim.SGD(part.parameters(), lr=0.1) for part in network]
    for _ in range(2):
        network.zero_grad()
        probe(network(torch.ones(ROWS, 6).cumsum(0)), LABELS).backward()
        norm = float(torch.cat([p.grad.flatten() for p in network.parameters()]).norm())
        weight = float(torch.cat([p.detach().flatten() for p in network.parameters()]).norm())
        for optimiser in both:
            optimiser.step()
    steps, norms = probe.record().curve("parameter_gradient_norm")
    assert steps == [1, 2] and norms[-1] == pytest.approx(norm, rel=1e-6)
    assert values(probe, "update_norm")[-1] == pytest.approx(0.1 * norm, rel=1e-5)
    assert values(probe, "weight_norm")[-1] == pytest.approx(weight, rel=1e-6)


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_a_compiled_loss_that_a_probe_is_on_is_read():
    loss = ours("triplet(margin=0.2)")
    compiled = torch.compile(loss, backend="eager")
    wanted = compiled(embeddings(), LABELS)
    probe = losscope.Probe(loss, every=1)
    detach = probe.attach()
    value = compiled(z := embeddings(), LABELS)
    value.backward()
    assert value.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert values(probe, "loss") == [value.item()]
    assert values(probe, "embedding_gradient_norm") == pytest.approx([float(z.grad.norm())], rel=1e-6)
    detach()
    assert compiled(embeddings(), LABELS).item() == wanted.item() and probe.record().steps == 1
    torch.compiler.reset()


def test_one_backward_for_several_calls_and_calls_without_backward():
    probe = losscope.Probe(mine, every=1)
    first, second = embeddings(1), embeddings(2)
    (probe(first, LABELS) + probe(second, LABELS)).backward()
    probe(embeddings(3), LABELS)
    assert probe.record().curve("loss")[0] == [1, 2, 3]
    steps, norms = probe.record().curve("embedding_gradient_norm")
    assert steps == [1, 2]
    np.testing.assert_allclose(norms, [float(first.grad.norm()), float(second.grad.norm())], rtol=1e-6)


def test_a_leaf_that_is_given_again_is_read_once_for_each_call():
    probe, z = losscope.Probe(mine, every=1), embeddings()
    for _ in range(5):
        probe(z, LABELS).backward()
    assert len(values(probe, "embedding_gradient_norm")) == 5
    assert len(z._backward_hooks or ()) == 0


def test_towers_are_read_together_and_apart():
    def towers(query, document):
        return -(query * document).sum(1).mean()

    probe = losscope.Probe(towers, every=1)
    query, document = embeddings(1), embeddings(2)
    probe(query, document).backward()
    for place, side in enumerate((query, document), 1):
        wanted = float(side.grad.norm())
        assert values(probe, f"embedding_gradient_norm_{place}")[0] == pytest.approx(wanted, rel=1e-6)
    both = float(torch.cat((query.grad, document.grad)).norm())
    assert values(probe, "embedding_gradient_norm")[0] == pytest.approx(both, rel=1e-6)
    assert values(probe, "rows") == [2.0 * ROWS]
    assert "intra_variance" not in set(probe.record().frame()["name"])


def test_without_gradient_only_the_loss_is_recorded():
    probe = losscope.Probe(mine, every=1)
    probe(embeddings(), LABELS).backward()
    with torch.no_grad():
        value = probe(embeddings(1), LABELS)
    frame = probe.record().frame()
    assert values(probe, "loss_without_gradient") == [value.item()]
    assert set(frame[frame["name"] == "loss"]["step"]) == {1}


def test_the_epoch_is_what_the_loop_says():
    probe = losscope.Probe(mine)
    for epoch in (None, 1, 2):
        probe.epoch = epoch
        probe(embeddings(), LABELS).backward()
    frame = probe.record().frame()
    epochs = frame[frame["name"] == "loss"]["epoch"]
    assert epochs.isna().tolist() == [True, False, False] and epochs.tolist()[1:] == [1, 2]


def test_sentence_transformers_losses_are_read_where_they_meet_the_embeddings():
    found = pytest.importorskip("sentence_transformers.sentence_transformer.losses")

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, SIZE, bias=False)
            with torch.no_grad():
                self.head.weight.copy_(torch.arange(6.0 * SIZE).reshape(SIZE, 6).sin())

        def forward(self, features):
            return {"sentence_embedding": self.head(features["x"])}

    generator = torch.Generator().manual_seed(0)
    features = [{"x": torch.randn(ROWS, 6, generator=generator)}]
    gradients = []
    for probed in (False, True):
        encoder = Encoder()
        loss = found.BatchAllTripletLoss(encoder, margin=1.0)
        called = losscope.Probe(loss, every=1) if probed else loss
        called(features, LABELS).backward()
        gradients.append(encoder.head.weight.grad)
    assert torch.equal(*gradients)
    assert values(called, "rows") == [ROWS] and values(called, "embedding_gradient_norm")[0] > 0
    assert values(called, "rows_with_positive") == [1.0]
    assert "compute_loss_from_embeddings" not in vars(loss)


def test_a_loss_that_meets_its_embeddings_inside_may_have_two_probes():
    class Own(nn.Module):
        def forward(self, features, labels):
            return self.compute_loss_from_embeddings([2 * features["x"]], labels)

        def compute_loss_from_embeddings(self, embeddings, labels):
            return torch.cdist(embeddings[0], embeddings[0])[labels[:, None] == labels].mean()

    loss = Own()
    inside, outside = losscope.Probe(loss), losscope.Probe(loss)
    detach = inside.attach()
    outside({"x": torch.randn(ROWS, SIZE).requires_grad_()}, LABELS).backward()
    detach()
    assert values(inside, "rows") == values(outside, "rows") == [ROWS]
    assert not {"compute_loss_from_embeddings", "forward"} & set(vars(loss))


def test_two_probes_on_a_loss_of_ours_record_the_same_terms():
    loss = losscope.loss("triplet(margin=0.2)")
    inside, outside = losscope.Probe(loss, every=1), losscope.Probe(loss, every=1)
    detach = inside.attach()
    for _ in range(2):
        outside(torch.randn(ROWS, SIZE).requires_grad_(), LABELS).backward()
    detach()
    assert inside.record().rows == outside.record().rows
    assert values(inside, "active") and "watch" not in vars(loss)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch's compiler, which looks at it
def test_a_loss_under_the_compiler_is_read_outside_of_it():
    probe = losscope.Probe(mine, every=1)
    called = torch.compile(lambda z, labels: 2 * probe(z, labels), backend="eager")
    z = embeddings()
    called(z, LABELS).backward()
    assert values(probe, "loss_factor") == [2.0]
    assert values(probe, "embedding_gradient_norm")[0] == pytest.approx(float(z.grad.norm()) / 2, rel=1e-6)


def test_copies_compute_and_record_nothing():
    probe = losscope.Probe(ours("triplet"), every=1)
    for other in (copy.deepcopy(probe), pickle.loads(pickle.dumps(probe))):
        value = other(embeddings(), LABELS)
        assert torch.equal(value, probe.loss(embeddings(), LABELS))
        assert other.findings == [] and other.folder is None
    assert probe.record().steps == 0


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(LosscopeError, match="a module or a function that is called is wanted"):
        losscope.Probe("triplet")
    with pytest.raises(LosscopeError, match="every is 0"):
        losscope.Probe(mine, every=0)
    with pytest.raises(LosscopeError, match=r"returned a tensor of shape \(24,\)"):
        losscope.Probe(lambda z, labels: z.sum(1))(embeddings(), LABELS)
    with pytest.raises(LosscopeError, match="returned a dict"):
        losscope.Probe(lambda z, labels: {"loss": z.sum()})(embeddings(), LABELS)
    with pytest.raises(LosscopeError, match="holds no probe"):
        losscope.load_probe(tmp_path)


def test_a_batch_of_one_is_recorded():
    probe = losscope.Probe(lambda z, labels: z.square().sum(), every=1)
    probe(torch.ones(1, 3, requires_grad=True), torch.tensor([0])).backward()
    assert values(probe, "rows") == [1.0] and values(probe, "rows_with_positive") == [0.0]


def test_the_record_on_disk_is_what_was_recorded(tmp_path):
    with losscope.Probe(mine, out=tmp_path, name="first", every=2) as probe:
        for step in range(5):
            probe(embeddings(step), LABELS).backward()
        assert not losscope.load_probe(tmp_path).closed
        kept = probe.record()
    found = losscope.load_probe(tmp_path, "first")
    assert found.closed and found.rows == kept.rows and found.steps == 5
    assert list(found.frame().columns) == ["step", "epoch", "name", "value"]
    assert len(found.curve("spread")[0]) == 3
    assert losscope.load_probe(probe.folder).rows == found.rows
    with losscope.Probe(mine, out=tmp_path, name="second"):
        pass
    assert losscope.load_probe(tmp_path).mark.name == "second"
    with pytest.raises(LosscopeError, match="did you mean 'second'"):
        losscope.load_probe(tmp_path, "secnod")
    with pytest.raises(LosscopeError, match="unknown quantity"):
        found.curve("lost")


def test_a_damaged_part_is_said(tmp_path):
    with losscope.Probe(mine, out=tmp_path) as probe:
        probe(embeddings(), LABELS).backward()
    part = probe.folder / "part-1.parquet"
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(LosscopeError, match="part-1.parquet' is damaged"):
        losscope.load_probe(tmp_path)


def test_the_care_of_a_store_spares_probes(tmp_path):
    with losscope.Probe(mine, out=tmp_path) as probe:
        probe(embeddings(), LABELS).backward()
    before = losscope.load_probe(tmp_path).rows
    assert upkeep.check(tmp_path).problems == ()
    assert upkeep.gc(tmp_path, yes=True) == []
    assert losscope.load_probe(tmp_path).rows == before


def test_the_page_shows_the_curves_and_what_the_doctor_says(tmp_path, capsys):
    with losscope.Probe(mine, out=tmp_path, name="a <b> loss", every=1) as probe:
        for step in range(5):
            probe(embeddings(step), LABELS).backward()
        probe(embeddings() * float("nan"), LABELS)
    app(["report", str(tmp_path)], result_action="return_value")
    said = capsys.readouterr().out
    assert "6 steps of mine; the batch is looked at in every step." in said
    assert "alarm: step 6, not finite" in said
    page = (probe.folder / "probe.html").read_text()
    assert "a &lt;b&gt; loss" in page and "a <b> loss" not in page
    for heading in ("What the doctor says", "The loss", "Where the gradient goes", "How the batches lie"):
        assert f">{heading}</h2>" in page
    assert "before the loss sees them" in page
    with pytest.raises(LosscopeError, match="has a page, csv and parquet"):
        app(["report", str(tmp_path), "--format", "latex"], result_action="return_value", exit_on_error=False)
    app(["report", str(tmp_path), "--format", "csv"], result_action="return_value", exit_on_error=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "probe,step,epoch,name,value" and lines[1].startswith("a <b> loss,1,,")
    command = ["report", str(tmp_path), "--format", "parquet", "--out", str(tmp_path / "out")]
    app(command, result_action="return_value", exit_on_error=False)
    kept = pd.read_parquet(tmp_path / "out" / "probes.parquet")
    assert len(kept) == len(lines) - 1


def test_a_store_with_a_study_and_a_probe_reports_the_study(tmp_path):
    with losscope.Probe(mine, out=tmp_path) as probe:
        probe(embeddings(), LABELS).backward()
    assert holds_probe(tmp_path) and holds_probe(probe.folder)
    (tmp_path / "studies" / "mine").mkdir(parents=True)
    (tmp_path / "studies" / "mine" / "study.json").touch()
    assert not holds_probe(tmp_path) and holds_probe(probe.folder)


LOOP = """
    import itertools, sys, torch, losscope
    from losscope.probe import record
    record.SECONDS = record.SHARE = 0.0
    probe = losscope.Probe(lambda z, y: torch.cdist(z, z)[y[:, None] != y].mean(), out=sys.argv[1], every=1)
    for step in itertools.count(1):
        rows = torch.ones(4, 3).mul(torch.arange(4.0)[:, None]).requires_grad_()
        probe(rows, torch.arange(4) // 2).backward()
        if step == {stop}:
            print("ready", flush=True)
            {then}
"""


def run(folder: Path, stop: int, then: str) -> subprocess.Popen[str]:
    code = textwrap.dedent(LOOP).format(stop=stop, then=then)
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_killed_training_leaves_a_record_that_is_read(tmp_path):
    process = run(tmp_path, 20, "pass")
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = losscope.load_probe(tmp_path)
    assert not found.closed and found.steps >= 19
    assert found.curve("loss")[0] == list(range(1, found.steps + 1))
    assert found.findings() == ()


def test_a_script_that_ends_closes_its_record(tmp_path):
    process = run(tmp_path, 20, "break")
    process.communicate()
    assert process.returncode == 0
    found = losscope.load_probe(tmp_path)
    assert found.closed and found.steps == 20
