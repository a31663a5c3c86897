"""What is measured: geometry, retrieval, verification, classification, cross-modal, greediness.

``evaluate`` measures populations; ``geometry`` and ``retrieval`` one set of embeddings at a time.
"""

from __future__ import annotations

from losscope.measures.summary import evaluate, geometry, retrieval

__all__ = ["evaluate", "geometry", "retrieval"]
