"""Frozen backbones: networks trained elsewhere that turn an image or a sound into a feature vector."""

from __future__ import annotations

from losscope.features.backbones.base import Backbone
from losscope.features.backbones.finding import find, parse_preprocess

__all__ = ["Backbone", "find", "parse_preprocess"]
