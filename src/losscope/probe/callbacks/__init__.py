"""``losscope.Probe`` where people train: Lightning, transformers' and sentence-transformers' trainers.

``losscope.probing`` works with all of them. Each framework's callback is imported at first use, and needs
that framework.
"""

from __future__ import annotations

import importlib
from typing import Any

_CALLBACKS = {
    "LightningProbe": "losscope.probe.callbacks.lightning",
    "TrainerProbe": "losscope.probe.callbacks.huggingface",
}

__all__ = ["LightningProbe", "TrainerProbe"]


def __getattr__(name: str) -> Any:
    if name not in _CALLBACKS:
        raise AttributeError(f"module 'losscope.probe.callbacks' has no attribute {name!r}")
    return getattr(importlib.import_module(_CALLBACKS[name]), name)
