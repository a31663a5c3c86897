"""What is measured: geometry, retrieval, verification, classification, cross-modal retrieval, greediness.

``evaluate`` measures populations; the other functions one set of embeddings at a time.
"""

from __future__ import annotations

from losscope.measures.single import classification, cross_modal, geometry, retrieval, verification
from losscope.measures.summary import evaluate

__all__ = ["classification", "cross_modal", "evaluate", "geometry", "retrieval", "verification"]
