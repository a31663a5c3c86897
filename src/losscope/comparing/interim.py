"""Adapters until the typed statistics and the typed page land; then this file goes.

``analyse``, ``plan`` and ``published_value`` wrap ``losscope.stats``; ``phrase`` stands for
``wording.settings_phrase``; ``Evidence`` and the methods of ``Result`` stand for ``losscope.reporting``'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losscope import stats
from losscope.core.errors import LosscopeError
from losscope.core.results import (
    BaselineResult,
    Comparison,
    DataDescription,
    DesignPlan,
    LossResult,
    MeasureValue,
    Recommendation,
    Result,
    Settings,
)


@dataclass(frozen=True)
class Analysis:
    losses: tuple[LossResult, ...]
    baselines: tuple[BaselineResult, ...]
    paired: tuple[Comparison, ...]
    recommendation: Recommendation


@dataclass(frozen=True)
class Evidence:
    traces: Any = None
    detail: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, Any] = field(default_factory=dict)


def analyse(runs: Sequence[stats.Measured], *, settings: Sequence[Settings], **words: Any) -> Analysis:
    untuned, tuned = phrase(settings)
    found = stats.analyse(runs, untuned=untuned, tuned=tuned, **words)
    said = found["recommendation"]
    return Analysis(
        tuple(LossResult(failed=one["failed"], **_side(one)) for one in found["losses"]),
        tuple(BaselineResult(**_side(one)) for one in found["baselines"]),
        tuple(Comparison(**row) for row in found["paired"]),
        Recommendation(**{key: said[key] for key in ("goal", "loss", "sentences")}),
    )


def _side(one: dict[str, Any]) -> dict[str, Any]:
    measures = {name: MeasureValue(**value) for name, value in one["measures"].items()}
    return {"name": one["name"], "measures": measures}


def plan(seeds: int, losses: int, baselines: int) -> DesignPlan:
    return DesignPlan(**stats.plan(seeds, losses, baselines))  # type: ignore[arg-type]


def phrase(settings: Sequence[Settings]) -> tuple[str | None, str | None]:
    """(untuned, tuned): what every sentence says of the numbers that a verdict is conditional on."""
    if not settings:
        return None, None
    if all(one.tuned is False and not one.hyperparameters for one in settings):
        return "untuned", None
    listed = ", ".join(f"{one.name}{_numbers(one)}" for one in settings)
    some = [one.loss for one in settings if not one.tuned]
    if some:
        which = "untuned" if len(some) == len(settings) else f"{' and '.join(some)} untuned"
        hot = all("temperature" in one.hyperparameters for one in settings)
        return f"at {'temperatures' if hot else 'margins'} {listed}, {which}", None
    return None, listed


def _numbers(one: Settings) -> str:
    said = ""
    for name, mark in (("margin", ""), ("temperature", "τ ")):
        value = one.hyperparameters.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            said += f" {mark}{value:g}"
    if one.reduction not in (None, "valid_mean"):
        said += f" {one.reduction.replace('_', ' ')}"
    return said


_evidence: dict[int, Evidence] = {}


def as_schema_1(result: Result) -> dict[str, Any]:
    data = result.model_dump(mode="json")
    data["protocol"] = data["protocol"] or {"name": "yours"}
    for loss in data["losses"]:
        loss["failures"] = [f"seed {one['seed']}: {one['reason']}" for one in loss["failures"]]
        loss["spec"] = loss["spec"] or {}
        if loss["tuned"]:
            loss["tuned"]["edge"] = [f"{one['name']} {one['value']:g}" for one in loss["tuned"]["edge"]]
    return data


def _with_evidence(self: Result, evidence: Evidence) -> Result:
    copy = self.model_copy()
    _evidence[id(copy)] = evidence
    return copy


def _table(self: Result, format: str = "rich") -> Any:
    from losscope.reporting import tables

    return tables.summary(as_schema_1(self)) if format == "rich" else tables.render(as_schema_1(self), format)


def _page(self: Result) -> str:
    from losscope.reporting import page

    seen = _evidence.get(id(self), Evidence())
    return page.render(as_schema_1(self), seen.traces, seen.detail, seen.maps)


def published_value(values: Sequence[float | None], published: float) -> dict[str, Any]:
    return dict(stats.published_value([value for value in values if value is not None], published))


def description(source: Any) -> DataDescription:
    if hasattr(source, "description"):
        return source.description()
    facts = source.facts
    names = ("name", "title", "edition", "kind", "classes", "licence", "origin", "generated", "disjoint")
    return DataDescription(
        **{name: getattr(facts, name) for name in names},
        notes=tuple(facts.notes),
        class_names=tuple(facts.class_names),
        described=source.describe(),
        digest=source.digest,
    )


def with_evidence(result: Result, evidence: Evidence) -> Result:
    copied: Result = result.with_evidence(evidence)
    return copied


def write_page(result: Result, path: str | Path) -> Path:
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result.page(), encoding="utf-8")
    except OSError as error:
        raise LosscopeError(f"cannot write the page {str(path)!r}: {error.strerror}") from None
    return path


for _name, _method in {
    "with_evidence": _with_evidence,
    "table": _table,
    "page": _page,
    "report": write_page,
    "json": Result.json_text,
}.items():
    if _name not in vars(Result):
        setattr(Result, _name, _method)
