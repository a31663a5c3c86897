"""The correctness card of any loss: ``losscope.audit("triplet(margin=0.2)")``."""

from __future__ import annotations

from losscope.auditing.card import Card, audit
from losscope.auditing.subjects import Subject, subject

__all__ = ["Card", "Subject", "audit", "subject"]
