"""losscope: which metric-learning loss, and what it does to embeddings and gradients.

Everything public is imported at first use, so that ``import losscope`` never imports torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "LosscopeError": "losscope.core.errors",
    "LossSpec": "losscope.core.spec",
    "Protocol": "losscope.core.spec",
    "Study": "losscope.core.spec",
    "Relation": "losscope.pairs",
    "Terms": "losscope.pairs",
    "Result": "losscope.core.results",
    "compare": "losscope.comparing",
    "judge": "losscope.comparing",
    "load": "losscope.comparing",
    "audit": "losscope.auditing",
    "geometry": "losscope.measures",
    "retrieval": "losscope.measures",
    "register": "losscope.core.registry",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'losscope' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
