"""Embeddings of any model, looked at as they are: one file, or two files of the same items. No training."""

from __future__ import annotations

from losscope.inspecting.command import inspect

__all__ = ["inspect"]
