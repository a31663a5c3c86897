"""The protocols: how a run is trained and measured, every number of each for every kind of data.

A protocol is one function of the kind of data (``vectors``, ``features``, ``images``, ``pair``) and the name
of the data set. Its registration says what a comparison needs besides the numbers:

- ``title``: how a sentence calls it, after "under";
- ``tunes``: the kinds of data on which it tunes each loss before the final runs;
- ``like``: the protocol whose defaults a loss takes that declares none for this one;
- ``defaults``: hyperparameters of losses under this protocol, by the loss's name.
"""

from __future__ import annotations

from typing import Any

from losscope.core.errors import unknown
from losscope.core.registry import register
from losscope.core.spec import Protocol

EPOCHS_ON_IMAGES = {"cifar10": 50}
"""Epochs of the paper's code on images; 20 on data that are not named."""


@register(
    "protocol",
    "matched",
    title="the matched protocol",
    tunes=("vectors", "features", "pair"),
    like="matched",
    defaults={},
)
def matched(kind: str, data: str = "") -> Protocol:
    """The fair one: balanced batches, all tuples of a batch, tuning alike for all, geometry on test data."""
    numbers: dict[str, dict[str, Any]] = {
        "vectors": {"model": "mlp", "hidden": (256,), "embedding_size": 64, "epochs": 60},
        "features": {"model": "mlp", "hidden": (), "embedding_size": 128, "epochs": 60},
        "images": {"model": "convnet", "hidden": (32, 64, 128), "embedding_size": 64, "epochs": 15},
        "pair": {"model": "two_tower", "hidden": (256,), "embedding_size": 64, "epochs": 60},
    }
    return Protocol(
        name="matched",
        batching="balanced",
        batch_size=128,
        tuples="all",
        geometry_split="test",
        background="exclude",
        curve_rows=512,
        **of_kind(numbers, kind, "matched"),
    )


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


def of_kind(numbers: dict[str, dict[str, Any]], kind: str, protocol: str) -> dict[str, Any]:
    """The numbers for a kind of data.

    Raises:
        LosscopeError: the protocol has none for it; with the kinds that it has.
    """
    if kind not in numbers:
        raise unknown(f"kind of data of the protocol {protocol!r}", kind, numbers)
    return numbers[kind]
