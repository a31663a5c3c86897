"""A probe where two processes train one model: nothing changes, and rank 0 records."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import losscope

ROWS, STEPS = 16, 6


def train(rank: int, folder: str, probed: bool) -> tuple[list[torch.Tensor], list[float]]:
    """Two layers and a loss with class vectors, gradients accumulated over two parts."""
    torch.manual_seed(0)
    network = DistributedDataParallel(nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8)))
    loss = losscope.loss("arcface", num_classes=4, embedding_size=8)
    called: nn.Module = DistributedDataParallel(loss)
    if probed:
        called = losscope.Probe(called, out=folder, name="ddp", model=network, every=2)
    optimiser = torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=1e-2)
    generator, values = torch.Generator().manual_seed(rank), []
    for step in range(STEPS):
        x = torch.randn(ROWS, 6, generator=generator)
        value = called(network(x), torch.arange(ROWS) % 4)
        (value / 2).backward()
        values.append(value.item())
        if step % 2:
            optimiser.step()
            optimiser.zero_grad()
    if probed:
        called.close()
    return [part.detach() for part in [*network.parameters(), *loss.parameters()]], values


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    kept = {probed: train(rank, f"{folder}/runs", probed) for probed in (False, True)}
    torch.save(kept, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_train_bitwise_the_same_and_rank_0_records(tmp_path: Path) -> None:
    start = multiprocessing.get_context("fork" if torch.get_num_threads() == 1 else "spawn").Process
    processes = [start(target=process, args=(rank, str(tmp_path))) for rank in range(2)]
    for worker in processes:
        worker.start()
    for worker in processes:
        worker.join(120)
        assert worker.exitcode == 0
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for rank in ranks:
        assert all(torch.equal(a, b) for a, b in zip(rank[False][0], rank[True][0], strict=True))
        assert rank[False][1] == rank[True][1]
    assert all(torch.equal(a, b) for a, b in zip(ranks[0][True][0], ranks[1][True][0], strict=True))
    (place,) = (tmp_path / "runs" / "probes").iterdir()
    found = losscope.load_probe(place)
    assert found.closed and found.mark.rank == "rank 0 of 2"
    assert found.curve("loss")[1] == ranks[0][True][1] != ranks[1][True][1]
    assert found.curve("update_norm")[0] == [2, 4, 6]
    assert set(found.curve("loss_factor")[1]) == {0.5} and set(found.curve("rows")[1]) == {ROWS}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lightning_in_two_processes(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    from losscope.probe.callbacks import LightningProbe

    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer, self.criterion = nn.Linear(6, 8), losscope.loss("triplet")

        def training_step(self, batch, _):
            return self.criterion(self.layer(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    inputs = torch.randn(8 * ROWS, 6, generator=torch.Generator().manual_seed(0))
    data = torch.utils.data.TensorDataset(inputs, torch.arange(8 * ROWS) % 3)
    weights = []
    for callbacks in ([], [LightningProbe(out=tmp_path / "runs", name="fit")]):
        trainer = lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            devices=2,
            strategy="ddp_fork",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            callbacks=callbacks,
        )
        trainer.fit(module := Net(), torch.utils.data.DataLoader(data, batch_size=ROWS))
        weights.append([part.detach() for part in module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    (place,) = (tmp_path / "runs" / "probes").iterdir()
    found = losscope.load_probe(place)
    assert found.closed and found.mark.rank == "rank 0 of 2" and found.steps == 8
    assert set(found.frame()["epoch"]) == {1, 2} and found.curve("update_norm")[0] == list(range(1, 9))
