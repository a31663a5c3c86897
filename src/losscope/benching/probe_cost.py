"""What ``losscope.Probe`` costs: the same steps with and without it, by turns in one process.

A step is forward, loss, backward and the optimiser's step: of a linear head on 512 x 512 features, the
smallest training that people do, or of a small convolutional network on 256 images of 28 x 28. Most steps
only note a few norms; those at which the batch is looked at cost more, so that the ratio of all the time is
given beside that of the median step.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from losscope.benching.training import median_row, on_one_thread
from losscope.core.results import BenchRow
from losscope.losses import loss as module
from losscope.probe.wrap import EVERY, Probe

ROWS, FEATURES, DIMENSION, CLASSES = 512, 512, 128, 64
LOSSES = ("triplet(margin=0.2)", "contrastive(margin=0.5)", "info_nce(temperature=0.1)")
IMAGES, SIDE = 256, 28
CONV_NET = "the conv net"
LOOKS = {False: 6, True: 2}
"""So many looks at the batch fall into the measured steps of the linear head, and of the conv net."""


def probing(say: Callable[[str], None] | None = None) -> list[BenchRow]:
    """Rows of the benchmark: seconds of a median step, its ratio with quartiles, and that of all the time."""
    return on_one_thread((*LOSSES, f"{CONV_NET}: {LOSSES[0]}"), _rows, sentence, say)


def _rows(work: str) -> list[BenchRow]:
    loss = work.removeprefix(f"{CONV_NET}: ")
    convolutional = loss != work
    sides = {
        "plain torch loop": _step(module(loss), convolutional),
        "with losscope.Probe": _step(Probe(module(loss)), convolutional),
    }
    for _ in range(3):
        for side in sides.values():
            side()
    times = np.array(
        [[_seconds(side) for side in sides.values()] for _ in range(LOOKS[convolutional] * EVERY)]
    )
    ratios = times[:, 1] / times[:, 0]
    work = f"a step of a linear head on {ROWS} x {FEATURES} features, {loss}"
    if convolutional:
        work = f"a step of a conv net on {IMAGES} images of {SIDE} x {SIDE}, {loss}"
    plain, probed = (
        median_row(work, IMAGES if convolutional else ROWS, name, seconds, own)
        for name, seconds, own in zip(sides, times.T, (None, ratios), strict=True)
    )
    # The looks are a few steps in a hundred, which no median sees.
    mean = probed.model_copy(
        update={
            "side": f"with losscope.Probe, mean step (a look every {EVERY})",
            "seconds": float(times[:, 1].mean()),
            "ratio": float(times[:, 1].sum() / times[:, 0].sum()),
            "ratio_low": None,
            "ratio_high": None,
        }
    )
    return [plain, probed, mean]


def _step(loss: Callable[..., torch.Tensor], convolutional: bool) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(0)
    shape = (IMAGES, 1, SIDE, SIDE) if convolutional else (ROWS, FEATURES)
    inputs = torch.randn(shape, generator=generator)
    labels = torch.arange(len(inputs)) % CLASSES
    network = _conv_net() if convolutional else nn.Linear(FEATURES, DIMENSION)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator) / max(1, weights[0].numel()) ** 0.5)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        value = loss(network(inputs), labels)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()

    return step


def _conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (SIDE // 4) ** 2, DIMENSION),
    )


def sentence(row: BenchRow) -> str:
    """A row in words."""
    ratio = ""
    if row.ratio is not None:
        spread = "" if row.ratio_low is None else f" ({row.ratio_low:.3f}–{row.ratio_high:.3f})"
        ratio = f", {row.ratio:.3f} times the plain loop{spread}"
    return f"{row.work}: {row.side}: {(row.seconds or 0) * 1e3:.2f} ms{ratio}"


def _seconds(side: Callable[[], None]) -> float:
    start = time.process_time()
    side()
    return time.process_time() - start
