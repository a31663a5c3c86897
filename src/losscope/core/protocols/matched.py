"""The fair protocol, which tunes every loss alike."""

from __future__ import annotations

from typing import Any

from losscope.core.protocols import of_kind
from losscope.core.registry import register
from losscope.core.spec import Protocol

MOST_DIMENSIONS = 512
"""The embedding size of a head on features, or the features' own size where that is smaller."""


@register(
    "protocol",
    "matched",
    title="the matched protocol",
    tunes=("vectors", "features", "pair"),
    closed_forms=("vectors", "features", "images", "pair"),
    like="matched",
    defaults={},
)
def matched(kind: str, data: str = "") -> Protocol:
    """The fair one: balanced batches, all tuples of a batch, tuning alike for all, geometry on test data."""
    numbers: dict[str, dict[str, Any]] = {
        "vectors": {"model": "mlp", "hidden": (256,), "embedding_size": 64, "epochs": 60},
        "features": {
            "model": "mlp",
            "hidden": (),
            "embedding_size": MOST_DIMENSIONS,
            "epochs": 30,
            "start": "pca",
            "transform": "l2",
            "curve_rows": 1024,
        },
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
        **{"curve_rows": 512, **of_kind(numbers, kind, "matched")},
    )
