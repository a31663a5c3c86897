"""What losscope finds, as frozen, strict values, which statistics return and pages and ``--json`` show.

``--json`` is the serialisation of one of these types and nothing else. A number that does not exist is None,
never NaN. A sentence is made from these fields in ``losscope.core.wording`` and is never read back: whatever
a sentence depends on is a field. Nothing here imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losscope.core.quantities import Better, Scale
    from losscope.core.results.audits import (
        ALARMS,
        AuditLine,
        AuditResult,
        AuditSeverity,
        Exponents,
        ForceProfile,
        Growth,
        SplitBatch,
        SplitCause,
        StepCost,
    )
    from losscope.core.results.base import SCHEMA, Document, Frozen, Number
    from losscope.core.results.benches import BenchGrowth, BenchProvenance, BenchResult, BenchRow
    from losscope.core.results.comparisons import (
        BestGroup,
        Comparison,
        DataVerdicts,
        Ground,
        Limit,
        NotComparable,
        OpenBy,
        PairScale,
        PairSize,
        PairVerdict,
        PublishedValue,
        Recommendation,
        Result,
        Scope,
        Undecided,
        Unit,
    )
    from losscope.core.results.documents import schemas
    from losscope.core.results.embeddings import Embedding
    from losscope.core.results.examples import ClassScores, Confusion, Examples, Neighbours, ShownItem
    from losscope.core.results.forces import Force
    from losscope.core.results.inspections import (
        Changed,
        ClassChanged,
        ClassFound,
        Collapse,
        Confused,
        Duplicates,
        Inspected,
        InspectedPair,
        Inspection,
        Item,
        Moved,
        NewlyConfused,
        Norms,
        Suspect,
        Twins,
        WrongLabels,
    )
    from losscope.core.results.matches import Matches, NearSetting, NumberMatch
    from losscope.core.results.multiverses import (
        Branch,
        Choice,
        ChoiceShare,
        Condition,
        Decomposition,
        JointTest,
        MedianEffect,
        Multiverse,
        MultiverseClaim,
        PaperSetting,
        Rule,
        SettingEffect,
        SettingOutcome,
        Share,
        Shares,
        SpaceAxis,
        TooFew,
    )
    from losscope.core.results.origins import DataDescription, Provenance
    from losscope.core.results.plans import (
        CellPlan,
        DesignPlan,
        MultiversePlan,
        ReproductionPlan,
        StudyPlan,
        WorldPlan,
    )
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
    from losscope.core.results.views import Columns, EmbeddingMap, Evidence, Viewed

__all__ = [
    "ALARMS",
    "SCHEMA",
    "AuditLine",
    "AuditResult",
    "AuditSeverity",
    "BaselineResult",
    "BenchGrowth",
    "BenchProvenance",
    "BenchResult",
    "BenchRow",
    "BestGroup",
    "Better",
    "Branch",
    "CellPlan",
    "Changed",
    "Choice",
    "ChoiceShare",
    "ClaimReason",
    "ClaimVerdict",
    "ClaimWord",
    "ClassChanged",
    "ClassFound",
    "ClassScores",
    "Collapse",
    "Columns",
    "Comparison",
    "Condition",
    "Confused",
    "Confusion",
    "Control",
    "ControlDescription",
    "DataDescription",
    "DataVerdicts",
    "Decomposition",
    "DesignPlan",
    "Document",
    "Duplicates",
    "Edge",
    "Embedding",
    "EmbeddingMap",
    "Evidence",
    "Examples",
    "Exponents",
    "Failure",
    "Fault",
    "Force",
    "ForceProfile",
    "Frozen",
    "Ground",
    "Growth",
    "Inspected",
    "InspectedPair",
    "Inspection",
    "Item",
    "JointTest",
    "Limit",
    "LossResult",
    "Matches",
    "MeasureValue",
    "MedianEffect",
    "Moved",
    "Multiverse",
    "MultiverseClaim",
    "MultiversePlan",
    "NearSetting",
    "Neighbours",
    "NewlyConfused",
    "Norms",
    "NotComparable",
    "Number",
    "NumberMatch",
    "OpenBy",
    "PairScale",
    "PairSize",
    "PairVerdict",
    "PaperSetting",
    "Price",
    "Provenance",
    "PublishedValue",
    "Recommendation",
    "Reproduction",
    "ReproductionPlan",
    "Result",
    "RiskRow",
    "Rule",
    "Scale",
    "Scope",
    "SettingEffect",
    "SettingOutcome",
    "Settings",
    "Share",
    "Shares",
    "ShownItem",
    "SideResult",
    "SpaceAxis",
    "SplitBatch",
    "SplitCause",
    "StepCost",
    "StoreCheck",
    "StoreProblem",
    "StudyLink",
    "StudyPlan",
    "Suspect",
    "TooFew",
    "Trial",
    "Tuned",
    "TuningRisk",
    "Twins",
    "Undecided",
    "Unfinished",
    "Unit",
    "Viewed",
    "WorldPlan",
    "WrongLabels",
    "schemas",
]

_FILES = (
    "base",
    "sides",
    "origins",
    "stores",
    "comparisons",
    "examples",
    "views",
    "plans",
    "embeddings",
    "forces",
    "audits",
    "benches",
    "inspections",
    "reproductions",
    "matches",
    "multiverses",
    "documents",
)
"""Where a name is looked for: first what every process needs, which then builds none of the other types."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for file in _FILES:
            module = import_module(f"{__name__}.{file}")
            if name in vars(module):
                globals()[name] = vars(module)[name]
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
