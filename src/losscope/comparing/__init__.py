"""What the commands do, as functions: compare, judge, report, load, and the lists.

Imported at first use: a command that needs few of them starts sooner.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "DEFAULT_OUT": "losscope.comparing.planning",
    "Plan": "losscope.comparing.planning",
    "Result": "losscope.core.results",
    "compare": "losscope.comparing.calling",
    "dry_run": "losscope.comparing.foreseeing",
    "foresee": "losscope.comparing.foreseeing",
    "items": "losscope.comparing.listing",
    "judge": "losscope.comparing.judging",
    "load": "losscope.comparing.reading",
    "map_by": "losscope.comparing.paging",
    "plan": "losscope.comparing.planning",
    "report": "losscope.comparing.paging",
    "run": "losscope.comparing.running",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'losscope.comparing' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
