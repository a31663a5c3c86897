"""losscope: which metric-learning loss, and what it does to embeddings and gradients.

There is one function for each command (``compare``, ``judge``, ``audit``, ``reproduce``, ``multiverse``,
``atlas``, ``report``, ``embed``, ``bench``), a loss as a module (``loss``), the loss of a large batch
(``cached``), any loss recorded in your own loop (``Probe``) or in a trainer (``probing``,
``load_probe``), a stored result (``load``), data (``read``), the measures by name, and the classes from
which to build a loss, a measure or a study of your own. Everything is imported at first use, so that
``import losscope`` imports neither torch nor pandas.

>>> import losscope
>>> triplet = losscope.loss("triplet(margin=0.2)")
>>> losscope.retrieval([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], [0, 0, 1, 1])["recall_at_1"]
1.0
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Beside __init__.pyi, which says the same to editors and type checkers.
_PUBLIC = {
    "Distributed": "losscope.losses.distributed",
    "Labels": "losscope.pairs",
    "LossSpec": "losscope.core.spec",
    "LosscopeError": "losscope.core.errors",
    "Pairs": "losscope.pairs",
    "Probe": "losscope.probe.wrap",
    "Protocol": "losscope.core.spec",
    "Relation": "losscope.pairs",
    "Result": "losscope.core.results",
    "Study": "losscope.core.spec",
    "Terms": "losscope.pairs",
    "Triplets": "losscope.pairs",
    "atlas": "losscope.atlases.calling",
    "audit": "losscope.auditing",
    "bench": "losscope.benching.command",
    "cached": "losscope.losses.caching",
    "classification": "losscope.measures",
    "compare": "losscope.comparing.calling",
    "cross_modal": "losscope.measures",
    "embed": "losscope.features.embedding",
    "embedder": "losscope.comparing.embedders",
    "geometry": "losscope.measures",
    "inspect": "losscope.inspecting",
    "judge": "losscope.comparing.judging",
    "load": "losscope.comparing.reading",
    "load_probe": "losscope.probe.record",
    "loss": "losscope.losses",
    "multiverse": "losscope.varying.running",
    "probing": "losscope.probe.callbacks.within",
    "read": "losscope.data.reading",
    "register": "losscope.core.registry",
    "report": "losscope.comparing.paging",
    "reproduce": "losscope.papers.engine",
    "retrieval": "losscope.measures",
    "verification": "losscope.measures",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'losscope' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
