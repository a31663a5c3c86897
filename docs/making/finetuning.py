"""What training a backbone costs: rows per second, memory, and the parts of a step.

    PYTHONPATH=src python docs/making/finetuning.py                 # small, or ViT-B/32 on a GPU
    PYTHONPATH=src python docs/making/finetuning.py --size base --device cpu

The backbone is a vision transformer of random weights, since a step costs the same with any; its rows are
random pictures. Steps with and without instruments take turns; the loss, Adam and the handing out of rows
are timed alone on the same batch, and what is left is the network, forward and backward. Each way has a
process of its own, so that the peak is its own. Times on the CPU are of the processor, with one thread.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losscope import features
from losscope.benching.works import clock_of, wait_for
from losscope.core.spec import Run, Study
from losscope.data import Source
from losscope.pairs import normalise
from losscope.run.arithmetic import fixed_arithmetic
from losscope.train import Population, finetuning

SIZES = {"tiny": (32, 4, 2, 64, 32, 8), "base": (768, 12, 12, 3072, 224, 32)}
"""Width, layers, heads, width inside, side and patch; ``base`` is ViT-B/32 (Dosovitskiy et al. 2021)."""
CLASSES = 4
WAYS = ("last:2", "lora", "all", "all+recompute", "all+bfloat16", "all+bfloat16+recompute")


@dataclass(frozen=True)
class Cost:
    """What one way of training costs: times are seconds of a step, ``peak`` bytes, ``trained`` numbers."""

    finetune: str
    precision: str
    recompute: bool
    trained: int
    step: float
    loss: float
    instruments: float
    adam: float
    rows: float
    batch: int
    peak: int

    @property
    def said(self) -> str:
        """A row of a table in Markdown."""
        share = [
            f"{100 * max(0.0, part) / self.step:.1f} %"
            for part in (self.loss, self.instruments, self.adam, self.rows)
        ]
        how = f"{self.precision}{', recomputed' if self.recompute else ''}"
        cells = [
            self.finetune,
            how,
            f"{self.trained:,}",
            f"{float(f'{self.batch / self.step:.3g}'):,g}",
            f"{self.peak / 1e9:.2f} GB",
            *share,
        ]
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| trained | arithmetic | numbers | images a second | peak memory | loss | instruments | Adam | rows |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def made(folder: Path, size: str, rows: int) -> tuple[Path, Path]:
    """A backbone of random weights, and random pictures of classes."""
    from transformers import ViTConfig, ViTModel

    width, layers, heads, inside, side, patch = SIZES[size]
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inside,
        image_size=side,
        patch_size=patch,
    )
    torch.manual_seed(0)
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder / "vit")
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (rows, 3, side, side), dtype=np.uint8)
    np.savez(folder / "images.npz", inputs=images, labels=np.arange(rows) % CLASSES)
    return folder / "vit", folder / "images.npz"


def source_of(folder: Path, size: str, batch: int, device: str) -> Source:
    """The pictures' features: enough that a training part fills several batches."""
    backbone, data = made(folder, size, 4 * batch)
    return features.load(str(data), backbone=str(backbone), device=device)


def run_of(finetune: str, precision: str, recompute: bool, batch: int) -> Run:
    """A run of the contrastive loss."""
    study = Study.of(
        data="images",
        backbone="vit",
        losses=["contrastive"],
        seeds=1,
        batch_size=batch,
        finetune=finetune,
        embedding_size=min(32, batch),
        precision=precision,
        recompute=recompute,
    )
    return study.resolve("features").runs()[0]


def cost(source: Source, run: Run, device: str, steps: int = 5) -> Cost:
    """The cost of a way of training, over so many steps after two that are not counted."""
    finetuning.forget()
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    with fixed_arithmetic():
        population = Population([run], [source.splits(0)], torch.device(device))
        inputs, relation = next(iter(population.batches.epoch(population.embed)))

        clock = clock_of(device)

        def seconds(work: Callable[[], Any]) -> float:
            wait_for(device)
            start = clock()
            work()
            wait_for(device)
            return clock() - start

        def timed(work: Callable[[], Any]) -> float:
            return float(np.median([seconds(work) for _ in range(steps + 2)][2:]))

        def step(light: bool) -> float:
            population.instruments.light = light
            return seconds(lambda: population.step(inputs, relation))

        turns = np.median([(step(False), step(True)) for _ in range(steps + 2)][2:], axis=0)
        population.close_epoch(run.protocol.epochs)
        whole, light = map(float, turns)
        peak = torch.cuda.max_memory_allocated() if device.startswith("cuda") else None
        z = normalise(population.output(inputs).detach()).requires_grad_()

        def loss() -> None:
            value = population.objective(z, relation, population.stack.extra)[1].sum()
            torch.autograd.grad(value, z)

        positions = inputs.flatten().long().tolist()
        norm = population.stack.gradient_norm()
        found = Cost(
            finetune=run.protocol.finetune,
            precision=run.protocol.precision,
            recompute=run.protocol.recompute,
            trained=sum(value.numel() for value in population.stack.network.values()),
            step=whole,
            loss=timed(loss),
            instruments=whole - light,
            adam=timed(lambda: population.adam.step(norm, measured=False)),
            rows=timed(
                lambda: [
                    torch.from_numpy(own.values).to(device) for own in source.splits(0).trunk.rows(positions)
                ]
            ),
            batch=inputs.shape[1],
            peak=peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
    finetuning.forget()
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    asked.add_argument("--device", default=device)
    asked.add_argument("--size", choices=SIZES, default="base" if device == "cuda" else "tiny")
    asked.add_argument("--batch", type=int, default=128 if device == "cuda" else 32)
    asked.add_argument("--steps", type=int, default=20 if device == "cuda" else 5)
    asked.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS)
    given = asked.parse_args(arguments)
    where = torch.cuda.get_device_name() if given.device.startswith("cuda") else "one core of the CPU"
    print(f"ViT ({given.size}), batch {given.batch}, on {where}\n\n{HEAD}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source_of(Path(folder), given.size, given.batch, given.device)
        for way in given.ways:
            asked_of = (Path(folder), way, given.batch, given.device, given.steps)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.apply(_alone, asked_of).said, flush=True)


def _alone(folder: Path, way: str, batch: int, device: str, steps: int) -> Cost:
    """One way, in a process of its own; the features are in the cache."""
    source = features.load(str(folder / "images.npz"), backbone=str(folder / "vit"), device=device)
    finetune, *more = way.split("+")
    precision = "bfloat16" if "bfloat16" in more else "float32"
    return cost(source, run_of(finetune, precision, "recompute" in more, batch), device, steps)


if __name__ == "__main__":
    main()
