"""The protocol of the code that came with Zeng 2025."""

from __future__ import annotations

from typing import Any

from losscope.core.protocols import of_kind
from losscope.core.registry import register
from losscope.core.spec import Protocol

EPOCHS_ON_IMAGES = {"cifar10": 50}
"""Epochs of the paper's code on images; 20 on data that are not named."""


@register(
    "protocol",
    "paper",
    title="the paper's own protocol",
    tunes=(),
    like="paper",
    defaults={},
)
def paper(kind: str, data: str = "") -> Protocol:
    """As the paper's code does it: shuffled batches, random tuples, no tuning, geometry on training data."""
    numbers: dict[str, dict[str, Any]] = {
        "vectors": {
            "model": "mlp",
            "hidden": (64,),
            "embedding_size": 32,
            "epochs": 100,
            "batch_size": 64,
            "partners": "set",
        },
        "features": {
            "model": "mlp",
            "hidden": (),
            "embedding_size": 128,
            "epochs": 30,
            "batch_size": 64,
            "partners": "set",
        },
        "images": {
            "model": "convnet",
            "hidden": (32, 64, 128),
            "embedding_size": 64,
            "epochs": EPOCHS_ON_IMAGES.get(data, 20),
            "batch_size": 256,
            "partners": "batch",
        },
        "pair": {
            "model": "two_tower",
            "hidden": (256,),
            "embedding_size": 64,
            "epochs": 30,
            "batch_size": 64,
            "partners": "batch",
        },
    }
    return Protocol(
        name="paper",
        batching="shuffled",
        tuples="random",
        geometry_split="train",
        background="class",
        curve_rows=128,
        **of_kind(numbers, kind, "paper"),
    )
