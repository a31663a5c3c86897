"""Tables, figures and the page. What a section's author needs is here.

>>> from losscope.core.registry import register
>>> from losscope.reporting import Context, Grid, Section
>>> def seeds_used(context: Context) -> Section:
...     return Section("Seeds", table=Grid("Seeds", ["seeds"], [[str(context.seeds)]]), order=95)

A plugin puts ``@register("section", "seeds-used", order=95)`` above the function.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losscope.core.results import EmbeddingMap, Evidence
    from losscope.reporting.figure import Figure
    from losscope.reporting.maps import pca_map
    from losscope.reporting.parts import Cell, Context, Grid, Section, fragment

_HOMES = {
    "Cell": "losscope.reporting.parts",
    "Context": "losscope.reporting.parts",
    "EmbeddingMap": "losscope.core.results",
    "Evidence": "losscope.core.results",
    "Figure": "losscope.reporting.figure",
    "Grid": "losscope.reporting.parts",
    "Section": "losscope.reporting.parts",
    "fragment": "losscope.reporting.parts",
    "pca_map": "losscope.reporting.maps",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: commands that draw one picture need neither pandas nor templates.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


__all__ = [
    "Cell",
    "Context",
    "EmbeddingMap",
    "Evidence",
    "Figure",
    "Grid",
    "Section",
    "fragment",
    "pca_map",
]
