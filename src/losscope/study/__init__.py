"""What the commands do, as functions: compare, judge, report, and the lists.

Imported at first use: a command that needs few of them starts sooner.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "DEFAULT_OUT": "losscope.study.planning",
    "Plan": "losscope.study.planning",
    "Result": "losscope.study.reading",
    "compare": "losscope.study.comparing",
    "dry_run": "losscope.study.planning",
    "items": "losscope.study.listing",
    "judge": "losscope.study.judging",
    "plan": "losscope.study.planning",
    "report": "losscope.study.reading",
    "run": "losscope.study.comparing",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'losscope.study' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
