"""Memory of batches of 8,192: ``python tests/large_batches.py`` prints what docs/large-batches.md says.

Each figure is the most resident memory of a process of its own, above what it held before the step.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import losscope
from losscope.core.registry import entries

ROWS, SIZE, CLASSES = 8192, 128, 128
TELLS = Path("/proc/self/clear_refs").exists() and hasattr(os, "fork")


@dataclass
class Step:
    """What a step took."""

    value: float
    bytes: int = 0
    seconds: float = 0.0
    gradient: np.ndarray = field(default_factory=lambda: np.empty(0))


def status(key: str) -> int:
    """A number of bytes that Linux keeps of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def alone(step: Callable[..., Step], *given: Any) -> Step:
    """A step in a process of its own, with its peak of memory and its processor time."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            torch.set_num_threads(1)
            Path("/proc/self/clear_refs").write_text("5")
            before, start = status("VmRSS"), time.process_time()
            found = step(*given)
            found.seconds = time.process_time() - start
            found.bytes = status("VmHWM") - before
            with os.fdopen(writer, "wb") as out:
                pickle.dump(found, out)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        content = answer.read()
    os.waitpid(child, 0)
    assert content, "the process ended without an answer"
    return pickle.loads(content)


def convolutional(rows: int | None) -> Step:
    """A step of InfoNCE on images 28 × 28 through two convolutions, whole or in micro-batches of ``rows``."""
    return alone(_convolutional, rows)


def _convolutional(rows: int | None) -> Step:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 49, SIZE),
    )
    labels = torch.arange(ROWS) % CLASSES
    images = torch.randn(CLASSES, 1, 28, 28)[labels] + torch.randn(ROWS, 1, 28, 28)
    loss = losscope.loss("info_nce(temperature=0.1)")
    if rows is None:
        value = loss(net(images), labels)
        value.backward()
    else:
        value = losscope.cached(net, loss, images, labels, rows=rows)
    gradients = [parameter.grad.flatten() for parameter in net.parameters() if parameter.grad is not None]
    return Step(value.item(), gradient=torch.cat(gradients).numpy())


def loss(name: str) -> Step:
    """Forward and backward of a loss on 8,192 embeddings of 128 numbers."""
    return alone(_loss, name)


def _loss(name: str) -> Step:
    module = losscope.loss(name, num_classes=CLASSES, embedding_size=SIZE)
    labels = torch.arange(ROWS) % CLASSES
    rows = torch.randn(CLASSES, SIZE)[labels] + torch.randn(ROWS, SIZE)
    rows = (rows / rows.norm(dim=-1, keepdim=True)).requires_grad_()
    value = module(rows, labels)
    value.backward()
    return Step(value.item())


def warm() -> None:
    """First calls, whose memory is not a step's."""
    labels = torch.arange(16) % 4
    for name in entries("loss"):
        rows = torch.randn(16, 8, requires_grad=True)
        losscope.loss(name, num_classes=4, embedding_size=8)(rows, labels).backward()


def main() -> None:
    torch.set_num_threads(1)
    warm()
    for rows in (None, 1024, 256, 64):
        step = convolutional(rows)
        way = "whole batch" if rows is None else f"rows={rows}"
        print(f"conv net, {way}: {step.bytes / 2**20:,.0f} MiB, {step.seconds:.1f} s, loss {step.value:.6f}")
        sys.stdout.flush()
    for name in entries("loss"):
        step = loss(name)
        print(f"{name}: {step.bytes / 2**20:,.0f} MiB, {step.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
