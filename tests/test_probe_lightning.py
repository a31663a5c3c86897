"""A probe in Lightning's trainer, of both packages: nothing changes, and what is recorded happened."""

from __future__ import annotations

import copy
import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

import losscope
from losscope.core.errors import LosscopeError

lightning = pytest.importorskip("lightning.pytorch", reason="losscope[lightning] is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own, about torch, GPUs and loaders

ROWS, BATCHES = 16, 6
DATA = torch.randn(ROWS * BATCHES, 6, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(ROWS * BATCHES) % 4


class Net(lightning.LightningModule):
    """One linear layer and a loss with class vectors, whose parameters are in every checkpoint."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 8)
        self.criterion = losscope.loss("arcface", num_classes=4, embedding_size=8)
        self.lr, self.norms, self.parts = lr, [], []

    def training_step(self, batch, _):
        value = self.criterion(self.layer(batch[0]), batch[1])
        self.parts.append(value.item())
        return value

    def validation_step(self, batch, _):
        return self.criterion(self.layer(batch[0]), batch[1])

    def on_before_optimizer_step(self, optimizer):
        norms = [p.grad.norm() for p in self.parameters()]
        self.norms.append(float(torch.stack(norms).norm()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def loader():
    data = torch.utils.data.TensorDataset(DATA, CLASSES)
    return torch.utils.data.DataLoader(data, batch_size=ROWS)


def trainer(package=lightning, **more):
    plain = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "logger": False,
    }
    return package.Trainer(**{"max_epochs": 2, "enable_checkpointing": False, **plain, **more})


def net(kind=Net, **more):
    torch.manual_seed(0)
    return kind(**more)


def record(watched):
    return watched.probes[""].record()


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_weights_are_bitwise_the_same_and_steps_and_factors_are_right(parts, precision):
    settings = {"accumulate_grad_batches": parts, "precision": precision}
    alone, probed = net(), net()
    trainer(**settings).fit(alone, loader(), loader())
    with losscope.probing(fit := trainer(**settings), every=2) as watched:
        fit.fit(probed, loader(), loader())
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), probed.parameters(), strict=True))
    assert alone.parts == probed.parts == record(watched).curve("loss")[1]
    assert set(record(watched).curve("loss_factor")[1]) == {1 / parts}
    steps, norms = record(watched).curve("parameter_gradient_norm")
    assert steps == list(range(parts, 2 * BATCHES + 1, parts))
    assert norms == pytest.approx(probed.norms, rel=1e-5)
    assert record(watched).curve("update_norm")[1] == pytest.approx([0.1 * n for n in norms], rel=1e-4)
    epochs = record(watched).frame().query("name == 'loss'")["epoch"].tolist()
    assert epochs == [1] * BATCHES + [2] * BATCHES
    assert len(record(watched).curve("loss_without_gradient")[0]) == 2 * BATCHES
    assert record(watched).closed and fit.callbacks.count(watched) == 0


def test_the_gradient_is_that_which_the_optimiser_is_given_when_it_is_clipped():
    with losscope.probing(fit := trainer(gradient_clip_val=0.01)) as watched:
        fit.fit(net(), loader())
    assert record(watched).curve("parameter_gradient_norm")[1] == pytest.approx(
        [0.01] * 2 * BATCHES, rel=1e-3
    )


def test_checkpoints_and_copies_know_nothing_of_the_probe(tmp_path):
    copies = []

    class Copying(lightning.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            copies.append(copy.deepcopy(pl_module))

    fit = trainer(callbacks=[Copying()])
    module = net()
    with losscope.probing(fit, out=tmp_path) as watched:
        fit.fit(module, loader())
        steps = record(watched).steps
    fit.save_checkpoint(tmp_path / "last.ckpt")
    found = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert list(found) == list(net().state_dict())
    with torch.no_grad():
        for part in copies[-1].parameters():
            part.zero_()
    # The copy computes with its own weights, here none, and adds no step.
    value = copies[-1].training_step((DATA[:ROWS], CLASSES[:ROWS]), 0)
    other = net()
    with torch.no_grad():
        for part in other.parameters():
            part.zero_()
    assert torch.equal(value, other.training_step((DATA[:ROWS], CLASSES[:ROWS]), 0))
    assert record(watched).steps == steps == 2 * BATCHES
    assert "forward" not in vars(module.criterion)


def test_a_training_that_goes_on_goes_on_with_its_steps(tmp_path):
    first = trainer()
    first.fit(net(), loader())
    first.save_checkpoint(tmp_path / "half.ckpt")
    with losscope.probing(fit := trainer(max_epochs=3)) as watched:
        fit.fit(net(), loader(), ckpt_path=tmp_path / "half.ckpt", weights_only=False)
    assert record(watched).curve("loss")[0] == list(range(2 * BATCHES + 1, 3 * BATCHES + 1))
    assert set(record(watched).frame()["epoch"]) == {3}
    assert record(watched).curve("spread")[0] == [2 * BATCHES + 1]


def test_an_exception_closes_the_record_and_gives_the_loss_back(tmp_path):
    from losscope.probe.callbacks import LightningProbe

    class Falling(Net):
        def training_step(self, batch, number):
            if number == 3:
                raise RuntimeError("no memory left")
            return super().training_step(batch, number)

    module = net(Falling)
    callback = LightningProbe(out=tmp_path, name="falls")
    with pytest.raises(RuntimeError, match="no memory left"):
        trainer(callbacks=[callback]).fit(module, loader())
    found = losscope.load_probe(tmp_path, "falls")
    assert found.closed and found.steps == 3
    assert "forward" not in vars(module.criterion)


def test_the_other_package_takes_the_callback_too():
    other = pytest.importorskip("pytorch_lightning")

    class Other(other.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer, self.criterion = nn.Linear(6, 8), nn.CosineEmbeddingLoss()

        def training_step(self, batch, _):
            return self.criterion(
                self.layer(batch[0]), self.layer(batch[0].flip(0)), batch[1].sub(1.5).sign()
            )

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with losscope.probing(fit := trainer(other)) as watched:
        fit.fit(Other(), loader())
    assert (
        record(watched).steps == 2 * BATCHES and len(record(watched).curve("update_norm")[0]) == 2 * BATCHES
    )


class Several(Net):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"side": losscope.loss("triplet")})

    def training_step(self, batch, _):
        z = self.layer(batch[0])
        return self.criterion(z, batch[1]) + 0.5 * self.heads["side"](z, batch[1]) + 0 * self.mine(z)

    def mine(self, z):
        return z.square().mean()


class Bare(Net):
    def __init__(self) -> None:
        super().__init__()
        del self.criterion

    def training_step(self, batch, _):
        return self.layer(batch[0]).square().mean()


def test_a_loss_is_found_by_its_name_wherever_it_is_held():
    for name, factor in (("criterion", 1.0), ("heads.side", 0.5), ("mine", 0.0)):
        with losscope.probing(fit := trainer(), loss=name) as watched:
            fit.fit(module := net(Several), loader())
        assert record(watched).steps == 2 * BATCHES
        assert set(record(watched).curve("loss_factor")[1]) == {factor}
    assert "mine" not in vars(module)


@pytest.mark.parametrize(
    ("kind", "loss", "said"),
    [
        (Several, None, "Several: there are several losses.*loss='criterion' or loss='heads.side'"),
        (Bare, None, "Bare: there is no loss that is known as one.*Attributes: layer"),
        (Net, "critreion", "nothing that is called 'critreion'"),
        (Net, "lr", "nothing that is called 'lr'"),
    ],
)
def test_a_loss_that_is_not_found_is_one_sentence_before_the_first_step(kind, loss, said):
    module = net(kind)
    with losscope.probing(fit := trainer(), loss=loss), pytest.raises(LosscopeError, match=said):
        fit.fit(module, loader())
    assert module.parts == []


def test_a_probe_of_ones_own_is_taken_as_it_is():
    module = net()
    module.criterion = losscope.Probe(module.criterion, every=3)
    with losscope.probing(fit := trainer()) as watched:
        fit.fit(module, loader())
    assert watched.probes[""] is module.criterion
    found = module.criterion.record()
    assert found.closed and found.steps == 2 * BATCHES and len(found.curve("update_norm")[0]) == 2 * BATCHES
    with (
        losscope.probing(fit := trainer(), name="x"),
        pytest.raises(LosscopeError, match="is a losscope.Probe"),
    ):
        fit.fit(module, loader())


def test_a_loss_that_is_never_called_is_said(caplog):
    class Other(Several):
        def training_step(self, batch, _):
            return self.criterion(self.layer(batch[0]), batch[1])

    with caplog.at_level(logging.WARNING), losscope.probing(fit := trainer(), loss="heads.side"):
        fit.fit(net(Other), loader())
    assert "triplet(margin=0.1" in caplog.text and "never called while the probe was on it" in caplog.text


def test_a_loss_of_no_number_stops_with_one_sentence(caplog):
    class Rows(Net):
        def __init__(self) -> None:
            super().__init__()
            self.criterion = nn.TripletMarginLoss(reduction="none")

        def training_step(self, batch, _):
            z = self.layer(batch[0])
            return self.criterion(z, z.flip(0), z.roll(1, 0)).mean()

    said = r"TripletMarginLoss returned a tensor of shape \(16,\)"
    with losscope.probing(fit := trainer()), pytest.raises(LosscopeError, match=said):
        fit.fit(net(Rows), loader())
    assert "never called" not in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_killed_training_leaves_a_record_that_is_read(tmp_path):
    code = """
        import sys, torch, losscope, lightning.pytorch as lightning
        from losscope.probe import record
        from losscope.probe.callbacks import LightningProbe
        record.SECONDS = record.SHARE = 0.0
        class Net(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.layer, self.criterion = torch.nn.Linear(6, 8), losscope.loss("triplet")
            def training_step(self, batch, number):
                if number == 20:
                    print("ready", flush=True)
                return self.criterion(self.layer(batch), torch.arange(8) % 2)
            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=0.1)
        lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
            callbacks=[LightningProbe(out=sys.argv[1], every=5)],
        ).fit(Net(), torch.utils.data.DataLoader(torch.randn(200_000, 6), batch_size=8))
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(tmp_path),
    )
    assert process.stdout is not None
    assert any(line == "ready\n" for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = losscope.load_probe(tmp_path)
    assert not found.closed and found.steps >= 15
    assert found.curve("loss")[0] == list(range(1, found.steps + 1))
    assert set(found.frame()["epoch"]) == {1}
