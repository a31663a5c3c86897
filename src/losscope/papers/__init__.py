"""Executable claims of the papers: each a small function over paired results, judged by DEFINITIONS 7.

A claim is one function under its decorator, found by its paper; it reads the ``Evidence`` of one data set
under one protocol and says what is compared with what, in which direction, and by how much if the paper
gives a number. ``judge`` turns all of them into a ledger. Nothing here imports torch.
"""

from __future__ import annotations

from losscope.papers.evidence import Evidence, Side, Stated
from losscope.papers.ledger import TOGETHER, claims_of, judge, together

__all__ = ["TOGETHER", "Evidence", "Side", "Stated", "claims_of", "judge", "together"]
