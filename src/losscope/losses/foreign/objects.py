"""Losses that were given as Python objects in this process (``given`` makes their texts)."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from losscope.core.calls import Foreign
from losscope.core.errors import LosscopeError, require

OBJECTS: dict[str, Any] = {}
"""The objects by the checksum in their text."""


def built(foreign: Foreign) -> tuple[Any, Any, dict[str, Any]]:
    """The object of a text that ``text_of`` made: a copy for each member, if it holds anything."""
    require(
        not foreign.loss.arguments and list(foreign.loss.words) == ["digest"],
        f"{foreign.text!r} is a Python object with numbers of its own, of which none can be tried; wanted: "
        "one object for each setting",
    )
    digest = foreign.loss.words["digest"]
    if digest not in OBJECTS:
        raise LosscopeError(
            f"{foreign.text!r} was given as a Python object, which only the process that it was given in "
            "knows; give it again"
        )
    found = OBJECTS[digest]
    return (copy.deepcopy(found) if isinstance(found, nn.Module) else found), None, {}
