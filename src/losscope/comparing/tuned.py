"""A run that trained its backbone as a function of new pictures, sounds or texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from losscope.core.errors import require
from losscope.core.finetuning import FineTune
from losscope.run.store import Stored


def on_backbone(
    stored: Stored, weights: Mapping[str, np.ndarray], head: Callable[[Any], Any]
) -> tuple[Callable[[Sequence[Any]], np.ndarray], str]:
    """Rows of a person's own -> embeddings (N, D), by the run's backbone; and what such a row is.

    Args:
        stored: the run.
        weights: the parameters that it kept.
        head: features (N, D) -> embeddings.

    Raises:
        LosscopeError: the backbone is not there any more, or is another one.
    """
    import torch

    from losscope.features.backbones import find, parse_preprocess
    from losscope.features.trunk import grouped, prepared_row, weights_digest
    from losscope.train.finetuning import PIECE, reopened, through
    from losscope.train.optimiser import TRUNK

    run, told = stored.run, stored.provenance["backbone"]
    preprocess: Any = run.data.options.get("preprocess")
    backbone = find(str(run.data.options["backbone"]), told["takes"], parse_preprocess(preprocess))
    require(
        weights_digest(backbone) == told["digest"],
        f"the run {stored.id} trained the backbone {told['name']!r} with other weights or preprocessing "
        "than are there now; wanted: those that it began with",
    )
    backbone.start()
    backbone.open("cpu")
    opened = reopened(backbone.module(), FineTune.read(run.protocol.finetune), weights)
    own = {name: torch.from_numpy(weights[TRUNK + name].copy()) for name in opened.names}

    def embed(rows: Sequence[Any]) -> np.ndarray:
        parts = [np.zeros((0, run.protocol.embedding_size), np.float32)]
        for start in range(0, len(rows), PIECE):
            made = grouped(backbone, [prepared_row(backbone, row) for row in rows[start : start + PIECE]])
            with torch.no_grad():
                features = through(opened, own, made, run.protocol.precision, torch.device("cpu"))
                parts.append(head(features).numpy())
        return np.concatenate(parts)

    return embed, str(told["takes"])
