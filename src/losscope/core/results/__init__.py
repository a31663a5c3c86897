"""What losscope finds, as frozen, strict values, which statistics return and pages and ``--json`` show.

``--json`` is the serialisation of one of these types and nothing else. A number that does not exist is None,
never NaN. A sentence is made from these fields in ``losscope.core.wording`` and is never read back: whatever
a sentence depends on is a field. Nothing here imports torch.
"""

from __future__ import annotations

from losscope.core.quantities import Better, Scale
from losscope.core.results.audits import AuditLine, AuditResult, Exponents, ForceProfile, Growth, StepCost
from losscope.core.results.base import SCHEMA, Document, Frozen, Number
from losscope.core.results.benches import BenchGrowth, BenchProvenance, BenchResult, BenchRow
from losscope.core.results.comparisons import (
    Comparison,
    Ground,
    Limit,
    NotComparable,
    OpenBy,
    PairScale,
    PairVerdict,
    PublishedValue,
    Recommendation,
    Result,
    Undecided,
    Unit,
)
from losscope.core.results.documents import schemas
from losscope.core.results.embeddings import Embedding
from losscope.core.results.origins import DataDescription, Provenance
from losscope.core.results.plans import CellPlan, DesignPlan, ReproductionPlan, StudyPlan
from losscope.core.results.reproductions import (
    ClaimReason,
    ClaimVerdict,
    ClaimWord,
    Control,
    ControlDescription,
    Reproduction,
    RiskRow,
    StudyLink,
    TuningRisk,
)
from losscope.core.results.sides import (
    BaselineResult,
    Edge,
    Failure,
    Fault,
    LossResult,
    MeasureValue,
    Price,
    Settings,
    SideResult,
    Trial,
    Tuned,
    Unfinished,
)
from losscope.core.results.stores import StoreCheck, StoreProblem
from losscope.core.results.views import EmbeddingMap, Evidence, Viewed

__all__ = [
    "SCHEMA",
    "AuditLine",
    "AuditResult",
    "BaselineResult",
    "BenchGrowth",
    "BenchProvenance",
    "BenchResult",
    "BenchRow",
    "Better",
    "CellPlan",
    "ClaimReason",
    "ClaimVerdict",
    "ClaimWord",
    "Comparison",
    "Control",
    "ControlDescription",
    "DataDescription",
    "DesignPlan",
    "Document",
    "Edge",
    "Embedding",
    "EmbeddingMap",
    "Evidence",
    "Exponents",
    "Failure",
    "Fault",
    "ForceProfile",
    "Frozen",
    "Ground",
    "Growth",
    "Limit",
    "LossResult",
    "MeasureValue",
    "NotComparable",
    "Number",
    "OpenBy",
    "PairScale",
    "PairVerdict",
    "Price",
    "Provenance",
    "PublishedValue",
    "Recommendation",
    "Reproduction",
    "ReproductionPlan",
    "Result",
    "RiskRow",
    "Scale",
    "Settings",
    "SideResult",
    "StepCost",
    "StoreCheck",
    "StoreProblem",
    "StudyLink",
    "StudyPlan",
    "Trial",
    "Tuned",
    "TuningRisk",
    "Undecided",
    "Unfinished",
    "Unit",
    "Viewed",
    "schemas",
]
