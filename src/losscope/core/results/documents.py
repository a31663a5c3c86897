"""Every kind of document, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losscope.core.results.atlases import Atlas, AtlasPlan
from losscope.core.results.audits import AuditResult
from losscope.core.results.benches import BenchResult
from losscope.core.results.comparisons import Result
from losscope.core.results.embeddings import Embedding
from losscope.core.results.inspections import InspectedPair, Inspection
from losscope.core.results.multiverses import Multiverse
from losscope.core.results.plans import MultiversePlan, ReproductionPlan, StudyPlan
from losscope.core.results.priors import AtlasPrior
from losscope.core.results.reproductions import Reproduction, TuningRisk
from losscope.core.results.shortcuts import Shortcuts, ShortcutsPlan
from losscope.core.results.stores import StoreCheck


def schemas() -> Mapping[str, dict[str, Any]]:
    """The JSON Schema of each document by its kind, as ``docs/schemas`` holds them."""
    documents = (
        Result,
        Reproduction,
        Multiverse,
        StudyPlan,
        ReproductionPlan,
        MultiversePlan,
        AuditResult,
        BenchResult,
        Embedding,
        StoreCheck,
        TuningRisk,
        Atlas,
        AtlasPlan,
        AtlasPrior,
        Shortcuts,
        ShortcutsPlan,
        Inspection,
        InspectedPair,
    )
    return {document.kind: document.model_json_schema(mode="serialization") for document in documents}
