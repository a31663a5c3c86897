"""The controls that a paper declares: they explain what the claims show, with intervals and without verdicts.

Each kind of control of ``losscope.papers.paper`` is one function here, of the planned cells and their runs.
Beside them stands the risk of tuning, measured once by ``losscope reproduce aa``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from losscope import stats
from losscope.core.results import Control, ControlDescription, TuningRisk
from losscope.core.wording import reproductions as wording
from losscope.papers.evidence import Evidence, Side
from losscope.papers.paper import (
    CLAIMS,
    GRID,
    Baselines,
    Beside,
    Curves,
    Paper,
    PaperControl,
    RestingPoints,
    Rises,
    Runs,
)
from losscope.papers.planning import Piece, Planned

RISK = Path(__file__).with_name("tuning_risk.json")
"""Measured by ``losscope reproduce aa``; the file names its command."""
RISK_SHOWN = ControlDescription(
    id="tuning-risk",
    title="The risk of tuning",
    note="One loss under two names, independent weights and batches: how often a verdict tells them apart, "
    "with tuned values shared, and with each name tuned on its own.",
)


@dataclass(frozen=True)
class Cells:
    """The planned cells of a reproduction with what was measured on them."""

    planned: Planned
    evidences: Sequence[Evidence]
    sides: Mapping[int, Sequence[Side]]

    @property
    def paper(self) -> Paper:
        """The paper."""
        return self.planned.paper

    @cached_property
    def main(self) -> list[tuple[Piece, Evidence]]:
        """The cells that all claims are judged on, with their evidence."""
        both = zip(self.planned.judged(), self.evidences, strict=True)
        return [(piece, evidence) for piece, evidence in both if not piece.cell.only]

    def of(self, role: str, place: tuple[str, str]) -> Piece | None:
        """The cell of a role at a place."""
        return next(
            (piece for piece in self.planned.pieces if piece.cell.role == role and piece.place == place), None
        )


def controls(
    planned: Planned, evidences: Sequence[Evidence], sides: Mapping[int, Sequence[Side]]
) -> list[Control]:
    """All control rows of a paper. ``sides``: the losses of each piece, by the piece's id."""
    cells = Cells(planned, evidences, sides)
    rows = [row for control in planned.paper.controls for row in _rows(control, cells)]
    return [*rows, *_tuning_risk()]


def descriptions(paper: Paper) -> tuple[ControlDescription, ...]:
    """What each control of a paper shows, in words, in the order of the page."""
    own = (
        ControlDescription(
            id=control.id, title=control.title, note=control.note, curves=isinstance(control, Curves)
        )
        for control in paper.controls
    )
    return (*own, RISK_SHOWN)


def tuning_risk() -> TuningRisk | None:
    """How often two names of one loss, tuned apart, were told apart: the kept measurement."""
    if not RISK.is_file():
        return None
    risk: TuningRisk = TuningRisk.from_json(RISK.read_text(encoding="utf-8"), RISK.name)
    return risk


def _rows(control: PaperControl, cells: Cells) -> Iterator[Control]:
    match control:
        case Beside():
            return _beside(control, cells)
        case Curves():
            return _curves(control, cells)
        case RestingPoints():
            return _resting(control, cells)
        case Baselines():
            return _baselines(control, cells)


def _beside(control: Beside, cells: Cells) -> Iterator[Control]:
    """Pairs of losses at each place of the claims that has all the cells that the control needs."""
    for piece, evidence in cells.main:
        others = {role: cells.of(role, piece.place) for role in control.roles}
        found = {role: other for role, other in others.items() if other is not None}
        if len(found) < len(others):
            continue
        sides = {(CLAIMS, side.loss): side for side in cells.sides[id(piece)]}
        for role, other in found.items():
            sides |= {(role, side.loss): side for side in cells.sides[id(other)]}
        longer = {role: other.epochs for role, other in found.items() if other.epochs != piece.epochs}
        for measure in control.measures:
            for label, *pair in control.pairs:
                a, b = (sides.get((runs.role, runs.loss)) for runs in pair)
                if a is not None and b is not None:
                    yield from _pair(
                        control, cells.paper, evidence, measure, _label(label, pair, longer, measure), a, b
                    )


def _label(label: str, pair: Sequence[Runs], longer: Mapping[str, int], measure: str) -> str:
    other = next(((runs.loss, longer[runs.role]) for runs in pair if runs.role in longer), None)
    return wording.control_label(label, held_out=measure.endswith("@test"), longer=other)


