"""Data sets, by name, by path, or from a hub: ``load(name).splits(seed)``."""

from __future__ import annotations

from losscope.data.base import About, Draft, Part, Source, Splits
from losscope.data.loading import load, present

__all__ = ["About", "Draft", "Part", "Source", "Splits", "load", "present"]
