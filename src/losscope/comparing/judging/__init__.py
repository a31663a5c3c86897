"""Verdicts on anyone's runs: a table of scores, saved embeddings, or a store. No training."""

from __future__ import annotations

from losscope.comparing.judging.command import judge
from losscope.comparing.judging.embedded import load_embeddings

__all__ = ["judge", "load_embeddings"]