def _pair(
    control: Beside, paper: Paper, evidence: Evidence, measure: str, label: str, a: Side, b: Side
) -> Iterator[Control]:
    """The paired difference or ratio of a and b, if there is one."""
    x, y = a.of(measure), b.of(measure)
    if not (a.has(x) and b.has(y)):
        return
    found = stats.compare(x, y, measure, alpha=evidence.alpha, failed=(a.failed, b.failed))
    if found.difference is None:
        return
    ratio = found.scale == "log_ratio"
    measured, low, high = (
        math.exp(value) if ratio and value is not None else value
        for value in (found.difference, found.low, found.high)
    )
    yield Control(
        id=control.id,
        explains=paper.about(measure) if control.explains is None else control.explains,
        data=evidence.data,
        protocol=evidence.protocol,
        label=label,
        measure=measure,
        scale="ratio" if ratio else "difference",
        a=a.label,
        b=b.label,
        mean_a=found.mean_a,
        mean_b=found.mean_b,
        measured=measured,
        low=low,
        high=high,
        n=found.n,
    )


def _curves(control: Curves, cells: Cells) -> Iterator[Control]:
    """Every claim's quantity at each margin of the grids."""
    for piece in cells.planned.pieces:
        if piece.cell.role != GRID:
            continue
        own = cells.sides[id(piece)]
        for measure, names in _explained(control, cells.paper, own).items():
            for side in own:
                mean, low, high = stats.summary(side.of(measure), measure)
                if mean is None:
                    continue
                yield Control(
                    id=control.id,
                    explains=names,
                    data=piece.cell.label,
                    protocol=piece.cell.protocol,
                    label=f"{side.loss}, margin {side.hyperparameters.get('margin')}",
                    measure=measure,
                    scale="value",
                    loss=side.loss,
                    margin=side.margin,
                    measured=mean,
                    low=low,
                    high=high,
                    n=sum(value is not None for value in side.of(measure)),
                )


def _explained(control: Curves, paper: Paper, own: Sequence[Side]) -> dict[str, tuple[str, ...]]:
    """The measures that are drawn, and the claims about each: also what an association is taken along."""
    explained: dict[str, tuple[str, ...]] = dict.fromkeys(control.measures, ())
    for claim in paper.claims:
        if claim.measure:
            explained[claim.measure] = (*explained.get(claim.measure, ()), claim.id)
    for claim in paper.claims:
        if isinstance(claim.asserts, Rises) and any(side.has(side.of(claim.measure)) for side in own):
            for along in [name for name in claim.asserts.along if name in own[0].values][:1]:
                explained[along] = (*explained.get(along, ()), claim.id)
    return explained


def _resting(control: RestingPoints, cells: Cells) -> Iterator[Control]:
    """The separation of class means that theory foresees: a simplex, or the margin before it."""
    for piece, _ in cells.main:
        classes = _classes(piece)
        if classes is None or classes - 1 > piece.plan.study.protocol.embedding_size:
            continue
        simplex = math.sqrt(2 * classes / (classes - 1))
        for side in cells.sides[id(piece)]:
            mean, low, high = stats.summary(side.of("inter_distance"), "inter_distance")
            stops = side.margin if side.loss in control.at_margin else None
            if mean is not None:
                yield Control(
                    id=control.id,
                    explains=control.explains,
                    data=piece.cell.label,
                    protocol=piece.cell.protocol,
                    label=side.label,
                    measure="inter_distance",
                    scale="value",
                    loss=side.loss,
                    margin=side.margin,
                    expected=simplex if stops is None else min(stops, simplex),
                    measured=mean,
                    low=low,
                    high=high,
                    n=len(side.failed),
                    note=wording.resting(stops, classes),
                )


def _classes(piece: Piece) -> int | None:
    """How many classes the geometry of these runs is measured on, background included where it is a class."""
    store = piece.plan.store
    for run, run_id in zip(piece.plan.runs, piece.plan.ids, strict=True):
        if not run.loss.baseline and store.has(run_id) and store.get(run_id).failed is None:
            arrays = store.get(run_id).arrays()
            for name in ("train/per_class/label", "per_class/label"):
                if name in arrays:
                    return len(arrays[name])
    return None


def _baselines(control: Baselines, cells: Cells) -> Iterator[Control]:
    """Each loss against ``raw`` and ``untrained`` on the goal's measure, from the study's own result."""
    for piece, _ in cells.main:
        result = piece.result()
        losses = {side.name for side in result.losses}
        baselines = {side.name for side in result.baselines if side.family == "baseline"}
        for row in result.paired:
            if row.measure == result.recommendation.measure and row.a in losses and row.b in baselines:
                yield Control(
                    id=control.id,
                    explains=control.explains,
                    data=piece.cell.label,
                    protocol=piece.cell.protocol,
                    label=wording.against(row.a, row.b),
                    measure=row.measure,
                    scale=row.scale,
                    a=row.a,
                    b=row.b,
                    measured=row.difference,
                    low=row.low,
                    high=row.high,
                    n=row.n,
                )


def _tuning_risk() -> Iterator[Control]:
    risk = tuning_risk()
    for row in risk.rows if risk is not None else ():
        yield Control(
            id=RISK_SHOWN.id,
            explains=(),
            data=row.data,
            protocol="matched",
            label=row.label,
            measure="share of directional verdicts between two names of one loss",
            scale="value",
            measured=row.rate,
            low=row.low,
            high=row.high,
            n=row.studies,
            note=row.command,
        )
