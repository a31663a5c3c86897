"""Data sets, by name, by path, or from a hub: ``load(name).splits(seed)``."""

from __future__ import annotations

from losscope.data.base import Facts, Part, Source, Splits
from losscope.data.loading import load, present

__all__ = ["Facts", "Part", "Source", "Splits", "load", "present"]
