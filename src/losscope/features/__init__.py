"""Features of a data set by a frozen backbone: computed once, kept on disk, read as a data set."""

from __future__ import annotations

from losscope.features.source import Embedded, embed, load

__all__ = ["Embedded", "embed", "load"]
