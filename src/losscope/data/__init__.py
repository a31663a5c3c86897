"""Data sets, by name, by path, or from a hub: ``load(name).splits(seed)``."""

from __future__ import annotations

from losscope.data.base import Draft, Facts, Part, Source, Splits
from losscope.data.loading import load, present

__all__ = ["Draft", "Facts", "Part", "Source", "Splits", "load", "present"]
