"""Frozen backbones: networks trained elsewhere that turn images, sounds or texts into feature vectors."""

from __future__ import annotations

from losscope.features.backbones.base import Backbone
from losscope.features.backbones.finding import find, parse_preprocess

__all__ = ["Backbone", "find", "parse_preprocess"]
