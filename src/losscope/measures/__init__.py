"""What is measured: geometry, retrieval, verification, classification, cross-modal, greediness.

``evaluate`` measures populations; ``geometry`` and ``retrieval`` one set of embeddings at a time. The modules
of these two names are imported first, so that the names stay those of the functions.
"""

from __future__ import annotations

from losscope.measures import geometry as _geometry_module  # noqa: F401
from losscope.measures import retrieval as _retrieval_module  # noqa: F401
from losscope.measures.summary import evaluate, geometry, retrieval

__all__ = ["evaluate", "geometry", "retrieval"]
